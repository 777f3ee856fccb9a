/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch.c - follows a scope's cgroup that is removed and created again
 *
 * A restarted service gets a new cgroup with the same path. While the scope is a cgroup, the
 * consumer checks the path once a second, with one syscall. If it finds another cgroup there, that
 * becomes the scope, and each probe that is on reports it with a KS_EVENT_STATE record.
 */
#include <stddef.h>

#include "../files/cgroups.h"
#include "api.h"

#define LOOK_NS 1000000000u
#define LATER_NS 10000000u

/* The caller holds the handle's lock. Returns 1 if the scope is now another cgroup, else 0. */
static int look(struct ks *ks)
{
	struct ks__cgroups *cgroups = ks__cgroups_of(ks, NULL);
	struct ks__scope next = ks->scope;
	uint64_t id;

	if (!cgroups ||
	    ks__cgroups_again(cgroups, next.cgroup_path, next.cgroup, &id) != KS__CGROUP_OTHER)
		return 0;
	if (ks__own(ks))
		return 0;
	next.cgroup = id;
	if (ks__scope_apply(ks, &next)) /* the next check tries again */
		return 0;
	ks->scope.cgroup = id;
	ks__log(ks, KS_LOG_INFO, "the scope's cgroup %s was created again: its id is now %llu",
		next.cgroup_path, (unsigned long long)id);
	return 1;
}

static void note_probes(struct ks *ks)
{
	for (uint32_t p = KS_PROBE_SELF + 1; p < KS__PROBES_MAX; p++)
		if (ks->slots[p].probe && ks__is_on(&ks->slots[p])) {
			ks->states_due |= 1u << p;
			ks->states_every[p] = (uint32_t)ks->slots[p].set.sample_every;
		}
}

/* Delivers one KS_EVENT_STATE record for each probe in ks->states_due. Returns how many. */
static unsigned report_states(struct ks *ks, struct ks__sink *sink, unsigned max)
{
	uint64_t now = ks__now();
	unsigned n = 0;

	for (uint32_t p = 0; p < KS__PROBES_MAX && ks->states_due && n < max; p++) {
		const struct ks__slot *slot = &ks->slots[p];
		struct ks_event_state e = {
			.ev = { .size = sizeof(e),
				.id = KS_EVENT_STATE,
				.cpu = KS_NO_CPU,
				.weight = 1,
				.time_ns = now },
			.probe = p,
			.cause = KS_CAUSE_SCOPE,
		};
		struct ks__source *source;

		if (!(ks->states_due & 1u << p))
			continue;
		ks->states_due &= ~(1u << p);
		source = atomic_load(&slot->source);
		e.state = (uint16_t)atomic_load(&slot->state);
		e.source = source ? source->ops->kind : KS_SOURCE_NONE;
		e.sample_every = ks->states_every[p];
		n++;
		if (ks__put(sink, &e.ev))
			break;
	}
	return n;
}

/* If another thread holds the lock, it may load kernel programs for long: try again later. */
static void look_if_due(struct ks *ks, uint64_t due)
{
	KS__UNCANCELLED;
	uint64_t now = ks__now();

	if (now < due)
		return;
	if (pthread_mutex_trylock(&ks->lock)) {
		atomic_compare_exchange_strong(&ks->look_ns, &due, now + LATER_NS);
		return;
	}
	if (ks->scope.kind == KS_SCOPE_CGROUP && look(ks))
		note_probes(ks);
	atomic_store(&ks->look_ns, ks->scope.kind == KS_SCOPE_CGROUP ? now + LOOK_NS : 0);
	ks__unlock(ks);
}

unsigned ks__watch_drain(struct ks *ks, struct ks__sink *sink, unsigned max)
{
	uint64_t due = atomic_load_explicit(&ks->look_ns, memory_order_relaxed);

	if (due && !ks->states_due)
		look_if_due(ks, due);
	return ks->states_due ? report_states(ks, sink, max) : 0;
}

void ks__watch_begin(struct ks *ks)
{
	atomic_store(&ks->look_ns, ks->scope.kind == KS_SCOPE_CGROUP ? ks__now() + LOOK_NS : 0);
	if (ks->scope.kind == KS_SCOPE_CGROUP)
		ks__consumer_poke(ks);
}
