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

/* The i-th reference to a type that this one holds by value, or NULL. */
uint32_t *ks__btf_held(struct btf_type *t, uint32_t i);

/* 0, -ENOMEM or -EINVAL; free(offsets) afterwards. */
int ks__btf_raw_open(const void *data, size_t size, struct ks__btf_raw *ret);

/* NULL: there is no such type. */
const struct btf_type *ks__btf_type(const struct ks__btf_raw *raw, uint32_t id);
/* "" if it is out of bounds. */
const char *ks__btf_name(const struct ks__btf_raw *raw, uint32_t offset);

#define KS__BTF_NAME_MAX 512 /* bytes of a name with its NUL; KSYM_NAME_LEN */

/* 0, -ENOMEM, -E2BIG, or -ENAMETOOLONG. */
int ks__btf_make_cut(const struct ks__btf_raw *raw, const uint32_t *roots, size_t n_roots,
		     struct ks__btf_cut *ret);
/* Can libbpf work on these types? 0, -ENOMEM, or -EINVAL and why not. */
int ks__btf_sound(const void *data, size_t size, const char **ret_why);

#endif
