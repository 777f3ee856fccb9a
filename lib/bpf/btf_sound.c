/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * btf_sound.c - check that libbpf can process BTF in bounded time and without a crash
 *
 * libbpf trusts the BTF that it relocates programs against. It follows typedefs to their end,
 * searches every anonymous member, and divides by the size of the type of a bit-field. This check
 * refuses BTF that would make libbpf run for ever or crash.
 */
#include <errno.h>
#include <stdlib.h>

#include "btf_raw.h"

#define DEPTH_MAX 64          /* nested types; kernels have 20 levels */
#define MEMBERS_MAX (1 << 16) /* of all types together, see add_members(); kernels have 2500 */

/* The result for one type and all types that it contains. */
struct found {
	uint8_t done;     /* 1: the check is in progress, 2: it is finished */
	uint8_t depth;    /* levels of nested types */
	uint32_t members; /* members that a search by name visits */
};

struct check {
	const struct ks__btf_raw *raw;
	struct found *found; /* by id */
	uint64_t members;    /* of all structs and unions so far */
	const char *why;
};

static int is_power_of_two(uint32_t size, uint32_t most)
{
	return size && size <= most && !(size & (size - 1));
}

static const struct btf_type *skip_modifiers(const struct ks__btf_raw *raw, uint32_t id)
{
	const struct btf_type *t = ks__btf_type(raw, id);

	for (unsigned turn = 0; t && turn < DEPTH_MAX; turn++) {
		switch (BTF_INFO_KIND(t->info)) {
		case BTF_KIND_TYPEDEF:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_CONST:
		case BTF_KIND_RESTRICT:
		case KS__KIND_TYPE_TAG:
			t = ks__btf_type(raw, t->type);
			break;
		default:
			return t;
		}
	}
	return NULL;
}

static int is_number(const struct btf_type *t)
{
	switch (t ? BTF_INFO_KIND(t->info) : BTF_KIND_UNKN) {
	case BTF_KIND_INT:
	case BTF_KIND_ENUM:
	case KS__KIND_ENUM64:
		return 1;
	default:
		return 0;
	}
}

/* Integers and enums must have a valid size; bit-fields must be integers or enums. */
static const char *check_sizes(const struct ks__btf_raw *raw, const struct btf_type *t)
{
	const struct btf_member *m = (const void *)(t + 1);
	uint32_t kind = BTF_INFO_KIND(t->info);

	if (is_number(t) && !is_power_of_two(t->size, kind == BTF_KIND_INT ? 16 : 8))
		return "an integer or enum in it has an invalid size";
	if ((kind != BTF_KIND_STRUCT && kind != BTF_KIND_UNION) || !BTF_INFO_KFLAG(t->info))
		return NULL;
	for (uint32_t i = 0; i < BTF_INFO_VLEN(t->info); i++)
		if (BTF_MEMBER_BITFIELD_SIZE(m[i].offset) &&
		    !is_number(skip_modifiers(raw, m[i].type)))
			return "a bit-field in it is neither an integer nor an enum";
	return NULL;
}

/* 1: a search by name continues in the i-th type that `t` contains. */
static int is_searched(const struct ks__btf_raw *raw, const struct btf_type *t, uint32_t i)
{
	const struct btf_member *m = (const void *)(t + 1);
	uint32_t kind = BTF_INFO_KIND(t->info);

	return (kind != BTF_KIND_STRUCT && kind != BTF_KIND_UNION) ||
	       !ks__btf_name(raw, m[i].name_off)[0];
}

/*
 * libbpf searches every candidate type for each field that programs read, members of anonymous
 * members included: so what counts is the sum over all types, and not the size of the BTF. A
 * struct of 3 KB can have 65000 such members.
 */
static void add_members(struct check *c, const struct btf_type *t, uint64_t members)
{
	uint32_t kind = BTF_INFO_KIND(t->info);

	if (kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION)
		c->members += members;
	if (c->members > MEMBERS_MAX && !c->why)
		c->why = "its types have too many members";
}

/* Recursive; DEPTH_MAX bounds it. */
static int check_type(struct check *c, uint32_t id, unsigned left)
{
	/* not written here; ks__btf_held() takes no const, since btf_cut.c writes */
	struct btf_type *t = (struct btf_type *)ks__btf_type(c->raw, id);
	struct found *found = &c->found[id];
	uint64_t members = 0;
	uint8_t depth = 0;
	uint32_t *at;

	if (!t || found->done == 2)
		return 0;
	if (found->done || !left) {
		c->why = found->done ? "a type in it contains itself" :
				       "its types are nested too deep";
		return -EINVAL;
	}
	found->done = 1;
	c->why = check_sizes(c->raw, t);
	for (uint32_t i = 0; !c->why && (at = ks__btf_held(t, i)); i++) {
		const struct found *held;

		if (*at > c->raw->n_types || check_type(c, *at, left - 1))
			return -EINVAL;
		held = &c->found[*at];
		depth = held->depth > depth ? held->depth : depth;
		members += 1 + (is_searched(c->raw, t, i) ? held->members : 0);
	}
	if (!c->why && depth >= DEPTH_MAX)
		c->why = "its types are nested too deep";
	add_members(c, t, members);
	*found = (struct found){ 2, (uint8_t)(depth + 1), (uint32_t)members };
	return c->why ? -EINVAL : 0;
}

int ks__btf_sound(const void *data, size_t size, const char **ret_why)
{
	struct ks__btf_raw raw;
	struct check c = { .raw = &raw };
	int rc = ks__btf_raw_open(data, size, &raw);

	if (rc)
		return rc;
	c.found = calloc((size_t)raw.n_types + 1, sizeof(*c.found));
	if (!c.found)
		rc = -ENOMEM;
	for (uint32_t id = 1; id <= raw.n_types && !rc; id++)
		rc = check_type(&c, id, DEPTH_MAX);
	if (rc == -EINVAL)
		*ret_why = c.why ? c.why : "its type section is malformed";
	free(c.found);
	free(raw.offsets);
	return rc;
}
