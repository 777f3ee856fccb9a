/* SPDX-License-Identifier: BSD-2-Clause */
/* Shows that the probes count the same as bpftrace does for the same processes at the same time. */
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

#include "sched_cast.h"
#include "support/ks_test.h"

#define STOP_MS 5000
#define START_MS 30000
#define NO_DISK 77 /* exit status of a work */

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

/* Reads what bpftrace prints within `ms`. Returns 0 if it has ended. */
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

/*
 * Runs the canary until bpftrace has seen all that it does: until then some programs are not
 * attached. Returns 0 if that takes too long.
 */
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

/* bpftrace loses a signal that comes just before it sleeps: one that stays quiet gets another. */
static void tracer_stop(struct tracer *b)
{
	struct pollfd pfd = { .fd = b->fd, .events = POLLIN };

	kill(b->pid, SIGINT);
	for (;;) {
		if (!poll(&pfd, 1, STOP_MS))
			kill(b->pid, SIGINT);
		else if (!tracer_listen(b, -1))
			break;
	}
	waitpid(b->pid, NULL, 0);
	g_spawn_close_pid(b->pid);
	close(b->fd);
}

/* Returns the number that bpftrace prints after `name: `, 0 if there is none. */
static uint64_t tracer_count(const struct tracer *b, const char *name)
{
	char *line = g_strdup_printf("\n%s: ", name);
	const char *at = strstr(b->said->str, line);
	uint64_t n = at ? g_ascii_strtoull(at + strlen(line), NULL, 10) : 0;

	g_free(line);
	return n;
}

static int tracer_installed(void)
{
	char *path = g_find_program_in_path("bpftrace");
	int found = path != NULL;

	if (!found)
		g_test_skip("bpftrace is not installed");
	g_free(path);
	return found;
}

/* Starts bpftrace and waits until it is ready, or skips the test. */
static int tracer_begin(struct tracer *b, const char *program, void (*canary)(void),
			const char *const *seen)
{
	if (!tracer_start(b, program)) {
		g_test_skip("bpftrace does not start");
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

/*
 * Compares a count of bpftrace with ours and appends a difference to *wrong. Repeating is right: a
 * classic tracepoint runs no program on a CPU that was interrupted inside bpf(), so bpftrace may
 * have missed an event.
 */
static void add_wrong(char **wrong, const struct tracer *b, const char *name, uint64_t ours)
{
	if (!*wrong)
		*wrong = ks_test_outside(name, tracer_count(b, name), ours, ours);
}

/*
 * One workload, counted by both. In `program`, %1$d is the pid of this process, which runs the
 * canary, and %2$d is the pid of the workload.
 */
struct scenario {
	work_fn work;
	uint32_t scope;
	const char *program;
	void (*canary)(void);
	const char *seen[5];
	size_t row_size;
	/* returns what differs in the counts of both since `before` */
	char *(*compare)(struct kt *t, const void *before, const struct tracer *b);
};

struct once {
	struct kt *t;
	const struct scenario *s;
};

static char *play_once(void *user)
{
	const struct scenario *s = ((struct once *)user)->s;
	struct kt *t = ((struct once *)user)->t;
	void *before = g_malloc(s->row_size);
	char *program, *wrong = NULL;
	struct tracer b;
	struct work w;

	work_start(&w, s->work);
	program = g_strdup_printf(s->program, (int)getpid(), (int)w.pid);
	kt_watch(t, s->scope, w.pid);
	kt_enable(t, NULL, 0);
	kt_total(t, before, s->row_size);
	if (tracer_begin(&b, program, s->canary, s->seen)) {
		work_run(&w);
		tracer_stop(&b);
		kt_settle(t);
		if (w.status == NO_DISK << 8)
			g_test_skip("the folder for temporary files is in memory");
		else
			wrong = s->compare(t, before, &b);
		g_string_free(b.said, TRUE);
	} else {
		work_run(&w);
	}
	kt_disable(t);
	g_free(program);
	g_free(before);
	work_free(&w);
	return wrong;
}

static void play(struct kt *t, const struct scenario *s)
{
	if (tracer_installed())
		ks_test_rounds(play_once, &(struct once){ t, s });
}

/* ---- advice --------------------------------------------------------------------------------- */

static void canary_advice(void)
{
	syscall(SYS_fadvise64, -1, 0, 0, 99);
}

static char *compare_advice(struct kt *t, const void *from, const struct tracer *b)
{
	static const struct {
		const char *name;
		unsigned index;
	} errors[] = { { "@ret[-9]", 0 }, { "@ret[-22]", 1 }, { "@ret[-29]", 2 } };
	const struct ks_stats_fadvise *before = from;
	struct ks_stats_fadvise row;
	uint64_t ok = 0, other;
	char *wrong = NULL;
	unsigned i;

	kt_total(t, &row, sizeof(row));
	for (i = 0; i < 6; i++) {
		char *name = g_strdup_printf("@advice[%u]", i);

		g_assert_cmpuint(row.calls[i] - before->calls[i], >, 0);
		add_wrong(&wrong, b, name, row.calls[i] - before->calls[i]);
		ok += row.ok[i] - before->ok[i];
		g_free(name);
	}
	other = row.calls[KS_ADVICE_OTHER] - before->calls[KS_ADVICE_OTHER];
	add_wrong(&wrong, b, "@advice[99]", other);
	add_wrong(&wrong, b, "@ret[0]", ok);
	for (i = 0; i < G_N_ELEMENTS(errors); i++)
		add_wrong(&wrong, b, errors[i].name,
			  row.errors[errors[i].index] - before->errors[errors[i].index]);
	return wrong;
}

static void advice(struct kt *t)
{
	static const struct scenario s = {
		.work = fad_table,
		.scope = KS_SCOPE_PIDS,
		.program = "tracepoint:syscalls:sys_enter_fadvise64 {"
			   " if (pid == %1$d) { printf(\"enter\\n\"); }"
			   " if (pid == %2$d) { @advice[args->advice] = count(); } } "
			   "tracepoint:syscalls:sys_exit_fadvise64 {"
			   " if (pid == %1$d) { printf(\"exit\\n\"); }"
			   " if (pid == %2$d) { @ret[args->ret] = count(); } }",
		.canary = canary_advice,
		.seen = { "enter\n", "exit\n" },
		.row_size = sizeof(struct ks_stats_fadvise),
		.compare = compare_advice,
	};

	play(t, &s);
}

/* ---- processes ------------------------------------------------------------------------------ */

#define CHILDREN 200

/* Half of the children exec. */
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

static char *compare_processes(struct kt *t, const void *from, const struct tracer *b)
{
	const struct ks_stats_proc *before = from;
	struct ks_stats_proc row;
	char *wrong = NULL;

	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.processes - before->processes, ==, CHILDREN);
	add_wrong(&wrong, b, "@forks", row.processes - before->processes);
	add_wrong(&wrong, b, "@execs", row.execs - before->execs);
	/* bpftrace counts the children only */
	add_wrong(&wrong, b, "@exits", row.process_exits - before->process_exits - 1);
	return wrong;
}

static void processes(struct kt *t)
{
	static const struct scenario s = {
		.work = half_exec,
		.scope = KS_SCOPE_TREE,
		.program = "tracepoint:sched:sched_process_fork { if (args->parent_pid == %1$d)"
			   " { printf(\"fork\\n\"); @canary[args->child_pid] = 1; }"
			   " if (args->parent_pid == %2$d)"
			   " { @forks = count(); @in[args->child_pid] = 1; } } "
			   "tracepoint:sched:sched_process_exec {"
			   " if (@canary[args->pid]) { printf(\"exec\\n\"); }"
			   " if (@in[args->pid]) { @execs = count(); } } "
			   "tracepoint:sched:sched_process_exit {"
			   " if (@canary[args->pid]) { printf(\"exit\\n\"); }"
			   " if (@in[args->pid]) { @exits = count(); } }",
		.canary = canary_process,
		.seen = { "fork\n", "exec\n", "exit\n" },
		.row_size = sizeof(struct ks_stats_proc),
		.compare = compare_processes,
	};

	play(t, &s);
}

/* ---- the page cache -------------------------------------------------------------------------- */

#define PAGES 500

/* Writes, drops, reads page by page, and reads again. */
static int pages(void *page)
{
	static char data[4096];
	int fd = work_file(), i;

	(void)page;
	if (fd < 0)
		return NO_DISK;
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

static char *compare_pages(struct kt *t, const void *from, const struct tracer *b)
{
	const struct ks_stats_pagecache *before = from;
	struct ks_stats_pagecache row;
	uint64_t requested, written;
	char *wrong = NULL;

	kt_total(t, &row, sizeof(row));
	requested = row.requested_pages - before->requested_pages;
	written = row.write_pages - before->write_pages;
	g_assert_cmpuint(written, ==, PAGES);
	g_assert_cmpuint(requested, ==, 2 * PAGES);
	add_wrong(&wrong, b, "@got", requested);
	add_wrong(&wrong, b, "@added", row.readin_pages - before->readin_pages + written);
	add_wrong(&wrong, b, "@deleted", row.evicted_pages - before->evicted_pages);
	add_wrong(&wrong, b, "@missed", row.missed_pages - before->missed_pages);
	return wrong;
}

static void page_cache(struct kt *t)
{
	static const struct scenario s = {
		.work = pages,
		.scope = KS_SCOPE_PIDS,
		.program =
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
		.canary = canary_pages,
		.seen = { "add\n", "delete\n", "get\n", "miss\n" },
		.row_size = sizeof(struct ks_stats_pagecache),
		.compare = compare_pages,
	};

	play(t, &s);
}

/* ---- switches ------------------------------------------------------------------------------- */

#define ROUNDS KS_TEST_ROUNDS
#define NAPS 50

static void nap(void)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	nanosleep(&ms, NULL);
}

/* Burns enough CPU time that the programs' own cost hardly matters. */
static void spin(long ns)
{
	struct timespec from, now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while ((now.tv_sec - from.tv_sec) * 1000000000 + now.tv_nsec - from.tv_nsec < ns);
}

/* Does not end, so that both see its last switch or neither does, and so that its row stays. */
static int naps_and_yields(void *page)
{
	struct cast *cast = page;

	for (unsigned i = 0; i < NAPS; i++) {
		nap();
		spin(300000);
		sched_yield();
	}
	__atomic_store_n(&cast->tid[0], getpid(), __ATOMIC_RELEASE);
	cast_wait(cast, 1);
	return 0;
}

static uint64_t count_of(const struct tracer *b, const char *name, pid_t pid)
{
	char *key = g_strdup_printf("@%s[%d]", name, (int)pid);
	uint64_t n = tracer_count(b, key);

	g_free(key);
	return n;
}

/*
 * Returns what is wrong with a process's row, or NULL. Our program and bpftrace's run one right
 * after the other at each switch, unless bpftrace's is refused. The CPU may be taken away between
 * the two.
 */
static char *compare_switches(const struct ks_stats_sched *row, const struct tracer *b, pid_t pid)
{
	uint64_t switches = row->voluntary + row->preempted, on = row->oncpu_ns.sum;
	uint64_t slack = on / 50 + switches * 1000;
	char *wrong = ks_test_outside("@out", count_of(b, "out", pid), switches, switches);

	if (!wrong)
		wrong = ks_test_outside("@in", count_of(b, "in", pid), switches, switches);
	if (!wrong)
		wrong = ks_test_outside("@on", count_of(b, "on", pid), on - slack, on + slack);
	return wrong;
}

/* One process per round. */
struct rounds {
	struct work w[ROUNDS];
	struct ks_reader *reader;
	struct tracer b;
	unsigned next;
};

static char *judge(void *user)
{
	struct rounds *r = user;
	pid_t pid = r->w[r->next++].pid;
	struct ks_stats_sched row;

	g_assert_true(cast_row(r->reader, KS_BY_PROCESS, (uint64_t)pid, &row));
	g_assert_cmpuint(row.voluntary, >=, NAPS * 4 / 5);
	g_assert_cmpuint(row.oncpu_ns.sum, >=, NAPS * 300000);
	return compare_switches(&row, &r->b, pid);
}

/* Makes `if (@round[prev]) …`. bpftrace gets the pids at its start. */
static char *switch_program(const struct rounds *r)
{
	GString *text = g_string_new("BEGIN {");

	for (unsigned i = 0; i < ROUNDS; i++)
		g_string_append_printf(text, " @round[%d] = 1;", (int)r->w[i].pid);
	g_string_append_printf(text,
			       " } tracepoint:sched:sched_switch { $now = nsecs;"
			       " if (args->prev_pid == %d) { printf(\"switch\\n\"); }"
			       " if (@round[args->prev_pid]) { @out[args->prev_pid] = count();"
			       " if (@since[args->prev_pid]) {"
			       " @on[args->prev_pid] = sum($now - @since[args->prev_pid]);"
			       " @since[args->prev_pid] = 0; } }"
			       " if (@round[args->next_pid]) { @in[args->next_pid] = count();"
			       " @since[args->next_pid] = $now; } }",
			       (int)getpid());
	return g_string_free(text, FALSE);
}

static void switches(struct kt *t)
{
	static const char *const seen[] = { "switch\n", NULL };
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_PIDS, .n_pids = ROUNDS };
	struct rounds r = { .next = 0 };
	int32_t pids[ROUNDS];
	char *program;

	if (!tracer_installed())
		return;
	for (unsigned i = 0; i < ROUNDS; i++) {
		work_start(&r.w[i], naps_and_yields);
		pids[i] = r.w[i].pid;
	}
	scope.pids = pids;
	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
	kt_enable(t, NULL, 0);
	program = switch_program(&r);
	if (tracer_begin(&r.b, program, nap, seen)) {
		for (unsigned i = 0; i < ROUNDS; i++) {
			work_go(&r.w[i]);
			cast_all_asleep(&r.w[i], r.w[i].page, 1);
		}
		tracer_stop(&r.b);
		kt_settle(t);
		r.reader = cast_reader(t, KS_BY_PROCESS);
		ks_test_rounds(judge, &r);
		ks_reader_free(r.reader);
		g_string_free(r.b.said, TRUE);
	}
	g_free(program);
	for (unsigned i = 0; i < ROUNDS; i++) {
		kill(r.w[i].pid, SIGKILL);
		work_wait(&r.w[i]);
		work_free(&r.w[i]);
	}
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
