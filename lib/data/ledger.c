/* SPDX-License-Identifier: BSD-2-Clause */
/* ledger.c - sums of a probe's ledger, and whether they agree */
#include "ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <kernelsight/kernelsight.h>

/* outcome[] has the members of struct ks_stats_self from `filtered` up to `delivered`. */
#define OUTCOMES_AT offsetof(struct ks_stats_self, filtered)
#define SUBMITTED ((offsetof(struct ks_stats_self, submitted) - OUTCOMES_AT) / sizeof(uint64_t))

_Static_assert(offsetof(struct ks_stats_self, delivered) - OUTCOMES_AT ==
		       KS__OUTCOMES * sizeof(uint64_t),
	       "KS__OUTCOMES must be the number of members of struct ks_stats_self from filtered "
	       "up to, but without, delivered");

uint64_t ks__ledger_fired(const struct ks__ledger *ledger)
{
	uint64_t fired = 0;
	unsigned i;

	for (i = 0; i < KS__OUTCOMES; i++)
		fired += ledger->outcome[i];
	return fired;
}

void ks__ledger_add(struct ks__ledger *sum, const struct ks__ledger *ledger)
{
	unsigned i;

	for (i = 0; i < KS__OUTCOMES; i++)
		sum->outcome[i] += ledger->outcome[i];
	sum->delivered += ledger->delivered;
	sum->discarded += ledger->discarded;
	sum->in_flight += ledger->in_flight;
	sum->missed += ledger->missed;
	sum->missed_known = sum->missed_known && ledger->missed_known;
	sum->kernel_ns += ledger->kernel_ns;
	sum->programs += ledger->programs;
}

int ks__ledger_check(const char *probe, const struct ks__ledger *ledger, uint64_t slack, char *why,
		     size_t size)
{
	uint64_t submitted = ledger->outcome[SUBMITTED];
	uint64_t found = ledger->delivered + ledger->discarded + ledger->in_flight;
	uint64_t difference = submitted > found ? submitted - found : found - submitted;

	if (difference <= slack)
		return 0;
	snprintf(why, size,
		 "%s: submitted (%" PRIu64 ") is not delivered (%" PRIu64 ") + discarded (%" PRIu64
		 ") + in_flight (%" PRIu64 "): %" PRIu64 " record%s too %s",
		 probe, submitted, ledger->delivered, ledger->discarded, ledger->in_flight,
		 difference, difference == 1 ? "" : "s", submitted > found ? "few" : "many");
	return -KS_EBALANCE;
}

void ks__ledger_row(const struct ks__ledger *ledger, struct ks_stats_self *row)
{
	memcpy((char *)row + OUTCOMES_AT, ledger->outcome, sizeof(ledger->outcome));
	row->fired = ks__ledger_fired(ledger);
	row->delivered = ledger->delivered;
	row->discarded = ledger->discarded;
	row->in_flight = ledger->in_flight;
	row->kernel_ns = ledger->kernel_ns;
	row->programs = ledger->programs;
	row->row.valid |= KS_HAS_SELF_COST;
	if (ledger->missed_known) {
		row->missed = ledger->missed;
		row->row.valid |= KS_HAS_SELF_MISSED;
	}
}
