/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the queue of a scan returns each record whole and in order and reports what did not
 * fit; and that each event of a scan gets the outcome, the count and the record that scope and
 * settings ask for.
 */
#include <errno.h>

#include "files/scan.h"
#include "support/ks_test.h"

#define SECOND 1000000000ull

union record {
	struct ks_event ev;
	struct ks_event_lost lost;
	unsigned char bytes[KS__QUEUE_RECORD_MAX + 8];
};

/* ---- the queue ------------------------------------------------------------------------------- */

/* A record whose bytes behind the head depend on its time. */
static union record record_of(uint16_t id, uint16_t size, uint64_t time_ns)
{
	union record r;

	for (size_t i = 0; i < sizeof(r); i++)
		r.bytes[i] = (unsigned char)(i + time_ns);
	r.ev.id = id;
	r.ev.size = size;
	r.ev.time_ns = time_ns;
	r.ev.generation = (uint8_t)(time_ns / 10);
	return r;
}

static int put(struct ks__queue *queue, uint16_t id, uint16_t size, uint64_t time_ns)
{
	union record r = record_of(id, size, time_ns);

	return ks__queue_put(queue, &r.ev);
}

static void assert_taken(struct ks__queue *queue, uint16_t id, uint16_t size, uint64_t time_ns,
			 uint32_t lost)
{
	union record want = record_of(id, size, time_ns), got;

	want.ev.lost = lost;
	g_assert_cmpint(ks__queue_ready(queue), ==, 1);
	g_assert_cmpint(ks__queue_take(queue, 77, &got.ev), ==, 1);
	g_assert_cmpmem(got.bytes, size, want.bytes, size);
}

static void assert_hole(struct ks__queue *queue, uint32_t reason, uint64_t lost, uint32_t probe,
			uint64_t from_ns, uint64_t to_ns, uint8_t generation)
{
	union record got;

	g_assert_cmpint(ks__queue_ready(queue), ==, 1);
	memset(&got, 0x5a, sizeof(got));
	g_assert_cmpint(ks__queue_take(queue, 77, &got.ev), ==, 1);
	g_assert_cmpuint(got.ev.size, ==, sizeof(got.lost));
	g_assert_cmpuint(got.ev.id, ==, KS_EVENT_LOST);
	g_assert_cmpuint(got.ev.cpu, ==, KS_NO_CPU);
	g_assert_cmpuint(got.ev.flags, ==, KS_FLAG_FALLBACK);
	g_assert_cmpuint(got.ev.generation, ==, generation);
	g_assert_cmpuint(got.ev.weight, ==, 1);
	g_assert_cmpuint(got.ev.lost, ==, queue->lost);
	g_assert_cmpint(got.ev.pid, ==, 0);
	g_assert_cmpint(got.ev.tid, ==, 0);
	g_assert_cmpuint(got.ev.time_ns, ==, to_ns);
	g_assert_cmpuint(got.ev.cgroup, ==, 0);
	g_assert_cmpuint(got.ev.tag, ==, 0);
	g_assert_cmpstr(got.ev.comm, ==, "");
	g_assert_cmpuint(got.lost.valid, ==, 0);
	g_assert_cmpuint(got.lost.lost, ==, lost);
	g_assert_cmpuint(got.lost.from_ns, ==, from_ns);
	g_assert_cmpuint(got.lost.to_ns, ==, to_ns);
	g_assert_cmpuint(got.lost.reason, ==, reason);
	g_assert_cmpuint(got.lost.probe, ==, probe);
}

static void assert_empty(struct ks__queue *queue)
{
	union record got;

	g_assert_cmpint(ks__queue_ready(queue), ==, 0);
	g_assert_cmpint(ks__queue_take(queue, 77, &got.ev), ==, 0);
	g_assert_cmpuint(queue->used, ==, 0);
	g_assert_cmpuint(queue->head, ==, 0); /* it touches only the memory that it needs */
}

/* Sizes that divide nothing, so that records wrap at every place, heads too. */
static void test_order(void)
{
	struct ks__queue queue;

	ks_assert_rc(ks__queue_init(&queue, 403), 0);
	assert_empty(&queue);
	ks_assert_rc(put(&queue, 0x101, 88, 0), 0);
	ks_assert_rc(put(&queue, 0x102, 152, 1), 0);
	for (uint64_t i = 0; i < 1000; i++) {
		const uint16_t n = i % 2 ? 152 : 88;

		ks_assert_rc(put(&queue, 0x101 + i % 2, n, i + 2), 0);
		assert_taken(&queue, 0x101 + i % 2, n, i, 0);
	}
	assert_taken(&queue, 0x101, 88, 1000, 0);
	assert_taken(&queue, 0x102, 152, 1001, 0);
	assert_empty(&queue);
	g_assert_cmpuint(queue.lost, ==, 0);
	ks__queue_free(&queue);
	g_assert_null(queue.bytes);
}

/* A record fits if there are bytes for all of it, and if it has at most KS__QUEUE_RECORD_MAX. */
static void test_fits(void)
{
	struct ks__queue queue;

	ks_assert_rc(ks__queue_init(&queue, 160), 0);
	ks_assert_rc(put(&queue, 0x101, 72, 1), 0);
	ks_assert_rc(put(&queue, 0x101, 96, 2), -ENOSPC);
	assert_taken(&queue, 0x101, 72, 1, 0);
	assert_hole(&queue, KS_LOST_RING, 1, 1, 1, 77, 0);
	ks_assert_rc(put(&queue, 0x101, 72, 3), 0);
	ks_assert_rc(put(&queue, 0x101, 88, 4), 0);
	assert_taken(&queue, 0x101, 72, 3, 1);
	assert_taken(&queue, 0x101, 88, 4, 1);
	assert_empty(&queue);
	ks__queue_free(&queue);

	ks_assert_rc(ks__queue_init(&queue, 1024), 0);
	ks_assert_rc(put(&queue, 0x101, KS__QUEUE_RECORD_MAX, 1), 0);
	ks_assert_rc(put(&queue, 0x101, KS__QUEUE_RECORD_MAX + 1, 2), -ENOSPC);
	assert_taken(&queue, 0x101, KS__QUEUE_RECORD_MAX, 1, 0);
	ks__queue_free(&queue);
}

/* Both reports come before the first record after the loss, with what they say about it. */
static void test_reports(void)
{
	const size_t need = 72 + 2 * sizeof(struct ks_event_lost);

	for (size_t size = need - 1; size <= need; size++) {
		struct ks__queue queue;

		ks_assert_rc(ks__queue_init(&queue, size), 0);
		ks_assert_rc(put(&queue, 0x101, 200, 30), 0);
		ks_assert_rc(put(&queue, 0x203, 200, 40), -ENOSPC);
		ks_assert_rc(put(&queue, 0x201, 200, 50), -ENOSPC);
		ks__queue_throttle(&queue, 3);
		ks__queue_throttle(&queue, 3);
		ks__queue_throttle(&queue, 3);
		assert_taken(&queue, 0x101, 200, 30, 0);
		if (size < need) {
			ks_assert_rc(put(&queue, 0x201, 72, 60), -ENOSPC);
			assert_hole(&queue, KS_LOST_RING, 3, 2, 30, 77, 0);
			assert_hole(&queue, KS_LOST_THROTTLED, 3, 3, 30, 77, 0);
		} else {
			ks_assert_rc(put(&queue, 0x201, 72, 60), 0);
			g_assert_cmpuint(queue.used, ==, need);
			assert_hole(&queue, KS_LOST_RING, 2, 2, 30, 60, 6);
			assert_hole(&queue, KS_LOST_THROTTLED, 3, 3, 30, 60, 6);
			assert_taken(&queue, 0x201, 72, 60, 2);
		}
		assert_empty(&queue);
		/* a report is made once; a later loss begins after the last record */
		ks__queue_throttle(&queue, 4);
		assert_hole(&queue, KS_LOST_THROTTLED, 1, 4, size < need ? 30 : 60, 77, 0);
		assert_empty(&queue);
		ks__queue_free(&queue);
	}
}

/* A report names the probe. If several probes lost records, it names none. */
static void test_several(void)
{
	struct ks__queue queue;

	ks_assert_rc(ks__queue_init(&queue, 256), 0);
	ks_assert_rc(put(&queue, 0x101, 200, 20), 0);
	ks_assert_rc(put(&queue, 0x101, 200, 30), -ENOSPC);
	ks_assert_rc(put(&queue, 0x301, 200, 40), -ENOSPC);
	ks_assert_rc(put(&queue, 0x101, 200, 50), -ENOSPC);
	ks__queue_throttle(&queue, 2);
	ks__queue_throttle(&queue, 2);
	assert_taken(&queue, 0x101, 200, 20, 0);
	assert_hole(&queue, KS_LOST_RING, 3, UINT32_MAX, 20, 77, 0);
	assert_hole(&queue, KS_LOST_THROTTLED, 2, 2, 20, 77, 0);
	assert_empty(&queue);
	ks__queue_free(&queue);
}

#ifndef __SANITIZE_ADDRESS__ /* it ends the program for such a size */
static void test_no_memory(void)
{
	struct ks__queue queue = { .used = 5 };

	ks_assert_rc(ks__queue_init(&queue, SIZE_MAX / 2), -ENOMEM);
	g_assert_cmpuint(queue.used, ==, 5);
}
#endif

/* ---- one event ------------------------------------------------------------------------------- */

/* What a look needs to judge events. */
struct bench {
	int32_t pids[8];
	struct ks__scope scope;
	struct ks__settings set;
	struct ks__tally tally;
	struct ks__queue queue;
	struct ks__look look;
	uint64_t block[4];
};

static void bench_begin(struct bench *b, size_t queue_size)
{
	*b = (struct bench){ .scope = { .kind = KS_SCOPE_SYSTEM, .pids = b->pids } };
	b->set = (struct ks__settings){ .generation = 0x105, .sample_every = 1 };
	b->tally = (struct ks__tally){ .random = 1, .block = b->block };
	b->look = (struct ks__look){
		.self = 100,
		.scope = &b->scope,
		.set = &b->set,
		.tally = &b->tally,
		.queue = &b->queue,
		.now_ns = 10 * SECOND,
	};
	ks_assert_rc(ks__queue_init(&b->queue, queue_size), 0);
}

static void test_scope(void)
{
	struct bench b;

	bench_begin(&b, 1000);
	g_assert_cmpint(ks__look_in_scope(&b.look, 5, 0, 0, "a"), ==, 1);
	b.scope.kind = KS_SCOPE_SELF;
	g_assert_cmpint(ks__look_in_scope(&b.look, 100, 0, 0, "a"), ==, 1);
	g_assert_cmpint(ks__look_in_scope(&b.look, 101, 0, 1, "a"), ==, 0);
	b.scope.kind = KS_SCOPE_TREE;
	g_assert_cmpint(ks__look_in_scope(&b.look, 100, 0, 0, "a"), ==, 0);
	g_assert_cmpint(ks__look_in_scope(&b.look, 5, 0, 1, "a"), ==, 1);
	b.scope.kind = KS_SCOPE_CGROUP;
	g_assert_cmpint(ks__look_in_scope(&b.look, 100, 0, 0, "a"), ==, 0);
	g_assert_cmpint(ks__look_in_scope(&b.look, 5, 0, 1, "a"), ==, 1);
	b.scope.kind = KS_SCOPE_PIDS;
	for (uint32_t n = 0; n <= G_N_ELEMENTS(b.pids); n++) {
		b.scope.n_pids = n;
		for (uint32_t i = 0; i < n; i++)
			b.pids[i] = 10 * ((int32_t)i + 1);
		for (int32_t pid = 1; pid <= 100; pid++)
			g_assert_cmpint(ks__look_in_scope(&b.look, pid, 0, 1, "a"), ==,
					pid % 10 == 0 && pid <= 10 * (int32_t)n);
	}
	ks__queue_free(&b.queue);
}

/* A process of a list is named by pid and start; a start that is unknown decides nothing. */
static void test_named(void)
{
	static uint64_t starts[] = { KS__START_UNKNOWN, 50, KS__START_HIDDEN, KS__START_ENDED };
	struct bench b;

	bench_begin(&b, 1000);
	b.scope.kind = KS_SCOPE_PIDS;
	b.scope.n_pids = 4;
	for (int32_t i = 0; i < 4; i++)
		b.pids[i] = 10 * (i + 1);
	for (int known = 0; known <= 1; known++) {
		b.scope.starts = known ? starts : NULL;
		for (int32_t i = 0; i < 4; i++)
			for (uint64_t start = 0; start <= 60; start += 10) {
				int is = !known || !start || i == 0 || (i == 1 && start == 50);

				g_assert_cmpint(ks__look_in_scope(&b.look, b.pids[i], start, 1,
								  "a"),
						==, is);
				g_assert_cmpint(ks__look_is_named(&b.look, b.pids[i], start), ==,
						is);
				g_assert_cmpint(ks__look_is_named(&b.look, b.pids[i] + 1, start),
						==, 0);
			}
	}
	ks__queue_free(&b.queue);
}

static void test_names(void)
{
	struct bench b;

	bench_begin(&b, 1000);
	b.scope.has_comm = 1;
	memcpy(b.scope.comm, "postgres", 9);
	g_assert_cmpint(ks__look_in_scope(&b.look, 5, 0, 0, "postgres"), ==, 1);
	g_assert_cmpint(ks__look_in_scope(&b.look, 5, 0, 0, "postgre"), ==, 0);
	g_assert_cmpint(ks__look_in_scope(&b.look, 5, 0, 0, "postgres2"), ==, 0);
	b.scope.kind = KS_SCOPE_SELF; /* both, not one of them */
	g_assert_cmpint(ks__look_in_scope(&b.look, 5, 0, 0, "postgres"), ==, 0);
	g_assert_cmpint(ks__look_in_scope(&b.look, 100, 0, 0, "postgres"), ==, 1);
	b.scope.has_comm = 0;
	b.scope.has_exclude = 1;
	b.scope.kind = KS_SCOPE_SYSTEM;
	memcpy(b.scope.exclude, "123456789012345", 16);
	g_assert_cmpint(ks__look_in_scope(&b.look, 5, 0, 0, "123456789012345"), ==, 0);
	g_assert_cmpint(ks__look_in_scope(&b.look, 5, 0, 0, "123456789012346"), ==, 1);
	g_assert_cmpint(ks__look_in_scope(&b.look, 5, 0, 0, "postgres"), ==, 1);
	ks__queue_free(&b.queue);
}

/* Asserts all outcomes of a bench. */
static void assert_outcomes(const struct bench *b, uint64_t filtered, uint64_t aggregated,
			    uint64_t sampled_out, uint64_t throttled)
{
	uint64_t sum = 0;

	g_assert_cmpuint(b->tally.outcome[KS_FILTERED], ==, filtered);
	g_assert_cmpuint(b->tally.outcome[KS_AGGREGATED], ==, aggregated);
	g_assert_cmpuint(b->tally.outcome[KS_SAMPLED_OUT], ==, sampled_out);
	g_assert_cmpuint(b->tally.outcome[KS_THROTTLED], ==, throttled);
	for (size_t i = 0; i < KS_OUTCOMES; i++)
		sum += b->tally.outcome[i];
	g_assert_cmpuint(sum, ==, filtered + aggregated + sampled_out + throttled);
}

/* Each event is in one outcome. Events in scope are in the statistics, whatever their outcome. */
static void test_outcomes(void)
{
	struct bench b;

	bench_begin(&b, 1000);
	g_assert_cmpuint(ks__look_count(&b.look, 3, 1, 2), ==, 1);
	assert_outcomes(&b, 0, 0, 0, 0); /* ks__look_put() counts this one */
	g_assert_cmpuint(b.block[2], ==, 1);
	g_assert_cmpuint(ks__look_count(&b.look, 3, 0, 2), ==, 0);
	assert_outcomes(&b, 1, 0, 0, 0);
	g_assert_cmpuint(b.block[2], ==, 1);
	g_assert_cmpuint(ks__look_count(&b.look, 3, 1, 0), ==, 1);
	g_assert_cmpuint(b.block[0], ==, 1);
	g_assert_cmpuint(ks__look_count(&b.look, 3, 1, -1), ==, 1);
	b.set.flags = KS_ENABLE_NO_EVENTS;
	g_assert_cmpuint(ks__look_count(&b.look, 3, 1, 2), ==, 0);
	assert_outcomes(&b, 1, 1, 0, 0);
	g_assert_cmpuint(b.block[2], ==, 2);
	b.set.flags = 0;
	b.set.sample_every = 0;
	g_assert_cmpuint(ks__look_count(&b.look, 3, 1, 2), ==, 0);
	assert_outcomes(&b, 1, 2, 0, 0);
	g_assert_cmpuint(b.block[2], ==, 3);
	b.set.sample_every = 1;
	b.set.flags = KS_ENABLE_NO_STATS;
	g_assert_cmpuint(ks__look_count(&b.look, 3, 1, 2), ==, 1);
	b.set.flags = KS_ENABLE_NO_FALLBACK; /* no matter of a scan */
	g_assert_cmpuint(ks__look_count(&b.look, 3, 1, 3), ==, 1);
	assert_outcomes(&b, 1, 2, 0, 0);
	g_assert_cmpuint(b.block[0], ==, 1);
	g_assert_cmpuint(b.block[1], ==, 0);
	g_assert_cmpuint(b.block[2], ==, 3);
	g_assert_cmpuint(b.block[3], ==, 1);
	g_assert_cmpint(ks__queue_ready(&b.queue), ==, 0);
	ks__queue_free(&b.queue);
}

/* 1 in n at random: about as many as expected, with runs of both kinds and no fixed step. */
static void test_sample(void)
{
	unsigned taken = 0, twice = 0, last = 0;
	struct bench b;

	bench_begin(&b, 1000);
	b.set.sample_every = 4;
	for (unsigned i = 0; i < 40000; i++) {
		uint32_t weight = ks__look_count(&b.look, 3, 1, 1);

		g_assert_true(weight == 0 || weight == 4);
		taken += weight != 0;
		twice += weight && last;
		last = weight;
	}
	/* the generator starts with 1, so these are the same numbers each time */
	g_assert_cmpuint(taken, >=, 9700);
	g_assert_cmpuint(taken, <=, 10300);
	g_assert_cmpuint(twice, >=, 2300);
	g_assert_cmpuint(twice, <=, 2700);
	assert_outcomes(&b, 0, 0, 40000 - taken, 0);
	g_assert_cmpuint(b.block[1], ==, 40000);
	g_assert_cmpuint(b.tally.random, !=, 0);
	ks__queue_free(&b.queue);
}

/* Counts the events in a row that the limit lets through, at this time. */
static unsigned burst_at(struct bench *b, uint64_t now_ns)
{
	unsigned n = 0;

	b->look.now_ns = now_ns;
	while (ks__look_count(&b->look, 3, 1, 1))
		g_assert_cmpuint(++n, <, 100);
	return n;
}

/* 10 a second and 3 at once: a token each 100 ms, to the nanosecond. */
static void test_limit(void)
{
	struct bench b;

	bench_begin(&b, 1000);
	b.set.max_per_sec = 10;
	b.set.burst = 3;
	g_assert_cmpuint(burst_at(&b, 10 * SECOND), ==, 3);
	g_assert_cmpuint(burst_at(&b, 10 * SECOND), ==, 0);
	g_assert_cmpuint(burst_at(&b, 10 * SECOND + 99999999), ==, 0);
	g_assert_cmpuint(burst_at(&b, 10 * SECOND + 100000000), ==, 1);
	g_assert_cmpuint(burst_at(&b, 10 * SECOND + 300000000), ==, 2);
	g_assert_cmpuint(burst_at(&b, 99 * SECOND), ==, 3);
	assert_outcomes(&b, 0, 0, 0, 6);
	g_assert_cmpuint(b.block[1], ==, 3 + 1 + 2 + 3 + 6);
	g_assert_cmpuint(b.queue.throttled.lost, ==, 6);
	g_assert_cmpuint(b.queue.throttled.probe, ==, 3);
	/* a debt from a larger burst is forgiven down to the present one */
	b.set.burst = 10;
	g_assert_cmpuint(burst_at(&b, 199 * SECOND), ==, 10);
	b.set.burst = 2;
	g_assert_cmpuint(burst_at(&b, 199 * SECOND + 1), ==, 0);
	g_assert_cmpuint(burst_at(&b, 199 * SECOND + 100000001), ==, 1);
	b.set.max_per_sec = 0; /* no limit */
	for (unsigned i = 0; i < 100; i++)
		g_assert_cmpuint(ks__look_count(&b.look, 3, 1, 1), ==, 1);
	ks__queue_free(&b.queue);
}

/* Sets every member of the head; the name is cut to its array, which ends with a 0. */
static void test_head(void)
{
	union record r;
	struct bench b;

	bench_begin(&b, 1000);
	for (int named = 0; named <= 1; named++) {
		b.set.identity = named ? KS_IDENTITY_COMM : (uint64_t)~KS_IDENTITY_COMM;
		memset(&r, 0x5a, sizeof(r));
		ks__look_head(&b.look, 88, 0x305, 4321, "0123456789abcdefghij", &r.ev);
		g_assert_cmpuint(r.ev.size, ==, 88);
		g_assert_cmpuint(r.ev.id, ==, 0x305);
		g_assert_cmpuint(r.ev.cpu, ==, KS_NO_CPU);
		g_assert_cmpuint(r.ev.flags, ==, KS_FLAG_FALLBACK);
		g_assert_cmpuint(r.ev.generation, ==, 5);
		g_assert_cmpuint(r.ev.weight, ==, 0);
		g_assert_cmpuint(r.ev.lost, ==, 0);
		g_assert_cmpint(r.ev.pid, ==, 4321);
		g_assert_cmpint(r.ev.tid, ==, 4321);
		g_assert_cmpuint(r.ev.time_ns, ==, 10 * SECOND);
		g_assert_cmpuint(r.ev.cgroup, ==, 0);
		g_assert_cmpuint(r.ev.tag, ==, 0);
		g_assert_cmpstr(r.ev.comm, ==, named ? "0123456789abcde" : "");
		g_assert_cmpuint(r.bytes[sizeof(r.ev)], ==, 0x5a);
	}
	ks__queue_free(&b.queue);
}

static void test_put(void)
{
	union record r = record_of(0x101, 88, 30), got;
	struct bench b;

	bench_begin(&b, 100);
	ks__look_put(&b.look, &r.ev, 7);
	ks__look_put(&b.look, &r.ev, 7);
	ks__look_put(&b.look, &r.ev, 7);
	g_assert_cmpuint(b.tally.outcome[KS_SUBMITTED], ==, 1);
	g_assert_cmpuint(b.tally.outcome[KS_LOST_RING_FULL], ==, 2);
	g_assert_cmpuint(b.tally.queued, ==, 1);
	g_assert_cmpuint(b.tally.delivered, ==, 0);
	g_assert_cmpint(ks__queue_take(&b.queue, 77, &got.ev), ==, 1);
	g_assert_cmpuint(got.ev.weight, ==, 7);
	assert_hole(&b.queue, KS_LOST_RING, 2, 1, 30, 77, 0);
	ks__queue_free(&b.queue);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/queue/order", test_order);
	g_test_add_func("/queue/fits", test_fits);
	g_test_add_func("/queue/reports", test_reports);
	g_test_add_func("/queue/several", test_several);
#ifndef __SANITIZE_ADDRESS__
	g_test_add_func("/queue/no memory", test_no_memory);
#endif
	g_test_add_func("/queue/event/scope", test_scope);
	g_test_add_func("/queue/event/named", test_named);
	g_test_add_func("/queue/event/names", test_names);
	g_test_add_func("/queue/event/outcomes", test_outcomes);
	g_test_add_func("/queue/event/sample", test_sample);
	g_test_add_func("/queue/event/limit", test_limit);
	g_test_add_func("/queue/event/head", test_head);
	g_test_add_func("/queue/event/put", test_put);
	return g_test_run();
}
