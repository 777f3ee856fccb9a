/* SPDX-License-Identifier: BSD-2-Clause */
/* fadvise.c - posix_fadvise(): calls, errors, and pages that left the page cache */
#include "probe.h"
#include "rawcall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/memfd.h>

static const char *const advice[] = { "normal",   "random",  "sequential", "willneed",
				      "dontneed", "noreuse", "other",      NULL };
static const char *const errors[] = { "EBADF", "EINVAL", "ESPIPE", "others", NULL };

static const struct ks__field row_fields[] = {
	{ .name = "calls",
	  .offset = offsetof(struct ks_stats_fadvise, calls),
	  .bytes = 8,
	  .count = 7,
	  .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT,
	  .label = "advice",
	  .values = advice,
	  .help = "calls that have returned" },
	{ .name = "ok",
	  .offset = offsetof(struct ks_stats_fadvise, ok),
	  .bytes = 8,
	  .count = 7,
	  .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT,
	  .valid = KS_HAS_FADVISE_RESULT,
	  .label = "advice",
	  .values = advice,
	  .help = "calls that returned 0, which says nothing about pages" },
	{ .name = "errors",
	  .offset = offsetof(struct ks_stats_fadvise, errors),
	  .bytes = 8,
	  .count = 4,
	  .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT,
	  .valid = KS_HAS_FADVISE_RESULT,
	  .label = "errno",
	  .values = errors,
	  .help = "calls that failed" },
	{ KS__AT(struct ks_stats_fadvise, dropped_pages), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_FADVISE_DROPPED,
	  .help = "pages that left the page cache in calls with DONTNEED" },
	{ 0 },
};

static const struct ks__field call_fields[] = {
	{ KS__AT(struct ks_event_fadvise_call, offset), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_BYTES, .is_signed = 1, .help = "begin of the range in the file" },
	{ KS__AT(struct ks_event_fadvise_call, length), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_BYTES, .is_signed = 1,
	  .help = "length of the range; 0: to the end of the file" },
	{ KS__AT(struct ks_event_fadvise_call, duration_ns), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_NS, .help = "time in the call" },
	{ KS__AT(struct ks_event_fadvise_call, dropped_pages), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_PAGES, .valid = KS_HAS_FADVISE_DROPPED,
	  .help = "pages that left the page cache in this call" },
	{ KS__AT(struct ks_event_fadvise_call, inode), .count = 1, .kind = KS_KIND_ID,
	  .valid = KS_HAS_FADVISE_FILE, .help = "inode of the file" },
	{ KS__AT(struct ks_event_fadvise_call, device), .count = 1, .kind = KS_KIND_ID,
	  .valid = KS_HAS_FADVISE_FILE, .help = "device of the file: major << 20 | minor" },
	{ KS__AT(struct ks_event_fadvise_call, advice), .count = 1, .kind = KS_KIND_CODE,
	  .values = advice, .help = "advice as passed, also if no such advice exists" },
	{ KS__AT(struct ks_event_fadvise_call, result), .count = 1, .kind = KS_KIND_VALUE,
	  .is_signed = 1, .valid = KS_HAS_FADVISE_RESULT, .help = "0 or -errno" },
	{ KS__AT(struct ks_event_fadvise_call, fd), .count = 1, .kind = KS_KIND_ID, .is_signed = 1,
	  .help = "descriptor as passed" },
	{ 0 },
};

static const struct ks__struct stats = {
	.name = "fadvise",
	.id = KS_STATS_FADVISE,
	.bytes = sizeof(struct ks_stats_fadvise),
	.fields = row_fields,
	.help = "Advice about files, and its effect.",
};

static const struct ks__struct events[] = {
	{
		.name = "fadvise_call",
		.id = KS_EVENT_FADVISE_CALL,
		.bytes = sizeof(struct ks_event_fadvise_call),
		.fields = call_fields,
		.help = "A call that took slow_ns or longer, or a sampled shorter one.",
	},
	{ 0 },
};

/*
 * fentry comes first, since it costs time in this syscall only. A program on sys_enter, of any
 * kind, puts every task of the machine on the slow path of syscalls (57 ns each) and runs in each
 * of them.
 */
static const struct ks__variant variants[] = {
	{
		.name = "fentry",
		.progs = { "fadvise_enter_fentry", "fadvise_exit_fexit", "fadvise_drop_tp_btf" },
	},
	{
		.name = "tp_btf",
		.progs = { "fadvise_enter_tp_btf", "fadvise_exit_tp_btf", "fadvise_drop_tp_btf" },
	},
	{
		.name = "raw_tp",
		.progs = { "fadvise_enter_raw_tp", "fadvise_exit_raw_tp", "fadvise_drop_raw_tp" },
	},
	{
		.name = "kprobe",
		.progs = { "fadvise_enter_kprobe", "fadvise_exit_kretprobe",
			   "fadvise_drop_tracepoint" },
	},
	{
		.name = "tracepoint",
		.progs = { "fadvise_enter_tracepoint", "fadvise_exit_tracepoint",
			   "fadvise_drop_tracepoint" },
	},
	{ 0 },
};

static const char *const maps[] = { "fadvise_stats", "fadvise_rows", "fadvise_open",
				    "fadvise_open_hash", NULL };

static const struct ks__param params[] = {
	{
		.name = "slow_ns",
		.id = KS_FADVISE_PARAM_SLOW_NS,
		.kind = KS_KIND_VALUE,
		.unit = KS_UNIT_NS,
		.highest = 3600000000000,
		.default_value = 10000000,
		.help = "a call makes a record if it takes this long; 0: every call",
	},
	{ 0 },
};

/* Gives advice about a memfd: the call counts like any other, and no page is read or dropped. */
static int RAW_CODE provoke_call(int dir_fd)
{
	static const char name[] = "kernelsight";
	long fd = raw6(SYS_memfd_create, (long)name, MFD_CLOEXEC, 0, 0, 0, 0), rc;

	(void)dir_fd;
	if (fd < 0)
		return (int)fd;
	rc = raw6(SYS_fadvise64, fd, 0, 0, POSIX_FADV_RANDOM, 0, 0);
	raw6(SYS_close, fd, 0, 0, 0, 0, 0);
	return (int)rc;
}

static int RAW_CODE provoke_drop(int dir_fd)
{
	return raw_read_and_drop(dir_fd);
}

static const struct ks__provocation provocations[] = {
	{ "call", "calls", provoke_call },
	{ "drop", "dropped_pages", provoke_drop },
	{ 0 },
};

extern const struct ks__probe ks__probe_fadvise;

const struct ks__probe ks__probe_fadvise = {
	.id = KS_PROBE_FADVISE,
	.name = "fadvise",
	.summary = "Advice about files: calls by kind, errors, pages really dropped.",
	.caps = 1ull << CAP_BPF | 1ull << CAP_PERFMON,
	.valid = KS_HAS_FADVISE_RESULT | KS_HAS_FADVISE_DROPPED | KS_HAS_FADVISE_FILE,
	.variants = variants,
	.maps = maps,
	.stats = &stats,
	.by = KS_BY_TOTAL | KS_BY_CPU | KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE,
	.events = events,
	.params = params,
	.defaults = {
		.max_per_sec = 5000,
		.burst = 5000,
		.identity = KS_IDENTITY_CGROUP | KS_IDENTITY_COMM,
	},
	.no_fallback = "no file of procfs counts advice, so there is no fallback",
	.provocations = provocations,
};
