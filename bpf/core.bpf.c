/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core.bpf.c - the maps and constants that all programs share */
#define KS_MAP

#include "probe.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * Run by the caller on itself (BPF_PROG_TEST_RUN), never attached: level of its pid namespace << 24
 * | its own number there. Numbers are below 2^22, levels at most 32.
 */
SEC("?raw_tp")
int ks_whoami(void *ctx)
{
	struct task_struct *task = ks_untrusted((void *)bpf_get_current_task());
	const struct pid *pid = BPF_CORE_READ(task, thread_pid);
	uint32_t level = BPF_CORE_READ(pid, level), nr = 0;

	bpf_probe_read_kernel(&nr, sizeof(nr), &ks_numbers(pid)[level].nr);
	return level << 24 | nr;
}
