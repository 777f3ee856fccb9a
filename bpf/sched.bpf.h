/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sched.bpf.h - the state of a thread, and since when; for sched.bpf.c
 *
 * A thread is always in one state, in an interval that is still open. The open interval is stored
 * in the thread's row. When the library reads the row, it adds the interval to the sum. So the
 * times of running, queueing and sleeping add up to the time that passed, also for a thread that
 * sleeps for hours.
 */
#ifndef KS_SCHED_BPF_H
#define KS_SCHED_BPF_H

#include "probe.bpf.h"

/* Values of ks_bpf_who.state and ks_bpf_open.state, in the order of the histograms */
enum sched_state {
	SCHED_NONE = 0,   /* not known, or the thread is gone */
	SCHED_QUEUED = 1, /* in the run queue: runq_ns */
	SCHED_ON = 2,     /* on a CPU: oncpu_ns */
	SCHED_OFF = 3,    /* asleep: offcpu_ns */
	SCHED_STATES
};

#define TASK_DEAD 0x80    /* bit of the task state at a thread's last switch; since 4.14 */
#define TASK_WAKING 0x200 /* task state while a CPU is waking the thread */
#define SEEDING (~0u)     /* ks_bpf_who.epoch while sched_seed writes: hooks must not write */

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

/* ---- reading the kernel ---------------------------------------------------------------------- */

static __always_inline uint32_t task_state(struct ks_run *run, const struct task_struct *task)
{
	const struct task_struct___before_5_14 *old = (const void *)task;

	if (bpf_core_field_exists(task->__state))
		return ks_read(run, task, __state);
	return ks_read(run, old, state);
}

/* The arguments of sched_switch: (preempt, prev, next); since 5.18 also the state of prev. */
struct switch_args {
	bool preempt;
	struct task_struct *prev, *next;
	uint32_t state; /* set if ks_const.prev_state is not 0 */
};

/*
 * Reads the arguments, each from a constant place. The barriers keep the compiler from merging
 * loads into one with a variable offset, which the verifier refuses.
 */
static __always_inline void read_args(const uint64_t *ctx, struct switch_args *ret)
{
	uint64_t first = ctx[0], second = ctx[1], third = ctx[2], last = 0;

	barrier_var(first);
	barrier_var(second);
	barrier_var(third);
	if (ks_const.prev_state) {
		last = ctx[3];
		barrier_var(last);
	}
	ret->preempt = first & 1;
	if (ks_const.prev_state == KS_PREV_STATE_SECOND) {
		ret->state = second;
		ret->prev = (void *)third;
		ret->next = (void *)last;
		return;
	}
	ret->prev = (void *)second;
	ret->next = (void *)third;
	ret->state = last;
}

/*
 * Returns the task state in which a thread leaves its CPU; 0: not known. now: the state read from
 * the task. Another CPU may have begun to wake the thread, and the task then has that state.
 */
static __always_inline uint32_t leaving_state(const struct switch_args *args, uint32_t now)
{
	if (ks_const.prev_state)
		return args->state;
	return now == TASK_WAKING ? 0 : now;
}

/* on_cpu has one byte since 7.2, four before. */
static __always_inline bool is_on_cpu(struct ks_run *run, const struct task_struct *task)
{
	uint32_t on = 0;

	if (run->typed)
		return task->on_cpu;
	bpf_probe_read_kernel(&on, bpf_core_field_size(task->on_cpu) == 1 ? 1 : 4, &task->on_cpu);
	return on;
}

/* Returns the sched_state of a thread other than the current one. */
static __always_inline uint32_t state_of(struct ks_run *run, const struct task_struct *task)
{
	uint32_t state = task_state(run, task);

	if (is_on_cpu(run, task))
		return SCHED_ON;
	if (state & TASK_DEAD)
		return SCHED_NONE;
	return state ? SCHED_OFF : SCHED_QUEUED;
}

/* Idle tasks are in no scope, and their time does not count. */
static __always_inline bool is_idle(struct ks_run *run, const struct task_struct *task)
{
	return !ks_read(run, task, pid);
}

/*
 * Returns n as a number that the verifier does not know. If it knew the values that n can have, it
 * would check all that follows once for each of them.
 */
static __always_inline uint32_t unknown(struct ks_run *run, uint32_t n)
{
	n += (uint32_t)*(volatile uint64_t *)&run->ledger->zero;
	barrier_var(n); /* here and not later */
	return n;
}

/* ---- counting -------------------------------------------------------------------------------- */

/*
 * Adds n to a counter. The hooks run with interrupts off and hold the lock of the thread's run
 * queue. So no other program writes to this CPU's statistics or to the thread's row, and the
 * addition may be plain; an atomic one costs 8 ns more. `alone` is false in two cases, which need
 * an atomic one: the wake-up of a thread that is running, and sched_seed, which counts for sleeping
 * threads.
 */
static __always_inline void count(uint64_t *counter, uint64_t n, const bool alone)
{
	if (alone)
		*(volatile uint64_t *)counter += n;
	else
		ks_add(counter, n);
}

/* ks_hist_add() without branches. It relies on `zeros` standing right before the buckets. */
static __always_inline void count_hist(struct ks_bpf_hist *hist, uint64_t ns, const bool alone)
{
	uint64_t none = (ns - 1) >> 63;
	uint32_t slot = ks_hist_bucket(ns + none) + 2 - (uint32_t)none;

	if (slot > KS_HIST_BUCKETS) /* never true, but the verifier does not know that */
		return;
	count(&hist->zeros + slot, 1, alone);
	count(&hist->sum, ns, alone);
}

/*
 * Returns this CPU's statistics, also if the host wants none: see is_counted(). A NULL in that case
 * would be a second path that the verifier checks.
 */
static __always_inline struct ks_bpf_stats_sched *stats_of(struct ks_run *run)
{
	uint32_t cpu = run->cpu;

	return bpf_map_lookup_elem(&sched_stats, &cpu);
}

/* ks_end() for programs that run with interrupts off: no other program counts on this CPU. */
static __always_inline int end_alone(struct ks_run *run, uint32_t outcome)
{
	if (outcome < KS_OUTCOMES)
		count(&run->ledger->outcome[outcome], 1, true);
	ks_measure(run);
	return 0;
}

/* Does the host want statistics? */
static __always_inline bool is_counted(const struct ks_run *run)
{
	return run->set->flags & KS_WANT_STATS;
}

/* Returns the value at a thread's row. row 0: the thread has none, so it is the row of this CPU. */
static __always_inline struct ks_bpf_row_sched *row_at(struct ks_run *run, uint32_t row)
{
	uint32_t index = row ? row : run->cpu;

	return bpf_map_lookup_elem(&sched_rows, &index);
}

/* Returns a thread's row as it was when last looked up; 0: none. */
static __always_inline uint32_t row_of(struct ks_run *run, const struct ks_bpf_who *who)
{
	if (who->era != run->control->era || !(run->control->track & KS_TRACK_ROWS))
		return 0;
	return who->row;
}

/* Returns a thread's row, brought up to date; 0: none. */
static __always_inline uint32_t row_settled(struct ks_run *run, struct ks_bpf_who *who,
					    const struct task_struct *task)
{
	uint32_t index = ks_row_of(run, who, task);

	return index < ks_const.n_cpus ? 0 : index;
}

/*
 * Returns the row in which the interval that ends now, and this event, count. That is the row that
 * shows the open interval. If no row does (the thread is new or came into scope), it is `to`, the
 * row of the next interval.
 */
static __always_inline struct ks_bpf_row_sched *counted_at(struct ks_run *run,
							   const struct ks_bpf_who *who,
							   uint32_t to)
{
	uint32_t open = *(const volatile uint32_t *)&who->open_row;

	return row_at(run, unknown(run, open ? open : to));
}

/* Makes seq odd before a row changes, and even after. Readers read a row with an odd seq again. */
static __always_inline void mark(struct ks_bpf_open *open, const bool begins)
{
#if defined(__TARGET_ARCH_x86)
	/* x86 keeps the order of stores. If seq is out of step, `| 1` corrects it. */
	barrier();
	*(volatile uint32_t *)&open->seq = (open->seq | 1) + !begins;
	barrier();
#else
	uint32_t before;

	if (!ks_const.atomic_fetch) {
		*(volatile uint32_t *)&open->seq = (open->seq | 1) + !begins;
		return;
	}
	/* A fetching addition is a barrier. It fetches only if the result is used. */
	before = __sync_fetch_and_add(&open->seq, 1);
	barrier_var(before);
#endif
}

/* ---- intervals ------------------------------------------------------------------------------- */

/* Shows a thread's present interval in a row. */
static __always_inline void show(struct ks_bpf_open *open, const struct ks_bpf_who *who)
{
	*(volatile uint64_t *)&open->since_ns = who->since_ns;
	*(volatile uint32_t *)&open->state = who->state;
}

/* Shows a thread's open interval in `row` from now on. The caller clears the former row. */
static __always_inline void move(struct ks_run *run, struct ks_bpf_who *who, uint32_t row)
{
	struct ks_bpf_row_sched *to = row_at(run, row);

	who->open_row = row;
	if (!to)
		return;
	mark(&to->open, true);
	show(&to->open, who);
	mark(&to->open, false);
}

/*
 * A thread changes its state. Ends the open interval, counts it in `row` (who->open_row), and shows
 * the new interval in the row `to`; 0: in none. Returns the length of the interval that ended, ns.
 * Readers ignore the open interval in the row of a CPU. Clocks of CPUs differ a little; a length is
 * at least 0 and since_ns never decreases, so the sums match the time that passed.
 */
static __always_inline uint64_t go_on(struct ks_run *run, struct ks_bpf_stats_sched *stats,
				      struct ks_bpf_row_sched *row, struct ks_bpf_who *who,
				      uint32_t from, uint32_t state, uint32_t to, const bool alone)
{
	uint64_t ns = run->now - who->since_ns;
	uint32_t which = from - 1;

	ns &= ~((int64_t)ns >> 63);
	who->since_ns += ns;
	who->state = state;
	if (!is_counted(run))
		return ns;
	mark(&row->open, true);
	if (which < SCHED_STATES - 1) {
		struct ks_bpf_hist *hist = &stats->runq_ns + which;
		struct ks_bpf_sum *sum = &row->runq_ns + which;

		/*
		 * Keep pointers: 5.10 forgets the bounds of numbers on the stack, not of pointers.
		 */
		barrier_var(hist);
		barrier_var(sum);
		count_hist(hist, ns, alone);
		count(&sum->sum, ns, alone);
		count(&sum->count, 1, alone);
	}
	if (to == who->open_row) {
		show(&row->open, who);
		mark(&row->open, false);
		return ns;
	}
	*(volatile uint32_t *)&row->open.state = SCHED_NONE;
	mark(&row->open, false);
	move(run, who, to);
	return ns;
}

/* ---- storage of a thread --------------------------------------------------------------------- */

/*
 * Returns the thread's storage, or NULL. It does not make task storage: under the lock of a run
 * queue, an allocation may wake kswapd, which needs that lock. It does make an entry of the hash,
 * which is preallocated.
 */
static __always_inline struct ks_bpf_who *who_of(struct task_struct *trusted, bool wanted)
{
	return ks_who_find(trusted, !ks_const.task_storage && wanted);
}

/* Does the thread have an open interval? It may even if it left the scope. */
static __always_inline bool is_open(const struct ks_run *run, const struct ks_bpf_who *who)
{
	return who && who->state && who->epoch == run->epoch;
}

/*
 * May a hook write to the thread's storage? Drops the storage's contents if they are from before
 * the probe was last enabled.
 */
static __always_inline bool claim(struct ks_run *run, struct ks_bpf_who *who)
{
	uint32_t epoch = *(volatile uint32_t *)&who->epoch, now = run->epoch;

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

/* Tells the library that a thread has no storage. The library then runs sched_seed again. */
static __always_inline void note_unseeded(struct ks_run *run)
{
	struct ks_bpf_control *control = (void *)run->control;

	if (!*(volatile uint32_t *)&control->unseeded)
		*(volatile uint32_t *)&control->unseeded = 1;
}

#endif
