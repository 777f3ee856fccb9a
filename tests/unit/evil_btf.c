/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that BTF is refused with a message that says what is wrong if libbpf could not process it,
 * or not in bounded time; and that BTF just inside the limits is accepted.
 */
#include <errno.h>
#include <linux/btf.h>
#include <stdlib.h>

#include "bpf/btf_raw.h"
#include "bpf/btf_scan.h"
#include "support/ks_test.h"

#define NOT_BITFIELD 0

/* BTF that grows as types are added; type 1 is int. */
struct image {
	GByteArray *types;
	GByteArray *names;
	uint32_t n;
};

static void word(struct image *i, uint32_t value)
{
	g_byte_array_append(i->types, (const guint8 *)&value, sizeof(value));
}

static uint32_t name(struct image *i, const char *text)
{
	uint32_t at = i->names->len;

	g_byte_array_append(i->names, (const guint8 *)text, (guint)strlen(text) + 1);
	return at;
}

/* Adds a type. Returns its id. */
static uint32_t type(struct image *i, const char *text, uint32_t kind, uint32_t n, uint32_t size)
{
	word(i, text[0] ? name(i, text) : 0);
	word(i, kind << 24 | n);
	word(i, size);
	return ++i->n;
}

static void member(struct image *i, uint32_t name_at, uint32_t id, uint32_t bits)
{
	word(i, name_at);
	word(i, id);
	word(i, bits << 24);
}

static struct image begin(void)
{
	struct image i = { g_byte_array_new(), g_byte_array_new(), 0 };

	name(&i, "");
	type(&i, "int", BTF_KIND_INT, 0, 4);
	word(&i, 32);
	return i;
}

/* want NULL: it is accepted. */
static void judge(struct image *i, const char *want)
{
	struct btf_header head = { .magic = 0xeb9f,
				   .version = BTF_VERSION,
				   .hdr_len = sizeof(head),
				   .type_len = i->types->len,
				   .str_off = i->types->len,
				   .str_len = i->names->len };
	struct ks__btf_ask ask = { .name = "task", .kind = KS__BTF_TYPE };
	GByteArray *all = g_byte_array_new();
	struct ks__btf_cut cut = { 0 };
	const char *why = NULL;

	g_byte_array_append(all, (const guint8 *)&head, sizeof(head));
	g_byte_array_append(all, i->types->data, i->types->len);
	g_byte_array_append(all, i->names->data, i->names->len);
	ks_assert_rc(ks__btf_scan(all->data, all->len, &ask, 1, &cut, &why), want ? -EINVAL : 0);
	g_assert_cmpstr(why, ==, want);
	g_assert_true(!cut.data == !!want);
	g_assert_cmpuint(!ask.id, ==, !!want);
	if (!want)
		g_assert_cmpint(ks__btf_has_member(cut.data, cut.size, "task", "none"), ==, 0);
	/* a search through such types ends, too */
	ks__btf_has_member(all->data, all->len, "task", "none");
	free(cut.data);
	g_byte_array_unref(all);
	g_byte_array_unref(i->types);
	g_byte_array_unref(i->names);
}

/* ---- circles --------------------------------------------------------------------------------- */

#define ITSELF "a type in it contains itself"

/* struct task { A pid; }, where A is const B and B is volatile A. */
static void test_modifiers(gconstpointer data)
{
	struct image i = begin();
	uint32_t kind = (uint32_t)(uintptr_t)data;

	type(&i, "", kind, 0, 3);
	type(&i, "", kind, 0, 2);
	type(&i, "task", BTF_KIND_STRUCT, 1, 8);
	member(&i, name(&i, "pid"), 2, NOT_BITFIELD);
	judge(&i, ITSELF);
}

static void test_typedef(void)
{
	struct image i = begin();

	type(&i, "task", BTF_KIND_TYPEDEF, 0, 2);
	judge(&i, ITSELF);
}

static void test_array(void)
{
	struct image i = begin();

	type(&i, "task", BTF_KIND_TYPEDEF, 0, 3);
	type(&i, "", BTF_KIND_ARRAY, 0, 0);
	word(&i, 3);
	word(&i, 1);
	word(&i, UINT32_MAX);
	judge(&i, ITSELF);
}

static void test_struct(void)
{
	struct image i = begin();

	type(&i, "task", BTF_KIND_STRUCT, 1000, 8);
	for (unsigned n = 0; n < 1000; n++)
		member(&i, 0, 2, NOT_BITFIELD);
	judge(&i, ITSELF);
}

/* Every list has a struct with a pointer to itself: that is accepted. */
static void test_pointer(void)
{
	struct image i = begin();

	type(&i, "task", BTF_KIND_STRUCT, 1, 8);
	member(&i, name(&i, "next"), 3, NOT_BITFIELD);
	type(&i, "", BTF_KIND_PTR, 0, 2);
	judge(&i, NULL);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

/* Makes a struct task around `depth` levels of nested types. */
static struct image nested(unsigned depth)
{
	struct image i = begin();
	uint32_t id = 1;

	for (unsigned n = 2; n < depth; n++)
		id = type(&i, "", BTF_KIND_CONST, 0, id);
	type(&i, "task", BTF_KIND_STRUCT, 1, 8);
	member(&i, name(&i, "pid"), id, NOT_BITFIELD);
	return i;
}

static void test_depth(void)
{
	struct image i = nested(64);

	judge(&i, NULL);
	i = nested(65);
	judge(&i, "its types are nested too deep");
	i = nested(60000);
	judge(&i, "its types are nested too deep");
}

/* Makes `types` structs of `outer` unnamed members, each a struct of `inner` members. */
static struct image crowd(unsigned inner, unsigned outer, unsigned types)
{
	struct image i = begin();
	uint32_t pid = name(&i, "pid");

	type(&i, "", BTF_KIND_STRUCT, inner, 8);
	for (unsigned n = 0; n < inner; n++)
		member(&i, pid, 1, NOT_BITFIELD);
	while (types--) {
		type(&i, "task", BTF_KIND_STRUCT, outer, 8);
		for (unsigned n = 0; n < outer; n++)
			member(&i, 0, 2, NOT_BITFIELD);
	}
	return i;
}

static void test_members(void)
{
	struct image i = crowd(254, 257, 1); /* 254 + 257 * (1 + 254) = 65789 */

	judge(&i, "its types have too many members");
	i = crowd(254, 256, 1); /* 65534 */
	judge(&i, NULL);
	i = crowd(20000, 20000, 1);
	judge(&i, "its types have too many members");
	/* libbpf searches each candidate: what counts is the sum of all */
	i = crowd(63, 64, 15); /* 63 + 15 * 64 * (1 + 63) = 61503 */
	judge(&i, NULL);
	i = crowd(63, 64, 16); /* 65599 */
	judge(&i, "its types have too many members");
	i = crowd(255, 256, 300); /* 1 MB of BTF, 20 million members */
	judge(&i, "its types have too many members");
}

/*
 * A search by name goes into unnamed members, also through a typedef, but not into named ones.
 * kind: of the outer type.
 */
static void test_searched(void)
{
	static const uint32_t kinds[] = { BTF_KIND_STRUCT, BTF_KIND_UNION };

	for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
		for (int is_named = 0; is_named <= 1; is_named++) {
			struct image i = begin();
			uint32_t pid = name(&i, "pid");

			type(&i, "", BTF_KIND_STRUCT, 256, 8);
			for (unsigned n = 0; n < 256; n++)
				member(&i, pid, 1, NOT_BITFIELD);
			type(&i, "alias", BTF_KIND_TYPEDEF, 0, 2);
			type(&i, "task", kinds[k], 256, 8);
			for (unsigned n = 0; n < 256; n++)
				member(&i, is_named ? pid : 0, 3, NOT_BITFIELD);
			judge(&i, is_named ? NULL : "its types have too many members");
		}
}

/* Bytes that are no BTF are not sound. */
static void test_no_btf(void)
{
	const char bytes[64] = "no BTF";
	const char *why = NULL;

	ks_assert_rc(ks__btf_sound(bytes, sizeof(bytes), &why), -EINVAL);
}

static struct image named(unsigned length, unsigned n)
{
	struct image i = begin();
	char *text = g_strnfill(length, 'x');
	uint32_t at = name(&i, text);

	type(&i, "task", BTF_KIND_STRUCT, n, 8);
	for (unsigned m = 0; m < n; m++)
		member(&i, at, 1, NOT_BITFIELD);
	g_free(text);
	return i;
}

static void test_names(void)
{
	struct image i = named(511, 1);

	judge(&i, NULL);
	i = named(512, 1);
	judge(&i, "a name in it is longer than in any kernel");
	i = named(5000000, 20000);
	judge(&i, "a name in it is longer than in any kernel");
	i = named(511, 20000);
	judge(&i, "its types are larger than in any kernel");
}

/* If the cut-out would be too large, it is refused; the whole BTF is not used in its place. */
static void test_large(void)
{
	struct image i = begin();
	uint32_t pid = name(&i, "pid");

	for (unsigned n = 0; n < 6; n++) {
		type(&i, "task", BTF_KIND_STRUCT, 65535, 8);
		for (unsigned m = 0; m < 65535; m++)
			member(&i, pid, m % 2 ? 1 : 0x7ffffff0, NOT_BITFIELD);
	}
	judge(&i, "its types are larger than in any kernel");
	i = named(2, 60000); /* 15 bytes each: below 1 MiB */
	judge(&i, NULL);
	i = named(5, 60000); /* 18 bytes each: libbpf would search them for seconds */
	judge(&i, "its types are larger than in any kernel");
	/* 12 bytes and a name for each type and member: 1 MiB, and a byte more */
	for (unsigned more = 0; more <= 1; more++) {
		unsigned left = 65523;
		uint32_t longer;

		i = begin();
		longer = name(&i, "pids");
		pid = name(&i, "pid");
		for (unsigned n = 0; n < 11; n++) {
			unsigned members = MIN(left, 6000);

			type(&i, "task", BTF_KIND_STRUCT, members, 8);
			for (unsigned m = 0; m < members; m++)
				member(&i, n + m || !more ? pid : longer, 1, NOT_BITFIELD);
			left -= members;
		}
		g_assert_cmpuint(left, ==, 0);
		judge(&i, more ? "its types are larger than in any kernel" : NULL);
	}
	i = begin();
	for (unsigned n = 0; n < 70000; n++)
		type(&i, "task", BTF_KIND_STRUCT, 0, 8);
	judge(&i, "its types are larger than in any kernel");
}

/* ---- sizes ----------------------------------------------------------------------------------- */

#define KFLAG (1u << 31)

/* struct task { NUMBER pid : bits; } */
static void sized(uint32_t kind, uint32_t size, uint32_t bits, const char *want)
{
	struct image i = begin();

	type(&i, "number", kind, 0, size);
	if (kind == BTF_KIND_INT)
		word(&i, 32);
	type(&i, "task", BTF_KIND_STRUCT, 1, 8);
	*(uint32_t *)(void *)(i.types->data + i.types->len - 8) |= bits ? KFLAG : 0;
	member(&i, name(&i, "pid"), 2, bits);
	judge(&i, want);
}

static void test_sizes(void)
{
	static const uint32_t good[] = { 1, 2, 4, 8 }, bad[] = { 0, 3, 5, 12, 32, UINT32_MAX };
	const char *want = "an integer or enum in it has an invalid size";

	for (size_t n = 0; n < G_N_ELEMENTS(good); n++) {
		sized(BTF_KIND_INT, good[n], 5, NULL);
		sized(BTF_KIND_ENUM, good[n], 5, NULL);
	}
	for (size_t n = 0; n < G_N_ELEMENTS(bad); n++) {
		sized(BTF_KIND_INT, bad[n], 5, want);
		sized(BTF_KIND_INT, bad[n], NOT_BITFIELD, want);
		sized(BTF_KIND_ENUM, bad[n], 5, want);
	}
	sized(BTF_KIND_INT, 16, NOT_BITFIELD, NULL);
	sized(BTF_KIND_ENUM, 16, NOT_BITFIELD, want);
}

/*
 * libbpf divides by the size of a bitfield's type. A pointer whose target was cut out has size 0.
 */
static void test_bitfields(void)
{
	sized(BTF_KIND_PTR, 1, 5, "a bit-field in it is neither an integer nor an enum");
	sized(BTF_KIND_STRUCT, 0, 5, "a bit-field in it is neither an integer nor an enum");
	sized(BTF_KIND_PTR, 1, NOT_BITFIELD, NULL);
	sized(BTF_KIND_CONST, 1, 5, NULL);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint32_t kind;
	} modifiers[] = { { "typedef", BTF_KIND_TYPEDEF },
			  { "volatile", BTF_KIND_VOLATILE },
			  { "const", BTF_KIND_CONST },
			  { "restrict", BTF_KIND_RESTRICT },
			  { "tag", 18 } };

	ks_test_init(&argc, &argv);
	for (size_t i = 0; i < G_N_ELEMENTS(modifiers); i++) {
		char *path = g_strdup_printf("/evil/circle/%s", modifiers[i].name);

		g_test_add_data_func(path, GUINT_TO_POINTER(modifiers[i].kind), test_modifiers);
		g_free(path);
	}
	g_test_add_func("/evil/circle/itself", test_typedef);
	g_test_add_func("/evil/circle/array", test_array);
	g_test_add_func("/evil/circle/struct", test_struct);
	g_test_add_func("/evil/circle/pointer", test_pointer);
	g_test_add_func("/evil/depth", test_depth);
	g_test_add_func("/evil/members", test_members);
	g_test_add_func("/evil/searched", test_searched);
	g_test_add_func("/evil/no BTF", test_no_btf);
	g_test_add_func("/evil/names", test_names);
	g_test_add_func("/evil/large", test_large);
	g_test_add_func("/evil/sizes", test_sizes);
	g_test_add_func("/evil/bit-fields", test_bitfields);
	return g_test_run();
}
