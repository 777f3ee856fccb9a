/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <err.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/burst.h"

/* ---- samples --------------------------------------------------------------------------------- */

void samples_add(struct samples *s, double value)
{
	if (s->n < BENCH_SAMPLES)
		s->v[s->n++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double samples_min(const struct samples *s)
{
	double least = s->n ? s->v[0] : 0;

	for (unsigned i = 1; i < s->n; i++)
		if (s->v[i] < least)
			least = s->v[i];
	return least;
}

double samples_median(const struct samples *s)
{
	struct samples sorted = *s;

	if (!s->n)
		return 0;
	qsort(sorted.v, sorted.n, sizeof(sorted.v[0]), compare);
	return sorted.v[sorted.n / 2];
}

/* ---- clocks and CPUs ------------------------------------------------------------------------- */

static uint64_t read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t cpu_thread(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t cpu_process(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t wall(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void nap(uint64_t ns)
{
	struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	nanosleep(&t, NULL);
}

static int is_short(void)
{
	return getenv("KS_BENCH_SHORT") != NULL;
}

unsigned bench_rounds(unsigned n)
{
	return is_short() && n > 2 ? 2 : n;
}

uint64_t bench_ns(uint64_t ns)
{
	return is_short() ? ns / 10 : ns;
}

int cpu_at(unsigned n)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && n-- == 0)
			return cpu;
	return -1;
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "CPU %d", cpu);
}

void in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		fn();
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "the process that measures failed; its own message is above");
}

/* ---- figures --------------------------------------------------------------------------------- */

static void print_raw(const char *raw, va_list args)
{
	vprintf(raw, args);
	putchar('\n');
	fflush(stdout);
}

void figure(const char *name, double value, enum goal kind, double goal, const char *unit,
	    const char *raw, ...)
{
	int met = kind == AT_MOST ? value <= goal : value >= goal;
	va_list args;

	printf("%-34s\t%9.3g %-4s\t%s %.3g %-4s\t%-7s\t", name, value, unit,
	       kind == AT_MOST ? "<=" : ">=", goal, unit, met ? "met" : "MISSED");
	va_start(args, raw);
	print_raw(raw, args);
	va_end(args);
}

void figure_plain(const char *name, double value, const char *unit, const char *raw, ...)
{
	va_list args;

	printf("%-34s\t%9.3g %-4s\t%-12s\t%-7s\t", name, value, unit, "", "");
	va_start(args, raw);
	print_raw(raw, args);
	va_end(args);
}

void figure_skipped(const char *name, const char *reason)
{
	printf("%-34s\t%9s %-4s\t%-12s\t%-7s\t%s\n", name, "", "", "", "skipped", reason);
	fflush(stdout);
}

/* ---- the library ----------------------------------------------------------------------------- */

int must(struct ks *ks, int rc, const char *what)
{
	char why[512] = "";

	if (rc >= 0)
		return rc;
	ks_last_error(ks, why, sizeof(why));
	errx(1, "%s: %s: %s", what, ks_strerror(rc), why);
}

void need_root(const char *name)
{
	if (geteuid() == 0)
		return;
	figure_skipped(name, "not root");
	exit(0);
}

struct ks *host_open(uint32_t batch_ms, uint64_t ring_bytes, uint64_t features_off)
{
	struct ks_open_opts opts = {
		.size = sizeof(opts),
		.batch_ms = batch_ms,
		.ring_bytes = ring_bytes,
		.features_off = features_off,
	};
	struct ks *ks;
	int rc = ks_open(&opts, &ks);

	if (rc)
		errx(1, "ks_open: %s", ks_strerror(rc));
	return ks;
}

void host_burst(struct ks *ks, int pid, uint32_t records, uint64_t identity)
{
	struct ks_scope scope = { .size = sizeof(scope),
				  .kind = pid ? KS_SCOPE_PIDS : KS_SCOPE_SELF,
				  .n_pids = pid ? 1 : 0,
				  .pids = &pid };
	struct ks_param params[] = { { .id = BURST_PARAM_RECORDS, .value = records },
				     { .id = KS_PARAM_MAX_PER_SEC, .value = 0 },
				     { .id = KS_PARAM_IDENTITY, .value = identity } };
	struct ks_enable_opts opts = { .size = sizeof(opts), .n_params = 3, .params = params };

	must(ks, ks_set_scope(ks, &scope), "ks_set_scope");
	must(ks, ks_enable_probe(ks, BURST_PROBE, &opts), "ks_enable_probe");
}

void host_records(struct ks *ks, uint32_t records)
{
	struct ks_param param = { .id = BURST_PARAM_RECORDS, .value = records };

	must(ks, ks_configure_probe(ks, BURST_PROBE, &param, 1), "ks_configure_probe");
}

static int ignore(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	return 0;
}

uint64_t host_drain(struct ks *ks)
{
	uint64_t all = 0;
	int n;

	while ((n = must(ks, ks_poll(ks, 0, 0, ignore, NULL), "ks_poll")) > 0)
		all += (uint64_t)n;
	return all;
}
