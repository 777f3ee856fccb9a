/* SPDX-License-Identifier: BSD-2-Clause */
/* cgroup.h - creates cgroups in the memory controller's hierarchy for tests; needs root */
#ifndef KS_TESTS_CGROUP_H
#define KS_TESTS_CGROUP_H

#include <stdint.h>
#include <sys/types.h>

struct kt_cgroup {
	char path[256]; /* path of its directory */
	uint64_t id;
};

/*
 * Creates a cgroup below the hierarchy's root; its name ends with our pid. Returns 0 if this
 * machine does not let us.
 */
int kt_cgroup_make(struct kt_cgroup *cgroup, const char *name);
void kt_cgroup_enter(const struct kt_cgroup *cgroup, pid_t pid);
/* Waits until the last process has left the cgroup, and removes it. */
void kt_cgroup_remove(const struct kt_cgroup *cgroup);

#endif
