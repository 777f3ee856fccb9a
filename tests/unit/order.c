/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that records come out in order of time, complete, each once, and that a record which comes
 * too late has the flag for it.
 */
#include <errno.h>

#include "data/order.h"
#include "support/ks_test.h"

/* Makes a record of this size. Every byte behind its head depends on its number. */
static struct ks_event *make(uint64_t number, uint64_t time_ns, size_t size)
{
	static _Alignas(8) unsigned char bytes[KS_RECORD_MAX];
	struct ks_event *ev = (struct ks_event *)(void *)bytes;

	memset(bytes, (int)(number & 0xff), sizeof(bytes));
	*ev = (struct ks_event){ .size = (uint16_t)size, .time_ns = time_ns, .tag = number };
	return ev;
}

static void check_whole(const struct ks_event *ev)
{
	const unsigned char *bytes = (const unsigned char *)ev;
	size_t i;

	g_assert_cmpuint((uintptr_t)ev % 8, ==, 0);
	for (i = sizeof(*ev); i < ev->size; i++)
		g_assert_cmpuint(bytes[i], ==, ev->tag & 0xff);
}

static size_t random_size(void)
{
	/* Most are short, some have the maximal size. */
	if (g_test_rand_int_range(0, 50) == 0)
		return KS_RECORD_MAX;
	return (size_t)g_test_rand_int_range(8, 40) * 8;
}

static void test_empty(void)
{
	struct ks__order *order = ks__order_new(0);

	g_assert_null(ks__order_take(order, UINT64_MAX));
	g_assert_cmpuint(ks__order_count(order), ==, 0);
	g_assert_cmpuint(ks__order_next_ns(order), ==, UINT64_MAX);
	g_assert_cmpint(ks__order_full(order), ==, 0);
	ks__order_free(order);
	ks__order_free(NULL);
}

static void test_watermark(void)
{
	struct ks__order *order = ks__order_new(1 << 16);

	ks_assert_rc(ks__order_put(order, make(1, 100, 72)), 0);
	ks_assert_rc(ks__order_put(order, make(2, 50, 72)), 0);
	g_assert_cmpuint(ks__order_next_ns(order), ==, 50);
	g_assert_null(ks__order_take(order, 49));
	g_assert_cmpuint(ks__order_take(order, 50)->tag, ==, 2);
	g_assert_null(ks__order_take(order, 99));
	g_assert_cmpuint(ks__order_count(order), ==, 1);
	g_assert_cmpuint(ks__order_take(order, UINT64_MAX)->tag, ==, 1);
	ks__order_free(order);
}

static void test_equal_times(void)
{
	struct ks__order *order = ks__order_new(1 << 20);
	uint64_t i, last[10] = { 0 };

	for (i = 1; i <= 3000; i++)
		ks_assert_rc(ks__order_put(order, make(i, i * 7919 % 10, 64)), 0);
	for (i = 1; i <= 3000; i++) {
		const struct ks_event *ev = ks__order_take(order, UINT64_MAX);

		g_assert_cmpuint(ev->time_ns, ==, (i - 1) / 300);
		g_assert_cmpuint(ev->tag, >, last[ev->time_ns]);
		last[ev->time_ns] = ev->tag;
	}
	ks__order_free(order);
}

static void test_late(void)
{
	struct ks__order *order = ks__order_new(1 << 16);
	const struct ks_event *ev;
	struct ks_event *late;

	ks__order_put(order, make(1, 100, 72));
	ks__order_put(order, make(2, 200, 72));
	g_assert_cmpint(ks__order_take(order, 100)->flags, ==, 0);
	late = make(3, 99, 72);
	late->flags = KS_FLAG_SELFTEST;
	ks__order_put(order, late);
	ks__order_put(order, make(4, 100, 72));
	ks__order_put(order, make(5, 98, 72));

	ev = ks__order_take(order, 100);
	g_assert_cmpuint(ev->tag, ==, 5);
	g_assert_cmpint(ev->flags, ==, KS_FLAG_LATE);
	ev = ks__order_take(order, 100);
	g_assert_cmpuint(ev->tag, ==, 3);
	g_assert_cmpint(ev->flags, ==, KS_FLAG_LATE | KS_FLAG_SELFTEST);
	ev = ks__order_take(order, 100);
	g_assert_cmpuint(ev->tag, ==, 4);
	g_assert_cmpint(ev->flags, ==, 0);
	ev = ks__order_take(order, 200);
	g_assert_cmpuint(ev->tag, ==, 2);
	g_assert_cmpint(ev->flags, ==, 0);
	ks__order_free(order);
}

/* One record always fits, however small the buffer asked for is. */
static void test_smallest(void)
{
	struct ks__order *order = ks__order_new(1);
	uint64_t i;

	for (i = 0; i < 100; i++) {
		ks_assert_rc(ks__order_put(order, make(i, i, KS_RECORD_MAX)), 0);
		g_assert_cmpint(ks__order_full(order), ==, 1);
		ks_assert_rc(ks__order_put(order, make(i, i, 64)), -ENOSPC);
		g_assert_cmpuint(ks__order_count(order), ==, 1);
		check_whole(ks__order_take(order, i));
	}
	ks__order_free(order);
}

static void test_bounded(void)
{
	const size_t room = 1 << 16;
	struct ks__order *order = ks__order_new(room);
	size_t held = 0, n = 0;

	while (ks__order_put(order, make(n, 1000 - n, 128)) == 0) {
		held += 128;
		n++;
	}
	g_assert_cmpuint(held, <=, room);
	g_assert_cmpuint(held, >=, room * 9 / 10);
	g_assert_cmpuint(ks__order_count(order), ==, n);
	while (n > 0)
		g_assert_cmpuint(ks__order_take(order, UINT64_MAX)->tag, ==, --n);
	g_assert_null(ks__order_take(order, UINT64_MAX));
	ks__order_free(order);
}

/*
 * If records are out of order by less than the watermark's distance, all come out in order and none
 * is late.
 */
static void test_jitter(void)
{
	enum { N = 50000, JITTER = 200 };
	struct ks__order *order = ks__order_new(1 << 18);
	const struct ks_event *ev;
	uint64_t now, last = 0, out = 0;
	char *seen = g_malloc0(N);

	for (now = 0; now < N; now++) {
		uint64_t time = now + (uint64_t)g_test_rand_int_range(1, JITTER);

		ks_assert_rc(ks__order_put(order, make(now, time, random_size())), 0);
		while ((ev = ks__order_take(order, now))) {
			g_assert_cmpuint(ev->time_ns, >=, last);
			g_assert_cmpint(ev->flags, ==, 0);
			g_assert_cmpint(seen[ev->tag]++, ==, 0);
			check_whole(ev);
			last = ev->time_ns;
			out++;
		}
	}
	g_assert_cmpuint(out + ks__order_count(order), ==, N);
	g_free(seen);
	ks__order_free(order);
}

/*
 * With any order and too little room, records without the flag are in order, and records with the
 * flag were late.
 */
static void test_storm(void)
{
	enum { N = 50000 };
	struct ks__order *order = ks__order_new(1 << 15);
	uint64_t i, last = 0, out = 0, late = 0;
	const struct ks_event *ev;
	char *seen = g_malloc0(N);

	for (i = 0; i < N || ks__order_count(order); i += i < N) {
		uint64_t time = (uint64_t)g_test_rand_int_range(0, 1 << 20);

		if (i < N && ks__order_put(order, make(i, time, random_size())) == 0)
			continue;
		ev = ks__order_take(order, UINT64_MAX);
		g_assert_cmpint(ev->flags == KS_FLAG_LATE, ==, ev->time_ns < last);
		g_assert_cmpint(seen[ev->tag]++, ==, 0);
		check_whole(ev);
		late += ev->flags == KS_FLAG_LATE;
		last = MAX(last, ev->time_ns);
		out++;
		i -= i < N; /* use the same number again */
	}
	g_assert_cmpuint(out, ==, N);
	g_assert_cmpuint(late, >, 0);
	g_free(seen);
	ks__order_free(order);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/order/empty", test_empty);
	g_test_add_func("/order/watermark", test_watermark);
	g_test_add_func("/order/equal-times", test_equal_times);
	g_test_add_func("/order/late", test_late);
	g_test_add_func("/order/smallest", test_smallest);
	g_test_add_func("/order/bounded", test_bounded);
	g_test_add_func("/order/jitter", test_jitter);
	g_test_add_func("/order/storm", test_storm);
	return g_test_run();
}
