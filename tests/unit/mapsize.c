/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that by default the statistics of all probes take less than 8 MiB of kernel memory on a
 * machine with 64 CPUs. Arrays have one element per possible CPU and per thread that may have a
 * row.
 */
#include "../../bpf/shared.h"
#include "ks.h"
#include "support/ks_test.h"

#define CPUS 64u
#define LIMIT (8u << 20)

static void test_size(void)
{
	struct ks *ks;
	size_t per_cpu = sizeof(struct ks_bpf_stats_proc) + sizeof(struct ks_bpf_stats_sched) +
			 sizeof(struct ks_bpf_stats_fadvise) +
			 sizeof(struct ks_bpf_stats_pagecache) + sizeof(struct ks_bpf_cpu);
	size_t row = sizeof(struct ks_bpf_row_proc) + sizeof(struct ks_bpf_row_sched) +
		     sizeof(struct ks_bpf_row_fadvise) + sizeof(struct ks_bpf_row_pagecache);
	size_t slot = sizeof(struct ks_bpf_thread) + sizeof(uint32_t), bytes, n;

	ks_assert_rc(ks_open(NULL, &ks), 0);
	n = ks->opts.max_threads;
	ks_close(ks);
	bytes = CPUS * (per_cpu + row) + n * (row + slot);
	g_test_message("%zu bytes: %zu a CPU, %zu a thread", bytes, per_cpu + row, row + slot);
	g_assert_cmpuint(n, >=, 10000);
	g_assert_cmpuint(bytes, <=, LIMIT);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mapsize/64-cpus", test_size);
	return g_test_run();
}
