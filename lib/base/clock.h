/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.h - the clocks that the library reads */
#ifndef KS_CLOCK_H
#define KS_CLOCK_H

#include <stdint.h>
#include <time.h>

uint64_t ks__now(void);      /* CLOCK_MONOTONIC, ns */
uint64_t ks__wall_now(void); /* CLOCK_REALTIME, ns since 1970 */
uint64_t ks__cpu_now(void);  /* CPU time of the calling thread, ns */

/*
 * Returns by how many ns `clock` is ahead of `other`. A thread may be preempted between two
 * readings, so it reads them several times and takes the closest pair.
 */
int64_t ks__clock_ahead(clockid_t clock, clockid_t other);

#endif
