/* SPDX-License-Identifier: BSD-2-Clause */
#include <stddef.h>
#include <string.h>

#include "cli.h"

int probe_describe(uint32_t index, struct ks_probe_desc *ret_desc)
{
	*ret_desc = (struct ks_probe_desc){ .size = sizeof(*ret_desc) };
	return ks_describe_probe(index, ret_desc);
}

int param_describe(uint32_t probe, uint32_t index, struct ks_param_desc *ret_desc)
{
	*ret_desc = (struct ks_param_desc){ .size = sizeof(*ret_desc) };
	return ks_describe_param(probe, index, ret_desc);
}

int struct_describe(uint32_t id, struct ks_struct_desc *ret_desc)
{
	*ret_desc = (struct ks_struct_desc){ .size = sizeof(*ret_desc) };
	return ks_describe_struct(id, ret_desc);
}

int field_describe(uint32_t id, uint32_t index, struct ks_field_desc *ret_desc)
{
	*ret_desc = (struct ks_field_desc){ .size = sizeof(*ret_desc) };
	return ks_describe_field(id, index, ret_desc);
}

int probe_find(const char *name, struct ks_probe_desc *ret_desc)
{
	uint32_t i;

	for (i = 0; !probe_describe(i, ret_desc); i++)
		if (ret_desc->probe != KS_PROBE_SELF && !strcmp(ret_desc->name, name))
			return 0;
	return -1;
}

static const char *next_probe(void *state)
{
	uint32_t *index = state;
	struct ks_probe_desc desc;

	while (!probe_describe((*index)++, &desc))
		if (desc.probe != KS_PROBE_SELF)
			return desc.name;
	return NULL;
}

const char *probe_nearest(const char *name)
{
	uint32_t index = 0;

	return help_nearest(name, next_probe, &index);
}

int param_find(uint32_t probe, const char *name, struct ks_param_desc *ret_desc)
{
	uint32_t i;

	for (i = 0; !param_describe(probe, i, ret_desc); i++)
		if (!strcmp(ret_desc->name, name))
			return 0;
	return -1;
}

struct param_walk {
	uint32_t probe, index;
};

static const char *next_param(void *state)
{
	struct param_walk *walk = state;
	struct ks_param_desc desc;

	return param_describe(walk->probe, walk->index++, &desc) ? NULL : desc.name;
}

const char *param_nearest(uint32_t probe, const char *name)
{
	struct param_walk walk = { .probe = probe };

	return help_nearest(name, next_param, &walk);
}

const char *event_name(const struct ks_struct_desc *desc, const char *probe)
{
	size_t length = strlen(probe);

	if (!strncmp(desc->name, probe, length) && desc->name[length] == '_')
		return desc->name + length + 1;
	return desc->name;
}

const char *state_name(unsigned state)
{
	switch (state) {
	case KS_STATE_OFF:
		return "off";
	case KS_STATE_ON:
		return "on";
	case KS_STATE_FAILED:
		return "failed";
	case KS_STATE_SILENT:
		return "silent";
	}
	return "unknown";
}

const char *source_name(unsigned source)
{
	switch (source) {
	case KS_SOURCE_NONE:
		return "none";
	case KS_SOURCE_BPF:
		return "bpf";
	case KS_SOURCE_FILES:
		return "files";
	}
	return "unknown";
}

const char *probe_name(uint32_t probe)
{
	struct ks_probe_desc desc;
	uint32_t i;

	for (i = 0; !probe_describe(i, &desc); i++)
		if (desc.probe == probe)
			return desc.name;
	return "?";
}

int variant_query(struct ks *ks, uint32_t probe, uint32_t index, struct ks_variant_info *ret_info)
{
	*ret_info = (struct ks_variant_info){ .size = sizeof(*ret_info) };
	return ks_query_variant(ks, probe, index, ret_info);
}

int field_seen(uint32_t first, uint32_t id, const char *name)
{
	struct ks_field_desc field;
	uint32_t i;

	for (; first < id; first++)
		for (i = 0; !field_describe(first, i, &field); i++)
			if (!strcmp(field.name, name))
				return 1;
	return 0;
}

const char *element_name(char *buf, size_t size, uint32_t id, uint32_t field, unsigned i)
{
	const char *name = ks_describe_value(id, field, i);

	if (name)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "%u", i);
	return buf;
}

/* ---- ratios --------------------------------------------------------------------------------- */

static const struct ratio {
	uint32_t id;
	const char *name;
	size_t part, whole; /* 1 - part / whole */
	uint64_t valid;
} ratios[] = {
	{ KS_STATS_PAGECACHE, "hit_ratio", offsetof(struct ks_stats_pagecache, missed_pages),
	  offsetof(struct ks_stats_pagecache, requested_pages),
	  KS_HAS_PAGECACHE_REQUESTS | KS_HAS_PAGECACHE_MISSES },
};

static const struct ratio *find_ratio(uint32_t id)
{
	size_t i;

	for (i = 0; i < sizeof(ratios) / sizeof(ratios[0]); i++)
		if (ratios[i].id == id)
			return &ratios[i];
	return NULL;
}

const char *ratio_name(uint32_t id)
{
	const struct ratio *ratio = find_ratio(id);

	return ratio ? ratio->name : NULL;
}

int ratio_known(uint32_t id, uint64_t valid)
{
	const struct ratio *ratio = find_ratio(id);

	return ratio && (valid & ratio->valid) == ratio->valid;
}

void ratio_add(const struct ks_stats *stats, const struct ks_row *row, uint64_t *part,
	       uint64_t *whole)
{
	const struct ratio *ratio = find_ratio(stats->id);
	uint64_t value;

	if (!ratio)
		return;
	memcpy(&value, (const char *)row + ratio->part, sizeof(value));
	*part += value;
	memcpy(&value, (const char *)row + ratio->whole, sizeof(value));
	*whole += value;
}

const char *ratio_text(char *buf, size_t size, uint64_t part, uint64_t whole)
{
	if (whole)
		snprintf(buf, size, "%.1f %%", 100 - 100 * (double)part / (double)whole);
	else
		snprintf(buf, size, "-");
	return buf;
}
