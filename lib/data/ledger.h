/* SPDX-License-Identifier: BSD-2-Clause */
/* ledger.h - a probe's ledger: where its events and records went, and whether the sums agree */
#ifndef KS_LEDGER_H
#define KS_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include <kernelsight/events.h>

#define KS__OUTCOMES 12 /* members of struct ks_stats_self that add up to `fired` */

/* A source's share of a probe's ledger; see struct ks_stats_self. */
struct ks__ledger {
	uint64_t outcome[KS__OUTCOMES]; /* members of struct ks_stats_self, from `filtered` on */
	uint64_t delivered, discarded, in_flight;
	uint64_t missed;
	int missed_known;
	uint64_t kernel_ns;
	uint32_t programs;
};

/* Returns `fired`: the sum of all outcomes. */
uint64_t ks__ledger_fired(const struct ks__ledger *ledger);

/*
 * Adds `ledger` to `sum`. `missed` of the sum is known only if it is known in every part, so a sum
 * starts with missed_known = 1.
 */
void ks__ledger_add(struct ks__ledger *sum, const struct ks__ledger *ledger);

/*
 * Checks that submitted = delivered + discarded + in_flight. A difference of up to `slack` records
 * is allowed: a running kernel program may not have counted its record yet; 0 for a probe that is
 * off. Returns 0, or -KS_EBALANCE and a message in `why` with the counts and the difference.
 */
int ks__ledger_check(const char *probe, const struct ks__ledger *ledger, uint64_t slack, char *why,
		     size_t size);

/* Copies the numbers of a ledger into a row, and sets their `valid` bits. */
void ks__ledger_row(const struct ks__ledger *ledger, struct ks_stats_self *row);

#endif
