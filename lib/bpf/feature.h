/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * feature.h - which features this kernel has and allows to this process, found by trying them
 *
 * The library tries a feature at its first use, by raw bpf() calls with tiny programs and maps.
 * These calls are silent; libbpf would print refusals. The handle caches an answer that is final
 * (answer.h). The library never looks at kernel versions here.
 */
#ifndef KS_FEATURE_H
#define KS_FEATURE_H

#include <stddef.h>
#include <stdint.h>

#include "../ks.h"
#include "types.h"

struct ks__doc;

enum ks__feature_id {
	KS__FEATURE_BPF,   /* bpf() itself */
	KS__FEATURE_BTF,   /* type information for loading programs */
	KS__FEATURE_MMAP,  /* arrays that user space can mmap (5.5) */
	KS__FEATURE_MEMCG, /* BPF memory is charged to cgroups, not to RLIMIT_MEMLOCK (5.11) */
	KS__FEATURE_RINGBUF,
	KS__FEATURE_TASK_STORAGE,
	KS__FEATURE_ATOMIC_FETCH,
	KS__FEATURE_RDONLY_CAST,
	KS__FEATURE_OWN_GUARD,
	KS__FEATURE_ITER_NUM, /* bpf_iter_num_next (6.4) */
	KS__FEATURE_BATCH,    /* one call updates many entries of a map (5.6) */
	KS__FEATURE_KERNEL_READS, /* bpf_probe_read_kernel(): lockdown may refuse it */
	KS__FEATURE_PERF_MISSES, /* the kernel counts missed runs of perf's programs (6.7) */
	KS__FEATURE_TP_BTF,
	KS__FEATURE_FENTRY,
	KS__FEATURE_RAW_TP,
	KS__FEATURE_TRACEPOINT,
	KS__FEATURE_KPROBE,
	KS__FEATURES
};

struct ks__feature {
	uint8_t tried; /* 1: the answer is final; 0: the next use tries again */
	int error;     /* 0: the feature works; else -errno */
	char reason[200];
};

struct ks__features {
	const struct ks *ks;
	struct ks__feature by_id[KS__FEATURES];
	struct ks__types types;
};

void ks__features_init(struct ks__features *f, const struct ks *ks);
void ks__features_free(struct ks__features *f);

/* 0: the feature works; else -errno, and by_id[id].reason says why in words. */
int ks__feature(struct ks__features *f, enum ks__feature_id id);

/* Reads the tracefs id of an event such as "sched/sched_switch". 0 or -errno. */
int ks__feature_event_id(const struct ks *ks, const char *event, uint32_t *ret_id);

/* Writes the array "features" of ks_check(). */
void ks__features_doc(struct ks__features *f, struct ks__doc *doc);

#endif
