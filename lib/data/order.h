/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * order.h - KS_OPEN_ORDERED: records of several rings, merged by time
 *
 * A bounded heap of copies. Records are held until the watermark has passed their time, or until
 * room is needed. A record that comes when a later one is out already is the next to be given out,
 * flagged KS_FLAG_LATE; all others come out in order of their times.
 */
#ifndef KS_ORDER_H
#define KS_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include <kernelsight/events.h>

struct ks__order;

/* Room for `bytes` of records and their bookkeeping, one record at least. NULL: no memory. */
struct ks__order *ks__order_new(size_t bytes);
void ks__order_free(struct ks__order *order);

/*
 * Copy a record in, whose size is a multiple of 8 up to KS_RECORD_MAX. 0, or -ENOSPC: take some out
 * first. Never -ENOSPC when empty.
 */
int ks__order_put(struct ks__order *order, const struct ks_event *ev);

/*
 * The earliest record, if its time is at or before the watermark (UINT64_MAX: any), else NULL.
 * Valid until the next call. Equal times come out in the order in which they were put in.
 */
const struct ks_event *ks__order_take(struct ks__order *order, uint64_t watermark_ns);

/* Time of the earliest record, or UINT64_MAX. */
uint64_t ks__order_next_ns(const struct ks__order *order);
size_t ks__order_count(const struct ks__order *order);
/* 1: the longest record would not fit. */
int ks__order_full(const struct ks__order *order);

#endif
