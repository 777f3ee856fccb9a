/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * columns.h - parses files whose numbers are identified by their position
 *
 * Only ks__columns_read_stat() reads a file. The others are pure functions: they accept any bytes,
 * read only the buffer and allocate nothing.
 */
#ifndef KS_COLUMNS_H
#define KS_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Parses n numbers of one line. 0; -EINVAL: fewer numbers, or other text; -ERANGE. After an error,
 * the numbers before it are set.
 */
int ks__columns_numbers(const char *text, size_t length, uint64_t *ret_values, size_t n);

/* Columns of /proc/PID/stat, with the numbers of proc(5) */
enum ks__stat_column {
	KS__STAT_PPID = 4,
	KS__STAT_SESSION = 6,
	KS__STAT_FLAGS = 9,     /* PF_... */
	KS__STAT_THREADS = 20,
	KS__STAT_START = 22,    /* clock ticks of CLOCK_BOOTTIME */
	KS__STAT_CODE = 26,     /* an address; 0 or 1 if the reader may not trace the process */
	KS__STAT_STACK = 28,
	KS__STAT_COLUMNS = 29,
};

struct ks__stat {
	int32_t pid;
	char state;
	char comm[16]; /* cut: the file has more for a kernel worker */
	uint64_t column[KS__STAT_COLUMNS]; /* set from KS__STAT_PPID on; -1 is UINT64_MAX */
};

/* The length of one clock tick in these files. */
uint64_t ks__columns_tick_ns(void);

/*
 * Converts KS__STAT_START to ns. In a time namespace a task can be older than the zero of the
 * clock. Its start time is negative, which the file shows modulo 2^64 ns.
 */
static inline int64_t ks__columns_start_ns(uint64_t ticks, uint64_t tick_ns)
{
	return (int64_t)(ticks * tick_ns);
}

/* Parses /proc/PID/stat. 0; -EINVAL: cut off, or another file; -ERANGE. */
int ks__columns_stat(const char *text, size_t length, struct ks__stat *ret);

/*
 * Reads /proc/PID/stat of a process or a thread. 0; -ENOENT or -ESRCH: there is none; -EINVAL or
 * -ERANGE: as ks__columns_stat(); or another -errno of ks__text_read().
 */
int ks__columns_read_stat(int proc_fd, int32_t pid, struct ks__stat *ret);

#endif
