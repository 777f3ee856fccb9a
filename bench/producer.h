/* SPDX-License-Identifier: BSD-2-Clause */
/* producer.h - a separate process that makes events at a given rate, like a database's backends */
#ifndef PRODUCER_H
#define PRODUCER_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

/* State in memory that both processes share. */
struct producer {
	_Atomic uint64_t gap_ns;   /* mean time between calls of getppid(), Poisson; 0: idle */
	_Atomic uint64_t calls;    /* number of calls since the start */
	_Atomic uint64_t room;     /* how far `calls` may be ahead of `seen`; 0: no limit */
	_Atomic uint64_t seen;     /* number of calls whose records the consumer has read */
	atomic_int idle;
	pid_t pid;
};

/* Starts a producer on CPU `cpu`, idle. It ends when its parent ends. */
struct producer *producer_start(int cpu);
/* Sets gap_ns. With 0 it waits until the producer is idle. */
void producer_pace(struct producer *p, uint64_t gap_ns);
void producer_stop(struct producer *p);

#endif
