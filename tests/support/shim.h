/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shim.h - in the place of libc: memory and system calls that fail when a test wants it, and clocks
 * that are not what they are
 *
 * A program that links shim.c has its own malloc() and so on, mmap(), syscall() and clock_gettime(), and
 * openat(), read(), ioctl() and epoll_wait() for SHIM_SIGNAL,
 * which libc's and libbpf's calls reach as well. Not with sanitizers, which do the same. One thread.
 */
#ifndef KS_TESTS_SHIM_H
#define KS_TESTS_SHIM_H

#include <stdint.h>
#include <time.h>

enum shim_what {
	SHIM_NOTHING,
	SHIM_MEMORY,     /* malloc, calloc, realloc, reallocarray, posix_memalign: no memory */
	SHIM_MAPPING,    /* mmap: ENOMEM */
	SHIM_MAP_CREATE, /* bpf(BPF_MAP_CREATE) */
	SHIM_BPF,        /* bpf(), whatever it is asked */
	SHIM_PERF,       /* perf_event_open() */
	SHIM_SIGNAL,     /* what a signal may interrupt: EAGAIN of a load, EINTR of all others */
};

/* From now on the n-th of these fails, from 1; one only. `error`: of system calls. */
void shim_fail(enum shim_what what, unsigned n, int error);
/* Nothing fails any more. 1: it came to that. */
int shim_stop(void);

/* perf_event_open() says ENODEV of CPUs from this one on, as if they were offline; 0: of none. */
extern long shim_offline;
/* Maps of this type cannot be made, as if the kernel did not know it: EINVAL; 0: all can. */
extern long shim_no_map_type;
/* The same of programs of this type, and of this command of bpf(). */
extern long shim_no_program_type, shim_no_command;

/* Pieces of memory and mappings that are in use; those of libc's own are not among them. */
long shim_pieces(void);
long shim_mappings(void);

/* Added to what the kernel says, in ns. */
extern int64_t shim_clock[CLOCK_BOOTTIME + 1];

#endif
