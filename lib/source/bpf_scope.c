/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf_scope.c - whom to watch: the words in ks_control, the map ks_pids, and the programs that
 * enrol the children of a tree
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../bpf/pids.h"
#include "../files/children.h"
#include "bpf.h"

_Static_assert((int)KS_BPF_SCOPE_SELF == KS_SCOPE_SELF && (int)KS_BPF_SCOPE_TREE == KS_SCOPE_TREE &&
		       (int)KS_BPF_SCOPE_PIDS == KS_SCOPE_PIDS &&
		       (int)KS_BPF_SCOPE_SYSTEM == KS_SCOPE_SYSTEM,
	       "one numbering");

static void convert(const struct ks__bpf *b, const struct ks__scope *scope,
		    struct ks_bpf_scope *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->kind = scope->kind;
	ret->self = (uint32_t)getpid();
	ret->also = b->control.scope.also;
	if (scope->has_comm)
		ret->flags |= KS_SCOPE_HAS_COMM;
	if (scope->has_exclude)
		ret->flags |= KS_SCOPE_HAS_EXCLUDE;
	strncpy((char *)ret->comm, scope->comm, sizeof(ret->comm));
	strncpy((char *)ret->exclude, scope->exclude, sizeof(ret->exclude));
}

/* ---- the map --------------------------------------------------------------------------------- */

static int pids_fd(struct ks__bpf *b)
{
	struct ks__map *map = ks__maps_find(&b->maps, "ks_pids");

	return map ? map->fd : -1;
}

static int is_named(const int32_t *pids, uint32_t n, uint32_t pid)
{
	for (uint32_t i = 0; i < n; i++)
		if ((uint32_t)pids[i] == pid)
			return 1;
	return 0;
}

static int is_old(const struct ks__pid *old, size_t n, uint32_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (old[i].pid == pid)
			return 1;
	return 0;
}

/* Takes back the pids that are not among the old ones. */
static void take_back(int fd, const int32_t *pids, uint32_t n, const struct ks__pid *old,
		      size_t n_old)
{
	for (uint32_t i = 0; i < n; i++)
		if (!is_old(old, n_old, (uint32_t)pids[i]))
			ks__pids_delete(fd, (uint32_t)pids[i]);
}

static int add_all(int fd, const int32_t *pids, uint32_t n)
{
	int rc = 0;

	for (uint32_t i = 0; i < n && !rc; i++) {
		struct ks__pid pid = { (uint32_t)pids[i], 0 };

		rc = ks__pids_add(fd, &pid);
	}
	return rc;
}

/*
 * Deletes what is not named. Children may be enrolled meanwhile, by parents that are not deleted
 * yet: again until there is nothing to delete.
 */
static void sweep(int fd, const int32_t *pids, uint32_t n)
{
	for (unsigned turn = 0, found = 1; found && turn < 64; turn++) {
		struct ks__pid *now = NULL;
		size_t n_now = 0;

		found = 0;
		if (ks__pids_list(fd, &now, &n_now))
			return;
		for (size_t i = 0; i < n_now; i++) {
			if (is_named(pids, n, now[i].pid))
				continue;
			ks__pids_delete(fd, now[i].pid);
			found = 1;
		}
		free(now);
	}
}

int ks__bpf_fill_pids(struct ks__bpf *b)
{
	int fd = pids_fd(b);

	if (!b->n_pids)
		return 0;
	return fd < 0 ? -ENOENT : add_all(fd, b->pids, b->n_pids);
}

/* ---- a tree ---------------------------------------------------------------------------------- */

static int is_enrolled(void *user, int32_t pid)
{
	return ks__pids_has(pids_fd(user), (uint32_t)pid);
}

/* Why no program can enrol children: of the best way. */
static int no_tree(struct ks__bpf *b, char *why, size_t size)
{
	const struct ks__bpf_user *u = &b->users[KS__BPF_TREE];

	snprintf(why, size, "a tree cannot be followed by kernel programs: %.200s",
		 b->error  ? b->reason :
		 u->n_ways ? u->ways[0].note.reason :
			     "");
	return -KS_EUNAVAIL;
}

static int is_watching(const struct ks__bpf *b)
{
	for (uint32_t u = 0; u < KS__PROBES_MAX; u++)
		if (b->users[u].way >= 0)
			return 1;
	return 0;
}

/*
 * Roots in, what else is in the map out, then the flip: from here on the programs enrol. Only then
 * are children looked for, so that none slips in between. A failure puts everything back.
 */
static int enter_tree(struct ks__bpf *b, const struct ks__scope *scope,
		      const struct ks_bpf_scope *next)
{
	const struct ks_bpf_scope before = b->control.scope;
	int fd = pids_fd(b), rc;
	struct ks__pid *old = NULL;
	size_t n_old = 0;
	int32_t stray;

	rc = ks__pids_list(fd, &old, &n_old);
	if (!rc)
		rc = add_all(fd, scope->pids, scope->n_pids);
	if (rc) {
		take_back(fd, scope->pids, scope->n_pids, old, n_old);
		free(old);
		return ks__fail(b->base.ks, rc, "the map of processes has no room (%s)",
				ks_error_name(rc));
	}
	sweep(fd, scope->pids, scope->n_pids);
	ks__control_scope(&b->control, next);
	stray = ks__children_find(b->base.ks->proc_fd, scope->pids, scope->n_pids, is_enrolled, b);
	if (stray) {
		for (size_t i = 0; i < n_old; i++)
			ks__pids_add(fd, &old[i]);
		ks__control_scope(&b->control, &before);
		take_back(fd, scope->pids, scope->n_pids, old, n_old);
		rc = ks__fail(
			b->base.ks, -KS_EUNAVAIL,
			"process %d is a child already: set the scope "
			"before the root of a tree starts others (fork, let the child wait, set "
			"the scope, let it exec)",
			stray);
	}
	free(old);
	return rc;
}

/* ---- any scope ------------------------------------------------------------------------------- */

/* New pids in, flip, old ones out: those that are in both are in scope all the time. */
static int enter(struct ks__bpf *b, const struct ks__scope *scope, const struct ks_bpf_scope *next)
{
	int fd = pids_fd(b), rc = 0;
	struct ks__pid *old = NULL;
	size_t n_old = 0;

	if (fd >= 0 && scope->n_pids) {
		rc = ks__pids_list(fd, &old, &n_old);
		if (!rc)
			rc = add_all(fd, scope->pids, scope->n_pids);
		if (rc)
			take_back(fd, scope->pids, scope->n_pids, old, n_old);
		free(old);
	}
	if (rc)
		return ks__fail(b->base.ks, rc, "the map of processes has no room (%s)",
				ks_error_name(rc));
	ks__control_scope(&b->control, next);
	if (fd >= 0)
		sweep(fd, scope->pids, scope->n_pids);
	return 0;
}

static int set_tree(struct ks__bpf *b, const struct ks__scope *scope,
		    const struct ks_bpf_scope *next)
{
	int was_attached = b->users[KS__BPF_TREE].way >= 0,
	    rc = ks__bpf_attach(b, KS__BPF_TREE, NULL);
	char why[256];

	if (!rc) {
		rc = enter_tree(b, scope, next);
		if (rc && !was_attached)
			ks__bpf_detach(b, KS__BPF_TREE);
		return rc;
	}
	if (rc != -KS_EUNAVAIL)
		return rc;
	rc = no_tree(b, why, sizeof(why));
	if (is_watching(b))
		return ks__fail(b->base.ks, rc, "%s", why);
	/* another source may serve: those of this one are unavailable while the scope is so */
	b->tree_error = rc;
	snprintf(b->tree_reason, sizeof(b->tree_reason), "%s", why);
	return 0;
}

int ks__bpf_set_scope(struct ks__source *s, const struct ks__scope *scope)
{
	struct ks__bpf *b = ks__bpf_of(s);
	struct ks_bpf_scope next;
	int32_t *pids = NULL;
	int rc;

	if (scope->n_pids) {
		pids = malloc(scope->n_pids * sizeof(*pids));
		if (!pids)
			return ks__fail(s->ks, -ENOMEM, "no memory for %u pids", scope->n_pids);
		memcpy(pids, scope->pids, scope->n_pids * sizeof(*pids));
	}
	b->tree_error = 0;
	convert(b, scope, &next);
	if (scope->kind == KS_SCOPE_TREE) {
		rc = set_tree(b, scope, &next);
	} else {
		rc = enter(b, scope, &next);
		if (!rc && b->users[KS__BPF_TREE].way >= 0) {
			ks__bpf_detach(b, KS__BPF_TREE);
			if (pids_fd(b) >= 0)
				sweep(pids_fd(b), pids, scope->n_pids);
		}
	}
	if (rc) {
		free(pids);
		return rc;
	}
	free(b->pids);
	b->pids = pids;
	b->n_pids = scope->n_pids;
	return 0;
}
