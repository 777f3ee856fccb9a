/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_proc.h - a /proc made of plain files, and the source of files over it
 *
 * At first it has process 1, "init", and process 100, the host. Tests read the records of a scan as
 * lines of text:
 *	fork PARENT COMM > CHILD
 *	exec PID COMM of PPID in SESSION by UID PATH
 *	exit PID COMM of PPID in SESSION
 *	lost RECORDS for REASON of PROBE
 * The functions here check the members that are alike in all records.
 */
#ifndef KS_TEST_FAKE_PROC_H
#define KS_TEST_FAKE_PROC_H

#include "data/ledger.h"
#include "data/rows.h"
#include "ks.h"

#define EXITING 0x4
#define FORKNOEXEC 0x40
#define KTHREAD 0x200000
#define NONE ""
#define IN_EXEC UINT64_MAX /* as `stack`: inside exec, between two programs */

struct bed {
	char *dir;
	struct ks *ks;
	struct ks__source *s;
	struct ks__settings set; /* generation 3, records without limits, an hour between scans */
	struct ks__rows rows;    /* rows of the last bed_look() */
};

/*
 * bed_new(): the probe is disabled, the scope is self. bed_on(): it is enabled, the scope is
 * system.
 */
struct bed *bed_new(uint64_t ring_bytes);
struct bed *bed_on(void);
/* The test must have read every record. */
void bed_free(struct bed *bed);

/*
 * Adds a process which sleeps, has one thread, and has pid / 10 as its session. stack 0: /proc
 * hides the addresses of this process.
 */
void show(struct bed *bed, int pid, int ppid, const char *comm, unsigned long long ticks,
	  unsigned long long stack, unsigned flags);
void show_as(struct bed *bed, int pid, int ppid, const char *comm, unsigned long long ticks,
	     unsigned long long stack, unsigned flags, char state, int threads);
/* Adds n children of the host with pids from `first` on. */
void show_children(struct bed *bed, int first, int n);
void vanish(struct bed *bed, int pid);
/* Returns the path of a process's file, or of its folder (file NULL); g_free() it. */
char *bed_path(struct bed *bed, int pid, const char *file);
void bed_write(struct bed *bed, int pid, const char *file, const char *text);
void bed_link_exe(struct bed *bed, int pid, const char *target);

/* Hands bed->set to the source. */
void bed_apply(struct bed *bed);
void bed_enable(struct bed *bed);
/* Sets the scope as the api layer does. Returns 0, or the source's error. */
int bed_set_scope(struct bed *bed, const struct ks__scope *scope);
void bed_scope(struct bed *bed, uint32_t kind, int32_t a, int32_t b);

/* bed_look(): scans for a reader. bed_count(): one counter of that reader's row. */
int bed_look(struct bed *bed);
uint64_t bed_count(struct bed *bed, const char *field);
/* Makes a sink as the api layer does. */
struct ks__sink bed_sink(struct bed *bed, ks_event_fn fn, void *user);
/* Delivers up to max records and asserts that they are `want`. Returns how many there were. */
unsigned bed_drain(struct bed *bed, unsigned max, const char *want);
/* bed_look() and bed_drain() in one. */
void bed_found(struct bed *bed, const char *want);

/* Returns the ledger after asserting that it balances. */
struct ks__ledger bed_ledger(struct bed *bed);
/* Asserts every outcome in the ledger. */
void bed_outcomes(struct bed *bed, uint64_t filtered, uint64_t aggregated, uint64_t submitted);

#endif
