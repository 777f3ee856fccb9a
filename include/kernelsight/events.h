/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * events.h - every record and every row of statistics, byte for byte
 *
 * A record is a struct ks_event_..., a row is a struct ks_stats_... . Kernel programs fill the same
 * structs that C, C++, Go, Rust and Python read.
 *
 *  - Layout: little endian, 64 bit, no implicit padding. A record starts at a multiple of 8, and
 *    its size is a multiple of 8.
 *  - Growth: structs grow only at the end. Before you read a member that was added after 0.1, test
 *    that ev->size (of an event) or ks_stats.row_size (of a row) reaches it. A record may be longer
 *    than your struct: step by its size, never by sizeof.
 *  - Numbers: ids and constants never change; new ones are appended. Expect ids that you do not
 *    know, and skip them: a switch over them needs a default.
 *  - Unknown is not zero. The bits of `valid` (KS_HAS_...) say which members are known. Members
 *    that come from the same kernel hook share a bit. Members without a bit are always known. An
 *    unknown member holds 0, which means nothing. `valid` is at byte 64 of every event and at byte
 *    16 of every row.
 *  - Units: times are CLOCK_MONOTONIC nanoseconds, durations nanoseconds, sizes bytes. A page is
 *    4096 bytes.
 *  - Clock: CLOCK_MONOTONIC is what clock_gettime() returns in the host, with the offset of the
 *    host's time namespace (time_namespaces(7)). This holds for records of kernel programs and of
 *    fallbacks. After setns(2) into another time namespace, open a new handle: the programs of the
 *    old one keep the old offset. A process that is older than the zero of this clock has a
 *    negative start_ns: read the difference of two times as int64_t.
 *  - Pids and tids are numbers of the pid namespace in which ks_open() was called; 0 is the idle
 *    task. If a task is not visible from there, the members about it are unknown.
 *  - Text ends with NUL inside its array, and may not be UTF-8.
 */
#ifndef KERNELSIGHT_EVENTS_H
#define KERNELSIGHT_EVENTS_H

#ifndef __bpf__ /* the BPF target has no <stdint.h>; bpf/ktypes.h declares these names there */
#include <stdint.h>
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "kernelsight: records are little endian, and big-endian machines are not supported"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- probes ------------------------------------------------------------------------------- */

/* Numbers of probes. Parameters and members that hold one are uint32_t or uint16_t. */
enum ks_probe_id {
	KS_PROBE_SELF = 0,      /* the library itself: its events, ledger and cost; always on */
	KS_PROBE_PROC = 1,      /* processes and threads: fork, exec, exit */
	KS_PROBE_SCHED = 2,     /* threads on CPUs: switches, and time running, queued and asleep */
	KS_PROBE_FADVISE = 3,   /* posix_fadvise(): calls, errors, pages really dropped */
	KS_PROBE_PAGECACHE = 4, /* page cache: requests, misses, pages added and evicted */
};

/*
 * A struct's number is probe << 8 | n: n = 0 is the probe's row of statistics, n > 0 one of its
 * events. ks_event.id and ks_stats.id hold it, and the ks_describe_ functions take it.
 */
enum ks_struct_id {
	KS_STATS_SELF = 0x0000,
	KS_EVENT_LOST = 0x0001,
	KS_EVENT_STATE = 0x0002,

	KS_STATS_PROC = 0x0100,
	KS_EVENT_PROC_FORK = 0x0101,
	KS_EVENT_PROC_EXEC = 0x0102,
	KS_EVENT_PROC_EXIT = 0x0103,

	KS_STATS_SCHED = 0x0200,
	KS_EVENT_SCHED_WAIT = 0x0201,
	KS_EVENT_SCHED_BLOCK = 0x0202,

	KS_STATS_FADVISE = 0x0300,
	KS_EVENT_FADVISE_CALL = 0x0301,

	KS_STATS_PAGECACHE = 0x0400,
	KS_EVENT_PAGECACHE_MISS = 0x0401,
};

/* ---- head of every event, 64 bytes --------------------------------------------------------- */

#define KS_RECORD_MAX 4096 /* no record is longer, in any release of this soname */
#define KS_NO_CPU 65535    /* ks_event.cpu of records that fallbacks or the library make */

/* Bits of ks_event.flags */
enum ks_event_flag {
	KS_FLAG_FALLBACK = 1 << 0, /* made by a fallback, not by a kernel program */
	KS_FLAG_SELFTEST = 1 << 1, /* caused by ks_selftest() */
	KS_FLAG_CUT = 1 << 3,      /* a text was longer than its array and is cut */
	KS_FLAG_LATE = 1 << 4,     /* KS_OPEN_ORDERED: out of order, as it arrived too late */
};

/* The head of every event. */
struct ks_event {
	uint16_t size;      /*  0 bytes of this record, with this head */
	uint16_t id;        /*  2 KS_EVENT_...; id >> 8 is the probe */
	uint16_t cpu;       /*  4 on which the event happened, or KS_NO_CPU */
	uint8_t flags;      /*  6 ks_event_flag */
	uint8_t generation; /*  7 of the probe's settings; see ks_configure_probe() */
	uint32_t weight;    /*  8 events that this record stands for: N when sampled 1 in N */
	uint32_t lost;      /* 12 running count of lost records of this CPU: see ks_event_lost */
	int32_t pid;        /* 16 of the process that the event is about */
	int32_t tid;        /* 20 of the thread that the event is about */
	uint64_t time_ns;   /* 24 when the event happened */
	uint64_t cgroup;    /* 32 its id; 0 without KS_IDENTITY_CGROUP and from a fallback */
	uint64_t tag;       /* 40 reserved for a number of the host's choice; 0 in this release */
	char comm[16];      /* 48 name of that thread */
};                      /* 64 */

/*
 * struct ks_event_lost: records of one CPU are missing. This event comes right before the next
 * record of that CPU. If no record follows, it comes when the ring buffer is empty. Its generation
 * is that of a neighbouring record.
 */
enum ks_lost_reason {
	KS_LOST_RING = 1,      /* the ring buffer was full: consumer too slow; or lost_locked */
	KS_LOST_THROTTLED = 2, /* over the limit of KS_PARAM_MAX_PER_SEC */
};

struct ks_event_lost {
	struct ks_event ev; /*   0 */
	uint64_t valid;     /*  64 no bits yet */
	uint64_t lost;      /*  72 number of missing records */
	uint64_t from_ns;   /*  80 all of them were lost after this time */
	uint64_t to_ns;     /*  88 and before this time */
	uint32_t reason;    /*  96 ks_lost_reason */
	uint32_t probe;     /* 100 of the missing records; UINT32_MAX: several probes */
};                      /* 104 */

/* A probe changed its state, source, variant or sampling although the host did not ask for it. */
struct ks_event_state {
	struct ks_event ev;    /*  0 */
	uint64_t valid;        /* 64 no bits yet */
	uint32_t probe;        /* 72 KS_PROBE_... */
	uint16_t state;        /* 76 ks_probe_state, kernelsight.h */
	uint16_t source;       /* 78 ks_source */
	uint32_t sample_every; /* 80 in force from now on */
	uint32_t cause;        /* 84 ks_cause */
};                         /* 88 */

enum ks_cause {
	KS_CAUSE_OTHER = 0,    /* none of the causes below */
	KS_CAUSE_OVERHEAD = 1, /* not used by this release: a governor limits the cost */
	KS_CAUSE_ERRORS = 2,   /* not used by this release: the probe failed too often */
	KS_CAUSE_SCOPE = 4, /* the scope's cgroup was created again at its path */
};

/* ---- head of every row of statistics, 64 bytes ---------------------------------------------- */

/*
 * Groupings of statistics. One reader can take several bits: its rows are then the rows of each
 * grouping. Each comment says what ks_row holds.
 */
enum ks_by {
	KS_BY_TOTAL = 1 << 0,   /* one row: all threads in scope */
	KS_BY_CPU = 1 << 1,     /* key = CPU; KS_NO_CPU: what a fallback counted */
	KS_BY_PROCESS = 1 << 2, /* key = pid, name = comm of its first thread, start_ns is set */
	KS_BY_CGROUP = 1 << 3,  /* key = cgroup id, name = container or last part of its path */
	KS_BY_ROLE = 1 << 4,    /* key = number of the role, name = the role: ks_thread_role() */
	KS_BY_PROBE = 1 << 5,   /* key = KS_PROBE_..., name = its name; KS_PROBE_SELF only */
};

/* Bits of ks_row.flags */
enum ks_row_flag {
	KS_ROW_REST = 1 << 0, /* the rest row: threads without a row (exited, no room, no role) */
	KS_ROW_GONE = 1 << 1, /* the process has exited; the rest row gets its numbers soon */
};

/* The head of every row. */
struct ks_row {
	uint64_t key;      /*  0 see ks_by; 0 in the total and in the rest row */
	uint64_t start_ns; /*  8 start of the process, unique with key; other rows: 0 */
	uint64_t valid;    /* 16 KS_HAS_... bits of the row's probe */
	uint16_t by;       /* 24 ks_by, one bit: the grouping of this row */
	uint16_t flags;    /* 26 ks_row_flag */
	uint32_t reserved; /* 28 */
	char name[32];     /* 32 see KS_BY_...; may be empty */
};                     /* 64 */

/*
 * A histogram with exponential buckets of base 2^(1/4). OpenTelemetry calls it an exponential
 * histogram of scale 2, Prometheus a native histogram of schema 2. Bucket i counts the observations
 * v with 2^(i/4) < v <= 2^((i+1)/4).
 *
 * The buckets are stored outside the row, and only from the lowest to the highest that is in use:
 * ks_stats.buckets[at] to [at + n - 1] are the buckets `lowest` to `lowest + n - 1`.
 *
 * If the row's `valid` has the probe's KS_HAS_..._BUCKETS, count is exactly zeros + the sum of the
 * buckets. Rows by process, cgroup and role do not have that bit, and neither has a total that was
 * read together with them: such rows keep only count and sum, and ks_hist_quantile() returns NaN.
 */
struct ks_hist {
	uint64_t count;  /*  0 number of observations */
	uint64_t sum;    /*  8 of the observations, exact, in the member's unit */
	uint64_t zeros;  /* 16 number of observations that are 0 */
	uint32_t at;     /* 24 index of the first bucket in ks_stats.buckets */
	int16_t lowest;  /* 28 number of the first bucket, may be negative */
	uint16_t n;      /* 30 stored buckets */
};                   /* 32 */

/* ---- the library itself: ledger and cost ---------------------------------------------------- */

/*
 * The ledger of the library: each run of a kernel program ends in exactly one counter. Grouped by
 * total and by probe. For each probe these two equations hold exactly, once its programs are
 * detached:
 *   fired = filtered + sampled_out + throttled + aggregated + opened + submitted
 *         + lost_ring + lost_locked + lost_map + unmatched + ambiguous + malformed
 *   submitted = delivered + discarded + in_flight
 * "counted" below means: the event is in the probe's statistics. "gauge" means: a present value,
 * not a counter.
 */
struct ks_stats_self {
	struct ks_row row;    /*   0 */
	uint64_t fired;       /*  64 runs of a program */
	uint64_t filtered;    /*  72 out of scope, no event of the probe, or the probe was off */
	uint64_t sampled_out; /*  80 counted; not sampled, see KS_PARAM_SAMPLE_EVERY */
	uint64_t throttled;   /*  88 counted; over the limit of KS_PARAM_MAX_PER_SEC */
	uint64_t aggregated;  /*  96 counted; the settings ask for no record */
	uint64_t opened;      /* 104 first event of a pair: stored, counted with the second one */
	uint64_t submitted;   /* 112 counted, and a record was written */
	uint64_t lost_ring;   /* 120 counted; the ring buffer was full */
	uint64_t lost_locked; /* 128 counted; an NMI found the lock of the ring buffer held */
	uint64_t lost_map;    /* 136 no room in a map, or a CPU that /sys does not list */
	uint64_t unmatched;   /* 144 second event of a pair, the first was not seen */
	uint64_t ambiguous;   /* 152 second event of two possible pairs; no probe uses it: 0 */
	uint64_t malformed;   /* 160 data of the kernel could not be read */
	uint64_t delivered;   /* 168 records that the host has got */
	uint64_t discarded;   /* 176 records that the library dropped undelivered */
	uint64_t in_flight;   /* 184 gauge: records not yet read */
	uint64_t missed;      /* 192 events that reached no program; not in fired */
	uint64_t kernel_ns;   /* 200 CPU time of programs, measured on 1 run in 256 */
	uint64_t user_ns;     /* 208 CPU time of the consumer (estimated) and loading; total only */
	uint64_t wakeups;     /* 216 of the consumer; total only */
	uint64_t map_bytes;   /* 224 gauge: kernel memory, with ring buffers; total only */
	uint64_t user_bytes;  /* 232 gauge: memory of the handle in the host; total only */
	uint32_t programs;    /* 240 gauge: attached programs */
	uint32_t descriptors; /* 244 gauge: open descriptors; total only */
};                            /* 248 */

/* Bits of ks_row.valid in rows of KS_PROBE_SELF */
enum ks_has_self {
	KS_HAS_SELF_MISSED = 1 << 0, /* missed: not on kernels before 5.12 (kprobes: 6.7) */
	KS_HAS_SELF_COST = 1 << 1,   /* kernel_ns */
};

/* ---- proc ----------------------------------------------------------------------------------- */

/* Bits of `valid` in rows and events of KS_PROBE_PROC: each with its members */
enum ks_has_proc {
	KS_HAS_PROC_PARENT = 1 << 0,  /* ppid */
	KS_HAS_PROC_START = 1 << 1,   /* start_ns */
	KS_HAS_PROC_STATUS = 1 << 2,  /* status, signal, core_dumped, failed, killed */
	KS_HAS_PROC_CPU = 1 << 3,     /* user_ns, system_ns */
	KS_HAS_PROC_PATH = 1 << 4,    /* path */
	KS_HAS_PROC_THREADS = 1 << 5, /* threads, thread_exits; a fallback does not see threads */
	KS_HAS_PROC_MEMORY = 1 << 6,  /* peak_rss */
	KS_HAS_PROC_IO = 1 << 7,      /* read_bytes, write_bytes; needs CONFIG_TASK_IO_ACCOUNTING */
	KS_HAS_PROC_SHORT = 1 << 8,   /* without it, counters miss short-lived processes */
	KS_HAS_PROC_LIFETIME = 1 << 9, /* lifetime_ns */
	KS_HAS_PROC_UID = 1 << 10,     /* uid */
	KS_HAS_PROC_OLD_TID = 1 << 11, /* old_tid */
	KS_HAS_PROC_SESSION = 1 << 12, /* session */
	KS_HAS_PROC_FAULTS = 1 << 13,  /* minor_faults, major_faults */
	KS_HAS_PROC_BUCKETS = 1 << 14, /* zeros and buckets of lifetime_ns: see struct ks_hist */
};

/* A process or a thread was created. The head describes its creator. */
struct ks_event_proc_fork {
	struct ks_event ev; /*  0 */
	uint64_t valid;     /* 64 ks_has_proc */
	uint64_t start_ns;  /* 72 of the new process or thread */
	int32_t child_pid;  /* 80 equal to ev.pid for a new thread */
	int32_t child_tid;  /* 84 of the new thread */
	uint32_t thread;    /* 88 1: a thread, 0: a process */
	uint32_t reserved;  /* 92 */
};                      /* 96 */

/* A process executed a program. ev.comm is the new name. */
struct ks_event_proc_exec {
	struct ks_event ev; /*   0 */
	uint64_t valid;     /*  64 ks_has_proc */
	uint64_t start_ns;  /*  72 of the process; exec does not change it */
	int32_t ppid;       /*  80 parent */
	int32_t session;    /*  84 */
	int32_t old_tid;    /*  88 tid that called exec; not ev.tid if that was another thread */
	uint32_t uid;       /*  92 real user, in the initial user namespace */
	char path[160];     /*  96 of the program, as the caller wrote it */
};                      /* 256 */

/*
 * A process ended: its last thread exited. With thread = 1: a thread exited before its process. The
 * members are about the process, or with thread = 1 about the thread.
 */
struct ks_event_proc_exit {
	struct ks_event ev;    /*   0 */
	uint64_t valid;        /*  64 ks_has_proc */
	uint64_t start_ns;     /*  72 of the process or thread */
	uint64_t user_ns;      /*  80 CPU time in user mode */
	uint64_t system_ns;    /*  88 CPU time in the kernel */
	int32_t ppid;          /*  96 parent */
	int32_t session;       /* 100 */
	int32_t status;        /* 104 argument of exit(), 0 to 255 */
	uint16_t signal;       /* 108 the signal that ended it, or 0 */
	uint8_t core_dumped;   /* 110 1: the kernel wrote a core file */
	uint8_t thread;        /* 111 1: a thread, 0: a process */
	uint64_t peak_rss;     /* 112 largest resident memory of the process, bytes */
	uint64_t minor_faults; /* 120 page faults without I/O */
	uint64_t major_faults; /* 128 page faults with I/O */
	uint64_t read_bytes;   /* 136 from block devices */
	uint64_t write_bytes;  /* 144 to block devices */
};                         /* 152 */

/* Grouped by total, CPU, process, cgroup and role. */
struct ks_stats_proc {
	struct ks_row row;          /*   0 */
	uint64_t processes;         /*  64 created */
	uint64_t threads;           /*  72 created, without the first thread of each process */
	uint64_t execs;             /*  80 programs executed */
	uint64_t process_exits;     /*  88 processes that ended */
	uint64_t thread_exits;      /*  96 threads that ended before their process */
	uint64_t failed;            /* 104 processes that ended with a status other than 0 */
	uint64_t killed;            /* 112 processes that a signal ended */
	struct ks_hist lifetime_ns; /* 120 of processes, from fork to exit */
};                              /* 152 */

/* ---- sched ---------------------------------------------------------------------------------- */

/* Bits of `valid` in rows and events of KS_PROBE_SCHED: each with its members */
enum ks_has_sched {
	KS_HAS_SCHED_SWITCHES = 1 << 0, /* voluntary, preempted */
	KS_HAS_SCHED_RUNQ = 1 << 1,     /* runq_ns, wait_ns */
	KS_HAS_SCHED_ONCPU = 1 << 2,    /* oncpu_ns */
	KS_HAS_SCHED_OFFCPU = 1 << 3,   /* offcpu_ns, block_ns */
	KS_HAS_SCHED_WAKEUPS = 1 << 4,  /* wakeups */
	KS_HAS_SCHED_BUCKETS = 1 << 5,  /* zeros and buckets of histograms: see struct ks_hist */
	KS_HAS_SCHED_CULPRIT = 1 << 6,  /* held_...; unknown if the host may not see that thread */
	KS_HAS_SCHED_SLEEP = 1 << 7,    /* sleep_state */
	KS_HAS_SCHED_COUNTS = 1 << 8,   /* count of the histograms; without it, only the sum */
};

/* Settings that only KS_PROBE_SCHED has: ks_param.id */
enum ks_sched_param {
	KS_SCHED_PARAM_WAIT_NS = 32,  /* a record for each wait this long; 0: none; default 10 ms */
	KS_SCHED_PARAM_BLOCK_NS = 33, /* a record for each sleep this long; 0: none; default 0 */
};

/* A thread was ready and waited for a CPU. ev.time_ns is when it got one. */
struct ks_event_sched_wait {
	struct ks_event ev;   /*   0 the thread that waited */
	uint64_t valid;       /*  64 ks_has_sched */
	uint64_t wait_ns;     /*  72 from ready to running */
	uint64_t held_cgroup; /*  80 cgroup of the thread that had the CPU right before */
	int32_t held_pid;     /*  88 its pid; 0: the CPU was idle */
	int32_t held_tid;     /*  92 its tid */
	char held_comm[16];   /*  96 its name */
};                            /* 112 */

/* A thread slept: it waited for something else than a CPU. ev.time_ns is when it was woken. */
struct ks_event_sched_block {
	struct ks_event ev;   /*  0 the thread that slept */
	uint64_t valid;       /* 64 ks_has_sched */
	uint64_t block_ns;    /* 72 time asleep */
	uint32_t sleep_state; /* 80 of the kernel: 1 interruptible, 2 not, or other bits */
	uint32_t reserved;    /* 84 */
};                            /* 88 */

/*
 * Grouped by total, CPU, process, cgroup and role. The counts and buckets of a histogram contain
 * intervals that have ended. The sums also contain the intervals that go on at the moment of the
 * read, except in rows by CPU.
 */
struct ks_stats_sched {
	struct ks_row row;        /*   0 */
	uint64_t voluntary;       /*  64 switches because the thread went to sleep */
	uint64_t preempted;       /*  72 switches while the thread could run on */
	uint64_t wakeups;         /*  80 of the thread, its first start included */
	struct ks_hist runq_ns;   /*  88 time ready, waiting for a CPU */
	struct ks_hist oncpu_ns;  /* 120 time running; an observation for each turn on a CPU */
	struct ks_hist offcpu_ns; /* 152 time asleep, waiting for something else than a CPU */
};                                /* 184 */

/* ---- fadvise -------------------------------------------------------------------------------- */

/* Bits of `valid` in rows and events of KS_PROBE_FADVISE: each with its members */
enum ks_has_fadvise {
	KS_HAS_FADVISE_RESULT = 1 << 0,  /* result, ok, errors */
	KS_HAS_FADVISE_DROPPED = 1 << 1, /* dropped_pages */
	KS_HAS_FADVISE_FILE = 1 << 2,    /* device, inode */
};

/*
 * Indexes of ks_stats_fadvise.calls and .ok. The values are those of POSIX_FADV_... on x86_64 and
 * arm64; KS_ADVICE_OTHER is every other value.
 */
enum ks_advice {
	KS_ADVICE_NORMAL = 0,
	KS_ADVICE_RANDOM = 1,
	KS_ADVICE_SEQUENTIAL = 2,
	KS_ADVICE_WILLNEED = 3,
	KS_ADVICE_DONTNEED = 4,
	KS_ADVICE_NOREUSE = 5,
	KS_ADVICE_OTHER = 6,
};

/* Settings that only KS_PROBE_FADVISE has: ks_param.id */
enum ks_fadvise_param {
	KS_FADVISE_PARAM_SLOW_NS = 32, /* a record for each call this long; 0: all; default 10 ms */
};

/* A call of posix_fadvise() returned. */
struct ks_event_fadvise_call {
	struct ks_event ev;     /*   0 */
	uint64_t valid;         /*  64 ks_has_fadvise */
	int64_t offset;         /*  72 as passed, also if negative */
	int64_t length;         /*  80 as passed; 0: to the end of the file */
	uint64_t duration_ns;   /*  88 time in the call */
	uint64_t dropped_pages; /*  96 pages that left the page cache in this call */
	uint64_t inode;         /* 104 of the file */
	uint32_t device;        /* 112 of the file: major << 20 | minor */
	uint32_t advice;        /* 116 as passed, also if there is no such advice */
	int32_t result;         /* 120 0 or -errno */
	int32_t fd;             /* 124 as passed */
};                          /* 128 */

/* Grouped by total, CPU, process, cgroup and role. */
struct ks_stats_fadvise {
	struct ks_row row;      /*   0 */
	uint64_t calls[7];      /*  64 finished calls, by ks_advice */
	uint64_t ok[7];         /* 120 calls that returned 0, by advice; they may drop no page */
	uint64_t errors[4];     /* 176 calls that failed with EBADF, EINVAL, ESPIPE, others */
	uint64_t dropped_pages; /* 208 pages that left the page cache inside such calls */
};                          /* 216 */

/* ---- pagecache ------------------------------------------------------------------------------ */

/*
 * Bits of `valid` in rows and events of KS_PROBE_PAGECACHE: each with its members, and with the
 * first version of Linux on which they are known, by tracepoints and by fentry.
 */
enum ks_has_pagecache {
	KS_HAS_PAGECACHE_REQUESTS = 1 << 0, /* requested_pages: Linux 6.12; by fentry 5.17 */
	KS_HAS_PAGECACHE_MISSES = 1 << 1,   /* missed_pages and its event: 6.18; by fentry 5.17 */
	KS_HAS_PAGECACHE_READIN = 1 << 2,   /* readin_pages */
	KS_HAS_PAGECACHE_WRITES = 1 << 3,   /* write_pages */
	KS_HAS_PAGECACHE_EVICTED = 1 << 4,  /* evicted_pages */
	KS_HAS_PAGECACHE_MAPPED = 1 << 5,   /* mapped_faults, mapped_pages: Linux 6.12 */
	KS_HAS_PAGECACHE_EXACT = 1 << 6,    /* without it, readin_pages is all that block devices of
					       this machine have read, O_DIRECT and metadata too */
	KS_HAS_PAGECACHE_PIECES = 1 << 7,   /* without it, requested_pages is a lower bound */
};

/*
 * A buffered read found a page missing in the page cache. It had to wait for the device, or for
 * zeros where the file has a hole. There are no records unless KS_PARAM_SAMPLE_EVERY is set.
 */
struct ks_event_pagecache_miss {
	struct ks_event ev; /*  0 */
	uint64_t valid;     /* 64 ks_has_pagecache */
	uint64_t inode;     /* 72 of the file */
	uint64_t offset;    /* 80 of the first missing page, in bytes */
	uint32_t device;    /* 88 of the file: major << 20 | minor */
	uint32_t pages;     /* 92 from that page to the end of the read */
};                          /* 96 */

/*
 * Grouped by total, CPU, process, cgroup and role. A row counts the pages of the thread that reads,
 * writes or faults. An evicted page counts for the thread that evicts it, which may not be the
 * thread that added it.
 *
 * The counters cover files of disks and of network file systems. They do not cover block devices
 * (their pages are metadata) and files in memory (tmpfs). Two ratios:
 *   hit ratio = 1 - missed_pages / requested_pages: how often a program does not wait; 0 to 1
 *   readin_pages / requested_pages: how much the device reads for it; may be above 1
 *
 * The pages of a hole in a sparse file are missing until they are read. They count as missed and as
 * read in, though no device is read. Cached pages that the kernel maps around a fault, or as one
 * huge page, cause no fault of their own.
 */
struct ks_stats_pagecache {
	struct ks_row row;        /*   0 */
	uint64_t requested_pages; /*  64 by buffered reads, at most to the end of the file */
	uint64_t missed_pages;    /*  72 of these, from the first missing page to the read's end */
	uint64_t readin_pages;    /*  80 added by reads and faults, with read-ahead */
	uint64_t write_pages;     /*  88 added by writes */
	uint64_t evicted_pages;   /*  96 removed: reclaimed, dropped, truncated */
	uint64_t mapped_faults;   /* 104 faults on mapped files; none for pages mapped around one */
	uint64_t mapped_pages;    /* 112 pages around faults: looked for, and mapped if cached */
};                                /* 120 */

#ifdef __cplusplus
}
#endif
#endif
