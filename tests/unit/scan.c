/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the scan of /proc reports exactly the differences between two scans: forks, exits,
 * execs, reused pids, zombies; and that files which cannot be read cause no events.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "files/scan.h"
#include "support/counters.h"
#include "support/fake_proc.h"
#include "support/ks_test.h"

#define TICK_NS 10000000ull
#define SECOND 1000000000ll
#define OLDER ((UINT64_MAX - 2 * SECOND) / TICK_NS) /* than the clock's zero, by two seconds */

/* ---- life ------------------------------------------------------------------------------------ */

static void test_life(void)
{
	struct bed *bed = bed_on();

	bed_found(bed, NONE);
	show(bed, 200, 100, "host", 60, 9, FORKNOEXEC);
	bed_found(bed, "fork 100 host > 200\n");
	bed_found(bed, NONE);

	show(bed, 200, 100, "a (b) c", 60, 11, 0);
	bed_write(bed, 200, "status", "Name:\ta (b) c\nUid:\t12\t13\t14\t15\n");
	bed_link_exe(bed, 200, "/bin/a b");
	bed_found(bed, "exec 200 a (b) c of 100 in 20 by 12 /bin/a b\n");

	vanish(bed, 200);
	bed_found(bed, "exit 200 a (b) c of 100 in 20\n");
	bed_found(bed, NONE);
	g_assert_cmpuint(bed_count(bed, "processes"), ==, 1);
	g_assert_cmpuint(bed_count(bed, "execs"), ==, 1);
	g_assert_cmpuint(bed_count(bed, "process_exits"), ==, 1);
	g_assert_cmpuint(bed_count(bed, "threads"), ==, 0);
	g_assert_cmpuint(bed_count(bed, "failed"), ==, 0);
	bed_outcomes(bed, 0, 0, 3);
	bed_free(bed);
}

/* A process forks and execs between two scans, and so does its parent, which is also new. */
static void test_new_programs(void)
{
	struct bed *bed = bed_on();

	show(bed, 201, 100, "sh", 60, 11, 0);
	show(bed, 150, 201, "cat", 61, 12, 0);
	bed_found(bed, "fork 201 sh > 150\n"
		       "exec 150 cat of 201 in 15 by -1 ?\n"
		       "fork 100 host > 201\n"
		       "exec 201 sh of 100 in 20 by -1 ?\n");
	vanish(bed, 201);
	vanish(bed, 150);
	bed_found(bed, "exit 150 cat of 201 in 15\nexit 201 sh of 100 in 20\n");
	bed_free(bed);
}

static void test_pid_reuse(void)
{
	struct bed *bed = bed_on();

	show(bed, 200, 100, "one", 60, 11, FORKNOEXEC);
	bed_found(bed, "fork 100 host > 200\n");
	show(bed, 200, 1, "two", 61, 11, FORKNOEXEC);
	bed_found(bed, "exit 200 one of 100 in 20\nfork 1 init > 200\n");
	bed_free(bed);
}

/* Tells an exec from a mere change of name. */
static void test_exec(void)
{
	struct bed *bed = bed_on();

	show(bed, 20, 1, "renamed", 60, 11, 0);
	show(bed, 30, 1, "same", 60, 11, 0);
	show(bed, 40, 1, "first", 60, 11, FORKNOEXEC);
	show(bed, 50, 1, "hidden", 60, 0, 0);
	show(bed, 60, 1, "unseen", 60, 0, 0);
	show(bed, 70, 0, "kworker/0:1", 60, 0, KTHREAD | FORKNOEXEC);
	show(bed, 80, 1, "setuid", 60, 11, 0);
	bed_look(bed);
	bed_drain(bed, 1000,
		  "fork 1 init > 20\nexec 20 renamed of 1 in 2 by -1 ?\n"
		  "fork 1 init > 30\nexec 30 same of 1 in 3 by -1 ?\n"
		  "fork 1 init > 40\n"
		  "fork 1 init > 50\nexec 50 hidden of 1 in 5 by -1 ?\n"
		  "fork 1 init > 60\nexec 60 unseen of 1 in 6 by -1 ?\n"
		  "fork 0  > 70\n"
		  "fork 1 init > 80\nexec 80 setuid of 1 in 8 by -1 ?\n");

	show(bed, 20, 1, "new name", 60, 11, 0);
	show(bed, 30, 1, "same", 60, 12, 0);
	show(bed, 40, 1, "first", 60, 11, 0);
	show(bed, 50, 1, "shown", 60, 0, 0);
	show(bed, 60, 1, "unseen", 60, 0, 0);
	show(bed, 70, 0, "kworker/0:2", 60, 0, KTHREAD | FORKNOEXEC);
	show(bed, 80, 1, "su", 60, 0, 0);
	bed_found(bed, "exec 30 same of 1 in 3 by -1 ?\n"
		       "exec 40 first of 1 in 4 by -1 ?\n"
		       "exec 50 shown of 1 in 5 by -1 ?\n"
		       "exec 80 su of 1 in 8 by -1 ?\n");

	show(bed, 70, 1, "helper", 60, 13, 0); /* the kernel starts a program */
	bed_found(bed, "exec 70 helper of 1 in 7 by -1 ?\n");
	bed_free(bed);
}

/* A scan may see a process in the middle of an exec. It reports one exec, with the new name. */
static void test_within_exec(void)
{
	struct bed *bed = bed_on();

	show(bed, 200, 1, "child", 60, 11, FORKNOEXEC);
	show(bed, 300, 1, "old", 60, 11, 0);
	bed_found(bed, "fork 1 init > 200\nfork 1 init > 300\nexec 300 old of 1 in 30 by -1 ?\n");
	show(bed, 200, 1, "child", 60, IN_EXEC, 0);
	show(bed, 300, 1, "new", 60, IN_EXEC, 0);
	show(bed, 400, 1, "shell", 61, IN_EXEC, 0);
	bed_found(bed, "fork 1 init > 400\n");
	show(bed, 200, 1, "cat", 60, 12, 0);
	show(bed, 300, 1, "new", 60, 12, 0);
	show(bed, 400, 1, "ls", 61, 12, 0);
	bed_found(bed, "exec 200 cat of 1 in 20 by -1 ?\n"
		       "exec 300 new of 1 in 30 by -1 ?\n"
		       "exec 400 ls of 1 in 40 by -1 ?\n");
	bed_found(bed, NONE);
	bed_free(bed);
}

/* A path longer than its array is cut, and the record says so. */
static void test_long_path(void)
{
	struct bed *bed = bed_on();
	char path[200] = "/", want[300];

	memset(path + 1, 'p', sizeof(path) - 2);
	path[159] = '\0';
	show(bed, 200, 1, "a", 60, 11, 0);
	bed_link_exe(bed, 200, path);
	g_snprintf(want, sizeof(want), "fork 1 init > 200\nexec 200 a of 1 in 20 by -1 %s\n", path);
	bed_found(bed, want);
	bed_free(bed);
}

/* Threads come and go. The main thread may be the first to go. */
static void test_threads(void)
{
	struct bed *bed = bed_on();

	show_as(bed, 200, 1, "a", 60, 11, FORKNOEXEC, 'S', 1);
	bed_found(bed, "fork 1 init > 200\n");
	show_as(bed, 200, 1, "a", 60, 11, FORKNOEXEC, 'R', 20);
	bed_found(bed, NONE);
	show_as(bed, 200, 1, "a", 60, 0, FORKNOEXEC, 'Z', 2);
	bed_found(bed, NONE);
	show_as(bed, 200, 1, "a", 60, 0, FORKNOEXEC, 'Z', 1);
	bed_found(bed, "exit 200 a of 1 in 20\n");
	bed_free(bed);
}

/* A zombie has exited. Its exit is reported once. */
static void test_zombies(void)
{
	struct bed *bed = bed_new(0);

	show_as(bed, 200, 1, "before", 60, 0, 0, 'Z', 1);
	bed_scope(bed, KS_SCOPE_SYSTEM, 0, 0);
	bed_enable(bed);
	show_as(bed, 300, 1, "whole life", 60, 0, 0, 'Z', 1);
	bed_found(bed, "fork 1 init > 300\n"
		       "exec 300 whole life of 1 in 30 by -1 ?\n"
		       "exit 300 whole life of 1 in 30\n");
	bed_found(bed, NONE);
	vanish(bed, 200);
	vanish(bed, 300);
	bed_found(bed, NONE);
	bed_free(bed);
}

/* One scan by itself, whose records are wanted whole. */
struct direct {
	struct ks__tally tally;
	struct ks__scope scope;
	struct bed *bed;
	struct ks__queue queue;
	struct ks__look at;
	void *state;
	union {
		struct ks_event_proc_fork fork;
		struct ks_event_proc_exec exec;
		struct ks_event_proc_exit exit;
		char bytes[KS__QUEUE_RECORD_MAX];
	} e;
};

static void look(struct direct *d)
{
	ks_assert_rc(ks__scan_proc.look(d->state, &d->at), 0);
}

static void begin(struct direct *d, struct bed *bed)
{
	*d = (struct direct){ .tally.block = g_new0(uint64_t, 1000), .bed = bed };
	d->scope.kind = KS_SCOPE_SYSTEM;
	d->at = (struct ks__look){
		.proc_fd = bed->ks->proc_fd,
		.scope = &d->scope,
		.set = &bed->set,
		.tally = &d->tally,
		.queue = &d->queue,
	};
	ks_assert_rc(ks__queue_init(&d->queue, 4096), 0);
	ks_assert_rc(ks__scan_proc.open(bed->ks->slots[KS_PROBE_PROC].probe, &d->state), 0);
	look(d);
}

/* The next fork's. */
static const struct ks_event_proc_fork *take(struct direct *d, int32_t pid)
{
	g_assert_cmpint(ks__queue_take(&d->queue, 0, &d->e.fork.ev), ==, 1);
	g_assert_cmpint(d->e.fork.child_pid, ==, pid);
	return &d->e.fork;
}

static void finish(struct direct *d)
{
	ks__scan_proc.close(d->state);
	ks__queue_free(&d->queue);
	g_free(d->tally.block);
	bed_free(d->bed);
}

/* What one clock is ahead of the other. */
static int64_t ahead(clockid_t clock, clockid_t other)
{
	struct timespec t, o;
	uint64_t before;

	do { /* nothing but their difference counts */
		before = ks__now();
		clock_gettime(clock, &t);
		clock_gettime(other, &o);
	} while (ks__now() - before > 1000000);
	return (t.tv_sec - o.tv_sec) * SECOND + t.tv_nsec - o.tv_nsec;
}

static void is_about(uint64_t start_ns, int64_t want)
{
	g_assert_cmpint(llabs((long long)start_ns - want), <, 50000000);
}

/* Clock ticks since boot, asleep or not, on the events' clock. */
static void test_start(void)
{
	int64_t asleep = ahead(CLOCK_BOOTTIME, CLOCK_MONOTONIC);
	const struct ks_event_proc_fork *fork;
	struct direct d;

	begin(&d, bed_new(0));
	show(d.bed, 200, 1, "a", 400000000, 11, FORKNOEXEC);
	show(d.bed, 300, 1, "b", UINT64_MAX, 11, FORKNOEXEC);
	show(d.bed, 400, 1, "c", OLDER, 11, FORKNOEXEC);
	look(&d);
	fork = take(&d, 200);
	g_assert_cmpuint(fork->valid, ==, KS_HAS_PROC_START);
	is_about(fork->start_ns, (int64_t)(400000000 * TICK_NS) - asleep);
	g_assert_cmpuint(fork->ev.time_ns, ==, d.at.now_ns);
	fork = take(&d, 300); /* no number of ticks */
	g_assert_cmpuint(fork->valid, ==, 0);
	g_assert_cmpuint(fork->start_ns, ==, 0);
	fork = take(&d, 400);
	g_assert_cmpuint(fork->valid, ==, KS_HAS_PROC_START);
	is_about(fork->start_ns, -2 * SECOND - asleep);
	finish(&d);
}

/* The next record of this kind, as long as its struct. */
static void take_next(struct direct *d, uint16_t id, size_t size)
{
	memset(&d->e, 0x5a, sizeof(d->e));
	g_assert_cmpint(ks__queue_take(&d->queue, 0, &d->e.fork.ev), ==, 1);
	g_assert_cmpuint(d->e.fork.ev.id, ==, id);
	g_assert_cmpuint(d->e.fork.ev.size, ==, size);
	g_assert_cmpint(d->e.fork.ev.pid, ==, id == KS_EVENT_PROC_FORK ? 150 : 200);
	g_assert_cmpuint(d->e.fork.ev.time_ns, ==, d->at.now_ns);
}

/* Sets every member of each record that the files give, and says which they are. */
static void test_records(void)
{
	const uint64_t kin = KS_HAS_PROC_PARENT | KS_HAS_PROC_SESSION;
	const int64_t begun =
		(int64_t)(400000000 * TICK_NS) - ahead(CLOCK_BOOTTIME, CLOCK_MONOTONIC);
	struct direct d;

	begin(&d, bed_new(0));
	show(d.bed, 200, 150, "a", 400000000, 11, 0);
	bed_write(d.bed, 200, "status", "Uid:\t12\t13\t14\t15\n");
	bed_link_exe(d.bed, 200, "/bin/a");
	look(&d);
	take_next(&d, KS_EVENT_PROC_FORK, sizeof(d.e.fork));
	g_assert_cmpuint(d.e.fork.valid, ==, KS_HAS_PROC_START);
	is_about(d.e.fork.start_ns, begun);
	g_assert_cmpint(d.e.fork.child_pid, ==, 200);
	g_assert_cmpint(d.e.fork.child_tid, ==, 200);
	g_assert_cmpuint(d.e.fork.thread, ==, 0);
	take_next(&d, KS_EVENT_PROC_EXEC, sizeof(d.e.exec));
	g_assert_cmpuint(d.e.exec.valid, ==,
			 KS_HAS_PROC_START | kin | KS_HAS_PROC_UID | KS_HAS_PROC_PATH);
	is_about(d.e.exec.start_ns, begun);
	g_assert_cmpint(d.e.exec.ppid, ==, 150);
	g_assert_cmpint(d.e.exec.session, ==, 20);
	g_assert_cmpuint(d.e.exec.uid, ==, 12);
	g_assert_cmpint(d.e.exec.old_tid, ==, 0);
	g_assert_cmpstr(d.e.exec.path, ==, "/bin/a");
	vanish(d.bed, 200);
	look(&d);
	take_next(&d, KS_EVENT_PROC_EXIT, sizeof(d.e.exit));
	g_assert_cmpuint(d.e.exit.valid, ==, KS_HAS_PROC_START | kin);
	is_about(d.e.exit.start_ns, begun);
	g_assert_cmpint(d.e.exit.ppid, ==, 150);
	g_assert_cmpint(d.e.exit.session, ==, 20);
	g_assert_cmpint(ks__queue_ready(&d.queue), ==, 0);
	finish(&d);
}

/* No parent, no session, no start: each member that has no value has no bit. */
static void test_no_values(void)
{
	static const char *const uids[] = { "", "Uid:\t-1\n", "Uid:\t4294967296\n", "Uid:\tx\n" };
	struct direct d;

	for (size_t i = 0; i < G_N_ELEMENTS(uids); i++) {
		begin(&d, bed_new(0));
		show(d.bed, 7, 0, "a", UINT64_MAX, 11, 0);
		bed_write(d.bed, 7, "status", uids[i]);
		look(&d);
		g_assert_cmpint(ks__queue_take(&d.queue, 0, &d.e.fork.ev), ==, 1);
		g_assert_cmpint(ks__queue_take(&d.queue, 0, &d.e.fork.ev), ==, 1);
		g_assert_cmpuint(d.e.fork.ev.id, ==, KS_EVENT_PROC_EXEC);
		g_assert_cmpuint(d.e.exec.valid, ==, 0);
		g_assert_cmpuint(d.e.exec.start_ns, ==, 0);
		g_assert_cmpuint(d.e.exec.uid, ==, 0);
		g_assert_cmpstr(d.e.exec.path, ==, "");
		vanish(d.bed, 7);
		look(&d);
		g_assert_cmpint(ks__queue_take(&d.queue, 0, &d.e.fork.ev), ==, 1);
		g_assert_cmpuint(d.e.fork.ev.id, ==, KS_EVENT_PROC_EXIT);
		g_assert_cmpuint(d.e.exit.valid, ==, 0);
		finish(&d);
	}
}

/* The host is in a time namespace. btime is the zero of a clock so far from ours. */
static void enter(struct bed *bed, int64_t offset_s, int64_t btime_ns, int goes_on)
{
	int64_t zero = ahead(CLOCK_REALTIME, CLOCK_BOOTTIME);
	char text[64], *ns = bed_path(bed, 100, "ns");

	g_assert_cmpint(mkdir(ns, 0755), ==, 0);
	bed_write(bed, 100, "ns/time", "");
	if (goes_on) {
		char *time = bed_path(bed, 100, "ns/time");
		char *children = bed_path(bed, 100, "ns/time_for_children");

		g_assert_cmpint(link(time, children), ==, 0);
		g_free(time);
		g_free(children);
	} else {
		bed_write(bed, 100, "ns/time_for_children", "");
	}
	snprintf(text, sizeof(text), "monotonic  7 0\nboottime %" G_GINT64_FORMAT " 500000000\n",
		 offset_s);
	bed_write(bed, 100, "timens_offsets", text);
	snprintf(text, sizeof(text), "intr 1 2\nbtime %" G_GINT64_FORMAT "\n",
		 (int64_t)((zero + btime_ns) / SECOND));
	bed_write(bed, 100, "../stat", text);
	g_free(ns);
}

static void leave(struct bed *bed)
{
	static const char *const files[] = { "ns/time", "ns/time_for_children", "ns",
					     "timens_offsets", "../stat" };

	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		char *path = bed_path(bed, 100, files[i]);

		g_assert_cmpint(remove(path), ==, 0);
		g_free(path);
	}
}

/* Kernels before 5.11 shift neither starts nor btime; where it is not to be told, nothing is. */
static void test_time_namespace(void)
{
	static const int64_t ahead_ns = 3000 * SECOND + SECOND / 2, behind_ns = -39 * SECOND / 2;
	const struct {
		int64_t offset_s; /* and half a second */
		int64_t btime_ns;
		int goes_on, known;
		int64_t shift_ns;
	} all[] = {
		{ 3000, 0, 1, 1, 0 },
		{ 3000, ahead_ns, 1, 1, ahead_ns },
		{ -20, 0, 1, 1, 0 },
		{ -20, behind_ns, 1, 1, behind_ns },
		{ 3000, ahead_ns, 0, 0, 0 }, /* of another namespace */
		{ 3000, 0, 0, 1, 0 },
		{ 3000, 100 * SECOND, 1, 0, 0 }, /* somebody's own file */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		int64_t asleep = ahead(CLOCK_BOOTTIME, CLOCK_MONOTONIC);
		const struct ks_event_proc_fork *fork;
		struct bed *bed = bed_new(0);
		struct direct d;

		enter(bed, all[i].offset_s, all[i].btime_ns, all[i].goes_on);
		begin(&d, bed);
		show(bed, 200, 1, "a", 400000000, 11, FORKNOEXEC);
		look(&d);
		fork = take(&d, 200);
		g_assert_cmpuint(fork->valid, ==, all[i].known ? KS_HAS_PROC_START : 0);
		if (all[i].known)
			is_about(fork->start_ns,
				 (int64_t)(400000000 * TICK_NS) + all[i].shift_ns - asleep);
		else
			g_assert_cmpuint(fork->start_ns, ==, 0);
		leave(bed);
		finish(&d);
	}
}

/* ---- files that cannot be read --------------------------------------------------------------- */

static void test_unreadable(void)
{
	struct bed *bed = bed_on();
	char *stat = bed_path(bed, 200, "stat");

	show(bed, 200, 1, "a", 60, 11, FORKNOEXEC);
	bed_found(bed, "fork 1 init > 200\n");
	unlink(stat);
	g_assert_cmpint(mkdir(stat, 0700), ==, 0); /* reading gives -EISDIR, also for root */
	bed_found(bed, NONE);
	rmdir(stat);
	bed_found(bed, "exit 200 a of 1 in 20\n"); /* the file is gone, so the process is gone */
	g_assert_cmpint(mkdir(stat, 0700), ==, 0);
	bed_found(bed, NONE); /* the process was never seen */
	g_free(stat);
	bed_free(bed);
}

static void test_malformed(void)
{
	struct bed *bed = bed_on();

	show(bed, 200, 1, "a", 60, 11, FORKNOEXEC);
	bed_found(bed, "fork 1 init > 200\n");
	bed_write(bed, 200, "stat", "200 (a) S 1 7 2");
	bed_found(bed, NONE);
	g_assert_cmpuint(bed_ledger(bed).outcome[KS_MALFORMED], ==, 1);
	g_assert_cmpuint(bed_count(bed, "process_exits"), ==, 0);
	bed_free(bed);
}

/*
 * While the host is out of descriptors, a scan reports an error and no exits. The next scan works.
 */
static void test_no_descriptors(void)
{
	struct bed *bed = bed_on();
	char text[KS_ERROR_MAX], *want;
	struct rlimit before, none;

	show(bed, 200, 1, "a", 60, 11, FORKNOEXEC);
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
	none = before;
	none.rlim_cur = 0;
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
	ks_assert_rc(bed_look(bed), -EMFILE);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	want = g_strdup_printf("%s cannot be read now: too many open descriptors in this process",
			       bed->dir);
	ks_last_error(bed->ks, text, sizeof(text));
	g_assert_cmpstr(text, ==, want);
	bed_found(bed, "fork 1 init > 200\n");
	ks_last_error(bed->ks, text, sizeof(text));
	g_assert_cmpstr(text, ==, want); /* a read that succeeds leaves the message alone */
	g_free(want);
	bed_free(bed);
}

/*
 * With one descriptor left, the scan can open the folder and no file in it. It does not take
 * processes for gone, and does not take the old ones for new later.
 */
static void test_one_descriptor(void)
{
	struct bed *bed = bed_new(0);
	uint32_t variant;
	struct rlimit before;
	uint64_t valid;
	char text[256];

	bed_scope(bed, KS_SCOPE_SYSTEM, 0, 0);
	bed_apply(bed);
	g_assert_cmpint(counters_spare_descriptors(1, &before), ==, 0);
	ks_assert_rc(bed->s->ops->enable(bed->s, KS_PROBE_PROC, NULL, &variant, &valid), -EMFILE);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	ks_last_error(bed->ks, text, sizeof(text));
	g_assert_true(g_str_has_prefix(text, "proc: "));
	g_assert_true(g_str_has_suffix(
		text, " cannot be scanned: too many open descriptors in this process"));
	bed_enable(bed);
	bed_found(bed, NONE);
	show(bed, 200, 1, "a", 60, 11, FORKNOEXEC);
	g_assert_cmpint(counters_spare_descriptors(1, &before), ==, 0);
	ks_assert_rc(bed_look(bed), -EMFILE);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	bed_found(bed, "fork 1 init > 200\n");
	bed_free(bed);
}

/* Hundreds of processes, in the order of a plain folder's names, which is arbitrary. */
static void test_many(void)
{
	struct bed *bed = bed_on();
	GString *want = g_string_new("");
	int pid;

	for (pid = 1000; pid < 1600; pid++) {
		show(bed, pid, 100, "a", 60, 11, FORKNOEXEC);
		g_string_append_printf(want, "fork 100 host > %d\n", pid);
	}
	bed_found(bed, want->str);
	g_string_truncate(want, 0);
	for (pid = 1000; pid < 1600; pid++) {
		vanish(bed, pid);
		g_string_append_printf(want, "exit %d a of 100 in %d\n", pid, pid / 10);
	}
	bed_found(bed, want->str);
	g_string_free(want, TRUE);
	bed_free(bed);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		GTestFunc run;
	} tests[] = {
		{ "/scan/life", test_life },
		{ "/scan/new programs", test_new_programs },
		{ "/scan/pid reuse", test_pid_reuse },
		{ "/scan/exec", test_exec },
		{ "/scan/within exec", test_within_exec },
		{ "/scan/long path", test_long_path },
		{ "/scan/threads", test_threads },
		{ "/scan/zombies", test_zombies },
		{ "/scan/start", test_start },
		{ "/scan/records", test_records },
		{ "/scan/no values", test_no_values },
		{ "/scan/time namespace", test_time_namespace },
		{ "/scan/unreadable", test_unreadable },
		{ "/scan/malformed", test_malformed },
		{ "/scan/no descriptors", test_no_descriptors },
		{ "/scan/one descriptor", test_one_descriptor },
		{ "/scan/many", test_many },
	};
	size_t i;

	ks_test_init(&argc, &argv);
	for (i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add_func(tests[i].name, tests[i].run);
	return g_test_run();
}
