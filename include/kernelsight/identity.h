/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * identity.h - whose the numbers are: roles of threads, cgroups and their containers
 *
 * The rules of kernelsight.h hold.
 */
#ifndef KERNELSIGHT_IDENTITY_H
#define KERNELSIGHT_IDENTITY_H

#include <kernelsight/kernelsight.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KS_ROLE_MAX 64  /* names of roles in a handle */
#define KS_ROLE_NAME 32 /* bytes of a name, NUL included */

/*
 * ks_thread_role - say what a thread is for: statistics can be read by it (KS_BY_ROLE)
 *
 * What it counts from its next event on. Ends with the thread: a new thread of the same number has
 * none. Threads do not inherit it. The thread may be one of another process in scope: a supervisor
 * names the threads of its workers.
 * @tid: as the caller sees it; 0: the calling thread
 * @role: 1 to 31 bytes of a-z 0-9 . _ -; NULL: none any more
 * Returns the number of the role, the key of its row, 1 to 64; 0 for NULL. A name keeps its number.
 * Errors: -ESRCH (no such thread), -EINVAL, -ENAMETOOLONG, -ENOSPC (KS_ROLE_MAX names, or 4096
 *   threads that live), -KS_EUNAVAIL (proc_path is of another pid namespace), -KS_EFORKED.
 * Cost: microseconds: reads when the thread was started from /proc. Never waits for a thread that
 *   loads, enables or configures; the 4097th looks which of the others still live, 80 ms. Since: 0.1
 */
KS_API int ks_thread_role(struct ks *ks, int32_t tid, const char *role);

enum ks_cgroup_flag {
	KS_CGROUP_IN_CONTAINER = 1 << 0, /* in one, even where its id is not known */
	KS_CGROUP_OWN = 1 << 1,          /* the caller's own container, known by its mounts */
	KS_CGROUP_GONE = 1 << 2,         /* removed; the rest is what was known of it */
};

/* Texts end with NUL and are empty if not known. */
struct ks_cgroup_info {
	size_t size;       /*    0 */
	uint64_t id;       /*    8 */
	uint32_t flags;    /*   16 ks_cgroup_flag */
	uint32_t reserved; /*   20 */
	char path[1024];   /*   24 from the root of the hierarchy, as far as the caller sees it */
	char container[80];/* 1048 as its runtime names it: mostly 64 hex digits */
	char runtime[16];  /* 1128 docker, containerd, cri-o, podman, lxc, systemd-nspawn, ... */
	char pod_uid[72];  /* 1144 of Kubernetes, with dashes; of podman the pod's id */
};                         /* 1216 */

/*
 * ks_describe_cgroup - what is behind a cgroup id: path, container, pod
 *
 * Cgroups are those of the memory controller's hierarchy everywhere: v2 where the controller is
 * there, v1 on hybrid hosts (ks_check() says which).
 * @id: ks_event.cgroup, or ks_row.key of a row by cgroup
 * @ret_info: set size first
 * Returns 0. Errors: -ENOENT (no such cgroup, not visible from here, or gone before it was seen),
 *   -KS_EUNAVAIL (no cgroup hierarchy is mounted), -EINVAL, -ENOMEM, -EMFILE, -KS_EFORKED.
 * Cost: 2 us; an id not seen before: a walk over the hierarchy, 5 us a cgroup. Since: 0.1
 */
KS_API int ks_describe_cgroup(struct ks *ks, uint64_t id, struct ks_cgroup_info *ret_info);

#ifdef __cplusplus
}
#endif
#endif
