/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * types.h - the type information of a handle: the running kernel's, which typed programs (tp_btf,
 * fentry) attach by, and what programs are loaded against, which opts.btf_path may replace
 *
 * Read at the first question, and again at the first one after more names have been announced.
 */
#ifndef KS_TYPES_H
#define KS_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include "../ks.h"
#include "btf.h"

#define KS__NAMES_MAX 64

struct ks__types {
	const struct ks *ks;
	int scanned;
	int own_error, core_error;
	char own_why[192], core_why[192];
	size_t n;
	struct ks__btf_ask own[KS__NAMES_MAX], core[KS__NAMES_MAX];
};

void ks__types_init(struct ks__types *t, const struct ks *ks);

/* 0, or -ENOSPC: too many names, or too long a name. */
int ks__types_expect(struct ks__types *t, enum ks__btf_kind kind, const char *name);

/* Type id in the running kernel's BTF; 0: it is not there, or there is no BTF. */
uint32_t ks__types_id(struct ks__types *t, enum ks__btf_kind kind, const char *name);
/* Arguments of a tracepoint, by what programs are loaded against; -1: not known. */
int ks__types_args(struct ks__types *t, const char *event);

/* 0, or -errno and a sentence: the running kernel's; what programs are loaded against. */
int ks__types_own(struct ks__types *t, char *why, size_t size);
int ks__types_core(struct ks__types *t, char *why, size_t size);

#endif
