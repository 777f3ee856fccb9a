/* SPDX-License-Identifier: BSD-2-Clause */
/* settings.c - a probe's settings: defaults and bounds; a call takes all settings or none */
#include <errno.h>
#include <string.h>

#include "api.h"
#include "schema.h"

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

int ks__take_params(struct ks *ks, const struct ks__probe *probe, const struct ks_param *params,
		    size_t n, struct ks__settings *set)
{
	struct ks__settings next = *set;

	if (n && !params)
		return ks__fail(ks, -EINVAL, "%s: n_params is %zu, but params is NULL", probe->name,
				n);
	for (size_t i = 0; i < n; i++) {
		const struct ks_param *p = &params[i];
		struct ks_param_desc d;

		if (describe(probe, p->id, &d))
			return ks__fail(ks, -EINVAL, "%s has no setting %u", probe->name, p->id);
		if (p->reserved || p->data || p->data_size)
			return ks__fail(ks, -EINVAL,
					"%s.%s is a number: data, data_size and reserved must be 0",
					probe->name, d.name);
		if (p->value < d.lowest || p->value > d.highest)
			return ks__fail(ks, -EINVAL, "%s.%s: %llu is not within %llu to %llu",
					probe->name, d.name, (unsigned long long)p->value,
					(unsigned long long)d.lowest,
					(unsigned long long)d.highest);
		*member(&next, p->id) = p->value;
	}
	*set = next;
	return 0;
}

int ks_query_param(struct ks *ks, uint32_t probe, uint32_t id, uint64_t *ret_value)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	struct ks__slot *slot = ks__switchable(ks, probe);
	struct ks_param_desc d;

	if (!slot || !ret_value)
		return ks__end(ks, begun, -EINVAL);
	if (describe(slot->probe, id, &d))
		return ks__fail(ks, -EINVAL, "%s has no setting %u", slot->probe->name, id);
	ks__lock(ks);
	*ret_value = *member(&slot->set, id);
	ks__unlock(ks);
	return 0;
}
