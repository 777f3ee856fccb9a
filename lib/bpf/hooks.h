/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hooks.h - hooks of kernel programs: parse a section name, check that the hook works here, attach
 *
 * A new attach kind is one row of the table in hooks.c.
 */
#ifndef KS_HOOKS_H
#define KS_HOOKS_H

#include <stddef.h>
#include <stdint.h>

#include "feature.h"

struct ks__hook {
	uint8_t kind;    /* row of the table in hooks.c, or KS__HOOK_NONE */
	/* "sched_switch", "sched/sched_switch", "__x64_sys_fadvise64", "bpf_iter_task" */
	char target[63];
};

#define KS__HOOK_NONE 0xff

/*
 * Parses "raw_tp/sched_switch" or "ks/tp_btf/sched_switch", with or without a leading "?". 0, or
 * -EINVAL for an unknown attach kind.
 */
int ks__hook_parse(const char *section, struct ks__hook *ret);
/* The attach kind: "tp_btf" */
const char *ks__hook_name(const struct ks__hook *hook);
/* The target as it stands in the section name: "task" */
const char *ks__hook_target(const struct ks__hook *hook);

/*
 * 1: a typed program, which the kernel loads for one target; returns its enum bpf_attach_type and
 * the target's type id. 0: an untyped program.
 */
int ks__hook_typed(const struct ks__hook *hook, struct ks__types *types, uint32_t *ret_attach,
		   uint32_t *ret_id);

/* Announces the names that ks__hook_possible() looks up in BTF. 0, -ENOSPC or -ENOMEM. */
int ks__hook_expect(const struct ks__hook *hook, struct ks__types *types);
/* Checks cheaply that the hook can work here. 0, or -errno and the reason in `why`. */
int ks__hook_possible(const struct ks__hook *hook, struct ks__features *f, char *why, size_t size);
/*
 * Returns a descriptor that keeps the program attached until it is closed, or -errno and the reason
 * in `why`.
 */
int ks__hook_attach(const struct ks__hook *hook, const struct ks *ks, int prog_fd, char *why,
		    size_t size);
/*
 * 1: perf runs the program. Perf runs one program at a time on a CPU; programs whose hooks fire
 * meanwhile miss that event.
 */
int ks__hook_by_perf(const struct ks__hook *hook);

/* 1: an iterator: ks__hook_iterate() runs it once for each task. */
int ks__hook_is_iter(const struct ks__hook *hook);
/* Runs the iterator whose descriptor ks__hook_attach() returned. 0 or -errno. */
int ks__hook_iterate(int fd);

#endif
