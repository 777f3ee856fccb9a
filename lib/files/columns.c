/* SPDX-License-Identifier: BSD-2-Clause */
/* columns.c - parses files whose numbers are identified by their position */
#include "columns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/text.h"

#define STAT_BYTES 2048

int ks__columns_numbers(const char *text, size_t length, uint64_t *ret_values, size_t n)
{
	const char *end = text + length;
	size_t i;

	for (i = 0; i < n; i++) {
		int rc = ks__text_number(&text, end, &ret_values[i]);

		if (rc)
			return rc;
	}
	return 0;
}

uint64_t ks__columns_tick_ns(void)
{
	return 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK); /* POSIX requires the answer */
}

/*
 * Format: "12 (comm) S 1 ...". A process chooses its comm, which may contain brackets and newlines.
 * The numbers after it contain no bracket, so comm ends at the last bracket of the text.
 */
int ks__columns_stat(const char *text, size_t length, struct ks__stat *ret)
{
	const char *end = text + length, *at = text, *comm, *close;
	struct ks__stat stat = { 0 };
	uint64_t pid;
	size_t n;
	int rc = ks__text_number(&at, end, &pid);

	if (rc)
		return rc;
	close = memrchr(at, ')', (size_t)(end - at));
	if (!close || close - at < 2 || at[1] != '(' || end - close < 4 || close[1] != ' ')
		return -EINVAL;
	comm = at + 2;
	if (pid > INT32_MAX)
		return -ERANGE;
	rc = ks__columns_numbers(close + 3, (size_t)(end - close - 3), stat.column + KS__STAT_PPID,
				 KS__STAT_COLUMNS - KS__STAT_PPID);
	if (rc)
		return rc;

	n = (size_t)(close - comm);
	memcpy(stat.comm, comm, n < sizeof(stat.comm) ? n : sizeof(stat.comm) - 1);
	stat.pid = (int32_t)pid;
	stat.state = close[2];
	*ret = stat;
	return 0;
}

int ks__columns_read_stat(int proc_fd, int32_t pid, struct ks__stat *ret)
{
	char path[32], text[STAT_BYTES];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/stat", (int)pid);
	n = ks__text_read(proc_fd, path, text, sizeof(text));
	return n < 0 ? (int)n : ks__columns_stat(text, (size_t)n, ret);
}
