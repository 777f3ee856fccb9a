/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"

#define TRIES_AT_ONCE 8
#define WAIT_MAX_NS 1000000u

enum ks__answer ks__answer(int error)
{
	switch (error) {
	case -EAGAIN: /* the verifier, if the thread has a pending signal */
	case -EINTR:
		return KS__ANSWER_PASSING;
	case -EBUSY: /* the map is locked, or something else uses the function or event */
		return KS__ANSWER_BUSY;
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
		return KS__ANSWER_SHORTAGE;
	case -ESTALE: /* ks__types_path(): chroot() */
	case -EFBIG:  /* ks__types_path(): RLIMIT_FSIZE */
		return KS__ANSWER_HOST;
	default:
		return KS__ANSWER_FINAL;
	}
}

int ks__answer_ends(int error)
{
	enum ks__answer answer = ks__answer(error);

	return answer == KS__ANSWER_PASSING || answer == KS__ANSWER_SHORTAGE;
}

/*
 * The first few retries do not wait: a signal that only announces task work is gone as soon as the
 * thread returns to user space.
 */
int ks__answer_again(int error, unsigned *tries, unsigned most)
{
	enum ks__answer answer = ks__answer(error);
	struct timespec wait = { 0, WAIT_MAX_NS };

	if (answer != KS__ANSWER_PASSING && answer != KS__ANSWER_BUSY)
		return 0;
	if (++*tries >= most)
		return 0;
	if (*tries <= TRIES_AT_ONCE)
		return 1;
	if (*tries - TRIES_AT_ONCE < 10)
		wait.tv_nsec = 1000l << (*tries - TRIES_AT_ONCE);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL);
	return 1;
}

/* ---- syscalls -------------------------------------------------------------------------------- */

int ks__bpf(int command, union bpf_attr *attr)
{
	unsigned tries = 0;
	int rc;

	do {
		rc = (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
		rc = rc < 0 ? -errno : rc;
	} while (ks__answer_again(rc, &tries, KS__TRIES));
	return rc;
}

int ks__perf_open(struct perf_event_attr *attr, int cpu)
{
	unsigned tries = 0;
	int fd;

	attr->size = sizeof(*attr);
	do {
		fd = (int)syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	} while (ks__answer_again(fd, &tries, KS__TRIES));
	return fd;
}

int ks__perf_ioctl(int fd, unsigned long request, unsigned long arg)
{
	unsigned tries = 0;
	int rc;

	do
		rc = ioctl(fd, request, arg) ? -errno : 0;
	while (ks__answer_again(rc, &tries, KS__TRIES));
	return rc;
}

int ks__map_put(int fd, const void *key, const void *value, uint64_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = (uint64_t)(uintptr_t)key;
	attr.value = (uint64_t)(uintptr_t)value;
	attr.flags = flags;
	return ks__bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

int ks__map_put_batch(int fd, const void *keys, const void *values, uint32_t n)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.batch.map_fd = (uint32_t)fd;
	attr.batch.keys = (uint64_t)(uintptr_t)keys;
	attr.batch.values = (uint64_t)(uintptr_t)values;
	attr.batch.count = n;
	return ks__bpf(BPF_MAP_UPDATE_BATCH, &attr);
}

/* ---- signals --------------------------------------------------------------------------------- */

void ks__signals_hold(sigset_t *ret_before)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
	sigset_t all;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&all, own[i]);
	pthread_sigmask(SIG_BLOCK, &all, ret_before);
}

void ks__signals_release(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}
