/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroups.h - the cgroups of the memory controller's hierarchy: id to path, path to id
 *
 * A cgroup's id is the inode number of its directory, and what kernel programs read from kn->id. It
 * is never given twice, so what is known of an id stays true: its path (but for mv(1) on v1, seen
 * at the next walk) and its container. A name outlives its cgroup, since rows of statistics do.
 *
 * Paths are absolute and begin at the root of the hierarchy where that is mounted, else at what the
 * mount or the own cgroup namespace shows as "/". Those longer than KS__CGROUP_PATH are not found.
 *
 * Any thread, in parallel. Look-ups wait while another thread walks the hierarchy.
 */
#ifndef KS_CGROUPS_H
#define KS_CGROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "../base/fd.h"
#include "container.h"

#define KS__CGROUP_PATH 1024
#define KS__CGROUP_LABEL 32 /* of ks_row.name */

enum ks__cgroup_flag {
	KS__CGROUP_IN_CONTAINER = 1 << 0, /* in one, even where its id is not known */
	KS__CGROUP_OWN = 1 << 1,  /* in the caller's own container, which its mounts tell */
	KS__CGROUP_GONE = 1 << 2, /* removed; path and container are those it had */
};

/* Without padding, so that it can stand behind the size of a public struct as it is. */
struct ks__cgroup {
	uint64_t id;
	uint32_t flags;
	struct ks__container in;
	char path[KS__CGROUP_PATH];
};

struct ks__cgroups;

/*
 * Finds the mount of the hierarchy, of v2 if no version has the controller, in self/mountinfo below
 * proc_fd: below sys_path if there is one, else any. One that is mounted over is not taken. Walks
 * nothing yet.
 * 0; -ENOENT: not mounted here, or nothing to be read; -ENOMEM, -EMFILE. Holds one descriptor.
 */
int ks__cgroups_open(int proc_fd, const char *sys_path, struct ks__cgroups **ret);
/* Its descriptor is one of those that a handle keeps. 0 or -errno: then it has none. */
int ks__cgroups_keep(struct ks__cgroups *c, struct ks__fds *fds);
/* Takes no lock: also for a forked child. */
void ks__cgroups_close(struct ks__cgroups *c);

/* Where it is mounted: for sentences. */
const char *ks__cgroups_mount(const struct ks__cgroups *c);

/*
 * The cgroup of a path as people give it: a directory of the hierarchy by its path in the file
 * system, wherever it is mounted, or a path below its root, with or without a slash before it.
 * 0; -ENOENT; -ENAMETOOLONG: as long as KS__CGROUP_PATH; -ENOTDIR; -EACCES; -EINVAL (empty);
 * -EXDEV: a cgroup, but of another hierarchy.
 * Cost: microseconds if known, else a walk.
 */
int ks__cgroups_resolve(struct ks__cgroups *c, const char *path, struct ks__cgroup *ret);

/*
 * What is known of an id. 0 or -ENOENT: no such cgroup, out of sight, or gone before it was ever
 * seen. -ENOMEM, -EMFILE. Cost: 2 us if known, else a walk: 5 us a cgroup.
 */
int ks__cgroups_describe(struct ks__cgroups *c, uint64_t id, struct ks__cgroup *ret);

/*
 * The label of an id out of the kernel's tables, which were read at read_ns: the same time for all
 * rows of a read. Walks for an unknown one, but not twice in a second and not again for one that a
 * later walk has not found: 10,000 rows cost one walk. 0; -ENOENT, and what it leaves untouched has
 * no name; -ENOMEM, -EMFILE. Cost: 0.1 us if known.
 */
int ks__cgroups_label(struct ks__cgroups *c, uint64_t id, uint64_t read_ns,
		      char ret_label[KS__CGROUP_LABEL]);

enum ks__cgroup_again {
	KS__CGROUP_SAME = 0,
	KS__CGROUP_MISSING = 1, /* nothing has this path now */
	KS__CGROUP_OTHER = 2,   /* removed and made again: another id */
};

/*
 * Is the cgroup of this path, as ks__cgroups_resolve() found it, still the one with this id?
 * ret_id, which may be NULL, is set with KS__CGROUP_OTHER alone. Cost: one system call.
 */
int ks__cgroups_again(const struct ks__cgroups *c, const char *path, uint64_t id,
		      uint64_t *ret_id);

/*
 * A descriptor of the folder of this cgroup, for questions to the kernel. -ENOENT: another one is there
 * now; -errno.
 */
int ks__cgroups_open_dir(const struct ks__cgroups *c, const char *path, uint64_t id);

/* Bytes of memory in use. */
size_t ks__cgroups_bytes(struct ks__cgroups *c);

#endif
