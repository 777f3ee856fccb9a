/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the file-based fallbacks count by scope at any depth of process trees and cgroups,
 * keep remainders, see processes that end between two reads, say which scopes they cannot serve,
 * and report a procfs that hides processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "data/rows.h"
#include "files/facts.h"
#include "files/member.h"
#include "ks.h"
#include "support/fake_proc.h"
#include "support/ks_test.h"
#include "support/plain_scan.h"

static struct plain plain;

/* ---- vmstat: what the host is told ----------------------------------------------------------- */

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
	return ks__member_below(plain.look.proc_fd, 100, cgroup);
}

static void test_siblings(void)
{
	plain_begin(&plain, KS_PROBE_PROC, KS_SCOPE_SYSTEM);
	plain_put(&plain, "4:cpu:/x\n3:memory:/ab/c\n0::/z\n", "100/cgroup");
	g_assert_cmpint(below("/a"), ==, 0);
	g_assert_cmpint(below("/ab"), ==, 1);
	g_assert_cmpint(below("/ab/"), ==, 0);
	g_assert_cmpint(below("/ab/c"), ==, 1);
	g_assert_cmpint(below("/ab/cd"), ==, 0);
	g_assert_cmpint(below("/ab/c/d"), ==, 0);
	g_assert_cmpint(below("/b"), ==, 0);
	g_assert_cmpint(below("/"), ==, 1);
	g_assert_cmpint(below("/z"), ==, 0);
	plain_put(&plain, "1:name=systemd:/x\n", "100/cgroup");
	g_assert_cmpint(below("/x"), ==, -ENOENT);
	g_assert_cmpint(ks__member_below(plain.look.proc_fd, 101, "/x"), ==, -ENOENT);
	plain_end(&plain);
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
	plain_begin(&plain, KS_PROBE_PROC, KS_SCOPE_SYSTEM);
	plain_put(&plain, text->str, "100/cgroup");
	g_assert_cmpint(below("/top"), ==, 1);
	g_assert_cmpint(below("/to"), ==, 0);
	g_assert_cmpint(below(path->str), ==, 1);
	plain_end(&plain);
	g_string_free(text, TRUE);
	g_string_free(path, TRUE);
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
	plain_begin(&plain, KS_PROBE_PROC, KS_SCOPE_SYSTEM);
	g_assert_cmpint(ks__facts_hides(plain.look.proc_fd), ==, 0); /* there is no such option */
	plain_put(&plain, "100 (a) S", "self/stat");
	g_assert_cmpint(ks__facts_hides(plain.look.proc_fd), ==, 1);
	plain_put(&plain, "1 (a) S", "1/stat");
	g_assert_cmpint(ks__facts_hides(plain.look.proc_fd), ==, 0);
	plain_end(&plain);
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
	g_test_add_func("/fallbacks/vmstat/reason", test_vmstat_reason);
	g_test_add_func("/fallbacks/cgroup/siblings", test_siblings);
	g_test_add_func("/fallbacks/cgroup/deep", test_deep_cgroup);
	g_test_add_func("/fallbacks/between", test_between);
	g_test_add_func("/fallbacks/who looks", test_who_looks);
	g_test_add_func("/fallbacks/whose", test_whose);
	g_test_add_func("/fallbacks/hides", test_hides);
	g_test_add_func("/fallbacks/hides/reported", test_hides_reported);
	return g_test_run();
}
