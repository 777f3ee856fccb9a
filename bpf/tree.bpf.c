/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tree.bpf.c - KS_SCOPE_TREE: keeps the descendants of the scope's roots in ks_pids
 *
 * The library inserts the roots. A kernel program at fork inserts the child before it runs. A
 * kernel program at sched_process_free removes a process, after all programs that look at its exit.
 * Values are start times, since a new process may have the same number by then.
 *
 * While the library walks /proc for processes that live already, a window is open. In the window,
 * the program at fork looks for any ancestor in the tree, not only for the maker. The program at
 * exit inserts the children of the dying process, before the kernel gives them another parent. So
 * either the library or a program sees each process.
 *
 * These programs belong to no probe. If ks_pids is full, the process is not in scope, and the
 * library's own ledger counts it: KS_LOST_MAP_FULL of KS_PROBE_SELF.
 */
#include "probe.bpf.h"

#define CLONE_THREAD 0x00010000

#define ANCESTORS 64  /* how many a program looks at; fork storms make chains of dozens */
#define CHILDREN 1024 /* how many one exit inserts */
/*
 * The same bounds where the verifier checks each turn of the loop. The library's next walk finds
 * the processes beyond them.
 */
#define FEW_ANCESTORS 24
#define FEW_CHILDREN 32

/*
 * If the host is in a nested pid namespace, ks_pids has a second entry for each process. It maps
 * the process id in the initial namespace to the one in the host's namespace. A freed task has only
 * the former. This bit marks the key of a second entry; process ids are below 2^22.
 */
#define INITIAL_NUMBER 0x80000000u

/* A run, for the scope in one slot. */
struct tree {
	struct ks_run run;
	uint32_t slot;
};

/* Returns ks_bpf_control.tree; 0: no scope is a tree. */
static __always_inline uint32_t trees(void)
{
	const struct ks_bpf_control *control;
	uint32_t zero = 0;

	control = bpf_map_lookup_elem(&ks_control, &zero);
	return control ? *(volatile uint32_t *)&control->tree : 0;
}

static __always_inline bool is_in(const struct tree *tree, uint32_t pid)
{
	uint32_t key = KS_PID_KEY(pid, tree->slot);

	return bpf_map_lookup_elem(&ks_pids, &key);
}

/*
 * Inserts an entry into ks_pids. Returns false if the map has no room for it, or if the kernel did
 * not get the lock of its place. how: BPF_ANY, BPF_NOEXIST: an entry that is there stays.
 */
static __always_inline bool insert(uint32_t key, uint64_t value, uint64_t how)
{
	int rc = (int)bpf_map_update_elem(&ks_pids, &key, &value, how);

	return !rc || rc == -17; /* EEXIST */
}

/* Counts a process that could not be put into ks_pids. */
static __always_inline void lose(void)
{
	uint32_t cpu = bpf_get_smp_processor_id();
	struct ks_bpf_cpu *slot = bpf_map_lookup_elem(&ks_cpus, &cpu);

	if (slot)
		ks_add(&slot->probe[KS_PROBE_SELF].outcome[KS_LOST_MAP_FULL], 1);
	else
		ks_lose_run(KS_PROBE_SELF);
}

/*
 * Puts a process into the tree, with both entries or with none. pid: in the host's namespace;
 * initial: in the initial one.
 */
static __always_inline void enrol(const struct tree *tree, uint32_t pid, uint32_t initial,
				  uint64_t start, uint64_t how)
{
	uint32_t second = KS_PID_KEY(initial, tree->slot) | INITIAL_NUMBER;

	if (!ks_const.pid_level) {
		if (!insert(KS_PID_KEY(pid, tree->slot), start, how))
			lose();
		return;
	}
	if (insert(second, pid, BPF_ANY)) {
		if (insert(KS_PID_KEY(pid, tree->slot), start, how))
			return;
		bpf_map_delete_elem(&ks_pids, &second);
	}
	lose();
}

/* ---- the window ------------------------------------------------------------------------------ */

/*
 * One step of descends(). Returns 1 if *task is in the tree; -1 if it is the init process or not
 * visible in the host's namespace; else 0, and sets *task to its parent, which RCU keeps alive.
 */
static __always_inline int climb(struct tree *tree, const struct task_struct **task)
{
	uint32_t pid = ks_tgid(&tree->run, *task);

	if (pid <= 1)
		return -1;
	if (is_in(tree, pid))
		return 1;
	*task = ks_read(&tree->run, *task, real_parent);
	return 0;
}

/* Is the task or any of its ancestors in the tree? */
static __always_inline bool descends(struct tree *tree, const struct task_struct *task)
{
	struct ks_turns turns;
	int end = 0;

	if (tree->run.typed && ks_const.iter_num) {
		bpf_iter_num_new(&turns, 0, ANCESTORS);
		while (!end && bpf_iter_num_next(&turns))
			end = climb(tree, &task);
		bpf_iter_num_destroy(&turns);
		return end > 0;
	}
#pragma clang loop unroll(disable)
	for (int i = 0; i < FEW_ANCESTORS && !end; i++)
		end = climb(tree, &task);
	return end > 0;
}

/*
 * Puts the child at `at` into the tree. Returns the next link, or NULL if the child was reaped
 * meanwhile: its links then point to itself.
 */
static __always_inline struct list_head *enrol_child(struct tree *tree, struct list_head *at)
{
	struct task_struct *child = (void *)at - bpf_core_field_offset(struct task_struct, sibling);
	struct list_head *next = BPF_CORE_READ(child, sibling.next);

	if (next == at)
		return NULL;
	enrol(tree, ks_tgid(&tree->run, child), BPF_CORE_READ(child, tgid),
	      BPF_CORE_READ(child, start_time), BPF_NOEXIST);
	return next;
}

static __always_inline void enrol_children(struct tree *tree, struct task_struct *task)
{
	struct list_head *head = (void *)task + bpf_core_field_offset(task->children), *at;
	bool iterate = tree->run.typed && ks_const.iter_num;
	struct ks_turns turns;

	at = ks_read(&tree->run, task, children.next);
	tree->run.typed = false; /* the verifier does not know the type of a list's entries */
	if (iterate) {
		bpf_iter_num_new(&turns, 0, CHILDREN);
		while (at && at != head && bpf_iter_num_next(&turns))
			at = enrol_child(tree, at);
		bpf_iter_num_destroy(&turns);
	} else {
#pragma clang loop unroll(disable)
		for (int i = 0; i < FEW_CHILDREN && at && at != head; i++)
			at = enrol_child(tree, at);
	}
}

/* ---- fork, exit, free, for one of two scopes ------------------------------------------------- */

/*
 * Begins a run for the scope in `slot`. Returns false if that scope is no tree. bits: trees(), read
 * once in a run, since the library may change it meanwhile.
 */
static __always_inline bool begin(struct tree *tree, uint32_t bits, uint32_t slot, const bool typed)
{
	*tree = (struct tree){ .run = { .typed = typed }, .slot = slot };
	return bits >> slot & KS_TREE_FOLLOW;
}

/* The same for the scope whose window is open, if there is one. At most one window is open. */
static __always_inline bool begin_window(struct tree *tree, uint32_t bits, const bool typed)
{
	*tree = (struct tree){ .run = { .typed = typed },
			       .slot = bits & KS_TREE_WINDOW << 1 ? 1 : 0 };
	return bits & (KS_TREE_WINDOW | KS_TREE_WINDOW << 1);
}

/*
 * Inserts a new process if its parent is in the tree. Else it removes the entry that a former
 * process with this number may have left, if a program missed its end. It does not remove it while
 * a window is open: the library may just have found this process and its parent.
 */
static __always_inline void forked(uint32_t bits, uint32_t slot, struct task_struct *parent,
				   uint32_t pid, uint32_t initial, uint64_t start, const bool typed)
{
	struct tree tree;
	uint32_t key = KS_PID_KEY(pid, slot);

	if (!begin(&tree, bits, slot, typed))
		return;
	if (is_in(&tree, ks_tgid(&tree.run, parent)))
		enrol(&tree, pid, initial, start, BPF_ANY);
	else if (!(bits >> slot & KS_TREE_WINDOW))
		bpf_map_delete_elem(&ks_pids, &key);
}

/*
 * Inserts a new process if any ancestor is in the tree. It looks twice: if an ancestor dies during
 * the first look, the kernel gives its children another parent. But the ancestor's exit has put
 * them into the tree before that, so the second look finds them.
 */
static __always_inline void forked_in_window(uint32_t bits, struct task_struct *parent,
					     uint32_t pid, uint32_t initial, uint64_t start,
					     const bool typed)
{
	struct tree tree;

	if (begin_window(&tree, bits, typed) &&
	    (descends(&tree, parent) || descends(&tree, parent)))
		enrol(&tree, pid, initial, start, BPF_ANY);
}

static __always_inline void forked_anywhere(uint32_t pid, uint32_t initial, uint64_t start,
					    struct task_struct *parent, const bool typed)
{
	uint32_t bits = trees();

	if (!bits || !pid)
		return;
	forked(bits, 0, parent, pid, initial, start, typed);
	forked(bits, 1, parent, pid, initial, start, typed);
	forked_in_window(bits, parent, pid, initial, start, typed);
}

/* The parent is the current task; see proc_fork(). Threads are not in ks_pids. */
static __always_inline int fork(struct task_struct *child, const bool typed)
{
	struct ks_run run = { .typed = typed };

	if (trees() && ks_read(&run, child, pid) == ks_read(&run, child, tgid))
		ks_by_self(typed, forked_anywhere, ks_tgid(&run, child), ks_read(&run, child, tgid),
			   ks_read(&run, child, start_time));
	return 0;
}

static __always_inline int exit(struct task_struct *task, const bool typed)
{
	struct tree tree;

	if (begin_window(&tree, trees(), typed) && descends(&tree, task))
		enrol_children(&tree, task);
	return 0;
}

/* Removes a process from the tree. nr: its process id in the initial namespace. */
static __always_inline void freed(uint32_t bits, uint32_t slot, uint32_t nr, uint64_t start_time)
{
	uint32_t key = KS_PID_KEY(nr, slot), initial = key | INITIAL_NUMBER;
	struct tree tree;
	uint64_t *start;

	if (!begin(&tree, bits, slot, false))
		return;
	if (ks_const.pid_level) {
		uint64_t *mine = bpf_map_lookup_elem(&ks_pids, &initial);

		if (!mine)
			return;
		key = KS_PID_KEY(*mine, slot);
	}
	start = bpf_map_lookup_elem(&ks_pids, &key);
	if (start && (!*start || *start == start_time)) {
		bpf_map_delete_elem(&ks_pids, &key);
		if (ks_const.pid_level)
			bpf_map_delete_elem(&ks_pids, &initial);
	}
}

static __always_inline int free(struct task_struct *task, const bool typed)
{
	struct ks_run run = { .typed = typed };
	uint32_t nr = ks_read(&run, task, tgid);
	uint64_t start = ks_read(&run, task, start_time);
	uint32_t bits = trees();

	/*
	 * Not a mere thread, nor the former first thread of a process in which another called exec.
	 */
	if (!bits || ks_read(&run, task, pid) != nr)
		return 0;
	freed(bits, 0, nr, start);
	freed(bits, 1, nr, start);
	return 0;
}

SEC("?ks/tp_btf/task_newtask")
int tree_fork_tp_btf(uint64_t *ctx)
{
	return fork(ks_untrusted((void *)ctx[0]), true);
}

SEC("?raw_tp/task_newtask")
int tree_fork_raw_tp(uint64_t *ctx)
{
	return fork((void *)ctx[0], false);
}

/* The record of the tracepoint has no start time, so this takes the present time. */
SEC("?tracepoint/task/task_newtask")
int tree_fork_tracepoint(struct trace_event_raw_task_newtask *ctx)
{
	struct task_struct *parent = (void *)bpf_get_current_task();

	if (trees() && !(ctx->clone_flags & CLONE_THREAD))
		forked_anywhere(ctx->pid, ctx->pid, bpf_ktime_get_ns(), parent, false);
	return 0;
}

SEC("?ks/tp_btf/sched_process_exit")
int tree_exit_tp_btf(uint64_t *ctx)
{
	return exit(ks_untrusted((void *)ctx[0]), true);
}

SEC("?raw_tp/sched_process_exit")
int tree_exit_raw_tp(uint64_t *ctx)
{
	return exit((void *)ctx[0], false);
}

SEC("?tracepoint/sched/sched_process_exit")
int tree_exit_tracepoint(void *ctx)
{
	return exit((void *)bpf_get_current_task(), false);
}

SEC("?ks/tp_btf/sched_process_free")
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
 * Thread ids are never keys. This program cannot check the start time, and need not: the kernel
 * would have to use all other numbers within the grace period between wait() and this hook before a
 * new process got this number.
 */
SEC("?tracepoint/sched/sched_process_free")
int tree_free_tracepoint(struct trace_event_raw_sched_process_template *ctx)
{
	uint32_t pid = ctx->pid, first = KS_PID_KEY(pid, 0), second = KS_PID_KEY(pid, 1);
	uint32_t bits = trees();

	if (bits & KS_TREE_FOLLOW)
		bpf_map_delete_elem(&ks_pids, &first);
	if (bits >> 1 & KS_TREE_FOLLOW)
		bpf_map_delete_elem(&ks_pids, &second);
	return 0;
}
