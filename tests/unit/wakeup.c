/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows when a stream asks for a wake-up: at once for a trickle within the budget of 50 a second,
 * otherwise at the next timed look, and sooner before a ring is full. A record that arrives just
 * before the stream becomes idle is not missed.
 */
#include "support/ks_test.h"
#include "support/lane.h"

#define STEP 80
#define MS 1000000ull

static uint64_t arm(struct lanes *l)
{
	uint64_t deadline = 1;

	g_assert_cmpint(ks__stream_arm(l->s, &deadline), ==, 0);
	return deadline;
}

static int armed(const struct lanes *l)
{
	return l->consumed[0] == l->s->lanes[0].pos;
}

static void trickle(struct lanes *l, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		ring_add(l, 1, 0, 0);
	g_assert_cmpint(lanes_drain(l, 100), ==, n);
	lanes_forget(l);
}

static void test_few(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	g_assert_cmpuint(arm(l), ==, 0);
	trickle(l, 4);
	g_assert_false(armed(l));
	g_assert_cmpuint(arm(l), ==, 0);
	g_assert_true(armed(l));
	lanes_free(l);
}

static void test_many(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);
	uint64_t begin = lane_clock;

	trickle(l, 5);
	g_assert_cmpuint(arm(l), ==, begin + 10 * MS);
	g_assert_cmpuint(l->consumed[0], ==, 4 * STEP); /* last one held back: nothing wakes */
	lane_clock += 3 * MS;
	trickle(l, 5);
	g_assert_cmpuint(arm(l), ==, begin + 10 * MS); /* no timer is needed */
	lane_clock += 7 * MS;
	trickle(l, 5);
	g_assert_cmpuint(arm(l), ==, begin + 20 * MS);
	lane_clock += 10 * MS;
	g_assert_cmpint(lanes_drain(l, 100), ==, 0); /* traffic has ended */
	g_assert_cmpuint(arm(l), ==, 0);
	g_assert_true(armed(l));
	lanes_free(l);
}

/* The records of several drains before the consumer becomes idle add up. */
static void test_sum(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	trickle(l, 3);
	trickle(l, 3);
	g_assert_cmpuint(arm(l), !=, 0);
	lanes_free(l);
}

static void test_budget(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	for (unsigned i = 0; i < 9; i++) {
		trickle(l, 1);
		g_assert_cmpuint(arm(l), ==, 0);
	}
	trickle(l, 1); /* the 10th at once */
	g_assert_cmpuint(arm(l), ==, lane_clock + 10 * MS);
	g_assert_false(armed(l));
	lane_clock += 20 * MS - 1;
	g_assert_cmpuint(arm(l), !=, 0);
	lane_clock++;
	g_assert_cmpuint(arm(l), ==, 0); /* one in 20 ms */
	trickle(l, 1);
	g_assert_cmpuint(arm(l), !=, 0);
	lane_clock += 3600000 * MS; /* an idle hour saves up no more than 10 */
	for (unsigned i = 0; i < 10; i++) {
		g_assert_cmpuint(arm(l), ==, 0);
		trickle(l, 1);
	}
	g_assert_cmpuint(arm(l), !=, 0);
	lanes_free(l);
}

/*
 * A lane whose wake-up was held back has woken nobody: only commits at an armed position cost
 * budget.
 */
static void test_held_is_free(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	trickle(l, 5);
	for (unsigned i = 0; i < 100; i++) {
		arm(l);
		trickle(l, 5);
	}
	g_assert_cmpint(l->s->budget_ns, ==, 9 * KS__WAKEUP_NS);
	lanes_free(l);
}

static void test_immediate(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	l->s->batch_ms = KS_IMMEDIATE;
	for (unsigned i = 0; i < 1000; i++) {
		trickle(l, 1 + i % 40);
		g_assert_cmpuint(arm(l), ==, 0);
		g_assert_true(armed(l));
	}
	lanes_free(l);
}

static void test_slip(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);
	uint64_t deadline = 42;

	trickle(l, 1);
	ring_add(l, 1, 0, 0);
	g_assert_cmpint(ks__stream_arm(l->s, &deadline), ==, 1);
	g_assert_cmpuint(deadline, ==, 42);
	g_assert_cmpint(lanes_drain(l, 100), ==, 1);
	g_assert_cmpuint(arm(l), ==, 0);
	g_assert_true(armed(l));
	lanes_free(l);
}

/* However fast records arrive meanwhile, going idle needs a bounded number of tries. */
static void test_no_spin(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);
	uint64_t deadline;
	unsigned n = 0;

	trickle(l, 1);
	for (;; n++) {
		ring_add(l, 1, 0, 0);
		if (!ks__stream_arm(l->s, &deadline))
			break;
		lanes_drain(l, 100);
		lanes_forget(l);
	}
	g_assert_cmpuint(n, ==, 9);
	g_assert_cmpuint(deadline, ==, lane_clock + 10 * MS);
	lanes_free(l);
}

/* A record that is still being written wakes the consumer when it is committed. */
static void test_busy(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);
	struct ks_event ev = lane_event(1, 0, 0);

	trickle(l, 1);
	ring_put(l, 0, &ev, 72, BPF_RINGBUF_BUSY_BIT);
	g_assert_cmpuint(arm(l), ==, 0);
	g_assert_true(armed(l));
	lanes_free(l);
}

/* A flood in one lane does not hold back the other. Its wake-ups do not end the other's wait. */
static void test_lanes(void)
{
	struct lanes *l = lanes_new(&ks__rings, 2, 2);

	for (unsigned i = 0; i < 10; i++)
		ring_add(l, 1, 0, 0);
	ring_add(l, 1, 1, 0);
	lanes_drain(l, 100);
	g_assert_cmpuint(arm(l), ==, lane_clock + 10 * MS);
	g_assert_false(armed(l));
	g_assert_cmpuint(l->consumed[1], ==, l->s->lanes[1].pos);
	lanes_free(l);
}

/*
 * 50 of the 51 records that fit came within 10 ms. That is more than three quarters, so the next
 * look comes in a third of that time.
 */
static void test_patience(void)
{
	struct lanes *l = lanes_new(&ks__rings, 1, 1);

	lane_clock += 10 * MS;
	trickle(l, 50);
	g_assert_cmpuint(arm(l), ==, lane_clock + 10 * MS / 3);
	lane_clock += 10 * MS / 3;
	trickle(l, 13); /* a quarter came in that time, so the interval stays */
	g_assert_cmpuint(arm(l), ==, lane_clock + 10 * MS / 3);
	lane_clock += 10 * MS / 3;
	trickle(l, 12);
	g_assert_cmpuint(arm(l), ==, lane_clock + 10 * MS);
	lane_clock += MS / 10;
	trickle(l, 49);
	g_assert_cmpuint(arm(l), ==, lane_clock + MS); /* never sooner than 1 ms */
	lanes_free(l);
}

/* A perf buffer cannot be armed, so it is looked at by time, from the first probe on. */
static void test_perf(void)
{
	struct lanes *l = lanes_new(&ks__perfbufs, 2, 2);

	atomic_store(&l->s->probes, 0);
	l->s->lanes[0].held = 1;
	g_assert_cmpuint(arm(l), ==, 0);
	g_assert_cmpint(ks__stream_expect(l->s, 1), ==, 1);
	g_assert_cmpuint(atomic_load(&l->s->probes), ==, 2);
	for (unsigned i = 0; i < 30; i++, lane_clock += 10 * MS)
		g_assert_cmpuint(arm(l), ==, lane_clock + 10 * MS);
	g_assert_cmpint(l->s->budget_ns, ==, KS__WAKEUP_BURST);
	l->s->batch_ms = KS_IMMEDIATE;
	l->s->lanes[0].held = 0;
	g_assert_cmpint(ks__stream_expect(l->s, 1), ==, 0);
	g_assert_cmpuint(arm(l), ==, 0);
	lanes_free(l);
}

static void test_publish(void)
{
	struct lanes *l = lanes_new(&ks__rings, 2, 2);

	trickle(l, 10);
	arm(l);
	ks__stream_publish(l->s);
	g_assert_true(armed(l));
	lane_clock += 10 * MS;
	ring_add(l, 1, 0, 0); /* committed sooner, it might have woken nobody */
	g_assert_cmpint(lanes_drain(l, 100), ==, 1);
	g_assert_cmpuint(arm(l), ==, 0);
	lanes_free(l);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/wakeup/few", test_few);
	g_test_add_func("/wakeup/many", test_many);
	g_test_add_func("/wakeup/sum", test_sum);
	g_test_add_func("/wakeup/budget", test_budget);
	g_test_add_func("/wakeup/held-is-free", test_held_is_free);
	g_test_add_func("/wakeup/immediate", test_immediate);
	g_test_add_func("/wakeup/slip", test_slip);
	g_test_add_func("/wakeup/no-spin", test_no_spin);
	g_test_add_func("/wakeup/busy", test_busy);
	g_test_add_func("/wakeup/lanes", test_lanes);
	g_test_add_func("/wakeup/patience", test_patience);
	g_test_add_func("/wakeup/perf", test_perf);
	g_test_add_func("/wakeup/publish", test_publish);
	return g_test_run();
}
