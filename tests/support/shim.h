/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shim.h - replaces functions of libc: memory and syscalls fail when a test wants, clocks are
 * shifted
 *
 * A test program that links shim.c has its own malloc() and related functions, mmap(), syscall()
 * and clock_gettime(), and, for SHIM_OPEN and SHIM_SIGNAL, openat(), read(), ioctl() and
 * epoll_wait(). Calls
 * inside libc and libbpf reach them as well. Sanitizers replace the same functions: do not combine.
 * For single-threaded programs only.
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
	SHIM_BPF,        /* bpf(), any command */
	SHIM_PERF,       /* perf_event_open() */
	SHIM_OPEN,       /* openat() */
	SHIM_SIGNAL,     /* calls that a signal may interrupt: EAGAIN of a load, else EINTR */
};

/* Makes the n-th such call from now on fail, n from 1, and no other. `error`: errno of syscalls. */
void shim_fail(enum shim_what what, unsigned n, int error);
/* No call fails any more. Returns 1 if one did fail. */
int shim_stop(void);

/*
 * perf_event_open() fails with ENODEV for CPUs from this one on, as if they were offline; 0: for
 * none.
 */
extern long shim_offline;
/* Creating maps of this type fails with EINVAL, as if the kernel did not know it; 0: never. */
extern long shim_no_map_type;
/* The same for loading programs of this type, and for this command of bpf(). */
extern long shim_no_program_type, shim_no_command;

/* Number of memory blocks and of mappings in use, without those that libc made for itself. */
long shim_pieces(void);
long shim_mappings(void);

/* Offsets in ns, added to what the kernel's clocks say. */
extern int64_t shim_clock[CLOCK_BOOTTIME + 1];

#endif
