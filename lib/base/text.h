/* SPDX-License-Identifier: BSD-2-Clause */
/* text.h - small text files of the kernel, and the numbers in them */
#ifndef KS_TEXT_H
#define KS_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Reads the first bytes of a file below dir_fd, up to size, into buf; adds no NUL. Returns the
 * length or -errno.
 */
ssize_t ks__text_read(int dir_fd, const char *path, char *buf, size_t size);

/*
 * Of an error of these functions about a process: the error if descriptors or memory are short,
 * else 0, because the process is gone or may not be read. Whoever lists processes must not take the
 * first for the second.
 */
int ks__text_shortage(int error);

/* The same, up to size - 1 bytes, and adds a NUL. */
int ks__text_string(int dir_fd, const char *path, char *buf, size_t size);

/*
 * Parses the decimal number at *at, after blanks, and moves *at behind it. A negative number is
 * stored in two's complement. A blank, a tab or a newline must follow, because a text cut at `end`
 * may hold only part of a number. Returns 0, -EINVAL (no number) or -ERANGE (more than 64 bits).
 */
int ks__text_number(const char **at, const char *end, uint64_t *ret_value);

#endif
