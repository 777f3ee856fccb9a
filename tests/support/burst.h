/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * burst.h - a probe of the tests only: each getppid() of a process in scope makes as many records as
 * its setting says, through the same code as all others, to reach rates that no real probe has
 */
#ifndef BURST_H
#define BURST_H

#include <kernelsight/events.h>

#define BURST_PROBE 15
#define BURST_STATS 0x0f00
#define BURST_EVENT 0x0f01
#define BURST_PARAM_RECORDS 32 /* a run, 0 to BURST_MAX */
#define BURST_PARAM_SUMMED 33  /* 1: `run` is burst_sum() of the record */
#define BURST_MAX 8            /* what a verifier without bpf_loop() bears */

struct ks_event_burst_record {
	struct ks_event ev; /*  0 */
	uint64_t valid;     /* 64 no bits */
	uint64_t sequence;  /* 72 on this CPU, from 0, those that were lost included */
	uint64_t run;       /* 80 on this CPU, from 0; or what all before adds up to */
};                          /* 88 */

/* Of all that stands before `run`. No two words can change places or be another's unnoticed. */
static inline __attribute__((always_inline)) uint64_t
burst_sum(const struct ks_event_burst_record *rec)
{
	const uint64_t *word = (const uint64_t *)rec;
	uint64_t sum = 1;

	for (unsigned i = 0; i < 10; i++)
		sum = (sum << 7 | sum >> 57) + word[i];
	return sum;
}

struct ks_stats_burst {
	struct ks_row row; /*  0 */
	uint64_t emitted;  /* 64 records tried: delivered or not */
};                         /* 72 */

/* One CPU's part of ks_stats_burst, as the kernel program keeps it. */
struct ks_bpf_stats_burst {
	uint64_t emitted;
} __attribute__((aligned(64)));

/* The same of a thread. */
struct ks_bpf_row_burst {
	uint64_t emitted;
};

#endif
