/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernelsight.h - typed kernel events, statistics and their cost, inside your own process
 *
 * This header is the manual. What is not in include/kernelsight/ is not API.
 *
 *	struct ks *ks;
 *	uint32_t want[] = { KS_PROBE_PROC, KS_PROBE_FADVISE };
 *
 *	ks_open(NULL, &ks);                             // nothing loaded, nothing attached
 *	ks_prepare(ks, want, 2);                        // load programs, about 35 ms, once
 *	ks_enable_probe(ks, KS_PROBE_PROC, NULL);       // attach, well under a millisecond
 *	while (ks_poll(ks, -1, 0, on_event, host) >= 0) // or ks_fd() in your own loop
 *		;
 *	ks_close(ks);
 *
 * Rules that hold for every function, unless its own block says otherwise:
 *
 *  Errors    An int is 0 or a count on success and negative on failure: -errno or -KS_E... .
 *            ks_strerror() has the words for the code, ks_last_error() the sentence that says what
 *            to do. errno is left alone. Outputs are the last parameters, called ret_..., and are
 *            not touched on failure.
 *  Structs   A struct that begins with `size_t size` grows at its end in later releases. Zero it,
 *            set size = sizeof(it). As input: members beyond a smaller size take their defaults; a
 *            larger one is accepted if what this library does not know is zero (-E2BIG). As output:
 *            at most size bytes are written, and size is set to what was written. All zero means
 *            default. Structs without size are frozen for ever or carry their size elsewhere.
 *  Enums     Parameters and members are fixed-width integers. Expect values that you do not know.
 *  Memory    What you pass in is copied before the call returns. What comes out through a pointer
 *            says in its block who frees it. Names and help texts (const char * without such a
 *            statement) are constants of the library: valid until it is unloaded.
 *  Threads   Any thread, at any time, in parallel, until ks_close(). The exceptions are ks_poll()
 *            and ks_read_events(), together called the consumer: one thread at a time, though not
 *            always the same. A second one gets -EBUSY. Nothing waits for the consumer.
 *  Callbacks Of events run in the thread that called the library, no lock held. They must return or
 *            unwind (C++ exception, pthread_cancel: the event counts as delivered). After a longjmp
 *            (PostgreSQL's elog()) ks_poll() goes on and ks_close() closes; where the stack does not
 *            tell that the call is gone, -EBUSY, and memory stays behind. An event callback
 *            may call all but the consumer functions and ks_selftest(): these say -EBUSY.
 *  fork      A handle belongs to the process that opened it. In a forked child every function
 *            answers -KS_EFORKED, except ks_close() and ks_reader_free(), which release the child's
 *            copy, but memory that another thread was changing at that moment, and disturb nothing.
 *            Call ks_close() in children that live on: until then the child holds descriptors, and
 *            a program that the parent detaches runs on, idle. After exec nothing is left. A child
 *            of vfork must not call the library; one of an event callback has no record there.
 *  Files     All are 3 or above (how many: ks_prepare()). What needs one that the host has closed says
 *            -EBADF; a file that has its number now is not touched.
 *  Signals   None is handled or raised. Programs are loaded and attached with signals blocked, in
 *            the calling thread and for that time only, because a pending signal ends the kernel's
 *            verifier: a signal for this thread is delivered afterwards, one for the process goes to
 *            another thread at once. Those that a fault or a trapped system call raises are not
 *            blocked. ks_selftest() blocks all for the moment in which it makes its child. Handlers
 *            may only call ks_wakeup(). A wait that a signal interrupts returns 0, as if woken:
 *            -EINTR is never returned.
 *  Process   No thread, no timer signal, no exit handler, no thread-local or process-wide state:
 *            two handles never meet, and the library may be unloaded after the last ks_close().
 */
#ifndef KERNELSIGHT_H
#define KERNELSIGHT_H

#include <stddef.h>
#include <stdint.h>

#include <kernelsight/events.h>
#include <kernelsight/version.h>

#if defined(__GNUC__) && !defined(KS_API) /* the library's own build has another */
#define KS_API __attribute__((visibility("default")))
#elif !defined(KS_API)
#define KS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct ks;        /* a handle */
struct ks_reader; /* a place to read statistics into */

/* ==== errors ================================================================================ */

/* Codes beside errno. Pinned: appended, never reused. */
enum ks_error {
	KS_EUNAVAIL = 4096, /* neither a kernel hook nor a fallback can serve this here */
	KS_EOFF = 4097,     /* the probe is off, or was never on */
	KS_EFORKED = 4098,  /* the handle belongs to the parent process */
	KS_EBALANCE = 4099, /* the ledger does not add up */
	KS_ESILENT = 4100,  /* attached, but an event that was provoked was not counted */
	KS_ECLOSED = 4101,  /* the handle is closed */
};

/*
 * ks_strerror - the words for a code;  ks_error_name - its name: "EPERM", "KS_EUNAVAIL"
 * @code: as returned, negative (a positive one is taken too)
 * Returns a constant, not translated; "unknown error" or "?" for an unknown code.
 * Threads: any; async-signal-safe. Cost: a table look-up. Since: 0.1
 */
KS_API const char *ks_strerror(int code);
KS_API const char *ks_error_name(int code);

#define KS_ERROR_MAX 512 /* bytes of the longest text, NUL included; what had to be cut ends with ... */

/*
 * ks_last_error - what to do about the last failure of the calling thread on this handle
 * @buf: text, cut to size and ended with NUL; may be NULL if size is 0
 * Returns the length of the whole text, without NUL, below KS_ERROR_MAX; 0 if there was none. The
 *   text of a thread is dropped when 16 other threads have failed since.
 * Ownership: a copy, so that no text changes under its reader. Languages whose tasks move between
 *   threads (Go) take it in the same crossing as the call that failed. Since: 0.1
 */
KS_API int ks_last_error(struct ks *ks, char *buf, size_t size);

/* ==== open and close ======================================================================== */

enum ks_log_level { KS_LOG_ERROR = 1, KS_LOG_WARNING = 2, KS_LOG_INFO = 3, KS_LOG_DEBUG = 4 };

/*
 * A message for developers: one line, no newline, valid until the function returns. From whatever
 * thread is inside the library, so several at once. It must return and may only call ks_wakeup().
 */
typedef void (*ks_log_fn)(int level, const char *text, void *user);

enum ks_open_flag {
	KS_OPEN_ORDERED = 1 << 0,       /* deliver by time over all CPUs: later by up to batch_ms */
	KS_OPEN_RAISE_MEMLOCK = 1 << 1, /* 5.10 only: raise RLIMIT_MEMLOCK of this process */
	KS_OPEN_TRIM = 1 << 2,          /* malloc_trim() after loading: 0.1 s per GB of heap */
};

/* What a kernel may lack. Found by trying, never by version number; named in ks_check(). */
enum ks_feature {
	KS_FEATURE_RINGBUF = 1 << 0,      /* else perf buffers: 2-3 times slower */
	KS_FEATURE_BTF_TRACING = 1 << 1,  /* tp_btf and fentry programs */
	KS_FEATURE_TASK_STORAGE = 1 << 2, /* else a hash by task */
	KS_FEATURE_ATOMIC_FETCH = 1 << 3, /* else the record limit is kept per CPU */
	KS_FEATURE_RDONLY_CAST = 1 << 4,  /* else programs load slower */
	KS_FEATURE_OWN_GUARD = 1 << 5,    /* a program never nests in itself: cheaper counters */
	KS_FEATURE_BATCH = 1 << 6,        /* else entries of maps one by one */
	KS_FEATURE_MMAP = 1 << 7,         /* maps in user memory; without, files only */
	KS_FEATURE_ITER_NUM = 1 << 8,     /* else short loops, which take longer to load */
};

#define KS_IMMEDIATE 0xffffffff /* ks_open_opts.batch_ms: wake up for each record */
struct ks_open_opts {
	size_t size;             /*   0 */
	uint32_t flags;          /*   8 ks_open_flag */
	uint32_t batch_ms;       /*  12 a record may wait so long for others; 0: 10; KS_IMMEDIATE */
	uint64_t ring_bytes;     /*  16 for records, all CPUs together; 0: 4 MiB */
	ks_log_fn log;           /*  24 NULL: nothing is said */
	void *log_user;          /*  32 */
	uint32_t log_level;      /*  40 0: KS_LOG_WARNING */
	uint32_t max_threads;    /*  44 with rows of their own; the rest share one. 0: 16384 */
	uint64_t features_off;   /*  48 ks_feature: do without these, to see what an old kernel sees */
	const char *btf_path;    /*  56 kernel BTF from this file; NULL: the kernel's, or as built in */
	const char *proc_path;   /*  64 NULL: /proc */
	const char *sys_path;    /*  72 NULL: /sys */
};                               /*  80 */

/*
 * ks_open - make a handle
 * Works without any privilege and without BPF: what is possible is found out per probe, later.
 * @opts: NULL: defaults. Of the paths only regular files and directories are opened: no FIFO blocks
 * @ret_ks: the handle
 * Returns 0.
 * Errors: -EINVAL (a value out of range), -E2BIG (members of a newer release are set), -ENOMEM,
 *   -EMFILE.
 * Ownership: the caller's, until ks_close(). Cost: microseconds, 6 descriptors. Since: 0.1
 */
KS_API int ks_open(const struct ks_open_opts *opts, struct ks **ret_ks);

/*
 * ks_close - detach, release, forget; nothing of the handle is left
 *
 * Undelivered records are discarded: for the tail, disable the probes and read until 0 first.
 * Readers survive: their memory stays until ks_reader_free(), reading them gives -KS_ECLOSED.
 * Inside an event callback the record stays until it returns; no other event is delivered. Take
 * ks_fd() out of your loop first: a forked child's copy would keep it there. @ks: may be NULL
 * Threads: functions that other threads are in end (a waiting consumer is woken: -KS_ECLOSED), and
 *   the last of them releases the handle. None may be entered with it afterwards.
 * Cost: below 1 ms; 72 ms for each program on a classic tracepoint or kprobe. Since: 0.1
 */
KS_API void ks_close(struct ks *ks);

/* ==== scope ================================================================================== */

enum ks_scope_kind {
	KS_SCOPE_SELF = 0,   /* this process, all threads: the default */
	KS_SCOPE_TREE = 1,   /* pids[], all their descendants, and all that they will ever start */
	KS_SCOPE_PIDS = 2,   /* pids[], and nobody who is given one of these numbers later */
	KS_SCOPE_CGROUP = 3, /* one cgroup of the memory controller's hierarchy, and all below it */
	KS_SCOPE_SYSTEM = 4, /* everything that this pid namespace may see */
};

struct ks_scope {
	size_t size;              /*  0 */
	uint32_t kind;            /*  8 ks_scope_kind */
	uint32_t n_pids;          /* 12 at most 4096 */
	const int32_t *pids;      /* 16 as the caller sees them; NULL with n_pids 0: itself */
	const char *comm;         /* 24 only threads of this name (15 bytes); NULL: all */
	const char *exclude_comm; /* 32 leave out threads of this name; NULL: none */
	const char *cgroup;       /* 40 its directory, or its path below the root of the hierarchy */
};                                /* 48 */

/*
 * ks_set_scope - whom to watch; filtered in the kernel, first thing in every program
 *
 * Replaces the scope as a whole, also while probes run. Counters go on: what was counted stays.
 * Children in a KS_SCOPE_TREE are enrolled by programs of their own, before they run; those whose
 * parents had died before are in no tree. A cgroup that is removed and made again under its
 * path is found again within a second by who consumes events: KS_EVENT_STATE, KS_CAUSE_SCOPE.
 * @scope: NULL: self
 * Returns 0.
 * Errors (the old scope stays): -EINVAL (no such kind), -ESRCH (no such process), -ENOENT (no such
 *   cgroup), -EXDEV (of another hierarchy), -KS_EUNAVAIL (no cgroups, nothing follows trees),
 *   -ENAMETOOLONG (a comm of over 15 bytes), -EAGAIN (a tree moves too fast: not whole after 5 s),
 *   -E2BIG, -KS_EFORKED.
 * Cost: microseconds, a second time within a second 8-32 ms, until no program uses the one before.
 *   KS_SCOPE_TREE loads a unit first, see ks_prepare(), and looks at /proc 3 times. Since: 0.1
 */
KS_API int ks_set_scope(struct ks *ks, const struct ks_scope *scope);

/* ==== probes ================================================================================= */

/*
 * ks_prepare - load the programs of some probes, so that enabling them is quick
 *
 * One pass over the kernel's type information serves all probes named in the same call; each
 * further call costs it again. A probe that cannot be loaded does not fail it: ks_query_probe().
 * @probes, @n: KS_PROBE_...; @probes NULL: all that this library has
 * Returns how many of them run on kernel programs now (the rest: fallback or unavailable). Errors:
 *   -EINVAL (no such probe), -ENOMEM, -EMFILE, -ENFILE, -EAGAIN, -ESTALE (after chroot(), until /proc
 *   and /sys are back), -KS_EFORKED.
 * Cost: 35 ms, at its peak 18 MiB (KS_OPEN_TRIM) and 250 descriptors; of all probes together at most
 *   120 stay. Where memory is limited (a cgroup), 32 MiB must be free, maps included: with less the
 *   kernel may kill the host, since a limit is no -ENOMEM there. Not for an event-loop thread. Since: 0.1
 */
KS_API int ks_prepare(struct ks *ks, const uint32_t *probes, size_t n);

/*
 * One setting of a probe. Which a probe has, with unit, bounds and default: ks_describe_param().
 * Frozen: 32 bytes for ever.
 */
struct ks_param {
	uint32_t id;       /*  0 KS_PARAM_... or the probe's own, from 32 up */
	uint32_t reserved; /*  4 */
	uint64_t value;    /*  8 numbers, durations, flags */
	const void *data;  /* 16 NULL: no setting of this release is a text or a set */
	size_t data_size;  /* 24 0 */
};                         /* 32 */

/* Settings that every probe has. */
enum ks_common_param {
	KS_PARAM_SAMPLE_EVERY = 1, /* a record for 1 event in N; 0: of slow ones only. All count */
	KS_PARAM_MAX_PER_SEC = 2,  /* records over all CPUs; 0: no limit */
	KS_PARAM_BURST = 3,        /* records at once before that limit holds */
	KS_PARAM_IDENTITY = 5,     /* ks_identity bits: what a record tells of its thread */
	KS_PARAM_INTERVAL_MS = 6,  /* how often files are looked at, where a probe reads files */
};

enum ks_identity {
	KS_IDENTITY_CGROUP = 1 << 0, /* ks_event.cgroup: the memory controller's, 6 ns */
	KS_IDENTITY_COMM = 1 << 1,   /* ks_event.comm, 14 ns */
};

enum ks_enable_flag {
	KS_ENABLE_NO_FALLBACK = 1 << 0, /* fail with -KS_EUNAVAIL rather than read files */
	KS_ENABLE_NO_EVENTS = 1 << 1,   /* statistics only */
	KS_ENABLE_NO_STATS = 1 << 2,    /* records only */
};

struct ks_enable_opts {
	size_t size;                   /*  0 */
	uint32_t flags;                /*  8 ks_enable_flag */
	uint32_t n_params;             /* 12 */
	const struct ks_param *params; /* 16 */
	const char *variant;           /* 24 this one or fail; NULL: the best that works */
};                                     /* 32 */

/*
 * ks_enable_probe - attach
 *
 * The best variant that works is taken; why each better one was skipped is kept, see
 * ks_query_variant(). A probe that is on already takes the parameters that are named, and
 * nothing changes if none is. One that was off begins with its defaults. A variant that the kernel
 * refused stays closed for the life of the handle, unless the answer does not last: out of memory,
 * descriptors or RLIMIT_MEMLOCK, in use by somebody else. Then it is tried again by the next
 * ks_prepare() or ks_enable_probe() of the probe, while that is off.
 * @probe: KS_PROBE_...
 * @opts: NULL: defaults
 * Returns 0, or 1 if it works with less, on a fallback or with fields unavailable: ks_last_error()
 *   and ks_probe_info.reason say why.
 * Errors: -KS_EUNAVAIL (ks_last_error(): why, and the remedy), -EINVAL (no such probe or variant,
 *   a parameter out of bounds), -EBUSY (it is on by another variant or with other flags),
 *   -ENOMEM, -EMFILE, -ENFILE, -EAGAIN (the kernel was interrupted each time: try again), -ESTALE
 *   (after chroot(): see ks_prepare()), -E2BIG, -KS_EFORKED.
 * Cost: if prepared, below a millisecond, else that of ks_prepare(). Two things make it wait, without
 *   using a CPU: the kernel, 5-20 ms, if the event lost its last program less than a grace period
 *   (30 ms) ago; and the library, as ks_configure_probe(), if within a second it is the second time
 *   that the settings are others than before. Since: 0.1
 */
KS_API int ks_enable_probe(struct ks *ks, uint32_t probe, const struct ks_enable_opts *opts);

/*
 * ks_disable_probe - detach; counters stay readable and go on from there when it is enabled again
 * Returns 0, also if it was off. Records submitted before are still delivered.
 * Errors: -EINVAL, -KS_EFORKED.
 * Cost: below 1 ms; 72 ms a program on a classic tracepoint or kprobe. Since: 0.1
 */
KS_API int ks_disable_probe(struct ks *ks, uint32_t probe);

/*
 * ks_configure_probe - change settings while it runs
 *
 * All of them or none, at one moment. Settings that are not named stay.
 * @params, @n: NULL and 0: all back to their defaults
 * Returns the generation, 1 to 255 and round again, which records carry in ks_event.generation.
 * Errors: -EINVAL (not a setting of this probe, out of bounds), -KS_EOFF, -KS_EFORKED.
 * Cost: microseconds, no reload; for the second time within a second as ks_set_scope(). Since: 0.1
 */
KS_API int ks_configure_probe(struct ks *ks, uint32_t probe, const struct ks_param *params,
			      size_t n);

/*
 * ks_query_param - the value in force
 * @id: of the setting
 * @ret_value: the number
 * Returns 0. Errors: -EINVAL, -KS_EFORKED. Since: 0.1
 */
KS_API int ks_query_param(struct ks *ks, uint32_t probe, uint32_t id, uint64_t *ret_value);

enum ks_probe_state {
	KS_STATE_OFF = 0,     /* not enabled; variant and valid are what to expect */
	KS_STATE_ON = 1,
	KS_STATE_FAILED = 2,  /* was asked for; see reason */
	KS_STATE_SILENT = 4,  /* attached, and the last self-test was not counted */
};

enum ks_source { KS_SOURCE_NONE = 0, KS_SOURCE_BPF = 1, KS_SOURCE_FILES = 2 };

enum ks_fact { /* bits of ks_probe_info.facts */
	KS_FACT_TRIED = 1 << 0,  /* the kernel took this variant; else a guess by cheap tests */
	KS_FACT_SEEN = 1 << 1,   /* at least one event was counted since it was enabled */
	KS_FACT_MISSED = 1 << 2, /* `missed` is known on this kernel */
	KS_FACT_PARTIAL = 1 << 3, /* processes are hidden from it (hidepid); `reason` begins so */
};

struct ks_probe_info {
	size_t size;             /*   0 */
	uint32_t probe;          /*   8 */
	uint16_t state;          /*  12 ks_probe_state */
	uint16_t source;         /*  14 ks_source */
	uint32_t variant;        /*  16 in use, or expected; UINT32_MAX: none */
	uint32_t n_variants;     /*  20 */
	uint32_t facts;          /*  24 ks_fact */
	uint32_t generation;     /*  28 of the settings, 0 before the first */
	uint64_t valid;          /*  32 KS_HAS_... that it can know, or is expected to */
	uint64_t caps_missing;   /*  40 1 << CAP_..., of <linux/capability.h> */
	uint64_t changed_ns;     /*  48 when the state changed */
	uint64_t last_ns;        /*  56 last event seen by a read or the consumer, 0: none */
	uint64_t missed;         /*  64 never reached a program: recursion and probe misses */
	char name[32];           /*  72 */
	char variant_name[32];   /* 104 "tp_btf" */
	char reason[256];        /* 136 why not better, why failed, and the remedy; or "" */
};                               /* 392 */

/*
 * ks_query_probe - what a probe does, or, before it is enabled, what to expect of it here
 * @ret_info: set size first
 * Returns 0. Errors: -EINVAL, -KS_EFORKED.
 * Cost: microseconds; the first question about a probe that is off opens a few files. Since: 0.1
 */
KS_API int ks_query_probe(struct ks *ks, uint32_t probe, struct ks_probe_info *ret_info);

struct ks_variant_info {
	size_t size;      /*   0 */
	int32_t error;    /*   8 0: usable or in use, else why it was skipped: -errno, -KS_E... */
	uint32_t source;  /*  12 ks_source */
	char name[32];    /*  16 */
	char reason[256]; /*  48 the same in words, with the remedy; or what it does not see */
};                        /* 304 */

/*
 * ks_query_variant - each way to attach, best first, and why it was skipped
 * @index: from 0
 * Returns 0. Errors: -ENOENT (past the last), -EINVAL, -KS_EFORKED. Since: 0.1
 */
KS_API int ks_query_variant(struct ks *ks, uint32_t probe, uint32_t index,
			    struct ks_variant_info *ret_info);

/*
 * ks_query_valid - can this be known here, with the variant in use or expected; and if not, why
 * @bits: KS_HAS_... of the probe, or ks_field_desc.valid
 * @why, @why_size: the reason of the first bit that is missing; may be NULL and 0
 * Returns 1 if all of them can, else 0. Errors: -EINVAL, -KS_EFORKED. Since: 0.1
 */
KS_API int ks_query_valid(struct ks *ks, uint32_t probe, uint64_t bits, char *why, size_t why_size);

/* ==== events ================================================================================= */

/*
 * ks_fd - the one descriptor to wait for
 *
 * Readable when there is something to read. Put it into poll, epoll, libuv, Go's or tokio's loop;
 * do not read, write or close it (a dup is yours). Then call a consumer function with timeout 0
 * until it returns 0: that 0 arms the next wake-up. (Level-triggered loops may also call once per
 * turn; edge-triggered ones, which are Go and tokio, must go on until 0.) It also serves the
 * library's timers, so heed it even if only statistics are on.
 *
 * Returns it, the same for the life of the handle: an epoll descriptor of depth 1. Errors:
 *   -KS_EFORKED. Since: 0.1
 */
KS_API int ks_fd(struct ks *ks);

/*
 * Called for each event. @event and all in it is valid until the function returns.
 * Return 0 or more to go on; a negative value ends this ks_poll() and is what it returns.
 */
typedef int (*ks_event_fn)(const struct ks_event *event, void *user);

/*
 * ks_poll - wait, and hand over each event
 *
 * Waits for an event, the end of the time, ks_wakeup() or a signal; then hands over what is there.
 * 0 says that nothing was left and that the next wake-up of ks_fd() is armed.
 * @timeout_ms: 0: do not wait; -1: for ever
 * @max_events: at most so many; 0: 1024
 * @fn, @user: what to call, with what
 * Returns how many were handed over, 0 if none came.
 * Errors: what the callback said; -EBUSY (another consumer, or inside a callback), -EINVAL, -EBADF
 *   (a descriptor was closed by the host), -KS_ECLOSED (the handle was, meanwhile), -KS_EFORKED.
 * Threads: consumer. Cost: 15 ns an event. Since: 0.1
 */
KS_API int ks_poll(struct ks *ks, int timeout_ms, int max_events, ks_event_fn fn, void *user);

/*
 * ks_read_events - wait, and copy many events into your memory; for Go, Rust, C++ and batches
 *
 * Records lie one after the other: the next one is at + ev->size. They are copies: yours.
 * @buf: at a multiple of 8 bytes
 * @size: at least KS_RECORD_MAX; 64 KiB is good
 * @timeout_ms: as ks_poll()
 * @ret_size: bytes filled, a multiple of 8
 * Returns how many records, 0 if none came. Errors: as ks_poll(); -EINVAL (unaligned, too small).
 * Threads: consumer. Cost: 5 ns an event + one copy. Since: 0.1
 */
KS_API int ks_read_events(struct ks *ks, void *buf, size_t size, int timeout_ms, size_t *ret_size);

/*
 * ks_next_event - walk over a batch
 * @buf, @size: as filled by ks_read_events()
 * @ev: NULL: the first
 * Returns the next, or NULL: for (ev = NULL; (ev = ks_next_event(buf, size, ev));)  Since: 0.1
 */
KS_API const struct ks_event *ks_next_event(const void *buf, size_t size,
					    const struct ks_event *ev);

/*
 * ks_wakeup - make the consumer return
 * If none is waiting, the next one returns at once, once. Several calls count as one.
 * Returns 0. Errors: -KS_EFORKED (a child's handler does not wake the parent), -EBADF.
 * Threads: any, and async-signal-safe (errno is kept). Cost: two system calls. Since: 0.1
 */
KS_API int ks_wakeup(struct ks *ks);

/* ==== statistics ============================================================================= */

enum ks_reader_flag {
	KS_READ_DELTA = 1 << 0, /* counters and histograms since this reader's previous read */
};

struct ks_reader_opts {
	size_t size;         /*  0 */
	uint32_t by;         /*  8 ks_by bits: which rows; 0: KS_BY_TOTAL */
	uint32_t flags;      /* 12 ks_reader_flag; 0: totals since the probe was first enabled */
	uint64_t reserved;   /* 16 */
};                           /* 24 */

/*
 * ks_reader_new - prepare to read a probe's statistics
 *
 * Readers do not disturb each other, nothing is cleared by reading. A first delta counts from here.
 * @probe: KS_PROBE_...; KS_PROBE_SELF for ledgers and cost
 * @opts: NULL: one row, the total
 * @ret_reader: the reader
 * Returns 0.
 * Errors: -EINVAL (no such probe, no statistics, not grouped that way), -ENOMEM, -E2BIG,
 *   -KS_EFORKED.
 * Ownership: the caller's, until ks_reader_free(), in any order with ks_close().
 * Threads: one at a time; different readers in parallel, also beside ks_close(). Since: 0.1
 */
KS_API int ks_reader_new(struct ks *ks, uint32_t probe, const struct ks_reader_opts *opts,
			 struct ks_reader **ret_reader);

/* What was read. Everything it points to belongs to the reader. */
struct ks_stats {
	size_t size;             /*  0 */
	uint64_t time_ns;        /*  8 when it was read */
	uint64_t since_ns;       /* 16 what is counted began: first enable, or previous read */
	const void *rows;        /* 24 n_rows structs ks_stats_..., row_size bytes apart */
	size_t n_rows;           /* 32 */
	size_t row_size;         /* 40 may be more (newer library) or less than your struct */
	const uint64_t *buckets; /* 48 see struct ks_hist */
	size_t n_buckets;        /* 56 */
	uint16_t id;             /* 64 KS_STATS_... of the rows */
	uint16_t source;         /* 66 ks_source */
	uint32_t reserved;       /* 68 */
};                               /* 72 */

/*
 * ks_read_stats - read now
 * Rows of one grouping add up to its total. Totals never go backwards. Rows come in no order.
 * @ret_stats: set size first; its pointers are valid until the next read with this reader or
 *   ks_reader_free(), also after ks_close()
 * Returns 0.
 * Errors (the next read has what this one has not): -EINVAL (no size), -KS_EOFF (never on),
 *   -KS_EUNAVAIL (a fallback knows no rows by process, cgroup and role, and not each scope),
 *   -ENOMEM, of a fallback -EMFILE, -KS_ECLOSED, -KS_EFORKED. Threads: see ks_reader_new().
 * Cost: no waiting; 1 us a total, 0.2 us a row; at times rows of the dead are emptied, 1 us each.
 *   A fallback reads files: 11 us a process. KS_PROBE_SELF: 1 us an attached program. Since: 0.1
 */
KS_API int ks_read_stats(struct ks_reader *reader, struct ks_stats *ret_stats);

/* ks_stats_row - row i, to be cast to the probe's struct ks_stats_..., or NULL past it. Since: 0.1 */
KS_API const void *ks_stats_row(const struct ks_stats *stats, size_t i);

/*
 * ks_reader_error - ks_last_error() of a reader: why its last ks_read_stats() that failed did
 * Needs no handle: also after ks_close(), in a forked child, and from any thread that has the reader.
 * @buf: text, cut to size and ended with NUL; KS_ERROR_MAX is enough; may be NULL if size is 0
 * Returns the length of the whole text; 0 if no read has failed. Errors: -EINVAL. Since: 0.1
 */
KS_API int ks_reader_error(struct ks_reader *reader, char *buf, size_t size);

/* ks_reader_free - release it and what it has read; NULL is fine. Since: 0.1 */
KS_API void ks_reader_free(struct ks_reader *reader);

/*
 * ks_hist_bound - upper bound of bucket i, inclusive: 2^((i + 1) / 4)
 * Threads: any, no handle. Since: 0.1
 */
KS_API double ks_hist_bound(int i);

/*
 * ks_hist_quantile - the value below which a share q of the observations lies, within 9 %
 * @stats, @hist: a read and a histogram of one of its rows
 * @q: 0 to 1
 * Returns it in the histogram's unit, or a NaN if nothing was observed. Since: 0.1
 */
KS_API double ks_hist_quantile(const struct ks_stats *stats, const struct ks_hist *hist, double q);

/* ==== clock and version ====================================================================== */

/*
 * ks_read_clock - the same moment on the events' clock and on the wall clock
 *
 * Wall time of an event: *ret_wall_ns + (int64_t)(time_ns - *ret_mono_ns). Ask once per batch: the
 * wall clock may be set.
 * @ret_mono_ns: CLOCK_MONOTONIC as the caller reads it, in every time namespace: see events.h
 * @ret_wall_ns: nanoseconds since 1970, UTC
 * Returns 0. Errors: -KS_EFORKED. Cost: 50 ns, no system call. Since: 0.1
 */
KS_API int ks_read_clock(struct ks *ks, uint64_t *ret_mono_ns, int64_t *ret_wall_ns);

/* ks_version - of the library in use, to compare with KS_VERSION. No handle. Since: 0.1 */
KS_API uint32_t ks_version(void);

#ifdef __cplusplus
}
#endif

#include <kernelsight/trust.h>
#endif
