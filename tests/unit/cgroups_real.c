/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that real cgroups are found by id and by path, also from inside a cgroup namespace; that a
 * cgroup created again is a different one; and that 4,096 cgroups cost one short walk and little
 * memory, however many are created and removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "files/facts.h"
#include "support/cgroup_bed.h"
#include "support/ks_test.h"

#define ID "3f4a5b6c7d8e9f00112233445566778899aabbccddeeff00112233445566778a"
#define MANY 4096

/* Opens with a /proc whose mounts say that cgroup v2 has the memory controller. */
static int open_v2(struct ks__cgroups **ret)
{
	char *dir = g_dir_make_tmp("ks-cgroups-XXXXXX", NULL), *text;
	char *command = g_strdup_printf("rm -r '%s'", dir);
	char *self = g_build_filename(dir, "self", NULL);
	char *file = g_build_filename(dir, "cgroups", NULL);
	char *mounts = g_build_filename(self, "mountinfo", NULL);
	int fd, rc;

	g_assert_true(g_file_set_contents(file, "memory\t0\t1\t1\n", -1, NULL));
	g_assert_cmpint(mkdir(self, 0755), ==, 0);
	g_assert_true(g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL));
	g_assert_true(g_file_set_contents(mounts, text, -1, NULL));
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	rc = ks__cgroups_open(fd, "/sys", ret);
	close(fd);
	g_assert_cmpint(system(command), ==, 0);
	g_free(mounts);
	g_free(file);
	g_free(self);
	g_free(command);
	g_free(text);
	g_free(dir);
	return rc;
}

/* Makes a bed with this machine's memory hierarchy, or with v2, and a cgroup of our own in it. */
static struct bed *real_new(int is_v2)
{
	struct bed *bed;
	int rc;

	if (!ks_test_root())
		return NULL;
	bed = g_new0(struct bed, 1);
	bed->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	rc = is_v2 ? open_v2(&bed->c) : ks__cgroups_open(bed->proc_fd, "/sys", &bed->c);
	if (!rc) {
		bed->root = g_strdup_printf("%s/ks-test-%d", ks__cgroups_mount(bed->c), getpid());
		rc = mkdir(bed->root, 0755) ? -errno : 0;
	}
	if (!rc)
		return bed;
	g_test_skip("no cgroup can be made in this hierarchy");
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

static void test_life(gconstpointer is_v2)
{
	struct bed *bed = real_new(is_v2 != NULL);
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

/* Ids of other hierarchies' cgroups are unknown. */
static void test_real_other(void)
{
	static const char *const others[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu",
					      "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/freezer" };
	struct bed *bed = real_new(0);
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
		g_test_skip("there is only one cgroup hierarchy here");
	real_free(bed);
}

/*
 * Mounts the hierarchy over the machine's mount, with another mount between: the kernel refuses to
 * mount it directly on itself.
 */
static int mount_anew(const char *point, int version)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	       mount("none", point, "tmpfs", 0, NULL) ||
	       mount("cgroup", point, version == 1 ? "cgroup" : "cgroup2", 0,
		     version == 1 ? "memory" : NULL);
}

/* Returns the line that failed, 0 if none did. */
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

/* A cgroup namespace hides the cgroups above it. Its mount covers that of the machine. */
static void test_namespace(void)
{
	struct bed *bed = real_new(0);
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

/* CPU time of this thread in ms. Elapsed time would mostly be waiting on a busy machine. */
static double spent(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double stat_all(const struct many *m)
{
	double began = spent();
	char path[300];

	for (int i = 0; i < MANY; i++) {
		struct stat st;

		snprintf(path, sizeof(path), "%s/c%d", m->bed->root, i);
		g_assert_cmpint(stat(path, &st), ==, 0);
		g_assert_cmpuint(st.st_ino, ==, m->ids[i]);
	}
	return spent() - began;
}

/* Reads the labels of all cgroups. Returns the CPU time in ms. */
static double label_all(const struct many *m, uint64_t ns)
{
	double began = spent();
	char want[KS__CGROUP_LABEL];

	for (int i = 0; i < MANY; i++) {
		snprintf(want, sizeof(want), "c%d", i);
		assert_label(m->bed, m->ids[i], ns, want);
	}
	return spent() - began;
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
 * The first read of 4,096 cgroups costs one walk, which takes less time than ten stat() per cgroup.
 * A later read costs no walk and less than one stat() per cgroup. Both also hold under a sanitizer.
 * Four threads may read at once, and labels stay when all cgroups are gone.
 */
static void test_many(void)
{
	struct many *m = g_new0(struct many, 1);
	double each = 1e9, first = 1e9, known = 1e9;
	pthread_t threads[4];

	m->bed = real_new(0);
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
	g_assert_cmpfloat(first, <, 10 * each);
	g_assert_cmpfloat(known, <, each);
	g_free(m);
}

/*
 * Memory stays bounded however many cgroups are created and removed. A cgroup that stays keeps its
 * name.
 */
static void test_churn(void)
{
	struct bed *bed = real_new(0);
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
	g_test_add_data_func("/cgroups_real/life", NULL, test_life);
	g_test_add_data_func("/cgroups_real/life v2", "v2", test_life);
	g_test_add_func("/cgroups_real/other hierarchies", test_real_other);
	g_test_add_func("/cgroups_real/namespace", test_namespace);
	g_test_add_func("/cgroups_real/many", test_many);
	g_test_add_func("/cgroups_real/churn", test_churn);
	return g_test_run();
}
