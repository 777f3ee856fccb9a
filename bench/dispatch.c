/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What reading a record costs the host. Records wait in a ring; the host reads them with ks_poll()
 * and ks_read_events(). Compared with ring_buffer__consume() of libbpf with an equal callback.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "bench.h"
#include "support/burst.h"

#define RECORDS BURST_MAX
#define CALLS 2500
#define ROUNDS bench_rounds(41)
#define RING (4 << 20)

static uint64_t sum; /* a callback adds the record's time, so that it reads the record */

static int on_event(const struct ks_event *ev, void *user)
{
	(void)user;
	sum += ev->time_ns;
	return 0;
}

static int on_sample(void *user, void *data, size_t size)
{
	(void)size;
	return on_event(data, user);
}

/*
 * Makes the same records for the library and for libbpf at the same time, so that both lie in the
 * same caches. Detaches the programs before the read: they run in syscalls and would add to the
 * reader's CPU time.
 */
static void produce(struct ks *ks, struct peer *peer)
{
	int link = peer_attach(peer, "peer_burst");

	host_burst(ks, 0, RECORDS, 0);
	for (unsigned i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	must(ks, ks_disable_probe(ks, BURST_PROBE), "ks_disable_probe");
	close(link);
}

static double per_record(uint64_t began)
{
	return (double)(cpu_thread() - began) / (RECORDS * CALLS);
}

/* Reads all records, at most `max` in a call; 0: the default. */
static double by_poll(struct ks *ks, int max)
{
	uint64_t began = cpu_thread();

	while (must(ks, ks_poll(ks, 0, max, on_event, NULL), "ks_poll") > 0)
		;
	return per_record(began);
}

static double by_batch(struct ks *ks)
{
	static uint64_t buf[8192];
	uint64_t began = cpu_thread();
	const struct ks_event *ev;
	size_t size;

	while (must(ks, ks_read_events(ks, buf, sizeof(buf), 0, &size), "ks_read_events") > 0)
		for (ev = NULL; (ev = ks_next_event(buf, size, ev));)
			on_event(ev, NULL);
	return per_record(began);
}

static double by_libbpf(struct ring_buffer *rings)
{
	uint64_t began = cpu_thread();

	ring_buffer__consume(rings);
	return per_record(began);
}

int main(void)
{
	struct samples poll = { 0 }, whole = { 0 }, batch = { 0 }, bare = { 0 };
	struct ring_buffer *rings;
	struct peer *peer;
	struct ks *ks;

	need_root("dispatch");
	pin(cpu_at(0));
	peer = peer_open(RING);
	rings = ring_buffer__new(peer_ring_fd(peer, 0), on_sample, NULL, NULL);
	ks = host_open(0, (uint64_t)RING * (uint64_t)sysconf(_SC_NPROCESSORS_CONF), 0);
	peer_config(peer)->rings = 1;
	peer_config(peer)->records = RECORDS;
	for (unsigned round = 0; round < ROUNDS; round++) {
		produce(ks, peer);
		samples_add(&bare, by_libbpf(rings));
		samples_add(&poll, by_poll(ks, 0));
		produce(ks, peer);
		samples_add(&whole, by_poll(ks, RECORDS * CALLS + 1));
		samples_add(&bare, by_libbpf(rings));
		produce(ks, peer);
		samples_add(&batch, by_batch(ks));
		samples_add(&bare, by_libbpf(rings));
	}
	figure("ks_poll / libbpf", samples_median(&poll) / samples_median(&bare), AT_MOST, 1.5, "x",
	       "%.1f ns a record (min %.1f), libbpf %.1f (min %.1f)", samples_median(&poll),
	       samples_min(&poll), samples_median(&bare), samples_min(&bare));
	figure_plain("  all in one call", samples_median(&whole) / samples_median(&bare), "x",
		     "%.1f ns a record (min %.1f)", samples_median(&whole), samples_min(&whole));
	figure("ks_read_events / libbpf", samples_median(&batch) / samples_median(&bare), AT_MOST,
	       1.1, "x", "%.1f ns a record (min %.1f), copy and walk included",
	       samples_median(&batch), samples_min(&batch));
	ring_buffer__free(rings);
	ks_close(ks);
	peer_close(peer);
	return sum == 1;
}
