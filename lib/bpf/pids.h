/* SPDX-License-Identifier: BSD-2-Clause */
/* pids.h - the map ks_pids: processes in scope, each with its start time or 0 */
#ifndef KS_PIDS_H
#define KS_PIDS_H

#include <stddef.h>
#include <stdint.h>

struct ks__pid {
	uint32_t pid;
	uint64_t start_ns; /* in a tree scope: 0 if the library added it; else see KS_PID_TICK */
};

/* Copies the entries; the caller frees *ret_pids. 0 or -errno. */
int ks__pids_list(int fd, struct ks__pid **ret_pids, size_t *ret_n);
int ks__pids_has(int fd, uint32_t pid);
/* Adds an entry; leaves an existing one unchanged. 0, or -errno: -E2BIG when the map is full. */
int ks__pids_add(int fd, const struct ks__pid *pid);
void ks__pids_delete(int fd, uint32_t pid);

#endif
