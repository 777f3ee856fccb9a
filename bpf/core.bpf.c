/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core.bpf.c - the maps and constants that all kernel programs share */
#define KS_MAP

#include "probe.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Offset of a clock in a time namespace (Linux 5.6), ns. */
#define timens_offset(nsproxy, clock)                                         \
	(BPF_CORE_READ(nsproxy, time_ns, offsets.clock.tv_sec) * 1000000000 + \
	 BPF_CORE_READ(nsproxy, time_ns, offsets.clock.tv_nsec))

static __always_inline uint64_t whoami(uint64_t what)
{
	struct task_struct *task = ks_untrusted((void *)bpf_get_current_task());
	const struct pid *pid = BPF_CORE_READ(task, thread_pid);
	const struct nsproxy *nsproxy = BPF_CORE_READ(task, nsproxy);
	uint32_t level = BPF_CORE_READ(pid, level), nr = 0;

	if (what == KS_WHOAMI_PID) {
		bpf_probe_read_kernel(&nr, sizeof(nr), &ks_numbers(pid)[level].nr);
		return level << 24 | nr;
	}
	if (what == KS_WHOAMI_START_LOW)
		return BPF_CORE_READ(task, start_boottime);
	if (!bpf_core_field_exists(nsproxy->time_ns))
		return 0;
	return what == KS_WHOAMI_MONO_LOW ? timens_offset(nsproxy, monotonic) :
					    timens_offset(nsproxy, boottime);
}

/*
 * Returns facts about the calling thread. The library runs it with BPF_PROG_TEST_RUN and never
 * attaches it. ctx[0]: ks_bpf_whoami. Process ids are below 2^22 and levels are at most 32, so both
 * fit into 32 bits. The high half of a 64-bit number has the argument of its low half + 1.
 */
SEC("?raw_tp")
int ks_whoami(uint64_t *ctx)
{
	switch (ctx[0]) {
	case KS_WHOAMI_MONO_HIGH:
	case KS_WHOAMI_BOOT_HIGH:
	case KS_WHOAMI_START_HIGH:
		return whoami(ctx[0] - 1) >> 32;
	}
	return whoami(ctx[0]);
}

/*
 * Returns the level of a cgroup + 1, or 0 if ctx[0], a descriptor of the calling process, is not
 * that of a cgroup's folder. Run like ks_whoami(). The path of a cgroup does not give its level,
 * since a cgroup namespace or a mount may begin at any level.
 */
SEC("?raw_tp")
int ks_cgroup_level(uint64_t *ctx)
{
	struct task_struct *task = ks_untrusted((void *)bpf_get_current_task());
	struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = NULL;
	const struct kernfs_node *kn;
	const struct cgroup *cgroup;

	bpf_probe_read_kernel(&file, sizeof(file), files + (uint32_t)ctx[0]);
	kn = BPF_CORE_READ(file, f_inode, i_private);
	cgroup = BPF_CORE_READ(kn, priv);
	if (!cgroup || BPF_CORE_READ(cgroup, kn) != kn)
		return 0;
	return BPF_CORE_READ(cgroup, level) + 1;
}
