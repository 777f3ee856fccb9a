/* SPDX-License-Identifier: BSD-2-Clause */
/* starts.h - converts start times of tasks in procfs to the reader's CLOCK_BOOTTIME */
#ifndef KS_STARTS_H
#define KS_STARTS_H

#include <stdint.h>

struct ks__starts {
	int known;
	int64_t shift_ns; /* KS__STAT_START + shift_ns is the reader's CLOCK_BOOTTIME */
};

/*
 * Finds shift_ns: before Linux 5.11, procfs shows the machine's CLOCK_BOOTTIME in every time
 * namespace. Call it again until it returns 0; the result stays valid for the handle. -errno: start
 * times are unknown.
 */
int ks__starts_find(struct ks__starts *starts, int proc_fd);

/* Converts ticks to CLOCK_BOOTTIME, which may be negative. 0; -ENODATA: unknown. */
int ks__starts_ns(const struct ks__starts *starts, uint64_t ticks, uint64_t tick_ns,
		  int64_t *ret_ns);

#endif
