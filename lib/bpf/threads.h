/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * threads.h - the library's half of statistics by thread (bpf/threads.bpf.h)
 *
 * Readers look at the slots and rows of all threads where programs write them: a mapping, no system
 * call, no waiting. A slot whose thread is gone is emptied by the next reader or consumer who finds
 * many of them: its numbers go to `base`, by process while that lives, then by cgroup and role. Only
 * that takes the lock for writing, so that no reader sees a number twice or not at all.
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
	unsigned n_open;                /* states that a thread may be in, 0: no open intervals */
	int open_word[KS__OPEN_STATES]; /* of state i + 1: the sum that grows meanwhile */
	_Atomic uint64_t off_ns;        /* detached since: open intervals stand still; 0: it is on */
	int seed_fd;                    /* attached program that looks at all threads, -1: none */
	struct ks__groups base;         /* words of slots that were emptied */
	_Atomic uint64_t *shown; /* of each slot and state: the most that any reader was told */
	uint64_t *scratch;       /* words of one row, for whoever holds the lock for writing */
};

struct ks__threads {
	struct ks__fds *fds;
	pthread_rwlock_t lock;
	uint32_t n_cpus, n_slots;
	struct ks_bpf_control *control;
	_Atomic(struct ks_bpf_thread *) slots;
	size_t slots_size;
	int free_fd;       /* queue of empty slots */
	int who_fd;        /* hash by task where there is no task storage, else -1 */
	uint32_t emptied;  /* of control->threads_dead */
	uint64_t swept_ns; /* when dead slots were last looked for */
	uint64_t seeded_ns; /* when seed programs last ran, since programs met unknown threads */
	struct ks__thread_rows rows[KS_BPF_PROBES];
};

void ks__threads_init(struct ks__threads *t, struct ks__fds *fds);
void ks__threads_close(struct ks__threads *t);
/* Unmaps, frees nothing: in a forked child, where another thread may have been in here. */
void ks__threads_leave(struct ks__threads *t);

/* Maps the slots, once. push: there is no fetching addition, so all slots go into the queue first. */
int ks__threads_map(struct ks__threads *t, int slots_fd, int free_fd, uint32_t n_slots,
		    uint32_t n_cpus, struct ks_bpf_control *control, int push);
/* Maps the rows of a probe, once. */
int ks__threads_map_rows(struct ks__threads *t, const struct ks__probe *probe, int fd,
			 uint32_t value_size);

/* Of a probe that was never on: as if it had never been mapped. */
void ks__threads_unmap_rows(struct ks__threads *t, uint32_t probe);

/*
 * The programs that see threads end are attached: rows may be given. new: also to threads that are
 * made, before their first event. Detached: no more, and all that had rows get new ones next time.
 */
void ks__threads_track(struct ks__threads *t, int on, int new);

/* The probe's programs are attached from now on, or detached. */
void ks__threads_live(struct ks__threads *t, uint32_t probe, int live);

/*
 * The program by which the probe learns what each thread is doing: it runs now, and whenever its other
 * programs have met threads that it did not see. link_fd: copied; -1: no longer. 0 or -errno.
 */
int ks__threads_seed(struct ks__threads *t, uint32_t probe, int link_fd);
/* Runs it once more: other threads are in scope. */
void ks__threads_reseed(struct ks__threads *t);

/* The same for threads that programs have met unprepared; at most once a second. */
void ks__threads_seed_strangers(struct ks__threads *t);

/* Adds all rows of a probe to `into`. Any thread. 0 or -ENOMEM. */
int ks__threads_read(struct ks__threads *t, uint32_t probe, struct ks__groups *into);

/* Empties slots of the dead if there are many, or some for long. Any thread; costs a load if not. */
void ks__threads_tidy(struct ks__threads *t);

#endif
