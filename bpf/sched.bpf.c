/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sched.bpf.c - kernel programs of the probe sched: context switches, and how long threads run,
 * wait in the run queue and sleep
 */
#include "probe.bpf.h"

#include "sched.bpf.h"

/* ---- records --------------------------------------------------------------------------------- */

/* Makes the record of a long wait in the run queue. held: the thread that had the CPU until now. */
static __always_inline enum ks_bpf_outcome record_wait(struct ks_run *run, uint64_t ns,
						       const struct task_struct *task,
						       const struct task_struct *held)
{
	struct ks_event_sched_wait *rec, room;
	uint64_t comm[2];

	if (!run->set->param[0] || ns < run->set->param[0])
		return KS_AGGREGATED;
	rec = ks_reserve(run, task, &room, KS_EVENT_SCHED_WAIT, sizeof(room));
	if (!rec)
		return run->outcome;
	rec->valid = KS_HAS_SCHED_RUNQ;
	rec->wait_ns = ns;
	rec->held_pid = ks_tgid(run, held);
	if (!ks_is_visible(run, held, rec->held_pid))
		return ks_submit(run, rec, sizeof(room));
	rec->valid |= KS_HAS_SCHED_CULPRIT;
	rec->held_tid = ks_tid(run, held);
	if (run->set->flags & KS_WANT_CGROUP && ks_read(run, held, pid))
		rec->held_cgroup = ks_cgroup(run, held);
	if (run->set->flags & KS_WANT_COMM) {
		ks_comm(run, held, comm);
		__builtin_memcpy(rec->held_comm, comm, sizeof(comm));
	}
	return ks_submit(run, rec, sizeof(room));
}

/* Makes the record of a long sleep. sleep: the kernel's task state in it, 0: not known. */
static __always_inline enum ks_bpf_outcome
record_block(struct ks_run *run, uint64_t ns, const struct task_struct *task, uint32_t sleep)
{
	struct ks_event_sched_block *rec, room;

	if (!run->set->param[1] || ns < run->set->param[1])
		return KS_AGGREGATED;
	rec = ks_reserve(run, task, &room, KS_EVENT_SCHED_BLOCK, sizeof(room));
	if (!rec)
		return run->outcome;
	rec->valid = KS_HAS_SCHED_OFFCPU;
	rec->block_ns = ns;
	rec->sleep_state = sleep;
	if (sleep)
		rec->valid |= KS_HAS_SCHED_SLEEP;
	return ks_submit(run, rec, sizeof(room));
}

/* ---- switches -------------------------------------------------------------------------------- */

static __always_inline void count_switch(struct ks_run *run, struct ks_bpf_stats_sched *stats,
					 struct ks_bpf_row_sched *row, uint64_t voluntary,
					 uint64_t preempted)
{
	if (!is_counted(run))
		return;
	count(&stats->voluntary, voluntary, true);
	count(&stats->preempted, preempted, true);
	count(&row->voluntary, voluntary, true);
	count(&row->preempted, preempted, true);
}

/*
 * Counts a switch away from a thread. The kernel has counted this switch before the hook, so the
 * difference of the kernel's counters is exact. The argument `preempt` is not: it is false for
 * sched_yield(), too. asleep: the thread's state; 0: it stays runnable.
 */
static __always_inline void switched(struct ks_run *run, struct ks_bpf_stats_sched *stats,
				     struct ks_bpf_row_sched *row, struct ks_bpf_who *who,
				     const struct task_struct *task, uint32_t asleep)
{
	uint64_t voluntary = ks_read(run, task, nvcsw), preempted = ks_read(run, task, nivcsw);

	if (who->state)
		count_switch(run, stats, row, voluntary - who->voluntary,
			     preempted - who->preempted);
	else
		count_switch(run, stats, row, asleep != 0, asleep == 0);
	who->voluntary = voluntary;
	who->preempted = preempted;
}

/* A thread leaves its CPU. trusted, task: the same thread, for helpers and to be read. */
static __always_inline enum ks_bpf_outcome
leave(struct ks_run *run, struct ks_bpf_stats_sched *stats, struct task_struct *trusted,
      const struct task_struct *task, const struct switch_args *args)
{
	struct ks_bpf_row_sched *row;
	struct ks_bpf_who *who;
	uint32_t asleep, state, to, wanted;

	if (is_idle(run, task))
		return KS_FILTERED;
	wanted = unknown(run, ks_admit(run, task));
	who = who_of(trusted, wanted);
	if (!wanted && !is_open(run, who))
		return KS_FILTERED;
	wanted = unknown(run, wanted);
	/* Not args->state: a thread with a pending signal stays runnable whatever that state is. */
	asleep = unknown(run, args->preempt ? 0 : task_state(run, task));
	if (!who) {
		note_unseeded(run);
		row = row_at(run, 0);
		if (row)
			count_switch(run, stats, row, asleep != 0, asleep == 0);
		return KS_AGGREGATED;
	}
	if (!claim(run, who))
		return KS_AGGREGATED;
	state = !wanted || asleep & TASK_DEAD ? SCHED_NONE : asleep ? SCHED_OFF : SCHED_QUEUED;
	state = unknown(run, state);
	to = unknown(run, wanted ? row_settled(run, who, task) : 0);
	row = counted_at(run, who, to);
	if (!row)
		return KS_AGGREGATED;
	switched(run, stats, row, who, task, asleep);
	go_on(run, stats, row, who, who->state, state, unknown(run, state ? to : 0), true);
	who->sleep = unknown(run, asleep ? leaving_state(args, asleep) : 0);
	return KS_AGGREGATED;
}

/* A thread comes onto a CPU. held: the thread that leaves it. */
static __always_inline enum ks_bpf_outcome
enter(struct ks_run *run, struct ks_bpf_stats_sched *stats, struct task_struct *trusted,
      const struct task_struct *task, const struct task_struct *held)
{
	struct ks_bpf_row_sched *row;
	struct ks_bpf_who *who;
	uint32_t was, wanted;
	uint64_t ns;

	if (is_idle(run, task))
		return KS_FILTERED;
	wanted = unknown(run, ks_admit(run, task));
	who = who_of(trusted, wanted);
	if (!wanted && !is_open(run, who))
		return KS_FILTERED;
	wanted = unknown(run, wanted);
	if (!who)
		note_unseeded(run);
	if (!who || !claim(run, who))
		return KS_AGGREGATED;
	row = row_at(run, who->open_row);
	if (!row)
		return KS_AGGREGATED;
	was = who->state;
	if (was == SCHED_NONE) {
		who->voluntary = ks_read(run, task, nvcsw);
		who->preempted = ks_read(run, task, nivcsw);
	}
	ns = go_on(run, stats, row, who, was, unknown(run, wanted ? SCHED_ON : SCHED_NONE),
		   unknown(run, wanted ? row_of(run, who) : 0), true);
	if (!wanted || was != SCHED_QUEUED)
		return KS_AGGREGATED;
	return record_wait(run, ns, task, held);
}

/*
 * One run handles two threads. Its outcome is that of the thread that comes onto the CPU, or of the
 * one that leaves if the first is out of scope.
 */
static __always_inline int sched_switch(uint64_t *ctx, const bool typed)
{
	struct switch_args args;
	struct task_struct *from, *to;
	enum ks_bpf_outcome left, entered;
	struct ks_bpf_stats_sched *stats;
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_SCHED, typed))
		return 0;
	read_args(ctx, &args);
	from = typed ? ks_untrusted(args.prev) : args.prev;
	to = typed ? ks_untrusted(args.next) : args.next;
	stats = stats_of(&run);
	if (!stats)
		return ks_end(&run, KS_FILTERED);
	ks_now(&run); /* here, not in each branch: saves the verifier a third of its work */
	left = unknown(&run, leave(&run, stats, args.prev, from, &args));
	run.flags = 0;
	entered = enter(&run, stats, args.next, to, from);
	return end_alone(&run, entered == KS_FILTERED ? left : entered);
}

SEC("?ks/tp_btf/sched_switch")
int sched_switch_tp_btf(uint64_t *ctx)
{
	return sched_switch(ctx, true);
}

SEC("?raw_tp/sched_switch")
int sched_switch_raw_tp(uint64_t *ctx)
{
	return sched_switch(ctx, false);
}

/* ---- wake-ups -------------------------------------------------------------------------------- */

static __always_inline void count_wakeup(struct ks_run *run, struct ks_bpf_stats_sched *stats,
					 struct ks_bpf_row_sched *row, const bool alone)
{
	if (!is_counted(run))
		return;
	count(&stats->wakeups, 1, alone);
	count(&row->wakeups, 1, alone);
}

/* A thread is woken. is_new: the thread was made just now and has no row yet. */
static __always_inline enum ks_bpf_outcome woken(struct ks_run *run, struct task_struct *trusted,
						 const struct task_struct *task, const bool is_new)
{
	uint32_t wanted = unknown(run, ks_admit(run, task));
	struct ks_bpf_who *who = who_of(trusted, wanted);
	struct ks_bpf_stats_sched *stats = stats_of(run);
	struct ks_bpf_row_sched *row;
	uint32_t claimed, was, to, state = SCHED_QUEUED;
	uint64_t ns;

	if (!stats || (!wanted && !is_open(run, who)))
		return KS_FILTERED;
	wanted = unknown(run, wanted);
	claimed = unknown(run, who && claim(run, who));
	was = unknown(run, who && claimed ? who->state : SCHED_ON);
	to = 0;
	/* Other threads' rows are up to date since they left their CPU. */
	if (who && wanted)
		to = is_new || !run->typed ? row_settled(run, who, task) : row_of(run, who);
	to = unknown(run, to);
	row = who && claimed ? counted_at(run, who, to) : row_at(run, to);
	if (!row)
		return KS_AGGREGATED;
	if (was == SCHED_OFF)
		count_wakeup(run, stats, row, true);
	else /* the thread may still be on its CPU: then interrupts may be on here */
		count_wakeup(run, stats, row, false);
	if (!who || was == SCHED_QUEUED || was == SCHED_ON)
		return KS_AGGREGATED;
	if (was == SCHED_NONE) {
		who->voluntary = ks_read(run, task, nvcsw);
		who->preempted = ks_read(run, task, nivcsw);
		if (is_on_cpu(run, task))
			state = SCHED_ON;
	}
	state = unknown(run, wanted ? state : SCHED_NONE);
	ns = go_on(run, stats, row, who, was, state, to, true);
	if (is_new || !wanted || was != SCHED_OFF)
		return KS_AGGREGATED;
	return record_block(run, ns, task, who->sleep);
}

static __always_inline int sched_wakeup(uint64_t *ctx, const bool typed, const bool is_new)
{
	struct task_struct *trusted = (void *)ctx[0];
	struct task_struct *task = typed ? ks_untrusted(trusted) : trusted;
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_SCHED, typed))
		return 0;
	ks_now(&run);
	return ks_end(&run, woken(&run, trusted, task, is_new));
}

SEC("?ks/tp_btf/sched_wakeup")
int sched_wakeup_tp_btf(uint64_t *ctx)
{
	return sched_wakeup(ctx, true, false);
}

SEC("?raw_tp/sched_wakeup")
int sched_wakeup_raw_tp(uint64_t *ctx)
{
	return sched_wakeup(ctx, false, false);
}

SEC("?ks/tp_btf/sched_wakeup_new")
int sched_wakeup_new_tp_btf(uint64_t *ctx)
{
	return sched_wakeup(ctx, true, true);
}

SEC("?raw_tp/sched_wakeup_new")
int sched_wakeup_new_raw_tp(uint64_t *ctx)
{
	return sched_wakeup(ctx, false, true);
}

/* ---- threads that exist already -------------------------------------------------------------- */

/* Ends the interval of a thread that left the scope and sleeps: no hook would end it soon. */
static __always_inline enum ks_bpf_outcome seed_end(struct ks_run *run, struct ks_bpf_who *who)
{
	struct ks_bpf_stats_sched *stats = stats_of(run);
	struct ks_bpf_row_sched *row;

	if (!stats || !is_open(run, who) || who->state != SCHED_OFF)
		return KS_FILTERED;
	ks_now(run);
	row = row_at(run, who->open_row);
	if (!row || (ks_const.atomic_fetch &&
		     __sync_val_compare_and_swap(&who->state, SCHED_OFF, SCHED_NONE) != SCHED_OFF))
		return KS_FILTERED;
	go_on(run, stats, row, who, SCHED_OFF, SCHED_NONE, 0, false);
	return KS_AGGREGATED;
}

/* Sets the thread's epoch to SEEDING: hooks on other CPUs then do not write to its storage. */
static __always_inline bool seed_begin(struct ks_run *run, struct ks_bpf_who *who)
{
	uint32_t epoch = who->epoch;

	if (epoch == SEEDING || is_open(run, who))
		return false;
	if (ks_const.atomic_fetch)
		return __sync_val_compare_and_swap(&who->epoch, epoch, SEEDING) == epoch;
	who->epoch = SEEDING;
	return true;
}

/*
 * Reads the thread's state again after hooks may write. The state may have changed before that, and
 * the hook that saw the change has written nothing.
 */
static __always_inline void seed_correct(struct ks_run *run, struct ks_bpf_who *who, uint32_t was,
					 const struct task_struct *task)
{
	uint32_t state = unknown(run, state_of(run, task));
	struct ks_bpf_row_sched *row;

	if (state == was || !ks_const.atomic_fetch ||
	    __sync_val_compare_and_swap(&who->state, was, state) != was || !who->open_row)
		return;
	row = row_at(run, who->open_row);
	if (row)
		*(volatile uint32_t *)&row->open.state = state;
}

/* Makes the storage of a thread and stores its present state. */
static __always_inline enum ks_bpf_outcome seed(struct ks_run *run, struct task_struct *trusted,
						const struct task_struct *task)
{
	bool wanted = !is_idle(run, task) && ks_admit(run, task);
	struct ks_bpf_who *who = ks_who_find(trusted, wanted);
	uint32_t state;

	if (!wanted)
		return seed_end(run, who);
	if (!who)
		return KS_LOST_MAP_FULL;
	if (!seed_begin(run, who))
		return KS_FILTERED;
	state = unknown(run, state_of(run, task));
	who->voluntary = ks_read(run, task, nvcsw);
	who->preempted = ks_read(run, task, nivcsw);
	who->since_ns = ks_now(run);
	who->state = state;
	who->sleep = task_state(run, task);
	if (who->sleep == TASK_WAKING)
		who->sleep = 0;
	move(run, who, state && is_counted(run) ? row_settled(run, who, task) : 0);
	*(volatile uint32_t *)&who->epoch = run->epoch;
	seed_correct(run, who, state, task);
	return KS_OPENED;
}

/*
 * The library runs this on each thread when it enables the probe or changes the scope. After the
 * last thread, the kernel calls it with NULL.
 */
SEC("?ks/iter/task")
int sched_seed(uint64_t *ctx)
{
	struct task_struct *task = (void *)ctx[1];
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_SCHED, true))
		return 0;
	if (!task)
		return ks_end(&run, KS_FILTERED);
	return ks_end(&run, seed(&run, task, ks_untrusted(task)));
}
