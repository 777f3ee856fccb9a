/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* proc.bpf.h - reads what the kernel knows about a process that ends; for proc.bpf.c */
#ifndef KS_PROC_BPF_H
#define KS_PROC_BPF_H

#include "probe.bpf.h"

#define PROC_TURNS 1024 /* maximum of turns of the loop over the threads of a process */
#define PROC_THREADS 64 /* the same where the verifier checks each turn of the loop */
#define KS_EEXIST 17    /* asm-generic/errno-base.h */

/* A process. A later process may get the same signal_struct, so the address alone is not enough. */
struct proc_end {
	uint64_t signal, start_ns;
};

/*
 * Processes with several threads whose end was reported. Used only if the hook does not say which
 * thread is the last one. An entry is needed until the last thread has passed the hook. A new entry
 * replaces the oldest one.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct proc_end);
	__type(value, uint32_t);
} proc_ended SEC(".maps");

static __always_inline struct task_struct *proc_leader(struct ks_run *run, struct task_struct *task)
{
	return ks_read(run, task, group_leader);
}

static __always_inline const struct signal_struct *proc_signal(struct ks_run *run,
							       struct task_struct *task)
{
	return ks_read(run, task, signal);
}

/*
 * Is the task the last thread of its process? For kernels before 6.16, whose hook does not say so.
 * The kernel decrements `live` before the hook, so two threads that end at the same time may both
 * find 0. The first of them then stands for the process. When the second one comes, the first may
 * be gone from nr_threads.
 */
static __always_inline bool proc_is_last(struct ks_run *run, struct task_struct *task)
{
	const struct signal_struct *signal = proc_signal(run, task);
	const struct task_struct *leader = proc_leader(run, task);
	struct proc_end key = { (uint64_t)signal };
	uint32_t ended = 1;

	if (ks_read(run, signal, live.counter))
		return false;
	key.start_ns = ks_read(run, leader, start_time);
	if (ks_read(run, signal, nr_threads) <= 1)
		return !bpf_map_lookup_elem(&proc_ended, &key);
	/* Compare 32 bits: before 6.4 the upper half of the result is not the sign. */
	return (int)bpf_map_update_elem(&proc_ended, &key, &ended, BPF_NOEXIST) != -KS_EEXIST;
}

/* The status that wait4() will return, as wait_task_zombie() of kernel/exit.c computes it. */
static __always_inline uint32_t proc_wait_code(struct ks_run *run, struct task_struct *task)
{
	const struct signal_struct *signal = proc_signal(run, task);
	const struct task_struct *leader = proc_leader(run, task);

	if (ks_read(run, signal, flags) & SIGNAL_GROUP_EXIT)
		return ks_read(run, signal, group_exit_code);
	return ks_read(run, leader, exit_code);
}

/* Session id in the host's pid namespace; 0: not visible there. */
static __always_inline uint32_t proc_session(struct ks_run *run, struct task_struct *task)
{
	const struct signal_struct *signal = proc_signal(run, task);
	const struct pid *sid = ks_read(run, signal, pids[KS_PIDTYPE_SID]);

	if (run->typed && !ks_const.pid_level)
		return sid->numbers[0].nr;
	return ks_pid_nr(sid);
}

/* Reads parent and session. Returns their bits of `valid`, each set if that one is visible. */
static __always_inline uint64_t proc_family(struct ks_run *run, struct task_struct *task,
					    int32_t *ret_ppid, int32_t *ret_session)
{
	const struct task_struct *parent = ks_read(run, task, real_parent);
	uint32_t ppid = ks_tgid(run, parent), session = proc_session(run, task);
	uint64_t valid = 0;

	*ret_ppid = ppid;
	*ret_session = session;
	if (ks_is_visible(run, parent, ppid))
		valid |= KS_HAS_PROC_PARENT;
	if (!ks_const.pid_level || session)
		valid |= KS_HAS_PROC_SESSION;
	return valid;
}

/* Copies the path; sets KS_FLAG_CUT if it is too long for the record. */
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

/* ---- what it used ---------------------------------------------------------------------------- */

struct proc_sum {
	uint64_t utime, stime, runtime;
	uint64_t minor_faults, major_faults, read_bytes, write_bytes;
};

static __always_inline void add_thread(struct proc_sum *sum, const struct task_struct *task,
				       const bool typed)
{
	sum->utime += ks_get(typed, task, utime);
	sum->stime += ks_get(typed, task, stime);
	sum->runtime += ks_get(typed, task, se.sum_exec_runtime);
	sum->minor_faults += ks_get(typed, task, min_flt);
	sum->major_faults += ks_get(typed, task, maj_flt);
	if (bpf_core_field_exists(task->ioac.read_bytes)) {
		sum->read_bytes += ks_get(typed, task, ioac.read_bytes);
		sum->write_bytes += ks_get(typed, task, ioac.write_bytes);
	}
}

/* Sums over the released threads of a process: release_task() adds each thread to signal_struct. */
static __always_inline void set_released(struct proc_sum *sum, const struct signal_struct *signal,
					 const bool typed)
{
	sum->utime = ks_get(typed, signal, utime);
	sum->stime = ks_get(typed, signal, stime);
	sum->runtime = ks_get(typed, signal, sum_sched_runtime);
	sum->minor_faults = ks_get(typed, signal, min_flt);
	sum->major_faults = ks_get(typed, signal, maj_flt);
	if (bpf_core_field_exists(signal->ioac.read_bytes)) {
		sum->read_bytes = ks_get(typed, signal, ioac.read_bytes);
		sum->write_bytes = ks_get(typed, signal, ioac.write_bytes);
	}
}

static __always_inline const struct task_struct *thread_at(const struct list_head *at)
{
	return (const void *)at - bpf_core_field_offset(struct task_struct, thread_node);
}

/*
 * Sums over all threads of a process: the released ones, and those on the list thread_head (ending
 * threads, and the first thread, which waits for the others). A thread that is released during the
 * walk would count twice or not at all. The kernel releases threads under a lock with a sequence
 * count, which is odd while the lock is held. If the count changed, the walk starts again. Returns
 * false if no walk was undisturbed within PROC_TURNS.
 */
static __always_inline bool add_listed(struct proc_sum *sum, const struct signal_struct *signal)
{
	const struct list_head *head = &signal->thread_head, *at = NULL;
	const struct task_struct *task;
	struct ks_turns turns;
	uint32_t count = 1;
	bool sound = false;

	bpf_iter_num_new(&turns, 0, PROC_TURNS);
	while (!sound && bpf_iter_num_next(&turns)) {
		if (!at) {
			count = signal->stats_lock.seqcount.seqcount.sequence;
			set_released(sum, signal, true);
			at = head->next;
		}
		if (at == head) {
			at = NULL;
			sound = !(count & 1) &&
				count == signal->stats_lock.seqcount.seqcount.sequence;
			continue;
		}
		task = ks_untrusted((void *)thread_at(at));
		add_thread(sum, task, true);
		at = task->thread_node.next;
	}
	bpf_iter_num_destroy(&turns);
	return sound;
}

static __always_inline uint32_t released_count(const struct signal_struct *signal)
{
	return BPF_CORE_READ(signal, stats_lock.seqcount.seqcount.sequence);
}

/*
 * The same on kernels whose verifier checks each turn of the loop: one walk over at most
 * PROC_THREADS threads, and no second one.
 */
static __always_inline bool add_listed_once(struct proc_sum *sum,
					    const struct signal_struct *signal)
{
	const void *head = (const void *)signal + bpf_core_field_offset(signal->thread_head);
	uint32_t count = released_count(signal);
	const struct list_head *at = BPF_CORE_READ(signal, thread_head.next);

	set_released(sum, signal, false);
	for (int i = 0; i < PROC_THREADS && at != head; i++) {
		add_thread(sum, thread_at(at), false);
		bpf_probe_read_kernel(&at, sizeof(at), &at->next);
	}
	return at == head && !(count & 1) && count == released_count(signal);
}

/*
 * Sums over all threads of a process whose last thread is `task`. Returns false if the sums are not
 * known. The kernel adds a thread to signal_struct before it decrements nr_threads.
 */
static __always_inline bool add_process(struct ks_run *run, struct proc_sum *sum,
					struct task_struct *task)
{
	const struct signal_struct *signal;

	if (ks_const.iter_num)
		return add_listed(sum, ks_untrusted(task)->signal);
	signal = proc_signal(run, task);
	if (ks_read(run, signal, nr_threads) != 1)
		return add_listed_once(sum, signal);
	set_released(sum, signal, run->typed);
	add_thread(sum, task, run->typed);
	return true;
}

/*
 * System time, ns. The scheduler's run time is exact; utime and stime, counted by ticks, only give
 * the ratio of user and system time. cputime_adjust() of kernel/sched/cputime.c does the same. A
 * ratio of 32 bits is precise enough for ticks.
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
 * Peak of resident memory, bytes. 0: not known, since the kernel's counters lag. In do_exit() of
 * the last thread, the kernel stores the peak in signal_struct before the hook. Before 6.16 a
 * thread has dropped its mm_struct before the hook, but the first thread may still have it.
 */
static __always_inline uint64_t peak_rss(struct ks_run *run, struct task_struct *task, bool process)
{
	const struct signal_struct *signal = proc_signal(run, task);
	const struct task_struct *leader = proc_leader(run, task);
	const struct mm_struct *mm = ks_read(run, task, mm);
	uint64_t pages = ks_read(run, signal, maxrss), now;

	if (!mm && !process)
		mm = ks_read(run, leader, mm);
	if (!mm)
		return process ? pages * ks_page_bytes() : 0;
	now = ks_mm_peak(mm, run->typed);
	return (now > pages ? now : pages) * ks_page_bytes();
}

/*
 * Is this the record of a process, not of a thread? It reads the record back. With a variable, the
 * verifier would check the code in between for both values.
 */
static __always_inline bool of_process(const struct ks_event_proc_exit *rec)
{
	return !*(const volatile uint8_t *)&rec->thread;
}

/*
 * Puts the resources that a thread or process used into the record. They stay unknown, rather than
 * too low, if a process has more threads than the walk covers, or releases a thread just now.
 */
static __always_inline void proc_usage(struct ks_run *run, struct ks_event_proc_exit *rec,
				       struct task_struct *task)
{
	struct proc_sum sum = {};

	rec->peak_rss = peak_rss(run, task, of_process(rec));
	if (rec->peak_rss)
		rec->valid |= KS_HAS_PROC_MEMORY;
	if (!of_process(rec))
		add_thread(&sum, task, run->typed);
	else if (!add_process(run, &sum, task))
		return;
	rec->valid |= KS_HAS_PROC_CPU | KS_HAS_PROC_FAULTS;
	rec->system_ns = system_time(&sum);
	rec->user_ns = sum.runtime - rec->system_ns;
	rec->minor_faults = sum.minor_faults;
	rec->major_faults = sum.major_faults;
	if (bpf_core_field_exists(task->ioac.read_bytes)) {
		rec->valid |= KS_HAS_PROC_IO;
		rec->read_bytes = sum.read_bytes;
		rec->write_bytes = sum.write_bytes;
	}
}

#endif
