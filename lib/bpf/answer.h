/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer.h - what an error of bpf() or perf_event_open() says: never, once more, or not now
 *
 * The only place that decides it. Whoever keeps an error for the life of the handle, retries a call or
 * does without a hook asks here.
 */
#ifndef KS_ANSWER_H
#define KS_ANSWER_H

#include <signal.h>
#include <stdint.h>

#include <linux/bpf.h>
#include <linux/perf_event.h>

enum ks__answer {
	KS__ANSWER_FINAL,    /* the kernel lacks it or denies it; or no error */
	KS__ANSWER_PASSING,  /* a signal came in between: the same call works the next time */
	KS__ANSWER_BUSY,     /* somebody else uses it: may work a moment later, or much later */
	KS__ANSWER_SHORTAGE, /* out of memory or descriptors: works when the host has some again */
};

enum ks__answer ks__answer(int error);

/*
 * The call of the host fails with this error, and nothing is closed: passing, or a shortage. A fallback
 * would hide from the host that it only has to try again.
 */
int ks__answer_ends(int error);

#define KS__TRIES 64     /* of one system call: together they wait for 60 ms at most */
#define KS__TRIES_LOAD 8 /* of a load, which takes 20 ms */

/*
 * 1: make the call again. Waits a little longer before each, and answers 0 after `most` tries.
 * *tries: 0 at first.
 */
int ks__answer_again(int error, unsigned *tries, unsigned most);

/* The system calls, made again where that may help. A descriptor or 0; -errno. */
int ks__bpf(int command, union bpf_attr *attr);
int ks__perf_open(struct perf_event_attr *attr, int cpu); /* of all tasks; sets attr->size */
int ks__perf_ioctl(int fd, unsigned long request, unsigned long arg);
/* bpf_map_update_elem() */
int ks__map_put(int fd, const void *key, const void *value, uint64_t flags);
/* bpf_map_update_batch() */
int ks__map_put_batch(int fd, const void *keys, const void *values, uint32_t n);

/*
 * The verifier gives up (EAGAIN) as soon as a signal is pending for the thread. A load of 5 ms would
 * never end beside a timer of 1 kHz, so signals wait until it is over. Those that a thread raises by
 * itself, by a fault or a trapped system call, stay: a blocked one would kill the process.
 */
void ks__signals_hold(sigset_t *ret_before);
void ks__signals_release(const sigset_t *before);

static inline sigset_t ks__signals_held(void)
{
	sigset_t before;

	ks__signals_hold(&before);
	return before;
}

/* Of a function: to its end. Calls of the host's functions have no place there. */
#define KS__SIGNALS_HELD \
	__attribute__((cleanup(ks__signals_release), unused)) sigset_t held = ks__signals_held()

#endif
