/* SPDX-License-Identifier: BSD-2-Clause */
/* roles.h - the map ks_roles: roles of threads by tid */
#ifndef KS_ROLES_H
#define KS_ROLES_H

#include <stdint.h>

#define KS__ROLES_MAX 4096 /* entries of ks_roles */

struct ks__thread_role {
	int32_t tid;
	uint32_t role;
	uint64_t ticks; /* start time of the thread in clock ticks, as in /proc/PID/stat */
};

/* 0 or -errno. */
int ks__roles_put(int fd, const struct ks__thread_role *role);
void ks__roles_delete(int fd, int32_t tid);

#endif
