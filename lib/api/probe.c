/* SPDX-License-Identifier: BSD-2-Clause */
/* probe.c - prepare, enable, disable, configure, query */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "api.h"
#include "schema.h"

struct ks__slot *ks__slot(struct ks *ks, uint32_t probe)
{
	if (probe < KS__PROBES_MAX && ks->slots[probe].probe)
		return &ks->slots[probe];
	ks__fail(ks, -EINVAL, "there is no probe %u in this library", probe);
	return NULL;
}

/* A probe that can be switched on: all but the library's own. */
static struct ks__slot *switchable(struct ks *ks, uint32_t probe)
{
	struct ks__slot *slot = ks__slot(ks, probe);

	if (slot && !slot->probe->variants && !slot->probe->fallback) {
		ks__fail(ks, -EINVAL, "%s is always on", slot->probe->name);
		return NULL;
	}
	return slot;
}

/* ---- settings --------------------------------------------------------------------------------- */

void ks__settings_defaults(const struct ks__probe *probe, struct ks__settings *ret)
{
	const struct ks__defaults *d = &probe->defaults;

	memset(ret, 0, sizeof(*ret));
	ret->sample_every = d->sample_every;
	ret->max_per_sec = d->max_per_sec;
	ret->burst = d->burst;
	ret->identity = d->identity;
	ret->interval_ms = d->interval_ms;
	for (const struct ks__param *p = probe->params; p && p->name; p++)
		ret->own[p->id - KS__PARAM_OWN] = p->default_value;
}

static uint64_t *member(struct ks__settings *set, uint32_t id)
{
	switch (id) {
	case KS_PARAM_SAMPLE_EVERY:
		return &set->sample_every;
	case KS_PARAM_MAX_PER_SEC:
		return &set->max_per_sec;
	case KS_PARAM_BURST:
		return &set->burst;
	case KS_PARAM_IDENTITY:
		return &set->identity;
	case KS_PARAM_INTERVAL_MS:
		return &set->interval_ms;
	}
	return &set->own[id - KS__PARAM_OWN];
}

static int describe(const struct ks__probe *probe, uint32_t id, struct ks_param_desc *ret)
{
	for (uint32_t i = 0; ks__schema_param(probe, i, ret) == 0; i++)
		if (ret->id == id)
			return 0;
	return -ENOENT;
}

/* All of them into *set, or none and a sentence. */
static int take_params(struct ks *ks, const struct ks__probe *probe, const struct ks_param *params,
		       size_t n, struct ks__settings *set)
{
	struct ks__settings next = *set;

	if (n && !params)
		return ks__fail(ks, -EINVAL, "%s: %zu settings at NULL", probe->name, n);
	for (size_t i = 0; i < n; i++) {
		const struct ks_param *p = &params[i];
		struct ks_param_desc d;

		if (describe(probe, p->id, &d))
			return ks__fail(ks, -EINVAL, "%s has no setting %u", probe->name, p->id);
		if (p->reserved || p->data || p->data_size)
			return ks__fail(ks, -EINVAL, "%s.%s is a number: data and reserved are 0",
					probe->name, d.name);
		if (p->value < d.lowest || p->value > d.highest)
			return ks__fail(ks, -EINVAL, "%s.%s: %llu is not within %llu to %llu",
					probe->name, d.name, (unsigned long long)p->value,
					(unsigned long long)d.lowest, (unsigned long long)d.highest);
		*member(&next, p->id) = p->value;
	}
	*set = next;
	return 0;
}

static uint32_t next_generation(uint32_t generation)
{
	return generation % 255 + 1;
}

/* ---- variants, numbered over the probe's own and then its fallback ------------------------------ */

static uint32_t count_variants(const struct ks__probe *probe)
{
	uint32_t n = 0;

	while (probe->variants && probe->variants[n].name)
		n++;
	return n;
}

static const char *variant_name(const struct ks__probe *probe, uint32_t index)
{
	uint32_t n = count_variants(probe);

	if (index < n)
		return probe->variants[index].name;
	return index == n && probe->fallback ? probe->fallback->name : NULL;
}

/* The source that would serve this variant (NULL name: any); NULL if this build has none. */
static struct ks__source *source_of_kind(struct ks *ks, uint16_t kind)
{
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++)
		if (ks->sources[i]->ops->kind == kind)
			return ks->sources[i];
	return NULL;
}

static int may_serve(const struct ks__source *s, const struct ks__probe *probe)
{
	if (s->ops->kind == KS_SOURCE_BPF)
		return probe->variants != NULL;
	return probe->fallback != NULL;
}

static int has_variant(const struct ks__source *s, const struct ks__probe *probe, const char *name)
{
	if (s->ops->kind == KS_SOURCE_FILES)
		return probe->fallback && !strcmp(probe->fallback->name, name);
	for (const struct ks__variant *v = probe->variants; v && v->name; v++)
		if (!strcmp(v->name, name))
			return 1;
	return 0;
}

static int note_of(struct ks *ks, const struct ks__probe *probe, uint32_t index,
		   struct ks__note *ret, uint16_t *ret_kind)
{
	uint32_t n = count_variants(probe);
	uint16_t kind = index < n ? KS_SOURCE_BPF : KS_SOURCE_FILES;
	struct ks__source *s = source_of_kind(ks, kind);

	if (!variant_name(probe, index))
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

/* The source and variant that would be taken; source NULL: none. */
static struct ks__source *expect(struct ks *ks, const struct ks__probe *probe,
				 uint32_t *ret_variant, uint64_t *ret_valid)
{
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++) {
		struct ks__source *s = ks->sources[i];

		if (!may_serve(s, probe) || s->ops->expect(s, probe->id, ret_variant, ret_valid))
			continue;
		return s;
	}
	*ret_variant = UINT32_MAX;
	*ret_valid = 0;
	return NULL;
}

uint64_t ks__slot_valid(struct ks *ks, struct ks__slot *slot)
{
	uint32_t variant;
	uint64_t valid;

	if (atomic_load(&slot->since_ns))
		return atomic_load(&slot->valid);
	expect(ks, slot->probe, &variant, &valid);
	return valid;
}

/* Why nothing serves it: the reason of its best variant, and why there is no fallback. */
static void say_unavailable(struct ks *ks, const struct ks__probe *probe, char *text, size_t size)
{
	struct ks__note note;
	uint16_t kind;
	int n = 0;

	text[0] = '\0';
	for (uint32_t i = 0; note_of(ks, probe, i, &note, &kind) == 0; i++) {
		if (!note.error || (i && n > (int)size / 2))
			continue;
		n += snprintf(text + n, size - (size_t)n, "%s%s", n ? "; " : "", note.reason);
		if (n >= (int)size)
			return;
		if (i == 0 && kind == KS_SOURCE_BPF)
			break; /* the others mostly repeat it: ks_query_variant() has them all */
	}
	if (!probe->fallback && probe->no_fallback)
		snprintf(text + n, size - (size_t)n, "%s%s", n ? "; " : "", probe->no_fallback);
}

/* ---- prepare, enable, disable, configure --------------------------------------------------------- */

static int prepare(struct ks *ks, uint32_t mask)
{
	struct ks__source *bpf = source_of_kind(ks, KS_SOURCE_BPF);
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
	uint64_t began = ks__cpu_now();
	uint32_t mask = 0;
	int rc;

	if (n && !probes)
		return ks__fail(ks, -EINVAL, "ks_prepare: %zu probes at NULL", n);
	for (size_t i = 0; i < n; i++) {
		if (!switchable(ks, probes[i]))
			return -EINVAL;
		mask |= 1u << probes[i];
	}
	for (uint32_t p = 1; !n && p < KS__PROBES_MAX; p++)
		if (ks->slots[p].probe)
			mask |= 1u << p;
	pthread_mutex_lock(&ks->lock);
	rc = prepare(ks, mask);
	pthread_mutex_unlock(&ks->lock);
	add_user_ns(ks, began);
	return rc;
}

static void set_state(struct ks__slot *slot, uint32_t state)
{
	atomic_store(&slot->state, state);
	slot->changed_ns = ks__now();
}

/* 0: taken on; 1: this source cannot, ask the next; negative: stop. */
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
	atomic_fetch_or(&slot->was_on, 1u << i);
	if (!atomic_load(&slot->since_ns))
		atomic_store(&slot->since_ns, ks__now());
	return 0;
}

/* Why it is not better than it is; "" if it is as good as can be. */
static void note_reason(struct ks *ks, struct ks__slot *slot)
{
	struct ks__note note;
	uint16_t kind;

	slot->reason[0] = '\0';
	if (slot->variant && !note_of(ks, slot->probe, 0, &note, &kind) && note.error)
		snprintf(slot->reason, sizeof(slot->reason), "%s", note.reason);
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

		if (!may_serve(s, probe) || (o->variant && !has_variant(s, probe, o->variant)))
			continue;
		known = 1;
		if (s->ops->kind == KS_SOURCE_FILES && o->flags & KS_ENABLE_NO_FALLBACK)
			continue;
		rc = enable_on(ks, slot, i, o->variant, set);
		if (rc < 0)
			return rc;
		if (rc == 0) {
			note_reason(ks, slot);
			set_state(slot, KS_STATE_ON);
			return 0;
		}
	}
	if (o->variant && !known) {
		uint32_t n = 0;

		while (variant_name(probe, n) && strcmp(variant_name(probe, n), o->variant))
			n++;
		if (!variant_name(probe, n))
			return ks__fail(ks, -EINVAL, "%s has no variant '%s'", probe->name, o->variant);
	}
	say_unavailable(ks, probe, slot->reason, sizeof(slot->reason));
	if (o->variant) {
		struct ks__note note;
		uint16_t kind;

		for (uint32_t n = 0; note_of(ks, probe, n, &note, &kind) == 0; n++)
			if (!strcmp(variant_name(probe, n), o->variant) && note.error)
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
	return (int)set->generation;
}

static int is_on(const struct ks__slot *slot)
{
	uint32_t state = atomic_load(&slot->state);

	return state == KS_STATE_ON || state == KS_STATE_SILENT;
}

/* It is on already: the settings that are named are taken, the way it is attached stays. */
static int enable_again(struct ks *ks, struct ks__slot *slot, const struct ks_enable_opts *o)
{
	struct ks__settings set = slot->set;
	int rc;

	if (o->variant && strcmp(o->variant, variant_name(slot->probe, slot->variant)))
		return ks__fail(ks, -EBUSY, "%s is on by %s: disable it before forcing %s",
				slot->probe->name, variant_name(slot->probe, slot->variant), o->variant);
	if (!o->n_params)
		return 0;
	rc = take_params(ks, slot->probe, o->params, o->n_params, &set);
	if (!rc)
		rc = configure(ks, slot, &set);
	return rc < 0 ? rc : 0;
}

static int enable(struct ks *ks, struct ks__slot *slot, const struct ks_enable_opts *o)
{
	struct ks__settings set;
	int rc;

	if (is_on(slot)) {
		rc = enable_again(ks, slot, o);
	} else {
		ks__settings_defaults(slot->probe, &set);
		set.flags = o->flags;
		rc = take_params(ks, slot->probe, o->params, o->n_params, &set);
		if (!rc)
			rc = enable_off(ks, slot, o, &set);
	}
	if (rc)
		return rc;
	return atomic_load(&slot->source)->ops->kind != KS_SOURCE_BPF ||
	       atomic_load(&slot->valid) != slot->probe->valid;
}

int ks_enable_probe(struct ks *ks, uint32_t probe, const struct ks_enable_opts *opts)
{
	KS__ENTER(ks);
	const uint32_t all = KS_ENABLE_NO_FALLBACK | KS_ENABLE_NO_EVENTS | KS_ENABLE_NO_STATS;
	struct ks_enable_opts o = { 0 };
	struct ks__slot *slot = switchable(ks, probe);
	uint64_t began = ks__cpu_now();
	int rc;

	if (!slot)
		return -EINVAL;
	if (opts) {
		rc = ks__opts_in(&o, sizeof(o), opts);
		if (rc)
			return ks__fail(ks, rc, "ks_enable_opts: size %zu, this library knows %zu",
					opts->size, sizeof(o));
	}
	if (o.flags & ~all)
		return ks__fail(ks, -EINVAL, "ks_enable_opts: no flags 0x%x", o.flags & ~all);
	pthread_mutex_lock(&ks->lock);
	rc = enable(ks, slot, &o);
	pthread_mutex_unlock(&ks->lock);
	add_user_ns(ks, began);
	return rc;
}

int ks_disable_probe(struct ks *ks, uint32_t probe)
{
	KS__ENTER(ks);
	struct ks__slot *slot = switchable(ks, probe);

	if (!slot)
		return -EINVAL;
	pthread_mutex_lock(&ks->lock);
	if (is_on(slot)) {
		struct ks__source *s = atomic_load(&slot->source);

		s->ops->disable(s, probe);
		slot->reason[0] = '\0';
		set_state(slot, KS_STATE_OFF);
	} else if (atomic_load(&slot->state) == KS_STATE_FAILED) {
		set_state(slot, KS_STATE_OFF);
	}
	pthread_mutex_unlock(&ks->lock);
	return 0;
}

int ks_configure_probe(struct ks *ks, uint32_t probe, const struct ks_param *params, size_t n)
{
	KS__ENTER(ks);
	struct ks__slot *slot = switchable(ks, probe);
	struct ks__settings set;
	int rc = 0;

	if (!slot)
		return -EINVAL;
	pthread_mutex_lock(&ks->lock);
	if (!is_on(slot)) {
		rc = ks__fail(ks, -KS_EOFF, "%s is off: name its settings when enabling it",
			      slot->probe->name);
	} else {
		if (params || n) {
			set = slot->set;
			rc = take_params(ks, slot->probe, params, n, &set);
		} else {
			ks__settings_defaults(slot->probe, &set);
			set.flags = slot->set.flags;
		}
		if (!rc)
			rc = configure(ks, slot, &set);
	}
	pthread_mutex_unlock(&ks->lock);
	return rc;
}

/* ---- queries ------------------------------------------------------------------------------------- */

int ks_query_param(struct ks *ks, uint32_t probe, uint32_t id, uint64_t *ret_value)
{
	KS__ENTER(ks);
	struct ks__slot *slot = switchable(ks, probe);
	struct ks_param_desc d;

	if (!slot || !ret_value)
		return -EINVAL;
	if (describe(slot->probe, id, &d))
		return ks__fail(ks, -EINVAL, "%s has no setting %u", slot->probe->name, id);
	pthread_mutex_lock(&ks->lock);
	*ret_value = *member(&slot->set, id);
	pthread_mutex_unlock(&ks->lock);
	return 0;
}

static uint64_t caps_missing(uint64_t wanted)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { 0 }, { 0 } };
	uint64_t have;

	if (syscall(SYS_capget, &head, data))
		return 0;
	have = (uint64_t)data[1].effective << 32 | data[0].effective;
	if (have & 1ull << CAP_SYS_ADMIN) /* stands in for both */
		have |= 1ull << CAP_BPF | 1ull << CAP_PERFMON;
	return wanted & ~have;
}

static void fill_state(struct ks *ks, struct ks__slot *slot, struct ks_probe_info *info)
{
	struct ks__source *s;
	struct ks__note note;
	uint16_t kind;

	info->state = (uint16_t)atomic_load(&slot->state);
	if (is_on(slot)) {
		s = atomic_load(&slot->source);
		info->variant = slot->variant;
		info->valid = atomic_load(&slot->valid);
		info->facts |= KS_FACT_TRIED;
		snprintf(info->reason, sizeof(info->reason), "%s", slot->reason);
	} else {
		s = expect(ks, slot->probe, &info->variant, &info->valid);
		if (s && !note_of(ks, slot->probe, info->variant, &note, &kind) && note.tried)
			info->facts |= KS_FACT_TRIED;
		if (!s || info->state == KS_STATE_FAILED)
			say_unavailable(ks, slot->probe, info->reason, sizeof(info->reason));
		else if (info->variant && !note_of(ks, slot->probe, 0, &note, &kind))
			snprintf(info->reason, sizeof(info->reason), "%s", note.reason);
	}
	info->source = s ? s->ops->kind : KS_SOURCE_NONE;
	if (s && variant_name(slot->probe, info->variant))
		snprintf(info->variant_name, sizeof(info->variant_name), "%s",
			 variant_name(slot->probe, info->variant));
}

static void fill_book(struct ks *ks, struct ks__slot *slot, struct ks_probe_info *info)
{
	struct ks__book book;

	ks__book(ks, slot->probe->id, 0, &book);
	info->missed = book.missed;
	if (book.missed_known)
		info->facts |= KS_FACT_MISSED;
	for (unsigned i = 1; i < sizeof(book.outcome) / sizeof(book.outcome[0]); i++)
		if (book.outcome[i]) /* all but filtered */
			info->facts |= KS_FACT_SEEN;
}

int ks_query_probe(struct ks *ks, uint32_t probe, struct ks_probe_info *ret_info)
{
	KS__ENTER(ks);
	struct ks__slot *slot = ks__slot(ks, probe);
	struct ks_probe_info info = { .size = sizeof(info), .probe = probe };

	if (!slot || !ret_info)
		return -EINVAL;
	snprintf(info.name, sizeof(info.name), "%s", slot->probe->name);
	pthread_mutex_lock(&ks->lock);
	info.n_variants = count_variants(slot->probe) + (slot->probe->fallback ? 1 : 0);
	info.generation = slot->set.generation;
	info.changed_ns = slot->changed_ns;
	info.last_ns = atomic_load(&slot->last_ns);
	if (!info.n_variants) { /* the library itself */
		info.state = KS_STATE_ON;
		info.variant = UINT32_MAX;
		info.valid = slot->probe->valid;
	} else {
		info.caps_missing = caps_missing(slot->probe->caps);
		fill_state(ks, slot, &info);
		fill_book(ks, slot, &info);
	}
	pthread_mutex_unlock(&ks->lock);
	return ks__opts_out(ret_info, &info, sizeof(info));
}

int ks_query_variant(struct ks *ks, uint32_t probe, uint32_t index,
		     struct ks_variant_info *ret_info)
{
	KS__ENTER(ks);
	struct ks__slot *slot = ks__slot(ks, probe);
	struct ks_variant_info info = { .size = sizeof(info) };
	struct ks__note note;
	uint16_t kind;
	int rc;

	if (!slot || !ret_info)
		return -EINVAL;
	pthread_mutex_lock(&ks->lock);
	rc = note_of(ks, slot->probe, index, &note, &kind);
	pthread_mutex_unlock(&ks->lock);
	if (rc)
		return rc;
	info.error = note.error;
	info.source = kind;
	snprintf(info.name, sizeof(info.name), "%s", variant_name(slot->probe, index));
	snprintf(info.reason, sizeof(info.reason), "%s", note.reason);
	return ks__opts_out(ret_info, &info, sizeof(info));
}

/* Why the lowest of these bits is not known. */
static void say_why(struct ks *ks, struct ks__slot *slot, uint64_t missing, char *why, size_t size)
{
	uint64_t bit = missing & -missing, valid;
	uint32_t variant;
	struct ks__source *s;

	if (bit & ~slot->probe->valid) {
		snprintf(why, size, "%s has no such bit", slot->probe->name);
		return;
	}
	s = is_on(slot) ? atomic_load(&slot->source) : expect(ks, slot->probe, &variant, &valid);
	if (!s)
		say_unavailable(ks, slot->probe, why, size);
	else
		s->ops->why(s, slot->probe->id, bit, why, size);
}

int ks_query_valid(struct ks *ks, uint32_t probe, uint64_t bits, char *why, size_t why_size)
{
	KS__ENTER(ks);
	struct ks__slot *slot = ks__slot(ks, probe);
	char reason[256] = "";
	uint64_t missing;

	if (!slot || (why_size && !why))
		return -EINVAL;
	pthread_mutex_lock(&ks->lock);
	if (slot->probe->variants || slot->probe->fallback) {
		uint32_t variant;
		uint64_t valid = atomic_load(&slot->valid);

		if (!is_on(slot))
			expect(ks, slot->probe, &variant, &valid);
		missing = bits & ~valid;
		if (missing)
			say_why(ks, slot, missing, reason, sizeof(reason));
	} else {
		missing = bits & ~slot->probe->valid;
	}
	pthread_mutex_unlock(&ks->lock);
	if (why_size)
		snprintf(why, why_size, "%s", reason);
	return !missing;
}
