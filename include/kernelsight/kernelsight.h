/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernelsight.h - typed kernel events, statistics and their cost, inside your own process
 *
 * The headers in include/kernelsight/ are the manual. Anything that they do not declare is not API.
 *
 *	struct ks *ks;
 *	uint32_t want[] = { KS_PROBE_PROC, KS_PROBE_FADVISE };
 *
 *	ks_open(NULL, &ks);                             // nothing loaded, nothing attached
 *	ks_prepare(ks, want, 2);                        // load programs, about 40 ms, once
 *	ks_enable_probe(ks, KS_PROBE_PROC, NULL);       // attach, well under a millisecond
 *	while (ks_poll(ks, -1, 0, on_event, host) >= 0) // or ks_fd() in your own loop
 *		;
 *	ks_close(ks);
 *
 * Terms
 *
 *  Probe     A subject to observe: processes, scheduling, page cache. It has records of single
 *            events, statistics (rows of counters and histograms), or both.
 *  Program   A BPF program that the library loads into the kernel and attaches to a hook.
 *  Variant   One method to attach a probe: tp_btf, kprobe, ... Each probe has a list, best first.
 *  Fallback  The last variant of some probes: it reads files (/proc) instead of loading programs.
 *  Scope     The set of threads that a handle watches: ks_set_scope().
 *  Consumer  The thread that reads records: it is inside ks_poll() or ks_read_events().
 *
 * Rules that hold for every function, unless its own block says otherwise
 *
 *  Errors    An int is 0 or a count on success. On failure it is negative: -errno or -KS_E... .
 *            ks_strerror() gives the text of the code. ks_last_error() gives a sentence that says
 *            what to do. errno keeps its value. Output parameters come last and are called ret_...;
 *            a failed call does not change them. Most functions may also return these codes, even
 *            if their blocks do not list them: -EINVAL (NULL where it is not allowed), -KS_EFORKED
 *            (see fork), -KS_ECLOSED (ks_close() was called) and -EBADF (see Files).
 *  Structs   A struct that begins with `size_t size` may grow at its end in later releases. Zero
 *            it, then set size to its sizeof. As input: members beyond a smaller size take their
 *            defaults; a larger size is accepted if all bytes that this library does not know are
 *            zero, else -E2BIG. As output: the library writes at most size bytes and sets size to
 *            the number that it wrote. A struct of zeros means all defaults. Structs without size
 *            either never change or carry their size elsewhere.
 *  Enums     Parameters and members are fixed-width integers. Expect values that you do not know.
 *  Memory    The library copies what you pass in before the call returns. The block of a function
 *            says who frees what it returns through a pointer. Names and help texts (const char *
 *            without such a statement) are constants, valid until the library is unloaded.
 *  Threads   Any thread may call any function at any time, in parallel, until ks_close(). Only the
 *            two consumer functions, ks_poll() and ks_read_events(), allow one thread at a time; it
 *            may be another thread each time. A second consumer gets -EBUSY. No other function
 *            waits for the consumer. Functions that load, attach, configure, query, check or
 *            explain probes, ks_set_scope() and ks_selftest() wait for each other, each for the
 *            calls that began before it. Reads of statistics, roles, ks_wakeup() and the consumer
 *            functions do not wait for them. The exception is a handle with a probe on a fallback,
 *            which reads files under a lock: reads and the consumer may wait for one walk over
 *            /proc for each such probe.
 *  Callbacks An event callback runs in the thread that called ks_poll(), with no lock held. It may
 *            call every function but ks_poll(), ks_read_events() and ks_selftest(); these return
 *            -EBUSY. It must return or unwind (C++ exception, pthread_cancel); after unwinding the
 *            event counts as delivered. If it leaves by longjmp (PostgreSQL's elog()), the next
 *            ks_poll() or ks_close() of the same thread recognizes from the stack that the old call
 *            is gone, and works. Where the stack does not show it, ks_poll() returns -EBUSY and
 *            ks_close() cannot free the memory of the handle. In another thread, ks_poll() returns
 *            -EBUSY, and after ks_close() the programs stay attached until the process ends.
 *  fork      A handle belongs to the process that opened it. In a forked child every function
 *            returns -KS_EFORKED, except ks_close() and ks_reader_free(). These two free the
 *            child's copy and do not disturb the parent. (They leave memory that another thread was
 *            changing at the fork.) Call ks_close() in a child that lives on: until then the child
 *            keeps descriptors open, and programs that the parent detaches stay loaded, idle. After
 *            exec nothing is left. A child of vfork must not call the library. In a child that was
 *            forked inside an event callback the record of that event is not readable.
 *  Files     All descriptors that the library keeps have numbers above 2; ks_prepare() says how
 *            many there are. (If 0, 1 or 2 is free, a call that opens a file uses it for a moment.)
 *            If the host closes one by mistake, calls that need it return -EBADF. If another file
 *            has got that number by then, the library does not touch it.
 *  Signals   The library installs no handler and raises no signal. While it loads and attaches
 *            programs it blocks signals in the calling thread, as a pending signal aborts the
 *            kernel's verifier. A signal for this thread is delivered afterwards; a signal for the
 *            process goes to another thread at once. Signals that a fault or a trapped syscall
 *            raises are not blocked. ks_selftest() blocks all signals while it creates its child.
 *            A signal handler may only call ks_wakeup(). A wait that a signal interrupts returns 0,
 *            as if woken: no function returns -EINTR.
 *  Process   The library creates no thread, timer signal or exit handler and keeps no thread-local
 *            or process-wide state. Two handles are independent. The library may be unloaded after
 *            the last ks_close().
 */
#ifndef KERNELSIGHT_H
#define KERNELSIGHT_H

#include <stddef.h>
#include <stdint.h>

#include <kernelsight/events.h>
#include <kernelsight/version.h>

#if defined(__GNUC__) && !defined(KS_API) /* the build of the library defines its own */
#define KS_API __attribute__((visibility("default")))
#elif !defined(KS_API)
#define KS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct ks; /* a handle: one independent instance of the library */

/* ==== errors ================================================================================ */

/* Codes beside errno. Their numbers never change; new codes are appended. */
enum ks_error {
	KS_EUNAVAIL = 4096, /* no kernel program and no fallback can do this here */
	KS_EOFF = 4097,     /* the probe is off, or was never on */
	KS_EFORKED = 4098,  /* the handle belongs to the parent process */
	KS_EBALANCE = 4099, /* the ledger does not add up */
	KS_ESILENT = 4100,  /* attached, but the event that a self-test caused was not counted */
	KS_ECLOSED = 4101,  /* the handle is closed */
};

/*
 * ks_strerror - the text of an error code
 * ks_error_name - its name: "EPERM", "KS_EUNAVAIL"
 * @code: a code as a function returned it, negative; its positive value works, too
 * Returns a constant in English; for an unknown code "unknown error", and "?" as its name.
 * Threads: any; async-signal-safe. Cost: a table look-up. Since: 0.1
 */
KS_API const char *ks_strerror(int code);
KS_API const char *ks_error_name(int code);

#define KS_ERROR_MAX 512 /* bytes of the longest text, with NUL; a cut text ends with ... */

/*
 * ks_last_error - what to do about the last failure of the calling thread on this handle
 * @buf: receives the text, cut to @size and ended with NUL; may be NULL if @size is 0
 * Returns the length of the whole text, without NUL, below KS_ERROR_MAX; 0 if there is no text.
 *   The handle drops the text of a thread when 16 other threads have failed since.
 * Errors: -EINVAL, -KS_EFORKED.
 * Ownership: the text is a copy, so no other thread can change it. Where tasks move between threads
 *   (Go), call this before the task can move: in the same C call as the function that failed.
 * Since: 0.1
 */
KS_API int ks_last_error(struct ks *ks, char *buf, size_t size);

/* ==== open and close ======================================================================== */

enum ks_log_level { KS_LOG_ERROR = 1, KS_LOG_WARNING = 2, KS_LOG_INFO = 3, KS_LOG_DEBUG = 4 };

/*
 * Receives a message for developers: its ks_log_level, one line without newline that is valid until
 * the function returns, and ks_open_opts.log_user. It runs in every thread that is inside the
 * library, so in several at once. It must return. The only library function that it may call is
 * ks_wakeup().
 */
typedef void (*ks_log_fn)(int level, const char *text, void *user);

enum ks_open_flag {
	KS_OPEN_ORDERED = 1 << 0,       /* deliver in order of time, delayed by batch_ms */
	KS_OPEN_RAISE_MEMLOCK = 1 << 1, /* Linux 5.10 only: raise RLIMIT_MEMLOCK of this process */
	KS_OPEN_TRIM = 1 << 2,          /* call malloc_trim() after loading: 0.1 s per GB of heap */
};

/*
 * Features that a kernel may lack. The library finds them by trying, not by the kernel's version;
 * ks_check() lists them. Each comment says what happens without the feature.
 */
enum ks_feature {
	KS_FEATURE_RINGBUF = 1 << 0,      /* perf buffers instead, 2-3 times slower */
	KS_FEATURE_BTF_TRACING = 1 << 1,  /* no tp_btf and no fentry programs */
	KS_FEATURE_TASK_STORAGE = 1 << 2, /* a hash map with an entry for each thread instead */
	KS_FEATURE_ATOMIC_FETCH = 1 << 3, /* the limit on records is kept for each CPU instead */
	KS_FEATURE_RDONLY_CAST = 1 << 4,  /* programs load more slowly */
	KS_FEATURE_OWN_GUARD = 1 << 5,    /* programs may nest in themselves: counters cost more */
	KS_FEATURE_BATCH = 1 << 6,        /* map entries are read one by one */
	KS_FEATURE_MMAP = 1 << 7,         /* no map can be mapped into the host: fallbacks only */
	KS_FEATURE_ITER_NUM = 1 << 8,     /* short loops instead, which take longer to load */
};

#define KS_IMMEDIATE 0xffffffff /* ks_open_opts.batch_ms: wake the consumer for each record */
struct ks_open_opts {
	size_t size;             /*   0 */
	uint32_t flags;          /*   8 ks_open_flag */
	uint32_t batch_ms;       /*  12 longest delay of records, to 60000; 0: 10; KS_IMMEDIATE */
	uint64_t ring_bytes;     /*  16 all ring buffers together, each a power of two; 0: 4 MiB */
	ks_log_fn log;           /*  24 NULL: no messages */
	void *log_user;          /*  32 passed to log as `user` */
	uint32_t log_level;      /*  40 messages up to KS_LOG_...; 0: KS_LOG_WARNING */
	uint32_t max_threads;    /*  44 threads with own rows; others: the rest row; 0: 16384 */
	uint64_t features_off;   /*  48 ks_feature bits to do without, as on an old kernel */
	const char *btf_path;    /*  56 file with this kernel's BTF; NULL: sys_path's or -Dbtf's */
	const char *proc_path;   /*  64 NULL: /proc */
	const char *sys_path;    /*  72 NULL: /sys */
};                               /*  80 */

/*
 * ks_open - open a handle
 *
 * Needs no privilege and no BPF: the library finds out later what is possible, for each probe.
 * @opts: NULL: defaults. Of its paths the library opens only regular files and directories, so a
 *   FIFO or a device cannot block it
 * @ret_ks: the handle
 * Returns 0.
 * Errors: -EINVAL (a value out of range), -E2BIG (members of a newer release are set), -ENOMEM,
 *   -EMFILE, -ENFILE.
 * Ownership: the handle is the caller's, until ks_close().
 * Cost: 0.05 ms, the first time in a process 0.15 ms; 6 descriptors. Since: 0.1
 */
KS_API int ks_open(const struct ks_open_opts *opts, struct ks **ret_ks);

/*
 * ks_close - detach all programs and free the handle
 *
 * Records that are not delivered yet are discarded. To read them first, disable the probes and call
 * a consumer function until it returns 0. Readers survive: the rows that they have read stay valid
 * until ks_reader_free(), and new reads return -KS_ECLOSED. Inside an event callback the record
 * stays valid until the callback returns; no other event is delivered. Take ks_fd() out of your
 * event loop first: a copy of it in a forked child would stay registered there.
 * @ks: may be NULL
 * Threads: other threads may be inside functions of the handle. These functions end (a waiting
 *   consumer wakes up and returns -KS_ECLOSED), and the last one to leave frees the handle. No
 *   thread may call a function with the handle afterwards.
 * Cost: below 1 ms; 72 ms for each program on a classic tracepoint or kprobe. Since: 0.1
 */
KS_API void ks_close(struct ks *ks);

/* ==== scope ================================================================================== */

enum ks_scope_kind {
	KS_SCOPE_SELF = 0,   /* this process, all threads: the default */
	KS_SCOPE_TREE = 1,   /* pids[] and all their descendants, present and future */
	KS_SCOPE_PIDS = 2,   /* pids[]; not a later process that reuses one of these numbers */
	KS_SCOPE_CGROUP = 3, /* one cgroup of the memory controller's hierarchy and all below it */
	KS_SCOPE_SYSTEM = 4, /* all processes that are visible from this pid namespace */
};

struct ks_scope {
	size_t size;              /*  0 */
	uint32_t kind;            /*  8 ks_scope_kind */
	uint32_t n_pids;          /* 12 at most 4096 */
	const int32_t *pids;      /* 16 of processes, as the caller sees them; NULL and 0: itself */
	const char *comm;         /* 24 only threads of this name (15 bytes); NULL: all */
	const char *exclude_comm; /* 32 not threads of this name; NULL: exclude none */
	const char *cgroup;       /* 40 its directory, or its path from the hierarchy's root */
};                                /* 48 */

/*
 * ks_set_scope - choose the threads to watch; kernel programs test the scope before anything else
 *
 * Replaces the whole scope, also while probes run. Counters keep their values and count on.
 * With KS_SCOPE_TREE, kernel programs add each child before it runs. A descendant whose parent has
 * exited before this call is not found. There is room for 32,768 living processes at most, in a
 * nested pid namespace for half as many. A child beyond them is not watched, and counts in lost_map
 * of the total of KS_PROBE_SELF. If a cgroup is removed and created again at the same path, the
 * consumer finds the new one within a second, and receives a KS_EVENT_STATE with KS_CAUSE_SCOPE.
 * @scope: NULL: KS_SCOPE_SELF
 * Returns 0.
 * Errors (the old scope stays): -EINVAL (no such kind; a member that this kind does not take; a pid
 *   below 1; over 4096 pids), -ESRCH (no such process; the number is a thread's), -ENOENT (no such
 *   cgroup), -EXDEV (a cgroup of another hierarchy), -KS_EUNAVAIL (no cgroups are mounted; trees
 *   cannot be followed here), -ENAMETOOLONG (a comm above 15 bytes), -EAGAIN (the tree changes so
 *   fast that it was not complete after 5 s), -E2BIG (too many processes; members of a newer
 *   release are set), -ENOMEM, -EMFILE, -ENFILE, -KS_EFORKED.
 * Cost: 0.1 ms, and 0.03 ms for each of pids[], whose files in /proc tell which process it is. A
 *   second change within a second first waits for a grace period (10 to 40 ms, more on a busy
 *   machine), until no program uses the previous scope. KS_SCOPE_TREE first loads programs, see
 *   ks_prepare(), and reads /proc 3 times. Since: 0.1
 */
KS_API int ks_set_scope(struct ks *ks, const struct ks_scope *scope);

/* ==== probes ================================================================================= */

/*
 * ks_prepare - load the kernel programs of some probes, so that enabling these probes is fast
 *
 * Name all probes in one call: each call reads the kernel's type information (BTF) once. A probe
 * whose programs cannot be loaded does not make the call fail: see ks_query_probe().
 * @probes, @n: KS_PROBE_...; @probes NULL: all probes of this library
 * Returns how many of these probes can now run on kernel programs; the others have a fallback or
 *   are unavailable.
 * Errors: -EINVAL (no such probe), -ENOMEM, -EMFILE, -ENFILE, -EAGAIN (signals interrupted the
 *   kernel each time: try again), -KS_EFORKED.
 *   After chroot() to a directory without procfs no program can be loaded: call this before, and
 *   ks_set_scope() if the scope is a tree. Loaded programs keep working.
 * Cost: 40 ms of CPU time for two probes, 100 ms for all. At the peak the process has 19 MiB more
 *   memory, ring buffers included, and up to 250 descriptors more; at most 120 descriptors stay
 *   open. Afterwards malloc keeps 1 MiB of that memory, see KS_OPEN_TRIM. In a cgroup with a memory
 *   limit, 32 MiB must be free, maps included: at the limit the kernel may kill the host instead of
 *   returning -ENOMEM. Do not call it in the thread of an event loop. Since: 0.1
 */
KS_API int ks_prepare(struct ks *ks, const uint32_t *probes, size_t n);

/*
 * One setting of a probe. ks_describe_param() lists a probe's settings with units, bounds and
 * defaults. This struct never changes.
 */
struct ks_param {
	uint32_t id;       /*  0 KS_PARAM_..., or 32 and above: a setting of this probe only */
	uint32_t reserved; /*  4 */
	uint64_t value;    /*  8 a number, a duration or flags */
	const void *data;  /* 16 NULL: for texts and sets, which no probe takes yet */
	size_t data_size;  /* 24 0 */
};                         /* 32 */

/* Settings that every probe has. */
enum ks_common_param {
	KS_PARAM_SAMPLE_EVERY = 1, /* a record for 1 event in N; 0: none. Slow calls of fadvise
				      always have one. Statistics count every event */
	KS_PARAM_MAX_PER_SEC = 2,  /* limit of records a second, all CPUs together; 0: no limit */
	KS_PARAM_BURST = 3,        /* size of that limit's token bucket: records at once */
	KS_PARAM_IDENTITY = 5,     /* ks_identity bits: members that a record fills */
	KS_PARAM_INTERVAL_MS = 6,  /* milliseconds between two reads of files by a fallback */
};

enum ks_identity {
	KS_IDENTITY_CGROUP = 1 << 0, /* ks_event.cgroup, of the memory controller; 3 ns a record */
	KS_IDENTITY_COMM = 1 << 1,   /* ks_event.comm; 3 ns a record */
};

enum ks_enable_flag {
	KS_ENABLE_NO_FALLBACK = 1 << 0, /* fail with -KS_EUNAVAIL instead of using a fallback */
	KS_ENABLE_NO_EVENTS = 1 << 1,   /* statistics only */
	KS_ENABLE_NO_STATS = 1 << 2,    /* records only */
};

struct ks_enable_opts {
	size_t size;                   /*  0 */
	uint32_t flags;                /*  8 ks_enable_flag */
	uint32_t n_params;             /* 12 */
	const struct ks_param *params; /* 16 settings that differ from their defaults */
	const char *variant;           /* 24 use this one or fail; NULL: the best that works */
};                                     /* 32 */

/*
 * ks_enable_probe - attach a probe
 *
 * Takes the best variant that works. ks_query_variant() says why each better one was skipped.
 *
 * A probe that was off starts with the default settings, changed by @opts. On a probe that is on
 * already, the call changes the settings in @opts and keeps the others.
 *
 * This handle does not try a refused variant again, unless the refusal can pass: no memory, no
 * descriptors, RLIMIT_MEMLOCK, RLIMIT_FSIZE, chroot(), or a hook that another tool uses. After such
 * a refusal the next ks_prepare() or ks_enable_probe() tries again, if the probe is off.
 * @probe: KS_PROBE_...
 * @opts: NULL: defaults
 * Returns 0; 1 if the probe works but knows less: it is on a fallback, or some `valid` bits are
 *   missing. ks_last_error() and ks_probe_info.reason say why.
 * Errors: -KS_EUNAVAIL (ks_last_error() says why, and the remedy), -EINVAL (no such probe, variant
 *   or flag; a setting out of bounds), -EBUSY (the probe is on by another variant or with other
 *   flags: disable it first), -ENOMEM, -EMFILE, -ENFILE, -EAGAIN (signals interrupted the kernel
 *   each time: try again), -E2BIG, -KS_EFORKED.
 * Cost: below a millisecond after ks_prepare(); without it, also the cost of ks_prepare(). The call
 *   sleeps in two cases. The kernel waits 5-20 ms if the hook lost its last program less than a
 *   grace period (30 ms) ago. The library waits, as in ks_configure_probe(), if the settings change
 *   for the second time within a second, or if the probe is KS_PROBE_SCHED and was on less than a
 *   second ago. Since: 0.1
 */
KS_API int ks_enable_probe(struct ks *ks, uint32_t probe, const struct ks_enable_opts *opts);

/*
 * ks_disable_probe - detach a probe
 *
 * Its counters stay readable, and count on from there when the probe is enabled again. Records that
 * its programs have submitted are still delivered.
 * @probe: KS_PROBE_...
 * Returns 0, also if the probe was off.
 * Errors: -EINVAL (no such probe), -KS_EFORKED.
 * Cost: below 1 ms; 72 ms for each program on a classic tracepoint or kprobe. Since: 0.1
 */
KS_API int ks_disable_probe(struct ks *ks, uint32_t probe);

/*
 * ks_configure_probe - change settings of a probe while it runs
 *
 * The call changes all named settings at one moment, or none. Other settings stay.
 * @probe: KS_PROBE_...
 * @params, @n: the settings; NULL and 0: reset all settings to their defaults
 * Returns the generation of the settings, which records carry in ks_event.generation. It counts
 *   from 1 to 255 and then starts again at 1.
 * Errors: -EINVAL (no such probe; no such setting; out of bounds), -KS_EOFF (the probe is off),
 *   -KS_EFORKED.
 * Cost: microseconds; programs are not loaded again. A second change within a second first waits
 *   for a grace period, as in ks_set_scope(). Since: 0.1
 */
KS_API int ks_configure_probe(struct ks *ks, uint32_t probe, const struct ks_param *params,
			      size_t n);

/*
 * ks_query_param - the present value of a setting
 * @probe: KS_PROBE_...
 * @id: ks_param.id of the setting
 * @ret_value: the value
 * Returns 0. Errors: -EINVAL (no such probe or setting), -KS_EFORKED. Since: 0.1
 */
KS_API int ks_query_param(struct ks *ks, uint32_t probe, uint32_t id, uint64_t *ret_value);

enum ks_probe_state {
	KS_STATE_OFF = 0,     /* not enabled; variant and valid of ks_probe_info are predictions */
	KS_STATE_ON = 1,      /* attached, or a fallback reads files */
	KS_STATE_FAILED = 2,  /* ks_enable_probe() found nothing that works; see reason */
	KS_STATE_SILENT = 4,  /* attached, but missed the event that ks_selftest() caused last */
};

enum ks_source { KS_SOURCE_NONE = 0, KS_SOURCE_BPF = 1, KS_SOURCE_FILES = 2 };

enum ks_fact { /* bits of ks_probe_info.facts */
	KS_FACT_TRIED = 1 << 0,  /* the kernel has accepted the variant; else cheap tests predict */
	KS_FACT_SEEN = 1 << 1,   /* the probe has counted an event since it was enabled */
	KS_FACT_MISSED = 1 << 2, /* `missed` is known on this kernel */
	KS_FACT_PARTIAL = 1 << 3, /* /proc hides processes (hidepid); `reason` begins with this */
};

struct ks_probe_info {
	size_t size;             /*   0 */
	uint32_t probe;          /*   8 */
	uint16_t state;          /*  12 ks_probe_state */
	uint16_t source;         /*  14 ks_source */
	uint32_t variant;        /*  16 in use, or expected; UINT32_MAX: none */
	uint32_t n_variants;     /*  20 see ks_query_variant() */
	uint32_t facts;          /*  24 ks_fact */
	uint32_t generation;     /*  28 of the settings; 0: never enabled */
	uint64_t valid;          /*  32 KS_HAS_... bits that the variant fills or should fill */
	uint64_t caps_missing;   /*  40 bits 1 << CAP_... that the best variant needs */
	uint64_t changed_ns;     /*  48 time of the last change of state */
	uint64_t last_ns;        /*  56 of the last event that a read or the consumer saw, or 0 */
	uint64_t missed;         /*  64 events that reached no program: recursion, kprobe misses */
	char name[32];           /*  72 */
	char variant_name[32];   /* 104 "tp_btf" */
	char reason[256];        /* 136 why no better variant, or why it failed; a remedy; or "" */
};                               /* 392 */

/*
 * ks_query_probe - the state of a probe; before it is enabled, what to expect of it here
 * @probe: KS_PROBE_...
 * @ret_info: set size first
 * Returns 0. Errors: -EINVAL (no such probe, no size), -KS_EFORKED.
 * Cost: microseconds. The first query of a probe that is off also opens a few files. Since: 0.1
 */
KS_API int ks_query_probe(struct ks *ks, uint32_t probe, struct ks_probe_info *ret_info);

struct ks_variant_info {
	size_t size;      /*   0 */
	int32_t error;    /*   8 0: usable or in use; else why it was skipped: -errno, -KS_E... */
	uint32_t source;  /*  12 ks_source */
	char name[32];    /*  16 */
	char reason[256]; /*  48 the error in words, with the remedy; or what the variant lacks */
};                        /* 304 */

/*
 * ks_query_variant - a variant of a probe, and why it was skipped
 * @probe: KS_PROBE_...
 * @index: from 0, the best variant, to ks_probe_info.n_variants - 1
 * @ret_info: set size first
 * Returns 0. Errors: -ENOENT (past the last), -EINVAL, -KS_EFORKED. Since: 0.1
 */
KS_API int ks_query_variant(struct ks *ks, uint32_t probe, uint32_t index,
			    struct ks_variant_info *ret_info);

/*
 * ks_query_valid - can this probe fill some members here, and if not, why
 *
 * The answer is that of the variant in use, or of the variant to expect if the probe is off.
 * @probe: KS_PROBE_...
 * @bits: KS_HAS_... of the probe, or ks_field_desc.valid
 * @why, @why_size: receives the reason for the lowest missing bit, cut and ended with NUL; may be
 *   NULL and 0
 * Returns 1 if the probe fills the members of all @bits, else 0.
 * Errors: -EINVAL (no such probe), -KS_EFORKED. Since: 0.1
 */
KS_API int ks_query_valid(struct ks *ks, uint32_t probe, uint64_t bits, char *why, size_t why_size);

/* ==== events ================================================================================= */

/*
 * ks_fd - the descriptor to wait for
 *
 * It is readable when there are records to read or a timer of the library has expired. Serve it
 * even if you use statistics only: fallbacks read their files then.
 *
 * Put it into poll, epoll, libuv, or the loop of Go or tokio. When it is readable, call a consumer
 * function with timeout 0 until it returns 0. The call that returns 0 arms the next wake-up. A
 * level-triggered loop may also call once per turn. An edge-triggered loop (Go, tokio) must go on
 * until 0. Do not read, write or close the descriptor; a dup of it is yours.
 *
 * Returns the descriptor, the same one for the life of the handle: an epoll descriptor of depth 1.
 * Errors: -KS_EFORKED. Since: 0.1
 */
KS_API int ks_fd(struct ks *ks);

/*
 * Receives an event, which is valid until the function returns. Return 0 or more to continue. A
 * negative value ends ks_poll(), which returns that value.
 */
typedef int (*ks_event_fn)(const struct ks_event *event, void *user);

/*
 * ks_poll - wait for events, and call a function for each event
 *
 * Waits until there is an event, the time is over, ks_wakeup() was called or a signal came. Then it
 * delivers the events that are there. A return of 0 means that no event is left and that the next
 * wake-up of ks_fd() is armed.
 * @timeout_ms: milliseconds; 0: do not wait; -1: no limit
 * @max_events: deliver at most this many; 0: 1024
 * @fn, @user: the callback, and a pointer that it receives
 * Returns how many events were delivered; 0 if there was none.
 * Errors: the negative value of the callback; -EBUSY (another thread is the consumer, or called
 *   inside a callback), -EINVAL, -EBADF (the host has closed a descriptor of the library),
 *   -KS_ECLOSED (the handle was closed meanwhile), -KS_EFORKED.
 * Threads: one consumer at a time. Cost: 7 to 11 ns an event. Since: 0.1
 */
KS_API int ks_poll(struct ks *ks, int timeout_ms, int max_events, ks_event_fn fn, void *user);

/*
 * ks_read_events - wait for events, and copy many into your memory; for Go, Rust, C++ and batches
 *
 * Waits as ks_poll(). The records lie one after the other: the next one is ev->size bytes further;
 * see ks_next_event().
 * @buf: receives the records; its address is a multiple of 8
 * @size: bytes of @buf, at least KS_RECORD_MAX; 64 KiB is a good size
 * @timeout_ms: as ks_poll()
 * @ret_size: bytes filled, a multiple of 8
 * Returns the number of records; 0 if there was none.
 * Errors: as ks_poll(); -EINVAL also for a @buf that is unaligned or too small.
 * Ownership: the records are copies, yours.
 * Threads: one consumer at a time. Cost: 14 to 19 ns an event with the copy and the walk over it.
 *   Since: 0.1
 */
KS_API int ks_read_events(struct ks *ks, void *buf, size_t size, int timeout_ms, size_t *ret_size);

/*
 * ks_next_event - the next record of a batch: for (ev = NULL; (ev = ks_next_event(buf, size, ev));)
 * @buf, @size: as ks_read_events() filled them
 * @ev: the record before; NULL: begin with the first
 * Returns the next record; NULL at the end, or if a size in the batch makes no sense.
 * Ownership: it is a part of @buf. Threads: any; needs no handle. Since: 0.1
 */
KS_API const struct ks_event *ks_next_event(const void *buf, size_t size,
					    const struct ks_event *ev);

/*
 * ks_wakeup - make the consumer return
 *
 * If no consumer waits, the next wait of one returns at once. Several calls before that count as
 * one.
 * Returns 0. Errors: -KS_EFORKED (a signal handler of a child does not wake the parent), -EBADF.
 * Threads: any; async-signal-safe, and keeps errno. Cost: two syscalls. Since: 0.1
 */
KS_API int ks_wakeup(struct ks *ks);

/* ==== clock and version ====================================================================== */

/*
 * ks_read_clock - the same moment on the clock of events and on the wall clock
 *
 * Wall time of an event: *ret_wall_ns + (int64_t)(time_ns - *ret_mono_ns). Call this once for each
 * batch, as somebody may set the wall clock.
 * @ret_mono_ns: CLOCK_MONOTONIC as the caller reads it, in every time namespace: see events.h
 * @ret_wall_ns: nanoseconds since 1970, UTC
 * Returns 0. Errors: -EINVAL, -KS_EFORKED. Cost: 50 ns, no syscall. Since: 0.1
 */
KS_API int ks_read_clock(struct ks *ks, uint64_t *ret_mono_ns, int64_t *ret_wall_ns);

/* ks_version - version of the loaded library, to compare with KS_VERSION. No handle. Since: 0.1 */
KS_API uint32_t ks_version(void);

#ifdef __cplusplus
}
#endif

#include <kernelsight/stats.h>
#include <kernelsight/trust.h>
#endif
