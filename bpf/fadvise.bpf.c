/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fadvise.bpf.c - posix_fadvise(): calls, errors, pages really dropped */
#include "probe.bpf.h"

#define ADVICES 7

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

/* A call that has begun. */
struct fadvise_call {
	uint64_t start_ns; /* 0: none */
	uint64_t offset, length;
	uint64_t dropped;
	uint32_t advice;
	int32_t fd;
	uint32_t pid;
	uint32_t flags; /* ks_event_flag */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fadvise_call);
} fadvise_open SEC(".maps");

/* Its twin where kernels have no task storage for tracing (before 5.11), by task. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, uint64_t);
	__type(value, struct fadvise_call);
} fadvise_open_hash SEC(".maps");

/* ---- the call of the current task -------------------------------------------------------------- */

static __always_inline struct fadvise_call *call_find(void)
{
	uint64_t task;

	if (ks_const.task_storage)
		return bpf_task_storage_get(&fadvise_open, bpf_get_current_task_btf(), NULL, 0);
	task = bpf_get_current_task();
	return bpf_map_lookup_elem(&fadvise_open_hash, &task);
}

static __always_inline bool call_begin(const struct fadvise_call *call)
{
	struct fadvise_call *stored;
	uint64_t task;

	if (!ks_const.task_storage) {
		task = bpf_get_current_task();
		return !bpf_map_update_elem(&fadvise_open_hash, &task, call, BPF_ANY);
	}
	stored = bpf_task_storage_get(&fadvise_open, bpf_get_current_task_btf(), NULL,
				      BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (stored)
		*stored = *call;
	return stored;
}

/* A thread's storage stays for its next call; the hash is for all of them. */
static __always_inline void call_end(struct fadvise_call *call)
{
	uint64_t task;

	call->start_ns = 0;
	if (!ks_const.task_storage) {
		task = bpf_get_current_task();
		bpf_map_delete_elem(&fadvise_open_hash, &task);
	}
}

/* ---- enter ------------------------------------------------------------------------------------- */

static __always_inline enum ks_bpf_outcome entered(struct ks_run *run, struct task_struct *task,
						   struct fadvise_call *call)
{
	if (!ks_admit(run, task))
		return KS_FILTERED;
	call->start_ns = ks_now(run);
	call->pid = run->pid;
	call->flags = run->flags;
	return call_begin(call) ? KS_OPENED : KS_LOST_MAP_FULL;
}

/* regs: those of user space; in a typed program an argument, else an address. */
static __always_inline void call_read(struct ks_run *run, const struct pt_regs *regs,
				      struct fadvise_call *call)
{
#if defined(__TARGET_ARCH_x86)
	call->fd = ks_read(run, regs, di);
	call->offset = ks_read(run, regs, si);
	call->length = ks_read(run, regs, dx);
	call->advice = ks_read(run, regs, r10);
#else
	call->fd = ks_read(run, regs, regs[0]);
	call->offset = ks_read(run, regs, regs[1]);
	call->length = ks_read(run, regs, regs[2]);
	call->advice = ks_read(run, regs, regs[3]);
#endif
}

static __always_inline uint32_t syscall_nr(struct ks_run *run, const struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return ks_read(run, regs, orig_ax);
#else
	return ks_read(run, regs, syscallno);
#endif
}

/* The task of this program as ks_read() wants it. */
static __always_inline struct task_struct *current_task(struct ks_run *run)
{
	if (run->typed)
		return ks_untrusted(bpf_get_current_task_btf());
	return (void *)bpf_get_current_task();
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

SEC("?tp_btf/sys_enter")
int fadvise_enter_tp_btf(uint64_t *ctx)
{
	return fadvise_enter(ctx, (void *)ctx[0], ctx[1], true);
}

SEC("?raw_tp/sys_enter")
int fadvise_enter_raw_tp(uint64_t *ctx)
{
	return fadvise_enter(ctx, (void *)ctx[0], ctx[1], false);
}

SEC("?fentry/" FUNCTION)
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
	call = call_find();
	if (!call || !call->start_ns)
		return ks_end(&run, KS_FILTERED);
	call->dropped += pages * (ks_page_bytes() / 4096);
	return ks_end(&run, KS_AGGREGATED);
}

SEC("?tp_btf/mm_filemap_delete_from_page_cache")
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

static __always_inline void count_call(const struct ks_run *run,
				       struct ks_bpf_stats_fadvise *stats,
				       const struct fadvise_call *call, int result)
{
	uint32_t advice = call->advice < KS_ADVICE_OTHER ? call->advice : KS_ADVICE_OTHER;
	uint32_t error = 3;

	ks_add_own(run, &stats->calls[advice], 1);
	ks_add_own(run, &stats->dropped_pages, call->dropped);
	if (result == 0) {
		ks_add_own(run, &stats->ok[advice], 1);
		return;
	}
	if (result == -9) /* EBADF */
		error = 0;
	else if (result == -22) /* EINVAL */
		error = 1;
	else if (result == -29) /* ESPIPE */
		error = 2;
	ks_add_own(run, &stats->errors[error], 1);
}

/* What the descriptor stands for now, right after the call. */
static __always_inline void tell_file(struct ks_event_fadvise_call *rec,
				      const struct task_struct *task)
{
	const struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	const struct file *file = NULL;
	const struct inode *inode;

	if ((uint32_t)rec->fd >= BPF_CORE_READ(table, max_fds))
		return;
	bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(table, fd) + (uint32_t)rec->fd);
	if (!file)
		return;
	inode = BPF_CORE_READ(file, f_inode);
	if (!inode)
		return;
	rec->inode = BPF_CORE_READ(inode, i_ino);
	rec->device = BPF_CORE_READ(inode, i_sb, s_dev);
	rec->valid |= KS_HAS_FADVISE_FILE;
}

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
	struct fadvise_call *stored = call_find(), call;
	struct ks_bpf_stats_fadvise *stats;

	if (!stored || !stored->start_ns)
		return ks_admit(run, task) ? KS_UNMATCHED : KS_FILTERED;
	call = *stored;
	call_end(stored);
	stats = ks_stats(run, &fadvise_stats);
	if (stats)
		count_call(run, stats, &call, result);
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

SEC("?tp_btf/sys_exit")
int fadvise_exit_tp_btf(uint64_t *ctx)
{
	return fadvise_exit(ctx, (void *)ctx[0], ctx[1], true);
}

SEC("?raw_tp/sys_exit")
int fadvise_exit_raw_tp(uint64_t *ctx)
{
	return fadvise_exit(ctx, (void *)ctx[0], ctx[1], false);
}

SEC("?fexit/" FUNCTION)
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
