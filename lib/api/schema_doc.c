/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema_doc.c - writes the schema as one JSON document, for languages that cannot read C headers
 */
#include <errno.h>
#include <stdio.h>

#include "../data/doc.h"
#include "../ks.h"
#include "interface.h"
#include "schema.h"

static void add_values(struct ks__doc *doc, const struct ks__field *field)
{
	char number[16];
	unsigned i;

	if (!field->values)
		return;
	ks__doc_object(doc, "values");
	for (i = 0; field->values[i]; i++) {
		if (!*field->values[i])
			continue;
		snprintf(number, sizeof(number), "%u", i);
		ks__doc_str(doc, number, field->values[i]);
	}
	ks__doc_close(doc);
}

static void add_field(struct ks__doc *doc, uint32_t id, uint32_t index)
{
	struct ks_field_desc desc = { .size = sizeof(desc) };

	ks_describe_field(id, index, &desc);
	ks__doc_object(doc, NULL);
	ks__doc_str(doc, "name", desc.name);
	ks__doc_u64(doc, "offset", desc.offset);
	ks__doc_u64(doc, "bytes", desc.bytes);
	ks__doc_u64(doc, "count", desc.count);
	ks__doc_u64(doc, "kind", desc.kind);
	ks__doc_u64(doc, "unit", desc.unit);
	ks__doc_bool(doc, "is_signed", desc.is_signed);
	ks__doc_u64(doc, "valid", desc.valid);
	ks__doc_str(doc, "label", desc.label);
	ks__doc_str(doc, "help", desc.help);
	ks__doc_str(doc, "c_type", desc.c_type);
	ks__doc_str(doc, "codes", desc.codes);
	add_values(doc, ks__schema_field(id, index));
	ks__doc_close(doc);
}

static void add_struct(struct ks__doc *doc, uint32_t id)
{
	const struct ks__struct *desc = ks__schema_struct(id);
	uint32_t i;

	if (!desc)
		return;
	ks__doc_object(doc, NULL);
	ks__doc_u64(doc, "id", id);
	ks__doc_str(doc, "name", desc->name);
	ks__doc_u64(doc, "bytes", desc->bytes);
	ks__doc_str(doc, "help", desc->help);
	ks__doc_array(doc, "fields");
	for (i = 0; ks__schema_field(id, i); i++)
		add_field(doc, id, i);
	ks__doc_close(doc);
	ks__doc_close(doc);
}

static void add_structs(struct ks__doc *doc)
{
	const struct ks__probe *const *probe;
	uint32_t id;

	ks__doc_array(doc, "structs");
	for (probe = ks__probes; *probe; probe++) {
		id = (uint32_t)(*probe)->id << 8;
		add_struct(doc, id);
		while (ks__schema_struct(++id))
			add_struct(doc, id);
	}
	for (id = KS_INTERFACE_STRUCTS; ks__schema_struct(id); id++)
		add_struct(doc, id);
	ks__doc_close(doc);
}

static void add_params(struct ks__doc *doc, const struct ks__probe *probe)
{
	struct ks_param_desc param;
	uint32_t i;

	ks__doc_array(doc, "params");
	for (i = 0; !ks__schema_param(probe, i, &param); i++) {
		ks__doc_object(doc, NULL);
		ks__doc_u64(doc, "id", param.id);
		ks__doc_str(doc, "name", param.name);
		ks__doc_u64(doc, "kind", param.kind);
		ks__doc_u64(doc, "unit", param.unit);
		ks__doc_bool(doc, "only_enable", param.only_enable);
		ks__doc_u64(doc, "lowest", param.lowest);
		ks__doc_u64(doc, "highest", param.highest);
		ks__doc_u64(doc, "default_value", param.default_value);
		ks__doc_str(doc, "help", param.help);
		ks__doc_close(doc);
	}
	ks__doc_close(doc);
}

static void add_probes(struct ks__doc *doc)
{
	struct ks_probe_desc probe = { .size = sizeof(probe) };
	uint32_t i;

	ks__doc_array(doc, "probes");
	for (i = 0; !ks_describe_probe(i, &probe); i++) {
		ks__doc_object(doc, NULL);
		ks__doc_u64(doc, "probe", probe.probe);
		ks__doc_str(doc, "name", probe.name);
		ks__doc_str(doc, "summary", probe.summary);
		ks__doc_u64(doc, "by", probe.by);
		ks__doc_u64(doc, "n_events", probe.n_events);
		ks__doc_u64(doc, "caps", probe.caps);
		add_params(doc, ks__probes[i]);
		ks__doc_close(doc);
	}
	ks__doc_close(doc);
}

static void add_enums(struct ks__doc *doc)
{
	const struct ks__constant *constant;
	const struct ks__enum *at;

	ks__doc_array(doc, "enums");
	for (at = ks__interface_enums; at->name; at++) {
		ks__doc_object(doc, NULL);
		ks__doc_str(doc, "name", at->name);
		ks__doc_bool(doc, "is_flags", at->is_flags != 0);
		ks__doc_object(doc, "constants");
		for (constant = at->constants; constant->name; constant++)
			ks__doc_i64(doc, constant->name, constant->value);
		ks__doc_close(doc);
		ks__doc_close(doc);
	}
	ks__doc_close(doc);
}

int ks_schema(char *buf, size_t size)
{
	struct ks__doc doc;
	char version[32];

	if (!buf && size)
		return -EINVAL;
	snprintf(version, sizeof(version), "%d.%d.%d", KS_VERSION_MAJOR, KS_VERSION_MINOR,
		 KS_VERSION_PATCH);
	ks__doc_begin(&doc, KS_JSON);
	ks__doc_str(&doc, "version", version);
	add_probes(&doc);
	add_structs(&doc);
	add_enums(&doc);
	return ks__doc_finish(&doc, buf, size);
}
