/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * threads.h - the library's half of statistics by thread (the kernel's half: bpf/threads.bpf.h)
 *
 * Kernel programs write the slots and rows of all threads; readers read them through a mapping,
 * without a syscall and without waiting. A reader or consumer that finds many slots of dead threads
 * frees them: it adds their numbers to `base`, by process while the process lives, then by cgroup
 * and role. Freeing takes the lock for writing, so that no reader sees a number twice or misses it.
 */
#ifndef KS_THREADS_H
#define KS_THREADS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "../../bpf/shared.h"
#include "../base/fd.h"
#include "../data/groups.h"

#define KS__OPEN_STATES 4

/* The rows of one probe. */
struct ks__thread_rows {
	_Atomic(char *) mem; /* NULL: the probe has none yet */
	size_t stride, size;
	unsigned n_open;                /* number of states of a thread; 0: no open intervals */
	int open_word[KS__OPEN_STATES]; /* index of the sum that grows in state i + 1 */
	_Atomic uint64_t off_ns;        /* time of detach, which ends open intervals; 0: attached */
	int seed_fd;                    /* attached iterator that looks at all threads, -1: none */
	struct ks__groups base;         /* numbers of freed slots */
	_Atomic uint64_t *shown; /* by slot and state: the highest sum that any reader has read */
	uint64_t *scratch;       /* words of one row, for the holder of the write lock */
};

struct ks__threads {
	struct ks__fds *fds;
	pthread_rwlock_t lock;
	uint32_t n_cpus, n_slots;
	struct ks_bpf_control *control;
	_Atomic(struct ks_bpf_thread *) slots;
	size_t slots_size;
	int free_fd;       /* queue of free slots */
	int who_fd;        /* hash by task on kernels without task storage, else -1 */
	uint32_t emptied;  /* how many of control->threads_dead are freed */
	uint64_t swept_ns; /* when slots of dead threads were last looked for */
	uint64_t seeded_ns; /* when seed programs last ran */
	struct ks__thread_rows rows[KS_BPF_PROBES];
};

void ks__threads_init(struct ks__threads *t, struct ks__fds *fds);
void ks__threads_close(struct ks__threads *t);
/* Unmaps and frees nothing: for a forked child, since another thread may have been in here. */
void ks__threads_leave(struct ks__threads *t);

/*
 * Maps the slots; later calls do nothing. push: puts all slots into the queue of free slots, for
 * kernels without an atomic fetch-and-add. 0 or -errno.
 */
int ks__threads_map(struct ks__threads *t, int slots_fd, int free_fd, uint32_t n_slots,
		    uint32_t n_cpus, struct ks_bpf_control *control, int push);
/* Maps the rows of a probe; later calls do nothing. 0 or -errno. */
int ks__threads_map_rows(struct ks__threads *t, const struct ks__probe *probe, int fd,
			 uint32_t value_size);

/* Undoes ks__threads_map_rows() for a probe that was never enabled. */
void ks__threads_unmap_rows(struct ks__threads *t, uint32_t probe);

/*
 * on: the programs that see threads end are attached, so threads may get rows. new: a new thread
 * gets its row before its first event. Off: threads get no rows; when tracking goes on again, all
 * threads get new ones.
 */
void ks__threads_track(struct ks__threads *t, int on, int new);

/* live 1: the probe's programs are attached from now on; 0: they are detached. */
void ks__threads_live(struct ks__threads *t, uint32_t probe, int live);

/*
 * Sets the probe's seed program, an iterator that records what each thread is doing. It runs now,
 * and again when other programs of the probe have met threads that it did not see. link_fd is
 * copied; -1 removes the seed program. 0 or -errno.
 */
int ks__threads_seed(struct ks__threads *t, uint32_t probe, int link_fd);
/* Runs all seed programs again, since other threads are in scope now. */
void ks__threads_reseed(struct ks__threads *t);

/* Runs them again if programs have met threads that were not seeded; at most once a second. */
void ks__threads_seed_strangers(struct ks__threads *t);

/* Adds all rows of a probe to `into`. Any thread. 0 or -ENOMEM. */
int ks__threads_read(struct ks__threads *t, uint32_t probe, struct ks__groups *into);

/*
 * Frees slots of dead threads if they are many, or some have waited for long. Any thread; costs a
 * few loads if there is nothing to free.
 */
void ks__threads_tidy(struct ks__threads *t);

#endif
