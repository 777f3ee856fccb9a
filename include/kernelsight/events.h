/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * events.h - every record and every row of statistics, byte for byte
 *
 * The same structs are filled by the kernel programs and read in C, C++, Go, Rust and Python.
 *
 *  - Little endian, 64 bit, no implicit padding. A record starts at a multiple of 8 and its size is
 *    a multiple of 8.
 *  - Structs only grow, at the end. Read a member that was added after 0.1 only if ev->size (of an
 *    event) or ks_stats.row_size (of a row) reaches it. A record may be longer than your struct:
 *    step by its size, never by sizeof.
 *  - Ids and constants are pinned: appended, never reused. Expect ids that you do not know, and
 *    skip them; a switch over them needs a default.
 *  - An unknown value is not zero. The bits of `valid` (KS_HAS_...) say what is known: members that
 *    come from the same kernel hook share a bit; members without a bit are always known. A member
 *    that is not known holds 0 and means nothing. `valid` is at byte 64 of every event and at byte
 *    16 of every row.
 *  - Times are CLOCK_MONOTONIC nanoseconds, durations nanoseconds, sizes bytes, pages 4096 bytes.
 *    CLOCK_MONOTONIC is what clock_gettime() gives the host: with the offset of its time namespace
 *    (time_namespaces(7)), whether kernel programs or files fill the record. A host that changes its
 *    time namespace by setns(2) opens a new handle: programs keep to the clock of the old one. A
 *    process that is older than the zero of the clock has a negative start_ns: read the difference
 *    of two times as int64_t.
 *    Pids and tids are those of the pid namespace in which ks_open() was called; 0 means the idle
 *    task. Of a task that is not visible from there nothing is told, and the bit of `valid` is off.
 *  - Text ends with NUL inside its array and is not always UTF-8.
 */
#ifndef KERNELSIGHT_EVENTS_H
#define KERNELSIGHT_EVENTS_H

#ifndef __bpf__ /* the BPF target has no <stdint.h>; bpf/ktypes.h gives the same names there */
#include <stdint.h>
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "kernelsight: records are little endian and so must the machine be: not ported to this one"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- probes ------------------------------------------------------------------------------- */

/* A probe's number. Arguments and members that hold one are uint32_t or uint16_t, not this enum. */
enum ks_probe_id {
	KS_PROBE_SELF = 0,      /* the library itself: its events, its own cost */
	KS_PROBE_PROC = 1,      /* processes and threads: fork, exec, exit */
	KS_PROBE_SCHED = 2,     /* threads on CPUs: switches, and how long they run, queue and sleep */
	KS_PROBE_FADVISE = 3,   /* posix_fadvise: calls, errors, pages really dropped */
	KS_PROBE_PAGECACHE = 4, /* page cache: requests, misses, what comes in and goes out */
};

/*
 * A struct's number is probe << 8 | n. n = 0 is the probe's row of statistics, n > 0 one of its
 * events. It is ks_event.id, and it names a struct to the ks_describe_ functions.
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

#define KS_RECORD_MAX 4096 /* no record is longer, in this or any later release of this soname */
#define KS_NO_CPU 65535    /* ks_event.cpu of a record that no CPU produced (fallbacks, library) */

/* Bits of ks_event.flags */
enum ks_event_flag {
	KS_FLAG_FALLBACK = 1 << 0, /* observed in files, not by a kernel program */
	KS_FLAG_SELFTEST = 1 << 1, /* provoked by ks_selftest() */
	KS_FLAG_CUT = 1 << 3,      /* a text in it was longer than its array */
	KS_FLAG_LATE = 1 << 4,     /* KS_OPEN_ORDERED: came too late to be put in its place */
};

struct ks_event {
	uint16_t size;      /*  0 bytes of this record, this head included */
	uint16_t id;        /*  2 KS_EVENT_...; id >> 8 is the probe */
	uint16_t cpu;       /*  4 where it was seen, or KS_NO_CPU */
	uint8_t flags;      /*  6 ks_event_flag */
	uint8_t generation; /*  7 of the probe's settings; see ks_configure_probe() */
	uint32_t weight;    /*  8 events that this one stands for: N when sampled 1 in N */
	uint32_t lost;      /* 12 running count of records lost on this CPU; a rise is a hole before this one */
	int32_t pid;        /* 16 process */
	int32_t tid;        /* 20 thread */
	uint64_t time_ns;   /* 24 */
	uint64_t cgroup;    /* 32 id of the cgroup, 0 if not asked for (KS_PARAM_IDENTITY) or read from files */
	uint64_t tag;       /* 40 for the host's own number of what the thread works on; not filled yet: 0 */
	char comm[16];      /* 48 */
};                      /* 64 */

/*
 * Records are missing. Comes right before the first record after the hole, so that the place of
 * the hole is known and not only that there is one. cpu and generation are that record's.
 */
enum ks_lost_reason {
	KS_LOST_RING = 1,      /* the ring was full: the consumer was too slow (lost_locked too) */
	KS_LOST_THROTTLED = 2, /* more than KS_PARAM_MAX_PER_SEC */
};

struct ks_event_lost {
	struct ks_event ev; /*   0 */
	uint64_t valid;     /*  64 no bits yet */
	uint64_t lost;      /*  72 records */
	uint64_t from_ns;   /*  80 the hole begins after this time */
	uint64_t to_ns;     /*  88 and ends before this one */
	uint32_t reason;    /*  96 ks_lost_reason */
	uint32_t probe;     /* 100 whose records, or UINT32_MAX: several */
};                      /* 104 */

/* A probe changed its state, source, variant or sampling without being asked by this host. */
struct ks_event_state {
	struct ks_event ev;    /*  0 */
	uint64_t valid;        /* 64 no bits yet */
	uint32_t probe;        /* 72 */
	uint16_t state;        /* 76 ks_probe_state, kernelsight.h */
	uint16_t source;       /* 78 ks_source */
	uint32_t sample_every; /* 80 in force from now on */
	uint32_t cause;        /* 84 ks_cause */
};                         /* 88 */

enum ks_cause {
	KS_CAUSE_OTHER = 0,    /* none of those below */
	KS_CAUSE_OVERHEAD = 1, /* not told by this release: a governor keeps the cost within its limit */
	KS_CAUSE_ERRORS = 2,   /* not told by this release: the probe failed too often */
	KS_CAUSE_SCOPE = 4, /* the scope was resolved again: its cgroup is another one now */
};

/* ---- head of every row of statistics, 64 bytes ---------------------------------------------- */

/* By what statistics are grouped. Bits, so that one reader can ask for several. */
enum ks_by {
	KS_BY_TOTAL = 1 << 0,   /* one row: everything in scope */
	KS_BY_CPU = 1 << 1,     /* key = CPU */
	KS_BY_PROCESS = 1 << 2, /* key = pid, name = that of its first thread, start_ns set */
	KS_BY_CGROUP = 1 << 3,  /* key = cgroup id, name = container or last part of its path */
	KS_BY_ROLE = 1 << 4,    /* key = number of the role, name = its name: ks_thread_role() */
	KS_BY_PROBE = 1 << 5,   /* key = probe, name = its name; KS_PROBE_SELF only */
};

/* Bits of ks_row.flags */
enum ks_row_flag {
	KS_ROW_REST = 1 << 0, /* all that has no row of its own: gone, no room, without a role */
	KS_ROW_GONE = 1 << 1, /* the process has exited: soon its numbers go into the rest */
};

struct ks_row {
	uint64_t key;      /*  0 see ks_by; 0 in the total and the rest */
	uint64_t start_ns; /*  8 start of the process: with key, unique; else 0 */
	uint64_t valid;    /* 16 KS_HAS_... of the row's probe */
	uint16_t by;       /* 24 ks_by, one bit */
	uint16_t flags;    /* 26 ks_row_flag */
	uint32_t reserved; /* 28 */
	char name[32];     /* 32 */
};                     /* 64 */

/*
 * A histogram, exponential with base 2^(1/4): an OpenTelemetry exponential histogram of scale 2, a
 * Prometheus native histogram of schema 2. Bucket i counts v with 2^(i/4) < v <= 2^((i+1)/4).
 * Only the buckets from the lowest to the highest in use are stored, outside the row:
 * ks_stats.buckets[at] to [at + n - 1] are the buckets `lowest` to `lowest + n - 1`.
 * count = zeros + the sum of the buckets, exactly, if the row's `valid` has the probe's KS_HAS_..._BUCKETS.
 * Rows by process, cgroup and role, and a total that was read together with them, do not have it: they
 * keep count and sum alone, and ks_hist_quantile() of them is NaN.
 */
struct ks_hist {
	uint64_t count;  /*  0 */
	uint64_t sum;    /*  8 exact, in the member's unit */
	uint64_t zeros;  /* 16 values equal to 0 */
	uint32_t at;     /* 24 */
	int16_t lowest;  /* 28 */
	uint16_t n;      /* 30 */
};                   /* 32 */

/* ---- the library itself: ledger and cost ---------------------------------------------------- */

/*
 * Grouped by total and by probe. For every probe, exactly, once its programs are at rest:
 *   fired = filtered + sampled_out + throttled + aggregated + opened + submitted
 *         + lost_ring + lost_locked + lost_map + unmatched + ambiguous + malformed
 *   submitted = delivered + discarded + in_flight
 * Each run of a program ends in exactly one member of the first line.
 */
struct ks_stats_self {
	struct ks_row row;    /*   0 */
	uint64_t fired;       /*  64 times a program ran */
	uint64_t filtered;    /*  72 out of scope, not an event of the probe, or the probe was off */
	uint64_t sampled_out; /*  80 counted; not in the sample of KS_PARAM_SAMPLE_EVERY */
	uint64_t throttled;   /*  88 counted; over KS_PARAM_MAX_PER_SEC */
	uint64_t aggregated;  /*  96 counted; no record was wanted */
	uint64_t opened;      /* 104 the first half of a pair was stored, its second half counts */
	uint64_t submitted;   /* 112 records; counted too */
	uint64_t lost_ring;   /* 120 counted; the ring was full */
	uint64_t lost_locked; /* 128 counted; an NMI found the ring's lock held */
	uint64_t lost_map;    /* 136 no room in a map, or a CPU that no file told of */
	uint64_t unmatched;   /* 144 an end without its beginning */
	uint64_t ambiguous;   /* 152 an end with two possible beginnings; no probe has such pairs yet: 0 */
	uint64_t malformed;   /* 160 the kernel's data could not be read */
	uint64_t delivered;   /* 168 records handed to the host */
	uint64_t discarded;   /* 176 records thrown away undelivered */
	uint64_t in_flight;   /* 184 gauge: records not yet read */
	uint64_t missed;      /* 192 never reached a program (KS_HAS_SELF_MISSED); not in fired */
	uint64_t kernel_ns;   /* 200 spent in programs, measured on 1 run in 256 (KS_HAS_SELF_COST) */
	uint64_t user_ns;     /* 208 CPU time of the consumer, an estimate, and of loads; total row only */
	uint64_t wakeups;     /* 216 of the consumer; total row only */
	uint64_t map_bytes;   /* 224 gauge: kernel memory, rings included; total row only */
	uint64_t user_bytes;  /* 232 gauge: memory of the handle; total row only */
	uint32_t programs;    /* 240 gauge: attached */
	uint32_t descriptors; /* 244 gauge: open; total row only */
};                            /* 248 */

enum ks_has_self {
	KS_HAS_SELF_MISSED = 1 << 0, /* missed: kernels before 5.12 (6.7 for kprobes) cannot tell */
	KS_HAS_SELF_COST = 1 << 1,   /* kernel_ns */
};

/* ---- proc ----------------------------------------------------------------------------------- */

enum ks_has_proc {
	KS_HAS_PROC_PARENT = 1 << 0,  /* ppid */
	KS_HAS_PROC_START = 1 << 1,   /* start_ns */
	KS_HAS_PROC_STATUS = 1 << 2,  /* status, signal, failed, killed */
	KS_HAS_PROC_CPU = 1 << 3,     /* user_ns, system_ns */
	KS_HAS_PROC_PATH = 1 << 4,    /* path */
	KS_HAS_PROC_THREADS = 1 << 5, /* threads; the /proc scan does not see them */
	KS_HAS_PROC_MEMORY = 1 << 6,  /* peak_rss */
	KS_HAS_PROC_IO = 1 << 7,      /* read_bytes, write_bytes: needs task I/O accounting */
	KS_HAS_PROC_SHORT = 1 << 8,   /* short-lived ones too: without it, counts are lower bounds */
	KS_HAS_PROC_LIFETIME = 1 << 9, /* lifetime_ns */
	KS_HAS_PROC_UID = 1 << 10,     /* uid */
	KS_HAS_PROC_OLD_TID = 1 << 11, /* old_tid */
	KS_HAS_PROC_SESSION = 1 << 12, /* session */
	KS_HAS_PROC_FAULTS = 1 << 13,  /* minor_faults, major_faults */
	KS_HAS_PROC_BUCKETS = 1 << 14, /* zeros and buckets of lifetime_ns: see struct ks_hist */
};

/* A process or a thread was made. The head describes the one who made it. */
struct ks_event_proc_fork {
	struct ks_event ev; /*  0 */
	uint64_t valid;     /* 64 ks_has_proc */
	uint64_t start_ns;  /* 72 of the new one */
	int32_t child_pid;  /* 80 equal to ev.pid for a new thread */
	int32_t child_tid;  /* 84 */
	uint32_t thread;    /* 88 1: a thread, 0: a process */
	uint32_t reserved;  /* 92 */
};                      /* 96 */

/* A process replaced its program. ev.comm is the new name. */
struct ks_event_proc_exec {
	struct ks_event ev; /*   0 */
	uint64_t valid;     /*  64 ks_has_proc */
	uint64_t start_ns;  /*  72 */
	int32_t ppid;       /*  80 */
	int32_t session;    /*  84 */
	int32_t old_tid;    /*  88 not ev.tid when a thread other than the first called exec */
	uint32_t uid;       /*  92 */
	char path[160];     /*  96 */
};                      /* 256 */

/* The last thread of a process ended, or (thread = 1) one of several. */
struct ks_event_proc_exit {
	struct ks_event ev;    /*   0 */
	uint64_t valid;        /*  64 ks_has_proc */
	uint64_t start_ns;     /*  72 */
	uint64_t user_ns;      /*  80 CPU time */
	uint64_t system_ns;    /*  88 */
	int32_t ppid;          /*  96 */
	int32_t session;       /* 100 */
	int32_t status;        /* 104 argument of exit(), 0 to 255 */
	uint16_t signal;       /* 108 that ended it, or 0 */
	uint8_t core_dumped;   /* 110 */
	uint8_t thread;        /* 111 */
	uint64_t peak_rss;     /* 112 bytes, of the process */
	uint64_t minor_faults; /* 120 */
	uint64_t major_faults; /* 128 */
	uint64_t read_bytes;   /* 136 from block devices */
	uint64_t write_bytes;  /* 144 */
};                         /* 152 */

/* Grouped by total, CPU, process, cgroup and role. */
struct ks_stats_proc {
	struct ks_row row;          /*   0 */
	uint64_t processes;         /*  64 made */
	uint64_t threads;           /*  72 made */
	uint64_t execs;             /*  80 */
	uint64_t process_exits;     /*  88 */
	uint64_t thread_exits;      /*  96 */
	uint64_t failed;            /* 104 exits of processes with a status other than 0 */
	uint64_t killed;            /* 112 by a signal */
	struct ks_hist lifetime_ns; /* 120 of processes */
};                              /* 152 */

/* ---- sched ---------------------------------------------------------------------------------- */

enum ks_has_sched {
	KS_HAS_SCHED_SWITCHES = 1 << 0, /* voluntary, preempted */
	KS_HAS_SCHED_RUNQ = 1 << 1,     /* runq_ns and the wait event */
	KS_HAS_SCHED_ONCPU = 1 << 2,    /* oncpu_ns */
	KS_HAS_SCHED_OFFCPU = 1 << 3,   /* offcpu_ns and block_ns of the block event */
	KS_HAS_SCHED_WAKEUPS = 1 << 4,  /* wakeups */
	KS_HAS_SCHED_BUCKETS = 1 << 5,  /* zeros and buckets of the histograms: see struct ks_hist */
	KS_HAS_SCHED_CULPRIT = 1 << 6,  /* held_...: who held the CPU, if the host may see it */
	KS_HAS_SCHED_SLEEP = 1 << 7,    /* sleep_state */
	KS_HAS_SCHED_COUNTS = 1 << 8,   /* count of the histograms, not only the sum */
};

/* Settings of its own */
enum ks_sched_param {
	KS_SCHED_PARAM_WAIT_NS = 32,  /* a record for each wait that long; 0: none; default 10 ms */
	KS_SCHED_PARAM_BLOCK_NS = 33, /* a record for each sleep that long; 0: none; default 0 */
};

/* A thread was ready and waited for a CPU. time_ns is when it got one. */
struct ks_event_sched_wait {
	struct ks_event ev;   /*   0 who waited */
	uint64_t valid;       /*  64 ks_has_sched */
	uint64_t wait_ns;     /*  72 */
	uint64_t held_cgroup; /*  80 who was on that CPU right before, 0: it was idle */
	int32_t held_pid;     /*  88 */
	int32_t held_tid;     /*  92 */
	char held_comm[16];   /*  96 */
};                            /* 112 */

/* A thread waited for something else than a CPU. time_ns is when it was woken. */
struct ks_event_sched_block {
	struct ks_event ev;   /*  0 who slept */
	uint64_t valid;       /* 64 ks_has_sched */
	uint64_t block_ns;    /* 72 */
	uint32_t sleep_state; /* 80 the kernel's: 1 interruptible, 2 not, or with more bits */
	uint32_t reserved;    /* 84 */
};                            /* 88 */

/* Grouped by total, CPU, process, cgroup and role. A histogram counts what has ended; sums go on. */
struct ks_stats_sched {
	struct ks_row row;        /*   0 */
	uint64_t voluntary;       /*  64 switches because the thread had to wait */
	uint64_t preempted;       /*  72 switches although it could go on */
	uint64_t wakeups;         /*  80 of the thread */
	struct ks_hist runq_ns;   /*  88 ready, waiting for a CPU */
	struct ks_hist oncpu_ns;  /* 120 running, per turn */
	struct ks_hist offcpu_ns; /* 152 waiting for something else */
};                                /* 184 */

/* ---- fadvise -------------------------------------------------------------------------------- */

enum ks_has_fadvise {
	KS_HAS_FADVISE_RESULT = 1 << 0,  /* result, ok, errors */
	KS_HAS_FADVISE_DROPPED = 1 << 1, /* dropped_pages */
	KS_HAS_FADVISE_FILE = 1 << 2,    /* device, inode */
};

/* Slots of ks_stats_fadvise.calls and .ok: POSIX_FADV_... on x86_64 and arm64, and the rest. */
enum ks_advice {
	KS_ADVICE_NORMAL = 0,
	KS_ADVICE_RANDOM = 1,
	KS_ADVICE_SEQUENTIAL = 2,
	KS_ADVICE_WILLNEED = 3,
	KS_ADVICE_DONTNEED = 4,
	KS_ADVICE_NOREUSE = 5,
	KS_ADVICE_OTHER = 6,
};

/* Settings of its own */
enum ks_fadvise_param {
	KS_FADVISE_PARAM_SLOW_NS = 32, /* a record for each call that takes so long; default 10 ms */
};

struct ks_event_fadvise_call {
	struct ks_event ev;     /*   0 */
	uint64_t valid;         /*  64 ks_has_fadvise */
	int64_t offset;         /*  72 as passed, also if negative */
	int64_t length;         /*  80 as passed; 0: to the end of the file */
	uint64_t duration_ns;   /*  88 */
	uint64_t dropped_pages; /*  96 */
	uint64_t inode;         /* 104 */
	uint32_t device;        /* 112 major << 20 | minor */
	uint32_t advice;        /* 116 as passed, also when there is no such advice */
	int32_t result;         /* 120 0 or -errno */
	int32_t fd;             /* 124 */
};                          /* 128 */

/* Grouped by total, CPU, process, cgroup and role. */
struct ks_stats_fadvise {
	struct ks_row row;      /*   0 */
	uint64_t calls[7];      /*  64 by ks_advice */
	uint64_t ok[7];         /* 120 that returned 0; says nothing about pages */
	uint64_t errors[4];     /* 176 EBADF, EINVAL, ESPIPE, others */
	uint64_t dropped_pages; /* 208 */
};                          /* 216 */

/* ---- pagecache ------------------------------------------------------------------------------ */

/*
 * All is counted for the thread that does it: that reads, writes or faults, and of evictions the one
 * that takes pages out, which need not be the one that brought them in.
 */
enum ks_has_pagecache {
	KS_HAS_PAGECACHE_REQUESTS = 1 << 0, /* requested_pages: Linux 6.12, fentry 5.17 */
	KS_HAS_PAGECACHE_MISSES = 1 << 1,   /* missed_pages, its event: 6.18, fentry 5.17 */
	KS_HAS_PAGECACHE_READIN = 1 << 2,   /* readin_pages */
	KS_HAS_PAGECACHE_WRITES = 1 << 3,   /* write_pages */
	KS_HAS_PAGECACHE_EVICTED = 1 << 4,  /* evicted_pages */
	KS_HAS_PAGECACHE_MAPPED = 1 << 5,   /* mapped_faults, mapped_pages: Linux 6.12 */
	KS_HAS_PAGECACHE_EXACT = 1 << 6,    /* without it readin_pages is what the whole machine's block
					       devices have read: directly and of metadata, too */
	KS_HAS_PAGECACHE_PIECES = 1 << 7,   /* without it requested_pages is a lower bound: fentry 5.17 */
};

/*
 * A read that found a page missing, and had to wait for the device, or for zeros where the file has a
 * hole. None unless KS_PARAM_SAMPLE_EVERY is set.
 */
struct ks_event_pagecache_miss {
	struct ks_event ev; /*  0 */
	uint64_t valid;     /* 64 ks_has_pagecache */
	uint64_t inode;     /* 72 */
	uint64_t offset;    /* 80 of the first page that was missing */
	uint32_t device;    /* 88 major << 20 | minor */
	uint32_t pages;     /* 92 from there to the end of the read */
};                          /* 96 */

/*
 * Grouped by total, CPU, process, cgroup and role. Files of disks and networks, not block devices
 * (their pages are metadata) nor files in memory. What the program feels is the
 *   hit ratio = 1 - missed_pages / requested_pages, from 0 to 1;
 * what the device feels is readin_pages / requested_pages, which can be more than 1. Pages of a hole
 * in a sparse file are missing until they are read: they count as missed and brought in like others,
 * though zeros come from no device.
 * A page that is there and mapped around a fault, or by one huge page, costs no fault of its own.
 */
struct ks_stats_pagecache {
	struct ks_row row;        /*   0 */
	uint64_t requested_pages; /*  64 by buffered reads, up to the end of the file */
	uint64_t missed_pages;    /*  72 of those, from the first that was missing to the read's end */
	uint64_t readin_pages;    /*  80 brought in for reads and faults, read-ahead included */
	uint64_t write_pages;     /*  88 added by writes */
	uint64_t evicted_pages;   /*  96 taken out: reclaimed, dropped, truncated */
	uint64_t mapped_faults;   /* 104 on a page of a mapped file that was not mapped around a fault */
	uint64_t mapped_pages;    /* 112 around faults, looked for and mapped if they were there */
};                                /* 120 */

#ifdef __cplusplus
}
#endif
#endif
