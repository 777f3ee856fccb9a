/* SPDX-License-Identifier: BSD-2-Clause */
/* descent.c - finds the descendants of a tree of processes in procfs */
#include "descent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/file.h"
#include "../base/text.h"
#include "columns.h"
#include "family.h"

#define CLIMBS_MAX 8
#define DEPTH_MORE 64 /* allowance for ancestors that are younger than the snapshot */

struct walk {
	const struct ks__descent *tree;
	int proc_fd;
	struct ks__family all;
	size_t left; /* limit of files of ancestors that climb() may still read */
};

/* Reads a process. 0; -1: the process is gone. */
static int look(int proc_fd, int32_t pid, struct ks__kin *ret)
{
	struct ks__stat stat;
	int rc = ks__columns_read_stat(proc_fd, pid, &stat);

	if (rc)
		return rc;
	*ret = (struct ks__kin){ .pid = pid,
				 .parent = (int32_t)stat.column[KS__STAT_PPID],
				 .start = ks__columns_start_ns(stat.column[KS__STAT_START],
							       ks__columns_tick_ns()) };
	return 0;
}

static int add(void *user, int32_t pid)
{
	struct walk *w = user;
	struct ks__kin found;
	int rc = look(w->proc_fd, pid, &found);

	return rc ? ks__text_shortage(rc) : ks__family_add(&w->all, &found);
}

/* Takes a snapshot of all processes. */
static int take(struct walk *w)
{
	int rc = ks__file_numbers(w->proc_fd, ".", add, w);

	ks__family_sort(&w->all);
	w->left = CLIMBS_MAX * (w->all.n + DEPTH_MORE);
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -EFBIG ? rc : 0;
}

/*
 * The parent of this process is not in the snapshot. Either it is not visible here, or it has died
 * and the process has another parent now. 1: the latter.
 */
static int has_moved(int proc_fd, const struct ks__kin *kin)
{
	struct ks__kin now;

	return look(proc_fd, kin->pid, &now) || now.parent != kin->parent;
}

/*
 * Reads the present ancestors one by one. 1: one is in the tree; 0: none is; -1: one died
 * meanwhile.
 */
static int climb(struct walk *w, int32_t pid)
{
	size_t depth = w->all.n + DEPTH_MORE; /* ends a circle of parents in inconsistent files */
	struct ks__kin kin, parent;

	if (look(w->proc_fd, pid, &kin))
		return 0; /* the process is gone */
	while (kin.parent > 0 && depth--) {
		int is_gone;

		if (!w->left--)
			return w->left++, -1;
		is_gone = look(w->proc_fd, kin.parent, &parent);
		if (w->tree->is_in(w->tree->user, kin.parent))
			return 1;
		if (is_gone || parent.start > kin.start)
			return has_moved(w->proc_fd, &kin) ? -1 : 0;
		kin = parent;
	}
	return 0;
}

/* For a process whose ancestors in the snapshot were read at different moments. */
static int descends_now(struct walk *w, int32_t pid)
{
	int is_below = -1;

	for (unsigned i = 0; i < CLIMBS_MAX && is_below < 0; i++)
		is_below = climb(w, pid);
	return is_below;
}

/* Places a process and its ancestors up to `to`, or up to a known place. */
static void settle(struct walk *w, struct ks__kin *from, const struct ks__kin *to,
		   enum ks__place place)
{
	for (struct ks__kin *kin = from; kin && kin->place == KS__PLACE_UNKNOWN;
	     kin = ks__family_parent(&w->all, kin)) {
		kin->place = (uint8_t)place;
		if (kin == to)
			return;
	}
}

/* Is the process in the tree? 1, 0; -1: its ancestors die too fast to tell. */
static int descends(struct walk *w, struct ks__kin *child)
{
	size_t steps = w->all.n;
	struct ks__kin *kin = child;
	enum ks__place place = KS__PLACE_OUT;

	for (; kin->place == KS__PLACE_UNKNOWN && kin->parent > 0 && steps; steps--) {
		struct ks__kin *parent = ks__family_parent(&w->all, kin);

		if (w->tree->is_in(w->tree->user, kin->parent)) {
			place = KS__PLACE_IN;
			break;
		}
		if (!parent) {
			if (has_moved(w->proc_fd, kin))
				return descends_now(w, child->pid);
			break;
		}
		kin = parent;
	}
	if (kin->place != KS__PLACE_UNKNOWN)
		place = kin->place;
	settle(w, child, kin, place);
	return place == KS__PLACE_IN;
}

int ks__descent_walk(int proc_fd, const struct ks__descent *tree)
{
	struct walk w = { .tree = tree, .proc_fd = proc_fd };
	int rc = take(&w), n = 0;

	for (size_t i = 0; i < w.all.n && !rc; i++) {
		int32_t pid = w.all.at[i].pid;
		int is_below = tree->is_in(tree->user, pid) ? 0 : descends(&w, &w.all.at[i]);

		if (tree->until_ns && ks__now() > tree->until_ns)
			rc = -EAGAIN;
		else if (is_below > 0)
			rc = tree->enrol(tree->user, pid);
		n += is_below != 0;
	}
	free(w.all.at);
	return rc ? rc : n;
}
