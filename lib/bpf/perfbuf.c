/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * perfbuf.c - perf buffers as lanes of a stream, for kernels without ring buffers
 *
 * Each CPU has one buffer. The open call decides for good whether each record or a watermark wakes
 * the poller. So without KS_IMMEDIATE the consumer reads the buffers at intervals. When a buffer is
 * full, bpf_perf_event_output() returns -ENOSPC (measured on 6.18); the program counts the loss and
 * reports it in its next record. The kernel counts the loss again in a PERF_RECORD_LOST, but never
 * reports the last loss. So the consumer skips these records.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <kernelsight/kernelsight.h>

#include "answer.h"
#include "ring.h"

/* ---- open ------------------------------------------------------------------------------------ */

/* Wakes with each record (KS_IMMEDIATE), or at a quarter of the buffer if the consumer is late. */
static int create(const struct ks__stream_opts *opts, unsigned cpu, size_t bytes)
{
	int each = opts->batch_ms == KS_IMMEDIATE;
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW,
		.sample_period = 1,
		.watermark = !each,
		.wakeup_events = each ? 1 : (uint32_t)(bytes / 4), /* union wakeup_watermark */
	};

	return ks__perf_open(&attr, (int)cpu);
}

static int attach(const struct ks__stream_opts *opts, unsigned cpu, int fd)
{
	union bpf_attr attr = {
		.map_fd = (uint32_t)opts->perf_map_fd,
		.key = (uintptr_t)&cpu,
		.value = (uintptr_t)&fd,
	};

	int rc = ks__bpf(BPF_MAP_UPDATE_ELEM, &attr);

	return rc ? rc : ks__perf_ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
}

static const char *remedy(int rc)
{
	switch (rc) {
	case -EPERM:
		return "needs CAP_PERFMON, a larger kernel.perf_event_mlock_kb or CAP_IPC_LOCK for "
		       "this size, and no seccomp filter against perf_event_open()";
	case -EACCES:
		return "needs CAP_PERFMON or a lower kernel.perf_event_paranoid";
	case -ENOMEM:
		return "set a smaller ks_open_opts.ring_bytes";
	case -EMFILE:
		return "raise RLIMIT_NOFILE";
	case -ENFILE:
		return "raise the sysctl fs.file-max";
	default:
		return "the kernel refuses perf_event_open()";
	}
}

static int open_buffer(const struct ks__stream_opts *opts, unsigned cpu, size_t bytes,
		       struct ks__lane *lane, char *why, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct perf_event_mmap_page *meta;
	int rc = ks__fd_keep(opts->fds, create(opts, cpu, bytes));

	if (rc == -ENODEV) /* offline CPU; if it comes online, programs there count losses */
		return 0;
	if (rc < 0)
		goto out;
	lane->fd = rc;
	meta = mmap(NULL, page + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, lane->fd, 0);
	if (meta == MAP_FAILED) {
		rc = -errno;
		goto out;
	}
	lane->map[0] = meta;
	lane->map_bytes[0] = page + bytes;
	lane->consumed = (uint64_t *)&meta->data_tail;
	lane->produced = (const uint64_t *)&meta->data_head;
	lane->data = (const uint8_t *)meta + page;
	lane->mask = bytes - 1;
	lane->held = opts->batch_ms != KS_IMMEDIATE;
	rc = attach(opts, cpu, lane->fd);
	if (!rc)
		return 0;
out:
	snprintf(why, size, "perf buffer of %zu bytes on CPU %u: %s; %s", bytes, cpu,
		 ks_error_name(rc), remedy(rc));
	return rc;
}

/* ---- read ------------------------------------------------------------------------------------ */

static void copy(const struct ks__lane *lane, uint64_t pos, void *to, size_t n)
{
	uint64_t at = pos & lane->mask, room = lane->mask + 1 - at;
	size_t head = n < room ? n : room;

	memcpy(to, lane->data + at, head);
	memcpy((char *)to + head, lane->data, n - head);
}

/* Reads the header at `pos`. 0: the header is malformed. */
static int header(const struct ks__lane *lane, uint64_t pos, uint64_t produced,
		  struct perf_event_header *ret)
{
	copy(lane, pos, ret, sizeof(*ret));
	return ret->size >= sizeof(*ret) && ret->size % 8 == 0 && ret->size <= produced - pos;
}

/* Copies up to `most` bytes of the sample at `pos` into `record`; returns how many it copied. */
static uint64_t sample(const struct ks__lane *lane, uint64_t pos,
		       const struct perf_event_header *head, void *record, size_t most)
{
	uint64_t at = pos + sizeof(*head) + sizeof(uint32_t), there;
	uint32_t raw;

	if (head->size < sizeof(*head) + sizeof(raw))
		return 0;
	copy(lane, pos + sizeof(*head), &raw, sizeof(raw));
	there = head->size - sizeof(*head) - sizeof(raw);
	if (raw < there)
		there = raw;
	if (there > most)
		there = most;
	copy(lane, at, record, there);
	return there;
}

/* Updates all state before it calls the sink, since the host's callback may unwind. */
static void hand_over(struct ks__stream *s, struct ks__lane *lane, struct ks__pass *pass,
		      uint64_t next)
{
	const struct ks_event *ev = (const struct ks_event *)s->record;
	struct ks__reported *reported = &s->reported[ev->cpu];

	reported->generation = ev->generation;
	reported->time_ns = ev->time_ns;
	lane->pos = next;
	ks__count(&s->delivered[ev->id >> 8]);
	pass->looks--;
	pass->room--;
	if (ks__put(pass->sink, ev))
		ks__pass_end(pass);
}

static void drain(struct ks__stream *s, struct ks__lane *lane, struct ks__pass *pass)
{
	const struct ks_event *ev = (const struct ks_event *)s->record;
	uint64_t produced = ks__lane_produced(lane);

	while (lane->pos != produced && ks__pass_goes_on(pass)) {
		struct perf_event_header head;
		uint64_t next, bytes;

		if (!header(lane, lane->pos, produced, &head)) {
			ks__stream_skip(s, lane, pass, produced, 1);
			break;
		}
		next = lane->pos + head.size;
		if (head.type != PERF_RECORD_SAMPLE) {
			ks__stream_skip(s, lane, pass, next, 0);
			continue;
		}
		bytes = sample(lane, lane->pos, &head, s->record, sizeof(s->record));
		if (!ks__record_sound(s, ev, bytes))
			ks__stream_skip(s, lane, pass, next, 1);
		else if (!ks__stream_hole(s, pass, ev))
			break;
		else
			hand_over(s, lane, pass, next);
	}
	if (!pass->gone)
		__atomic_store_n(lane->consumed, lane->pos, __ATOMIC_RELEASE);
}

static uint64_t next_ns(struct ks__stream *s, const struct ks__lane *lane)
{
	struct ks_event *ev = (struct ks_event *)s->record;
	struct perf_event_header head;

	if (!header(lane, lane->pos, ks__lane_produced(lane), &head) ||
	    head.type != PERF_RECORD_SAMPLE)
		return 0;
	return ks__record_sound(s, ev, sample(lane, lane->pos, &head, ev, sizeof(s->record))) ?
		       ev->time_ns :
		       0;
}

static void in_flight(const struct ks__stream *s, const struct ks__lane *lane,
		      uint64_t counts[KS_BPF_PROBES])
{
	uint64_t produced = ks__lane_produced(lane), pos = lane->pos, bytes;
	struct perf_event_header head;
	struct ks_event ev;

	for (; pos < produced && header(lane, pos, produced, &head); pos += head.size) {
		if (head.type != PERF_RECORD_SAMPLE)
			continue;
		memset(&ev, 0, sizeof(ev));
		bytes = sample(lane, pos, &head, &ev, sizeof(ev));
		if (bytes == sizeof(ev))
			bytes = head.size - sizeof(head) - sizeof(uint32_t);
		counts[ks__record_sound(s, &ev, bytes) ? ev.id >> 8 : 0]++;
	}
	if (pos < produced)
		counts[0]++;
}

const struct ks__transport ks__perfbufs = {
	.open = open_buffer,
	.drain = drain,
	.next_ns = next_ns,
	.in_flight = in_flight,
	.pages = 1,
};
