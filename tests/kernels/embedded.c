/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that embedded types of the running kernel (-Dbtf) serve where the kernel hides its own: all
 * probes count exactly with programs that need no BTF in the kernel, and variants that need it say
 * that it is missing.
 */
#include "bpf/types.h"
#include "counted.h"
#include "fault/fault.h"

static int is_embedded(void)
{
	if (ks__types_embedded())
		return 1;
	if (g_getenv("KS_GUEST"))
		g_error("the build for guests has no embedded types of this kernel");
	g_test_skip("not built with -Dbtf=... of this kernel");
	return 0;
}

static void count(const void *data)
{
	static const char *const missing[] = { "BTF", "is missing", NULL };
	const struct ks_scope self = { .size = sizeof(self), .kind = KS_SCOPE_SELF };
	struct ks_probe_info info = { .size = sizeof(info) };

	(void)data;
	counted_prepare();
	fault_private_mounts();
	fault_hide("/sys/kernel/btf");
	for (unsigned p = 0; p < COUNTED; p++) {
		struct ks *ks = fault_open(NULL);
		uint32_t probe = counted[p].probe;

		ks_assert_ok(ks, ks_set_scope(ks, &self));
		fault_refused(ks, probe, "tp_btf", missing);
		ks_assert_ok(ks, ks_enable_probe(ks, probe, NULL));
		ks_assert_ok(ks, ks_query_probe(ks, probe, &info));
		g_assert_cmpuint(info.source, ==, KS_SOURCE_BPF);
		g_assert_true(g_str_has_prefix(info.variant_name, "raw_tp"));
		counted[p].works(ks, KS_SOURCE_BPF);
		ks_close(ks);
	}
}

static void embedded(void)
{
	struct fault_kernel since;

	if (!ks_test_root() || !is_embedded())
		return;
	fault_kernel(&since);
	fault_in_child(count, NULL);
	fault_kernel_clean(&since);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/embedded/types", embedded);
	return g_test_run();
}
