/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many records per second pass without loss from one CPU to a host on another CPU. First at two
 * million per second, for several sizes of the rings. Then at the highest rate, where the producer
 * waits for the consumer, through rings and through perf buffers.
 */
#include <stdio.h>
#include <unistd.h>

#include "bench.h"
#include "producer.h"
#include "support/burst.h"

#define RECORDS BURST_MAX /* records of each call */
#define PACE_NS 3360      /* results in 2 million records per second on busy machines */
#define SECONDS 2
#define ROUNDS bench_rounds(5)

static struct {
	uint64_t records, lost;
} seen;

static int on_event(const struct ks_event *ev, void *user)
{
	struct producer *p = user;

	if (ev->id == KS_EVENT_LOST)
		seen.lost += ((const struct ks_event_lost *)ev)->lost;
	else
		seen.records++;
	atomic_store_explicit(&p->seen, (seen.records + seen.lost) / RECORDS, memory_order_relaxed);
	return 0;
}

static void consume(struct ks *ks, struct producer *p, uint64_t until)
{
	while (wall() < until)
		must(ks, ks_poll(ks, 100, 0, on_event, p), "ks_poll");
}

/* Reads the records that are left after the producer became idle. */
static void finish(struct ks *ks, struct producer *p)
{
	producer_pace(p, 0);
	must(ks, ks_disable_probe(ks, BURST_PROBE), "ks_disable_probe");
	while (must(ks, ks_poll(ks, 0, 0, on_event, p), "ks_poll") > 0)
		;
}

static void paced(struct producer *p, uint64_t ring_bytes, int goal)
{
	struct ks *ks = host_open(0, ring_bytes * (uint64_t)sysconf(_SC_NPROCESSORS_CONF), 0);
	uint64_t calls = atomic_load(&p->calls), cpu, begin;
	char name[64], raw[128];
	double rate;

	host_burst(ks, p->pid, RECORDS, 0);
	seen.records = seen.lost = 0;
	atomic_store(&p->room, 0);
	begin = wall();
	cpu = cpu_thread();
	producer_pace(p, PACE_NS);
	consume(ks, p, begin + bench_ns(SECONDS * 1000000000ull));
	cpu = cpu_thread() - cpu;
	rate = (double)(seen.records + seen.lost) * 1e3 / (double)(wall() - begin);
	finish(ks, p);
	calls = atomic_load(&p->calls) - calls;
	snprintf(name, sizeof(name), "lost at 2 M/s, ring of %lu MiB",
		 (unsigned long)(ring_bytes >> 20));
	snprintf(raw, sizeof(raw), "of %lu made, %.2f M/s; consumer %.0f ns a record",
		 (unsigned long)(calls * RECORDS), rate, (double)cpu / (double)(seen.records + 1));
	if (goal)
		figure(name, (double)seen.lost, AT_MOST, 0, "", "%s", raw);
	else
		figure_plain(name, (double)seen.lost, "", "%s", raw);
	ks_close(ks);
}

/* Returns millions of records per second. The producer is ahead by half a ring at most. */
static double most(struct producer *p, uint32_t batch_ms, uint64_t features_off)
{
	const uint64_t ring = 16 << 20;
	uint64_t bytes = ring * (uint64_t)sysconf(_SC_NPROCESSORS_CONF);
	struct ks *ks = host_open(batch_ms, bytes, features_off);
	uint64_t begin;
	double rate;

	host_burst(ks, p->pid, RECORDS, 0);
	seen.records = seen.lost = 0;
	atomic_store(&p->calls, 0);
	atomic_store(&p->seen, 0);
	atomic_store(&p->room, ring / 2 / (RECORDS * 128));
	begin = wall();
	producer_pace(p, 1);
	consume(ks, p, begin + bench_ns(400000000));
	rate = (double)seen.records * 1e3 / (double)(wall() - begin);
	finish(ks, p);
	if (seen.lost)
		figure_plain("  lost, though the producer waits", (double)seen.lost, "", "%s",
			     features_off ? "perf buffers" : "rings");
	ks_close(ks);
	return rate;
}

int main(void)
{
	struct samples rings = { 0 }, perf = { 0 }, woken = { 0 };
	struct producer *p;

	need_root("rate");
	if (cpu_at(1) < 0) {
		figure_skipped("rate", "one CPU only");
		return 0;
	}
	p = producer_start(cpu_at(0));
	pin(cpu_at(1));
	for (unsigned round = 0; round < ROUNDS; round++) {
		samples_add(&rings, most(p, 0, 0));
		samples_add(&perf, most(p, 0, KS_FEATURE_RINGBUF));
		samples_add(&woken, most(p, KS_IMMEDIATE, KS_FEATURE_RINGBUF));
	}
	paced(p, 2 << 20, 0);
	paced(p, 8 << 20, 1);
	paced(p, 32 << 20, 1);
	figure("rate without loss, rings", samples_median(&rings), AT_LEAST, 2, "M/s",
	       "all rounds at least %.2f", samples_min(&rings));
	figure("  rings / perf buffers", samples_median(&rings) / samples_median(&woken), AT_LEAST,
	       5, "x", "perf buffers %.2f M/s, woken with each record as by default everywhere",
	       samples_median(&woken));
	figure_plain("  rings / perf buffers, batched",
		     samples_median(&rings) / samples_median(&perf), "x",
		     "perf buffers %.2f M/s, woken by time or a quarter full",
		     samples_median(&perf));
	producer_stop(p);
	return 0;
}
