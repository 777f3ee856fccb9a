/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * played.h - the test plays the kernel: it answers bpf(), perf_event_open(), ioctl() and capget()
 *
 * A test program that links played.c has its own syscall() and ioctl(); other syscalls reach the
 * kernel. Calls inside libbpf are answered as well.
 */
#ifndef KS_TEST_PLAYED_H
#define KS_TEST_PLAYED_H

#include <stdint.h>

#include <linux/bpf.h>
#include <linux/perf_event.h>

/* One call: its number (SYS_bpf, SYS_perf_event_open; 0: ioctl) and what the test needs of it. */
struct played_call {
	long number;
	long args[4];
	union bpf_attr bpf;
	struct perf_event_attr perf;
	char name[64]; /* the event of BPF_RAW_TRACEPOINT_OPEN, or the target of a kprobe */
};

struct played {
	unsigned n; /* calls so far */
	struct played_call calls[128];
	/* Answers of the first calls: a result, or -errno. The rest is answered with 0. */
	int answers[128];
	uint64_t caps; /* that capget() tells */
};

extern struct played played;

/* No calls so far, all answers 0, all capabilities. */
void played_begin(void);

#endif
