/* SPDX-License-Identifier: BSD-2-Clause */
#include "hierarchy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../base/file.h"
#include "facts.h"
#include "mounts.h"
#include "../base/text.h"

#define FILE_MAX (16u << 20)
#define ROOT_INODE 1                  /* inode of the root of a hierarchy in kernfs */
#define INITIAL_NAMESPACE 0xeffffffbu /* inode of the initial cgroup namespace */

static int is_below(const char *path, const char *top)
{
	size_t length = strlen(top);

	while (length && top[length - 1] == '/')
		length--;
	return !strncmp(path, top, length) && (path[length] == '/' || !path[length]);
}

/* ---- the mount ------------------------------------------------------------------------------- */

static int is_wanted(const struct ks__mount *mount, int version)
{
	if (version != 1)
		return !strcmp(mount->type, "cgroup2");
	return !strcmp(mount->type, "cgroup") && ks__mounts_option(mount, "memory");
}

/* The struct that statx() fills. Not every libc has it (musl before 1.2.4). */
struct extended {
	uint32_t mask, others[35];
	uint64_t mount;
	uint64_t more[13];
};

#define MOUNT_ID 0x1000 /* STATX_MNT_ID, Linux 5.8 */

/* Does fd show this mount? 0: another mount hides it. */
static int is_reached(const struct ks__mount *mount, int fd, struct stat *ret_st)
{
	struct extended x;

	if (fstat(fd, ret_st) || ret_st->st_dev != makedev(mount->major, mount->minor))
		return 0;
	return syscall(SYS_statx, fd, "", AT_EMPTY_PATH, MOUNT_ID, &x) || !(x.mask & MOUNT_ID) ||
	       x.mount == mount->id;
}

/* 1: this mount is better than the best one so far; *ret_fd is its descriptor. */
static int try_mount(const struct ks__mount *mount, const char *sys_path, int *best, int *ret_fd,
		     struct stat *ret_st)
{
	int fd = ks__file_place(AT_FDCWD, mount->point);
	struct stat st;
	int score;

	if (fd < 0)
		return 0;
	if (is_reached(mount, fd, &st)) {
		score = 1 + (st.st_ino == ROOT_INODE) + 2 * is_below(mount->point, sys_path);
		if (score > *best) {
			*best = score;
			*ret_fd = fd;
			*ret_st = st;
			return 1;
		}
	}
	close(fd);
	return 0;
}

/*
 * mount->root says which part of the hierarchy is mounted; "/": the root of the cgroup namespace.
 */
static int take_mount(struct ks__hierarchy *h, const struct ks__mount *mount, int fd,
		      const struct stat *st)
{
	int whole = st->st_ino == ROOT_INODE || !strcmp(mount->root, "/");
	char *prefix = strdup(whole ? "" : mount->root), *point = strdup(mount->point);

	if (!prefix || !point) {
		free(prefix);
		free(point);
		close(fd);
		return -ENOMEM;
	}
	ks__hierarchy_close(h);
	h->fd = fd;
	h->dev = st->st_dev;
	h->is_own = st->st_ino != ROOT_INODE && !is_below(prefix, "/..");
	h->mount = point;
	h->prefix = prefix;
	return 0;
}

static int find_mount(int version, const char *sys_path, const char *text, size_t length,
		      struct ks__hierarchy *h)
{
	const char *at = text, *end = text + length;
	struct ks__mount mount;
	int best = 0, rc = 0;

	while (!rc && ks__mounts_next(&at, end, &mount)) {
		struct stat st;
		int fd;

		if (is_wanted(&mount, version) && try_mount(&mount, sys_path, &best, &fd, &st))
			rc = take_mount(h, &mount, fd, &st);
	}
	return rc ? rc : best ? 0 : -ENOENT;
}

/*
 * Finds the caller's own container by its mounts. Not in the initial cgroup namespace: there the
 * paths name containers, and the mounts may belong to others.
 */
static int find_own(int proc_fd, const char *text, size_t length, struct ks__container *ret)
{
	struct stat st;
	char name[256];
	ssize_t n;

	if (fstatat(proc_fd, "self/ns/cgroup", &st, 0) || st.st_ino == INITIAL_NAMESPACE)
		return 0;
	n = ks__text_read(proc_fd, "sys/kernel/hostname", name, sizeof(name) - 1);
	name[n > 0 ? n : 0] = 0;
	name[strcspn(name, "\n")] = 0;
	return ks__container_own(text, length, name, ret);
}

int ks__hierarchy_open(int proc_fd, const char *sys_path, struct ks__hierarchy *ret)
{
	struct ks__hierarchy h = { .fd = -1 };
	size_t length = 0;
	char *text = NULL;
	int rc;

	rc = ks__file_whole(proc_fd, "self/mountinfo", FILE_MAX, &text, &length);
	if (rc)
		return rc;
	rc = find_mount(ks__facts_memcg(proc_fd), sys_path, text, length, &h);
	h.is_own = !rc && h.is_own && find_own(proc_fd, text, length, &h.own);
	free(text);
	if (rc)
		ks__hierarchy_close(&h);
	else
		*ret = h;
	return rc;
}

void ks__hierarchy_close(struct ks__hierarchy *h)
{
	ks__fd_close(h->fds, h->fd);
	free(h->mount);
	free(h->prefix);
}

/* ---- paths ----------------------------------------------------------------------------------- */

const char *ks__hierarchy_below(const struct ks__hierarchy *h, const char *path)
{
	if (is_below(path, h->prefix))
		path += strlen(h->prefix);
	path += strspn(path, "/");
	return *path ? path : ".";
}

static int inode_at(const struct ks__hierarchy *h, int dir_fd, const char *path, uint64_t *ret_id)
{
	int fd = ks__file_place(dir_fd, path), rc = -ENOENT;
	struct statfs fs;
	struct stat st;

	if (fd < 0)
		return fd;
	if (!fstat(fd, &st) && st.st_dev == h->dev) {
		*ret_id = st.st_ino;
		rc = 0;
	} else if (!fstatfs(fd, &fs) &&
		   (fs.f_type == CGROUP_SUPER_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC)) {
		rc = -EXDEV;
	}
	close(fd);
	return rc;
}

int ks__hierarchy_resolve(const struct ks__hierarchy *h, const char *path, uint64_t *ret_id)
{
	int rc = -ENOENT, below;

	if (!*path)
		return -EINVAL;
	if (*path == '/' && path[1])
		rc = inode_at(h, AT_FDCWD, path, ret_id);
	if (!rc || rc == -EXDEV)
		return rc;
	below = inode_at(h, h->fd, ks__hierarchy_below(h, path), ret_id);
	return below == -ENOENT ? rc : below;
}
