/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* burst.bpf.c - makes as many records as the parameter says at each getppid(); see burst.h */
#include "probe.bpf.h"

#include "burst.h"

#if defined(__TARGET_ARCH_x86)
#define NR_GETPPID 110
#define FUNCTION "__do_sys_getppid" /* the name that BTF has for it */
#else
#define NR_GETPPID 173
#define FUNCTION "__arm64_sys_getppid"
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

static __always_inline void count_emitted(struct ks_run *run, struct task_struct *task,
					  uint32_t emitted)
{
	struct ks_bpf_stats_burst *stats = ks_stats(run, &burst_stats);
	struct ks_bpf_row_burst *row = ks_row(run, &burst_rows, task);

	if (stats)
		ks_add_own(run, &stats->emitted, emitted);
	if (row)
		ks_add_own(run, &row->emitted, emitted);
}

/*
 * The verifier walks each turn of the loop, and again for all state that may differ before the
 * first turn. So each turn has its own copy of the run number, and statistics come last.
 * (bpf_loop() would avoid that cost, but exists only from 5.17 on.)
 */
static __always_inline int burst(void *ctx, uint32_t nr, struct task_struct *task, const bool typed)
{
	struct burst_count *count;
	struct ks_run run, turn;
	uint32_t zero = 0, n, i;

	if (!ks_begin(&run, ctx, BURST_PROBE, typed))
		return 0;
	n = run.set->param[0];
	count = bpf_map_lookup_elem(&burst_counts, &zero);
	if (nr != NR_GETPPID || !count || !n || !ks_admit(&run, task))
		return ks_end(&run, KS_FILTERED);
#pragma clang loop unroll(disable)
	for (i = 0; i < BURST_MAX && i < n; i++) {
		turn = run;
		ks_count(&turn, emit(&turn, task, count));
	}
	count->run++;
	count_emitted(&run, task, i);
	ks_measure(&run);
	return 0;
}

SEC("?ks/tp_btf/sys_enter")
int burst_enter_tp_btf(uint64_t *ctx)
{
	return burst(ctx, ctx[1], ks_untrusted(bpf_get_current_task_btf()), true);
}

SEC("?raw_tp/sys_enter")
int burst_enter_raw_tp(uint64_t *ctx)
{
	return burst(ctx, ctx[1], (void *)bpf_get_current_task(), false);
}

SEC("?ks/fentry/" FUNCTION)
int burst_enter_fentry(uint64_t *ctx)
{
	return burst(ctx, NR_GETPPID, ks_untrusted(bpf_get_current_task_btf()), true);
}
