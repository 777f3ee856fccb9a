/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harness.h - runs one test by every variant, transport and feature set that works on this machine
 *
 * kt_add() makes a case of a test for each variant of a probe, such as /fadvise/tp_btf/ring/table.
 * As asked, it adds a case over perf buffers and one without each optional kernel feature. The
 * harness skips a variant that cannot work here, with the reason that the library keeps. If the
 * variant must work here, the case fails instead. After each case the harness disables the probe
 * and drains. It then asserts that the ledger balances, that `fired` equals the kernel's own count
 * of program runs, and that every descriptor is closed.
 *
 * KS_TEST_VARIANTS shortens the run. Variants differ only in how our code attaches and opens, so
 * one test per probe covers most of that.
 *
 * best: the best variant runs all tests, each other combination only the first test of a probe.
 *
 * each: the first test of a probe runs by each variant, unless it is KT_ALIKE; by the best variant
 * it also runs over perf buffers, and without all optional features at once.
 *
 * features: only the first test of a probe runs, by the best variant, without each optional
 * feature.
 */
#ifndef KS_TESTS_HARNESS_H
#define KS_TESTS_HARNESS_H

#include <stddef.h>
#include <stdint.h>

#include <glib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <kernelsight/kernelsight.h>
#include <kernelsight/schema.h>

#include "workload.h"

enum kt_over {
	KT_PERF = 1 << 0,     /* over perf buffers, too */
	KT_FEATURES = 1 << 1, /* without each optional feature, too, by the best variant */
	KT_BEST = 1 << 2,     /* by the best variant only */
	KT_UNEVEN = 1 << 3,   /* one run has several outcomes: `fired` is not the number of runs */
	KT_ORDERED = 1 << 4,  /* with KS_OPEN_ORDERED */
	KT_ALIKE = 1 << 5,    /* shows what is alike in all variants: see KS_TEST_VARIANTS=each */
	/*
	 * By raw_tp also without tp_btf programs: then those that follow threads and trees, which
	 * belong to no probe, are raw_tp programs as well.
	 */
	KT_RAW = 1 << 6,
};

/* A running case. */
struct kt {
	struct ks *ks;
	uint32_t probe;
	const char *variant;
	uint64_t features_off;
	unsigned over;
	struct ks_event **records; /* copies of all records delivered, except KS_EVENT_LOST */
	size_t n, room;
	uint64_t lost[4]; /* sums of ks_event_lost.lost, by ks_lost_reason */
};

typedef void (*kt_fn)(struct kt *t);

/* Makes the cases of one test. */
void kt_add(uint32_t probe, const char *name, unsigned over, kt_fn fn);
/* Starts GTest, prepares the machine, has `add` call kt_add() and runs what was asked for. */
int kt_main(int argc, char **argv, void (*add)(void));

/* Runs fn in a child. Its failed assertions fail this test. */
static inline void kt_in_child(struct kt *t, void (*fn)(struct kt *))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		fn(t);
		_exit(0);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
}

/*
 * True in an emulated guest (KS_GUEST). There a context switch, or the path from a clock to a hook,
 * takes a hundred times as long. A CPU may stop for tens of ms which /proc/stat does not show as
 * stolen.
 */
int kt_emulated(void);
/*
 * True if the kernel may preempt fentry programs: PREEMPT_RT, preempt=full or preempt=lazy. While a
 * program is preempted, the kernel skips other runs of it on that CPU and counts them as missed.
 */
int kt_preempts(void);
/* True if the kernel may preempt programs at tracepoints as well: Linux 7.0 and later. */
int kt_preempts_events(void);
/* True if the kernel's list of symbols has this function. */
int kt_kernel_has(const char *function);
/*
 * True if the reason for a refused variant is right: it names a tracepoint, a function or a BPF
 * helper, and the kernel really lacks it.
 */
int kt_missing(const char *why);
/* True if the kernel's types describe the arguments of a syscall, which fentry needs. */
int kt_knows_registers(void);
/*
 * True if this kernel has all that the variant needs, so that refusing it for this reason is wrong.
 */
int kt_must_work(const char *variant, const char *why);

/* Enables the probe with the variant of this case. */
void kt_enable(struct kt *t, const struct ks_param *params, uint32_t n);
void kt_disable(struct kt *t);
void kt_set(struct kt *t, uint32_t id, uint64_t value);
/* Adds one process, or a process with all that it starts later, to the scope. */
void kt_watch(struct kt *t, uint32_t kind, pid_t pid);
/* Drains until no records are left. */
void kt_drain(struct kt *t);
/* Frees the records read so far. */
void kt_forget(struct kt *t);
/* Disables, drains and checks the ledger. The harness does so again when the case ends. */
void kt_settle(struct kt *t);

/* The next record of this kind from *at on, or NULL: for (i = 0; (ev = kt_next(t, id, &i));) */
const void *kt_next(const struct kt *t, uint16_t id, size_t *at);
size_t kt_count(const struct kt *t, uint16_t id);

/* kt_total(): the row of the probe's totals. kt_ledger(): the row of its ledger. */
void kt_total(struct kt *t, void *ret_row, size_t size);
void kt_ledger(struct kt *t, struct ks_stats_self *ret_row);

/* Returns the text of ks_explain() as JSON; g_free() it. */
char *kt_explain(struct ks *ks);

/*
 * Returns a member of a record or row by its name in the schema; `element` is its index in an
 * array.
 */
uint64_t kt_field(const void *record, uint32_t id, const char *name, unsigned element);

#endif
