/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that cgroups are found by id and by path in whichever hierarchy has the memory controller,
 * that a removed one keeps its name, that one made again is told from the old one, and that 4,096
 * of them cost one walk.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "files/cgroups.h"
#include "files/facts.h"
#include "support/ks_test.h"

#define ID "3f4a5b6c7d8e9f00112233445566778899aabbccddeeff00112233445566778a"
#define SECOND 1000000000ull
#define MANY 4096

/* ---- a hierarchy of plain folders ------------------------------------------------------------ */

struct bed {
	char *dir, *root; /* root: the mount */
	int proc_fd;
	struct ks__cgroups *c;
};

static void write_file(const char *path, const char *text)
{
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static uint64_t inode(const char *path)
{
	struct stat st;

	g_assert_cmpint(stat(path, &st), ==, 0);
	return st.st_ino;
}

static uint64_t make(struct bed *bed, const char *path)
{
	char *whole = g_build_filename(bed->root, path, NULL);
	uint64_t id;

	g_assert_cmpint(g_mkdir_with_parents(whole, 0755), ==, 0);
	id = inode(whole);
	g_free(whole);
	return id;
}

static void unmake(struct bed *bed, const char *path)
{
	char *whole = g_build_filename(bed->root, path, NULL);

	g_assert_cmpint(rmdir(whole), ==, 0);
	g_free(whole);
}

static void bed_file(struct bed *bed, const char *name, const char *text)
{
	char *path = g_build_filename(bed->dir, "proc", name, NULL);
	char *folder = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	write_file(path, text);
	g_free(folder);
	g_free(path);
}

/* A line of mountinfo for a folder, which is as if it were a mount. */
static char *line(const char *root, const char *point, const char *type, const char *options)
{
	struct statx st;

	g_assert_cmpint(statx(AT_FDCWD, point, 0, STATX_MNT_ID, &st), ==, 0);
	return g_strdup_printf("%u 31 %u:%u %s %s rw,relatime - %s %s rw,%s\n",
			       (unsigned)st.stx_mnt_id, st.stx_dev_major, st.stx_dev_minor, root,
			       point, type, type, options);
}

static struct bed *bed_new(const char *memory)
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

static int bed_open(struct bed *bed, const char *mountinfo)
{
	char *sys = g_build_filename(bed->dir, "sys", NULL);
	int rc;

	bed_file(bed, "self/mountinfo", mountinfo);
	rc = ks__cgroups_open(bed->proc_fd, sys, &bed->c);
	g_free(sys);
	return rc;
}

/* One whose mount shows `root` of the file system. */
static struct bed *bed_on(const char *root)
{
	struct bed *bed = bed_new("0");
	char *mountinfo = line(root, bed->root, "cgroup2", "nsdelegate");

	ks_assert_rc(bed_open(bed, mountinfo), 0);
	g_free(mountinfo);
	return bed;
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

static void assert_known(struct bed *bed, uint64_t id, const char *path, uint32_t flags)
{
	struct ks__cgroup cg;

	memset(&cg, 0x5a, sizeof(cg));
	ks_assert_rc(ks__cgroups_describe(bed->c, id, &cg), 0);
	g_assert_cmpuint(cg.id, ==, id);
	g_assert_cmpstr(cg.path, ==, path);
	g_assert_cmpuint(cg.flags, ==, flags);
}

static void assert_label(struct bed *bed, uint64_t id, uint64_t ns, const char *want)
{
	char label[KS__CGROUP_LABEL] = "untouched";

	ks_assert_rc(ks__cgroups_label(bed->c, id, ns, label), want ? 0 : -ENOENT);
	g_assert_cmpstr(label, ==, want ? want : "untouched");
}

/* ---- which mount ----------------------------------------------------------------------------- */

/* Of several mounts: of the right version, not mounted over, below sys_path. */
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

/* What stands before all paths, when the mount shows a part of the hierarchy alone. */
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

/* Inside a cgroup namespace mounts tell who we are, and paths of containers inside of this one. */
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

/* Walks find what is new, and are made for it alone. */
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

/* What a walk has not found is not looked for again, by whoever read it before that walk. */
static void test_never_seen(void)
{
	struct bed *bed = bed_on("/");
	char *path = g_build_filename(bed->root, "new", NULL), *elsewhere;
	uint64_t id = make(bed, "new"), late = make(bed, "late");

	/* the folder comes back with its number, which a cgroup never does */
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

/* A path longer than there is room for is not found, its neighbours are. */
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

/* ---- real cgroups ---------------------------------------------------------------------------- */

/* The mount of this machine, and a cgroup of ours in it. */
static struct bed *real_new(void)
{
	struct bed *bed;
	int rc;

	if (!ks_test_root())
		return NULL;
	bed = g_new0(struct bed, 1);
	bed->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	rc = ks__cgroups_open(bed->proc_fd, "/sys", &bed->c);
	if (!rc) {
		bed->root = g_strdup_printf("%s/ks-test-%d", ks__cgroups_mount(bed->c), getpid());
		rc = mkdir(bed->root, 0755) ? -errno : 0;
	}
	if (!rc)
		return bed;
	g_test_skip("no cgroup can be made in the memory controller's hierarchy");
	ks__cgroups_close(bed->c);
	close(bed->proc_fd);
	g_free(bed->root);
	g_free(bed);
	return NULL;
}

static void real_free(struct bed *bed)
{
	g_assert_cmpint(rmdir(bed->root), ==, 0);
	ks__cgroups_close(bed->c);
	close(bed->proc_fd);
	g_free(bed->root);
	g_free(bed);
}

static void test_real(void)
{
	struct bed *bed = real_new();
	struct ks__cgroup cg;
	char want[300];
	uint64_t first, second, other = 0;

	if (!bed)
		return;
	first = make(bed, "docker-" ID ".scope");
	snprintf(want, sizeof(want), "%s/docker-" ID ".scope", bed->root);
	ks_assert_rc(ks__cgroups_resolve(bed->c, want, &cg), 0);
	g_assert_cmpuint(cg.id, ==, first);
	g_assert_cmpuint(cg.flags, ==, KS__CGROUP_IN_CONTAINER);
	g_assert_cmpstr(cg.in.id, ==, ID);
	g_assert_cmpstr(cg.in.runtime, ==, "docker");
	g_assert_cmpstr(cg.path, ==, want + strlen(ks__cgroups_mount(bed->c)));
	assert_label(bed, first, SECOND, "3f4a5b6c7d8e");
	g_assert_cmpint(ks__cgroups_again(bed->c, cg.path, first, &other), ==, KS__CGROUP_SAME);

	unmake(bed, "docker-" ID ".scope");
	g_assert_cmpint(ks__cgroups_again(bed->c, cg.path, first, &other), ==, KS__CGROUP_MISSING);
	second = make(bed, "docker-" ID ".scope");
	g_assert_cmpuint(second, >, first);
	g_assert_cmpint(ks__cgroups_again(bed->c, cg.path, first, &other), ==, KS__CGROUP_OTHER);
	g_assert_cmpuint(other, ==, second);
	assert_known(bed, first, cg.path, KS__CGROUP_IN_CONTAINER | KS__CGROUP_GONE);
	assert_known(bed, second, cg.path, KS__CGROUP_IN_CONTAINER);
	unmake(bed, "docker-" ID ".scope");
	real_free(bed);
}

/* Of each hierarchy but the memory controller's. */
static void test_real_other(void)
{
	static const char *const others[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu",
					      "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/freezer" };
	struct bed *bed = real_new();
	struct ks__cgroup cg;
	struct stat st;
	int n = 0;

	if (!bed)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		if (stat(others[i], &st) || st.st_ino != 1) /* no mount */
			continue;
		ks_assert_rc(ks__cgroups_resolve(bed->c, others[i], &cg), -EXDEV);
		n++;
	}
	if (!n)
		g_test_skip("there is one hierarchy here");
	real_free(bed);
}

/* Over that of the machine, with another between: the kernel refuses one right over its like. */
static int mount_anew(const char *point, int version)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	       mount("none", point, "tmpfs", 0, NULL) ||
	       mount("cgroup", point, version == 1 ? "cgroup" : "cgroup2", 0,
		     version == 1 ? "memory" : NULL);
}

/* Returns where it has failed, 0: nowhere. */
static int look_inside(const char *point, int version)
{
	struct ks__cgroups *c;
	struct ks__cgroup cg;
	struct stat st;
	int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (unshare(CLONE_NEWCGROUP | CLONE_NEWNS | CLONE_NEWUTS) || mount_anew(point, version) ||
	    sethostname("0123456789ab", 12))
		return 1;
	if (ks__cgroups_open(fd, "/sys", &c) || strcmp(ks__cgroups_mount(c), point))
		return 2;
	if (stat(point, &st) || st.st_ino == 1 || ks__cgroups_resolve(c, "/", &cg) ||
	    strcmp(cg.path, "/") || cg.id != st.st_ino)
		return 3;
	if (cg.flags != (KS__CGROUP_IN_CONTAINER | KS__CGROUP_OWN) ||
	    strcmp(cg.in.id, "0123456789ab"))
		return 4;
	if (ks__cgroups_resolve(c, "/inner", &cg) || strcmp(cg.path, "/inner") ||
	    !(cg.flags & KS__CGROUP_OWN))
		return 5;
	ks__cgroups_close(c);
	return 0;
}

/* A cgroup namespace hides what is above, and its mount is over that of the machine. */
static void test_namespace(void)
{
	struct bed *bed = real_new();
	char *procs, *point;
	int status;
	pid_t pid;

	if (!bed)
		return;
	make(bed, "inner");
	procs = g_build_filename(bed->root, "cgroup.procs", NULL);
	point = g_strdup(ks__cgroups_mount(bed->c));
	pid = fork();
	if (!pid) {
		FILE *f = fopen(procs, "w");

		if (!f || fputs("0", f) < 0 || fclose(f))
			_exit(20);
		_exit(look_inside(point, ks__facts_memcg(bed->proc_fd)));
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	unmake(bed, "inner");
	real_free(bed);
	g_assert_cmpint(WEXITSTATUS(status), ==, 0);
	g_assert_true(WIFEXITED(status));
	g_free(procs);
	g_free(point);
}

/* ---- many ------------------------------------------------------------------------------------ */

struct many {
	struct bed *bed;
	uint64_t ids[MANY];
};

static double stat_all(const struct many *m)
{
	double began = (double)g_get_monotonic_time();
	char path[300];

	for (int i = 0; i < MANY; i++) {
		struct stat st;

		snprintf(path, sizeof(path), "%s/c%d", m->bed->root, i);
		g_assert_cmpint(stat(path, &st), ==, 0);
		g_assert_cmpuint(st.st_ino, ==, m->ids[i]);
	}
	return ((double)g_get_monotonic_time() - began) / 1000;
}

/* A read of their rows: ms. */
static double label_all(const struct many *m, uint64_t ns)
{
	double began = (double)g_get_monotonic_time();
	char want[KS__CGROUP_LABEL];

	for (int i = 0; i < MANY; i++) {
		snprintf(want, sizeof(want), "c%d", i);
		assert_label(m->bed, m->ids[i], ns, want);
	}
	return ((double)g_get_monotonic_time() - began) / 1000;
}

static void *label_thread(void *many)
{
	label_all(many, 5 * SECOND);
	return NULL;
}

static void make_many(struct many *m)
{
	char name[16];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		m->ids[i] = make(m->bed, name);
	}
}

static void unmake_many(struct many *m)
{
	char name[16];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		unmake(m->bed, name);
	}
}

/*
 * The first read of the rows of 4,096 cgroups costs less than three stat() of each, later ones a
 * fifth of one, also by four threads at once and when all are gone.
 */
static void test_many(void)
{
	struct many *m = g_new0(struct many, 1);
	double each = 1e9, first = 1e9, known = 1e9;
	pthread_t threads[4];

	m->bed = real_new();
	if (!m->bed) {
		g_free(m);
		return;
	}
	make_many(m);
	for (int i = 0; i < 3; i++) {
		double ms;

		ks__cgroups_close(m->bed->c);
		ks_assert_rc(ks__cgroups_open(m->bed->proc_fd, "/sys", &m->bed->c), 0);
		ms = label_all(m, SECOND);
		first = MIN(first, ms);
		ms = label_all(m, 3 * SECOND);
		known = MIN(known, ms);
		ms = stat_all(m);
		each = MIN(each, ms);
	}
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, label_thread, m);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	unmake_many(m);
	label_all(m, 9 * SECOND);
	g_test_message("%d cgroups: walk %.1f ms, stat of each %.1f ms, known %.2f ms, %zu kB",
		       MANY, first, each, known, ks__cgroups_bytes(m->bed->c) / 1024);
	real_free(m->bed);
	g_assert_cmpfloat(first, <, 3 * each);
	g_assert_cmpfloat(known, <, each / 5);
	g_free(m);
}

/* Memory stays bounded, whatever comes and goes; who lives keeps its name. */
static void test_churn(void)
{
	struct bed *bed = real_new();
	uint64_t keep, first = 0, id = 0;
	struct ks__cgroup cg;
	size_t bytes = 0;

	if (!bed)
		return;
	keep = make(bed, "keep");
	for (uint64_t round = 1; round <= 12; round++) {
		for (int i = 0; i < 2048; i++) {
			char name[16];

			snprintf(name, sizeof(name), "r%d", i);
			id = make(bed, name);
			first = first ? first : id;
		}
		assert_label(bed, id, round * SECOND, "r2047");
		for (int i = 0; i < 2048; i++) {
			char name[16];

			snprintf(name, sizeof(name), "r%d", i);
			unmake(bed, name);
		}
		bytes = MAX(bytes, ks__cgroups_bytes(bed->c));
		assert_label(bed, keep, round * SECOND, "keep");
	}
	g_assert_cmpuint(bytes, <, 3 << 20);
	assert_label(bed, id, 50 * SECOND, "r2047");
	ks_assert_rc(ks__cgroups_describe(bed->c, first, &cg), -ENOENT);
	unmake(bed, "keep");
	real_free(bed);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_data_func("/cgroups/mount/v1", GINT_TO_POINTER(1), test_mount);
	g_test_add_data_func("/cgroups/mount/v2", GINT_TO_POINTER(2), test_mount);
	g_test_add_func("/cgroups/resolve", test_resolve);
	g_test_add_func("/cgroups/prefix", test_prefix);
	g_test_add_func("/cgroups/inside", test_inside);
	g_test_add_func("/cgroups/gone", test_gone);
	g_test_add_func("/cgroups/never seen", test_never_seen);
	g_test_add_func("/cgroups/deep", test_deep);
	g_test_add_func("/cgroups/again", test_again);
	g_test_add_func("/cgroups/real/life", test_real);
	g_test_add_func("/cgroups/real/other hierarchies", test_real_other);
	g_test_add_func("/cgroups/real/namespace", test_namespace);
	g_test_add_func("/cgroups/real/many", test_many);
	g_test_add_func("/cgroups/real/churn", test_churn);
	return g_test_run();
}
