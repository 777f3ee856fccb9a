/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that facts about the machine are read in the form of each kernel version, and that a
 * missing fact stays unknown.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "files/facts.h"
#include "files/kv.h"
#include "base/text.h"
#include "support/ks_test.h"

/* A folder in which the file `name` has the content `text`; NULL: the folder is empty. */
struct place {
	char *dir, *file;
	int fd;
};

static struct place place(const char *folder, const char *name, const char *text)
{
	struct place p = { .dir = g_dir_make_tmp("ks-facts-XXXXXX", NULL) };
	char *inner = g_build_filename(p.dir, folder, NULL);

	g_assert_cmpint(g_mkdir_with_parents(inner, 0755), ==, 0);
	p.file = g_build_filename(inner, name, NULL);
	if (text)
		g_assert_true(g_file_set_contents(p.file, text, -1, NULL));
	p.fd = open(p.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(p.fd, >=, 0);
	g_free(inner);
	return p;
}

static void leave(struct place *p)
{
	close(p->fd);
	unlink(p->file);
	for (char *slash; (slash = strrchr(p->file, '/')) && strlen(p->file) > strlen(p->dir);) {
		*slash = '\0';
		rmdir(p->file);
	}
	g_assert_false(g_file_test(p->dir, G_FILE_TEST_EXISTS));
	g_free(p->file);
	g_free(p->dir);
}

static void test_lockdown(void)
{
	static const struct {
		const char *text;
		int rc;
		const char *mode;
	} cases[] = {
		{ "[none] integrity confidentiality\n", 0, "none" },
		{ "none [integrity] confidentiality\n", 0, "integrity" },
		{ "none integrity [confidentiality]\n", 0, "confidentiality" },
		{ "none integrity [confid", -EINVAL, "" },
		{ "none\n", -EINVAL, "" },
		{ "", -EINVAL, "" },
		{ NULL, -ENOENT, "" }, /* this kernel lacks it, or securityfs is not mounted */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct place p = place("kernel/security", "lockdown", cases[i].text);
		char mode[32] = "untouched", cut[5];

		ks_assert_rc(ks__facts_lockdown(p.fd, mode, sizeof(mode)), cases[i].rc);
		g_assert_cmpstr(mode, ==, cases[i].mode);
		ks__facts_lockdown(p.fd, cut, sizeof(cut));
		g_assert_true(g_str_has_prefix(cases[i].mode, cut));
		leave(&p);
	}
}

#define HEAD "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"

static void test_memcg(void)
{
	static const struct {
		const char *text;
		int version;
	} cases[] = {
		{ HEAD "cpuset\t3\t1\t1\nmemory\t4\t16\t1\npids\t8\t1\t1\n", 1 },
		{ HEAD "memory\t11\t16\t1\n", 1 },
		{ HEAD "cpuset\t0\t99\t1\nmemory\t0\t99\t1\npids\t0\t99\t1\n", 2 },
		{ HEAD "cpuset\t0\t99\t1\nmemory\t0\t1\t0\n", 0 }, /* cgroup_disable=memory */
		{ HEAD "cpuset\t0\t99\t1\n", 0 },
		{ HEAD "cpuset\t0\t99\t1\nmemory\t1", 0 }, /* cut off */
		{ "", 0 },
		{ NULL, -ENOENT },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct place p = place(".", "cgroups", cases[i].text);

		ks_assert_rc(ks__facts_memcg(p.fd), cases[i].version);
		leave(&p);
	}
}

/* Capabilities can be asked for by two methods. */
static void test_caps(void)
{
	char status[4096];
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), n;
	uint64_t caps = 99;
	const char *value;
	size_t length;

	n = ks__text_string(proc, "thread-self/status", status, sizeof(status));
	close(proc);
	if (n <= 0) {
		g_test_skip("no procfs here");
		return;
	}
	g_assert_cmpint(ks__kv_find(status, (size_t)n, "CapEff", &value, &length), ==, 0);
	ks_assert_rc(ks__facts_caps(&caps), 0);
	g_assert_cmphex(caps, ==, g_ascii_strtoull(value, NULL, 16));
}

static void test_modules(void)
{
	static const struct {
		const char *folder, *name, *text, *line;
		int rc;
	} cases[] = {
		{ "self/attr/apparmor", "current", "unconfined\n", "", 0 },
		{ "self/attr/apparmor", "current", "tight (enforce)\n", "tight (enforce)", 15 },
		{ "self/attr", "current", "a:b:c_t:s0\n", "a:b:c_t:s0", 10 },
		{ "self/attr", "current", NULL, "", -ENOENT },
		{ "kernel/security", "lsm", "lockdown,bpf", "lockdown,bpf", 12 },
		{ "kernel/security", "lsm", NULL, "", -ENOENT },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct place p = place(cases[i].folder, cases[i].name, cases[i].text);
		char line[32] = "untouched";

		if (cases[i].folder[0] == 'k')
			ks_assert_rc(ks__facts_modules(p.fd, line, sizeof(line)), cases[i].rc);
		else
			ks_assert_rc(ks__facts_confinement(p.fd, line, sizeof(line)), cases[i].rc);
		g_assert_cmpstr(line, ==, cases[i].line);
		leave(&p);
	}
}

/*
 * /proc shows the capabilities that the process was given. AppArmor withholds those that capget()
 * lacks.
 */
static void test_withheld(void)
{
	struct place p = place("self/attr/apparmor", "current", "tight (enforce)\n");
	char *status = g_build_filename(p.dir, "status", NULL), profile[32];
	const uint64_t more[] = { 0, 1ull << 62 /* a bit that no process has */ };
	char *groups = g_strnfill(50000, '7'); /* a thread may be in up to 65,536 groups */
	uint64_t caps;

	ks_assert_rc(ks__facts_caps(&caps), 0);
	g_assert_cmpint(symlinkat(".", p.fd, "thread-self"), ==, 0);
	g_assert_cmphex(ks__facts_withheld(p.fd, profile, sizeof(profile)), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(more); i++) {
		char *text = g_strdup_printf("Groups:\t%s\nCapPrm:\t0\nCapEff:\t%016" PRIx64
					     "\nSeccomp:\t2\n",
					     groups, caps | more[i]);
		uint64_t mode = 0;

		g_assert_true(g_file_set_contents(status, text, -1, NULL));
		g_free(text);
		g_assert_cmphex(ks__facts_withheld(p.fd, profile, sizeof(profile)), ==, more[i]);
		g_assert_cmpstr(profile, ==, more[i] ? "tight" : "");
		ks_assert_rc(ks__facts_status(p.fd, "Seccomp", 10, &mode), 0);
		g_assert_cmpuint(mode, ==, 2);
		ks_assert_rc(ks__facts_status(p.fd, "Sec", 10, &mode), -ENOENT);
	}
	unlink(status);
	unlinkat(p.fd, "thread-self", 0);
	leave(&p);
	g_free(status);
	g_free(groups);
}

static void read_status(void *user)
{
	const struct place *p = user;
	uint64_t value;

	ks_assert_rc(ks__facts_status(p->fd, "Seccomp", 10, &value), 0);
	ks_assert_rc(ks__facts_status(p->fd, "None", 10, &value), -ENOENT);
}

static void test_status(void)
{
	struct place p = place("thread-self", "status", "Name:\ta\nSeccomp:\t2\n");
	uint64_t value;

	ks_assert_rc(ks__facts_status(p.fd, "Seccomp", 16, &value), 0);
	g_assert_cmpuint(value, ==, 2);
	ks_test_no_leak(read_status, &p);
	leave(&p);
}

/* "self" in a procfs is the caller's pid in the pid namespace of that procfs. */
static void test_own_proc(void)
{
	char me[16];
	const struct {
		const char *self;
		int is_own;
	} cases[] = { { me, 1 }, { "1", 0 }, { NULL, 1 } };

	snprintf(me, sizeof(me), "%d", getpid());
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct place p = place(".", "self", NULL);

		if (cases[i].self)
			g_assert_cmpint(symlinkat(cases[i].self, p.fd, "self"), ==, 0);
		g_assert_cmpint(ks__facts_own_proc(p.fd), ==, cases[i].is_own);
		leave(&p);
	}
}

static void test_filesystem(void)
{
	static const struct {
		const char *text;
		int has;
	} cases[] = {
		{ "nodev\tsysfs\nnodev\ttracefs\n\text3\n", 1 },
		{ "\ttracefs\n", 1 },
		{ "nodev\tsysfs\nnodev\ttracefs2\nnodev\txtracefs\n\text3\n", 0 },
		{ "nodev\tsysfs\nnodev\ttracefs", 0 }, /* cut off */
		{ "", 0 },
		{ NULL, -ENOENT },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct place p = place(".", "filesystems", cases[i].text);

		ks_assert_rc(ks__facts_filesystem(p.fd, "tracefs"), cases[i].has);
		leave(&p);
	}
}

static void test_string(void)
{
	struct place p = place(".", "text", "12345678\n");
	char text[32] = "untouched", cut[5];

	ks_assert_rc(ks__text_string(p.fd, "text", text, sizeof(text)), 9);
	g_assert_cmpstr(text, ==, "12345678\n");
	ks_assert_rc(ks__text_string(p.fd, "text", cut, sizeof(cut)), 4);
	g_assert_cmpstr(cut, ==, "1234");
	ks_assert_rc(ks__text_string(p.fd, "none", text, sizeof(text)), -ENOENT);
	g_assert_cmpstr(text, ==, "12345678\n");
	leave(&p);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/facts/lockdown", test_lockdown);
	g_test_add_func("/facts/memory controller", test_memcg);
	g_test_add_func("/facts/capabilities", test_caps);
	g_test_add_func("/facts/security modules", test_modules);
	g_test_add_func("/facts/withheld capabilities", test_withheld);
	g_test_add_func("/facts/status", test_status);
	g_test_add_func("/facts/own proc", test_own_proc);
	g_test_add_func("/facts/filesystem", test_filesystem);
	g_test_add_func("/facts/string", test_string);
	return g_test_run();
}
