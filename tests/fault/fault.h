/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault.h - what these tests have in common: small exact workloads, children, objects in the kernel
 */
#ifndef KS_TESTS_FAULT_H
#define KS_TESTS_FAULT_H

#include <stdint.h>
#include <sys/types.h>

#include "support/burst.h"
#include "support/counters.h"
#include "support/ks_test.h"
#include "support/workload.h"

/* Runs fn in a child, which must exit with 0. What fn breaks stays in the child. */
void fault_in_child(void (*fn)(const void *data), const void *data);
void fault_reap(pid_t pid);
/*
 * Runs a step of a walk in a child: its number n of `what`. The child's exit status is 0, or
 * FAULT_NO_STEP if the walk is over; anything else is an error. Returns 1 if there may be more
 * steps.
 */
#define FAULT_NO_STEP 10
int fault_step(int (*fn)(const void *data), const void *data, unsigned n, const char *what);

/* Enters a mount namespace of our own in which tracefs is mounted. */
void fault_private_mounts(void);
/* Makes this folder empty, in this mount namespace. */
void fault_hide(const char *dir);
/* Makes a memory file with this content. Returns its path. */
char *fault_file(const void *bytes, size_t size);
/* Makes a syscall fail from now on. */
void fault_filter(int nr, int error);
/* Reduces capabilities to `caps`, bits 1 << CAP_...; changes uid and gid first if uid is not 0. */
void fault_become(uid_t uid, uint64_t caps);

/* Ids of the newest program and the newest map of the machine. */
struct fault_kernel {
	uint32_t id[2];
};
void fault_kernel(struct fault_kernel *now);
/*
 * Asserts that no program or map of the library made since then is left, except those that other
 * processes hold. Waits for those that are being freed.
 */
void fault_kernel_clean(const struct fault_kernel *since);

struct ks *fault_open(const struct ks_open_opts *opts);
/* True if BPF memory counts against RLIMIT_MEMLOCK (before 5.11), according to ks_check(). */
int fault_counts_locked(void);
/* Enables the probe with this variant, NULL: the best. Every fadvise() then makes a record. */
void fault_enable(struct ks *ks, uint32_t probe, const char *variant);
/*
 * Returns "tp_btf", or "raw_tp" if this kernel has nothing better: fadvise and burst need the
 * current task, which BTF-typed programs get from 5.11 on.
 */
const char *fault_typed(uint32_t probe);
/* Sets the number of records that the burst probe makes at each getppid(). */
void fault_burst(struct ks *ks, unsigned records);
/*
 * Asserts that this variant cannot be enabled, and that the reason has all these words (NULL ends).
 */
void fault_refused(struct ks *ks, uint32_t probe, const char *variant, const char *const *words);

/*
 * Asserts that `proc` works on files: it sees a child that lives through two scans. Disables it
 * then.
 */
void fault_fallback(struct ks *ks);

/* Makes n calls that succeed in this thread; forks n processes that exit. */
void fault_advise(unsigned n);
void fault_fork(unsigned n);
/* Reads the row of the probe's totals. */
void fault_total(struct ks *ks, uint32_t probe, void *ret_row, size_t size);
/* The same counts, from the library. */
uint64_t fault_advised(struct ks *ks);
uint64_t fault_forked(struct ks *ks);
struct ks_stats_self fault_ledger(struct ks *ks, uint32_t probe);
/*
 * Asserts that all of `done` was counted, except runs that the kernel skipped and reported as
 * missed, where it preempts programs.
 */
void fault_counted(struct ks *ks, uint32_t probe, uint64_t counted, uint64_t done);

/* Takes all records. Returns their number without KS_EVENT_LOST. */
unsigned fault_drain(struct ks *ks);
/* Disables the probe, drains, and asserts that the ledger balances. */
void fault_settle(struct ks *ks, uint32_t probe);
/*
 * Asserts that the probe works with this variant: ten of its events are counted, each with a
 * record.
 */
void fault_exact(struct ks *ks, uint32_t probe, const char *variant);

#endif
