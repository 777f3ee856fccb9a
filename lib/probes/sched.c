/* SPDX-License-Identifier: BSD-2-Clause */
/* sched.c - threads on CPUs: switches, and how long threads run, wait for a CPU and sleep */
#include "probe.h"
#include "rawcall.h"

#include <errno.h>
#include <linux/capability.h>
#include <time.h>

#include "../files/scan.h"

static const struct ks__field row_fields[] = {
	{ KS__AT(struct ks_stats_sched, voluntary), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .valid = KS_HAS_SCHED_SWITCHES,
	  .help = "switches because the thread had to wait" },
	{ KS__AT(struct ks_stats_sched, preempted), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .valid = KS_HAS_SCHED_SWITCHES,
	  .help = "switches although the thread could go on" },
	{ KS__AT(struct ks_stats_sched, wakeups), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .valid = KS_HAS_SCHED_WAKEUPS, .help = "wake-ups of the thread" },
	{ KS__AT(struct ks_stats_sched, runq_ns), .count = 1, .kind = KS_KIND_HIST,
	  .unit = KS_UNIT_NS, .valid = KS_HAS_SCHED_RUNQ,
	  .help = "time in the run queue: ready, waiting for a CPU" },
	{ KS__AT(struct ks_stats_sched, oncpu_ns), .count = 1, .kind = KS_KIND_HIST,
	  .unit = KS_UNIT_NS, .valid = KS_HAS_SCHED_ONCPU,
	  .help = "time on a CPU, each turn one value" },
	{ KS__AT(struct ks_stats_sched, offcpu_ns), .count = 1, .kind = KS_KIND_HIST,
	  .unit = KS_UNIT_NS, .valid = KS_HAS_SCHED_OFFCPU,
	  .help = "time asleep: waiting for something other than a CPU" },
	{ 0 },
};

static const struct ks__field wait_fields[] = {
	{ KS__AT(struct ks_event_sched_wait, wait_ns), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_NS, .valid = KS_HAS_SCHED_RUNQ,
	  .help = "how long the thread was ready without a CPU" },
	{ KS__AT(struct ks_event_sched_wait, held_cgroup), .count = 1, .kind = KS_KIND_ID,
	  .valid = KS_HAS_SCHED_CULPRIT,
	  .help = "cgroup of the thread that was on the CPU right before; 0: idle" },
	{ KS__AT(struct ks_event_sched_wait, held_pid), .count = 1, .kind = KS_KIND_ID,
	  .is_signed = 1, .valid = KS_HAS_SCHED_CULPRIT, .help = "pid of that thread; 0: idle" },
	{ KS__AT(struct ks_event_sched_wait, held_tid), .count = 1, .kind = KS_KIND_ID,
	  .is_signed = 1, .valid = KS_HAS_SCHED_CULPRIT, .help = "tid of that thread" },
	{ KS__AT(struct ks_event_sched_wait, held_comm), .count = 1, .kind = KS_KIND_TEXT,
	  .valid = KS_HAS_SCHED_CULPRIT, .help = "comm of that thread" },
	{ 0 },
};

static const struct ks__field block_fields[] = {
	{ KS__AT(struct ks_event_sched_block, block_ns), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_NS, .valid = KS_HAS_SCHED_OFFCPU, .help = "how long the thread slept" },
	{ KS__AT(struct ks_event_sched_block, sleep_state), .count = 1, .kind = KS_KIND_VALUE,
	  .valid = KS_HAS_SCHED_SLEEP,
	  .help = "the kernel's task state: 1 interruptible, 2 not, or with more bits" },
	{ 0 },
};

static const struct ks__struct stats = {
	.name = "sched",
	.id = KS_STATS_SCHED,
	.bytes = sizeof(struct ks_stats_sched),
	.fields = row_fields,
	.help = "What threads do with their time: run, wait for a CPU, sleep.",
};

static const struct ks__struct events[] = {
	{
		.name = "sched_wait",
		.id = KS_EVENT_SCHED_WAIT,
		.bytes = sizeof(struct ks_event_sched_wait),
		.fields = wait_fields,
		.help = "A thread waited wait_ns or longer for a CPU.",
	},
	{
		.name = "sched_block",
		.id = KS_EVENT_SCHED_BLOCK,
		.bytes = sizeof(struct ks_event_sched_block),
		.fields = block_fields,
		.help = "A thread slept block_ns or longer.",
	},
	{ 0 },
};

/*
 * There is no variant with classic tracepoints. Their records hold tids instead of task pointers,
 * so a program could test the scope neither of the thread that gets the CPU nor of the thread that
 * is woken. And raw_tp works wherever they do.
 */
static const struct ks__variant variants[] = {
	{
		.name = "tp_btf",
		.progs = { "sched_switch_tp_btf", "sched_wakeup_tp_btf", "sched_wakeup_new_tp_btf",
			   "sched_seed" },
	},
	{
		.name = "raw_tp",
		.progs = { "sched_switch_raw_tp", "sched_wakeup_raw_tp",
			   "sched_wakeup_new_raw_tp" },
		.by_pointer = 1,
	},
	{ 0 },
};

static const char *const maps[] = { "sched_stats", "sched_rows", NULL };
static const char *const open_sums[] = { "runq_ns", "oncpu_ns", "offcpu_ns", NULL };

static const struct ks__param params[] = {
	{
		.name = "wait_ns",
		.id = KS_SCHED_PARAM_WAIT_NS,
		.kind = KS_KIND_VALUE,
		.unit = KS_UNIT_NS,
		.highest = 3600000000000,
		.default_value = 10000000,
		.help = "a wait for a CPU makes a record if it takes this long; 0: no records",
	},
	{
		.name = "block_ns",
		.id = KS_SCHED_PARAM_BLOCK_NS,
		.kind = KS_KIND_VALUE,
		.unit = KS_UNIT_NS,
		.highest = 3600000000000,
		.help = "a sleep makes a record if it takes this long; 0: no records",
	},
	{ 0 },
};

static const struct ks__fallback fallback = {
	.name = "procfs",
	.needs = "self/schedstat",
	.lacks = KS_HAS_SCHED_WAKEUPS | KS_HAS_SCHED_BUCKETS | KS_HAS_SCHED_COUNTS |
		 KS_HAS_SCHED_CULPRIT | KS_HAS_SCHED_SLEEP,
	.lacks_why = "/proc has only sums for each thread: no single waits, no wake-ups, and no "
		     "threads that begin and end between two looks",
	.scan = &ks__scan_sched,
};

/* Sleeps for 1 ms: a voluntary switch and a wake-up. */
static int RAW_CODE provoke_sleep(int dir_fd)
{
	const struct timespec time = { .tv_nsec = 1000000 };

	(void)dir_fd;
	return (int)raw6(SYS_nanosleep, (long)&time, 0, 0, 0, 0, 0);
}

static const struct ks__provocation provocations[] = {
	{ "switch", "voluntary", provoke_sleep },
	{ "wake-up", "wakeups", provoke_sleep },
	{ 0 },
};

extern const struct ks__probe ks__probe_sched;

const struct ks__probe ks__probe_sched = {
	.id = KS_PROBE_SCHED,
	.name = "sched",
	.summary = "Threads on CPUs: switches, time running, in the queue and asleep, long waits.",
	.caps = 1ull << CAP_BPF | 1ull << CAP_PERFMON,
	.valid = KS_HAS_SCHED_SWITCHES | KS_HAS_SCHED_RUNQ | KS_HAS_SCHED_ONCPU |
		 KS_HAS_SCHED_OFFCPU | KS_HAS_SCHED_WAKEUPS | KS_HAS_SCHED_BUCKETS |
		 KS_HAS_SCHED_CULPRIT | KS_HAS_SCHED_SLEEP | KS_HAS_SCHED_COUNTS,
	.buckets = KS_HAS_SCHED_BUCKETS,
	.variants = variants,
	.maps = maps,
	.open = open_sums,
	.stats = &stats,
	.by = KS_BY_TOTAL | KS_BY_CPU | KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE,
	.events = events,
	.params = params,
	.defaults = {
		.sample_every = 1,
		.max_per_sec = 1000,
		.burst = 1000,
		.identity = KS_IDENTITY_CGROUP | KS_IDENTITY_COMM,
		.interval_ms = 1000,
	},
	.fallback = &fallback,
	.provocations = provocations,
};
