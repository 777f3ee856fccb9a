/* SPDX-License-Identifier: BSD-2-Clause */
#include "wakes.h"

#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INSTANCES "/sys/kernel/tracing/instances"
#define EVENT "events/sched/sched_wakeup"

static void put(const struct wakes *w, const char *file, const char *text)
{
	char *path = g_build_filename(w->dir, file, NULL);
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint((int)write(fd, text, strlen(text)), ==, (int)strlen(text));
	close(fd);
	g_free(path);
}

void wakes_begin(struct wakes *w, pid_t tid)
{
	char filter[32];

	w->dir = g_strdup_printf(INSTANCES "/ks-wakes-%d", getpid());
	if (mkdir(w->dir, 0700)) {
		g_free(w->dir);
		w->dir = NULL;
		return;
	}
	snprintf(filter, sizeof(filter), "pid == %d", tid);
	put(w, EVENT "/filter", filter);
	put(w, EVENT "/enable", "1");
}

/*
 * Returns whether 812 is a thread of process 1 in a line such as "   a name-812     [001] d.h..
 * 30.1: sched_wakeup: comm=…".
 */
static int in_first(const char *line)
{
	char path[64];
	const char *at = strstr(line, " [");

	while (at && at > line && *at != '-')
		at--;
	snprintf(path, sizeof(path), "/proc/1/task/%d", at ? atoi(at + 1) : 0);
	return access(path, F_OK) == 0;
}

unsigned wakes_end(struct wakes *w, int *ret_looked, unsigned *ret_in_first)
{
	char line[512], *path;
	unsigned n = 0;
	FILE *f;

	*ret_looked = w->dir != NULL;
	*ret_in_first = 0;
	if (!w->dir)
		return 0;
	put(w, EVENT "/enable", "0");
	path = g_build_filename(w->dir, "trace", NULL);
	f = fopen(path, "re");
	g_assert_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#' || !strstr(line, " sched_wakeup: "))
			continue;
		n++;
		*ret_in_first += (unsigned)in_first(line);
	}
	fclose(f);
	g_assert_cmpint(rmdir(w->dir), ==, 0);
	g_free(path);
	g_free(w->dir);
	w->dir = NULL;
	return n;
}
