/* SPDX-License-Identifier: BSD-2-Clause */
/* btf_cut.c - copy some types of BTF, and all types they contain by value, into BTF of their own */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "btf_raw.h"

/*
 * The types of all probes take 0.1 MB, with a copy of each name: real BTF stays far below this.
 * libbpf searches all members for each field that programs read: 1 MiB of them takes it seconds.
 */
#define CUT_MAX (1u << 20)

struct cut {
	const struct ks__btf_raw *raw;
	uint32_t *new_id; /* by old id; 0: left out */
	uint32_t *kept;   /* kept[new id - 1] is the old id */
	uint32_t n_kept;
	char *out;
	uint32_t names_at, names; /* offset of the names in `out`, and their bytes so far */
};

/* Leaves out the targets of pointers: libbpf looks these types up by their own names. */
uint32_t *ks__btf_held(struct btf_type *t, uint32_t i)
{
	void *tail = t + 1;
	struct btf_array *array = tail;
	struct btf_member *members = tail;

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case KS__KIND_TYPE_TAG:
		return i == 0 ? &t->type : NULL;
	case BTF_KIND_ARRAY:
		return i == 0 ? &array->type : i == 1 ? &array->index_type : NULL;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return i < BTF_INFO_VLEN(t->info) ? &members[i].type : NULL;
	default:
		return NULL;
	}
}

/* The i-th name in a type, or NULL. */
static uint32_t *named(struct btf_type *t, uint32_t i)
{
	size_t part = ks__btf_part(t);

	if (i == 0)
		return &t->name_off;
	if (!part || i > BTF_INFO_VLEN(t->info))
		return NULL;
	return (void *)((char *)(t + 1) + (i - 1) * part);
}

/* No type can contain functions or variables by value, so they are left out: void replaces them. */
static int is_data(const struct btf_type *t)
{
	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_FUNC_PROTO:
	case KS__KIND_FUNC:
	case BTF_KIND_VAR:
	case BTF_KIND_DATASEC:
	case KS__KIND_DECL_TAG:
		return 0;
	default:
		return 1;
	}
}

static void keep(struct cut *c, uint32_t id)
{
	const struct btf_type *t = ks__btf_type(c->raw, id);

	if (!t || c->new_id[id] || !is_data(t))
		return;
	c->kept[c->n_kept++] = id;
	c->new_id[id] = c->n_kept;
}

/* Keeps all types that kept types contain, and counts the bytes of all kept types and names. */
static int keep_held(struct cut *c, uint64_t *ret_bytes, uint64_t *ret_names)
{
	uint64_t bytes = 0, names = 1;

	for (uint32_t k = 0; k < c->n_kept; k++) {
		/* read only here; ks__btf_held() and named() lack const for copy(), which writes */
		struct btf_type *t = (struct btf_type *)ks__btf_type(c->raw, c->kept[k]);
		uint32_t *at;

		bytes += sizeof(*t) + ks__btf_tail(t);
		if (bytes + names > CUT_MAX)
			return -E2BIG;
		for (uint32_t i = 0; (at = ks__btf_held(t, i)); i++)
			keep(c, *at);
		for (uint32_t i = 0; (at = named(t, i)); i++) {
			size_t n = strnlen(ks__btf_name(c->raw, *at), KS__BTF_NAME_MAX);

			if (n == KS__BTF_NAME_MAX)
				return -ENAMETOOLONG;
			names += n + 1;
		}
	}
	*ret_bytes = bytes;
	*ret_names = names;
	return bytes + names > CUT_MAX ? -E2BIG : 0;
}

static void copy(struct cut *c, uint32_t id, struct btf_type *to)
{
	const struct btf_type *from = ks__btf_type(c->raw, id);
	uint32_t *at;

	memcpy(to, from, sizeof(*from) + ks__btf_tail(from));
	if (BTF_INFO_KIND(to->info) == BTF_KIND_PTR)
		to->type = 0;
	for (uint32_t i = 0; (at = ks__btf_held(to, i)); i++)
		*at = *at <= c->raw->n_types ? c->new_id[*at] : 0;
	for (uint32_t i = 0; (at = named(to, i)); i++) {
		const char *name = ks__btf_name(c->raw, *at);
		size_t n = strlen(name) + 1;

		*at = n > 1 ? c->names : 0;
		if (n == 1)
			continue;
		memcpy(c->out + c->names_at + c->names, name, n);
		c->names += (uint32_t)n;
	}
}

static int write_cut(struct cut *c, uint64_t bytes, uint64_t names, struct ks__btf_cut *ret)
{
	struct btf_header head = { .magic = 0xeb9f,
				   .version = BTF_VERSION,
				   .hdr_len = sizeof(head) };
	uint32_t at = sizeof(head);

	c->out = calloc(1, sizeof(head) + bytes + names);
	if (!c->out)
		return -ENOMEM;
	c->names_at = (uint32_t)(sizeof(head) + bytes);
	c->names = 1; /* the first name is the empty one */
	for (uint32_t k = 0; k < c->n_kept; k++) {
		struct btf_type *to = (void *)(c->out + at);

		copy(c, c->kept[k], to);
		at += (uint32_t)(sizeof(*to) + ks__btf_tail(to));
	}
	head.type_len = head.str_off = (uint32_t)bytes;
	head.str_len = c->names;
	memcpy(c->out, &head, sizeof(head));
	ret->data = c->out;
	ret->size = c->names_at + c->names;
	return 0;
}

int ks__btf_make_cut(const struct ks__btf_raw *raw, const uint32_t *roots, size_t n_roots,
		     struct ks__btf_cut *ret)
{
	struct cut c = { .raw = raw };
	uint64_t bytes, names;
	int rc = -ENOMEM;

	/* large but cheap: only pages with kept types are touched */
	c.new_id = calloc((size_t)raw->n_types + 1, sizeof(*c.new_id));
	c.kept = calloc((size_t)raw->n_types + 1, sizeof(*c.kept));
	if (!c.new_id || !c.kept)
		goto out;
	for (size_t i = 0; i < n_roots; i++)
		keep(&c, roots[i]);
	rc = keep_held(&c, &bytes, &names);
	if (!rc)
		rc = write_cut(&c, bytes, names, ret);
out:
	free(c.new_id);
	free(c.kept);
	return rc;
}
