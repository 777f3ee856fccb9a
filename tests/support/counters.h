/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counters.h - what the kernel itself counts about kernel programs of this process, and a few facts
 */
#ifndef KS_TESTS_COUNTERS_H
#define KS_TESTS_COUNTERS_H

#include <stdint.h>
#include <sys/resource.h>

/* Makes the kernel count runs of kernel programs until this process ends. Returns 0 or -errno. */
int counters_on(void);

/*
 * Adds up runs and refused (recursive) runs of all kernel programs that this process holds
 * descriptors of and whose names begin with `prefix`. Waits for a grace period first: then no run
 * that began before its program was detached is still going on. Returns the number of programs.
 */
unsigned counters_programs(const char *prefix, uint64_t *ret_runs, uint64_t *ret_missed);

/* Returns the number of descriptors that this process has open. */
unsigned counters_descriptors(void);

/*
 * Returns the id of this process's cgroup in the memory controller's hierarchy (the inode of its
 * folder), 0 if there is none.
 */
uint64_t counters_cgroup(void);

/*
 * Leaves this process `spare` free descriptors, the lowest ones, from now on. *ret_before: the
 * limit to go back to. Returns 0 or -errno.
 */
int counters_spare_descriptors(unsigned spare, struct rlimit *ret_before);

#endif
