/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a variant whose programs find tasks by address works whatever was loaded before it, a
 * tree or all probes, as long as no program has counted in task storage; that it then counts
 * exactly beside other probes; and that it is refused with its reason if one has. And that a task
 * does not count as an earlier one that had its address.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kernelsight/kernelsight.h>

#include "bpf/shared.h"
#include "support/ks_test.h"
#include "support/map_named.h"
#include "support/sums.h"

#define NAPS 50

static struct ks *opened(void)
{
	struct ks *ks = NULL;

	ks_assert_rc(ks_open(NULL, &ks), 0);
	return ks;
}

static int enable(struct ks *ks, uint32_t probe, const char *variant)
{
	struct ks_enable_opts opts = { .size = sizeof(opts), .variant = variant };

	return ks_enable_probe(ks, probe, &opts);
}

/*
 * True if this kernel has BTF tracing and task storage. Without them all programs find tasks by
 * address.
 */
static int has_both(struct ks *ks)
{
	struct ks_variant_info info = { .size = sizeof(info) };

	if (!ks_test_root())
		return 0;
	for (uint32_t i = 0; i < 2; i++) {
		ks_assert_ok(ks, ks_query_variant(ks, KS_PROBE_SCHED, i, &info));
		if (!info.error)
			continue;
		g_test_skip(info.reason);
		return 0;
	}
	g_assert_cmpstr(info.name, ==, "raw_tp");
	return 1;
}

static void is_by(struct ks *ks, uint32_t probe, const char *variant)
{
	struct ks_probe_info info = { .size = sizeof(info) };

	ks_assert_ok(ks, ks_query_probe(ks, probe, &info));
	g_assert_cmpstr(info.variant_name, ==, variant);
	g_assert_cmpuint(info.state, ==, KS_STATE_ON);
}

/*
 * A child that naps n times has n voluntary switches, and one more at its end, which wait4() does
 * not count. *ret_most: with that one.
 */
static uint64_t naps(struct ks *ks, uint64_t *ret_most)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_PIDS, .n_pids = 1 };
	const struct ks_stats_sched *row;
	struct ks_reader *reader;
	struct rusage usage;
	int go[2], status;
	uint64_t before;
	char c = 0;
	pid_t pid;

	g_assert_cmpint(pipe(go), ==, 0);
	pid = fork();
	if (pid == 0) {
		if (read(go[0], &c, 1) != 1)
			_exit(1);
		for (unsigned i = 0; i < NAPS; i++)
			usleep(100);
		_exit(0);
	}
	scope.pids = &pid;
	ks_assert_ok(ks, ks_set_scope(ks, &scope));
	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_SCHED, NULL, &reader));
	ks_assert_ok(ks, ks_read_stats(reader, &stats));
	row = ks_stats_row(&stats, 0);
	before = row->voluntary;
	g_assert_cmpint((int)write(go[1], &c, 1), ==, 1);
	g_assert_cmpint(wait4(pid, &status, 0, &usage), ==, pid);
	*ret_most = (uint64_t)usage.ru_nvcsw + 1;
	g_assert_cmpint(status, ==, 0);
	ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_SCHED));
	ks_assert_ok(ks, ks_read_stats(reader, &stats));
	row = ks_stats_row(&stats, 0);
	before = row->voluntary - before;
	ks_reader_free(reader);
	close(go[0]);
	close(go[1]);
	return before;
}

static void works(struct ks *ks)
{
	uint64_t n, most;

	ks_assert_ok(ks, enable(ks, KS_PROBE_SCHED, "raw_tp"));
	ks_assert_ok(ks, enable(ks, KS_PROBE_PROC, NULL));
	is_by(ks, KS_PROBE_PROC, "tp_btf");
	is_by(ks, KS_PROBE_SCHED, "raw_tp");
	n = naps(ks, &most);
	g_assert_cmpuint(n, >=, NAPS);
	g_assert_cmpuint(n, <=, most);
	ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_PROC));
	ks_assert_ok(ks, ks_ledger_check(ks, KS_PROBE_PROC));
	ks_close(ks);
}

static void test_after_tree(void)
{
	struct ks_scope tree = { .size = sizeof(tree), .kind = KS_SCOPE_TREE };
	struct ks *ks = opened();

	if (has_both(ks)) {
		ks_assert_ok(ks, ks_set_scope(ks, &tree));
		works(ks);
	} else {
		ks_close(ks);
	}
}

static void test_after_prepare(void)
{
	struct ks_variant_info info = { .size = sizeof(info) };
	struct ks *ks = opened();

	if (!has_both(ks)) {
		ks_close(ks);
		return;
	}
	ks_assert_ok(ks, ks_prepare(ks, NULL, 0));
	ks_assert_ok(ks, ks_query_variant(ks, KS_PROBE_SCHED, 1, &info));
	g_assert_cmpint(info.error, ==, 0);
	g_assert_cmpstr(info.reason, ==, "");
	works(ks);
}

/* Before Linux 5.11 programs have no task storage: then all of them find tasks by address. */
static int has_storage(struct ks *ks)
{
	char text[65536];

	g_assert_cmpint(ks_check(ks, KS_JSON, text, sizeof(text)), >, 0);
	return strstr(text, "{\"name\":\"task_storage\",\"works\":true") != NULL;
}

/* The variant is refused again and again. The best one goes on as before. */
static void test_after_count(void)
{
	struct ks *ks = opened();
	char why[400];

	if (!has_both(ks) || !has_storage(ks)) {
		g_test_skip("no variant uses task storage here");
		ks_close(ks);
		return;
	}
	ks_assert_ok(ks, enable(ks, KS_PROBE_SCHED, "tp_btf"));
	ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_SCHED));
	for (unsigned i = 0; i < 2; i++) {
		ks_assert_rc(enable(ks, KS_PROBE_SCHED, "raw_tp"), -KS_EUNAVAIL);
		g_assert_cmpint(ks_last_error(ks, why, sizeof(why)), >, 0);
		g_assert_nonnull(strstr(why, "knows tasks only by address"));
	}
	ks_assert_ok(ks, enable(ks, KS_PROBE_SCHED, NULL));
	is_by(ks, KS_PROBE_SCHED, "tp_btf");
	ks_close(ks);
}

/* ---- addresses used again -------------------------------------------------------------------- */

#define CHILDREN 500
#define GRACES 200

static void wait_grace(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		g_usleep(10000);
}

static int is_there(int fd, uint64_t key, struct ks_bpf_who *ret)
{
	return !bpf_map_lookup_elem(fd, &key, ret);
}

/* Finds what is stored with the first thread of a process. Returns its key. */
static uint64_t stored(pid_t pid, struct ks_bpf_who *ret)
{
	struct bpf_map_info info;
	int slots = map_named("ks_threads", &info), hash = map_named("ks_who_hash", &info);
	struct ks_bpf_thread thread;
	uint64_t key, *last = NULL;

	map_named("ks_cpus", &info); /* rows of CPUs come before those of threads */
	while (!bpf_map_get_next_key(hash, last, &key)) {
		uint32_t slot;

		last = &key;
		if (!is_there(hash, key, ret) || ret->row < info.max_entries)
			continue;
		slot = ret->row - info.max_entries;
		if (!bpf_map_lookup_elem(slots, &slot, &thread) && (pid_t)thread.tid == pid)
			return key;
	}
	g_assert_not_reached();
}

/* A child that has ended and is not reaped yet. */
static pid_t zombie(void)
{
	pid_t pid = fork();
	siginfo_t info;

	if (pid == 0)
		_exit(0);
	g_assert_cmpint(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), ==, 0);
	return pid;
}

static uint64_t exits_of(struct ks_reader *reader, pid_t pid)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_proc *row;

	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	row = (const void *)sums_row(&stats, KS_BY_PROCESS, (uint64_t)pid);
	return row ? row->process_exits : 0;
}

/*
 * A kernel may leave out the run that sees a task go, and its entry stays. Here the test puts the
 * entry of a dead child back. The next task at that address is another one all the same.
 */
static void test_again(void)
{
	struct ks_open_opts opts = { .size = sizeof(opts),
				     .features_off = KS_FEATURE_TASK_STORAGE };
	struct ks_scope tree = { .size = sizeof(tree), .kind = KS_SCOPE_TREE };
	struct ks_reader_opts by = { .size = sizeof(by), .by = KS_BY_PROCESS };
	struct ks_bpf_who stale, now;
	struct ks_reader *reader;
	struct bpf_map_info info;
	pid_t first, pid = 0;
	uint64_t key;
	struct ks *ks;
	int hash, n;

	if (!ks_test_root())
		return;
	ks_assert_rc(ks_open(&opts, &ks), 0);
	ks_assert_ok(ks, ks_set_scope(ks, &tree));
	ks_assert_ok(ks, enable(ks, KS_PROBE_PROC, NULL));
	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_PROC, &by, &reader));
	first = zombie();
	key = stored(first, &stale);
	hash = map_named("ks_who_hash", &info);
	g_assert_cmpint(waitpid(first, NULL, 0), ==, first);
	for (n = 0; n < GRACES && is_there(hash, key, &now); n++)
		wait_grace(); /* the kernel frees the task; it may really leave out the run */
	g_assert_cmpint(bpf_map_update_elem(hash, &key, &stale, BPF_ANY), ==, 0);
	for (n = 0; n < CHILDREN && is_there(hash, key, &now) && now.row == stale.row; n++) {
		pid = zombie();
		g_assert_cmpuint(exits_of(reader, pid), ==, 1);
		g_assert_cmpuint(exits_of(reader, first), ==, 1);
		g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	}
	g_assert_cmpint(n, >, 0);
	if (n == CHILDREN)
		g_test_skip("no task got the address of the first one");
	ks_reader_free(reader);
	ks_close(ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/storage/after-tree", test_after_tree);
	g_test_add_func("/storage/after-prepare", test_after_prepare);
	g_test_add_func("/storage/after-count", test_after_count);
	g_test_add_func("/storage/again", test_again);
	return g_test_run();
}
