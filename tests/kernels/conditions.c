/* SPDX-License-Identifier: BSD-2-Clause */
/* conditions.c - see conditions.h */
#include "conditions.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "bpf/unit.h"
#include "fault/fault.h"
#include "support/shim.h"

#define BTF_DIR "/sys/kernel/btf"
#define BTF BTF_DIR "/vmlinux"
#define DEBUGFS "/sys/kernel/debug"
#define NOBODY 65534
#define BIT(cap) (1ull << (cap))
#define ALL_CAPS (BIT(CAP_CHECKPOINT_RESTORE + 1) - 1)

void conditions_write(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint((int)write(fd, value, strlen(value)), ==, (int)strlen(value));
	close(fd);
}

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

/* Uses BTF with only those types that our programs read, made by the library's own code. */
static void add_cut_btf(struct ks_open_opts *opts)
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
}

static void cut_btf(struct ks_open_opts *opts)
{
	add_cut_btf(opts);
	fault_hide(BTF_DIR);
}

/* Drops capabilities as `capsh --drop=all` does. */
static void drop_caps(struct ks_open_opts *opts)
{
	(void)opts;
	fault_become(0, 0);
}

/* Becomes root with all capabilities in a new user namespace. */
static void enter_user_namespace(struct ks_open_opts *opts)
{
	(void)opts;
	g_assert_cmpint(unshare(CLONE_NEWUSER), ==, 0);
	conditions_write("/proc/self/uid_map", "0 0 1");
	conditions_write("/proc/self/setgroups", "deny");
	conditions_write("/proc/self/gid_map", "0 0 1");
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

static void switch_typed_off(struct ks_open_opts *opts)
{
	opts->features_off = KS_FEATURE_BTF_TRACING;
}

static void switch_mmap_off(struct ks_open_opts *opts)
{
	opts->features_off = KS_FEATURE_MMAP;
}

#define ALL_FEATURES ((KS_FEATURE_ITER_NUM << 1) - 1) /* the last feature and all before it */

static void switch_programs_plain(struct ks_open_opts *opts)
{
	opts->features_off = ALL_FEATURES & ~KS_FEATURE_MMAP;
}

static void switch_all_off(struct ks_open_opts *opts)
{
	opts->features_off = ALL_FEATURES;
}

static void refuse_ring(struct ks_open_opts *opts)
{
	(void)opts;
	shim_no_map_type = BPF_MAP_TYPE_RINGBUF;
}

static void refuse_typed(struct ks_open_opts *opts)
{
	(void)opts;
	shim_no_program_type = BPF_PROG_TYPE_TRACING;
}

static void refuse_raw(struct ks_open_opts *opts)
{
	(void)opts;
	shim_no_command = BPF_RAW_TRACEPOINT_OPEN;
}

static void refuse_links(struct ks_open_opts *opts)
{
	(void)opts;
	shim_no_command = BPF_LINK_CREATE;
}

#define BOTH (BIT(CAP_BPF) | BIT(CAP_PERFMON))
#define NEITHER "needs CAP_BPF and CAP_PERFMON"
#define SETCAP "setcap cap_bpf,cap_perfmon\\+ep"
#define PARANOID "/proc/sys/kernel/perf_event_paranoid"
#define PARANOID_WHY "perf_event_paranoid is 3"
#define PARANOID_DO "sysctl kernel.perf_event_paranoid=2"
#define READABLE "mode=755,gid=65534"
#define TRACEFS_WHY "tracefs may not be read"
#define TRACEFS_DO "mount -o remount,gid="
#define MEMLOCK_WHY "RLIMIT_MEMLOCK"
#define MEMLOCK_DO "ulimit -l"
#define FILTER_WHY "a seccomp filter refuses"
#define FILTER_DO "allow it in the filter"
#define BTF_DO "CONFIG_DEBUG_INFO_BTF"
#define NOT_HERE_WHY \
	"this kernel does not have it \\(EINVAL\\)|this kernel cannot patch its functions"
#define KEPT_WHY \
	"it knows tasks only by address" /* and a variant that was on before uses task storage */
#define SWITCHED_OFF "switched off by features_off"
#define LOCKDOWN_WHY "lockdown \\(confidentiality\\)"

const struct condition conditions[] = {
	{ .name = "nothing" },
	{ .name = "no-caps", .because = NEITHER, .remedy = SETCAP, .uid = NOBODY },
	{ .name = "root-no-caps", .because = NEITHER, .remedy = SETCAP, .begin = drop_caps },
	{ .name = "user-namespace",
	  .because = "capabilities of a user namespace do not count",
	  .remedy = "in the initial user namespace",
	  .begin = enter_user_namespace },
	{ .name = "cap-bpf",
	  .because = "needs CAP_PERFMON",
	  .remedy = SETCAP,
	  .uid = NOBODY,
	  .caps = BIT(CAP_BPF) },
	{ .name = "cap-perfmon",
	  .because = "needs CAP_BPF",
	  .remedy = SETCAP,
	  .uid = NOBODY,
	  .caps = BIT(CAP_PERFMON) },
	{ .name = "both-caps",
	  .because = TRACEFS_WHY "|" PARANOID_WHY,
	  .remedy = TRACEFS_DO "|" PARANOID_DO,
	  .uid = NOBODY,
	  .caps = BOTH },
	{ .name = "both-caps-paranoid-3",
	  .because = TRACEFS_WHY "|" PARANOID_WHY,
	  .remedy = TRACEFS_DO "|" PARANOID_DO,
	  .uid = NOBODY,
	  .caps = BOTH,
	  .sysctl = PARANOID,
	  .value = "3" },
	{ .name = "both-caps-paranoid-3-tracefs",
	  .because = PARANOID_WHY,
	  .remedy = PARANOID_DO,
	  .uid = NOBODY,
	  .caps = BOTH,
	  .sysctl = PARANOID,
	  .value = "3",
	  .tracefs = READABLE },
	{ .name = "both-caps-paranoid-2",
	  .because = TRACEFS_WHY,
	  .remedy = TRACEFS_DO,
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
	{ .name = "both-caps-paranoid-1",
	  .because = TRACEFS_WHY,
	  .remedy = TRACEFS_DO,
	  .uid = NOBODY,
	  .caps = BOTH,
	  .sysctl = PARANOID,
	  .value = "1" },
	{ .name = "both-caps-paranoid-1-tracefs",
	  .uid = NOBODY,
	  .caps = BOTH,
	  .sysctl = PARANOID,
	  .value = "1",
	  .tracefs = READABLE },
	{ .name = "cap-sys-admin",
	  .because = TRACEFS_WHY,
	  .remedy = TRACEFS_DO,
	  .uid = NOBODY,
	  .caps = BIT(CAP_SYS_ADMIN) },
	{ .name = "cap-sys-admin-paranoid-3-tracefs",
	  .uid = NOBODY,
	  .caps = BIT(CAP_SYS_ADMIN),
	  .sysctl = PARANOID,
	  .value = "3",
	  .tracefs = READABLE },
	{ .name = "no-caps-unprivileged-bpf",
	  .because = NEITHER,
	  .remedy = SETCAP,
	  .uid = NOBODY,
	  .sysctl = "/proc/sys/kernel/unprivileged_bpf_disabled",
	  .value = "0" },
	{ .name = "seccomp-bpf-eperm",
	  .because = FILTER_WHY,
	  .remedy = FILTER_DO,
	  .begin = filter_bpf },
	{ .name = "seccomp-bpf-enosys",
	  .because = FILTER_WHY,
	  .remedy = FILTER_DO,
	  .begin = filter_bpf_enosys },
	{ .name = "seccomp-perf-eperm",
	  .because = FILTER_WHY,
	  .remedy = FILTER_DO,
	  .begin = filter_perf },
	{ .name = "no-btf", .because = "vmlinux is missing", .remedy = BTF_DO, .begin = hide_btf },
	{ .name = "broken-btf",
	  .because = "vmlinux cannot be read",
	  .remedy = "btf_path",
	  .begin = break_btf },
	{ .name = "no-btf-but-a-copy",
	  .because = "vmlinux is missing",
	  .remedy = BTF_DO,
	  .begin = copy_btf },
	{ .name = "no-btf-but-minimal",
	  .because = "vmlinux is missing",
	  .remedy = BTF_DO,
	  .begin = cut_btf },
	{ .name = "minimal-btf-as-well", .begin = add_cut_btf },
	{ .name = "no-tracefs",
	  .because = "tracefs is not mounted",
	  .remedy = "mount -t tracefs",
	  .begin = hide_tracefs },
	{ .name = "memlock-64k",
	  .because = MEMLOCK_WHY,
	  .remedy = MEMLOCK_DO,
	  .begin = limit_memory,
	  .caps = ALL_CAPS & ~BIT(CAP_SYS_RESOURCE) },
	{ .name = "both-caps-memlock-64k-tracefs",
	  .because = MEMLOCK_WHY,
	  .remedy = MEMLOCK_DO,
	  .begin = limit_memory,
	  .uid = NOBODY,
	  .caps = BOTH,
	  .sysctl = PARANOID,
	  .value = "2",
	  .tracefs = READABLE },
	{ .name = "no-ring-buffer", .begin = switch_ring_off, .feature = "ringbuf" },
	{ .name = "no-ring-buffer-by-shim", .begin = refuse_ring, .feature = "ringbuf" },
	{ .name = "no-typed-programs",
	  .because = SWITCHED_OFF,
	  .begin = switch_typed_off,
	  .feature = "tp_btf" },
	{ .name = "no-typed-programs-by-shim",
	  .because = NOT_HERE_WHY,
	  .begin = refuse_typed,
	  .feature = "tp_btf" },
	{ .name = "no-raw-tracepoints-by-shim",
	  .because = NOT_HERE_WHY "|" KEPT_WHY,
	  .begin = refuse_raw },
	{ .name = "no-links-by-shim", .because = NOT_HERE_WHY "|" KEPT_WHY, .begin = refuse_links },
	{ .name = "no-maps-in-memory",
	  .because = SWITCHED_OFF,
	  .begin = switch_mmap_off,
	  .feature = "mmap" },
	{ .name = "no-features-but-mmap",
	  .because = SWITCHED_OFF,
	  .begin = switch_programs_plain,
	  .feature = "tp_btf" },
	{ .name = "no-features",
	  .because = SWITCHED_OFF,
	  .begin = switch_all_off,
	  .feature = "mmap" },
	/* last: after it 6.12 attaches to no function any more (ENODEV) */
	{ .name = "ftrace-off",
	  .because = "ftrace",
	  .remedy = "sysctl kernel.ftrace_enabled=1",
	  .sysctl = "/proc/sys/kernel/ftrace_enabled",
	  .value = "0",
	  .silent = 1 },
	{ .name = "lockdown",
	  .because = LOCKDOWN_WHY,
	  .remedy = "lockdown=integrity",
	  .booted = 1 },
	{ 0 },
};
