/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * identity.h - names for rows and records: roles of threads, cgroups and their containers
 *
 * The rules of kernelsight.h hold.
 */
#ifndef KERNELSIGHT_IDENTITY_H
#define KERNELSIGHT_IDENTITY_H

#include <kernelsight/kernelsight.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KS_ROLE_MAX 64  /* different roles in a handle */
#define KS_ROLE_NAME 32 /* bytes of a role's name, with NUL */

/*
 * ks_thread_role - name the job of a thread, so that statistics can be grouped by role (KS_BY_ROLE)
 *
 * The role holds from the thread's next event until the thread ends: a new thread with the same
 * number has no role. Threads do not inherit a role. The thread may belong to another process in
 * scope: a supervisor can name the threads of its workers.
 * @tid: as the caller sees it; 0: the calling thread
 * @role: 1 to 31 bytes of a-z 0-9 . _ -; NULL: remove the thread's role
 * Returns the number of the role, 1 to 64, which is ks_row.key of its row; 0 for NULL. The same
 *   name always gets the same number.
 * Errors: -ESRCH (no such thread), -EINVAL, -ENAMETOOLONG, -ENOSPC (KS_ROLE_MAX names in use, or
 *   4096 living threads have a role), -ENOMEM, -KS_EUNAVAIL (proc_path shows another pid
 *   namespace), -KS_EFORKED.
 * Cost: 10 to 50 us: it reads the start time of the thread from /proc. It never waits for a thread
 *   that loads, enables or configures. If 4096 threads have a role, it first finds out which of
 *   them still live, which takes 80 ms. Since: 0.1
 */
KS_API int ks_thread_role(struct ks *ks, int32_t tid, const char *role);

enum ks_cgroup_flag {
	KS_CGROUP_IN_CONTAINER = 1 << 0, /* in a container, even if its id is not known */
	KS_CGROUP_OWN = 1 << 1,          /* the caller's own container, recognized by its mounts */
	KS_CGROUP_GONE = 1 << 2,         /* removed; the other members are what was known before */
};

/* Texts end with NUL. Unknown texts are empty. */
struct ks_cgroup_info {
	size_t size;       /*    0 */
	uint64_t id;       /*    8 */
	uint32_t flags;    /*   16 ks_cgroup_flag */
	uint32_t reserved; /*   20 */
	char path[1024];   /*   24 from the root of the hierarchy, as the caller sees it */
	char container[80];/* 1048 the runtime's id of it: mostly 64 hex digits */
	char runtime[16];  /* 1128 docker, containerd, cri-o, podman, lxc, systemd-nspawn, ... */
	char pod_uid[72];  /* 1144 Kubernetes: UID with dashes; podman: id of the pod */
};                         /* 1216 */

/*
 * ks_describe_cgroup - path, container and pod of a cgroup id
 *
 * Everywhere in this library a cgroup is one of the memory controller's hierarchy: v2 if the
 * controller is there, v1 on hybrid hosts (ks_check() says which).
 * @id: ks_event.cgroup, or ks_row.key of a row by cgroup
 * @ret_info: set size first
 * Returns 0.
 * Errors: -ENOENT (no such cgroup, not visible from here, or removed before the library saw it),
 *   -KS_EUNAVAIL (no cgroup hierarchy is mounted), -EINVAL, -ENOMEM, -EMFILE, -KS_EFORKED.
 * Cost: 2 us. An id that is new to the library needs a walk of the hierarchy, 5 us for each cgroup.
 * Since: 0.1
 */
KS_API int ks_describe_cgroup(struct ks *ks, uint64_t id, struct ks_cgroup_info *ret_info);

#ifdef __cplusplus
}
#endif
#endif
