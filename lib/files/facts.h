/* SPDX-License-Identifier: BSD-2-Clause */
/* facts.h - reads facts about this process and this machine from the kernel; caches nothing */
#ifndef KS_FACTS_H
#define KS_FACTS_H

#include <stddef.h>
#include <stdint.h>

/* Reads a number from the calling thread's status in procfs. 0; -ENOENT: no such line; -errno. */
int ks__facts_status(int proc_fd, const char *key, int base, uint64_t *ret_value);

/* Effective capabilities of the calling thread, 1 << CAP_... Returns 0 or -errno. */
int ks__facts_caps(uint64_t *ret_caps);

/* Mode of kernel lockdown: "none", "integrity", "confidentiality"; "" and -errno: unknown. */
int ks__facts_lockdown(int sys_fd, char *buf, size_t size);

/* The cgroup version that has the memory controller: 1 or 2; 0: neither; -errno. */
int ks__facts_memcg(int proc_fd);

/* The security modules of the kernel: "lockdown,capability,apparmor". Length, or -errno. */
int ks__facts_modules(int sys_fd, char *buf, size_t size);
/* The AppArmor profile or SELinux context of this process. Length; 0: unconfined; -errno. */
int ks__facts_confinement(int proc_fd, char *buf, size_t size);
/*
 * Capabilities that this thread has but that AppArmor denies (ks__facts_caps() leaves them out),
 * and the profile that denies them. 0: none, and profile is "".
 */
uint64_t ks__facts_withheld(int proc_fd, char *profile, size_t size);

/* Does this kernel support the file system `name`? 1, 0 or -errno. */
int ks__facts_filesystem(int proc_fd, const char *name);

/*
 * Does this procfs hide processes of other users from the caller (hidepid)? The test: the caller's
 * own process can be read, but process 1, which every pid namespace has, cannot. 1 or 0.
 */
int ks__facts_hides(int proc_fd);

/*
 * Is this procfs one of the caller's pid namespace? 1, also without procfs; 0: its pids are those
 * of another namespace.
 */
int ks__facts_own_proc(int proc_fd);

#endif
