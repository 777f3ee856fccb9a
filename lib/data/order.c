/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * order.c - a bounded heap of records
 *
 * An arena holds the copies one after the other. When its end is reached, compact() moves the live
 * copies to its beginning. Live copies never fill more than three quarters of the arena, so each
 * move gains at least a quarter.
 */
#include "order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GONE UINT32_MAX

/* Before each record in the arena. */
struct slot {
	uint32_t entry; /* during compact(): index of its entry in the heap; GONE: taken */
	uint32_t bytes; /* size, including this head */
};

struct entry {
	uint64_t time_ns;
	uint64_t turn; /* number of the put: orders records of equal time */
	size_t at;     /* offset of the slot in the arena */
};

#define SLOT_MIN (sizeof(struct slot) + sizeof(struct ks_event))
#define SLOT_MAX (sizeof(struct slot) + KS_RECORD_MAX)

struct ks__order {
	unsigned char *arena;
	struct entry *heap; /* the children of i are 2i + 1 and 2i + 2 */
	size_t size, end;   /* bytes of the arena, and of its used part */
	size_t room, live;  /* bytes of live slots: allowed, and now */
	size_t count;
	uint64_t turn;
	uint64_t out_ns; /* the latest time of a taken record */
};

static struct slot *slot_at(const struct ks__order *order, size_t at)
{
	return (struct slot *)(void *)(order->arena + at);
}

static int before(const struct entry *a, const struct entry *b)
{
	return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->turn < b->turn;
}

struct ks__order *ks__order_new(size_t bytes)
{
	struct ks__order *order = calloc(1, sizeof(*order));

	if (!order)
		return NULL;
	order->room = bytes > SLOT_MAX ? bytes : SLOT_MAX;
	order->size = (order->room + order->room / 3 + 7) & ~(size_t)7;
	order->arena = malloc(order->size);
	order->heap = malloc(order->room / SLOT_MIN * sizeof(*order->heap));
	if (!order->arena || !order->heap) {
		ks__order_free(order);
		return NULL;
	}
	return order;
}

void ks__order_free(struct ks__order *order)
{
	if (!order)
		return;
	free(order->arena);
	free(order->heap);
	free(order);
}

/* Moves the live records to the beginning of the arena, without changing their order. */
static void compact(struct ks__order *order)
{
	size_t from, to = 0, bytes, i;

	for (i = 0; i < order->count; i++)
		slot_at(order, order->heap[i].at)->entry = (uint32_t)i;
	for (from = 0; from < order->end; from += bytes) {
		struct slot *slot = slot_at(order, from);

		bytes = slot->bytes;
		if (slot->entry == GONE)
			continue;
		order->heap[slot->entry].at = to;
		memmove(order->arena + to, slot, bytes);
		to += bytes;
	}
	order->end = to;
}

static void sift_up(struct entry *heap, size_t i)
{
	struct entry entry = heap[i];

	for (; i > 0 && before(&entry, &heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = entry;
}

/* Moves the root entry down to its place. */
static void sift_down(struct entry *heap, size_t count)
{
	struct entry entry = heap[0];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < count) {
		if (child + 1 < count && before(&heap[child + 1], &heap[child]))
			child++;
		if (!before(&heap[child], &entry))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = entry;
}

int ks__order_put(struct ks__order *order, const struct ks_event *ev)
{
	size_t bytes = sizeof(struct slot) + ev->size;
	struct ks_event *copy;

	if (order->live + bytes > order->room)
		return -ENOSPC;
	if (order->end + bytes > order->size)
		compact(order);

	*slot_at(order, order->end) = (struct slot){ .bytes = (uint32_t)bytes };
	copy = (struct ks_event *)(void *)(slot_at(order, order->end) + 1);
	memcpy(copy, ev, ev->size);
	if (ev->time_ns < order->out_ns)
		copy->flags |= KS_FLAG_LATE;

	order->heap[order->count] = (struct entry){
		.time_ns = ev->time_ns,
		.turn = order->turn++,
		.at = order->end,
	};
	sift_up(order->heap, order->count++);
	order->end += bytes;
	order->live += bytes;
	return 0;
}

const struct ks_event *ks__order_take(struct ks__order *order, uint64_t watermark_ns)
{
	struct slot *slot;

	if (order->count == 0 || order->heap[0].time_ns > watermark_ns)
		return NULL;
	if (order->heap[0].time_ns > order->out_ns)
		order->out_ns = order->heap[0].time_ns;

	slot = slot_at(order, order->heap[0].at);
	slot->entry = GONE;
	order->live -= slot->bytes;
	order->heap[0] = order->heap[--order->count];
	sift_down(order->heap, order->count);
	/* The heap is empty: reuse the arena. The returned record stays until the next put. */
	if (order->count == 0)
		order->end = 0;
	return (const struct ks_event *)(void *)(slot + 1);
}

uint64_t ks__order_next_ns(const struct ks__order *order)
{
	return order->count ? order->heap[0].time_ns : UINT64_MAX;
}

size_t ks__order_count(const struct ks__order *order)
{
	return order->count;
}

int ks__order_full(const struct ks__order *order)
{
	return order->live + SLOT_MAX > order->room;
}
