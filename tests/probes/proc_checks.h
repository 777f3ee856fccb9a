/* SPDX-License-Identifier: BSD-2-Clause */
/* proc_checks.h - what the tests of `proc` share */
#ifndef KS_TESTS_PROC_CHECKS_H
#define KS_TESTS_PROC_CHECKS_H

#include "support/harness.h"

/* Runs a work with itself and its descendants in scope; the probe is at rest afterwards. */
void proc_watch(struct kt *t, struct work *w, work_fn fn);
/* Counters and numbers of records. */
void proc_totals(struct kt *t, uint64_t processes, uint64_t threads, uint64_t execs,
		 uint64_t process_exits, uint64_t thread_exits);
/* The end of a thread, by its number: there is exactly one. */
const struct ks_event_proc_exit *proc_end_of(const struct kt *t, int32_t tid);
/* The same for a child: within its time, as a busy machine may have given its number away again. */
const struct ks_event_proc_exit *proc_end_of_child(const struct kt *t, const struct proc_child *c);
/* The beginning of a child or thread. */
const struct ks_event_proc_fork *proc_begin_of(const struct kt *t, const struct proc_child *c);
/* The record says what wait4() said. */
void proc_ended_as(const struct ks_event_proc_exit *ev, int status);

/* For pthread_create(): notes the thread's number in an int32_t. */
void *proc_note_tid(void *arg);
/* A folder and the files in it. */
void proc_remove_dir(const char *dir);

#endif
