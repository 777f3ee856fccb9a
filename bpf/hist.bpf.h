/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* hist.bpf.h - histograms with base 2^(1/4); lib/data/hist.c reads them */
#ifndef KS_HIST_BPF_H
#define KS_HIST_BPF_H

/*
 * floor(log2(v)) of v >= 1: sets all bits below the highest one and counts them. BPF has no
 * instruction for it, and each branch would double the paths that the verifier follows.
 */
static __always_inline uint32_t ks_log2(uint64_t v)
{
	v |= v >> 1;
	v |= v >> 2;
	v |= v >> 4;
	v |= v >> 8;
	v |= v >> 16;
	v |= v >> 32;
	v -= v >> 1 & 0x5555555555555555ULL;
	v = (v & 0x3333333333333333ULL) + (v >> 2 & 0x3333333333333333ULL);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (v * 0x0101010101010101ULL >> 56) - 1;
}

/* 1 if a > b, else 0; without a branch. Both numbers must have the highest bit set. */
static __always_inline uint32_t ks_above(uint64_t a, uint64_t b)
{
	return (b - a) >> 63;
}

/*
 * Bucket of v >= 1: the i with 2^(i/4) < v <= 2^((i+1)/4), or -1 for v = 1. The bounds between
 * powers of two are irrational, so the comparison with floor(2^63 * 2^(k/4)) is exact.
 */
static __always_inline int ks_hist_bucket(uint64_t v)
{
	uint32_t n = ks_log2(v);
	uint64_t mantissa = v << (63 - n);

	return 4 * n - (v == 1ULL << n) + ks_above(mantissa, 0x9837f0518db8a96fULL) +
	       ks_above(mantissa, 0xb504f333f9de6484ULL) +
	       ks_above(mantissa, 0xd744fccad69d6af4ULL);
}

static __always_inline void ks_hist_add(struct ks_bpf_hist *hist, uint64_t v)
{
	uint32_t slot;

	if (v == 0) {
		__sync_fetch_and_add(&hist->zeros, 1);
		return;
	}
	slot = ks_hist_bucket(v) + 1;
	if (slot >= KS_HIST_BUCKETS) /* never true, but the verifier does not know that */
		return;
	__sync_fetch_and_add(&hist->buckets[slot], 1);
	__sync_fetch_and_add(&hist->sum, v);
}

#endif
