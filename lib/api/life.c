/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * life.c - the lifetime of a handle
 *
 * Every public function holds the handle while it runs. ks_close() releases the hold of ks_open().
 * The thread that releases the last hold destroys the handle. So ks_close() waits for no other
 * thread, and no thread loses memory or descriptors that it uses.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../data/order.h"
#include "../files/cgroups.h"
#include "api.h"

#define COOKIE 0x6b73u

/* ---- core: the part that readers keep -------------------------------------------------------- */

int ks__forked(const struct ks__core *core)
{
	return atomic_load_explicit(&core->wiped->cookie, memory_order_relaxed) != COOKIE;
}

struct ks__core *ks__core_new(struct ks *ks)
{
	long page = sysconf(_SC_PAGESIZE);
	struct ks__core *core = calloc(1, sizeof(*core));

	if (!core)
		return NULL;
	core->wiped = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	if (core->wiped == MAP_FAILED) {
		free(core);
		return NULL;
	}
	/* Since Linux 4.14. If it fails, a forked child is not recognized; all else works. */
	madvise(core->wiped, (size_t)page, MADV_WIPEONFORK);
	*core->wiped = (struct ks__wiped){ COOKIE, 1 };
	atomic_store(&core->refs, 1);
	atomic_store(&core->holds, 1);
	core->ks = ks;
	return core;
}

void ks__core_unref(struct ks__core *core)
{
	if (!core || atomic_fetch_sub(&core->refs, 1) != 1)
		return;
	munmap(core->wiped, (size_t)sysconf(_SC_PAGESIZE));
	free(core);
}

/* ---- destroy --------------------------------------------------------------------------------- */

#define WAKERS_NS 1000000000u

/*
 * Waits until no ks_wakeup() of another thread uses the descriptors, which takes it two syscalls.
 * The wait has a bound, because a signal handler may have left such a call by longjmp(). A forked
 * child has no such threads, whatever the count says that it inherited.
 */
static void await_wakers(const struct ks__core *core)
{
	const struct timespec moment = { 0, 10000 };
	uint64_t end = ks__now() + WAKERS_NS;

	while (!ks__forked(core) && atomic_load(&core->wakers) && ks__now() < end)
		nanosleep(&moment, NULL);
}

/* A forked child shares the epoll set and the maps with its parent: it must not change them. */
void ks__destroy(struct ks *ks)
{
	int forked = ks->core && ks__forked(ks->core);
	struct ks__core *core = ks->core;

	if (core)
		await_wakers(core);
	for (unsigned i = 0; i < KS__SOURCES_MAX; i++) {
		struct ks__source *s = ks->sources[i];

		if (s && forked)
			s->ops->close_forked(s);
		else if (s)
			s->ops->close(s);
	}
	ks__cgroups_close(ks->cgroups);
	ks__fds_close(&ks->fds);
	ks__fds_free(&ks->fds);
	ks__order_free(ks->order);
	ks__scope_free(&ks->scope);
	free((void *)ks->opts.btf_path);
	free((void *)ks->opts.proc_path);
	free((void *)ks->opts.sys_path);
	pthread_mutex_destroy(&ks->lock);
	pthread_mutex_destroy(&ks->next);
	ks__errors_destroy(&ks->errors);
	pthread_mutex_destroy(&ks->cgroups_lock);
	pthread_mutex_destroy(&ks->roles_lock);
	free(ks);
	ks__core_unref(core);
}

/* Detaches kernel programs and closes descriptors. Keeps memory, since a frame may still use it. */
static void shut(struct ks *ks)
{
	await_wakers(ks->core);
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++)
		if (ks->sources[i]->ops->stop)
			ks->sources[i]->ops->stop(ks->sources[i]);
	ks__fds_close(&ks->fds);
}

/* ---- the lock -------------------------------------------------------------------------------- */

void ks__lock(struct ks *ks)
{
	pthread_mutex_lock(&ks->next);
	pthread_mutex_lock(&ks->lock);
	pthread_mutex_unlock(&ks->next);
}

void ks__unlock(struct ks *ks)
{
	pthread_mutex_unlock(&ks->lock);
}

/* ---- holds ----------------------------------------------------------------------------------- */

struct ks__core *ks__hold(struct ks__core *core)
{
	int n = atomic_load(&core->holds);

	do {
		if (!n || atomic_load(&core->closed))
			return NULL;
	} while (!atomic_compare_exchange_weak(&core->holds, &n, n + 1));
	return core;
}

void ks__let_go(struct ks__core *core)
{
	int n = atomic_load(&core->holds);

	do {
		/* the other hold belongs to a ks_poll() that may never return */
		if (n == 2 && atomic_load(&core->stuck)) {
			KS__UNCANCELLED;

			shut(core->ks);
		}
	} while (!atomic_compare_exchange_weak(&core->holds, &n, n - 1));
	if (n == 1) {
		KS__UNCANCELLED;

		ks__destroy(core->ks);
	}
}

/* ---- frames ---------------------------------------------------------------------------------- */

static int is_within(uintptr_t at, const void *stack, size_t size)
{
	return at - (uintptr_t)stack < size;
}

/*
 * Finds out whether a longjmp() out of the callback has removed the frame of ks_poll(), which
 * leaves no other trace. `here` is the frame address of the caller. The frame of ks_poll() is gone
 * if `here` lies above it on the stack, or if its place holds other data. If neither proves it, or
 * if the stack is not the thread's own, the frame counts as present.
 */
__attribute__((noinline, no_sanitize("address"))) int ks__frame_gone(const struct ks *ks,
								     const void *here)
{
	const volatile struct ks__frame *frame = atomic_load(&ks->frame);
	pthread_attr_t attr;
	void *stack = NULL;
	size_t size = 0;

	if (!frame || pthread_getattr_np(pthread_self(), &attr))
		return 0;
	if (pthread_attr_getstack(&attr, &stack, &size))
		size = 0;
	pthread_attr_destroy(&attr);
	if (!is_within((uintptr_t)frame, stack, size) || !is_within((uintptr_t)here, stack, size))
		return 0;
	return (uintptr_t)here > (uintptr_t)frame || frame->ks != ks || frame->number != ks->frames;
}

/* ---- close ----------------------------------------------------------------------------------- */

/*
 * The parent's other threads do not exist in the child. Data that such a thread was changing at the
 * fork may be inconsistent, so then nothing is freed.
 */
static void close_in_child(struct ks *ks, int inside)
{
	int others = atomic_load(&ks->core->holds) - 1 - inside;

	ks__fds_close(&ks->fds);
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i] && others > 0; i++)
		if (ks->sources[i]->ops->leave_forked)
			ks->sources[i]->ops->leave_forked(ks->sources[i]);
	if (others <= 0)
		ks__let_go(ks->core);
}

void ks_close(struct ks *ks)
{
	int saved = errno, inside;

	if (!ks || atomic_exchange(&ks->core->closed, 1))
		return;
	KS__UNCANCELLED;
	atomic_store(&ks->core->wiped->alive, 0);
	inside = atomic_load(&ks->in_callback) == ks__thread();
	if (inside && ks__frame_gone(ks, __builtin_frame_address(0))) {
		inside = 0;
		ks__let_go(ks->core); /* the hold of the ks_poll() that is gone */
	}
	if (ks__forked(ks->core)) {
		close_in_child(ks, inside);
	} else {
		atomic_store(&ks->core->stuck, inside);
		if (!inside)
			ks__wake(ks);
		ks__let_go(ks->core);
	}
	errno = saved;
}
