/* SPDX-License-Identifier: BSD-2-Clause */
/* hist.h - histograms with base 2^(1/4); bpf/hist.bpf.h is the kernel side */
#ifndef KS_HIST_H
#define KS_HIST_H

#include <stdint.h>

#include <kernelsight/kernelsight.h>

/* Returns the bucket of v >= 1: i with 2^(i/4) < v <= 2^((i+1)/4), from -1 (v = 1) to 255. */
int ks__hist_bucket(uint64_t v);

/* Returns quantile q of n buckets, the first of which is `lowest`; see ks_hist_quantile(). */
double ks__hist_quantile(const uint64_t *buckets, int lowest, unsigned n, uint64_t zeros, double q);

#endif
