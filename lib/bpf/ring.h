/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.h - inside a stream: lanes, and the losses of each CPU that were reported
 *
 * A lane is one ring buffer (ring.c) or the perf buffer of one CPU (perfbuf.c): bytes between the
 * kernel's position and the consumer position that the library publishes. CPU c writes to lane
 * c % n_lanes. Private to stream.c, ring.c, perfbuf.c and tests, which build lanes in plain memory.
 */
#ifndef KS_RING_H
#define KS_RING_H

#include <linux/bpf.h>
#include <stdatomic.h>
#include <unistd.h>

#include "stream.h"

#define KS__RECORD_MIN 72 /* head and `valid` */

_Static_assert(sizeof(long) == sizeof(uint64_t),
	       "struct ks__lane reads positions as uint64_t, ring buffers store them as long");

struct ks__lane {
	int fd;                   /* -1: none */
	int held;                 /* no record wakes: a ring's last read record stays unpublished */
	unsigned looked;          /* headers read since ks__stream_arm() last ran */
	uint64_t pos;             /* position of the next header to read */
	uint64_t last;            /* start of the record before pos */
	uint64_t arm_pos;         /* pos when ks__stream_arm() last ran */
	uint64_t mask;            /* size - 1 */
	const uint64_t *produced; /* the kernel's position */
	uint64_t *consumed;       /* the published consumer position; NULL: the lane stays empty */
	const uint8_t *data;      /* rings are mapped twice in a row: a record never wraps */
	void *map[2];
	size_t map_bytes[2];
};

/* Which losses and throttled events of one CPU the consumer has reported. */
struct ks__reported {
	uint32_t lost;        /* running count of losses up to which losses are reported */
	uint8_t generation;   /* of the last record */
	uint64_t time_ns;     /* of the last record, or when the stream was opened */
	uint64_t throttle_ns; /* all throttled events that are not reported yet came later */
	uint64_t throttled[KS_BPF_PROBES]; /* throttled counts that were reported */
	uint64_t lost_by[KS_BPF_PROBES]; /* losses in the ledger when blame() last settled them */
	uint64_t unsettled;              /* losses reported since then */
	uint64_t total; /* losses in the ledger at open, plus all losses reported since */
};

/* One call of drain. */
struct ks__pass {
	struct ks__sink *sink;
	unsigned room;  /* records that may still be put into the sink */
	uint64_t looks; /* headers that may still be read */
	int stop;       /* the sink asked to stop */
	int gone;       /* the handle was closed, or this is a forked child: do not touch lanes */
};

/* How records arrive: ring buffers or perf buffers. A stream never changes it. */
struct ks__transport {
	/* Opens, maps and attaches lane `index` with `bytes` bytes. 0, or -errno and the reason. */
	int (*open)(const struct ks__stream_opts *opts, unsigned index, size_t bytes,
		    struct ks__lane *lane, char *why, size_t size);
	void (*drain)(struct ks__stream *stream, struct ks__lane *lane, struct ks__pass *pass);
	/* Time of the record that drain would read first; 0: there is none, or it is malformed. */
	uint64_t (*next_ns)(struct ks__stream *stream, const struct ks__lane *lane);
	/*
	 * Publishes all that was read, so that the next record wakes the poller. 1: a committed
	 * record is there already and causes no wake-up. NULL: the transport cannot arm; held lanes
	 * stay held.
	 */
	int (*arm)(struct ks__lane *lane);
	/* Adds committed but unread records to counts, by probe. */
	void (*in_flight)(const struct ks__stream *stream, const struct ks__lane *lane,
			  uint64_t counts[KS_BPF_PROBES]);
	unsigned pages; /* pages that the kernel allocates for each lane beside its data */
};

extern const struct ks__transport ks__rings, ks__perfbufs;

struct ks__stream {
	const struct ks__transport *via;
	const struct ks_bpf_cpu *cpus;
	uint32_t n_cpus, n_lanes, next; /* next: the lane that the next drain reads first */
	uint32_t batch_ms;
	int epoll_fd;
	struct ks__fds *fds;
	int64_t budget_ns; /* token bucket of wake-ups: each takes 20 ms; it refills in real time */
	uint64_t arm_ns, deadline_ns;
	uint64_t (*now)(void); /* CLOCK_MONOTONIC; tests have their own */
	_Atomic uint32_t probes; /* bit per probe: the consumer reads its throttled counts */
	_Atomic uint64_t delivered[KS_BPF_PROBES];
	_Atomic uint64_t discarded;
	struct ks__lane *lanes;
	struct ks__reported *reported; /* by CPU */
	uint64_t record[KS_RECORD_MAX / 8]; /* copy of a perf sample, which may wrap, aligned */
};

/* Allocates a stream. Every lane is empty until its transport opens it. NULL: out of memory. */
struct ks__stream *ks__stream_new(const struct ks__stream_opts *opts,
				  const struct ks__transport *via, unsigned n_lanes);

/* Reports the losses before this record, if any. 0: no room is left for the record itself. */
int ks__stream_report(struct ks__stream *stream, struct ks__pass *pass, const struct ks_event *ev);

/*
 * Budget of wake-ups: 50 a second, burst 10. A wake-up costs 10 to 25 us in the thread that causes
 * it. So 50 a second take about a thousandth of a CPU from the host.
 */
#define KS__WAKEUP_NS 20000000
#define KS__WAKEUP_BURST (10 * (int64_t)KS__WAKEUP_NS)

static inline uint64_t ks__lane_produced(const struct ks__lane *lane)
{
	return __atomic_load_n(lane->produced, __ATOMIC_ACQUIRE);
}

static inline void ks__pass_end(struct ks__pass *pass)
{
	pass->stop = 1;
	pass->gone = !ks__sink_alive(pass->sink);
}

static inline int ks__pass_goes_on(const struct ks__pass *pass)
{
	return pass->room && pass->looks && !pass->stop;
}

/* 1: `bytes` bytes hold a whole, well-formed record. No program writes records of probe 0. */
static inline int ks__record_sound(const struct ks__stream *s, const struct ks_event *ev,
				   uint64_t bytes)
{
	return ev->size >= KS__RECORD_MIN && ev->size <= bytes && ev->size <= KS_RECORD_MAX &&
	       ev->size % 8 == 0 && ev->cpu < s->n_cpus &&
	       (ev->id >> 8) - 1u < KS_BPF_PROBES - 1;
}

/* Only the consumer writes these counters, so that no locked instruction is needed. */
static inline void ks__count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* Skips bytes up to `next`; senseless: counts them as a discarded record. */
static inline void ks__stream_skip(struct ks__stream *s, struct ks__lane *lane,
				   struct ks__pass *pass, uint64_t next, int senseless)
{
	pass->looks--;
	lane->last = lane->pos;
	lane->pos = next;
	if (senseless)
		ks__count(&s->discarded);
}

/* Reports the losses before this record, if any. 0: no room is left for the record itself. */
static inline int ks__stream_hole(struct ks__stream *s, struct ks__pass *pass,
				  const struct ks_event *ev)
{
	return __builtin_expect(ev->lost == s->reported[ev->cpu].lost, 1) ||
	       ks__stream_report(s, pass, ev);
}

#endif
