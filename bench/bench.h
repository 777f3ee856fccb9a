/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.h - functions that all measurements share
 *
 * The machines that run this are shared. So every figure is a ratio of two things that were
 * measured alternately in one run. A measurement takes the CPU time of threads, or the run time of
 * kernel programs as the kernel counts it, and wall-clock time only if there is no other. A figure
 * is the minimum or median of many short repetitions.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#include <kernelsight/kernelsight.h>

#define BENCH_SAMPLES 512

struct samples {
	unsigned n;
	double v[BENCH_SAMPLES];
};

void samples_add(struct samples *s, double value);
double samples_min(const struct samples *s);
double samples_median(const struct samples *s);

uint64_t cpu_thread(void);  /* CPU time of the calling thread, ns */
uint64_t cpu_process(void); /* CPU time of all threads of this process, ns */
uint64_t wall(void);        /* CLOCK_MONOTONIC, ns */
void nap(uint64_t ns);

/*
 * Number of rounds and length of a phase. With KS_BENCH_SHORT=1 they are 2 rounds and a tenth of
 * the length: the tests use this to see that a measurement runs. Its figures then mean nothing.
 */
unsigned bench_rounds(unsigned n);
uint64_t bench_ns(uint64_t ns);

/* The n-th CPU that this process may use, or -1. */
int cpu_at(unsigned n);
void pin(int cpu);

enum goal { AT_MOST, AT_LEAST };

/*
 * Prints a line: name, measured value, goal, "met" or "MISSED", and the raw figures. Tabs separate
 * the columns. `unit` is the unit of both values.
 */
void figure(const char *name, double value, enum goal kind, double goal, const char *unit,
	    const char *raw, ...) __attribute__((format(printf, 6, 7)));
/* The same for a figure without a goal, and for one that cannot be measured here. */
void figure_plain(const char *name, double value, const char *unit, const char *raw, ...)
	__attribute__((format(printf, 4, 5)));
void figure_skipped(const char *name, const char *reason);

/* Runs fn in a forked process. If that process fails, the measurement ends with an error. */
void in_child(void (*fn)(void));

/* Returns rc. If rc is negative, it prints the handle's last error and exits. */
int must(struct ks *ks, int rc, const char *what);
/* Prints that the figure is skipped and exits, unless root runs the measurement. */
void need_root(const char *name);

/* ---- the library with BURST_PROBE, a probe of the tests -------------------------------------- */

struct ks *host_open(uint32_t batch_ms, uint64_t ring_bytes, uint64_t features_off);
/*
 * Enables the probe: each getppid() of `pid` (0: this process) makes so many records. identity:
 * bits of ks_identity.
 */
void host_burst(struct ks *ks, int pid, uint32_t records, uint64_t identity);
/* Changes the number of records; 0: none. */
void host_records(struct ks *ks, uint32_t records);
/* Reads all records that are left. Returns their number. */
uint64_t host_drain(struct ks *ks);

/* ---- the same without the library: plain libbpf, peer.bpf.c ---------------------------------- */

struct peer;
struct ring_buffer;
struct bpf_program;

/* Loads all programs of peer.bpf.c, with two rings of ring_bytes each. Attaches none. */
struct peer *peer_open(uint32_t ring_bytes);
struct bpf_program *peer_program(struct peer *peer, const char *name);
/* Attaches a program. Returns the descriptor of its link; closing it detaches the program. */
int peer_attach(struct peer *peer, const char *name);
int peer_ring_fd(const struct peer *peer, unsigned ring);

/* Settings of the programs peer_burst..., written through an mmap. */
struct peer_config {
	uint32_t pid;     /* process whose getppid() makes records */
	uint32_t records; /* made by each getppid() */
	uint32_t clock;   /* 1: each record contains the time */
	uint32_t rings;   /* 1: all CPUs write to ring 0; 2: CPU c to ring c % 2 */
};
struct peer_config *peer_config(struct peer *peer);
void peer_close(struct peer *peer);

/* Runs of a program and their run time. The kernel counts them after stats_on(). */
struct runs {
	uint64_t count, ns;
};
void stats_on(void);
struct runs program_runs(uint32_t id);
struct runs programs_runs(const uint32_t *ids, unsigned n); /* sum over n programs */
uint32_t program_id(const struct bpf_program *prog);

#endif
