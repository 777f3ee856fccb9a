/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload.h - child processes that do a known amount of known things
 *
 * A child is made first and waits for a word, so that a test can put its pid into a scope before it
 * does anything. Parent and child share `page`: the child writes there what it has really done.
 */
#ifndef KS_TESTS_WORKLOAD_H
#define KS_TESTS_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "ks_test.h"

#define WORK_PAGE (1u << 20) /* bytes of the shared page */

/* Runs in the child, single-threaded at first; what it returns is the exit status. */
typedef int (*work_fn)(void *page);

struct work {
	pid_t pid;
	int go;     /* the word goes in here */
	void *page; /* zero at first */
	int status;           /* of wait4() */
	struct rusage usage;  /* of wait4() */
	uint64_t begin_ns, end_ns; /* CLOCK_MONOTONIC just before the fork and just after the wait */
};

/* Makes the child. It holds no descriptor of the parent but its standard ones. */
void work_start(struct work *w, work_fn fn);
/* Gives the word. */
void work_go(struct work *w);
/* Waits until the child has ended. */
void work_wait(struct work *w);
/* Both. */
void work_run(struct work *w);
/* Gives the page back. */
void work_free(struct work *w);

uint64_t work_now(void); /* CLOCK_MONOTONIC, ns */
uint64_t work_stolen(void); /* ns that the hypervisor has kept from the CPUs, as /proc/stat tells it */
void work_pin(unsigned cpu);
void work_unpin(void);
/* A descriptor of a new, unlinked file on the disk, or -1 where there is only memory. */
int work_file(void);

/* ---- advice --------------------------------------------------------------------------------- */

/* A call as it was made, and what became of it. */
struct fad_call {
	int32_t fd;
	int32_t result; /* 0 or -errno */
	uint32_t advice;
	uint32_t device; /* major << 20 | minor */
	uint64_t inode;  /* 0: no file behind fd */
	uint64_t offset;
	uint64_t length;
	uint64_t dropped; /* pages of the file in memory before, minus those after (mincore) */
	uint64_t duration_ns; /* as the caller sees it: longer than the kernel's */
};

struct fad_page {
	uint32_t n;
	char comm[16];
	struct fad_call call[];
};

/* Makes one call by system call number and notes it down. */
struct fad_call *fad_make(struct fad_page *page, int fd, uint64_t offset, uint64_t length,
			  uint32_t advice);

/*
 * The table: with N = 10, NORMAL N + 5 (N, 3 to a bad descriptor, 2 to a pipe), RANDOM N + 1,
 * SEQUENTIAL N + 2, WILLNEED N + 3, DONTNEED N + 4, NOREUSE N + 5, advice 99 seven times. On one
 * CPU. 82 calls plus 5: 75 succeed; 7 EINVAL, 3 EBADF, 2 ESPIPE.
 */
#define FAD_N 10
#define FAD_CALLS 87
int fad_table(void *page);
/* The same by a process that calls itself FAD_NAME. */
#define FAD_NAME "table-work"
int fad_named(void *page);

/* 10,000 quick calls that succeed, by SEQUENTIAL; nothing is noted down but n. */
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

/* 1,000 children times KS_TEST_SCALE, one after the other; child i ends with status i % 256. */
#define PROC_FORKS ks_test_volume(1000, 50)
int proc_forks(void *page);

#endif
