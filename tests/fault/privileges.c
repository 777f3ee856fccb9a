/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that an ordinary user needs only CAP_BPF and CAP_PERFMON for exact counts with tp_btf and
 * raw_tp. With less, each probe says which capability is missing and how to grant it, uses its
 * fallback if it has one, and leaves nothing behind.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>

#include "fault.h"

#define NOBODY 65534
#define BIT(cap) (1ull << (cap))

struct user {
	uint64_t caps;
	uint64_t missing;
	const char *words[4]; /* in every reason */
	const char *none;     /* in no reason */
};

/*
 * True for variants that every kernel has. For the others the reason may be that the kernel lacks
 * them.
 */
static int is_common(const char *variant)
{
	return !strcmp(variant, "tp_btf") || !strcmp(variant, "raw_tp") ||
	       !strcmp(variant, "tracepoint");
}

/* Reasons of each variant with kernel programs, before and after trying it. */
static void expect_reasons(struct ks *ks, uint32_t probe, const struct user *u)
{
	struct ks_variant_info v = { .size = sizeof(v) };
	unsigned n = 0;

	for (uint32_t i = 0; ks_query_variant(ks, probe, i, &v) == 0; i++) {
		if (v.source != KS_SOURCE_BPF)
			continue;
		g_assert_cmpint(v.error, <, 0);
		g_assert_cmpuint(strlen(v.reason), >, 0);
		if (!is_common(v.name))
			continue;
		for (const char *const *w = u->words; *w; w++)
			if (!strstr(v.reason, *w))
				g_error("%s: the reason does not mention '%s': %s", v.name, *w,
					v.reason);
		if (u->none && strstr(v.reason, u->none))
			g_error("%s: '%s' should not be in the reason: %s", v.name, u->none,
				v.reason);
		n++;
	}
	g_assert_cmpuint(n, ==, 3);
}

static void expect_info(struct ks *ks, uint32_t probe, const struct user *u, uint16_t state,
			uint16_t source)
{
	struct ks_probe_info info = { .size = sizeof(info) };

	ks_assert_ok(ks, ks_query_probe(ks, probe, &info));
	g_assert_cmpuint(info.state, ==, state);
	g_assert_cmpuint(info.source, ==, source);
	g_assert_cmphex(info.caps_missing, ==, u->missing);
	g_assert_nonnull(strstr(info.reason, u->words[0]));
	expect_reasons(ks, probe, u);
}

static void as_user(const void *data)
{
	const struct user *u = data;
	struct ks_enable_opts strict = { .size = sizeof(strict), .flags = KS_ENABLE_NO_FALLBACK };
	unsigned before = counters_descriptors();
	char why[400];
	struct ks *ks;

	fault_become(NOBODY, u->caps);
	ks = fault_open(NULL);
	expect_info(ks, KS_PROBE_PROC, u, KS_STATE_OFF, KS_SOURCE_FILES);
	expect_info(ks, KS_PROBE_FADVISE, u, KS_STATE_OFF, KS_SOURCE_NONE);
	ks_assert_rc(ks_prepare(ks, NULL, 0), 0);

	fault_refused(ks, KS_PROBE_FADVISE, NULL, u->words);
	expect_info(ks, KS_PROBE_FADVISE, u, KS_STATE_FAILED, KS_SOURCE_NONE);
	for (const char *const *v = (const char *const[]){ "tp_btf", "raw_tp", NULL }; *v; v++) {
		fault_refused(ks, KS_PROBE_PROC, *v, u->words);
		fault_refused(ks, KS_PROBE_FADVISE, *v, u->words);
	}
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, &strict), -KS_EUNAVAIL);
	ks_last_error(ks, why, sizeof(why));
	g_assert_nonnull(strstr(why, u->words[0]));

	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, NULL), 1);
	expect_info(ks, KS_PROBE_PROC, u, KS_STATE_ON, KS_SOURCE_FILES);
	fault_fallback(ks);
	ks_close(ks);
	g_assert_cmpuint(counters_descriptors(), ==, before);
}

static void less(gconstpointer data)
{
	struct fault_kernel since;

	if (!ks_test_root())
		return;
	fault_kernel(&since);
	fault_in_child(as_user, data);
	fault_kernel_clean(&since);
}

/* ---- with both capabilities ------------------------------------------------------------------ */

/* At Debian's own level 3 of perf_event_paranoid, perf_event_open() needs CAP_SYS_ADMIN. */
static int is_paranoid(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_BPF_OUTPUT };
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EACCES;
}

static void no_perf_buffers(struct ks *ks)
{
	static const char *const words[] = { "kernel.perf_event_paranoid", NULL };

	fault_refused(ks, KS_PROBE_PROC, "tp_btf", words);
	fault_refused(ks, KS_PROBE_FADVISE, "raw_tp", words);
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, NULL), 1);
	fault_fallback(ks);
}

static void exact(struct ks *ks)
{
	static const char *const tracefs[] = { "tracefs", "run as root", NULL };
	static const char *const no_helper[] = { "bpf_get_current_task_btf", NULL };
	const uint32_t probes[] = { KS_PROBE_PROC, KS_PROBE_FADVISE };
	struct ks_probe_info info = { .size = sizeof(info) };

	ks_assert_rc(ks_prepare(ks, probes, 2), 2);
	for (size_t i = 0; i < G_N_ELEMENTS(probes); i++) {
		fault_exact(ks, probes[i], NULL);
		if (!strcmp(fault_typed(probes[i]), "tp_btf"))
			fault_exact(ks, probes[i], "tp_btf");
		else
			fault_refused(ks, probes[i], "tp_btf", no_helper);
		fault_exact(ks, probes[i], "raw_tp");
		fault_refused(ks, probes[i], "tracepoint", tracefs);
		ks_assert_ok(ks, ks_query_probe(ks, probes[i], &info));
		g_assert_cmphex(info.caps_missing, ==, 0);
	}
}

static void ordinary(const void *data)
{
	const struct ks_open_opts *opts = data;
	unsigned before = counters_descriptors();
	struct ks *ks;

	fault_become(NOBODY, BIT(CAP_BPF) | BIT(CAP_PERFMON));
	ks = fault_open(opts);
	if (opts && is_paranoid())
		no_perf_buffers(ks);
	else
		exact(ks);
	ks_close(ks);
	g_assert_cmpuint(counters_descriptors(), ==, before);
}

static void both(gconstpointer data)
{
	struct fault_kernel since;

	if (!ks_test_root())
		return;
	fault_kernel(&since);
	fault_in_child(ordinary, data);
	fault_kernel_clean(&since);
}

int main(int argc, char **argv)
{
	static const struct user nobody = {
		.missing = BIT(CAP_BPF) | BIT(CAP_PERFMON),
		.words = { "CAP_BPF", "CAP_PERFMON", "setcap cap_bpf,cap_perfmon+ep" },
	};
	static const struct user bpf_only = {
		.caps = BIT(CAP_BPF),
		.missing = BIT(CAP_PERFMON),
		.words = { "CAP_PERFMON", "setcap cap_bpf,cap_perfmon+ep" },
		.none = "CAP_BPF",
	};
	static const struct user perfmon_only = {
		.caps = BIT(CAP_PERFMON),
		.missing = BIT(CAP_BPF),
		.words = { "CAP_BPF", "setcap cap_bpf,cap_perfmon+ep" },
		.none = "CAP_PERFMON",
	};
	/* memory that an ordinary user may lock for perf_event_open(): 516 KiB per CPU */
	static const struct ks_open_opts small_perf = {
		.size = sizeof(small_perf),
		.ring_bytes = 128 << 10,
		.features_off = KS_FEATURE_RINGBUF,
	};

	ks_test_init(&argc, &argv);
	g_test_add_data_func("/privileges/none", &nobody, less);
	g_test_add_data_func("/privileges/bpf", &bpf_only, less);
	g_test_add_data_func("/privileges/perfmon", &perfmon_only, less);
	g_test_add_data_func("/privileges/both", NULL, both);
	g_test_add_data_func("/privileges/both/perf", &small_perf, both);
	return g_test_run();
}
