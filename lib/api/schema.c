/* SPDX-License-Identifier: BSD-2-Clause */
/* schema.c - describes probes, structs, fields and settings at run time */
#include "interface.h"
#include "schema.h"

#include <errno.h>
#include <string.h>

#include "../ks.h"

/* KS_PROBE_SELF is always on and has no settings. */
static int is_switchable(const struct ks__probe *probe)
{
	return probe->variants || probe->fallback;
}

static uint32_t groupings(const struct ks__probe *probe)
{
	if (!probe->stats)
		return 0;
	return probe->by;
}

static uint32_t count_events(const struct ks__probe *probe)
{
	uint32_t n = 0;

	while (probe->events && probe->events[n].name)
		n++;
	return n;
}

static uint32_t count_params(const struct ks__probe *probe)
{
	struct ks_param_desc param;
	uint32_t n = 0;

	while (ks__schema_param(probe, n, &param) == 0)
		n++;
	return n;
}

int ks_describe_probe(uint32_t index, struct ks_probe_desc *ret_probe)
{
	const struct ks__probe *const *probe = ks__probes;
	struct ks_probe_desc desc;

	while (*probe && index > 0) {
		probe++;
		index--;
	}
	if (!*probe)
		return -ENOENT;
	desc = (struct ks_probe_desc){
		.probe = (*probe)->id,
		.by = groupings(*probe),
		.n_events = count_events(*probe),
		.n_params = count_params(*probe),
		.caps = (*probe)->caps,
		.name = (*probe)->name,
		.summary = (*probe)->summary,
	};
	return ks__opts_out(ret_probe, &desc, sizeof(desc));
}

static const struct ks__struct *interface_struct(uint32_t index)
{
	const struct ks__struct *desc = ks__interface_structs;

	while (desc->name && index > 0) {
		desc++;
		index--;
	}
	return desc->name ? desc : NULL;
}

const struct ks__struct *ks__schema_struct(uint32_t id)
{
	const struct ks__probe *probe;
	uint32_t n = id & 0xff;

	if (id >= KS_INTERFACE_STRUCTS)
		return interface_struct(id - KS_INTERFACE_STRUCTS);
	probe = ks__probe_by_id(id >> 8);
	if (!probe)
		return NULL;
	if (n == 0)
		return probe->stats;
	return n <= count_events(probe) ? &probe->events[n - 1] : NULL;
}

static uint32_t count_fields(const struct ks__struct *desc)
{
	uint32_t n = 0;

	while (desc->fields[n].name)
		n++;
	return n;
}

const struct ks__field *ks__schema_field(uint32_t id, uint32_t index)
{
	const struct ks__struct *desc = ks__schema_struct(id);

	return desc && index < count_fields(desc) ? &desc->fields[index] : NULL;
}

int ks_describe_struct(uint32_t id, struct ks_struct_desc *ret_struct)
{
	const struct ks__struct *found = ks__schema_struct(id);
	struct ks_struct_desc desc;

	if (!found)
		return -ENOENT;
	desc = (struct ks_struct_desc){
		.id = id,
		.bytes = found->bytes,
		.n_fields = count_fields(found),
		.name = found->name,
		.help = found->help,
	};
	return ks__opts_out(ret_struct, &desc, sizeof(desc));
}

/* Returns the C type of a probe's field. */
static const char *c_type(const struct ks__field *field)
{
	static const char *const types[2][4] = {
		{ "uint8_t", "uint16_t", "uint32_t", "uint64_t" },
		{ "int8_t", "int16_t", "int32_t", "int64_t" },
	};

	if (field->kind == KS_KIND_TEXT)
		return "char";
	if (field->kind == KS_KIND_HIST)
		return "struct ks_hist";
	return types[field->is_signed != 0][__builtin_ctz(field->bytes)];
}

int ks_describe_field(uint32_t id, uint32_t index, struct ks_field_desc *ret_field)
{
	const struct ks__field *field = ks__schema_field(id, index);
	struct ks_field_desc desc;

	if (!field)
		return -ENOENT;
	desc = (struct ks_field_desc){
		.offset = field->offset,
		.bytes = field->bytes,
		.count = field->count,
		.kind = field->kind,
		.unit = field->unit,
		.is_signed = field->is_signed,
		.valid = field->valid,
		.name = field->name,
		.label = field->label,
		.help = field->help,
		.c_type = field->c_type ? field->c_type : c_type(field),
		.codes = field->codes,
	};
	return ks__opts_out(ret_field, &desc, sizeof(desc));
}

enum { SAMPLE_EVERY, MAX_PER_SEC, BURST, IDENTITY, INTERVAL_MS, N_COMMON };

static const struct ks_param_desc common_params[N_COMMON] = {
	[SAMPLE_EVERY] = {
		.id = KS_PARAM_SAMPLE_EVERY,
		.kind = KS_KIND_VALUE,
		.unit = KS_UNIT_COUNT,
		.highest = 1u << 31,
		.name = "sample_every",
		.help = "a record for 1 event in N; 0: for slow ones only; counters stay exact",
	},
	[MAX_PER_SEC] = {
		.id = KS_PARAM_MAX_PER_SEC,
		.kind = KS_KIND_VALUE,
		.unit = KS_UNIT_COUNT,
		.highest = 1000000000,
		.name = "max_per_sec",
		.help = "records a second over all CPUs; 0: no limit",
	},
	[BURST] = {
		.id = KS_PARAM_BURST,
		.kind = KS_KIND_VALUE,
		.unit = KS_UNIT_COUNT,
		.lowest = 1,
		.highest = 10000000,
		.name = "burst",
		.help = "records that may come at once before max_per_sec limits them",
	},
	[IDENTITY] = {
		.id = KS_PARAM_IDENTITY,
		.kind = KS_KIND_FLAGS,
		.highest = KS_IDENTITY_CGROUP | KS_IDENTITY_COMM,
		.name = "identity",
		.help = "what a record says of its thread: 1 its cgroup, 2 its name, 3 both",
	},
	[INTERVAL_MS] = {
		.id = KS_PARAM_INTERVAL_MS,
		.kind = KS_KIND_VALUE,
		.lowest = 10,
		.highest = 3600000,
		.name = "interval_ms",
		.help = "milliseconds between two reads of files, if the probe reads files",
	},
};

/* INTERVAL_MS is the last common setting: only a probe that has a fallback has it. */
static uint32_t count_common(const struct ks__probe *probe)
{
	if (!is_switchable(probe))
		return 0;
	return probe->fallback ? N_COMMON : INTERVAL_MS;
}

static struct ks_param_desc common_param(const struct ks__probe *probe, uint32_t index)
{
	const uint64_t defaults[N_COMMON] = {
		[SAMPLE_EVERY] = probe->defaults.sample_every,
		[MAX_PER_SEC] = probe->defaults.max_per_sec,
		[BURST] = probe->defaults.burst,
		[IDENTITY] = probe->defaults.identity,
		[INTERVAL_MS] = probe->defaults.interval_ms,
	};
	struct ks_param_desc desc = common_params[index];

	desc.default_value = defaults[index];
	return desc;
}

static struct ks_param_desc own_param(const struct ks__param *param)
{
	return (struct ks_param_desc){
		.id = param->id,
		.kind = param->kind,
		.unit = param->unit,
		.lowest = param->lowest,
		.highest = param->highest,
		.default_value = param->default_value,
		.name = param->name,
		.help = param->help,
	};
}

int ks__schema_param(const struct ks__probe *probe, uint32_t index, struct ks_param_desc *ret)
{
	const struct ks__param *own = probe->params;
	uint32_t n_common = count_common(probe);

	if (index < n_common) {
		*ret = common_param(probe, index);
		ret->size = sizeof(*ret);
		return 0;
	}
	for (index -= n_common; own && own->name && index > 0; index--)
		own++;
	if (!own || !own->name)
		return -ENOENT;
	*ret = own_param(own);
	ret->size = sizeof(*ret);
	return 0;
}

int ks_describe_param(uint32_t id, uint32_t index, struct ks_param_desc *ret_param)
{
	const struct ks__probe *probe = ks__probe_by_id(id);
	struct ks_param_desc desc;

	if (!probe || ks__schema_param(probe, index, &desc))
		return -ENOENT;
	return ks__opts_out(ret_param, &desc, sizeof(desc));
}
