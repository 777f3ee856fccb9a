/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fadvise.bpf.h - stores a call of posix_fadvise() from its begin to its end; for fadvise.bpf.c */
#ifndef KS_FADVISE_BPF_H
#define KS_FADVISE_BPF_H

#include "probe.bpf.h"

/* A call that has begun and not ended. */
struct fadvise_call {
	uint64_t start_ns; /* 0: no call */
	uint64_t offset, length;
	uint64_t dropped;
	uint32_t advice;
	int32_t fd;
	uint32_t pid;
	uint16_t flags; /* ks_event_flag */
	uint16_t generation;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fadvise_call);
} fadvise_open SEC(".maps");

/* Used in its place if tracing programs have no task storage (before 5.11). Key: task address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, uint64_t);
	__type(value, struct fadvise_call);
} fadvise_open_hash SEC(".maps");

/* ---- the call of the current task ------------------------------------------------------------ */

/* Returns the stored call of the current task, or NULL. */
static __always_inline struct fadvise_call *call_stored(void)
{
	uint64_t task;

	if (ks_const.task_storage)
		return bpf_task_storage_get(&fadvise_open, bpf_get_current_task_btf(), NULL, 0);
	task = bpf_get_current_task();
	return bpf_map_lookup_elem(&fadvise_open_hash, &task);
}

/*
 * Is the stored call still going on? If a call ends while the probe is off, it stays stored and
 * must be ignored. Each time the host enables the probe, one slot of the settings gets a new
 * generation, and the other one has generation 0 (the probe is off) until the host configures the
 * probe. So the call is still going on if one of the two slots has its generation. (If the host
 * configures the probe twice during a call, neither slot has it, and the end of the call counts as
 * unmatched.)
 */
static __always_inline bool call_lasts(struct ks_run *run, const struct fadvise_call *call)
{
	const volatile struct ks_bpf_settings *slots = run->control->settings[run->probe];

	return call && call->start_ns &&
	       (call->generation == slots[0].generation || call->generation == slots[1].generation);
}

/* Stores a call of the current task. Returns false if there is no room. */
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

/*
 * Removes a stored call. Task storage stays for the thread's next call; an entry of the hash does
 * not.
 */
static __always_inline void call_end(struct fadvise_call *call)
{
	uint64_t task;

	call->start_ns = 0;
	if (!ks_const.task_storage) {
		task = bpf_get_current_task();
		bpf_map_delete_elem(&fadvise_open_hash, &task);
	}
}

/*
 * Reads the arguments of a call. regs: registers of user space, a typed argument in a typed
 * program, else an address.
 */
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

/* Returns the current task with the type that ks_read() needs. */
static __always_inline struct task_struct *current_task(struct ks_run *run)
{
	if (run->typed)
		return ks_untrusted(bpf_get_current_task_btf());
	return (void *)bpf_get_current_task();
}

/* ---- counts and record of a call ------------------------------------------------------------- */

/* Index in `errors` of the statistics. */
static __always_inline uint32_t error_slot(int result)
{
	if (result == -9) /* EBADF */
		return 0;
	if (result == -22) /* EINVAL */
		return 1;
	return result == -29 ? 2 : 3; /* ESPIPE, others */
}

/*
 * Index in `calls` and `ok`. It has 64 bits since the verifier of 5.10 loses the bound of 32 bits.
 */
static __always_inline uint64_t advice_slot(const struct fadvise_call *call)
{
	uint64_t slot = call->advice;

	return slot < KS_ADVICE_OTHER ? slot : KS_ADVICE_OTHER;
}

static __always_inline void count_call(const struct ks_run *run,
				       struct ks_bpf_stats_fadvise *stats,
				       const struct fadvise_call *call, int result)
{
	uint64_t advice = advice_slot(call);

	ks_add_own(run, &stats->calls[advice], 1);
	ks_add_own(run, &stats->dropped_pages, call->dropped);
	if (result == 0)
		ks_add_own(run, &stats->ok[advice], 1);
	else
		ks_add_own(run, &stats->errors[error_slot(result)], 1);
}

static __always_inline void count_row(struct ks_bpf_row_fadvise *row,
				      const struct fadvise_call *call, int result)
{
	uint64_t advice = advice_slot(call);

	ks_add(&row->calls[advice], 1);
	ks_add(&row->dropped_pages, call->dropped);
	if (result == 0)
		ks_add(&row->ok[advice], 1);
	else
		ks_add(&row->errors[error_slot(result)], 1);
}

/* Puts the file into the record to which the descriptor refers now, right after the call. */
static __always_inline void fill_file(struct ks_event_fadvise_call *rec,
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

#endif
