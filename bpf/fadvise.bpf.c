/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fadvise.bpf.c - posix_fadvise(): calls, errors, pages really dropped */
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

/* ---- enter ------------------------------------------------------------------------------------- */

/* Out of scope: a call whose end was not seen must not pass for this one. */
static __always_inline enum ks_bpf_outcome turned_away(void)
{
	struct fadvise_call *stale = call_stored();

	if (stale)
		call_end(stale);
	return KS_FILTERED;
}

static __always_inline enum ks_bpf_outcome entered(struct ks_run *run, struct task_struct *task,
						   struct fadvise_call *call)
{
	if (!ks_admit(run, task))
		return turned_away();
	call->start_ns = ks_now(run);
	call->pid = run->pid;
	call->flags = run->flags;
	call->generation = run->set->generation;
	return call_begin(call) ? KS_OPENED : KS_LOST_MAP_FULL;
}

/* nr: of the system call that is entered; those of 32-bit tasks mean something else. */
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

/* The tracepoints of single system calls leave 32-bit tasks out by themselves. */
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

/* ---- pages dropped ----------------------------------------------------------------------------- */

/* While the call lasts, in the task that makes it: pages that leave the page cache, of any file. */
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

/* Before 5.18 the record does not tell the order: one page each. */
SEC("?tracepoint/filemap/mm_filemap_delete_from_page_cache")
int fadvise_drop_tracepoint(struct trace_event_raw_mm_filemap_op_page_cache *ctx)
{
	return fadvise_drop(ctx, bpf_core_field_exists(ctx->order) ? 1ULL << (ctx->order & 63) : 1);
}

/* ---- exit -------------------------------------------------------------------------------------- */

/* The slow ones are all told; of the others 1 in sample_every. */
static __always_inline enum ks_bpf_outcome tell(struct ks_run *run, struct task_struct *task,
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
	tell_file(rec, task);
	return ks_submit(run, rec, sizeof(room));
}

/* Whoever was let in at the entrance counts, even if the scope has changed. */
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
	return tell(run, task, &call, result);
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
