/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that walking a batch of arbitrary bytes never leaves the batch, and that reading by the
 * schema never leaves a record.
 */
#include <kernelsight/schema.h>

#include "fuzz.h"

static unsigned sink;

/* Reads all fields that the record has, as an exporter that knows no probe. */
static void decode(const struct ks_event *ev)
{
	struct ks_struct_desc desc = { .size = sizeof(desc) };
	struct ks_field_desc field;
	unsigned bytes;

	if (ks_describe_struct(ev->id, &desc))
		return;
	for (uint32_t i = 0; i < desc.n_fields; i++) {
		field.size = sizeof(field);
		must(!ks_describe_field(ev->id, i, &field));
		bytes = (unsigned)field.bytes * field.count;
		must(field.offset + bytes <= desc.bytes);
		if (field.offset + bytes > ev->size)
			continue;
		for (unsigned b = 0; b < bytes; b++)
			sink += ((const uint8_t *)ev)[field.offset + b];
		if (field.bytes == 8) {
			uint64_t value;

			memcpy(&value, (const uint8_t *)ev + field.offset, sizeof(value));
			sink += ks_describe_value(ev->id, i, value) != NULL;
		}
	}
}

static void walk(const char *batch, size_t size)
{
	const struct ks_event *ev = NULL;
	const char *last = batch;

	while ((ev = ks_next_event(batch, size, ev))) {
		must((const char *)ev >= last && ev->size >= sizeof(*ev));
		must((const char *)ev + ev->size <= batch + size);
		last = (const char *)ev + ev->size;
		decode(ev);
	}
}

static void ask(struct input *in)
{
	uint32_t a = (uint32_t)take(in, 2), b = (uint32_t)take(in, 1);
	union {
		size_t size;
		struct ks_probe_desc probe;
		struct ks_struct_desc desc;
		struct ks_field_desc field;
		struct ks_param_desc param;
		char bytes[256];
	} out;
	size_t size = take(in, 1);

	out.size = size;
	ks_describe_probe(a, &out.probe);
	out.size = size;
	ks_describe_struct(a, &out.desc);
	out.size = size;
	ks_describe_field(a, b, &out.field);
	out.size = size;
	ks_describe_param(a, b, &out.param);
	sink += ks_describe_value(a, b, take(in, 8)) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	char *batch;

	ask(&in);
	batch = take_bytes(&in, 16384, &size);
	walk(batch, size);
	free(batch);
	return 0;
}
