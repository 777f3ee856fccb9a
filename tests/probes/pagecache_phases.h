/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pagecache_phases.h - what the processes of the tests of pagecache do to a file, and what that comes
 * to in pages
 */
#ifndef KS_TESTS_PAGECACHE_PHASES_H
#define KS_TESTS_PAGECACHE_PHASES_H

#include <stdint.h>

#define PAGE 4096
#define N 408 /* pages of the file: no whole number of pipes (16) or of large reads (256) */
#define MORE 200

/* What a work finds in its page. */
struct plan {
	char path[256];
	uint32_t phase;
	uint32_t refused; /* errno of what cannot be done here */
};

/* The file before. */
enum state { NEW, COLD, WARM };

struct phase {
	const char *name;
	enum state state;
	int (*run)(int fd);
	uint64_t requested, missed, readin, written, evicted;
	uint64_t mapped; /* at least, by faults or around them */
	uint64_t
		beyond; /* requested behind the end of the file, where the program cannot know it */
	uint64_t beyond_missed; /* at most, of these */
	int in_pieces;          /* whose begin only a miss tells */
	int alike;              /* its reads look like one, where pieces are not told */
	int past_end;           /* may bring in a page that the file does not have */
	int optional;
};

extern const struct phase phases[];
extern const uint32_t n_phases;
uint32_t phase_of(int (*run)(int fd));
/* The phase of a struct plan, on CPU 0. */
int run_phase(void *plan);

/* 0, or it went wrong. */
int write_all(int fd);
int append(int fd);
int read_all(int fd);
int read_random(int fd);
int read_random_16k(int fd);
int drop(int fd);

#endif
