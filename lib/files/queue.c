/* SPDX-License-Identifier: BSD-2-Clause */
/* queue.c - a bounded queue of records, from the scans of files to the consumer */
#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ks__queue_init(struct ks__queue *queue, size_t size)
{
	unsigned char *bytes = malloc(size);

	if (!bytes)
		return -ENOMEM;
	*queue = (struct ks__queue){ .bytes = bytes, .size = size };
	return 0;
}

void ks__queue_free(struct ks__queue *queue)
{
	free(queue->bytes);
	*queue = (struct ks__queue){ 0 };
}

/* The caller has checked that there is room. */
static void push(struct ks__queue *queue, const struct ks_event *ev)
{
	size_t at = (queue->head + queue->used) % queue->size;
	size_t first = queue->size - at < ev->size ? queue->size - at : ev->size;

	memcpy(queue->bytes + at, ev, first);
	memcpy(queue->bytes, (const unsigned char *)ev + first, ev->size - first);
	queue->used += ev->size;
}

static void pop(struct ks__queue *queue, void *to, size_t n)
{
	size_t first = queue->size - queue->head < n ? queue->size - queue->head : n;

	memcpy(to, queue->bytes + queue->head, first);
	memcpy((unsigned char *)to + first, queue->bytes, n - first);
	queue->used -= n;
	/* start over when empty, so that no more memory is touched than the records need */
	queue->head = queue->used ? (queue->head + n) % queue->size : 0;
}

/* Counts one more missing record. */
static void widen(struct ks__queue *queue, struct ks__hole *hole, uint32_t probe)
{
	if (!hole->lost++) {
		hole->from_ns = queue->last_ns;
		hole->probe = probe;
	} else if (hole->probe != probe) {
		hole->probe = UINT32_MAX;
	}
}

/* Writes the record that reports a hole, and resets the hole. */
static void fill(struct ks__queue *queue, struct ks__hole *hole, uint64_t to_ns, uint8_t generation,
		 struct ks_event_lost *ret)
{
	*ret = (struct ks_event_lost){
		.ev = {
			.size = sizeof(*ret),
			.id = KS_EVENT_LOST,
			.cpu = KS_NO_CPU,
			.flags = KS_FLAG_FALLBACK,
			.generation = generation,
			.weight = 1,
			.lost = queue->lost,
			.time_ns = to_ns,
		},
		.lost = hole->lost,
		.from_ns = hole->from_ns,
		.to_ns = to_ns,
		.reason = hole == &queue->ring ? KS_LOST_RING : KS_LOST_THROTTLED,
		.probe = hole->probe,
	};
	*hole = (struct ks__hole){ 0 };
}

int ks__queue_put(struct ks__queue *queue, struct ks_event *ev)
{
	struct ks__hole *holes[] = { &queue->ring, &queue->throttled };
	struct ks_event_lost lost;
	size_t need = ev->size;
	unsigned i;

	for (i = 0; i < 2; i++)
		need += holes[i]->lost ? sizeof(lost) : 0;
	if (ev->size > KS__QUEUE_RECORD_MAX || need > queue->size - queue->used) {
		queue->lost++;
		widen(queue, &queue->ring, ev->id >> 8);
		return -ENOSPC;
	}
	for (i = 0; i < 2; i++) {
		if (!holes[i]->lost)
			continue;
		fill(queue, holes[i], ev->time_ns, ev->generation, &lost);
		push(queue, &lost.ev);
	}
	ev->lost = queue->lost;
	queue->last_ns = ev->time_ns;
	push(queue, ev);
	return 0;
}

void ks__queue_throttle(struct ks__queue *queue, uint32_t probe)
{
	widen(queue, &queue->throttled, probe);
}

int ks__queue_take(struct ks__queue *queue, uint64_t now_ns, struct ks_event *ret)
{
	struct ks__hole *hole = queue->ring.lost ? &queue->ring : &queue->throttled;
	struct ks_event_lost lost;

	if (queue->used) {
		pop(queue, ret, sizeof(*ret));
		pop(queue, ret + 1, ret->size - sizeof(*ret));
		return 1;
	}
	if (!hole->lost)
		return 0;
	fill(queue, hole, now_ns, 0, &lost);
	memcpy(ret, &lost, sizeof(lost));
	return 1;
}

int ks__queue_ready(const struct ks__queue *queue)
{
	return queue->used || queue->ring.lost || queue->throttled.lost;
}
