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
#include "../files/columns.h"
#include "../files/text.h"
#include "bpf.h"

#define FIRST_NUMBER 0x80000000u /* see tree.bpf.c: leads to the number in our namespace */

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

struct change {
	struct ks__bpf *b;
	const struct ks__scope *scope; /* the new one */
	struct ks__pid *old;           /* what was in the map before */
	size_t n_old;
};

static int is_not_named(const struct change *c, const struct ks__pid *pid)
{
	return !is_named(c->scope->pids, c->scope->n_pids, pid->pid);
}

/*
 * Deletes what `goes`. Children may be enrolled meanwhile, by parents that are not deleted yet:
 * again until there is nothing to delete.
 */
static void sweep(const struct change *c,
		  int (*goes)(const struct change *c, const struct ks__pid *pid))
{
	int fd = pids_fd(c->b);

	for (unsigned turn = 0, found = 1; found && turn < 64; turn++) {
		struct ks__pid *now = NULL;
		size_t n_now = 0;

		found = 0;
		if (ks__pids_list(fd, &now, &n_now))
			return;
		for (size_t i = 0; i < n_now; i++) {
			if (!goes(c, &now[i]))
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

static int32_t parent_of(const struct ks__bpf *b, uint32_t pid)
{
	char path[32], text[1024];
	struct ks__stat stat;
	ssize_t n;

	snprintf(path, sizeof(path), "%u/stat", pid);
	n = ks__text_read(b->base.ks->proc_fd, path, text, sizeof(text));
	if (n <= 0 || ks__columns_stat(text, (size_t)n, &stat))
		return 0;
	return (int32_t)stat.column[KS__STAT_PPID];
}

/* Is it a root of the new tree, or below one? fresh: one that was not in the old scope. */
static int is_below(const struct change *c, const struct ks__pid *pid, int fresh)
{
	int32_t at = (int32_t)(pid->pid & FIRST_NUMBER ? pid->start_ns : pid->pid);

	for (unsigned depth = 0; at > 0 && depth < 64; depth++, at = parent_of(c->b, (uint32_t)at))
		if (is_named(c->scope->pids, c->scope->n_pids, (uint32_t)at) &&
		    !(fresh && is_old(c->old, c->n_old, (uint32_t)at)))
			return 1;
	return 0;
}

/* The new tree is accepted: the old one goes, and what it has enrolled since. */
static int goes_with_old(const struct change *c, const struct ks__pid *pid)
{
	return !is_below(c, pid, 0);
}

/* The old scope stays: what only the new one put there goes. An old tree goes on enrolling. */
static int goes_with_new(const struct change *c, const struct ks__pid *pid)
{
	return !is_old(c->old, c->n_old, pid->pid) &&
	       (c->b->control.scope.kind != KS_BPF_SCOPE_TREE || is_below(c, pid, 1));
}

static int refuse_grown(struct ks__bpf *b, int32_t stray)
{
	return ks__fail(b->base.ks, -KS_EUNAVAIL,
			"process %d is a child already: set the scope before the root of a tree "
			"starts others (fork, let the child wait, set the scope, let it exec)",
			stray);
}

/*
 * Roots in, then the flip: from here on the programs enrol. Only then are children looked for, so
 * that none slips in between. Until it is known that there are none, the old scope keeps its
 * processes, and gets them back with all that they have started meanwhile.
 */
static int enter_tree(struct ks__bpf *b, const struct ks__scope *scope,
		      const struct ks_bpf_scope *next)
{
	const struct ks_bpf_scope before = b->control.scope;
	struct change c = { .b = b, .scope = scope };
	int fd = pids_fd(b), rc = ks__pids_list(fd, &c.old, &c.n_old);
	int32_t stray = 0;

	if (!rc)
		rc = add_all(fd, scope->pids, scope->n_pids);
	if (rc) {
		take_back(fd, scope->pids, scope->n_pids, c.old, c.n_old);
		ks__fail(b->base.ks, rc, "the map of processes has no room (%s)",
			 ks_error_name(rc));
		goto out;
	}
	ks__control_scope(&b->control, next);
	stray = ks__children_find(b->base.ks->proc_fd, scope->pids, scope->n_pids, is_enrolled, b);
	if (stray) {
		ks__control_scope(&b->control, &before);
		sweep(&c, goes_with_new);
		rc = refuse_grown(b, stray);
	} else if (c.n_old) {
		sweep(&c, goes_with_old);
	}
out:
	free(c.old);
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
		sweep(&(struct change){ .b = b, .scope = scope }, is_not_named);
	return 0;
}

/* *ret_error: why nothing of this source can serve while the scope is so. */
static int set_tree(struct ks__bpf *b, const struct ks__scope *scope,
		    const struct ks_bpf_scope *next, int *ret_error)
{
	int was_attached = b->users[KS__BPF_TREE].way >= 0, rc;
	int32_t stray =
		ks__children_find(b->base.ks->proc_fd, scope->pids, scope->n_pids, NULL, NULL);
	char why[256];

	if (stray)
		return refuse_grown(b, stray);
	rc = ks__bpf_attach(b, KS__BPF_TREE, NULL);
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
	/* another source may serve */
	*ret_error = rc;
	snprintf(b->tree_reason, sizeof(b->tree_reason), "%s", why);
	return 0;
}

static int set_other(struct ks__bpf *b, const struct ks__scope *scope,
		     const struct ks_bpf_scope *next)
{
	int rc = enter(b, scope, next);

	if (rc || b->users[KS__BPF_TREE].way < 0)
		return rc;
	ks__bpf_detach(b, KS__BPF_TREE);
	if (pids_fd(b) >= 0)
		sweep(&(struct change){ .b = b, .scope = scope }, is_not_named);
	return 0;
}

int ks__bpf_set_scope(struct ks__source *s, const struct ks__scope *scope)
{
	struct ks__bpf *b = ks__bpf_of(s);
	struct ks_bpf_scope next;
	int32_t *pids = NULL;
	int rc, tree_error = 0;

	if (scope->n_pids) {
		pids = malloc(scope->n_pids * sizeof(*pids));
		if (!pids)
			return ks__fail(s->ks, -ENOMEM, "no memory for %u pids", scope->n_pids);
		memcpy(pids, scope->pids, scope->n_pids * sizeof(*pids));
	}
	convert(b, scope, &next);
	if (scope->kind == KS_SCOPE_TREE)
		rc = set_tree(b, scope, &next, &tree_error);
	else
		rc = set_other(b, scope, &next);
	if (rc) {
		free(pids);
		return rc;
	}
	b->tree_error = tree_error;
	free(b->pids);
	b->pids = pids;
	b->n_pids = scope->n_pids;
	return 0;
}
