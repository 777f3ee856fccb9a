/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that everything a thread does from its first wake-up on is in the row of its process, that
 * its state of sleep is recorded correctly, and that nothing is recorded about threads that are not
 * visible.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched_cast.h"
#include "support/ks_test.h"

/* ---- the first wake-up ----------------------------------------------------------------------- */

#define BORN ks_test_volume(1000, 100)

static void *be_born(void *arg)
{
	return arg;
}

static int bear(void *page)
{
	struct cast *c = page;
	pthread_t thread;

	__atomic_store_n(&c->tid[0], getpid(), __ATOMIC_RELEASE);
	cast_wait(c, 1);
	for (unsigned i = 0; i < BORN; i++)
		if (pthread_create(&thread, NULL, be_born, NULL) || pthread_join(thread, NULL))
			return 1;
	__atomic_store_n(&c->ready, 1, __ATOMIC_RELEASE);
	cast_wait(c, 2);
	return 0;
}

static const struct ks_stats_sched *row_of(const struct ks_stats *stats, uint16_t by,
					   unsigned flags)
{
	for (size_t i = 0; i < stats->n_rows; i++) {
		const struct ks_stats_sched *row = ks_stats_row(stats, i);

		if (row->row.by == by && (row->row.flags & KS_ROW_REST) == flags)
			return row;
	}
	return NULL;
}

static void first_wakeups(struct kt *t)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_sched *row, *rest;
	struct ks_stats_self ledger;
	struct ks_reader *reader;
	struct cast *c;
	struct work w;

	work_start(&w, bear);
	c = w.page;
	work_go(&w);
	cast_all_asleep(&w, c, 1);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, NULL, 0);
	reader = cast_reader(t, KS_BY_PROCESS);
	cast_next(c);
	cast_all_asleep(&w, c, 1);
	/* so far the library has looked at the main thread at most */
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.opened, <=, 1);
	g_assert_cmpuint(ledger.aggregated, >=, 2 * BORN);
	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	row = row_of(&stats, KS_BY_PROCESS, 0);
	rest = row_of(&stats, KS_BY_PROCESS, KS_ROW_REST);
	g_assert_nonnull(row);
	g_assert_nonnull(rest);
	g_assert_cmpuint(row->row.key, ==, (uint64_t)w.pid);
	g_assert_cmpuint(row->wakeups, >=, BORN);
	g_assert_cmpuint(rest->wakeups, ==, 0);
	g_assert_cmpuint(rest->voluntary + rest->preempted, ==, 0);
	g_assert_cmpuint(rest->runq_ns.sum + rest->oncpu_ns.sum + rest->offcpu_ns.sum, ==, 0);
	cast_next(c);
	work_wait(&w);
	g_assert_cmpint(w.status, ==, 0);
	ks_reader_free(reader);
	work_free(&w);
}

/* ---- states of sleep ------------------------------------------------------------------------- */

#define TURNS ks_test_volume(30000, 2000)

static void *answer(void *arg)
{
	struct cast *c = arg;
	char byte;

	work_pin(1);
	while (read(c->pipes[0][0], &byte, 1) == 1 && byte)
		if (write(c->pipes[1][1], &byte, 1) != 1)
			break;
	return NULL;
}

/* On two CPUs: the other thread wakes a thread that is just about to sleep. */
static int ping_pong(void *page)
{
	struct cast *c = page;
	pthread_t thread;
	char byte = 1;
	int bad = pipe(c->pipes[0]) || pipe(c->pipes[1]);

	if (bad || pthread_create(&thread, NULL, answer, c))
		return 1;
	work_pin(0);
	for (unsigned i = 0; i < TURNS && !bad; i++)
		bad = write(c->pipes[0][1], &byte, 1) != 1 || read(c->pipes[1][0], &byte, 1) != 1;
	byte = 0;
	bad |= write(c->pipes[0][1], &byte, 1) != 1;
	pthread_join(thread, NULL);
	return bad;
}

static void states(struct kt *t)
{
	const struct ks_param every[] = { { .id = KS_SCHED_PARAM_BLOCK_NS, .value = 1 },
					  { .id = KS_SCHED_PARAM_WAIT_NS, .value = 0 },
					  { .id = KS_PARAM_MAX_PER_SEC, .value = 0 } };
	const struct ks_event_sched_block *rec;
	int passed = cast_state_passed();
	size_t at = 0, known = 0, n = 0;
	struct work w;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		g_test_skip("needs two CPUs: on one, no thread is woken while it goes to sleep");
		return;
	}
	work_start(&w, ping_pong);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, every, G_N_ELEMENTS(every));
	work_go(&w);
	while (!waitpid(w.pid, &w.status, WNOHANG))
		kt_drain(t);
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	while ((rec = kt_next(t, KS_EVENT_SCHED_BLOCK, &at))) {
		cast_check_state(rec, passed);
		known += !!(rec->valid & KS_HAS_SCHED_SLEEP);
		n++;
	}
	g_test_message("%zu sleeps, %zu of known state", n, known);
	g_assert_cmpuint(n, >, TURNS / 10);
	g_assert_cmpuint(known, >=, n * 9 / 10);
	work_free(&w);
}

/* ---- invisible threads ----------------------------------------------------------------------- */

static void must(int ok)
{
	if (!ok)
		g_error("%s", strerror(errno));
}

static void spin(uint64_t ns)
{
	uint64_t until = work_now() + ns;

	work_pin(0);
	while (work_now() < until)
		;
}

/* A thread outside the pid namespace shares the CPU. */
static void beside_stranger(struct kt *outer)
{
	const struct ks_param every = { .id = KS_SCHED_PARAM_WAIT_NS, .value = 1 };
	struct kt t = { .probe = outer->probe, .variant = outer->variant, .over = outer->over };
	const struct ks_event_sched_wait *rec;
	unsigned hidden = 0;
	size_t at = 0;

	must(unshare(CLONE_NEWNS) == 0 && mount("proc", "/proc", "proc", 0, NULL) == 0);
	ks_assert_rc(ks_open(NULL, &t.ks), 0);
	kt_enable(&t, &every, 1);
	spin(300 * MS);
	kt_disable(&t);
	kt_drain(&t);
	while ((rec = kt_next(&t, KS_EVENT_SCHED_WAIT, &at))) {
		g_assert_cmpint(rec->ev.pid, ==, 1);
		if (rec->valid & KS_HAS_SCHED_CULPRIT) {
			/* the thread itself, or the idle task */
			g_assert_cmpint(rec->held_pid == 0, ==,
					g_str_has_prefix(rec->held_comm, "swapper"));
			continue;
		}
		g_assert_cmpuint(rec->valid, ==, KS_HAS_SCHED_RUNQ);
		g_assert_cmpint(rec->held_pid, ==, 0);
		g_assert_cmpint(rec->held_tid, ==, 0);
		g_assert_cmpuint(rec->held_cgroup, ==, 0);
		for (size_t i = 0; i < sizeof(rec->held_comm); i++)
			g_assert_cmpint(rec->held_comm[i], ==, 0);
		hidden++;
	}
	g_assert_cmpuint(hidden, >, 0);
	ks_close(t.ks);
}

static void in_namespace(struct kt *t)
{
	pid_t pid, stranger;
	int status;

	stranger = fork();
	if (stranger == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		spin(60000ull * MS);
		_exit(0);
	}
	must(unshare(CLONE_NEWPID) == 0);
	pid = fork();
	if (pid == 0) {
		beside_stranger(t);
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid);
	kill(stranger, SIGKILL);
	waitpid(stranger, NULL, 0);
	g_assert_cmpint(status, ==, 0);
}

static void invisible(struct kt *t)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		in_namespace(t);
		_exit(0);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
	kt_enable(t, NULL, 0); /* outside the namespace nothing has changed */
}

static void add(void)
{
	kt_add(KS_PROBE_SCHED, "first-wakeups", KT_FEATURES | KT_RAW, first_wakeups);
	kt_add(KS_PROBE_SCHED, "states", 0, states);
	kt_add(KS_PROBE_SCHED, "invisible", 0, invisible);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
