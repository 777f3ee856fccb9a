/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the scans for sched and pagecache count exactly what their files say: for the threads
 * in scope and no others, from the first look on, with remainders and without swap.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "files/columns.h"
#include "support/counters.h"
#include "support/ks_test.h"
#include "support/plain_scan.h"

#define TICK_NS 10000000ull
#define SECOND 1000000000ull

static struct plain p;

/* ---- sched: a deep tree ---------------------------------------------------------------------- */

/* Thread tid of process pid, with counts that are multiples of `switches`. */
static void show_task(int pid, int tid, int ppid, unsigned long long ticks, unsigned switches)
{
	char *stat = g_strdup_printf("%d (a) S %d 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %llu 0 0 0 1 "
				     "0 1 0 0\n",
				     tid, ppid, ticks);
	char *status = g_strdup_printf("voluntary_ctxt_switches:\t%u\n"
				       "nonvoluntary_ctxt_switches:\t%u\n",
				       switches, 3 * switches);
	char *times = g_strdup_printf("%u %u 1\n", 1000 * switches, 10 * switches);

	if (pid == tid)
		plain_put(&p, stat, "%d/stat", pid);
	plain_put(&p, stat, "%d/task/%d/stat", pid, tid);
	plain_put(&p, status, "%d/task/%d/status", pid, tid);
	plain_put(&p, times, "%d/task/%d/schedstat", pid, tid);
	g_free(times);
	g_free(status);
	g_free(stat);
}

static void show_thread(int pid, int ppid, unsigned switches)
{
	show_task(pid, pid, ppid, 5, switches);
}

/* Asserts all counters of sched, for threads that switched so often in all. */
static void assert_switches(unsigned switches)
{
	g_assert_cmpuint(plain_counted(&p, "voluntary"), ==, switches);
	g_assert_cmpuint(plain_counted(&p, "preempted"), ==, 3 * switches);
	g_assert_cmpuint(plain_counted(&p, "oncpu_ns"), ==, 1000 * switches);
	g_assert_cmpuint(plain_counted(&p, "runq_ns"), ==, 10 * switches);
	g_assert_cmpuint(plain_counted(&p, "wakeups"), ==, 0);
}

/* Only the process that the scope was given counts, and not a later one with its pid. */
static void test_reused(void)
{
	static const uint32_t kinds[] = { KS_SCOPE_PIDS, KS_SCOPE_TREE };
	static uint64_t starts[] = { KS__START_UNKNOWN, 5, 6, KS__START_ENDED }; /* it has 5 */

	for (size_t i = 0; i < 2 * G_N_ELEMENTS(starts); i++) {
		plain_begin(&p, KS_PROBE_SCHED, kinds[i % 2]);
		p.pids[0] = 1000;
		p.scope.starts = &starts[i / 2];
		for (unsigned turn = 1; turn <= 2; turn++) {
			show_thread(1000, 1, turn * 2);
			ks_assert_rc(plain_look(&p), 0);
		}
		g_assert_cmpuint(plain_counted(&p, "voluntary"), ==, i / 2 < 2 ? 2 : 0);
		plain_end(&p);
	}
}

/* A tree of 200 levels, deepest process first, and one process outside the tree. */
static void test_deep(void)
{
	plain_begin(&p, KS_PROBE_SCHED, KS_SCOPE_TREE);
	p.pids[0] = 1000;
	for (unsigned turn = 1; turn <= 2; turn++) {
		show_thread(1, 0, turn * 7);
		for (int pid = 801; pid <= 1000; pid++)
			show_thread(pid, pid == 1000 ? 1 : pid + 1, turn * 2);
		ks_assert_rc(plain_look(&p), 0);
	}
	assert_switches(200 * 2);
	plain_end(&p);
}

/* A process in a tree stays in it when its parents have ended. */
static void test_orphan(void)
{
	plain_begin(&p, KS_PROBE_SCHED, KS_SCOPE_TREE);
	p.pids[0] = 1000;
	show_thread(1000, 1, 1);
	show_thread(1001, 1000, 1);
	show_thread(1002, 1, 1);
	ks_assert_rc(plain_look(&p), 0);
	show_thread(1001, 1, 5);
	show_thread(1002, 1, 5);
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "voluntary"), ==, 4);
	plain_end(&p);
}

/*
 * A thread that calls exec gets the tid of the first thread, with counts of its own: more time on
 * the CPU and fewer switches. No count falls.
 */
static void test_exec(void)
{
	plain_begin(&p, KS_PROBE_SCHED, KS_SCOPE_SYSTEM);
	show_thread(1000, 1, 1000);
	ks_assert_rc(plain_look(&p), 0);
	show_thread(1000, 1, 3);
	plain_put(&p, "9000000 90000 1\n", "1000/task/1000/schedstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "voluntary"), ==, 0);
	g_assert_cmpuint(plain_counted(&p, "preempted"), ==, 0);
	g_assert_cmpuint(plain_counted(&p, "oncpu_ns"), ==, 0);
	show_thread(1000, 1, 5);
	plain_put(&p, "9000007 90000 1\n", "1000/task/1000/schedstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "voluntary"), ==, 2);
	g_assert_cmpuint(plain_counted(&p, "oncpu_ns"), ==, 7);
	plain_end(&p);
}

/* A scope counts its own threads: those of one process, of a list, of the machine, of a name. */
static void test_kinds(void)
{
	static const struct {
		uint32_t kind;
		unsigned switches;
		char comm[16], exclude[16];
	} all[] = {
		{ KS_SCOPE_SELF, 1 + 2, "", "" },   { KS_SCOPE_PIDS, 4, "", "" },
		{ KS_SCOPE_TREE, 4 + 8, "", "" },   { KS_SCOPE_SYSTEM, 1 + 2 + 4 + 8, "", "" },
		{ KS_SCOPE_CGROUP, 4 + 8, "", "" }, { KS_SCOPE_SYSTEM, 1 + 2 + 4 + 8, "a", "" },
		{ KS_SCOPE_SYSTEM, 0, "", "a" },    { KS_SCOPE_TREE, 0, "", "a" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		plain_begin(&p, KS_PROBE_SCHED, all[i].kind);
		p.pids[0] = 200;
		g_strlcpy(p.scope.cgroup_path, "/db", sizeof(p.scope.cgroup_path));
		p.scope.has_comm = all[i].comm[0] != 0;
		p.scope.has_exclude = all[i].exclude[0] != 0;
		memcpy(p.scope.comm, all[i].comm, sizeof(all[i].comm));
		memcpy(p.scope.exclude, all[i].exclude, sizeof(all[i].exclude));
		plain_put(&p, "0::/other\n", "100/cgroup");
		plain_put(&p, "0::/db\n", "200/cgroup");
		plain_put(&p, "0::/db/child\n", "300/cgroup");
		for (unsigned turn = 1; turn <= 2; turn++) {
			show_task(100, 100, 1, 5, turn);
			show_task(100, 101, 1, 5, 2 * turn);
			show_task(200, 200, 1, 5, 4 * turn);
			show_task(300, 300, 200, 5, 8 * turn);
			ks_assert_rc(plain_look(&p), 0);
		}
		assert_switches(all[i].switches);
		plain_end(&p);
	}
}

/* A process is below its parent only if the parent is as old or older. */
static void test_younger_parent(void)
{
	plain_begin(&p, KS_PROBE_SCHED, KS_SCOPE_TREE);
	p.pids[0] = 1000;
	for (unsigned turn = 1; turn <= 2; turn++) {
		show_task(1000, 1000, 1, 7, turn);
		show_task(1001, 1001, 1000, 6, 10 * turn);
		show_task(1002, 1002, 1000, 7, 100 * turn);
		ks_assert_rc(plain_look(&p), 0);
	}
	assert_switches(101);
	plain_end(&p);
}

/* The first look at a new scope only notes the present state, and forgets the old tree. */
static void test_new_scope(void)
{
	plain_begin(&p, KS_PROBE_SCHED, KS_SCOPE_TREE);
	p.pids[0] = 1000;
	show_thread(1000, 1, 1);
	show_thread(1001, 1000, 1);
	show_thread(2000, 1, 1);
	ks_assert_rc(plain_look(&p), 0);
	p.look.scope_turn++;
	p.pids[0] = 2000;
	show_thread(1000, 1, 9);
	show_thread(1001, 1000, 9);
	show_thread(2000, 1, 9);
	ks_assert_rc(plain_look(&p), 0);
	assert_switches(0);
	show_thread(1000, 1, 17);
	show_thread(1001, 1000, 17);
	show_thread(2000, 1, 14);
	ks_assert_rc(plain_look(&p), 0);
	assert_switches(5);
	plain_end(&p);
}

/* A file that is empty, cut off or of another form is no count of 0: its thread is left out. */
static void test_broken_files(void)
{
	static const struct {
		const char *text, *file;
	} all[] = {
		{ "", "1000/task/1000/schedstat" },
		{ "5000 ", "1000/task/1000/schedstat" },
		{ "", "1000/task/1000/status" },
		{ "voluntary_ctxt_switches:\t9\n", "1000/task/1000/status" },
		{ "nonvoluntary_ctxt_switches:\t27\n", "1000/task/1000/status" },
		{ "1000 (a", "1000/stat" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		plain_begin(&p, KS_PROBE_SCHED, KS_SCOPE_SYSTEM);
		show_thread(1000, 1, 1);
		ks_assert_rc(plain_look(&p), 0);
		show_thread(1000, 1, 9);
		plain_put(&p, all[i].text, "%s", all[i].file);
		ks_assert_rc(plain_look(&p), 0);
		assert_switches(0);
		/* it is new to the next look, but not young: it adds nothing yet */
		show_thread(1000, 1, 11);
		ks_assert_rc(plain_look(&p), 0);
		assert_switches(0);
		show_thread(1000, 1, 12);
		ks_assert_rc(plain_look(&p), 0);
		assert_switches(1);
		plain_end(&p);
	}
}

static void test_sched_no_stats(void)
{
	plain_begin(&p, KS_PROBE_SCHED, KS_SCOPE_SYSTEM);
	show_thread(1000, 1, 1);
	ks_assert_rc(plain_look(&p), 0);
	p.set.flags = KS_ENABLE_NO_STATS;
	show_thread(1000, 1, 5);
	ks_assert_rc(plain_look(&p), 0);
	assert_switches(0);
	g_assert_cmpuint(plain_counted(&p, "offcpu_ns"), ==, 0);
	p.set.flags = (uint32_t)~KS_ENABLE_NO_STATS;
	show_thread(1000, 1, 7);
	ks_assert_rc(plain_look(&p), 0);
	assert_switches(2);
	plain_end(&p);
}

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* Looks within one clock tick. Returns a time in it; *ret_last: another, after the look. */
static uint64_t look_in_tick(uint64_t *ret_last)
{
	uint64_t first;

	do {
		first = boot_ns();
		ks_assert_rc(plain_look(&p), 0);
		*ret_last = boot_ns();
	} while (first / TICK_NS != *ret_last / TICK_NS);
	return first;
}

/* The time asleep is the time between two looks that a thread neither ran nor waited. */
static void test_asleep(void)
{
	uint64_t first, first_last, second, last, off;

	plain_begin(&p, KS_PROBE_SCHED, KS_SCOPE_SYSTEM);
	plain_put(&p, "voluntary_ctxt_switches: 1\nnonvoluntary_ctxt_switches: 1\n",
		  "1000/task/1000/status");
	plain_put(&p, "1000 (a) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0 1 0 1 0 0\n",
		  "1000/stat");
	plain_put(&p, "1000 100 1\n", "1000/task/1000/schedstat");
	first = boot_ns();
	ks_assert_rc(plain_look(&p), 0);
	first_last = boot_ns();
	g_assert_cmpuint(plain_counted(&p, "offcpu_ns"), ==, 0);
	plain_put(&p, "1300 150 1\n", "1000/task/1000/schedstat");
	second = boot_ns();
	ks_assert_rc(plain_look(&p), 0);
	last = boot_ns();
	off = plain_counted(&p, "offcpu_ns");
	g_assert_cmpuint(off, >=, second - first_last - 350);
	g_assert_cmpuint(off, <=, last - first - 350);
	/* busy for longer than the time between the looks, by the precision of two clocks */
	plain_put(&p, "3600000001300 150 1\n", "1000/task/1000/schedstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "offcpu_ns"), ==, off);
	plain_put(&p, "3600000001300 3600000000150 1\n", "1000/task/1000/schedstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "offcpu_ns"), ==, off);
	plain_end(&p);
}

/*
 * A thread that began since the last look adds all that it did, and its sleep from its start on. A
 * thread that is older adds nothing. The start is known to the tick.
 */
static void test_young(void)
{
	uint64_t old, old_last, first, last, off, begun;

	plain_begin(&p, KS_PROBE_SCHED, KS_SCOPE_SYSTEM);
	old = look_in_tick(&old_last);
	show_task(1000, 1000, 1, old / TICK_NS - 1, 100);
	ks_assert_rc(plain_look(&p), 0);
	assert_switches(0);
	old = look_in_tick(&old_last);
	begun = old / TICK_NS * TICK_NS;
	show_task(1000, 1001, 1, old / TICK_NS, 2);
	off = plain_counted(&p, "offcpu_ns");
	first = boot_ns();
	ks_assert_rc(plain_look(&p), 0);
	last = boot_ns();
	assert_switches(2);
	/* both threads: the old one was asleep all the time, the new one but for what it did */
	off = plain_counted(&p, "offcpu_ns") - off;
	g_assert_cmpuint(off, >=, (first - old_last) + (first - begun - 2020));
	g_assert_cmpuint(off, <=, (last - old) + (last - begun - 2020));
	plain_end(&p);
}

/* A thread whose start cannot be read is not taken for a young one. */
static void test_start_unknown(void)
{
	const uint64_t ticks = boot_ns() / TICK_NS + 1;

	plain_begin(&p, KS_PROBE_SCHED, KS_SCOPE_SYSTEM);
	ks_assert_rc(plain_look(&p), 0);
	show_task(1000, 1000, 1, ticks, 3);
	show_task(1000, 1001, 1, ticks, 5);
	plain_put(&p, "", "1000/task/1001/stat");
	ks_assert_rc(plain_look(&p), 0);
	assert_switches(3);
	plain_end(&p);
}

/* Processes whose files cannot be opened for want of a descriptor have not ended. */
static void test_no_descriptor(void)
{
	struct rlimit before;

	plain_begin(&p, KS_PROBE_SCHED, KS_SCOPE_SYSTEM);
	show_thread(1000, 1, 1);
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpint(counters_spare_descriptors(1, &before), ==,
			0); /* for the folder, none for a file in it */
	ks_assert_rc(plain_look(&p), -EMFILE);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	show_thread(1000, 1, 4);
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "voluntary"), ==, 3);
	plain_end(&p);
}

/* ---- vmstat: remainders and scopes ----------------------------------------------------------- */

static void test_remainder(void)
{
	plain_begin(&p, KS_PROBE_PAGECACHE, KS_SCOPE_SYSTEM);
	plain_put(&p, "pgpgin 100\npswpin 0\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	plain_put(&p, "pgpgin 103\npswpin 0\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "readin_pages"), ==, 0);
	plain_put(&p, "pgpgin 106\npswpin 0\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "readin_pages"), ==, 1);
	plain_put(&p, "pgpgin 108\npswpin 0\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "readin_pages"), ==, 2);
	plain_end(&p);
}

static void test_vmstat_scope(void)
{
	plain_begin(&p, KS_PROBE_PAGECACHE, KS_SCOPE_SYSTEM);
	g_assert_null(p.scan->no_scope(&p.scope));
	p.scope.has_comm = 1;
	g_assert_nonnull(p.scan->no_scope(&p.scope));
	p.scope.has_comm = 0;
	p.scope.has_exclude = 1;
	g_assert_nonnull(p.scan->no_scope(&p.scope));
	p.scope.has_exclude = 0;
	for (uint32_t kind = KS_SCOPE_SELF; kind < KS_SCOPE_SYSTEM; kind++) {
		p.scope.kind = kind;
		g_assert_nonnull(p.scan->no_scope(&p.scope));
		ks_assert_rc(plain_look(&p), -KS_EUNAVAIL);
	}
	plain_end(&p);
}

/* pgpgin counts KiB, and pswpin pages, which are no reads of files. */
static void test_swap(void)
{
	const uint64_t page_kb = (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
	char text[64];

	plain_begin(&p, KS_PROBE_PAGECACHE, KS_SCOPE_SYSTEM);
	plain_put(&p, "pgpgin 1000\npswpin 3\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	snprintf(text, sizeof(text), "pgpgin %u\npswpin 5\n", 1000 + 40 + 2 * (unsigned)page_kb);
	plain_put(&p, text, "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "readin_pages"), ==, 10);
	/* more swap than reads for a moment: the counters are not updated together */
	plain_put(&p, "pgpgin 1000\npswpin 1000000\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "readin_pages"), ==, 10);
	snprintf(text, sizeof(text), "pgpgin %u\npswpin 5\n", 1000 + 48 + 2 * (unsigned)page_kb);
	plain_put(&p, text, "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "readin_pages"), ==, 12);
	plain_end(&p);
}

/* A kernel without swap has no line for it. */
static void test_no_swap(void)
{
	plain_begin(&p, KS_PROBE_PAGECACHE, KS_SCOPE_SYSTEM);
	plain_put(&p, "pgpgin 4\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	plain_put(&p, "pgpgin 12\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "readin_pages"), ==, 2);
	plain_end(&p);
}

/*
 * A file that is empty or has no such line is an error, and the next look counts what this one
 * missed.
 */
static void test_no_line(void)
{
	plain_begin(&p, KS_PROBE_PAGECACHE, KS_SCOPE_SYSTEM);
	ks_assert_rc(plain_look(&p), -ENOENT);
	plain_put(&p, "pgpgin 4\npswpin 0\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	plain_put(&p, "", "vmstat");
	ks_assert_rc(plain_look(&p), -ENOENT);
	plain_put(&p, "pswpin 0\n", "vmstat");
	ks_assert_rc(plain_look(&p), -ENOENT);
	plain_put(&p, "pgpgin x\n", "vmstat");
	ks_assert_rc(plain_look(&p), -EINVAL);
	plain_put(&p, "pgpgin 24\npswpin 0\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "readin_pages"), ==, 5);
	plain_end(&p);
}

static void test_vmstat_no_stats(void)
{
	plain_begin(&p, KS_PROBE_PAGECACHE, KS_SCOPE_SYSTEM);
	plain_put(&p, "pgpgin 4\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	p.set.flags = KS_ENABLE_NO_STATS;
	plain_put(&p, "pgpgin 40\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "readin_pages"), ==, 0);
	p.set.flags = (uint32_t)~KS_ENABLE_NO_STATS;
	plain_put(&p, "pgpgin 48\n", "vmstat");
	ks_assert_rc(plain_look(&p), 0);
	g_assert_cmpuint(plain_counted(&p, "readin_pages"), ==, 2);
	plain_end(&p);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/scan_counts/sched/reused", test_reused);
	g_test_add_func("/scan_counts/sched/deep", test_deep);
	g_test_add_func("/scan_counts/sched/orphan", test_orphan);
	g_test_add_func("/scan_counts/sched/exec", test_exec);
	g_test_add_func("/scan_counts/sched/kinds", test_kinds);
	g_test_add_func("/scan_counts/sched/younger parent", test_younger_parent);
	g_test_add_func("/scan_counts/sched/new scope", test_new_scope);
	g_test_add_func("/scan_counts/sched/broken files", test_broken_files);
	g_test_add_func("/scan_counts/sched/no stats", test_sched_no_stats);
	g_test_add_func("/scan_counts/sched/asleep", test_asleep);
	g_test_add_func("/scan_counts/sched/young", test_young);
	g_test_add_func("/scan_counts/sched/start unknown", test_start_unknown);
	g_test_add_func("/scan_counts/sched/no descriptor", test_no_descriptor);
	g_test_add_func("/scan_counts/vmstat/remainder", test_remainder);
	g_test_add_func("/scan_counts/vmstat/scope", test_vmstat_scope);
	g_test_add_func("/scan_counts/vmstat/swap", test_swap);
	g_test_add_func("/scan_counts/vmstat/no swap", test_no_swap);
	g_test_add_func("/scan_counts/vmstat/no line", test_no_line);
	g_test_add_func("/scan_counts/vmstat/no stats", test_vmstat_no_stats);
	return g_test_run();
}
