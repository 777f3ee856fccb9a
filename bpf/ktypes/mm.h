/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* mm.h - include/linux/mm_types.h and page-flags.h; included by ktypes.h */

struct percpu_counter {
	uint64_t count;
};

struct mm_struct {
	kernel_long hiwater_rss;           /* pages */
	struct percpu_counter rss_stat[4]; /* file, anonymous, swap, shared memory pages */
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

/* One or more pages, since 5.16. The word of flags is the first member, as in struct page. */
struct folio {
	kernel_long _flags_1; /* low byte: order, since 6.6 (ebc1baf5c9b4) */
	uint8_t _folio_order; /* order, before 6.6 */
	void *mapping;
	kernel_long index;
};

/* Since 5.17 */
struct folio_batch {
	uint8_t nr;
	struct folio *folios[1];
};

/* Before 6.1 the first tail page holds the order; then struct folio got a member for it. */
struct page {
	uint8_t compound_order;
	void *mapping;
};
