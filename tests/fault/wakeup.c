/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that ks_wakeup() ends a wait from a signal handler, another thread or a callback; that
 * several wake-ups count as one and none is lost; and that a signal of the host ends a wait as a
 * wake-up does.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fault.h"

#define TURNS ks_test_volume(20000, 200)
#define TURNS_MIN 200 /* at least this many, however long it takes */

/* Newer architectures have only epoll_pwait(). */
#if defined(SYS_epoll_wait)
#define EPOLL_WAIT SYS_epoll_wait
#else
#define EPOLL_WAIT SYS_epoll_pwait
#endif

static struct ks *handle; /* for the signal handler */
static atomic_int handled;

static int nobody(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	g_assert_not_reached();
}

static void wake(int signal)
{
	int saved = errno;

	(void)signal;
	errno = 4711;
	ks_wakeup(handle);
	if (errno == 4711)
		atomic_fetch_add(&handled, 1);
	errno = saved;
}

static void count(int signal)
{
	(void)signal;
	atomic_fetch_add(&handled, 1);
}

static void on_signal(void (*fn)(int signal), int flags)
{
	struct sigaction action = { .sa_handler = fn, .sa_flags = flags };

	g_assert_cmpint(sigaction(SIGUSR1, &action, NULL), ==, 0);
	atomic_store(&handled, 0);
}

static int readable(struct ks *ks)
{
	struct pollfd p = { .fd = ks_fd(ks), .events = POLLIN };

	return poll(&p, 1, 0);
}

/* ---- a thread that waits ---------------------------------------------------------------- */

struct waiter {
	struct ks *ks;
	pthread_t thread;
	atomic_int tid;
	int answer;
};

static void *wait_once(void *user)
{
	struct waiter *w = user;

	atomic_store(&w->tid, gettid());
	w->answer = ks_poll(w->ks, -1, 0, nobody, NULL);
	return NULL;
}

/* True if the thread is inside epoll_wait(), according to the kernel. */
static int is_waiting(int tid)
{
	char *path = g_strdup_printf("/proc/self/task/%d/syscall", tid), *text = NULL;
	int number = -1;

	if (g_file_get_contents(path, &text, NULL, NULL))
		sscanf(text, "%d", &number);
	g_free(text);
	g_free(path);
	return number == SYS_epoll_pwait || number == EPOLL_WAIT;
}

static void begin_wait(struct waiter *w, struct ks *ks)
{
	*w = (struct waiter){ .ks = ks };
	g_assert_cmpint(pthread_create(&w->thread, NULL, wait_once, w), ==, 0);
	while (!atomic_load(&w->tid) || !is_waiting(atomic_load(&w->tid)))
		sched_yield();
}

static int end_wait(struct waiter *w)
{
	pthread_join(w->thread, NULL);
	return w->answer;
}

/* ---- handlers --------------------------------------------------------------------------- */

/* A wake-up before the wait ends it at once, and only once. */
static void pending(void)
{
	handle = fault_open(NULL);
	on_signal(wake, SA_RESTART);
	for (int i = 0; i < 5; i++)
		raise(SIGUSR1);
	g_assert_cmpint(atomic_load(&handled), ==, 5); /* errno is unchanged */
	g_assert_cmpint(readable(handle), ==, 1);
	ks_assert_rc(ks_poll(handle, -1, 0, nobody, NULL), 0);
	g_assert_cmpint(readable(handle), ==, 0);
	ks_assert_rc(ks_poll(handle, 0, 0, nobody, NULL), 0);
	ks_close(handle);
}

/* The handler runs in a thread other than the waiting one. */
static void beside(void)
{
	struct waiter w;

	handle = fault_open(NULL);
	on_signal(wake, SA_RESTART);
	begin_wait(&w, handle);
	raise(SIGUSR1);
	ks_assert_rc(end_wait(&w), 0);
	g_assert_cmpint(readable(handle), ==, 0);
	ks_close(handle);
}

/* The handler runs in the waiting thread: signal and wake-up end one wait. */
static void within(void)
{
	struct waiter w;

	handle = fault_open(NULL);
	on_signal(wake, SA_RESTART);
	begin_wait(&w, handle);
	pthread_kill(w.thread, SIGUSR1);
	ks_assert_rc(end_wait(&w), 0);
	g_assert_cmpint(atomic_load(&handled), ==, 1);
	g_assert_cmpint(readable(handle), ==, 0);
	ks_close(handle);
}

static void host_signal(void)
{
	struct waiter w;
	struct ks *ks = fault_open(NULL);

	on_signal(count, SA_RESTART);
	begin_wait(&w, ks);
	pthread_kill(w.thread, SIGUSR1);
	ks_assert_rc(end_wait(&w), 0);
	g_assert_cmpint(atomic_load(&handled), ==, 1);
	ks_close(ks);
}

/* ---- no wake-up is lost ---------------------------------------------------------------------- */

struct game {
	struct ks *ks;
	atomic_uint woken;
	atomic_int last; /* the next turn is the last one */
};

static void *be_woken(void *user)
{
	struct game *g = user;
	int last;

	do {
		ks_assert_rc(ks_poll(g->ks, -1, 0, nobody, NULL), 0);
		last = atomic_load(&g->last);
		atomic_fetch_add(&g->woken, 1);
	} while (!last);
	return NULL;
}

/* Each wake-up ends one wait: a lost one would stop the game. */
static void back_and_forth(void)
{
	int64_t began = g_get_monotonic_time();
	struct game g = { .ks = fault_open(NULL) };
	pthread_t thread;

	g_assert_cmpint(pthread_create(&thread, NULL, be_woken, &g), ==, 0);
	for (unsigned i = 0; !atomic_load(&g.last); i++) {
		int64_t now = g_get_monotonic_time(), end = now + 60 * G_USEC_PER_SEC;

		atomic_store(&g.last, i + 1 >= TURNS || (i + 1 >= TURNS_MIN &&
							 now > began + KS_TEST_LONG_US));
		ks_wakeup(g.ks);
		while (atomic_load(&g.woken) == i) {
			if (g_get_monotonic_time() > end)
				g_error("wake-up %u was lost", i);
			sched_yield();
		}
		g_assert_cmpuint(atomic_load(&g.woken), ==, i + 1);
	}
	pthread_join(thread, NULL);
	g_assert_cmpint(readable(g.ks), ==, 0);
	ks_close(g.ks);
}

static int wake_inside(const struct ks_event *ev, void *user)
{
	(void)ev;
	ks_wakeup(user);
	return 0;
}

/* A call delivers records, and a wake-up during it ends the next wait. */
static void beside_records(void)
{
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = fault_open(NULL);
	fault_burst(ks, 8);
	syscall(SYS_getppid);
	ks_assert_rc(ks_poll(ks, -1, 0, wake_inside, ks), 8);
	ks_assert_rc(ks_poll(ks, -1, 0, nobody, NULL), 0);
	g_assert_cmpint(readable(ks), ==, 0);
	fault_settle(ks, BURST_PROBE);
	ks_close(ks);
}

/* A time that is over, and one that is not. */
static void timeouts(void)
{
	struct ks *ks = fault_open(NULL);
	uint64_t began = work_now();

	ks_assert_rc(ks_poll(ks, 0, 0, nobody, NULL), 0);
	ks_assert_rc(ks_poll(ks, 20, 0, nobody, NULL), 0);
	g_assert_cmpuint(work_now() - began, >=, 20000000);
	ks_assert_rc(ks_poll(ks, -2, 0, nobody, NULL), -EINVAL);
	ks_assert_rc(ks_poll(ks, 0, -1, nobody, NULL), -EINVAL);
	ks_assert_rc(ks_poll(ks, 0, 0, NULL, NULL), -EINVAL);
	ks_close(ks);
}

static void call(unsigned n)
{
	while (n--)
		syscall(SYS_getppid);
}

static int any(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	return 0;
}

/*
 * While records are left, calls do not ask the descriptor, which stays readable until the end. A
 * wake-up meanwhile is not forgotten.
 */
static void backlog(void)
{
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = fault_open(NULL);
	fault_burst(ks, 5);
	call(20);
	for (int turn = 0; turn < 10; turn++) {
		ks_assert_rc(ks_poll(ks, -1, 10, any, NULL), 10);
		g_assert_cmpint(readable(ks), ==, 1);
		if (turn == 5)
			ks_wakeup(ks);
	}
	ks_assert_rc(ks_poll(ks, -1, 10, nobody, NULL), 0);
	g_assert_cmpint(readable(ks), ==, 0);
	call(20);
	ks_assert_rc(ks_poll(ks, -1, 60, any, NULL), 60);
	ks_assert_rc(ks_poll(ks, -1, 60, any, NULL), 40);
	ks_assert_rc(ks_poll(ks, 0, 60, nobody, NULL), 0);
	g_assert_cmpint(readable(ks), ==, 0);
	fault_settle(ks, BURST_PROBE);
	ks_close(ks);
}

static uint64_t cost_of(struct ks *ks)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_reader *reader;
	uint64_t ns;

	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_SELF, NULL, &reader));
	ks_assert_ok(ks, ks_read_stats(reader, &stats));
	ns = ((const struct ks_stats_self *)ks_stats_row(&stats, 0))->user_ns;
	ks_reader_free(reader);
	return ns;
}

/*
 * Of 1024 calls with records left, 64 are measured and extrapolated. Runs once: an interrupt in one
 * of them counts as well.
 */
static char *measured_once(void *user)
{
	struct ks *ks = user;
	uint64_t before, spent;
	struct timespec t[2];

	call(512);
	before = cost_of(ks);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t[0]);
	for (int turn = 0; turn < 1024; turn++)
		ks_assert_rc(ks_poll(ks, 0, 4, any, NULL), 4);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t[1]);
	spent = (uint64_t)((t[1].tv_sec - t[0].tv_sec) * 1000000000 + t[1].tv_nsec - t[0].tv_nsec);
	before = cost_of(ks) - before;
	return ks_test_outside("measured", before, spent / 8, spent * 8);
}

static void measured(void)
{
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = fault_open(NULL);
	fault_burst(ks, 8);
	ks_test_rounds(measured_once, ks);
	fault_settle(ks, BURST_PROBE);
	ks_close(ks);
}

/* ---- after a callback ------------------------------------------------------------------------ */

static int refuse(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	return -7;
}

/* A level-triggered host that makes one call per turn must find the descriptor readable again. */
static void stopped(void)
{
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = fault_open(NULL);
	fault_burst(ks, 8);
	ks_assert_rc(ks_poll(ks, 0, 0, nobody, NULL), 0);
	syscall(SYS_getppid);
	ks_assert_rc(ks_poll(ks, -1, 0, refuse, NULL), -7);
	g_assert_cmpint(readable(ks), ==, 1);
	g_assert_cmpuint(fault_drain(ks), ==, 7);
	fault_settle(ks, BURST_PROBE);
	ks_close(ks);
}

static int leave_thread(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	pthread_exit(NULL); /* unwinds as an exception does */
}

static void *unwind(void *ks)
{
	ks_poll(ks, -1, 0, leave_thread, NULL);
	g_assert_not_reached();
}

/* The event counts as delivered, and the next event wakes the consumer. */
static void unwound(void)
{
	pthread_t thread;
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = fault_open(NULL);
	fault_burst(ks, 1);
	for (int turn = 0; turn < 3; turn++) {
		ks_assert_rc(ks_poll(ks, 0, 0, nobody, NULL), 0);
		syscall(SYS_getppid);
		g_assert_cmpint(pthread_create(&thread, NULL, unwind, ks), ==, 0);
		pthread_join(thread, NULL);
		ks_assert_rc(ks_poll(ks, 0, 0, nobody, NULL), 0);
		syscall(SYS_getppid);
		ks_assert_rc(poll(&(struct pollfd){ .fd = ks_fd(ks), .events = POLLIN }, 1, 60000),
			     1);
		g_assert_cmpuint(fault_drain(ks), ==, 1);
	}
	g_assert_cmpuint(fault_ledger(ks, BURST_PROBE).delivered, ==, 6);
	fault_settle(ks, BURST_PROBE);
	ks_close(ks);
}

/* If a waiting thread is cancelled, the handle is free for the next consumer. */
static void cancelled(void)
{
	struct waiter w;
	struct ks *ks = fault_open(NULL);

	begin_wait(&w, ks);
	g_assert_cmpint(pthread_cancel(w.thread), ==, 0);
	pthread_join(w.thread, NULL);
	ks_assert_rc(ks_poll(ks, 0, 0, nobody, NULL), 0);
	ks_close(ks);
}

/* A probe on files is enabled while the consumer has no deadline, and while it waits for one. */
static void late_files(void)
{
	struct ks_param often = { .id = KS_PARAM_INTERVAL_MS, .value = 50 };
	struct ks_enable_opts o = { .size = sizeof(o), .variant = "procfs" };
	struct ks *ks = fault_open(NULL);
	uint64_t began = work_now();
	pid_t pid;

	ks_assert_rc(ks_poll(ks, 0, 0, nobody, NULL), 0);
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, &o), 1);
	ks_assert_rc(ks_configure_probe(ks, KS_PROBE_PROC, &often, 1), 2);
	pid = fork();
	if (pid == 0)
		_exit(pause());
	ks_assert_rc(ks_poll(ks, 300000, 0, any, NULL), 1);
	g_assert_cmpuint(work_now() - began, <, 200000000000);
	kill(pid, SIGKILL);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	ks_close(ks);
}

static void *wait_any(void *user)
{
	struct waiter *w = user;

	atomic_store(&w->tid, gettid());
	w->answer = ks_poll(w->ks, -1, 0, any, NULL);
	return NULL;
}

/*
 * A perf buffer is looked at by time, also by a consumer that waited without a deadline when the
 * buffer was opened.
 */
static void late_perf(void)
{
	struct ks_open_opts o = { .size = sizeof(o), .features_off = KS_FEATURE_RINGBUF };
	struct waiter w = { 0 };
	int n, more;

	if (!ks_test_root())
		return;
	w.ks = fault_open(&o);
	g_assert_cmpint(pthread_create(&w.thread, NULL, wait_any, &w), ==, 0);
	while (!atomic_load(&w.tid) || !is_waiting(atomic_load(&w.tid)))
		sched_yield();
	fault_burst(w.ks, 3);
	syscall(SYS_getppid);
	/* a slow machine may look between two records */
	for (n = end_wait(&w); n > 0 && n < 3; n += more) {
		more = ks_poll(w.ks, 10000, 0, any, NULL);
		g_assert_cmpint(more, >, 0);
	}
	g_assert_cmpint(n, ==, 3);
	fault_settle(w.ks, BURST_PROBE);
	ks_close(w.ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/wakeup/pending", pending);
	g_test_add_func("/wakeup/beside", beside);
	g_test_add_func("/wakeup/within", within);
	g_test_add_func("/wakeup/host-signal", host_signal);
	g_test_add_func("/wakeup/back-and-forth", back_and_forth);
	g_test_add_func("/wakeup/beside-records", beside_records);
	g_test_add_func("/wakeup/backlog", backlog);
	g_test_add_func("/wakeup/measured", measured);
	g_test_add_func("/wakeup/timeouts", timeouts);
	g_test_add_func("/wakeup/stopped", stopped);
	g_test_add_func("/wakeup/unwound", unwound);
	g_test_add_func("/wakeup/cancelled", cancelled);
	g_test_add_func("/wakeup/late-files", late_files);
	g_test_add_func("/wakeup/late-perf", late_perf);
	return g_test_run();
}
