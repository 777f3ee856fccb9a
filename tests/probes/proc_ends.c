/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a process ends once if its last threads end together; up to how many threads its usage
 * is known; and which ids records have in a pid namespace, by each set of kernel features.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc_checks.h"

#define EXIT_FAULTS 16

/* ---- the last two threads -------------------------------------------------------------------- */

#define PAIRS ks_test_volume(1000, 100)

/* On two CPUs: meets the other thread, and ends at the same time. */
static void *end_together(void *met)
{
	__atomic_add_fetch((unsigned *)met, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n((unsigned *)met, __ATOMIC_SEQ_CST) < 2)
		;
	syscall(SYS_exit, 0);
	return NULL;
}

static void *end_on_other_cpu(void *met)
{
	work_pin(1);
	return end_together(met);
}

static int make_pairs(void *page)
{
	unsigned met = 0, n = PAIRS;
	pthread_t thread;
	int status;
	pid_t pid;

	(void)page;
	for (unsigned i = 0; i < n; i++) {
		pid = fork();
		if (pid == 0) {
			work_pin(0);
			if (pthread_create(&thread, NULL, end_on_other_cpu, &met))
				_exit(1);
			end_together(&met);
		}
		if (waitpid(pid, &status, 0) != pid || status)
			return 1;
	}
	return 0;
}

static void last_two(struct kt *t)
{
	struct work w;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		g_test_skip("needs two CPUs: on one, no two threads end at the same time");
		return;
	}
	proc_watch(t, &w, make_pairs);
	g_assert_cmpint(w.status, ==, 0);
	proc_totals(t, PAIRS, PAIRS, 0, PAIRS + 1, PAIRS);
	work_free(&w);
}

/* ---- as many threads as programs walk over --------------------------------------------------- */

#define THREADS_MAX 1100

struct many {
	uint32_t n; /* threads of the process, with the first one */
	uint32_t made;
	int32_t pid, tid[THREADS_MAX];
	struct rusage usage;
};

static struct many *many; /* of the child and the grandchild */
static int go[2];         /* a pipe that the child closes */

static void *end_when_told(void *tid)
{
	*(int32_t *)tid = (int32_t)syscall(SYS_gettid);
	__atomic_add_fetch(&many->made, 1, __ATOMIC_SEQ_CST);
	while (read(go[0], tid, 1) != 0)
		;
	return NULL;
}

static void be_many(void)
{
	pthread_t thread[THREADS_MAX];
	pthread_attr_t attr;
	int bad = 0;

	close(go[1]);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (uint32_t i = 1; i < many->n; i++)
		bad |= pthread_create(&thread[i], &attr, end_when_told, &many->tid[i]);
	for (uint32_t i = 1; i < many->n && !bad; i++)
		pthread_join(thread[i], NULL);
	_exit(bad);
}

/* A traced thread stays in the list of its process until the tracer has waited for it. */
static int trace_many(void *page)
{
	int status, bad = 0;
	pid_t pid;

	many = page;
	if (pipe(go))
		return 1;
	pid = fork(); /* not into the shared page: the child would write 0 there */
	if (pid == 0)
		be_many();
	many->pid = pid;
	while (__atomic_load_n(&many->made, __ATOMIC_SEQ_CST) < many->n - 1)
		sched_yield();
	for (uint32_t i = 1; i < many->n; i++)
		bad |= ptrace(PTRACE_SEIZE, many->tid[i], NULL, NULL) != 0;
	close(go[1]);
	proc_gone(many->pid);
	for (uint32_t i = 1; i < many->n; i++)
		bad |= waitpid(many->tid[i], &status, __WALL) != many->tid[i];
	bad |= wait4(many->pid, &status, 0, &many->usage) != many->pid || status;
	return bad;
}

static void known_of(struct kt *t, uint32_t n, int known)
{
	const struct ks_event_proc_exit *end;
	const struct many *m;
	uint64_t faults;
	struct work w;

	kt_forget(t);
	work_start(&w, trace_many);
	((struct many *)w.page)->n = n;
	kt_watch(t, KS_SCOPE_TREE, w.pid);
	kt_enable(t, NULL, 0);
	work_run(&w);
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	m = w.page;
	end = proc_end_of(t, m->pid);
	faults = (uint64_t)m->usage.ru_minflt;
	g_assert_cmpuint(end->thread, ==, 0);
	g_assert_cmpint(!!(end->valid & KS_HAS_PROC_CPU), ==, known);
	g_assert_cmpint(!!(end->valid & KS_HAS_PROC_FAULTS), ==, known);
	g_assert_cmpint(end->user_ns + end->system_ns > 0, ==, known);
	g_assert_cmpuint(end->minor_faults, <=, faults);
	g_assert_cmpuint(end->minor_faults + EXIT_FAULTS, >=, known ? faults : 0);
	work_free(&w);
}

/* The kernel has released none of the threads when the process ends. */
static void walk(struct kt *t)
{
	/* PROC_TURNS without the last turn, PROC_THREADS */
	uint32_t most = proc_walks_far(t) ? 1023 : 64;

	known_of(t, 2, 1);
	known_of(t, most, 1);
	known_of(t, most + 1, 0);
}

/* ---- a pid namespace ------------------------------------------------------------------------- */

struct inside {
	int32_t child, grandchild, tid, late;
};

static struct inside *inside; /* shared by all processes */

static void *exec_here(void *arg)
{
	proc_note_tid(arg);
	execl(KS_CHAIN, KS_CHAIN, NULL);
	_exit(99);
}

/* The grandchild has a session of its own, and its second thread calls exec. */
static int child(void)
{
	pthread_t thread;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setsid() < 0 || pthread_create(&thread, NULL, exec_here, &inside->tid))
			_exit(1);
		pthread_join(thread, NULL);
		_exit(1);
	}
	inside->grandchild = pid;
	if (waitpid(pid, &status, 0) != pid || status)
		return 1;
	execl(KS_CHAIN, KS_CHAIN, NULL);
	return 1;
}

static const struct ks_event_proc_exit *process_end(const struct kt *t, int32_t pid)
{
	const struct ks_event_proc_exit *end;
	size_t at = 0;

	while ((end = kt_next(t, KS_EVENT_PROC_EXIT, &at)))
		if (end->ev.pid == pid && !end->thread)
			return end;
	g_error("no end of process %d", pid);
}

static const struct ks_event_proc_exec *exec_of(const struct kt *t, int32_t pid)
{
	const struct ks_event_proc_exec *ev;
	size_t at = 0;

	while ((ev = kt_next(t, KS_EVENT_PROC_EXEC, &at)))
		if (ev->ev.pid == pid)
			return ev;
	g_error("no exec by process %d", pid);
}

static void check_execs(const struct kt *t)
{
	const struct ks_event_proc_exec *ev = exec_of(t, inside->grandchild);

	g_assert_cmpint(ev->ev.tid, ==, inside->grandchild);
	g_assert_cmpint(ev->ppid, ==, inside->child);
	g_assert_cmpint(ev->session, ==, inside->grandchild);
	/* no thread has the former id any more, so its number here is not known */
	g_assert_false(ev->valid & KS_HAS_PROC_OLD_TID);
	g_assert_cmpint(ev->old_tid, ==, 0);
	ev = exec_of(t, inside->child);
	g_assert_cmpint(ev->ppid, ==, 1);
	g_assert_true(ev->valid & KS_HAS_PROC_OLD_TID);
	g_assert_cmpint(ev->old_tid, ==, inside->child);
	g_assert_cmpuint(kt_count(t, KS_EVENT_PROC_EXEC), ==, 2);
}

static void check_fork(const struct kt *t, int32_t parent, int32_t pid, int32_t tid)
{
	const struct ks_event_proc_fork *ev;
	size_t at = 0;

	while ((ev = kt_next(t, KS_EVENT_PROC_FORK, &at)) && ev->child_tid != tid)
		;
	g_assert_nonnull(ev);
	g_assert_cmpint(ev->ev.pid, ==, parent);
	g_assert_cmpint(ev->ev.tid, ==, parent);
	g_assert_cmpint(ev->child_pid, ==, pid);
	g_assert_cmpint(ev->thread, ==, pid != tid);
}

static void check_forks(const struct kt *t)
{
	check_fork(t, 1, inside->child, inside->child);
	check_fork(t, inside->child, inside->grandchild, inside->grandchild);
	check_fork(t, inside->grandchild, inside->grandchild, inside->tid);
	g_assert_cmpuint(kt_count(t, KS_EVENT_PROC_FORK), ==, 3);
}

static void check_ends(const struct kt *t)
{
	const uint64_t family = KS_HAS_PROC_PARENT | KS_HAS_PROC_SESSION;
	const struct ks_event_proc_exit *end;

	end = process_end(t, inside->grandchild);
	g_assert_cmpuint(end->valid & family, ==, family);
	g_assert_cmpint(end->ppid, ==, inside->child);
	g_assert_cmpint(end->session, ==, inside->grandchild);
	/* the session of process 1 began outside, and is not visible */
	end = process_end(t, inside->child);
	g_assert_cmpuint(end->valid & family, ==, KS_HAS_PROC_PARENT);
	g_assert_cmpint(end->ppid, ==, 1);
	g_assert_cmpint(end->session, ==, 0);
	/* nor is the parent of a process that was made from outside */
	end = process_end(t, inside->late);
	g_assert_cmpuint(end->valid & family, ==, 0);
	g_assert_cmpint(end->ppid, ==, 0);
	g_assert_cmpint(end->session, ==, 0);
}

/* Process 1 of the namespace. */
static void first_inside(struct kt *outer, int peer)
{
	const struct ks_open_opts opts = { .size = sizeof(opts),
					   .features_off = outer->features_off };
	const struct ks_scope all = { .size = sizeof(all), .kind = KS_SCOPE_SYSTEM };
	struct kt t = { .probe = outer->probe, .variant = outer->variant, .over = outer->over };
	int status;
	pid_t pid;
	char c;

	if (unshare(CLONE_NEWNS) || mount("proc", "/proc", "proc", 0, NULL))
		g_error("no /proc: %s", strerror(errno));
	ks_assert_rc(ks_open(&opts, &t.ks), 0);
	ks_assert_ok(t.ks, ks_set_scope(t.ks, &all));
	kt_enable(&t, NULL, 0);
	pid = fork(); /* not into the shared page: the child would write 0 there */
	if (pid == 0)
		_exit(child());
	inside->child = pid;
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
	g_assert_cmpint(write(peer, "", 1), ==, 1);
	g_assert_cmpint(read(peer, &c, 1), ==, 1);
	kt_disable(&t);
	kt_drain(&t);
	check_forks(&t);
	check_execs(&t);
	check_ends(&t);
	ks_close(t.ks);
}

/* Makes process 1 of a new namespace, and, when that has done its work, one more process there. */
static int namespaced(struct kt *t)
{
	int status, peers[2], bad;
	pid_t first, late;
	char c;

	if (unshare(CLONE_NEWPID) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, peers))
		g_error("no namespace: %s", strerror(errno));
	first = fork();
	if (first == 0) {
		first_inside(t, peers[1]);
		_exit(0);
	}
	close(peers[1]);
	bad = read(peers[0], &c, 1) != 1;
	late = fork();
	if (late == 0) {
		inside->late = getpid();
		_exit(0);
	}
	bad |= waitpid(late, &status, 0) != late || write(peers[0], "", 1) != 1;
	bad |= waitpid(first, &status, 0) != first || status;
	return bad;
}

static void nested(struct kt *t)
{
	int status;
	pid_t pid;

	if (!strcmp(t->variant, "tracepoint")) {
		g_test_skip("this variant knows the first pid namespace only");
		return;
	}
	inside = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = fork();
	if (pid == 0)
		_exit(namespaced(t));
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
	munmap(inside, 4096);
}

static void add(void)
{
	kt_add(KS_PROBE_PROC, "nested", KT_FEATURES, nested);
	kt_add(KS_PROBE_PROC, "last-two", 0, last_two);
	kt_add(KS_PROBE_PROC, "walk", KT_BEST | KT_FEATURES, walk);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
