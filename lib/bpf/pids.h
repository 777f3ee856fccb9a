/* SPDX-License-Identifier: BSD-2-Clause */
/* pids.h - the map ks_pids: processes in scope, start time or 0 each */
#ifndef KS_PIDS_H
#define KS_PIDS_H

#include <stddef.h>
#include <stdint.h>

struct ks__pid {
	uint32_t pid;
	uint64_t start_ns; /* of a tree: 0 if the library put it there; else see KS_PID_TICK */
};

/* A snapshot; the caller frees. 0 or -errno. */
int ks__pids_list(int fd, struct ks__pid **ret_pids, size_t *ret_n);
int ks__pids_has(int fd, uint32_t pid);
/* 0, or -errno: -E2BIG when it is full. An entry that is there stays as it is. */
int ks__pids_add(int fd, const struct ks__pid *pid);
void ks__pids_delete(int fd, uint32_t pid);

#endif
