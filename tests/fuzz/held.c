/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the heap which orders records, and the queue of a scan, give out each record once,
 * whole and in order, whatever sizes and times records have.
 */
#include <errno.h>

#include "data/order.h"
#include "files/queue.h"
#include "fuzz.h"

#define BYTES_MAX 8192

/* Makes a record whose bytes depend on its number. */
static struct ks_event *fill(uint64_t *room, size_t size, uint64_t time_ns, uint32_t number)
{
	struct ks_event *ev = (struct ks_event *)room;

	memset(room, (int)(number & 0xff), size);
	*ev = (struct ks_event){
		.size = (uint16_t)size, .id = 0x0101, .weight = number, .time_ns = time_ns
	};
	return ev;
}

static void whole(const struct ks_event *ev)
{
	const uint8_t *bytes = (const uint8_t *)ev;

	for (size_t i = sizeof(*ev); i < ev->size; i++)
		must(bytes[i] == (uint8_t)ev->weight);
}

static size_t size_of(struct input *in, size_t most)
{
	size_t n = sizeof(struct ks_event) + 8 + take(in, 2) / 8 * 8;

	return n < most ? n : most;
}

static void order(struct input *in)
{
	uint64_t room[KS_RECORD_MAX / 8], out_ns = 0;
	struct ks__order *order = ks__order_new(take(in, 2) % BYTES_MAX);
	uint32_t n_in = 0, n_out = 0;
	const struct ks_event *ev;

	must(order);
	while (in->at < in->end || ks__order_count(order)) {
		if (in->at < in->end && below(in, 3)) {
			ev = fill(room, size_of(in, KS_RECORD_MAX), take(in, 1), n_in);
			if (!ks__order_put(order, ev))
				n_in++;
			else
				must(ks__order_count(order));
		} else {
			uint64_t next = ks__order_next_ns(order);
			uint64_t mark = in->at < in->end ? take(in, 1) : UINT64_MAX;

			ev = ks__order_take(order, mark);
			must(!ev == (next > mark || next == UINT64_MAX));
			if (!ev)
				continue;
			must(ev->time_ns == next && ev->time_ns <= mark);
			must(!!(ev->flags & KS_FLAG_LATE) == (ev->time_ns < out_ns));
			out_ns = ev->time_ns > out_ns ? ev->time_ns : out_ns;
			whole(ev);
			n_out++;
		}
		must(ks__order_count(order) == n_in - n_out);
	}
	ks__order_free(order);
}

struct tally {
	uint64_t made, taken, lost;
};

static void queue_take(struct ks__queue *queue, struct tally *tally)
{
	union {
		struct ks_event ev;
		struct ks_event_lost lost;
		char bytes[KS__QUEUE_RECORD_MAX];
	} out;

	must(ks__queue_ready(queue) == ks__queue_take(queue, UINT32_MAX, &out.ev));
	if (out.ev.id == KS_EVENT_LOST) {
		must(out.lost.lost && out.lost.from_ns <= out.lost.to_ns);
		tally->lost += out.lost.lost;
	} else {
		whole(&out.ev);
		tally->taken++;
	}
}

static void queue(struct input *in)
{
	uint64_t room[KS__QUEUE_RECORD_MAX / 8], now = 1;
	struct tally tally = { 0 };
	struct ks__queue queue;

	must(!ks__queue_init(&queue, 512 + take(in, 2) % BYTES_MAX / 8 * 8));
	while (in->at < in->end || ks__queue_ready(&queue)) {
		unsigned what = in->at < in->end ? below(in, 4) : 3;

		if (what < 2) {
			now += take(in, 1);
			ks__queue_put(&queue, fill(room, size_of(in, sizeof(room)), now,
						   (uint32_t)tally.made++));
		} else if (what == 2) {
			ks__queue_throttle(&queue, below(in, 16));
			tally.made++;
		} else if (ks__queue_ready(&queue)) {
			queue_take(&queue, &tally);
		}
	}
	must(tally.taken + tally.lost == tally.made);
	ks__queue_free(&queue);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };

	if (below(&in, 2))
		order(&in);
	else
		queue(&in);
	return 0;
}
