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
#include "../files/columns.h"
#include "../files/facts.h"
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

/* ---- processes ------------------------------------------------------------------------------- */

static int has_ended(int32_t pid)
{
	return kill(pid, 0) && errno == ESRCH;
}

/* Reports a file of a process that cannot be read now; any other error says something about it. */
static int check_file(struct ks *ks, int32_t pid, const char *name, int error)
{
	if (!ks__text_shortage(error))
		return 0;
	return ks__fail(ks, error, "%s/%d/%s: %s", ks->opts.proc_path, pid, name,
			ks_strerror(error));
}

/*
 * Checks that pid is a process and not a thread. kill() uses the caller's pid namespace. proc_path
 * may belong to another one, so it only serves to tell a thread from a process. *ret_shown: does
 * proc_path show the process?
 */
static int check_pid(struct ks *ks, int32_t pid, int *ret_shown)
{
	char path[64], text[2048];
	const char *tgid;
	int rc;

	if (pid <= 0)
		return ks__fail(ks, -EINVAL, "%d is not a process id", pid);
	if (has_ended(pid))
		return ks__fail(ks, -ESRCH, "there is no process %d", pid);
	snprintf(path, sizeof(path), "%d/status", pid);
	rc = ks__text_string(ks->proc_fd, path, text, sizeof(text));
	*ret_shown = rc > 0;
	if (rc <= 0)
		return check_file(ks, pid, "status", rc);
	tgid = strstr(text, "\nTgid:");
	if (tgid && atoi(tgid + 6) != pid)
		return ks__fail(ks, -ESRCH, "%d is a thread of process %d: name the process", pid,
				atoi(tgid + 6));
	return 0;
}

int ks__scope_start(struct ks *ks, const struct ks__scope *scope, int32_t pid, int shown,
		    uint64_t *ret_start)
{
	struct ks__stat stat;
	int error = ks__columns_read_stat(ks->proc_fd, pid, &stat);
	int is_gone = error == -ENOENT || error == -ESRCH;
	int rc = check_file(ks, pid, "stat", error);

	if (rc)
		return rc;
	if (!error)
		*ret_start = stat.column[KS__STAT_START];
	else if ((shown && is_gone) || (!scope->foreign && has_ended(pid)))
		*ret_start = KS__START_ENDED;
	else
		*ret_start = is_gone ? KS__START_HIDDEN : KS__START_UNKNOWN;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const int32_t *p = a, *q = b;

	return (*p > *q) - (*p < *q);
}

/* Copies pids in ascending order, each once. */
static int copy_pids(const int32_t *pids, uint32_t n, struct ks__scope *ret)
{
	ret->pids = malloc(n * sizeof(*ret->pids));
	ret->starts = malloc(n * sizeof(*ret->starts));
	if (!ret->pids || !ret->starts)
		return -ENOMEM;
	memcpy(ret->pids, pids, n * sizeof(*pids));
	qsort(ret->pids, n, sizeof(*pids), by_number);
	for (uint32_t i = 0; i < n; i++)
		if (!i || ret->pids[i] != ret->pids[ret->n_pids - 1])
			ret->pids[ret->n_pids++] = ret->pids[i];
	return 0;
}

static int take_pids(struct ks *ks, const struct ks_scope *scope, struct ks__scope *ret)
{
	int32_t self = getpid();
	const int32_t *pids = scope->pids;
	uint32_t n = scope->n_pids;
	int shown = 0, rc;

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
	rc = copy_pids(n ? pids : &self, n ? n : 1, ret);
	ret->foreign = !ks__facts_own_proc(ks->proc_fd);
	for (uint32_t i = 0; i < ret->n_pids && !rc; i++) {
		rc = check_pid(ks, ret->pids[i], &shown);
		if (!rc)
			rc = ks__scope_start(ks, ret, ret->pids[i], shown, &ret->starts[i]);
	}
	return rc;
}

void ks__scope_free(struct ks__scope *scope)
{
	free(scope->pids);
	free(scope->starts);
}

/* ---- cgroups --------------------------------------------------------------------------------- */

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

/* ---- any scope ------------------------------------------------------------------------------- */

int ks__scope_apply(struct ks *ks, const struct ks__scope *scope)
{
	int rc = 0;

	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i] && !rc; i++)
		rc = ks->sources[i]->ops->set_scope(ks->sources[i], scope);
	return rc;
}

/* Replaces the scope of the handle. The caller holds its lock. */
static int change(struct ks *ks, struct ks__scope *next)
{
	int rc = ks__own(ks);

	if (!rc)
		rc = ks__scope_apply(ks, next);
	if (rc)
		return rc;
	ks__scope_free(&ks->scope);
	ks->scope = *next;
	*next = (struct ks__scope){ 0 };
	ks__watch_begin(ks);
	for (uint32_t p = 0; p < KS__PROBES_MAX; p++) {
		struct ks__source *in_use = atomic_load(&ks->slots[p].source);

		if (in_use && in_use->ops->kind == KS_SOURCE_FILES && ks__is_on(&ks->slots[p]))
			ks__consumer_poke(ks);
	}
	return 0;
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
	if (!rc) {
		ks__lock(ks);
		rc = change(ks, &next);
		ks__unlock(ks);
	}
	ks__scope_free(&next);
	return ks__end(ks, begun, rc);
}
