/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that counts are kept by role: for own threads and those of other processes, from the call
 * until the thread ends; and that a new thread with the same tid has no role.
 */
#include <errno.h>
#include <kernelsight/identity.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/harness.h"
#include "support/ks_test.h"
#include "support/sums.h"

static void start(struct kt *t)
{
	struct ks_param params[] = { { .id = BURST_PARAM_RECORDS, .value = 1 },
				     { .id = KS_PARAM_SAMPLE_EVERY, .value = 0 } };

	kt_enable(t, params, 2);
}

/* Asserts the row of a role; 0: of all threads without one. */
static void assert_role(struct kt *t, uint64_t role, const char *name, uint64_t want)
{
	struct ks_reader *reader = sums_reader(t->ks, 0);
	struct ks_stats stats;

	sums_read(reader, &stats);
	g_assert_cmpuint(sums_of(&stats, KS_BY_ROLE, role), ==, want);
	g_assert_cmpstr(sums_row(&stats, KS_BY_ROLE, role)->name, ==, name);
	ks_reader_free(reader);
}

static void names(struct kt *t)
{
	char name[40];

	start(t);
	for (int i = 1; i <= KS_ROLE_MAX; i++) {
		snprintf(name, sizeof(name), "role.%d_-", i);
		ks_assert_rc(ks_thread_role(t->ks, 0, name), i);
	}
	ks_assert_rc(ks_thread_role(t->ks, 0, "one-more"), -ENOSPC);
	ks_assert_rc(ks_thread_role(t->ks, 0, "role.7_-"), 7);
	ks_assert_rc(ks_thread_role(t->ks, 0, ""), -EINVAL);
	ks_assert_rc(ks_thread_role(t->ks, 0, "Capital"), -EINVAL);
	ks_assert_rc(ks_thread_role(t->ks, 0, "a space"), -EINVAL);
	ks_assert_rc(ks_thread_role(t->ks, 0, "a-name-of-thirty-two-bytes-which"), -ENAMETOOLONG);
	G_STATIC_ASSERT(sizeof("a-name-of-thirty-two-bytes-which") == KS_ROLE_NAME + 1);
	ks_assert_rc(ks_thread_role(t->ks, -1, "role.7_-"), -EINVAL);
	ks_assert_rc(ks_thread_role(t->ks, 1 << 30, "role.7_-"), -ESRCH);
	sums_call(5); /* the failed call changed nothing */
	assert_role(t, 7, "role.7_-", 5);
	ks_assert_rc(ks_thread_role(t->ks, 0, NULL), 0);
	sums_call(2);
	assert_role(t, 0, "", 2);
	assert_role(t, 7, "role.7_-", 5);
}

/* ---- threads --------------------------------------------------------------------------------- */

struct thread {
	struct kt *t;
	const char *role, *later; /* NULL: none */
};

static void *call_in_role(void *user)
{
	struct thread *th = user;

	sums_call(1);
	if (th->role)
		ks_assert_ok(th->t->ks, ks_thread_role(th->t->ks, 0, th->role));
	sums_call(10);
	if (th->later)
		ks_assert_ok(th->t->ks, ks_thread_role(th->t->ks, 0, th->later));
	sums_call(100);
	return NULL;
}

/*
 * A role counts from the next event on. Two threads may share a role. A thread's role stays with
 * that thread.
 */
static void threads(struct kt *t)
{
	struct thread th[] = {
		{ t, "reader", "reader" }, { t, "reader", NULL }, { t, "reader", "writer" },
		{ t, "writer", "reader" }, { t, NULL, NULL },
	};
	pthread_t ids[G_N_ELEMENTS(th)];

	start(t);
	for (size_t i = 0; i < G_N_ELEMENTS(th); i++) {
		g_assert_cmpint(pthread_create(&ids[i], NULL, call_in_role, &th[i]), ==, 0);
		if (i == 0)
			pthread_join(ids[i], NULL); /* so that "reader" becomes 1 */
	}
	for (size_t i = 1; i < G_N_ELEMENTS(th); i++)
		pthread_join(ids[i], NULL);
	assert_role(t, 1, "reader", 110 + 110 + 10 + 100);
	assert_role(t, 2, "writer", 100 + 10);
	assert_role(t, 0, "", 5 + 110);
}

/* ---- other processes ------------------------------------------------------------------------- */

struct page {
	int go, tid, calls;
};

static void *wait_and_call(void *user)
{
	struct page *page = user;

	__atomic_store_n(&page->tid, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&page->go, __ATOMIC_SEQ_CST))
		sched_yield();
	sums_call(9);
	return NULL;
}

static int with_a_thread(void *page)
{
	pthread_t thread;

	pthread_create(&thread, NULL, wait_and_call, page);
	pthread_join(thread, NULL);
	sums_call(4);
	return 0;
}

static void supervised(struct kt *t)
{
	struct page *page;
	struct work w;

	work_start(&w, with_a_thread);
	page = w.page;
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	start(t);
	work_go(&w);
	while (!__atomic_load_n(&page->tid, __ATOMIC_SEQ_CST))
		sched_yield();
	ks_assert_rc(ks_thread_role(t->ks, page->tid, "worker"), 1);
	__atomic_store_n(&page->go, 1, __ATOMIC_SEQ_CST);
	work_wait(&w);
	assert_role(t, 1, "worker", 9);
	assert_role(t, 0, "", 4);
	work_free(&w);
}

/* ---- the end --------------------------------------------------------------------------------- */

/*
 * Makes a process with this pid, or any pid for 0. It makes its calls when it is told to, and ends.
 */
static pid_t make(pid_t number, int go, int *ret_error)
{
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = number ? (uintptr_t)&number : 0,
				   .set_tid_size = number != 0 };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	unsigned char n;

	*ret_error = pid < 0 ? errno : 0;
	if (pid)
		return pid;
	if (read(go, &n, 1) == 1)
		sums_call(n);
	_exit(0);
}

static void finish(pid_t pid, int go, unsigned char calls)
{
	g_assert_cmpint(write(go, &calls, 1), ==, 1);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

/* Start times in /proc/PID/stat are in hundredths of a second. */
static void wait_for_tick(void)
{
	uint64_t now = work_now();

	while (work_now() - now < 20000000)
		sched_yield();
}

/*
 * Two processes have the same pid one after the other. The second has no role and has its own row.
 */
static void reused(struct kt *t)
{
	const struct ks_stats_burst *row;
	struct ks_reader *reader;
	struct ks_stats stats;
	pid_t pid, again = -1;
	int go[2], error;
	uint64_t seen = 0;

	g_assert_cmpint(pipe(go), ==, 0);
	kt_watch(t, KS_SCOPE_TREE, getpid());
	start(t);
	pid = make(0, go[0], &error);
	g_assert_cmpint(pid, >, 0);
	ks_assert_rc(ks_thread_role(t->ks, pid, "once"), 1);
	finish(pid, go[1], 5);
	wait_for_tick();
	/* the pid stays in use until a grace period ends */
	for (uint64_t end = work_now() + 60 * UINT64_C(1000000000); again < 0;) {
		again = make(pid, go[0], &error);
		if (again < 0 && (error != EEXIST || work_now() > end))
			break;
		sched_yield();
	}
	if (again < 0) {
		g_test_skip(g_strerror(error));
	} else {
		g_assert_cmpint(again, ==, pid);
		finish(again, go[1], 7);
		assert_role(t, 1, "once", 5);
		assert_role(t, 0, "", 7);
		reader = sums_reader(t->ks, 0);
		sums_read(reader, &stats);
		for (size_t i = 0; (row = ks_stats_row(&stats, i)); i++)
			if (row->row.by == KS_BY_PROCESS && row->row.key == (uint64_t)pid)
				seen = seen * 100 + row->emitted;
		g_assert_true(seen == 507 || seen == 705);
		ks_reader_free(reader);
	}
	close(go[0]);
	close(go[1]);
}

static void add(void)
{
	kt_add(BURST_PROBE, "names", KT_UNEVEN | KT_BEST, names);
	kt_add(BURST_PROBE, "threads", KT_UNEVEN | KT_FEATURES, threads);
	kt_add(BURST_PROBE, "supervised", KT_UNEVEN | KT_FEATURES, supervised);
	kt_add(BURST_PROBE, "reused", KT_UNEVEN | KT_FEATURES | KT_RAW, reused);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
