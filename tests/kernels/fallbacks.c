/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that whatever a machine denies costs the ways that need it and no others: under each
 * condition each probe works by the best way that is left and counts exactly, its books balance,
 * each way that was lost says whose doing it is, and nothing stays behind.
 *
 * Notes what was chosen, for tests/kernels/fallbacks.tsv:
 * "# fallback <TAB> CONDITION <TAB> PROBE <TAB> VARIANT <TAB> LOST", LOST: the ways of this kernel
 * that the condition costs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "bpf/unit.h"
#include "counted.h"
#include "fault/fault.h"
#include "support/shim.h"

#define BTF_DIR "/sys/kernel/btf"
#define BTF BTF_DIR "/vmlinux"
#define TRACEFS "/sys/kernel/tracing"
#define DEBUGFS "/sys/kernel/debug"
#define LOCKDOWN "/sys/kernel/security/lockdown"

#define NOBODY 65534
#define BIT(cap) (1ull << (cap))
#define ALL_CAPS (BIT(CAP_CHECKPOINT_RESTORE + 1) - 1)

/* ---- conditions ------------------------------------------------------------------------------ */

struct condition {
	const char *name;
	const char *because; /* of each way that it costs; a regular expression */
	void (*begin)(struct ks_open_opts *opts);
	uid_t uid; /* 0: root, with these capabilities, or all if caps is 0 */
	uint64_t caps;
	/* of the whole machine, and so in guests alone; put back afterwards */
	const char *sysctl, *value;
	const char *tracefs; /* mount options */
	const char *feature; /* of the kernel: works no more, as ks_check() tells */
	int silent;          /* ways may be attached, and not be run */
	int booted;          /* the kernel was started with it */
};

static void hide_btf(struct ks_open_opts *opts)
{
	(void)opts;
	fault_hide(BTF_DIR);
}

static void break_btf(struct ks_open_opts *opts)
{
	(void)opts;
	g_assert_cmpint(mount("/dev/null", BTF, NULL, MS_BIND, NULL), ==, 0);
}

static void copy_btf(struct ks_open_opts *opts)
{
	gsize size;
	char *bytes;

	g_assert_true(g_file_get_contents(BTF, &bytes, &size, NULL));
	opts->btf_path = fault_file(bytes, size);
	g_free(bytes);
	fault_hide(BTF_DIR);
}

/* The types alone that programs of ours read, as `bpftool gen min_core_btf` makes it. */
static void cut_btf(struct ks_open_opts *opts)
{
	struct ks *ks = fault_open(NULL);
	struct ks__features features;
	char why[200];

	ks__features_init(&features, ks);
	ks_assert_rc(ks__unit_hooks(NULL, 0, &features.types), 0);
	ks_assert_rc(ks__types_own(&features.types, why, sizeof(why)), 0);
	g_assert_nonnull(features.types.own.cut.data);
	g_assert_cmpuint(features.types.own.cut.size, <, 512 << 10);
	opts->btf_path = fault_file(features.types.own.cut.data, features.types.own.cut.size);
	ks__features_free(&features);
	ks_close(ks);
	fault_hide(BTF_DIR);
}

static void hide_tracefs(struct ks_open_opts *opts)
{
	(void)opts;
	fault_hide(TRACEFS);
	fault_hide(DEBUGFS);
}

static void filter_bpf(struct ks_open_opts *opts)
{
	(void)opts;
	fault_filter(SYS_bpf, EPERM);
}

static void filter_bpf_enosys(struct ks_open_opts *opts)
{
	(void)opts;
	fault_filter(SYS_bpf, ENOSYS);
}

static void filter_perf(struct ks_open_opts *opts)
{
	(void)opts;
	fault_filter(SYS_perf_event_open, EPERM);
}

static void limit_memory(struct ks_open_opts *opts)
{
	const struct rlimit little = { 64 << 10, 64 << 10 };

	(void)opts;
	g_assert_cmpint(setrlimit(RLIMIT_MEMLOCK, &little), ==, 0);
}

static void switch_ring_off(struct ks_open_opts *opts)
{
	opts->features_off = KS_FEATURE_RINGBUF;
}

static void refuse_ring(struct ks_open_opts *opts)
{
	(void)opts;
	shim_no_map_type = BPF_MAP_TYPE_RINGBUF;
}

#define BOTH (BIT(CAP_BPF) | BIT(CAP_PERFMON))
#define NEITHER "needs CAP_BPF and CAP_PERFMON"
#define PARANOID "/proc/sys/kernel/perf_event_paranoid"
#define PARANOID_WHY "perf_event_paranoid is 3"
#define READABLE "mode=755,gid=65534"
#define TRACEFS_WHY "tracefs may not be read"

static const struct condition conditions[] = {
	{ .name = "nothing" },
	{ .name = "no-caps", .because = NEITHER, .uid = NOBODY },
	{ .name = "cap-bpf", .because = "needs CAP_PERFMON", .uid = NOBODY, .caps = BIT(CAP_BPF) },
	{ .name = "cap-perfmon",
	  .because = "needs CAP_BPF",
	  .uid = NOBODY,
	  .caps = BIT(CAP_PERFMON) },
	{ .name = "both-caps",
	  .because = TRACEFS_WHY "|" PARANOID_WHY,
	  .uid = NOBODY,
	  .caps = BOTH },
	{ .name = "both-caps-paranoid-3",
	  .because = TRACEFS_WHY "|" PARANOID_WHY,
	  .uid = NOBODY,
	  .caps = BOTH,
	  .sysctl = PARANOID,
	  .value = "3" },
	{ .name = "both-caps-paranoid-3-tracefs",
	  .because = PARANOID_WHY,
	  .uid = NOBODY,
	  .caps = BOTH,
	  .sysctl = PARANOID,
	  .value = "3",
	  .tracefs = READABLE },
	{ .name = "both-caps-paranoid-2",
	  .because = TRACEFS_WHY,
	  .uid = NOBODY,
	  .caps = BOTH,
	  .sysctl = PARANOID,
	  .value = "2" },
	{ .name = "both-caps-paranoid-2-tracefs",
	  .uid = NOBODY,
	  .caps = BOTH,
	  .sysctl = PARANOID,
	  .value = "2",
	  .tracefs = READABLE },
	{ .name = "cap-sys-admin",
	  .because = TRACEFS_WHY,
	  .uid = NOBODY,
	  .caps = BIT(CAP_SYS_ADMIN) },
	{ .name = "no-caps-unprivileged-bpf",
	  .because = NEITHER,
	  .uid = NOBODY,
	  .sysctl = "/proc/sys/kernel/unprivileged_bpf_disabled",
	  .value = "0" },
	{ .name = "seccomp-bpf-eperm", .because = "seccomp", .begin = filter_bpf },
	{ .name = "seccomp-bpf-enosys", .because = "seccomp", .begin = filter_bpf_enosys },
	{ .name = "seccomp-perf-eperm", .because = "seccomp", .begin = filter_perf },
	{ .name = "no-btf", .because = "vmlinux is missing", .begin = hide_btf },
	{ .name = "broken-btf", .because = "vmlinux cannot be read", .begin = break_btf },
	{ .name = "no-btf-but-a-copy", .because = "vmlinux is missing", .begin = copy_btf },
	{ .name = "no-btf-but-minimal", .because = "vmlinux is missing", .begin = cut_btf },
	{ .name = "no-tracefs", .because = "tracefs is not mounted", .begin = hide_tracefs },
	{ .name = "memlock-64k",
	  .because = "RLIMIT_MEMLOCK",
	  .begin = limit_memory,
	  .caps = ALL_CAPS & ~BIT(CAP_SYS_RESOURCE) },
	{ .name = "no-ring-buffer", .begin = switch_ring_off, .feature = "ringbuf" },
	{ .name = "no-ring-buffer-by-shim", .begin = refuse_ring, .feature = "ringbuf" },
	/* the last one: after it 6.12 attaches to no function any more (ENODEV) */
	{ .name = "ftrace-off",
	  .because = "ftrace",
	  .sysctl = "/proc/sys/kernel/ftrace_enabled",
	  .value = "0",
	  .silent = 1 },
	{ .name = "lockdown", .because = "lockdown \\(confidentiality\\)", .booted = 1 },
};

static int is_machine_wide(const struct condition *c)
{
	return c->sysctl || c->tracefs;
}

static int is_locked_down(void)
{
	char *text = NULL;
	int found = g_file_get_contents(LOCKDOWN, &text, NULL, NULL) &&
		    strstr(text, "[confidentiality]");

	g_free(text);
	return found;
}

static void write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint((int)write(fd, value, strlen(value)), ==, (int)strlen(value));
	close(fd);
}

static void remount_tracefs(const char *options)
{
	g_assert_cmpint(mount("nodev", TRACEFS, "tracefs", MS_REMOUNT, options), ==, 0);
}

/* ---- under a condition ----------------------------------------------------------------------- */

/* By probe: bits of the ways that work when nothing is denied. Written by a child. */
static uint32_t *whole;
static int have_whole;

static void is_because(const struct condition *c, const char *variant, const char *reason)
{
	if (!c->because)
		g_error("%s: this should not cost it: %s", variant, reason);
	if (!g_regex_match_simple(c->because, reason, 0, 0))
		g_error("%s: this is not because of '%s': %s", variant, c->because, reason);
}

/* Bits of the ways that are refused, which say why; of the first so many. */
static uint32_t refused(const struct condition *c, struct ks *ks, size_t p, uint32_t n)
{
	struct ks_variant_info v = { .size = sizeof(v) };
	uint32_t bits = 0;

	for (uint32_t i = 0; i < n && ks_query_variant(ks, counted[p].probe, i, &v) == 0; i++) {
		if (!v.error || v.source != KS_SOURCE_BPF)
			continue;
		g_assert_cmpuint(strlen(v.reason), >, 0);
		if (c->booted && !g_regex_match_simple(c->because, v.reason, 0, 0))
			continue; /* perhaps this kernel never had it */
		if (whole[p] & 1u << i)
			is_because(c, v.name, v.reason);
		bits |= 1u << i;
	}
	return bits;
}

/* Of what this kernel has, what the condition costs. */
static void note(const struct condition *c, struct ks *ks, size_t p, const char *variant,
		 uint32_t lost)
{
	struct ks_variant_info v = { .size = sizeof(v) };
	int n = 0;

	if (c == conditions)
		whole[p] = ~lost;
	if (!c->booted)
		lost &= whole[p];
	printf("# fallback\t%s\t%s\t%s\t", c->name, counted[p].name, variant);
	for (uint32_t i = 0; ks_query_variant(ks, counted[p].probe, i, &v) == 0; i++)
		if (lost & 1u << i)
			printf("%s%s", n++ ? " " : "", v.name);
	printf("%s\n", n ? "" : "-");
	fflush(stdout);
}

static int enable(struct ks *ks, uint32_t probe, const char *variant)
{
	const struct ks_enable_opts opts = { .size = sizeof(opts), .variant = variant };

	return ks_enable_probe(ks, probe, &opts);
}

/* 0: nothing could be provoked. */
static int selftest(struct ks *ks, size_t p)
{
	const struct ks_selftest_opts opts = { .size = sizeof(opts), .dir = g_get_tmp_dir() };

	return ks_selftest(ks, counted[p].probe, &opts);
}

/* The self-test finds out that the best way is blind, and the next that is not counts. */
static char *seeing(struct ks *ks, size_t p, const char *blind)
{
	struct ks_variant_info v = { .size = sizeof(v) };
	struct ks_probe_info info = { .size = sizeof(info) };
	char why[400];

	ks_last_error(ks, why, sizeof(why));
	g_assert_nonnull(strstr(why, "ftrace_enabled"));
	ks_assert_ok(ks, ks_query_probe(ks, counted[p].probe, &info));
	g_assert_cmpuint(info.state, ==, KS_STATE_SILENT);
	for (uint32_t i = info.variant + 1;; i++) {
		ks_assert_ok(ks, ks_disable_probe(ks, counted[p].probe));
		ks_assert_rc(ks_query_variant(ks, counted[p].probe, i, &v), 0);
		if (enable(ks, counted[p].probe, v.name) >= 0 && selftest(ks, p) > 0)
			return g_strdup_printf("%s, for %s is silent", v.name, blind);
	}
}

/* By the best way; or by files, if they know this scope only. */
static int enable_any(struct ks *ks, size_t p)
{
	const struct ks_scope scope = { .size = sizeof(scope), .kind = counted[p].files_scope };
	int rc = enable(ks, counted[p].probe, NULL);

	if (rc != -KS_EUNAVAIL)
		return rc;
	ks_assert_rc(ks_set_scope(ks, &scope), 0);
	return enable(ks, counted[p].probe, NULL);
}

static void try_probe(const struct condition *c, struct ks *ks, size_t p)
{
	struct ks_probe_info info = { .size = sizeof(info) };
	uint32_t probe = counted[p].probe, lost = refused(c, ks, p, UINT32_MAX);
	int rc = enable_any(ks, p);
	char why[400], *variant;

	if (rc == -KS_EUNAVAIL) {
		ks_last_error(ks, why, sizeof(why));
		is_because(c, counted[p].name, why);
		note(c, ks, p, "-", lost | refused(c, ks, p, UINT32_MAX));
		return;
	}
	ks_assert_ok(ks, rc);
	ks_assert_ok(ks, ks_query_probe(ks, probe, &info));
	lost |= refused(c, ks, p, info.variant);
	if (c->silent && selftest(ks, p) == -KS_ESILENT)
		variant = seeing(ks, p, info.variant_name);
	else
		variant = g_strdup(info.variant_name);
	fault_drain(ks); /* what the self-test did */
	if (info.source != KS_SOURCE_BPF)
		is_because(c, variant, info.reason);
	note(c, ks, p, variant, lost);
	counted[p].works(ks, info.source);
	fault_settle(ks, probe);
	g_free(variant);
}

static void is_told(struct ks *ks, const char *feature)
{
	int size = ks_check(ks, KS_JSON, NULL, 0) + 4096;
	char *text = g_malloc((gsize)size), *told;

	g_assert_cmpint(ks_check(ks, KS_JSON, text, (size_t)size), <, size);
	told = g_strdup_printf("{\"name\":\"%s\",\"works\":false", feature ? feature : "");
	g_assert_true(!feature || strstr(text, told));
	g_free(told);
	g_free(text);
}

static void under(const void *data)
{
	struct ks_open_opts opts = { .size = sizeof(opts) };
	const struct condition *c = data;
	unsigned before;
	struct ks *ks;

	if (!c->booted) /* lockdown allows no tracefs */
		fault_private_mounts();
	counted_prepare();
	if (c->begin)
		c->begin(&opts);
	if (c->uid || c->caps)
		fault_become(c->uid, c->caps);
	before = counters_descriptors();
	for (size_t p = 0; p < COUNTED; p++) {
		ks = fault_open(&opts);
		try_probe(c, ks, p);
		if (p == 0)
			is_told(ks, c->feature);
		ks_close(ks);
		g_assert_cmpuint(counters_descriptors(), ==, before);
	}
}

/* A machine that is there for this alone. */
static void in_guest(const struct condition *c)
{
	char *old = NULL;

	if (c->sysctl) {
		g_assert_true(g_file_get_contents(c->sysctl, &old, NULL, NULL));
		write_file(c->sysctl, c->value);
	}
	if (c->tracefs)
		remount_tracefs(c->tracefs);
	fault_in_child(under, c);
	if (c->tracefs)
		remount_tracefs("mode=700,gid=0");
	if (c->sysctl)
		write_file(c->sysctl, old);
	g_free(old);
}

static void fallback(gconstpointer data)
{
	const struct condition *c = data;
	struct fault_kernel since;

	if (!ks_test_root())
		return;
	if (c->booted != is_locked_down()) {
		g_test_skip(c->booted ? "the kernel was not started with it" :
					"the kernel was started with lockdown");
		return;
	}
	if (is_machine_wide(c) && !g_getenv("KS_GUEST")) {
		g_test_skip("only on a machine that is there for this test (KS_GUEST)");
		return;
	}
	fault_kernel(&since);
	if (!have_whole && !c->booted && c != conditions)
		fault_in_child(under, conditions);
	have_whole = 1;
	if (is_machine_wide(c))
		in_guest(c);
	else
		fault_in_child(under, c);
	fault_kernel_clean(&since);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	whole = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	g_assert_true(whole != MAP_FAILED);
	for (size_t i = 0; i < G_N_ELEMENTS(conditions); i++) {
		char *path = g_strdup_printf("/fallbacks/%s", conditions[i].name);

		g_test_add_data_func(path, &conditions[i], fallback);
		g_free(path);
	}
	return g_test_run();
}
