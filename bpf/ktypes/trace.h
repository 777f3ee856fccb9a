/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* trace.h - records of classic tracepoints; included by ktypes.h */

struct trace_event_raw_task_newtask {
	uint32_t pid;
	kernel_long clone_flags;
};

struct trace_event_raw_sched_process_exec {
	uint32_t __data_loc_filename;
	uint32_t old_pid;
};

/* Since 6.16. Older kernels use sched_process_template, which has no group_dead. */
struct trace_event_raw_sched_process_exit {
	uint8_t group_dead;
};

struct trace_event_raw_sched_process_template {
	uint32_t pid;
};

struct trace_event_raw_mm_filemap_op_page_cache {
	uint8_t order; /* since 5.18 */
};

struct trace_event_raw_mm_filemap_op_page_cache_range {
	kernel_long i_ino;
	uint32_t s_dev;
	kernel_long index;
	kernel_long last_index;
};

struct trace_event_raw_page_cache_ra_op {
	kernel_long i_ino;
	uint32_t s_dev;
	kernel_long index;
	kernel_long req_count;
};

struct trace_event_raw_sys_enter {
	kernel_long args[6];
};

struct trace_event_raw_sys_exit {
	kernel_long ret;
};
