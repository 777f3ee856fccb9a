/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * family.h - processes and their parents, as one walk over /proc has found them
 *
 * Each process is placed once, however deep it stands, and files that lie about parents (a circle)
 * cost no more than others. Pure: no file is read here.
 */
#ifndef KS_FAMILY_H
#define KS_FAMILY_H

#include <stddef.h>
#include <stdint.h>

enum ks__place { KS__PLACE_UNKNOWN, KS__PLACE_OUT, KS__PLACE_IN };

struct ks__kin {
	int64_t start; /* as ks__columns_start_ns() has it: nobody is older than the parent */
	int32_t pid, parent;
	uint8_t place; /* ks__place */
};

struct ks__family {
	struct ks__kin *at;
	size_t n, room;
};

/* 0 or -ENOMEM. To begin again set n to 0; the memory goes with free(at). */
int ks__family_add(struct ks__family *family, const struct ks__kin *kin);
/* By pid, after the last one was added and before anybody is looked for. */
void ks__family_sort(struct ks__family *family);
struct ks__kin *ks__family_find(const struct ks__family *family, int32_t pid);
/* NULL: it is not there, or it is younger: another process with the number of the parent. */
struct ks__kin *ks__family_parent(const struct ks__family *family, const struct ks__kin *kin);

/* Places all that are unknown: where the nearest ancestor is whose place is known, else out. */
void ks__family_place(struct ks__family *family);

#endif
