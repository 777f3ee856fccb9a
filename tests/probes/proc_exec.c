/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that `proc` records every program that is started, with its path, and no failed attempt;
 * and which pid a process has when a second thread calls exec or when the main thread ends first.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc_checks.h"

#define PATH_BYTES 160 /* size of ks_event_proc_exec.path */

/* ---- programs -------------------------------------------------------------------------------- */

#define EXECS ks_test_volume(1000, 100)

static int exec_chain(void *arg)
{
	struct proc_page *page = arg;
	struct proc_child *c = page->child;
	char *left = g_strdup_printf("%u", EXECS - 1);
	pid_t pid = fork();

	if (pid == 0) {
		execl(KS_CHAIN, KS_CHAIN, left, NULL);
		_exit(99);
	}
	c->pid = pid;
	g_free(left);
	return waitpid(pid, &c->status, 0) != pid || c->status;
}

static void check_exec(const struct ks_event_proc_exec *ev, pid_t pid, pid_t parent,
		       const char *path)
{
	char *shown = g_strndup(path, PATH_BYTES - 1);
	char *comm = g_strndup(strrchr(path, '/') + 1, 15);

	g_assert_cmpuint(ev->ev.size, ==, sizeof(*ev));
	g_assert_true(ev->valid & KS_HAS_PROC_PATH);
	g_assert_cmpstr(ev->path, ==, shown);
	g_assert_cmpuint(ev->ev.flags, ==, strlen(path) >= PATH_BYTES ? KS_FLAG_CUT : 0);
	g_assert_cmpstr(ev->ev.comm, ==, comm);
	g_assert_cmpint(ev->ev.pid, ==, pid);
	g_assert_cmpint(ev->ev.tid, ==, pid);
	g_assert_true(ev->valid & KS_HAS_PROC_PARENT);
	g_assert_cmpint(ev->ppid, ==, parent);
	g_assert_true(ev->valid & KS_HAS_PROC_SESSION);
	g_assert_cmpint(ev->session, ==, getsid(0));
	g_assert_true(ev->valid & KS_HAS_PROC_UID);
	g_assert_cmpuint(ev->uid, ==, getuid());
	g_assert_true(ev->valid & KS_HAS_PROC_START);
	g_assert_true(ev->valid & KS_HAS_PROC_OLD_TID);
	g_free(shown);
	g_free(comm);
}

static void execs(struct kt *t)
{
	const struct ks_event_proc_exec *ev;
	const struct ks_event_proc_exit *end;
	const struct proc_child *c;
	struct work w;
	size_t at = 0;

	proc_watch(t, &w, exec_chain);
	c = ((struct proc_page *)w.page)->child;
	g_assert_cmpint(w.status, ==, 0);
	proc_totals(t, 1, 0, EXECS, 2, 0);
	end = proc_end_of(t, c->pid);
	while ((ev = kt_next(t, KS_EVENT_PROC_EXEC, &at))) {
		check_exec(ev, c->pid, w.pid, KS_CHAIN);
		g_assert_cmpint(ev->old_tid, ==, c->pid);
		g_assert_cmpuint(ev->start_ns, ==, end->start_ns);
	}
	g_assert_cmpstr(end->ev.comm, ==, "chain");
	work_free(&w);
}

#define OTHER_UID 4321
#define OTHER_GID 1234

/* Starts a program from a descriptor, since that user may have no access to the folder. */
static int exec_as_other(void *page)
{
	char *const args[] = { (char *)KS_CHAIN, NULL }, *const env[] = { NULL };
	int fd = open(KS_CHAIN, O_RDONLY);

	(void)page;
	if (setresgid(OTHER_GID, OTHER_GID, OTHER_GID) ||
	    setresuid(OTHER_UID, OTHER_UID, OTHER_UID))
		return 1;
	fexecve(fd, args, env);
	return 2;
}

/* Records have the uid, and the uid differs from the gid. */
static void users(struct kt *t)
{
	const struct ks_event_proc_exec *ev;
	struct work w;
	size_t at = 0;

	proc_watch(t, &w, exec_as_other);
	g_assert_cmpint(w.status, ==, 0);
	ev = kt_next(t, KS_EVENT_PROC_EXEC, &at);
	g_assert_nonnull(ev);
	g_assert_true(ev->valid & KS_HAS_PROC_UID);
	g_assert_cmpuint(ev->uid, ==, OTHER_UID);
	work_free(&w);
}

static int exec_long(void *arg)
{
	(void)arg;
	execl(g_getenv("KS_TEST_PATH"), "long", NULL);
	return 1;
}

/* A path longer than its array is cut, and the record says so. A path that just fits is whole. */
static void long_path(struct kt *t, size_t length)
{
	char *dir = g_dir_make_tmp("ks-path-XXXXXX", NULL);
	char *name = g_strnfill(length - strlen(dir) - 1, 'p');
	char *path = g_build_filename(dir, name, NULL);
	struct work w;
	size_t at = 0;

	g_assert_cmpuint(strlen(path), ==, length);
	g_assert_cmpint(symlink(KS_CHAIN, path), ==, 0);
	g_setenv("KS_TEST_PATH", path, 1);
	kt_forget(t);
	proc_watch(t, &w, exec_long);
	g_assert_cmpint(w.status, ==, 0);
	g_assert_cmpuint(kt_count(t, KS_EVENT_PROC_EXEC), ==, 1);
	check_exec(kt_next(t, KS_EVENT_PROC_EXEC, &at), w.pid, getpid(), path);
	proc_remove_dir(dir);
	work_free(&w);
	g_free(path);
	g_free(name);
	g_free(dir);
}

static void paths(struct kt *t)
{
	long_path(t, PATH_BYTES - 1);
	long_path(t, PATH_BYTES);
	long_path(t, 240);
}

/* No such file, not executable, unknown format. */
static int failing_execs(void *arg)
{
	char *const args[] = { (char *)"x", NULL };
	char *path = g_build_filename(g_get_tmp_dir(), "ks-exec-XXXXXX", NULL);
	int fd = g_mkstemp(path), i, bad = fd < 0;

	(void)arg;
	close(fd);
	for (i = 0; i < 100; i++) {
		bad |= execv("/nonexistent/program", args) != -1 || errno != ENOENT;
		bad |= chmod(path, 0600) || execv(path, args) != -1 || errno != EACCES;
		bad |= chmod(path, 0700) || execv(path, args) != -1 || errno != ENOEXEC;
	}
	unlink(path);
	return bad;
}

static void failed_execs(struct kt *t)
{
	struct work w;

	proc_watch(t, &w, failing_execs);
	g_assert_cmpint(w.status, ==, 0);
	proc_totals(t, 0, 0, 0, 1, 0);
	work_free(&w);
}

/* ---- the main thread ------------------------------------------------------------------------- */

static void *exec_here(void *arg)
{
	proc_note_tid(arg);
	execl(KS_CHAIN, KS_CHAIN, NULL);
	_exit(99);
}

static int exec_by_thread(void *arg)
{
	struct proc_page *page = arg;
	pthread_t thread;

	if (pthread_create(&thread, NULL, exec_here, &page->child[0].pid))
		return 1;
	pthread_join(thread, NULL);
	return 1;
}

/* The thread takes over the tid of the main thread, which ends. */
static void exec_second(struct kt *t)
{
	const struct ks_event_proc_exit *end;
	const struct ks_event_proc_exec *ev;
	unsigned first = 0, last = 0;
	size_t at = 0;
	struct work w;
	int32_t tid;

	proc_watch(t, &w, exec_by_thread);
	tid = ((struct proc_page *)w.page)->child[0].pid;
	g_assert_cmpint(w.status, ==, 0);
	g_assert_cmpint(tid, !=, w.pid);
	proc_totals(t, 0, 1, 1, 1, 1);
	ev = kt_next(t, KS_EVENT_PROC_EXEC, &at);
	check_exec(ev, w.pid, getpid(), KS_CHAIN);
	g_assert_cmpint(ev->old_tid, ==, tid);
	for (at = 0; (end = kt_next(t, KS_EVENT_PROC_EXIT, &at));) {
		g_assert_cmpint(end->ev.pid, ==, w.pid);
		g_assert_cmpint(end->ev.tid, ==, w.pid);
		first += end->thread == 1 && end->ev.time_ns < ev->ev.time_ns;
		last += end->thread == 0 && end->ev.time_ns > ev->ev.time_ns;
		if (!end->thread)
			g_assert_cmpuint(end->start_ns, ==, ev->start_ns);
	}
	g_assert_cmpuint(first, ==, 1);
	g_assert_cmpuint(last, ==, 1);
	work_free(&w);
}

static void *last_exit(void *arg)
{
	proc_note_tid(arg);
	proc_gone(getpid());
	syscall(SYS_exit, 5);
	return NULL;
}

static void *last_exit_group(void *arg)
{
	proc_note_tid(arg);
	proc_gone(getpid());
	syscall(SYS_exit_group, 7);
	return NULL;
}

static int leave_first(struct proc_page *page, void *(*fn)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, &page->child[0].pid))
		return 1;
	syscall(SYS_exit, 3);
	return 1;
}

static int leader_first(void *page)
{
	return leave_first(page, last_exit);
}

static int leader_first_group(void *page)
{
	return leave_first(page, last_exit_group);
}

/* The process ends with its last thread, with the status that its parent sees. */
static void leader(struct kt *t, work_fn fn, int status)
{
	const struct ks_event_proc_exit *first, *last;
	struct work w;
	int32_t tid;

	kt_forget(t);
	proc_watch(t, &w, fn);
	tid = ((struct proc_page *)w.page)->child[0].pid;
	/* before 6.0 the status was that of the main thread, unless exit_group() was called */
	g_assert_true(WEXITSTATUS(w.status) == status || fn == leader_first);
	g_assert_cmpuint(kt_count(t, KS_EVENT_PROC_EXIT), ==, 2);
	first = proc_end_of(t, w.pid);
	g_assert_cmpuint(first->thread, ==, 1);
	g_assert_cmpint(first->status, ==, 3);
	last = proc_end_of(t, tid);
	g_assert_cmpuint(last->thread, ==, 0);
	g_assert_cmpint(last->ev.pid, ==, w.pid);
	g_assert_cmpuint(last->start_ns, ==, first->start_ns);
	proc_ended_as(last, w.status);
	work_free(&w);
}

static void leader_exits(struct kt *t)
{
	struct ks_stats_proc row;

	leader(t, leader_first, 5);
	leader(t, leader_first_group, 7);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.process_exits, ==, 2);
	g_assert_cmpuint(row.thread_exits, ==, 2);
	g_assert_cmpuint(row.failed, ==, 2);
}

static void add(void)
{
	kt_add(KS_PROBE_PROC, "users", 0, users);
	kt_add(KS_PROBE_PROC, "execs", KT_PERF, execs);
	kt_add(KS_PROBE_PROC, "paths", 0, paths);
	kt_add(KS_PROBE_PROC, "failed-execs", 0, failed_execs);
	kt_add(KS_PROBE_PROC, "exec-by-second-thread", 0, exec_second);
	kt_add(KS_PROBE_PROC, "leader-exits-first", 0, leader_exits);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
