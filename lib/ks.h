/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ks.h - the handle, as the layers of the library see it
 *
 * Locks: `lock` guards everything that changes probes and scope. The consumer and readers never
 * take it: what they look at are atomics and maps that live as long as the handle. Nor does who
 * names a thread, which a loading thread would keep waiting: roles have a lock of their own, which is
 * taken after `lock` and held for moments.
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

_Static_assert(KS__PROBES_MAX <= 32, "masks of probes have 32 bits");

/*
 * ks.consumer, when it is no ks__thread(): nobody; a consumer sleeps; somebody who is none looks at
 * the rings for a moment.
 */
#define KS__CONSUMER_NONE 0
#define KS__CONSUMER_WAITS 1
#define KS__CONSUMER_BORROWED 2

/* A page that fork wipes. */
struct ks__wiped {
	uint32_t cookie; /* 0: this is a child */
	uint32_t alive;  /* 0: a child, or ks_close() was called */
};

struct ks__frame;

/* Outlives ks_close() while readers hold it. */
struct ks__core {
	atomic_int refs;
	/*
	 * One of the open handle and one of each function that is inside: whoever lets go of the last
	 * one after ks_close() destroys the handle. A forked child has those of its parent's other
	 * threads, too, which never let go: then what they may have been changing is left alone.
	 */
	atomic_int holds;
	atomic_int closed;
	atomic_int stuck; /* ks_close() came from below a consumer's frame that may be gone */
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
	atomic_uint was_on;             /* bit per source index: has counted at some time */
	_Atomic uint64_t valid_ever;    /* what all that have counted could know */
	uint64_t seen_at_enable;        /* events counted when it was enabled last */
	_Atomic uint64_t seen;          /* sum of its statistics at the last read */
	uint32_t variant;
	uint64_t changed_ns;
	struct ks__settings set;
	char reason[256];
};

struct ks {
	struct ks__core *core;
	pthread_mutex_t lock;
	struct ks_open_opts opts; /* texts are copies */
	struct ks__fds fds;                 /* all descriptors that this handle keeps */
	int epoll_fd, wake_fds[2], timer_fd; /* a pair of sockets: [1] is written to */
	uint32_t n_cpus; /* possible ones */
	int proc_fd, sys_fd; /* directories proc_path and sys_path, O_PATH; -1 if they cannot be opened */

	struct ks__source *sources[KS__SOURCES_MAX]; /* best first, NULL-ended */
	struct ks__slot slots[KS__PROBES_MAX];       /* by probe id; probe NULL: none */
	struct ks__scope scope;

	_Atomic uint64_t look_ns; /* when to look whether the scope's cgroup is the same; 0: never */
	atomic_uintptr_t consumer;    /* KS__CONSUMER_... or the ks__thread() that consumes */
	atomic_uintptr_t in_callback; /* the ks__thread() inside an event callback, 0: none */
	atomic_int changed;     /* deadlines of sources may be others than the consumer knows */
	_Atomic(struct ks__frame *) frame; /* of the ks_poll() that in_callback is inside of */
	uint64_t frames;        /* consumer only: how many there were */
	struct ks__order *order; /* KS_OPEN_ORDERED */
	_Atomic uint64_t ordered[KS__PROBES_MAX]; /* records that came out of `order`, by probe */
	uint32_t tell;         /* consumer only: probes whose KS_EVENT_STATE is due, a bit each */
	uint32_t tell_every[KS__PROBES_MAX]; /* and their sampling */
	_Atomic uint64_t last_ns[KS__PROBES_MAX]; /* when an event was seen last, by probe; 0: never */
	uint64_t watermark_ns; /* consumer only: what is as old as that may leave `order` */
	_Atomic uint64_t user_ns, wakeups;
	int more;               /* consumer only: records were left, the descriptor is readable */
	uint64_t turn;          /* consumer only: calls in backlogs, picks those to measure */
	int rested;             /* consumer only: nothing was read since the sources were told to rest */
	uint64_t deadline_ns;   /* consumer only: what the timer is set to, 0: off */

	pthread_mutex_t roles_lock; /* names, and what sources know of roles */
	char roles[64][32]; /* names, in the order of their numbers, which begin at 1 */
	atomic_uint n_roles;

	pthread_mutex_t cgroups_lock;
	struct ks__cgroups *cgroups; /* NULL: not asked for yet */

	struct ks__errors errors;
};

/* ---- lib/base/error.c: the only way to say what went wrong ------------------------------------- */

/* ks__fail(ks, code, format, ...) keeps the sentence for ks_last_error(), logs it, returns code. */
#define ks__fail(ks, ...) ks__errors_fail(&(ks)->errors, __VA_ARGS__)
#define ks__log(ks, ...) ks__errors_log(&(ks)->errors, __VA_ARGS__)
/* Of a public function: its code, and a sentence for every failure. */
#define ks__end(ks, begun, code) ks__errors_end(&(ks)->errors, begun, code, __func__)

/* Descriptors that the handle keeps are somebody else's now. */
#define ks__fail_closed(ks)                                                           \
	ks__fail(ks, -EBADF,                                                          \
		 "a descriptor of this handle was closed by somebody else (closefrom(), " \
		 "or close() of a wrong number): close the handle and open another")

/* ---- lib/api/event.c ---------------------------------------------------------------------------- */

/* Something may have to be looked at earlier than the consumer thinks. Any thread. */
void ks__consumer_poke(struct ks *ks);

/* ---- lib/api/handle.c ---------------------------------------------------------------------------- */

/* Which thread is this? Unlike gettid() it is no system call: half a microsecond of each ks_poll(). */
static inline uintptr_t ks__thread(void)
{
	return (uintptr_t)pthread_self();
}

int ks__forked(const struct ks__core *core);
/* Copies bytes of known size out of and into structs that begin with size_t size. */
int ks__opts_in(void *mine, size_t known, const void *theirs);
int ks__opts_out(void *theirs, const void *mine, size_t known);

#endif
