/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.h - what all measurements share
 *
 * Every figure is a ratio of two things that were measured alternately in one run, because the
 * machines that run this are shared: CPU time of threads, or the kernel's own run time of programs,
 * never time on the wall where it can be avoided; minimum and median of many short repetitions.
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
uint64_t cpu_process(void); /* of all threads of this process, ns */
uint64_t wall(void);        /* CLOCK_MONOTONIC, ns */
void nap(uint64_t ns);

/*
 * KS_BENCH_SHORT=1: what the tests run, to see that it runs. Two rounds of so many, and a tenth of a
 * time; what comes of it is no measurement.
 */
unsigned bench_rounds(unsigned n);
uint64_t bench_ns(uint64_t ns);

/* The n-th CPU that this process may use, or -1. */
int cpu_at(unsigned n);
void pin(int cpu);

enum goal { AT_MOST, AT_LEAST };

/*
 * Prints a line: name, measured value, goal, "met" or "MISSED", and the raw figures; columns are
 * separated by tabs. `unit` stands behind both values.
 */
void figure(const char *name, double value, enum goal kind, double goal, const char *unit,
	    const char *raw, ...) __attribute__((format(printf, 6, 7)));
/* The same for what has no goal, and for what cannot be measured here. */
void figure_plain(const char *name, double value, const char *unit, const char *raw, ...)
	__attribute__((format(printf, 4, 5)));
void figure_skipped(const char *name, const char *reason);

/* Runs it in a forked process, whose failure is that of the program. */
void in_child(void (*fn)(void));

/* Ends the program with the handle's sentence if rc is negative; returns rc. */
int must(struct ks *ks, int rc, const char *what);
/* Ends the program with skipped figures unless it is run by root. */
void need_root(const char *name);

/* ---- the library with the probe of the tests that makes records ------------------------------ */

struct ks *host_open(uint32_t batch_ms, uint64_t ring_bytes, uint64_t features_off);
/* `records` for each getppid() of `pid` (0: this process); `identity`: ks_identity. */
void host_burst(struct ks *ks, int pid, uint32_t records, uint64_t identity);
/* From now on; 0: none. */
void host_records(struct ks *ks, uint32_t records);
/* Reads until nothing is left; how many. */
uint64_t host_drain(struct ks *ks);

/* ---- the same without the library: plain libbpf, peer.bpf.c ---------------------------------- */

struct peer;
struct ring_buffer;
struct bpf_program;

/* Loads all programs of peer.bpf.c and two rings of so many bytes; attaches nothing. */
struct peer *peer_open(uint32_t ring_bytes);
struct bpf_program *peer_program(struct peer *peer, const char *name);
/* The descriptor of a link; closing it detaches. */
int peer_attach(struct peer *peer, const char *name);
int peer_ring_fd(const struct peer *peer, unsigned ring);

/* What peer_burst... programs read, written through an mmap. */
struct peer_config {
	uint32_t pid;
	uint32_t records; /* for each getppid() */
	uint32_t clock;   /* 1: each record has the time */
	uint32_t rings;   /* 1: all CPUs write to ring 0; 2: CPU c to ring c % 2 */
};
struct peer_config *peer_config(struct peer *peer);
void peer_close(struct peer *peer);

/* Run time and runs of a program, as the kernel counts them once stats_on() was called. */
struct runs {
	uint64_t count, ns;
};
void stats_on(void);
struct runs program_runs(uint32_t id);
struct runs programs_runs(const uint32_t *ids, unsigned n); /* their sum */
uint32_t program_id(const struct bpf_program *prog);

#endif
