/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sched.bpf.h - what a thread is doing, and since when; for sched.bpf.c
 *
 * A thread is always in one state, and its interval there is open: it stands in its row, where the
 * library adds it to the sum when it reads. So running, queueing and sleeping add up to the time on
 * the clock, also of a thread that sleeps for hours.
 */
#ifndef KS_SCHED_BPF_H
#define KS_SCHED_BPF_H

#include "probe.bpf.h"

/* ks_bpf_who.state and ks_bpf_open.state; in the order of the histograms */
enum sched_state {
	SCHED_NONE = 0,   /* not known, or gone */
	SCHED_QUEUED = 1, /* runq_ns */
	SCHED_ON = 2,     /* oncpu_ns */
	SCHED_OFF = 3,    /* offcpu_ns */
	SCHED_STATES
};

#define TASK_DEAD 0x80  /* in the state at a thread's last switch; since 4.14 */
#define SEEDING (~0u)   /* ks_bpf_who.epoch while sched_seed writes there: hands off */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs */
	__type(key, uint32_t);
	__type(value, struct ks_bpf_stats_sched);
} sched_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs and slots of ks_threads */
	__type(key, uint32_t);
	__type(value, struct ks_bpf_row_sched);
} sched_rows SEC(".maps");

/* ---- the kernel's side ------------------------------------------------------------------------- */

static __always_inline uint32_t task_state(struct ks_run *run, const struct task_struct *task)
{
	const struct task_struct___before_5_14 *old = (const void *)task;

	if (bpf_core_field_exists(task->__state))
		return ks_read(run, task, __state);
	return ks_read(run, old, state);
}

/* One byte wide since 7.2. */
static __always_inline bool is_on_cpu(struct ks_run *run, const struct task_struct *task)
{
	uint32_t on = 0;

	if (run->typed)
		return task->on_cpu;
	bpf_probe_read_kernel(&on, bpf_core_field_size(task->on_cpu) == 1 ? 1 : 4, &task->on_cpu);
	return on;
}

/* What a thread is doing, seen from another one. */
static __always_inline uint32_t state_of(struct ks_run *run, const struct task_struct *task)
{
	uint32_t state = task_state(run, task);

	if (is_on_cpu(run, task))
		return SCHED_ON;
	if (state & TASK_DEAD)
		return SCHED_NONE;
	return state ? SCHED_OFF : SCHED_QUEUED;
}

/* The idle tasks are in no scope; their time is nobody's. */
static __always_inline bool is_wanted(struct ks_run *run, const struct task_struct *task)
{
	return ks_read(run, task, pid) && ks_admit(run, task);
}

/* ---- counting ---------------------------------------------------------------------------------- */

/*
 * The hooks run with interrupts off, holding the lock of the queue that the thread is on: nobody
 * else writes to this CPU's statistics or to the thread's row, and additions are plain (each atomic
 * one would cost 5 ns). Only sched_seed comes from outside: it adds atomically, and only for threads
 * that sleep.
 */
static __always_inline void count(uint64_t *counter, uint64_t n, const bool hook)
{
	if (hook)
		*(volatile uint64_t *)counter += n;
	else
		ks_add(counter, n);
}

static __always_inline void count_hist(struct ks_bpf_hist *hist, uint64_t ns, const bool hook)
{
	uint32_t slot;

	if (!hook) {
		ks_hist_add(hist, ns);
		return;
	}
	if (!ns) {
		count(&hist->zeros, 1, true);
		return;
	}
	slot = ks_hist_bucket(ns) + 1;
	if (slot >= KS_HIST_BUCKETS) /* cannot be; the verifier does not know */
		return;
	count(&hist->buckets[slot], 1, true);
	count(&hist->sum, ns, true);
}

static __always_inline struct ks_bpf_row_sched *row_at(struct ks_run *run, uint32_t index)
{
	if (!(run->set->flags & KS_WANT_STATS))
		return NULL;
	return bpf_map_lookup_elem(&sched_rows, &index);
}

/* The row of a thread as it was last found, that of the CPU if there is none. */
static __always_inline uint32_t row_of(struct ks_run *run, const struct ks_bpf_who *who)
{
	if (!who->row || who->era != run->control->era ||
	    !(run->control->track & KS_TRACK_ROWS))
		return run->cpu;
	return who->row;
}

/* Readers take a row in which seq is odd for one that is being written, and look again. */
static __always_inline void mark(struct ks_bpf_open *open, const bool begins)
{
#if defined(__TARGET_ARCH_x86)
	/* Stores stay in their order here. A mark that got out of step sets itself right. */
	barrier();
	*(volatile uint32_t *)&open->seq = (open->seq | 1) + !begins;
	barrier();
#else
	uint32_t before;

	if (!ks_const.atomic_fetch) {
		*(volatile uint32_t *)&open->seq = (open->seq | 1) + !begins;
		return;
	}
	/* One that fetches is a barrier; it does fetch only if the result is used. */
	before = __sync_fetch_and_add(&open->seq, 1);
	barrier_var(before);
#endif
}

/* ---- intervals --------------------------------------------------------------------------------- */

/* Ends what is open, where it began. Its length. */
static __always_inline uint64_t interval_close(struct ks_run *run, const struct ks_bpf_who *who,
					       uint32_t state, const bool hook)
{
	uint32_t index = who->open_row ? who->open_row : run->cpu, which = state - 1;
	uint64_t now = ks_now(run), ns = now > who->since_ns ? now - who->since_ns : 0;
	struct ks_bpf_stats_sched *stats = ks_stats(run, &sched_stats);
	struct ks_bpf_row_sched *row;

	if (which >= SCHED_STATES - 1)
		return 0;
	if (stats)
		count_hist(&stats->runq_ns + which, ns, hook);
	row = row_at(run, index);
	if (!row)
		return ns;
	if (who->open_row)
		mark(&row->open, true);
	count(&(&row->runq_ns + which)->sum, ns, hook);
	count(&(&row->runq_ns + which)->count, 1, hook);
	if (who->open_row) {
		*(volatile uint32_t *)&row->open.state = SCHED_NONE;
		mark(&row->open, false);
	}
	return ns;
}

/* Clocks of CPUs may differ by a little: time never goes back, so that sums are the wall's time. */
static __always_inline void interval_open(struct ks_run *run, struct ks_bpf_who *who,
					  uint32_t state, uint32_t index)
{
	uint64_t now = ks_now(run);
	struct ks_bpf_row_sched *row;

	if (now > who->since_ns)
		who->since_ns = now;
	who->state = state;
	who->open_row = 0;
	if (state == SCHED_NONE || index < ks_const.n_cpus)
		return;
	row = row_at(run, index);
	if (!row)
		return;
	mark(&row->open, true);
	*(volatile uint64_t *)&row->open.since_ns = who->since_ns;
	*(volatile uint32_t *)&row->open.state = state;
	mark(&row->open, false);
	who->open_row = index;
}

/* ---- what is kept of a thread ------------------------------------------------------------------ */

/*
 * Storage is not made here: under the lock of a run queue, an allocation may wake kswapd, which
 * wants that lock. The hash has its entries from the beginning.
 */
static __always_inline struct ks_bpf_who *who_of(struct task_struct *trusted, bool wanted)
{
	return ks_who_find(trusted, !ks_const.task_storage && wanted);
}

/* Of a thread that left the scope something may still be open. */
static __always_inline bool is_open(const struct ks_run *run, const struct ks_bpf_who *who)
{
	return who && who->state && who->epoch == run->set->epoch;
}

/* May a hook write there? What is from before the probe was last enabled is forgotten. */
static __always_inline bool claim(struct ks_run *run, struct ks_bpf_who *who)
{
	uint32_t epoch = *(volatile uint32_t *)&who->epoch, now = run->set->epoch;

	if (epoch == now)
		return true;
	if (epoch == SEEDING || (int32_t)(now - epoch) < 0)
		return false;
	if (ks_const.atomic_fetch && __sync_val_compare_and_swap(&who->epoch, epoch, now) != epoch)
		return false;
	who->epoch = now;
	who->state = SCHED_NONE;
	who->open_row = 0;
	return true;
}

/* A thread without storage: the library runs sched_seed again. */
static __always_inline void note_unseeded(struct ks_run *run)
{
	struct ks_bpf_control *control = (void *)run->control;

	if (!*(volatile uint32_t *)&control->unseeded)
		*(volatile uint32_t *)&control->unseeded = 1;
}

#endif
