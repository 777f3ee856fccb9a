/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.c - the clocks that the library reads */
#include "clock.h"

#define READINGS 10
#define CLOSE_NS 10000 /* close enough: no further readings */

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

int64_t ks__clock_ahead(clockid_t clock, clockid_t other)
{
	uint64_t closest = UINT64_MAX;
	int64_t ahead = 0;

	for (unsigned i = 0; i < READINGS && closest > CLOSE_NS; i++) {
		uint64_t before = read_ns(other), at = read_ns(clock);
		uint64_t gap = read_ns(other) - before;

		if (gap >= closest)
			continue;
		closest = gap;
		ahead = (int64_t)(at - before - gap / 2);
	}
	return ahead;
}
