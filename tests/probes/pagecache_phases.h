/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pagecache_phases.h - what the processes of pagecache's tests do to a file, and the pages that
 * this has to count
 */
#ifndef KS_TESTS_PAGECACHE_PHASES_H
#define KS_TESTS_PAGECACHE_PHASES_H

#include <stdint.h>

#define PAGE 4096
#define N 408 /* pages of the file: no multiple of a pipe (16) or of large reads (256) */
#define MORE 200

/* The shared page of a workload. */
struct plan {
	char path[256];
	uint32_t phase;
	uint32_t refused; /* errno of a phase that this machine cannot run */
};

/* State of the file before the phase. */
enum state { NEW, COLD, WARM };

struct phase {
	const char *name;
	enum state state;
	int (*run)(int fd);
	uint64_t requested, missed, readin, written, evicted;
	uint64_t mapped; /* at least, by faults or around them */
	uint64_t faults; /* at least */
	uint64_t around; /* all by pages around faults, so that no fault finds its page unmapped */
	uint64_t
		beyond; /* requested behind the file's end, if the program cannot know the end */
	uint64_t beyond_missed; /* how many of these may be missed */
	uint64_t again; /* requested pages that count twice if misses are not known */
	int in_pieces;          /* where they begin, only a miss tells */
	int alike;              /* its reads look like one read if pieces are not known */
	int past_end;           /* may read in a page behind the file's end */
	int optional;
};

extern const struct phase phases[];
extern const uint32_t n_phases;
uint32_t phase_of(int (*run)(int fd));
/* Runs the phase of a struct plan on CPU 0. */
int run_phase(void *plan);

/* Returns 0, or else it failed. */
int write_all(int fd);
int append(int fd);
int read_all(int fd);
int read_random(int fd);
int read_random_16k(int fd);
int drop(int fd);

#endif
