/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What waiting for records costs the host, and how long a record waits. The producer runs on one
 * CPU, the consumer on another. At 50,000 records per second, batched delivery is compared with
 * libbpf and the kernel's default wake-ups. At a low rate, KS_IMMEDIATE is compared with the same.
 */
#include <unistd.h>

#include <bpf/libbpf.h>

#include "bench.h"
#include "producer.h"
#include "support/burst.h"

#define SECONDS(n) bench_ns((uint64_t)((n)*1e9))
#define BUSY_NS 20000    /* 50,000 records per second */
#define QUIET_NS 1000000 /* 1,000 records per second */
#define ROUNDS bench_rounds(7)

static struct consumer {
	uint64_t records;
	struct samples delays; /* us; of a part of the records */
	uint64_t every;
} consumer;

/* Results of the library or of libbpf over all rounds. */
struct results {
	struct samples cpu;    /* ns per record */
	struct samples share;  /* percent of a CPU */
	struct samples delays; /* medians of the rounds, us */
};

static int on_event(const struct ks_event *ev, void *user)
{
	struct consumer *c = user;

	if (c->records++ % c->every == 0)
		samples_add(&c->delays, (double)(int64_t)(wall() - ev->time_ns) / 1e3);
	return 0;
}

static int on_sample(void *user, void *data, size_t size)
{
	(void)size;
	return on_event(data, user);
}

struct setup {
	struct producer *producer;
	struct peer *peer;
	struct ring_buffer *rings;
};

static void consume(const struct setup *setup, struct ks *ks, uint64_t until, struct consumer *c)
{
	while (wall() < until) {
		if (ks)
			must(ks, ks_poll(ks, 100, 0, on_event, c), "ks_poll");
		else
			ring_buffer__poll(setup->rings, 100);
	}
}

/* One round with the library, or with libbpf if ks is NULL. */
static void measure(const struct setup *setup, struct ks *ks, uint64_t gap_ns, double seconds,
		    struct results *results)
{
	struct consumer *c = &consumer;
	uint64_t begin, cpu;
	int link = ks ? -1 : peer_attach(setup->peer, "peer_burst");

	if (ks)
		host_burst(ks, setup->producer->pid, 1, 0);
	*c = (struct consumer){ .every = 1 + (uint64_t)(seconds * 1e9) / gap_ns / 256 };
	producer_pace(setup->producer, gap_ns);
	consume(setup, ks, wall() + SECONDS(seconds / 10), c); /* warm-up */
	c->records = 0;
	c->delays.n = 0;
	begin = wall();
	cpu = cpu_thread();
	consume(setup, ks, begin + SECONDS(seconds), c);
	cpu = cpu_thread() - cpu;
	samples_add(&results->share, 100.0 * (double)cpu / (double)(wall() - begin));
	samples_add(&results->cpu, (double)cpu / (double)(c->records + !c->records));
	samples_add(&results->delays, samples_median(&c->delays));
	producer_pace(setup->producer, 0);
	if (ks) {
		must(ks, ks_disable_probe(ks, BURST_PROBE), "ks_disable_probe");
		host_drain(ks);
	} else {
		close(link);
		ring_buffer__consume(setup->rings);
	}
}

static void batched(const struct setup *setup)
{
	struct results bare = { .cpu = { 0 } }, library = bare;
	struct ks *ks = host_open(0, 0, 0);

	for (unsigned round = 0; round < ROUNDS; round++) {
		measure(setup, NULL, BUSY_NS, 0.6, &bare);
		measure(setup, ks, BUSY_NS, 0.6, &library);
	}
	figure("50,000/s: CPU / default wake-ups",
	       samples_median(&library.cpu) / samples_median(&bare.cpu), AT_MOST, 0.05, "x",
	       "%.0f ns a record, %.2f %% of a CPU; libbpf %.0f ns, %.1f %%",
	       samples_median(&library.cpu), samples_median(&library.share),
	       samples_median(&bare.cpu), samples_median(&bare.share));
	figure("  delay, p50", samples_median(&library.delays) / 1e3, AT_MOST, 10, "ms",
	       "libbpf %.1f us", samples_median(&bare.delays));
	ks_close(ks);
}

static void immediate(const struct setup *setup)
{
	struct results bare = { .cpu = { 0 } }, library = bare, trickle = bare;
	struct ks *at_once = host_open(KS_IMMEDIATE, 0, 0), *ks = host_open(0, 0, 0);

	for (unsigned round = 0; round < ROUNDS; round++) {
		measure(setup, NULL, QUIET_NS, 0.4, &bare);
		measure(setup, at_once, QUIET_NS, 0.4, &library);
		measure(setup, ks, 20 * QUIET_NS, 0.6, &trickle);
	}
	figure("KS_IMMEDIATE, p50 / libbpf",
	       samples_median(&library.delays) / samples_median(&bare.delays), AT_MOST, 1.2, "x",
	       "%.1f us (best round %.1f), libbpf %.1f (%.1f); CPU %.1f us a record, libbpf %.1f",
	       samples_median(&library.delays), samples_min(&library.delays),
	       samples_median(&bare.delays), samples_min(&bare.delays),
	       samples_median(&library.cpu) / 1e3, samples_median(&bare.cpu) / 1e3);
	figure_plain("50/s, batched: delay, p50", samples_median(&trickle.delays), "us",
		     "a trickle wakes at once");
	ks_close(at_once);
	ks_close(ks);
}

int main(void)
{
	struct setup setup;

	need_root("wake-ups");
	if (cpu_at(1) < 0) {
		figure_skipped("wake-ups", "one CPU only");
		return 0;
	}
	setup.producer = producer_start(cpu_at(0));
	pin(cpu_at(1));
	setup.peer = peer_open(2 << 20);
	*peer_config(setup.peer) = (struct peer_config){
		.pid = (uint32_t)setup.producer->pid, .records = 1, .clock = 1, .rings = 1
	};
	setup.rings = ring_buffer__new(peer_ring_fd(setup.peer, 0), on_sample, &consumer, NULL);
	batched(&setup);
	immediate(&setup);
	ring_buffer__free(setup.rings);
	peer_close(setup.peer);
	producer_stop(setup.producer);
	return 0;
}
