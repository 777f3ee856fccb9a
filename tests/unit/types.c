/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a handle takes ids from the running kernel's types and layouts from the copy that
 * replaces them; that missing or malformed types give no answer and the right reason; and that
 * libbpf gets a file with the types that were announced.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/types.h"
#include "source/bpf.h"
#include "support/counters.h"
#include "support/ks_test.h"

#define INFO(kind, n) ((unsigned)(kind) << 24 | (n))
#define NAMES "\0int\0task\0pid\0tid\0run\0btf_trace_go"
#define HINT "; untyped programs can use a copy (ks_open_opts.btf_path)"

enum { INT = 1, TASK = 5, PID = 10, TID = 14, RUN = 18, GO = 22 };

/* The kernel's own types; a copy may have other members and other arguments. */
struct image {
	struct btf_header head;
	uint32_t types[36];
	char names[sizeof(NAMES)];
};

static struct image image(int is_copy)
{
	const uint32_t types[] = {
		INT,  INFO(BTF_KIND_INT, 0),
		4,    32, /* 1 */
		0,    INFO(BTF_KIND_PTR, 0),
		1, /* 2 */
		0,    INFO(BTF_KIND_FUNC_PROTO, 4),
		0,    0,
		2,    0,
		1,    0,
		2,    0,
		1, /* 3 */
		0,    INFO(BTF_KIND_PTR, 0),
		3, /* 4 */
		GO,   INFO(BTF_KIND_TYPEDEF, 0),
		4, /* 5 */
		TASK, INFO(BTF_KIND_STRUCT, 1),
		4,    is_copy ? TID : PID,
		1,    0, /* 6 */
		RUN,  INFO(12, 0),
		3, /* 7 */
		0,    INFO(BTF_KIND_PTR, 0),
		1, /* 8 */
	};
	struct image i = { .head = { .magic = 0xeb9f,
				     .version = 1,
				     .hdr_len = sizeof(struct btf_header),
				     .type_len = sizeof(i.types),
				     .str_off = sizeof(i.types),
				     .str_len = sizeof(NAMES) } };

	_Static_assert(sizeof(types) == sizeof(i.types), "types must have all words");
	memcpy(i.types, types, sizeof(i.types));
	memcpy(i.names, NAMES, sizeof(NAMES));
	if (is_copy) { /* the first argument is the pointer, not the second */
		i.types[13] = 2;
		i.types[15] = 1;
	}
	return i;
}

/* ---- a handle over a folder ------------------------------------------------------------------ */

struct bed {
	char *dir, *own, *copy;
	struct ks *ks;
	struct ks__types t;
};

static void put(const char *path, const void *bytes, size_t size)
{
	g_assert_true(g_file_set_contents(path, bytes, (gssize)size, NULL));
}

/* has_own, has_copy: which files exist. names_copy: the handle names the copy. */
static struct bed *bed_new(int has_own, int names_copy, int has_copy)
{
	struct bed *b = g_new0(struct bed, 1);
	struct ks_open_opts opts = { .size = sizeof(opts) };
	struct image own = image(0), copy = image(1);
	char *folder;

	b->dir = g_dir_make_tmp("ks-types-XXXXXX", NULL);
	folder = g_build_filename(b->dir, "kernel", "btf", NULL);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	b->own = g_build_filename(folder, "vmlinux", NULL);
	b->copy = g_build_filename(b->dir, "copy", NULL);
	if (has_own)
		put(b->own, &own, sizeof(own));
	if (has_copy)
		put(b->copy, &copy, sizeof(copy));
	opts.sys_path = b->dir;
	opts.btf_path = names_copy ? b->copy : NULL;
	ks_assert_rc(ks_open(&opts, &b->ks), 0);
	ks__types_init(&b->t, b->ks);
	ks_assert_rc(ks__types_expect(&b->t, KS__BTF_EVENT, "go"), 0);
	ks_assert_rc(ks__types_expect(&b->t, KS__BTF_FUNC, "run"), 0);
	g_free(folder);
	return b;
}

static void bed_free(struct bed *b)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", b->dir, NULL };

	ks__types_free(&b->t);
	ks_close(b->ks);
	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
	g_free(b->own);
	g_free(b->copy);
	g_free(b->dir);
	g_free(b);
}

/* Asserts the reason; `format` gets the path. */
static void assert_why(const char *why, const char *path, const char *behind)
{
	char *want = g_strdup_printf("BTF: %s%s", path, behind);

	g_assert_cmpstr(why, ==, want);
	g_free(want);
}

static void assert_nothing(struct bed *b)
{
	g_assert_cmpint(ks__types_args(&b->t, "go"), ==, -1);
	for (unsigned n = 0; n < 4; n++)
		g_assert_cmpint(ks__types_arg_is_pointer(&b->t, "go", n), ==, 0);
	g_assert_cmpint(ks__types_member(&b->t, "task", "pid"), ==, -ENOENT);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void test_own(void)
{
	struct bed *b = bed_new(1, 0, 0);
	char why[300] = "untouched";

	ks_assert_rc(ks__types_expect(&b->t, KS__BTF_TYPE, "task"), 0);
	g_assert_cmpuint(ks__types_id(&b->t, KS__BTF_EVENT, "go"), ==, 5);
	g_assert_cmpuint(ks__types_id(&b->t, KS__BTF_FUNC, "run"), ==, 7);
	g_assert_cmpuint(ks__types_id(&b->t, KS__BTF_TYPE, "task"), ==, 6);
	g_assert_cmpuint(ks__types_id(&b->t, KS__BTF_TYPE, "run"), ==, 0); /* not announced */
	g_assert_cmpuint(ks__types_id(&b->t, KS__BTF_FUNC, "go"), ==, 0);
	g_assert_cmpint(ks__types_args(&b->t, "go"), ==, 3);
	g_assert_cmpint(ks__types_args(&b->t, "run"), ==, -1);
	for (unsigned n = 0; n < 70; n++)
		g_assert_cmpint(ks__types_arg_is_pointer(&b->t, "go", n), ==, n == 1);
	g_assert_cmpint(ks__types_arg_is_pointer(&b->t, "none", 1), ==, 0);
	g_assert_cmpint(ks__types_member(&b->t, "task", "pid"), ==, 1);
	g_assert_cmpint(ks__types_member(&b->t, "task", "tid"), ==, 0);
	g_assert_cmpint(ks__types_member(&b->t, "other", "pid"), ==, -ENOENT);
	ks_assert_rc(ks__types_own(&b->t, why, sizeof(why)), 0);
	ks_assert_rc(ks__types_core(&b->t, why, sizeof(why)), 0);
	g_assert_cmpstr(why, ==, "untouched");
	g_assert_cmpint(b->t.own.is_kernels, ==, 0);
	g_assert_cmpint(b->t.replaced, ==, 0);
	bed_free(b);
}

/*
 * A member that a known type lacks takes its bit; one of an unknown type is not known to be
 * lacking.
 */
static void test_lacks(void)
{
	static const struct ks__need needs[] = { { 1, "task", "tid", "" },
						 { 2, "task", "pid", "" },
						 { 4, "other", "tid", "" },
						 { 1ull << 40, "task", "uid", "" },
						 { .bit = 0 } };
	struct bed *b = bed_new(1, 0, 0);

	g_assert_cmphex(ks__bpf_lacks(&b->t, needs), ==, 0); /* no type was announced */
	ks_assert_rc(ks__types_expect(&b->t, KS__BTF_TYPE, "task"), 0);
	g_assert_cmphex(ks__bpf_lacks(&b->t, needs), ==, 1 | 1ull << 40);
	g_assert_cmphex(ks__bpf_lacks(&b->t, needs + 1), ==, 1ull << 40);
	g_assert_cmphex(ks__bpf_lacks(&b->t, NULL), ==, 0);
	bed_free(b);
}

/* Ids are those of the running kernel: it attaches programs by them. Layouts are the copy's. */
static void test_copy(void)
{
	for (int has_own = 0; has_own <= 1; has_own++) {
		struct bed *b = bed_new(has_own, 1, 1);
		char why[300] = "untouched";

		ks_assert_rc(ks__types_expect(&b->t, KS__BTF_TYPE, "task"), 0);
		g_assert_cmpuint(ks__types_id(&b->t, KS__BTF_EVENT, "go"), ==, has_own ? 5 : 0);
		g_assert_cmpint(ks__types_args(&b->t, "go"), ==, 3);
		for (unsigned n = 0; n < 4; n++)
			g_assert_cmpint(ks__types_arg_is_pointer(&b->t, "go", n), ==, n == 0);
		g_assert_cmpint(ks__types_member(&b->t, "task", "pid"), ==, 0);
		g_assert_cmpint(ks__types_member(&b->t, "task", "tid"), ==, 1);
		ks_assert_rc(ks__types_core(&b->t, why, sizeof(why)), 0);
		g_assert_cmpstr(why, ==, "untouched");
		ks_assert_rc(ks__types_own(&b->t, why, sizeof(why)), has_own ? 0 : -ENOENT);
		if (!has_own) /* no hint at the copy, which is named already */
			assert_why(why, b->own,
				   " is missing: the kernel needs CONFIG_DEBUG_INFO_BTF");
		g_assert_cmpint(b->t.replaced, ==, 1);
		bed_free(b);
	}
}

static void test_no_own(void)
{
	struct bed *b = bed_new(0, 0, 0);
	int fd = -1, rc = ks__types_embedded() ? 0 : -ENOENT;
	char why[300] = "", path[64];

	ks_assert_rc(ks__types_own(&b->t, why, sizeof(why)), -ENOENT);
	assert_why(why, b->own, " is missing: the kernel needs CONFIG_DEBUG_INFO_BTF" HINT);
	ks_assert_rc(ks__types_core(&b->t, why, sizeof(why)), rc);
	g_assert_cmpuint(ks__types_id(&b->t, KS__BTF_EVENT, "go"), ==, 0);
	assert_nothing(b);
	ks_assert_rc(ks__types_path(&b->t, path, sizeof(path), &fd), rc);
	if (!rc)
		close(fd);
	bed_free(b);
}

/* A file that is no BTF, or that is cut off, is no empty BTF. */
static void test_malformed(void)
{
	struct bed *b = bed_new(1, 0, 0);
	struct image own = image(0);
	char why[300] = "";

	for (size_t size = 1; size < sizeof(own); size += 40) {
		char *behind, *begin = g_strdup_printf("BTF: %s cannot be used: ", b->own);

		put(b->own, &own, size);
		ks__types_free(&b->t);
		ks_assert_rc(ks__types_expect(&b->t, KS__BTF_EVENT, "go"), 0);
		ks_assert_rc(ks__types_own(&b->t, why, sizeof(why)), -EINVAL);
		g_assert_true(g_str_has_prefix(why, begin));
		behind = why + strlen(begin);
		g_assert_true(g_str_has_suffix(behind, HINT));
		g_assert_cmpuint(strlen(behind), >, strlen(HINT));
		g_assert_cmpuint(ks__types_id(&b->t, KS__BTF_EVENT, "go"), ==, 0);
		assert_nothing(b);
		g_free(begin);
	}
	bed_free(b);
}

static void test_no_copy(void)
{
	struct bed *b = bed_new(1, 1, 0);
	char why[300] = "", path[64];
	int fd;

	ks_assert_rc(ks__types_core(&b->t, why, sizeof(why)), -ENOENT);
	assert_why(why, b->copy, " cannot be opened (ENOENT)");
	ks_assert_rc(ks__types_own(&b->t, why, sizeof(why)), 0);
	g_assert_cmpuint(ks__types_id(&b->t, KS__BTF_EVENT, "go"), ==, 5);
	assert_nothing(b);
	ks_assert_rc(ks__types_path(&b->t, path, sizeof(path), &fd), -ENOENT);
	bed_free(b);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* A name has up to 63 bytes and counts once; a late one is found by another scan. */
static void test_expect(void)
{
	struct bed *b = bed_new(1, 0, 0);
	char name[65];

	memset(name, 'n', 64);
	name[64] = '\0';
	ks_assert_rc(ks__types_expect(&b->t, KS__BTF_FUNC, name), -ENOSPC);
	name[63] = '\0';
	ks_assert_rc(ks__types_expect(&b->t, KS__BTF_FUNC, name), 0);
	ks_assert_rc(ks__types_expect(&b->t, KS__BTF_FUNC, name), 0);
	g_assert_cmpuint(b->t.n, ==, 3);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		ks_assert_rc(ks__types_expect(&b->t, KS__BTF_FUNC, name), 0);
	}
	g_assert_cmpuint(b->t.n, ==, 203);
	g_assert_cmpuint(ks__types_id(&b->t, KS__BTF_FUNC, "run"), ==, 7);
	g_assert_cmpint(ks__types_member(&b->t, "task", "pid"), ==, -ENOENT);
	ks_assert_rc(ks__types_expect(&b->t, KS__BTF_TYPE, "task"), 0);
	g_assert_cmpint(ks__types_member(&b->t, "task", "pid"), ==, 1);
	g_assert_cmpint(unlink(b->own), ==, 0);
	ks_assert_rc(ks__types_expect(&b->t, KS__BTF_TYPE, "task"), 0);
	g_assert_cmpint(ks__types_member(&b->t, "task", "pid"), ==, 1); /* needs no scan */
	bed_free(b);
}

/* ---- for libbpf ------------------------------------------------------------------------------ */

/* The file holds the announced type, and is gone with its descriptor. */
static void test_path(void)
{
	for (int copied = 0; copied <= 1; copied++) {
		struct bed *b = bed_new(1, copied, copied);
		unsigned before;
		char path[64], *bytes;
		gsize size;
		int fd = -5;

		ks_assert_rc(ks__types_expect(&b->t, KS__BTF_TYPE, "task"), 0);
		before = counters_descriptors();
		ks_assert_rc(ks__types_path(&b->t, path, sizeof(path), &fd), 0);
		g_assert_cmpint(fd, >=, 0);
		g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
		g_assert_cmpuint(counters_descriptors(), ==, before + 1);
		g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
		g_assert_cmpint(ks__btf_has_member(bytes, size, "task", copied ? "tid" : "pid"), ==,
				1);
		g_assert_cmpint(ks__btf_has_member(bytes, size, "task", copied ? "pid" : "tid"), ==,
				0);
		close(fd);
		g_free(bytes);
		bed_free(b);
	}
}

static int path_with_no_descriptor(struct bed *b)
{
	struct rlimit before, none;
	char path[64], why[300];
	int fd = -5, rc;

	ks_assert_rc(ks__types_core(&b->t, why, sizeof(why)), 0); /* the files are read by now */
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
	none = (struct rlimit){ 0, before.rlim_max };
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
	rc = ks__types_path(&b->t, path, sizeof(path), &fd);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	g_assert_cmpint(fd, ==, -EMFILE);
	return rc;
}

/*
 * Types that the kernel did not write have no other file. If the folder of sysfs has another place
 * now (chroot), the reason is that.
 */
static void test_no_path(void)
{
	struct bed *b = bed_new(1, 0, 0);
	char *elsewhere = g_strdup_printf("%s-elsewhere", b->dir);

	ks_assert_rc(path_with_no_descriptor(b), -EMFILE);
	g_assert_cmpint(rename(b->dir, elsewhere), ==, 0);
	ks_assert_rc(path_with_no_descriptor(b), -ESTALE);
	g_assert_cmpint(mkdir(b->dir, 0700), ==, 0);
	ks_assert_rc(path_with_no_descriptor(b), -ESTALE);
	g_assert_cmpint(rmdir(b->dir), ==, 0);
	g_assert_cmpint(rename(elsewhere, b->dir), ==, 0);
	ks_assert_rc(path_with_no_descriptor(b), -EMFILE);
	g_free(elsewhere);
	bed_free(b);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/types/own", test_own);
	g_test_add_func("/types/lacks", test_lacks);
	g_test_add_func("/types/copy", test_copy);
	g_test_add_func("/types/no own", test_no_own);
	g_test_add_func("/types/malformed", test_malformed);
	g_test_add_func("/types/no copy", test_no_copy);
	g_test_add_func("/types/expect", test_expect);
	g_test_add_func("/types/path", test_path);
	g_test_add_func("/types/no path", test_no_path);
	return g_test_run();
}
