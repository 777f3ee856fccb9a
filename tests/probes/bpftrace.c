/* SPDX-License-Identifier: BSD-2-Clause */
/* Shows that the probes count what bpftrace counts of the same processes at the same time. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/harness.h"
#include "support/ks_test.h"

#define START_MS 30000

struct tracer {
	GPid pid;
	int fd;
	GString *said;
};

static int tracer_start(struct tracer *b, const char *program)
{
	const char *args[] = { "bpftrace", "-B", "line", "-e", program, NULL };

	b->said = g_string_new(NULL);
	return g_spawn_async_with_pipes(NULL, (char **)args, NULL,
					G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
						G_SPAWN_STDERR_TO_DEV_NULL,
					NULL, NULL, &b->pid, NULL, &b->fd, NULL, NULL);
}

/* What it says within some ms; 0: it has ended. */
static int tracer_listen(struct tracer *b, int ms)
{
	struct pollfd pfd = { .fd = b->fd, .events = POLLIN };
	char buf[4096];
	ssize_t n;

	if (poll(&pfd, 1, ms) <= 0)
		return 1;
	n = read(b->fd, buf, sizeof(buf));
	if (n > 0)
		g_string_append_len(b->said, buf, n);
	return n > 0;
}

/* Has it seen all of what the canary does? Until then some of its programs are not attached. */
static int tracer_ready(struct tracer *b, void (*canary)(void), const char *const *seen)
{
	uint64_t until = work_now() + START_MS * UINT64_C(1000000);

	do {
		canary();
		if (!tracer_listen(b, 20))
			return 0;
		while (*seen && strstr(b->said->str, *seen))
			seen++;
	} while (*seen && work_now() < until);
	return !*seen;
}

static void tracer_stop(struct tracer *b)
{
	kill(b->pid, SIGINT);
	while (tracer_listen(b, -1))
		;
	waitpid(b->pid, NULL, 0);
	g_spawn_close_pid(b->pid);
	close(b->fd);
}

/* The number that it prints after `name: `, 0 if it has none. */
static uint64_t tracer_count(const struct tracer *b, const char *name)
{
	char *line = g_strdup_printf("\n%s: ", name);
	const char *at = strstr(b->said->str, line);
	uint64_t n = at ? g_ascii_strtoull(at + strlen(line), NULL, 10) : 0;

	g_free(line);
	return n;
}

/* Starts it and gets it ready, or skips. */
static int tracer_begin(struct tracer *b, const char *program, void (*canary)(void),
			const char *const *seen)
{
	if (!tracer_start(b, program)) {
		g_test_skip("bpftrace is not installed");
		g_string_free(b->said, TRUE);
		return 0;
	}
	if (tracer_ready(b, canary, seen))
		return 1;
	tracer_stop(b);
	g_test_skip("bpftrace does not work here");
	g_string_free(b->said, TRUE);
	return 0;
}

/* ---- advice --------------------------------------------------------------------------------- */

static void canary_advice(void)
{
	syscall(SYS_fadvise64, -1, 0, 0, 99);
}

static void compare_advice(struct kt *t, const struct tracer *b)
{
	static const struct {
		const char *name;
		unsigned index;
	} errors[] = { { "@ret[-9]", 0 }, { "@ret[-22]", 1 }, { "@ret[-29]", 2 } };
	struct ks_stats_fadvise row;
	uint64_t ok = 0;
	unsigned i;

	kt_total(t, &row, sizeof(row));
	for (i = 0; i < 6; i++) {
		char *name = g_strdup_printf("@advice[%u]", i);

		g_assert_cmpuint(row.calls[i], >, 0);
		g_assert_cmpuint(row.calls[i], ==, tracer_count(b, name));
		ok += row.ok[i];
		g_free(name);
	}
	g_assert_cmpuint(row.calls[KS_ADVICE_OTHER], ==, tracer_count(b, "@advice[99]"));
	g_assert_cmpuint(ok, ==, tracer_count(b, "@ret[0]"));
	for (i = 0; i < G_N_ELEMENTS(errors); i++)
		g_assert_cmpuint(row.errors[errors[i].index], ==, tracer_count(b, errors[i].name));
}

static void advice(struct kt *t)
{
	static const char *const seen[] = { "enter\n", "exit\n", NULL };
	struct tracer b;
	struct work w;
	char *program;

	work_start(&w, fad_table);
	program = g_strdup_printf("tracepoint:syscalls:sys_enter_fadvise64 {"
				  " if (pid == %d) { printf(\"enter\\n\"); }"
				  " if (pid == %d) { @advice[args->advice] = count(); } } "
				  "tracepoint:syscalls:sys_exit_fadvise64 {"
				  " if (pid == %d) { printf(\"exit\\n\"); }"
				  " if (pid == %d) { @ret[args->ret] = count(); } }",
				  (int)getpid(), (int)w.pid, (int)getpid(), (int)w.pid);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, NULL, 0);
	if (tracer_begin(&b, program, canary_advice, seen)) {
		work_run(&w);
		tracer_stop(&b);
		kt_settle(t);
		compare_advice(t, &b);
		g_string_free(b.said, TRUE);
	} else {
		work_run(&w);
	}
	g_free(program);
	work_free(&w);
}

/* ---- processes ------------------------------------------------------------------------------ */

#define CHILDREN 200

/* Half of them start a program. */
static int half_exec(void *page)
{
	int i, status;
	pid_t pid;

	(void)page;
	for (i = 0; i < CHILDREN; i++) {
		pid = fork();
		if (pid == 0 && i % 2)
			execl(KS_CHAIN, KS_CHAIN, NULL);
		if (pid == 0)
			_exit(0);
		if (waitpid(pid, &status, 0) != pid || status)
			return 1;
	}
	return 0;
}

static void canary_process(void)
{
	char *const args[] = { (char *)KS_CHAIN, NULL }, *const env[] = { NULL };
	pid_t pid;

	if (posix_spawn(&pid, KS_CHAIN, NULL, NULL, args, env) == 0)
		waitpid(pid, NULL, 0);
}

static void processes(struct kt *t)
{
	static const char *const seen[] = { "fork\n", "exec\n", "exit\n", NULL };
	struct ks_stats_proc row;
	struct tracer b;
	struct work w;
	char *program;

	work_start(&w, half_exec);
	program = g_strdup_printf(
		"tracepoint:sched:sched_process_fork {"
		" if (args->parent_pid == %d) { printf(\"fork\\n\"); @canary[args->child_pid] = 1; }"
		" if (args->parent_pid == %d) { @forks = count(); @in[args->child_pid] = 1; } } "
		"tracepoint:sched:sched_process_exec {"
		" if (@canary[args->pid]) { printf(\"exec\\n\"); }"
		" if (@in[args->pid]) { @execs = count(); } } "
		"tracepoint:sched:sched_process_exit {"
		" if (@canary[args->pid]) { printf(\"exit\\n\"); }"
		" if (@in[args->pid]) { @exits = count(); } }",
		(int)getpid(), (int)w.pid);
	kt_watch(t, KS_SCOPE_TREE, w.pid);
	kt_enable(t, NULL, 0);
	if (tracer_begin(&b, program, canary_process, seen)) {
		work_run(&w);
		tracer_stop(&b);
		kt_settle(t);
		kt_total(t, &row, sizeof(row));
		g_assert_cmpuint(row.processes, ==, CHILDREN);
		g_assert_cmpuint(row.processes, ==, tracer_count(&b, "@forks"));
		g_assert_cmpuint(row.execs, ==, tracer_count(&b, "@execs"));
		g_assert_cmpuint(row.process_exits - 1, ==, tracer_count(&b, "@exits"));
		g_string_free(b.said, TRUE);
	} else {
		work_run(&w);
	}
	g_free(program);
	work_free(&w);
}

/* ---- the page cache -------------------------------------------------------------------------- */

#define PAGES 500

/* Written, dropped, read one by one, and read again. */
static int pages(void *page)
{
	static char data[4096];
	int fd = work_file(), i;

	(void)page;
	if (fd < 0)
		return 77;
	for (i = 0; i < PAGES; i++)
		if (pwrite(fd, data, sizeof(data), (off_t)i * 4096) != 4096)
			return 1;
	if (fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		return 1;
	for (i = 0; i < 2 * PAGES; i++)
		if (pread(fd, data, sizeof(data), (off_t)(i % PAGES) * 4096) != 4096)
			return 1;
	return 0;
}

static void canary_pages(void)
{
	int fd = work_file();

	if (fd < 0)
		return;
	if (pwrite(fd, "c", 1, 0) == 1 && fsync(fd) == 0)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (pread(fd, &(char){ 0 }, 1, 0) == 1)
		close(fd);
}

static void compare_pages(struct kt *t, const struct tracer *b)
{
	struct ks_stats_pagecache row;

	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.write_pages, ==, PAGES);
	g_assert_cmpuint(row.requested_pages, ==, 2 * PAGES);
	g_assert_cmpuint(row.requested_pages, ==, tracer_count(b, "@got"));
	g_assert_cmpuint(row.readin_pages + row.write_pages, ==, tracer_count(b, "@added"));
	g_assert_cmpuint(row.evicted_pages, ==, tracer_count(b, "@deleted"));
	g_assert_cmpuint(row.missed_pages, ==, tracer_count(b, "@missed"));
}

static void page_cache(struct kt *t)
{
	static const char *const seen[] = { "add\n", "delete\n", "get\n", "miss\n", NULL };
	struct tracer b;
	struct work w;
	char *program;

	work_start(&w, pages);
	program = g_strdup_printf(
		"tracepoint:filemap:mm_filemap_add_to_page_cache {"
		" if (pid == %1$d) { printf(\"add\\n\"); }"
		" if (pid == %2$d) { @added = sum(1 << args->order); } } "
		"tracepoint:filemap:mm_filemap_delete_from_page_cache {"
		" if (pid == %1$d) { printf(\"delete\\n\"); }"
		" if (pid == %2$d) { @deleted = sum(1 << args->order); } } "
		"tracepoint:filemap:mm_filemap_get_pages {"
		" if (pid == %1$d) { printf(\"get\\n\"); }"
		" if (pid == %2$d) { @got = sum(args->last_index - args->index + 1); } } "
		"tracepoint:readahead:page_cache_sync_ra {"
		" if (pid == %1$d) { printf(\"miss\\n\"); }"
		" if (pid == %2$d) { @missed = sum(args->req_count); } }",
		(int)getpid(), (int)w.pid);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, NULL, 0);
	if (tracer_begin(&b, program, canary_pages, seen)) {
		work_run(&w);
		tracer_stop(&b);
		kt_settle(t);
		if (w.status == 77 << 8)
			g_test_skip("the folder for temporary files lies in memory");
		else
			compare_pages(t, &b);
		g_string_free(b.said, TRUE);
	} else {
		work_run(&w);
	}
	g_free(program);
	work_free(&w);
}

/* ---- switches ------------------------------------------------------------------------------- */

#define NAPS 200

static void nap(void)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	nanosleep(&ms, NULL);
}

static int naps_and_yields(void *page)
{
	const unsigned n = ks_test_volume(NAPS, NAPS / 4);

	(void)page;
	for (unsigned i = 0; i < n; i++)
		nap();
	for (unsigned i = 0; i < 5 * n; i++)
		sched_yield();
	return 0;
}

/* Not more than ours; a classic tracepoint runs no program within another one. */
static void all_but_few(uint64_t theirs, uint64_t ours)
{
	g_assert_cmpuint(theirs, <=, ours);
	g_assert_cmpuint(theirs, >=, ours * 99 / 100);
}

static void compare_switches(struct kt *t, const struct tracer *b)
{
	struct ks_stats_sched row;
	uint64_t switches, on_ns = tracer_count(b, "@on");

	kt_total(t, &row, sizeof(row));
	switches = row.voluntary + row.preempted;
	g_assert_cmpuint(row.voluntary, >=, ks_test_volume(NAPS, NAPS / 4));
	all_but_few(tracer_count(b, "@out"), switches);
	all_but_few(tracer_count(b, "@in"), switches);
	/* which of both programs reads the clock first is not known */
	g_assert_cmpuint(on_ns, >=, row.oncpu_ns.sum * 95 / 100 - switches * 5000);
	g_assert_cmpuint(on_ns, <=, row.oncpu_ns.sum * 105 / 100 + switches * 5000);
}

static void switches(struct kt *t)
{
	static const char *const seen[] = { "switch\n", NULL };
	struct tracer b;
	struct work w;
	char *program;

	work_start(&w, naps_and_yields);
	program =
		g_strdup_printf("tracepoint:sched:sched_switch {"
				" if (args->prev_pid == %1$d) { printf(\"switch\\n\"); }"
				" if (args->prev_pid == %2$d) { @out = count();"
				" if (@since) { @on = sum(nsecs - @since); } }"
				" if (args->next_pid == %2$d) { @in = count(); @since = nsecs; } }",
				(int)getpid(), (int)w.pid);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, NULL, 0);
	if (tracer_begin(&b, program, nap, seen)) {
		work_run(&w);
		tracer_stop(&b);
		kt_settle(t);
		compare_switches(t, &b);
		g_string_free(b.said, TRUE);
	} else {
		work_run(&w);
	}
	g_free(program);
	work_free(&w);
}

static void add(void)
{
	kt_add(KS_PROBE_FADVISE, "bpftrace", KT_BEST, advice);
	kt_add(KS_PROBE_PROC, "bpftrace", KT_BEST, processes);
	kt_add(KS_PROBE_PAGECACHE, "bpftrace", KT_BEST, page_cache);
	kt_add(KS_PROBE_SCHED, "bpftrace", KT_BEST, switches);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
