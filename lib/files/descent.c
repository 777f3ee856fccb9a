/* SPDX-License-Identifier: BSD-2-Clause */
/* descent.c - who descends from whom */
#include "descent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "columns.h"
#include "text.h"

struct member {
	int32_t pid, parent;
	uint64_t start; /* clock ticks: nobody is older than the parent */
};

struct snapshot {
	struct member *at;
	size_t n, room;
};

static int add(struct snapshot *all, int proc_fd, const char *name)
{
	char path[32], text[1024];
	struct ks__stat stat;
	ssize_t length;

	snprintf(path, sizeof(path), "%.10s/stat", name);
	length = ks__text_read(proc_fd, path, text, sizeof(text));
	if (length <= 0 || ks__columns_stat(text, (size_t)length, &stat))
		return 0; /* it is gone */
	if (all->n == all->room) {
		size_t room = all->room ? all->room * 2 : 512;
		struct member *more = reallocarray(all->at, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		all->at = more;
		all->room = room;
	}
	all->at[all->n++] = (struct member){ atoi(name), (int32_t)stat.column[KS__STAT_PPID],
					     stat.column[KS__STAT_START] };
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int take(int proc_fd, struct snapshot *all)
{
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		rc = errno == EMFILE || errno == ENOMEM ? -errno : 0;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (!rc && (e = readdir(dir)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			rc = add(all, proc_fd, e->d_name);
	closedir(dir);
	if (!rc && all->n)
		qsort(all->at, all->n, sizeof(*all->at), by_pid);
	return rc;
}

static const struct member *parent_of(const struct snapshot *all, const struct member *m)
{
	const struct member key = { .pid = m->parent };
	const struct member *parent = bsearch(&key, all->at, all->n, sizeof(*all->at), by_pid);

	return parent && parent->start <= m->start ? parent : NULL;
}

/* 1, 0, or -1: an ancestor was gone when its turn came, so nobody knows yet. */
static int descends(const struct snapshot *all, const struct member *m,
		    const struct ks__descent *tree)
{
	for (size_t steps = 0; m && steps < all->n; steps++) {
		if (m->parent <= 0)
			return 0;
		if (tree->is_in(tree->user, m->parent))
			return 1;
		m = parent_of(all, m);
	}
	return -1;
}

int ks__descent_walk(int proc_fd, const struct ks__descent *tree)
{
	struct snapshot all = { 0 };
	int rc = take(proc_fd, &all), n = 0;

	for (size_t i = 0; i < all.n && !rc; i++) {
		int is_below = tree->is_in(tree->user, all.at[i].pid) ?
				       0 :
				       descends(&all, &all.at[i], tree);

		if (is_below > 0)
			rc = tree->enrol(tree->user, all.at[i].pid);
		n += is_below != 0;
	}
	free(all.at);
	return rc ? rc : n;
}
