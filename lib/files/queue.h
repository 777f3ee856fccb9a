/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue.h - a bounded queue of records, from the scans of files to the consumer
 *
 * Records that do not fit are counted. A KS_EVENT_LOST comes before the first record after such a
 * hole. The queue has no lock: its owner has one.
 */
#ifndef KS_QUEUE_H
#define KS_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include <kernelsight/events.h>

#define KS__QUEUE_RECORD_MAX 256 /* bytes of the longest record of a scan */

/* Records that are missing, for one reason, since the last KS_EVENT_LOST. */
struct ks__hole {
	uint64_t lost;
	uint64_t from_ns;
	uint32_t probe; /* UINT32_MAX: several probes */
};

struct ks__queue {
	unsigned char *bytes;
	size_t size, head, used;
	uint64_t last_ns; /* time of the last record that was put */
	uint32_t lost;    /* running count, for ks_event.lost */
	struct ks__hole ring, throttled;
};

/* 0 or -ENOMEM. The queue touches only as much memory as it uses. */
int ks__queue_init(struct ks__queue *queue, size_t size);
void ks__queue_free(struct ks__queue *queue);

/*
 * Appends the reports of holes, then a copy of ev; sets ev->lost. 0; -ENOSPC: the record is lost.
 */
int ks__queue_put(struct ks__queue *queue, struct ks_event *ev);
/* Counts a record of this probe that the limit of records per second has suppressed. */
void ks__queue_throttle(struct ks__queue *queue, uint32_t probe);

/*
 * Takes the next record, or after the last one the report of a hole. now_ns is the end of a hole
 * that no record follows. 1; 0: empty.
 */
int ks__queue_take(struct ks__queue *queue, uint64_t now_ns, struct ks_event *ret);
/* 1: ks__queue_take() would return a record. */
int ks__queue_ready(const struct ks__queue *queue);

#endif
