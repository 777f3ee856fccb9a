/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wakes.h - the wake-ups of a thread, as the kernel's own tracer sees them
 *
 * On some machines the kernel runs no BPF program while a thread of process 1 is current. There all
 * that the agent in process 1 does is hidden from the library, and so are wake-ups by interrupts
 * that arrive meanwhile.
 */
#ifndef KS_TESTS_WAKES_H
#define KS_TESTS_WAKES_H

#include <sys/types.h>

struct wakes {
	char *dir; /* a tracefs instance; NULL: none can be had */
};

/* Starts counting. */
void wakes_begin(struct wakes *w, pid_t tid);
/*
 * Stops and returns the number of wake-ups. Without a tracer it returns 0 and sets *ret_looked to
 * 0. *ret_in_first: wake-ups while a thread of process 1 was current.
 */
unsigned wakes_end(struct wakes *w, int *ret_looked, unsigned *ret_in_first);

#endif
