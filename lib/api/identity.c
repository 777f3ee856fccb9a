/* SPDX-License-Identifier: BSD-2-Clause */
/* identity.c - roles of threads, names of cgroups */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <kernelsight/identity.h>

#include "../files/cgroups.h"
#include "../files/columns.h"
#include "../files/facts.h"
#include "../base/text.h"
#include "api.h"

_Static_assert((int)KS_CGROUP_IN_CONTAINER == KS__CGROUP_IN_CONTAINER &&
		       (int)KS_CGROUP_OWN == KS__CGROUP_OWN &&
		       (int)KS_CGROUP_GONE == KS__CGROUP_GONE,
	       "KS_CGROUP_... and KS__CGROUP_... must have the same values");

/* ---- roles ----------------------------------------------------------------------------------- */

static int check_role(struct ks *ks, const char *role)
{
	size_t n = strlen(role);

	if (n >= KS_ROLE_NAME)
		return ks__fail(ks, -ENAMETOOLONG, "role \"%.40s...\" has %zu bytes: at most %d",
				role, n, KS_ROLE_NAME - 1);
	if (!n || strspn(role, "abcdefghijklmnopqrstuvwxyz0123456789._-") != n)
		return ks__fail(ks, -EINVAL, "role \"%s\": use one or more of a-z 0-9 . _ -", role);
	return 0;
}

/* Returns the number of a role name, or an error. Names are only added, so readers need no lock. */
static int role_number(struct ks *ks, const char *role)
{
	unsigned n = atomic_load(&ks->n_roles);

	for (unsigned i = 0; i < n; i++)
		if (!strcmp(ks->roles[i], role))
			return (int)i + 1;
	if (n == KS_ROLE_MAX)
		return ks__fail(ks, -ENOSPC,
				"role \"%s\": a handle has room for %d role names, all are used",
				role, KS_ROLE_MAX);
	snprintf(ks->roles[n], sizeof(ks->roles[n]), "%s", role);
	atomic_store(&ks->n_roles, n + 1);
	return (int)n + 1;
}

void ks__role_name(struct ks *ks, uint32_t role, char *buf, size_t size)
{
	if (role - 1 < atomic_load(&ks->n_roles))
		snprintf(buf, size, "%s", ks->roles[role - 1]);
}

/* Reads the thread's start time in clock ticks: together, thread id and start time are unique. */
static int thread_start(struct ks *ks, int32_t tid, uint64_t *ret_ticks)
{
	struct ks__stat stat;
	int rc = ks__columns_read_stat(ks->proc_fd, tid, &stat);

	if (rc == -ENOENT || rc == -ESRCH)
		return ks__fail(ks, -ESRCH, "there is no thread %d", tid);
	if (rc == -EINVAL || rc == -ERANGE)
		return ks__fail(ks, -EINVAL, "%s/%d/stat has an unknown format", ks->opts.proc_path,
				tid);
	if (rc)
		return ks__fail(ks, rc, "%s/%d/stat: %s", ks->opts.proc_path, tid, ks_strerror(rc));
	*ret_ticks = stat.column[KS__STAT_START];
	return 0;
}

/* The caller holds roles_lock. Returns the role's number, 0 for none, or an error. */
static int set_role(struct ks *ks, int32_t tid, const char *role, uint64_t ticks)
{
	unsigned n_roles = atomic_load(&ks->n_roles);
	int number = role ? role_number(ks, role) : 0, rc = number < 0 ? number : 0;

	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i] && !rc; i++)
		if (ks->sources[i]->ops->set_role)
			rc = ks->sources[i]->ops->set_role(ks->sources[i], tid, (uint32_t)number,
							   ticks);
	if (!rc)
		return number;
	atomic_store(&ks->n_roles, n_roles); /* removes a name that this call has added */
	return rc;
}

static int find_thread(struct ks *ks, int32_t tid, uint64_t *ret_ticks)
{
	if (!ks__facts_own_proc(ks->proc_fd))
		return ks__fail(ks, -KS_EUNAVAIL,
				"%s belongs to another pid namespace than this process, so the "
				"threads of this process cannot be found there",
				ks->opts.proc_path);
	return thread_start(ks, tid, ret_ticks);
}

int ks_thread_role(struct ks *ks, int32_t tid, const char *role)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	int rc = role ? check_role(ks, role) : 0;
	uint64_t ticks = 0;

	if (rc)
		return ks__end(ks, begun, rc);
	if (tid < 0)
		return ks__fail(ks, -EINVAL, "%d is not a thread id", tid);
	if (!tid)
		tid = (int32_t)syscall(SYS_gettid);
	rc = ks__own(ks);
	if (!rc)
		rc = find_thread(ks, tid, &ticks);
	if (rc)
		return ks__end(ks, begun, rc);
	pthread_mutex_lock(&ks->roles_lock);
	rc = set_role(ks, tid, role, ticks);
	pthread_mutex_unlock(&ks->roles_lock);
	return ks__end(ks, begun, rc);
}

/* ---- cgroups --------------------------------------------------------------------------------- */

/* Opens the cgroups at the first call. */
struct ks__cgroups *ks__cgroups_of(struct ks *ks, int *ret_error)
{
	struct ks__cgroups *cgroups;

	pthread_mutex_lock(&ks->cgroups_lock);
	if (!ks->cgroups) {
		int rc = ks__cgroups_open(ks->proc_fd, ks->opts.sys_path, &cgroups);

		if (!rc && (rc = ks__cgroups_keep(cgroups, &ks->fds)))
			ks__cgroups_close(cgroups);
		if (!rc)
			ks->cgroups = cgroups;
		else if (ret_error)
			*ret_error = rc;
	}
	cgroups = ks->cgroups;
	pthread_mutex_unlock(&ks->cgroups_lock);
	return cgroups;
}

void ks__cgroup_name(struct ks__cgroups *cgroups, uint64_t id, uint64_t read_ns, char name[32])
{
	if (ks__cgroups_label(cgroups, id, read_ns, name))
		name[0] = '\0';
}

int ks_describe_cgroup(struct ks *ks, uint64_t id, struct ks_cgroup_info *ret_info)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	struct ks_cgroup_info info = { .size = sizeof(info), .id = id };
	struct ks__cgroups *cgroups;
	struct ks__cgroup found;
	int rc;

	if (!ret_info || ret_info->size < sizeof(ret_info->size))
		return ks__end(ks, begun, -EINVAL);
	rc = ks__own(ks);
	if (rc)
		return ks__end(ks, begun, rc);
	cgroups = ks__cgroups_of(ks, &rc);
	if (!cgroups)
		return rc != -ENOENT ?
			       ks__end(ks, begun, rc) :
			       ks__fail(ks, -KS_EUNAVAIL, "no cgroup hierarchy is mounted below %s",
					ks->opts.sys_path);
	rc = ks__cgroups_describe(cgroups, id, &found);
	if (rc == -ENOENT)
		return ks__fail(ks, rc, "no cgroup below %s has the id %llu",
				ks__cgroups_mount(cgroups), (unsigned long long)id);
	if (rc)
		return ks__end(ks, begun, rc);
	info.flags = found.flags;
	memcpy(info.path, found.path, sizeof(info.path));
	memcpy(info.container, found.in.id, sizeof(info.container));
	memcpy(info.runtime, found.in.runtime, sizeof(info.runtime));
	memcpy(info.pod_uid, found.in.pod_uid, sizeof(info.pod_uid));
	return ks__end(ks, begun, ks__opts_out(ret_info, &info, sizeof(info)));
}
