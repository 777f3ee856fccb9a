/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * types.h - the type information (BTF) of a handle
 *
 * "own" is the BTF of the running kernel; typed programs (tp_btf, fentry) need it to attach. "core"
 * is the BTF that programs are relocated against. It is the same as "own", unless opts.btf_path
 * replaces it, or the kernel shows no BTF and the build embeds some for its release (-Dbtf).
 *
 * The first query reads the files. The first query after more names were announced reads them
 * again.
 */
#ifndef KS_TYPES_H
#define KS_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include "../ks.h"
#include "btf_scan.h"

/* The result of reading one file. */
struct ks__types_of {
	int error;
	char why[256];
	struct ks__btf_ask *asks;
	struct ks__btf_cut cut;
	int is_kernels; /* 1: the kernel wrote the file */
};

struct ks__types {
	const struct ks *ks;
	int scanned;
	size_t n, room;
	int replaced;
	struct ks__types_of own, core; /* core: used only if `replaced` */
};

/* Embedded BTF of other kernels, cut down to the types of programs; the last has no release. */
struct ks__types_builtin {
	const char *release;
	const void *data;
	size_t size;
};

extern const struct ks__types_builtin ks__types_builtin[];
/* Returns the BTF that is embedded for the running kernel, or NULL. */
const struct ks__types_builtin *ks__types_embedded(void);

void ks__types_init(struct ks__types *t, const struct ks *ks);
void ks__types_free(struct ks__types *t);

/* Announces a name that later queries use. 0, -ENOSPC: the name is too long, or -ENOMEM. */
int ks__types_expect(struct ks__types *t, enum ks__btf_kind kind, const char *name);

/* Type id in the running kernel's BTF; 0: the name is not there, or there is no BTF. */
uint32_t ks__types_id(struct ks__types *t, enum ks__btf_kind kind, const char *name);
/* Number of arguments of a tracepoint in the core BTF; -1: unknown. */
int ks__types_args(struct ks__types *t, const char *event);
/* 1: argument `n` (from 0) of a tracepoint is a pointer in the core BTF; 0: no, or unknown. */
int ks__types_arg_is_pointer(struct ks__types *t, const char *event, unsigned n);
/* 1: the announced struct has this member in the core BTF; 0: it has not; -ENOENT: no such type. */
int ks__types_member(struct ks__types *t, const char *type, const char *member);

/* Is this BTF usable? 0, or -errno and the reason in why. */
int ks__types_own(struct ks__types *t, char *why, size_t size);
int ks__types_core(struct ks__types *t, char *why, size_t size);

/*
 * Writes a path for libbpf's btf_custom_path. The file holds the core BTF, cut down to the types
 * that were announced. The path is valid until the caller closes *ret_fd, unless that is -1. If
 * this process cannot create such a file, the path names the kernel's whole BTF: libbpf then
 * searches all types for each name, 0.9 ms a name. BTF that the kernel did not write never reaches
 * libbpf uncut. 0; -ESTALE: chroot() hides all such files; -EFBIG: RLIMIT_FSIZE does not allow the
 * file; or -errno: there is no path.
 */
int ks__types_path(struct ks__types *t, char *path, size_t size, int *ret_fd);

#endif
