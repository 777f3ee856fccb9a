/* SPDX-License-Identifier: BSD-2-Clause */
/* hist.c - histograms with base 2^(1/4) */
#include "hist.h"

#include <math.h>

/*
 * floor(2^63 * 2^(k/4)) for k = 1, 2, 3. Bounds between powers of two are irrational, so no integer
 * equals one, and comparing the mantissa of v with these constants is exact for every v.
 */
static const uint64_t quarter[3] = {
	0x9837f0518db8a96f,
	0xb504f333f9de6484,
	0xd744fccad69d6af4,
};

int ks__hist_bucket(uint64_t v)
{
	int log2 = 63 - __builtin_clzll(v);
	uint64_t mantissa = v << (63 - log2);

	/* 2^n is the upper bound of its bucket, which includes it. */
	if (mantissa == 1ULL << 63)
		return 4 * log2 - 1;
	return 4 * log2 + (mantissa > quarter[0]) + (mantissa > quarter[1]) +
	       (mantissa > quarter[2]);
}

/*
 * Returns the value with the smallest relative error for any value of the bucket: the harmonic mean
 * of its bounds. The error is (b - 1) / (b + 1) = 8.6 % with b = 2^(1/4). Bucket -1 holds only 1.
 */
static double middle(int bucket)
{
	double upper = exp2((bucket + 1) / 4.0);

	return bucket < 0 ? 1 : upper * 2 / (exp2(0.25) + 1);
}

/* Returns the rank, from 1. `total` may round to 2^64 as a double, which uint64_t cannot hold. */
static uint64_t rank_of(double q, uint64_t total)
{
	double rank = ceil(q * (double)total);

	if (rank < 1)
		return 1;
	return rank < (double)total ? (uint64_t)rank : total;
}

double ks__hist_quantile(const uint64_t *buckets, int lowest, unsigned n, uint64_t zeros, double q)
{
	uint64_t total = zeros, seen = zeros, rank;
	unsigned i;

	for (i = 0; i < n; i++)
		total += buckets[i];
	if (total == 0 || !(q >= 0 && q <= 1))
		return NAN;

	rank = rank_of(q, total);
	if (rank <= zeros)
		return 0;
	for (i = 0; i < n; i++) {
		seen += buckets[i];
		if (seen >= rank)
			break;
	}
	return middle(lowest + (int)i);
}
