/* SPDX-License-Identifier: BSD-2-Clause */
/* fault.h - what these tests share: small exact workloads, children, what the kernel holds */
#ifndef KS_TESTS_FAULT_H
#define KS_TESTS_FAULT_H

#include <stdint.h>
#include <sys/types.h>

#include "support/burst.h"
#include "support/counters.h"
#include "support/ks_test.h"
#include "support/workload.h"

/* Runs in a child, which must end well; what is broken there stays there. */
void fault_in_child(void (*fn)(const void *data), const void *data);
void fault_reap(pid_t pid);

/* With a mount namespace of our own in which tracefs is there. */
void fault_private_mounts(void);
/* Nothing is in this folder any more, for this mount namespace. */
void fault_hide(const char *dir);
/* A memory file with this in it; its name. */
char *fault_file(const void *bytes, size_t size);
/* A system call fails from now on. */
void fault_filter(int nr, int error);
/* Capabilities as bits 1 << CAP_...; uid and gid change first if uid is not 0. */
void fault_become(uid_t uid, uint64_t caps);

/* The newest program and the newest map of the machine. */
struct fault_kernel {
	uint32_t id[2];
};
void fault_kernel(struct fault_kernel *now);
/*
 * Nothing of the library that was made since is left, but what another test's process holds; what
 * is on its way out is waited for.
 */
void fault_kernel_clean(const struct fault_kernel *since);

struct ks *fault_open(const struct ks_open_opts *opts);
/* Memory of BPF counts against RLIMIT_MEMLOCK (before 5.11), as ks_check() says. */
int fault_counts_locked(void);
/* By this variant; NULL: the best. Every fadvise() makes a record. */
void fault_enable(struct ks *ks, uint32_t probe, const char *variant);
/*
 * tp_btf, or raw_tp where this kernel has nothing better: fadvise and burst want their own task,
 * which typed programs are told from 5.11 on.
 */
const char *fault_typed(uint32_t probe);
/* Burst makes so many records of each getppid(). */
void fault_burst(struct ks *ks, unsigned records);
/* Cannot be enabled by this variant, and the reason has all these words (NULL: no more). */
void fault_refused(struct ks *ks, uint32_t probe, const char *variant, const char *const *words);

/* proc works on files: a child that lives through two looks is seen. Ends settled. */
void fault_fallback(struct ks *ks);

/* Calls that succeed, by this thread; processes that come and go. */
void fault_advise(unsigned n);
void fault_fork(unsigned n);
/* The row of the probe's totals. */
void fault_total(struct ks *ks, uint32_t probe, void *ret_row, size_t size);
/* The same as the library has counted them. */
uint64_t fault_advised(struct ks *ks);
uint64_t fault_forked(struct ks *ks);
struct ks_stats_self fault_book(struct ks *ks, uint32_t probe);
/* All that was done was counted, or where the kernel preempts programs, left out and told as missed. */
void fault_counted(struct ks *ks, uint32_t probe, uint64_t counted, uint64_t done);

/* Takes all records; returns how many, those of KS_EVENT_LOST apart. */
unsigned fault_drain(struct ks *ks);
/* Off, drained, balanced. */
void fault_settle(struct ks *ks, uint32_t probe);
/* The probe works by this variant: ten of its events are counted, and there is a record of each. */
void fault_exact(struct ks *ks, uint32_t probe, const char *variant);

#endif
