/* SPDX-License-Identifier: BSD-2-Clause */
/* proc_checks.h - what the tests of `proc` have in common */
#ifndef KS_TESTS_PROC_CHECKS_H
#define KS_TESTS_PROC_CHECKS_H

#include "support/harness.h"

/*
 * Runs a workload with itself and its descendants in scope. The probe is disabled and drained
 * afterwards.
 */
void proc_watch(struct kt *t, struct work *w, work_fn fn);
/* Asserts the counters and the numbers of records. */
void proc_totals(struct kt *t, uint64_t processes, uint64_t threads, uint64_t execs,
		 uint64_t process_exits, uint64_t thread_exits);
/* A reader by role, made before the probe is enabled; proc_same_rows() frees it. */
struct ks_reader *proc_reader(struct kt *t);
/* Asserts that the rows of threads, read as those without a role, have the numbers of the total. */
void proc_same_rows(struct kt *t, struct ks_reader *reader);
/* Returns the end record of a thread, after asserting that there is exactly one. */
const struct ks_event_proc_exit *proc_end_of(const struct kt *t, int32_t tid);
/*
 * The same for a child. Only records within the child's time count: a busy machine may have reused
 * its pid.
 */
const struct ks_event_proc_exit *proc_end_of_child(const struct kt *t, const struct proc_child *c);
/* Returns the fork record of a child or thread. */
const struct ks_event_proc_fork *proc_begin_of(const struct kt *t, const struct proc_child *c);
/* Asserts that the record has the status that wait4() returned. */
void proc_ended_as(const struct ks_event_proc_exit *ev, int status);

/*
 * True if the programs have loops over a variable (Linux 6.4): these take many threads, and look
 * again if the kernel releases a thread meanwhile. They need read-only casts.
 */
int proc_walks_far(const struct kt *t);
/* For pthread_create(): writes the thread's tid to the int32_t at arg. */
void *proc_note_tid(void *arg);
/* Waits until the first thread of a process is a zombie. */
void proc_gone(pid_t pid);
/* Removes a folder and the files in it. */
void proc_remove_dir(const char *dir);

#endif
