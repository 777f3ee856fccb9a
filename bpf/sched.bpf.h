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
#define TASK_WAKING 0x200 /* while it is woken */
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

/* The arguments of sched_switch: (preempt, prev, next); since 5.18 also the state in which prev leaves. */
struct switch_args {
	bool preempt;
	struct task_struct *prev, *next;
	uint32_t state; /* where ks_const.prev_state is not 0 */
};

/* Each is read where it stands: of several places the compiler makes one with an offset, which the
 * verifier refuses. */
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
 * The state in which a thread leaves its CPU. Read from the task it may be that of its wake-up already,
 * which another CPU has begun: then it is not known.
 */
static __always_inline uint32_t told_state(const struct switch_args *args, uint32_t now)
{
	if (ks_const.prev_state)
		return args->state;
	return now == TASK_WAKING ? 0 : now;
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
static __always_inline bool is_idle(struct ks_run *run, const struct task_struct *task)
{
	return !ks_read(run, task, pid);
}

/*
 * The same number, but one that the verifier does not know: of a constant it would follow all that
 * comes after once for each of its values.
 */
static __always_inline uint32_t unknown(struct ks_run *run, uint32_t n)
{
	n += (uint32_t)*(volatile uint64_t *)&run->ledger->zero;
	barrier_var(n); /* here and not later */
	return n;
}

/* ---- counting ---------------------------------------------------------------------------------- */

/*
 * The hooks run with interrupts off, holding the lock of the queue that the thread is on: nobody
 * else writes to this CPU's statistics or to the thread's row, and additions are plain (each atomic
 * one would cost 8 ns). Not so, `alone` is false: a wake-up of who is running right here; and
 * sched_seed, which counts for threads that sleep.
 */
static __always_inline void count(uint64_t *counter, uint64_t n, const bool alone)
{
	if (alone)
		*(volatile uint64_t *)counter += n;
	else
		ks_add(counter, n);
}

/* As ks_hist_add(), without its branches: `zeros` stands right before the buckets. */
static __always_inline void count_hist(struct ks_bpf_hist *hist, uint64_t ns, const bool alone)
{
	uint64_t none = (ns - 1) >> 63;
	uint32_t slot = ks_hist_bucket(ns + none) + 2 - (uint32_t)none;

	if (slot > KS_HIST_BUCKETS) /* cannot be; the verifier does not know */
		return;
	count(&hist->zeros + slot, 1, alone);
	count(&hist->sum, ns, alone);
}

/* This CPU's slot, also if nothing is to be counted: NULL or not would be followed twice. */
static __always_inline struct ks_bpf_stats_sched *stats_of(struct ks_run *run)
{
	uint32_t cpu = run->cpu;

	return bpf_map_lookup_elem(&sched_stats, &cpu);
}

/* As ks_end(), with interrupts off: nothing else counts on this CPU. */
static __always_inline int end_alone(struct ks_run *run, uint32_t outcome)
{
	if (outcome < KS_OUTCOMES)
		count(&run->ledger->outcome[outcome], 1, true);
	ks_measure(run);
	return 0;
}

static __always_inline bool is_counted(const struct ks_run *run)
{
	return run->set->flags & KS_WANT_STATS;
}

/* row: of a thread; 0: it has none, that of the CPU. */
static __always_inline struct ks_bpf_row_sched *row_at(struct ks_run *run, uint32_t row)
{
	uint32_t index = row ? row : run->cpu;

	return bpf_map_lookup_elem(&sched_rows, &index);
}

/* The row of a thread as it was last found. */
static __always_inline uint32_t row_of(struct ks_run *run, const struct ks_bpf_who *who)
{
	if (who->era != run->control->era || !(run->control->track & KS_TRACK_ROWS))
		return 0;
	return who->row;
}

/* The same, up to date. */
static __always_inline uint32_t row_settled(struct ks_run *run, struct ks_bpf_who *who,
					    const struct task_struct *task)
{
	uint32_t index = ks_row_of(run, who, task);

	return index < ks_const.n_cpus ? 0 : index;
}

/*
 * Where the interval that ends counts, and what comes with it: where it is open. One that is open
 * nowhere, as of a thread that was just made or came into scope, counts where the next will be: `to`.
 */
static __always_inline struct ks_bpf_row_sched *counted_at(struct ks_run *run,
							   const struct ks_bpf_who *who, uint32_t to)
{
	uint32_t open = *(const volatile uint32_t *)&who->open_row;

	return row_at(run, unknown(run, open ? open : to));
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

static __always_inline void show(struct ks_bpf_open *open, const struct ks_bpf_who *who)
{
	*(volatile uint64_t *)&open->since_ns = who->since_ns;
	*(volatile uint32_t *)&open->state = who->state;
}

/* What goes on is shown in `row` now, no more where it was. */
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
 * A thread goes on to another state, shown in `to` (0: nowhere). What it was doing ends, and counts
 * where it began: `row`, that of who->open_row. Its length. Nobody reads what is open in the
 * row of a CPU. Clocks of CPUs differ by a little: time never goes back, so that sums are the wall's.
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

		/* 5.10 remembers the bounds of pointers on the stack, and not those of numbers */
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
