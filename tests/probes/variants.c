/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the library uses what this kernel has: features by its release, each variant of each
 * probe, typed programs that it loads itself; that a variant which was busy is tried again; that
 * ks_explain() has the kernel's own facts of each program; and that the host's libbpf stays as it
 * was.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "config.h"
#include "support/harness.h"
#include "support/ks_test.h"
#include "support/own_syscall.h"

/* ---- the calls of bpf() ---------------------------------------------------------------------- */

static struct {
	int is_busy;               /* every attach fails with EBUSY */
	unsigned by_us, by_libbpf; /* loads of typed programs, without and with a log */
	unsigned refused;          /* loads of programs that failed */
} calls;

static void count_load(const union bpf_attr *attr, long rc)
{
	calls.refused += rc < 0;
	if (attr->prog_type != BPF_PROG_TYPE_TRACING)
		return;
	if (attr->log_level)
		calls.by_libbpf++;
	else
		calls.by_us++;
}

static long own_syscall(long number, const long args[6])
{
	long rc;
	int error;

	if (calls.is_busy && (number == SYS_perf_event_open ||
			      (number == SYS_bpf && (int)args[0] == BPF_RAW_TRACEPOINT_OPEN))) {
		errno = EBUSY;
		return -1;
	}
	rc = real_syscall(number, args);
	error = errno;
	if (number == SYS_bpf && (int)args[0] == BPF_PROG_LOAD)
		count_load((const void *)args[1], rc);
	errno = error;
	return rc;
}

static struct ks *opened(void)
{
	struct ks *ks;

	ks_assert_rc(ks_open(NULL, &ks), 0);
	return ks;
}

/* ---- features -------------------------------------------------------------------------------- */

/* Features that every build of such a release has, if types and lockdown allow kernel programs. */
static void test_features(void)
{
	static const struct {
		const char *name;
		int major, minor;
	} all[] = { { "bpf", 5, 0 },
		    { "mmap", 5, 5 },
		    { "batch", 5, 6 },
		    { "ringbuf", 5, 8 },
		    { "memory_cgroups", 5, 11 },
		    { "task_storage", 5, 12 },
		    { "atomic_fetch", 5, 12 },
		    { "kernel_reads", 5, 5 },
		    { "raw_tp", 5, 0 } };
	char *text = g_malloc(1 << 18), *end, *at;
	struct utsname u;
	int major, minor;
	struct ks *ks;

	if (!ks_test_root())
		return;
	g_assert_cmpint(uname(&u), ==, 0);
	g_assert_cmpint(sscanf(u.release, "%d.%d", &major, &minor), ==, 2);
	ks = opened();
	g_assert_cmpint(ks_check(ks, KS_JSON, text, 1 << 18), <, 1 << 18);
	at = strstr(text, "\"features\":[");
	g_assert_nonnull(at);
	end = strchr(at, ']');
	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		char *name = g_strdup_printf("\"%s\"", all[i].name), *found = strstr(at, name);

		g_assert_true(found && found < end);
		if (major > all[i].major || (major == all[i].major && minor >= all[i].minor))
			if (!strstr(found, "true") || strstr(found, "true") > strchr(found, '}'))
				g_error("%s is not there: %.200s", all[i].name, found);
		g_free(name);
	}
	ks_close(ks);
	g_free(text);
}

/* ---- variants -------------------------------------------------------------------------------- */

/*
 * Before Linux 6.1 only the attempt shows that the kernel's BTF lacks types of a function. Then the
 * variant says so, too. Asserts that nothing else refuses a variant.
 */
static int refused_after_all(struct ks *ks, uint32_t probe, uint32_t index, int rc)
{
	struct ks_variant_info v = { .size = sizeof(v) };
	struct utsname u;

	if (rc != -KS_EUNAVAIL || uname(&u) || strtol(u.release, NULL, 10) >= 6) {
		ks_assert_ok(ks, rc);
		return 0;
	}
	ks_assert_ok(ks, ks_query_variant(ks, probe, index, &v));
	g_assert_cmpint(v.error, !=, 0);
	return 1;
}

/*
 * Each variant that looks usable works on a handle of its own, also one that knows tasks only by
 * address. Typed programs are loaded without libbpf, which would index the kernel's types first,
 * and none is refused.
 */
static void test_variants(void)
{
	struct ks_variant_info v;

	if (!ks_test_root())
		return;
	for (uint32_t p = KS_PROBE_PROC; p <= KS_PROBE_PAGECACHE; p++)
		for (uint32_t i = 0;; i++) {
			const struct ks_enable_opts opts = { .size = sizeof(opts),
							     .variant = v.name };
			struct ks_probe_info info = { .size = sizeof(info) };
			struct ks *ks = opened();

			v = (struct ks_variant_info){ .size = sizeof(v) };
			if (ks_query_variant(ks, p, i, &v)) {
				ks_close(ks);
				break;
			}
			memset(&calls, 0, sizeof(calls));
			if (!v.error && v.source == KS_SOURCE_BPF) {
				g_test_message("%u by %s", p, v.name);
				if (refused_after_all(ks, p, i, ks_enable_probe(ks, p, &opts))) {
					ks_close(ks);
					continue;
				}
				ks_assert_ok(ks, ks_query_probe(ks, p, &info));
				g_assert_cmpstr(info.variant_name, ==, v.name);
				g_assert_cmpuint(info.source, ==, KS_SOURCE_BPF);
				g_assert_cmpuint(calls.by_libbpf, ==, 0);
				if (strstr(v.name, "tp_btf") || strstr(v.name, "fentry"))
					g_assert_cmpuint(calls.by_us, >, 0);
				ks_assert_ok(ks, ks_disable_probe(ks, p));
			}
			ks_close(ks);
		}
}

/* A tree whose hooks were busy once is followed by kernel programs the next time. */
static void test_busy_tree(void)
{
	const struct ks_enable_opts opts = { .size = sizeof(opts), .flags = KS_ENABLE_NO_FALLBACK };
	int32_t pid = getpid();
	struct ks_scope tree = {
		.size = sizeof(tree), .kind = KS_SCOPE_TREE, .pids = &pid, .n_pids = 1
	};
	struct ks_scope self = { .size = sizeof(self), .kind = KS_SCOPE_SELF };
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = opened();
	calls.is_busy = 1;
	ks_assert_ok(ks, ks_set_scope(ks, &tree));
	g_assert_cmpint(ks_enable_probe(ks, KS_PROBE_PROC, &opts), <, 0);
	calls.is_busy = 0;
	ks_assert_ok(ks, ks_set_scope(ks, &self));
	ks_assert_ok(ks, ks_set_scope(ks, &tree));
	ks_assert_ok(ks, ks_enable_probe(ks, KS_PROBE_PROC, &opts));
	ks_close(ks);
}

/* ---- explain --------------------------------------------------------------------------------- */

static char *member(const char *object, const char *name)
{
	char *key = g_strdup_printf("\"%s\":", name);
	const char *at = strstr(object, key) + strlen(key);
	char *value = g_strndup(at, strcspn(at, ",}"));

	g_free(key);
	return g_strdelimit(value, "\"", ' ');
}

/* Asserts one object of "programs" against the kernel's own facts. */
static void assert_program(const char *object)
{
	char *id = member(object, "id"), *name = member(object, "name");
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id((uint32_t)atoi(id));
	char *bytes = member(object, "bytes");

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(bpf_obj_get_info_by_fd(fd, &info, &size), ==, 0);
	g_assert_cmpstr(info.name, ==, strndupa(g_strstrip(name), BPF_OBJ_NAME_LEN - 1));
	g_assert_cmpint(atoll(bytes), ==, info.xlated_prog_len + info.jited_prog_len);
	close(fd);
	g_free(id);
	g_free(name);
	g_free(bytes);
}

static void test_explain(void)
{
	char *text = g_malloc(1 << 18), *at;
	unsigned attached = 0, detached = 0;
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = opened();
	ks_assert_ok(ks, ks_enable_probe(ks, KS_PROBE_SCHED, NULL));
	for (int on = 1; on >= 0; on--) {
		g_assert_cmpint(ks_explain(ks, KS_JSON, text, 1 << 18), <, 1 << 18);
		at = strstr(text, "\"probe\":\"sched\"");
		g_assert_nonnull(at);
		at = strstr(at, "\"programs\":[");
		g_assert_nonnull(at);
		*strchr(at, ']') = '\0';
		while ((at = strchr(at, '{'))) {
			g_assert_true(g_str_has_prefix(at, "{\"name\":\"sched_"));
			assert_program(at);
			*(on ? &attached : &detached) += strstr(at, "\"attached\":true") != NULL;
			at++;
		}
		ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_SCHED));
	}
	g_assert_cmpuint(attached, >, 0);
	g_assert_cmpuint(detached, ==, 0);
	ks_close(ks);
	g_free(text);
}

/* ---- the host's libbpf ----------------------------------------------------------------------- */

static int print(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

/*
 * The library silences libbpf while it loads, and gives the host's function back. A libbpf that is
 * linked into the library is not the host's, and stays silent.
 */
static void test_print(void)
{
	libbpf_print_fn_t before = libbpf_set_print(print);
	struct ks_variant_info v = { .size = sizeof(v) };
	struct ks *ks = opened();

	ks_query_variant(ks, KS_PROBE_PROC, 0, &v); /* reads the hooks */
	g_assert_true((libbpf_set_print(print) == print) == !KS_LIBBPF_STATIC);
	ks_enable_probe(ks, KS_PROBE_PROC, NULL); /* loads */
	g_assert_true((libbpf_set_print(before) == print) == !KS_LIBBPF_STATIC);
	ks_close(ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/variants/features", test_features);
	g_test_add_func("/variants/each", test_variants);
	g_test_add_func("/variants/busy tree", test_busy_tree);
	g_test_add_func("/variants/explain", test_explain);
	g_test_add_func("/variants/print", test_print);
	return g_test_run();
}
