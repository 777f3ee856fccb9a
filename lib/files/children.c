/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "children.h"
#include "columns.h"
#include "text.h"

static int32_t parent_of(int proc_fd, const char *pid)
{
	char path[32], text[1024];
	struct ks__stat stat;
	ssize_t n;

	snprintf(path, sizeof(path), "%.10s/stat", pid);
	n = ks__text_read(proc_fd, path, text, sizeof(text));
	if (n <= 0 || ks__columns_stat(text, (size_t)n, &stat))
		return 0;
	return (int32_t)stat.column[KS__STAT_PPID];
}

static int is_among(const int32_t *pids, uint32_t n, int32_t pid)
{
	for (uint32_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return 1;
	return 0;
}

int32_t ks__children_find(int proc_fd, const int32_t *roots, uint32_t n,
			  int (*known)(void *user, int32_t pid), void *user)
{
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int32_t found = 0;
	struct dirent *e;

	if (!dir && fd >= 0)
		close(fd);
	while (dir && !found && (e = readdir(dir))) {
		int32_t pid = atoi(e->d_name);

		if (pid > 0 && is_among(roots, n, parent_of(proc_fd, e->d_name)) &&
		    !(known && known(user, pid)))
			found = pid;
	}
	if (dir)
		closedir(dir);
	return found;
}
