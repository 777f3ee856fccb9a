/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that descent is found at any depth, that a younger process is never a parent, and that
 * files which show a circle of parents neither prolong a walk nor add a process to a tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>

#include "files/descent.h"
#include "files/family.h"
#include "support/ks_test.h"

#define DEPTH 20000

/* ---- placing --------------------------------------------------------------------------------- */

static void add(struct ks__family *family, int32_t pid, int32_t parent, int64_t start,
		uint8_t place)
{
	const struct ks__kin kin = { .pid = pid, .parent = parent, .start = start, .place = place };

	ks_assert_rc(ks__family_add(family, &kin), 0);
}

static uint8_t place_of(const struct ks__family *family, int32_t pid)
{
	const struct ks__kin *kin = ks__family_find(family, pid);

	g_assert_nonnull(kin);
	return kin->place;
}

static void test_places(void)
{
	struct ks__family family = { 0 };

	add(&family, 9, 8, 4, KS__PLACE_UNKNOWN); /* deep in the tree */
	add(&family, 8, 7, 3, KS__PLACE_UNKNOWN);
	add(&family, 7, 1, 2, KS__PLACE_IN);       /* a root */
	add(&family, 6, 1, 2, KS__PLACE_UNKNOWN);  /* outside the tree */
	add(&family, 5, 99, 2, KS__PLACE_UNKNOWN); /* its parent is not visible */
	add(&family, 4, 7, 1, KS__PLACE_UNKNOWN);  /* older than the root, so not its child */
	add(&family, 1, 0, 0, KS__PLACE_UNKNOWN);
	ks__family_sort(&family);
	ks__family_place(&family);
	g_assert_cmpint(place_of(&family, 9), ==, KS__PLACE_IN);
	g_assert_cmpint(place_of(&family, 8), ==, KS__PLACE_IN);
	g_assert_cmpint(place_of(&family, 7), ==, KS__PLACE_IN);
	g_assert_cmpint(place_of(&family, 6), ==, KS__PLACE_OUT);
	g_assert_cmpint(place_of(&family, 5), ==, KS__PLACE_OUT);
	g_assert_cmpint(place_of(&family, 4), ==, KS__PLACE_OUT);
	g_assert_cmpint(place_of(&family, 1), ==, KS__PLACE_OUT);
	g_assert_null(ks__family_find(&family, 2));
	free(family.at);
}

static void test_deep(void)
{
	struct ks__family family = { 0 };

	/* the deepest process first */
	for (int32_t pid = 1; pid < DEPTH; pid++)
		add(&family, pid, pid + 1, 5, KS__PLACE_UNKNOWN);
	add(&family, DEPTH, 0, 5, KS__PLACE_IN);
	ks__family_sort(&family);
	ks__family_place(&family);
	for (int32_t pid = 1; pid <= DEPTH; pid++)
		g_assert_cmpint(place_of(&family, pid), ==, KS__PLACE_IN);
	free(family.at);
}

#ifndef __SANITIZE_ADDRESS__ /* it ends the program for such a size */
static void test_no_memory(void)
{
	const struct ks__kin kin = { .pid = 1 };
	struct ks__family family = { .n = SIZE_MAX / 32, .room = SIZE_MAX / 32 };

	ks_assert_rc(ks__family_add(&family, &kin), -ENOMEM);
	g_assert_true(family.n == SIZE_MAX / 32 && family.room == SIZE_MAX / 32 && !family.at);
}
#endif

static void test_circle(void)
{
	struct ks__family family = { 0 };

	for (int32_t pid = 1; pid <= 1000; pid++)
		add(&family, pid, pid % 1000 + 1, 5, KS__PLACE_UNKNOWN);
	add(&family, 2000, 1, 5, KS__PLACE_UNKNOWN);
	ks__family_sort(&family);
	ks__family_place(&family);
	for (int32_t pid = 1; pid <= 1000; pid++)
		g_assert_cmpint(place_of(&family, pid), ==, KS__PLACE_OUT);
	g_assert_cmpint(place_of(&family, 2000), ==, KS__PLACE_OUT);
	free(family.at);
}

/* ---- walks ----------------------------------------------------------------------------------- */

static char *root;
static unsigned asked, flips;
static int32_t new_parent = 10;
static uint8_t enrolled[DEPTH + 1];

static void show(int32_t pid, int32_t parent)
{
	char *folder = g_strdup_printf("%s/%d", root, pid);
	char *path = g_strdup_printf("%s/stat", folder);
	char *text = g_strdup_printf("%d (a) S %d 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0 1 0 "
				     "1 0 0\n",
				     pid, parent);

	g_mkdir(folder, 0700);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_free(text);
	g_free(path);
	g_free(folder);
}

static int is_in(void *user, int32_t pid)
{
	asked++;
	/* pid 99 is gone, and its child gets a parent that is in the circle */
	if (pid == 99 && flips) {
		flips--;
		show(12, new_parent);
	}
	return (user && pid == 1) || (pid <= DEPTH && enrolled[pid]);
}

static int enrol(void *user, int32_t pid)
{
	(void)user;
	enrolled[pid] = 1;
	return 0;
}

static int walk(int has_root)
{
	const struct ks__descent tree = { is_in, enrol, has_root ? root : NULL, 0 };
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), n = ks__descent_walk(fd, &tree);

	close(fd);
	return n;
}

static void begin(void)
{
	root = g_dir_make_tmp("ks-family-XXXXXX", NULL);
	memset(enrolled, 0, sizeof(enrolled));
	asked = flips = 0;
	new_parent = 10;
}

static void end(void)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", root, NULL };

	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
	g_free(root);
}

/* Each process's parent is asked for once, not once per descendant. */
static void test_walk(void)
{
	const int32_t n = 1000;

	begin();
	for (int32_t pid = 2; pid <= n; pid++)
		show(pid, pid == 2 ? 500000 : pid - 1);
	g_assert_cmpint(walk(1), ==, 0);
	g_assert_cmpuint(asked, <=, 3 * (unsigned)n);
	show(2, 1);
	asked = 0;
	g_assert_cmpint(walk(1), ==, n - 1);
	g_assert_cmpuint(asked, <=, 3 * (unsigned)n);
	for (int32_t pid = 2; pid <= n; pid++)
		g_assert_true(enrolled[pid]);
	g_assert_cmpint(walk(1), ==, 0);
	end();
}

static void test_walk_circle(void)
{
	begin();
	show(10, 11);
	show(11, 10);
	show(13, 10);
	g_assert_cmpint(walk(1), ==, 0);
	end();
}

/* The parent has gone, and the process gets a parent in the tree during the walk. */
static void test_climb(void)
{
	begin();
	flips = 1;
	new_parent = 1;
	show(12, 99);
	show(14, 12);
	g_assert_cmpint(walk(1), ==, 2);
	g_assert_true(enrolled[12]);
	g_assert_true(enrolled[14]);
	g_assert_cmpint(walk(1), ==, 0);
	end();
}

/*
 * The parent has gone, and the process gets a new parent during the walk, so that the walk meets a
 * circle.
 */
static void test_climb_circle(void)
{
	begin();
	flips = 1;
	show(10, 11);
	show(11, 10);
	show(12, 99);
	g_assert_cmpint(walk(1), ==, 0);
	g_assert_cmpuint(flips, ==, 0);
	g_assert_false(enrolled[12]);
	end();
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/family/places", test_places);
	g_test_add_func("/family/deep", test_deep);
	g_test_add_func("/family/circle", test_circle);
#ifndef __SANITIZE_ADDRESS__
	g_test_add_func("/family/no memory", test_no_memory);
#endif
	g_test_add_func("/family/walk", test_walk);
	g_test_add_func("/family/walk/circle", test_walk_circle);
	g_test_add_func("/family/climb", test_climb);
	g_test_add_func("/family/climb/circle", test_climb_circle);
	return g_test_run();
}
