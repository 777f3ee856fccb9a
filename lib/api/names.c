/* SPDX-License-Identifier: BSD-2-Clause */
/* names.c - looks up probes, structs, fields, settings, values and constants by name */
#include <errno.h>
#include <string.h>

#include "../ks.h"
#include "interface.h"
#include "schema.h"

int ks_probe_id(const char *name)
{
	const struct ks__probe *probe = name ? ks__probe_by_name(name) : NULL;

	return probe ? probe->id : -ENOENT;
}

/* Searches the structs from id `first` on: those of one probe, or those of the public headers. */
static int find_struct(const char *name, uint32_t first)
{
	const struct ks__struct *desc;
	uint32_t id;

	for (id = first; (desc = ks__schema_struct(id)) || id == first; id++)
		if (desc && !strcmp(desc->name, name))
			return (int)id;
	return -ENOENT;
}

int ks_struct_id(const char *name)
{
	const struct ks__probe *const *probe;
	int id = -ENOENT;

	if (!name)
		return -ENOENT;
	for (probe = ks__probes; *probe && id < 0; probe++)
		id = find_struct(name, (uint32_t)(*probe)->id << 8);
	return id < 0 ? find_struct(name, KS_INTERFACE_STRUCTS) : id;
}

int ks_field_index(uint32_t id, const char *name)
{
	const struct ks__field *field;
	uint32_t i;

	for (i = 0; name && (field = ks__schema_field(id, i)); i++)
		if (!strcmp(field->name, name))
			return (int)i;
	return -ENOENT;
}

int ks_param_id(uint32_t id, const char *name)
{
	const struct ks__probe *probe = ks__probe_by_id(id);
	struct ks_param_desc param;
	uint32_t i;

	for (i = 0; probe && name && !ks__schema_param(probe, i, &param); i++)
		if (!strcmp(param.name, name))
			return (int)param.id;
	return -ENOENT;
}

const char *ks_describe_value(uint32_t id, uint32_t index, uint64_t value)
{
	const struct ks__field *field = ks__schema_field(id, index);
	const char *const *name = field ? field->values : NULL;

	if (!name)
		return NULL;
	while (*name && value > 0) {
		name++;
		value--;
	}
	/* An empty name stands for a number without a name. */
	return *name && **name ? *name : NULL;
}

int ks_value(uint32_t id, uint32_t index, const char *name)
{
	const struct ks__field *field = ks__schema_field(id, index);
	int i;

	for (i = 0; name && *name && field && field->values && field->values[i]; i++)
		if (!strcmp(field->values[i], name))
			return i;
	return -ENOENT;
}

/* ---- constants ------------------------------------------------------------------------------ */

static const struct ks__enum *find_enum(uint32_t index)
{
	const struct ks__enum *found = ks__interface_enums;

	while (found->name && index > 0) {
		found++;
		index--;
	}
	return found->name ? found : NULL;
}

static uint32_t count_constants(const struct ks__enum *of)
{
	uint32_t n = 0;

	while (of->constants[n].name)
		n++;
	return n;
}

int ks_describe_enum(uint32_t index, struct ks_enum_desc *ret_enum)
{
	const struct ks__enum *found = find_enum(index);
	struct ks_enum_desc desc;

	if (!found)
		return -ENOENT;
	desc = (struct ks_enum_desc){
		.n_constants = count_constants(found),
		.is_flags = found->is_flags,
		.name = found->name,
	};
	return ks__opts_out(ret_enum, &desc, sizeof(desc));
}

int ks_describe_constant(uint32_t index, uint32_t constant, struct ks_constant_desc *ret_constant)
{
	const struct ks__enum *found = find_enum(index);
	struct ks_constant_desc desc;

	if (!found || constant >= count_constants(found))
		return -ENOENT;
	desc = (struct ks_constant_desc){
		.value = found->constants[constant].value,
		.name = found->constants[constant].name,
		.help = found->constants[constant].help,
	};
	return ks__opts_out(ret_constant, &desc, sizeof(desc));
}

int ks_constant(const char *name, int64_t *ret_value)
{
	const struct ks__enum *at;
	const struct ks__constant *constant;

	if (!ret_value)
		return -EINVAL;
	for (at = ks__interface_enums; at->name && name; at++)
		for (constant = at->constants; constant->name; constant++)
			if (!strcmp(constant->name, name)) {
				*ret_value = constant->value;
				return 0;
			}
	return -ENOENT;
}
