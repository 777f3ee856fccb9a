/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a record costs the thread that causes it. The library's program is compared with a minimal
 * one, and two CPUs at a time with one. The figure is the thread's CPU time of a getppid() that
 * makes the maximum of records, minus that of a getppid() that makes none.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "bench.h"
#include "support/burst.h"

#define RECORDS BURST_MAX
#define CALLS 1000
#define ROUNDS bench_rounds(41)
#define RING (1 << 20) /* bytes per CPU: the records of a round fit */

static double per_call(unsigned calls)
{
	uint64_t began = cpu_thread();

	for (unsigned i = 0; i < calls; i++)
		syscall(SYS_getppid);
	return (double)(cpu_thread() - began) / calls;
}

/* empty: what a call costs that makes no record */
static double per_record(double empty)
{
	return (per_call(CALLS) - empty) / RECORDS;
}

static int ignore(void *user, void *data, size_t size)
{
	(void)user, (void)data, (void)size;
	return 0;
}

static struct ring_buffer *peer_rings(struct peer *peer)
{
	struct ring_buffer *rings = ring_buffer__new(peer_ring_fd(peer, 0), ignore, NULL, NULL);

	ring_buffer__add(rings, peer_ring_fd(peer, 1), ignore, NULL);
	return rings;
}

/* ---- one producer ---------------------------------------------------------------------------- */

struct costs {
	struct samples bare, timed, plain, full; /* peer with no clock, with it; library */
};

static void measure_one(struct ks *ks, struct peer *peer, struct costs *w)
{
	struct ring_buffer *rings = peer_rings(peer);
	struct peer_config *c = peer_config(peer);

	for (unsigned round = 0; round < ROUNDS; round++) {
		double empty = per_call(CALLS); /* both programs run in each of these calls */

		for (unsigned clock = 0; clock < 2; clock++) {
			c->clock = clock;
			c->records = RECORDS;
			samples_add(clock ? &w->timed : &w->bare, per_record(empty));
			c->records = 0;
			ring_buffer__consume(rings);
		}
		for (unsigned identity = 0; identity < 2; identity++) {
			struct ks_param set = {
				.id = KS_PARAM_IDENTITY,
				.value = identity ? KS_IDENTITY_CGROUP | KS_IDENTITY_COMM : 0
			};

			must(ks, ks_configure_probe(ks, BURST_PROBE, &set, 1),
			     "ks_configure_probe");
			host_records(ks, RECORDS);
			samples_add(identity ? &w->full : &w->plain, per_record(empty));
			host_records(ks, 0);
			host_drain(ks);
		}
	}
	ring_buffer__free(rings);
}

static void report_one(const struct costs *w)
{
	double bare = samples_median(&w->bare), clock = samples_median(&w->timed) - bare;
	double plain = samples_median(&w->plain), full = samples_median(&w->full);

	figure("record path / bare + clock", (plain - clock) / bare, AT_MOST, 1.5, "x",
	       "library %.1f ns (min %.1f), bare %.1f (min %.1f), clock %.1f", plain,
	       samples_min(&w->plain), bare, samples_min(&w->bare), clock);
	figure_plain("  with cgroup and comm", (full - clock) / bare, "x",
		     "library %.1f ns (min %.1f)", full, samples_min(&w->full));
}

/* ---- two producers --------------------------------------------------------------------------- */

struct producer {
	pthread_t thread;
	pthread_barrier_t *start;
	int cpu;
	double ns;
};

static void *produce(void *user)
{
	struct producer *p = user;

	pin(p->cpu);
	per_call(CALLS / 4);
	pthread_barrier_wait(p->start);
	p->ns = per_call(CALLS / 4);
	return NULL;
}

/* Returns the mean cost of a call with n producers on n CPUs. */
static double together(unsigned n)
{
	struct producer p[2];
	pthread_barrier_t start;
	double sum = 0;

	pthread_barrier_init(&start, NULL, n);
	for (unsigned i = 0; i < n; i++) {
		p[i] = (struct producer){ .start = &start, .cpu = cpu_at(i) };
		pthread_create(&p[i].thread, NULL, produce, &p[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		pthread_join(p[i].thread, NULL);
		sum += p[i].ns;
	}
	pthread_barrier_destroy(&start);
	return sum / n;
}

static void measure_two(struct ks *ks, struct peer *peer)
{
	struct samples library[3] = { { 0 } }, shared[3] = { { 0 } };
	struct ring_buffer *rings = peer_rings(peer);
	struct peer_config *c = peer_config(peer);

	if (cpu_at(1) < 0) {
		figure_skipped("two producers / one", "one CPU only");
		return;
	}
	c->rings = 1;
	c->clock = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned n = 1; n <= 2; n++) {
			double empty = together(n);

			host_records(ks, RECORDS);
			samples_add(&library[n], (together(n) - empty) / RECORDS);
			host_records(ks, 0);
			host_drain(ks);
			c->records = RECORDS;
			samples_add(&shared[n], (together(n) - empty) / RECORDS);
			c->records = 0;
			ring_buffer__consume(rings);
		}
	}
	figure("two producers / one", samples_median(&library[2]) / samples_median(&library[1]),
	       AT_MOST, 1.4, "x", "%.1f ns each, alone %.1f (min %.1f, %.1f)",
	       samples_median(&library[2]), samples_median(&library[1]), samples_min(&library[2]),
	       samples_min(&library[1]));
	figure_plain("  with one shared ring",
		     samples_median(&shared[2]) / samples_median(&shared[1]), "x",
		     "%.1f ns each, alone %.1f", samples_median(&shared[2]),
		     samples_median(&shared[1]));
	ring_buffer__free(rings);
}

int main(void)
{
	struct costs costs = { 0 };
	struct peer *peer;
	struct ks *ks;

	need_root("record path");
	peer = peer_open(RING);
	ks = host_open(0, (uint64_t)RING * (uint64_t)sysconf(_SC_NPROCESSORS_CONF), 0);
	host_burst(ks, 0, 0, 0);
	peer_attach(peer, "peer_burst");
	measure_two(ks, peer);
	pin(cpu_at(0));
	measure_one(ks, peer, &costs);
	report_one(&costs);
	ks_close(ks);
	peer_close(peer);
	return 0;
}
