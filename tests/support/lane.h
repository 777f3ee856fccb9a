/* SPDX-License-Identifier: BSD-2-Clause */
/* lane.h - a stream whose lanes are ordinary memory, a clock that stands, a sink that remembers */
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

/* What the sink was given; the head is that of every event, the rest of KS_EVENT_LOST alone. */
struct seen {
	struct ks_event ev;
	struct ks_event_lost lost;
};

struct lanes {
	struct ks__sink sink;
	uint32_t alive;
	_Atomic uint64_t last_ns[KS__PROBES_MAX];
	struct ks__stream *s;
	struct ks_bpf_cpu cpus[CPUS];
	uint64_t produced[LANES], consumed[LANES];
	uint8_t *data[LANES];
	struct seen seen[SEEN];
	unsigned n;       /* of them */
	int stop_at;      /* when so many were seen, say LANE_STOP */
};

extern uint64_t lane_clock; /* what a stream of these believes the time to be */

/* batch_ms 10, time 1 s; change s->batch_ms at will. */
struct lanes *lanes_new(const struct ks__transport *via, unsigned n_lanes, unsigned n_cpus);
void lanes_free(struct lanes *l);

/* A record as a program writes it; probe and CPU as named, time = the clock. */
struct ks_event lane_event(unsigned probe, unsigned cpu, uint32_t lost);
/* Into a ring: `bits` are those of its header; returns where it begins. */
uint64_t ring_put(struct lanes *l, unsigned lane, const struct ks_event *ev, uint32_t bytes,
		  uint32_t bits);
/* The common case: 72 bytes, committed. */
uint64_t ring_add(struct lanes *l, unsigned probe, unsigned cpu, uint32_t lost);
void ring_commit(struct lanes *l, unsigned lane, uint64_t pos);
/* Into a perf buffer: a header, the raw size, the sample, what pads it. */
void perf_put(struct lanes *l, unsigned lane, uint32_t type, const void *sample, uint32_t bytes);

/* A program loses or throttles so many records. */
void lane_lose(struct lanes *l, unsigned cpu, unsigned probe, uint32_t n);
void lane_throttle(struct lanes *l, unsigned cpu, unsigned probe, uint64_t n);

int lanes_drain(struct lanes *l, unsigned max);
/* What was put so far is forgotten. */
void lanes_forget(struct lanes *l);

#endif
