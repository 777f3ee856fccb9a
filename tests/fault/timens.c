/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a host in a time namespace gets times on its own CLOCK_MONOTONIC. Times of records,
 * start times, open intervals, roles, ordered delivery and the fallback are right as in the initial
 * time namespace, whether the namespace's clocks are ahead or behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include <kernelsight/identity.h>

#include "fault.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

#define SECOND ((int64_t)1000000000)
#define ALMOST_ALL INT64_MIN /* so that the clock's zero was 50 ms ago */

static const struct offsets {
	const char *name;
	int64_t mono_s, boot_s;
} all[] = {
	{ "none", 0, 0 },
	{ "ahead", 1000, 3000 },
	{ "apart", 700, -20 },
	{ "far", 4000000000, 4100000000 },
	{ "behind", ALMOST_ALL, ALMOST_ALL },
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static uint64_t mono(void)
{
	return (uint64_t)clock_ns(CLOCK_MONOTONIC);
}

static int64_t offset_of(int64_t seconds, clockid_t clock)
{
	return seconds == ALMOST_ALL ? SECOND / 20 - clock_ns(clock) : seconds * SECOND;
}

static int write_offset(FILE *file, const char *clock, int64_t ns)
{
	int64_t seconds = ns / SECOND - (ns % SECOND < 0);

	return fprintf(file, "%s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n", clock, seconds,
		       ns - seconds * SECOND);
}

/*
 * Puts the children of this process into a namespace with these offsets. Returns 0, or why it
 * cannot.
 */
static int new_namespace(const struct offsets *o)
{
	FILE *file;

	if (unshare(CLONE_NEWTIME))
		return -errno;
	file = fopen("/proc/self/timens_offsets", "w");
	if (!file)
		return -errno;
	write_offset(file, "monotonic", offset_of(o->mono_s, CLOCK_MONOTONIC));
	write_offset(file, "boottime", offset_of(o->boot_s, CLOCK_BOOTTIME));
	return fclose(file) ? -errno : 0;
}

struct seen {
	uint64_t forks, late, time_ns, start_ns;
	int32_t child;
	int knows_start;
};

static int on_event(const struct ks_event *ev, void *user)
{
	const struct ks_event_proc_fork *fork = (const void *)ev;
	struct seen *seen = user;

	if (ev->id != KS_EVENT_PROC_FORK || (seen->child && fork->child_pid != seen->child))
		return 0;
	seen->forks++;
	seen->knows_start = !!(fork->valid & KS_HAS_PROC_START);
	seen->late += !!(ev->flags & KS_FLAG_LATE);
	seen->time_ns = ev->time_ns;
	seen->start_ns = fork->start_ns;
	return 0;
}

static int32_t child(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	fault_reap(pid);
	return pid;
}

static void scope_self(struct ks *ks)
{
	const struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_SELF };

	ks_assert_ok(ks, ks_set_scope(ks, &scope));
}

/*
 * A fork record's time lies between two readings of the host's clock, and so does the child's
 * start.
 */
static void records(const char *variant, uint32_t flags)
{
	const struct ks_open_opts opts = { .size = sizeof(opts), .flags = flags };
	struct seen seen = { 0 };
	struct ks *ks = fault_open(&opts);
	uint64_t before, after, now;
	int64_t wall;

	scope_self(ks);
	fault_enable(ks, KS_PROBE_PROC, variant);
	before = mono();
	seen.child = child();
	after = mono();
	while (!seen.forks)
		ks_assert_ok(ks, ks_poll(ks, 100, 0, on_event, &seen));
	g_assert_cmpuint(seen.forks, ==, 1);
	g_assert_cmpuint(seen.late, ==, 0);
	g_assert_cmpuint(seen.time_ns, >=, before);
	g_assert_cmpuint(seen.time_ns, <=, after);
	g_assert_cmpint(seen.knows_start, ==, g_strcmp0(variant, "tracepoint") != 0);
	if (seen.knows_start) {
		g_assert_cmpuint(seen.start_ns, >=, before);
		g_assert_cmpuint(seen.start_ns, <=, after);
	}
	ks_assert_rc(ks_read_clock(ks, &now, &wall), 0);
	g_assert_cmpuint(now, >=, after);
	g_assert_cmpuint(now, <=, mono());
	ks_close(ks);
}

static struct ks_reader *reader(struct ks *ks, uint32_t probe, uint32_t by)
{
	const struct ks_reader_opts opts = { .size = sizeof(opts), .by = by };
	struct ks_reader *reader;

	ks_assert_ok(ks, ks_reader_new(ks, probe, &opts, &reader));
	return reader;
}

/* Returns the row of the host itself, or of a named role. */
static struct ks_stats_sched row_of(struct ks *ks, struct ks_reader *reader, uint64_t key)
{
	struct ks_stats stats = { .size = sizeof(stats) };

	ks_assert_ok(ks, ks_read_stats(reader, &stats));
	for (size_t i = 0; i < stats.n_rows; i++) {
		const struct ks_stats_sched *row = ks_stats_row(&stats, i);

		if (row->row.key == key)
			return *row;
	}
	g_error("no row of %" G_GUINT64_FORMAT, key);
}

/*
 * An open interval counts up to now and no further. The start time of the process agrees with
 * /proc.
 */
static void intervals(void)
{
	struct ks *ks = fault_open(NULL);
	uint64_t before, after, since, sum;
	struct ks_stats_sched row;
	struct ks_reader *r;

	scope_self(ks);
	since = mono();
	fault_enable(ks, KS_PROBE_SCHED, NULL);
	r = reader(ks, KS_PROBE_SCHED, KS_BY_PROCESS);
	before = mono();
	while (mono() < before + SECOND / 50)
		sched_yield();
	row = row_of(ks, r, (uint64_t)getpid());
	after = mono();
	sum = row.oncpu_ns.sum + row.runq_ns.sum + row.offcpu_ns.sum;
	g_assert_cmpuint(sum, >=, SECOND / 50);
	g_assert_cmpuint(sum, <=, after - since);
	g_assert_cmpint((int64_t)(after - row.row.start_ns), >, 0);
	g_assert_cmpint((int64_t)(after - row.row.start_ns), <, 600 * SECOND);
	ks_close(ks);
}

/* A thread is identified by tid and start time, which /proc shows on the namespace's clock. */
static void roles(void)
{
	struct ks *ks = fault_open(NULL);
	struct ks_stats_sched row;
	int role;

	scope_self(ks);
	role = ks_thread_role(ks, 0, "main");
	g_assert_cmpint(role, >, 0);
	fault_enable(ks, KS_PROBE_SCHED, NULL);
	g_usleep(1000);
	row = row_of(ks, reader(ks, KS_PROBE_SCHED, KS_BY_ROLE), (uint64_t)role);
	g_assert_cmpstr(row.row.name, ==, "main");
	g_assert_cmpuint(row.voluntary, >=, 1);
	ks_close(ks);
}

/* Without BPF: a child that lives through two scans. /proc has ticks of 10 ms, rounded down. */
static void files(void)
{
	const struct ks_enable_opts opts = { .size = sizeof(opts), .variant = "procfs" };
	struct ks *ks = fault_open(NULL);
	struct seen seen = { 0 };
	uint64_t before, after;
	pid_t pid;

	scope_self(ks);
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, &opts), 1);
	ks_assert_ok(ks, ks_poll(ks, 0, 0, on_event, &seen));
	before = mono();
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	after = mono();
	seen.child = pid;
	while (!seen.forks)
		ks_assert_ok(ks, ks_poll(ks, 2000, 0, on_event, &seen));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	g_assert_true(seen.knows_start);
	g_assert_cmpuint(seen.start_ns + SECOND / 50, >=, before);
	g_assert_cmpuint(seen.start_ns, <=, after);
	g_assert_cmpuint(seen.time_ns, >=, before);
	g_assert_cmpuint(seen.time_ns, <=, mono());
	ks_close(ks);
}

/*
 * The host descends from the tree's root through a process that is older than the clock's zero (if
 * the clock is behind). The host is in the scope all the same.
 */
static void tree(const void *data)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_TREE };
	struct ks *ks = fault_open(NULL);
	int32_t root = *(const int32_t *)data;

	scope.pids = &root;
	scope.n_pids = 1;
	ks_assert_ok(ks, ks_set_scope(ks, &scope));
	fault_enable(ks, KS_PROBE_PROC, NULL);
	child();
	g_assert_cmpuint(fault_forked(ks), ==, 1);
	ks_close(ks);
}

static void host(const struct offsets *o, int32_t root)
{
	g_test_message("%s: CLOCK_MONOTONIC is %.3f s", o->name, (double)mono() / SECOND);
	if (o->mono_s == ALMOST_ALL)
		g_assert_cmpuint(mono(), <, 600 * (uint64_t)SECOND);
	else if (o->mono_s)
		g_assert_cmpuint(mono(), >, (uint64_t)(o->mono_s * SECOND));
	records(NULL, 0);
	records(NULL, KS_OPEN_ORDERED);
	records("raw_tp", 0);
	records("tracepoint", KS_OPEN_ORDERED);
	intervals();
	roles();
	files();
	tree(&root);
}

/* Makes the namespace. Its first process, a child, is the host. */
static int run_in(const struct offsets *o, int32_t root)
{
	uint64_t born = mono();
	int rc, status;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (mono() < born + SECOND / 10) /* older than the clock's zero will be */
		sched_yield();
	rc = o->mono_s || o->boot_s ? new_namespace(o) : 0;
	if (rc)
		return 100 - rc;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		host(o, root);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && !status ? 0 : 1;
}

static void timens(const void *data)
{
	const struct offsets *o = data;
	int32_t root = getpid();
	int status;
	pid_t pid;

	if (!ks_test_root())
		return;
	pid = fork();
	if (!pid)
		_exit(run_in(o, root));
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) >= 100) {
		char *why = g_strdup_printf("no time namespace: %s",
					    g_strerror(WEXITSTATUS(status) - 100));

		g_test_skip(why);
		g_free(why);
		return;
	}
	g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		char *path = g_strdup_printf("/timens/%s", all[i].name);

		g_test_add_data_func(path, &all[i], timens);
		g_free(path);
	}
	return g_test_run();
}
