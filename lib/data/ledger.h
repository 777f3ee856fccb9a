/* SPDX-License-Identifier: BSD-2-Clause */
/* ledger.h - do the books balance */
#ifndef KS_LEDGER_H
#define KS_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include <kernelsight/events.h>

#define KS__OUTCOMES 12 /* members of struct ks_stats_self that add up to `fired` */

/* What a source knows of a probe's ledger; see struct ks_stats_self. */
struct ks__book {
	uint64_t outcome[KS__OUTCOMES]; /* order of struct ks_stats_self, from filtered on */
	uint64_t delivered, discarded, in_flight;
	uint64_t missed;
	int missed_known;
	uint64_t kernel_ns;
	uint32_t programs;
};

/* Sum of all outcomes: what `fired` is defined as. */
uint64_t ks__ledger_fired(const struct ks__book *book);

/* `missed` of a sum is known if that of each part is: a sum starts with missed_known = 1. */
void ks__ledger_add(struct ks__book *sum, const struct ks__book *book);

/*
 * Records: submitted = delivered + discarded + in_flight; `slack` records may still be between two
 * of them (0 for a probe at rest). 0, or -KS_EBALANCE and a sentence that names the line and the
 * difference.
 */
int ks__ledger_check(const char *probe, const struct ks__book *book, uint64_t slack, char *why,
		     size_t size);

/* Fills the members of a row that a book knows. */
void ks__ledger_row(const struct ks__book *book, struct ks_stats_self *row);

#endif
