/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that `proc` without kernel programs is exact about processes that live through two scans of
 * /proc, declares what it cannot see, and balances its ledger; both as root and as ordinary user.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "support/ks_test.h"

#define FAMILY (KS_HAS_PROC_PARENT | KS_HAS_PROC_SESSION)
#define KNOWN (FAMILY | KS_HAS_PROC_START | KS_HAS_PROC_PATH | KS_HAS_PROC_UID)
#define MOST 200
#define N ks_test_volume(MOST, 40)
#define HOUR_MS 3600000
#define TICK_NS 10000000u

struct run {
	struct ks *ks;
	struct ks_reader *reader;
	struct ks_stats_proc row; /* as of the last scan */
	GPtrArray *records;       /* copies of all records since forget() */
};

/* ---- the library ----------------------------------------------------------------------------- */

static int keep(const struct ks_event *ev, void *user)
{
	struct run *run = user;

	g_assert_cmpuint(ev->flags, ==, KS_FLAG_FALLBACK);
	g_assert_cmpuint(ev->cpu, ==, KS_NO_CPU);
	g_ptr_array_add(run->records, g_memdup2(ev, ev->size));
	return 0;
}

static void drain(struct run *run)
{
	int n;

	while ((n = ks_poll(run->ks, 0, 0, keep, run)) > 0)
		;
	ks_assert_rc(n, 0);
}

/* Scans. Intervals are so long that only readers cause scans. */
static void look(struct run *run)
{
	struct ks_stats stats = { .size = sizeof(stats) };

	ks_assert_ok(run->ks, ks_read_stats(run->reader, &stats));
	g_assert_cmpuint(stats.n_rows, ==, 1);
	g_assert_cmpuint(stats.source, ==, KS_SOURCE_FILES);
	memcpy(&run->row, ks_stats_row(&stats, 0), sizeof(run->row));
	drain(run);
}

static void forget(struct run *run)
{
	g_ptr_array_set_size(run->records, 0);
}

static size_t count(const struct run *run, uint16_t id)
{
	size_t n = 0, i;

	for (i = 0; i < run->records->len; i++)
		n += ((const struct ks_event *)run->records->pdata[i])->id == id;
	return n;
}

/* Asserts n records of this kind and none of another. */
static void only(const struct run *run, uint16_t id, size_t n)
{
	g_assert_cmpuint(run->records->len, ==, n);
	g_assert_cmpuint(count(run, id), ==, n);
}

static void watch(struct run *run, uint32_t kind, const pid_t *pids, uint32_t n)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = kind, .n_pids = n, .pids = pids };

	ks_assert_ok(run->ks, ks_set_scope(run->ks, &scope));
}

static struct run *run_new(uint64_t interval_ms)
{
	struct ks_param params[] = {
		{ .id = KS_PARAM_INTERVAL_MS, .value = interval_ms },
		{ .id = KS_PARAM_MAX_PER_SEC, .value = 0 },
	};
	struct ks_enable_opts opts = {
		.size = sizeof(opts),
		.n_params = G_N_ELEMENTS(params),
		.params = params,
		.variant = "procfs",
	};
	struct run *run = g_new0(struct run, 1);

	run->records = g_ptr_array_new_with_free_func(g_free);
	ks_assert_rc(ks_open(NULL, &run->ks), 0);
	ks_assert_rc(ks_enable_probe(run->ks, KS_PROBE_PROC, &opts), 1);
	ks_assert_ok(run->ks, ks_reader_new(run->ks, KS_PROBE_PROC, NULL, &run->reader));
	return run;
}

/* Every test ends with a ledger that balances and without unexpected records. */
static void run_free(struct run *run)
{
	ks_assert_ok(run->ks, ks_disable_probe(run->ks, KS_PROBE_PROC));
	drain(run);
	ks_assert_ok(run->ks, ks_ledger_check(run->ks, KS_PROBE_PROC));
	ks_reader_free(run->reader);
	ks_close(run->ks);
	g_ptr_array_free(run->records, TRUE);
	g_free(run);
}

/* ---- processes ------------------------------------------------------------------------------- */

/* A program that writes a line when it has begun, and ends at the end of its input. */
#define PROGRAM "/bin/sh", "sh", "-c", "echo; read x", (char *)NULL

/* Children that wait for the test: first to exec that program, then to end. */
struct children {
	int go[2], input[2], done[2];
	pid_t pid[MOST];
};

static void child(struct children *c)
{
	char byte;

	close(c->go[1]);
	close(c->input[1]);
	close(c->done[0]);
	if (read(c->go[0], &byte, 1) == 0 && dup2(c->input[0], 0) == 0 && dup2(c->done[1], 1) == 1)
		execl(PROGRAM);
	_exit(1);
}

static void children_start(struct children *c)
{
	unsigned i;

	g_assert_cmpint(pipe2(c->go, O_CLOEXEC), ==, 0);
	g_assert_cmpint(pipe2(c->input, O_CLOEXEC), ==, 0);
	g_assert_cmpint(pipe2(c->done, O_CLOEXEC), ==, 0);
	for (i = 0; i < N; i++) {
		c->pid[i] = fork();
		g_assert_cmpint(c->pid[i], >=, 0);
		if (!c->pid[i])
			child(c);
	}
	close(c->go[0]);
	close(c->input[0]);
	close(c->done[1]);
}

static void children_exec(struct children *c)
{
	char byte;
	unsigned i;

	close(c->go[1]);
	for (i = 0; i < N; i++)
		g_assert_cmpint(read(c->done[0], &byte, 1), ==, 1);
	close(c->done[0]);
}

static void children_end(struct children *c)
{
	siginfo_t info;
	unsigned i;

	close(c->input[1]);
	for (i = 0; i < N; i++)
		g_assert_cmpint(waitid(P_PID, (id_t)c->pid[i], &info, WEXITED | WNOWAIT), ==, 0);
}

static void children_reap(struct children *c)
{
	unsigned i;

	for (i = 0; i < N; i++)
		g_assert_cmpint(waitpid(c->pid[i], NULL, 0), ==, c->pid[i]);
}

/* Returns the child's index after asserting that it was not seen before. */
static int child_index(const struct children *c, int32_t pid, unsigned char *seen)
{
	unsigned i;

	for (i = 0; i < N && c->pid[i] != pid; i++)
		;
	g_assert_cmpuint(i, <, N);
	g_assert_cmpint(seen[i]++, ==, 0);
	return (int)i;
}

static uint64_t clock_ns(struct ks *ks)
{
	uint64_t mono;
	int64_t wall;

	ks_assert_rc(ks_read_clock(ks, &mono, &wall), 0);
	return mono;
}

/* ---- lives ----------------------------------------------------------------------------------- */

static void check_forks(struct run *run, struct children *c, uint64_t before)
{
	unsigned char seen[MOST] = { 0 };
	char name[16];
	size_t i;

	g_assert_cmpint(prctl(PR_GET_NAME, name), ==, 0);
	g_assert_cmpuint(run->row.processes, ==, N);
	only(run, KS_EVENT_PROC_FORK, N);
	for (i = 0; i < N; i++) {
		const struct ks_event_proc_fork *e = run->records->pdata[i];

		child_index(c, e->child_pid, seen);
		g_assert_cmpint(e->child_tid, ==, e->child_pid);
		g_assert_cmpuint(e->thread, ==, 0);
		g_assert_cmpint(e->ev.pid, ==, getpid());
		g_assert_cmpstr(e->ev.comm, ==, name);
		g_assert_cmpuint(e->valid, ==, KS_HAS_PROC_START);
		g_assert_cmpuint(e->start_ns, >=, before - 2 * TICK_NS);
		g_assert_cmpuint(e->start_ns, <=, e->ev.time_ns);
	}
}

static void check_execs(struct run *run, struct children *c)
{
	char *shell = realpath("/bin/sh", NULL);
	unsigned char seen[MOST] = { 0 };
	size_t i;

	g_assert_cmpuint(run->row.execs, ==, N);
	only(run, KS_EVENT_PROC_EXEC, N);
	for (i = 0; i < N; i++) {
		const struct ks_event_proc_exec *e = run->records->pdata[i];

		child_index(c, e->ev.pid, seen);
		g_assert_cmpstr(e->ev.comm, ==, "sh");
		g_assert_cmpuint(e->valid, ==, KNOWN);
		g_assert_cmpstr(e->path, ==, shell);
		g_assert_cmpint(e->ppid, ==, getpid());
		g_assert_cmpint(e->session, ==, getsid(0));
		g_assert_cmpuint(e->uid, ==, getuid());
	}
	free(shell);
}

static void check_exits(struct run *run, struct children *c)
{
	unsigned char seen[MOST] = { 0 };
	size_t i;

	g_assert_cmpuint(run->row.process_exits, ==, N);
	only(run, KS_EVENT_PROC_EXIT, N);
	for (i = 0; i < N; i++) {
		const struct ks_event_proc_exit *e = run->records->pdata[i];

		child_index(c, e->ev.pid, seen);
		g_assert_cmpstr(e->ev.comm, ==, "sh");
		g_assert_cmpuint(e->valid, ==, KS_HAS_PROC_START | FAMILY);
		g_assert_cmpint(e->ppid, ==, getpid());
		g_assert_cmpint(e->session, ==, getsid(0));
		g_assert_cmpuint(e->thread, ==, 0);
	}
}

/* An exit is reported when it happens, and not again when the parent waits. */
static void test_lives(void)
{
	struct run *run = run_new(HOUR_MS);
	uint64_t before = clock_ns(run->ks);
	struct children c;

	look(run);
	g_assert_cmpuint(run->row.processes, ==, 0);
	children_start(&c);
	look(run);
	check_forks(run, &c, before);

	forget(run);
	watch(run, KS_SCOPE_PIDS, c.pid, N);
	children_exec(&c);
	look(run);
	check_execs(run, &c);

	forget(run);
	children_end(&c);
	look(run);
	check_exits(run, &c);

	forget(run);
	children_reap(&c);
	look(run);
	g_assert_cmpuint(run->records->len, ==, 0);
	g_assert_cmpuint(run->row.processes, ==, N);
	g_assert_cmpuint(run->row.execs, ==, N);
	g_assert_cmpuint(run->row.process_exits, ==, N);
	g_assert_cmpuint(run->row.row.valid & KS_HAS_PROC_SHORT, ==, 0);
	run_free(run);
}

/* The same, in a process without any privilege. */
static void test_ordinary_user(void)
{
	if (!g_test_subprocess()) {
		if (!ks_test_root())
			return;
		g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
		g_test_trap_assert_passed();
		return;
	}
	g_assert_cmpint(setresgid(65534, 65534, 65534), ==, 0);
	g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
	test_lives();
}

/* Processes that come and go between two scans are missed, and the probe says so beforehand. */
static void test_short_lives(void)
{
	struct run *run = run_new(HOUR_MS);
	char why[256] = "";
	int i;

	g_assert_cmpint(ks_query_valid(run->ks, KS_PROBE_PROC, KS_HAS_PROC_SHORT, why, 256), ==, 0);
	g_assert_nonnull(strstr(why, "begin and end between two looks"));
	look(run);
	for (i = 0; i < 50; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	}
	look(run);
	g_assert_cmpuint(run->records->len, ==, 0);
	g_assert_cmpuint(run->row.processes, ==, 0);
	g_assert_cmpuint(run->row.process_exits, ==, 0);
	run_free(run);
}

static void test_valid(void)
{
	const uint64_t unknown[] = {
		KS_HAS_PROC_STATUS,   KS_HAS_PROC_CPU,     KS_HAS_PROC_THREADS,
		KS_HAS_PROC_MEMORY,   KS_HAS_PROC_IO,      KS_HAS_PROC_SHORT,
		KS_HAS_PROC_LIFETIME, KS_HAS_PROC_OLD_TID, KS_HAS_PROC_FAULTS
	};
	struct ks_probe_info info = { .size = sizeof(info) };
	struct run *run = run_new(HOUR_MS);
	char why[256];

	ks_assert_ok(run->ks, ks_query_probe(run->ks, KS_PROBE_PROC, &info));
	g_assert_cmpuint(info.state, ==, KS_STATE_ON);
	g_assert_cmpuint(info.source, ==, KS_SOURCE_FILES);
	g_assert_cmpstr(info.variant_name, ==, "procfs");
	g_assert_cmpuint(info.valid, ==, KNOWN);
	g_assert_cmpuint(info.facts & KS_FACT_MISSED, ==, 0);
	g_assert_cmpint(ks_query_valid(run->ks, KS_PROBE_PROC, KNOWN, why, sizeof(why)), ==, 1);
	for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
		why[0] = '\0';
		g_assert_false(ks_query_valid(run->ks, KS_PROBE_PROC, unknown[i], why, 256));
		g_assert_true(g_str_has_prefix(why, "procfs: "));
	}
	look(run);
	g_assert_cmpuint(run->row.row.valid, ==, KNOWN);
	run_free(run);
}

/* ---- changes that are no events -------------------------------------------------------------- */

static void *wait_here(void *barrier)
{
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	return NULL;
}

static void test_threads(void)
{
	struct run *run = run_new(HOUR_MS);
	pthread_barrier_t barrier;
	pthread_t threads[10];
	size_t i;

	look(run);
	pthread_barrier_init(&barrier, NULL, G_N_ELEMENTS(threads) + 1);
	for (i = 0; i < G_N_ELEMENTS(threads); i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, wait_here, &barrier), ==, 0);
	pthread_barrier_wait(&barrier);
	look(run);
	pthread_barrier_wait(&barrier);
	for (i = 0; i < G_N_ELEMENTS(threads); i++)
		pthread_join(threads[i], NULL);
	look(run);
	pthread_barrier_destroy(&barrier);
	g_assert_cmpuint(run->records->len, ==, 0);
	g_assert_cmpuint(run->row.processes + run->row.threads + run->row.thread_exits, ==, 0);
	run_free(run);
}

/* A new name is no exec. */
static void test_rename(void)
{
	struct run *run = run_new(HOUR_MS);
	char name[16];

	g_assert_cmpint(prctl(PR_GET_NAME, name), ==, 0);
	look(run);
	g_assert_cmpint(prctl(PR_SET_NAME, "another"), ==, 0);
	look(run);
	g_assert_cmpint(prctl(PR_SET_NAME, name), ==, 0);
	look(run);
	g_assert_cmpuint(run->records->len, ==, 0);
	g_assert_cmpuint(run->row.execs, ==, 0);
	run_free(run);
}

static void *exec_program(void *arg)
{
	(void)arg;
	execl(PROGRAM);
	_exit(1);
}

/* After an exec by a second thread the process is still the same. */
static void test_exec_by_thread(void)
{
	struct run *run = run_new(HOUR_MS);
	int go[2], input[2], done[2];
	pthread_t thread;
	char byte;
	pid_t pid;

	g_assert_cmpint(pipe2(go, O_CLOEXEC) + pipe2(input, O_CLOEXEC) + pipe2(done, O_CLOEXEC), ==,
			0);
	pid = fork();
	if (!pid) {
		close(go[1]);
		close(input[1]);
		if (read(go[0], &byte, 1) || dup2(input[0], 0) || dup2(done[1], 1) != 1 ||
		    pthread_create(&thread, NULL, exec_program, NULL))
			_exit(1);
		for (;;)
			pause();
	}
	close(input[0]);
	close(done[1]);
	look(run);
	only(run, KS_EVENT_PROC_FORK, 1);
	forget(run);
	watch(run, KS_SCOPE_PIDS, &pid, 1);
	close(go[1]);
	g_assert_cmpint(read(done[0], &byte, 1), ==, 1);
	look(run);
	only(run, KS_EVENT_PROC_EXEC, 1);
	g_assert_cmpint(((struct ks_event *)run->records->pdata[0])->pid, ==, pid);
	close(input[1]);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	look(run);
	g_assert_cmpuint(run->records->len, ==, 2);
	g_assert_cmpuint(count(run, KS_EVENT_PROC_EXIT), ==, 1);
	close(go[0]);
	close(done[0]);
	run_free(run);
}

/* ---- the consumer ---------------------------------------------------------------------------- */

/* The interval alone causes a scan, without a reader: the descriptor becomes readable. */
static void test_interval(void)
{
	struct run *run = run_new(10);
	int input[2];
	pid_t pid;
	char byte;

	g_assert_cmpint(pipe2(input, O_CLOEXEC), ==, 0);
	drain(run);
	pid = fork();
	if (!pid) {
		close(input[1]);
		_exit(read(input[0], &byte, 1) != 0);
	}
	g_assert_cmpint(ks_poll(run->ks, 60000, 0, keep, run), ==, 1);
	g_assert_cmpuint(count(run, KS_EVENT_PROC_FORK), ==, 1);
	g_assert_cmpint(((struct ks_event_proc_fork *)run->records->pdata[0])->child_pid, ==, pid);
	watch(run, KS_SCOPE_PIDS, &pid, 1);
	close(input[0]);
	close(input[1]);
	g_assert_cmpint(ks_poll(run->ks, 60000, 0, keep, run), ==, 1);
	g_assert_cmpuint(count(run, KS_EVENT_PROC_EXIT), ==, 1);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	run_free(run);
}

static int read_inside(const struct ks_event *ev, void *user)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	struct run *run = user;

	ks_assert_ok(run->ks, ks_read_stats(run->reader, &stats));
	return keep(ev, user);
}

/* A callback may read statistics, which scans again. */
static void test_read_in_callback(void)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	struct run *run = run_new(HOUR_MS);
	struct children c;

	children_start(&c);
	ks_assert_ok(run->ks, ks_read_stats(run->reader, &stats));
	while (ks_poll(run->ks, 0, 0, read_inside, run) > 0)
		;
	g_assert_cmpuint(count(run, KS_EVENT_PROC_FORK), ==, N);
	children_exec(&c);
	children_end(&c);
	children_reap(&c);
	run_free(run);
}

struct reading {
	struct ks *ks;
	uint64_t last;
};

static void *read_often(void *arg)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	struct reading *reading = arg;
	struct ks_reader *reader;
	int i;

	ks_assert_ok(reading->ks, ks_reader_new(reading->ks, KS_PROBE_PROC, NULL, &reader));
	for (i = 0; i < 50; i++) {
		const struct ks_stats_proc *row;

		ks_assert_ok(reading->ks, ks_read_stats(reader, &stats));
		row = ks_stats_row(&stats, 0);
		g_assert_cmpuint(row->processes, >=, reading->last);
		reading->last = row->processes;
	}
	ks_reader_free(reader);
	return NULL;
}

/* While several readers scan and the consumer reads, each event is delivered once. */
static void test_parallel(void)
{
	struct run *run = run_new(10);
	struct reading reading[2] = { { run->ks, 0 }, { run->ks, 0 } };
	pthread_t threads[2];
	struct children c;
	int i;

	for (i = 0; i < 2; i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, read_often, &reading[i]), ==, 0);
	children_start(&c);
	while (count(run, KS_EVENT_PROC_FORK) < N)
		g_assert_cmpint(ks_poll(run->ks, 60000, 0, keep, run), >, 0);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	look(run);
	g_assert_cmpuint(run->row.processes, ==, N);
	g_assert_cmpuint(count(run, KS_EVENT_PROC_FORK), ==, N);
	children_exec(&c);
	children_end(&c);
	children_reap(&c);
	run_free(run);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/proc_files/lives", test_lives);
	g_test_add_func("/proc_files/ordinary user", test_ordinary_user);
	g_test_add_func("/proc_files/short lives", test_short_lives);
	g_test_add_func("/proc_files/valid", test_valid);
	g_test_add_func("/proc_files/threads", test_threads);
	g_test_add_func("/proc_files/rename", test_rename);
	g_test_add_func("/proc_files/exec by thread", test_exec_by_thread);
	g_test_add_func("/proc_files/interval", test_interval);
	g_test_add_func("/proc_files/read in callback", test_read_in_callback);
	g_test_add_func("/proc_files/parallel", test_parallel);
	return g_test_run();
}
