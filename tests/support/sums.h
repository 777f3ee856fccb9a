/* SPDX-License-Identifier: BSD-2-Clause */
/* sums.h - reading rows of the tests' own probe by everything at once */
#ifndef KS_TESTS_SUMS_H
#define KS_TESTS_SUMS_H

#include <kernelsight/kernelsight.h>

#include "burst.h"

#define SUMS_BY (KS_BY_TOTAL | KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE)

/* A reader of BURST_PROBE by all of SUMS_BY. */
struct ks_reader *sums_reader(struct ks *ks, uint32_t flags);
/* Reads; the rows of each grouping must add up to the total. Returns the total. */
uint64_t sums_read(struct ks_reader *reader, struct ks_stats *ret_stats);
/* What a row says; by process, cgroup or role and key 0: the rest. UINT64_MAX: there is none. */
uint64_t sums_of(const struct ks_stats *stats, uint16_t by, uint64_t key);
const struct ks_row *sums_row(const struct ks_stats *stats, uint16_t by, uint64_t key);

/* Enables the probe so that each getppid() counts `each` and makes no record. */
void sums_enable(struct ks *ks, unsigned each);
/* So many getppid(). */
void sums_call(unsigned n);

#endif
