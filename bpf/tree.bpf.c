/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tree.bpf.c - KS_SCOPE_TREE: who descends from the roots that the library put into ks_pids
 *
 * A child is enrolled at its fork, before it runs, and struck off when its last reference goes,
 * after every program that looks at its exit. Values are start times: a number may have been given
 * away again by then. These programs belong to no probe; what does not fit into ks_pids is counted
 * as KS_LOST_MAP_FULL of KS_PROBE_SELF.
 */
#include "probe.bpf.h"

#define CLONE_THREAD 0x00010000

/*
 * When a task is freed, its numbers in nested namespaces are gone. So there a second entry leads
 * from the number in the first namespace, which stays, to the one in the caller's. Numbers are below
 * 2^22: the top bit is free.
 */
#define FIRST_NUMBER 0x80000000u

static __always_inline bool tracking(void)
{
	const struct ks_bpf_control *control;
	uint32_t zero = 0;

	control = bpf_map_lookup_elem(&ks_control, &zero);
	return control && control->scope[*(volatile uint32_t *)&control->scope_index & 1].kind ==
				  KS_BPF_SCOPE_TREE;
}

static __always_inline void insert(uint32_t nr, uint64_t value)
{
	uint32_t cpu = bpf_get_smp_processor_id();
	struct ks_bpf_cpu *slot;

	if (!bpf_map_update_elem(&ks_pids, &nr, &value, BPF_ANY))
		return;
	slot = bpf_map_lookup_elem(&ks_cpus, &cpu);
	if (slot)
		ks_add(&slot->probe[KS_PROBE_SELF].outcome[KS_LOST_MAP_FULL], 1);
}

/* first: the child's number in the first namespace. */
static __always_inline int enrol(uint32_t parent, uint32_t child, uint32_t first, uint64_t start)
{
	if (!child)
		return 0;
	if (bpf_map_lookup_elem(&ks_pids, &parent)) {
		insert(child, start);
		if (ks_const.pid_level)
			insert(first | FIRST_NUMBER, child);
	} else if (bpf_map_lookup_elem(&ks_pids, &child)) {
		/* The number of one whose end was missed. */
		bpf_map_delete_elem(&ks_pids, &child);
	}
	return 0;
}

static __always_inline int fork(struct task_struct *parent, struct task_struct *child,
				const bool typed)
{
	struct ks_run run = { .typed = typed };

	if (!tracking() || ks_read(&run, child, pid) != ks_read(&run, child, tgid))
		return 0;
	return enrol(ks_tgid(&run, parent), ks_tgid(&run, child), ks_read(&run, child, tgid),
		     ks_read(&run, child, start_time));
}

static __always_inline int free(struct task_struct *task, const bool typed)
{
	struct ks_run run = { .typed = typed };
	uint32_t nr = ks_read(&run, task, tgid), first = nr | FIRST_NUMBER;
	uint64_t *start;

	/* Not the former first thread of a process in which another one called exec. */
	if (!tracking() || ks_read(&run, task, pid) != nr)
		return 0;
	if (ks_const.pid_level) {
		uint64_t *mine = bpf_map_lookup_elem(&ks_pids, &first);

		if (!mine)
			return 0;
		nr = *mine;
	}
	start = bpf_map_lookup_elem(&ks_pids, &nr);
	if (start && *start == ks_read(&run, task, start_time)) {
		bpf_map_delete_elem(&ks_pids, &nr);
		if (ks_const.pid_level)
			bpf_map_delete_elem(&ks_pids, &first);
	}
	return 0;
}

SEC("?tp_btf/sched_process_fork")
int tree_fork_tp_btf(uint64_t *ctx)
{
	return fork(ks_untrusted((void *)ctx[0]), ks_untrusted((void *)ctx[1]), true);
}

SEC("?raw_tp/sched_process_fork")
int tree_fork_raw_tp(uint64_t *ctx)
{
	return fork((void *)ctx[0], (void *)ctx[1], false);
}

/* sched_process_fork's record does not tell a thread from a process; this one's has no start time. */
SEC("?tracepoint/task/task_newtask")
int tree_fork_tracepoint(struct trace_event_raw_task_newtask *ctx)
{
	if (!tracking() || ctx->clone_flags & CLONE_THREAD)
		return 0;
	return enrol(bpf_get_current_pid_tgid() >> 32, ctx->pid, ctx->pid, bpf_ktime_get_ns());
}

SEC("?tp_btf/sched_process_free")
int tree_free_tp_btf(uint64_t *ctx)
{
	return free(ks_untrusted((void *)ctx[0]), true);
}

SEC("?raw_tp/sched_process_free")
int tree_free_raw_tp(uint64_t *ctx)
{
	return free((void *)ctx[0], false);
}

/*
 * Numbers of threads are never keys. A number is given away again within the grace period between
 * the wait and this only when all others were, so it is not checked.
 */
SEC("?tracepoint/sched/sched_process_free")
int tree_free_tracepoint(struct trace_event_raw_sched_process_template *ctx)
{
	uint32_t pid = ctx->pid;

	if (tracking())
		bpf_map_delete_elem(&ks_pids, &pid);
	return 0;
}
