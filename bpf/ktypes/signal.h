/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* signal.h - include/linux/sched/signal.h and task_io_accounting.h; included by ktypes.h */

/* Empty without CONFIG_TASK_IO_ACCOUNTING. */
struct task_io_accounting {
	uint64_t syscr; /* read syscalls that returned */
	uint64_t read_bytes;
	uint64_t write_bytes;
};

/* A process: what its threads share, and the sums over its released threads. */
struct signal_struct {
	struct {
		uint32_t counter;
	} live;
	uint32_t nr_threads; /* length of the list thread_head */
	struct list_head thread_head;
	uint32_t group_exit_code;
	uint32_t flags;
	struct pid *pids[4];
	struct {
		struct {
			struct {
				uint32_t sequence;
			} seqcount;
		} seqcount;
	} stats_lock; /* protects the members below and thread_head; since 5.10 */
	uint64_t utime;
	uint64_t stime;
	kernel_long min_flt;
	kernel_long maj_flt;
	kernel_long maxrss; /* pages */
	struct task_io_accounting ioac;
	uint64_t sum_sched_runtime;
};

#define SIGNAL_GROUP_EXIT 0x4 /* group_exit_code is the exit code of the process */
