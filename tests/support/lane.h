/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane.h - a stream over lanes of ordinary memory, with a clock that stands and a sink that records
 */
#ifndef KS_TESTS_LANE_H
#define KS_TESTS_LANE_H

#include <glib.h>
#include <kernelsight/kernelsight.h>

#include "lib/bpf/ring.h"

#define LANES 4
#define CPUS 8
#define LANE_BYTES 4096
#define SEEN 4096
#define LANE_STOP (-5)

/*
 * What the sink was given. The head is in every event; `lost` holds the rest of KS_EVENT_LOST only.
 */
struct seen {
	struct ks_event ev;
	struct ks_event_lost lost;
};

struct lanes {
	struct ks__sink sink;
	_Atomic uint32_t alive;
	_Atomic uint64_t last_ns[KS__PROBES_MAX];
	struct ks__stream *s;
	struct ks_bpf_cpu cpus[CPUS];
	uint64_t produced[LANES], consumed[LANES];
	uint8_t *data[LANES];
	struct seen seen[SEEN];
	unsigned n;       /* events in `seen` */
	int stop_at;      /* the sink returns LANE_STOP once it has seen this many */
};

extern uint64_t lane_clock; /* the time, in ns, for these streams */

/* The stream starts with batch_ms 10 (s->batch_ms may be changed) and the clock at 1 s. */
struct lanes *lanes_new(const struct ks__transport *via, unsigned n_lanes, unsigned n_cpus);
void lanes_free(struct lanes *l);

/* Makes a record as a kernel program writes it, with the clock's time. */
struct ks_event lane_event(unsigned probe, unsigned cpu, uint32_t lost);
/* Writes a record into a ring. `bits` are the flag bits of its header. Returns its position. */
uint64_t ring_put(struct lanes *l, unsigned lane, const struct ks_event *ev, uint32_t bytes,
		  uint32_t bits);
/* The common case of ring_put(): a committed record of 72 bytes. */
uint64_t ring_add(struct lanes *l, unsigned probe, unsigned cpu, uint32_t lost);
void ring_commit(struct lanes *l, unsigned lane, uint64_t pos);
/* Writes into a perf buffer: a header, the raw size, the sample, padding. */
void perf_put(struct lanes *l, unsigned lane, uint32_t type, const void *sample, uint32_t bytes);

/* Counts n records that a kernel program lost or throttled. */
void lane_lose(struct lanes *l, unsigned cpu, unsigned probe, uint32_t n);
void lane_throttle(struct lanes *l, unsigned cpu, unsigned probe, uint64_t n);

int lanes_drain(struct lanes *l, unsigned max);
/* Forgets all records put so far. */
void lanes_forget(struct lanes *l);

#endif
