/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
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

void bed_file(struct bed *bed, const char *name, const char *text)
{
	char *path = g_build_filename(bed->dir, "proc", name, NULL);
	char *folder = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_free(folder);
	g_free(path);
}

char *line(const char *root, const char *point, const char *type, const char *options)
{
	struct statx st;

	g_assert_cmpint(statx(AT_FDCWD, point, 0, STATX_MNT_ID, &st), ==, 0);
	return g_strdup_printf("%u 31 %u:%u %s %s rw,relatime - %s %s rw,%s\n",
			       (unsigned)st.stx_mnt_id, st.stx_dev_major, st.stx_dev_minor, root,
			       point, type, type, options);
}

struct bed *bed_new(const char *memory)
{
	struct bed *bed = g_new0(struct bed, 1);
	char *proc, *cgroups = g_strdup_printf("#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
					       "cpuset\t3\t1\t1\nmemory\t%s\t16\t1\n",
					       memory);

	bed->dir = g_dir_make_tmp("ks-cgroups-XXXXXX", NULL);
	g_assert_nonnull(bed->dir);
	bed->root = g_build_filename(bed->dir, "sys", "cgroup", NULL);
	make(bed, "");
	bed_file(bed, "cgroups", cgroups);
	proc = g_build_filename(bed->dir, "proc", NULL);
	bed->proc_fd = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(bed->proc_fd, >=, 0);
	g_free(cgroups);
	g_free(proc);
	return bed;
}
