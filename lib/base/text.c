/* SPDX-License-Identifier: BSD-2-Clause */
/* text.c - small text files of the kernel, and the numbers in them */
#include "text.h"

#include <errno.h>
#include <unistd.h>

#include "file.h"

ssize_t ks__text_read(int dir_fd, const char *path, char *buf, size_t size)
{
	int fd = ks__file_open(dir_fd, path);
	ssize_t n = fd;

	if (fd < 0)
		return n;
	n = ks__file_read(fd, buf, size);
	close(fd);
	return n;
}

int ks__text_string(int dir_fd, const char *path, char *buf, size_t size)
{
	ssize_t n = ks__text_read(dir_fd, path, buf, size - 1);

	if (n >= 0)
		buf[n] = '\0';
	return (int)n;
}

int ks__text_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM ? error : 0;
}

static int is_blank(char c)
{
	return c == ' ' || c == '\t';
}

int ks__text_number(const char **at, const char *end, uint64_t *ret_value)
{
	const char *c = *at, *digits;
	uint64_t value = 0;
	int negative;

	while (c < end && is_blank(*c))
		c++;
	negative = c < end && *c == '-';
	digits = c += negative;
	for (; c < end && *c >= '0' && *c <= '9'; c++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value))
			return -ERANGE;
	}
	if (c == digits || c == end || !(is_blank(*c) || *c == '\n'))
		return -EINVAL;
	if (negative && value > (uint64_t)INT64_MAX + 1)
		return -ERANGE;
	*ret_value = negative ? 0 - value : value;
	*at = c;
	return 0;
}
