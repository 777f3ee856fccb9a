/* SPDX-License-Identifier: BSD-2-Clause */
/* sums.c - see sums.h */
#include "sums.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "ks_test.h"

struct ks_reader *sums_reader(struct ks *ks, uint32_t flags)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = SUMS_BY, .flags = flags };
	struct ks_reader *reader;

	ks_assert_ok(ks, ks_reader_new(ks, BURST_PROBE, &opts, &reader));
	return reader;
}

uint64_t sums_read(struct ks_reader *reader, struct ks_stats *ret_stats)
{
	const struct ks_stats_burst *row;
	uint64_t sum[KS_BY_ROLE + 1] = { 0 };

	*ret_stats = (struct ks_stats){ .size = sizeof(*ret_stats) };
	ks_assert_rc(ks_read_stats(reader, ret_stats), 0);
	for (size_t i = 0; (row = ks_stats_row(ret_stats, i)); i++) {
		g_assert_cmpuint(row->row.by & ~(unsigned)SUMS_BY, ==, 0);
		g_assert_cmpuint(row->emitted, <, UINT64_MAX / 2); /* not negative */
		sum[row->row.by] += row->emitted;
	}
	g_assert_cmpuint(sum[KS_BY_PROCESS], ==, sum[KS_BY_TOTAL]);
	g_assert_cmpuint(sum[KS_BY_CGROUP], ==, sum[KS_BY_TOTAL]);
	g_assert_cmpuint(sum[KS_BY_ROLE], ==, sum[KS_BY_TOTAL]);
	return sum[KS_BY_TOTAL];
}

const struct ks_row *sums_row(const struct ks_stats *stats, uint16_t by, uint64_t key)
{
	const struct ks_row *row;

	for (size_t i = 0; (row = ks_stats_row(stats, i)); i++)
		if (row->by == by && row->key == key)
			return row;
	return NULL;
}

uint64_t sums_of(const struct ks_stats *stats, uint16_t by, uint64_t key)
{
	const struct ks_stats_burst *row = (const void *)sums_row(stats, by, key);

	return row ? row->emitted : UINT64_MAX;
}

void sums_enable(struct ks *ks, unsigned each)
{
	struct ks_param params[] = { { .id = BURST_PARAM_RECORDS, .value = each },
				     { .id = KS_PARAM_SAMPLE_EVERY, .value = 0 } };
	struct ks_enable_opts opts = { .size = sizeof(opts), .n_params = 2, .params = params };

	ks_assert_ok(ks, ks_enable_probe(ks, BURST_PROBE, &opts));
}

void sums_call(unsigned n)
{
	while (n--)
		syscall(SYS_getppid);
}
