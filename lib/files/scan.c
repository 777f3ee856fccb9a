/* SPDX-License-Identifier: BSD-2-Clause */
/* scan.c - decides about each event that a scan finds: scope, sample, limit, record */
#include "scan.h"

#include <string.h>

#include "../data/rows.h"

int ks__look_is_named(const struct ks__look *look, int32_t pid, uint64_t start)
{
	const struct ks__scope *scope = look->scope;
	uint32_t from = 0, to = scope->n_pids;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (scope->pids[middle] == pid)
			return !start || !scope->starts || scope->starts[middle] == start ||
			       scope->starts[middle] == KS__START_UNKNOWN;
		if (scope->pids[middle] < pid)
			from = middle + 1;
		else
			to = middle;
	}
	return 0;
}

int ks__look_in_scope(const struct ks__look *look, int32_t pid, uint64_t start, int in_tree,
		      const char *comm)
{
	const struct ks__scope *scope = look->scope;

	if (scope->has_comm && strncmp(comm, scope->comm, sizeof(scope->comm)) != 0)
		return 0;
	if (scope->has_exclude && strncmp(comm, scope->exclude, sizeof(scope->exclude)) == 0)
		return 0;
	switch (scope->kind) {
	case KS_SCOPE_SELF:
		return pid == look->self;
	case KS_SCOPE_TREE:
	case KS_SCOPE_CGROUP:
		return in_tree;
	case KS_SCOPE_PIDS:
		return ks__look_is_named(look, pid, start);
	default:
		return 1;
	}
}

/* Takes 1 event in n, at random: a fixed step would miss one kind of events that alternate. */
static int is_sampled(struct ks__tally *tally, uint64_t n)
{
	tally->random ^= tally->random << 13;
	tally->random ^= tally->random >> 7;
	tally->random ^= tally->random << 17;
	return tally->random % n == 0;
}

/* A token bucket: holds `burst` records and gets max_per_sec new ones per second. */
static int is_affordable(struct ks__tally *tally, const struct ks__settings *set, uint64_t now_ns)
{
	uint64_t cost, depth, spent;
	int affordable;

	if (!set->max_per_sec)
		return 1;
	cost = 1000000000u / set->max_per_sec;
	depth = cost * set->burst;
	spent = tally->full_ns > now_ns ? tally->full_ns - now_ns : 0;
	if (spent > depth) /* spent under earlier settings with a larger burst */
		spent = depth;
	affordable = spent + cost <= depth;
	tally->full_ns = now_ns + spent + (affordable ? cost : 0);
	return affordable;
}

static enum ks_bpf_outcome judge(struct ks__look *look, int in_scope)
{
	const struct ks__settings *set = look->set;

	if (!in_scope)
		return KS_FILTERED;
	if (set->flags & KS_ENABLE_NO_EVENTS || !set->sample_every)
		return KS_AGGREGATED;
	if (set->sample_every > 1 && !is_sampled(look->tally, set->sample_every))
		return KS_SAMPLED_OUT;
	return is_affordable(look->tally, set, look->now_ns) ? KS_SUBMITTED : KS_THROTTLED;
}

uint32_t ks__look_count(struct ks__look *look, uint32_t probe, int in_scope, int word)
{
	enum ks_bpf_outcome outcome = judge(look, in_scope);

	if (outcome != KS_FILTERED && word >= 0 && !(look->set->flags & KS_ENABLE_NO_STATS))
		look->tally->block[word]++;
	if (outcome == KS_SUBMITTED) /* ks__look_put() counts this outcome: the queue may be full */
		return (uint32_t)look->set->sample_every;
	look->tally->outcome[outcome]++;
	if (outcome == KS_THROTTLED)
		ks__queue_throttle(look->queue, probe);
	return 0;
}

void ks__look_head(const struct ks__look *look, uint16_t size, uint16_t id, int32_t pid,
		   const char *comm, struct ks_event *ret)
{
	*ret = (struct ks_event){
		.size = size,
		.id = id,
		.cpu = KS_NO_CPU,
		.flags = KS_FLAG_FALLBACK,
		.generation = (uint8_t)look->set->generation,
		.pid = pid,
		.tid = pid,
		.time_ns = look->now_ns,
	};
	if (look->set->identity & KS_IDENTITY_COMM)
		memcpy(ret->comm, comm, strnlen(comm, sizeof(ret->comm) - 1));
}

void ks__look_put(struct ks__look *look, struct ks_event *ev, uint32_t weight)
{
	struct ks__tally *tally = look->tally;

	ev->weight = weight;
	if (ks__queue_put(look->queue, ev)) {
		tally->outcome[KS_LOST_RING_FULL]++;
		return;
	}
	tally->outcome[KS_SUBMITTED]++;
	tally->queued++;
}
