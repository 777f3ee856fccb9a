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
#include "../base/text.h"

#define CLIMBS_MAX 8

struct member {
	int32_t pid, parent;
	uint64_t start; /* clock ticks: nobody is older than the parent */
};

struct snapshot {
	struct member *at;
	size_t n, room;
};

/* 0, or -1: it is gone. */
static int look(int proc_fd, int32_t pid, struct member *ret)
{
	char path[32], text[1024];
	struct ks__stat stat;
	ssize_t length;

	snprintf(path, sizeof(path), "%d/stat", pid);
	length = ks__text_read(proc_fd, path, text, sizeof(text));
	if (length <= 0 || ks__columns_stat(text, (size_t)length, &stat))
		return -1;
	*ret = (struct member){ pid, (int32_t)stat.column[KS__STAT_PPID],
				stat.column[KS__STAT_START] };
	return 0;
}

static int add(struct snapshot *all, int proc_fd, int32_t pid)
{
	struct member found;

	if (look(proc_fd, pid, &found))
		return 0;
	if (all->n == all->room) {
		size_t room = all->room ? all->room * 2 : 512;
		struct member *more = reallocarray(all->at, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		all->at = more;
		all->room = room;
	}
	all->at[all->n++] = found;
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
			rc = add(all, proc_fd, atoi(e->d_name));
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

/* A parent that is not there is out of sight, or was gone when its turn came: then there is another. */
static int has_moved(int proc_fd, const struct member *m)
{
	struct member now;

	return look(proc_fd, m->pid, &now) || now.parent != m->parent;
}

/* One ancestor after the other, as it is now. 1, 0, or -1: one of them died meanwhile. */
static int climb(int proc_fd, int32_t pid, const struct ks__descent *tree)
{
	struct member m, parent;

	if (look(proc_fd, pid, &m))
		return 0; /* nobody is there any more */
	while (m.parent > 0) {
		int is_gone = look(proc_fd, m.parent, &parent);

		if (tree->is_in(tree->user, m.parent))
			return 1;
		if (is_gone || parent.start > m.start)
			return has_moved(proc_fd, &m) ? -1 : 0;
		m = parent;
	}
	return 0;
}

/* Its ancestors in the snapshot are not all of the same moment. */
static int descends_now(int proc_fd, int32_t pid, const struct ks__descent *tree)
{
	int is_below = -1;

	for (unsigned i = 0; i < CLIMBS_MAX && is_below < 0; i++)
		is_below = climb(proc_fd, pid, tree);
	return is_below;
}

/* 1, 0, or -1: its ancestors die too fast. */
static int descends(const struct snapshot *all, const struct member *child,
		    const struct ks__descent *tree, int proc_fd)
{
	const struct member *m = child;

	for (size_t steps = 0; m->parent > 0 && steps < all->n; steps++) {
		const struct member *parent = parent_of(all, m);

		if (tree->is_in(tree->user, m->parent))
			return 1;
		if (!parent)
			return has_moved(proc_fd, m) ? descends_now(proc_fd, child->pid, tree) : 0;
		m = parent;
	}
	return 0;
}

int ks__descent_walk(int proc_fd, const struct ks__descent *tree)
{
	struct snapshot all = { 0 };
	int rc = take(proc_fd, &all), n = 0;

	for (size_t i = 0; i < all.n && !rc; i++) {
		int is_below = tree->is_in(tree->user, all.at[i].pid) ?
				       0 :
				       descends(&all, &all.at[i], tree, proc_fd);

		if (is_below > 0)
			rc = tree->enrol(tree->user, all.at[i].pid);
		n += is_below != 0;
	}
	free(all.at);
	return rc ? rc : n;
}
