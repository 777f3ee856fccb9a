/* SPDX-License-Identifier: BSD-2-Clause */
/* scope.c - ks_set_scope(): which processes to watch */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/text.h"
#include "../files/cgroups.h"
#include "api.h"

#define PIDS_MAX 4096
#define COMM_MAX 15

static const char *const kinds[] = { "self", "tree", "pids", "cgroup", "system" };

static int take_comm(struct ks *ks, const char *what, const char *comm, int *ret_has,
		     char *ret_comm)
{
	if (!comm)
		return 0;
	if (strlen(comm) > COMM_MAX)
		return ks__fail(ks, -ENAMETOOLONG,
				"%s '%s' is too long: a thread's name has at most %d bytes", what,
				comm, COMM_MAX);
	*ret_has = 1;
	snprintf(ret_comm, 16, "%s", comm);
	return 0;
}

/*
 * Checks that pid is a process and not a thread. kill() uses the caller's pid namespace. proc_path
 * may belong to another one, so it only serves to tell a thread from a process.
 */
static int check_pid(struct ks *ks, int32_t pid)
{
	char path[64], text[2048];
	const char *tgid;
	int rc;

	if (pid <= 0)
		return ks__fail(ks, -EINVAL, "%d is not a process id", pid);
	if (kill(pid, 0) && errno == ESRCH)
		return ks__fail(ks, -ESRCH, "there is no process %d", pid);
	snprintf(path, sizeof(path), "%d/status", pid);
	rc = ks__text_string(ks->proc_fd, path, text, sizeof(text));
	if (ks__text_shortage(rc))
		return ks__fail(ks, rc, "%s/%s: %s", ks->opts.proc_path, path, ks_strerror(rc));
	if (rc <= 0)
		return 0;
	tgid = strstr(text, "\nTgid:");
	if (tgid && atoi(tgid + 6) != pid)
		return ks__fail(ks, -ESRCH, "%d is a thread of process %d: name the process", pid,
				atoi(tgid + 6));
	return 0;
}

static int take_pids(struct ks *ks, const struct ks_scope *scope, struct ks__scope *ret)
{
	int32_t self = getpid();
	const int32_t *pids = scope->pids;
	uint32_t n = scope->n_pids;

	if (scope->kind != KS_SCOPE_PIDS && scope->kind != KS_SCOPE_TREE) {
		if (n)
			return ks__fail(ks, -EINVAL, "a scope of kind %s takes no pids",
					kinds[scope->kind]);
		return 0;
	}
	if (n > PIDS_MAX || (n && !pids))
		return ks__fail(ks, -EINVAL,
				"%u pids: at most %d are possible, and pids must not be NULL", n,
				PIDS_MAX);
	if (!n) {
		pids = &self;
		n = 1;
	}
	for (uint32_t i = 0; i < n; i++) {
		int rc = check_pid(ks, pids[i]);

		if (rc)
			return rc;
	}
	ret->pids = malloc(n * sizeof(*pids));
	if (!ret->pids)
		return -ENOMEM;
	memcpy(ret->pids, pids, n * sizeof(*pids));
	ret->n_pids = n;
	return 0;
}

static int take_cgroup(struct ks *ks, const struct ks_scope *scope, struct ks__scope *ret)
{
	struct ks__cgroups *cgroups;
	struct ks__cgroup found;
	int rc = 0;

	if (scope->kind != KS_SCOPE_CGROUP) {
		if (scope->cgroup)
			return ks__fail(ks, -EINVAL, "a scope of kind %s takes no cgroup",
					kinds[scope->kind]);
		return 0;
	}
	if (!scope->cgroup)
		return ks__fail(ks, -EINVAL, "scope of kind cgroup: set `cgroup` to its directory");
	cgroups = ks__cgroups_of(ks, &rc);
	if (!cgroups && rc != -ENOENT)
		return rc;
	if (!cgroups)
		return ks__fail(ks, -KS_EUNAVAIL, "no cgroup hierarchy is mounted below %s",
				ks->opts.sys_path);
	rc = ks__cgroups_resolve(cgroups, scope->cgroup, &found);
	if (rc == -EXDEV)
		return ks__fail(ks, rc,
				"%s belongs to another hierarchy than the memory controller's: use "
				"the cgroup below %s",
				scope->cgroup, ks__cgroups_mount(cgroups));
	if (rc)
		return ks__fail(ks, rc, "there is no cgroup %s below %s (%s)", scope->cgroup,
				ks__cgroups_mount(cgroups), ks_error_name(rc));
	ret->cgroup = found.id;
	snprintf(ret->cgroup_path, sizeof(ret->cgroup_path), "%s", found.path);
	return 0;
}

/* Sources may refuse in try_scope(), before the first one leaves the old scope. */
int ks__scope_apply(struct ks *ks, const struct ks__scope *scope)
{
	int rc = 0;

	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i] && !rc; i++)
		if (ks->sources[i]->ops->try_scope)
			rc = ks->sources[i]->ops->try_scope(ks->sources[i], scope);
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i] && !rc; i++)
		rc = ks->sources[i]->ops->set_scope(ks->sources[i], scope);
	return rc;
}

int ks_set_scope(struct ks *ks, const struct ks_scope *scope)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	struct ks_scope s = { .size = sizeof(s) };
	struct ks__scope next = { 0 };
	int rc = 0;

	if (scope)
		rc = ks__opts_in(&s, sizeof(s), scope);
	if (rc)
		return ks__fail(ks, rc, "ks_scope: size %zu must be 8 or more, bytes after %zu 0",
				scope->size, sizeof(s));
	if (s.kind > KS_SCOPE_SYSTEM)
		return ks__fail(
			ks, -EINVAL,
			"there is no scope of kind %u: use KS_SCOPE_SELF, _TREE, _PIDS, _CGROUP "
			"or _SYSTEM",
			s.kind);
	next.kind = s.kind;
	rc = take_comm(ks, "comm", s.comm, &next.has_comm, next.comm);
	if (!rc)
		rc = take_comm(ks, "exclude_comm", s.exclude_comm, &next.has_exclude, next.exclude);
	if (!rc)
		rc = take_cgroup(ks, &s, &next);
	if (!rc)
		rc = take_pids(ks, &s, &next);
	if (rc)
		return ks__end(ks, begun, rc);
	ks__lock(ks);
	rc = ks__own(ks);
	if (!rc)
		rc = ks__scope_apply(ks, &next);
	if (!rc) {
		free(ks->scope.pids);
		ks->scope = next;
		next.pids = NULL;
		ks__watch_begin(ks);
		for (uint32_t p = 0; p < KS__PROBES_MAX; p++) {
			struct ks__source *in_use = atomic_load(&ks->slots[p].source);

			if (in_use && in_use->ops->kind == KS_SOURCE_FILES &&
			    ks__is_on(&ks->slots[p]))
				ks__consumer_poke(ks);
		}
	}
	ks__unlock(ks);
	free(next.pids);
	return ks__end(ks, begun, rc);
}
