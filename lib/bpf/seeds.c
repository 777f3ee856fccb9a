/* SPDX-License-Identifier: BSD-2-Clause */
/* seeds.c - run seed programs, which look at all threads: for a new probe, for unknown threads */
#include <errno.h>
#include <pthread.h>

#include "../ks.h"
#include "hooks.h"
#include "threads.h"

#define SECOND 1000000000u

/* The caller holds the write lock, so that nothing closes a descriptor while it is in use. */
static int run_seeds(struct ks__threads *t)
{
	int rc = 0;

	__atomic_store_n(&t->control->unseeded, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&t->seeded_ns, ks__now(), __ATOMIC_RELAXED);
	for (unsigned p = 0; p < KS_BPF_PROBES && !rc; p++)
		if (ks__fd_is_own(t->fds, t->rows[p].seed_fd))
			rc = ks__hook_iterate(t->rows[p].seed_fd);
	return rc;
}

int ks__threads_seed(struct ks__threads *t, uint32_t probe, int link_fd)
{
	int *seed_fd = &t->rows[probe].seed_fd, fd = -1, rc = 0;

	if (link_fd >= 0) {
		fd = ks__fd_keep(t->fds, ks__fd_copy(link_fd));
		if (fd < 0)
			return fd;
	} else if (*seed_fd < 0) {
		return 0;
	}
	pthread_rwlock_wrlock(&t->lock);
	ks__fd_close(t->fds, *seed_fd);
	*seed_fd = fd;
	if (fd >= 0)
		rc = run_seeds(t);
	pthread_rwlock_unlock(&t->lock);
	return rc;
}

void ks__threads_reseed(struct ks__threads *t)
{
	if (!atomic_load_explicit(&t->slots, memory_order_acquire))
		return;
	pthread_rwlock_wrlock(&t->lock);
	run_seeds(t);
	pthread_rwlock_unlock(&t->lock);
}

/* At most once a second: programs meet threads without memory for a row again and again. */
void ks__threads_seed_strangers(struct ks__threads *t)
{
	if (!__atomic_load_n(&t->control->unseeded, __ATOMIC_RELAXED) ||
	    ks__now() - __atomic_load_n(&t->seeded_ns, __ATOMIC_RELAXED) < SECOND ||
	    pthread_rwlock_trywrlock(&t->lock))
		return;
	run_seeds(t);
	pthread_rwlock_unlock(&t->lock);
}
