/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan.h - the interface of a scan: it serves a probe from files, without kernel programs
 *
 * A look reads the files. A scan finds events, or changes of counters, as differences between two
 * looks. For each event it calls ks__look_in_scope(), then ks__look_count(), and if that asks for a
 * record ks__look_head() and ks__look_put(). So each event ends in exactly one outcome of the
 * ledger, and settings mean the same as for kernel programs.
 */
#ifndef KS_SCAN_H
#define KS_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/shared.h"
#include "../source/source.h"
#include "queue.h"

/* The counts of one probe. */
struct ks__tally {
	uint64_t outcome[KS_OUTCOMES];
	uint64_t delivered, queued; /* submitted is their sum */
	uint64_t *block;            /* raw statistics; see lib/data/rows.h */
	uint64_t full_ns;           /* token bucket of the record limit: when it is full again */
	uint64_t random;            /* state of the random numbers for the sample; never 0 */
};

/* One look. */
struct ks__look {
	int proc_fd;
	int32_t self;        /* the pid of the host in this procfs */
	uint32_t scope_turn; /* changes with each change of the scope */
	const struct ks__scope *scope;
	const struct ks__settings *set;
	struct ks__tally *tally;
	struct ks__queue *queue;
	uint64_t now_ns; /* the scan sets it after it has read its files: the time of its events */
};

struct ks__scan {
	const char *const *files; /* the files that it reads below proc_path, for ks_explain() */

	/* Allocates the state, without a look. 0 or -ENOMEM. */
	int (*open)(const struct ks__probe *probe, void **ret_state);
	void (*close)(void *state);
	/*
	 * Looks once. The first look only notes the present state. After a look that failed, the
	 * next one also finds its events. 0 or a negative code.
	 */
	int (*look)(void *state, struct ks__look *look);
	size_t (*bytes)(const void *state);

	/*
	 * Returns why it cannot serve such a scope, for people; NULL: it can. The member may be
	 * NULL.
	 */
	const char *(*no_scope)(const struct ks__scope *scope);
	/* 1: it misses what ends between two looks, so the consumer looks each interval, too */
	int misses_ends;
	/* 1: it reads single processes, so a procfs with hidepid hides some of them */
	int sees_processes;
};

/*
 * Does the scope name this process, and not an earlier one with the same pid? start 0: unknown, so
 * the pid decides.
 */
int ks__look_is_named(const struct ks__look *look, int32_t pid, uint64_t start);

/*
 * Is this process in scope? in_tree: the answer of the scan for KS_SCOPE_TREE and KS_SCOPE_CGROUP.
 */
int ks__look_in_scope(const struct ks__look *look, int32_t pid, uint64_t start, int in_tree,
		      const char *comm);

/*
 * Counts an event in word `word` of the statistics (negative: in none) and in the ledger. Returns
 * the weight of the record that the caller must put; 0: no record.
 */
uint32_t ks__look_count(struct ks__look *look, uint32_t probe, int in_scope, int word);

/* Fills the head of a record. ks__look_put() then puts the record into the queue. */
void ks__look_head(const struct ks__look *look, uint16_t size, uint16_t id, int32_t pid,
		   const char *comm, struct ks_event *ret);
void ks__look_put(struct ks__look *look, struct ks_event *ev, uint32_t weight);

/* ---- the scans of this library --------------------------------------------------------------- */

/*
 * proc: events of processes, as differences between two walks over /proc. A pid and a start time
 * identify a process.
 *
 *  fork  The process is new. The record names the present parent: if the process that forked has
 *        ended, that is the process that has adopted the child.
 *  exec  PF_FORKNOEXEC is cleared, or the addresses of the program have changed (ASLR chooses new
 *        ones). Where the addresses cannot be read (a process of another user): the comm has
 *        changed, which may be only a prctl(PR_SET_NAME). The path is that of /proc/PID/exe: for a
 *        script, the interpreter.
 *  exit  The process is gone or a zombie.
 *
 * Several execs between two looks count as one. A process that begins and ends between two looks is
 * not seen. start_ns is rounded down to clock ticks, 10 ms. The file counts from boot, including
 * the time that the machine slept; the scan subtracts the difference between CLOCK_BOOTTIME and
 * CLOCK_MONOTONIC at the first look that sees the process. Pids are those of the pid namespace of
 * the procfs at proc_path.
 */
extern const struct ks__scan ks__scan_proc;

/*
 * vmstat: for pagecache, the bytes that block devices have read, without swap. The file has numbers
 * of the whole machine, so this scan serves KS_SCOPE_SYSTEM only.
 */
extern const struct ks__scan ks__scan_vmstat;

/*
 * sched: differences between two looks at the sums that the kernel keeps for each thread. It makes
 * no events. It misses what a thread did between the last look and its end. Time asleep is the time
 * that a thread neither ran nor waited for a CPU; for a thread that began since the last look, to
 * the precision of a clock tick.
 */
extern const struct ks__scan ks__scan_sched;

#endif
