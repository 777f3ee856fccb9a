/* SPDX-License-Identifier: BSD-2-Clause */
/* error.c - error codes, their names and words, and the last message of each thread */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct code {
	int number;
	const char *name;
	const char *words;
};

/* The codes that the library returns, and errno values that it passes on from the kernel. */
static const struct code codes[] = {
	{ 0, "OK", "success" },
	{ KS_EUNAVAIL, "KS_EUNAVAIL", "not available on this machine" },
	{ KS_EOFF, "KS_EOFF", "the probe was never enabled" },
	{ KS_EFORKED, "KS_EFORKED", "the handle belongs to the parent process" },
	{ KS_EBALANCE, "KS_EBALANCE", "the ledger does not add up" },
	{ KS_ESILENT, "KS_ESILENT", "attached, but the events of the self-test were not counted" },
	{ KS_ECLOSED, "KS_ECLOSED", "the handle is closed" },
	{ E2BIG, "E2BIG", "members that only a newer release knows are set" },
	{ EACCES, "EACCES", "permission denied" },
	{ EAGAIN, "EAGAIN", "try again" },
	{ EBADF, "EBADF", "bad file descriptor" },
	{ EBUSY, "EBUSY", "another thread is consuming, or this one is inside a callback" },
	{ ECHILD, "ECHILD", "the child process ended too early" },
	{ EEXIST, "EEXIST", "exists already" },
	{ EFAULT, "EFAULT", "bad address" },
	{ EFBIG, "EFBIG", "larger than a file may be (RLIMIT_FSIZE)" },
	{ EINTR, "EINTR", "interrupted by a signal" },
	{ EINVAL, "EINVAL", "invalid argument" },
	{ EIO, "EIO", "input or output error" },
	{ EMFILE, "EMFILE", "too many open descriptors in this process" },
	{ ESTALE, "ESTALE", "a path leads elsewhere than before (chroot, a file server)" },
	{ ENAMETOOLONG, "ENAMETOOLONG", "name too long" },
	{ ENFILE, "ENFILE", "too many open files on this machine" },
	{ ENODEV, "ENODEV", "no such device" },
	{ ENOENT, "ENOENT", "not found" },
	{ ENOMEM, "ENOMEM", "out of memory" },
	{ ENOSPC, "ENOSPC", "no room" },
	{ ENOSYS, "ENOSYS", "this kernel has no such syscall" },
	{ ENOTSUP, "ENOTSUP", "not supported" },
	{ EPERM, "EPERM", "operation not permitted" },
	{ ESRCH, "ESRCH", "no such process or thread" },
	{ ETIMEDOUT, "ETIMEDOUT", "timed out" },
	{ 524, "ENOTSUPP", "not supported" }, /* kernel-internal; bpf() returns it */
};

static const struct code *find(int code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].number == code || codes[i].number == -code)
			return &codes[i];
	return NULL;
}

const char *ks_strerror(int code)
{
	const struct code *c = find(code);

	return c ? c->words : "unknown error";
}

const char *ks_error_name(int code)
{
	const struct code *c = find(code);

	return c ? c->name : "?";
}

void ks__errors_init(struct ks__errors *errors)
{
	pthread_mutex_init(&errors->lock, NULL);
	errors->log_level = KS_LOG_WARNING;
}

void ks__errors_destroy(struct ks__errors *errors)
{
	pthread_mutex_destroy(&errors->lock);
}

/* Ends a text that does not fit with "...", so that the reader sees that it was cut. */
static int print(char *buf, size_t size, const char *format, va_list args)
{
	static const char cut[] = "...";
	int length = vsnprintf(buf, size, format, args);
	size_t at;

	if (length < 0 || (size_t)length < size || size < sizeof(cut))
		return length;
	at = size - sizeof(cut);
	while (at && (buf[at] & 0xc0) == 0x80) /* inside a UTF-8 character */
		at--;
	memcpy(buf + at, cut, sizeof(cut));
	return length;
}

int ks__errors_print(char *buf, size_t size, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = print(buf, size, format, args);
	va_end(args);
	return length;
}

static void vlog(struct ks__errors *errors, int level, const char *format, va_list args)
{
	char text[KS_ERROR_MAX];

	if (!errors->log || (uint32_t)level > errors->log_level)
		return;
	print(text, sizeof(text), format, args);
	errors->log(level, text, errors->log_user);
}

void ks__errors_log(struct ks__errors *errors, int level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vlog(errors, level, format, args);
	va_end(args);
}

static struct ks__error *find_slot(struct ks__errors *errors, int32_t tid)
{
	for (unsigned i = 0; i < KS__ERRORS; i++)
		if (errors->kept[i].tid == tid)
			return &errors->kept[i];
	return NULL;
}

/* Keeps the message in the calling thread's slot, or else in the oldest slot. */
static void keep(struct ks__errors *errors, const char *format, va_list args)
{
	int32_t tid = gettid();
	struct ks__error *error;

	pthread_mutex_lock(&errors->lock);
	error = find_slot(errors, tid);
	if (!error)
		error = &errors->kept[errors->next++ % KS__ERRORS];
	error->tid = tid;
	error->number = atomic_fetch_add(&errors->n, 1) + 1;
	print(error->text, sizeof(error->text), format, args);
	pthread_mutex_unlock(&errors->lock);
}

int ks__errors_fail(struct ks__errors *errors, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	keep(errors, format, args);
	va_end(args);
	va_start(args, format);
	vlog(errors, KS_LOG_WARNING, format, args);
	va_end(args);
	return code;
}

static void note(struct ks__errors *errors, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	keep(errors, format, args);
	va_end(args);
}

void ks__errors_note(struct ks__errors *errors, const char *text)
{
	note(errors, "%s", text);
}

uint32_t ks__errors_begin(struct ks__errors *errors)
{
	return atomic_load_explicit(&errors->n, memory_order_relaxed);
}

int ks__errors_end(struct ks__errors *errors, uint32_t begun, int code, const char *call)
{
	const struct ks__error *error;
	int has_text;

	if (code >= 0)
		return code;
	pthread_mutex_lock(&errors->lock);
	error = find_slot(errors, gettid());
	has_text = error && (int32_t)(error->number - begun) > 0;
	pthread_mutex_unlock(&errors->lock);
	if (has_text)
		return code;
	return ks__errors_fail(errors, code, "%s: %s (%s)", call, ks_strerror(code),
			       ks_error_name(code));
}

int ks__errors_last(struct ks__errors *errors, char *buf, size_t size)
{
	const struct ks__error *error;
	int length;

	pthread_mutex_lock(&errors->lock);
	error = find_slot(errors, gettid());
	length = snprintf(buf, size, "%s", error ? error->text : "");
	pthread_mutex_unlock(&errors->lock);
	return length;
}
