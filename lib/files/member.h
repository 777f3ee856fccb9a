/* SPDX-License-Identifier: BSD-2-Clause */
/* member.h - tests whether a process is in a cgroup or below it */
#ifndef KS_MEMBER_H
#define KS_MEMBER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Finds the path of the memory controller's hierarchy in the text of /proc/PID/cgroup: that of v1
 * if a line names the controller, else that of v2. The path has *ret_length bytes. NULL: none.
 */
const char *ks__member_path(const char *text, size_t length, size_t *ret_length);

/* 1: the process is in the cgroup or below it; 0: elsewhere; -errno: gone, or cannot be read. */
int ks__member_below(int proc_fd, int32_t pid, const char *cgroup);

#endif
