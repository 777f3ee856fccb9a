/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf.h - the source that uses kernel programs (eBPF); private to bpf*.c
 *
 *	bpf.c         the table of functions; settings, enable and disable, consumer, readers
 *	bpf_facts.c   which variants are possible on this machine; constants of the programs
 *	bpf_load.c    loading and attaching
 *	bpf_scope.c   the scope: which threads the programs watch
 *	bpf_roles.c   the roles of threads
 *	bpf_report.c  ledger, ks_explain(), ks_check(), sizes
 *
 * Callers hold the handle's lock, except the consumer, readers and ks_query functions of other
 * threads. What these may read is published by one atomic store, and it stays until the handle is
 * closed.
 *
 * A "client" here is what needs kernel programs: a probe, the tree, or the thread tracker.
 */
#ifndef KS_SOURCE_BPF_H
#define KS_SOURCE_BPF_H

#include <stdatomic.h>

#include "../bpf/control.h"
#include "../bpf/feature.h"
#include "../bpf/pids.h"
#include "../bpf/roles.h"
#include "../bpf/stream.h"
#include "../bpf/tables.h"
#include "../bpf/threads.h"
#include "../bpf/unit.h"
#include "../bpf/hooks.h"
#include "../ks.h"
#include "source.h"

/* Clients after the probes: the programs that add children to a tree, and the thread tracker. */
#define KS__BPF_TREE KS__PROBES_MAX
#define KS__BPF_THREADS (KS__PROBES_MAX + 1)
#define KS__BPF_CLIENTS (KS__PROBES_MAX + 2)

_Static_assert(KS__PROBES_MAX == KS_BPF_PROBES,
	       "each probe needs a slot in the maps: make KS_BPF_PROBES equal to KS__PROBES_MAX");
_Static_assert(KS__BPF_CLIENTS <= 32, "masks of clients are uint32_t: widen them for more clients");

/* The state of one variant: its note and its programs. */
struct ks__bpf_variant {
	struct ks__note note;
	unsigned n;
	struct ks__program progs[KS__PROGS_MAX];
	int loaded;
	int again;          /* refused for a temporary error: try again on the next request */
	atomic_int counted; /* was ever attached: its programs stay until the handle is closed */
};

/* A probe, the tree or the thread tracker. It attaches one of several variants. */
struct ks__bpf_client {
	const char *name;
	const struct ks__variant *variants;
	const char *const *maps;
	uint64_t lacks; /* KS_HAS_... bits that the configuration of this kernel leaves out */
	unsigned n_variants;
	struct ks__bpf_variant *state; /* by index of the variant */
	int attached; /* index of the attached variant, or -1 */
	int links[KS__PROGS_MAX];
	atomic_uint n_links;
};

struct ks__bpf {
	struct ks__source base;
	int ready; /* the hooks are known, and the common requirements are tested */
	int error; /* no kernel program can be loaded here: the error */
	int again; /* that error is temporary */
	char reason[256];
	int nested; /* 1: the caller is not in the initial pid namespace; -1: /proc does not tell */
	int shifted; /* 1: not in the initial time namespace; -1: /proc does not tell */
	int have_consts;
	struct ks_bpf_const consts;
	struct ks__features features;
	struct ks__maps maps;
	struct ks__control control;
	struct ks__tables tables;
	struct ks__threads threads;
	_Atomic(struct ks__stream *) stream;
	struct ks__bpf_client clients[KS__BPF_CLIENTS];
	_Atomic uint64_t map_bytes, variants_bytes;

	/* guarded by the lock of roles */
	unsigned n_roles; /* the same roles as in the map ks_roles, if the map exists */
	struct ks__thread_role *roles;
	int roles_fd; /* descriptor of that map; -1: it does not exist yet */
	struct ks_bpf_control *roles_control;

	int tree_error; /* the scope is a tree, and no program can add its children: the error */
	char tree_reason[256];
};

static inline struct ks__bpf *ks__bpf_of(struct ks__source *s)
{
	return (struct ks__bpf *)(void *)s;
}

/* ---- bpf_facts.c ----------------------------------------------------------------------------- */

/* Finds out where programs attach and which variants are possible. 0; -ENOMEM, -EMFILE. */
int ks__bpf_setup(struct ks__bpf *b);
/*
 * Sets the constants that all programs of the handle are loaded with, once. by_pointer: the first
 * programs know tasks only by address, so no program may use task storage. 0, or -errno and a
 * sentence.
 */
int ks__bpf_consts(struct ks__bpf *b, int by_pointer, char *why, size_t size);
/*
 * Returns the KS_HAS_... bits that no variant knows, because the kernel does not keep the data: the
 * type is there without the member. needs: NULL, or ended by a bit of 0.
 */
uint64_t ks__bpf_lacks(struct ks__types *types, const struct ks__need *needs);
/*
 * Returns the level of a cgroup + 1, by a descriptor of its folder; 0: unknown, the log says why.
 */
uint32_t ks__bpf_cgroup_level(struct ks__bpf *b, int dir_fd);
/* Marks a variant as unusable and logs the reason. */
void ks__bpf_refuse(struct ks__bpf *b, struct ks__bpf_client *c, int index, int error,
		    const char *reason);
/* The host requests the clients of the mask again: reopens the variants with a temporary error. */
void ks__bpf_reopen(struct ks__bpf *b, uint32_t mask);

/* ---- bpf_load.c ------------------------------------------------------------------------------ */

/* Loads the best working variant, or the named one, for each client of the mask (1 << number). */
int ks__bpf_prepare(struct ks__bpf *b, uint32_t mask, const char *variant);
/* Returns the best variant without a known error; with a name only that one. -1: none. */
int ks__bpf_choose(const struct ks__bpf *b, uint32_t number, const char *variant);
/* Loads and attaches the best variant or the named one. 0; -KS_EUNAVAIL: see the notes; -errno. */
int ks__bpf_attach(struct ks__bpf *b, uint32_t number, const char *variant);
void ks__bpf_detach(struct ks__bpf *b, uint32_t number);
/* Closes all descriptors and mappings. */
void ks__bpf_unload(struct ks__bpf *b);

/* ---- bpf_scope.c ----------------------------------------------------------------------------- */

int ks__bpf_set_scope(struct ks__source *s, const struct ks__scope *scope);
/* Returns the value in ks_pids of a process of the scope: see KS_PID_TICK. */
uint64_t ks__bpf_start(const struct ks__scope *scope, uint32_t index);
/* Puts the pids of the handle's scope into the new map ks_pids. 0 or -errno. */
int ks__bpf_fill_pids(struct ks__bpf *b);
/* Asks a kernel program for the level of the scope's cgroup, before the first load. */
void ks__bpf_scope_facts(struct ks__bpf *b);

/* ---- bpf_roles.c ----------------------------------------------------------------------------- */

int ks__bpf_set_role(struct ks__source *s, int32_t tid, uint32_t role, uint64_t ticks);
/* The map ks_roles is new: puts in the roles that the host has set before. 0 or -errno. */
int ks__bpf_fill_roles(struct ks__bpf *b);
/* The map ks_roles is about to be closed. */
void ks__bpf_leave_roles(struct ks__bpf *b);

/* ---- bpf_report.c ---------------------------------------------------------------------------- */

int ks__bpf_ledger(struct ks__source *s, uint32_t probe, int idle, struct ks__ledger *ret);
void ks__bpf_explain(struct ks__source *s, uint32_t probe, struct ks__doc *doc);
void ks__bpf_check(struct ks__source *s, struct ks__doc *doc);
void ks__bpf_size(struct ks__source *s, uint64_t *ret_kernel, uint64_t *ret_user);

#endif
