/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * groups.h - numbers by whose they are: added up by process, cgroup or role
 *
 * A block holds the words of a row (bpf/shared.h, struct ks_bpf_row_...): those of the probe's
 * counters and, of each histogram, sum and count. No I/O, no locks.
 */
#ifndef KS_GROUPS_H
#define KS_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "rows.h"

/* Whose numbers they are. All zero: nobody's in particular, the rest. */
struct ks__whose {
	uint64_t start_ns; /* of the process */
	uint64_t cgroup;
	uint32_t pid;
	uint32_t role;
};

struct ks__group {
	struct ks__whose whose;
	char name[16]; /* of the process */
	uint8_t first; /* the process's first thread is among them and gives the name; 2: it lives */
	uint8_t ended; /* it has ended, */
	uint8_t lives; /* but another one lives */
};

struct ks__groups {
	size_t words, n, room;
	struct ks__group *group;
	uint64_t *raw;   /* n blocks of `words` */
	uint32_t *index; /* open addressing: number of the group + 1, or 0 */
	size_t index_size;
};

/* Words of a block of this struct, and where the sum of a histogram stands in it (or -1). */
size_t ks__groups_words(const struct ks__struct *desc);
int ks__groups_sum_word(const struct ks__struct *desc, const char *field);

/* What is left of it when grouped by one ks_by bit; KS_BY_TOTAL: nothing; 0: all. */
struct ks__whose ks__whose_by(const struct ks__whose *whose, uint32_t by);

/* `words` of the blocks; memory comes with the first block. Emptying keeps the memory. */
void ks__groups_init(struct ks__groups *g, size_t words);
void ks__groups_empty(struct ks__groups *g);
void ks__groups_free(struct ks__groups *g);

/* The block of a group, zeroed if it is new; NULL: no memory. Valid until the next call. */
uint64_t *ks__groups_block(struct ks__groups *g, const struct ks__whose *whose);
/* If the group is there, else NULL. */
const uint64_t *ks__groups_find(const struct ks__groups *g, const struct ks__whose *whose);
struct ks__group *ks__groups_group(struct ks__groups *g, const struct ks__whose *whose);

/* The group's name, if it knows none of a better thread: see ks__group.first. */
void ks__groups_name(struct ks__group *group, const char name[16], unsigned first);

/* Adds a block to a group; 0 or -ENOMEM. */
int ks__groups_add(struct ks__groups *g, const struct ks__whose *whose, const uint64_t *block);
/* Adds all groups of `fine`, by less; by 0: by all. 0 or -ENOMEM. */
int ks__groups_fold(struct ks__groups *g, const struct ks__groups *fine, uint32_t by);
/* Adds the first block of `rows`, histograms by sum and count, as nobody's. 0 or -ENOMEM. */
int ks__groups_add_rest(struct ks__groups *g, const struct ks__rows *rows);

/*
 * Rows of `now`, minus those of `base` (NULL: nothing), appended to the table as ks__table_add()
 * does. What was in `base` and is no group any more has gone into the rest: it is taken from there.
 */
int ks__table_add_groups(struct ks__table *table, const struct ks__struct *desc,
			 const struct ks__groups *now, const struct ks__groups *base, uint16_t by,
			 uint64_t valid);

#endif
