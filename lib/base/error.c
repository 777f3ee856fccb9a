/* SPDX-License-Identifier: BSD-2-Clause */
/* error.c - codes, their words, and the sentence that says what to do */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

struct code {
	int number;
	const char *name;
	const char *words;
};

/* What the library returns. errno values that the kernel may pass through it are here as well. */
static const struct code codes[] = {
	{ 0, "OK", "success" },
	{ KS_EUNAVAIL, "KS_EUNAVAIL", "not available on this machine" },
	{ KS_EOFF, "KS_EOFF", "the probe was never enabled" },
	{ KS_EFORKED, "KS_EFORKED", "the handle belongs to the parent process" },
	{ KS_EBALANCE, "KS_EBALANCE", "the ledger does not add up" },
	{ KS_ESILENT, "KS_ESILENT", "attached, but an event that was provoked was not counted" },
	{ KS_ECLOSED, "KS_ECLOSED", "the handle is closed" },
	{ E2BIG, "E2BIG", "members of a newer release are set" },
	{ EACCES, "EACCES", "permission denied" },
	{ EAGAIN, "EAGAIN", "try again" },
	{ EBADF, "EBADF", "bad file descriptor" },
	{ EBUSY, "EBUSY", "another thread is consuming, or this one is inside a callback" },
	{ EEXIST, "EEXIST", "exists already" },
	{ EFAULT, "EFAULT", "bad address" },
	{ EINTR, "EINTR", "interrupted by a signal" },
	{ EINVAL, "EINVAL", "invalid argument" },
	{ EIO, "EIO", "input or output error" },
	{ EMFILE, "EMFILE", "too many open descriptors in this process" },
	{ ENAMETOOLONG, "ENAMETOOLONG", "name too long" },
	{ ENFILE, "ENFILE", "too many open files on this machine" },
	{ ENODEV, "ENODEV", "no such device" },
	{ ENOENT, "ENOENT", "no such thing" },
	{ ENOMEM, "ENOMEM", "out of memory" },
	{ ENOSPC, "ENOSPC", "no room" },
	{ ENOSYS, "ENOSYS", "this kernel has no such system call" },
	{ ENOTSUP, "ENOTSUP", "not supported" },
	{ EPERM, "EPERM", "operation not permitted" },
	{ ESRCH, "ESRCH", "no such process or thread" },
	{ ETIMEDOUT, "ETIMEDOUT", "timed out" },
	{ 524, "ENOTSUPP", "not supported" }, /* the kernel's own number, that bpf() lets out */
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

static void vlog(struct ks__errors *errors, int level, const char *format, va_list args)
{
	char text[512];

	if (!errors->log || (uint32_t)level > errors->log_level)
		return;
	vsnprintf(text, sizeof(text), format, args);
	errors->log(level, text, errors->log_user);
}

void ks__errors_log(struct ks__errors *errors, int level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vlog(errors, level, format, args);
	va_end(args);
}

/* The slot of this thread, or the oldest one. */
static struct ks__error *slot_of(struct ks__errors *errors, int32_t tid)
{
	for (unsigned i = 0; i < KS__ERRORS; i++)
		if (errors->kept[i].tid == tid)
			return &errors->kept[i];
	return &errors->kept[errors->next++ % KS__ERRORS];
}

int ks__errors_fail(struct ks__errors *errors, int code, const char *format, ...)
{
	struct ks__error *error;
	va_list args;

	pthread_mutex_lock(&errors->lock);
	error = slot_of(errors, gettid());
	error->tid = gettid();
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	pthread_mutex_unlock(&errors->lock);

	va_start(args, format);
	vlog(errors, KS_LOG_WARNING, format, args);
	va_end(args);
	return code;
}

int ks__errors_last(struct ks__errors *errors, char *buf, size_t size)
{
	const char *text = "";
	int32_t tid = gettid();
	int length;

	pthread_mutex_lock(&errors->lock);
	for (unsigned i = 0; i < KS__ERRORS; i++)
		if (errors->kept[i].tid == tid)
			text = errors->kept[i].text;
	length = snprintf(buf, size, "%s", text);
	pthread_mutex_unlock(&errors->lock);
	return length;
}
