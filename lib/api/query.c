/* SPDX-License-Identifier: BSD-2-Clause */
/* query.c - a probe's state, source and variant here, and why it has no better variant */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/capability.h>

#include "../../bpf/shared.h"
#include "../data/ledger.h"
#include "../files/facts.h"
#include "api.h"

struct ks__slot *ks__slot(struct ks *ks, uint32_t probe)
{
	if (probe < KS__PROBES_MAX && ks->slots[probe].probe)
		return &ks->slots[probe];
	ks__fail(ks, -EINVAL, "there is no probe %u in this library", probe);
	return NULL;
}

struct ks__slot *ks__switchable(struct ks *ks, uint32_t probe)
{
	struct ks__slot *slot = ks__slot(ks, probe);

	if (slot && !slot->probe->variants && !slot->probe->fallback) {
		ks__fail(ks, -EINVAL,
			 "%s is always on: it cannot be switched, configured or tested",
			 slot->probe->name);
		return NULL;
	}
	return slot;
}

int ks__is_on(const struct ks__slot *slot)
{
	uint32_t state = atomic_load(&slot->state);

	return state == KS_STATE_ON || state == KS_STATE_SILENT;
}

/* ---- variants: the probe's own, then its fallback -------------------------------------------- */

static uint32_t count_variants(const struct ks__probe *probe)
{
	uint32_t n = 0;

	while (probe->variants && probe->variants[n].name)
		n++;
	return n;
}

const char *ks__variant_name(const struct ks__probe *probe, uint32_t index)
{
	uint32_t n = count_variants(probe);

	if (index < n)
		return probe->variants[index].name;
	return index == n && probe->fallback ? probe->fallback->name : NULL;
}

/* Returns the source of this kind; NULL: this build has none. */
struct ks__source *ks__source_of_kind(struct ks *ks, uint16_t kind)
{
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++)
		if (ks->sources[i]->ops->kind == kind)
			return ks->sources[i];
	return NULL;
}

int ks__may_serve(const struct ks__source *s, const struct ks__probe *probe)
{
	if (s->ops->kind == KS_SOURCE_BPF)
		return probe->variants != NULL;
	return probe->fallback != NULL;
}

int ks__has_variant(const struct ks__source *s, const struct ks__probe *probe, const char *name)
{
	if (s->ops->kind == KS_SOURCE_FILES)
		return probe->fallback && !strcmp(probe->fallback->name, name);
	for (const struct ks__variant *v = probe->variants; v && v->name; v++)
		if (!strcmp(v->name, name))
			return 1;
	return 0;
}

int ks__note_of(struct ks *ks, const struct ks__probe *probe, uint32_t index, struct ks__note *ret,
		uint16_t *ret_kind)
{
	uint32_t n = count_variants(probe);
	uint16_t kind = index < n ? KS_SOURCE_BPF : KS_SOURCE_FILES;
	struct ks__source *s = ks__source_of_kind(ks, kind);

	if (!ks__variant_name(probe, index))
		return -ENOENT;
	*ret_kind = kind;
	memset(ret, 0, sizeof(*ret));
	if (s)
		return s->ops->note(s, probe->id, index < n ? index : 0, ret);
	ret->error = -KS_EUNAVAIL;
	snprintf(ret->reason, sizeof(ret->reason),
		 "this library was built without BPF; build it with -Dbpf=enabled");
	return 0;
}

/* Returns the source that would serve the probe, and its variant; NULL: none. */
static struct ks__source *expect(struct ks *ks, const struct ks__probe *probe,
				 uint32_t *ret_variant, uint64_t *ret_valid)
{
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++) {
		struct ks__source *s = ks->sources[i];

		if (!ks__may_serve(s, probe) ||
		    s->ops->expect(s, probe->id, ret_variant, ret_valid))
			continue;
		return s;
	}
	*ret_variant = UINT32_MAX;
	*ret_valid = 0;
	return NULL;
}

/* These errors say that the kernel lacks something. Other errors mostly have a remedy. */
static int is_lack(const struct ks__note *note)
{
	return note->error == -ENOENT || note->error == -EOPNOTSUPP;
}

/*
 * Writes each reason once, even if several variants share it. Reasons with a remedy come first,
 * since there may not be room for all. The text on the fallback at the end is never cut.
 */
void ks__say_unavailable(struct ks *ks, const struct ks__probe *probe, char *text, size_t size)
{
	const char *end = !probe->fallback && probe->no_fallback ? probe->no_fallback : "";
	size_t room = size > strlen(end) + 2 ? size - strlen(end) - 2 : 0, n = 0;
	struct ks__note note;
	uint16_t kind;

	text[0] = '\0';
	for (int lacks = 0; lacks < 2; lacks++)
		for (uint32_t i = 0; n < room && !ks__note_of(ks, probe, i, &note, &kind); i++)
			if (note.error && is_lack(&note) == lacks && !strstr(text, note.reason))
				n += (size_t)ks__errors_print(text + n, room - n, "%s%s",
							      n ? "; " : "", note.reason);
	n = strlen(text);
	snprintf(text + n, size - n, "%s%s", n && end[0] ? "; " : "", end);
}

void ks__say_not_better(struct ks *ks, const struct ks__probe *probe, uint32_t variant, char *text,
			size_t size)
{
	struct ks__note note;
	uint16_t kind;

	text[0] = '\0';
	for (uint32_t i = 0; i < variant && !ks__note_of(ks, probe, i, &note, &kind); i++) {
		if (!note.error || (text[0] && is_lack(&note)))
			continue;
		snprintf(text, size, "%s", note.reason);
		if (!is_lack(&note))
			return;
	}
}

/* ---- queries --------------------------------------------------------------------------------- */

uint64_t ks__caps(void)
{
	uint64_t have;

	if (ks__facts_caps(&have))
		return UINT64_MAX;
	if (have & 1ull << CAP_SYS_ADMIN) /* implies both */
		have |= 1ull << CAP_BPF | 1ull << CAP_PERFMON;
	return have;
}

/* If the variant cannot see all events, puts its reason before the present one. */
static void fill_partial(struct ks *ks, struct ks__slot *slot, struct ks_probe_info *info)
{
	char better[sizeof(info->reason)];
	struct ks__note note;
	uint16_t kind;
	size_t n;

	if (ks__note_of(ks, slot->probe, info->variant, &note, &kind) || note.error ||
	    !note.reason[0])
		return;
	info->facts |= KS_FACT_PARTIAL;
	memcpy(better, info->reason, sizeof(better));
	n = strlen(note.reason);
	memcpy(info->reason, note.reason, n + 1);
	if (better[0])
		snprintf(info->reason + n, sizeof(info->reason) - n, "; %s", better);
}

static void fill_state(struct ks *ks, struct ks__slot *slot, struct ks_probe_info *info)
{
	struct ks__source *s;
	struct ks__note note;
	uint16_t kind;

	info->state = (uint16_t)atomic_load(&slot->state);
	if (ks__is_on(slot)) {
		s = atomic_load(&slot->source);
		info->variant = slot->variant;
		info->valid = atomic_load(&slot->valid);
		info->facts |= KS_FACT_TRIED;
		snprintf(info->reason, sizeof(info->reason), "%s", slot->reason);
	} else {
		s = expect(ks, slot->probe, &info->variant, &info->valid);
		if (s && !ks__note_of(ks, slot->probe, info->variant, &note, &kind) && note.tried)
			info->facts |= KS_FACT_TRIED;
		if (!s || info->state == KS_STATE_FAILED)
			ks__say_unavailable(ks, slot->probe, info->reason, sizeof(info->reason));
		else
			ks__say_not_better(ks, slot->probe, info->variant, info->reason,
					   sizeof(info->reason));
	}
	info->source = s ? s->ops->kind : KS_SOURCE_NONE;
	if (s)
		fill_partial(ks, slot, info);
	if (s && ks__variant_name(slot->probe, info->variant))
		snprintf(info->variant_name, sizeof(info->variant_name), "%s",
			 ks__variant_name(slot->probe, info->variant));
}

uint64_t ks__events_seen(struct ks *ks, uint32_t probe)
{
	struct ks__ledger ledger;

	ks__read_ledger(ks, probe, 0, &ledger);
	return ks__ledger_fired(&ledger) - ledger.outcome[KS_FILTERED];
}

static void fill_counts(struct ks *ks, struct ks__slot *slot, struct ks_probe_info *info)
{
	struct ks__ledger ledger;

	ks__read_ledger(ks, slot->probe->id, 0, &ledger);
	info->missed = ledger.missed;
	if (ledger.missed_known)
		info->facts |= KS_FACT_MISSED;
	if (ks__ledger_fired(&ledger) - ledger.outcome[KS_FILTERED] > slot->seen_at_enable)
		info->facts |= KS_FACT_SEEN;
}

int ks_query_probe(struct ks *ks, uint32_t probe, struct ks_probe_info *ret_info)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	struct ks__slot *slot = ks__slot(ks, probe);
	struct ks_probe_info info = { .size = sizeof(info), .probe = probe };

	if (!slot || !ret_info)
		return ks__end(ks, begun, -EINVAL);
	snprintf(info.name, sizeof(info.name), "%s", slot->probe->name);
	ks__lock(ks);
	info.n_variants = count_variants(slot->probe) + (slot->probe->fallback ? 1 : 0);
	info.generation = slot->set.generation;
	info.changed_ns = slot->changed_ns;
	info.last_ns = atomic_load(&ks->last_ns[probe]);
	if (!info.n_variants) { /* KS_PROBE_SELF */
		info.state = KS_STATE_ON;
		info.variant = UINT32_MAX;
		info.valid = slot->probe->valid;
	} else {
		info.caps_missing = slot->probe->caps & ~ks__caps();
		fill_state(ks, slot, &info);
		fill_counts(ks, slot, &info);
	}
	ks__unlock(ks);
	return ks__end(ks, begun, ks__opts_out(ret_info, &info, sizeof(info)));
}

int ks_query_variant(struct ks *ks, uint32_t probe, uint32_t index,
		     struct ks_variant_info *ret_info)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	struct ks__slot *slot = ks__slot(ks, probe);
	struct ks_variant_info info = { .size = sizeof(info) };
	struct ks__note note;
	uint16_t kind;
	int rc;

	if (!slot || !ret_info)
		return ks__end(ks, begun, -EINVAL);
	ks__lock(ks);
	rc = ks__note_of(ks, slot->probe, index, &note, &kind);
	ks__unlock(ks);
	if (rc)
		return ks__end(ks, begun, rc);
	info.error = note.error;
	info.source = kind;
	snprintf(info.name, sizeof(info.name), "%s", ks__variant_name(slot->probe, index));
	snprintf(info.reason, sizeof(info.reason), "%s", note.reason);
	return ks__end(ks, begun, ks__opts_out(ret_info, &info, sizeof(info)));
}

/* Writes why the lowest of these `valid` bits is unknown. */
static void say_why(struct ks *ks, struct ks__slot *slot, uint64_t missing, char *why, size_t size)
{
	uint64_t bit = missing & -missing, valid;
	uint32_t variant;
	struct ks__source *s;

	if (bit & ~slot->probe->valid) {
		snprintf(why, size, "%s has no such `valid` bit", slot->probe->name);
		return;
	}
	s = ks__is_on(slot) ? atomic_load(&slot->source) :
			      expect(ks, slot->probe, &variant, &valid);
	if (!s)
		ks__say_unavailable(ks, slot->probe, why, size);
	else
		s->ops->why(s, slot->probe->id, bit, why, size);
}

int ks_query_valid(struct ks *ks, uint32_t probe, uint64_t bits, char *why, size_t why_size)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	struct ks__slot *slot = ks__slot(ks, probe);
	char reason[256] = "";
	uint64_t missing;

	if (!slot || (why_size && !why))
		return ks__end(ks, begun, -EINVAL);
	ks__lock(ks);
	if (slot->probe->variants || slot->probe->fallback) {
		uint32_t variant;
		uint64_t valid = atomic_load(&slot->valid);

		if (!ks__is_on(slot))
			expect(ks, slot->probe, &variant, &valid);
		missing = bits & ~valid;
		if (missing)
			say_why(ks, slot, missing, reason, sizeof(reason));
	} else {
		missing = bits & ~slot->probe->valid;
	}
	ks__unlock(ks);
	if (why_size)
		snprintf(why, why_size, "%s", reason);
	return !missing;
}
