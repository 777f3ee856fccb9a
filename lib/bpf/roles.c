/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include <bpf/bpf.h>

#include "../../bpf/shared.h"
#include "answer.h"
#include "roles.h"

int ks__roles_put(int fd, const struct ks__thread_role *role)
{
	struct ks_bpf_role value = { .role = role->role, .ticks = role->ticks };
	uint32_t tid = (uint32_t)role->tid;

	return ks__map_put(fd, &tid, &value, BPF_ANY);
}

void ks__roles_delete(int fd, int32_t tid)
{
	uint32_t key = (uint32_t)tid;

	bpf_map_delete_elem(fd, &key);
}
