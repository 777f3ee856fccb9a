/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * threads.bpf.c - kernel programs that follow the life of threads: new, renamed, freed
 *
 * These programs belong to no probe. They are attached while a probe with rows is on.
 */
#include "probe.bpf.h"

/* As ks_begin(), without settings and ledger: these programs count no outcomes. */
static __always_inline bool begin(struct ks_run *run, void *ctx, const bool typed)
{
	uint32_t zero = 0, cpu = bpf_get_smp_processor_id();

	*run = (struct ks_run){ .ctx = ctx,
				.cpu = cpu,
				.typed = typed,
				.control = bpf_map_lookup_elem(&ks_control, &zero),
				.slot = bpf_map_lookup_elem(&ks_cpus, &cpu) };
	if (!run->slot) /* a CPU that the library does not know: CPU 0 counts for it */
		run->slot = bpf_map_lookup_elem(&ks_cpus, &zero);
	return run->control && run->slot;
}

static __always_inline bool is_in_scope(struct ks_run *run, const struct task_struct *task,
					const bool typed)
{
	run->typed = typed;
	return ks_admit(run, task);
}

/* A thread is gone: its slot is dead, and a later task at the same address is another thread. */
static __always_inline void end(struct ks_run *run, struct ks_bpf_who *who, uint64_t key)
{
	if (who->row && who->era == run->control->era)
		ks_slot_end((void *)run->control, who->row, KS_THREAD_DEAD, ks_clock());
	if (!ks_const.task_storage)
		bpf_map_delete_elem(&ks_who_hash, &key);
}

/*
 * Makes the storage of a new thread if its maker has storage or is in scope. Programs at context
 * switches cannot make it, since they run under the lock of a run queue. If the kernel did not run
 * thread_free() for an earlier task at this address, its entry of the hash is still there.
 */
static __always_inline int thread_new(void *ctx, struct task_struct *task, const bool typed)
{
	struct ks_bpf_who *stale = ks_const.task_storage ? NULL : ks_who_find(task, false);
	struct ks_run run;

	if (!begin(&run, ctx, typed))
		return 0;
	if (stale)
		end(&run, stale, (uint64_t)task);
	if (!(run.control->track & KS_TRACK_NEW))
		return 0;
	if (!ks_who_find(ks_self(), false) && !ks_by_self(typed, is_in_scope, &run))
		return 0;
	ks_who_find(task, true);
	return 0;
}

/*
 * Wakes the consumer if so many slots are dead that it should empty them. It does so once; the
 * library then sets a new mark.
 */
static __always_inline void wake_consumer(struct ks_bpf_control *control)
{
	uint32_t mark = *(volatile uint32_t *)&control->threads_wake;
	uint32_t n = bpf_get_smp_processor_id() % (ks_const.n_rings ? ks_const.n_rings : 1);
	void *ring, *rec;

	if (!mark || (int32_t)(*(volatile uint32_t *)&control->threads_dead - mark) < 0)
		return;
	control->threads_wake = 0;
	ring = bpf_map_lookup_elem(&ks_rings, &n);
	rec = ring ? bpf_ringbuf_reserve(ring, 8, 0) : NULL;
	if (rec)
		bpf_ringbuf_discard(rec, BPF_RB_FORCE_WAKEUP);
}

/*
 * The kernel frees a task: a grace period is over since wait() returned and since the last switch
 * away from the task. No program can see this task again, so its slot is dead.
 */
static __always_inline int thread_free(void *ctx, struct task_struct *task, const bool typed)
{
	struct ks_bpf_who *who = ks_who_find(task, false);
	struct ks_run run;

	if (!who || !begin(&run, ctx, typed))
		return 0;
	end(&run, who, (uint64_t)task);
	if (ks_const.ring)
		wake_consumer((void *)run.control);
	return 0;
}

/*
 * A thread gets a new name, by exec, prctl() or a write to /proc. The name of a process is that of
 * its first thread, so other threads are ignored.
 */
static __always_inline int thread_rename(void *ctx, struct task_struct *trusted,
					 const struct task_struct *task, const char *comm,
					 const bool typed)
{
	struct ks_bpf_who *who;
	struct ks_bpf_thread *thread;
	struct ks_run run;
	uint32_t slot;

	if (!begin(&run, ctx, typed) || ks_read(&run, task, pid) != ks_read(&run, task, tgid))
		return 0;
	who = ks_who_find(trusted, false);
	if (!who || !who->row || who->era != run.control->era)
		return 0;
	slot = who->row - ks_const.n_cpus;
	thread = bpf_map_lookup_elem(&ks_threads, &slot);
	if (!thread)
		return 0;
	thread->tid = thread->pid; /* exec gives the process id to the thread that calls it */
	bpf_probe_read_kernel_str(thread->comm, sizeof(thread->comm), comm);
	return 0;
}

SEC("?ks/tp_btf/task_newtask")
int thread_new_tp_btf(uint64_t *ctx)
{
	return thread_new(ctx, (void *)ctx[0], true);
}

SEC("?raw_tp/task_newtask")
int thread_new_raw_tp(uint64_t *ctx)
{
	return thread_new(ctx, (void *)ctx[0], false);
}

SEC("?ks/tp_btf/sched_process_free")
int thread_free_tp_btf(uint64_t *ctx)
{
	return thread_free(ctx, (void *)ctx[0], true);
}

SEC("?raw_tp/sched_process_free")
int thread_free_raw_tp(uint64_t *ctx)
{
	return thread_free(ctx, (void *)ctx[0], false);
}

SEC("?ks/tp_btf/task_rename")
int thread_rename_tp_btf(uint64_t *ctx)
{
	struct task_struct *task = (void *)ctx[0];

	return thread_rename(ctx, task, ks_untrusted(task), (void *)ctx[1], true);
}

SEC("?raw_tp/task_rename")
int thread_rename_raw_tp(uint64_t *ctx)
{
	return thread_rename(ctx, (void *)ctx[0], (void *)ctx[0], (void *)ctx[1], false);
}
