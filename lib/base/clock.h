/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.h - the clocks that the library reads */
#ifndef KS_CLOCK_H
#define KS_CLOCK_H

#include <stdint.h>

uint64_t ks__now(void);      /* CLOCK_MONOTONIC, ns */
uint64_t ks__wall_now(void); /* CLOCK_REALTIME, ns since 1970 */
uint64_t ks__cpu_now(void);  /* CPU time of the calling thread, ns */

#endif
