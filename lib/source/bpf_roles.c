/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_roles.c - roles of threads: kernel programs look them up in ks_roles by tid and start time */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../files/columns.h"
#include "../base/text.h"
#include "bpf.h"

#define AT_ONCE 64 /* roles for each hold of the lock, about 0.1 ms */

/*
 * Walks from the last role down and releases the lock in between. A role that is set meanwhile goes
 * into the map at once. A role that is removed meanwhile gives its place to the last one, which is
 * in the map already. So no role is left out.
 */
int ks__bpf_fill_roles(struct ks__bpf *b)
{
	struct ks__map *map = ks__maps_find(&b->maps, "ks_roles");
	pthread_mutex_t *lock = &b->base.ks->roles_lock;
	unsigned left;
	int rc = 0;

	if (!map)
		return -ENOENT;
	pthread_mutex_lock(lock);
	b->roles_fd = map->fd;
	b->roles_control = b->control.map;
	left = b->n_roles;
	while (left && !rc) {
		left = left < b->n_roles ? left : b->n_roles;
		for (unsigned i = 0; i < AT_ONCE && left && !rc; i++)
			rc = ks__roles_put(map->fd, &b->roles[--left]);
		pthread_mutex_unlock(lock);
		pthread_mutex_lock(lock);
	}
	pthread_mutex_unlock(lock);
	return rc;
}

void ks__bpf_leave_roles(struct ks__bpf *b)
{
	pthread_mutex_lock(&b->base.ks->roles_lock);
	b->roles_fd = -1;
	b->roles_control = NULL;
	pthread_mutex_unlock(&b->base.ks->roles_lock);
}

/* Is the thread of this role still alive? */
static int lives(const struct ks *ks, const struct ks__thread_role *r)
{
	struct ks__stat stat;
	int rc = ks__columns_read_stat(ks->proc_fd, r->tid, &stat);

	if (rc) /* it cannot be read now: the thread may live */
		return rc != -ENOENT && rc != -ESRCH;
	return stat.column[KS__STAT_START] == r->ticks;
}

static void drop(struct ks__bpf *b, int fd, unsigned i)
{
	if (fd >= 0)
		ks__roles_delete(fd, b->roles[i].tid);
	b->roles[i] = b->roles[--b->n_roles];
}

/* Makes room for one more role: drops the roles of threads that have ended. */
static int make_room(struct ks__bpf *b, int fd)
{
	if (!b->roles)
		b->roles = malloc(KS__ROLES_MAX * sizeof(*b->roles));
	if (!b->roles)
		return -ENOMEM;
	if (b->n_roles < KS__ROLES_MAX)
		return 0;
	for (unsigned i = b->n_roles; i--;)
		if (!lives(b->base.ks, &b->roles[i]))
			drop(b, fd, i);
	if (b->n_roles < KS__ROLES_MAX)
		return 0;
	return ks__fail(b->base.ks, -ENOSPC,
			"%d live threads have roles: take one back first (role NULL)",
			KS__ROLES_MAX);
}

int ks__bpf_set_role(struct ks__source *s, int32_t tid, uint32_t role, uint64_t ticks)
{
	struct ks__bpf *b = ks__bpf_of(s);
	int fd = b->roles_fd, rc = 0;

	for (unsigned i = 0; i < b->n_roles; i++)
		if (b->roles[i].tid == tid) {
			drop(b, fd, i);
			break;
		}
	if (role) {
		rc = make_room(b, fd);
		if (!rc)
			b->roles[b->n_roles++] = (struct ks__thread_role){ tid, role, ticks };
		if (!rc && fd >= 0)
			rc = ks__roles_put(fd, &b->roles[b->n_roles - 1]);
		if (rc && b->n_roles && b->roles[b->n_roles - 1].tid == tid)
			b->n_roles--; /* else the next load would put it into the map */
	}
	if (b->roles_control)
		__atomic_fetch_add(&b->roles_control->roles, 1, __ATOMIC_RELEASE);
	return rc;
}
