/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wakes.h - the wake-ups of a thread, as the kernel's own tracer sees them
 *
 * There are machines whose kernel runs no program while a thread of process 1 is the current one: what
 * their agent does is hidden, and with it the wake-ups by interrupts that come just then.
 */
#ifndef KS_TESTS_WAKES_H
#define KS_TESTS_WAKES_H

#include <sys/types.h>

struct wakes {
	char *dir; /* an instance of the tracer; NULL: none can be had */
};

/* From now on. */
void wakes_begin(struct wakes *w, pid_t tid);
/* How many there were. 0: none, or nobody has looked, and *ret_looked is 0. */
unsigned wakes_end(struct wakes *w, int *ret_looked, unsigned *ret_in_first);

#endif
