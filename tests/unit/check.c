/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows the whole documents of ks_check() and ks_explain() for two fake sources and a /proc and
 * /sys of plain files: every member, the remedies that help here and no others, and the verdict.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "support/fake_source.h"
#include "support/ks_test.h"
#include "support/played.h"

static char *dir;

static void put(const char *text, const char *name)
{
	char *path = g_build_filename(dir, name, NULL), *folder = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_free(folder);
	g_free(path);
}

static void bed_begin(void)
{
	struct ks_open_opts opts = { .size = sizeof(opts) };

	dir = g_dir_make_tmp("ks-check-XXXXXX", NULL);
	opts.proc_path = opts.sys_path = dir;
	played_begin();
	begin_with(&opts);
}

static void bed_end(void)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", dir, NULL };

	end();
	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
	g_free(dir);
}

static char *checked(void)
{
	char *text = g_malloc(1 << 16);

	g_assert_cmpint(ks_check(ks, KS_JSON, text, 1 << 16), ==, (int)strlen(text));
	return text;
}

/* Asserts that the document has this part, from `before` on. */
static void has(const char *part)
{
	char *text = checked();

	if (!strstr(text, part))
		g_error("no %s in %s", part, text);
	g_free(text);
}

/* What stands at the beginning, in its order. */
static void test_machine(void)
{
	struct utsname u;
	char *want, *text;

	bed_begin();
	g_assert_cmpint(uname(&u), ==, 0);
	for (int full = 0; full <= 1; full++) {
		if (full) {
			put("1\n", "sys/kernel/ftrace_enabled");
			put("2\n", "sys/net/core/bpf_jit_enable");
			put("3\n", "sys/kernel/unprivileged_bpf_disabled");
			put("4\n", "sys/kernel/perf_event_paranoid");
			put("5\n", "sys/kernel/kptr_restrict");
			put("none [integrity] confidentiality\n", "kernel/security/lockdown");
			put("memory\t0\t16\t1\n", "cgroups");
			put("cpu memory\n", "fs/cgroup/cgroup.controllers");
			played.caps = 1ull << CAP_PERFMON | 1ull << CAP_SYS_RESOURCE;
		}
		want = g_strdup_printf(
			"{\"kernel\":{\"release\":\"%s\",\"machine\":\"%s\"},\"capabilities\":{"
			"\"cap_bpf\":%s,\"cap_perfmon\":true,\"cap_sys_admin\":%s,"
			"\"cap_sys_resource\":true},\"sysctls\":{\"kernel/ftrace_enabled\":%s,"
			"\"net/core/bpf_jit_enable\":%s,\"kernel/unprivileged_bpf_disabled\":%s,"
			"\"kernel/perf_event_paranoid\":%s,\"kernel/kptr_restrict\":%s},"
			"\"lockdown\":\"%s\",\"cgroups\":{\"memory_controller\":\"%s\","
			"\"v2_controllers\":%s},\"proc_path\":\"%s\",\"sys_path\":\"%s\","
			"\"fake_bpf\":\"checked\",\"fake_files\":\"checked\",\"probes\":[",
			u.release, u.machine, full ? "false" : "true", full ? "false" : "true",
			full ? "\"1\"" : "null", full ? "\"2\"" : "null", full ? "\"3\"" : "null",
			full ? "\"4\"" : "null", full ? "\"5\"" : "null",
			full ? "integrity" : "not in this kernel, or not readable",
			full ? "v2" : "none", full ? "\"cpu memory\"" : "null", dir, dir);
		text = checked();
		g_assert_cmpstr(want, ==, strndupa(text, strlen(want)));
		g_free(want);
		g_free(text);
	}
	put("memory\t7\t16\t1\n", "cgroups");
	has("\"memory_controller\":\"v1\"");
	bed_end();
}

#define VARIANTS                                                                            \
	"\"variants\":[{\"variant\":\"tp_btf\",\"usable\":false,\"reason\":\"not today\"}," \
	"{\"variant\":\"raw_tp\",\"usable\":true,\"reason\":\"in part\"},"                  \
	"{\"variant\":\"tracepoint\",\"usable\":true,\"reason\":null},"                     \
	"{\"variant\":\"procfs\",\"usable\":true,\"reason\":null}],"

#define NO_THREADS                                                                   \
	"\"unavailable\":[{\"field\":\"threads\",\"reason\":\"1 has no bit 0x20\"}," \
	"{\"field\":\"thread_exits\",\"reason\":\"1 has no bit 0x20\"}]},"

/*
 * One probe: its state, source and variant, each variant with its reason, and what is unavailable.
 */
static void test_probe(void)
{
	bed_begin();
	programs.variant = 1;
	programs.note[0] = (struct ks__note){ .error = -EINVAL, .reason = "not today" };
	programs.note[1] = (struct ks__note){ .tried = 1, .reason = "in part" };
	programs.valid = ALL & ~KS_HAS_PROC_THREADS;
	has("\"probes\":[{\"probe\":\"proc\",\"state\":\"off\",\"source\":\"bpf\",\"variant\":"
	    "\"raw_tp\",\"tried\":true,\"reason\":\"in part; not today\"," VARIANTS NO_THREADS
	    "{\"probe\":\"sched\",");
	programs.note[1].tried = 0;
	has("\"variant\":\"raw_tp\",\"tried\":false,");
	ks_assert_rc(enable(NULL, 0), 1); /* not the best */
	has("\"probe\":\"proc\",\"state\":\"on\",\"source\":\"bpf\",");
	ks_assert_rc(ks_disable_probe(ks, PROBE), 0);
	programs.enable_rc = programs.expect_rc = -KS_EUNAVAIL;
	has("\"probe\":\"proc\",\"state\":\"off\",\"source\":\"files\",\"variant\":\"procfs\"");
	files.expect_rc = -KS_EUNAVAIL;
	has("\"probe\":\"proc\",\"state\":\"off\",\"source\":\"none\",\"variant\":null");
	bed_end();
}

/* ---- remedies and verdict -------------------------------------------------------------------- */

static void remedies_are(const char *want)
{
	char *part = g_strdup_printf("\"remedies\":[%s],\"verdict\":\"", want);

	has(part);
	g_free(part);
}

#define APPARMOR                                                                               \
	"\"add `capability bpf, capability perfmon,` to the AppArmor profile of this process " \
	"(see confined_by), and remove deny rules for them: the profile withholds these "      \
	"capabilities\""
#define SETCAP                                                                                 \
	"\"setcap cap_bpf,cap_perfmon+ep PROGRAM, or run as root (in a container, add both): " \
	"without these capabilities the kernel refuses kernel programs\""
#define LOCKDOWN                                                                           \
	"\"boot with lockdown=integrity or none: lockdown (confidentiality) does not let " \
	"kernel programs read kernel memory\""
#define FTRACE "\"sysctl kernel.ftrace_enabled=1: at 0, fentry and kprobe programs count nothing\""
#define JIT "\"sysctl net.core.bpf_jit_enable=1: at 0, kernel programs run several times slower\""

static void test_remedies(void)
{
	bed_begin();
	/* the reason of the first probe without kernel programs, unless another remedy covers it */
	programs.expect_rc = -KS_EUNAVAIL;
	programs.note[0] = (struct ks__note){ .error = -EINVAL, .reason = "mend it" };
	remedies_are("\"mend it\"");
	put("none integrity [confidentiality]\n", "kernel/security/lockdown");
	remedies_are("\"mend it\"," LOCKDOWN);
	strcpy(programs.note[0].reason, "kernel lockdown (confidentiality) forbids it");
	remedies_are(LOCKDOWN);
	played.caps = 1ull << CAP_BPF;
	remedies_are(SETCAP "," LOCKDOWN);
	put("[none] integrity confidentiality\n", "kernel/security/lockdown");
	remedies_are(SETCAP);
	put("CapEff:\t000001ffffffffff\n", "thread-self/status");
	remedies_are(APPARMOR);
	put("CapEff:\t0000008000000000\n", "thread-self/status"); /* CAP_BPF, which it has */
	remedies_are(SETCAP);
	put("0\n", "sys/kernel/ftrace_enabled");
	put("0\n", "sys/net/core/bpf_jit_enable");
	put("0\n", "sys/kernel/kptr_restrict");
	remedies_are(SETCAP "," FTRACE "," JIT);
	put("1\n", "sys/kernel/ftrace_enabled");
	remedies_are(SETCAP "," JIT);
	bed_end();
}

/* The verdict is that of the weakest probe: all fields by kernel programs, less, or nothing. */
static void test_verdict(void)
{
	bed_begin();
	has("\"verdict\":\"partial\"}"); /* only proc is served */
	programs.expect_rc = -KS_EUNAVAIL;
	has("\"verdict\":\"partial\"}");
	files.expect_rc = -KS_EUNAVAIL;
	has("\"verdict\":\"nothing works\"}");
	programs.expect_rc = 0;
	programs.serves_all = 1;
	has("\"verdict\":\"full\"}");
	programs.valid = ALL & ~KS_HAS_PROC_IO;
	has("\"verdict\":\"partial\"}");
	bed_end();
}

/* ---- explain --------------------------------------------------------------------------------- */

/* What is in use: counts and capabilities of the probe, the parts of both sources, and sizes. */
static void test_explain(void)
{
	char text[8192], *part;

	bed_begin();
	programs.kernel = 100;
	programs.user = 20;
	files.kernel = 3;
	files.user = 4;
	g_assert_cmpint(ks_explain(ks, KS_JSON, text, sizeof(text)), ==, (int)strlen(text));
	g_assert_true(g_str_has_prefix(
		text, "{\"probes\":[{\"probe\":\"proc\",\"state\":\"off\",\"source\":\"none\"},"));
	ks_assert_rc(enable(NULL, 0), 0);
	programs.ledger = (struct ks__ledger){ .outcome = { [1] = 4, [2] = 6 }, .kernel_ns = 1234 };
	g_assert_cmpint(ks_explain(ks, KS_JSON, text, sizeof(text)), ==, (int)strlen(text));
	part = g_strdup_printf("{\"probes\":[{\"probe\":\"proc\",\"state\":\"on\",\"source\":"
			       "\"bpf\",\"fired\":10,\"kernel_ns\":1234,\"capabilities\":["
			       "\"cap_bpf\",\"cap_perfmon\"],\"ns_per_run\":123,\"fake_bpf\":%d},",
			       PROBE);
	if (!g_str_has_prefix(text, part))
		g_error("not %s but %s", part, text);
	g_free(part);
	part = g_strdup_printf("],\"shared\":{\"fake_bpf\":%d,\"fake_files\":%d},"
			       "\"kernel_bytes\":103,\"user_bytes\":%zu,\"descriptors\":",
			       KS_PROBE_SELF, KS_PROBE_SELF, sizeof(*ks) + 24);
	if (!strstr(text, part))
		g_error("no %s in %s", part, text);
	g_free(part);
	bed_end();
}

static void test_arguments(void)
{
	char text[200];

	bed_begin();
	ks_assert_rc(ks_check(ks, KS_JSON + 1, text, sizeof(text)), -EINVAL);
	sentence("ks_check: format is 2 and must be KS_TEXT or KS_JSON; buf may be NULL only if "
		 "size is 0");
	ks_assert_rc(ks_explain(ks, KS_JSON, NULL, 1), -EINVAL);
	sentence("ks_explain: format is 1 and must be KS_TEXT or KS_JSON; buf may be NULL only if "
		 "size is 0");
	g_assert_cmpint(ks_check(ks, KS_TEXT, NULL, 0), >, 100);
	g_assert_cmpint(ks_explain(ks, KS_TEXT, NULL, 0), >, 100);
	bed_end();
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/check/machine", test_machine);
	g_test_add_func("/check/probe", test_probe);
	g_test_add_func("/check/remedies", test_remedies);
	g_test_add_func("/check/verdict", test_verdict);
	g_test_add_func("/check/explain", test_explain);
	g_test_add_func("/check/arguments", test_arguments);
	return g_test_run();
}
