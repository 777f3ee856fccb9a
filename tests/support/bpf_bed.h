/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_bed.h - the source with kernel programs over a /proc of plain files, with nothing loaded */
#ifndef KS_TEST_BPF_BED_H
#define KS_TEST_BPF_BED_H

#include "source/bpf.h"

struct bed {
	char *dir; /* a /proc of plain files */
	struct ks *ks;
	struct ks__bpf *b;
};

void put(struct bed *bed, const char *text, const char *name);
void put_stat(struct bed *bed, int tid, unsigned ticks);
/* self: the pid of the host in this /proc; 0: the right one. */
struct bed *bed_new(int self);
void bed_free(struct bed *bed);

#endif
