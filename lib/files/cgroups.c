/* SPDX-License-Identifier: BSD-2-Clause */
#include "cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/file.h"
#include "hierarchy.h"

#define KNOWN_MAX (1u << 16)     /* cgroups; 10 MiB of memory */
#define GONE_MAX (1u << 13)      /* removed cgroups among them */
#define SEEN_MAX (4 * KNOWN_MAX) /* directories in one walk; takes about a second */
#define WALK_NS 1000000000ull

struct known {
	uint64_t id;
	char *path;    /* NULL: no walk has found this id */
	uint32_t walk; /* number of the last walk that has seen it */
	char label[KS__CGROUP_LABEL];
};

struct ks__cgroups {
	struct ks__hierarchy h;

	pthread_mutex_t lock; /* guards all members below */
	struct known *known;
	size_t n, n_sorted, room; /* the first n_sorted by id, then ids that were not found */
	uint32_t walk;            /* number of the last walk, from 1 */
	uint64_t walked_ns;       /* see ks__cgroups_label() */
};

/* ---- the cache ------------------------------------------------------------------------------- */

/* Finds the container of a path. Returns ks__cgroup_flag bits. */
static uint32_t identify(const struct ks__cgroups *c, const char *path, struct ks__container *ret)
{
	if (ks__container_parse(path, ret))
		return KS__CGROUP_IN_CONTAINER;
	if (!c->h.is_own || ret->pod_uid[0])
		return 0;
	*ret = c->h.own;
	return KS__CGROUP_IN_CONTAINER | KS__CGROUP_OWN;
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct known *)a)->id, y = ((const struct known *)b)->id;

	return x < y ? -1 : x > y;
}

static struct known *find(const struct ks__cgroups *c, uint64_t id)
{
	struct known key = { .id = id };

	if (!c->n_sorted)
		return NULL;
	return bsearch(&key, c->known, c->n_sorted, sizeof(key), by_id);
}

static int set_path(const struct ks__cgroups *c, struct known *k, const char *path)
{
	struct ks__container in;
	char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	free(k->path);
	k->path = copy;
	identify(c, path, &in);
	ks__container_label(path, &in, k->label, sizeof(k->label));
	return 0;
}

/* Appends an entry; path NULL: the id does not exist. */
static int append(struct ks__cgroups *c, uint64_t id, const char *path)
{
	struct known k = { .id = id, .walk = path ? c->walk : 0 };
	int rc;

	if (c->n == KNOWN_MAX)
		return 0;
	if (c->n == c->room) {
		size_t room = c->room ? c->room * 2 : 64;
		struct known *known = reallocarray(c->known, room, sizeof(*known));

		if (!known)
			return -ENOMEM;
		c->known = known;
		c->room = room;
	}
	rc = path ? set_path(c, &k, path) : 0;
	if (!rc)
		c->known[c->n++] = k;
	return rc;
}

/*
 * Sorts the entries and removes duplicates. Of too many removed cgroups it drops the oldest, which
 * have the lowest ids.
 */
static void settle(struct ks__cgroups *c)
{
	size_t n = 0, gone = 0, drop;

	qsort(c->known, c->n, sizeof(*c->known), by_id);
	for (size_t i = 0; i < c->n; i++)
		gone += c->known[i].walk != c->walk;
	drop = gone > GONE_MAX ? gone - GONE_MAX / 2 : 0;
	for (size_t i = 0; i < c->n; i++) {
		struct known *k = &c->known[i];
		int is_twice = n && c->known[n - 1].id == k->id;
		int is_old = drop && k->walk != c->walk;

		drop -= (size_t)is_old;
		if (is_twice || is_old)
			free(k->path);
		else
			c->known[n++] = *k;
	}
	c->n = c->n_sorted = n;
}

/* ---- the walk -------------------------------------------------------------------------------- */

struct walk {
	struct ks__cgroups *c;
	char **todo; /* paths of directories with subdirectories */
	size_t n, room;
	const char *path; /* the directory that is being read */
	size_t left;      /* limit of directories: a mount may pretend to be a cgroup hierarchy */
};

static int push(struct walk *w, const char *path)
{
	if (w->n == w->room) {
		size_t room = w->room ? w->room * 2 : 16;
		char **todo = reallocarray(w->todo, room, sizeof(*todo));

		if (!todo)
			return -ENOMEM;
		w->todo = todo;
		w->room = room;
	}
	w->todo[w->n] = strdup(path);
	if (!w->todo[w->n])
		return -ENOMEM;
	w->n++;
	return 0;
}

/* A leaf has two links, so the walk does not open it. To open one costs ten times as much. */
static int see(struct walk *w, const struct stat *st, const char *path)
{
	struct ks__cgroups *c = w->c;
	struct known *k = find(c, st->st_ino);
	int rc = 0;

	if (!w->left--)
		return -E2BIG;
	if (k) {
		k->walk = c->walk;
		if (!k->path || strcmp(k->path, path))
			rc = set_path(c, k, path);
	} else {
		rc = append(c, st->st_ino, path);
	}
	return rc || st->st_nlink == 2 ? rc : push(w, path);
}

static int see_name(void *user, const struct ks__file_name *name)
{
	struct walk *w = user;
	char child[KS__CGROUP_PATH];
	struct stat st;
	int length;

	if ((name->type != DT_DIR && name->type != DT_UNKNOWN) || !strcmp(name->text, ".") ||
	    !strcmp(name->text, ".."))
		return 0;
	length = snprintf(child, sizeof(child), "%s/%s", w->path[1] ? w->path : "", name->text);
	if ((size_t)length >= sizeof(child) ||
	    fstatat(name->folder, name->text, &st, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(st.st_mode) ||
	    st.st_dev != w->c->h.dev)
		return 0;
	return see(w, &st, child);
}

static int see_below(struct walk *w, const char *path)
{
	int rc;

	w->path = path;
	rc = ks__file_names(w->c->h.fd, ks__hierarchy_below(&w->c->h, path), see_name, w);
	if (rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -E2BIG)
		return rc;
	return 0; /* removed meanwhile, or no permission */
}

static int walk(struct ks__cgroups *c)
{
	struct walk w = { .c = c, .left = SEEN_MAX };
	struct stat st;
	int rc = fstat(c->h.fd, &st) ? -errno : 0;

	if (c->n > c->n_sorted)
		settle(c);
	c->walk++;
	if (!rc)
		rc = see(&w, &st, *c->h.prefix ? c->h.prefix : "/");
	while (!rc && w.n) {
		char *path = w.todo[--w.n];

		rc = see_below(&w, path);
		free(path);
	}
	/* an unfinished walk says nothing about the cgroups that it has not seen */
	for (size_t i = 0; rc && i < c->n; i++)
		if (c->known[i].walk == c->walk - 1)
			c->known[i].walk = c->walk;
	settle(c);
	while (w.n)
		free(w.todo[--w.n]);
	free(w.todo);
	return rc;
}

/* ---- look-ups -------------------------------------------------------------------------------- */

/* Disables cancellation: openat, read and close are cancellation points. */
static int hold(struct ks__cgroups *c)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&c->lock);
	return state;
}

static void let_go(struct ks__cgroups *c, int state)
{
	pthread_mutex_unlock(&c->lock);
	pthread_setcancelstate(state, NULL);
}

int ks__cgroups_again(const struct ks__cgroups *c, const char *path, uint64_t id, uint64_t *ret_id)
{
	struct stat st;

	if (fstatat(c->h.fd, ks__hierarchy_below(&c->h, path), &st, 0) || !S_ISDIR(st.st_mode) ||
	    st.st_dev != c->h.dev)
		return KS__CGROUP_MISSING;
	if (st.st_ino == id)
		return KS__CGROUP_SAME;
	if (ret_id)
		*ret_id = st.st_ino;
	return KS__CGROUP_OTHER;
}

int ks__cgroups_open_dir(const struct ks__cgroups *c, const char *path, uint64_t id)
{
	int fd = ks__file_place(c->h.fd, ks__hierarchy_below(&c->h, path));
	struct stat st;

	if (fd < 0)
		return fd;
	if (!fstat(fd, &st) && st.st_dev == c->h.dev && st.st_ino == id)
		return fd;
	close(fd);
	return -ENOENT;
}

/*
 * Finds the entry of an id. Walks the hierarchy if the id is unknown, or if the path of a present
 * cgroup belongs to another one now. A cgroup that the last walk has not seen is gone: it causes no
 * walk.
 */
static int learn(struct ks__cgroups *c, uint64_t id, struct known **ret)
{
	struct known *k = find(c, id);
	int rc;

	if (!k || (k->path && k->walk == c->walk && ks__cgroups_again(c, k->path, id, NULL))) {
		rc = walk(c);
		if (rc)
			return rc;
		k = find(c, id);
	}
	if (!k || !k->path)
		return -ENOENT;
	*ret = k;
	return 0;
}

int ks__cgroups_describe(struct ks__cgroups *c, uint64_t id, struct ks__cgroup *ret)
{
	int state = hold(c), rc;
	struct known *k;

	rc = learn(c, id, &k);
	if (!rc) {
		memset(ret, 0, sizeof(*ret));
		ret->id = id;
		ret->flags = identify(c, k->path, &ret->in);
		if (k->walk != c->walk)
			ret->flags |= KS__CGROUP_GONE;
		snprintf(ret->path, sizeof(ret->path), "%s", k->path);
	}
	let_go(c, state);
	return rc;
}

int ks__cgroups_label(struct ks__cgroups *c, uint64_t id, uint64_t read_ns,
		      char ret_label[KS__CGROUP_LABEL])
{
	int state = hold(c), rc = 0;
	int may_walk = !c->walk || read_ns >= c->walked_ns + WALK_NS;
	struct known *k = find(c, id);

	if (!k && may_walk && c->n > c->n_sorted) {
		settle(c);
		k = find(c, id);
	}
	if (!k && may_walk) {
		rc = walk(c);
		c->walked_ns = rc ? 0 : read_ns;
		k = find(c, id);
	}
	if (k && k->path)
		memcpy(ret_label, k->label, sizeof(k->label));
	else if (!rc)
		rc = -ENOENT;
	if (!k && rc == -ENOENT && read_ns <= c->walked_ns)
		append(c, id, NULL); /* if this fails, the next look-up walks again */
	let_go(c, state);
	return rc;
}

int ks__cgroups_resolve(struct ks__cgroups *c, const char *path, struct ks__cgroup *ret)
{
	struct ks__cgroup found;
	uint64_t id;
	int rc = ks__hierarchy_resolve(&c->h, path, &id);

	if (!rc)
		rc = ks__cgroups_describe(c, id, &found);
	if (rc == -ENOENT && strlen(path) >= KS__CGROUP_PATH)
		rc = -ENAMETOOLONG;
	if (!rc && found.flags & KS__CGROUP_GONE)
		rc = -ENOENT;
	if (!rc)
		*ret = found;
	return rc;
}

/* ---- open and close -------------------------------------------------------------------------- */

int ks__cgroups_open(int proc_fd, const char *sys_path, struct ks__cgroups **ret)
{
	struct ks__cgroups *c = calloc(1, sizeof(*c));
	int rc = c ? ks__hierarchy_open(proc_fd, sys_path, &c->h) : -ENOMEM;

	if (rc) {
		free(c);
		return rc;
	}
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

int ks__cgroups_keep(struct ks__cgroups *c, struct ks__fds *fds)
{
	c->h.fds = fds;
	c->h.fd = ks__fd_keep(fds, c->h.fd);
	return c->h.fd < 0 ? c->h.fd : 0;
}

void ks__cgroups_close(struct ks__cgroups *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		free(c->known[i].path);
	free(c->known);
	ks__hierarchy_close(&c->h);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

const char *ks__cgroups_mount(const struct ks__cgroups *c)
{
	return c->h.mount;
}

size_t ks__cgroups_bytes(struct ks__cgroups *c)
{
	int state = hold(c);
	size_t bytes = sizeof(*c) + c->room * sizeof(*c->known);

	for (size_t i = 0; i < c->n; i++)
		bytes += c->known[i].path ? strlen(c->known[i].path) + 1 : 0;
	let_go(c, state);
	return bytes;
}
