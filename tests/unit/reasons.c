/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the reason for each error of bpf() and perf_event_open() is the right one of many:
 * capabilities, a user namespace, a seccomp filter, lockdown, a security module, or a shortage. The
 * test plays the kernel.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "bpf/machine.h"
#include "data/doc.h"
#include "support/ks_test.h"
#include "support/played.h"

struct bed {
	char *dir; /* /proc and /sys at once */
	struct ks *ks;
};

static void put(struct bed *bed, const char *text, const char *name)
{
	char *path = g_build_filename(bed->dir, name, NULL), *folder = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_free(folder);
	g_free(path);
}

static struct bed *bed_new(uint32_t flags)
{
	struct bed *bed = g_new0(struct bed, 1);
	struct ks_open_opts opts = { .size = sizeof(opts), .flags = flags };

	bed->dir = g_dir_make_tmp("ks-reasons-XXXXXX", NULL);
	opts.proc_path = opts.sys_path = bed->dir;
	ks_assert_rc(ks_open(&opts, &bed->ks), 0);
	played_begin();
	return bed;
}

static void bed_free(struct bed *bed)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", bed->dir, NULL };

	ks_close(bed->ks);
	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
	g_free(bed->dir);
	g_free(bed);
}

static void bpf_is(struct bed *bed, int error, const char *want)
{
	char why[400] = "";

	ks__machine_bpf(bed->ks, "it", error, why, sizeof(why));
	g_assert_cmpstr(why, ==, want);
}

static void perf_is(struct bed *bed, int error, const char *want)
{
	char why[400] = "";

	ks__machine_perf(bed->ks, "it", error, why, sizeof(why));
	g_assert_cmpstr(why, ==, want);
}

static void test_for_now(void)
{
	static const struct {
		int error;
		const char *want;
	} all[] = {
		{ -EAGAIN, "it: signals interrupted every attempt (EAGAIN): try again" },
		{ -EINTR, "it: signals interrupted every attempt (EINTR): try again" },
		{ -EBUSY, "it: it is in use elsewhere (EBUSY): enable the probe again later" },
		{ -ENOMEM, "it: the kernel has no memory for it" },
		{ -ENFILE,
		  "it: too many files are open on this machine: raise the sysctl fs.file-max" },
		{ -EMFILE, "it: too few free descriptors: raise RLIMIT_NOFILE" },
		{ -ESTALE, "it: /proc and /sys are out of reach since chroot(): call ks_prepare() "
			   "before chroot(), or mount procfs there" },
	};
	struct bed *bed = bed_new(0);

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		bpf_is(bed, all[i].error, all[i].want);
		perf_is(bed, all[i].error, all[i].want);
	}
	bpf_is(bed, -EINVAL, "it: this kernel does not have it (EINVAL)");
	perf_is(bed, -EINVAL, "it: perf_event_open() failed (EINVAL)");
	bpf_is(bed, -ENOSYS, "it: this kernel has no bpf() (CONFIG_BPF_SYSCALL)");
	perf_is(bed, -ENOSYS, "it: this kernel has no perf_event_open() (CONFIG_PERF_EVENTS)");
	bed_free(bed);
}

#define SETCAP ": setcap cap_bpf,cap_perfmon+ep PROGRAM, or run as root (in a container: add both)"

static void test_caps(void)
{
	const uint64_t bpf = 1ull << CAP_BPF, perfmon = 1ull << CAP_PERFMON;
	const uint64_t admin = 1ull << CAP_SYS_ADMIN;
	struct bed *bed = bed_new(0);

	for (int error = -EPERM; error >= -EACCES; error += -EACCES + EPERM) {
		played.caps = UINT64_MAX & ~(bpf | perfmon | admin);
		bpf_is(bed, error, "it: needs CAP_BPF and CAP_PERFMON" SETCAP);
		perf_is(bed, error, "it: needs CAP_PERFMON" SETCAP);
		played.caps = perfmon;
		bpf_is(bed, error, "it: needs CAP_BPF" SETCAP);
		played.caps = bpf;
		bpf_is(bed, error, "it: needs CAP_PERFMON" SETCAP);
	}
	put(bed, "37\n", "sys/kernel/cap_last_cap"); /* CAP_AUDIT_READ: before Linux 5.8 */
	played.caps = 0;
	bpf_is(bed, -EPERM,
	       "it: needs CAP_SYS_ADMIN (before Linux 5.8 there is no CAP_BPF): run as root, or "
	       "setcap cap_sys_admin+ep PROGRAM");
	put(bed, "39\n", "sys/kernel/cap_last_cap");
	put(bed, "2\n", "sys/kernel/perf_event_paranoid");
	bpf_is(bed, -EPERM, "it: needs CAP_BPF and CAP_PERFMON" SETCAP);
	perf_is(bed, -EPERM, "it: needs CAP_PERFMON" SETCAP " (kernel.perf_event_paranoid is 2)");
	put(bed, "0\n", "sys/kernel/perf_event_paranoid");
	perf_is(bed, -EPERM, "it: needs CAP_PERFMON" SETCAP " (kernel.perf_event_paranoid is 0)");
	put(bed, "-1\n", "sys/kernel/perf_event_paranoid");
	perf_is(bed, -EPERM, "it: needs CAP_PERFMON" SETCAP);

	/* AppArmor: the process has them, but capget() does not tell them */
	put(bed, "CapEff:\t000001ffffffffff\n", "thread-self/status");
	put(bed, "tight (enforce)\n", "self/attr/apparmor/current");
	bpf_is(bed, -EPERM,
	       "it: AppArmor denies capabilities to this process: add `capability bpf, capability "
	       "perfmon,` to its profile tight");
	bed_free(bed);
}

#define LSM "it: a security module (LSM) refuses bpf() (EACCES): "

static void test_module(void)
{
	struct bed *bed = bed_new(0);

	bpf_is(bed, -EACCES, LSM "which one is unknown; see its log");
	put(bed, "lockdown,capability,yama\n", "kernel/security/lsm");
	bpf_is(bed, -EACCES, LSM "one of lockdown,capability,yama; see its log");
	put(bed, "lockdown,bpf\n", "kernel/security/lsm");
	bpf_is(bed, -EACCES,
	       LSM "one of lockdown,bpf; `bpftool prog show` lists programs of type lsm");
	put(bed, "capability,selinux,bpf\n", "kernel/security/lsm");
	put(bed, "system_u:system_r:container_t:s0\n", "self/attr/current");
	bpf_is(bed, -EACCES,
	       LSM "SELinux confines this process: allow what `ausearch -m avc -ts recent | "
		   "audit2allow` prints to system_u:system_r:container_t:s0");
	put(bed, "0\n", "fs/selinux/enforce");
	bpf_is(bed, -EACCES,
	       LSM "one of capability,selinux,bpf; `bpftool prog show` lists "
		   "programs of type lsm");
	put(bed, "1\n", "fs/selinux/enforce");
	put(bed, "only:one\n", "self/attr/current");
	bpf_is(bed, -EACCES,
	       LSM "one of capability,selinux,bpf; `bpftool prog show` lists "
		   "programs of type lsm");
	put(bed, "yama\n", "kernel/security/lsm");
	perf_is(bed, -EPERM,
		"it: a security module (LSM) refuses perf_event_open() (EPERM): one of "
		"yama; see its log");
	bed_free(bed);
}

/* A filter refuses calls that the kernel answers with another error; one refusal is not enough. */
static void test_filter(void)
{
	static const int errors[] = { -EPERM, -EACCES, -ENOSYS };
	struct bed *bed = bed_new(0);
	const char *want =
		"it: a seccomp filter refuses bpf(), and capabilities do not help: allow "
		"it in the filter (of a container: its seccomp profile)";

	put(bed, "Seccomp:\t2\n", "thread-self/status");
	for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
		played_begin();
		played.answers[0] = played.answers[1] = errors[i];
		bpf_is(bed, -EACCES, want);
		g_assert_cmpuint(played.n, ==, 2);
		g_assert_cmpint(played.calls[0].number, ==, SYS_bpf);
		g_assert_cmpint((int)played.calls[0].args[0], ==, -1);
		g_assert_cmpint((int)played.calls[1].args[0], ==, BPF_PROG_LOAD);
		for (unsigned c = 0; c < 2; c++) {
			g_assert_cmpint(played.calls[c].args[1], ==, 0);
			g_assert_cmpint(played.calls[c].args[2], ==, -1);
		}
	}
	played_begin();
	played.answers[0] = played.answers[1] = -EPERM;
	bpf_is(bed, -ENOSYS, want);
	played_begin();
	played.answers[0] = -EINVAL;
	played.answers[1] = -EPERM;
	bpf_is(bed, -EACCES, LSM "which one is unknown; see its log");
	played_begin();
	played.answers[0] = -EPERM;
	played.answers[1] = -EINVAL;
	bpf_is(bed, -EACCES, LSM "which one is unknown; see its log");
	put(bed, "Seccomp:\t0\n", "thread-self/status");
	played_begin();
	played.answers[0] = played.answers[1] = -EPERM;
	bpf_is(bed, -EACCES, LSM "which one is unknown; see its log");
	g_assert_cmpuint(played.n, ==, 0);
	bed_free(bed);
}

static void test_others(void)
{
	struct bed *bed = bed_new(0);

	put(bed, "none integrity [confidentiality]\n", "kernel/security/lockdown");
	perf_is(bed, -EPERM,
		"it: kernel lockdown (confidentiality) forbids it: boot with "
		"lockdown=integrity or none");
	g_assert_cmpint(ks__machine_confidential(bed->ks), ==, 1);
	bpf_is(bed, -EACCES, LSM "which one is unknown; see its log");
	put(bed, "none [integrity] confidentiality\n", "kernel/security/lockdown");
	g_assert_cmpint(ks__machine_confidential(bed->ks), ==, 0);
	perf_is(bed, -EPERM,
		"it: a security module (LSM) refuses perf_event_open() (EPERM): which "
		"one is unknown; see its log");
	played.caps = 1ull << CAP_PERFMON | 1ull << CAP_BPF;
	put(bed, "3\n", "sys/kernel/perf_event_paranoid");
	perf_is(bed, -EACCES,
		"it: kernel.perf_event_paranoid is 3, and above 2 this kernel needs CAP_SYS_ADMIN: "
		"sysctl kernel.perf_event_paranoid=2, or run as root");
	put(bed, "2\n", "sys/kernel/perf_event_paranoid");
	perf_is(bed, -EACCES,
		"it: a security module (LSM) refuses perf_event_open() (EACCES): "
		"which one is unknown; see its log");
	played.caps = UINT64_MAX;
	put(bed, "3\n", "sys/kernel/perf_event_paranoid");
	perf_is(bed, -EACCES,
		"it: a security module (LSM) refuses perf_event_open() (EACCES): "
		"which one is unknown; see its log");
	put(bed, "", "self/ns/user"); /* not the inode of the initial one */
	bpf_is(bed, -EPERM,
	       "it: capabilities of a user namespace do not count: run this program in the initial "
	       "user namespace (in a container: without userns remapping)");
	bed_free(bed);
}

/* ---- facts and limits ------------------------------------------------------------------------ */

static void assert_doc(struct bed *bed, const char *want)
{
	struct ks__doc doc;
	char text[500];

	ks__doc_begin(&doc, KS_JSON);
	ks__machine_doc(bed->ks, &doc);
	ks__doc_finish(&doc, text, sizeof(text));
	g_assert_cmpstr(text, ==, want);
}

static void test_doc(void)
{
	struct bed *bed = bed_new(0);
	struct ks__machine m;

	assert_doc(bed, "{\"initial_user_namespace\":true}");
	put(bed, "Seccomp:\t0\nCapEff:\t3\n", "thread-self/status");
	assert_doc(bed, "{\"initial_user_namespace\":true,\"seccomp\":\"off\"}");
	put(bed, "Seccomp:\t2\nCapEff:\t3\n", "thread-self/status");
	put(bed, "", "self/ns/user");
	put(bed, "yama,apparmor\n", "kernel/security/lsm");
	put(bed, "tight (enforce)\n", "self/attr/apparmor/current");
	put(bed, "none [integrity] confidentiality\n", "kernel/security/lockdown");
	put(bed, "4\n", "sys/kernel/perf_event_paranoid");
	assert_doc(bed, "{\"initial_user_namespace\":false,\"seccomp\":\"on\","
			"\"security_modules\":\"yama,apparmor\","
			"\"confined_by\":\"tight (enforce)\"}");
	memset(&m, 0x5a, sizeof(m));
	played.caps = 1;
	ks__machine_read(bed->ks, &m);
	g_assert_cmphex(m.caps, ==, 1);
	g_assert_cmphex(m.withheld, ==, 2);
	g_assert_cmpstr(m.profile, ==, "tight");
	g_assert_cmpint(m.has_cap_bpf, ==, 1);
	g_assert_cmpint(m.initial_userns, ==, 0);
	g_assert_cmpint(m.seccomp, ==, 2);
	g_assert_cmpint(m.perf_paranoid, ==, 4);
	g_assert_cmpstr(m.lockdown, ==, "integrity");
	bed_free(bed);
}

/* The limit is raised only if the host allows it, as far as possible. */
static void test_memlock(void)
{
	struct rlimit first, old = { 1, 1 }, now;

	g_assert_cmpint(getrlimit(RLIMIT_MEMLOCK, &first), ==, 0);
	for (int may = 0; may <= 1; may++) {
		struct bed *bed = bed_new(may ? KS_OPEN_RAISE_MEMLOCK : KS_OPEN_TRIM);
		const struct rlimit low = { 65536, first.rlim_max };

		g_assert_cmpint(setrlimit(RLIMIT_MEMLOCK, &low), ==, 0);
		g_assert_cmpint(ks__machine_raise_memlock(bed->ks, &old), ==, may);
		g_assert_cmpint(getrlimit(RLIMIT_MEMLOCK, &now), ==, 0);
		if (may) {
			g_assert_cmpuint(old.rlim_cur, ==, 65536);
			g_assert_cmpuint(now.rlim_cur, >=, first.rlim_max);
			if (now.rlim_cur == RLIM_INFINITY) /* nothing to raise */
				g_assert_cmpint(ks__machine_raise_memlock(bed->ks, &old), ==, 0);
		} else {
			g_assert_cmpuint(now.rlim_cur, ==, 65536);
		}
		g_assert_cmpint(setrlimit(RLIMIT_MEMLOCK, &first), ==, 0);
		bed_free(bed);
	}
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/reasons/for now", test_for_now);
	g_test_add_func("/reasons/capabilities", test_caps);
	g_test_add_func("/reasons/module", test_module);
	g_test_add_func("/reasons/filter", test_filter);
	g_test_add_func("/reasons/others", test_others);
	g_test_add_func("/reasons/doc", test_doc);
	g_test_add_func("/reasons/memlock", test_memlock);
	return g_test_run();
}
