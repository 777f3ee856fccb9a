/* SPDX-License-Identifier: BSD-2-Clause */
/* pagecache.c - the page cache: what is asked of it, comes in and goes out */
#include "../files/scan.h"
#include "probe.h"
#include "rawcall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>

static const struct ks__field row_fields[] = {
	{ KS__AT(struct ks_stats_pagecache, requested_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_PAGECACHE_REQUESTS,
	  .help = "asked for by buffered reads" },
	{ KS__AT(struct ks_stats_pagecache, missed_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_PAGECACHE_MISSES,
	  .help = "of those, from the first that was missing to the end of the read" },
	{ KS__AT(struct ks_stats_pagecache, readin_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_PAGECACHE_READIN,
	  .help = "brought in for reads and faults, read-ahead included" },
	{ KS__AT(struct ks_stats_pagecache, write_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_PAGECACHE_WRITES, .help = "added by writes" },
	{ KS__AT(struct ks_stats_pagecache, evicted_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_PAGECACHE_EVICTED,
	  .help = "taken out: reclaimed, dropped, truncated" },
	{ KS__AT(struct ks_stats_pagecache, mapped_faults), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .valid = KS_HAS_PAGECACHE_MAPPED,
	  .help = "faults on pages of mapped files that were not mapped around another" },
	{ KS__AT(struct ks_stats_pagecache, mapped_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_PAGECACHE_MAPPED,
	  .help = "around faults, looked for and mapped if they were there" },
	{ 0 },
};

static const struct ks__field miss_fields[] = {
	{ KS__AT(struct ks_event_pagecache_miss, inode), .count = 1, .kind = KS_KIND_ID,
	  .help = "of the file" },
	{ KS__AT(struct ks_event_pagecache_miss, offset), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_BYTES, .help = "of the first page that was missing" },
	{ KS__AT(struct ks_event_pagecache_miss, device), .count = 1, .kind = KS_KIND_ID,
	  .help = "major << 20 | minor" },
	{ KS__AT(struct ks_event_pagecache_miss, pages), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_PAGES, .help = "from there to the end of the read" },
	{ 0 },
};

static const struct ks__struct stats = {
	.name = "pagecache",
	.id = KS_STATS_PAGECACHE,
	.bytes = sizeof(struct ks_stats_pagecache),
	.fields = row_fields,
	.help = "Files in memory: what is asked for, comes in and goes out.",
};

static const struct ks__struct events[] = {
	{
		.name = "pagecache_miss",
		.id = KS_EVENT_PAGECACHE_MISS,
		.bytes = sizeof(struct ks_event_pagecache_miss),
		.fields = miss_fields,
		.help = "One of the sample of reads that found a page missing.",
	},
	{ 0 },
};

#define NO_MAPPED_WHY                                        \
	"the kernel does not tell what faults find (events " \
	"mm_filemap_fault and mm_filemap_map_pages, Linux 6.12)"
#define NO_PIECES_WHY                                                          \
	"the kernel's event of a read (mm_filemap_get_pages) leaves out some " \
	"pieces, and does not tell one read from the next by AIO or splice()"
#define NO_REQUESTS                                                                     \
	KS_HAS_PAGECACHE_REQUESTS | KS_HAS_PAGECACHE_MISSES | KS_HAS_PAGECACHE_MAPPED | \
		KS_HAS_PAGECACHE_PIECES
#define NO_REQUESTS_WHY                                                      \
	"the kernel tells of pages that come and go, and not of reads that " \
	"find them (event mm_filemap_get_pages, Linux 6.12, or fentry)"

/*
 * Functions of the kernel tell more than its events: each piece of a read, and how it ended. Not by
 * kprobes: of a read that waits the end counts, and there are return probes for some ten tasks at a
 * time.
 */
static const struct ks__variant variants[] = {
	{
		.name = "fentry",
		.progs = { "pagecache_add_tp_btf", "pagecache_delete_tp_btf", "pagecache_get_fexit",
			   "pagecache_miss_fentry", "pagecache_fault_tp_btf",
			   "pagecache_map_tp_btf" },
	},
	{
		.name = "tp_btf",
		.progs = { "pagecache_add_tp_btf", "pagecache_delete_tp_btf",
			   "pagecache_get_tp_btf", "pagecache_miss_tp_btf",
			   "pagecache_fault_tp_btf", "pagecache_map_tp_btf" },
		.lacks = KS_HAS_PAGECACHE_PIECES,
		.lacks_why = NO_PIECES_WHY,
	},
	{
		.name = "tp_btf-no-misses",
		.progs = { "pagecache_add_tp_btf", "pagecache_delete_tp_btf",
			   "pagecache_get_tp_btf", "pagecache_fault_tp_btf",
			   "pagecache_map_tp_btf" },
		.lacks = KS_HAS_PAGECACHE_MISSES | KS_HAS_PAGECACHE_PIECES,
		.lacks_why = "the kernel does not tell of reads that find a page missing (event "
			     "page_cache_sync_ra, Linux 6.18, or fentry), and " NO_PIECES_WHY,
	},
	{
		.name = "fentry-no-mapped",
		.progs = { "pagecache_add_tp_btf", "pagecache_delete_tp_btf", "pagecache_get_fexit",
			   "pagecache_miss_fentry" },
		.lacks = KS_HAS_PAGECACHE_MAPPED,
		.lacks_why = NO_MAPPED_WHY,
	},
	{
		.name = "tp_btf-adds",
		.progs = { "pagecache_add_tp_btf", "pagecache_delete_tp_btf" },
		.lacks = NO_REQUESTS,
		.lacks_why = NO_REQUESTS_WHY,
	},
	{
		.name = "raw_tp",
		.progs = { "pagecache_add_raw_tp", "pagecache_delete_raw_tp",
			   "pagecache_get_raw_tp", "pagecache_miss_raw_tp",
			   "pagecache_fault_raw_tp", "pagecache_map_raw_tp" },
		.lacks = KS_HAS_PAGECACHE_PIECES,
		.lacks_why = NO_PIECES_WHY,
	},
	{
		.name = "raw_tp-adds",
		.progs = { "pagecache_add_raw_tp", "pagecache_delete_raw_tp" },
		.lacks = NO_REQUESTS,
		.lacks_why = NO_REQUESTS_WHY,
	},
	{
		.name = "tracepoint",
		.progs = { "pagecache_get_tracepoint", "pagecache_miss_tracepoint",
			   "pagecache_fault_tracepoint", "pagecache_map_tracepoint" },
		.lacks = KS_HAS_PAGECACHE_READIN | KS_HAS_PAGECACHE_WRITES |
			 KS_HAS_PAGECACHE_EVICTED | KS_HAS_PAGECACHE_EXACT |
			 KS_HAS_PAGECACHE_PIECES,
		.lacks_why = "its records do not lead to the file: whether it is being written, is "
			     "a block device or in memory, or where it ends; and " NO_PIECES_WHY,
	},
	{ 0 },
};

static const char *const maps[] = { "pagecache_stats", "pagecache_rows", "pagecache_reads",
				    "pagecache_reads_hash", NULL };

static const struct ks__fallback fallback = {
	.name = "vmstat",
	.needs = "vmstat",
	.lacks = KS_HAS_PAGECACHE_REQUESTS | KS_HAS_PAGECACHE_MISSES | KS_HAS_PAGECACHE_WRITES |
		 KS_HAS_PAGECACHE_EVICTED | KS_HAS_PAGECACHE_MAPPED | KS_HAS_PAGECACHE_EXACT |
		 KS_HAS_PAGECACHE_PIECES,
	.lacks_why = "/proc/vmstat has what block devices have read, and nobody's requests",
	.scan = &ks__scan_vmstat,
};

/* The first read of a hole misses, others hit; then the pages are dropped. */
static int RAW_CODE provoke(int dir_fd)
{
	return raw_read_and_drop(dir_fd);
}

static const struct ks__provocation provocations[] = {
	{ "read", "requested_pages", provoke },
	{ "miss", "missed_pages", provoke },
	{ "read-in", "readin_pages", provoke },
	{ "eviction", "evicted_pages", provoke },
	{ 0 },
};

extern const struct ks__probe ks__probe_pagecache;

const struct ks__probe ks__probe_pagecache = {
	.id = KS_PROBE_PAGECACHE,
	.name = "pagecache",
	.summary = "The page cache: requests, misses, what comes in and goes out.",
	.caps = 1ull << CAP_BPF | 1ull << CAP_PERFMON,
	.valid = KS_HAS_PAGECACHE_REQUESTS | KS_HAS_PAGECACHE_MISSES | KS_HAS_PAGECACHE_READIN |
		 KS_HAS_PAGECACHE_WRITES | KS_HAS_PAGECACHE_EVICTED | KS_HAS_PAGECACHE_MAPPED |
		 KS_HAS_PAGECACHE_EXACT | KS_HAS_PAGECACHE_PIECES,
	.variants = variants,
	.maps = maps,
	.stats = &stats,
	.by = KS_BY_TOTAL | KS_BY_CPU | KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE,
	.events = events,
	.defaults = {
		.max_per_sec = 5000,
		.burst = 5000,
		.identity = KS_IDENTITY_CGROUP | KS_IDENTITY_COMM,
		.interval_ms = 1000,
	},
	.fallback = &fallback,
	.provocations = provocations,
};
