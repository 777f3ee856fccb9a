/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * columns.h - files whose numbers are known by their place
 *
 * Pure: any bytes may be in the buffer, none outside it is read, nothing is allocated.
 */
#ifndef KS_COLUMNS_H
#define KS_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

/*
 * n numbers of one line. 0, -EINVAL (fewer, or something else), -ERANGE; then the ones before it
 * are set.
 */
int ks__columns_numbers(const char *text, size_t length, uint64_t *ret_values, size_t n);

/* Columns of /proc/PID/stat, by the numbers that proc(5) gives them */
enum ks__stat_column {
	KS__STAT_PPID = 4,
	KS__STAT_SESSION = 6,
	KS__STAT_FLAGS = 9,     /* PF_... */
	KS__STAT_THREADS = 20,
	KS__STAT_START = 22,    /* clock ticks of CLOCK_BOOTTIME */
	KS__STAT_CODE = 26,     /* addresses: 0, or 1, to whom may not trace it */
	KS__STAT_STACK = 28,
	KS__STAT_COLUMNS = 29,
};

struct ks__stat {
	int32_t pid;
	char state;
	char comm[16]; /* of a kernel worker the file has more, and it is cut */
	uint64_t column[KS__STAT_COLUMNS]; /* from KS__STAT_PPID on; -1 is UINT64_MAX */
};

/* Of one tick of these files. */
uint64_t ks__columns_tick_ns(void);

/*
 * KS__STAT_START in ns. A task that is older than the zero of the reader's clock, in a time namespace,
 * has a negative number, which the file tells modulo 2^64 ns.
 */
static inline int64_t ks__columns_start_ns(uint64_t ticks, uint64_t tick_ns)
{
	return (int64_t)(ticks * tick_ns);
}

/* 0; -EINVAL (cut off, or another file), -ERANGE. */
int ks__columns_stat(const char *text, size_t length, struct ks__stat *ret);

#endif
