/* SPDX-License-Identifier: BSD-2-Clause */
/* probe.c - prepares, enables, disables and configures probes */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api.h"

static uint32_t next_generation(uint32_t generation)
{
	return generation % 255 + 1;
}

static int prepare(struct ks *ks, uint32_t mask)
{
	struct ks__source *bpf = ks__source_of_kind(ks, KS_SOURCE_BPF);
	int rc, n = 0;

	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++) {
		rc = ks->sources[i]->ops->prepare(ks->sources[i], mask, NULL);
		if (rc)
			return rc;
	}
	for (uint32_t p = 0; bpf && p < KS__PROBES_MAX; p++) {
		uint32_t variant;
		uint64_t valid;

		if (mask & 1u << p && !bpf->ops->expect(bpf, p, &variant, &valid))
			n++;
	}
	return n;
}

static void add_user_ns(struct ks *ks, uint64_t since)
{
	atomic_fetch_add_explicit(&ks->user_ns, ks__cpu_now() - since, memory_order_relaxed);
}

int ks_prepare(struct ks *ks, const uint32_t *probes, size_t n)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	uint64_t began = ks__cpu_now();
	uint32_t mask = 0;
	int rc;

	if (n && !probes)
		return ks__fail(ks, -EINVAL, "ks_prepare: n is %zu, but probes is NULL", n);
	for (size_t i = 0; i < n; i++) {
		if (!ks__switchable(ks, probes[i]))
			return ks__end(ks, begun, -EINVAL);
		mask |= 1u << probes[i];
	}
	for (uint32_t p = 1; !probes && p < KS__PROBES_MAX; p++)
		if (ks->slots[p].probe)
			mask |= 1u << p;
	ks__lock(ks);
	rc = ks__own(ks);
	if (!rc)
		rc = prepare(ks, mask);
	ks__unlock(ks);
	add_user_ns(ks, began);
	return ks__end(ks, begun, rc);
}

static void set_state(struct ks__slot *slot, uint32_t state)
{
	atomic_store(&slot->state, state);
	slot->changed_ns = ks__now();
}

/* Returns 0: source i serves the probe; 1: it cannot, try the next source; negative: give up. */
static int enable_on(struct ks *ks, struct ks__slot *slot, unsigned i, const char *variant,
		     const struct ks__settings *set)
{
	struct ks__source *s = ks->sources[i];
	uint32_t probe = slot->probe->id, index = 0;
	uint64_t valid = 0;
	int rc = s->ops->prepare(s, 1u << probe, variant);

	if (!rc)
		rc = s->ops->apply(s, probe, set);
	if (!rc)
		rc = s->ops->enable(s, probe, variant, &index, &valid);
	if (rc == -KS_EUNAVAIL)
		return 1;
	if (rc)
		return rc;
	slot->variant = index;
	slot->set = *set;
	atomic_store(&slot->valid, valid);
	atomic_store(&slot->source, s);
	atomic_store(&slot->valid_ever,
		     valid & (atomic_load(&slot->since_ns) ? atomic_load(&slot->valid_ever) :
							     UINT64_MAX));
	atomic_fetch_or(&slot->was_on, 1u << i);
	slot->seen_at_enable = ks__events_seen(ks, probe);
	if (!atomic_load(&slot->since_ns))
		atomic_store(&slot->since_ns, ks__now());
	if (s->ops->kind == KS_SOURCE_FILES)
		ks__consumer_poke(ks);
	return 0;
}

static int enable_off(struct ks *ks, struct ks__slot *slot, const struct ks_enable_opts *o,
		      struct ks__settings *set)
{
	const struct ks__probe *probe = slot->probe;
	int known = 0;

	set->generation = next_generation(slot->set.generation);
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++) {
		struct ks__source *s = ks->sources[i];
		int rc;

		if (!ks__may_serve(s, probe) ||
		    (o->variant && !ks__has_variant(s, probe, o->variant)))
			continue;
		known = 1;
		if (s->ops->kind == KS_SOURCE_FILES && o->flags & KS_ENABLE_NO_FALLBACK)
			continue;
		rc = enable_on(ks, slot, i, o->variant, set);
		if (rc < 0)
			return rc;
		if (rc == 0) {
			ks__say_not_better(ks, probe, slot->variant, slot->reason,
					   sizeof(slot->reason));
			set_state(slot, KS_STATE_ON);
			return 0;
		}
	}
	if (o->variant && !known) {
		uint32_t n = 0;

		while (ks__variant_name(probe, n) && strcmp(ks__variant_name(probe, n), o->variant))
			n++;
		if (!ks__variant_name(probe, n))
			return ks__fail(ks, -EINVAL, "%s has no variant '%s'", probe->name,
					o->variant);
	}
	ks__say_unavailable(ks, probe, slot->reason, sizeof(slot->reason));
	if (o->variant) {
		struct ks__note note;
		uint16_t kind;

		for (uint32_t n = 0; ks__note_of(ks, probe, n, &note, &kind) == 0; n++)
			if (!strcmp(ks__variant_name(probe, n), o->variant) && note.error)
				snprintf(slot->reason, sizeof(slot->reason), "%s", note.reason);
	}
	set_state(slot, KS_STATE_FAILED);
	return ks__fail(ks, -KS_EUNAVAIL, "%s: %s", probe->name, slot->reason);
}

static int configure(struct ks *ks, struct ks__slot *slot, struct ks__settings *set)
{
	struct ks__source *s = atomic_load(&slot->source);
	int rc;

	set->generation = next_generation(slot->set.generation);
	rc = s->ops->apply(s, slot->probe->id, set);
	if (rc)
		return rc;
	slot->set = *set;
	if (s->ops->kind == KS_SOURCE_FILES)
		ks__consumer_poke(ks);
	return (int)set->generation;
}

/* Enables a probe that is on: changes the given settings; source and variant stay. */
static int enable_again(struct ks *ks, struct ks__slot *slot, const struct ks_enable_opts *o)
{
	struct ks__settings set = slot->set;
	int rc;

	if (o->variant && strcmp(o->variant, ks__variant_name(slot->probe, slot->variant)))
		return ks__fail(ks, -EBUSY,
				"%s is on with variant %s: disable it before you force %s",
				slot->probe->name, ks__variant_name(slot->probe, slot->variant),
				o->variant);
	if (o->flags & KS_ENABLE_NO_FALLBACK &&
	    atomic_load(&slot->source)->ops->kind == KS_SOURCE_FILES)
		return ks__fail(ks, -KS_EUNAVAIL, "%s is on and reads files: disable it first",
				slot->probe->name);
	if (o->flags & ~(slot->set.flags | KS_ENABLE_NO_FALLBACK))
		return ks__fail(ks, -EBUSY, "%s is on with other flags: disable it first",
				slot->probe->name);
	if (!o->n_params)
		return 0;
	rc = ks__take_params(ks, slot->probe, o->params, o->n_params, &set);
	if (!rc)
		rc = configure(ks, slot, &set);
	return rc < 0 ? rc : 0;
}

/* Returns 1 and keeps a message if the probe runs on a fallback or lacks fields, else 0. */
static int says_less(struct ks *ks, struct ks__slot *slot)
{
	struct ks__source *s = atomic_load(&slot->source);
	uint64_t missing = slot->probe->valid & ~atomic_load(&slot->valid);
	const char *variant = ks__variant_name(slot->probe, slot->variant);
	char text[KS_ERROR_MAX];

	if (s->ops->kind == KS_SOURCE_BPF && !missing)
		return 0;
	if (!slot->reason[0] && s->ops->kind != KS_SOURCE_BPF)
		snprintf(slot->reason, sizeof(slot->reason),
			 "variant %s was forced, which reads files; a better one may work",
			 variant);
	else if (!slot->reason[0])
		s->ops->why(s, slot->probe->id, missing & -missing, slot->reason,
			    sizeof(slot->reason));
	ks__errors_print(text, sizeof(text), "%s is limited to variant %s: %s", slot->probe->name,
			 variant, slot->reason);
	ks__errors_note(&ks->errors, text);
	return 1;
}

static int enable(struct ks *ks, struct ks__slot *slot, const struct ks_enable_opts *o)
{
	struct ks__settings set;
	int rc;

	if (ks__is_on(slot)) {
		rc = enable_again(ks, slot, o);
	} else {
		ks__settings_defaults(slot->probe, &set);
		set.flags = o->flags;
		rc = ks__take_params(ks, slot->probe, o->params, o->n_params, &set);
		if (!rc)
			rc = enable_off(ks, slot, o, &set);
	}
	if (rc)
		return rc;
	return says_less(ks, slot);
}

int ks_enable_probe(struct ks *ks, uint32_t probe, const struct ks_enable_opts *opts)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	const uint32_t all = KS_ENABLE_NO_FALLBACK | KS_ENABLE_NO_EVENTS | KS_ENABLE_NO_STATS;
	struct ks_enable_opts o = { 0 };
	struct ks__slot *slot = ks__switchable(ks, probe);
	uint64_t began = ks__cpu_now();
	int rc;

	if (!slot)
		return ks__end(ks, begun, -EINVAL);
	if (opts) {
		rc = ks__opts_in(&o, sizeof(o), opts);
		if (rc)
			return ks__fail(
				ks, rc,
				"ks_enable_opts: size %zu must be 8 or more, bytes after %zu 0",
				opts->size, sizeof(o));
	}
	if (o.flags & ~all)
		return ks__fail(ks, -EINVAL,
				"ks_enable_opts: flags may be KS_ENABLE_NO_FALLBACK, "
				"KS_ENABLE_NO_EVENTS and KS_ENABLE_NO_STATS");
	ks__lock(ks);
	rc = ks__own(ks);
	if (!rc)
		rc = enable(ks, slot, &o);
	ks__unlock(ks);
	add_user_ns(ks, began);
	return ks__end(ks, begun, rc);
}

int ks_disable_probe(struct ks *ks, uint32_t probe)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	struct ks__slot *slot = ks__switchable(ks, probe);

	if (!slot)
		return ks__end(ks, begun, -EINVAL);
	ks__lock(ks);
	if (ks__is_on(slot)) {
		struct ks__source *s = atomic_load(&slot->source);

		s->ops->disable(s, probe);
		slot->reason[0] = '\0';
		set_state(slot, KS_STATE_OFF);
	} else if (atomic_load(&slot->state) == KS_STATE_FAILED) {
		set_state(slot, KS_STATE_OFF);
	}
	ks__unlock(ks);
	return 0;
}

int ks_configure_probe(struct ks *ks, uint32_t probe, const struct ks_param *params, size_t n)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	struct ks__slot *slot = ks__switchable(ks, probe);
	struct ks__settings set;
	int rc = 0;

	if (!slot)
		return ks__end(ks, begun, -EINVAL);
	ks__lock(ks);
	if (!ks__is_on(slot)) {
		rc = ks__fail(ks, -KS_EOFF, "%s is off: enable it first, or with these settings",
			      slot->probe->name);
	} else {
		if (params || n) {
			set = slot->set;
			rc = ks__take_params(ks, slot->probe, params, n, &set);
		} else {
			ks__settings_defaults(slot->probe, &set);
			set.flags = slot->set.flags;
		}
		if (!rc)
			rc = configure(ks, slot, &set);
	}
	ks__unlock(ks);
	return ks__end(ks, begun, rc);
}
