/* SPDX-License-Identifier: BSD-2-Clause */
/* facts.h - what the kernel says of this process and this machine, asked anew by each call */
#ifndef KS_FACTS_H
#define KS_FACTS_H

#include <stddef.h>
#include <stdint.h>

/* A number of the calling thread's status in procfs, of that base. 0, -ENOENT: no such line, or -errno. */
int ks__facts_status(int proc_fd, const char *key, int base, uint64_t *ret_value);

/* Effective capabilities of the calling thread, 1 << CAP_...; 0 or -errno. */
int ks__facts_caps(uint64_t *ret_caps);

/* The mode of kernel lockdown: "none", "integrity", "confidentiality"; "" and -errno if not known. */
int ks__facts_lockdown(int sys_fd, char *buf, size_t size);

/* The version of cgroups that has the memory controller: 1 or 2; 0 if none has it; -errno. */
int ks__facts_memcg(int proc_fd);

/* The security modules of the kernel, "lockdown,capability,apparmor". The length or -errno. */
int ks__facts_modules(int sys_fd, char *buf, size_t size);
/* What confines this process: an AppArmor profile, an SELinux context. 0: nothing, or -errno. */
int ks__facts_confinement(int proc_fd, char *buf, size_t size);
/*
 * Capabilities that this thread was given and AppArmor keeps from it, of which ks__facts_caps() knows
 * nothing, and the profile that does it. 0: none, and profile is "".
 */
uint64_t ks__facts_withheld(int proc_fd, char *profile, size_t size);

/* Does this kernel have that kind of file system? 1, 0 or -errno. */
int ks__facts_filesystem(int proc_fd, const char *name);

/*
 * Does this procfs hide processes of others from the caller (hidepid)? Process 1, which is in each
 * pid namespace, cannot be read, though the caller itself can. 1 or 0.
 */
int ks__facts_hides(int proc_fd);

/*
 * Are the numbers of this procfs those of the caller's pid namespace? 1, also if there is no procfs to
 * be asked; 0: those of another one.
 */
int ks__facts_own_proc(int proc_fd);

#endif
