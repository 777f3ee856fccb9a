/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * feature.h - what this kernel has and lets this process do, found by trying
 *
 * Each is tried when first asked for, by raw bpf() calls with tiny programs and maps: libbpf prints
 * what is refused, these are silent. An answer that lasts (answer.h) is kept for the handle. Versions are never looked at.
 */
#ifndef KS_FEATURE_H
#define KS_FEATURE_H

#include <stddef.h>
#include <stdint.h>

#include "../ks.h"
#include "types.h"

struct ks__doc;

enum ks__feature_id {
	KS__FEATURE_BPF,   /* bpf() at all */
	KS__FEATURE_BTF,   /* type information to load programs against */
	KS__FEATURE_MMAP,  /* arrays that user space maps (5.5) */
	KS__FEATURE_MEMCG, /* memory is charged to cgroups, not to RLIMIT_MEMLOCK (5.11) */
	KS__FEATURE_RINGBUF,
	KS__FEATURE_TASK_STORAGE,
	KS__FEATURE_ATOMIC_FETCH,
	KS__FEATURE_RDONLY_CAST,
	KS__FEATURE_OWN_GUARD,
	KS__FEATURE_ITER_NUM, /* bpf_iter_num_next (6.4) */
	KS__FEATURE_BATCH,    /* entries of maps many at a time (5.6) */
	KS__FEATURE_PERF_MISSES, /* misses of perf's programs are counted (6.7) */
	KS__FEATURE_TP_BTF,
	KS__FEATURE_FENTRY,
	KS__FEATURE_RAW_TP,
	KS__FEATURE_TRACEPOINT,
	KS__FEATURE_KPROBE,
	KS__FEATURES
};

struct ks__feature {
	uint8_t tried; /* the answer lasts; 0: it is asked for again */
	int error;     /* 0: it is there */
	char reason[200];
};

struct ks__features {
	const struct ks *ks;
	struct ks__feature by_id[KS__FEATURES];
	struct ks__types types;
};

void ks__features_init(struct ks__features *f, const struct ks *ks);
void ks__features_free(struct ks__features *f);

/* 0 or why not: -errno; the sentence stands in by_id[id].reason. */
int ks__feature(struct ks__features *f, enum ks__feature_id id);

/* "sched/sched_switch": 0 and its id in tracefs, or -errno. */
int ks__feature_event_id(const struct ks *ks, const char *event, uint32_t *ret_id);

/* An array in ks_check(). */
void ks__features_doc(struct ks__features *f, struct ks__doc *doc);

#endif
