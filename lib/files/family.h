/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * family.h - a table of processes and their parents, from one walk over /proc
 *
 * The place of a process (in the tree or out of it) is computed once, at any depth. Inconsistent
 * files (a circle of parents) cost no more than others. These functions read no files.
 */
#ifndef KS_FAMILY_H
#define KS_FAMILY_H

#include <stddef.h>
#include <stdint.h>

enum ks__place { KS__PLACE_UNKNOWN, KS__PLACE_OUT, KS__PLACE_IN };

struct ks__kin {
	int64_t start; /* from ks__columns_start_ns(); no process is older than its parent */
	int32_t pid, parent;
	uint8_t place; /* ks__place */
};

struct ks__family {
	struct ks__kin *at;
	size_t n, room;
};

/* 0 or -ENOMEM. Set n to 0 to reuse the table; release it by free(at). */
int ks__family_add(struct ks__family *family, const struct ks__kin *kin);
/* Sorts by pid: call it after the last ks__family_add() and before any look-up. */
void ks__family_sort(struct ks__family *family);
struct ks__kin *ks__family_find(const struct ks__family *family, int32_t pid);
/* NULL: the parent is not in the table, or is younger: another process has got its pid. */
struct ks__kin *ks__family_parent(const struct ks__family *family, const struct ks__kin *kin);

/* Gives unknown processes the place of the nearest ancestor with a known place, else OUT. */
void ks__family_place(struct ks__family *family);

#endif
