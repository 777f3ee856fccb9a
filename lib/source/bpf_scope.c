/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf_scope.c - the scope: its words in ks_control, its processes in ks_pids, and the kernel
 * programs that follow a tree
 *
 * ks_control has two slots for a scope. A new scope is written to the slot that is not in use, its
 * processes to ks_pids under the number of that slot, and only then it takes effect. So a process
 * that is in both scopes is watched all the time, and a new scope that is refused leaves no trace.
 * The entries of the old scope are removed when its slot is needed again.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../bpf/pids.h"
#include "../files/cgroups.h"
#include "../files/columns.h"
#include "../files/descent.h"
#include "bpf.h"

#define GROW_MAX_NS 5000000000u /* limit for one tree; 20,000 processes take 1.5 s */
#define WALKS_MAX 64            /* usually the third or fourth walk finds no new process */

_Static_assert((int)KS_BPF_SCOPE_SELF == KS_SCOPE_SELF && (int)KS_BPF_SCOPE_TREE == KS_SCOPE_TREE &&
		       (int)KS_BPF_SCOPE_PIDS == KS_SCOPE_PIDS &&
		       (int)KS_BPF_SCOPE_CGROUP == KS_SCOPE_CGROUP &&
		       (int)KS_BPF_SCOPE_SYSTEM == KS_SCOPE_SYSTEM,
	       "enum ks_scope_kind and the kernel programs must number scopes alike");

/* ---- the depth of a cgroup ------------------------------------------------------------------- */

static uint32_t read_level(struct ks__bpf *b, const struct ks__scope *scope)
{
	const struct ks__cgroups *cgroups = b->base.ks->cgroups; /* it has resolved the scope */
	int fd = cgroups ? ks__cgroups_open_dir(cgroups, scope->cgroup_path, scope->cgroup) : -1;
	uint32_t level = ks__bpf_cgroup_level(b, fd);

	if (fd >= 0)
		close(fd);
	return level;
}

/*
 * Returns the level of the scope's cgroup + 1; 0: unknown, or nothing is loaded yet. The same path
 * has the same level, so no program is loaded for it: the consumer calls this when a cgroup was
 * removed and created again, and the consumer must not load.
 */
static uint32_t level_of(struct ks__bpf *b, const struct ks__scope *scope)
{
	const struct ks__scope *old = &b->base.ks->scope;

	if (scope->kind != KS_SCOPE_CGROUP)
		return 0;
	if (old->kind == KS_SCOPE_CGROUP && !strcmp(old->cgroup_path, scope->cgroup_path))
		return b->control.scope.level;
	return b->control.map ? read_level(b, scope) : 0;
}

void ks__bpf_scope_facts(struct ks__bpf *b)
{
	const struct ks__scope *scope = &b->base.ks->scope;

	if (scope->kind == KS_SCOPE_CGROUP && !b->control.scope.level)
		b->control.scope.level = read_level(b, scope);
}

static void convert(struct ks__bpf *b, const struct ks__scope *scope, struct ks_bpf_scope *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->kind = scope->kind;
	ret->self = (uint32_t)getpid();
	ret->also = b->control.scope.also;
	ret->cgroup = scope->cgroup;
	ret->level = level_of(b, scope);
	if (scope->has_comm)
		ret->flags |= KS_SCOPE_HAS_COMM;
	if (scope->has_exclude)
		ret->flags |= KS_SCOPE_HAS_EXCLUDE;
	strncpy((char *)ret->comm, scope->comm, sizeof(ret->comm));
	strncpy((char *)ret->exclude, scope->exclude, sizeof(ret->exclude));
}

/* ---- the map ks_pids ------------------------------------------------------------------------- */

static int pids_fd(struct ks__bpf *b)
{
	struct ks__map *map = ks__maps_find(&b->maps, "ks_pids");

	return map ? map->fd : -1;
}

/* Bit 30 of a key is the slot: see KS_PID_KEY(). */
static uint32_t slot_of(uint32_t key)
{
	return key >> 30 & 1;
}

static int add(int fd, uint32_t slot, int32_t pid)
{
	struct ks__pid entry = { KS_PID_KEY(pid, slot), 0 };

	return ks__pids_add(fd, &entry);
}

/*
 * Start times are for KS_SCOPE_PIDS only: the programs of a tree see forks and exits themselves. In
 * the procfs of another pid namespace the numbers mean other processes. A process that has ended
 * gets a time that no process can have.
 */
uint64_t ks__bpf_start(const struct ks__scope *scope, uint32_t index)
{
	uint64_t start = scope->starts ? scope->starts[index] : KS__START_UNKNOWN;

	if (scope->kind != KS_SCOPE_PIDS || scope->foreign || start == KS__START_UNKNOWN ||
	    start == KS__START_HIDDEN)
		return 0;
	if (start == KS__START_ENDED)
		return KS_PID_TICK - 1;
	return KS_PID_TICK | start * ks__columns_tick_ns();
}

static int add_all(int fd, uint32_t slot, const struct ks__scope *scope)
{
	int rc = 0;

	for (uint32_t i = 0; i < scope->n_pids && !rc; i++) {
		struct ks__pid entry = { KS_PID_KEY(scope->pids[i], slot),
					 ks__bpf_start(scope, i) };

		rc = ks__pids_add(fd, &entry);
	}
	return rc;
}

/* Removes the entries of a slot: all, or only those of dead processes. */
static int clear(int fd, uint32_t slot, int only_dead)
{
	struct ks__pid *pids = NULL;
	size_t n = 0;
	int rc = ks__pids_list(fd, &pids, &n);

	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		uint32_t pid = pids[i].pid & 0x3fffffffu;

		if (slot_of(pids[i].pid) != slot)
			continue;
		/* top bit: the key is no pid but leads to one; see tree.bpf.c */
		if (only_dead && (pids[i].pid >> 31 || !kill((pid_t)pid, 0) || errno != ESRCH))
			continue;
		ks__pids_delete(fd, pids[i].pid);
	}
	free(pids);
	return 0;
}

int ks__bpf_fill_pids(struct ks__bpf *b)
{
	const struct ks__scope *scope = &b->base.ks->scope;
	int fd = pids_fd(b);

	if (!scope->n_pids)
		return 0;
	return fd < 0 ? -ENOENT : add_all(fd, 0, scope);
}

/* ---- a tree ---------------------------------------------------------------------------------- */

struct growth {
	int fd;
	uint32_t slot;
};

static int is_in(void *user, int32_t pid)
{
	const struct growth *g = user;

	return ks__pids_has(g->fd, KS_PID_KEY(pid, g->slot));
}

static int enrol(void *user, int32_t pid)
{
	const struct growth *g = user;

	return add(g->fd, g->slot, pid);
}

static void put_tree(struct ks__bpf *b, uint32_t bits)
{
	__atomic_store_n(&b->control.map->tree, bits, __ATOMIC_RELEASE);
}

/*
 * Adds the processes of a tree to ks_pids. While the window is open, kernel programs add each new
 * process and the children of each process that dies, so the tree is complete after a walk that
 * finds no new process. A first walk before the window opens finds children of processes that are
 * dying just then. No program removes what that walk has added and what died before the window
 * opened: clear() does.
 */
static int grow(struct ks__bpf *b, uint32_t slot, int fd)
{
	struct growth g = { fd, slot };
	const struct ks__descent tree = { is_in, enrol, &g, ks__now() + GROW_MAX_NS };
	uint32_t other = b->control.map->tree & (uint32_t)(KS_TREE_FOLLOW << !slot);
	int rc = ks__descent_walk(b->base.ks->proc_fd, &tree);

	put_tree(b, other | (uint32_t)((KS_TREE_FOLLOW | KS_TREE_WINDOW) << slot));
	if (rc >= 0)
		rc = clear(fd, slot, 1);
	if (!rc)
		rc = 1;
	for (unsigned turn = 0; rc > 0 && turn < WALKS_MAX; turn++)
		rc = ks__descent_walk(b->base.ks->proc_fd, &tree);
	if (rc > 0)
		rc = -EAGAIN; /* still growing: an incomplete tree must not take effect */
	if (!rc) {
		put_tree(b, other | (uint32_t)(KS_TREE_FOLLOW << slot));
		rc = clear(fd, slot, 1);
	}
	if (rc)
		put_tree(b, other);
	return rc;
}

/* Writes why no kernel program can follow a tree: the reason of the best variant. */
static int no_tree(struct ks__bpf *b, char *why, size_t size)
{
	const struct ks__bpf_client *c = &b->clients[KS__BPF_TREE];

	snprintf(why, size, "a tree cannot be followed by kernel programs: %.200s",
		 b->error      ? b->reason :
		 c->n_variants ? c->state[0].note.reason :
				 "");
	return -KS_EUNAVAIL;
}

static int is_watching(const struct ks__bpf *b)
{
	for (uint32_t c = 0; c < KS__PROBES_MAX; c++)
		if (b->clients[c].attached >= 0)
			return 1;
	return 0;
}

/* Attaches the tree programs. *ret_error: this source cannot serve a tree, but another one may. */
static int follow(struct ks__bpf *b, int *ret_error)
{
	char why[256];
	int rc;

	ks__bpf_reopen(b, 1u << KS__BPF_TREE);
	rc = ks__bpf_attach(b, KS__BPF_TREE, NULL);
	if (rc != -KS_EUNAVAIL)
		return rc;
	rc = no_tree(b, why, sizeof(why));
	if (is_watching(b))
		return ks__fail(b->base.ks, rc, "%s", why);
	*ret_error = rc;
	snprintf(b->tree_reason, sizeof(b->tree_reason), "%s", why);
	return 0;
}

/*
 * Keys are pids of this pid namespace. In the procfs of another one the numbers mean other
 * processes.
 */
static int refuse_foreign(struct ks__bpf *b, const struct ks__scope *scope)
{
	if (!scope->foreign)
		return 0;
	return ks__fail(
		b->base.ks, -KS_EUNAVAIL,
		"%s is of another pid namespace than this process: a tree needs one of its own",
		b->base.ks->opts.proc_path);
}

/* ---- any scope ------------------------------------------------------------------------------- */

/* Fills the slot that is not in use completely, then makes it take effect. */
static int enter(struct ks__bpf *b, const struct ks__scope *scope, const struct ks_bpf_scope *next)
{
	int fd = pids_fd(b), rc = 0;
	uint32_t slot;

	if (fd < 0 || !b->control.map) {
		ks__control_scope(&b->control, next);
		return 0;
	}
	slot = ks__control_scope_slot(&b->control);
	rc = clear(fd, slot, 0);
	if (!rc)
		rc = add_all(fd, slot, scope);
	if (!rc && scope->kind == KS_SCOPE_TREE)
		rc = grow(b, slot, fd);
	if (rc) {
		clear(fd, slot, 0);
		ks__control_scope_refused(&b->control, slot);
		return ks__fail(
			b->base.ks, rc, "cannot watch the processes of the scope: %s",
			rc == -E2BIG  ? "there are more than the map has room for" :
			rc == -EAGAIN ? "they fork faster than /proc can be read; try again" :
					ks_strerror(rc));
	}
	ks__control_scope(&b->control, next);
	put_tree(b, b->control.map->tree & (uint32_t)(KS_TREE_FOLLOW << slot));
	return 0;
}

int ks__bpf_set_scope(struct ks__source *s, const struct ks__scope *scope)
{
	struct ks__bpf *b = ks__bpf_of(s);
	int was_followed = b->clients[KS__BPF_TREE].attached >= 0, tree_error = 0, rc = 0;
	struct ks_bpf_scope next;

	convert(b, scope, &next);
	if (scope->kind == KS_SCOPE_TREE)
		rc = refuse_foreign(b, scope);
	if (!rc && scope->kind == KS_SCOPE_TREE)
		rc = follow(b, &tree_error);
	if (!rc && !tree_error)
		rc = enter(b, scope, &next);
	if (rc) {
		if (!was_followed)
			ks__bpf_detach(b, KS__BPF_TREE);
		return rc;
	}
	if (scope->kind != KS_SCOPE_TREE)
		ks__bpf_detach(b, KS__BPF_TREE);
	b->tree_error = tree_error;
	ks__threads_reseed(&b->threads);
	return 0;
}
