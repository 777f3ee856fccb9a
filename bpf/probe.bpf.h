/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * probe.bpf.h - what every kernel program includes; read it before you write a kernel program
 *
 * A run of a kernel program ("program" from here on) has five steps: begin, check that the event's
 * subject is in scope, count the event, make a record, end. Each step may stop the run and then
 * returns an outcome. ks_end() counts exactly one outcome in the ledger:
 *
 *	static __always_inline enum ks_bpf_outcome woke(struct ks_run *run,
 *							struct task_struct *task)
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
 *  - scripts/dev new-probe NAME writes such a program as bpf/NAME.bpf.c. The file declares the maps
 *    NAME_stats (here example_stats) and NAME_rows. The structs in these maps, ks_bpf_stats_NAME
 *    and ks_bpf_row_NAME, are in bpf/shared.h, and records are in <kernelsight/events.h>.
 *  - The test is tests/probes/NAME.c. It runs the same assertions on each variant.
 *  - Section names start with '?': a program loads only if a variant of lib/probes/NAME.c names it.
 *  - Write the body once for all variants. `typed` is a constant. It is true where the verifier
 *    knows the types of the arguments (tp_btf, fentry). There ks_read() is a plain load, which
 *    costs 1/20 of the helper's copy. Pass such arguments through ks_untrusted().
 *  - Ask ks_admit() about the subject of the event, which may be another task than the current one.
 *  - A later kernel may have appended an argument. Read such a ctx[n] only behind a member of
 *    ks_const that says that it exists.
 *  - ks_reserve() returns a zeroed record. If a member is not known, leave the member and its bit
 *    of `valid` zero. A record must contain no other bytes of kernel memory.
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
 * State of one run of one program. The compiler must keep it in registers, or `typed` is not a
 * constant any more. So inline all functions, and do not pass the address of a member to a helper.
 */
struct ks_run {
	void *ctx;
	const struct ks_bpf_control *control;
	const struct ks_bpf_settings *set;
	struct ks_bpf_cpu *slot;
	struct ks_bpf_ledger *ledger;
	uint64_t now;         /* time of the event, ks_now(); 0: the clock was not read yet */
	uint64_t measured_ns; /* start time of a measured run; 0: the run is not measured */
	uint32_t cpu;
	uint32_t probe;
	uint32_t pid;          /* process id of the subject; set by ks_admit() */
	uint32_t generation;   /* copy from `set`, which the host may zero during the run */
	uint32_t epoch;        /* copy from `set`, read together with the generation */
	uint32_t sample_every; /* copy from `set`; a program may set it to 1 to keep an event */
	enum ks_bpf_outcome outcome; /* why ks_reserve() returned no record */
	uint8_t flags;               /* ks_event_flag bits of the record */
	bool typed;
};

#define ks_read(run, p, member) ks_get((run)->typed, p, member)

/*
 * Adds n to a counter that several programs write: programs of one probe share counters, and
 * interrupts nest. It does not fetch the old value, which kernels before 5.12 cannot.
 */
static __always_inline void ks_add(uint64_t *counter, uint64_t n)
{
	__sync_fetch_and_add(counter, n);
}

/*
 * Adds n to a counter that no other program writes. The addition is plain if the kernel prevents a
 * program from nesting in itself, even when it was preempted.
 */
static __always_inline void ks_add_own(const struct ks_run *run, uint64_t *counter, uint64_t n)
{
	if (ks_const.own_guard && run->typed)
		*(volatile uint64_t *)counter += n;
	else
		ks_add(counter, n);
}

/* CLOCK_MONOTONIC as the host reads it, ns: the host's time namespace may have an offset. */
static __always_inline uint64_t ks_clock(void)
{
	return bpf_ktime_get_ns() + ks_const.mono_ns;
}

/* Time of the event, ks_clock(). It reads the clock once in a run. */
static __always_inline uint64_t ks_now(struct ks_run *run)
{
	if (!run->now)
		run->now = ks_clock();
	return run->now;
}

/*
 * Start time of a task on the clock of ks_clock(), ns. It is negative, modulo 2^64, if the task is
 * older than that clock's zero. Differences are right all the same.
 */
static __always_inline uint64_t ks_start(const struct ks_run *run, const struct task_struct *task)
{
	return ks_read(run, task, start_time) + ks_const.mono_ns;
}

/* Start time of a task in clock ticks, as the host reads it in /proc/PID/stat. */
static __always_inline uint64_t ks_start_ticks(const struct ks_run *run,
					       const struct task_struct *task)
{
	return (ks_read(run, task, start_boottime) + ks_const.boot_ns) / ks_const.tick_ns;
}

/* ---- begin and end --------------------------------------------------------------------------- */

static __always_inline void ks_count(struct ks_run *run, enum ks_bpf_outcome outcome)
{
	if (outcome < KS_OUTCOMES)
		ks_add(&run->ledger->outcome[outcome], 1);
}

/* Adds the run's duration to the ledger if the run is measured. */
static __always_inline void ks_measure(struct ks_run *run)
{
	if (run->measured_ns)
		ks_add(&run->ledger->kernel_ns, (bpf_ktime_get_ns() - run->measured_ns) * 256);
}

/* Ends a run: counts its outcome. Returns the program's return value. Call it last in every run. */
static __always_inline int ks_end(struct ks_run *run, enum ks_bpf_outcome outcome)
{
	ks_count(run, outcome);
	ks_measure(run);
	return 0;
}

/*
 * Selects 1 run in 256 to be measured. Programs of a probe often run in turns, so every 256th run
 * could always be the same program. Multiples of the golden ratio are spread evenly instead.
 */
static __always_inline bool ks_is_measured(struct ks_bpf_ledger *ledger)
{
	return (++*(volatile uint64_t *)&ledger->turn * 0x9e3779b97f4a7c15ULL) >> 56 == 0;
}

/*
 * Counts a lost run of a CPU that has no slot in ks_cpus, since the library did not know of that
 * CPU. All events on it are lost, and the slot of CPU 0 counts them.
 */
static __always_inline void ks_lose_run(uint32_t probe)
{
	uint32_t zero = 0;
	struct ks_bpf_cpu *slot = bpf_map_lookup_elem(&ks_cpus, &zero);

	if (slot)
		ks_add(&slot->probe[probe].outcome[KS_LOST_MAP_FULL], 1);
}

/*
 * Begins a run; call it first in every program. Returns false if the probe is off or the CPU has no
 * slot. The run is then counted already, and the program must return 0.
 */
static __always_inline bool ks_begin(struct ks_run *run, void *ctx, uint32_t probe,
				     const bool typed)
{
	uint32_t zero = 0, cpu = bpf_get_smp_processor_id();
	uint64_t period; /* generation and epoch */

	*run = (struct ks_run){ .ctx = ctx, .probe = probe, .cpu = cpu, .typed = typed };
	run->control = bpf_map_lookup_elem(&ks_control, &zero);
	run->slot = bpf_map_lookup_elem(&ks_cpus, &cpu);
	if (!run->slot)
		ks_lose_run(probe);
	if (!run->control || !run->slot)
		return false;
	run->ledger = &run->slot->probe[probe];
	/* Not a constant 0: the verifier would check all that follows for 0 and for not 0. */
	run->measured_ns = *(volatile uint64_t *)&run->ledger->zero;
	if (ks_is_measured(run->ledger))
		run->measured_ns = bpf_ktime_get_ns();
	run->set = &run->control->settings[probe]
				[*(volatile uint32_t *)&run->control->index[probe] & 1];
	run->sample_every = run->set->sample_every;
	period = *(const volatile uint64_t *)&run->set->generation;
	run->generation = (uint32_t)period;
	run->epoch = period >> 32;
	if (run->generation)
		return true;
	ks_end(run, KS_FILTERED);
	return false;
}

/* Returns this CPU's statistics of the probe, or NULL if the host wants none. */
static __always_inline void *ks_stats(struct ks_run *run, void *map)
{
	uint32_t cpu = run->cpu;

	if (!(run->set->flags & KS_WANT_STATS))
		return NULL;
	return bpf_map_lookup_elem(map, &cpu);
}

/* ---- who it is ------------------------------------------------------------------------------- */

/* The numbers of a pid, one for each pid namespace from the initial one to the task's own. */
static __always_inline const struct upid *ks_numbers(const struct pid *pid)
{
	return (const void *)pid + bpf_core_field_offset(pid->numbers);
}

/*
 * Returns the number of a pid in the host's pid namespace, 0 if the pid is not visible there. Do
 * not report anything else about a task that has no number. See ks_is_visible().
 */
static __always_inline uint32_t ks_pid_nr(const struct pid *pid)
{
	uint32_t nr = 0, level = ks_const.pid_level;

	if (!pid || BPF_CORE_READ(pid, level) < level)
		return 0;
	bpf_probe_read_kernel(&nr, sizeof(nr), &ks_numbers(pid)[level].nr);
	return nr;
}

/* Process id of a task in the host's pid namespace; 0: not visible there. */
static __always_inline uint32_t ks_tgid(struct ks_run *run, const struct task_struct *task)
{
	if (!ks_const.pid_level)
		return ks_read(run, task, tgid);
	return ks_pid_nr(BPF_CORE_READ(task, signal, pids[KS_PIDTYPE_TGID]));
}

/* Thread id of a task in the host's pid namespace; 0: not visible there. */
static __always_inline uint32_t ks_tid(struct ks_run *run, const struct task_struct *task)
{
	if (!ks_const.pid_level)
		return ks_read(run, task, pid);
	return ks_pid_nr(BPF_CORE_READ(task, thread_pid));
}

/*
 * May a record contain data (id, name, cgroup) of `task`, which is not the subject of the record?
 * Only if the task is in the host's pid namespace or below it. The idle tasks are visible to all.
 * pid: ks_tgid() of the task. If the task is not visible, leave the bits of `valid` off.
 */
static __always_inline bool ks_is_visible(struct ks_run *run, const struct task_struct *task,
					  uint32_t pid)
{
	return !ks_const.pid_level || pid || !ks_read(run, task, pid);
}

/* Mask of the bytes of a word that stand before its first NUL. */
static __always_inline uint64_t ks_text_mask(uint64_t word)
{
	uint64_t nul = (word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL;

	return nul ? ((nul & -nul) >> 7) - 1 : ~0ULL;
}

/*
 * Reads the name of a thread as two words, which costs 3 ns; the helper costs 48 ns. It clears the
 * bytes behind the NUL, where older kernels keep the end of a former, longer name.
 */
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

/*
 * Id of a task's cgroup in the hierarchy of the memory controller, since container and service
 * managers make a cgroup of their own there.
 */
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

/* ---- records --------------------------------------------------------------------------------- */

/*
 * Takes one record from the probe's token bucket. Returns false if the bucket has none. The bucket
 * is one number, the time at which it will be full. Each record moves that time record_ns further,
 * at most to burst_ns from now. All CPUs share one bucket if the kernel has compare-and-exchange.
 * Else each CPU has a bucket of its own, and the limit holds per CPU.
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
		/* left by earlier settings with a larger burst: the bucket counts as empty */
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
	return false; /* other CPUs took a record four times meanwhile: treat that as the limit */
}

/* Decides whether the event becomes a record. If it does not, run->outcome says why. */
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

/* Counts a lost record, for which the host gets KS_EVENT_LOST. */
static __always_inline void ks_lose(struct ks_run *run, enum ks_bpf_outcome reason)
{
	__sync_fetch_and_add(&run->slot->lost, 1);
	run->outcome = reason;
}

/*
 * Reserves a record in this CPU's ring buffer. This fails if the ring is full, or if an NMI
 * interrupted code that holds the ring's lock. In the second case the ring has room. To tell the
 * cases apart, ask for room for two records: the consumer may just have freed one.
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

/*
 * Fills in the head of a zeroed record. It copies `lost` after the reserve: so the number never
 * decreases from one record of a ring to the next.
 */
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
 * Reserves a record about `task`: all zeros but for its head. Returns NULL if there is no record;
 * run->outcome then says why. Submit the record with ks_submit(). Kernels without ring buffers use
 * `room`, a local variable of the program with `size` bytes, at most 256.
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

/*
 * Submits a record; returns the run's outcome. It passes flags 0, since the consumer alone decides
 * whether a record wakes it.
 */
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
