/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hooks.h - where a program attaches, from its section name: is it possible here, and do it
 *
 * A new way to attach is one row of the table in hooks.c.
 */
#ifndef KS_HOOKS_H
#define KS_HOOKS_H

#include <stddef.h>
#include <stdint.h>

#include "feature.h"

struct ks__hook {
	uint8_t kind;    /* row of the table; KS__HOOK_NONE */
	char target[63]; /* "sched_switch", "sched/sched_switch", "__x64_sys_fadvise64", "bpf_iter_task" */
};

#define KS__HOOK_NONE 0xff

/*
 * "raw_tp/sched_switch" or "ks/tp_btf/sched_switch", with or without a leading "?". 0 or -EINVAL: no
 * such way to attach.
 */
int ks__hook_parse(const char *section, struct ks__hook *ret);
/* "tp_btf" */
const char *ks__hook_name(const struct ks__hook *hook);
/* The target as a section has it: "task" */
const char *ks__hook_target(const struct ks__hook *hook);

/* 1: a typed program, loaded for its target, with its enum bpf_attach_type and its type id; else 0. */
int ks__hook_typed(const struct ks__hook *hook, struct ks__types *types, uint32_t *ret_attach,
		   uint32_t *ret_id);

/* Announces what ks__hook_possible() will look for in BTF. 0, -ENOSPC or -ENOMEM. */
int ks__hook_expect(const struct ks__hook *hook, struct ks__types *types);
/* Cheap: 0, or -errno and a sentence. */
int ks__hook_possible(const struct ks__hook *hook, struct ks__features *f, char *why, size_t size);
/* A descriptor that keeps the program attached until it is closed, or -errno and a sentence. */
int ks__hook_attach(const struct ks__hook *hook, const struct ks *ks, int prog_fd, char *why,
		    size_t size);
/* 1: perf runs it: one program at a time on a CPU, others that fire meanwhile are missed. */
int ks__hook_by_perf(const struct ks__hook *hook);

/* 1: it runs when it is told to, once for each of all tasks. */
int ks__hook_is_iter(const struct ks__hook *hook);
/* Runs it, by what ks__hook_attach() returned. 0 or -errno. */
int ks__hook_iterate(int fd);

#endif
