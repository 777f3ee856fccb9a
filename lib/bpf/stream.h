/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream.h - the consumer's half of the data plane: records out of rings (ring.c) or, on kernels
 * without them, perf buffers (perfbuf.c), with their losses in place
 *
 * Wake-ups are decided here alone; programs submit with flags 0. The kernel wakes a poller exactly
 * when the record being committed lies at the published consumer position, so
 *   hold  publish the start of the last record read: no record wakes anybody;
 *   arm   publish its end, full fence, look at the next header once more.
 * The descriptors sit edge-triggered in the handle's epoll set. Perf buffers are always held, or, with
 * KS_IMMEDIATE, never.
 *
 * One thread at a time calls drain, rest and in_flight (the api layer sees to that).
 */
#ifndef KS_STREAM_H
#define KS_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/shared.h"
#include "../base/fd.h"
#include "../source/source.h"

struct ks__stream;

struct ks__stream_opts {
	int epoll_fd;
	struct ks__fds *fds;   /* keeps the lanes' descriptors; NULL: nobody does */
	uint32_t batch_ms;     /* KS_IMMEDIATE: arm after every drain */
	uint64_t ring_bytes;   /* in all; each ring gets its share, a power of two >= a page */
	uint32_t n_cpus;       /* possible CPUs */
	const struct ks_bpf_cpu *cpus; /* n_cpus of them, mmapped: running counts of losses */
	int perf_map_fd;       /* >= 0: a perf event array; perf buffers instead of rings */
};

/* Creates, maps and watches. 0 or -errno; a sentence in why. */
int ks__stream_open(const struct ks__stream_opts *opts, struct ks__stream **ret, char *why,
		    size_t size);
/* Unmaps and closes. epoll 0: in a forked child, which has the parent's epoll set and no mappings. */
void ks__stream_close(struct ks__stream *stream, int epoll);

/* Rings: how many, and the descriptor of one; the loader puts them into the outer map. */
unsigned ks__stream_rings(const struct ks__stream *stream);
int ks__stream_ring_fd(const struct ks__stream *stream, unsigned ring);

/*
 * This probe will count from now on: what it throttles is looked for. Any thread. 1: what it submits
 * is looked for by time, the consumer must rest anew.
 */
int ks__stream_expect(struct ks__stream *stream, uint32_t probe);

/*
 * Hand over up to max records. Before the first record after a hole, a KS_EVENT_LOST is put (it
 * counts toward max, not as delivered); holes at the very end are told once the rings are empty.
 * A rise of throttled counts is told before the next record of that CPU and when empty.
 * Returns how many were put; stops early when the sink says so. Never looks at more than
 * `max` + 64 headers.
 */
int ks__stream_drain(struct ks__stream *stream, struct ks__sink *sink, unsigned max);

/*
 * Nothing is left. Arms at once when the drains since the last rest read few records (<= 4) and the
 * wake-up budget (50/s, burst 10) allows; otherwise holds and names the time of the next look.
 * 1: records slipped in: drain again. 0: may sleep.
 */
int ks__stream_rest(struct ks__stream *stream, uint64_t *ret_deadline_ns);

/* Publish all that was read (before a descriptor is handed over, before closing). */
void ks__stream_publish(struct ks__stream *stream);

/* Records committed but not yet read, by probe; walks the rings. */
void ks__stream_in_flight(struct ks__stream *stream, uint64_t counts[KS_BPF_PROBES]);
/* Records handed over, by probe; any thread. */
uint64_t ks__stream_delivered(const struct ks__stream *stream, uint32_t probe);
/* Records that made no sense and were skipped, all of them under probe 0; any thread. */
uint64_t ks__stream_discarded(const struct ks__stream *stream, uint32_t probe);

/* Kernel memory (rings, perf buffers) and user memory in bytes, and descriptors. */
void ks__stream_size(const struct ks__stream *stream, uint64_t *ret_kernel, uint64_t *ret_user,
		     uint32_t *ret_descriptors);

#endif
