/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that signals at any rate never change a probe's variant: with a timer of 1 kHz while
 * handles load and enable all probes, with a thread that gets SIGURG all the time as Go's runtime
 * sends it, and with a timer whose signal goes to the loading thread. No signal is lost, and the
 * signal mask of the thread is unchanged.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <kernelsight/schema.h>

#include "fault.h"

#define PROBES_MAX 32

static atomic_uint handled;

static void count_signal(int number)
{
	(void)number;
	atomic_fetch_add(&handled, 1);
}

static void handle(int number)
{
	struct sigaction act = { .sa_handler = count_signal, .sa_flags = SA_RESTART };

	g_assert_cmpint(sigaction(number, &act, NULL), ==, 0);
}

/* ---- handles, and the variants of their probes ----------------------------------------------- */

struct outcome {
	unsigned n;
	char variant[PROBES_MAX][32];
};

static void use_handle(struct outcome *ret)
{
	struct ks *ks = fault_open(NULL);
	struct ks_scope pids = { .size = sizeof(pids), .kind = KS_SCOPE_TREE };

	ret->n = 0;
	ks_assert_ok(ks, ks_set_scope(ks, &pids));
	ks_assert_ok(ks, ks_prepare(ks, NULL, 0));
	for (uint32_t i = 0; i < PROBES_MAX; i++) {
		struct ks_probe_desc desc = { .size = sizeof(desc) };
		struct ks_probe_info info = { .size = sizeof(info) };

		if (ks_describe_probe(i, &desc))
			break;
		if (desc.probe == KS_PROBE_SELF)
			continue;
		if (ks_enable_probe(ks, desc.probe, NULL) >= 0)
			ks_assert_ok(ks, ks_query_probe(ks, desc.probe, &info));
		else
			strcpy(info.variant_name, "none");
		strcpy(ret->variant[ret->n++], info.variant_name);
	}
	ks_close(ks);
}

static void is_like(const struct outcome *quiet, unsigned round)
{
	struct outcome now;

	use_handle(&now);
	g_assert_cmpuint(now.n, ==, quiet->n);
	for (unsigned i = 0; i < now.n; i++)
		if (strcmp(now.variant[i], quiet->variant[i]))
			g_error("handle %u: probe %u uses %s, but %s without signals", round, i,
				now.variant[i], quiet->variant[i]);
}

/* Handle after handle has the same variants as without signals, and the mask stays. */
static void are_like(const struct outcome *quiet, unsigned handles)
{
	sigset_t before, after;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	for (unsigned i = 0; i < handles; i++)
		is_like(quiet, i);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int number = 1; number < NSIG; number++)
		g_assert_cmpint(sigismember(&before, number), ==, sigismember(&after, number));
}

/* ---- senders of signals ---------------------------------------------------------------------- */

static void set_timer(int which, long us)
{
	const struct itimerval every = { { 0, us }, { 0, us } };

	g_assert_cmpint(setitimer(which, &every, NULL), ==, 0);
}

static void test_timer(void)
{
	struct outcome quiet;

	if (!ks_test_root())
		return;
	use_handle(&quiet);
	handle(SIGALRM);
	atomic_store(&handled, 0);
	set_timer(ITIMER_REAL, 1000);
	are_like(&quiet, ks_test_volume(200, 10));
	set_timer(ITIMER_REAL, 0);
	g_assert_cmpuint(atomic_load(&handled), >, 0);
}

/* POSIX timers may signal one thread, so no other thread takes the signal. */
static void test_own_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };
	const struct itimerspec every = { { 0, 1000000 }, { 0, 1000000 } };
	struct outcome quiet;
	timer_t timer;

	if (!ks_test_root())
		return;
	use_handle(&quiet);
	handle(SIGRTMIN);
	atomic_store(&handled, 0);
	event._sigev_un._tid = gettid();
	g_assert_cmpint(timer_create(CLOCK_MONOTONIC, &event, &timer), ==, 0);
	g_assert_cmpint(timer_settime(timer, 0, &every, NULL), ==, 0);
	are_like(&quiet, ks_test_volume(50, 5));
	g_assert_cmpint(timer_delete(timer), ==, 0);
	g_assert_cmpuint(atomic_load(&handled), >, 0);
}

/* ---- signals as Go sends them ---------------------------------------------------------------- */

static struct {
	pid_t tid;
	int number;
	atomic_int stop;
	unsigned sent;
} urging;

static void *urge(void *unused)
{
	struct timespec pause = { 0, 20000 };

	while (!atomic_load(&urging.stop)) {
		if (!syscall(SYS_tgkill, getpid(), urging.tid, urging.number))
			urging.sent++;
		nanosleep(&pause, NULL);
	}
	return unused;
}

static void begin_urging(int number, pthread_t *ret_thread)
{
	handle(number);
	atomic_store(&handled, 0);
	urging.tid = gettid();
	urging.number = number;
	urging.sent = 0;
	atomic_store(&urging.stop, 0);
	g_assert_cmpint(pthread_create(ret_thread, NULL, urge, NULL), ==, 0);
}

static void end_urging(pthread_t thread)
{
	atomic_store(&urging.stop, 1);
	g_assert_cmpint(pthread_join(thread, NULL), ==, 0);
	g_test_message("%u signals sent, %u handled", urging.sent, atomic_load(&handled));
}

static void test_preemption(void)
{
	struct outcome quiet;
	pthread_t thread;

	if (!ks_test_root())
		return;
	use_handle(&quiet);
	begin_urging(SIGURG, &thread);
	are_like(&quiet, ks_test_volume(50, 5));
	end_urging(thread);
	g_assert_cmpuint(atomic_load(&handled), >, 0);
}

/* Real-time signals queue up. Each one sent is handled, also those that had to wait. */
static void test_delivered(void)
{
	struct outcome quiet;
	pthread_t thread;

	if (!ks_test_root())
		return;
	use_handle(&quiet);
	begin_urging(SIGRTMIN + 1, &thread);
	are_like(&quiet, ks_test_volume(10, 3));
	end_urging(thread);
	g_assert_cmpuint(atomic_load(&handled), ==, urging.sent);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/timer", test_timer);
	g_test_add_func("/timer/of-the-thread", test_own_timer);
	g_test_add_func("/preemption", test_preemption);
	g_test_add_func("/delivered", test_delivered);
	return g_test_run();
}
