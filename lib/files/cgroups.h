/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroups.h - translates cgroup ids to paths and paths to ids, in the memory controller's hierarchy
 *
 * The id of a cgroup is the inode number of its directory; kernel programs read it from kn->id. The
 * kernel never reuses an id, so the cache keeps the path and the container of an id for good. (On
 * v1, mv(1) can change a path; the next walk sees that.) The cache keeps removed cgroups too, since
 * rows of statistics outlive their cgroups.
 *
 * Paths are absolute. "/" is the root of the hierarchy if that is mounted, else the top of the
 * mount or of the caller's cgroup namespace. Paths longer than KS__CGROUP_PATH are not found.
 *
 * Any thread may call these functions, in parallel. Look-ups wait while a thread walks the
 * hierarchy.
 */
#ifndef KS_CGROUPS_H
#define KS_CGROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "../base/fd.h"
#include "container.h"

#define KS__CGROUP_PATH 1024
#define KS__CGROUP_LABEL 32 /* size of ks_row.name */

enum ks__cgroup_flag {
	KS__CGROUP_IN_CONTAINER = 1 << 0, /* in a container; its id may be unknown */
	KS__CGROUP_OWN = 1 << 1,  /* in the caller's own container, found by its mounts */
	KS__CGROUP_GONE = 1 << 2, /* removed; path and container are its last ones */
};

/* Has no padding: a public struct has the same members after its size. */
struct ks__cgroup {
	uint64_t id;
	uint32_t flags;
	struct ks__container in;
	char path[KS__CGROUP_PATH];
};

struct ks__cgroups;

/*
 * Finds the mount of the hierarchy in self/mountinfo below proc_fd: a mount below sys_path if there
 * is one, else any. Without a memory controller it takes the v2 hierarchy. It skips a mount that
 * another mount hides. It does not walk the hierarchy yet.
 * 0; -ENOENT: not mounted here, or the file cannot be read; -ENOMEM, -EMFILE. Holds one descriptor.
 */
int ks__cgroups_open(int proc_fd, const char *sys_path, struct ks__cgroups **ret);
/* Registers its descriptor with those of a handle. 0, or -errno: then it has no descriptor. */
int ks__cgroups_keep(struct ks__cgroups *c, struct ks__fds *fds);
/* Takes no lock, so a forked child can call it. */
void ks__cgroups_close(struct ks__cgroups *c);

/* Where the hierarchy is mounted, for messages. */
const char *ks__cgroups_mount(const struct ks__cgroups *c);

/*
 * Finds the cgroup of a path that a person gives: the path of its directory in the file system, for
 * any mount of the hierarchy, or its path below the root of the hierarchy, with or without a
 * leading slash. 0; -ENOENT; -ENAMETOOLONG: KS__CGROUP_PATH bytes or more; -ENOTDIR; -EACCES;
 * -EINVAL: empty; -EXDEV: a cgroup of another hierarchy. Cost: microseconds if the cache has it,
 * else a walk.
 */
int ks__cgroups_resolve(struct ks__cgroups *c, const char *path, struct ks__cgroup *ret);

/*
 * Describes the cgroup with this id. 0; -ENOENT: there is none, the mount does not show it, or it
 * was removed before any walk saw it; -ENOMEM, -EMFILE. Cost: 2 us if the cache has it, else a
 * walk: 5 us for each cgroup.
 */
int ks__cgroups_describe(struct ks__cgroups *c, uint64_t id, struct ks__cgroup *ret);

/*
 * Writes the label of an id that the kernel's tables had at read_ns; all rows of one read pass the
 * same time. It walks for an unknown id, but at most once a second, and not again for an id that a
 * walk after read_ns has not found: 10,000 rows cost one walk. 0; -ENOENT: the id has no label,
 * ret_label is untouched; -ENOMEM, -EMFILE. Cost: 0.1 us if the cache has it.
 */
int ks__cgroups_label(struct ks__cgroups *c, uint64_t id, uint64_t read_ns,
		      char ret_label[KS__CGROUP_LABEL]);

enum ks__cgroup_again {
	KS__CGROUP_SAME = 0,
	KS__CGROUP_MISSING = 1, /* no cgroup has this path now */
	KS__CGROUP_OTHER = 2,   /* removed and created again: the path has another id */
};

/*
 * Does this path, from ks__cgroups_resolve(), still belong to the cgroup with this id? Sets ret_id,
 * which may be NULL, only for KS__CGROUP_OTHER. Cost: one syscall.
 */
int ks__cgroups_again(const struct ks__cgroups *c, const char *path, uint64_t id,
		      uint64_t *ret_id);

/*
 * Opens the folder of this cgroup and returns the descriptor, which the caller closes. -ENOENT: the
 * path belongs to another cgroup now; -errno.
 */
int ks__cgroups_open_dir(const struct ks__cgroups *c, const char *path, uint64_t id);

/* Bytes of memory in use. */
size_t ks__cgroups_bytes(struct ks__cgroups *c);

#endif
