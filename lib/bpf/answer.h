/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer.h - what an errno of bpf() or perf_event_open() means: final, worth a retry, or a shortage
 *
 * Only this file decides it. Code asks here before it caches an error for the life of the handle,
 * retries a call or gives up a hook.
 */
#ifndef KS_ANSWER_H
#define KS_ANSWER_H

#include <signal.h>
#include <stdint.h>

#include <linux/bpf.h>
#include <linux/perf_event.h>

enum ks__answer {
	KS__ANSWER_FINAL,    /* no error, or the kernel lacks the feature or denies it */
	KS__ANSWER_PASSING,  /* a signal interrupted the call: the same call works the next time */
	KS__ANSWER_BUSY,     /* the resource is in use: a retry may work soon, or much later */
	KS__ANSWER_SHORTAGE, /* no memory or descriptors: works when the host has some again */
	KS__ANSWER_HOST,     /* the host's root or limits: works when the host changes them */
};

enum ks__answer ks__answer(int error);

/*
 * 1: the host's call fails with this error and closes nothing (PASSING, SHORTAGE).
 * Using a fallback instead would hide from the host that it only has to retry. HOST is none of
 * these: a host that called chroot() or limits its files usually keeps that, so it gets the
 * fallback. The next call that prepares or enables the probe tries again.
 */
int ks__answer_ends(int error);

#define KS__TRIES 64     /* tries of one syscall; all their waits together take at most 60 ms */
#define KS__TRIES_LOAD 8 /* tries of one load; a load takes 20 ms */

/*
 * Returns 1 to repeat the call, after a wait that grows with each try; returns 0 after `most`
 * tries. The caller sets *tries to 0 before the first call.
 */
int ks__answer_again(int error, unsigned *tries, unsigned most);

/* Syscalls with retries where a retry may help. They return a descriptor or 0, or -errno. */
int ks__bpf(int command, union bpf_attr *attr);
int ks__perf_open(struct perf_event_attr *attr, int cpu); /* for all tasks; sets attr->size */
int ks__perf_ioctl(int fd, unsigned long request, unsigned long arg);
/* bpf_map_update_elem() */
int ks__map_put(int fd, const void *key, const void *value, uint64_t flags);
/* bpf_map_update_batch() */
int ks__map_put_batch(int fd, const void *keys, const void *values, uint32_t n);

/*
 * ks__signals_hold() blocks the thread's signals during a load. The verifier gives up (EAGAIN) as
 * soon as the thread has a pending signal, so a load of 5 ms would never end beside a 1 kHz timer.
 * Signals that a thread raises itself, by a fault or a trapped syscall, stay unblocked: the kernel
 * kills a process that blocks them.
 */
void ks__signals_hold(sigset_t *ret_before);
void ks__signals_release(const sigset_t *before);

static inline sigset_t ks__signals_held(void)
{
	sigset_t before;

	ks__signals_hold(&before);
	return before;
}

/* Holds signals until the enclosing function returns. That function must not call the host. */
#define KS__SIGNALS_HELD \
	__attribute__((cleanup(ks__signals_release), unused)) sigset_t held = ks__signals_held()

#endif
