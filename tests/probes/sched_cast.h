/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sched_cast.h - processes that do things step by step, for the tests of `sched`
 *
 * Between steps their threads wait in a futex in the page shared with the test. The test waits
 * until all threads sleep there. So the kernel's counters stand still while they are compared.
 */
#ifndef KS_TESTS_SCHED_CAST_H
#define KS_TESTS_SCHED_CAST_H

#include "support/harness.h"

#define MS 1000000u
#define CAST_THREADS 8

struct cast {
	uint32_t step;
	int32_t tid[CAST_THREADS];
	uint32_t ready; /* the main thread has done all of this step */
	int pipes[2][2];
	uint64_t made_ns[8];     /* before each thread was made */
	uint64_t burst_ns[8][2]; /* begin and end, as measured by the child */
	uint64_t gap_ns[8][2];   /* when another child did not run, as it measured */
};

/* The counters of a thread in /proc. */
struct cast_counts {
	uint64_t voluntary, preempted, run_ns, wait_ns;
};

void cast_wait(struct cast *cast, uint32_t step);
void cast_next(struct cast *cast);
struct cast_counts cast_counts(pid_t pid, int32_t tid);
/* Returns the number of threads that a process still has. */
unsigned cast_threads(pid_t pid);
/*
 * Waits until a thread sleeps in a futex and is off its CPU. From then on its counters stand still.
 */
void cast_asleep(pid_t pid, int32_t tid);
/* The same for the first n threads: waits until they are in cast_wait() for the next step. */
void cast_all_asleep(const struct work *w, const struct cast *cast, unsigned n);
void cast_nap(long ns);

struct ks_reader *cast_reader(struct kt *t, uint32_t by);
/*
 * Returns whether, by the kernel's types, the switch tracepoint has the state in which a thread
 * leaves (Linux 5.18).
 */
int cast_state_passed(void);
/*
 * Asserts that a known sleep state is a valid one, and that it is known if the tracepoint has it.
 */
void cast_check_state(const struct ks_event_sched_block *rec, int passed);
/* Reads one row of a grouping. Returns 0 if there is none. */
int cast_row(struct ks_reader *reader, uint32_t by, uint64_t key, struct ks_stats_sched *ret);

#endif
