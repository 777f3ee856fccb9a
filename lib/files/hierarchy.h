/* SPDX-License-Identifier: BSD-2-Clause */
/* hierarchy.h - the cgroup hierarchy that has the memory controller, and where it is mounted */
#ifndef KS_HIERARCHY_H
#define KS_HIERARCHY_H

#include <stdint.h>
#include <sys/types.h>

#include "../base/fd.h"
#include "container.h"

struct ks__hierarchy {
	int fd; /* O_PATH descriptor of the mount */
	struct ks__fds *fds; /* the list of descriptors that has fd; NULL: none */
	int is_own; /* 1: "/" is the cgroup of the caller's container, `own` */
	dev_t dev;
	char *mount;
	char *prefix; /* all paths begin with it: "" or /..., without a trailing slash */
	struct ks__container own;
};

/* See ks__cgroups_open(). */
int ks__hierarchy_open(int proc_fd, const char *sys_path, struct ks__hierarchy *ret);
void ks__hierarchy_close(struct ks__hierarchy *h);

/* Converts a path of the hierarchy to one that openat() and others accept with `fd`. */
const char *ks__hierarchy_below(const struct ks__hierarchy *h, const char *path);

/* Finds the id for a path that a person gives; see ks__cgroups_resolve(). */
int ks__hierarchy_resolve(const struct ks__hierarchy *h, const char *path, uint64_t *ret_id);

#endif
