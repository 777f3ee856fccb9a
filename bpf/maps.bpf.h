/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * maps.bpf.h - the maps that all probes share
 *
 * core.bpf.c defines them; the other files declare them extern. The linker joins definitions and
 * declarations by name and compares their types, so both must come from the same text.
 */
#ifndef KS_MAPS_BPF_H
#define KS_MAPS_BPF_H

#ifndef KS_MAP
#define KS_MAP extern
#endif

/* Settings and scopes; the library writes them through an mmap. */
KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct ks_bpf_control);
} ks_control SEC(".maps");

/* The ledgers, one entry per CPU. The loader sets max_entries to the number of possible CPUs. */
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

/* The loader sets max_entries to the number of possible CPUs. */
KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint32_t);
} ks_perf SEC(".maps");

/* Processes in scope. Key: KS_PID_KEY(); value: start time or 0. See tree.bpf.c. */
KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, uint32_t);
	__type(value, uint64_t);
} ks_pids SEC(".maps");

/* ---- statistics by thread, see threads.bpf.h; the loader sets max_entries -------------------- */

KS_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct ks_bpf_thread);
} ks_threads SEC(".maps");

/*
 * Free slots of ks_threads: those that the library has emptied. On kernels without a fetching
 * addition (before 5.12) it holds all slots at first.
 */
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

/* Used in its place if tracing programs have no task storage (before 5.11). Key: task address. */
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

/* Frozen before the programs load: the verifier follows one branch of each test of a member. */
KS_MAP const volatile struct ks_bpf_const ks_const SEC(".rodata.ks");

#endif
