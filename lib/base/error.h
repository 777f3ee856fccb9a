/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.h - what failed and what to do about it: the sentences of a handle, a thread each, and its log
 *
 * ks__fail() and ks__log() in ks.h are the way to call it for a handle.
 */
#ifndef KS_ERROR_H
#define KS_ERROR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <kernelsight/kernelsight.h>

#define KS__ERRORS 16 /* threads whose last sentence is kept */

struct ks__error {
	int32_t tid;
	uint32_t number; /* of all failures of the handle */
	char text[KS_ERROR_MAX];
};

struct ks__errors {
	pthread_mutex_t lock;
	struct ks__error kept[KS__ERRORS];
	unsigned next;
	_Atomic uint32_t n;
	ks_log_fn log; /* NULL: nothing is logged */
	void *log_user;
	uint32_t log_level; /* ks_log_level: the highest that is logged */
};

void ks__errors_init(struct ks__errors *errors);
void ks__errors_destroy(struct ks__errors *errors);

/* Keeps the sentence for the calling thread, logs it as a warning, returns code. */
int ks__errors_fail(struct ks__errors *errors, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void ks__errors_log(struct ks__errors *errors, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Keeps the sentence for the calling thread and logs nothing: what works with less says why. */
void ks__errors_note(struct ks__errors *errors, const char *text);
/*
 * A call that began at ks__errors_begin() ends with this code: of a failure for which nobody had a
 * sentence, the code's words are kept, not the sentence of an earlier call. Returns code.
 */
uint32_t ks__errors_begin(struct ks__errors *errors);
int ks__errors_end(struct ks__errors *errors, uint32_t begun, int code, const char *call);
/* snprintf() that ends a text that was cut with "...", between two characters. */
int ks__errors_print(char *buf, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The calling thread's sentence, cut to size. Returns the length of the whole; 0 if there is none. */
int ks__errors_last(struct ks__errors *errors, char *buf, size_t size);

#endif
