/* SPDX-License-Identifier: BSD-2-Clause */
/* sums.h - reads rows of the tests' own probe by all groupings at once */
#ifndef KS_TESTS_SUMS_H
#define KS_TESTS_SUMS_H

#include <kernelsight/kernelsight.h>

#include "burst.h"

#define SUMS_BY (KS_BY_TOTAL | KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE)

/* Makes a reader of BURST_PROBE by all groupings of SUMS_BY. */
struct ks_reader *sums_reader(struct ks *ks, uint32_t flags);
/* Reads, asserts that the rows of each grouping add up to the total, and returns the total. */
uint64_t sums_read(struct ks_reader *reader, struct ks_stats *ret_stats);
/*
 * Returns the count of a row, UINT64_MAX if there is no such row. By process, cgroup or role, key 0
 * is the rest row.
 */
uint64_t sums_of(const struct ks_stats *stats, uint16_t by, uint64_t key);
const struct ks_row *sums_row(const struct ks_stats *stats, uint16_t by, uint64_t key);

/* Enables the probe so that each getppid() counts `each` and makes no record. */
void sums_enable(struct ks *ks, unsigned each);
/* Calls getppid() n times. */
void sums_call(unsigned n);

#endif
