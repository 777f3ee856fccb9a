/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * burst.h - a probe that only the tests have: it reaches rates that no real probe reaches
 *
 * Each getppid() of a process in scope makes as many records as the parameter says. The records
 * take the same code path as those of every other probe.
 */
#ifndef BURST_H
#define BURST_H

#include <kernelsight/events.h>

#define BURST_PROBE 15
#define BURST_STATS 0x0f00
#define BURST_EVENT 0x0f01
#define BURST_PARAM_RECORDS 32 /* records per run of the kernel program, 0 to BURST_MAX */
#define BURST_PARAM_SUMMED 33  /* 1: `run` is burst_sum() of the record */
#define BURST_MAX 8            /* the most that a verifier without bpf_loop() takes */

struct ks_event_burst_record {
	struct ks_event ev; /*  0 */
	uint64_t valid;     /* 64 no bits */
	uint64_t sequence;  /* 72 number on this CPU, from 0, lost records included */
	uint64_t run;       /* 80 run number on this CPU, from 0; or burst_sum() */
};                          /* 88 */

/*
 * Checksum of all words before `run`. It changes if two words change places, or if a word comes
 * from another record.
 */
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

/* One thread's part of ks_stats_burst, as the kernel program keeps it. */
struct ks_bpf_row_burst {
	uint64_t emitted;
};

#endif
