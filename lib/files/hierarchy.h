/* SPDX-License-Identifier: BSD-2-Clause */
/* hierarchy.h - the cgroup hierarchy that has the memory controller, and where it is mounted */
#ifndef KS_HIERARCHY_H
#define KS_HIERARCHY_H

#include <stdint.h>
#include <sys/types.h>

#include "../base/fd.h"
#include "container.h"

struct ks__hierarchy {
	int fd; /* of the mount, O_PATH */
	struct ks__fds *fds; /* that keep it; NULL: nobody does */
	int is_own; /* "/" is the cgroup of the container that the caller is in: `own` */
	dev_t dev;
	char *mount;
	char *prefix; /* all paths begin with it; "" or /..., without a slash at its end */
	struct ks__container own;
};

/* See ks__cgroups_open(). */
int ks__hierarchy_open(int proc_fd, const char *sys_path, struct ks__hierarchy *ret);
void ks__hierarchy_close(struct ks__hierarchy *h);

/* A path of the hierarchy as openat() and its like want it with `fd`. */
const char *ks__hierarchy_below(const struct ks__hierarchy *h, const char *path);

/* The id of the cgroup that a person's path means; see ks__cgroups_resolve(). */
int ks__hierarchy_resolve(const struct ks__hierarchy *h, const char *path, uint64_t *ret_id);

#endif
