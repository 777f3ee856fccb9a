/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.h - the error messages of a handle, one for each thread, and its log
 *
 * A message says what failed and what to do. Code that has a handle calls ks__fail() and ks__log()
 * of ks.h.
 */
#ifndef KS_ERROR_H
#define KS_ERROR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <kernelsight/kernelsight.h>

#define KS__ERRORS 16 /* number of threads whose last message is kept */

struct ks__error {
	int32_t tid;
	uint32_t number; /* counts the failures of the handle */
	char text[KS_ERROR_MAX];
};

struct ks__errors {
	pthread_mutex_t lock;
	struct ks__error kept[KS__ERRORS];
	unsigned next;
	_Atomic uint32_t n;
	ks_log_fn log; /* NULL: nothing is logged */
	void *log_user;
	uint32_t log_level; /* the highest ks_log_level that is logged */
};

void ks__errors_init(struct ks__errors *errors);
void ks__errors_destroy(struct ks__errors *errors);

/* Keeps the message for the calling thread, logs it as a warning and returns `code`. */
int ks__errors_fail(struct ks__errors *errors, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void ks__errors_log(struct ks__errors *errors, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Keeps the message for the calling thread without logging it: for calls that succeed in part. */
void ks__errors_note(struct ks__errors *errors, const char *text);
/*
 * A public call begins with ks__errors_begin() and passes the result, as `begun`, to
 * ks__errors_end(). If the call fails and has kept no message of its own, ks__errors_end() keeps
 * the words of `code`, so that the message of an earlier call does not stay. Returns `code`.
 */
uint32_t ks__errors_begin(struct ks__errors *errors);
int ks__errors_end(struct ks__errors *errors, uint32_t begun, int code, const char *call);
/* Like snprintf(), but a text that does not fit ends with "..." after a whole UTF-8 character. */
int ks__errors_print(char *buf, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Copies the calling thread's message, cut to size. Returns its full length; 0: there is none. */
int ks__errors_last(struct ks__errors *errors, char *buf, size_t size);

#endif
