/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows what each error of the kernel means, that only errors which pass are tried again, how often
 * and with which waits, and that syscalls get exactly the arguments that they need. The test plays
 * the kernel.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "bpf/answer.h"
#include "support/ks_test.h"
#include "support/own_syscall.h"

/* ---- the kernel ------------------------------------------------------------------------------ */

static struct {
	unsigned calls, fails; /* the first `fails` calls fail with `error` */
	int error, result;
	long args[6];
	union bpf_attr attr; /* of the last bpf() */
	unsigned sleeps;
	long slept_ns[KS__TRIES];
} kernel;

static void begin(unsigned fails, int error, int result)
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.fails = fails;
	kernel.error = error;
	kernel.result = result;
}

static int answer(void)
{
	if (kernel.calls++ >= kernel.fails)
		return kernel.result;
	errno = kernel.error;
	return -1;
}

static long own_syscall(long number, const long args[6])
{
	if (number != SYS_bpf && number != SYS_perf_event_open)
		return real_syscall(number, args);
	memcpy(kernel.args, args, sizeof(kernel.args));
	if (number == SYS_bpf)
		memcpy(&kernel.attr, (const void *)args[1], sizeof(kernel.attr));
	return answer();
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;

	va_start(list, request);
	kernel.args[0] = fd;
	kernel.args[1] = (long)request;
	kernel.args[2] = va_arg(list, long);
	va_end(list);
	return answer();
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *wait, struct timespec *left)
{
	(void)left;
	g_assert_cmpint(clock, ==, CLOCK_MONOTONIC);
	g_assert_cmpint(flags, ==, 0);
	g_assert_cmpint(wait->tv_sec, ==, 0);
	g_assert_cmpuint(kernel.sleeps, <, KS__TRIES);
	kernel.slept_ns[kernel.sleeps++] = wait->tv_nsec;
	return 0;
}

/* ---- meanings -------------------------------------------------------------------------------- */

static void test_meanings(void)
{
	for (int error = -200; error <= 200; error++) {
		enum ks__answer want = KS__ANSWER_FINAL;

		if (error == -EAGAIN || error == -EINTR)
			want = KS__ANSWER_PASSING;
		if (error == -EBUSY)
			want = KS__ANSWER_BUSY;
		if (error == -ENOMEM || error == -EMFILE || error == -ENFILE)
			want = KS__ANSWER_SHORTAGE;
		if (error == -ESTALE || error == -EFBIG)
			want = KS__ANSWER_HOST;
		g_assert_cmpint(ks__answer(error), ==, want);
		g_assert_cmpint(ks__answer_ends(error), ==,
				want == KS__ANSWER_PASSING || want == KS__ANSWER_SHORTAGE);
	}
}

/* The first eight retries come at once, then each wait is twice as long, up to a millisecond. */
static void test_again(void)
{
	static const int passing[] = { -EAGAIN, -EINTR, -EBUSY };
	static const int others[] = { 0, 5, -EPERM, -ENOMEM, -EMFILE, -ESTALE };

	for (size_t i = 0; i < G_N_ELEMENTS(passing); i++) {
		unsigned tries = 0;

		begin(0, 0, 0);
		for (unsigned n = 1; n < 30; n++) {
			g_assert_cmpint(ks__answer_again(passing[i], &tries, 30), ==, 1);
			g_assert_cmpuint(tries, ==, n);
			g_assert_cmpuint(kernel.sleeps, ==, n > 8 ? n - 8 : 0);
			if (n > 8)
				g_assert_cmpint(kernel.slept_ns[n - 9], ==,
						n < 18 ? 1000l << (n - 8) : 1000000);
		}
		g_assert_cmpint(ks__answer_again(passing[i], &tries, 30), ==, 0);
		g_assert_cmpuint(kernel.sleeps, ==, 21);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		unsigned tries = 0;

		begin(0, 0, 0);
		g_assert_cmpint(ks__answer_again(others[i], &tries, 30), ==, 0);
		g_assert_cmpuint(tries, ==, 0);
		g_assert_cmpuint(kernel.sleeps, ==, 0);
	}
}

/* ---- syscalls -------------------------------------------------------------------------------- */

static int call_bpf(void)
{
	union bpf_attr attr = { .map_type = 1 };
	int rc = ks__bpf(BPF_MAP_CREATE, &attr);

	g_assert_cmpint(kernel.args[0], ==, BPF_MAP_CREATE);
	g_assert_true((void *)kernel.args[1] == &attr);
	g_assert_cmpuint((unsigned)kernel.args[2], ==, sizeof(attr));
	return rc;
}

static int call_perf_open(void)
{
	struct perf_event_attr attr = { 0 };
	int rc = ks__perf_open(&attr, 3);

	g_assert_cmpuint(attr.size, ==, sizeof(attr));
	g_assert_true((void *)kernel.args[0] == &attr);
	g_assert_cmpint((int)kernel.args[1], ==, -1);
	g_assert_cmpint((int)kernel.args[2], ==, 3);
	g_assert_cmpint((int)kernel.args[3], ==, -1);
	g_assert_cmpint((int)kernel.args[4], ==, PERF_FLAG_FD_CLOEXEC);
	return rc;
}

static int call_ioctl(void)
{
	int rc = ks__perf_ioctl(7, 0x2400, 99);

	g_assert_cmpint(kernel.args[0], ==, 7);
	g_assert_cmpint(kernel.args[1], ==, 0x2400);
	g_assert_cmpint(kernel.args[2], ==, 99);
	return rc;
}

static void test_calls(void)
{
	static const struct {
		int (*call)(void);
		int result, want;
	} all[] = { { call_bpf, 5, 5 }, { call_perf_open, 6, 6 }, { call_ioctl, 0, 0 } };

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		begin(0, 0, all[i].result);
		ks_assert_rc(all[i].call(), all[i].want);
		g_assert_cmpuint(kernel.calls, ==, 1);
		begin(10, EINTR, all[i].result);
		ks_assert_rc(all[i].call(), all[i].want);
		g_assert_cmpuint(kernel.calls, ==, 11);
		g_assert_cmpuint(kernel.sleeps, ==, 2);
		begin(1000, EAGAIN, all[i].result);
		ks_assert_rc(all[i].call(), -EAGAIN);
		g_assert_cmpuint(kernel.calls, ==, KS__TRIES);
		g_assert_cmpuint(kernel.sleeps, ==, KS__TRIES - 9);
		begin(1000, EPERM, all[i].result);
		ks_assert_rc(all[i].call(), -EPERM);
		g_assert_cmpuint(kernel.calls, ==, 1);
	}
}

/* Each argument is in its own member, and all others are 0. */
static void test_puts(void)
{
	const uint32_t key = 1, value = 2;
	union bpf_attr want;

	begin(0, 0, 0);
	memset(&want, 0, sizeof(want));
	want.map_fd = 7;
	want.key = (uint64_t)(uintptr_t)&key;
	want.value = (uint64_t)(uintptr_t)&value;
	want.flags = BPF_NOEXIST;
	ks_assert_rc(ks__map_put(7, &key, &value, BPF_NOEXIST), 0);
	g_assert_cmpint(kernel.args[0], ==, BPF_MAP_UPDATE_ELEM);
	g_assert_cmpmem(&kernel.attr, sizeof(want), &want, sizeof(want));

	memset(&want, 0, sizeof(want));
	want.batch.map_fd = 8;
	want.batch.keys = (uint64_t)(uintptr_t)&key;
	want.batch.values = (uint64_t)(uintptr_t)&value;
	want.batch.count = 9;
	ks_assert_rc(ks__map_put_batch(8, &key, &value, 9), 0);
	g_assert_cmpint(kernel.args[0], ==, BPF_MAP_UPDATE_BATCH);
	g_assert_cmpmem(&kernel.attr, sizeof(want), &want, sizeof(want));
}

/* ---- signals --------------------------------------------------------------------------------- */

static int hold_in_here(const sigset_t *want)
{
	KS__SIGNALS_HELD;
	sigset_t now;

	pthread_sigmask(SIG_BLOCK, NULL, &now);
	for (int sig = 1; sig < SIGRTMIN; sig++)
		g_assert_cmpint(sigismember(&now, sig), ==, sigismember(want, sig));
	return 0;
}

/* Held are all signals but those that a thread raises itself; afterwards the mask is as before. */
static void test_signals(void)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
	sigset_t before, mine, held, after;

	sigemptyset(&mine);
	sigaddset(&mine, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &mine, &before);
	sigfillset(&held);
	sigdelset(&held, SIGKILL);
	sigdelset(&held, SIGSTOP);
	for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
		sigdelset(&held, own[i]);
	hold_in_here(&held);
	pthread_sigmask(SIG_SETMASK, &before, &after);
	for (int sig = 1; sig < SIGRTMIN; sig++)
		g_assert_cmpint(sigismember(&after, sig), ==, sig == SIGUSR1);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/answer/meanings", test_meanings);
	g_test_add_func("/answer/again", test_again);
	g_test_add_func("/answer/calls", test_calls);
	g_test_add_func("/answer/puts", test_puts);
	g_test_add_func("/answer/signals", test_signals);
	return g_test_run();
}
