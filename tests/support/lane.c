/* SPDX-License-Identifier: BSD-2-Clause */
/* lane.c - see lane.h */
#include "lane.h"

#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>

uint64_t lane_clock;

static uint64_t read_clock(void)
{
	return lane_clock;
}

static int remember(const struct ks_event *ev, void *user)
{
	struct lanes *l = user;
	struct seen *seen = &l->seen[l->n++];

	g_assert_cmpuint(l->n, <=, SEEN);
	g_assert_cmpuint((uintptr_t)ev % 8, ==, 0);
	seen->ev = *ev;
	if (ev->id == KS_EVENT_LOST)
		memcpy(&seen->lost, ev, sizeof(seen->lost));
	return l->stop_at && l->n == (unsigned)l->stop_at ? LANE_STOP : 0;
}

/* Maps the same page twice in a row, as the kernel maps rings. */
static uint8_t *map_twice(void)
{
	int fd = memfd_create("ring", MFD_CLOEXEC);
	uint8_t *at = mmap(NULL, 2 * LANE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	g_assert_cmpint(ftruncate(fd, LANE_BYTES), ==, 0);
	g_assert_true(at != MAP_FAILED);
	for (unsigned half = 0; half < 2; half++)
		g_assert_true(mmap(at + half * LANE_BYTES, LANE_BYTES, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
	close(fd);
	return at;
}

struct lanes *lanes_new(const struct ks__transport *via, unsigned n_lanes, unsigned n_cpus)
{
	struct lanes *l = g_new0(struct lanes, 1);
	struct ks__stream_opts opts = {
		.epoll_fd = -1,
		.batch_ms = 10,
		.n_cpus = n_cpus,
		.cpus = l->cpus,
		.perf_map_fd = -1,
	};

	l->alive = 1;
	lane_clock = 1000000000;
	l->sink = (struct ks__sink){
		.fn = remember, .user = l, .alive = &l->alive, .last_ns = l->last_ns
	};
	l->s = ks__stream_new(&opts, via, n_lanes);
	g_assert_nonnull(l->s);
	l->s->now = read_clock;
	for (uint32_t p = 0; p < KS_BPF_PROBES; p++)
		ks__stream_expect(l->s, p);
	l->s->arm_ns = lane_clock;
	for (unsigned cpu = 0; cpu < n_cpus; cpu++)
		l->s->reported[cpu].time_ns = l->s->reported[cpu].throttle_ns = lane_clock;
	for (unsigned i = 0; i < n_lanes; i++) {
		struct ks__lane *lane = &l->s->lanes[i];

		lane->data = l->data[i] = map_twice();
		lane->mask = LANE_BYTES - 1;
		lane->produced = &l->produced[i];
		lane->consumed = &l->consumed[i];
	}
	return l;
}

void lanes_free(struct lanes *l)
{
	for (unsigned i = 0; i < LANES; i++)
		if (l->data[i])
			munmap(l->data[i], 2 * LANE_BYTES);
	ks__stream_close(l->s, 0);
	g_free(l);
}

struct ks_event lane_event(unsigned probe, unsigned cpu, uint32_t lost)
{
	return (struct ks_event){
		.size = KS__RECORD_MIN,
		.id = (uint16_t)(probe << 8 | 1),
		.cpu = (uint16_t)cpu,
		.generation = 7,
		.weight = 1,
		.lost = lost,
		.time_ns = lane_clock,
	};
}

uint64_t ring_put(struct lanes *l, unsigned lane, const struct ks_event *ev, uint32_t bytes,
		  uint32_t bits)
{
	uint64_t pos = l->produced[lane], step = ((uint64_t)bytes + BPF_RINGBUF_HDR_SZ + 7) & ~7ull;
	uint8_t *at = l->data[lane] + pos % LANE_BYTES;
	uint32_t head = bytes | bits;

	g_assert_cmpuint(pos + step - l->consumed[lane], <, LANE_BYTES); /* else it is full */
	memset(at, 0, step);
	memcpy(at, &head, sizeof(head));
	memcpy(at + BPF_RINGBUF_HDR_SZ, ev, MIN(bytes, sizeof(*ev)));
	l->produced[lane] = pos + step;
	return pos;
}

uint64_t ring_add(struct lanes *l, unsigned probe, unsigned cpu, uint32_t lost)
{
	struct ks_event ev = lane_event(probe, cpu, lost);

	return ring_put(l, cpu % l->s->n_lanes, &ev, ev.size, 0);
}

void ring_commit(struct lanes *l, unsigned lane, uint64_t pos)
{
	uint32_t head;

	memcpy(&head, l->data[lane] + pos % LANE_BYTES, sizeof(head));
	head &= ~BPF_RINGBUF_BUSY_BIT;
	memcpy(l->data[lane] + pos % LANE_BYTES, &head, sizeof(head));
}

/* As the kernel does, pads the sample to a multiple of 8 and counts the padding as part of it. */
void perf_put(struct lanes *l, unsigned lane, uint32_t type, const void *sample, uint32_t bytes)
{
	uint64_t pos = l->produced[lane];
	uint32_t raw = ((bytes + 4 + 7) & ~7u) - 4;
	struct perf_event_header head = { .type = type,
					  .size = (uint16_t)(sizeof(head) + 4 + raw) };
	uint8_t *at = l->data[lane] + pos % LANE_BYTES;

	g_assert_cmpuint(pos + head.size - l->consumed[lane], <=, LANE_BYTES);
	memset(at, 0, head.size);
	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), &raw, sizeof(raw));
	memcpy(at + sizeof(head) + sizeof(raw), sample, bytes);
	l->produced[lane] = pos + head.size;
}

void lane_lose(struct lanes *l, unsigned cpu, unsigned probe, uint32_t n)
{
	l->cpus[cpu].lost += n;
	l->cpus[cpu].probe[probe].outcome[KS_LOST_RING_FULL] += n - n / 2;
	l->cpus[cpu].probe[probe].outcome[KS_LOST_RING_LOCKED] += n / 2;
}

void lane_throttle(struct lanes *l, unsigned cpu, unsigned probe, uint64_t n)
{
	l->cpus[cpu].probe[probe].outcome[KS_THROTTLED] += n;
}

int lanes_drain(struct lanes *l, unsigned max)
{
	return ks__stream_drain(l->s, &l->sink, max);
}

void lanes_forget(struct lanes *l)
{
	l->n = 0;
	l->stop_at = 0;
}
