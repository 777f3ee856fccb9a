/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a walk over /proc adds exactly the descendants of a tree's root, also when processes
 * started before the zero of the reader's clock, and that a younger process is never taken for a
 * parent.
 */
#include <errno.h>

#include "files/columns.h"
#include "files/descent.h"
#include "support/fake_proc.h"
#include "support/counters.h"
#include "support/ks_test.h"

#define ROOT 400

/*
 * A start time before the zero of CLOCK_BOOTTIME in a time namespace, rounded as the kernel does.
 */
#define BEFORE_ZERO(seconds) ((UINT64_MAX - (seconds)*1000000000ull) / 10000000)

static int is_in(void *user, int32_t pid)
{
	(void)user;
	return pid == ROOT;
}

static int enrol(void *user, int32_t pid)
{
	g_string_append_printf(user, "%d ", pid);
	return 0;
}

/* is_in() knows only the root, so the walk must ask for all ancestors of every other process. */
static void expect(struct bed *bed, const char *want)
{
	GString *found = g_string_new("");
	const struct ks__descent tree = { .is_in = is_in, .enrol = enrol, .user = found };

	g_assert_cmpint(ks__descent_walk(bed->ks->proc_fd, &tree), >=, 0);
	g_assert_cmpstr(found->str, ==, want);
	g_string_free(found, TRUE);
}

static void generations(void)
{
	struct bed *bed = bed_new(0);

	show(bed, ROOT, 1, "root", 50, 9, 0);
	show(bed, 300, ROOT, "child", 60, 9, 0);
	show(bed, 200, 300, "grandchild", 60, 9, 0);
	show(bed, 301, 1, "stranger", 60, 9, 0);
	expect(bed, "200 300 ");
	show(bed, 300, ROOT, "child", 61, 9, 0); /* another process with its pid */
	expect(bed, "300 ");
	bed_free(bed);
}

/* A process whose file is empty, cut off or of another form is left out, and no other with it. */
static void no_answer(void)
{
	static const char *const texts[] = { "", "250 (a) S 400", "x" };
	struct bed *bed = bed_new(0);

	show(bed, ROOT, 1, "root", 50, 9, 0);
	for (int pid = 200; pid < 230; pid++) {
		show(bed, pid, ROOT, "child", 60, 9, 0);
		if (pid % 2)
			bed_write(bed, pid, "stat", texts[pid % 3]);
	}
	expect(bed, "200 202 204 206 208 210 212 214 216 218 220 222 224 226 228 ");
	bed_free(bed);
}

/* A walk ends when its time is over, however many processes it has seen. */
static void in_time(void)
{
	struct bed *bed = bed_new(0);
	GString *found = g_string_new("");
	struct ks__descent tree = { .is_in = is_in, .enrol = enrol, .user = found };

	show(bed, ROOT, 1, "root", 50, 9, 0);
	show(bed, 300, ROOT, "child", 60, 9, 0);
	tree.until_ns = 1;
	g_assert_cmpint(ks__descent_walk(bed->ks->proc_fd, &tree), ==, -EAGAIN);
	g_assert_cmpstr(found->str, ==, "");
	tree.until_ns = UINT64_MAX;
	g_assert_cmpint(ks__descent_walk(bed->ks->proc_fd, &tree), ==, 1);
	g_assert_cmpstr(found->str, ==, "300 ");
	g_string_free(found, TRUE);
	bed_free(bed);
}

/* Processes whose files cannot be opened for want of a descriptor are not taken for gone. */
static void no_descriptor(void)
{
	struct bed *bed = bed_new(0);
	GString *found = g_string_new("");
	struct ks__descent tree = { .is_in = is_in, .enrol = enrol, .user = found };
	struct rlimit before;

	show(bed, ROOT, 1, "root", 50, 9, 0);
	show(bed, 300, ROOT, "child", 60, 9, 0);
	g_assert_cmpint(counters_spare_descriptors(1, &before), ==,
			0); /* for the folder, none for a file in it */
	g_assert_cmpint(ks__descent_walk(bed->ks->proc_fd, &tree), ==, -EMFILE);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	g_assert_cmpint(ks__descent_walk(bed->ks->proc_fd, &tree), ==, 1);
	g_assert_cmpstr(found->str, ==, "300 ");
	g_string_free(found, TRUE);
	bed_free(bed);
}

static void before_zero(void)
{
	struct bed *bed = bed_new(0);

	g_assert_cmpint(ks__columns_start_ns(BEFORE_ZERO(20), 10000000), >=, -20010000000);
	g_assert_cmpint(ks__columns_start_ns(BEFORE_ZERO(20), 10000000), <, -19990000000);
	show(bed, ROOT, 1, "root", BEFORE_ZERO(30), 9, 0);
	show(bed, 300, ROOT, "child", BEFORE_ZERO(20), 9, 0);
	show(bed, 200, 300, "grandchild", 0, 9, 0);
	expect(bed, "200 300 ");
	show(bed, 200, 300, "grandchild", BEFORE_ZERO(25), 9, 0);
	expect(bed, "300 ");
	bed_free(bed);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/descent/in-time", in_time);
	g_test_add_func("/descent/generations", generations);
	g_test_add_func("/descent/no-answer", no_answer);
	g_test_add_func("/descent/no-descriptor", no_descriptor);
	g_test_add_func("/descent/before-zero", before_zero);
	return g_test_run();
}
