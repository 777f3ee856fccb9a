/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* signal.h - include/linux/sched/signal.h and task_io_accounting.h; included by ktypes.h */

/* Empty without CONFIG_TASK_IO_ACCOUNTING. */
struct task_io_accounting {
	uint64_t syscr; /* reads that have ended */
	uint64_t read_bytes;
	uint64_t write_bytes;
};

/* A process: what its threads share, and the sums over those that are gone. */
struct signal_struct {
	struct {
		uint32_t counter;
	} live;
	uint32_t nr_threads; /* linked in thread_head */
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
	} stats_lock; /* of what follows, and of thread_head; 5.10 */
	uint64_t utime;
	uint64_t stime;
	kernel_long min_flt;
	kernel_long maj_flt;
	kernel_long maxrss; /* pages */
	struct task_io_accounting ioac;
	uint64_t sum_sched_runtime;
};

#define SIGNAL_GROUP_EXIT 0x4 /* group_exit_code is that of the process */
