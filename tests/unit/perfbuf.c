/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that samples of a perf buffer come out whole and aligned wherever they lie; that a loss is
 * reported once, although the kernel counts it twice; and that a drain survives any bytes in a perf
 * buffer or a ring.
 */
#include <linux/perf_event.h>

#include "support/ks_test.h"
#include "support/lane.h"

static void sample(struct lanes *l, unsigned lane, struct ks_event ev)
{
	uint8_t bytes[512] = { 0 };

	memcpy(bytes, &ev, sizeof(ev));
	perf_put(l, lane, PERF_RECORD_SAMPLE, bytes, ev.size);
}

static void test_samples(void)
{
	struct lanes *l = lanes_new(&ks__perfbufs, 2, 2);
	uint64_t counts[KS_BPF_PROBES];

	sample(l, 0, lane_event(1, 0, 0));
	sample(l, 0, lane_event(2, 0, 0));
	sample(l, 1, lane_event(1, 1, 0));
	ks__stream_in_flight(l->s, counts);
	g_assert_cmpuint(counts[1], ==, 2);
	g_assert_cmpuint(counts[2], ==, 1);
	g_assert_cmpint(lanes_drain(l, 2), ==, 2);
	g_assert_cmpuint(l->consumed[0], ==, l->produced[0]);
	g_assert_cmpint(lanes_drain(l, 100), ==, 1);
	g_assert_cmpuint(l->seen[2].ev.cpu, ==, 1);
	g_assert_cmpuint(ks__stream_delivered(l->s, 1), ==, 2);
	ks__stream_in_flight(l->s, counts);
	for (unsigned p = 0; p < KS_BPF_PROBES; p++)
		g_assert_cmpuint(counts[p], ==, 0);
	lanes_free(l);
}

/* The throttled event comes before the record that follows it, and has an earlier time. */
static void test_throttled(void)
{
	struct lanes *l = lanes_new(&ks__perfbufs, 1, 1);

	sample(l, 0, lane_event(1, 0, 0));
	lane_throttle(l, 0, 1, 4);
	lane_clock += 9;
	g_assert_cmpint(lanes_drain(l, 100), ==, 2);
	g_assert_cmpuint(l->seen[0].ev.id, ==, KS_EVENT_LOST);
	g_assert_cmpuint(l->seen[0].lost.lost, ==, 4);
	g_assert_cmpuint(l->seen[0].ev.time_ns, ==, l->seen[1].ev.time_ns);
	g_assert_cmpuint(l->seen[0].lost.to_ns, ==, lane_clock);
	lanes_free(l);
}

/* The buffer is mapped only once, so a sample may wrap at any multiple of 8. */
static void test_wrap(void)
{
	struct lanes *l = lanes_new(&ks__perfbufs, 1, 1);
	uint8_t *once = g_malloc(LANE_BYTES);

	l->s->lanes[0].data = once;
	for (unsigned i = 0; i < 2000; i++) {
		struct ks_event ev = lane_event(1, 0, 0);

		ev.size = (uint16_t)(72 + 8 * (i % 53));
		ev.tag = i;
		sample(l, 0, ev);
		memcpy(once, l->data[0], LANE_BYTES);
		g_assert_cmpint(lanes_drain(l, 100), ==, 1);
		g_assert_cmpuint(l->seen[0].ev.tag, ==, i);
		g_assert_cmpuint(l->seen[0].ev.size, ==, ev.size);
		lanes_forget(l);
	}
	lanes_free(l);
	g_free(once);
}

static void test_lost_once(void)
{
	struct lanes *l = lanes_new(&ks__perfbufs, 1, 1);
	uint64_t lost[2] = { 1, 3 };

	sample(l, 0, lane_event(1, 0, 0));
	lane_lose(l, 0, 1, 3);
	perf_put(l, 0, PERF_RECORD_LOST, lost, sizeof(lost));
	sample(l, 0, lane_event(1, 0, 3));
	lane_lose(l, 0, 1, 2);
	g_assert_cmpint(lanes_drain(l, 100), ==, 4);
	g_assert_cmpuint(l->seen[1].lost.lost, ==, 3);
	g_assert_cmpuint(l->seen[1].lost.probe, ==, 1);
	g_assert_cmpuint(l->seen[3].lost.lost, ==, 2);
	g_assert_cmpint(lanes_drain(l, 100), ==, 0);
	g_assert_cmpuint(ks__stream_discarded(l->s, 0), ==, 0);
	lanes_free(l);
}

static void test_senseless(void)
{
	struct lanes *l = lanes_new(&ks__perfbufs, 1, 1);
	struct ks_event ev = lane_event(1, 0, 0);
	uint64_t counts[KS_BPF_PROBES];

	perf_put(l, 0, PERF_RECORD_SAMPLE, &ev, 2); /* too short for the size and the id */
	sample(l, 0, lane_event(1, 0, 0));
	ev.size = 96; /* longer than the sample */
	perf_put(l, 0, PERF_RECORD_SAMPLE, &ev, sizeof(ev));
	sample(l, 0, lane_event(1, 0, 0));
	ks__stream_in_flight(l->s, counts);
	g_assert_cmpuint(counts[0], ==, 2);
	g_assert_cmpuint(counts[1], ==, 2);
	g_assert_cmpint(lanes_drain(l, 100), ==, 2);
	g_assert_cmpuint(ks__stream_discarded(l->s, 0), ==, 2);
	lanes_free(l);
}

/* Each sample wakes the consumer by itself: nothing has to be armed or to be looked at later. */
static void test_arm(void)
{
	struct lanes *l = lanes_new(&ks__perfbufs, 1, 1);
	uint64_t deadline = 1;

	for (unsigned i = 0; i < 20; i++)
		sample(l, 0, lane_event(1, 0, 0));
	g_assert_cmpint(lanes_drain(l, 100), ==, 20);
	g_assert_cmpint(ks__stream_arm(l->s, &deadline), ==, 0);
	g_assert_cmpuint(deadline, ==, 0);
	lanes_free(l);
}

/* With random bytes and some plausible headers among them, a drain ends and counts stay bounded. */
static void test_garbage(gconstpointer via)
{
	GRand *rand = g_rand_new_with_seed(7);

	for (unsigned round = 0; round < 3000; round++) {
		struct lanes *l = lanes_new(via, 1, 2);
		uint64_t counts[KS_BPF_PROBES];
		uint64_t left = 8 * (uint64_t)g_rand_int_range(rand, 1, LANE_BYTES / 8);
		struct ks_event ev = lane_event(1, 0, 0);

		l->s->lanes[0].pos = l->consumed[0] = 8 * g_rand_int_range(rand, 0, 1024);
		l->produced[0] = l->consumed[0] + left;
		for (unsigned i = 0; i < LANE_BYTES / 4; i++)
			((uint32_t *)l->data[0])[i] = g_rand_int(rand) >>
						      g_rand_int_range(rand, 0, 32);
		for (unsigned i = 0; i < 20; i++)
			memcpy(l->data[0] + 8 * g_rand_int_range(rand, 0, LANE_BYTES / 8), &ev, 64);
		ks__stream_in_flight(l->s, counts);
		for (unsigned i = 0; i < 600 && lanes_drain(l, 100); i++)
			lanes_forget(l);
		g_assert_cmpuint(l->s->lanes[0].pos, <=, l->produced[0]);
		g_assert_cmpuint(ks__stream_discarded(l->s, 0), <=, left / 8);
		lanes_free(l);
	}
	g_rand_free(rand);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/perfbuf/samples", test_samples);
	g_test_add_func("/perfbuf/throttled", test_throttled);
	g_test_add_func("/perfbuf/wrap", test_wrap);
	g_test_add_func("/perfbuf/lost-once", test_lost_once);
	g_test_add_func("/perfbuf/senseless", test_senseless);
	g_test_add_func("/perfbuf/arm", test_arm);
	g_test_add_data_func("/perfbuf/garbage", &ks__perfbufs, test_garbage);
	g_test_add_data_func("/perfbuf/garbage-in-a-ring", &ks__rings, test_garbage);
	return g_test_run();
}
