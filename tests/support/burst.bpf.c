/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* burst.bpf.c - as many records as asked for at each getppid(); see burst.h */
#include "probe.bpf.h"

#include "burst.h"

#if defined(__TARGET_ARCH_x86)
#define NR_GETPPID 110
#else
#define NR_GETPPID 173
#endif

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs */
	__type(key, uint32_t);
	__type(value, struct ks_bpf_stats_burst);
} burst_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs and threads */
	__type(key, uint32_t);
	__type(value, struct ks_bpf_row_burst);
} burst_rows SEC(".maps");

struct burst_count {
	uint64_t sequence, run;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct burst_count);
} burst_counts SEC(".maps");

/* What the loop hands to each of its turns. */
struct burst_turn {
	struct ks_run run;
	struct task_struct *task;
	struct burst_count *count;
	struct ks_bpf_stats_burst *stats;
	struct ks_bpf_row_burst *row;
};

static __always_inline enum ks_bpf_outcome emit(struct ks_run *run, struct task_struct *task,
						struct burst_count *count)
{
	struct ks_event_burst_record *rec, room;
	uint64_t sequence = count->sequence++;

	rec = ks_reserve(run, task, &room, BURST_EVENT, sizeof(room));
	if (!rec)
		return run->outcome;
	rec->sequence = sequence;
	rec->run = run->set->param[1] ? burst_sum(rec) : count->run;
	return ks_submit(run, rec, sizeof(room));
}

/* On a copy of the run, which then is in registers again. */
static __always_inline long turn(const struct burst_turn *turn, const bool typed)
{
	struct ks_run run = turn->run;

	run.typed = typed;
	if (turn->stats)
		ks_add_own(&run, &turn->stats->emitted, 1);
	if (turn->row)
		ks_add_own(&run, &turn->row->emitted, 1);
	ks_count(&run, emit(&run, turn->task, turn->count));
	return 0;
}

static long turn_typed(uint32_t i, struct burst_turn *data)
{
	return turn(data, true);
}

static long turn_untyped(uint32_t i, struct burst_turn *data)
{
	return turn(data, false);
}

/*
 * How many turns. A function of its own: before 6.13 the stacks of all that are active have 512 bytes
 * together. Untyped: functions of the kernel can be called in programs only, not in their functions.
 */
static __noinline uint32_t begin(struct burst_turn *turn, void *ctx, uint32_t nr)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct burst_count *count;
	struct ks_run run;
	uint32_t zero = 0, n;

	if (!ks_begin(&run, ctx, BURST_PROBE, false))
		return 0;
	n = run.set->param[0];
	count = bpf_map_lookup_elem(&burst_counts, &zero);
	if (nr != NR_GETPPID || !count || !n || !ks_admit(&run, task)) {
		ks_end(&run, KS_FILTERED);
		return 0;
	}
	turn->count = count;
	turn->stats = ks_stats(&run, &burst_stats);
	turn->row = ks_row(&run, &burst_rows, task);
	turn->task = task;
	turn->run = run;
	return n;
}

/* bpf_loop() of 5.17: the verifier would follow each turn of a plain loop, a million steps. */
SEC("?ks/tp_btf/sys_enter")
int burst_enter_tp_btf(uint64_t *ctx)
{
	struct burst_turn turn = {};
	uint32_t n = begin(&turn, ctx, ctx[1]);

	if (!n || !turn.count)
		return 0;
	turn.task = ks_untrusted(bpf_get_current_task_btf());
	bpf_loop(n, turn_typed, &turn, 0);
	turn.count->run++;
	ks_measure(&turn.run);
	return 0;
}

SEC("?raw_tp/sys_enter")
int burst_enter_raw_tp(uint64_t *ctx)
{
	struct burst_turn turn = {};
	uint32_t n = begin(&turn, ctx, ctx[1]);

	if (!n || !turn.count)
		return 0;
	bpf_loop(n, turn_untyped, &turn, 0);
	turn.count->run++;
	ks_measure(&turn.run);
	return 0;
}
