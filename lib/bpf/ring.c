/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.c - BPF ring buffers as lanes of a stream
 *
 * libbpf's ring_buffer cannot hold: it publishes the end of each record and so requests a wake-up
 * for the next one. Layout of the mapping: a page with the consumer position, a page with the
 * kernel's position, the data twice. A record has a header of 8 bytes; its first word is the length
 * and two state bits.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "answer.h"
#include "ring.h"

#define STATE_BITS (BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)

/* ---- open ------------------------------------------------------------------------------------ */

static int create(size_t bytes)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_RINGBUF,
		.max_entries = (uint32_t)bytes,
		.map_name = "ks_ring",
	};

	return ks__bpf(BPF_MAP_CREATE, &attr); /* bpf() sets close-on-exec on all its descriptors */
}

static const char *remedy(int rc)
{
	switch (rc) {
	case -EPERM:
		return "needs CAP_BPF; before Linux 5.11 also a larger RLIMIT_MEMLOCK, see "
		       "KS_OPEN_RAISE_MEMLOCK";
	case -ENOMEM:
	case -E2BIG:
		return "set a smaller ks_open_opts.ring_bytes";
	case -EINVAL:
		return "ring buffers need Linux 5.8";
	case -EMFILE:
		return "raise RLIMIT_NOFILE";
	case -ENFILE:
		return "raise the sysctl fs.file-max";
	default:
		return "the kernel refuses ring buffers";
	}
}

static int open_ring(const struct ks__stream_opts *opts, unsigned index, size_t bytes,
		     struct ks__lane *lane, char *why, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int rc = ks__fd_keep(opts->fds, create(bytes));

	if (rc < 0)
		goto out;
	lane->fd = rc;
	lane->map[0] = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, lane->fd, 0);
	if (lane->map[0] == MAP_FAILED) {
		lane->map[0] = NULL;
		rc = -errno;
		goto out;
	}
	lane->map_bytes[0] = page;
	lane->map[1] = mmap(NULL, page + 2 * bytes, PROT_READ, MAP_SHARED, lane->fd, (off_t)page);
	if (lane->map[1] == MAP_FAILED) {
		lane->map[1] = NULL;
		rc = -errno;
		goto out;
	}
	lane->map_bytes[1] = page + 2 * bytes;
	/*
	 * Without this, a fork copies a page table entry for each page of the ring and counts the
	 * pages as memory of the child. The kernel itself keeps perf buffers out of children.
	 */
	for (unsigned m = 0; m < 2; m++)
		madvise(lane->map[m], lane->map_bytes[m], MADV_DONTFORK);
	lane->consumed = lane->map[0];
	lane->produced = lane->map[1];
	lane->data = (const uint8_t *)lane->map[1] + page;
	lane->mask = bytes - 1;
	return 0;
out:
	snprintf(why, size, "ring %u of %zu bytes: %s; %s", index, bytes, ks_error_name(rc),
		 remedy(rc));
	return rc;
}

/* ---- read ------------------------------------------------------------------------------------ */

/* Reads a header word. The acquire load pairs with the exchange by which the kernel commits. */
static inline uint32_t header(const struct ks__lane *lane, uint64_t pos)
{
	return __atomic_load_n((const uint32_t *)(lane->data + (pos & lane->mask)),
			       __ATOMIC_ACQUIRE);
}

static inline const struct ks_event *record(const struct ks__lane *lane, uint64_t pos)
{
	return (const struct ks_event *)(lane->data + (pos & lane->mask) + BPF_RINGBUF_HDR_SZ);
}

static inline uint64_t after(uint64_t pos, uint32_t head)
{
	return pos + (((uint64_t)(head & ~STATE_BITS) + BPF_RINGBUF_HDR_SZ + 7) & ~7ull);
}

/* Size, id, CPU, flags and generation. */
static inline uint64_t first_bytes(const struct ks_event *ev)
{
	uint64_t bytes;

	memcpy(&bytes, ev, sizeof(bytes));
	return bytes;
}

/*
 * Hands over a checked record and the records behind it that begin with the same bytes and report
 * no loss, as most do. The checks of the first record hold for all of them, which saves 3 ns a
 * record. Position and count are updated before each call of the sink, since the host's callback
 * may unwind.
 */
static void hand_over(struct ks__stream *s, struct ks__lane *lane, struct ks__pass *pass,
		      uint64_t step, uint64_t end)
{
	uint64_t pos = lane->pos;
	const struct ks_event *ev = record(lane, pos);
	uint64_t first = first_bytes(ev);
	uint32_t head = header(lane, pos);
	struct ks__reported *reported = &s->reported[ev->cpu];
	uint32_t lost = reported->lost;
	_Atomic uint64_t *delivered = &s->delivered[ev->id >> 8];
	uint64_t count = atomic_load_explicit(delivered, memory_order_relaxed), begin = count;
	uint64_t most = count + (pass->room < pass->looks ? pass->room : pass->looks);
	struct ks__sink *sink = pass->sink;

	do {
		lane->pos = pos += step;
		atomic_store_explicit(delivered, ++count, memory_order_relaxed);
		if (ks__hand_over(sink, ev)) {
			ks__pass_end(pass);
			break;
		}
		ev = record(lane, pos);
	} while (pos < end && count < most && header(lane, pos) == head &&
		 first_bytes(ev) == first && ev->lost == lost);
	pass->room -= (unsigned)(count - begin);
	pass->looks -= count - begin;
	if (pass->gone)
		return;
	lane->last = pos - step;
	ev = record(lane, lane->last);
	reported->generation = ev->generation;
	reported->time_ns = ev->time_ns;
	ks__seen(sink, ev);
}

/* Drains up to about a quarter of the ring. 1: the caller goes on. */
static int drain_some(struct ks__stream *s, struct ks__lane *lane, struct ks__pass *pass,
		      uint64_t produced)
{
	uint64_t quarter = lane->pos + (lane->mask + 1) / 4, pos, next;
	uint64_t end = quarter < produced ? quarter : produced;

	while ((pos = lane->pos) < end && ks__pass_goes_on(pass)) {
		const struct ks_event *ev = record(lane, pos);
		uint32_t head = header(lane, pos);

		if (head & BPF_RINGBUF_BUSY_BIT)
			return 0;
		next = after(pos, head);
		if (__builtin_expect(next > produced, 0)) { /* the header is malformed */
			ks__stream_skip(s, lane, pass, produced, 1);
			return 0;
		}
		if (head & BPF_RINGBUF_DISCARD_BIT || !ks__record_sound(s, ev, head))
			ks__stream_skip(s, lane, pass, next, !(head & BPF_RINGBUF_DISCARD_BIT));
		else if (!ks__stream_hole(s, pass, ev))
			return 0;
		else
			hand_over(s, lane, pass, next - pos, end);
	}
	return lane->pos != produced && ks__pass_goes_on(pass);
}

/*
 * Publishes the position once for each quarter of a ring, so that producers need not wait until a
 * full ring is drained. The published position is always the start of the last record: the ring
 * stays held.
 */
static void drain(struct ks__stream *s, struct ks__lane *lane, struct ks__pass *pass)
{
	uint64_t produced = ks__lane_produced(lane), begin = lane->pos, looks = pass->looks;
	int more;

	if (begin == produced || header(lane, begin) & BPF_RINGBUF_BUSY_BIT)
		return;
	if (!lane->held)
		s->budget_ns -= KS__WAKEUP_NS; /* it was armed: the commit caused a wake-up */
	lane->held = 1;
	do {
		more = drain_some(s, lane, pass, produced);
		if (lane->pos != begin && !pass->gone)
			__atomic_store_n(lane->consumed, lane->last, __ATOMIC_RELEASE);
	} while (more);
	lane->looked += (unsigned)(looks - pass->looks);
}

static uint64_t next_ns(struct ks__stream *s, const struct ks__lane *lane)
{
	uint32_t head = header(lane, lane->pos);
	const struct ks_event *ev = record(lane, lane->pos);

	if (head & STATE_BITS || !ks__record_sound(s, ev, head))
		return 0;
	return ev->time_ns;
}

/*
 * The kernel exchanges the header and then reads the consumer position. The consumer publishes the
 * position and then reads the header. With a full fence between, one side sees the other: the
 * kernel wakes, or the consumer sees the record. A busy header is safe: its commit wakes. Without
 * the fence, wake-ups are lost within seconds.
 */
static int arm(struct ks__lane *lane)
{
	__atomic_store_n(lane->consumed, lane->pos, __ATOMIC_SEQ_CST);
	__sync_synchronize();
	return lane->pos != ks__lane_produced(lane) &&
	       !(header(lane, lane->pos) & BPF_RINGBUF_BUSY_BIT);
}

static void in_flight(const struct ks__stream *s, const struct ks__lane *lane,
		      uint64_t counts[KS_BPF_PROBES])
{
	uint64_t produced = ks__lane_produced(lane), next;

	for (uint64_t pos = lane->pos; pos < produced; pos = next) {
		uint32_t head = header(lane, pos);
		const struct ks_event *ev = record(lane, pos);

		next = after(pos, head);
		if (next > produced)
			counts[0]++;
		else if (!(head & STATE_BITS))
			counts[ks__record_sound(s, ev, head) ? ev->id >> 8 : 0]++;
	}
}

const struct ks__transport ks__rings = {
	.open = open_ring,
	.drain = drain,
	.next_ns = next_ns,
	.arm = arm,
	.in_flight = in_flight,
	.pages = 3, /* two for positions and one for the map itself */
};
