/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * maps.bpf.h - what all probes share: core.bpf.c defines it, the others see it as extern
 *
 * The linker joins them by name and compares the types, so both must come from one text.
 */
#ifndef KS_MAPS_BPF_H
#define KS_MAPS_BPF_H

#ifndef KS_MAP
#define KS_MAP extern
#endif

/* Written by the library through an mmap. */
KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct ks_bpf_control);
} ks_control SEC(".maps");

/* The loader makes it as long as there are possible CPUs. */
KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct ks_bpf_cpu);
} ks_cpus SEC(".maps");

KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KS_BPF_PROBES);
	__type(key, uint32_t);
	__type(value, struct ks_bpf_bucket);
} ks_buckets SEC(".maps");

struct ks_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, KS_BPF_RINGS);
	__type(key, uint32_t);
	__array(values, struct ks_ring);
} ks_rings SEC(".maps");

/* The loader makes it as long as there are possible CPUs. */
KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint32_t);
} ks_perf SEC(".maps");

/* Processes in scope: KS_PID_KEY(), start time or 0. See tree.bpf.c. */
KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, uint32_t);
	__type(value, uint64_t);
} ks_pids SEC(".maps");

/* ---- statistics by thread, see threads.bpf.h; the loader makes them as long as is asked for -------- */

KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct ks_bpf_thread);
} ks_threads SEC(".maps");

/* Slots that the library has emptied; where there is no fetching addition, all of them at first. */
KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__uint(value_size, sizeof(uint32_t));
} ks_free SEC(".maps");

KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct ks_bpf_who);
} ks_who SEC(".maps");

/* Its twin where kernels have no task storage for tracing: by address of the task. */
KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, uint64_t);
	__type(value, struct ks_bpf_who);
} ks_who_hash SEC(".maps");

KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, uint32_t);
	__type(value, struct ks_bpf_role);
} ks_roles SEC(".maps");

/* Frozen before the programs load: the verifier follows one branch of each test and drops the other. */
KS_MAP const volatile struct ks_bpf_const ks_const SEC(".rodata.ks");

#endif
