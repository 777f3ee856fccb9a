/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* proc.bpf.c - kernel programs of the probe proc: fork, exec and exit of processes and threads */
#include "probe.bpf.h"

#include "proc.bpf.h"

#define CLONE_THREAD 0x00010000

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs */
	__type(key, uint32_t);
	__type(value, struct ks_bpf_stats_proc);
} proc_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs and slots of ks_threads */
	__type(key, uint32_t);
	__type(value, struct ks_bpf_row_proc);
} proc_rows SEC(".maps");

/* ---- fork ------------------------------------------------------------------------------------ */

/* What a hook reports of a new process or thread. Ids are those of the host's pid namespace. */
struct child {
	uint32_t pid, tid;
	uint64_t start_ns; /* 0: not known */
	bool thread;       /* false: a process */
};

/* Counts a new process or thread, and makes its record. */
static __always_inline enum ks_bpf_outcome forked(struct ks_run *run, struct task_struct *parent,
						  const struct child *child)
{
	struct ks_bpf_stats_proc *stats = ks_stats(run, &proc_stats);
	struct ks_bpf_row_proc *row = ks_row(run, &proc_rows, parent);
	struct ks_event_proc_fork *rec, room;

	if (stats && row) {
		ks_add_own(run, child->thread ? &stats->threads : &stats->processes, 1);
		ks_add_own(run, child->thread ? &row->threads : &row->processes, 1);
	}
	rec = ks_reserve(run, parent, &room, KS_EVENT_PROC_FORK, sizeof(room));
	if (!rec)
		return run->outcome;
	rec->valid = child->start_ns ? KS_HAS_PROC_START : 0;
	rec->start_ns = child->start_ns;
	rec->child_pid = child->pid;
	rec->child_tid = child->tid;
	rec->thread = child->thread;
	return ks_submit(run, rec, sizeof(room));
}

/* task: the new thread, read as of_typed says; maker: the current task, read as typed says. */
static __always_inline int made(void *ctx, const struct task_struct *task, const bool of_typed,
				struct task_struct *maker, const bool typed)
{
	struct child child = {};
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PROC, typed))
		return 0;
	if (!ks_admit(&run, maker))
		return ks_end(&run, KS_FILTERED);
	run.typed = of_typed;
	child.pid = ks_tgid(&run, task);
	child.tid = ks_tid(&run, task);
	child.start_ns = ks_start(&run, task);
	child.thread = ks_read(&run, task, pid) != ks_read(&run, task, tgid);
	run.typed = typed;
	return ks_end(&run, forked(&run, maker, &child));
}

/*
 * Attached to task_newtask. sched_process_fork would miss threads that the kernel itself makes in a
 * process, for io_uring or vhost. The maker of the new thread is the current task.
 */
static __always_inline int proc_fork(void *ctx, struct task_struct *task, const bool typed)
{
	return ks_by_self(typed, made, ctx, task, typed);
}

SEC("?ks/tp_btf/task_newtask")
int proc_fork_tp_btf(uint64_t *ctx)
{
	return proc_fork(ctx, ks_untrusted((void *)ctx[0]), true);
}

SEC("?raw_tp/task_newtask")
int proc_fork_raw_tp(uint64_t *ctx)
{
	return proc_fork(ctx, (void *)ctx[0], false);
}

SEC("?tracepoint/task/task_newtask")
int proc_fork_tracepoint(struct trace_event_raw_task_newtask *ctx)
{
	struct task_struct *parent = (void *)bpf_get_current_task();
	struct child child = { .tid = ctx->pid };
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PROC, false))
		return 0;
	if (!ks_admit(&run, parent))
		return ks_end(&run, KS_FILTERED);
	child.thread = ctx->clone_flags & CLONE_THREAD;
	child.pid = child.thread ? run.pid : child.tid;
	return ks_end(&run, forked(&run, parent, &child));
}

/* ---- exec ------------------------------------------------------------------------------------ */

/*
 * Makes the record of an exec. old_tid: former id of the thread, in the initial pid namespace.
 * If another thread than the first one called exec, no thread has that id any more. Then its number
 * in a nested namespace is unknown.
 *
 * This is not a part of execed(), so that both can use the same stack space.
 */
static __always_inline enum ks_bpf_outcome record_exec(struct ks_run *run, struct task_struct *task,
						       uint32_t old_tid, const char *path)
{
	struct ks_event_proc_exec *rec, room;

	rec = ks_reserve(run, task, &room, KS_EVENT_PROC_EXEC, sizeof(room));
	if (!rec)
		return run->outcome;
	rec->valid = KS_HAS_PROC_START | KS_HAS_PROC_UID;
	rec->start_ns = ks_start(run, task);
	rec->valid |= proc_family(run, task, &rec->ppid, &rec->session);
	rec->uid = bpf_get_current_uid_gid();
	if (old_tid == ks_read(run, task, pid))
		rec->old_tid = rec->ev.tid;
	else if (!ks_const.pid_level)
		rec->old_tid = old_tid;
	if (rec->old_tid)
		rec->valid |= KS_HAS_PROC_OLD_TID;
	proc_path(rec, path);
	return ks_submit(run, rec, sizeof(room));
}

static __always_inline enum ks_bpf_outcome execed(struct ks_run *run, struct task_struct *task,
						  uint32_t old_tid, const char *path)
{
	struct ks_bpf_stats_proc *stats;
	struct ks_bpf_row_proc *row;

	if (!ks_admit(run, task))
		return KS_FILTERED;
	stats = ks_stats(run, &proc_stats);
	row = ks_row(run, &proc_rows, task);
	if (stats && row) {
		ks_add_own(run, &stats->execs, 1);
		ks_add_own(run, &row->execs, 1);
	}
	return record_exec(run, task, old_tid, path);
}

static __always_inline int proc_exec(void *ctx, struct task_struct *task, uint32_t old_tid,
				     const char *path, const bool typed)
{
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PROC, typed))
		return 0;
	return ks_end(&run, execed(&run, task, old_tid, path));
}

SEC("?ks/tp_btf/sched_process_exec")
int proc_exec_tp_btf(uint64_t *ctx)
{
	const struct linux_binprm *bprm = (void *)ctx[2];

	return proc_exec(ctx, ks_untrusted((void *)ctx[0]), ctx[1], BPF_CORE_READ(bprm, filename),
			 true);
}

SEC("?raw_tp/sched_process_exec")
int proc_exec_raw_tp(uint64_t *ctx)
{
	const struct linux_binprm *bprm = (void *)ctx[2];

	return proc_exec(ctx, (void *)ctx[0], ctx[1], BPF_CORE_READ(bprm, filename), false);
}

SEC("?tracepoint/sched/sched_process_exec")
int proc_exec_tracepoint(struct trace_event_raw_sched_process_exec *ctx)
{
	return proc_exec(ctx, (void *)bpf_get_current_task(), ctx->old_pid,
			 (void *)ctx + (ctx->__data_loc_filename & 0xffff), false);
}

/* ---- exit ------------------------------------------------------------------------------------ */

/* Counts the end of a process. code: the status that wait() returns. */
static __always_inline void count_end(struct ks_run *run, struct ks_bpf_stats_proc *stats,
				      struct ks_bpf_row_proc *row, uint32_t code, uint64_t start_ns)
{
	uint64_t lifetime = ks_now(run) - start_ns;

	ks_add_own(run, &stats->process_exits, 1);
	ks_add_own(run, &row->process_exits, 1);
	if (code & 0x7f) {
		ks_add_own(run, &stats->killed, 1);
		ks_add_own(run, &row->killed, 1);
	} else if (code >> 8 & 0xff) {
		ks_add_own(run, &stats->failed, 1);
		ks_add_own(run, &row->failed, 1);
	}
	ks_hist_add(&stats->lifetime_ns, lifetime);
	ks_add_own(run, &row->lifetime_ns.sum, lifetime);
	ks_add_own(run, &row->lifetime_ns.count, 1);
}

/*
 * Counts the end of a thread, or of the process if the thread is its last one. Returns the exit
 * code; *ret_start_ns is the start time of the thread or of the process.
 */
static __always_inline uint32_t ended(struct ks_run *run, struct task_struct *task, bool last,
				      uint64_t *ret_start_ns)
{
	struct ks_bpf_stats_proc *stats = ks_stats(run, &proc_stats);
	struct ks_bpf_row_proc *row = ks_row(run, &proc_rows, task);
	struct task_struct *leader;
	uint32_t code;

	if (last) {
		leader = proc_leader(run, task);
		code = proc_wait_code(run, task);
		*ret_start_ns = ks_start(run, leader);
		if (stats && row)
			count_end(run, stats, row, code, *ret_start_ns);
	} else {
		code = ks_read(run, task, exit_code);
		*ret_start_ns = ks_start(run, task);
		if (stats && row) {
			ks_add_own(run, &stats->thread_exits, 1);
			ks_add_own(run, &row->thread_exits, 1);
		}
	}
	return code;
}

/* last: 1 if the thread is the last one of its process, else 0. */
static __always_inline enum ks_bpf_outcome exited(struct ks_run *run, struct task_struct *task,
						  uint32_t last)
{
	struct ks_event_proc_exit *rec, room;
	uint64_t start_ns;
	uint32_t code;

	if (!ks_admit(run, task))
		return KS_FILTERED;
	ks_now(run); /* here, not in a branch: the verifier would check all that follows twice */
	code = ended(run, task, last, &start_ns);
	rec = ks_reserve(run, task, &room, KS_EVENT_PROC_EXIT, sizeof(room));
	if (!rec)
		return run->outcome;
	rec->valid = KS_HAS_PROC_START | KS_HAS_PROC_STATUS;
	rec->start_ns = start_ns;
	rec->valid |= proc_family(run, task, &rec->ppid, &rec->session);
	rec->status = code >> 8 & 0xff;
	rec->signal = code & 0x7f;
	rec->core_dumped = !!(code & 0x80);
	*(volatile uint8_t *)&rec->thread = last ^ 1; /* !last would be a branch */
	proc_usage(run, rec, task);
	return ks_submit(run, rec, sizeof(room));
}

/* dead: whether the hook says that the process ends (1) or not (0); -1: the hook does not say. */
static __always_inline int proc_exit(void *ctx, struct task_struct *task, int dead,
				     const bool typed)
{
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PROC, typed))
		return 0;
	return ks_end(&run, exited(&run, task, dead < 0 ? proc_is_last(&run, task) : dead));
}

SEC("?ks/tp_btf/sched_process_exit")
int proc_exit_tp_btf(uint64_t *ctx)
{
	return proc_exit(ctx, ks_untrusted((void *)ctx[0]),
			 ks_const.exit_has_group_dead ? ctx[1] & 1 : -1, true);
}

SEC("?raw_tp/sched_process_exit")
int proc_exit_raw_tp(uint64_t *ctx)
{
	return proc_exit(ctx, (void *)ctx[0], ks_const.exit_has_group_dead ? ctx[1] & 1 : -1,
			 false);
}

SEC("?tracepoint/sched/sched_process_exit")
int proc_exit_tracepoint(struct trace_event_raw_sched_process_exit *ctx)
{
	return proc_exit(ctx, (void *)bpf_get_current_task(),
			 bpf_core_field_exists(ctx->group_dead) ? ctx->group_dead & 1 : -1, false);
}
