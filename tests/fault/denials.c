/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that who denies is named, with what to do: kernel lockdown, a security module, the limit of
 * locked memory, and an ftrace that is off, under which programs attach and count nothing. The
 * fallback serves meanwhile. What a machine must be started with, or would be left with, is done
 * where KS_GUEST says that the machine is there for this test alone.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/btf.h>

#include "fault.h"

#define FTRACE "/proc/sys/kernel/ftrace_enabled"

static int is_guest(void)
{
	if (g_getenv("KS_GUEST"))
		return 1;
	g_test_skip("only on a machine that is there for this test (KS_GUEST)");
	return 0;
}

static int says(const char *path, const char *what)
{
	char *text = NULL;
	int found = g_file_get_contents(path, &text, NULL, NULL) && strstr(text, what);

	g_free(text);
	return found;
}

/* No program by any way, and each says why; the files count. */
static void expect_denied(const char *const *words)
{
	struct ks_variant_info v = { .size = sizeof(v) };
	struct ks *ks = fault_open(NULL);
	unsigned n = 0;

	for (uint32_t i = 0; ks_query_variant(ks, KS_PROBE_PROC, i, &v) == 0; i++) {
		if (v.source != KS_SOURCE_BPF)
			continue;
		fault_refused(ks, KS_PROBE_PROC, v.name, words);
		n++;
	}
	g_assert_cmpuint(n, >=, 3);
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, NULL), 1);
	fault_fallback(ks);
	ks_close(ks);
}

/* ---- lockdown: a kernel that was started with it ---------------------------------------------- */

static int is_locked_down(void)
{
	return says("/sys/kernel/security/lockdown", "[confidentiality]");
}

static void lockdown(void)
{
	static const char *const words[] = { "lockdown (confidentiality)", "lockdown=integrity",
					     NULL };

	if (!ks_test_root())
		return;
	if (is_locked_down())
		expect_denied(words);
	else
		g_test_skip("the kernel was not started with lockdown=confidentiality");
}

/* ---- a security module: one of our own -------------------------------------------------------- */

/* Refuses that programs are loaded. A descriptor, whose end is its end. */
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

static void module(void)
{
	static const char *const words[] = { "security module", "bpf", "bpftool prog show", NULL };
	struct btf *btf;
	int hook, link;

	if (!ks_test_root() || !is_guest())
		return;
	if (is_locked_down() || !says("/sys/kernel/security/lsm", "bpf")) {
		g_test_skip("programs are no security module in this kernel");
		return;
	}
	btf = btf__load_vmlinux_btf();
	g_assert_nonnull(btf);
	hook = btf__find_by_name_kind(btf, "bpf_lsm_bpf", BTF_KIND_FUNC);
	g_assert_cmpint(hook, >, 0);
	btf__free(btf);
	link = refuse_programs((uint32_t)hook);
	if (link < 0) {
		g_test_skip("this machine cannot attach to security hooks");
		return;
	}
	expect_denied(words);
	close(link);
}

/* ---- locked memory: before 5.11 maps count against it ------------------------------------------ */

static void with_little_memory(const void *data)
{
	static const char *const words[] = { "RLIMIT_MEMLOCK", "ulimit -l", NULL };
	const struct rlimit little = { 64 << 10, 64 << 10 };
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

/* Whether they count is what the library says of this kernel; and it is right. */
static void locked_memory(void)
{
	struct ks *ks;
	char *text;
	int size, counts;

	if (!ks_test_root())
		return;
	if (is_locked_down()) {
		g_test_skip("nothing can be loaded anyhow");
		return;
	}
	ks = fault_open(NULL);
	size = ks_check(ks, KS_JSON, NULL, 0) + 4096;
	text = g_malloc((gsize)size);
	g_assert_cmpint(ks_check(ks, KS_JSON, text, (size_t)size), <, size);
	counts = strstr(text, "counts against RLIMIT_MEMLOCK") != NULL;
	g_free(text);
	ks_close(ks);
	fault_in_child(with_little_memory, GINT_TO_POINTER(counts));
}

/* ---- ftrace off: programs attach, and are not run ----------------------------------------------- */

static void set_ftrace(const char *value)
{
	int fd = open(FTRACE, O_WRONLY | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint((int)write(fd, value, 1), ==, 1);
	close(fd);
}

/* It cannot be attached, or the self-test finds out and the state says so. 1: it was blind. */
static int is_found_out(struct ks *ks, const char *variant)
{
	const struct ks_enable_opts opts = { .size = sizeof(opts),
					     .flags = KS_ENABLE_NO_FALLBACK,
					     .variant = variant };
	struct ks_probe_info info = { .size = sizeof(info) };
	char why[400];

	if (ks_enable_probe(ks, KS_PROBE_FADVISE, &opts) < 0)
		return 0;
	ks_assert_rc(ks_selftest(ks, KS_PROBE_FADVISE, NULL), -KS_ESILENT);
	ks_last_error(ks, why, sizeof(why));
	g_assert_nonnull(strstr(why, "ftrace_enabled"));
	ks_assert_ok(ks, ks_query_probe(ks, KS_PROBE_FADVISE, &info));
	g_assert_cmpuint(info.state, ==, KS_STATE_SILENT);
	ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_FADVISE));
	return 1;
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
	set_ftrace("0");
	blind += is_found_out(ks, "kprobe");
	blind += is_found_out(ks, "fentry");
	set_ftrace("1");
	g_assert_cmpuint(blind, >, 0);
	fault_exact(ks, KS_PROBE_FADVISE, "kprobe");
	ks_close(ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/denials/lockdown", lockdown);
	g_test_add_func("/denials/security module", module);
	g_test_add_func("/denials/locked memory", locked_memory);
	g_test_add_func("/denials/ftrace off", ftrace);
	return g_test_run();
}
