/* SPDX-License-Identifier: BSD-2-Clause */
/* producer.h - a process of its own that makes events at a pace, as a database's backends would */
#ifndef PRODUCER_H
#define PRODUCER_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

/* In memory that both processes share. */
struct producer {
	_Atomic uint64_t gap_ns;   /* between two calls of getppid(), Poisson; 0: rest */
	_Atomic uint64_t calls;    /* made since it was started */
	_Atomic uint64_t room;     /* calls that it may be ahead of `seen`; 0: any */
	_Atomic uint64_t seen;     /* calls whose records have arrived */
	atomic_int resting;
	pid_t pid;
};

/* On CPU `cpu`, resting. It ends with its parent. */
struct producer *producer_start(int cpu);
/* Sets the pace; with 0 it returns when the last call is over. */
void producer_pace(struct producer *p, uint64_t gap_ns);
void producer_stop(struct producer *p);

#endif
