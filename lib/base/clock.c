/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.c - the clocks that the library reads */
#include "clock.h"

#include <time.h>

static uint64_t read_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t ks__now(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t ks__wall_now(void)
{
	return read_ns(CLOCK_REALTIME);
}

uint64_t ks__cpu_now(void)
{
	return read_ns(CLOCK_THREAD_CPUTIME_ID);
}
