/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * order.h - KS_OPEN_ORDERED: merges the records of several rings in order of time
 *
 * A bounded heap keeps copies of records until the watermark has passed their time, or until room
 * is needed. A record that is older than one already taken is the next to be taken, with
 * KS_FLAG_LATE. All other records are taken in order of time.
 */
#ifndef KS_ORDER_H
#define KS_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include <kernelsight/events.h>

struct ks__order;

/* Creates a heap for `bytes` of records with their heads, at least one record. NULL: no memory. */
struct ks__order *ks__order_new(size_t bytes);
void ks__order_free(struct ks__order *order);

/*
 * Copies a record into the heap; its size is a multiple of 8 up to KS_RECORD_MAX. Returns 0, or
 * -ENOSPC: take records first. An empty heap has room for any record.
 */
int ks__order_put(struct ks__order *order, const struct ks_event *ev);

/*
 * Takes the earliest record if its time is not after the watermark (UINT64_MAX: any time), else
 * returns NULL. The record is valid until the next call. Records of equal time are taken in the
 * order in which they were put.
 */
const struct ks_event *ks__order_take(struct ks__order *order, uint64_t watermark_ns);

/* Returns the time of the earliest record, or UINT64_MAX if there is none. */
uint64_t ks__order_next_ns(const struct ks__order *order);
size_t ks__order_count(const struct ks__order *order);
/* Returns 1 if a record of KS_RECORD_MAX bytes does not fit, else 0. */
int ks__order_full(const struct ks__order *order);

#endif
