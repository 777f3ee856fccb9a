/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that whatever a machine denies disables exactly the variants that need it. Under each
 * condition each probe works with the best variant left and counts exactly; its ledger balances;
 * the reason of each lost variant names the cause; ks_check() says what to do about it; and nothing
 * stays behind.
 *
 * Prints what was chosen, for tests/kernels/fallbacks.tsv:
 * "# fallback <TAB> CONDITION <TAB> PROBE <TAB> VARIANT <TAB> LOST". LOST: the variants of this
 * kernel that the condition disables, among those better than VARIANT or known to be refused
 * without a trial.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include <bpf/libbpf.h>

#include "bpf/unit.h"
#include "conditions.h"
#include "counted.h"
#include "fault/fault.h"
#include "probes/probe.h"
#include "support/harness.h"

#define LOCKDOWN "/sys/kernel/security/lockdown"

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

static void remount_tracefs(const char *options)
{
	g_assert_cmpint(mount("nodev", TRACEFS, "tracefs", MS_REMOUNT, options), ==, 0);
}

/* ---- under a condition ----------------------------------------------------------------------- */

/* By probe: bits of the variants that work when nothing is denied. A child writes them. */
static uint32_t *whole;
static int have_whole;

/* If tracefs is hidden, the kernel's list of symbols shows whether a tracepoint exists. */
static int has_event(const struct bpf_object *obj, const char *program)
{
	const char *section =
		bpf_program__section_name(bpf_object__find_program_by_name(obj, program));
	char *caller;
	int has;

	if (!strstr(section, "tracepoint/"))
		return 1;
	if (strstr(section, "/syscalls/"))
		return kt_kernel_has("perf_syscall_enter");
	caller = g_strdup_printf("__traceiter_%s", strrchr(section, '/') + 1);
	has = kt_kernel_has(caller);
	g_free(caller);
	return has;
}

/*
 * A condition of booting cannot be undone, so there BTF tells which other variants this kernel
 * lacks.
 */
static void find_whole(void)
{
	struct bpf_object *obj = bpf_object__open_mem(ks__bpf_object, ks__bpf_object_size, NULL);

	g_assert_nonnull(obj);
	for (size_t p = 0; p < COUNTED; p++) {
		const struct ks__variant *v = ks__probe_by_id(counted[p].probe)->variants;

		whole[p] = 0;
		for (uint32_t i = 0; v[i].name; i++) {
			uint32_t n = 0;

			while (n < KS__PROGS_MAX && v[i].progs[n] && has_event(obj, v[i].progs[n]))
				n++;
			if (n == KS__PROGS_MAX || !v[i].progs[n])
				whole[p] |= 1u << i;
		}
	}
	bpf_object__close(obj);
}

static void is_because(const struct condition *c, const char *variant, const char *reason)
{
	if (!c->because)
		g_error("%s: refused, but this condition should not disable it: %s", variant,
			reason);
	if (!g_regex_match_simple(c->because, reason, 0, 0))
		g_error("%s: the reason does not match '%s': %s", variant, c->because, reason);
}

/* True if the reason says that this kernel never had the feature. */
static int is_lacking(const char *reason)
{
	return kt_missing(reason) ||
	       (strstr(reason, "BTF lacks the argument types of its function") &&
		!kt_knows_registers());
}

/*
 * Returns bits of the refused variants among the first n, after asserting that each has a reason.
 */
static uint32_t refused(const struct condition *c, struct ks *ks, size_t p, uint32_t n)
{
	struct ks_variant_info v = { .size = sizeof(v) };
	uint32_t bits = 0;

	for (uint32_t i = 0; i < n && ks_query_variant(ks, counted[p].probe, i, &v) == 0; i++) {
		if (!v.error || v.source != KS_SOURCE_BPF)
			continue;
		g_assert_cmpuint(strlen(v.reason), >, 0);
		if (c->booted && is_lacking(v.reason))
			continue;
		if (c->booted || whole[p] >> i & 1)
			is_because(c, v.name, v.reason);
		bits |= 1u << i;
	}
	return bits;
}

/*
 * The remedy is in the text of each lost variant, and at the top if no kernel program works any
 * more.
 */
static void is_remedied(const struct condition *c, const char *checked, int is_served)
{
	const char *remedies = strstr(checked, "\"remedies\":");

	g_assert_nonnull(remedies);
	if (c->remedy && !g_regex_match_simple(c->remedy, is_served ? checked : remedies, 0, 0))
		g_error("%s: no remedy matches '%s': %s", c->name, c->remedy, checked);
}

static void is_listed(const struct condition *c, const char *checked)
{
	char *line;

	if (!c->feature)
		return;
	line = g_strdup_printf("{\"name\":\"%s\",\"works\":false", c->feature);
	g_assert_nonnull(strstr(checked, line));
	g_free(line);
}

/* Checks the reasons of lost variants. */
static void check(const struct condition *c, struct ks *ks, size_t p, uint32_t lost)
{
	struct ks_probe_info info = { .size = sizeof(info) };
	int size = ks_check(ks, KS_JSON, NULL, 0) + 4096;
	char *text = g_malloc((gsize)size);

	g_assert_cmpint(ks_check(ks, KS_JSON, text, (size_t)size), <, size);
	ks_assert_ok(ks, ks_query_probe(ks, counted[p].probe, &info));
	is_listed(c, text);
	if (c->silent || lost)
		is_remedied(c, text, info.source == KS_SOURCE_BPF && !c->silent);
	g_free(text);
}

/* Prints which of this kernel's variants the condition disables. */
static void note(const struct condition *c, struct ks *ks, size_t p, const char *variant,
		 uint32_t lost)
{
	struct ks_variant_info v = { .size = sizeof(v) };
	int n = 0;

	if (c == conditions)
		whole[p] = ~lost;
	lost &= whole[p];
	printf("# fallback\t%s\t%s\t%s\t", c->name, counted[p].name, variant);
	for (uint32_t i = 0; ks_query_variant(ks, counted[p].probe, i, &v) == 0; i++)
		if (lost & 1u << i)
			printf("%s%s", n++ ? " " : "", v.name);
	printf("%s\n", n ? "" : "-");
	fflush(stdout);
	check(c, ks, p, lost);
}

static int enable(struct ks *ks, uint32_t probe, const char *variant)
{
	const struct ks_enable_opts opts = { .size = sizeof(opts), .variant = variant };

	return ks_enable_probe(ks, probe, &opts);
}

/* Returns 0 if the self-test could not make any event. */
static int selftest(struct ks *ks, size_t p)
{
	const struct ks_selftest_opts opts = { .size = sizeof(opts), .dir = g_get_tmp_dir() };

	return ks_selftest(ks, counted[p].probe, &opts);
}

/*
 * The self-test finds out that the best variant sees nothing, and the next one that does see events
 * counts.
 */
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

/* Enables the best variant, or the fallback with the only scope that it knows. */
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
	fault_drain(ks); /* records of the self-test */
	/* a denial has priority over a feature that this kernel lacks */
	if (info.source != KS_SOURCE_BPF && (c->remedy || !is_lacking(info.reason)))
		is_because(c, variant, info.reason);
	note(c, ks, p, variant, lost);
	counted[p].works(ks, info.source);
	fault_settle(ks, probe);
	g_free(variant);
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
		ks_close(ks);
		g_assert_cmpuint(counters_descriptors(), ==, before);
	}
}

/* Runs in a guest that exists for this test alone. */
static void in_guest(const struct condition *c)
{
	char *old = NULL;

	if (c->sysctl) {
		g_assert_true(g_file_get_contents(c->sysctl, &old, NULL, NULL));
		conditions_write(c->sysctl, c->value);
	}
	if (c->tracefs)
		remount_tracefs(c->tracefs);
	fault_in_child(under, c);
	if (c->tracefs)
		remount_tracefs("mode=700,gid=0");
	if (c->sysctl)
		conditions_write(c->sysctl, old);
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
		g_test_skip("only in a guest that exists for this test (KS_GUEST)");
		return;
	}
	fault_kernel(&since);
	if (c->booted)
		find_whole();
	else if (!have_whole && c != conditions)
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
	for (const struct condition *c = conditions; c->name; c++) {
		char *path = g_strdup_printf("/fallbacks/%s", c->name);

		g_test_add_data_func(path, c, fallback);
		g_free(path);
	}
	return g_test_run();
}
