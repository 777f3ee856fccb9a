/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the file-based fallbacks count by scope at any depth of process trees and cgroups,
 * keep remainders, see processes that end between two reads, say which scopes they cannot serve,
 * and report a procfs that hides processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>

#include "data/rows.h"
#include "files/facts.h"
#include "files/member.h"
#include "files/scan.h"
#include "ks.h"
#include "support/fake_proc.h"
#include "support/counters.h"
#include "support/ks_test.h"

/* ---- a scan over a /proc of plain files ------------------------------------------------------ */

static char *root;
static const struct ks__probe *probe;
static const struct ks__scan *scan;
static void *state;
static int32_t pids[1];
static struct ks__scope scope;
static struct ks__settings set;
static struct ks__tally tally;
static struct ks__queue queue;
static struct ks__look look;

static void put(const char *text, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void put(const char *text, const char *format, ...)
{
	char *name, *path, *folder;
	va_list args;

	va_start(args, format);
	name = g_strdup_vprintf(format, args);
	va_end(args);
	path = g_build_filename(root, name, NULL);
	folder = g_path_get_dirname(path);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_free(folder);
	g_free(path);
	g_free(name);
}

static void begin(uint32_t id, uint32_t kind)
{
	root = g_dir_make_tmp("ks-fallbacks-XXXXXX", NULL);
	probe = ks__probe_by_id(id);
	scan = probe->fallback->scan;
	scope = (struct ks__scope){ .kind = kind, .pids = pids, .n_pids = kind == KS_SCOPE_TREE };
	set = (struct ks__settings){ .generation = 1, .sample_every = 1 };
	tally = (struct ks__tally){ .random = 1 };
	tally.block = g_new0(uint64_t, ks__rows_words(probe->stats));
	ks_assert_rc(ks__queue_init(&queue, 4096), 0);
	look = (struct ks__look){
		.proc_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC),
		.self = 100,
		.scope = &scope,
		.set = &set,
		.tally = &tally,
		.queue = &queue,
	};
	ks_assert_rc(scan->open(probe, &state), 0);
}

static void end(void)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", root, NULL };

	scan->close(state);
	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
	close(look.proc_fd);
	ks__queue_free(&queue);
	g_free(tally.block);
	g_free(root);
}

static uint64_t counted(const char *field)
{
	return tally.block[ks__rows_word(probe->stats, field)];
}

/* ---- sched: a deep tree ---------------------------------------------------------------------- */

static void show_thread(int pid, int ppid, unsigned switches)
{
	char *stat = g_strdup_printf("%d (a) S %d 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0 1 0 "
				     "1 0 0\n",
				     pid, ppid);
	char *status = g_strdup_printf("voluntary_ctxt_switches:\t%u\n"
				       "nonvoluntary_ctxt_switches:\t%u\n",
				       switches, 3 * switches);
	char *times = g_strdup_printf("%u %u 1\n", 1000 * switches, 10 * switches);

	put(stat, "%d/stat", pid);
	put(stat, "%d/task/%d/stat", pid, pid);
	put(status, "%d/task/%d/status", pid, pid);
	put(times, "%d/task/%d/schedstat", pid, pid);
	g_free(times);
	g_free(status);
	g_free(stat);
}

/* Only the process that the scope was given counts, and not a later one with its pid. */
static void test_reused(void)
{
	static const uint32_t kinds[] = { KS_SCOPE_PIDS, KS_SCOPE_TREE };
	static const uint64_t starts[] = { 0, 5, 6, UINT64_MAX }; /* show_thread(): 5 */

	for (size_t i = 0; i < 2 * G_N_ELEMENTS(starts); i++) {
		begin(KS_PROBE_SCHED, kinds[i % 2]);
		scope.n_pids = 1;
		pids[0] = 1000;
		look.starts = &starts[i / 2];
		for (unsigned turn = 1; turn <= 2; turn++) {
			show_thread(1000, 1, turn * 2);
			ks_assert_rc(scan->look(state, &look), 0);
		}
		g_assert_cmpuint(counted("voluntary"), ==, i / 2 < 2 ? 2 : 0);
		end();
	}
}

/* A tree of 200 levels, deepest process first, and one process outside the tree. */
static void test_deep(void)
{
	begin(KS_PROBE_SCHED, KS_SCOPE_TREE);
	pids[0] = 1000;
	for (unsigned turn = 1; turn <= 2; turn++) {
		show_thread(1, 0, turn * 7);
		for (int pid = 801; pid <= 1000; pid++)
			show_thread(pid, pid == 1000 ? 1 : pid + 1, turn * 2);
		ks_assert_rc(scan->look(state, &look), 0);
	}
	g_assert_cmpuint(counted("voluntary"), ==, 200 * 2);
	g_assert_cmpuint(counted("preempted"), ==, 200 * 6);
	g_assert_cmpuint(counted("oncpu_ns"), ==, 200 * 2000);
	g_assert_cmpuint(counted("runq_ns"), ==, 200 * 20);
	end();
}

/* A process in a tree stays in it when its parents have ended. */
static void test_orphan(void)
{
	begin(KS_PROBE_SCHED, KS_SCOPE_TREE);
	pids[0] = 1000;
	show_thread(1000, 1, 1);
	show_thread(1001, 1000, 1);
	show_thread(1002, 1, 1);
	ks_assert_rc(scan->look(state, &look), 0);
	show_thread(1001, 1, 5);
	show_thread(1002, 1, 5);
	ks_assert_rc(scan->look(state, &look), 0);
	g_assert_cmpuint(counted("voluntary"), ==, 4);
	end();
}

/*
 * A thread that calls exec gets the tid of the first thread, with counts of its own: more time on
 * the CPU and fewer switches. No count falls.
 */
static void test_exec(void)
{
	begin(KS_PROBE_SCHED, KS_SCOPE_SYSTEM);
	show_thread(1000, 1, 1000);
	ks_assert_rc(scan->look(state, &look), 0);
	show_thread(1000, 1, 3);
	put("9000000 90000 1\n", "1000/task/1000/schedstat");
	ks_assert_rc(scan->look(state, &look), 0);
	g_assert_cmpuint(counted("voluntary"), ==, 0);
	g_assert_cmpuint(counted("preempted"), ==, 0);
	g_assert_cmpuint(counted("oncpu_ns"), ==, 0);
	show_thread(1000, 1, 5);
	put("9000007 90000 1\n", "1000/task/1000/schedstat");
	ks_assert_rc(scan->look(state, &look), 0);
	g_assert_cmpuint(counted("voluntary"), ==, 2);
	g_assert_cmpuint(counted("oncpu_ns"), ==, 7);
	end();
}

/* Processes whose files cannot be opened for want of a descriptor have not ended. */
static void test_no_descriptor(void)
{
	struct rlimit before;

	begin(KS_PROBE_SCHED, KS_SCOPE_SYSTEM);
	show_thread(1000, 1, 1);
	ks_assert_rc(scan->look(state, &look), 0);
	g_assert_cmpint(counters_spare_descriptors(1, &before), ==,
			0); /* for the folder, none for a file in it */
	ks_assert_rc(scan->look(state, &look), -EMFILE);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	show_thread(1000, 1, 4);
	ks_assert_rc(scan->look(state, &look), 0);
	g_assert_cmpuint(counted("voluntary"), ==, 3);
	end();
}

/* ---- vmstat: remainders and scopes ----------------------------------------------------------- */

static void test_remainder(void)
{
	begin(KS_PROBE_PAGECACHE, KS_SCOPE_SYSTEM);
	put("pgpgin 100\npswpin 0\n", "vmstat");
	ks_assert_rc(scan->look(state, &look), 0);
	put("pgpgin 103\npswpin 0\n", "vmstat");
	ks_assert_rc(scan->look(state, &look), 0);
	g_assert_cmpuint(counted("readin_pages"), ==, 0);
	put("pgpgin 106\npswpin 0\n", "vmstat");
	ks_assert_rc(scan->look(state, &look), 0);
	g_assert_cmpuint(counted("readin_pages"), ==, 1);
	put("pgpgin 108\npswpin 0\n", "vmstat");
	ks_assert_rc(scan->look(state, &look), 0);
	g_assert_cmpuint(counted("readin_pages"), ==, 2);
	end();
}

static void test_vmstat_scope(void)
{
	begin(KS_PROBE_PAGECACHE, KS_SCOPE_SYSTEM);
	g_assert_null(scan->no_scope(&scope));
	scope.has_comm = 1;
	g_assert_nonnull(scan->no_scope(&scope));
	scope.has_comm = 0;
	scope.has_exclude = 1;
	g_assert_nonnull(scan->no_scope(&scope));
	scope.has_exclude = 0;
	for (uint32_t kind = KS_SCOPE_SELF; kind < KS_SCOPE_SYSTEM; kind++) {
		scope.kind = kind;
		g_assert_nonnull(scan->no_scope(&scope));
		ks_assert_rc(scan->look(state, &look), -KS_EUNAVAIL);
	}
	end();
}

/* Through the public calls: the reason is the scope, both before and after the probe is enabled. */
static void test_vmstat_reason(void)
{
	const char *want = "vmstat counts the whole machine: it serves the scope KS_SCOPE_SYSTEM, "
			   "without comm and exclude_comm, and no other";
	const struct ks_enable_opts opts = { .size = sizeof(opts), .variant = "vmstat" };
	struct ks_scope wide = { .size = sizeof(wide), .kind = KS_SCOPE_SYSTEM };
	struct ks_variant_info v = { .size = sizeof(v) };
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_reader *reader;
	char text[512];
	uint32_t n = 0;
	struct ks *ks;

	ks_assert_rc(ks_open(NULL, &ks), 0);
	while (!ks_query_variant(ks, KS_PROBE_PAGECACHE, n, &v) && strcmp(v.name, "vmstat"))
		n++;
	g_assert_cmpstr(v.name, ==, "vmstat");
	g_assert_cmpint(v.error, ==, -KS_EUNAVAIL);
	g_assert_cmpstr(v.reason, ==, want);
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PAGECACHE, &opts), -KS_EUNAVAIL);
	ks_last_error(ks, text, sizeof(text));
	g_assert_nonnull(strstr(text, want));

	ks_assert_rc(ks_set_scope(ks, &wide), 0);
	ks_assert_rc(ks_query_variant(ks, KS_PROBE_PAGECACHE, n, &v), 0);
	g_assert_cmpint(v.error, ==, 0);
	g_assert_cmpstr(v.reason, ==, "");
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PAGECACHE, &opts), 1);
	ks_assert_rc(ks_reader_new(ks, KS_PROBE_PAGECACHE, NULL, &reader), 0);
	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	wide.comm = "postgres";
	ks_assert_rc(ks_set_scope(ks, &wide), 0);
	ks_assert_rc(ks_read_stats(reader, &stats), -KS_EUNAVAIL);
	ks_last_error(ks, text, sizeof(text));
	g_assert_cmpstr(text, ==, want);
	ks_reader_free(reader);
	ks_close(ks);
}

/* ---- cgroups --------------------------------------------------------------------------------- */

static int below(const char *cgroup)
{
	return ks__member_below(look.proc_fd, 100, cgroup);
}

static void test_siblings(void)
{
	begin(KS_PROBE_PROC, KS_SCOPE_SYSTEM);
	put("4:cpu:/x\n3:memory:/ab/c\n0::/z\n", "100/cgroup");
	g_assert_cmpint(below("/a"), ==, 0);
	g_assert_cmpint(below("/ab"), ==, 1);
	g_assert_cmpint(below("/ab/"), ==, 0);
	g_assert_cmpint(below("/ab/c"), ==, 1);
	g_assert_cmpint(below("/ab/cd"), ==, 0);
	g_assert_cmpint(below("/ab/c/d"), ==, 0);
	g_assert_cmpint(below("/b"), ==, 0);
	g_assert_cmpint(below("/"), ==, 1);
	g_assert_cmpint(below("/z"), ==, 0);
	end();
}

/* Paths of the kernel's maximal length, with the memory controller last of a dozen. */
static void test_deep_cgroup(void)
{
	GString *path = g_string_new("/top"), *text = g_string_new("");

	while (path->len < 4000)
		g_string_append(path, "/a");
	for (int i = 1; i <= 12; i++)
		g_string_append_printf(text, "%d:cpu%d:%s\n", i, i, path->str);
	g_string_append_printf(text, "13:memory:%s\n", path->str);
	begin(KS_PROBE_PROC, KS_SCOPE_SYSTEM);
	put(text->str, "100/cgroup");
	g_assert_cmpint(below("/top"), ==, 1);
	g_assert_cmpint(below("/to"), ==, 0);
	g_assert_cmpint(below(path->str), ==, 1);
	end();
	g_string_free(text, TRUE);
	g_string_free(path, TRUE);
}

/* ---- the queue ------------------------------------------------------------------------------- */

static void put_event(uint16_t id, uint16_t size)
{
	union {
		struct ks_event ev;
		char bytes[KS__QUEUE_RECORD_MAX];
	} record = { .ev = { .size = size, .id = id } };

	ks__queue_put(&queue, &record.ev);
}

/* A lost-records event names the probe. If several probes lost records, it names none. */
static void test_holes(void)
{
	union {
		struct ks_event ev;
		struct ks_event_lost lost;
		char bytes[KS__QUEUE_RECORD_MAX];
	} got;

	ks_assert_rc(ks__queue_init(&queue, 256), 0);
	put_event(0x101, 200);
	put_event(0x101, 200);
	put_event(0x301, 200);
	put_event(0x101, 200);
	ks__queue_throttle(&queue, 2);
	ks__queue_throttle(&queue, 2);
	g_assert_cmpint(ks__queue_take(&queue, 5, &got.ev), ==, 1);
	g_assert_cmpuint(got.ev.id, ==, 0x101);
	g_assert_cmpint(ks__queue_take(&queue, 5, &got.ev), ==, 1);
	g_assert_cmpuint(got.ev.id, ==, KS_EVENT_LOST);
	g_assert_cmpuint(got.lost.lost, ==, 3);
	g_assert_cmpuint(got.lost.reason, ==, KS_LOST_RING);
	g_assert_cmpuint(got.lost.probe, ==, UINT32_MAX);
	g_assert_cmpint(ks__queue_take(&queue, 5, &got.ev), ==, 1);
	g_assert_cmpuint(got.lost.lost, ==, 2);
	g_assert_cmpuint(got.lost.reason, ==, KS_LOST_THROTTLED);
	g_assert_cmpuint(got.lost.probe, ==, 2);
	g_assert_cmpint(ks__queue_take(&queue, 5, &got.ev), ==, 0);
	ks__queue_free(&queue);
}

/* ---- between two reads ----------------------------------------------------------------------- */

/* Without records, the consumer scans all the same, so processes that came and went are counted. */
static void test_between(void)
{
	struct bed *bed = bed_on();
	uint64_t deadline = 0, now = ks__now();

	bed->set.flags = KS_ENABLE_NO_EVENTS;
	bed_apply(bed);
	ks_assert_rc(bed->s->ops->arm(bed->s, &deadline), 0);
	g_assert_cmpuint(deadline, >, now + 3590ull * 1000000000u);
	bed->set.interval_ms = 0;
	bed_apply(bed);
	show_children(bed, 200, 3);
	bed_drain(bed, 1000, NONE);
	for (int pid = 200; pid < 203; pid++)
		vanish(bed, pid);
	ks_assert_rc(bed_look(bed), 0);
	g_assert_cmpuint(bed_count(bed, "processes"), ==, 3);
	g_assert_cmpuint(bed_count(bed, "process_exits"), ==, 3);
	bed_outcomes(bed, 0, 6, 0);

	bed->set.flags = KS_ENABLE_NO_EVENTS | KS_ENABLE_NO_STATS;
	bed_apply(bed);
	ks_assert_rc(bed->s->ops->arm(bed->s, &deadline), 0);
	g_assert_cmpuint(deadline, ==, 0);
	bed_free(bed);
}

/* vmstat only grows, so nothing is lost between two reads and no scan is needed. */
static void test_who_looks(void)
{
	g_assert_cmpint(ks__scan_proc.misses_ends, ==, 1);
	g_assert_cmpint(ks__scan_sched.misses_ends, ==, 1);
	g_assert_cmpint(ks__scan_vmstat.misses_ends, ==, 0);
}

/*
 * ---- groupings
 * ------------------------------------------------------------------------------------
 */

static void test_whose(void)
{
	static const uint32_t by[] = { KS_BY_PROCESS, KS_BY_CGROUP, KS_BY_ROLE,
				       KS_BY_TOTAL | KS_BY_PROCESS };
	static const uint32_t probes[] = { KS_PROBE_PROC, KS_PROBE_SCHED };
	const struct ks_enable_opts opts = { .size = sizeof(opts), .variant = "procfs" };
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_reader *reader = NULL, *early;
	char text[512];
	struct ks *ks;

	for (size_t p = 0; p < G_N_ELEMENTS(probes); p++) {
		ks_assert_rc(ks_open(NULL, &ks), 0);
		ks_assert_rc(ks_reader_new(ks, probes[p],
					   &(struct ks_reader_opts){
						   .size = sizeof(struct ks_reader_opts),
						   .by = KS_BY_PROCESS },
					   &early),
			     0);
		ks_assert_rc(ks_enable_probe(ks, probes[p], &opts), 1);
		ks_assert_rc(ks_read_stats(early, &stats), -KS_EUNAVAIL);
		ks_reader_free(early);
		for (size_t i = 0; i < G_N_ELEMENTS(by); i++) {
			const struct ks_reader_opts o = { .size = sizeof(o), .by = by[i] };

			ks_assert_rc(ks_reader_new(ks, probes[p], &o, &reader), -KS_EUNAVAIL);
			g_assert_null(reader);
			ks_last_error(ks, text, sizeof(text));
			g_assert_nonnull(strstr(text, "its fallback procfs cannot count by "
						      "process, cgroup or role"));
		}
		ks_close(ks);
	}
}

/* ---- hidden processes ------------------------------------------------------------------------ */

static void test_hides(void)
{
	begin(KS_PROBE_PROC, KS_SCOPE_SYSTEM);
	g_assert_cmpint(ks__facts_hides(look.proc_fd), ==, 0); /* there is no such option */
	put("100 (a) S", "self/stat");
	g_assert_cmpint(ks__facts_hides(look.proc_fd), ==, 1);
	put("1 (a) S", "1/stat");
	g_assert_cmpint(ks__facts_hides(look.proc_fd), ==, 0);
	end();
}

static void test_hides_reported(void)
{
	static const uint32_t kinds[] = { KS_SCOPE_SELF, KS_SCOPE_SYSTEM };
	const char *want = " hides processes of other users: mount it with hidepid=0, or join the "
			   "group that its option gid= names, or run with CAP_SYS_PTRACE";
	const struct ks_enable_opts opts = { .size = sizeof(opts), .variant = "procfs" };
	struct ks_probe_info info = { .size = sizeof(info) };
	struct ks_variant_info v = { .size = sizeof(v) };
	struct bed *bed = bed_new(0);
	char *report, *begins;
	uint32_t n = 0;
	int length;

	vanish(bed, 1);
	begins = g_strdup_printf("%.80s%s", bed->dir, want);
	while (!ks_query_variant(bed->ks, KS_PROBE_PROC, n, &v) && strcmp(v.name, "procfs"))
		n++;
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		const struct ks_scope s = { .size = sizeof(s), .kind = kinds[i] };
		int hidden = kinds[i] == KS_SCOPE_SYSTEM;

		ks_assert_rc(ks_set_scope(bed->ks, &s), 0);
		ks_assert_rc(ks_query_variant(bed->ks, KS_PROBE_PROC, n, &v), 0);
		g_assert_cmpint(v.error, ==, 0);
		g_assert_cmpstr(v.reason, ==, hidden ? begins : "");
		ks_assert_rc(ks_enable_probe(bed->ks, KS_PROBE_PROC, &opts), 1);
		ks_assert_rc(ks_query_probe(bed->ks, KS_PROBE_PROC, &info), 0);
		g_assert_cmpuint(info.facts & KS_FACT_PARTIAL, ==, hidden ? KS_FACT_PARTIAL : 0);
		g_assert_cmpint(g_str_has_prefix(info.reason, begins), ==, hidden);
		ks_assert_rc(ks_disable_probe(bed->ks, KS_PROBE_PROC), 0);
	}
	length = ks_check(bed->ks, KS_JSON, NULL, 0);
	report = g_malloc((gsize)length + 1);
	g_assert_cmpint(ks_check(bed->ks, KS_JSON, report, (size_t)length + 1), ==, length);
	/* self/ shows no stat of process 1 */
	g_assert_nonnull(strstr(report, "\"procfs\":true,\"all_processes\":false,"
					"\"reason\":\"it hides processes of other users: "));
	g_free(report);
	g_free(begins);
	bed_free(bed);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/fallbacks/sched/reused", test_reused);
	g_test_add_func("/fallbacks/sched/deep", test_deep);
	g_test_add_func("/fallbacks/sched/orphan", test_orphan);
	g_test_add_func("/fallbacks/sched/exec", test_exec);
	g_test_add_func("/fallbacks/sched/no-descriptor", test_no_descriptor);
	g_test_add_func("/fallbacks/vmstat/remainder", test_remainder);
	g_test_add_func("/fallbacks/vmstat/scope", test_vmstat_scope);
	g_test_add_func("/fallbacks/vmstat/reason", test_vmstat_reason);
	g_test_add_func("/fallbacks/cgroup/siblings", test_siblings);
	g_test_add_func("/fallbacks/cgroup/deep", test_deep_cgroup);
	g_test_add_func("/fallbacks/queue/holes", test_holes);
	g_test_add_func("/fallbacks/between", test_between);
	g_test_add_func("/fallbacks/who looks", test_who_looks);
	g_test_add_func("/fallbacks/whose", test_whose);
	g_test_add_func("/fallbacks/hides", test_hides);
	g_test_add_func("/fallbacks/hides/reported", test_hides_reported);
	return g_test_run();
}
