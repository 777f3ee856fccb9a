/* SPDX-License-Identifier: BSD-2-Clause */
/* children.h - does the root of a tree have children already */
#ifndef KS_CHILDREN_H
#define KS_CHILDREN_H

#include <stdint.h>

/*
 * A process whose parent is one of the roots, or 0 if there is none. Those that `known` knows do not
 * count; NULL: none is known. Pids are those of the procfs at proc_fd.
 */
int32_t ks__children_find(int proc_fd, const int32_t *roots, uint32_t n,
			  int (*known)(void *user, int32_t pid), void *user);

#endif
