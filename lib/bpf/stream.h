/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream.h - the consumer's half of the data plane: reads records from ring buffers (ring.c) or, on
 * kernels without them, perf buffers (perfbuf.c), and reports losses in order
 *
 * Only the consumer decides about wake-ups; kernel programs submit with flags 0. The kernel wakes a
 * poller exactly when the record being committed lies at the published consumer position. So the
 * consumer has two states:
 *   hold  publish the start of the last record read: no record wakes the poller;
 *   arm   publish the end of that record, full fence, read the next header once more.
 * The lanes' descriptors are in the handle's epoll set, edge-triggered. Perf buffers are always
 * held, or never with KS_IMMEDIATE.
 *
 * One thread at a time calls drain, arm and in_flight (the api layer ensures that).
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
	struct ks__fds *fds;   /* keeps the lanes' descriptors; NULL: they are not kept anywhere */
	uint32_t batch_ms;     /* KS_IMMEDIATE: arm after every drain */
	uint64_t ring_bytes;   /* of all rings; each gets its share, a power of two >= a page */
	uint32_t n_cpus;       /* possible CPUs */
	const struct ks_bpf_cpu *cpus; /* n_cpus elements, mmapped: running counts of losses */
	int perf_map_fd;       /* >= 0: a perf event array; use perf buffers instead of rings */
};

/* Creates, maps and adds all lanes to the epoll set. 0, or -errno and the reason in why. */
int ks__stream_open(const struct ks__stream_opts *opts, struct ks__stream **ret, char *why,
		    size_t size);
/* Unmaps and closes. epoll 0: for a forked child: it shares the epoll set and has no mappings. */
void ks__stream_close(struct ks__stream *stream, int epoll);

/* The number of rings, and the descriptor of one; the loader puts them into the outer map. */
unsigned ks__stream_rings(const struct ks__stream *stream);
int ks__stream_ring_fd(const struct ks__stream *stream, unsigned ring);

/*
 * From now on the consumer reads the throttled counts of this probe. Any thread. 1: the consumer
 * reads records at intervals and must call ks__stream_arm() again.
 */
int ks__stream_expect(struct ks__stream *stream, uint32_t probe);

/*
 * Hands up to max records to the sink. Puts a KS_EVENT_LOST before the first record after a loss;
 * it counts toward max, not as delivered. Reports losses at the very end once the rings are empty.
 * Reports a rise of throttled counts before the next record of that CPU, and when its ring is
 * empty. Returns how many records it put; stops early when the sink asks for it. Reads at most
 * `max` + 64 headers.
 */
int ks__stream_drain(struct ks__stream *stream, struct ks__sink *sink, unsigned max);

/*
 * Prepares to sleep after a drain that left nothing. Arms a lane at once if the drains since the
 * last call read few records (<= 4) and the wake-up budget (50/s, burst 10) allows; else holds the
 * lane and returns the time of the next look in *ret_deadline_ns, 0: none is needed.
 * 1: records arrived meanwhile: drain again. 0: the consumer may sleep.
 */
int ks__stream_arm(struct ks__stream *stream, uint64_t *ret_deadline_ns);

/* Publishes all that was read: before a descriptor is handed over, and before closing. */
void ks__stream_publish(struct ks__stream *stream);

/* Counts records that are committed but not yet read, by probe; walks the rings. */
void ks__stream_in_flight(struct ks__stream *stream, uint64_t counts[KS_BPF_PROBES]);
/* Number of records handed to sinks, by probe; any thread. */
uint64_t ks__stream_delivered(const struct ks__stream *stream, uint32_t probe);
/* Number of malformed records that were skipped, all counted under probe 0; any thread. */
uint64_t ks__stream_discarded(const struct ks__stream *stream, uint32_t probe);

/* Kernel memory (rings, perf buffers) and user memory in bytes, and number of descriptors. */
void ks__stream_size(const struct ks__stream *stream, uint64_t *ret_kernel, uint64_t *ret_user,
		     uint32_t *ret_descriptors);

#endif
