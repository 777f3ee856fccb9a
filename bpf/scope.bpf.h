/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* scope.bpf.h - is a task in the scope that the host has set? A part of probe.bpf.h */
#ifndef KS_SCOPE_BPF_H
#define KS_SCOPE_BPF_H

/* Does the thread's name fit the scope? */
static __always_inline bool ks_has_name(const struct ks_bpf_scope *scope, struct ks_run *run,
					const struct task_struct *task)
{
	uint64_t comm[2];

	ks_comm(run, task, comm);
	if (scope->flags & KS_SCOPE_HAS_COMM &&
	    (comm[0] != scope->comm[0] || comm[1] != scope->comm[1]))
		return false;
	return !(scope->flags & KS_SCOPE_HAS_EXCLUDE && comm[0] == scope->exclude[0] &&
		 comm[1] == scope->exclude[1]);
}

/* Is the task the child of a self-test, or a child of that process? */
static __always_inline bool ks_is_selftest(struct ks_run *run, const struct task_struct *task,
					   uint32_t child)
{
	return run->pid == child || ks_tgid(run, ks_read(run, task, real_parent)) == child;
}

/* Id of the ancestor of cgroup `at` at `level`, which must be less than the level of `at`. */
static __always_inline uint64_t ks_ancestor(struct ks_run *run, const struct cgroup *at,
					    uint32_t level)
{
	const struct cgroup *up = NULL;
	uint64_t id = 0;

	if (!bpf_core_field_exists(at->ancestors)) {
		bpf_probe_read_kernel(
			&id, sizeof(id),
			(const void *)at +
				bpf_core_field_offset(struct cgroup___before_6_1, ancestor_ids) +
				level * sizeof(id));
		return id;
	}
	bpf_probe_read_kernel(&up, sizeof(up),
			      (const void *)at + bpf_core_field_offset(struct cgroup, ancestors) +
				      level * sizeof(up));
	if (!run->typed || !ks_const.rdonly_cast)
		return BPF_CORE_READ(up, kn, id);
	up = bpf_rdonly_cast(up, ks_const.cgroup_type);
	return up->kn->id;
}

/*
 * Is cgroup `at` the scope's cgroup or below it? The kernel stores the ancestors of each cgroup by
 * level, so the check costs the same at every depth. A task cannot leave the scope by making many
 * nested cgroups.
 */
static __always_inline bool ks_is_under(struct ks_run *run, const struct cgroup *at,
					const struct ks_bpf_scope *scope)
{
	uint32_t level = scope->level - 1, its = ks_read(run, at, level);
	const struct kernfs_node *kn;

	if (its < level)
		return false;
	if (its > level)
		return ks_ancestor(run, at, level) == scope->cgroup;
	kn = ks_read(run, at, kn);
	return ks_read(run, kn, id) == scope->cgroup;
}

/*
 * How many parents of a cgroup a program looks at if the level of the scope's cgroup is not known.
 */
#define KS_CGROUP_TURNS 1024
#define KS_CGROUP_DEPTH 32 /* the same where the verifier checks each turn of the loop */

/* ks_climbs_to() with an iterator. */
static __always_inline int ks_walk_up(const struct cgroup_subsys_state *css, uint64_t cgroup)
{
	struct ks_turns turns;
	int found = 0;

	bpf_iter_num_new(&turns, 0, KS_CGROUP_TURNS);
	while (css && !found && bpf_iter_num_next(&turns)) {
		found = css->cgroup->kn->id == cgroup;
		css = css->parent;
	}
	bpf_iter_num_destroy(&turns);
	return found ? 1 : css ? -1 : 0;
}

/*
 * Walks up from a cgroup through its parents. Returns 1 if it meets the cgroup with the id
 * `cgroup`, 0 if it does not, -1 if there are more parents than it looks at.
 */
static __always_inline int ks_climbs_to(struct ks_run *run, const struct cgroup_subsys_state *css,
					uint64_t cgroup)
{
	if (run->typed && ks_const.iter_num)
		return ks_walk_up(css, cgroup);
#pragma clang loop unroll(disable)
	for (int i = 0; i < KS_CGROUP_DEPTH && css; i++) {
		const struct cgroup *at = ks_read(run, css, cgroup);
		const struct kernfs_node *kn = ks_read(run, at, kn);

		if (ks_read(run, kn, id) == cgroup)
			return 1;
		css = ks_read(run, css, parent);
	}
	return css ? -1 : 0;
}

/*
 * Is the task's cgroup, in the memory controller's hierarchy, the scope's cgroup or below it? If
 * the program cannot find out, the task is out of scope, and the run counts as KS_AMBIGUOUS of
 * KS_PROBE_SELF.
 */
static __always_inline bool ks_is_below(struct ks_run *run, const struct task_struct *task,
					const struct ks_bpf_scope *scope)
{
	const struct css_set *set = ks_read(run, task, cgroups);
	const struct cgroup_subsys_state *css;
	int is;

	if (ks_const.memcg_v1)
		css = ks_read(run, set,
			      subsys[bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id)]);
	else
		css = (const void *)ks_read(run, set, dfl_cgrp) +
		      bpf_core_field_offset(struct cgroup, self);
	/* Without helpers no program can index the ancestors of a cgroup. */
	if (scope->level && (!run->typed || ks_const.kernel_reads))
		return ks_is_under(run, ks_read(run, css, cgroup), scope);
	is = ks_climbs_to(run, css, scope->cgroup);
	if (is < 0)
		ks_add(&run->slot->probe[KS_PROBE_SELF].outcome[KS_AMBIGUOUS], 1);
	return is > 0;
}

/*
 * Is the task's process the one that the host named, and not a later one with the same number?
 * *named is its value in ks_pids, see KS_PID_TICK.
 */
static __always_inline bool ks_is_named(struct ks_run *run, const struct task_struct *task,
					uint64_t *named)
{
	const struct task_struct *leader = ks_read(run, task, group_leader);
	uint64_t want = *(volatile uint64_t *)named;
	uint64_t start = (ks_read(run, leader, start_boottime) + ks_const.boot_ns) & ~KS_PID_TICK;

	if (want == start)
		return true;
	if (want && (!(want & KS_PID_TICK) || ((start - want) & ~KS_PID_TICK) >= ks_const.tick_ns))
		return false;
	*(volatile uint64_t *)named = start;
	return true;
}

/*
 * Is this thread in scope? Sets run->pid to its process id in the host's pid namespace, and
 * KS_FLAG_SELFTEST in run->flags if it is a child of a self-test.
 */
static __always_inline bool ks_admit(struct ks_run *run, const struct task_struct *task)
{
	uint32_t slot = *(volatile uint32_t *)&run->control->scope_index & 1;
	const struct ks_bpf_scope *scope = &run->control->scope[slot];
	uint32_t pid = ks_tgid(run, task), key = KS_PID_KEY(pid, slot);
	uint64_t *named;

	run->pid = pid;
	/*
	 * Not visible in the host's nested namespace. In the initial one only idle tasks have pid
	 * 0.
	 */
	if (ks_const.pid_level && !pid)
		return false;
	if (scope->also && ks_is_selftest(run, task, scope->also)) {
		run->flags |= KS_FLAG_SELFTEST;
		return true;
	}
	if (scope->kind == KS_BPF_SCOPE_SELF) {
		if (pid != scope->self)
			return false;
	} else if (scope->kind == KS_BPF_SCOPE_CGROUP) {
		if (!ks_is_below(run, task, scope))
			return false;
	} else if (scope->kind != KS_BPF_SCOPE_SYSTEM) {
		named = bpf_map_lookup_elem(&ks_pids, &key);
		/*
		 * tree.bpf.c removes a process of a tree when it ends or its number is used again
		 */
		if (!named || (scope->kind == KS_BPF_SCOPE_PIDS && !ks_is_named(run, task, named)))
			return false;
	}
	return !scope->flags || ks_has_name(scope, run, task);
}

#endif
