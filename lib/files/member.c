/* SPDX-License-Identifier: BSD-2-Clause */
/* member.c - tests whether a process is in a cgroup or below it */
#include "member.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/file.h"
#include "../base/text.h"

#define WHOLE_MAX (1u << 20)

/* Is "memory" one of these names, which commas separate? */
static int has_memory(const char *names, const char *end)
{
	static const char memory[] = "memory";
	const size_t n = sizeof(memory) - 1;

	for (const char *at = names; at < end;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop = comma ? comma : end;

		if ((size_t)(stop - at) == n && !memcmp(at, memory, n))
			return 1;
		at = stop + 1;
	}
	return 0;
}

/* Format of a line: number:controllers:path. The line of cgroup v2 has no controllers. */
const char *ks__member_path(const char *text, size_t length, size_t *ret_length)
{
	const char *end = text + length, *found = NULL;

	for (const char *line = text, *next; line < end; line = next) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		const char *names, *path;

		if (!stop)
			return found; /* cut off */
		next = stop + 1;
		names = memchr(line, ':', (size_t)(stop - line));
		path = names ? memchr(names + 1, ':', (size_t)(stop - names - 1)) : NULL;
		if (!path)
			continue;
		if (path == names + 1 ? found != NULL : !has_memory(names + 1, path))
			continue;
		found = path + 1;
		*ret_length = (size_t)(stop - found);
		if (path != names + 1)
			return found;
	}
	return found;
}

static int is_below(const char *text, size_t got, const char *cgroup)
{
	size_t n = strlen(cgroup), length;
	const char *path = ks__member_path(text, got, &length);

	if (!path)
		return -ENOENT;
	if (n == 1) /* the root */
		return 1;
	return length >= n && !memcmp(path, cgroup, n) && (length == n || path[n] == '/');
}

/*
 * Most files fit into the buffer. In deep cgroups a line can have 4 KiB, and v1 has a line for each
 * controller.
 */
int ks__member_below(int proc_fd, int32_t pid, const char *cgroup)
{
	char file[32], text[4096], *whole;
	size_t length;
	ssize_t got;
	int rc;

	snprintf(file, sizeof(file), "%d/cgroup", pid);
	got = ks__text_read(proc_fd, file, text, sizeof(text));
	if (got < 0)
		return (int)got;
	if ((size_t)got < sizeof(text))
		return is_below(text, (size_t)got, cgroup);
	rc = ks__file_whole(proc_fd, file, WHOLE_MAX, &whole, &length);
	if (rc)
		return rc;
	rc = is_below(whole, length, cgroup);
	free(whole);
	return rc;
}
