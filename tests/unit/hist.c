/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that every value falls into its bucket, in particular bucket bounds and powers of two, and
 * that quantiles are exact to 9 %.
 */
#include <errno.h>
#include <math.h>

#include "../../bpf/shared.h"
#include "data/hist.h"
#include "support/ks_test.h"

/* The kernel programs' part is plain C, too. */
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#include "../../bpf/hist.bpf.h"

typedef unsigned __int128 u128;

/* v^4 <= 2^e, exactly: v^4 has up to 256 bits. */
static int fourth_at_most(uint64_t v, unsigned e)
{
	u128 square = (u128)v * v, low, high;
	uint64_t a = (uint64_t)(square >> 64), b = (uint64_t)square;
	u128 ab = (u128)a * b, bb = (u128)b * b;

	/* (a 2^64 + b)^2 = a^2 2^128 + 2ab 2^64 + b^2 */
	low = bb + (ab << 65);
	high = (u128)a * a + (ab >> 63) + (low < bb);
	if (e >= 256)
		return 1;
	if (e >= 128)
		return high < (u128)1 << (e - 128) || (high == (u128)1 << (e - 128) && low == 0);
	return high == 0 && low <= (u128)1 << e;
}

/* The largest integer <= 2^(e/4). */
static uint64_t bound(unsigned e)
{
	uint64_t v = 0, bit;

	for (bit = 1ULL << 63; bit; bit >>= 1)
		if (fourth_at_most(v | bit, e))
			v |= bit;
	return v;
}

static int slow_bucket(uint64_t v)
{
	int i = -1;

	while (!fourth_at_most(v, (unsigned)(i + 1)))
		i++;
	return i;
}

static void test_bounds(void)
{
	int i;

	g_assert_cmpuint(bound(4), ==, 2);
	g_assert_cmpuint(bound(10), ==, 5); /* 2^2.5 = 5.65 */
	for (i = -1; i <= 255; i++) {
		uint64_t last = bound((unsigned)(i + 1));

		/*
		 * Up to bucket 8, (4, 4.75], some buckets hold no integer. Then `last` is from an
		 * earlier bucket.
		 */
		g_assert_cmpint(ks__hist_bucket(last), ==, slow_bucket(last));
		g_assert_cmpint(ks__hist_bucket(last), <=, i);
		if (i > 8)
			g_assert_cmpint(ks__hist_bucket(last), ==, i);
		if (last < UINT64_MAX)
			g_assert_cmpint(ks__hist_bucket(last + 1), >, i);
		if (i >= 8 && last < UINT64_MAX)
			g_assert_cmpint(ks__hist_bucket(last + 1), ==, i + 1);
	}
}

static void test_powers(void)
{
	int n;

	for (n = 0; n < 64; n++) {
		uint64_t v = 1ULL << n;

		g_assert_cmpint(ks__hist_bucket(v), ==, 4 * n - 1);
		if (n >= 1)
			g_assert_cmpint(ks__hist_bucket(v + 1), ==, slow_bucket(v + 1));
		if (n >= 2)
			g_assert_cmpint(ks__hist_bucket(v - 1), ==, slow_bucket(v - 1));
		if (n >= 3)
			g_assert_cmpint(ks__hist_bucket(v + 1), ==, 4 * n);
	}
	g_assert_cmpint(ks__hist_bucket(1), ==, -1);
	g_assert_cmpint(ks__hist_bucket(UINT64_MAX), ==, 255);
}

static void test_small_and_random(void)
{
	uint64_t v;
	int i;

	for (v = 1; v <= 5000; v++)
		g_assert_cmpint(ks__hist_bucket(v), ==, slow_bucket(v));
	for (i = 0; i < 20000; i++) {
		v = (uint64_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int();
		v = (v >> g_test_rand_int_range(0, 64)) | 1;
		g_assert_cmpint(ks__hist_bucket(v), ==, slow_bucket(v));
	}
}

static void test_public_bound(void)
{
	int i;

	errno = 4711;
	for (i = 0; i <= 64; i++)
		g_assert_true(ks_hist_bound(4 * i - 1) == ldexp(1, i));
	for (i = -1; i < 208; i++) { /* up to this one, a double holds each bound exactly */
		g_assert_cmpfloat(ks_hist_bound(i), >=, (double)bound((unsigned)(i + 1)));
		g_assert_cmpfloat(ks_hist_bound(i), <, (double)bound((unsigned)(i + 1)) + 1);
	}
	g_assert_true(ks_hist_bound(-2) > 0.84 && ks_hist_bound(-2) < 0.85);
	g_assert_true(isinf(ks_hist_bound(INT_MAX)));
	g_assert_true(ks_hist_bound(INT_MIN) == 0);
	g_assert_cmpint(errno, ==, 4711);
}

/* With each of 1 to n counted once, the value of rank r is r. */
static void test_quantile_is_near(void)
{
	uint64_t buckets[257] = { 0 };
	const int n = 5000;
	int r;

	for (r = 1; r <= n; r++)
		buckets[ks__hist_bucket((uint64_t)r) + 1]++;
	for (r = 1; r <= n; r++) {
		double got = ks__hist_quantile(buckets, -1, 257, 0, (r - 0.5) / n);

		g_assert_cmpfloat(fabs(got - r), <=, 0.09 * r);
	}
	g_assert_true(ks__hist_quantile(buckets, -1, 257, 0, 0) == 1);
	g_assert_cmpfloat(fabs(ks__hist_quantile(buckets, -1, 257, 0, 1) - n), <=, 0.09 * n);
}

static void test_quantile_of_zeros(void)
{
	const uint64_t one[1] = { 1 };

	g_assert_true(ks__hist_quantile(one, -1, 1, 3, 0) == 0);
	g_assert_true(ks__hist_quantile(one, -1, 1, 3, 0.75) == 0);
	g_assert_true(ks__hist_quantile(one, -1, 1, 3, 0.76) == 1);
	g_assert_true(ks__hist_quantile(NULL, 0, 0, 3, 0.5) == 0);
	g_assert_true(ks__hist_quantile(NULL, 0, 0, 3, 1) == 0);
}

static void test_quantile_of_many(void)
{
	const uint64_t many[3] = { UINT64_MAX / 4, 0, UINT64_MAX / 2 };
	double last = ks__hist_quantile(many, 253, 3, 0, 1);

	g_assert_cmpfloat(fabs(last - 0x1p64), <=, 0.09 * 0x1p64);
	g_assert_cmpfloat(ks__hist_quantile(many, 253, 3, 0, 0.3), <, 0x1p64 * 0.71);
	g_assert_cmpfloat(ks__hist_quantile(many, 253, 3, 0, 0.4), ==, last);
}

static void test_no_quantile(void)
{
	const uint64_t some[2] = { 1, 0 };

	g_assert_true(isnan(ks__hist_quantile(NULL, 0, 0, 0, 0.5)));
	g_assert_true(isnan(ks__hist_quantile(some + 1, 0, 1, 0, 0.5)));
	g_assert_true(isnan(ks__hist_quantile(some, 0, 2, 0, -0.1)));
	g_assert_true(isnan(ks__hist_quantile(some, 0, 2, 0, 1.1)));
	g_assert_true(isnan(ks__hist_quantile(some, 0, 2, 0, (double)NAN)));
}

static void test_public_quantile(void)
{
	const uint64_t buckets[4] = { 9, 1, 0, 3 };
	struct ks_stats stats = { .size = sizeof(stats), .buckets = buckets, .n_buckets = 4 };
	struct ks_hist hist = { .count = 4, .at = 1, .lowest = 39, .n = 3 };

	g_assert_cmpfloat(fabs(ks_hist_quantile(&stats, &hist, 0.25) - 0x1p10), <=, 0.09 * 0x1p10);
	g_assert_cmpfloat(fabs(ks_hist_quantile(&stats, &hist, 0.5) - 0x1p10 * sqrt(2)), <=,
			  0.09 * 0x1p10 * sqrt(2));
	hist.n = 4;
	g_assert_true(isnan(ks_hist_quantile(&stats, &hist, 0.5)));
	hist.at = 5, hist.n = 0;
	g_assert_true(isnan(ks_hist_quantile(&stats, &hist, 0.5)));
	hist = (struct ks_hist){ 0 };
	g_assert_true(isnan(ks_hist_quantile(&stats, &hist, 0.5)));
}

/* ---- the kernel programs' part --------------------------------------------------------------- */

static void same_bucket(uint64_t v)
{
	static struct ks_bpf_hist hist;
	int slot = ks__hist_bucket(v) + 1;

	g_assert_cmpint(ks_hist_bucket(v), ==, ks__hist_bucket(v));
	g_assert_cmpuint(ks_log2(v), ==, 63u - (unsigned)__builtin_clzll(v));
	memset(&hist, 0, sizeof(hist));
	ks_hist_add(&hist, v);
	ks_hist_add(&hist, v);
	g_assert_cmpuint(hist.buckets[slot], ==, 2);
	g_assert_cmpuint(hist.sum, ==, 2 * v);
	g_assert_cmpuint(hist.zeros, ==, 0);
	for (int i = 0; i < KS_HIST_BUCKETS; i++)
		g_assert_true(i == slot || hist.buckets[i] == 0);
}

/* It puts each value into the same bucket as the library's part, and into no other. */
static void test_programs(void)
{
	struct ks_bpf_hist hist = { 0 };

	for (uint64_t v = 1; v <= 300; v++)
		same_bucket(v);
	for (unsigned e = 9; e <= 256; e++) {
		same_bucket(bound(e));
		if (bound(e) < UINT64_MAX)
			same_bucket(bound(e) + 1);
		same_bucket(bound(e) - 1);
	}
	same_bucket(UINT64_MAX);
	ks_hist_add(&hist, 0);
	ks_hist_add(&hist, 0);
	ks_hist_add(&hist, 0);
	g_assert_cmpuint(hist.zeros, ==, 3);
	g_assert_cmpuint(hist.sum, ==, 0);
	for (int i = 0; i < KS_HIST_BUCKETS; i++)
		g_assert_cmpuint(hist.buckets[i], ==, 0);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/hist/bounds", test_bounds);
	g_test_add_func("/hist/powers", test_powers);
	g_test_add_func("/hist/small-and-random", test_small_and_random);
	g_test_add_func("/hist/programs", test_programs);
	g_test_add_func("/hist/public-bound", test_public_bound);
	g_test_add_func("/hist/quantile/near", test_quantile_is_near);
	g_test_add_func("/hist/quantile/zeros", test_quantile_of_zeros);
	g_test_add_func("/hist/quantile/many", test_quantile_of_many);
	g_test_add_func("/hist/quantile/none", test_no_quantile);
	g_test_add_func("/hist/quantile/public", test_public_quantile);
	return g_test_run();
}
