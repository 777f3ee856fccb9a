/* SPDX-License-Identifier: BSD-2-Clause */
/* text.h - small text files of the kernel, and the numbers in them */
#ifndef KS_TEXT_H
#define KS_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The beginning of a file below a directory, up to size bytes, into the caller's buffer; no NUL is
 * added. Returns its length, or -errno.
 */
ssize_t ks__text_read(int dir_fd, const char *path, char *buf, size_t size);

/* The same with a NUL behind it, up to size - 1 bytes. */
int ks__text_string(int dir_fd, const char *path, char *buf, size_t size);

/*
 * The decimal number at *at, after blanks; *at then points behind it. Negative ones come out in
 * two's complement. A blank, a tab or a newline must follow: what was cut off is not a number.
 * 0, -EINVAL (no number), -ERANGE (more than 64 bits).
 */
int ks__text_number(const char **at, const char *end, uint64_t *ret_value);

#endif
