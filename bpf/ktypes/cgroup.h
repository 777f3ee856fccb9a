/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cgroup.h - include/linux/cgroup-defs.h and kernfs.h; included by ktypes.h */

struct kernfs_node {
	uint64_t id; /* inode number of the folder */
	void *priv; /* the cgroup, if the folder is that of a cgroup */
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	uint32_t level;              /* 0: the root of its hierarchy */
	struct cgroup *ancestors[1]; /* one for each level, from the root to this cgroup */
};

/* Before 6.1 (7f203bc89eb6, "cgroup: Replace cgroup->ancestor_ids[] with ->ancestors[]") */
struct cgroup___before_6_1 {
	uint64_t ancestor_ids[1];
};

/* The value depends on the kernel's configuration: read it with bpf_core_enum_value(). */
enum cgroup_subsys_id {
	memory_cgrp_id = 4,
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp; /* the task's cgroup in the v2 hierarchy */
};
