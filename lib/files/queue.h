/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue.h - records that a scan has found and the consumer has not read yet
 *
 * Bounded. What does not fit is counted, and a KS_EVENT_LOST stands before the first record after
 * the hole. No locks: the owner has one.
 */
#ifndef KS_QUEUE_H
#define KS_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include <kernelsight/events.h>

#define KS__QUEUE_RECORD_MAX 256 /* no record of a scan is longer */

/* Records that are missing for one reason since the last KS_EVENT_LOST. */
struct ks__hole {
	uint64_t lost;
	uint64_t from_ns;
	uint32_t probe; /* UINT32_MAX: several */
};

struct ks__queue {
	unsigned char *bytes;
	size_t size, head, used;
	uint64_t last_ns; /* time of the last record that was put */
	uint32_t lost;    /* running count, for ks_event.lost */
	struct ks__hole ring, throttled;
};

/* 0 or -ENOMEM. The memory is touched only as far as it is used. */
int ks__queue_init(struct ks__queue *queue, size_t size);
void ks__queue_free(struct ks__queue *queue);

/* Copies a record, after what it has to say of holes; fills ev->lost. 0, or -ENOSPC: it is lost. */
int ks__queue_put(struct ks__queue *queue, struct ks_event *ev);
/* A record of this probe was not made: too many a second. */
void ks__queue_throttle(struct ks__queue *queue, uint32_t probe);

/*
 * The next record, or the holes at the end, into ret: 1, or 0 when there is nothing. now_ns ends a
 * hole that no record follows.
 */
int ks__queue_take(struct ks__queue *queue, uint64_t now_ns, struct ks_event *ret);
/* Has ks__queue_take() anything to give? */
int ks__queue_ready(const struct ks__queue *queue);

#endif
