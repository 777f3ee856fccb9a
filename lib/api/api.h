/* SPDX-License-Identifier: BSD-2-Clause */
/* api.h - what the files of lib/api share */
#ifndef KS_API_PRIVATE_H
#define KS_API_PRIVATE_H

#include <errno.h>

#include "../ks.h"

/* life.c */
/* NULL: no memory. */
struct ks__core *ks__core_new(struct ks *ks);
void ks__core_unref(struct ks__core *core);
/* NULL: the handle is closed. Else it stays until ks__let_go(). */
struct ks__core *ks__hold(struct ks__core *core);
void ks__let_go(struct ks__core *core);
/* Also of a half-made handle. */
void ks__destroy(struct ks *ks);
/* 1: a longjmp() has left the ks_poll() whose callback this thread was in. here: a frame of the caller's. */
int ks__frame_gone(const struct ks *ks, const void *here);

/* What a ks_poll() has on the stack: two marks by which it is known. */
struct ks__frame {
	const struct ks *ks;
	uint64_t number;
};

/* wait.c */
int ks__wait_open(struct ks *ks);
/*
 * Consumer. 1: ks_wakeup() was called, or a signal came; 0: time, or records. -EBADF and a sentence: a
 * descriptor is lost.
 */
int ks__wait(struct ks *ks, int timeout_ms);
/* Sets the timer; 0: off. 0 or -EBADF and a sentence. */
int ks__wait_until(struct ks *ks, uint64_t deadline_ns);
void ks__stay_readable(struct ks *ks);
/* 0, or -EBADF and a sentence: what needs descriptors cannot be had. */
int ks__own(struct ks *ks);

/* settings.c */
void ks__settings_defaults(const struct ks__probe *probe, struct ks__settings *ret);
/* All of them into *set, or none and a sentence. */
int ks__take_params(struct ks *ks, const struct ks__probe *probe, const struct ks_param *params,
		    size_t n, struct ks__settings *set);

/* query.c */
/* The slot of a probe, or NULL after a ks__fail(); switchable: not the library's own. */
struct ks__slot *ks__slot(struct ks *ks, uint32_t probe);
struct ks__slot *ks__switchable(struct ks *ks, uint32_t probe);
int ks__is_on(const struct ks__slot *slot);
/* Effective capabilities, those included for which another one stands in; all if unknown. */
uint64_t ks__caps(void);
/* Events counted so far, by all sources. */
uint64_t ks__events_seen(struct ks *ks, uint32_t probe);
/* Variants are numbered over the probe's own and then its fallback. NULL, -ENOENT past the last. */
const char *ks__variant_name(const struct ks__probe *probe, uint32_t index);
int ks__note_of(struct ks *ks, const struct ks__probe *probe, uint32_t index, struct ks__note *ret,
		uint16_t *ret_kind);
struct ks__source *ks__source_of_kind(struct ks *ks, uint16_t kind);
int ks__may_serve(const struct ks__source *s, const struct ks__probe *probe);
int ks__has_variant(const struct ks__source *s, const struct ks__probe *probe, const char *name);
/* Why nothing serves it: the reasons of its variants, and why there is no fallback. */
void ks__say_unavailable(struct ks *ks, const struct ks__probe *probe, char *text, size_t size);
/*
 * Why it is served by none of the variants before this one: what is denied rather than what is missing;
 * "" if this is the best.
 */
void ks__say_not_better(struct ks *ks, const struct ks__probe *probe, uint32_t variant, char *text,
			size_t size);

/* ledger.c */
/* Books of all sources that ever served the probe. idle: as in source.h. */
void ks__book(struct ks *ks, uint32_t probe, int idle, struct ks__book *ret);

/* self_stats.c */
struct ks__table;
/* rows[0]: the total; rows[1 + i]: the i-th probe of ks__probes. Returns how many: ks__self_rows(). */
size_t ks__self_read(struct ks *ks, int idle, struct ks_stats_self *rows);
size_t ks__self_rows(void);
/* Those that `by` asks for, into *table. base not NULL: since then, and afterwards it is now. */
int ks__self_table(struct ks *ks, uint32_t by, struct ks_stats_self *base, struct ks__table *table);

/* scope.c */
/* All sources or none; the handle's lock is held. */
int ks__scope_tell(struct ks *ks, const struct ks__scope *scope);

/* watch.c */
/* Consumer: looks if it is time, and hands over what has happened. How many records. */
unsigned ks__watch_drain(struct ks *ks, struct ks__sink *sink, unsigned max);
/* There is a new scope; the handle's lock is held. */
void ks__watch_begin(struct ks *ks);

/* identity.c */
struct ks__cgroups;
/* Names for rows; empty if there is none. read_ns: the same for all rows of one read. */
void ks__role_name(struct ks *ks, uint32_t role, char *buf, size_t size);
void ks__cgroup_name(struct ks__cgroups *cgroups, uint64_t id, uint64_t read_ns, char name[32]);
/* The cgroups of this handle, or NULL and why. */
struct ks__cgroups *ks__cgroups_of(struct ks *ks, int *ret_error);

/* event.c */
/* Keep the consumer out for a moment: 0 if it is at work, else what to give to ks__consumer_done(). */
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

/* Of functions that hold locks over calls at which a thread may be cancelled. */
#define KS__UNCANCELLED \
	__attribute__((cleanup(ks__restore_cancel), unused)) int saved_cancel = ks__no_cancel()

static inline void ks__end_hold(struct ks__core **core)
{
	if (*core)
		ks__let_go(*core);
}

/* First line of a public function: keeps errno, checks the argument, knows a forked child, holds. */
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
