/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the consumer of rings and perf buffers delivers only whole records, counts all others,
 * stays inside its lanes and reaches their end, whatever bytes are in them.
 */
#include "fuzz.h"
#include "support/lane.h"

#define PERF_RECORD_SAMPLE 9

static unsigned room(const struct lanes *l, unsigned lane)
{
	return (unsigned)(LANE_BYTES - (l->produced[lane] - l->consumed[lane]));
}

/* Writes bytes that no kernel program would write. */
static void scribble(struct input *in, struct lanes *l, unsigned lane)
{
	unsigned n = below(in, 64) * 8, left = (unsigned)(in->end - in->at);

	if (n >= room(l, lane))
		return;
	memset(l->data[lane] + l->produced[lane] % LANE_BYTES, 0, n);
	memcpy(l->data[lane] + l->produced[lane] % LANE_BYTES, in->at, n < left ? n : left);
	in->at += n < left ? n : left;
	l->produced[lane] += n;
}

/* Writes a record of a kernel program with some impossible members. */
static void emit(struct input *in, struct lanes *l, unsigned lane)
{
	static const uint32_t states[] = { 0, BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT, 0 };
	struct ks_event ev = lane_event(below(in, 16), below(in, CPUS + 1), (uint32_t)take(in, 2));
	uint32_t bytes = 64 + 8 * below(in, 16), state = states[below(in, 4)];

	ev.size = (uint16_t)(bytes + (below(in, 8) ? 0 : take(in, 1)));
	ev.time_ns += take(in, 2) - 32768;
	if (room(l, lane) <= bytes + 64)
		return;
	if (l->s->via == &ks__rings) {
		ring_put(l, lane, &ev, bytes, state);
	} else {
		char sample[256] = "";

		memcpy(sample, &ev, sizeof(ev));
		perf_put(l, lane, state ? state >> 30 : PERF_RECORD_SAMPLE, sample, bytes);
	}
}

static void commit_all(struct lanes *l)
{
	for (unsigned i = 0; i < l->s->n_lanes && l->s->via == &ks__rings; i++) {
		uint64_t pos = l->s->lanes[i].pos;

		while (pos < l->produced[i]) {
			uint32_t head;

			memcpy(&head, l->data[i] + pos % LANE_BYTES, sizeof(head));
			ring_commit(l, i, pos);
			head &= ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
			pos += (head + BPF_RINGBUF_HDR_SZ + 7ull) & ~7ull;
		}
	}
}

static uint64_t delivered(const struct lanes *l)
{
	uint64_t sum = 0;

	for (unsigned p = 0; p < KS_BPF_PROBES; p++)
		sum += ks__stream_delivered(l->s, p);
	return sum;
}

static int drain(struct lanes *l, unsigned max)
{
	uint64_t before = delivered(l);
	unsigned lost = 0;
	int n;

	lanes_forget(l);
	n = lanes_drain(l, max);
	must(n >= 0 && (unsigned)n <= max && (unsigned)n == l->n);
	for (unsigned i = 0; i < l->n; i++) {
		const struct seen *seen = &l->seen[i];

		must(seen->ev.size >= KS__RECORD_MIN && seen->ev.size <= KS_RECORD_MAX);
		must(seen->ev.cpu < l->s->n_cpus && seen->ev.id >> 8 < KS_BPF_PROBES);
		if (seen->ev.id != KS_EVENT_LOST)
			continue;
		must(seen->lost.ev.size == sizeof(seen->lost) && seen->lost.lost);
		lost++;
	}
	must(delivered(l) - before == l->n - lost);
	for (unsigned i = 0; i < l->s->n_lanes; i++)
		must(l->s->lanes[i].pos <= l->produced[i] && l->consumed[i] <= l->s->lanes[i].pos);
	return n;
}

static void act(struct input *in, struct lanes *l)
{
	unsigned lane = below(in, l->s->n_lanes), cpu = below(in, l->s->n_cpus);
	uint64_t counts[KS_BPF_PROBES], deadline;

	switch (below(in, 7)) {
	case 0:
		scribble(in, l, lane);
		break;
	case 1:
		emit(in, l, lane);
		break;
	case 2:
		drain(l, below(in, 32));
		break;
	case 3:
		lane_lose(l, cpu, 1 + below(in, 3), (uint32_t)take(in, 4));
		break;
	case 4:
		lane_throttle(l, cpu, 1 + below(in, 3), take(in, 2));
		break;
	case 5:
		lane_clock += take(in, 4);
		ks__stream_arm(l->s, &deadline);
		break;
	default:
		ks__stream_in_flight(l->s, counts);
	}
}

/* Drains the rest, which must be the records that counted as in flight. */
static void finish(struct lanes *l)
{
	uint64_t counts[KS_BPF_PROBES] = { 0 }, sum = 0, before, deadline = 0;
	int turns = 0;

	commit_all(l);
	ks__stream_in_flight(l->s, counts);
	for (unsigned p = 0; p < KS_BPF_PROBES; p++)
		sum += counts[p];
	before = delivered(l) + ks__stream_discarded(l->s, 0);
	while (drain(l, 64) || ks__stream_arm(l->s, &deadline))
		must(turns++ < 10000);
	must(delivered(l) + ks__stream_discarded(l->s, 0) - before == sum);
	for (unsigned i = 0; i < l->s->n_lanes; i++)
		must(l->s->lanes[i].pos == l->produced[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct lanes *l = lanes_new(below(&in, 2) ? &ks__rings : &ks__perfbufs,
				    1 + below(&in, LANES), 1 + below(&in, CPUS));

	while (in.at < in.end)
		act(&in, l);
	finish(l);
	lanes_free(l);
	return 0;
}
