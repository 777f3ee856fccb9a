/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fadvise.bpf.c - kernel programs of the probe fadvise: calls, errors and pages really dropped */
#include "probe.bpf.h"

#include "fadvise.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define SYSCALL "fadvise64"
#define FUNCTION "__x64_sys_fadvise64"
#else
#define SYSCALL "fadvise64_64"
#define FUNCTION "__arm64_sys_fadvise64_64"
#endif

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs */
	__type(key, uint32_t);
	__type(value, struct ks_bpf_stats_fadvise);
} fadvise_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs and slots of ks_threads */
	__type(key, uint32_t);
	__type(value, struct ks_bpf_row_fadvise);
} fadvise_rows SEC(".maps");

/* ---- enter ----------------------------------------------------------------------------------- */

/*
 * The call is out of scope. An earlier call of this thread whose end was missed may still be
 * stored. Remove it, or the end of the present call would count as its end.
 */
static __always_inline enum ks_bpf_outcome turned_away(void)
{
	struct fadvise_call *stale = call_stored();

	if (stale)
		call_end(stale);
	return KS_FILTERED;
}

/* A call begins: store it until its end. */
static __always_inline enum ks_bpf_outcome entered(struct ks_run *run, struct task_struct *task,
						   struct fadvise_call *call)
{
	if (!ks_admit(run, task))
		return turned_away();
	call->start_ns = ks_now(run);
	call->pid = run->pid;
	call->flags = run->flags;
	call->generation = run->generation;
	return call_begin(call) ? KS_OPENED : KS_LOST_MAP_FULL;
}

/*
 * nr: number of the syscall. It is ignored if a 32-bit task calls, since those have other numbers.
 */
static __always_inline int fadvise_enter(void *ctx, const struct pt_regs *regs, uint32_t nr,
					 const bool typed)
{
	struct fadvise_call call = {};
	struct task_struct *task;
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_FADVISE, typed))
		return 0;
	if (nr != ks_const.nr_fadvise64)
		return ks_end(&run, KS_FILTERED);
	task = current_task(&run);
	if (ks_is_compat(task))
		return ks_end(&run, KS_FILTERED);
	call_read(&run, regs, &call);
	return ks_end(&run, entered(&run, task, &call));
}

SEC("?ks/tp_btf/sys_enter")
int fadvise_enter_tp_btf(uint64_t *ctx)
{
	return fadvise_enter(ctx, (void *)ctx[0], ctx[1], true);
}

SEC("?raw_tp/sys_enter")
int fadvise_enter_raw_tp(uint64_t *ctx)
{
	return fadvise_enter(ctx, (void *)ctx[0], ctx[1], false);
}

SEC("?ks/fentry/" FUNCTION)
int fadvise_enter_fentry(uint64_t *ctx)
{
	return fadvise_enter(ctx, (void *)ctx[0], ks_const.nr_fadvise64, true);
}

SEC("?kprobe/" FUNCTION)
int fadvise_enter_kprobe(struct pt_regs *ctx)
{
#if defined(__TARGET_ARCH_x86)
	return fadvise_enter(ctx, (void *)ctx->di, ks_const.nr_fadvise64, false);
#else
	return fadvise_enter(ctx, (void *)ctx->regs[0], ks_const.nr_fadvise64, false);
#endif
}

/* The tracepoints of single syscalls do not fire for 32-bit tasks. */
SEC("?tracepoint/syscalls/sys_enter_" SYSCALL)
int fadvise_enter_tracepoint(struct trace_event_raw_sys_enter *ctx)
{
	struct fadvise_call call = {
		.fd = ctx->args[0],
		.offset = ctx->args[1],
		.length = ctx->args[2],
		.advice = ctx->args[3],
	};
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_FADVISE, false))
		return 0;
	return ks_end(&run, entered(&run, current_task(&run), &call));
}

/* ---- pages dropped --------------------------------------------------------------------------- */

/*
 * Adds pages that leave the page cache to the present call of the current task. It counts pages of
 * any file.
 */
static __always_inline int fadvise_drop(void *ctx, uint64_t pages)
{
	struct fadvise_call *call;
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_FADVISE, false))
		return 0;
	call = call_stored();
	if (!call_lasts(&run, call))
		return ks_end(&run, KS_FILTERED);
	call->dropped += pages * (ks_page_bytes() / 4096);
	return ks_end(&run, KS_AGGREGATED);
}

SEC("?ks/tp_btf/mm_filemap_delete_from_page_cache")
int fadvise_drop_tp_btf(uint64_t *ctx)
{
	return fadvise_drop(ctx, ks_folio_pages((void *)ctx[0]));
}

SEC("?raw_tp/mm_filemap_delete_from_page_cache")
int fadvise_drop_raw_tp(uint64_t *ctx)
{
	return fadvise_drop(ctx, ks_folio_pages((void *)ctx[0]));
}

/* Before 5.18 the record has no order; it then stands for one page. */
SEC("?tracepoint/filemap/mm_filemap_delete_from_page_cache")
int fadvise_drop_tracepoint(struct trace_event_raw_mm_filemap_op_page_cache *ctx)
{
	return fadvise_drop(ctx, bpf_core_field_exists(ctx->order) ? 1ULL << (ctx->order & 63) : 1);
}

/* ---- exit ------------------------------------------------------------------------------------ */

/* Makes the record of a call: always if the call was slow, else for 1 call in sample_every. */
static __always_inline enum ks_bpf_outcome record_call(struct ks_run *run, struct task_struct *task,
						       const struct fadvise_call *call, int result)
{
	uint64_t duration = ks_now(run) - call->start_ns;
	struct ks_event_fadvise_call *rec, room;

	if (duration >= run->set->param[0])
		run->sample_every = 1;
	run->pid = call->pid;
	run->flags = call->flags;
	rec = ks_reserve(run, task, &room, KS_EVENT_FADVISE_CALL, sizeof(room));
	if (!rec)
		return run->outcome;
	rec->valid = KS_HAS_FADVISE_RESULT | KS_HAS_FADVISE_DROPPED;
	rec->offset = call->offset;
	rec->length = call->length;
	rec->duration_ns = duration;
	rec->dropped_pages = call->dropped;
	rec->advice = call->advice;
	rec->result = result;
	rec->fd = call->fd;
	fill_file(rec, task);
	return ks_submit(run, rec, sizeof(room));
}

/* A call ends. It counts if it was in scope when it began, even if the scope has changed since. */
static __always_inline enum ks_bpf_outcome returned(struct ks_run *run, struct task_struct *task,
						    int result)
{
	struct fadvise_call *stored = call_stored(), call;
	struct ks_bpf_stats_fadvise *stats;
	struct ks_bpf_row_fadvise *row;

	if (!call_lasts(run, stored))
		return ks_admit(run, task) ? KS_UNMATCHED : KS_FILTERED;
	call = *stored;
	call_end(stored);
	stats = ks_stats(run, &fadvise_stats);
	if (stats)
		count_call(run, stats, &call, result);
	row = ks_row(run, &fadvise_rows, task);
	if (row)
		count_row(row, &call, result);
	return record_call(run, task, &call, result);
}

static __always_inline int fadvise_exit(void *ctx, const struct pt_regs *regs, int result,
					const bool typed)
{
	struct task_struct *task;
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_FADVISE, typed))
		return 0;
	if (regs && syscall_nr(&run, regs) != ks_const.nr_fadvise64)
		return ks_end(&run, KS_FILTERED);
	task = current_task(&run);
	if (ks_is_compat(task))
		return ks_end(&run, KS_FILTERED);
	return ks_end(&run, returned(&run, task, result));
}

SEC("?ks/tp_btf/sys_exit")
int fadvise_exit_tp_btf(uint64_t *ctx)
{
	return fadvise_exit(ctx, (void *)ctx[0], ctx[1], true);
}

SEC("?raw_tp/sys_exit")
int fadvise_exit_raw_tp(uint64_t *ctx)
{
	return fadvise_exit(ctx, (void *)ctx[0], ctx[1], false);
}

SEC("?ks/fexit/" FUNCTION)
int fadvise_exit_fexit(uint64_t *ctx)
{
	return fadvise_exit(ctx, NULL, ctx[1], true);
}

SEC("?kretprobe/" FUNCTION)
int fadvise_exit_kretprobe(struct pt_regs *ctx)
{
#if defined(__TARGET_ARCH_x86)
	return fadvise_exit(ctx, NULL, ctx->ax, false);
#else
	return fadvise_exit(ctx, NULL, ctx->regs[0], false);
#endif
}

SEC("?tracepoint/syscalls/sys_exit_" SYSCALL)
int fadvise_exit_tracepoint(struct trace_event_raw_sys_exit *ctx)
{
	return fadvise_exit(ctx, NULL, ctx->ret, false);
}
