/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that cgroups are found by id and by path below the mount that has the memory controller;
 * that the container is found in the path, or in the mounts of our own container; that a removed
 * cgroup keeps its name; and that a cgroup created again is a different one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <glib/gstdio.h>
#include <kernelsight/identity.h>

#include "support/cgroup_bed.h"
#include "support/counters.h"
#include "support/ks_test.h"

#define ID "3f4a5b6c7d8e9f00112233445566778899aabbccddeeff00112233445566778a"

/* ---- a hierarchy of plain folders ------------------------------------------------------------ */

static void write_file(const char *path, const char *text)
{
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static int bed_open(struct bed *bed, const char *mountinfo)
{
	char *sys = g_build_filename(bed->dir, "sys", NULL);
	int rc;

	bed_file(bed, "self/mountinfo", mountinfo);
	rc = ks__cgroups_open(bed->proc_fd, sys, &bed->c);
	g_free(sys);
	return rc;
}

/* Makes a bed whose mount shows only the part `root` of the file system. */
static struct bed *bed_on(const char *root)
{
	struct bed *bed = bed_new("0");
	char *mountinfo = line(root, bed->root, "cgroup2", "nsdelegate");

	ks_assert_rc(bed_open(bed, mountinfo), 0);
	g_free(mountinfo);
	return bed;
}

/* Opens the hierarchy once more, with nothing in the cache. */
static void bed_open_again(struct bed *bed)
{
	char *sys = g_build_filename(bed->dir, "sys", NULL);

	ks_assert_rc(ks__cgroups_open(bed->proc_fd, sys, &bed->c), 0);
	g_free(sys);
}

static void bed_free(struct bed *bed)
{
	char *command = g_strdup_printf("rm -r '%s'", bed->dir);

	ks__cgroups_close(bed->c);
	close(bed->proc_fd);
	g_assert_cmpint(system(command), ==, 0);
	g_free(command);
	g_free(bed->dir);
	g_free(bed->root);
	g_free(bed);
}

/* ---- which mount ----------------------------------------------------------------------------- */

/*
 * Chooses, among several mounts, the one of the right version that no other mount covers and that
 * lies below sys_path.
 */
static void test_mount(gconstpointer data)
{
	int version = GPOINTER_TO_INT(data);
	struct bed *bed = bed_new(version == 1 ? "4" : "0");
	char *other = g_build_filename(bed->dir, "other", NULL);
	char *lines[5], *mountinfo;

	g_assert_cmpint(g_mkdir(other, 0755), ==, 0);
	lines[0] = line("/", other, version == 1 ? "cgroup" : "cgroup2", "cpu,memory");
	lines[1] = line("/", bed->root, version == 1 ? "cgroup" : "cgroup2", "memory");
	lines[2] = line("/", other, version == 1 ? "cgroup" : "cgroup2", "memory");
	lines[3] = line("/", bed->dir, version == 1 ? "cgroup" : "tmpfs", "cpuset");
	lines[4] = g_strdup_printf("9 8 0:9 / %s rw - cgroup%s cgroup rw,memory\n", bed->root,
				   version == 1 ? "" : "2");
	mountinfo = g_strdup_printf("%s%s%s%s%s", lines[0], lines[4], lines[3], lines[1], lines[2]);
	ks_assert_rc(bed_open(bed, mountinfo), 0);
	g_assert_cmpstr(ks__cgroups_mount(bed->c), ==, bed->root);
	ks__cgroups_close(bed->c);
	bed->c = NULL;

	ks_assert_rc(bed_open(bed, lines[0]), 0);
	g_assert_cmpstr(ks__cgroups_mount(bed->c), ==, other);
	ks__cgroups_close(bed->c);
	bed->c = NULL;

	ks_assert_rc(bed_open(bed, lines[3]), -ENOENT);
	ks_assert_rc(bed_open(bed, lines[4]), -ENOENT);
	g_assert_null(bed->c);
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
		g_free(lines[i]);
	g_free(mountinfo);
	g_free(other);
	bed_free(bed);
}

/* ---- ids and paths --------------------------------------------------------------------------- */

static void test_resolve(void)
{
	struct bed *bed = bed_on("/");
	uint64_t root = inode(bed->root), a = make(bed, "a"), b = make(bed, "a/b c");
	char *whole = g_build_filename(bed->root, "a", "b c", NULL);
	char *file = g_build_filename(bed->root, "a", "tasks", NULL);
	char *link = g_build_filename(bed->dir, "link", NULL);
	const struct {
		const char *path, *want;
		uint64_t id;
		int rc;
	} cases[] = {
		{ "a", "/a", a, 0 },
		{ "/a", "/a", a, 0 },
		{ "a/", "/a", a, 0 },
		{ "//a//b c", "/a/b c", b, 0 },
		{ "a/../a/./b c", "/a/b c", b, 0 },
		{ "/", "/", root, 0 },
		{ ".", "/", root, 0 },
		{ bed->root, "/", root, 0 },
		{ whole, "/a/b c", b, 0 },
		{ link, "/a", a, 0 },
		{ "b c", NULL, 0, -ENOENT },
		{ "/a/c", NULL, 0, -ENOENT },
		{ "a/tasks", NULL, 0, -ENOTDIR },
		{ file, NULL, 0, -ENOTDIR },
		{ "../../../../../../proc", NULL, 0, -ENOENT },
		{ "/proc", NULL, 0, -ENOENT },
		{ "", NULL, 0, -EINVAL },
	};
	struct ks__cgroup cg, before;

	write_file(file, "");
	g_assert_cmpint(symlink("sys/cgroup/a", link), ==, 0);
	memset(&before, 0x5a, sizeof(before));
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		cg = before;
		g_test_message("%s", cases[i].path);
		ks_assert_rc(ks__cgroups_resolve(bed->c, cases[i].path, &cg), cases[i].rc);
		if (cases[i].rc) {
			g_assert_cmpmem(&cg, sizeof(cg), &before, sizeof(before));
			continue;
		}
		g_assert_cmpuint(cg.id, ==, cases[i].id);
		g_assert_cmpstr(cg.path, ==, cases[i].want);
		g_assert_cmpuint(cg.flags, ==, 0);
	}
	g_free(whole);
	g_free(file);
	g_free(link);
	bed_free(bed);
}

/* A look-up closes what it opens, also as descriptor 0. */
static void test_descriptors(void)
{
	static const char *const paths[] = { "a", "a/tasks", "/proc", "none", "/" };
	struct bed *bed = bed_on("/");
	uint64_t a = make(bed, "a");
	char *file = g_build_filename(bed->root, "a", "tasks", NULL);
	unsigned before = counters_descriptors();
	struct ks__cgroup cg;
	int kept;

	write_file(file, "");
	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
		ks__cgroups_resolve(bed->c, paths[i], &cg);
	g_assert_cmpint(ks__cgroups_open_dir(bed->c, "/a", a + 1), ==, -ENOENT);
	g_assert_cmpint(ks__cgroups_open_dir(bed->c, "/none", a), ==, -ENOENT);
	g_assert_cmpuint(counters_descriptors(), ==, before);
	kept = dup(0);
	close(0);
	ks_assert_rc(ks__cgroups_resolve(bed->c, "a", &cg), 0);
	g_assert_cmpuint(cg.id, ==, a);
	g_assert_cmpint(fcntl(0, F_GETFD), ==, -1);
	g_assert_cmpint(dup2(kept, 0), ==, 0);
	close(kept);
	g_free(file);
	bed_free(bed);
}

/*
 * 8192 removed cgroups are remembered. If there are more, the oldest go, which have the lowest ids,
 * and 4096 stay.
 */
static void test_many_gone(void)
{
	static const unsigned n[] = { 8192, 8193 };
	struct bed *bed = bed_on("/");

	for (size_t turn = 0; turn < G_N_ELEMENTS(n); turn++) {
		uint64_t *ids = g_new(uint64_t, n[turn]);
		unsigned known = 0;
		char name[16], label[KS__CGROUP_LABEL];

		for (unsigned i = 0; i < n[turn]; i++) {
			snprintf(name, sizeof(name), "%zu-%u", turn, i);
			ids[i] = make(bed, name);
		}
		ks__cgroups_close(bed->c);
		bed->c = NULL;
		bed_open_again(bed);
		assert_known(bed, inode(bed->root), "/", 0);
		for (unsigned i = 0; i < n[turn]; i++) {
			snprintf(name, sizeof(name), "%zu-%u", turn, i);
			unmake(bed, name);
		}
		assert_label(bed, 1ull << 60, SECOND, NULL); /* walks */
		for (unsigned i = 0; i < n[turn]; i++)
			known += !ks__cgroups_label(bed->c, ids[i], SECOND, label);
		g_assert_cmpuint(known, ==, turn ? 4096 : 8192);
		g_free(ids);
	}
	bed_free(bed);
}

/* If the mount shows only a part of the hierarchy, all paths get the part above it as prefix. */
static void test_prefix(void)
{
	struct bed *bed = bed_on("/docker/" ID);
	uint64_t root = inode(bed->root), db = make(bed, "db");
	struct ks__cgroup cg;
	uint64_t id = 0;

	assert_known(bed, root, "/docker/" ID, KS__CGROUP_IN_CONTAINER);
	assert_known(bed, db, "/docker/" ID "/db", KS__CGROUP_IN_CONTAINER);
	assert_label(bed, root, SECOND, "3f4a5b6c7d8e");
	assert_label(bed, db, SECOND, "3f4a5b6c7d8e/db");
	ks_assert_rc(ks__cgroups_resolve(bed->c, "/docker/" ID "/db", &cg), 0);
	g_assert_cmpuint(cg.id, ==, db);
	g_assert_cmpstr(cg.in.runtime, ==, "docker");
	ks_assert_rc(ks__cgroups_resolve(bed->c, "db", &cg), 0);
	g_assert_cmpstr(cg.path, ==, "/docker/" ID "/db");
	g_assert_cmpint(ks__cgroups_again(bed->c, cg.path, db, &id), ==, KS__CGROUP_SAME);
	g_assert_cmpint(ks__cgroups_again(bed->c, "/docker/" ID, db, &id), ==, KS__CGROUP_OTHER);
	g_assert_cmpuint(id, ==, root);
	bed_free(bed);
}

/*
 * Inside a cgroup namespace, mounts tell our own container. Paths of other containers are relative
 * to it.
 */
static void test_inside(void)
{
	struct bed *bed = bed_new("0");
	char *mount = line("/", bed->root, "cgroup2", "nsdelegate");
	char *hosts = g_strdup_printf(
		"%s9 8 0:9 /docker/containers/%s/hosts /etc/hosts rw - ext4 a rw\n", mount, ID);
	uint64_t db = make(bed, "db"), machine = make(bed, "machine.slice/libpod-" ID ".scope");
	struct ks__cgroup cg;

	bed_file(bed, "self/ns/cgroup", "");
	bed_file(bed, "sys/kernel/hostname", "0123456789ab\n");
	ks_assert_rc(bed_open(bed, hosts), 0);
	ks_assert_rc(ks__cgroups_describe(bed->c, inode(bed->root), &cg), 0);
	g_assert_cmpuint(cg.flags, ==, KS__CGROUP_IN_CONTAINER | KS__CGROUP_OWN);
	g_assert_cmpstr(cg.in.id, ==, ID);
	g_assert_cmpstr(cg.in.runtime, ==, "docker");
	assert_known(bed, machine, "/machine.slice/libpod-" ID ".scope", KS__CGROUP_IN_CONTAINER);
	assert_label(bed, inode(bed->root), SECOND, "3f4a5b6c7d8e");
	assert_label(bed, db, SECOND, "3f4a5b6c7d8e/db");
	ks__cgroups_close(bed->c);

	ks_assert_rc(bed_open(bed, mount), 0);
	ks_assert_rc(ks__cgroups_describe(bed->c, db, &cg), 0);
	g_assert_cmpuint(cg.flags, ==, KS__CGROUP_IN_CONTAINER | KS__CGROUP_OWN);
	g_assert_cmpstr(cg.in.id, ==, "0123456789ab");
	g_assert_cmpstr(cg.in.runtime, ==, "");
	g_free(mount);
	g_free(hosts);
	bed_free(bed);
}

/*
 * A walk finds new cgroups. An unknown id causes a walk, at most one a second; a known id never
 * does.
 */
static void test_gone(void)
{
	struct bed *bed = bed_on("/");
	uint64_t a = make(bed, "a"), b = make(bed, "a/b"), keep = make(bed, "keep"), later;
	struct ks__cgroup cg;

	assert_label(bed, a, SECOND, "a");
	later = make(bed, "a/later");
	assert_label(bed, later, SECOND + 1, NULL);
	assert_label(bed, later, 2 * SECOND - 1, NULL);
	assert_label(bed, later, 2 * SECOND, "later");

	unmake(bed, "a/b");
	assert_label(bed, b, 9 * SECOND, "b");
	assert_known(bed, b, "/a/b", KS__CGROUP_GONE);
	assert_known(bed, b, "/a/b", KS__CGROUP_GONE);
	assert_known(bed, a, "/a", 0);
	ks_assert_rc(ks__cgroups_describe(bed->c, 1ull << 60, &cg), -ENOENT);
	ks_assert_rc(ks__cgroups_resolve(bed->c, "a/b", &cg), -ENOENT);
	assert_known(bed, keep, "/keep", 0);
	bed_free(bed);
}

/* An id that was asked for before a walk, and that this walk did not find, causes no other walk. */
static void test_never_seen(void)
{
	struct bed *bed = bed_on("/");
	char *path = g_build_filename(bed->root, "new", NULL), *elsewhere;
	uint64_t id = make(bed, "new"), late = make(bed, "late");

	/* put the folder back with its inode number, which never happens to a cgroup */
	elsewhere = g_build_filename(bed->dir, "new", NULL);
	g_assert_cmpint(rename(path, elsewhere), ==, 0);
	unmake(bed, "late");
	assert_label(bed, id, SECOND, NULL);
	assert_label(bed, late, SECOND + 1, NULL);
	g_assert_cmpint(rename(elsewhere, path), ==, 0);
	assert_label(bed, id, 2 * SECOND, NULL);
	assert_label(bed, inode(bed->root), 2 * SECOND, "/");
	assert_label(bed, late, 2 * SECOND + 1, NULL);
	assert_label(bed, id, 9 * SECOND, "new");
	g_free(elsewhere);
	g_free(path);
	bed_free(bed);
}

/* A path that is too long is not found. The cgroups next to it are. */
static void test_deep(void)
{
	struct bed *bed = bed_on("/");
	char name[252], path[1400] = "";
	struct ks__cgroup cg;
	uint64_t ids[5];

	memset(name, 'd', 251);
	name[251] = 0;
	for (int i = 0; i < 5; i++) {
		strcat(strcat(path, "/"), name);
		ids[i] = make(bed, path);
	}
	ks_assert_rc(ks__cgroups_describe(bed->c, ids[3], &cg), 0);
	g_assert_cmpuint(strlen(cg.path), ==, 4 * 252);
	ks_assert_rc(ks__cgroups_describe(bed->c, ids[4], &cg), -ENOENT);
	bed_free(bed);
}

static void test_again(void)
{
	struct bed *bed = bed_on("/");
	uint64_t a = make(bed, "a"), other = 7;
	char *path = g_build_filename(bed->root, "a", NULL);
	char *kept = g_build_filename(bed->root, "b", NULL);

	g_assert_cmpint(ks__cgroups_again(bed->c, "/a", a, &other), ==, KS__CGROUP_SAME);
	g_assert_cmpint(rename(path, kept), ==, 0);
	g_assert_cmpint(ks__cgroups_again(bed->c, "/a", a, &other), ==, KS__CGROUP_MISSING);
	g_assert_cmpuint(other, ==, 7);
	make(bed, "a");
	g_assert_cmpint(ks__cgroups_again(bed->c, "/a", a, NULL), ==, KS__CGROUP_OTHER);
	g_assert_cmpint(ks__cgroups_again(bed->c, "/a", a, &other), ==, KS__CGROUP_OTHER);
	g_assert_cmpuint(other, ==, inode(path));
	assert_known(bed, a, "/b", 0);
	g_free(path);
	g_free(kept);
	bed_free(bed);
}

/* ---- what the host gets ---------------------------------------------------------------------- */

#define POD "1a2b3c4d-0011-2233-4455-66778899aabb"

static void describe(struct ks *ks, uint64_t id, struct ks_cgroup_info *ret)
{
	memset(ret, 0x5a, sizeof(*ret));
	ret->size = sizeof(*ret);
	ks_assert_rc(ks_describe_cgroup(ks, id, ret), 0);
	g_assert_cmpuint(ret->size, ==, sizeof(*ret));
	g_assert_cmpuint(ret->id, ==, id);
	g_assert_cmpuint(ret->reserved, ==, 0);
}

/* Each text is in its own member, and each flag has its own meaning. */
static void test_described(void)
{
	struct bed *bed = bed_new("0");
	char *mount = line("/", bed->root, "cgroup2", "nsdelegate");
	char *proc = g_build_filename(bed->dir, "proc", NULL);
	char *sys = g_build_filename(bed->dir, "sys", NULL);
	struct ks_open_opts opts = { .size = sizeof(opts), .proc_path = proc, .sys_path = sys };
	uint64_t plain = make(bed, "system.slice"), gone = make(bed, "system.slice/gone");
	uint64_t in = make(bed, "kubepods.slice/kubepods-pod1a2b3c4d_0011_2233_4455_66778899aabb"
				".slice/cri-containerd-" ID ".scope");
	struct ks_scope scope = { .size = sizeof(scope),
				  .kind = KS_SCOPE_CGROUP,
				  .cgroup = "system.slice" };
	struct ks_cgroup_info info;
	struct ks *ks;

	bed_file(bed, "self/mountinfo", mount);
	ks_assert_rc(ks_open(&opts, &ks), 0);
	describe(ks, plain, &info);
	g_assert_cmpuint(info.flags, ==, 0);
	g_assert_cmpstr(info.path, ==, "/system.slice");
	g_assert_cmpstr(info.container, ==, "");
	g_assert_cmpstr(info.runtime, ==, "");
	g_assert_cmpstr(info.pod_uid, ==, "");

	describe(ks, in, &info);
	g_assert_cmpuint(info.flags, ==, KS_CGROUP_IN_CONTAINER);
	g_assert_true(g_str_has_prefix(info.path, "/kubepods.slice/kubepods-pod1a2b3c4d_"));
	g_assert_true(g_str_has_suffix(info.path, "/cri-containerd-" ID ".scope"));
	g_assert_cmpstr(info.container, ==, ID);
	g_assert_cmpstr(info.runtime, ==, "containerd");
	g_assert_cmpstr(info.pod_uid, ==, POD);

	describe(ks, gone, &info);
	g_assert_cmpuint(info.flags, ==, 0);
	unmake(bed, "system.slice/gone");
	describe(ks, gone, &info);
	g_assert_cmpuint(info.flags, ==, KS_CGROUP_GONE);
	g_assert_cmpstr(info.path, ==, "/system.slice/gone");
	ks_assert_rc(ks_describe_cgroup(ks, 1ull << 60, &info), -ENOENT);
	info.size = 7;
	ks_assert_rc(ks_describe_cgroup(ks, plain, &info), -EINVAL);
	ks_assert_rc(ks_describe_cgroup(ks, plain, NULL), -EINVAL);
	ks_assert_rc(ks_describe_cgroup(ks, 1ull << 60, NULL), -EINVAL); /* before any search */
	ks_assert_rc(ks_set_scope(ks, &scope), 0);
	scope.cgroup = "none";
	ks_assert_rc(ks_set_scope(ks, &scope), -ENOENT);
	scope.cgroup = NULL;
	ks_assert_rc(ks_set_scope(ks, &scope), -EINVAL);
	ks_close(ks);

	/* in its own namespace, the host's container is its own container */
	bed_file(bed, "self/ns/cgroup", "");
	bed_file(bed, "sys/kernel/hostname", "0123456789ab\n");
	ks_assert_rc(ks_open(&opts, &ks), 0);
	describe(ks, plain, &info);
	g_assert_cmpuint(info.flags, ==, KS_CGROUP_IN_CONTAINER | KS_CGROUP_OWN);
	g_assert_cmpstr(info.container, ==, "0123456789ab");
	ks_close(ks);
	g_free(mount);
	g_free(proc);
	g_free(sys);
	bed_free(bed);
}

/* Without a hierarchy, a scope and a description say so; for want of a descriptor they say that. */
static void test_unmounted(void)
{
	struct bed *bed = bed_new("0");
	char *proc = g_build_filename(bed->dir, "proc", NULL);
	char *sys = g_build_filename(bed->dir, "sys", NULL);
	struct ks_open_opts opts = { .size = sizeof(opts), .proc_path = proc, .sys_path = sys };
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_CGROUP, .cgroup = "/a" };
	struct ks_cgroup_info info = { .size = sizeof(info) };
	char text[300], *want = g_strdup_printf("no cgroup hierarchy is mounted below %s", sys);
	struct rlimit before;
	struct ks *ks;

	for (int has_file = 0; has_file <= 1; has_file++) {
		if (has_file)
			bed_file(bed, "self/mountinfo", "9 8 0:9 / /x rw - tmpfs a rw\n");
		ks_assert_rc(ks_open(&opts, &ks), 0);
		ks_assert_rc(ks_set_scope(ks, &scope), -KS_EUNAVAIL);
		ks_last_error(ks, text, sizeof(text));
		g_assert_cmpstr(text, ==, want);
		ks_assert_rc(ks_describe_cgroup(ks, 5, &info), -KS_EUNAVAIL);
		ks_last_error(ks, text, sizeof(text));
		g_assert_cmpstr(text, ==, want);
		g_assert_cmpint(counters_spare_descriptors(0, &before), ==, 0);
		ks_assert_rc(ks_set_scope(ks, &scope), -EMFILE);
		ks_assert_rc(ks_describe_cgroup(ks, 5, &info), -EMFILE);
		g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
		ks_close(ks);
	}
	g_free(want);
	g_free(proc);
	g_free(sys);
	bed_free(bed);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_data_func("/cgroups/mount/v1", GINT_TO_POINTER(1), test_mount);
	g_test_add_data_func("/cgroups/mount/v2", GINT_TO_POINTER(2), test_mount);
	g_test_add_func("/cgroups/resolve", test_resolve);
	g_test_add_func("/cgroups/descriptors", test_descriptors);
	g_test_add_func("/cgroups/many gone", test_many_gone);
	g_test_add_func("/cgroups/prefix", test_prefix);
	g_test_add_func("/cgroups/inside", test_inside);
	g_test_add_func("/cgroups/gone", test_gone);
	g_test_add_func("/cgroups/never seen", test_never_seen);
	g_test_add_func("/cgroups/deep", test_deep);
	g_test_add_func("/cgroups/again", test_again);
	g_test_add_func("/cgroups/described", test_described);
	g_test_add_func("/cgroups/unmounted", test_unmounted);
	return g_test_run();
}
