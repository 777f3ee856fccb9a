/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harness.h - one test, run over every way in which a probe can work here
 *
 * kt_add() makes a case of a test for each variant of a probe: /fadvise/tp_btf/ring/table, and, as
 * asked, one over perf buffers and one without each optional feature of the kernel. A variant that
 * cannot work here is skipped with the reason that the library kept; one that must work here fails
 * instead. After each case the harness disables the probe, drains, and wants the ledger balanced,
 * `fired` equal to the kernel's own count of program runs, and every descriptor closed.
 *
 * KS_TEST_WAYS=best: other ways than the best variant run one test a probe; our own code differs
 * there by how it attaches and opens. KS_TEST_WAYS=each: that test goes by each variant, unless it is
 * KT_ALIKE, and by the best one over perf buffers and without all optional features at once.
 * KS_TEST_WAYS=features: that test alone, without each optional feature, by the best variant.
 */
#ifndef KS_TESTS_HARNESS_H
#define KS_TESTS_HARNESS_H

#include <stddef.h>
#include <stdint.h>

#include <glib.h>
#include <kernelsight/kernelsight.h>
#include <kernelsight/schema.h>

#include "workload.h"

enum kt_over {
	KT_PERF = 1 << 0,     /* perf buffers too */
	KT_FEATURES = 1 << 1, /* without each optional feature, by the best variant */
	KT_BEST = 1 << 2,     /* by the best variant alone */
	KT_UNEVEN = 1 << 3,   /* a run makes several outcomes: `fired` is not the number of runs */
	KT_ORDERED = 1 << 4,  /* with KS_OPEN_ORDERED */
	KT_ALIKE = 1 << 5,    /* shows what no variant does differently: see KS_TEST_WAYS=each */
};

/* A case that runs. */
struct kt {
	struct ks *ks;
	uint32_t probe;
	const char *variant;
	uint64_t features_off;
	unsigned over;
	struct ks_event **records; /* copies of all that were delivered, KS_EVENT_LOST apart */
	size_t n, room;
	uint64_t lost[4]; /* sums of ks_event_lost.lost, by ks_lost_reason */
};

typedef void (*kt_fn)(struct kt *t);

/* Makes the cases of one test. */
void kt_add(uint32_t probe, const char *name, unsigned over, kt_fn fn);
/* Starts GTest, prepares the machine, has `add` call kt_add() and runs what was asked for. */
int kt_main(int argc, char **argv, void (*add)(void));

/*
 * KS_GUEST: on an emulated machine a switch, or the way from a clock to a hook, takes a hundred times
 * as long, and a CPU stands still for tens of ms that no /proc/stat calls stolen.
 */
int kt_emulated(void);
/*
 * Programs at functions (fentry) may be preempted: PREEMPT_RT, preempt=full or lazy. The kernel leaves
 * out runs of the same program on that CPU meanwhile, and counts them as missed.
 */
int kt_preempts(void);
/* From Linux 7.0 on those at events, too. */
int kt_preempts_events(void);
/* By the kernel's own list of names. */
int kt_kernel_has(const char *function);
/*
 * The reason for which a variant is refused names what is missing, an event, a function or a helper of
 * programs, and the kernel does not have it indeed.
 */
int kt_missing(const char *why);
/* Its types tell what a system call is given, as fentry needs it. */
int kt_knows_registers(void);
/* This kernel has what the variant needs: that it is refused for this reason is wrong. */
int kt_must_work(const char *variant, const char *why);

/* Enables the probe by the variant of this case. */
void kt_enable(struct kt *t, const struct ks_param *params, uint32_t n);
void kt_disable(struct kt *t);
void kt_set(struct kt *t, uint32_t id, uint64_t value);
/* Puts one process, or it and all that it will start, into the scope. */
void kt_watch(struct kt *t, uint32_t kind, pid_t pid);
/* Reads until nothing is left. */
void kt_drain(struct kt *t);
/* Drops the records read so far. */
void kt_forget(struct kt *t);
/* Disables, drains and checks the books; done once more when the case ends. */
void kt_settle(struct kt *t);

/* The next record of this kind from *at on, or NULL: for (i = 0; (ev = kt_next(t, id, &i));) */
const void *kt_next(const struct kt *t, uint16_t id, size_t *at);
size_t kt_count(const struct kt *t, uint16_t id);

/* The row of the probe's totals, and its ledger. */
void kt_total(struct kt *t, void *ret_row, size_t size);
void kt_ledger(struct kt *t, struct ks_stats_self *ret_row);

/* What ks_explain() says, as JSON: g_free(). */
char *kt_explain(struct ks *ks);

/* A member of a record or row by its name in the schema; an element of it. */
uint64_t kt_field(const void *record, uint32_t id, const char *name, unsigned element);

#endif
