/* SPDX-License-Identifier: BSD-2-Clause */
/* family.c - a table of processes and their parents, from one walk over /proc */
#include "family.h"

#include <errno.h>
#include <stdlib.h>

int ks__family_add(struct ks__family *family, const struct ks__kin *kin)
{
	if (family->n == family->room) {
		size_t room = family->room ? family->room * 2 : 512;
		struct ks__kin *more = reallocarray(family->at, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		family->at = more;
		family->room = room;
	}
	family->at[family->n++] = *kin;
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct ks__kin *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

void ks__family_sort(struct ks__family *family)
{
	if (family->n)
		qsort(family->at, family->n, sizeof(*family->at), by_pid);
}

struct ks__kin *ks__family_find(const struct ks__family *family, int32_t pid)
{
	const struct ks__kin key = { .pid = pid };

	if (!family->n)
		return NULL;
	return bsearch(&key, family->at, family->n, sizeof(key), by_pid);
}

struct ks__kin *ks__family_parent(const struct ks__family *family, const struct ks__kin *kin)
{
	struct ks__kin *parent = ks__family_find(family, kin->parent);

	return parent && parent->start <= kin->start ? parent : NULL;
}

/* Climbs to the first ancestor with a known place, then gives that place to all on the path. */
static void place(struct ks__family *family, struct ks__kin *from)
{
	size_t steps = family->n; /* ends a circle of parents in inconsistent files */
	struct ks__kin *kin = from;
	uint8_t found;

	while (kin && kin->place == KS__PLACE_UNKNOWN && steps--)
		kin = ks__family_parent(family, kin);
	found = kin && kin->place == KS__PLACE_IN ? KS__PLACE_IN : KS__PLACE_OUT;
	for (kin = from; kin && kin->place == KS__PLACE_UNKNOWN;
	     kin = ks__family_parent(family, kin))
		kin->place = found;
}

void ks__family_place(struct ks__family *family)
{
	for (size_t i = 0; i < family->n; i++)
		if (family->at[i].place == KS__PLACE_UNKNOWN)
			place(family, &family->at[i]);
}
