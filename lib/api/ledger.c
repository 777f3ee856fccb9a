/* SPDX-License-Identifier: BSD-2-Clause */
/* ledger.c - the ledger of a probe over all sources, and the check that it adds up */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/membarrier.h>

#include "../../bpf/shared.h"
#include "../data/ledger.h"
#include "api.h"

void ks__read_ledger(struct ks *ks, uint32_t probe, int idle, struct ks__ledger *ret)
{
	struct ks__slot *slot = &ks->slots[probe];
	/* KS_PROBE_SELF: events of no probe (corrupt records, children without room in a tree) */
	unsigned was_on = probe == KS_PROBE_SELF ? ~0u : atomic_load(&slot->was_on);
	uint64_t out = atomic_load(&ks->ordered[probe]), submitted, done;

	memset(ret, 0, sizeof(*ret));
	ret->missed_known = 1;
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++) {
		struct ks__ledger ledger = { 0 };

		if (!(was_on & 1u << i) ||
		    (probe == KS_PROBE_SELF && ks->sources[i]->ops->kind != KS_SOURCE_BPF) ||
		    ks->sources[i]->ops->ledger(ks->sources[i], probe, idle, &ledger))
			continue;
		ks__ledger_add(ret, &ledger);
	}
	if (ks->order && probe != KS_PROBE_SELF) {
		/* records in the heap of KS_OPEN_ORDERED are not delivered yet */
		ret->in_flight += ret->delivered - out;
		ret->delivered = out;
	}
	submitted = ret->outcome[KS_SUBMITTED];
	done = ret->delivered + ret->discarded;
	if (!idle)
		ret->in_flight = submitted > done ? submitted - done : 0;
}

static int check_ledger(struct ks *ks, const struct ks__slot *slot, char *why, size_t size)
{
	int idle = ks__consumer_try(ks);
	int exact = idle && atomic_load(&slot->state) == KS_STATE_OFF;
	struct ks__ledger ledger;

	ks__read_ledger(ks, slot->probe->id, idle != 0, &ledger);
	if (idle)
		ks__consumer_done(ks, idle);
	/*
	 * A running kernel program may have reserved a record and not counted it yet; on each CPU,
	 * a second one may have interrupted it.
	 */
	return ks__ledger_check(slot->probe->name, &ledger, exact ? 0 : 4ull * ks->n_cpus, why,
				size);
}

/* A kernel program may still run when detach returns; membarrier() waits for a grace period. */
static void wait_for_programs(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

int ks_ledger_check(struct ks *ks, uint32_t probe)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	char why[256];
	int rc = 0;

	if (!ks__slot(ks, probe))
		return ks__end(ks, begun, -EINVAL);
	for (uint32_t p = 1; p < KS__PROBES_MAX && !rc; p++) {
		struct ks__slot *slot = &ks->slots[p];

		if (!slot->probe || !atomic_load(&slot->since_ns) || (probe && p != probe))
			continue;
		rc = check_ledger(ks, slot, why, sizeof(why));
		if (rc) {
			wait_for_programs();
			rc = check_ledger(ks, slot, why, sizeof(why));
		}
	}
	return rc ? ks__fail(ks, rc, "%s", why) : 0;
}
