/* SPDX-License-Identifier: BSD-2-Clause */
/* burst.c - the definition of the tests' own probe; see burst.h */
#include "../../lib/probes/probe.h"

#include <linux/capability.h>

#include "burst.h"

static const struct ks__field row_fields[] = {
	{ KS__AT(struct ks_stats_burst, emitted), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "records tried" },
	{ 0 },
};

static const struct ks__field event_fields[] = {
	{ KS__AT(struct ks_event_burst_record, sequence), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_COUNT, .help = "of the record on its CPU" },
	{ KS__AT(struct ks_event_burst_record, run), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_COUNT, .help = "of the program on its CPU" },
	{ 0 },
};

static const struct ks__struct stats = {
	.name = "burst",
	.id = BURST_STATS,
	.bytes = sizeof(struct ks_stats_burst),
	.fields = row_fields,
	.help = "Records made for a test.",
};

static const struct ks__struct events[] = {
	{
		.name = "burst_record",
		.id = BURST_EVENT,
		.bytes = sizeof(struct ks_event_burst_record),
		.fields = event_fields,
		.help = "One of the records of a run.",
	},
	{ 0 },
};

static const struct ks__variant variants[] = {
	{ .name = "tp_btf", .progs = { "burst_enter_tp_btf" } },
	{ .name = "raw_tp", .progs = { "burst_enter_raw_tp" } },
	/* last: the kernel may preempt fentry programs, which loses runs */
	{ .name = "fentry", .progs = { "burst_enter_fentry" } },
	{ 0 },
};

static const char *const maps[] = { "burst_stats", "burst_rows", "burst_counts", NULL };

static const struct ks__param params[] = {
	{
		.name = "records",
		.id = BURST_PARAM_RECORDS,
		.kind = KS_KIND_VALUE,
		.unit = KS_UNIT_COUNT,
		.highest = BURST_MAX,
		.default_value = 1,
		.help = "records of each getppid()",
	},
	{
		.name = "summed",
		.id = BURST_PARAM_SUMMED,
		.kind = KS_KIND_VALUE,
		.unit = KS_UNIT_NONE,
		.highest = 1,
		.help = "each record tells what its words add up to",
	},
	{ 0 },
};

extern const struct ks__probe ks__probe_burst;

const struct ks__probe ks__probe_burst = {
	.id = BURST_PROBE,
	.name = "burst",
	.summary = "As many records as a test asks for.",
	.caps = 1ull << CAP_BPF | 1ull << CAP_PERFMON,
	.variants = variants,
	.maps = maps,
	.stats = &stats,
	.by = KS_BY_TOTAL | KS_BY_CPU | KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE,
	.events = events,
	.params = params,
	.defaults = {
		.sample_every = 1,
		.burst = 5000,
		.identity = KS_IDENTITY_CGROUP | KS_IDENTITY_COMM,
	},
	.no_fallback = "only a kernel program can make records this fast",
};
