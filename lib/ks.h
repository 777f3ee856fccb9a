/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ks.h - the handle, as the layers of the library see it
 *
 * Locks: `lock` guards everything that changes probes and scope. The consumer and readers never
 * wait for it: they read atomics, and maps that live as long as the handle. ks_thread_role() does
 * not take it either, because a thread that loads kernel programs holds it for long: roles have
 * roles_lock, which is taken after `lock` and held for moments only. A thread waits for `lock` with
 * `next` held, so that a thread that takes the lock again and again cannot pass it.
 */
#ifndef KS_H
#define KS_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <kernelsight/kernelsight.h>
#include <kernelsight/schema.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "source/source.h"

#define KS__SOURCES_MAX 4

_Static_assert(KS__PROBES_MAX <= 32, "masks of probes have 32 bits: KS__PROBES_MAX is too high");

/* Values of ks.consumer that are no ks__thread(). */
#define KS__CONSUMER_NONE 0     /* no thread consumes */
#define KS__CONSUMER_WAITS 1    /* the consumer sleeps */
#define KS__CONSUMER_BORROWED 2 /* another thread looks at the rings for a moment */

/* A page that the kernel zeroes in a forked child. */
struct ks__wiped {
	_Atomic uint32_t cookie; /* 0: this process is a forked child */
	_Atomic uint32_t alive;  /* 0: forked child, or ks_close() was called */
};

struct ks__frame;

/* The part of a handle that outlives ks_close() while readers refer to it. */
struct ks__core {
	atomic_int refs;
	/*
	 * Holds: one for the open handle, one for each call inside the library. The call that
	 * releases the last one after ks_close() destroys the handle. A forked child also inherits
	 * the holds of its parent's other threads, which are never released; then ks_close() leaves
	 * alone the data that those threads may have been changing.
	 */
	atomic_int holds;
	atomic_int closed;
	atomic_int wakers; /* calls inside ks_wakeup(), also in a signal handler: frees nothing */
	atomic_int stuck;  /* ks_close() came from inside a ks_poll(), which may never return */
	struct ks__wiped *wiped;
	struct ks *ks;
};

/* A probe in a handle. */
struct ks__slot {
	const struct ks__probe *probe;
	atomic_uint state;              /* ks_probe_state */
	_Atomic(struct ks__source *) source; /* in use, or NULL */
	_Atomic uint64_t valid;
	_Atomic uint64_t since_ns;      /* first enable, 0: never */
	atomic_uint was_on;             /* bit i: source i has counted for this probe */
	_Atomic uint64_t valid_ever;    /* `valid` bits common to all of these sources */
	uint64_t seen_at_enable;        /* events counted before the last enable */
	_Atomic uint64_t seen;          /* sum of its statistics at the last read */
	uint32_t variant;
	uint64_t changed_ns;
	struct ks__settings set;
	char reason[256];
};

struct ks {
	struct ks__core *core;
	pthread_mutex_t lock;
	pthread_mutex_t next; /* of the thread that gets the lock next */
	struct ks_open_opts opts; /* texts are copies */
	struct ks__fds fds;                 /* all descriptors that this handle keeps */
	int epoll_fd, wake_fds[2], timer_fd; /* wake_fds: a socket pair; [1] is written to */
	uint32_t n_cpus; /* possible CPUs */
	int proc_fd, sys_fd; /* proc_path and sys_path, O_PATH; -1: cannot be opened */

	struct ks__source *sources[KS__SOURCES_MAX]; /* best first, NULL-ended */
	struct ks__slot slots[KS__PROBES_MAX];       /* by probe id; probe NULL: no such probe */
	struct ks__scope scope;

	_Atomic uint64_t look_ns; /* when to check the scope's cgroup next; 0: never */
	atomic_uintptr_t consumer;    /* KS__CONSUMER_... or the ks__thread() that consumes */
	atomic_uintptr_t in_callback; /* the ks__thread() inside ks_poll(), 0: none */
	atomic_int changed;     /* a source's deadline may be earlier than the timer */
	_Atomic(struct ks__frame *) frame; /* of the ks_poll() that in_callback is inside of */
	uint64_t frames;        /* consumer only: number of frames so far */
	struct ks__order *order; /* KS_OPEN_ORDERED, else NULL */
	_Atomic uint64_t ordered[KS__PROBES_MAX]; /* records taken from `order`, by probe */
	uint32_t states_due;   /* consumer only: bit p: a KS_EVENT_STATE of probe p is due */
	uint32_t states_every[KS__PROBES_MAX]; /* sample_every for that record */
	_Atomic uint64_t last_ns[KS__PROBES_MAX]; /* time of the last event, by probe; 0: none */
	uint64_t watermark_ns; /* consumer only: records up to this time may leave `order` */
	_Atomic uint64_t user_ns, wakeups;
	int more;               /* consumer only: records are left, the descriptor stays readable */
	uint64_t turn;          /* consumer only: calls during backlogs; selects those to measure */
	int armed;              /* consumer only: sources are armed, nothing was read since */
	uint64_t deadline_ns;   /* consumer only: the timer's deadline, 0: off */

	pthread_mutex_t roles_lock; /* guards role names, and the roles in the sources */
	char roles[64][32]; /* names by number; numbers begin at 1 */
	atomic_uint n_roles;

	pthread_mutex_t cgroups_lock;
	struct ks__cgroups *cgroups; /* NULL: not opened yet */

	struct ks__errors errors;
};

/* ---- lib/base/error.c: the only way to report an error --------------------------------------- */

/* ks__fail(ks, code, format, ...) keeps the message for ks_last_error(), logs it, returns code. */
#define ks__fail(ks, ...) ks__errors_fail(&(ks)->errors, __VA_ARGS__)
#define ks__log(ks, ...) ks__errors_log(&(ks)->errors, __VA_ARGS__)
/* Ends a public function: returns its code, and makes sure that a failure has a message. */
#define ks__end(ks, begun, code) ks__errors_end(&(ks)->errors, begun, code, __func__)

/* The host has closed a descriptor that the handle keeps. */
#define ks__fail_closed(ks)                                                          \
	ks__fail(ks, -EBADF,                                                         \
		 "the host closed a descriptor of this handle (with closefrom(), or " \
		 "close() of a wrong number): close the handle and open another")

/* ---- lib/api/event.c ------------------------------------------------------------------------- */

/* Wakes the consumer, because a source's deadline may have become earlier. Any thread. */
void ks__consumer_poke(struct ks *ks);

/* ---- lib/api/handle.c ------------------------------------------------------------------------ */

/* Identifies the calling thread without the syscall of gettid(), which costs 0.5 us a ks_poll(). */
static inline uintptr_t ks__thread(void)
{
	return (uintptr_t)pthread_self();
}

/* Returns 1 in a forked child of the process that opened the handle, else 0. */
int ks__forked(const struct ks__core *core);
/*
 * Copy a host's struct, which begins with size_t size, from and to one of `known` bytes. Return 0
 * or -EINVAL (size is too small); ks__opts_in() also -E2BIG: bytes beyond `known` are not 0.
 */
int ks__opts_in(void *mine, size_t known, const void *theirs);
int ks__opts_out(void *theirs, const void *mine, size_t known);

#endif
