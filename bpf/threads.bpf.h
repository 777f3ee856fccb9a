/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * threads.bpf.h - statistics by process, cgroup and role: each thread in scope has rows of its own
 *
 * Each thread in scope gets a slot of the map ks_threads. The slot holds the thread's process,
 * cgroup and role. Each probe has a map NAME_rows, and the thread has the same row in all of them.
 * So a program finds a row without hashing, threads do not contend for a cache line, and programs
 * never move counts from row to row. When the library reads, it groups the rows of threads by
 * process, cgroup or role. It also empties the rows of dead threads and frees their slots. A thread
 * without a slot counts in the row of its CPU, so the sum of all rows is always complete.
 *
 * If the cgroup or the role of a thread changes, the thread gets a new slot.
 */
#ifndef KS_THREADS_BPF_H
#define KS_THREADS_BPF_H

/*
 * Returns what is stored with a task, or NULL if nothing is. If `create` is set, it first makes the
 * storage; NULL then means that there is no memory.
 */
static __always_inline struct ks_bpf_who *ks_who_find(struct task_struct *task, bool create)
{
	uint64_t key = (uint64_t)task;
	struct ks_bpf_who *who;

	if (ks_const.task_storage)
		return bpf_task_storage_get(&ks_who, task, NULL,
					    create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	who = bpf_map_lookup_elem(&ks_who_hash, &key);
	if (who || !create)
		return who;
	bpf_map_update_elem(&ks_who_hash, &key, (void *)&ks_const.nobody, BPF_NOEXIST);
	return bpf_map_lookup_elem(&ks_who_hash, &key);
}

/* Returns the current task with the type that ks_who_find() needs. */
static __always_inline struct task_struct *ks_self(void)
{
	if (ks_const.task_storage)
		return bpf_get_current_task_btf();
	return (void *)bpf_get_current_task();
}

/*
 * Calls fn(..., task, task_typed) for the current task. task_typed says whether fn may read the
 * task by plain loads. It may in a typed program if the kernel has bpf_get_current_task_btf()
 * (5.11, as task storage). fn is in the program twice, each time with a constant task_typed. With a
 * variable the compiler would merge both kinds of loads into one path.
 */
#define ks_by_self(typed, fn, ...)                                                         \
	((typed) && ks_const.task_storage ?                                                \
		 fn(__VA_ARGS__, ks_untrusted(bpf_get_current_task_btf()), true) :         \
		 fn(__VA_ARGS__, (struct task_struct *)bpf_get_current_task(), false))

/* Number of the role of a thread, 0 if it has none. */
static __always_inline uint32_t ks_role(struct ks_run *run, const struct task_struct *task)
{
	uint32_t tid = ks_tid(run, task);
	struct ks_bpf_role *role = bpf_map_lookup_elem(&ks_roles, &tid);

	if (!role || !ks_const.tick_ns || role->ticks != ks_start_ticks(run, task))
		return 0;
	return role->role;
}

/* Takes a free slot of ks_threads. Returns its index + 1, or 0 if no slot is free. */
static __always_inline uint32_t ks_slot_take(struct ks_bpf_control *control)
{
	uint32_t slot = 0, n = ks_const.n_threads;

	if (*(volatile uint32_t *)&control->threads_full)
		return 0;
	if (ks_const.atomic_fetch && *(volatile uint32_t *)&control->threads_next < n) {
		slot = __sync_fetch_and_add(&control->threads_next, 1);
		if (slot < n)
			return slot + 1;
	}
	if (!bpf_map_pop_elem(&ks_free, &slot) && slot < n)
		return slot + 1;
	control->threads_full = 1;
	return 0;
}

/* Marks a thread's slot as LEFT or DEAD. The library then frees it. */
static __always_inline void ks_slot_end(struct ks_bpf_control *control, uint32_t row,
					uint32_t state, uint64_t now)
{
	uint32_t slot = row - ks_const.n_cpus;
	struct ks_bpf_thread *thread = bpf_map_lookup_elem(&ks_threads, &slot);

	if (!row || !thread)
		return;
	thread->ended_ns = now;
	*(volatile uint32_t *)&thread->state = state;
	__sync_fetch_and_add(&control->threads_dead, 1);
}

/* Does the slot have this cgroup and role? */
static __always_inline bool ks_slot_fits(uint32_t row, uint64_t cgroup, uint32_t role)
{
	uint32_t slot = row - ks_const.n_cpus;
	const struct ks_bpf_thread *thread = bpf_map_lookup_elem(&ks_threads, &slot);

	return row && thread && thread->cgroup == cgroup && thread->role == role;
}

/* Gives a thread a new slot and marks its old one as LEFT. */
static __always_inline void ks_slot_give(struct ks_run *run, struct ks_bpf_control *control,
					 struct ks_bpf_who *who, const struct task_struct *task,
					 uint64_t cgroup, uint32_t role)
{
	const struct task_struct *leader = ks_read(run, task, group_leader);
	uint32_t slot = ks_slot_take(control), index = slot - 1;
	struct ks_bpf_thread *thread = bpf_map_lookup_elem(&ks_threads, &index);
	uint64_t comm[2];

	if (who->row)
		ks_slot_end(control, who->row, KS_THREAD_LEFT, ks_now(run));
	who->row = 0; /* if no slot is free: count in the CPU's row, ask again at the next event */
	if (!slot || !thread)
		return;
	ks_comm(run, leader, comm);
	__builtin_memcpy(thread->comm, comm, sizeof(comm));
	thread->pid = ks_tgid(run, task);
	thread->tid = ks_tid(run, task);
	thread->role = role;
	thread->cgroup = cgroup;
	thread->start_ns = ks_start(run, leader);
	thread->ended_ns = 0;
	if (ks_const.atomic_fetch) /* a barrier: a reader that sees LIVE sees the other members */
		__sync_val_compare_and_swap(&thread->state, KS_THREAD_FREE, KS_THREAD_LIVE);
	else
		*(volatile uint32_t *)&thread->state = KS_THREAD_LIVE;
	who->row = ks_const.n_cpus + index;
}

/*
 * Brings a thread's slot up to date: gives it one if it has none, or if its cgroup or role changed.
 * If another program is doing this for the same thread, the present event counts in the CPU's row.
 */
static __always_inline void ks_settle(struct ks_run *run, struct ks_bpf_who *who,
				      const struct task_struct *task, uint64_t css, uint32_t roles)
{
	struct ks_bpf_control *control = (void *)run->control;
	/* Read once: if the next era begins meanwhile, a slot taken here belongs to the old era. */
	uint32_t era = *(volatile uint32_t *)&control->era, role;
	bool has_row = who->row && who->era == era;
	uint64_t cgroup;

	if (has_row && who->css == css && who->roles == roles)
		return;
	if (!has_row && *(volatile uint32_t *)&control->threads_full)
		return;
	if (ks_const.atomic_fetch && __sync_val_compare_and_swap(&who->busy, 0, 1))
		return;
	if (who->era != era) /* the library took all slots away since */
		who->row = 0;
	cgroup = ks_cgroup(run, task);
	role = ks_role(run, task);
	if (!ks_slot_fits(who->row, cgroup, role))
		ks_slot_give(run, control, who, task, cgroup, role);
	who->css = css;
	who->roles = roles;
	who->era = era;
	who->busy = 0;
}

/*
 * Returns the row in which an event of a thread counts: that of its slot, brought up to date, or
 * that of the CPU. task: with the type that ks_read() needs. who: the thread's storage, or NULL.
 */
static __always_inline uint32_t ks_row_of(struct ks_run *run, struct ks_bpf_who *who,
					  const struct task_struct *task)
{
	uint32_t roles = *(volatile uint32_t *)&run->control->roles;

	if (!who || !(run->control->track & KS_TRACK_ROWS))
		return run->cpu;
	ks_settle(run, who, task, (uint64_t)ks_read(run, task, cgroups), roles);
	return who->row && who->era == run->control->era ? who->row : run->cpu;
}

/*
 * Returns the value of a map NAME_rows in which an event of the current task counts, or NULL if the
 * host wants no statistics. task: the current task with the type that ks_read() needs.
 */
static __always_inline void *ks_row(struct ks_run *run, void *map, const struct task_struct *task)
{
	uint32_t row = run->cpu;

	if (!(run->set->flags & KS_WANT_STATS))
		return NULL;
	if (run->control->track & KS_TRACK_ROWS)
		row = ks_row_of(run, ks_who_find(ks_self(), true), task);
	return bpf_map_lookup_elem(map, &row);
}

#endif
