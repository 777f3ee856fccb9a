/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* task.h - include/linux/sched.h, pid.h; included by ktypes.h */

struct pid {
	uint32_t level;
	struct upid numbers[1];
};

struct sched_entity {
	uint64_t sum_exec_runtime;
};

struct thread_info {
	kernel_long flags;
	uint32_t status; /* x86 */
};

/* include/linux/time_namespace.h; libbpf need not look up types without a name */
struct time_namespace {
	struct {
		struct {
			uint64_t tv_sec;
			kernel_long tv_nsec;
		} monotonic, boottime;
	} offsets;
};

/* include/linux/nsproxy.h */
struct nsproxy {
	struct time_namespace *time_ns; /* since 5.6 */
};

/* include/linux/io_uring_types.h and io_uring/tctx.h, since 5.13 */
struct io_ring_ctx {
	uint32_t cached_sq_head; /* number of requests that the kernel took from the queue */
};

struct io_uring_task {
	struct io_ring_ctx *last; /* the ring to which the task submitted last */
};

struct task_struct {
	struct thread_info thread_info; /* first member; needs CONFIG_THREAD_INFO_IN_TASK */
	uint32_t __state;
	uint32_t on_cpu;
	struct sched_entity se;
	struct mm_struct *mm;
	uint32_t exit_code;
	uint32_t pid;
	uint32_t tgid;
	struct task_struct *real_parent;
	struct list_head children;
	struct list_head sibling;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct list_head thread_node;
	uint64_t utime;
	uint64_t stime;
	kernel_long nvcsw;
	kernel_long nivcsw;
	uint64_t start_time; /* CLOCK_MONOTONIC */
	uint64_t start_boottime;
	kernel_long min_flt;
	kernel_long maj_flt;
	char comm[16];
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct task_io_accounting ioac;
	struct io_uring_task *io_uring; /* NULL: the task never used io_uring */
	struct css_set *cgroups;
};

struct task_struct___before_5_14 {
	kernel_long state;
};
