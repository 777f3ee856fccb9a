/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * shared.h - memory layouts that the kernel programs and the library share; private to both
 *
 * Kernel programs are compiled for the BPF target, the library for the host. Use types of fixed
 * width only, so that both see the same bytes. All structs here are values of maps: ks_control and
 * ks_cpus are mmapped arrays, ks_const is read-only data that is frozen before the programs load.
 */
#ifndef KS_SHARED_H
#define KS_SHARED_H

#ifndef __bpf__
#include <stdint.h>
#endif

#define KS_BPF_PROBES 16 /* maximum of probes; probe numbers are 0 to 15 */
#define KS_BPF_PARAMS 4  /* maximum of settings that one probe defines for its kernel programs */
#define KS_BPF_RINGS 16  /* maximum of ring buffers; CPU c writes to ring c % n_rings */
#define KS_BPF_ROLES 64  /* maximum of role names; role numbers are 1 to 64 */

/*
 * How one run of a kernel program ended. Each run ends in exactly one outcome. The order is that of
 * the members of struct ks_stats_self.
 */
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

/* Ledger of one probe on one CPU: counts of its runs by outcome. Two cache lines. */
struct ks_bpf_ledger {
	uint64_t outcome[KS_OUTCOMES]; /*   0 */
	uint64_t kernel_ns;            /*  96 run time of the measured runs, times 256 */
	uint64_t bucket;               /* 104 this CPU's token bucket, if CPUs share none */
	uint64_t turn;                 /* 112 number of runs, roughly: selects runs to measure */
	uint64_t zero;                 /* 120 always 0, but the verifier does not know the value */
};                                     /* 128 */

/* Value of ks_cpus[cpu], mmapped */
struct ks_bpf_cpu {
	uint32_t lost;         /*  0 lost records on this CPU, of all probes; records copy it */
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

/*
 * Settings of one probe in one generation. If all members are 0, the probe is off: each run ends in
 * KS_FILTERED.
 */
struct ks_bpf_settings {
	uint32_t generation;           /*  0 1 to 255; 0: off. Read together with the epoch */
	uint32_t epoch;                /*  4 changes when the probe is enabled after it was off */
	uint32_t flags;                /*  8 ks_bpf_want */
	uint32_t sample_every;         /* 12 1 event in so many becomes a record; 0: none does */
	uint64_t record_ns;            /* 16 what a record takes from the bucket; 0: no limit */
	uint64_t burst_ns;             /* 24 depth of the token bucket */
	uint64_t param[KS_BPF_PARAMS]; /* 32 values of the ks_param ids from 32 up, in that order */
};                                     /* 64 */

/* Value of ks_buckets[probe], the token bucket that all CPUs share. One cache line each. */
struct ks_bpf_bucket {
	uint64_t full_ns; /* CLOCK_MONOTONIC time at which the bucket has all its tokens again */
	uint64_t reserved[7];
}; /* 64 */

/* Copy of enum ks_scope_kind: kernelsight.h does not compile for the BPF target. */
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
 * Key of ks_pids: a process in the scope, by its process id in the host's pid namespace. Scopes of
 * kind PIDS and TREE have such keys. Bit 30 holds the scope's slot (ks_bpf_control.scope_index). So
 * the library inserts all processes of a new scope before that scope is in force, and leaves the
 * processes of the old scope alone.
 */
#define KS_PID_KEY(pid, slot) ((uint32_t)(pid) | (uint32_t)(slot) << 30)

/*
 * Value of ks_pids for a scope of kind PIDS: the start time of the process on the host's
 * CLOCK_BOOTTIME, ns. It tells the process from a later one with the same number. /proc gives the
 * start time only to a clock tick. This bit marks such a value; the first event of the process
 * replaces it by the exact time. Value 0: start time unknown; the first process that has an event
 * under this number is taken for the named one.
 */
#define KS_PID_TICK (1ULL << 63)

struct ks_bpf_scope {
	uint32_t kind;       /*  0 ks_bpf_scope_kind */
	uint32_t self;       /*  4 process id of the host process */
	uint32_t flags;      /*  8 ks_bpf_scope_flag */
	uint32_t also;       /* 12 pid of ks_selftest()'s child: it and its children are in scope */
	uint64_t comm[2];    /* 16 thread name that is in scope, padded with zeros */
	uint64_t exclude[2]; /* 32 thread name that is not in scope, padded with zeros */
	uint64_t cgroup;     /* 48 id of a cgroup: it and all cgroups below it are in scope */
	uint32_t level;      /* 56 the cgroup's distance from the root + 1; 0: not known */
	uint32_t reserved;   /* 60 */
};                           /* 64 */

/* Bits of ks_bpf_control.tree, shifted by the slot of the scope */
#define KS_TREE_FOLLOW 1 /* programs add the children of processes in the tree */
#define KS_TREE_WINDOW 4 /* the library is still walking /proc for processes that live already */

/*
 * The only value of ks_control, mmapped. Settings and scopes have two slots and an index. A program
 * reads the index once in a run and uses that slot. The library fills the other slot and then flips
 * the index. Before the library fills a slot again, it waits for a grace period, unless the last
 * flip was long ago. So no run sees a mix of old and new settings.
 */
struct ks_bpf_control {
	uint32_t scope_index;                /*   0 */
	uint32_t roles;                      /*   4 changes with every change of the map ks_roles */
	uint32_t threads_next;               /*   8 first slot of ks_threads never used so far */
	uint32_t threads_full;               /*  12 1: no slot is free; programs stop asking */
	uint32_t threads_dead;               /*  16 slots that became LEFT or DEAD, mod 2^32 */
	uint32_t track;                      /*  20 ks_bpf_track */
	uint32_t era;                        /*  24 rows from an earlier era are not valid */
	uint32_t tree;                       /*  28 KS_TREE_... */
	uint32_t unseeded;                   /*  32 1: sched met a thread without storage */
	uint32_t threads_wake;               /*  36 threads_dead that wakes the consumer; 0: none */
	uint32_t reserved[6];                /*  40 */
	uint32_t index[KS_BPF_PROBES];       /*  64 */
	struct ks_bpf_scope scope[2];        /* 128 */
	struct ks_bpf_settings settings[KS_BPF_PROBES][2]; /* 256 */
};                                                         /* 2304 */

enum ks_bpf_track {
	KS_TRACK_ROWS = 1 << 0, /* programs see the ends of threads, so threads may have rows */
	KS_TRACK_NEW = 1 << 1,  /* a new thread gets storage at once if its maker has some */
};

/*
 * Value of ks_const: facts of the running kernel and of the handle. They are frozen before the
 * programs load, so the verifier drops the branches that they rule out.
 */
struct ks_bpf_const {
	uint32_t ring;         /*  0 1: ring buffers, 0: perf buffers */
	uint32_t task_storage; /*  4 1: tracing programs have task storage (5.11) */
	uint32_t atomic_fetch; /*  8 1: programs have compare-and-exchange (5.12) */
	uint32_t rdonly_cast;  /* 12 1: programs have bpf_rdonly_cast (6.2) */
	uint32_t own_guard;    /* 16 1: no typed program nests in itself (6.1): plain increments */
	uint32_t pid_level;    /* 20 level of the host's pid namespace; 0: the initial one */
	uint32_t memcg_v1;     /* 24 1: the memory controller is on cgroup v1 */
	uint32_t n_rings;      /* 28 ring buffers in ks_rings */
	uint32_t exit_has_group_dead; /* 32 1: sched_process_exit(task, bool group_dead) (6.16) */
	uint32_t nr_fadvise64;        /* 36 syscall number of fadvise64 on this architecture */
	uint32_t page_bytes;          /* 40 0: 4096 */
	uint32_t n_cpus;              /* 44 possible CPUs */
	uint32_t n_threads;           /* 48 entries of ks_threads */
	uint32_t tick_ns;             /* 52 clock tick of the start times in /proc/PID/stat */
	uint32_t iter_num;            /* 56 1: programs have bpf_iter_num_next, too (6.4) */
	uint32_t task_type;           /* 60 type id of struct task_struct in the kernel's BTF */
	uint32_t inode_type;          /* 64 type id of struct inode */
	uint32_t folio_type;          /* 68 type id of struct folio */
	uint32_t cgroup_type;         /* 72 type id of struct cgroup */
	uint32_t prev_state;          /* 76 ks_bpf_prev_state */
	uint64_t nobody[8];           /* 80 zeros: initial struct ks_bpf_who; saves stack space */
	/* Offsets of the host's time namespace, mod 2^64; the kernel gives machine time. */
	uint64_t mono_ns; /* 144 offset of CLOCK_MONOTONIC */
	uint64_t boot_ns; /* 152 offset of CLOCK_BOOTTIME, if /proc/PID/stat is shifted by it */
	uint64_t kernel_reads; /* 160 1: helpers may read kernel memory; 0: plain loads only */
};                             /* 168 */

/* Which argument of sched_switch(bool preempt, prev, next) is the state in which prev leaves. */
enum ks_bpf_prev_state {
	KS_PREV_STATE_NONE = 0,   /* none does: before 5.18 */
	KS_PREV_STATE_LAST = 1,   /* the last argument */
	KS_PREV_STATE_SECOND = 2, /* the second one: early 5.18 and kernels that backported it */
};

/* Argument of the program ks_whoami: what it returns, 32 bits in a run. */
enum ks_bpf_whoami {
	KS_WHOAMI_PID,      /* level of the pid namespace << 24 | process id in that namespace */
	KS_WHOAMI_MONO_LOW, /* offset of CLOCK_MONOTONIC in the time namespace, ns */
	KS_WHOAMI_MONO_HIGH,
	KS_WHOAMI_BOOT_LOW, /* offset of CLOCK_BOOTTIME in the time namespace, ns */
	KS_WHOAMI_BOOT_HIGH,
	KS_WHOAMI_START_LOW, /* start time of the thread, CLOCK_BOOTTIME of the machine, ns */
	KS_WHOAMI_START_HIGH,
};

/*
 * Kernel functions (kfuncs) that programs call. Programs are compiled with these numbers in the
 * place of helper numbers. The loader replaces each by the function's type id in the kernel's BTF.
 */
enum ks_bpf_kfunc {
	KS_KFUNC_RDONLY_CAST = 0x4b530000,
	KS_KFUNC_ITER_NUM_NEW,
	KS_KFUNC_ITER_NUM_NEXT,
	KS_KFUNC_ITER_NUM_DESTROY,
	KS_KFUNC_END
};

/*
 * Histogram of one CPU, base 2^(1/4). buckets[0] counts the value 1; buckets[i + 1] is bucket i of
 * struct ks_hist.
 */
#define KS_HIST_BUCKETS 257

struct ks_bpf_hist {
	uint64_t sum;                      /*  0 */
	uint64_t zeros;                    /*  8 */
	uint64_t buckets[KS_HIST_BUCKETS]; /* 16 */
};                                         /* 2072 */

/* ---- statistics by thread, see threads.bpf.h ------------------------------------------------- */

enum ks_bpf_thread_state {
	KS_THREAD_FREE = 0, /* the slot was never used, or the library has emptied it */
	KS_THREAD_LIVE = 1, /* the slot belongs to a thread */
	KS_THREAD_LEFT = 2, /* the thread moved to another slot: its cgroup or role changed */
	KS_THREAD_DEAD = 3, /* the thread is gone; no program writes to its rows any more */
};

/*
 * Value of ks_threads[slot], mmapped: the thread that counts in row n_cpus + slot of each map
 * NAME_rows.
 */
struct ks_bpf_thread {
	uint32_t state;    /*  0 ks_bpf_thread_state; written last */
	uint32_t pid;      /*  4 process id in the host's pid namespace */
	uint32_t tid;      /*  8 thread id in the host's pid namespace */
	uint32_t role;     /* 12 number of the thread's role; 0: none */
	uint64_t start_ns; /* 16 start time of the process, CLOCK_MONOTONIC */
	uint64_t cgroup;   /* 24 id of the thread's cgroup in the memory controller's hierarchy */
	uint64_t ended_ns; /* 32 when the slot became LEFT or DEAD, CLOCK_MONOTONIC */
	uint64_t reserved; /* 40 */
	char comm[16];     /* 48 name of the process */
};                         /* 64 */

/* Value of ks_who: what programs store with a thread. */
struct ks_bpf_who {
	uint32_t row;       /*  0 the thread's row in every map NAME_rows; 0: none yet */
	uint32_t busy;      /*  4 1: a program is looking for a row */
	uint32_t roles;     /*  8 ks_bpf_control.roles when a program last looked up the role */
	uint32_t epoch;     /* 12 sched: ks_bpf_settings.epoch for which its other members hold */
	uint64_t css;       /* 16 task->cgroups when a program last looked up the cgroup */
	uint64_t since_ns;  /* 24 sched: when the thread came into its state */
	uint64_t voluntary; /* 32 sched: the kernel's nvcsw of the thread when last seen */
	uint64_t preempted; /* 40 sched: the kernel's nivcsw of the thread when last seen */
	uint32_t state;     /* 48 sched: sched_state of sched.bpf.h */
	uint32_t open_row;  /* 52 sched: row that shows the open interval; 0: none */
	uint32_t era;       /* 56 ks_bpf_control.era when the thread got its row */
	uint32_t sleep;     /* 60 sched: the kernel's task state when the thread left its CPU */
};                          /* 64 */

/* Value of ks_roles; the key is a thread id in the host's pid namespace. */
struct ks_bpf_role {
	uint32_t role;     /* 0 number of the role */
	uint32_t reserved; /* 4 */
	uint64_t ticks;    /* 8 start time of the thread, clock ticks, as in /proc/PID/stat */
};                         /* 16 */

/* A histogram in a row: the sum and the count, without buckets. */
struct ks_bpf_sum {
	uint64_t sum;   /* 0 */
	uint64_t count; /* 8 */
};

/*
 * The open interval of a thread: its present state, and since when. It is the last member of a row
 * if the probe has such intervals. A reader adds the time until now to the histogram that the
 * probe's descriptor names for the state.
 */
struct ks_bpf_open {
	uint64_t since_ns; /*  0 CLOCK_MONOTONIC */
	uint32_t state;    /*  8 0: no interval is open */
	uint32_t seq;      /* 12 odd while a program writes to this struct or to the row's sums */
};

/*
 * Statistics of one probe on one CPU: values of the mmapped array NAME_stats[cpu]. Each struct has
 * the members of the probe's public struct ks_stats_NAME in the same order, with struct ks_bpf_hist
 * in the place of struct ks_hist. They are aligned so that no two CPUs share a cache line.
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
 * Statistics of one probe for one thread: values of the mmapped array NAME_rows[row]. Row n_cpus +
 * slot belongs to the thread in that slot of ks_threads. Row c below n_cpus counts the events that
 * threads without a slot had on CPU c. The members are those of the statistics above, with struct
 * ks_bpf_sum in the place of histograms.
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
