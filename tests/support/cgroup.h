/* SPDX-License-Identifier: BSD-2-Clause */
/* cgroup.h - cgroups of the memory controller's hierarchy for tests; root */
#ifndef KS_TESTS_CGROUP_H
#define KS_TESTS_CGROUP_H

#include <stdint.h>
#include <sys/types.h>

struct kt_cgroup {
	char path[256]; /* of its directory */
	uint64_t id;
};

/* Below the own cgroup's root, by this name and our pid. 0: none can be made here. */
int kt_cgroup_make(struct kt_cgroup *cgroup, const char *name);
void kt_cgroup_enter(const struct kt_cgroup *cgroup, pid_t pid);
/* Waits until its last process is gone. */
void kt_cgroup_remove(const struct kt_cgroup *cgroup);

#endif
