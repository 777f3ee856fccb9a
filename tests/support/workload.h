/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload.h - child processes that do a known amount of known things
 *
 * A child waits for work_go() first, so that a test can add its pid to a scope before it does
 * anything. Parent and child share `page`: there the child records what it has really done.
 */
#ifndef KS_TESTS_WORKLOAD_H
#define KS_TESTS_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "ks_test.h"

#define WORK_PAGE (1u << 20) /* bytes of the shared page */

/* Runs in the child, which has one thread at first. Returns the exit status. */
typedef int (*work_fn)(void *page);

struct work {
	pid_t pid;
	int go;     /* work_go() writes here */
	void *page; /* shared with the child, all zero at first */
	int status;           /* of wait4() */
	struct rusage usage;  /* of wait4() */
	uint64_t begin_ns, end_ns; /* CLOCK_MONOTONIC before the fork, after the wait */
};

/* Forks the child. It keeps only the standard descriptors of its parent. */
void work_start(struct work *w, work_fn fn);
/* Lets the child begin. */
void work_go(struct work *w);
/* Waits until the child has ended. */
void work_wait(struct work *w);
/* work_go() and work_wait() in one. */
void work_run(struct work *w);
/* Unmaps the page. */
void work_free(struct work *w);

uint64_t work_now(void); /* CLOCK_MONOTONIC, ns */
uint64_t work_stolen(void); /* stolen time of /proc/stat, in ns */
void work_pin(unsigned cpu);
void work_unpin(void);
/*
 * Returns a descriptor of a new, unlinked file on disk, -1 where there are only memory file
 * systems.
 */
int work_file(void);

/* ---- advice --------------------------------------------------------------------------------- */

/* A call as it was made, and its outcome. */
struct fad_call {
	int32_t fd;
	int32_t result; /* 0 or -errno */
	uint32_t advice;
	uint32_t device; /* major << 20 | minor */
	uint64_t inode;  /* 0: no file behind fd */
	uint64_t offset;
	uint64_t length;
	uint64_t dropped; /* pages that left memory in the call (mincore) */
	uint64_t duration_ns; /* as the caller measures it: longer than in the kernel */
};

struct fad_page {
	uint32_t n;
	char comm[16];
	struct fad_call call[];
};

/* Makes one call by syscall number and records it in the page. */
struct fad_call *fad_make(struct fad_page *page, int fd, uint64_t offset, uint64_t length,
			  uint32_t advice);

/*
 * Makes a table of calls on one CPU. With N = FAD_N: NORMAL N + 5 times (N, 3 with a bad
 * descriptor, 2 with a pipe), RANDOM N + 1, SEQUENTIAL N + 2, WILLNEED N + 3, DONTNEED N + 4,
 * NOREUSE N + 5, the unknown advice 99 seven times. Of the 87 calls 75 succeed; 7 give EINVAL, 3
 * EBADF, 2 ESPIPE.
 */
#define FAD_N 10
#define FAD_CALLS 87
int fad_table(void *page);
/* The same, by a process that names itself FAD_NAME. */
#define FAD_NAME "table-work"
int fad_named(void *page);

/* Makes 10,000 quick SEQUENTIAL calls that succeed. It records only their number. */
#define FAD_MANY 10000
int fad_many(void *page);

/* ---- processes ------------------------------------------------------------------------------ */

struct proc_child {
	int32_t pid;
	int32_t status; /* of wait4() */
	uint64_t begin_ns, end_ns;
};

struct proc_page {
	uint32_t n;
	struct proc_child child[];
};

/*
 * Forks 1,000 children times KS_TEST_SCALE, one after the other. Child i exits with status i % 256.
 */
#define PROC_FORKS ks_test_volume(1000, 50)
int proc_forks(void *page);

#endif
