/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * source.h - who fills records and rows: kernel programs, files, and later a recording or a helper
 *
 * The api layer knows sources only through this table. It holds the handle's lock around every call
 * but those of the consumer (drain, rest) and of readers (read), which run beside them.
 */
#ifndef KS_SOURCE_H
#define KS_SOURCE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <kernelsight/kernelsight.h>

#include "../data/ledger.h"
#include "../probes/probe.h"

struct ks;
struct ks__doc;
struct ks__groups;
struct ks__rows;

/*
 * Where a source puts records, in the order in which the host shall see them: into the host's own
 * callback, if nothing is to be done in between. A record costs as much again for each function more.
 */
struct ks__sink {
	ks_event_fn fn; /* negative: taken, and stop */
	void *user;
	int rc;                    /* what fn has said, if negative */
	const uint32_t *alive;     /* 0 after a call of fn: stop, and touch nothing of the stream */
	_Atomic uint64_t *last_ns; /* by probe: time of its last record */
};

static inline void ks__seen(struct ks__sink *sink, const struct ks_event *ev)
{
	atomic_store_explicit(&sink->last_ns[ev->id >> 8], ev->time_ns, memory_order_relaxed);
}

/* fn may have closed the handle, or come back in a forked child, which has no rings. */
static inline int ks__sink_alive(const struct ks__sink *sink)
{
	return *(const volatile uint32_t *)sink->alive != 0;
}

/* Without that: who hands over many of a kind says it of the last. */
static inline int ks__hand_over(struct ks__sink *sink, const struct ks_event *ev)
{
	int rc = sink->fn(ev, sink->user);

	if (__builtin_expect(rc < 0, 0))
		sink->rc = rc;
	return rc < 0 || !ks__sink_alive(sink);
}

/*
 * 1: stop; the record was taken all the same. It is the source's memory, valid during the call, and
 * 8-aligned.
 */
static inline int ks__put(struct ks__sink *sink, const struct ks_event *ev)
{
	ks__seen(sink, ev);
	return ks__hand_over(sink, ev);
}

/* What a source has found out about one variant of one probe. */
struct ks__note {
	int error;        /* 0: usable, or in use; else -errno, -KS_E… */
	uint8_t tried;    /* 1: the kernel has answered; 0: a guess by cheap tests */
	char reason[256]; /* with the remedy; of a usable one what it does not see, mostly "" */
};

/* Settings of one probe, as the api layer has checked them. */
struct ks__settings {
	uint32_t generation; /* 0: inert */
	uint32_t flags;      /* ks_enable_flag: NO_EVENTS, NO_STATS */
	uint64_t sample_every, max_per_sec, burst, identity, interval_ms;
	uint64_t own[KS__PARAMS_OWN];
};

/* The scope, resolved: pids are those of the caller's namespace. */
struct ks__scope {
	uint32_t kind;
	uint32_t n_pids;
	int32_t *pids;
	int has_comm, has_exclude;
	char comm[16], exclude[16];
	uint64_t cgroup; /* of KS_SCOPE_CGROUP: its id, and its path in the hierarchy */
	char cgroup_path[1024];
};

struct ks__source; /* each source begins with one */

struct ks__source_ops {
	uint16_t kind; /* ks_source */

	/* Cheap; no privilege needed. *ret_source is passed to all others. */
	int (*open)(struct ks *ks, struct ks__source **ret_source);
	void (*close)(struct ks__source *s);
	/* Programs count nothing any more. Nothing is freed; close follows, sooner or later. May be NULL. */
	void (*stop)(struct ks__source *s);
	/* In a forked child: unmap and free, and disturb nothing of the parent. */
	void (*close_forked)(struct ks__source *s);
	/*
	 * The same in a child whose parent had another thread in here: only what is one pointer is
	 * unmapped, nothing is freed, no list is walked. May be NULL.
	 */
	void (*leave_forked)(struct ks__source *s);

	/*
	 * Load what the probes of the mask (1 << id) need, all in one pass; what cannot be loaded is
	 * noted. `variant` forces one (of all in the mask), NULL is the best that works.
	 * 0 also if nothing could be loaded; negative only for -ENOMEM and the like.
	 */
	int (*prepare)(struct ks__source *s, uint32_t mask, const char *variant);
	/*
	 * Attach. *ret_variant: index in use, numbered over probe->variants, then the fallback.
	 * *ret_valid: what it can know here. -KS_EUNAVAIL and a sentence in the notes if it cannot.
	 * Settings were applied before.
	 */
	int (*enable)(struct ks__source *s, uint32_t probe, const char *variant,
		      uint32_t *ret_variant, uint64_t *ret_valid);
	/* Detach. Records already submitted stay readable. */
	void (*disable)(struct ks__source *s, uint32_t probe);
	/* New settings; at one moment for all programs. */
	int (*apply)(struct ks__source *s, uint32_t probe, const struct ks__settings *set);
	/*
	 * New scope, checked, in two steps. First each source says whether it could watch it and gets
	 * what that takes; nothing is seen of it, and the next try forgets it. May be NULL.
	 */
	int (*try_scope)(struct ks__source *s, const struct ks__scope *scope);
	/*
	 * Then each takes the one it has tried, best source first; only that one may still refuse: a
	 * scope that was left cannot always be had again, since an old tree has grown. On failure the
	 * old scope stays. Texts of both go to ks__fail().
	 */
	int (*set_scope)(struct ks__source *s, const struct ks__scope *scope);

	/*
	 * This thread, started at that clock tick, has that role from now on; 0: none. The text goes to
	 * ks__fail(). NULL: roles mean nothing to it. Called under the lock of roles alone: a load may be
	 * going on.
	 */
	int (*set_role)(struct ks__source *s, int32_t tid, uint32_t role, uint64_t ticks);

	/* Watch this process too and flag its records KS_FLAG_SELFTEST; 0: no longer. May be NULL. */
	int (*admit)(struct ks__source *s, int32_t pid);

	/* What is known of a variant (own numbering: 0 …); -ENOENT past the last. */
	int (*note)(struct ks__source *s, uint32_t probe, uint32_t index, struct ks__note *ret);
	/* The variant that would be used and what it would know, without loading: cheap tests. */
	int (*expect)(struct ks__source *s, uint32_t probe, uint32_t *ret_variant,
		      uint64_t *ret_valid);
	/* Why one bit of `valid` is unknown with the variant in use or expected. 0 if it is known. */
	int (*why)(struct ks__source *s, uint32_t probe, uint64_t bit, char *buf, size_t size);

	/*
	 * Consumer. drain: hand over up to `max` records, losses included; returns how many were put.
	 * rest: everything was read: get ready to sleep. 1: more has come, drain again. 0: the next
	 * record will make the handle's epoll descriptor readable, at once or by the timer: then
	 * *ret_deadline_ns (0: none) is when drain wants to be called at the latest.
	 */
	int (*drain)(struct ks__source *s, struct ks__sink *sink, unsigned max);
	int (*rest)(struct ks__source *s, uint64_t *ret_deadline_ns);

	/*
	 * Readers. Add this source's share of the statistics of a probe to `rows` (lib/data/rows.h):
	 * per_cpu 0: one row, else one a CPU. Any thread, in parallel with everything.
	 */
	int (*read)(struct ks__source *s, uint32_t probe, struct ks__rows *rows, int per_cpu);
	/*
	 * The same by whose they are, what nobody's thread has counted in the group of nobody. NULL:
	 * the source cannot tell.
	 */
	int (*read_groups)(struct ks__source *s, uint32_t probe, struct ks__groups *groups);
	/*
	 * idle 1: the caller is the consumer, outside drain and rest: in_flight is counted by walking
	 * the rings; 0: it is left 0.
	 */
	int (*book)(struct ks__source *s, uint32_t probe, int idle, struct ks__book *ret);

	/*
	 * For ks_explain(): an object each for programs (name, hook, id, bytes, runs, run time) and maps
	 * (name, kind, bytes) of a probe; probe 0: what belongs to none.
	 */
	void (*explain)(struct ks__source *s, uint32_t probe, struct ks__doc *doc);
	/* For ks_check(): what the source found out about this machine. */
	void (*check)(struct ks__source *s, struct ks__doc *doc);
	/* Kernel memory of maps and rings, and user memory. */
	void (*size)(struct ks__source *s, uint64_t *ret_kernel, uint64_t *ret_user);
};

struct ks__source {
	const struct ks__source_ops *ops;
	struct ks *ks;
};

/* The sources of this build, best first, NULL-ended. */
extern const struct ks__source_ops *const ks__sources[];

extern const struct ks__source_ops ks__source_bpf;   /* bpf.c; not with -Dbpf=disabled */
extern const struct ks__source_ops ks__source_files; /* files.c; any build has it */

#endif
