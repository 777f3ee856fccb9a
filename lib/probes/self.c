/* SPDX-License-Identifier: BSD-2-Clause */
/* self.c - the library itself: its events, its ledger, its cost */
#include "probe.h"

static const struct ks__field row_fields[] = {
	{ KS__AT(struct ks_stats_self, fired), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "times a kernel program ran: the sum of all outcomes" },
	{ KS__AT(struct ks_stats_self, filtered), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT,
	  .help = "out of scope, not an event of the probe, or the probe was off" },
	{ KS__AT(struct ks_stats_self, sampled_out), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "counted, but not in the sample" },
	{ KS__AT(struct ks_stats_self, throttled), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "counted, but over the limit of records a second" },
	{ KS__AT(struct ks_stats_self, aggregated), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "counted, and no record was wanted" },
	{ KS__AT(struct ks_stats_self, opened), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "the first half of a pair was stored" },
	{ KS__AT(struct ks_stats_self, submitted), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "records made" },
	{ KS__AT(struct ks_stats_self, lost_ring), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "counted, but the ring was full" },
	{ KS__AT(struct ks_stats_self, lost_locked), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "counted, but an NMI found the lock of the ring held" },
	{ KS__AT(struct ks_stats_self, lost_map), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "no room in a map" },
	{ KS__AT(struct ks_stats_self, unmatched), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "an end without its beginning" },
	{ KS__AT(struct ks_stats_self, ambiguous), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "an end with two possible beginnings; always 0 so far" },
	{ KS__AT(struct ks_stats_self, malformed), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "data of the kernel could not be read" },
	{ KS__AT(struct ks_stats_self, delivered), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "records handed to the host" },
	{ KS__AT(struct ks_stats_self, discarded), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "records thrown away undelivered" },
	{ KS__AT(struct ks_stats_self, in_flight), .count = 1, .kind = KS_KIND_GAUGE,
	  .unit = KS_UNIT_COUNT, .help = "records not yet read" },
	{ KS__AT(struct ks_stats_self, missed), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .valid = KS_HAS_SELF_MISSED,
	  .help = "events that never reached a program" },
	{ KS__AT(struct ks_stats_self, kernel_ns), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_NS, .valid = KS_HAS_SELF_COST,
	  .help = "time in kernel programs, measured on 1 run in 256" },
	{ KS__AT(struct ks_stats_self, user_ns), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_NS, .help = "CPU time inside consumer functions and loads" },
	{ KS__AT(struct ks_stats_self, wakeups), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "wake-ups of the consumer" },
	{ KS__AT(struct ks_stats_self, map_bytes), .count = 1, .kind = KS_KIND_GAUGE,
	  .unit = KS_UNIT_BYTES, .help = "kernel memory of maps and rings" },
	{ KS__AT(struct ks_stats_self, user_bytes), .count = 1, .kind = KS_KIND_GAUGE,
	  .unit = KS_UNIT_BYTES, .help = "memory of the handle" },
	{ KS__AT(struct ks_stats_self, programs), .count = 1, .kind = KS_KIND_GAUGE,
	  .unit = KS_UNIT_COUNT, .help = "attached kernel programs" },
	{ KS__AT(struct ks_stats_self, descriptors), .count = 1, .kind = KS_KIND_GAUGE,
	  .unit = KS_UNIT_COUNT, .help = "open descriptors" },
	{ 0 },
};

static const char *const lost_reasons[] = { "", "ring", "throttled", NULL };

static const struct ks__field lost_fields[] = {
	{ KS__AT(struct ks_event_lost, lost), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_COUNT, .help = "records that are missing" },
	{ KS__AT(struct ks_event_lost, from_ns), .count = 1, .kind = KS_KIND_TIME,
	  .unit = KS_UNIT_NS, .help = "the hole begins after this time" },
	{ KS__AT(struct ks_event_lost, to_ns), .count = 1, .kind = KS_KIND_TIME, .unit = KS_UNIT_NS,
	  .help = "the hole ends before this time" },
	{ KS__AT(struct ks_event_lost, reason), .count = 1, .kind = KS_KIND_CODE,
	  .values = lost_reasons, .help = "why they are missing" },
	{ KS__AT(struct ks_event_lost, probe), .count = 1, .kind = KS_KIND_ID,
	  .help = "probe that lost the records; 4294967295: several probes" },
	{ 0 },
};

static const char *const states[] = { "off", "on", "failed", "", "silent", NULL };
static const char *const sources[] = { "none", "bpf", "files", NULL };
static const char *const causes[] = { "other", "overhead", "errors", "", "scope", NULL };

static const struct ks__field state_fields[] = {
	{ KS__AT(struct ks_event_state, probe), .count = 1, .kind = KS_KIND_ID,
	  .help = "probe that changed" },
	{ KS__AT(struct ks_event_state, state), .count = 1, .kind = KS_KIND_CODE, .values = states,
	  .help = "its state now" },
	{ KS__AT(struct ks_event_state, source), .count = 1, .kind = KS_KIND_CODE,
	  .values = sources, .help = "source that serves it now" },
	{ KS__AT(struct ks_event_state, sample_every), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_COUNT, .help = "from now on 1 event in this many makes a record" },
	{ KS__AT(struct ks_event_state, cause), .count = 1, .kind = KS_KIND_CODE, .values = causes,
	  .help = "why it changed" },
	{ 0 },
};

static const struct ks__struct stats = {
	.name = "self",
	.id = KS_STATS_SELF,
	.bytes = sizeof(struct ks_stats_self),
	.fields = row_fields,
	.help = "Ledger and cost of the probes of this handle.",
};

static const struct ks__struct events[] = {
	{
		.name = "lost",
		.id = KS_EVENT_LOST,
		.bytes = sizeof(struct ks_event_lost),
		.fields = lost_fields,
		.help = "Records are missing right before the next one.",
	},
	{
		.name = "state",
		.id = KS_EVENT_STATE,
		.bytes = sizeof(struct ks_event_state),
		.fields = state_fields,
		.help = "A probe changed without a call of the host.",
	},
	{ 0 },
};

extern const struct ks__probe ks__probe_self;

const struct ks__probe ks__probe_self = {
	.id = KS_PROBE_SELF,
	.name = "self",
	.summary = "The library itself: its events, its ledger, its cost.",
	.valid = KS_HAS_SELF_MISSED | KS_HAS_SELF_COST,
	.stats = &stats,
	.by = KS_BY_TOTAL | KS_BY_PROBE,
	.events = events,
};
