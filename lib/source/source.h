/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * source.h - the interface of a source: it produces the records and statistics of probes
 *
 * There are two sources: kernel programs (eBPF, bpf.c) and the files of procfs (files.c). The api
 * layer knows a source only through struct ks__source_ops. It holds the handle's lock during every
 * call except those of the consumer (drain, arm), those of readers (read, read_groups, ledger,
 * size) and set_role, which run in parallel with the others.
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
 * Where a source delivers records, in the order in which the host gets them. Where no layer in
 * between has work to do, fn is the host's own callback: each further function in the path would
 * double the cost of a record.
 */
struct ks__sink {
	ks_event_fn fn; /* returns negative: the record is taken, stop */
	void *user;
	int rc;                    /* the negative result of fn */
	const _Atomic uint32_t *alive; /* 0 after a call of fn: stop, and do not touch the stream */
	_Atomic uint64_t *last_ns; /* by probe: time of its last record */
};

static inline void ks__seen(struct ks__sink *sink, const struct ks_event *ev)
{
	atomic_store_explicit(&sink->last_ns[ev->id >> 8], ev->time_ns, memory_order_relaxed);
}

/* fn may have closed the handle, or may have returned in a forked child, which has no rings. */
static inline int ks__sink_alive(const struct ks__sink *sink)
{
	return atomic_load_explicit(sink->alive, memory_order_relaxed) != 0;
}

/*
 * Does not record the time: a caller with many records of one probe calls ks__seen() for the last.
 */
static inline int ks__hand_over(struct ks__sink *sink, const struct ks_event *ev)
{
	int rc = sink->fn(ev, sink->user);

	if (__builtin_expect(rc < 0, 0))
		sink->rc = rc;
	return rc < 0 || !ks__sink_alive(sink);
}

/*
 * Delivers one record. Returns 1: stop; the record was taken nevertheless. `ev` is memory of the
 * source, aligned to 8 bytes, and valid only during the call.
 */
static inline int ks__put(struct ks__sink *sink, const struct ks_event *ev)
{
	ks__seen(sink, ev);
	return ks__hand_over(sink, ev);
}

/* What a source knows about one variant of one probe. */
struct ks__note {
	int error;        /* 0: usable, or in use; else -errno, -KS_E... */
	uint8_t tried;    /* 1: the kernel has answered; 0: a guess from cheap tests */
	char reason[256]; /* of an error: with the remedy; else what it does not see, or "" */
};

/* Settings of one probe. The api layer has checked them. */
struct ks__settings {
	uint32_t generation; /* 0: kernel programs of the probe do nothing */
	uint32_t flags;      /* ks_enable_flag: NO_EVENTS, NO_STATS */
	uint64_t sample_every, max_per_sec, burst, identity, interval_ms;
	uint64_t own[KS__PARAMS_OWN];
};

/* In place of a start in ks__scope.starts: what is known of a process whose start is not. */
#define KS__START_UNKNOWN UINT64_MAX      /* its file cannot be read */
#define KS__START_HIDDEN (UINT64_MAX - 1) /* it exists, but proc_path does not show it */
#define KS__START_ENDED (UINT64_MAX - 2)  /* it has ended: a later one with its pid is another */

/*
 * The scope, resolved. Pids are numbers of the caller's pid namespace. With the pid, the start
 * identifies a process. Starts are read once, before the first source takes the scope, so that all
 * sources mean the same processes.
 */
struct ks__scope {
	uint32_t kind;
	uint32_t n_pids;
	int32_t *pids;    /* in ascending order, each once */
	uint64_t *starts; /* of these processes, in the unit of /proc/PID/stat; NULL: all unknown */
	int foreign;      /* 1: pids in proc_path are those of another pid namespace */
	int has_comm, has_exclude;
	char comm[16], exclude[16];
	uint64_t cgroup; /* KS_SCOPE_CGROUP: id of the cgroup, and its path in the hierarchy */
	char cgroup_path[1024];
};

struct ks__source; /* the first member of each source */

struct ks__source_ops {
	uint16_t kind; /* ks_source */

	/* Cheap, needs no privilege. *ret_source is the first argument of all other calls. */
	int (*open)(struct ks *ks, struct ks__source **ret_source);
	void (*close)(struct ks__source *s);
	/* Stops all counting. Frees nothing: close follows later. May be NULL. */
	void (*stop)(struct ks__source *s);
	/* In a forked child: unmaps and frees, without any effect on the parent. */
	void (*close_forked)(struct ks__source *s);
	/*
	 * The same in a child that was forked while another thread of the parent was in the
	 * library, so that memory may be inconsistent: unmaps what a single pointer holds, frees
	 * nothing, walks no list. May be NULL.
	 */
	void (*leave_forked)(struct ks__source *s);

	/*
	 * Loads the kernel programs of the probes in the mask (1 << id), in one pass. `variant`
	 * forces the variant of that name for all of them; NULL: the best one that works. What
	 * cannot be loaded gets a note. Returns 0 even if nothing could be loaded; negative only if
	 * the process lacks a resource (-ENOMEM, -EMFILE).
	 */
	int (*prepare)(struct ks__source *s, uint32_t mask, const char *variant);
	/*
	 * Attaches. The caller has applied the settings. *ret_variant: the index in use; the
	 * indexes are those of probe->variants, then the fallback. *ret_valid: the KS_HAS_... bits
	 * that are known here. Returns -KS_EUNAVAIL if no variant works; the notes say why.
	 */
	int (*enable)(struct ks__source *s, uint32_t probe, const char *variant,
		      uint32_t *ret_variant, uint64_t *ret_valid);
	/* Detaches. Records that were already submitted stay readable. */
	void (*disable)(struct ks__source *s, uint32_t probe);
	/* Applies settings, for all kernel programs of the probe at one moment. */
	int (*apply)(struct ks__source *s, uint32_t probe, const struct ks__settings *set);
	/*
	 * Takes a new scope. Sources are asked best first, and only the first one may fail: rolling
	 * back is impossible, since a tree scope may have grown. On failure the old scope stays,
	 * and the error was reported through ks__fail(). The arrays of the scope stay valid until
	 * all sources have taken the next one.
	 */
	int (*set_scope)(struct ks__source *s, const struct ks__scope *scope);

	/*
	 * Gives a role to thread `tid`, which was started at clock tick `ticks`; role 0: none.
	 * Reports errors through ks__fail(). NULL: the source does not use roles. The caller holds
	 * only the lock of roles, so a load may run in parallel.
	 */
	int (*set_role)(struct ks__source *s, int32_t tid, uint32_t role, uint64_t ticks);

	/*
	 * Also watches this process and marks its records KS_FLAG_SELFTEST; 0: ends that. May be
	 * NULL.
	 */
	int (*admit)(struct ks__source *s, int32_t pid);

	/*
	 * Returns the note of a variant; the source counts its variants from 0. -ENOENT: past the
	 * last.
	 */
	int (*note)(struct ks__source *s, uint32_t probe, uint32_t index, struct ks__note *ret);
	/* Predicts the variant and its KS_HAS_... bits from cheap tests, without a load. */
	int (*expect)(struct ks__source *s, uint32_t probe, uint32_t *ret_variant,
		      uint64_t *ret_valid);
	/*
	 * Writes why one KS_HAS_... bit is unknown with the variant in use (else the predicted one)
	 * and returns 1; 0: the bit is known.
	 */
	int (*why)(struct ks__source *s, uint32_t probe, uint64_t bit, char *buf, size_t size);

	/*
	 * For the consumer. drain: delivers up to `max` records, records of losses included, and
	 * returns their number. arm: the consumer has read everything and is about to wait.
	 * Returns 1: new records are there, drain again. Returns 0: the next record makes the
	 * handle's epoll descriptor readable, at once or by the timer. *ret_deadline_ns is then the
	 * latest time for the next drain; 0: none.
	 */
	int (*drain)(struct ks__source *s, struct ks__sink *sink, unsigned max);
	int (*arm)(struct ks__source *s, uint64_t *ret_deadline_ns);

	/*
	 * For readers: adds this source's statistics of a probe to `rows` (lib/data/rows.h).
	 * per_cpu 0: one row; else one row for each CPU. Any thread, in parallel with every other
	 * call.
	 */
	int (*read)(struct ks__source *s, uint32_t probe, struct ks__rows *rows, int per_cpu);
	/*
	 * The same by process, cgroup and role. Counts that belong to no thread go to the group
	 * without an owner. NULL: the source cannot tell whose the counts are.
	 */
	int (*read_groups)(struct ks__source *s, uint32_t probe, struct ks__groups *groups);
	/*
	 * Returns the ledger of a probe. idle 1: the caller is the consumer, outside of drain and
	 * arm, so the source may walk the rings to count in_flight; 0: in_flight is 0.
	 */
	int (*ledger)(struct ks__source *s, uint32_t probe, int idle, struct ks__ledger *ret);

	/*
	 * For ks_explain(): writes an object for each kernel program of a probe (name, hook, id,
	 * bytes, runs, run time) and for each of its maps (name, kind, bytes). Probe 0: those that
	 * belong to no probe.
	 */
	void (*explain)(struct ks__source *s, uint32_t probe, struct ks__doc *doc);
	/* For ks_check(): writes what the source has found out about this machine. */
	void (*check)(struct ks__source *s, struct ks__doc *doc);
	/* Returns bytes: kernel memory of maps and rings, and memory of the process. */
	void (*size)(struct ks__source *s, uint64_t *ret_kernel, uint64_t *ret_user);
};

struct ks__source {
	const struct ks__source_ops *ops;
	struct ks *ks;
};

/* The sources of this build, best first; ends with NULL. */
extern const struct ks__source_ops *const ks__sources[];

extern const struct ks__source_ops ks__source_bpf;   /* bpf.c; not with -Dbpf=disabled */
extern const struct ks__source_ops ks__source_files; /* files.c; in every build */

#endif
