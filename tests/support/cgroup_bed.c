/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sys/stat.h>

#include "cgroup_bed.h"
#include "ks_test.h"

uint64_t inode(const char *path)
{
	struct stat st;

	g_assert_cmpint(stat(path, &st), ==, 0);
	return st.st_ino;
}

uint64_t make(struct bed *bed, const char *path)
{
	char *whole = g_build_filename(bed->root, path, NULL);
	uint64_t id;

	g_assert_cmpint(g_mkdir_with_parents(whole, 0755), ==, 0);
	id = inode(whole);
	g_free(whole);
	return id;
}

void unmake(struct bed *bed, const char *path)
{
	char *whole = g_build_filename(bed->root, path, NULL);

	g_assert_cmpint(rmdir(whole), ==, 0);
	g_free(whole);
}

void assert_known(struct bed *bed, uint64_t id, const char *path, uint32_t flags)
{
	struct ks__cgroup cg;

	memset(&cg, 0x5a, sizeof(cg));
	ks_assert_rc(ks__cgroups_describe(bed->c, id, &cg), 0);
	g_assert_cmpuint(cg.id, ==, id);
	g_assert_cmpstr(cg.path, ==, path);
	g_assert_cmpuint(cg.flags, ==, flags);
}

void assert_label(struct bed *bed, uint64_t id, uint64_t read_ns, const char *want)
{
	char label[KS__CGROUP_LABEL] = "untouched";

	ks_assert_rc(ks__cgroups_label(bed->c, id, read_ns, label), want ? 0 : -ENOENT);
	g_assert_cmpstr(label, ==, want ? want : "untouched");
}
