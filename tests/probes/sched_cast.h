/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sched_cast.h - processes that do things step by step, for the tests of sched
 *
 * Their threads wait for each step in a futex of the page that they share with the test; the test
 * waits until all sleep there, so that the kernel's counters stand still while they are compared.
 */
#ifndef KS_TESTS_SCHED_CAST_H
#define KS_TESTS_SCHED_CAST_H

#include "support/harness.h"

#define MS 1000000u
#define CAST_THREADS 8

struct cast {
	uint32_t step;
	int32_t tid[CAST_THREADS];
	uint32_t ready; /* the first thread has done all that it does in this step */
	int pipes[2][2];
	uint64_t made_ns[8];     /* before a thread was made */
	uint64_t burst_ns[8][2]; /* begin and end, as the child saw them */
	uint64_t gap_ns[8][2];   /* when another one did not run, as it saw it */
};

/* What /proc tells of a thread. */
struct cast_counts {
	uint64_t voluntary, preempted, run_ns, wait_ns;
};

void cast_wait(struct cast *cast, uint32_t step);
void cast_next(struct cast *cast);
struct cast_counts cast_counts(pid_t pid, int32_t tid);
/* Those that a process still has. */
unsigned cast_threads(pid_t pid);
/* Until it is asleep in a futex, and off its CPU: its counters do not change any more. */
void cast_asleep(pid_t pid, int32_t tid);
/* The same of the first n threads, in cast_wait() for a step that has not been made. */
void cast_all_asleep(const struct work *w, const struct cast *cast, unsigned n);
void cast_nap(long ns);

struct ks_reader *cast_reader(struct kt *t, uint32_t by);
/* The event of a switch tells the state in which a thread leaves (Linux 5.18), by the kernel's types. */
int cast_state_told(void);
/* The state of a sleep is one, if it is known; it must be where the event tells it. */
void cast_check_state(const struct ks_event_sched_block *rec, int told);
/* One row of a grouping, 1 if there is one. */
int cast_row(struct ks_reader *reader, uint32_t by, uint64_t key, struct ks_stats_sched *ret);

#endif
