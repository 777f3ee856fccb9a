/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* proc.bpf.h - what the kernel knows about a process that ends; for proc.bpf.c */
#ifndef KS_PROC_BPF_H
#define KS_PROC_BPF_H

#include "probe.bpf.h"

#define KS_THREADS_WALKED 64
#define KS_EEXIST 17 /* asm-generic/errno-base.h */

struct proc_end {
	uint64_t signal, start_ns; /* the address alone is soon that of another process */
};

/*
 * Processes of several threads that ended: only where the hook does not say which thread was the
 * last. An entry is needed until the last one has passed; the oldest makes room.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct proc_end);
	__type(value, uint32_t);
} proc_ended SEC(".maps");

static __always_inline struct task_struct *proc_leader(struct ks_run *run,
						       struct task_struct *task)
{
	return ks_read(run, task, group_leader);
}

/*
 * Before 6.16 the hook does not say whether the process is at its end. live was decremented before
 * it: but two threads that end at once may both find 0. The first of them stands for the process,
 * and may be gone from nr_threads when the second comes.
 */
static __always_inline bool proc_is_last(const struct task_struct *task)
{
	const struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct proc_end key = { (uint64_t)signal, BPF_CORE_READ(task, group_leader, start_time) };
	uint32_t ended = 1;

	if (BPF_CORE_READ(signal, live.counter))
		return false;
	if (BPF_CORE_READ(signal, nr_threads) <= 1)
		return !bpf_map_lookup_elem(&proc_ended, &key);
	return bpf_map_update_elem(&proc_ended, &key, &ended, BPF_NOEXIST) != -KS_EEXIST;
}

/* What wait4() will say: kernel/exit.c, wait_task_zombie(). */
static __always_inline uint32_t proc_wait_code(const struct task_struct *task)
{
	const struct signal_struct *signal = BPF_CORE_READ(task, signal);

	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		return BPF_CORE_READ(signal, group_exit_code);
	return BPF_CORE_READ(task, group_leader, exit_code);
}

static __always_inline uint32_t proc_parent(struct ks_run *run, const struct task_struct *task)
{
	return ks_tgid(run, ks_read(run, task, real_parent));
}

static __always_inline uint32_t proc_session(const struct task_struct *task)
{
	return ks_pid_nr(BPF_CORE_READ(task, signal, pids[KS_PIDTYPE_SID]));
}

static __always_inline void proc_path(struct ks_event_proc_exec *rec, const char *path)
{
	char next = 0;

	if (bpf_probe_read_kernel_str(rec->path, sizeof(rec->path), path) < 0)
		return;
	rec->valid |= KS_HAS_PROC_PATH;
	bpf_probe_read_kernel(&next, 1, path + sizeof(rec->path) - 1);
	if (rec->path[sizeof(rec->path) - 2] && next)
		rec->ev.flags |= KS_FLAG_CUT;
}

/* ---- what it used ------------------------------------------------------------------------------ */

struct proc_sum {
	uint64_t utime, stime, runtime;
	uint64_t minor_faults, major_faults, read_bytes, write_bytes;
};

static __always_inline void add_thread(struct proc_sum *sum, const struct task_struct *task)
{
	sum->utime += BPF_CORE_READ(task, utime);
	sum->stime += BPF_CORE_READ(task, stime);
	sum->runtime += BPF_CORE_READ(task, se.sum_exec_runtime);
	sum->minor_faults += BPF_CORE_READ(task, min_flt);
	sum->major_faults += BPF_CORE_READ(task, maj_flt);
	if (bpf_core_field_exists(task->ioac.read_bytes)) {
		sum->read_bytes += BPF_CORE_READ(task, ioac.read_bytes);
		sum->write_bytes += BPF_CORE_READ(task, ioac.write_bytes);
	}
}

/* Threads that are gone stand in signal_struct; those that were not yet waited for are in its list. */
static __always_inline bool add_process(struct proc_sum *sum, const struct task_struct *task)
{
	const struct signal_struct *signal = BPF_CORE_READ(task, signal);
	const void *head = (const void *)signal + bpf_core_field_offset(signal->thread_head);
	const struct list_head *at = BPF_CORE_READ(signal, thread_head.next);

	sum->utime = BPF_CORE_READ(signal, utime);
	sum->stime = BPF_CORE_READ(signal, stime);
	sum->runtime = BPF_CORE_READ(signal, sum_sched_runtime);
	sum->minor_faults = BPF_CORE_READ(signal, min_flt);
	sum->major_faults = BPF_CORE_READ(signal, maj_flt);
	if (bpf_core_field_exists(task->ioac.read_bytes)) {
		sum->read_bytes = BPF_CORE_READ(signal, ioac.read_bytes);
		sum->write_bytes = BPF_CORE_READ(signal, ioac.write_bytes);
	}
	for (int i = 0; i < KS_THREADS_WALKED && at != head; i++) {
		add_thread(sum, (const void *)at - bpf_core_field_offset(task->thread_node));
		bpf_probe_read_kernel(&at, sizeof(at), &at->next);
	}
	return at == head;
}

/*
 * The scheduler's time is exact, that of ticks only tells user from system: as cputime_adjust() of
 * kernel/sched/cputime.c does it. part / whole in 32 bits loses nothing that ticks could tell.
 */
static __always_inline uint64_t system_time(const struct proc_sum *sum)
{
	uint64_t part = sum->stime, whole = sum->stime + sum->utime;
	uint32_t log2;

	if (!part)
		return 0;
	log2 = ks_log2(whole);
	if (log2 > 31) {
		part >>= log2 - 31;
		whole >>= log2 - 31;
	}
	return sum->runtime / whole * part + sum->runtime % whole * part / whole;
}

/*
 * Bytes, 0: not known. signal_struct has it before the hook when the last thread is in do_exit().
 * Before 6.16 a thread has let go of its memory by then; the first thread may still hold it.
 */
static __always_inline uint64_t peak_rss(const struct task_struct *task, bool process)
{
	uint64_t pages = BPF_CORE_READ(task, signal, maxrss), now;
	const struct mm_struct *mm = BPF_CORE_READ(task, mm);

	if (!mm && !process)
		mm = BPF_CORE_READ(task, group_leader, mm);
	if (!mm)
		return process ? pages * ks_page_bytes() : 0;
	now = ks_mm_peak(mm);
	return (now > pages ? now : pages) * ks_page_bytes();
}

/* A process of more threads than are walked leaves it unknown rather than too low. */
static __always_inline void proc_usage(struct ks_event_proc_exit *rec,
				       const struct task_struct *task, bool process)
{
	struct proc_sum sum = {};

	if (process && !add_process(&sum, task))
		return;
	if (!process)
		add_thread(&sum, task);
	rec->valid |= KS_HAS_PROC_CPU;
	rec->system_ns = system_time(&sum);
	rec->user_ns = sum.runtime - rec->system_ns;
	rec->peak_rss = peak_rss(task, process);
	if (rec->peak_rss) {
		rec->valid |= KS_HAS_PROC_MEMORY;
		rec->minor_faults = sum.minor_faults;
		rec->major_faults = sum.major_faults;
	}
	if (bpf_core_field_exists(task->ioac.read_bytes)) {
		rec->valid |= KS_HAS_PROC_IO;
		rec->read_bytes = sum.read_bytes;
		rec->write_bytes = sum.write_bytes;
	}
}

#endif
