/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * probe.bpf.h - what every kernel program includes, and the page to read before writing one
 *
 * A run goes: begin, judge the subject, count, make a record, end. Each step that may stop it names
 * the outcome, and ks_end() puts exactly one into the ledger:
 *
 *	static __always_inline enum ks_bpf_outcome woke(struct ks_run *run, struct task_struct *task)
 *	{
 *		struct ks_event_example_wake *rec, room;
 *		struct ks_bpf_stats_example *stats = ks_stats(run, &example_stats);
 *
 *		if (!ks_admit(run, task))
 *			return KS_FILTERED;
 *		if (stats)
 *			ks_add_own(run, &stats->wakes, 1);
 *		rec = ks_reserve(run, task, &room, KS_EVENT_EXAMPLE_WAKE, sizeof(room));
 *		if (!rec)
 *			return run->outcome;
 *		rec->...
 *		return ks_submit(run, rec, sizeof(room));
 *	}
 *
 *	SEC("?ks/tp_btf/sched_wakeup")
 *	int example_wake_tp_btf(uint64_t *ctx)
 *	{
 *		struct ks_run run;
 *
 *		if (!ks_begin(&run, ctx, KS_PROBE_EXAMPLE, true))
 *			return 0;
 *		return ks_end(&run, woke(&run, ks_untrusted((void *)ctx[0])));
 *	}
 *
 *  - Sections start with '?': nothing loads unless a variant of lib/probes/NAME.c names it.
 *  - The body is written once. `typed` is a constant: true where the kernel knows the types of the
 *    arguments (tp_btf, fentry), which makes ks_read() a plain load instead of a helper's copy, 20
 *    times cheaper. Pass such arguments through ks_untrusted().
 *  - Judge the subject of the event, not the current task.
 *  - Arguments that came later than the event: read ctx[n] only behind a member of ks_const.
 *  - A record is zero when you get it. Leave a member zero, and its bit of `valid`, if it is not
 *    known. No byte of the kernel leaves that is not meant to.
 */
#ifndef KS_PROBE_BPF_H
#define KS_PROBE_BPF_H

#include "ktypes.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include <kernelsight/events.h>

#include "shared.h"

#include "compat.bpf.h"
#include "hist.bpf.h"

#define KS_PIDTYPE_TGID 1
#define KS_PIDTYPE_SID 3

/*
 * One run of one program. It must live in registers, or `typed` is no constant any more: all is
 * inlined, and no address of a member goes to a helper.
 */
struct ks_run {
	void *ctx;
	const struct ks_bpf_control *control;
	const struct ks_bpf_settings *set;
	struct ks_bpf_cpu *slot;
	struct ks_bpf_ledger *ledger;
	uint64_t now;         /* the one reading of the clock, 0: not yet; see ks_now() */
	uint64_t measured_ns; /* begin of a run whose duration is taken, else 0 */
	uint32_t cpu;
	uint32_t probe;
	uint32_t pid;          /* of the subject; set by ks_admit() */
	uint32_t generation;   /* of the settings, read once: a disable may make them inert meanwhile */
	uint32_t sample_every; /* of the settings; a probe may set it to 1 for what must not be missed */
	enum ks_bpf_outcome outcome; /* why there is no record */
	uint8_t flags;               /* ks_event_flag of the record */
	bool typed;
};

#define ks_read(run, p, member) ks_get((run)->typed, p, member)

/* Atomic: programs of one probe share slots, and interrupts nest. Without fetching: 5.10 has it. */
static __always_inline void ks_add(uint64_t *counter, uint64_t n)
{
	__sync_fetch_and_add(counter, n);
}

/*
 * For a counter that no other program writes: plain where the kernel lets no program nest in itself,
 * not even one that was preempted.
 */
static __always_inline void ks_add_own(const struct ks_run *run, uint64_t *counter, uint64_t n)
{
	if (ks_const.own_guard && run->typed)
		*(volatile uint64_t *)counter += n;
	else
		ks_add(counter, n);
}

/* CLOCK_MONOTONIC as the host reads it: its time namespace may have an offset. */
static __always_inline uint64_t ks_clock(void)
{
	return bpf_ktime_get_ns() + ks_const.mono_ns;
}

static __always_inline uint64_t ks_now(struct ks_run *run)
{
	if (!run->now)
		run->now = ks_clock();
	return run->now;
}

/*
 * When a task was started, on the same clock. One that is older than that clock's zero has a negative
 * number, modulo 2^64: differences are right, and the task is told from others.
 */
static __always_inline uint64_t ks_start(const struct ks_run *run, const struct task_struct *task)
{
	return ks_read(run, task, start_time) + ks_const.mono_ns;
}

/* The same as /proc/PID/stat tells it to the host. */
static __always_inline uint64_t ks_start_ticks(const struct ks_run *run,
					       const struct task_struct *task)
{
	return (ks_read(run, task, start_boottime) + ks_const.boot_ns) / ks_const.tick_ns;
}

/* ---- begin and end ----------------------------------------------------------------------------- */

static __always_inline void ks_count(struct ks_run *run, enum ks_bpf_outcome outcome)
{
	if (outcome < KS_OUTCOMES)
		ks_add(&run->ledger->outcome[outcome], 1);
}

static __always_inline void ks_measure(struct ks_run *run)
{
	if (run->measured_ns)
		ks_add(&run->ledger->kernel_ns, (bpf_ktime_get_ns() - run->measured_ns) * 256);
}

/* The last thing of every run. */
static __always_inline int ks_end(struct ks_run *run, enum ks_bpf_outcome outcome)
{
	ks_count(run, outcome);
	ks_measure(run);
	return 0;
}

/*
 * 1 run in 256 is measured. Multiples of the golden ratio spread evenly over every rhythm in which
 * the programs of a probe take turns; each 256th run could always be the same program.
 */
static __always_inline bool ks_is_measured(struct ks_bpf_ledger *ledger)
{
	return (++*(volatile uint64_t *)&ledger->turn * 0x9e3779b97f4a7c15ULL) >> 56 == 0;
}

/*
 * A CPU that the library did not reckon with has no slot: all that it sees is lost, and the first
 * CPU's slot counts it.
 */
static __always_inline void ks_lose_run(uint32_t probe)
{
	uint32_t zero = 0;
	struct ks_bpf_cpu *slot = bpf_map_lookup_elem(&ks_cpus, &zero);

	if (slot)
		ks_add(&slot->probe[probe].outcome[KS_LOST_MAP_FULL], 1);
}

/* The first thing of every run. False: the probe is inert, the run is accounted for, return 0. */
static __always_inline bool ks_begin(struct ks_run *run, void *ctx, uint32_t probe,
				     const bool typed)
{
	uint32_t zero = 0, cpu = bpf_get_smp_processor_id();

	*run = (struct ks_run){ .ctx = ctx, .probe = probe, .cpu = cpu, .typed = typed };
	run->control = bpf_map_lookup_elem(&ks_control, &zero);
	run->slot = bpf_map_lookup_elem(&ks_cpus, &cpu);
	if (!run->slot)
		ks_lose_run(probe);
	if (!run->control || !run->slot)
		return false;
	run->ledger = &run->slot->probe[probe];
	/* A constant 0 would have the verifier follow all that comes twice. */
	run->measured_ns = *(volatile uint64_t *)&run->ledger->zero;
	if (ks_is_measured(run->ledger))
		run->measured_ns = bpf_ktime_get_ns();
	run->set = &run->control->settings[probe]
				[*(volatile uint32_t *)&run->control->index[probe] & 1];
	run->sample_every = run->set->sample_every;
	run->generation = *(const volatile uint32_t *)&run->set->generation;
	if (run->generation)
		return true;
	ks_end(run, KS_FILTERED);
	return false;
}

/* This CPU's slot of the probe's statistics, or NULL if none are wanted. */
static __always_inline void *ks_stats(struct ks_run *run, void *map)
{
	uint32_t cpu = run->cpu;

	if (!(run->set->flags & KS_WANT_STATS))
		return NULL;
	return bpf_map_lookup_elem(map, &cpu);
}

/* ---- who it is --------------------------------------------------------------------------------- */

/* One for each namespace from the first to the one where the task lives. */
static __always_inline const struct upid *ks_numbers(const struct pid *pid)
{
	return (const void *)pid + bpf_core_field_offset(pid->numbers);
}

/*
 * The number of a pid in the caller's namespace, 0 if it is not visible from there: nothing that may
 * be told leads to who has none. See ks_is_visible().
 */
static __always_inline uint32_t ks_pid_nr(const struct pid *pid)
{
	uint32_t nr = 0, level = ks_const.pid_level;

	if (!pid || BPF_CORE_READ(pid, level) < level)
		return 0;
	bpf_probe_read_kernel(&nr, sizeof(nr), &ks_numbers(pid)[level].nr);
	return nr;
}

static __always_inline uint32_t ks_tgid(struct ks_run *run, const struct task_struct *task)
{
	if (!ks_const.pid_level)
		return ks_read(run, task, tgid);
	return ks_pid_nr(BPF_CORE_READ(task, signal, pids[KS_PIDTYPE_TGID]));
}

static __always_inline uint32_t ks_tid(struct ks_run *run, const struct task_struct *task)
{
	if (!ks_const.pid_level)
		return ks_read(run, task, pid);
	return ks_pid_nr(BPF_CORE_READ(task, thread_pid));
}

/*
 * May anything be told of this task, which is not the one that the record is about: a number, a name,
 * a cgroup? Only of who is in the caller's pid namespace or below; the idle tasks are nobody's. pid:
 * its ks_tgid(). Whoever is not visible is not told of at all: leave the bit of `valid` off.
 */
static __always_inline bool ks_is_visible(struct ks_run *run, const struct task_struct *task,
					  uint32_t pid)
{
	return !ks_const.pid_level || pid || !ks_read(run, task, pid);
}

/* The bytes of a word that stand before its first NUL. */
static __always_inline uint64_t ks_text_mask(uint64_t word)
{
	uint64_t nul = (word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL;

	return nul ? ((nul & -nul) >> 7) - 1 : ~0ULL;
}

/* As two words: 8 ns; the helper 48. Older kernels leave a former, longer name behind the NUL. */
static __always_inline void ks_comm(struct ks_run *run, const struct task_struct *task,
				    uint64_t comm[2])
{
	uint64_t mask;

	if (run->typed) {
		comm[0] = *(const volatile uint64_t *)&task->comm[0];
		comm[1] = *(const volatile uint64_t *)&task->comm[8];
	} else {
		bpf_core_read(comm, 16, &task->comm);
	}
	mask = ks_text_mask(comm[0]);
	comm[0] &= mask;
	comm[1] &= mask == ~0ULL ? ks_text_mask(comm[1]) : 0;
}

/* Of the memory controller, whose cgroup is what containers and units are known by. */
static __always_inline uint64_t ks_cgroup(struct ks_run *run, const struct task_struct *task)
{
	uint32_t memory;

	if (!ks_const.memcg_v1)
		return run->typed ? task->cgroups->dfl_cgrp->kn->id :
				    BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	memory = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	return run->typed ? task->cgroups->subsys[memory]->cgroup->kn->id :
			    BPF_CORE_READ(task, cgroups, subsys[memory], cgroup, kn, id);
}

#include "scope.bpf.h"
#include "threads.bpf.h"

/* ---- records ----------------------------------------------------------------------------------- */

/*
 * The limit of records: full_ns is when the bucket will be empty again, and each record puts it off
 * by record_ns, up to burst_ns ahead. One bucket for all CPUs where kernels can compare and
 * exchange; else one for each of them, so that the limit holds per CPU.
 */
static __always_inline bool ks_take(struct ks_run *run)
{
	uint64_t cost = run->set->record_ns, depth = run->set->burst_ns, now, old, next;
	uint64_t *full = &run->ledger->bucket;
	struct ks_bpf_bucket *shared;
	uint32_t probe = run->probe;

	if (!cost)
		return true;
	now = ks_now(run);
	if (ks_const.atomic_fetch) {
		shared = bpf_map_lookup_elem(&ks_buckets, &probe);
		if (!shared)
			return false;
		full = &shared->full_ns;
	}
	for (int i = 0; i < 4; i++) {
		old = *(volatile uint64_t *)full;
		/* Left behind by settings under which it was deeper. */
		if (old > now + depth + 1000000000)
			*(volatile uint64_t *)full = old = now + depth;
		next = (old > now ? old : now) + cost;
		if (next - now > depth)
			return false;
		if (!ks_const.atomic_fetch) {
			*(volatile uint64_t *)full = next;
			return true;
		}
		if (__sync_val_compare_and_swap(full, old, next) == old)
			return true;
	}
	return false; /* four others were quicker: whatever the limit is, it is reached */
}

/* Is there to be a record? If not, run->outcome says why. */
static __always_inline bool ks_sample(struct ks_run *run)
{
	uint32_t every = run->sample_every;

	run->outcome = KS_AGGREGATED;
	if (!every || !(run->set->flags & KS_WANT_EVENTS))
		return false;
	run->outcome = KS_SAMPLED_OUT;
	if (every > 1 && bpf_get_prandom_u32() % every)
		return false;
	run->outcome = KS_THROTTLED;
	return ks_take(run);
}

static __always_inline void ks_lose(struct ks_run *run, enum ks_bpf_outcome reason)
{
	__sync_fetch_and_add(&run->slot->lost, 1);
	run->outcome = reason;
}

/*
 * From this CPU's ring. It fails when the ring is full, or when an NMI finds its lock held by what
 * it interrupted: then there is room. (Twice, as the consumer may just have made some.)
 */
static __always_inline void *ks_reserve_ring(struct ks_run *run, uint32_t size)
{
	uint32_t n = run->cpu % ks_const.n_rings;
	void *ring = bpf_map_lookup_elem(&ks_rings, &n), *rec;

	if (!ring) {
		ks_lose(run, KS_LOST_RING_FULL);
		return NULL;
	}
	rec = bpf_ringbuf_reserve(ring, size, 0);
	if (rec)
		return rec;
	if (bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) + 2 * (size + BPF_RINGBUF_HDR_SZ) <
	    bpf_ringbuf_query(ring, BPF_RB_RING_SIZE))
		ks_lose(run, KS_LOST_RING_LOCKED);
	else
		ks_lose(run, KS_LOST_RING_FULL);
	return NULL;
}

/* Head of a zeroed record. `lost` is copied after the reserve: then it never goes backwards. */
static __always_inline void ks_fill(struct ks_run *run, const struct task_struct *task,
				    struct ks_event *ev, uint16_t id, uint16_t size)
{
	ev->size = size;
	ev->id = id;
	ev->cpu = run->cpu;
	ev->flags = run->flags;
	ev->generation = run->generation;
	ev->weight = run->sample_every;
	ev->lost = *(volatile uint32_t *)&run->slot->lost;
	ev->pid = run->pid;
	ev->tid = ks_tid(run, task);
	ev->time_ns = ks_now(run);
	if (run->set->flags & KS_WANT_CGROUP)
		ev->cgroup = ks_cgroup(run, task);
	if (run->set->flags & KS_WANT_COMM)
		ks_comm(run, task, (uint64_t *)ev->comm);
}

/*
 * A record about `task`, zeroed, its head filled in; NULL: run->outcome says why there is none. On
 * kernels without ring buffers it is `room`, a local variable: 256 bytes at most.
 */
static __always_inline void *ks_reserve(struct ks_run *run, const struct task_struct *task,
					void *room, uint16_t id, const uint32_t size)
{
	void *rec = room;

	if (!ks_sample(run))
		return NULL;
	if (ks_const.ring) {
		rec = ks_reserve_ring(run, size);
		if (!rec)
			return NULL;
	}
	rec = __builtin_assume_aligned(rec, 8);
	__builtin_memset(rec, 0, size);
	ks_fill(run, task, rec, id, size);
	return rec;
}

/* Hands over a record. Flags 0: the consumer alone decides whether that wakes it. */
static __always_inline enum ks_bpf_outcome ks_submit(struct ks_run *run, void *rec,
						     const uint32_t size)
{
	if (ks_const.ring) {
		bpf_ringbuf_submit(rec, 0);
		return KS_SUBMITTED;
	}
	if (!bpf_perf_event_output(run->ctx, &ks_perf, BPF_F_CURRENT_CPU, rec, size))
		return KS_SUBMITTED;
	ks_lose(run, KS_LOST_RING_FULL);
	return run->outcome;
}

#endif
