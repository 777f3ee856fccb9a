/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.h - inside a stream: lanes, and what has been told of each CPU
 *
 * A lane is one ring (ring.c) or the perf buffer of one CPU (perfbuf.c): bytes between a position
 * that the kernel moves and one that we publish. CPU c writes to lane c % n_lanes. For stream.c,
 * ring.c, perfbuf.c and tests, which build lanes of ordinary memory.
 */
#ifndef KS_RING_H
#define KS_RING_H

#include <linux/bpf.h>
#include <stdatomic.h>
#include <unistd.h>

#include "stream.h"

#define KS__RECORD_MIN 72 /* head and `valid` */

_Static_assert(sizeof(long) == sizeof(uint64_t), "rings count in longs, perf buffers in u64");

struct ks__lane {
	int fd;                   /* -1: none */
	int held;                 /* nothing wakes: a ring's last record is not given back */
	unsigned looked;          /* headers, since the last rest */
	uint64_t pos;             /* next to read */
	uint64_t last;            /* start of the one before */
	uint64_t rested;          /* pos at the last rest */
	uint64_t mask;            /* size - 1 */
	const uint64_t *produced; /* the kernel's position */
	uint64_t *consumed;       /* ours, as published; NULL: nothing ever comes */
	const uint8_t *data;      /* rings are mapped twice in a row: a record never wraps */
	void *map[2];
	size_t map_bytes[2];
};

/* What has been told of one CPU. */
struct ks__told {
	uint32_t lost;        /* highest running count seen */
	uint8_t generation;   /* of the last record */
	uint64_t time_ns;     /* of the last record, or when the stream was opened */
	uint64_t throttle_ns; /* what is throttled and untold is so since then, or later */
	uint64_t throttled[KS_BPF_PROBES];
	uint64_t lost_by[KS_BPF_PROBES]; /* when the count of each probe was last settled */
	uint64_t unsettled;              /* losses told since */
	uint64_t total;                  /* all losses told; what the ledger said when it was opened */
};

/* One call of drain. */
struct ks__pass {
	struct ks__sink *sink;
	unsigned room;  /* records that may still be put */
	uint64_t looks; /* headers that may still be looked at */
	int stop;       /* the sink said so */
	int gone;       /* the handle was closed meanwhile, or this is a child: hands off the lanes */
};

/* Rings or perf buffers; chosen once. */
struct ks__transport {
	/* Opens, maps and attaches lane `index` of `bytes` bytes. 0 or -errno; a sentence in why. */
	int (*open)(const struct ks__stream_opts *opts, unsigned index, size_t bytes,
		    struct ks__lane *lane, char *why, size_t size);
	void (*drain)(struct ks__stream *stream, struct ks__lane *lane, struct ks__pass *pass);
	/* Time of the record that a drain would begin with; 0: there is none yet, or no sound one. */
	uint64_t (*next_ns)(struct ks__stream *stream, const struct ks__lane *lane);
	/*
	 * From now on the next record wakes: all that was read is given back. 1: a committed one lies
	 * there already, no wake-up will tell. NULL: what is held stays so.
	 */
	int (*arm)(struct ks__lane *lane);
	void (*in_flight)(const struct ks__stream *stream, const struct ks__lane *lane,
			  uint64_t counts[KS_BPF_PROBES]);
	unsigned pages; /* of the kernel's own in each lane, beside the data */
};

extern const struct ks__transport ks__rings, ks__perfbufs;

struct ks__stream {
	const struct ks__transport *via;
	const struct ks_bpf_cpu *cpus;
	uint32_t n_cpus, n_lanes, next; /* next: the lane that the next drain begins with */
	uint32_t batch_ms;
	int epoll_fd;
	struct ks__fds *fds;
	int64_t budget_ns; /* of wake-ups: one costs 20 ms of it, each passing ms gives one */
	uint64_t rested_ns, deadline_ns;
	uint64_t (*now)(void); /* CLOCK_MONOTONIC; tests have their own */
	_Atomic uint32_t probes; /* a bit for each whose counts are looked at */
	_Atomic uint64_t delivered[KS_BPF_PROBES];
	_Atomic uint64_t discarded;
	struct ks__lane *lanes;
	struct ks__told *told; /* by CPU */
	uint64_t record[KS_RECORD_MAX / 8]; /* perf: samples lie at 4 modulo 8 and may wrap */
};

/* A stream without lanes behind it: every lane is empty until it is given a ring. NULL: no memory. */
struct ks__stream *ks__stream_new(const struct ks__stream_opts *opts,
				  const struct ks__transport *via, unsigned n_lanes);

/* Tells of the hole before a sound record, if there is one. 0: no room for the record itself. */
int ks__stream_tell(struct ks__stream *stream, struct ks__pass *pass, const struct ks_event *ev);

/*
 * What one wake-up costs, and how many may come at once: 50 a second, burst 10. The thread that
 * causes it pays 10 to 25 us: at 50, no host loses more than a thousandth of a CPU.
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

/* Is this a record of ours, whole, in `bytes` bytes? No program makes those of probe 0. */
static inline int ks__record_sound(const struct ks__stream *s, const struct ks_event *ev,
				   uint64_t bytes)
{
	return ev->size >= KS__RECORD_MIN && ev->size <= bytes && ev->size <= KS_RECORD_MAX &&
	       ev->size % 8 == 0 && ev->cpu < s->n_cpus &&
	       (ev->id >> 8) - 1u < KS_BPF_PROBES - 1;
}

/* Only the consumer writes these: no locked instruction is needed. */
static inline void ks__count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* Over what is not handed over, and whether that counts as discarded. */
static inline void ks__stream_skip(struct ks__stream *s, struct ks__lane *lane,
				   struct ks__pass *pass, uint64_t next, int senseless)
{
	pass->looks--;
	lane->last = lane->pos;
	lane->pos = next;
	if (senseless)
		ks__count(&s->discarded);
}

/* 0: no room for the record itself. */
static inline int ks__stream_hole(struct ks__stream *s, struct ks__pass *pass,
				  const struct ks_event *ev)
{
	return __builtin_expect(ev->lost == s->told[ev->cpu].lost, 1) ||
	       ks__stream_tell(s, pass, ev);
}

#endif
