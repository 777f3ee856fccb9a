/* SPDX-License-Identifier: BSD-2-Clause */
/* counted.c - see counted.h */
#include "counted.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "fault/fault.h"
#include "support/harness.h"

#define NAPS 10
#define PAGES 64

static int file; /* on disk; -1: there are only memory file systems */

void counted_prepare(void)
{
	file = work_file();
	mlockall(MCL_CURRENT); /* else our own code might leave memory and be read in again */
}

/* Switches are counted as getrusage() counts them. */
static char *nap_once(void *user)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	struct ks_stats_sched before, row;
	struct rusage used[2];
	struct ks *ks = user;
	uint64_t want;

	fault_total(ks, KS_PROBE_SCHED, &before, sizeof(before));
	getrusage(RUSAGE_THREAD, &used[0]);
	for (unsigned i = 0; i < NAPS; i++)
		nanosleep(&moment, NULL);
	getrusage(RUSAGE_THREAD, &used[1]);
	fault_total(ks, KS_PROBE_SCHED, &row, sizeof(row));
	want = (uint64_t)(used[1].ru_nvcsw - used[0].ru_nvcsw);
	g_assert_cmpuint(want, >, 0); /* a nap may be over before it begins */
	return ks_test_outside("voluntary", row.voluntary - before.voluntary, want, want);
}

/* A preempted program keeps out other runs on its CPU, and not every kernel says how many. */
static void nothing_lost(struct ks *ks, uint32_t probe)
{
	struct ks_stats_self ledger = fault_ledger(ks, probe);

	g_assert_cmpuint(ledger.lost_ring, ==, 0);
	g_assert_cmpuint(ledger.lost_locked, ==, 0);
	g_assert_cmpuint(ledger.lost_map, ==, 0);
	if (ledger.row.valid & KS_HAS_SELF_MISSED && !kt_preempts())
		g_assert_cmpuint(ledger.missed, ==, 0);
}

static void sched_works(struct ks *ks, uint32_t source)
{
	(void)source;
	ks_test_rounds(nap_once, ks);
	nothing_lost(ks, KS_PROBE_SCHED);
}

static void write_drop_read(void)
{
	static char page[4096] __attribute__((aligned(4096)));

	for (off_t i = 0; i < PAGES; i++)
		g_assert_cmpint((int)pwrite(file, page, sizeof(page), i * 4096), ==, 4096);
	g_assert_cmpint(fsync(file), ==, 0);
	g_assert_cmpint(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), ==, 0);
	g_assert_cmpint(posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM), ==, 0);
	for (off_t i = 0; i < PAGES; i++)
		g_assert_cmpint((int)pread(file, page, sizeof(page), i * 4096), ==, 4096);
}

static char *read_once(void *user)
{
	struct ks_stats_pagecache before, row;
	struct ks *ks = user;
	char *wrong = NULL;

	g_assert_cmpint(ftruncate(file, 0), ==, 0);
	fault_total(ks, KS_PROBE_PAGECACHE, &before, sizeof(before));
	write_drop_read();
	fault_total(ks, KS_PROBE_PAGECACHE, &row, sizeof(row));
	const struct {
		const char *name;
		uint64_t bit, is;
	} members[] = {
		{ "requested", KS_HAS_PAGECACHE_REQUESTS,
		  row.requested_pages - before.requested_pages },
		{ "missed", KS_HAS_PAGECACHE_MISSES, row.missed_pages - before.missed_pages },
		{ "readin", KS_HAS_PAGECACHE_READIN, row.readin_pages - before.readin_pages },
		{ "written", KS_HAS_PAGECACHE_WRITES, row.write_pages - before.write_pages },
		{ "evicted", KS_HAS_PAGECACHE_EVICTED, row.evicted_pages - before.evicted_pages },
	};
	for (size_t i = 0; !wrong && i < G_N_ELEMENTS(members); i++) {
		uint64_t want = row.row.valid & members[i].bit ? PAGES : 0;

		wrong = ks_test_outside(members[i].name, members[i].is, want, want);
	}
	return wrong;
}

/* Returns what all block devices have read, in pages. */
static uint64_t pages_in(void)
{
	char *text, *line;
	uint64_t kb;

	g_assert_true(g_file_get_contents("/proc/vmstat", &text, NULL, NULL));
	line = strstr(text, "\npgpgin ");
	g_assert_nonnull(line);
	kb = strtoull(line + strlen("\npgpgin "), NULL, 10);
	g_free(text);
	return kb / 4;
}

/*
 * Other processes read as well: the library's count must lie between the kernel's own counts before
 * and after it.
 */
static void disk_is_read(struct ks *ks)
{
	uint64_t outer = pages_in(), inner;
	struct ks_stats_pagecache before, row;

	fault_total(ks, KS_PROBE_PAGECACHE, &before, sizeof(before));
	inner = pages_in();
	write_drop_read();
	inner = pages_in() - inner;
	fault_total(ks, KS_PROBE_PAGECACHE, &row, sizeof(row));
	outer = pages_in() - outer;
	g_assert_cmpuint(inner, >=, PAGES);
	g_assert_cmpuint(row.readin_pages - before.readin_pages + 1, >=, inner);
	g_assert_cmpuint(row.readin_pages - before.readin_pages, <=, outer + 1);
}

static void pagecache_works(struct ks *ks, uint32_t source)
{
	g_assert_false(file < 0 && g_getenv("KS_GUEST")); /* every guest has a disk */
	if (file < 0)
		return;
	if (source == KS_SOURCE_BPF)
		ks_test_rounds(read_once, ks);
	else
		disk_is_read(ks);
	nothing_lost(ks, KS_PROBE_PAGECACHE);
}

static void proc_works(struct ks *ks, uint32_t source)
{
	if (source == KS_SOURCE_BPF)
		fault_exact(ks, KS_PROBE_PROC, NULL);
	else
		fault_fallback(ks);
}

static void fadvise_works(struct ks *ks, uint32_t source)
{
	g_assert_cmpuint(source, ==, KS_SOURCE_BPF);
	fault_exact(ks, KS_PROBE_FADVISE, NULL);
}

const struct counted counted[COUNTED] = {
	{ "proc", KS_PROBE_PROC, KS_SCOPE_SELF, proc_works },
	{ "sched", KS_PROBE_SCHED, KS_SCOPE_SELF, sched_works },
	{ "fadvise", KS_PROBE_FADVISE, KS_SCOPE_SELF, fadvise_works },
	{ "pagecache", KS_PROBE_PAGECACHE, KS_SCOPE_SYSTEM, pagecache_works },
};
