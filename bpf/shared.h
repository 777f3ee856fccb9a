/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * shared.h - what the kernel programs and the library write for each other; private to both
 *
 * Fixed-width names only: a skeleton or another compiler must see the same bytes. Everything here
 * lives in maps: ks_control and ks_cpus are mmapped arrays, ks_const is frozen read-only data.
 */
#ifndef KS_SHARED_H
#define KS_SHARED_H

#ifndef __bpf__
#include <stdint.h>
#endif

#define KS_BPF_PROBES 16 /* probe numbers with a slot: 0 to 15 */
#define KS_BPF_PARAMS 4  /* settings of its own that a probe may have in the kernel */
#define KS_BPF_RINGS 16  /* rings at most; a CPU writes to ring cpu % n_rings */
#define KS_BPF_ROLES 64  /* names of roles; their numbers are 1 to 64 */

/* How a program run ended. Each run ends in exactly one. The order is that of struct ks_stats_self. */
enum ks_bpf_outcome {
	KS_FILTERED,
	KS_SAMPLED_OUT,
	KS_THROTTLED,
	KS_AGGREGATED,
	KS_OPENED,
	KS_SUBMITTED,
	KS_LOST_RING_FULL,
	KS_LOST_RING_LOCKED,
	KS_LOST_MAP_FULL,
	KS_UNMATCHED,
	KS_AMBIGUOUS,
	KS_MALFORMED,
	KS_OUTCOMES
};

/* One probe on one CPU. Two cache lines. */
struct ks_bpf_ledger {
	uint64_t outcome[KS_OUTCOMES]; /*   0 */
	uint64_t kernel_ns;            /*  96 of measured runs, times 256 */
	uint64_t bucket;               /* 104 record limit where kernels cannot share one (ks_buckets) */
	uint64_t turn;                 /* 112 runs, plain and approximate: picks the runs to measure */
	uint64_t zero;                 /* 120 always 0: one that the verifier does not know */
};                                     /* 128 */

/* Value of ks_cpus[cpu], mmapped */
struct ks_bpf_cpu {
	uint32_t lost;         /*  0 records lost on this CPU, all probes: what each record copies */
	uint32_t reserved[15]; /*  4 */
	struct ks_bpf_ledger probe[KS_BPF_PROBES]; /* 64 */
};                                                 /* 2112 */

/* Bits of ks_bpf_settings.flags */
enum ks_bpf_want {
	KS_WANT_EVENTS = 1 << 0,
	KS_WANT_STATS = 1 << 1,
	KS_WANT_CGROUP = 1 << 2,
	KS_WANT_COMM = 1 << 3,
};

/* Settings of one probe, one generation. All zero is inert: each run ends in KS_FILTERED. */
struct ks_bpf_settings {
	uint32_t generation;           /*  0 1 to 255; 0: inert */
	uint32_t flags;                /*  4 ks_bpf_want */
	uint32_t sample_every;         /*  8 0: no record */
	uint32_t epoch;                /* 12 another one after each time that the probe was off */
	uint64_t record_ns;            /* 16 time that one record costs the bucket; 0: no limit */
	uint64_t burst_ns;             /* 24 depth of the bucket */
	uint64_t param[KS_BPF_PARAMS]; /* 32 ks_param ids from 32 up, in that order */
};                                     /* 64 */

/* Value of ks_buckets[probe]: when the limit will have recovered; one cache line each. */
struct ks_bpf_bucket {
	uint64_t full_ns;
	uint64_t reserved[7];
}; /* 64 */

/* ks_scope_kind of kernelsight.h, which does not compile for the BPF target. */
enum ks_bpf_scope_kind {
	KS_BPF_SCOPE_SELF = 0,
	KS_BPF_SCOPE_TREE = 1,
	KS_BPF_SCOPE_PIDS = 2,
	KS_BPF_SCOPE_CGROUP = 3,
	KS_BPF_SCOPE_SYSTEM = 4,
};

enum ks_bpf_scope_flag {
	KS_SCOPE_HAS_COMM = 1 << 0,
	KS_SCOPE_HAS_EXCLUDE = 1 << 1,
};

/*
 * All process ids of a scope are numbers of the caller's namespace. Those of a set or tree are keys of
 * ks_pids, with the slot of the scope in bit 30: the set of a new scope is complete before it is in
 * force, and the old one is left alone.
 */
#define KS_PID_KEY(pid, slot) ((uint32_t)(pid) | (uint32_t)(slot) << 30)

/*
 * The value of a process that was named is when it started, on the host's CLOCK_BOOTTIME: nobody who is
 * given its number later is meant. /proc tells the tick alone, then this bit is set; the first event
 * of the process puts in the exact time. 0: not known, the first who comes is it.
 */
#define KS_PID_TICK (1ULL << 63)

struct ks_bpf_scope {
	uint32_t kind;       /*  0 ks_bpf_scope_kind */
	uint32_t self;       /*  4 the host */
	uint32_t flags;      /*  8 ks_bpf_scope_flag */
	uint32_t also;       /* 12 the child of ks_selftest(): it and its children are in scope */
	uint64_t comm[2];    /* 16 padded with zeros */
	uint64_t exclude[2]; /* 32 */
	uint64_t cgroup;     /* 48 its id: this one and all below */
	uint32_t level;      /* 56 of the cgroup + 1: how far it is from the root; 0: not known */
	uint32_t reserved;   /* 60 */
};                           /* 64 */

/* Bits of ks_bpf_control.tree, shifted by the slot of the scope */
#define KS_TREE_FOLLOW 1 /* children of whom is in it are enrolled */
#define KS_TREE_WINDOW 4 /* the library is still looking for those that live already */

/*
 * The one value of ks_control, mmapped. Programs read an index once a run and use that slot; the
 * library fills the other slot and then flips the index. Before a slot is filled again it waits for
 * a grace period, if the last flip was not long ago, so that no run sees a mix.
 */
struct ks_bpf_control {
	uint32_t scope_index;                /*   0 */
	uint32_t roles;                      /*   4 changes with every change of ks_roles */
	uint32_t threads_next;               /*   8 slots of ks_threads below it were in use */
	uint32_t threads_full;               /*  12 no slot was left: ask no more until it is 0 */
	uint32_t threads_dead;               /*  16 slots that were left or died, modulo 2^32 */
	uint32_t track;                      /*  20 ks_bpf_track */
	uint32_t era;                        /*  24 rows given in an earlier one are no rows */
	uint32_t tree;                       /*  28 KS_TREE_... */
	uint32_t unseeded;                   /*  32 sched: threads were met that it knows nothing of */
	uint32_t threads_wake;               /*  36 wake the consumer at this threads_dead; 0: never */
	uint32_t reserved[6];                /*  40 */
	uint32_t index[KS_BPF_PROBES];       /*  64 */
	struct ks_bpf_scope scope[2];        /* 128 */
	struct ks_bpf_settings settings[KS_BPF_PROBES][2]; /* 256 */
};                                                         /* 2304 */

enum ks_bpf_track {
	KS_TRACK_ROWS = 1 << 0, /* ends of threads are seen: they may have rows */
	KS_TRACK_NEW = 1 << 1,  /* who is made by a thread that is known becomes known at once */
};

/* ks_const: facts of this kernel and this handle, frozen at load; the verifier drops dead branches. */
struct ks_bpf_const {
	uint32_t ring;         /*  0 1: ring buffers, 0: perf buffers */
	uint32_t task_storage; /*  4 */
	uint32_t atomic_fetch; /*  8 compare-and-exchange (5.12) */
	uint32_t rdonly_cast;  /* 12 bpf_rdonly_cast (6.2) */
	uint32_t own_guard;    /* 16 a typed program never nests in itself (6.1): plain increments */
	uint32_t pid_level;    /* 20 level of the caller's pid namespace, 0: the first one */
	uint32_t memcg_v1;     /* 24 the memory controller is on cgroup v1 */
	uint32_t n_rings;      /* 28 */
	uint32_t exit_has_group_dead; /* 32 sched_process_exit(task, bool group_dead): 6.16 */
	uint32_t nr_fadvise64;        /* 36 system call numbers of this architecture */
	uint32_t page_bytes;          /* 40 0: 4096 */
	uint32_t n_cpus;              /* 44 possible ones */
	uint32_t n_threads;           /* 48 entries of ks_threads */
	uint32_t tick_ns;             /* 52 of the start times in /proc/PID/stat */
	uint32_t iter_num;            /* 56 rdonly_cast and bpf_iter_num_next (6.4) */
	uint32_t task_type;           /* 60 type ids in the running kernel's BTF: struct task_struct */
	uint32_t inode_type;          /* 64 struct inode */
	uint32_t folio_type;          /* 68 struct folio */
	uint32_t cgroup_type;         /* 72 struct cgroup */
	uint32_t prev_state;          /* 76 ks_bpf_prev_state */
	uint64_t nobody[8];           /* 80 zeros: a new struct ks_bpf_who, not on the stack */
	/* Offsets of the host's time namespace, modulo 2^64: the kernel tells programs the machine's */
	uint64_t mono_ns; /* 144 CLOCK_MONOTONIC */
	uint64_t boot_ns; /* 152 CLOCK_BOOTTIME, as far as /proc/PID/stat is shifted by it */
};                        /* 160 */

/* What sched_switch(bool preempt, prev, next) tells of the state in which prev leaves. */
enum ks_bpf_prev_state {
	KS_PREV_STATE_NONE = 0,   /* nothing: before 5.18 */
	KS_PREV_STATE_LAST = 1,   /* it is the last argument */
	KS_PREV_STATE_SECOND = 2, /* it is the second one: early 5.18, and what took it over then */
};

/* What ks_whoami tells, 32 bits a run: its argument. */
enum ks_bpf_whoami {
	KS_WHOAMI_PID,      /* level of the pid namespace << 24 | number there */
	KS_WHOAMI_MONO_LOW, /* offset of CLOCK_MONOTONIC in the time namespace, ns */
	KS_WHOAMI_MONO_HIGH,
	KS_WHOAMI_BOOT_LOW, /* of CLOCK_BOOTTIME */
	KS_WHOAMI_BOOT_HIGH,
	KS_WHOAMI_START_LOW, /* start of the thread, CLOCK_BOOTTIME of the machine */
	KS_WHOAMI_START_HIGH,
};

/* In the place of the number of a helper: functions that the kernel knows by a type id of its own. */
enum ks_bpf_kfunc {
	KS_KFUNC_RDONLY_CAST = 0x4b530000,
	KS_KFUNC_ITER_NUM_NEW,
	KS_KFUNC_ITER_NUM_NEXT,
	KS_KFUNC_ITER_NUM_DESTROY,
	KS_KFUNC_END
};

/*
 * A histogram on one CPU, base 2^(1/4). buckets[i + 1] is bucket i of struct ks_hist: buckets[0]
 * counts v = 1.
 */
#define KS_HIST_BUCKETS 257

struct ks_bpf_hist {
	uint64_t sum;                      /*  0 */
	uint64_t zeros;                    /*  8 */
	uint64_t buckets[KS_HIST_BUCKETS]; /* 16 */
};                                         /* 2072 */

/* ---- statistics by thread, see threads.bpf.h ---------------------------------------------------- */

enum ks_bpf_thread_state {
	KS_THREAD_FREE = 0, /* never used, or emptied by the library */
	KS_THREAD_LIVE = 1,
	KS_THREAD_LEFT = 2, /* the thread has another slot now: its cgroup or role is another one */
	KS_THREAD_DEAD = 3, /* the thread is gone for good; no program will write here */
};

/* Value of ks_threads[slot], mmapped: whose numbers are in row n_cpus + slot of each map NAME_rows. */
struct ks_bpf_thread {
	uint32_t state;    /*  0 ks_bpf_thread_state; written last */
	uint32_t pid;      /*  4 in the caller's namespace */
	uint32_t tid;      /*  8 */
	uint32_t role;     /* 12 0: none */
	uint64_t start_ns; /* 16 of the process, CLOCK_MONOTONIC */
	uint64_t cgroup;   /* 24 of the memory controller */
	uint64_t ended_ns; /* 32 when it was left or died */
	uint64_t reserved; /* 40 */
	char comm[16];     /* 48 of the process */
};                         /* 64 */

/* What programs keep with a task: a value of ks_who. */
struct ks_bpf_who {
	uint32_t row;       /*  0 in every map NAME_rows; 0: none yet */
	uint32_t busy;      /*  4 somebody looks for a row */
	uint32_t roles;     /*  8 ks_bpf_control.roles when its role was looked up */
	uint32_t epoch;     /* 12 sched: of the settings under which the rest was written */
	uint64_t css;       /* 16 task->cgroups when its cgroup was looked up */
	uint64_t since_ns;  /* 24 sched: when it came into its state */
	uint64_t voluntary; /* 32 sched: the kernel's counts of switches when last seen */
	uint64_t preempted; /* 40 */
	uint32_t state;     /* 48 sched: see sched.bpf.h */
	uint32_t open_row;  /* 52 sched: row that shows the open interval, 0: none */
	uint32_t era;       /* 56 ks_bpf_control.era when it got its row */
	uint32_t sleep;     /* 60 sched: the kernel's state when it left the CPU */
};                          /* 64 */

/* Value of ks_roles[tid in the caller's namespace] */
struct ks_bpf_role {
	uint32_t role;     /* 0 4 bytes */
	uint32_t reserved; /* 4 */
	uint64_t ticks;    /* 8 start of the thread, as in /proc/PID/stat */
};                         /* 16 */

/* What a row keeps of a histogram. */
struct ks_bpf_sum {
	uint64_t sum;   /* 0 */
	uint64_t count; /* 8 */
};

/*
 * At the end of the rows of a probe that has open intervals: what the thread is doing now, and since
 * when. The library adds the time to the histogram that the probe's descriptor names for the state.
 * seq is odd while a program writes here or into the sums.
 */
struct ks_bpf_open {
	uint64_t since_ns; /*  0 */
	uint32_t state;    /*  8 0: nothing is open */
	uint32_t seq;      /* 12 */
};

/*
 * Statistics of one probe on one CPU: values of the mmapped array <probe>_stats[cpu]. The members
 * are those of the probe's struct ks_stats_..., in the same order: each counter as itself, each
 * struct ks_hist as struct ks_bpf_hist. Aligned, so that no two CPUs share a cache line.
 */
struct ks_bpf_stats_proc {
	uint64_t processes;
	uint64_t threads;
	uint64_t execs;
	uint64_t process_exits;
	uint64_t thread_exits;
	uint64_t failed;
	uint64_t killed;
	struct ks_bpf_hist lifetime_ns;
} __attribute__((aligned(64)));

struct ks_bpf_stats_sched {
	uint64_t voluntary;
	uint64_t preempted;
	uint64_t wakeups;
	struct ks_bpf_hist runq_ns;
	struct ks_bpf_hist oncpu_ns;
	struct ks_bpf_hist offcpu_ns;
} __attribute__((aligned(64)));

struct ks_bpf_stats_fadvise {
	uint64_t calls[7];
	uint64_t ok[7];
	uint64_t errors[4];
	uint64_t dropped_pages;
} __attribute__((aligned(64)));

struct ks_bpf_stats_pagecache {
	uint64_t requested_pages;
	uint64_t missed_pages;
	uint64_t readin_pages;
	uint64_t write_pages;
	uint64_t evicted_pages;
	uint64_t mapped_faults;
	uint64_t mapped_pages;
} __attribute__((aligned(64)));

/*
 * Values of NAME_rows[row], mmapped: rows 0 to n_cpus - 1 are those of all that has no slot, by the
 * CPU where it was counted. The members are those of the statistics, histograms as ks_bpf_sum.
 */
struct ks_bpf_row_proc {
	uint64_t processes;
	uint64_t threads;
	uint64_t execs;
	uint64_t process_exits;
	uint64_t thread_exits;
	uint64_t failed;
	uint64_t killed;
	struct ks_bpf_sum lifetime_ns;
};

struct ks_bpf_row_sched {
	uint64_t voluntary;
	uint64_t preempted;
	uint64_t wakeups;
	struct ks_bpf_sum runq_ns;
	struct ks_bpf_sum oncpu_ns;
	struct ks_bpf_sum offcpu_ns;
	struct ks_bpf_open open;
};

struct ks_bpf_row_fadvise {
	uint64_t calls[7];
	uint64_t ok[7];
	uint64_t errors[4];
	uint64_t dropped_pages;
};

struct ks_bpf_row_pagecache {
	uint64_t requested_pages;
	uint64_t missed_pages;
	uint64_t readin_pages;
	uint64_t write_pages;
	uint64_t evicted_pages;
	uint64_t mapped_faults;
	uint64_t mapped_pages;
};

#endif
