/* SPDX-License-Identifier: BSD-2-Clause */
/* counters.h - what the kernel itself says about the programs of this process, and a few facts */
#ifndef KS_TESTS_COUNTERS_H
#define KS_TESTS_COUNTERS_H

#include <stdint.h>

/* Have the kernel count runs of programs from now on, until this process ends. 0 or -errno. */
int counters_on(void);

/*
 * Runs and refused runs (recursion) of all programs that this process holds descriptors of and
 * whose names begin with `prefix`. Waits for a grace period first: a run that was going on when its
 * program was detached is over then. Returns how many programs there are.
 */
unsigned counters_programs(const char *prefix, uint64_t *ret_runs, uint64_t *ret_missed);

/* Descriptors that this process has open. */
unsigned counters_descriptors(void);

/* Id of the memory controller's cgroup of this process: the inode of its folder; 0: not found. */
uint64_t counters_cgroup(void);

#endif
