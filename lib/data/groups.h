/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * groups.h - sums of counters, grouped by process, cgroup or role
 *
 * A block holds the words of a row of a thread (bpf/shared.h, struct ks_bpf_row_...): the probe's
 * counters, and sum and count of each histogram. No I/O, no locks.
 */
#ifndef KS_GROUPS_H
#define KS_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "rows.h"

/* The owner of a group's numbers. All zero: no known owner, shown as the rest row. */
struct ks__whose {
	uint64_t start_ns; /* of the process */
	uint64_t cgroup;
	uint32_t pid;
	uint32_t role;
};

struct ks__group {
	struct ks__whose whose;
	char name[16]; /* of the process */
	uint8_t first; /* 1: `name` is from the process's first thread; 2: which is alive */
	uint8_t ended; /* 1: the first thread of its process has ended */
	uint8_t lives; /* 1: some thread of the group is alive */
};

struct ks__groups {
	size_t words, n, room;
	struct ks__group *group;
	uint64_t *raw;   /* n blocks of `words` */
	uint32_t *index; /* open addressing: number of the group + 1, or 0 */
	size_t index_size;
};

/* The number of words in a block of this struct; the index of a histogram's sum in it, or -1. */
size_t ks__groups_words(const struct ks__struct *desc);
int ks__groups_sum_word(const struct ks__struct *desc, const char *field);

/*
 * Reduces an owner to the members that identify it under one ks_by bit. KS_BY_TOTAL: all zero;
 * by 0: unchanged.
 */
struct ks__whose ks__whose_by(const struct ks__whose *whose, uint32_t by);

/* words: size of a block. The first block allocates memory; ks__groups_empty() keeps it. */
void ks__groups_init(struct ks__groups *g, size_t words);
void ks__groups_empty(struct ks__groups *g);
void ks__groups_free(struct ks__groups *g);

/* Returns the block of a group, zeroed if new; NULL: out of memory. Valid until the next call. */
uint64_t *ks__groups_block(struct ks__groups *g, const struct ks__whose *whose);
/* Return the block, or the group, if the group exists; else NULL. */
const uint64_t *ks__groups_find(const struct ks__groups *g, const struct ks__whose *whose);
struct ks__group *ks__groups_group(struct ks__groups *g, const struct ks__whose *whose);

/* Sets the group's name, unless it has one with a higher ks__group.first. */
void ks__groups_name(struct ks__group *group, const char name[16], unsigned first);

/* Adds a block to a group. Returns 0 or -ENOMEM. */
int ks__groups_add(struct ks__groups *g, const struct ks__whose *whose, const uint64_t *block);
/* Adds all groups of `fine`, their owners reduced by ks__whose_by(). Returns 0 or -ENOMEM. */
int ks__groups_fold(struct ks__groups *g, const struct ks__groups *fine, uint32_t by);
/* Adds the first block of `rows` to the rest, histograms as sum and count. Returns 0 or -ENOMEM. */
int ks__groups_add_rest(struct ks__groups *g, const struct ks__rows *rows);

/*
 * Appends a row for each group of `now` minus `base` (NULL: minus nothing), like ks__table_add().
 * The counts of a group that is in `base` but not in `now` have moved into the rest, so they are
 * subtracted from the rest row.
 */
int ks__table_add_groups(struct ks__table *table, const struct ks__struct *desc,
			 const struct ks__groups *now, const struct ks__groups *base, uint16_t by,
			 uint64_t valid);

#endif
