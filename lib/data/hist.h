/* SPDX-License-Identifier: BSD-2-Clause */
/* hist.h - histograms with base 2^(1/4); the kernel's half is bpf/hist.bpf.h */
#ifndef KS_HIST_H
#define KS_HIST_H

#include <stdint.h>

#include <kernelsight/kernelsight.h>

/* The bucket of v >= 1: the i with 2^(i/4) < v <= 2^((i+1)/4); -1 for v = 1, 255 at most. */
int ks__hist_bucket(uint64_t v);

/* Quantile over n buckets, `lowest` first; see ks_hist_quantile(). */
double ks__hist_quantile(const uint64_t *buckets, int lowest, unsigned n, uint64_t zeros, double q);

#endif
