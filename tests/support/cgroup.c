/* SPDX-License-Identifier: BSD-2-Clause */
/* cgroup.c - see cgroup.h */
#include "cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

static const char *const mounts[] = { "/sys/fs/cgroup/memory", "/sys/fs/cgroup" };

/* Puts the pid into the first component of a path. */
static void make_path(char *path, size_t size, const char *mount, const char *name)
{
	size_t first = strcspn(name, "/");

	snprintf(path, size, "%s/%.*s-%d%s", mount, (int)first, name, getpid(), name + first);
}

int kt_cgroup_make(struct kt_cgroup *cgroup, const char *name)
{
	struct stat st;

	for (size_t i = 0; i < G_N_ELEMENTS(mounts); i++) {
		char file[300];

		snprintf(file, sizeof(file), "%s/cgroup.procs", mounts[i]);
		if (access(file, W_OK))
			continue;
		make_path(cgroup->path, sizeof(cgroup->path), mounts[i], name);
		if (mkdir(cgroup->path, 0755) && errno != EEXIST)
			return 0;
		g_assert_cmpint(stat(cgroup->path, &st), ==, 0);
		cgroup->id = st.st_ino;
		return 1;
	}
	return 0;
}

void kt_cgroup_enter(const struct kt_cgroup *cgroup, pid_t pid)
{
	char file[300];
	FILE *f;

	snprintf(file, sizeof(file), "%s/cgroup.procs", cgroup->path);
	f = fopen(file, "w");
	g_assert_nonnull(f);
	g_assert_cmpint(fprintf(f, "%d", pid), >, 0);
	g_assert_cmpint(fclose(f), ==, 0);
}

void kt_cgroup_remove(const struct kt_cgroup *cgroup)
{
	const struct timespec moment = { 0, 10000000 };

	for (int i = 0; i < 6000 && rmdir(cgroup->path) && errno == EBUSY; i++)
		nanosleep(&moment, NULL);
}
