/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * types.h - the type information of a handle: the running kernel's, which typed programs (tp_btf,
 * fentry) attach by, and what programs are loaded against, which opts.btf_path may replace, and where
 * the kernel has or shows none, what was embedded for its release (-Dbtf)
 *
 * Read at the first question, and again at the first one after more names have been announced.
 */
#ifndef KS_TYPES_H
#define KS_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include "../ks.h"
#include "btf_scan.h"

/* One reading of one file. */
struct ks__types_of {
	int error;
	char why[256];
	struct ks__btf_ask *asks;
	struct ks__btf_cut cut;
	int is_kernels; /* the kernel wrote it */
};

struct ks__types {
	const struct ks *ks;
	int scanned;
	size_t n, room;
	int replaced;
	struct ks__types_of own, core; /* core: if own is replaced */
};

/* BTF of other kernels, cut down to what programs are loaded against; the last one has no release. */
struct ks__types_builtin {
	const char *release;
	const void *data;
	size_t size;
};

extern const struct ks__types_builtin ks__types_builtin[];

void ks__types_init(struct ks__types *t, const struct ks *ks);
void ks__types_free(struct ks__types *t);

/* 0, -ENOSPC: too long a name, or -ENOMEM. */
int ks__types_expect(struct ks__types *t, enum ks__btf_kind kind, const char *name);

/* Type id in the running kernel's BTF; 0: it is not there, or there is no BTF. */
uint32_t ks__types_id(struct ks__types *t, enum ks__btf_kind kind, const char *name);
/* Arguments of a tracepoint, by what programs are loaded against; -1: not known. */
int ks__types_args(struct ks__types *t, const char *event);
/* Is its argument `n`, from 0 on, a pointer? 1 or 0; not known is 0, too. */
int ks__types_arg_is_pointer(struct ks__types *t, const char *event, unsigned n);
/* The same for members of a struct that was announced: 1, 0 or -ENOENT. */
int ks__types_member(struct ks__types *t, const char *type, const char *member);

/* 0, or -errno and a sentence: the running kernel's; what programs are loaded against. */
int ks__types_own(struct ks__types *t, char *why, size_t size);
int ks__types_core(struct ks__types *t, char *why, size_t size);

/*
 * A path for libbpf's btf_custom_path, good until *ret_fd, if that is not -1, is closed: what
 * programs are loaded against, cut down to the types that were announced. Where this process cannot
 * have a file for that it is all that the kernel says: libbpf looks through all types for each name,
 * 0.9 ms a name. Bytes of others never reach libbpf as they are. 0, or -errno: there is no path.
 */
int ks__types_path(struct ks__types *t, char *path, size_t size, int *ret_fd);

#endif
