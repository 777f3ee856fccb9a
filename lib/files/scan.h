/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan.h - fallbacks that make events: files are looked at, and what differs from the last look is
 * what has happened
 *
 * A scan finds events and asks of each, in this order: is it in scope (ks__look_in_scope), what
 * becomes of it (ks__look_count), and, if a record is wanted, fills one (ks__look_put). Each event
 * ends in exactly one outcome of the ledger, and settings mean what they mean in the kernel.
 */
#ifndef KS_SCAN_H
#define KS_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/shared.h"
#include "../source/source.h"
#include "queue.h"

/* What is counted of one probe. */
struct ks__tally {
	uint64_t outcome[KS_OUTCOMES];
	uint64_t delivered, queued; /* submitted is their sum */
	uint64_t *block;            /* raw statistics, see lib/data/rows.h */
	uint64_t full_ns;           /* the record limit: time up to which records are spent */
	uint64_t random;            /* picks the sample; never 0 */
};

/* One look. */
struct ks__look {
	int proc_fd;
	int32_t self;         /* the host, as its number is below proc_fd */
	uint32_t scope_turn;  /* another number: another scope */
	const struct ks__scope *scope; /* pids in ascending order */
	const struct ks__settings *set;
	struct ks__tally *tally;
	struct ks__queue *queue;
	uint64_t now_ns; /* set by the scan when it has read its files: time of all that it found */
};

struct ks__scan {
	const char *const *files; /* what it reads below proc_path, NULL-ended; for ks_explain() */

	/* No look yet. 0 or -ENOMEM. */
	int (*open)(const struct ks__probe *probe, void **ret_state);
	void (*close)(void *state);
	/* The first look finds nothing. What a failed one would have found the next one does. */
	int (*look)(void *state, struct ks__look *look);
	size_t (*bytes)(const void *state);

	/* Why it has no answer for such a scope, in words; NULL: it has. The member may be NULL. */
	const char *(*no_scope)(const struct ks__scope *scope);
	/* 1: what ends between two looks is lost, so it is looked at each interval, not only when read */
	int misses_ends;
	/* 1: it sees single processes, of which procfs may hide some */
	int sees_processes;
};

/* Does it watch this process? in_tree: for KS_SCOPE_TREE and KS_SCOPE_CGROUP the scan knows. */
int ks__look_in_scope(const struct ks__look *look, int32_t pid, int in_tree, const char *comm);

/*
 * Count an event in word `word` of the statistics (negative: in none) and in the ledger. The weight
 * of the record to put, or 0: no record.
 */
uint32_t ks__look_count(struct ks__look *look, uint32_t probe, int in_scope, int word);

/* Begin a record: size, id, who, and what the settings ask for. */
void ks__look_head(const struct ks__look *look, uint16_t size, uint16_t id, int32_t pid,
		   const char *comm, struct ks_event *ret);
void ks__look_put(struct ks__look *look, struct ks_event *ev, uint32_t weight);

/* ---- the scans of this library --------------------------------------------------------------- */

/*
 * proc: processes, by the differences of two walks over /proc, known by pid and start time.
 *
 *  fork  a process that was not there. By its parent of now: if the one who forked is gone already,
 *        that is who adopted it.
 *  exec  PF_FORKNOEXEC went away, or the program's addresses, which ASLR makes anew, are others.
 *        Where they may not be read (another user's process): another name, which may also be
 *        a mere prctl(PR_SET_NAME). The path is what /proc/PID/exe says, so not a script's.
 *  exit  it is gone or a zombie.
 *
 * Several execs between two looks are one; who came and went between them was never there.
 * start_ns has the resolution of clock ticks, 10 ms, rounded down: the file counts since boot, with
 * the time asleep, and what CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC at the first sight of the
 * process is taken off. Pids are those of the namespace of the procfs at proc_path.
 */
extern const struct ks__scan ks__scan_proc;

/*
 * vmstat: for pagecache, what block devices have read, less what was for swap. Of the whole machine:
 * it has no answer for any scope but the system's, rather than tell others' numbers.
 */
extern const struct ks__scan ks__scan_vmstat;

/*
 * sched: sums of threads, which the kernel keeps, as differences of two looks. It makes no events. Of a
 * thread that ends, what it did since the last look is missing. Asleep is what is neither running
 * nor waiting; of a thread that began since, to a clock tick.
 */
extern const struct ks__scan ks__scan_sched;

#endif
