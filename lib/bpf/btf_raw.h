/* SPDX-License-Identifier: BSD-2-Clause */
/* btf_raw.h - BTF whose types have been walked once; private to btf*.c */
#ifndef KS_BTF_RAW_H
#define KS_BTF_RAW_H

#include <linux/btf.h>

#include "btf_scan.h"

/* Kinds that <linux/btf.h> of older systems lacks. */
#define KS__KIND_FUNC 12
#define KS__KIND_DECL_TAG 17
#define KS__KIND_TYPE_TAG 18
#define KS__KIND_ENUM64 19
#define KS__KIND_LAST 19

struct ks__btf_raw {
	const char *types, *strings;
	uint32_t types_size, strings_size;
	uint32_t *offsets; /* of one type in so many */
	uint32_t n_types;
};

/* Bytes of what follows struct btf_type, and of each part of it that begins with a name. */
uint64_t ks__btf_tail(const struct btf_type *t);
size_t ks__btf_part(const struct btf_type *t);

/* NULL: there is no such type. */
const struct btf_type *ks__btf_type(const struct ks__btf_raw *raw, uint32_t id);
/* "" if it is out of bounds. */
const char *ks__btf_name(const struct ks__btf_raw *raw, uint32_t offset);

/* 0, -ENOMEM, or -E2BIG. */
int ks__btf_make_cut(const struct ks__btf_raw *raw, const uint32_t *roots, size_t n_roots,
		     struct ks__btf_cut *ret);

#endif
