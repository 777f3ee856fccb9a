/* SPDX-License-Identifier: BSD-2-Clause */
/* pagecache.c - the page cache: requests, misses, pages added and removed */
#include "../files/scan.h"
#include "probe.h"
#include "rawcall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>

static const struct ks__field row_fields[] = {
	{ KS__AT(struct ks_stats_pagecache, requested_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_PAGECACHE_REQUESTS,
	  .help = "pages that buffered reads touch" },
	{ KS__AT(struct ks_stats_pagecache, missed_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_PAGECACHE_MISSES,
	  .help = "requested pages from the first missing one to the end of the read" },
	{ KS__AT(struct ks_stats_pagecache, readin_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_PAGECACHE_READIN,
	  .help = "pages brought in for reads and faults, read-ahead included" },
	{ KS__AT(struct ks_stats_pagecache, write_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_PAGECACHE_WRITES,
	  .help = "pages added by writes" },
	{ KS__AT(struct ks_stats_pagecache, evicted_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_PAGECACHE_EVICTED,
	  .help = "pages taken out: reclaimed, dropped, truncated" },
	{ KS__AT(struct ks_stats_pagecache, mapped_faults), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .valid = KS_HAS_PAGECACHE_MAPPED,
	  .help = "faults on pages of mapped files that were not mapped around another fault" },
	{ KS__AT(struct ks_stats_pagecache, mapped_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_PAGECACHE_MAPPED,
	  .help = "pages looked for around faults, and mapped if they were in memory" },
	{ 0 },
};

static const struct ks__field miss_fields[] = {
	{ KS__AT(struct ks_event_pagecache_miss, inode), .count = 1, .kind = KS_KIND_ID,
	  .help = "inode of the file" },
	{ KS__AT(struct ks_event_pagecache_miss, offset), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_BYTES, .help = "offset of the first missing page" },
	{ KS__AT(struct ks_event_pagecache_miss, device), .count = 1, .kind = KS_KIND_ID,
	  .help = "device of the file: major << 20 | minor" },
	{ KS__AT(struct ks_event_pagecache_miss, pages), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_PAGES, .help = "pages from there to the end of the read" },
	{ 0 },
};

static const struct ks__struct stats = {
	.name = "pagecache",
	.id = KS_STATS_PAGECACHE,
	.bytes = sizeof(struct ks_stats_pagecache),
	.fields = row_fields,
	.help = "The page cache of files: pages requested, missed, added and removed.",
};

static const struct ks__struct events[] = {
	{
		.name = "pagecache_miss",
		.id = KS_EVENT_PAGECACHE_MISS,
		.bytes = sizeof(struct ks_event_pagecache_miss),
		.fields = miss_fields,
		.help = "A sampled read that found a page missing.",
	},
	{ 0 },
};

#define NO_MAPPED_WHY                                                  \
	"faults of mapped files need the events mm_filemap_fault and " \
	"mm_filemap_map_pages (Linux 6.12)"
#define NO_PIECES_WHY                                                            \
	"the event of reads (mm_filemap_get_pages) leaves out some pieces, and " \
	"does not separate a read by AIO or splice() from the next one"
#define NO_REQUESTS                                                                     \
	KS_HAS_PAGECACHE_REQUESTS | KS_HAS_PAGECACHE_MISSES | KS_HAS_PAGECACHE_MAPPED | \
		KS_HAS_PAGECACHE_PIECES
#define NO_REQUESTS_WHY                                                         \
	"requests need the event mm_filemap_get_pages (Linux 6.12) or fentry; " \
	"this variant sees only pages that are added and removed"

/*
 * fentry programs see more than programs on the kernel's events: each piece of a read, and its
 * result. There is no variant with kprobes: a read counts when it returns, and return probes follow
 * only some ten tasks at a time, while many tasks may be waiting in a read.
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
		.lacks_why = "misses need the event page_cache_sync_ra (Linux 6.18) or fentry, "
			     "and " NO_PIECES_WHY,
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
		.lacks_why = "its records do not lead to the file, so it cannot tell writes, block "
			     "devices and files in memory; and " NO_PIECES_WHY,
	},
	{ 0 },
};

static const char *const maps[] = { "pagecache_stats",      "pagecache_rows",    "pagecache_reads",
				    "pagecache_reads_hash", "pagecache_waiting", NULL };

static const struct ks__fallback fallback = {
	.name = "vmstat",
	.needs = "vmstat",
	.lacks = KS_HAS_PAGECACHE_REQUESTS | KS_HAS_PAGECACHE_MISSES | KS_HAS_PAGECACHE_WRITES |
		 KS_HAS_PAGECACHE_EVICTED | KS_HAS_PAGECACHE_MAPPED | KS_HAS_PAGECACHE_EXACT |
		 KS_HAS_PAGECACHE_PIECES,
	.lacks_why = "/proc/vmstat counts what block devices read, not what programs request",
	.scan = &ks__scan_vmstat,
};

/* Reads a hole, where the first read misses and the others hit, then drops the pages. */
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
	.summary = "The page cache: requests, misses, pages added and removed.",
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
