/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_proc.h - a /proc made of plain files, and the source of files over it
 *
 * It has process 1, "init", and the host, process 100. What the scan finds comes as lines of text:
 *	fork PARENT COMM > CHILD
 *	exec PID COMM of PPID in SESSION by UID PATH
 *	exit PID COMM of PPID in SESSION
 *	lost RECORDS for REASON of PROBE
 * and what all records have in common is checked on the way.
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
#define IN_EXEC UINT64_MAX /* a stack: the old program is gone, the new one not there yet */

struct bed {
	char *dir;
	struct ks *ks;
	struct ks__source *s;
	struct ks__settings set; /* generation 3, records without limits, an hour between looks */
	struct ks__rows rows;    /* of the last bed_look() */
};

/* Off and with scope self; and on, with scope system. */
struct bed *bed_new(uint64_t ring_bytes);
struct bed *bed_on(void);
/* Everything must have been read. */
void bed_free(struct bed *bed);

/* It sleeps and has one thread; its session is pid / 10. stack 0: its addresses are hidden. */
void show(struct bed *bed, int pid, int ppid, const char *comm, unsigned long long ticks,
	  unsigned long long stack, unsigned flags);
void show_as(struct bed *bed, int pid, int ppid, const char *comm, unsigned long long ticks,
	     unsigned long long stack, unsigned flags, char state, int threads);
/* n new children of the host, `first` and up */
void show_children(struct bed *bed, int first, int n);
void vanish(struct bed *bed, int pid);
/* Path of a file of a process, or of its folder; g_free() it. */
char *bed_path(struct bed *bed, int pid, const char *file);
void bed_write(struct bed *bed, int pid, const char *file, const char *text);
void bed_link_exe(struct bed *bed, int pid, const char *target);

/* Hands bed->set to the source. */
void bed_apply(struct bed *bed);
void bed_enable(struct bed *bed);
/* As the api layer does it: 0, or the refusal. */
int bed_set_scope(struct bed *bed, const struct ks__scope *scope);
void bed_scope(struct bed *bed, uint32_t kind, int32_t a, int32_t b);

/* A reader's look, and one counter of it. */
int bed_look(struct bed *bed);
uint64_t bed_count(struct bed *bed, const char *field);
/* As the api layer makes one. */
struct ks__sink bed_sink(struct bed *bed, ks_event_fn fn, void *user);
/* Hands over up to max records, which must be these; returns how many. */
unsigned bed_drain(struct bed *bed, unsigned max, const char *want);
/* Both. */
void bed_found(struct bed *bed, const char *want);

/* The ledger, which must balance. */
struct ks__book bed_book(struct bed *bed);
/* All of it. */
void bed_outcomes(struct bed *bed, uint64_t filtered, uint64_t aggregated, uint64_t submitted);

#endif
