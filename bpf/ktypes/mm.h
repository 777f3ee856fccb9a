/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* mm.h - include/linux/mm_types.h and page-flags.h; included by ktypes.h */

struct percpu_counter {
	uint64_t count;
};

/* One counter each for file, anonymous, swap and shared memory pages. */
struct mm_struct {
	kernel_long hiwater_rss; /* pages */
	struct percpu_counter rss_stat[4];
};

/* Before 6.2 (f1a7941243c1, "mm: convert mm's rss stats into percpu_counter") */
struct mm_rss_stat {
	struct {
		uint64_t counter;
	} count[4];
};

struct mm_struct___before_6_2 {
	struct mm_rss_stat rss_stat;
};

enum pageflags {
	PG_head = 6,
};

/* One to many pages: 5.16. Its first member, as that of struct page, is the word of flags. */
struct folio {
	kernel_long _flags_1; /* low byte: order, since 6.6 (ebc1baf5c9b4) */
	uint8_t _folio_order; /* before */
	void *mapping;
	kernel_long index;
};

/* 5.17 */
struct folio_batch {
	uint8_t nr;
	struct folio *folios[1];
};

/* The first tail page kept the order before struct folio had room for it, 6.1. */
struct page {
	uint8_t compound_order;
	void *mapping;
};
