/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows what `fadvise` makes of edges: the descriptor behind the last one, a call that lasts
 * exactly as long as the limit, a call during which the scope changes, and calls of the self-test.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/harness.h"

#define TRIES 10

static const struct ks_param every_call[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 } };

/* ---- descriptors ----------------------------------------------------------------------------- */

#define TABLES 64
#define TABLE_SIZE 512 /* of a table with the descriptor 511 */

/*
 * The tables of many processes lie next to each other in memory: behind the last descriptor of one
 * is often the first one of another.
 */
static int call_past_tables(void *page)
{
	int status, bad = 0;
	pid_t pid[TABLES];
	unsigned i;

	(void)page;
	for (i = 0; i < TABLES; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		bad = dup2(0, TABLE_SIZE - 1) < 0;
		raise(SIGSTOP);
		posix_fadvise(TABLE_SIZE - 1, 0, 0, POSIX_FADV_NORMAL);
		posix_fadvise(TABLE_SIZE, 0, 0, POSIX_FADV_NORMAL);
		_exit(bad);
	}
	for (i = 0; i < TABLES; i++)
		bad |= waitpid(pid[i], &status, WUNTRACED) < 0 || !WIFSTOPPED(status);
	for (i = 0; i < TABLES; i++) {
		kill(pid[i], SIGCONT);
		bad |= waitpid(pid[i], &status, 0) < 0 || status;
	}
	return bad;
}

/* The last descriptor of a table has a file, and the one behind it has none. */
static void past_table(struct kt *t)
{
	const struct ks_event_fadvise_call *ev;
	unsigned last = 0, past = 0;
	struct work w;
	size_t at = 0;

	work_start(&w, call_past_tables);
	kt_watch(t, KS_SCOPE_TREE, w.pid);
	kt_enable(t, every_call, 1);
	work_run(&w);
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	while ((ev = kt_next(t, KS_EVENT_FADVISE_CALL, &at))) {
		g_assert_cmpint(!!(ev->valid & KS_HAS_FADVISE_FILE), ==, ev->fd < TABLE_SIZE);
		last += ev->fd == TABLE_SIZE - 1;
		past += ev->fd == TABLE_SIZE;
	}
	g_assert_cmpuint(last, ==, TABLES);
	g_assert_cmpuint(past, ==, TABLES);
	work_free(&w);
}

/* ---- the limit ------------------------------------------------------------------------------- */

/* Has a child make 10,000 calls. Returns how many of the records are of this duration. */
static unsigned last_for(struct kt *t, uint64_t slow_ns, uint64_t sample_every, uint64_t ns)
{
	const struct ks_param params[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = slow_ns },
					   { .id = KS_PARAM_SAMPLE_EVERY, .value = sample_every },
					   { .id = KS_PARAM_MAX_PER_SEC, .value = 0 } };
	const struct ks_event_fadvise_call *ev;
	unsigned n = 0;
	struct work w;
	size_t at = 0;

	kt_forget(t);
	work_start(&w, fad_many);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, params, G_N_ELEMENTS(params));
	work_run(&w);
	kt_settle(t);
	work_free(&w);
	while ((ev = kt_next(t, KS_EVENT_FADVISE_CALL, &at))) {
		g_assert_cmpuint(ev->duration_ns, >=, slow_ns);
		n += ev->duration_ns == ns;
	}
	return n;
}

/* The most frequent duration of the records read. */
static uint64_t usual_duration(const struct kt *t)
{
	const struct ks_event_fadvise_call *ev;
	unsigned n[10000] = { 0 }, best = 1;
	size_t at = 0;

	while ((ev = kt_next(t, KS_EVENT_FADVISE_CALL, &at)))
		if (ev->duration_ns < G_N_ELEMENTS(n))
			n[ev->duration_ns]++;
	for (unsigned i = 1; i < G_N_ELEMENTS(n); i++)
		if (n[i] > n[best])
			best = i;
	return best;
}

/* Calls that last exactly as long as the limit are slow. It takes a few tries to see one. */
static void at_threshold(struct kt *t)
{
	unsigned seen = 0;

	if (kt_emulated()) {
		g_test_skip("no two calls of an emulated machine last equally long");
		return;
	}
	for (int i = 0; i < 4 * TRIES && !seen; i++) {
		uint64_t ns;

		last_for(t, 0, 1, 0);
		g_assert_cmpuint(t->n, ==, FAD_MANY);
		ns = usual_duration(t);
		seen = last_for(t, ns, 0, ns);
	}
	g_assert_cmpuint(seen, >, 0);
}

/* ---- changes of the scope within a call ------------------------------------------------------ */

#define LINGER (64 << 20)

struct linger {
	uint32_t begins, ended;
};

/* Stops, and then makes a call that drops many pages. They come from a hole, without the disk. */
static int linger(void *page)
{
	static char data[1 << 20];
	struct linger *l = page;
	int fd = work_file(), i;

	if (fd < 0 || ftruncate(fd, LINGER) || posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM))
		return 1;
	for (i = 0; i < LINGER >> 20; i++)
		if (pread(fd, data, sizeof(data), (off_t)i << 20) != sizeof(data))
			return 1;
	raise(SIGSTOP);
	__atomic_store_n(&l->begins, 1, __ATOMIC_RELEASE);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	__atomic_store_n(&l->ended, 1, __ATOMIC_RELEASE);
	return 0;
}

/*
 * Has a child make its call, which begins in the scope of `from`, and sets the scope to `to` before
 * the call ends; 0: the child. Returns 0 if the call was over too early, or if there is no disk.
 */
static int call_across(struct kt *t, pid_t from, pid_t to, struct ks_stats_self *ret_before)
{
	struct ks_stats_self ledger;
	const struct linger *l;
	struct work w;
	int within;

	work_start(&w, linger);
	l = w.page;
	kt_watch(t, KS_SCOPE_PIDS, getpid());
	work_go(&w);
	g_assert_cmpint(waitpid(w.pid, &w.status, WUNTRACED), ==, w.pid);
	if (!WIFSTOPPED(w.status)) {
		work_free(&w);
		return 0;
	}
	kt_watch(t, KS_SCOPE_PIDS, from ? from : w.pid);
	kt_ledger(t, ret_before);
	kill(w.pid, SIGCONT);
	do
		kt_ledger(t, &ledger);
	while (from ? !__atomic_load_n(&l->begins, __ATOMIC_ACQUIRE) :
		      ledger.opened == ret_before->opened);
	kt_watch(t, KS_SCOPE_PIDS, to ? to : w.pid);
	within = !__atomic_load_n(&l->ended, __ATOMIC_ACQUIRE);
	work_wait(&w);
	work_free(&w);
	return within;
}

/*
 * A call counts if it began in scope. If it ends in scope only, it is unmatched; that it may have
 * ended a moment before the scope changed takes another try.
 */
static void scope_moves(struct kt *t)
{
	struct ks_stats_self before, ledger;
	int within = 0, unmatched = 0;

	kt_enable(t, every_call, 1);
	for (int i = 0; i < TRIES && !within; i++)
		within = call_across(t, 0, getpid(), &before);
	kt_ledger(t, &ledger);
	if (within) {
		g_assert_cmpuint(ledger.opened, ==, before.opened + 1);
		g_assert_cmpuint(ledger.submitted, ==, before.submitted + 1);
	}
	g_assert_cmpuint(ledger.unmatched, ==, 0);
	for (int i = within = 0; i < TRIES && !unmatched; i++) {
		if (!call_across(t, getpid(), 0, &before))
			continue;
		kt_ledger(t, &ledger);
		if (ledger.opened != before.opened) /* it began after the scope had changed */
			continue;
		within = 1;
		unmatched = (int)(ledger.unmatched - before.unmatched);
		g_assert_cmpuint(ledger.submitted, ==, before.submitted);
	}
	if (within)
		g_assert_cmpint(unmatched, ==, 1);
	else
		g_test_skip("no call lasted until the scope was changed");
}

/* ---- the self-test --------------------------------------------------------------------------- */

/* The end of a call is marked as its begin was. */
static void selftest(struct kt *t)
{
	kt_enable(t, every_call, 1);
	ks_assert_ok(t->ks, ks_selftest(t->ks, t->probe, NULL));
	kt_settle(t);
	g_assert_cmpuint(t->n, >, 0);
	for (size_t i = 0; i < t->n; i++)
		g_assert_cmpuint(t->records[i]->flags, ==, KS_FLAG_SELFTEST);
}

static void add(void)
{
	kt_add(KS_PROBE_FADVISE, "selftest", 0, selftest);
	kt_add(KS_PROBE_FADVISE, "past-table", KT_BEST, past_table);
	kt_add(KS_PROBE_FADVISE, "at-threshold", KT_BEST, at_threshold);
	kt_add(KS_PROBE_FADVISE, "scope-moves", 0, scope_moves);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
