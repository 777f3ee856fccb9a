/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>

#include <bpf/bpf.h>

#include "answer.h"
#include "pids.h"

int ks__pids_has(int fd, uint32_t pid)
{
	uint64_t start;

	return !bpf_map_lookup_elem(fd, &pid, &start);
}

int ks__pids_add(int fd, const struct ks__pid *pid)
{
	int rc = ks__map_put(fd, &pid->pid, &pid->start_ns, BPF_NOEXIST);

	return rc == -EEXIST ? 0 : rc;
}

void ks__pids_delete(int fd, uint32_t pid)
{
	bpf_map_delete_elem(fd, &pid);
}

/* Programs may insert and delete meanwhile: the list may have a pid twice, or one that is gone. */
int ks__pids_list(int fd, struct ks__pid **ret_pids, size_t *ret_n)
{
	struct ks__pid *pids = NULL;
	uint32_t key, previous;
	size_t n = 0, room = 0;

	while (!bpf_map_get_next_key(fd, n ? &previous : NULL, &key)) {
		if (n == room) {
			struct ks__pid *more;

			room = room ? room * 2 : 64;
			more = room > 1u << 20 ? NULL : realloc(pids, room * sizeof(*pids));
			if (!more) {
				free(pids);
				return -ENOMEM;
			}
			pids = more;
		}
		pids[n].pid = key;
		if (bpf_map_lookup_elem(fd, &key, &pids[n].start_ns))
			pids[n].start_ns = 0;
		previous = key;
		n++;
	}
	*ret_pids = pids;
	*ret_n = n;
	return 0;
}
