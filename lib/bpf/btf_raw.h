/* SPDX-License-Identifier: BSD-2-Clause */
/* btf_raw.h - raw BTF with an index of its types; private to btf*.c */
#ifndef KS_BTF_RAW_H
#define KS_BTF_RAW_H

#include <linux/btf.h>

#include "btf_scan.h"

/* Kinds that older <linux/btf.h> headers lack. */
#define KS__KIND_FUNC 12
#define KS__KIND_DECL_TAG 17
#define KS__KIND_TYPE_TAG 18
#define KS__KIND_ENUM64 19
#define KS__KIND_LAST 19

struct ks__btf_raw {
	const char *types, *strings;
	uint32_t types_size, strings_size;
	uint32_t *offsets; /* of every 64th type (STRIDE in btf_scan.c) in `types` */
	uint32_t n_types;
};

/* Bytes that follow struct btf_type: members, parameters and so on. */
uint64_t ks__btf_tail(const struct btf_type *t);
/* Bytes of one element of the tail that begins with a name; 0: its elements have no names. */
size_t ks__btf_part(const struct btf_type *t);

/* Points to the id of the i-th type that `t` contains by value; NULL: it contains fewer. */
uint32_t *ks__btf_held(struct btf_type *t, uint32_t i);

/* Indexes the types. 0, -ENOMEM or -EINVAL; the caller frees ret->offsets. */
int ks__btf_raw_open(const void *data, size_t size, struct ks__btf_raw *ret);

/* The type with this id, or NULL. */
const struct btf_type *ks__btf_type(const struct ks__btf_raw *raw, uint32_t id);
/* The name at this offset of the string section; "" if the offset is out of bounds. */
const char *ks__btf_name(const struct ks__btf_raw *raw, uint32_t offset);

#define KS__BTF_NAME_MAX 512 /* bytes of a name with its NUL; KSYM_NAME_LEN */

/*
 * Copies the root types and all types they contain by value into BTF of their own. 0, -ENOMEM,
 * -E2BIG or -ENAMETOOLONG.
 */
int ks__btf_make_cut(const struct ks__btf_raw *raw, const uint32_t *roots, size_t n_roots,
		     struct ks__btf_cut *ret);
/* Checks that libbpf can process these types. 0, -ENOMEM, or -EINVAL and the reason in *ret_why. */
int ks__btf_sound(const void *data, size_t size, const char **ret_why);

#endif
