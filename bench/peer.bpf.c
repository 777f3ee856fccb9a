/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* peer.bpf.c - minimal kernel programs, with which the library's programs are compared */
#include "ktypes.h"

#include <bpf/bpf_helpers.h>

#include <kernelsight/events.h>

#include "support/burst.h"

#if defined(__TARGET_ARCH_x86)
#define NR_GETPPID 110
#else
#define NR_GETPPID 173
#endif

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct config {
	uint32_t pid, records, clock, rings;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct config);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring0 SEC(".maps"), ring1 SEC(".maps");

static __always_inline void fill(struct ks_event_burst_record *rec, uint32_t i, uint64_t now)
{
	uint64_t *word = (uint64_t *)rec;

	for (unsigned w = 0; w < sizeof(*rec) / 8; w++)
		word[w] = i + w;
	rec->ev.time_ns = now;
}

#define EMIT(name, ring, now)                                                                    \
	static long name(uint32_t i, void *unused)                                               \
	{                                                                                        \
		struct ks_event_burst_record *rec = bpf_ringbuf_reserve(&ring, sizeof(*rec), 0); \
                                                                                                 \
		if (!rec)                                                                        \
			return 0;                                                                \
		fill(rec, i, now);                                                               \
		bpf_ringbuf_submit(rec, 0);                                                      \
		return 0;                                                                        \
	}

EMIT(bare0, ring0, i)
EMIT(bare1, ring1, i)
EMIT(timed0, ring0, bpf_ktime_get_ns())
EMIT(timed1, ring1, bpf_ktime_get_ns())

SEC("?tp_btf/sys_enter")
int peer_burst(uint64_t *ctx)
{
	uint32_t zero = 0;
	const struct config *c = bpf_map_lookup_elem(&config, &zero);

	if (!c || ctx[1] != NR_GETPPID || !c->records || bpf_get_current_pid_tgid() >> 32 != c->pid)
		return 0;
	if (c->rings > 1 && bpf_get_smp_processor_id() & 1)
		bpf_loop(c->records, c->clock ? timed1 : bare1, NULL, 0);
	else
		bpf_loop(c->records, c->clock ? timed0 : bare0, NULL, 0);
	return 0;
}

/* Empty programs: they show what a hook itself costs. */
SEC("?tp_btf/sched_process_exec")
int peer_exec(void *ctx)
{
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int peer_exit(void *ctx)
{
	return 0;
}

SEC("?tp_btf/sched_switch")
int peer_switch(void *ctx)
{
	return 0;
}

SEC("?tp_btf/mm_filemap_add_to_page_cache")
int peer_add(void *ctx)
{
	return 0;
}

SEC("?tp_btf/task_rename")
int peer_rename_btf(void *ctx)
{
	return 0;
}

SEC("?raw_tp/task_rename")
int peer_rename_raw(void *ctx)
{
	return 0;
}

SEC("?tracepoint/task/task_rename")
int peer_rename_classic(void *ctx)
{
	return 0;
}
