/* SPDX-License-Identifier: BSD-2-Clause */
/* starts.h - on which clock /proc/PID/stat tells the starts of tasks */
#ifndef KS_STARTS_H
#define KS_STARTS_H

#include <stdint.h>

struct ks__starts {
	int known;
	int64_t shift_ns; /* to be added to KS__STAT_START: then it is CLOCK_BOOTTIME of the reader */
};

/*
 * Kernels before 5.11 tell the machine's CLOCK_BOOTTIME in every time namespace. Asked until it is
 * known: a handle keeps to its time namespace. 0 or -errno: the starts are not to be told.
 */
int ks__starts_find(struct ks__starts *starts, int proc_fd);

/* CLOCK_BOOTTIME of a start in ticks, negative before the clock's zero. 0 or -ENODATA. */
int ks__starts_ns(const struct ks__starts *starts, uint64_t ticks, uint64_t tick_ns, int64_t *ret_ns);

#endif
