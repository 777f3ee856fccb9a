/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a drain delivers every record once, in order and within its limits; that it survives
 * malformed records; and that each loss is reported in its place: before the first record after it,
 * at the end if none follows, throttled events by probe.
 */
#include <setjmp.h>

#include "support/ks_test.h"
#include "support/lane.h"

#define STEP 80 /* a record of 72 bytes and its header */

static void expect_lost(const struct seen *seen, uint32_t reason, uint32_t probe, uint64_t lost)
{
	g_assert_cmpuint(seen->ev.id, ==, KS_EVENT_LOST);
	g_assert_cmpuint(seen->ev.size, ==, sizeof(struct ks_event_lost));
	g_assert_cmpuint(seen->lost.reason, ==, reason);
	g_assert_cmpuint(seen->lost.probe, ==, probe);
	g_assert_cmpuint(seen->lost.lost, ==, lost);
}

static void expect_hole(const struct seen *seen, unsigned cpu, uint64_t lost, uint64_t from_ns,
			uint64_t to_ns)
{
	expect_lost(seen, KS_LOST_RING, seen->lost.probe, lost);
	g_assert_cmpuint(seen->ev.cpu, ==, cpu);
	g_assert_cmpuint(seen->lost.from_ns, ==, from_ns);
	g_assert_cmpuint(seen->lost.to_ns, ==, to_ns);
	g_assert_cmpuint(seen->ev.time_ns, ==, to_ns);
}

/* ---- records --------------------------------------------------------------------------------- */

static void test_order(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	g_assert_cmpint(lanes_drain(l, 10), ==, 0);
	for (unsigned i = 0; i < 5; i++, lane_clock++)
		ring_add(l, 1 + i % 2, 0, 0);
	g_assert_cmpint(lanes_drain(l, 3), ==, 3);
	g_assert_cmpuint(l->consumed[0], ==, 2 * STEP); /* the start of the last one is held back */
	g_assert_cmpint(lanes_drain(l, 0), ==, 0);
	g_assert_cmpint(lanes_drain(l, 100), ==, 2);
	g_assert_cmpuint(l->consumed[0], ==, 4 * STEP);
	g_assert_cmpint(lanes_drain(l, 100), ==, 0);
	for (unsigned i = 0; i < 5; i++) {
		g_assert_cmpuint(l->seen[i].ev.time_ns, ==, 1000000000 + i);
		g_assert_cmpuint(l->seen[i].ev.id, ==, (1 + i % 2) << 8 | 1);
	}
	g_assert_cmpuint(ks__stream_delivered(l->s, 1), ==, 3);
	g_assert_cmpuint(ks__stream_delivered(l->s, 2), ==, 2);
	g_assert_cmpuint(ks__stream_delivered(l->s, 99), ==, 0);
	ks__stream_publish(l->s);
	g_assert_cmpuint(l->consumed[0], ==, 5 * STEP);
	lanes_free(l);
}

/* Records of all lengths, around the ring's end many times. Space is given back during a drain. */
static void test_round(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);
	GRand *rand = g_rand_new_with_seed(1);
	unsigned total = 0;

	for (unsigned i = 0; i < 2000; i++, total++) {
		struct ks_event ev = lane_event(1, 0, 0);

		ev.size = (uint16_t)(8 * g_rand_int_range(rand, 9, 64));
		ev.tag = i;
		ring_put(l, 0, &ev, ev.size, 0);
		if (g_rand_int_range(rand, 0, 4) && l->produced[0] - l->consumed[0] < 2000)
			continue;
		lanes_drain(l, 100);
		for (unsigned k = 0; k < l->n; k++)
			g_assert_cmpuint(l->seen[k].ev.tag, ==, i + 1 - l->n + k);
		lanes_forget(l);
	}
	lanes_drain(l, 100);
	g_assert_cmpuint(ks__stream_delivered(l->s, 1), ==, total);
	g_rand_free(rand);
	lanes_free(l);
}

static uint64_t halfway;

static int look(const struct ks_event *ev, void *user)
{
	struct lanes *l = user;

	(void)ev;
	if (l->n++ == 40)
		halfway = l->consumed[0];
	return 0;
}

/* With a full ring of 51 records, producers get room before the last record was read. */
static void test_quarters(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	for (unsigned i = 0; i < 51; i++)
		ring_add(l, 1, 0, 0);
	l->sink.fn = look;
	g_assert_cmpint(lanes_drain(l, 1000), ==, 51);
	g_assert_cmpuint(halfway, >=, LANE_BYTES / 2);
	lanes_free(l);
}

static void test_busy(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);
	struct ks_event ev = lane_event(1, 0, 0);
	uint64_t busy;

	ring_add(l, 1, 0, 0);
	busy = ring_put(l, 0, &ev, 72, BPF_RINGBUF_BUSY_BIT);
	ring_put(l, 0, &ev, 72, BPF_RINGBUF_DISCARD_BIT);
	ring_add(l, 2, 0, 0);
	g_assert_cmpint(lanes_drain(l, 10), ==, 1);
	g_assert_cmpint(lanes_drain(l, 10), ==, 0);
	ring_commit(l, 0, busy);
	g_assert_cmpint(lanes_drain(l, 10), ==, 2);
	g_assert_cmpuint(l->seen[2].ev.id >> 8, ==, 2);
	g_assert_cmpuint(ks__stream_discarded(l->s, 0), ==, 0);
	lanes_free(l);
}

static void test_senseless(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 2);
	struct ks_event bad[6];

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		bad[i] = lane_event(1, 0, 0);
	bad[0].size = 64;
	bad[1].size = 76;
	bad[2].size = 80;        /* larger than the ring's header says */
	bad[3].size = 4104;      /* larger than any record */
	bad[4].cpu = 2;          /* there are only 2 CPUs */
	bad[5].id = 16 << 8 | 1; /* no such probe */
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		ring_put(l, 0, &bad[i], 72, 0);
		ring_add(l, 3, 0, 0);
	}
	g_assert_cmpint(lanes_drain(l, 100), ==, 6);
	g_assert_cmpuint(ks__stream_delivered(l->s, 3), ==, 6);
	g_assert_cmpuint(ks__stream_delivered(l->s, 1), ==, 0);
	g_assert_cmpuint(ks__stream_discarded(l->s, 0), ==, 6);
	g_assert_cmpuint(ks__stream_discarded(l->s, 1), ==, 0);
	lanes_free(l);
}

/*
 * A header reaches beyond what was produced: the drain gives up all up to there and goes on behind
 * it.
 */
static void test_torn(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);
	uint32_t head = 1u << 20;
	uint64_t counts[KS_BPF_PROBES];

	memcpy(l->data[0] + ring_add(l, 1, 0, 0), &head, sizeof(head));
	ring_add(l, 1, 0, 0);
	ks__stream_in_flight(l->s, counts);
	g_assert_cmpuint(counts[0], ==, 1);
	g_assert_cmpint(lanes_drain(l, 100), ==, 0);
	g_assert_cmpuint(ks__stream_discarded(l->s, 0), ==, 1);
	ring_add(l, 1, 0, 0);
	g_assert_cmpint(lanes_drain(l, 100), ==, 1);
	lanes_free(l);
}

static void test_bounded(void)
{
	struct lanes *l = lanes_new(&ks__rings, 2, 2);
	struct ks_event ev = lane_event(1, 0, 0);

	for (unsigned lane = 0; lane < 2; lane++)
		for (unsigned i = 0; i < 40; i++)
			ring_put(l, lane, &ev, 72, BPF_RINGBUF_DISCARD_BIT);
	g_assert_cmpint(lanes_drain(l, 1), ==, 0);
	g_assert_cmpuint((l->s->lanes[0].pos + l->s->lanes[1].pos) / STEP, ==, 65);
	lanes_free(l);
}

static int close_at_two(const struct ks_event *ev, void *user)
{
	struct lanes *l = user;

	(void)ev;
	l->alive = ++l->n != 2;
	return 0;
}

/* A drain stops if the sink says so, or if the handle is being closed. */
static void test_stop(void)
{
	for (unsigned by_closing = 0; by_closing < 2; by_closing++) {
		struct lanes *l = lanes_new(&ks__rings, 2, 2);

		for (unsigned i = 0; i < 3; i++) {
			ring_add(l, 1, 0, 0);
			ring_add(l, 1, 1, 0);
		}
		l->stop_at = 2;
		if (by_closing)
			l->sink.fn = close_at_two;
		g_assert_cmpint(lanes_drain(l, 100), ==, 2);
		g_assert_cmpint(l->sink.rc, ==, by_closing ? 0 : LANE_STOP);
		g_assert_cmpuint(ks__stream_delivered(l->s, 1), ==, 2);
		l->alive = 1;
		g_assert_cmpint(lanes_drain(l, 100), ==, 4);
		g_assert_cmpint(lanes_drain(l, 100), ==, 0);
		lanes_free(l);
	}
}

static jmp_buf out;

static int leap(const struct ks_event *ev, void *user)
{
	struct lanes *l = user;

	(void)ev;
	if (++l->n == 3)
		longjmp(out, 1);
	return 0;
}

/*
 * If a callback unwinds, its record counts as delivered and is not delivered again, alone or in a
 * run of like records.
 */
static void test_unwind(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);
	ks_event_fn fn = l->sink.fn;

	for (unsigned i = 0; i < 4; i++, lane_clock += 5)
		ring_add(l, 1, 0, 0);
	l->sink.fn = leap;
	if (!setjmp(out))
		lanes_drain(l, 10);
	g_assert_cmpuint(ks__stream_delivered(l->s, 1), ==, 3);
	g_assert_cmpuint(l->consumed[0], ==, 0);
	lanes_forget(l);
	l->sink.fn = fn;
	g_assert_cmpint(lanes_drain(l, 10), ==, 1);
	g_assert_cmpuint(l->seen[0].ev.time_ns, ==, 1000000015);
	g_assert_cmpuint(l->consumed[0], ==, 3 * STEP);
	g_assert_cmpuint(ks__stream_delivered(l->s, 1), ==, 4);
	lanes_free(l);
}

/*
 * Like records are delivered in runs. A record that is different, or that follows a loss, ends a
 * run.
 */
static void test_rows(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 2);
	struct ks_event ev;

	for (unsigned i = 0; i < 40; i++, lane_clock += 5) {
		ev = lane_event(1 + i / 3 % 2, i / 5 % 2, 0);
		ev.size = (uint16_t)(72 + 8 * (i / 2 % 2));
		ev.generation = (uint8_t)(i / 7);
		ev.tag = i;
		if (i > 20)
			ev.lost = 3 * (ev.cpu == 1);
		ring_put(l, 0, &ev, ev.size, i == 11 ? BPF_RINGBUF_DISCARD_BIT : 0);
	}
	lane_lose(l, 1, 1, 3);
	for (unsigned most = 1, n = 0; n < 40; most = most % 9 + 1) {
		unsigned now = (unsigned)lanes_drain(l, most);

		g_assert_cmpuint(now, ==, MIN(most, 40 - n));
		n += now;
	}
	for (unsigned i = 0, k = 0; i < 40; i++, k++) {
		if (i == 11 && k--)
			continue;
		if (i == 25)
			expect_hole(&l->seen[k++], 1, 3, 1000000095, 1000000125);
		g_assert_cmpuint(l->seen[k].ev.tag, ==, i);
	}
	g_assert_cmpuint(ks__stream_delivered(l->s, 1), ==, 21);
	g_assert_cmpuint(ks__stream_delivered(l->s, 2), ==, 18);
	g_assert_cmpuint(l->last_ns[1], ==, 1000000190);
	g_assert_cmpuint(l->last_ns[2], ==, 1000000195);
	g_assert_cmpuint(l->s->reported[1].generation, ==, 5);
	lanes_free(l);
}

static void test_turns(void)
{
	struct lanes *l = lanes_new(&ks__rings, 4, 4);

	for (unsigned i = 0; i < 3; i++)
		for (unsigned cpu = 0; cpu < 4; cpu++)
			ring_add(l, 1, cpu, 0);
	for (unsigned i = 0; i < 12; i++)
		g_assert_cmpint(lanes_drain(l, 1), ==, 1);
	for (unsigned i = 0; i < 12; i++)
		g_assert_cmpuint(l->seen[i].ev.cpu, ==, i % 4);
	lanes_free(l);
}

static void test_in_flight(void)
{
	struct lanes *l = lanes_new(&ks__rings, 2, 2);
	struct ks_event ev = lane_event(1, 0, 0);
	uint64_t counts[KS_BPF_PROBES];

	ring_add(l, 1, 0, 0);
	ring_put(l, 0, &ev, 72, BPF_RINGBUF_BUSY_BIT);
	ring_put(l, 0, &ev, 72, BPF_RINGBUF_DISCARD_BIT);
	ring_add(l, 15, 0, 0);
	ring_add(l, 1, 1, 0);
	ks__stream_in_flight(l->s, counts);
	for (unsigned p = 0; p < KS_BPF_PROBES; p++)
		g_assert_cmpuint(counts[p], ==, p == 1 ? 2 : p == 15);
	lanes_drain(l, 1);
	ks__stream_in_flight(l->s, counts);
	g_assert_cmpuint(counts[1] + counts[15], ==, 2);
	lanes_free(l);
}

/* ---- losses ---------------------------------------------------------------------------------- */

static void test_hole(void)
{
	struct lanes *l = lanes_new(&ks__rings, 2, 2);

	ring_add(l, 1, 1, 0);
	lane_clock = 1000000100;
	lane_lose(l, 1, 2, 3);
	ring_add(l, 1, 1, 3);
	ring_add(l, 1, 1, 3);
	g_assert_cmpint(lanes_drain(l, 2), ==, 2); /* the lost-records event counts as one record */
	expect_hole(&l->seen[1], 1, 3, 1000000000, 1000000100);
	expect_lost(&l->seen[1], KS_LOST_RING, 2, 3);
	g_assert_cmpuint(l->seen[1].ev.generation, ==, 7);
	g_assert_cmpuint(l->seen[1].ev.lost, ==, 3);
	g_assert_cmpint(lanes_drain(l, 100), ==, 2); /* and is reported once */
	g_assert_cmpuint(l->seen[2].ev.id, ==, 1 << 8 | 1);
	g_assert_cmpuint(ks__stream_delivered(l->s, 1), ==, 3);
	g_assert_cmpuint(ks__stream_delivered(l->s, 0), ==, 0);
	lanes_free(l);
}

/* A record written in an interrupt may have the higher loss count and come first. */
static void test_nested(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	lane_lose(l, 0, 1, 2);
	ring_add(l, 1, 0, 2);
	lane_clock -= 50;
	ring_add(l, 1, 0, 1);
	lane_lose(l, 0, 1, 1);
	ring_add(l, 1, 0, 3);
	g_assert_cmpint(lanes_drain(l, 100), ==, 5);
	expect_hole(&l->seen[0], 0, 2, 1000000000, 1000000000);
	expect_hole(&l->seen[3], 0, 1, 999999950, 999999950);
	lanes_free(l);
}

static void test_around(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	l->cpus[0].lost = l->s->reported[0].lost = 0xfffffffe;
	lane_lose(l, 0, 1, 5);
	ring_add(l, 1, 0, 3);
	ring_add(l, 1, 0, 0xffffffff);
	g_assert_cmpint(lanes_drain(l, 100), ==, 3);
	expect_lost(&l->seen[0], KS_LOST_RING, 1, 5);
	lanes_free(l);
}

/* More than 2^31 losses between two records, and more than the count can hold. */
static void test_half_way(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	ring_add(l, 1, 0, 0);
	lane_lose(l, 0, 1, 0x80000005);
	ring_add(l, 1, 0, 0x80000005);
	ring_add(l, 1, 0, 0x80000004); /* a record from an interrupt overtook it */
	g_assert_cmpint(lanes_drain(l, 100), ==, 4);
	expect_lost(&l->seen[1], KS_LOST_RING, 1, 0x80000005);
	lane_lose(l, 0, 1, 0xffffffff);
	lane_lose(l, 0, 1, 8);
	ring_add(l, 1, 0, 0x8000000c);
	g_assert_cmpint(lanes_drain(l, 100), ==, 3);
	expect_lost(&l->seen[4], KS_LOST_RING, 1, 7);
	expect_lost(&l->seen[6], KS_LOST_RING, 1, 1ull << 32);
	lane_lose(l, 0, 1, 0xfffffff0); /* no record follows */
	g_assert_cmpint(lanes_drain(l, 100), ==, 1);
	expect_lost(&l->seen[7], KS_LOST_RING, 1, 0xfffffff0);
	g_assert_cmpint(lanes_drain(l, 100), ==, 0);
	lanes_free(l);
}

/* The ledger is ahead of the ring. Later losses do not change which probe lost earlier records. */
static void test_blame(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	lane_lose(l, 0, 1, 2);
	ring_add(l, 1, 0, 2);
	lane_lose(l, 0, 1, 3);
	ring_add(l, 1, 0, 5);
	lane_lose(l, 0, 1, 1);
	lanes_drain(l, 4);
	expect_lost(&l->seen[0], KS_LOST_RING, 1, 2);
	expect_lost(&l->seen[2], KS_LOST_RING, 1, 3);
	lane_lose(l, 0, 4, 1);
	lanes_drain(l, 100);
	expect_lost(&l->seen[4], KS_LOST_RING, UINT32_MAX, 2);
	lane_lose(l, 0, 4, 1);
	lanes_drain(l, 100);
	expect_lost(&l->seen[5], KS_LOST_RING, 4, 1);
	lanes_free(l);
}

static void test_last_hole(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);
	struct ks_event ev = lane_event(1, 0, 0);
	uint64_t busy;

	ring_add(l, 1, 0, 0);
	busy = ring_put(l, 0, &ev, 72, BPF_RINGBUF_BUSY_BIT);
	lane_lose(l, 0, 1, 9);
	lane_clock += 77;
	g_assert_cmpint(lanes_drain(l, 100), ==, 1); /* a record before the loss is still to come */
	ring_commit(l, 0, busy);
	g_assert_cmpint(lanes_drain(l, 1), ==, 1);
	g_assert_cmpint(lanes_drain(l, 100), ==, 1);
	expect_hole(&l->seen[2], 0, 9, 1000000000, 1000000077);
	g_assert_cmpint(lanes_drain(l, 100), ==, 0);
	ring_add(l, 1, 0, 9);
	g_assert_cmpint(lanes_drain(l, 100), ==, 1); /* reported already */
	lanes_free(l);
}

/* With more CPUs than rings, CPUs 1, 3, 5 and 7 write to ring 1. Each has its own loss count. */
static void test_shared(void)
{
	struct lanes *l = lanes_new(&ks__rings, 2, 8);

	lane_lose(l, 3, 1, 4);
	lane_lose(l, 7, 2, 6);
	ring_add(l, 1, 1, 0);
	ring_add(l, 1, 3, 4);
	ring_add(l, 2, 7, 1);
	lane_throttle(l, 5, 3, 2);
	g_assert_cmpint(lanes_drain(l, 100), ==, 7);
	expect_lost(&l->seen[0], KS_LOST_THROTTLED, 3, 2);
	g_assert_cmpuint(l->seen[0].ev.cpu, ==, 5);
	g_assert_cmpuint(l->seen[1].ev.cpu, ==, 1);
	expect_hole(&l->seen[2], 3, 4, 1000000000, 1000000000);
	g_assert_cmpuint(l->seen[3].ev.cpu, ==, 3);
	expect_hole(&l->seen[4], 7, 1, 1000000000, 1000000000);
	expect_hole(&l->seen[6], 7, 5, 1000000000, 1000000000);
	lanes_free(l);
}

/* What was lost or throttled before the stream began is not reported, whichever probes lost it. */
static void test_before(void)
{
	static struct ks_bpf_cpu cpu;
	const struct ks__stream_opts opts = { .n_cpus = 1, .cpus = &cpu, .perf_map_fd = -1 };
	const struct ks__reported *reported;
	struct ks__stream *s;

	cpu.lost = 7;
	cpu.probe[1].outcome[KS_LOST_RING_FULL] = 3;
	cpu.probe[2].outcome[KS_LOST_RING_LOCKED] = 4;
	cpu.probe[2].outcome[KS_THROTTLED] = 5;
	s = ks__stream_new(&opts, &ks__rings, 0);
	reported = &s->reported[0];
	g_assert_cmpuint(reported->lost, ==, 7);
	g_assert_cmpuint(reported->total, ==, 7);
	for (unsigned p = 0; p < KS_BPF_PROBES; p++) {
		g_assert_cmpuint(reported->lost_by[p], ==, p == 1 ? 3 : p == 2 ? 4 : 0);
		g_assert_cmpuint(reported->throttled[p], ==, p == 2 ? 5 : 0);
	}
	g_assert_cmpuint(reported->time_ns, ==, s->arm_ns);
	g_assert_cmpuint(reported->throttle_ns, ==, s->arm_ns);
	ks__stream_close(s, 0);
}

static void test_throttled(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	ring_add(l, 1, 0, 0);
	lane_throttle(l, 0, 1, 10);
	lane_throttle(l, 0, 2, 1);
	lane_clock += 5;
	g_assert_cmpint(lanes_drain(l, 1), ==, 1);
	expect_lost(&l->seen[0], KS_LOST_THROTTLED, 1, 10);
	g_assert_cmpuint(l->seen[0].ev.time_ns, ==, 1000000000); /* that of the next record */
	g_assert_cmpuint(l->seen[0].lost.to_ns, ==, 1000000005);
	g_assert_cmpint(lanes_drain(l, 100), ==, 2);
	expect_lost(&l->seen[1], KS_LOST_THROTTLED, 2, 1);
	g_assert_cmpuint(l->seen[1].lost.from_ns, ==, 1000000000);
	g_assert_cmpuint(l->seen[1].lost.to_ns, ==, 1000000005);
	g_assert_cmpuint(l->seen[2].ev.id, ==, 1 << 8 | 1);
	lane_throttle(l, 0, 1, 1); /* no record follows */
	lane_clock += 5;
	g_assert_cmpint(lanes_drain(l, 100), ==, 1);
	expect_lost(&l->seen[3], KS_LOST_THROTTLED, 1, 1);
	g_assert_cmpuint(l->seen[3].lost.from_ns, ==, 1000000005);
	g_assert_cmpuint(l->seen[3].lost.to_ns, ==, 1000000010);
	g_assert_cmpuint(l->seen[3].ev.time_ns, ==, 1000000010);
	g_assert_cmpint(lanes_drain(l, 100), ==, 0);
	lanes_free(l);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/stream/order", test_order);
	g_test_add_func("/stream/round", test_round);
	g_test_add_func("/stream/quarters", test_quarters);
	g_test_add_func("/stream/busy", test_busy);
	g_test_add_func("/stream/senseless", test_senseless);
	g_test_add_func("/stream/torn", test_torn);
	g_test_add_func("/stream/bounded", test_bounded);
	g_test_add_func("/stream/stop", test_stop);
	g_test_add_func("/stream/unwind", test_unwind);
	g_test_add_func("/stream/rows", test_rows);
	g_test_add_func("/stream/turns", test_turns);
	g_test_add_func("/stream/in-flight", test_in_flight);
	g_test_add_func("/stream/hole", test_hole);
	g_test_add_func("/stream/nested", test_nested);
	g_test_add_func("/stream/around", test_around);
	g_test_add_func("/stream/half-way", test_half_way);
	g_test_add_func("/stream/blame", test_blame);
	g_test_add_func("/stream/last-hole", test_last_hole);
	g_test_add_func("/stream/shared", test_shared);
	g_test_add_func("/stream/before", test_before);
	g_test_add_func("/stream/throttled", test_throttled);
	return g_test_run();
}
