/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the reason names what denies access, and the remedy: kernel lockdown, AppArmor,
 * SELinux, a BPF LSM program, the limit on locked memory, a perf sysctl, a kernel without tracefs,
 * or ftrace that is off (programs then attach but count nothing). Meanwhile the fallback serves. A
 * seccomp filter that allows every call is not blamed, and lockdown is not blamed for what another
 * module refuses.
 *
 * Cases that need boot parameters or leave the machine changed run only if KS_GUEST says that the
 * machine exists for this test alone. KS_GUEST_LSM names the security modules that the guest was
 * booted with and must have.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/btf.h>

#include "fault.h"

#define FTRACE "/proc/sys/kernel/ftrace_enabled"
#define TRACEFS "/sys/kernel/tracing"
#define PARANOID "/proc/sys/kernel/perf_event_paranoid"
#define DEBUGFS "/sys/kernel/debug"
#define FILESYSTEMS "/proc/filesystems"
#define NOBODY 65534

static int is_guest(void)
{
	if (g_getenv("KS_GUEST"))
		return 1;
	g_test_skip("only in a guest that exists for this test (KS_GUEST)");
	return 0;
}

/* Skips, or fails in a guest that was booted for this case. */
static void skip(const char *name, const char *why)
{
	const char *must = g_getenv("KS_GUEST_LSM");

	if (must && strstr(must, name))
		g_error("%s: %s", name, why);
	g_test_skip(why);
}

/* True if this is Linux major.minor or later. */
static int is_linux(int major, int minor)
{
	struct utsname name;
	int is[2];

	g_assert_cmpint(uname(&name), ==, 0);
	g_assert_cmpint(sscanf(name.release, "%d.%d", &is[0], &is[1]), ==, 2);
	return is[0] > major || (is[0] == major && is[1] >= minor);
}

static int says(const char *path, const char *what)
{
	char *text = NULL;
	int found = g_file_get_contents(path, &text, NULL, NULL) && strstr(text, what);

	g_free(text);
	return found;
}

static char *check(struct ks *ks, uint32_t format)
{
	int size = ks_check(ks, format, NULL, 0) + 4096;
	char *text = g_malloc((gsize)size);

	g_assert_cmpint(ks_check(ks, format, text, (size_t)size), <, size);
	return text;
}

/* The words must also be in the part of ks_check()'s text that begins at `from`. */
static void expect_checked(struct ks *ks, const char *from, const char *const *words)
{
	for (uint32_t format = KS_TEXT; format <= KS_JSON; format++) {
		char *text = check(ks, format);
		const char *at = strstr(text, from);

		for (const char *const *w = words; *w; w++)
			if (!at || !strstr(at, *w))
				g_error("the report does not mention '%s': %s", *w, text);
		g_free(text);
	}
}

static void write_file(const char *path, const char *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint((int)write(fd, data, size), ==, (int)size);
	close(fd);
}

/*
 * No variant with kernel programs works. Each reason has the words, and the last word is also among
 * the remedies. The fallback counts.
 */
static void expect_denied(const char *const *words)
{
	struct ks_variant_info v = { .size = sizeof(v) };
	struct ks *ks = fault_open(NULL);
	const char *const *last = words;
	unsigned n = 0;

	for (uint32_t i = 0; ks_query_variant(ks, KS_PROBE_PROC, i, &v) == 0; i++) {
		if (v.source != KS_SOURCE_BPF)
			continue;
		fault_refused(ks, KS_PROBE_PROC, v.name, words);
		n++;
	}
	g_assert_cmpuint(n, >=, 3);
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, NULL), 1);
	while (last[1])
		last++;
	expect_checked(ks, "", words);
	expect_checked(ks, "remedies", last);
	fault_fallback(ks);
	ks_close(ks);
}

/* ---- lockdown: a guest that was booted with it ----------------------------------------------- */

static int is_locked_down(void)
{
	return says("/sys/kernel/security/lockdown", "[confidentiality]");
}

/* If lockdown forbids less, the filter is still named. Both need a remedy. */
static void filtered(const void *unused)
{
	static const char *const words[] = { "a seccomp filter refuses bpf()",
					     "allow it in the filter", NULL };
	static const char *const both[] = { "allow it in the filter", "lockdown=integrity", NULL };
	struct ks *ks;

	(void)unused;
	fault_filter(SYS_bpf, EPERM);
	expect_denied(words);
	ks = fault_open(NULL);
	expect_checked(ks, "remedies", both);
	ks_close(ks);
}

static void lockdown(void)
{
	static const char *const words[] = { "lockdown (confidentiality)", "lockdown=integrity",
					     NULL };

	if (!ks_test_root())
		return;
	if (!is_locked_down()) {
		skip("lockdown", "the kernel was not started with lockdown=confidentiality");
		return;
	}
	expect_denied(words);
	fault_in_child(filtered, NULL);
}

/* ---- a security module: a BPF LSM program of our own ----------------------------------------- */

/* Refuses to load programs until the returned descriptor is closed. */
static int refuse_programs(uint32_t hook)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 2, .src_reg = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 },
		{ .code = BPF_JMP32 | BPF_JNE | BPF_K,
		  .dst_reg = 2,
		  .off = 1,
		  .imm = BPF_PROG_LOAD },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = -EPERM },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_LSM,
				.expected_attach_type = BPF_LSM_MAC,
				.attach_btf_id = hook,
				.insns = (uintptr_t)code,
				.insn_cnt = G_N_ELEMENTS(code),
				.license = (uintptr_t) "GPL" };
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)), link;

	g_assert_cmpint(program, >=, 0);
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.prog_fd = (uint32_t)program;
	link = (int)syscall(SYS_bpf, BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr));
	close(program);
	return link;
}

/* Installs a seccomp filter that allows all calls, as most services have one. */
static void pass_all(void)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	const struct sock_fprog filter = { G_N_ELEMENTS(code), code };

	g_assert_cmpint(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
	g_assert_cmpint(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), ==, 0);
}

static void expect_denied_filtered(const void *words)
{
	pass_all();
	expect_denied(words);
}

static void module(void)
{
	static const char *const words[] = { "security module", "bpf", "bpftool prog show", NULL };
	struct btf *btf;
	int hook, link;

	if (!ks_test_root() || !is_guest())
		return;
	if (!says("/sys/kernel/security/lsm", "bpf")) {
		skip("bpf", "programs are no security module in this kernel");
		return;
	}
	btf = btf__load_vmlinux_btf();
	g_assert_nonnull(btf);
	hook = btf__find_by_name_kind(btf, "bpf_lsm_bpf", BTF_KIND_FUNC);
	g_assert_cmpint(hook, >, 0);
	btf__free(btf);
	link = refuse_programs((uint32_t)hook);
#ifdef __aarch64__
	if (link < 0 && !is_linux(6, 4)) {
		g_test_skip("this kernel cannot attach to security hooks");
		return;
	}
#endif
	g_assert_cmpint(link, >=, 0);
	expect_denied(words);
	fault_in_child(expect_denied_filtered, words);
	close(link);
}

/* ---- security modules with a policy: the guest's image has them ------------------------------ */

struct policy {
	const char *file, *load;
	const char *enter, *label; /* writing `label` to the file `enter` confines the process */
	const char *words[5];
};

static void load_policy(const struct policy *p)
{
	char *data;
	gsize size;

	g_assert_true(g_file_get_contents(p->file, &data, &size, NULL));
	write_file(p->load, data, size);
	g_free(data);
}

static void confined(const void *data)
{
	const struct policy *p = data;

	write_file(p->enter, p->label, strlen(p->label));
	expect_denied(p->words);
	expect_denied_filtered(p->words);
}

static int has_module(const char *name)
{
	if (!ks_test_root() || !is_guest())
		return 0;
	if (says("/sys/kernel/security/lsm", name))
		return 1;
	skip(name, "the kernel was not started with this module (lsm=)");
	return 0;
}

static void apparmor(void)
{
	static const struct policy policy = {
		.file = "/etc/apparmor.policy",
		.load = "/sys/kernel/security/apparmor/.replace",
		.enter = "/proc/self/attr/apparmor/current",
		.label = "changeprofile ks_no_programs",
		.words = { "AppArmor", "profile ks_no_programs",
			   "add `capability bpf, capability perfmon,`" },
	};

	if (!has_module("apparmor"))
		return;
	load_policy(&policy);
	fault_in_child(confined, &policy);
}

static void selinux(void)
{
	static const struct policy policy = {
		.file = "/etc/selinux.policy",
		.load = "/sys/fs/selinux/load",
		.enter = "/proc/self/attr/current",
		.label = "ks_user:ks_role:ks_no_programs",
		.words = { "SELinux", "to ks_user:ks_role:ks_no_programs", "audit2allow" },
	};

	if (!has_module("selinux"))
		return;
	g_assert_cmpint(mount("selinuxfs", "/sys/fs/selinux", "selinuxfs", 0, NULL), ==, 0);
	load_policy(&policy);
	write_file("/sys/fs/selinux/enforce", "1", 1);
	fault_in_child(confined, &policy);
}

/* ---- locked memory: before 5.11 maps count against it ---------------------------------------- */

static void with_little_memory(const void *data)
{
	static const char *const words[] = { "RLIMIT_MEMLOCK", "ulimit -l", NULL };
	/* if trials pass, lockdown still refuses tracepoints */
	const rlim_t room = is_locked_down() ? 0 : 64 << 10;
	const struct rlimit little = { room, room };
	int counts = GPOINTER_TO_INT(data);
	struct ks *ks;

	g_assert_cmpint(setrlimit(RLIMIT_MEMLOCK, &little), ==, 0);
	fault_become(0, ~(1ull << CAP_SYS_RESOURCE) & ((1ull << CAP_CHECKPOINT_RESTORE) - 1));
	if (counts) {
		expect_denied(words);
		return;
	}
	ks = fault_open(NULL);
	fault_exact(ks, KS_PROBE_PROC, NULL);
	ks_close(ks);
}

/* The library's answer whether memory counts on this kernel is right. */
static void locked_memory(void)
{
	int counts;

	if (!ks_test_root())
		return;
	counts = fault_counts_locked();
	if (is_locked_down() && !counts)
		g_test_skip("lockdown lets no program load anyway");
	else
		fault_in_child(with_little_memory, GINT_TO_POINTER(counts));
}

/* ---- perf_event_paranoid: above 2, Debian's kernels want more than CAP_PERFMON --------------- */

static void too_paranoid(const void *unused)
{
	static const char *const words[] = { "perf_event_paranoid is 3",
					     "sysctl kernel.perf_event_paranoid=2", NULL };
	struct ks *ks;

	(void)unused;
	fault_become(NOBODY, 1ull << CAP_BPF | 1ull << CAP_PERFMON);
	ks = fault_open(NULL);
	fault_refused(ks, KS_PROBE_PROC, "tracepoint", words);
	fault_refused(ks, KS_PROBE_FADVISE, "kprobe", words);
	expect_checked(ks, "", words); /* other variants are as good, so there is no remedy */
	ks_close(ks);
}

static void not_paranoid(const void *unused)
{
	struct ks *ks;

	(void)unused;
	fault_become(NOBODY, 1ull << CAP_BPF | 1ull << CAP_PERFMON);
	ks = fault_open(NULL);
	fault_exact(ks, KS_PROBE_PROC, "tracepoint");
	fault_exact(ks, KS_PROBE_FADVISE, "kprobe");
	ks_close(ks);
}

static void paranoid(void)
{
	if (!ks_test_root() || !is_guest())
		return;
	if (is_locked_down()) {
		g_test_skip("lockdown lets no program load anyway");
		return;
	}
	g_assert_cmpint(mount(NULL, TRACEFS, NULL, MS_REMOUNT, "gid=65534,mode=750"), ==, 0);
	write_file(PARANOID, "3", 1);
	fault_in_child(too_paranoid, NULL);
	write_file(PARANOID, "2", 1);
	fault_in_child(not_paranoid, NULL);
	g_assert_cmpint(mount(NULL, TRACEFS, NULL, MS_REMOUNT, "gid=0,mode=700"), ==, 0);
}

/* ---- a kernel without tracefs ---------------------------------------------------------------- */

static void without_tracefs(const void *data)
{
	static const char *const words[] = { "this kernel has no tracefs", NULL };
	struct ks *ks;

	fault_private_mounts();
	fault_hide(TRACEFS);
	fault_hide(DEBUGFS);
	g_assert_cmpint(mount(data, FILESYSTEMS, NULL, MS_BIND, NULL), ==, 0);
	ks = fault_open(NULL);
	fault_refused(ks, KS_PROBE_PROC, "tracepoint", words);
	fault_exact(ks, KS_PROBE_PROC, NULL);
	ks_close(ks);
}

static void no_tracefs(void)
{
	char *path = NULL;
	int fd;

	if (!ks_test_root())
		return;
	if (is_locked_down()) {
		g_test_skip("lockdown hides tracefs anyway");
		return;
	}
	fd = g_file_open_tmp("ks-filesystems-XXXXXX", &path, NULL);
	g_assert_cmpint(fd, >=, 0);
	close(fd);
	write_file(path, "nodev\tsysfs\n", 12);
	fault_in_child(without_tracefs, path);
	unlink(path);
	g_free(path);
}

/* ---- ftrace is off: programs attach but do not run ------------------------------------------- */

/*
 * Attaching must fail, or the self-test must find out and set the state. Returns 1 in the second
 * case.
 */
static int is_found_out(struct ks *ks, const char *variant)
{
	const struct ks_enable_opts opts = { .size = sizeof(opts),
					     .flags = KS_ENABLE_NO_FALLBACK,
					     .variant = variant };
	struct ks_probe_info info = { .size = sizeof(info) };
	char why[400];

	if (ks_enable_probe(ks, KS_PROBE_FADVISE, &opts) < 0)
		return 0;
	if (ks_selftest(ks, KS_PROBE_FADVISE, NULL) > 0) { /* on arm64, kprobes do not use ftrace */
		ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_FADVISE));
		return 0;
	}
	ks_last_error(ks, why, sizeof(why));
	g_assert_nonnull(strstr(why, "ftrace_enabled"));
	ks_assert_ok(ks, ks_query_probe(ks, KS_PROBE_FADVISE, &info));
	g_assert_cmpuint(info.state, ==, KS_STATE_SILENT);
	ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_FADVISE));
	return 1;
}

/* Returns 0 if the kernel refuses, as Linux 7 does. */
static int is_switched_off(void)
{
	int fd = open(FTRACE, O_WRONLY | O_CLOEXEC), off;

	g_assert_cmpint(fd, >=, 0);
	off = write(fd, "0", 1) == 1;
	close(fd);
	g_assert_true(off || is_linux(7, 0));
	return off;
}

static void ftrace(void)
{
	struct ks_enable_opts opts = { .size = sizeof(opts),
				       .flags = KS_ENABLE_NO_FALLBACK,
				       .variant = "kprobe" };
	unsigned blind = 0;
	struct ks *ks;

	if (!ks_test_root() || !is_guest())
		return;
	ks = fault_open(NULL);
	if (ks_enable_probe(ks, KS_PROBE_FADVISE, &opts) < 0) {
		g_test_skip("this kernel has neither kprobes nor fentry");
		ks_close(ks);
		return;
	}
	g_assert_cmpint(ks_selftest(ks, KS_PROBE_FADVISE, NULL), >, 0);
	ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_FADVISE));
	if (!is_switched_off()) {
		g_test_skip("this kernel does not let ftrace be turned off");
		ks_close(ks);
		return;
	}
	blind += is_found_out(ks, "kprobe");
	blind += is_found_out(ks, "fentry");
	write_file(FTRACE, "1", 1);
#ifdef __x86_64__
	g_assert_cmpuint(blind, >, 0);
#endif
	fault_exact(ks, KS_PROBE_FADVISE, "kprobe");
	ks_close(ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/denials/lockdown", lockdown);
	g_test_add_func("/denials/security module", module);
	g_test_add_func("/denials/apparmor", apparmor);
	g_test_add_func("/denials/selinux", selinux);
	g_test_add_func("/denials/perf_event_paranoid", paranoid);
	g_test_add_func("/denials/locked memory", locked_memory);
	g_test_add_func("/denials/no tracefs", no_tracefs);
	g_test_add_func("/denials/ftrace off", ftrace);
	return g_test_run();
}
