/* SPDX-License-Identifier: BSD-2-Clause */
/* member.h - is a process in a cgroup or below it */
#ifndef KS_MEMBER_H
#define KS_MEMBER_H

#include <stddef.h>
#include <stdint.h>

/*
 * The path in the text of /proc/PID/cgroup of the hierarchy that has the memory controller: on v1 if
 * a line names it, else on v2. *ret_length; NULL if there is none.
 */
const char *ks__member_path(const char *text, size_t length, size_t *ret_length);

/* 1: it is in the cgroup of that path or below; 0: elsewhere; -errno: gone, or not to be read. */
int ks__member_below(int proc_fd, int32_t pid, const char *cgroup);

#endif
