/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the scan of raw BTF finds names of each kind; that a cut-out is valid BTF with exactly
 * the types asked for and the types that they contain; and that the scan tells members which exist
 * from those that a kernel's configuration leaves out; and that the advice for a limit on files
 * names the option btf_path only if the host has set it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bpf/btf_scan.h"
#include "bpf/machine.h"
#include "ks.h"
#include "support/ks_test.h"

#define WORDS 58
#define INFO(kind, n) ((unsigned)(kind) << 24 | (n))

#define NAMES "\0int\0task\0pid\0ioac\0read_bytes\0other\0btf_trace_go\0run"

enum { INT = 1, TASK = 5, PID = 10, IOAC = 14, READ = 19, OTHER = 30, GO = 36, RUN = 49 };

/*
 * struct task { int pid; struct { struct ioac ioac; }; struct other *; }, with type ids in the
 * comments
 */
static const struct {
	struct btf_header head;
	uint32_t types[WORDS];
	char strings[sizeof(NAMES)];
} image = {
	{ .magic = 0xeb9f,
	  .version = 1,
	  .hdr_len = sizeof(struct btf_header),
	  .type_len = WORDS * 4,
	  .str_off = WORDS * 4,
	  .str_len = sizeof(NAMES) },
	{
		OTHER,
		INFO(BTF_KIND_STRUCT, 1),
		4,
		PID,
		2,
		0, /* 1 */
		INT,
		INFO(BTF_KIND_INT, 0),
		4,
		32, /* 2 */
		0,
		INFO(BTF_KIND_PTR, 0),
		1, /* 3: of other */
		IOAC,
		INFO(BTF_KIND_STRUCT, 1),
		4,
		READ,
		2,
		0, /* 4 */
		0,
		INFO(BTF_KIND_STRUCT, 1),
		4,
		IOAC,
		4,
		0, /* 5 */
		TASK,
		INFO(BTF_KIND_STRUCT, 3),
		16, /* 6 */
		PID,
		2,
		0,
		0,
		5,
		32,
		OTHER,
		3,
		64,
		0,
		INFO(BTF_KIND_FUNC_PROTO, 3),
		0, /* 7 */
		0,
		3,
		PID,
		2,
		PID,
		2,
		0,
		INFO(BTF_KIND_PTR, 0),
		7, /* 8 */
		GO,
		INFO(BTF_KIND_TYPEDEF, 0),
		8, /* 9 */
		RUN,
		INFO(12, 0),
		7, /* 10 */
		IOAC,
		INFO(BTF_KIND_STRUCT, 0),
		0, /* 11: a second type with this name */
	},
	"\0int\0task\0pid\0ioac\0read_bytes\0other\0btf_trace_go\0run",
};

static struct ks__btf_cut scan(struct ks__btf_ask *asks, size_t n)
{
	struct ks__btf_cut cut = { 0 };
	const char *why = "";

	ks_assert_rc(ks__btf_scan(&image, sizeof(image), asks, n, &cut, &why), 0);
	g_assert_cmpstr(why, ==, "");
	return cut;
}

static void test_names(void)
{
	struct ks__btf_ask asks[] = {
		{ .name = "go", .kind = KS__BTF_EVENT },   { .name = "run", .kind = KS__BTF_FUNC },
		{ .name = "task", .kind = KS__BTF_TYPE },  { .name = "ioac", .kind = KS__BTF_TYPE },
		{ .name = "run", .kind = KS__BTF_TYPE },   { .name = "task", .kind = KS__BTF_FUNC },
		{ .name = "stop", .kind = KS__BTF_EVENT },
	};
	const uint32_t want[] = { 9, 10, 6, 4, 0, 0, 0 };
	struct ks__btf_cut cut = scan(asks, G_N_ELEMENTS(asks));

	for (size_t i = 0; i < G_N_ELEMENTS(asks); i++)
		g_assert_cmpuint(asks[i].id, ==, want[i]);
	g_assert_cmpint(asks[0].args, ==, 2);
	for (size_t i = 1; i < G_N_ELEMENTS(asks); i++)
		g_assert_cmpint(asks[i].args, ==, -1);
	free(cut.data);
}

/* A typedef of a pointer to a function is an event only by its name. */
static void test_typedef(void)
{
	struct ks__btf_ask ask = { .name = "pid", .kind = KS__BTF_TYPE };
	uint32_t *copy = g_memdup2(&image, sizeof(image));
	const char *why;

	g_assert_cmpuint(copy[sizeof(image.head) / 4 + 49], ==, GO);
	copy[sizeof(image.head) / 4 + 49] = PID;
	ks_assert_rc(ks__btf_scan(copy, sizeof(image), &ask, 1, NULL, &why), 0);
	g_assert_cmpuint(ask.id, ==, 9);
	g_assert_cmpint(ask.args, ==, -1);
	g_assert_cmpuint(ask.pointers, ==, 0);
	g_free(copy);
}

/* The cut-out is BTF: the same scan can read it. */
static void test_cut(void)
{
	struct ks__btf_ask ask = { .name = "task", .kind = KS__BTF_TYPE };
	struct ks__btf_ask again[] = {
		{ .name = "task", .kind = KS__BTF_TYPE },
		{ .name = "ioac", .kind = KS__BTF_TYPE },
		{ .name = "other", .kind = KS__BTF_TYPE },
		{ .name = "go", .kind = KS__BTF_EVENT },
	};
	struct ks__btf_cut cut = scan(&ask, 1);
	const char *why;

	g_assert_nonnull(cut.data);
	ks_assert_rc(ks__btf_scan(cut.data, cut.size, again, G_N_ELEMENTS(again), NULL, &why), 0);
	g_assert_cmpuint(again[0].id, !=, 0);
	g_assert_cmpuint(again[1].id, !=, 0);
	g_assert_cmpuint(again[2].id, ==, 0); /* task only has a pointer to it */
	g_assert_cmpuint(again[3].id, ==, 0);
	g_assert_cmpint(ks__btf_has_member(cut.data, cut.size, "task", "pid"), ==, 1);
	g_assert_cmpint(ks__btf_has_member(cut.data, cut.size, "ioac", "read_bytes"), ==, 1);
	free(cut.data);
}

static void test_members(void)
{
	g_assert_cmpint(ks__btf_has_member(&image, sizeof(image), "task", "ioac"), ==, 1);
	g_assert_cmpint(ks__btf_has_member(&image, sizeof(image), "task", "read_bytes"), ==, 0);
	g_assert_cmpint(ks__btf_has_member(&image, sizeof(image), "other", "ioac"), ==, 0);
	g_assert_cmpint(ks__btf_has_member(&image, sizeof(image), "nothing", "pid"), ==, -ENOENT);
	g_assert_cmpint(ks__btf_has_member(&image, 20, "task", "pid"), ==, -EINVAL);
	/* only structs and unions have members */
	g_assert_cmpint(ks__btf_has_member(&image, sizeof(image), "btf_trace_go", "pid"), ==,
			-ENOENT);
	g_assert_cmpint(ks__btf_has_member(&image, sizeof(image), "int", "pid"), ==, -ENOENT);
}

/* Whatever value any word of the image has, the scan ends and stays inside the image. */
static void test_damage(void)
{
	for (size_t at = 0; at < sizeof(image.head) / 4 + WORDS; at++)
		for (uint32_t bit = 0; bit < 32; bit++) {
			struct ks__btf_ask ask = { .name = "task", .kind = KS__BTF_TYPE };
			uint32_t *copy = g_memdup2(&image, sizeof(image));
			struct ks__btf_cut cut = { 0 };
			const char *why;

			copy[at] ^= 1u << bit;
			if (!ks__btf_scan(copy, sizeof(image), &ask, 1, &cut, &why) && cut.data)
				g_assert_cmpint(ks__btf_has_member(cut.data, cut.size, "task",
								   "nothing"),
						<=, 0);
			free(cut.data);
			g_free(copy);
		}
}

/* The BTF may also come from the build (-Dbtf). */
static void test_limited(void)
{
	const char *const paths[] = { NULL, "/dev/null" };
	const char *const ends[] = { "(ulimit -f)",
				     "(ulimit -f), or do without ks_open_opts.btf_path" };

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		struct ks_open_opts opts = { .size = sizeof(opts), .btf_path = paths[i] };
		struct ks *ks;
		char why[256];

		ks_assert_rc(ks_open(&opts, &ks), 0);
		ks__machine_bpf(ks, "loading", -EFBIG, why, sizeof(why));
		g_assert_true(g_str_has_suffix(why, ends[i]));
		ks_close(ks);
	}
}

/* A file is read whole, and its memory goes with it. Only regular files of a size are read. */
static void test_file(void)
{
	int fd = memfd_create("btf", MFD_CLOEXEC), folder = open("/", O_RDONLY | O_CLOEXEC);
	struct ks__btf_file file = { .size = 5 };
	void *was;

	ks_assert_rc(ks__btf_open(-1, &file), -EBADF);
	ks_assert_rc(ks__btf_open(folder, &file), -EINVAL);
	ks_assert_rc(ks__btf_open(fd, &file), -EINVAL); /* empty */
	g_assert_cmpint(ftruncate(fd, 1ll << 40), ==, 0);
	ks_assert_rc(ks__btf_open(fd, &file), -E2BIG);
	g_assert_cmpuint(file.size, ==, 5);
	g_assert_cmpint(ftruncate(fd, 0), ==, 0);
	g_assert_cmpint(pwrite(fd, &image, sizeof(image), 0), ==, sizeof(image));
	ks_assert_rc(ks__btf_open(fd, &file), 0);
	g_assert_cmpmem(file.data, file.size, &image, sizeof(image));
	g_assert_cmpint(file.is_kernels, ==, 0);
	was = file.data;
	ks__btf_close(&file);
	g_assert_null(file.data);
	g_assert_cmpint(msync(was, 1, MS_ASYNC), ==, -1);
	ks__btf_close(&file);
	close(folder);
	close(fd);
}

/* BTF that is refused leaves no memory behind. */
static void refuse(void *copy)
{
	struct ks__btf_ask ask = { .name = "task", .kind = KS__BTF_TYPE };
	struct ks__btf_cut cut = { 0 };
	const char *why;

	ks_assert_rc(ks__btf_has_member(copy, sizeof(image), "task", "pid"), -EINVAL);
	ks_assert_rc(ks__btf_scan(copy, sizeof(image), &ask, 1, &cut, &why), -EINVAL);
	g_assert_cmpint(ks__btf_has_member(&image, sizeof(image), "task", "pid"), ==, 1);
}

static void test_no_leak(void)
{
	uint32_t *copy = g_memdup2(&image, sizeof(image));

	copy[sizeof(image.head) / 4 + WORDS - 2] = INFO(31, 0); /* no such kind */
	ks_test_no_leak(refuse, copy);
	g_free(copy);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/btf/names", test_names);
	g_test_add_func("/btf/typedef", test_typedef);
	g_test_add_func("/btf/cut", test_cut);
	g_test_add_func("/btf/members", test_members);
	g_test_add_func("/btf/file", test_file);
	g_test_add_func("/btf/no leak", test_no_leak);
	g_test_add_func("/btf/damage", test_damage);
	g_test_add_func("/btf/limited", test_limited);
	return g_test_run();
}
