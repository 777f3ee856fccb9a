/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf.h - the source that fills records and rows by kernel programs; private to bpf*.c
 *
 *	bpf.c         the table of functions, settings, attaching, consumer and readers
 *	bpf_facts.c   what is possible here
 *	bpf_load.c    loading and attaching
 *	bpf_scope.c   whom to watch
 *	bpf_roles.c   what threads are for
 *	bpf_report.c  what there is, for people
 *
 * The handle's lock is held but by the consumer, readers and ks_query functions of other threads:
 * what those look at is published by one atomic store and stays until the handle is closed.
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

/* Beside the probes: the programs that enrol the children of a tree, and those that know threads. */
#define KS__BPF_TREE KS__PROBES_MAX
#define KS__BPF_THREADS (KS__PROBES_MAX + 1)
#define KS__BPF_USERS (KS__PROBES_MAX + 2)

_Static_assert(KS__PROBES_MAX == KS_BPF_PROBES, "each probe has a slot in the maps");
_Static_assert(KS__BPF_USERS <= 32, "masks of users have 32 bits");

/* One variant: what is known of it, and its programs. */
struct ks__bpf_way {
	struct ks__note note;
	unsigned n;
	struct ks__program progs[KS__PROGS_MAX];
	int loaded;
	int again; /* closed by an answer that does not last: opened when it is asked for again */
	atomic_int
		counted; /* was attached at some time: programs stay until the handle is closed */
};

/* A probe, or the tree: what attaches by one of several variants. */
struct ks__bpf_user {
	const char *name;
	const struct ks__variant *variants;
	const char *const *maps;
	uint64_t lacks; /* bits of `valid` that this kernel's configuration leaves out */
	unsigned n_ways;
	struct ks__bpf_way *ways;
	int way; /* attached by this one, or -1 */
	int links[KS__PROGS_MAX];
	atomic_uint n_links;
};

struct ks__bpf {
	struct ks__source base;
	int ready; /* hooks are known, the ground is tested */
	int error; /* nothing can be loaded here: why */
	int again; /* that does not last */
	char reason[256];
	int nested; /* the caller is not in the first pid namespace; -1: /proc does not tell */
	int shifted; /* nor in the first time namespace; -1: /proc does not tell */
	int have_consts;
	struct ks_bpf_const consts;
	struct ks__features features;
	struct ks__maps maps;
	struct ks__control control;
	struct ks__tables tables;
	struct ks__threads threads;
	_Atomic(struct ks__stream *) stream;
	struct ks__bpf_user users[KS__BPF_USERS];
	_Atomic uint64_t map_bytes, ways_bytes;

	/* under the lock of roles */
	unsigned n_roles; /* as in the map ks_roles, once there is one */
	struct ks__thread_role *roles;
	int roles_fd; /* that map; -1: none yet */
	struct ks_bpf_control *roles_control;

	uint32_t n_pids; /* of the scope as last set; pids are put into the map once there is one */
	struct ks__pid *pids;
	int tree_error; /* the scope is a tree, and no program can enrol its children: why */
	char tree_reason[256];
};

static inline struct ks__bpf *ks__bpf_of(struct ks__source *s)
{
	return (struct ks__bpf *)(void *)s;
}

/* ---- bpf_facts.c ----------------------------------------------------------------------------- */

/* Learns where programs attach and which variants are possible. 0, -ENOMEM and the like. */
int ks__bpf_setup(struct ks__bpf *b);
/*
 * The constants that programs are loaded with, made once. by_pointer: the first ones to be loaded need
 * threads to be known by address. 0, or -errno and a sentence.
 */
int ks__bpf_consts(struct ks__bpf *b, int by_pointer, char *why, size_t size);
/* Level + 1 of the cgroup whose folder that is; 0: not known, and it was logged why. */
uint32_t ks__bpf_cgroup_level(struct ks__bpf *b, int dir_fd);
void ks__bpf_close_way(struct ks__bpf *b, struct ks__bpf_user *u, int way, int error,
		       const char *reason);
/* The host asks once more for the users of the mask: closed ways that may work by now are tried again. */
void ks__bpf_reopen(struct ks__bpf *b, uint32_t mask);

/* ---- bpf_load.c ------------------------------------------------------------------------------ */

/* Loads for each user of the mask (1 << number) the best way that works, or the named one. */
int ks__bpf_prepare(struct ks__bpf *b, uint32_t mask, const char *variant);
/* The best way not known to fail, or the named one if it is; -1: none. */
int ks__bpf_choose(const struct ks__bpf *b, uint32_t user, const char *variant);
/* Attach by the best way or the named one, loading it first. 0, -KS_EUNAVAIL (notes), -errno. */
int ks__bpf_attach(struct ks__bpf *b, uint32_t user, const char *variant);
void ks__bpf_detach(struct ks__bpf *b, uint32_t user);
/* Closes all descriptors and mappings. */
void ks__bpf_unload(struct ks__bpf *b);

/* ---- bpf_scope.c ----------------------------------------------------------------------------- */

int ks__bpf_set_scope(struct ks__source *s, const struct ks__scope *scope);
/* Puts the pids of the scope into a map that is new. 0 or -errno. */
int ks__bpf_fill_pids(struct ks__bpf *b);
/* Learns what only a program can tell of the scope, before the first ones are in force. */
void ks__bpf_scope_facts(struct ks__bpf *b);

/* ---- bpf_roles.c ----------------------------------------------------------------------------- */

int ks__bpf_set_role(struct ks__source *s, int32_t tid, uint32_t role, uint64_t ticks);
/* There is a map now: puts roles into it that were said before. 0 or -errno. */
int ks__bpf_fill_roles(struct ks__bpf *b);
/* It goes again. */
void ks__bpf_leave_roles(struct ks__bpf *b);

/* ---- bpf_report.c ---------------------------------------------------------------------------- */

int ks__bpf_book(struct ks__source *s, uint32_t probe, int idle, struct ks__book *ret);
void ks__bpf_explain(struct ks__source *s, uint32_t probe, struct ks__doc *doc);
void ks__bpf_check(struct ks__source *s, struct ks__doc *doc);
void ks__bpf_size(struct ks__source *s, uint64_t *ret_kernel, uint64_t *ret_user);

#endif
