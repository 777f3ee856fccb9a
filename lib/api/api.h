/* SPDX-License-Identifier: BSD-2-Clause */
/* api.h - declarations that the files of lib/api share */
#ifndef KS_API_PRIVATE_H
#define KS_API_PRIVATE_H

#include <errno.h>

#include "../ks.h"

/* life.c */
/* Takes the handle's lock, in the order in which threads come. */
void ks__lock(struct ks *ks);
void ks__unlock(struct ks *ks);
/* Returns NULL without memory. */
struct ks__core *ks__core_new(struct ks *ks);
void ks__core_unref(struct ks__core *core);
/* Returns NULL if the handle is closed; else it stays alive until ks__let_go(). */
struct ks__core *ks__hold(struct ks__core *core);
void ks__let_go(struct ks__core *core);
/* Frees a handle, which may be only partly initialized. */
void ks__destroy(struct ks *ks);
/*
 * Returns 1 if a longjmp() out of an event callback has left its ks_poll(). here: the frame address
 * of the public function that asks.
 */
int ks__frame_gone(const struct ks *ks, const void *here);

/* Lies on the stack of ks_poll(); its two members identify the call. */
struct ks__frame {
	const struct ks *ks;
	uint64_t number;
};

/* wait.c */
int ks__wait_open(struct ks *ks);
/*
 * Consumer only: sleeps. Returns 1: ks_wakeup() was called, or a signal arrived; 0: the time is
 * over, or there are records; -EBADF with a message: the host closed a descriptor.
 */
int ks__wait(struct ks *ks, int timeout_ms);
/* ks_wakeup() for a caller that holds the handle, also when it is closed. */
void ks__wake(struct ks *ks);
/* Sets the timer; deadline 0: off. Returns 0, or -EBADF with a message. */
int ks__wait_until(struct ks *ks, uint64_t deadline_ns);
/* Keeps the descriptor of ks_fd() readable, because there may be more records. */
void ks__stay_readable(struct ks *ks);
/* Returns 0 if all descriptors of the handle are its own, else -EBADF with a message. */
int ks__own(struct ks *ks);

/* settings.c */
void ks__settings_defaults(const struct ks__probe *probe, struct ks__settings *ret);
/* Copies all parameters into *set. On failure it copies none, and keeps a message. */
int ks__take_params(struct ks *ks, const struct ks__probe *probe, const struct ks_param *params,
		    size_t n, struct ks__settings *set);

/* query.c */
/* Return the slot of a probe, or NULL with a message. ks__switchable() refuses KS_PROBE_SELF. */
struct ks__slot *ks__slot(struct ks *ks, uint32_t probe);
struct ks__slot *ks__switchable(struct ks *ks, uint32_t probe);
int ks__is_on(const struct ks__slot *slot);
/* Returns effective capabilities, including those that CAP_SYS_ADMIN implies; all if unknown. */
uint64_t ks__caps(void);
/* Returns the events that all sources have counted so far, without filtered ones. */
uint64_t ks__events_seen(struct ks *ks, uint32_t probe);
/* Variants have numbers from 0; the fallback has the last. NULL and -ENOENT past the last. */
const char *ks__variant_name(const struct ks__probe *probe, uint32_t index);
int ks__note_of(struct ks *ks, const struct ks__probe *probe, uint32_t index, struct ks__note *ret,
		uint16_t *ret_kind);
struct ks__source *ks__source_of_kind(struct ks *ks, uint16_t kind);
int ks__may_serve(const struct ks__source *s, const struct ks__probe *probe);
int ks__has_variant(const struct ks__source *s, const struct ks__probe *probe, const char *name);
/* Writes why no source serves the probe: each variant's reason, and why there is no fallback. */
void ks__say_unavailable(struct ks *ks, const struct ks__probe *probe, char *text, size_t size);
/*
 * Writes why no better variant than this one is in use. A reason that an administrator can remedy
 * comes before one that the kernel lacks something. "": this is the best variant.
 */
void ks__say_not_better(struct ks *ks, const struct ks__probe *probe, uint32_t variant, char *text,
			size_t size);

/* ledger.c */
/* Adds up the ledgers of all sources that ever served the probe. idle: as in source.h. */
void ks__read_ledger(struct ks *ks, uint32_t probe, int idle, struct ks__ledger *ret);

/* self_stats.c */
struct ks__table;
/* Fills rows[0] with the total and one row for each probe after it; returns how many it filled. */
size_t ks__self_read(struct ks *ks, int idle, struct ks_stats_self *rows);
/* Returns the room that ks__self_read() needs, in rows. */
size_t ks__self_rows(void);
/*
 * Fills *table with the rows that `by` asks for. base NULL: totals; else counters since base, which
 * then becomes the present state.
 */
int ks__self_table(struct ks *ks, uint32_t by, struct ks_stats_self *base, struct ks__table *table);

/* scope.c */
/*
 * Reads when a process started, for ks__scope.starts. shown: does proc_path show the process? Then
 * it has ended if its file is gone. 0; -EMFILE, -ENFILE, -ENOMEM: the file cannot be read now.
 */
int ks__scope_start(struct ks *ks, const struct ks__scope *scope, int32_t pid, int shown,
		    uint64_t *ret_start);
/* Frees what the scope points to. */
void ks__scope_free(struct ks__scope *scope);
/* Passes a scope to all sources, or changes none. The caller holds the handle's lock. */
int ks__scope_apply(struct ks *ks, const struct ks__scope *scope);

/* watch.c */
/* Consumer only: checks the scope's cgroup when due. Returns how many records it delivered. */
unsigned ks__watch_drain(struct ks *ks, struct ks__sink *sink, unsigned max);
/* Starts or stops the checks after a new scope. The caller holds the handle's lock. */
void ks__watch_begin(struct ks *ks);

/* identity.c */
struct ks__cgroups;
/* Names for rows; "" if there is none. read_ns: the same for all rows of one read. */
void ks__role_name(struct ks *ks, uint32_t role, char *buf, size_t size);
void ks__cgroup_name(struct ks__cgroups *cgroups, uint64_t id, uint64_t read_ns, char name[32]);
/* Returns the handle's cgroups, or NULL and the error in *ret_error, which may be NULL. */
struct ks__cgroups *ks__cgroups_of(struct ks *ks, int *ret_error);

/* event.c */
/*
 * Keeps the consumer out for a moment. Returns 0 if it is at work, else the value that
 * ks__consumer_done() needs.
 */
int ks__consumer_try(struct ks *ks);
void ks__consumer_done(struct ks *ks, int got);

static inline void ks__restore_errno(const int *saved)
{
	errno = *saved;
}

static inline int ks__no_cancel(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

static inline void ks__restore_cancel(const int *state)
{
	pthread_setcancelstate(*state, NULL);
}

/* For functions that hold a lock while they make calls that are cancellation points. */
#define KS__UNCANCELLED \
	__attribute__((cleanup(ks__restore_cancel), unused)) int saved_cancel = ks__no_cancel()

static inline void ks__end_hold(struct ks__core **core)
{
	if (*core)
		ks__let_go(*core);
}

/* First line of a public function: saves errno, refuses NULL and a forked child, takes a hold. */
#define KS__ENTER(ks)                                                                \
	__attribute__((cleanup(ks__restore_errno), unused)) int saved_errno = errno; \
	if (!(ks))                                                                   \
		return -EINVAL;                                                      \
	if (ks__forked((ks)->core))                                                  \
		return -KS_EFORKED;                                                  \
	__attribute__((cleanup(ks__end_hold), unused)) struct ks__core *held_core =  \
		ks__hold((ks)->core);                                                \
	if (!held_core)                                                              \
		return -KS_ECLOSED;                                                  \
	__attribute__((unused)) const uint32_t begun = ks__errors_begin(&(ks)->errors)

#endif
