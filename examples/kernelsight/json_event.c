/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json_event.c - prints an event as a line of docs/cli-json.md, with the same bytes as json.c would
 *
 * There may be a hundred thousand events per second. So this allocates no memory per event, looks
 * up once what all events of a kind share, and uses stdout as its buffer. Only one thread may
 * print.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define KEY_MAX 72

struct member {
	struct ks_field_desc field;
	char key[KEY_MAX];      /* ,"name": */
	char name_key[KEY_MAX]; /* ,"name_name": */
};

/* A kind of event: the text between time and numbers, and its fields. */
struct kind {
	struct kind *next;
	uint32_t id, n;
	char names[2 * KEY_MAX]; /* ,"probe":"proc","event":"fork" */
	struct member member[];
};

static struct kind *describe(uint32_t id)
{
	struct ks_struct_desc desc;
	struct ks_field_desc field;
	const char *probe = probe_name(id >> 8);
	struct kind *kind;
	uint32_t n = 0;

	if (struct_describe(id, &desc))
		return NULL;
	while (!field_describe(id, n, &field))
		n++;
	kind = calloc(1, sizeof(*kind) + n * sizeof(kind->member[0]));
	if (!kind)
		return NULL;
	kind->id = id;
	snprintf(kind->names, sizeof(kind->names), ",\"probe\":\"%s\",\"event\":\"%s\"", probe,
		 event_name(&desc, probe));
	for (; kind->n < n; kind->n++) {
		struct member *m = &kind->member[kind->n];

		field_describe(id, kind->n, &m->field);
		snprintf(m->key, sizeof(m->key), ",\"%s\":", m->field.name);
		snprintf(m->name_key, sizeof(m->name_key), ",\"%s_name\":", m->field.name);
	}
	return kind;
}

/* Returns NULL if the schema does not have the event, or if there is no memory. */
static const struct kind *kind_of(uint32_t id)
{
	static struct kind *known;
	struct kind *kind;

	for (kind = known; kind; kind = kind->next)
		if (kind->id == id)
			return kind;
	kind = describe(id);
	if (kind) {
		kind->next = known;
		known = kind;
	}
	return kind;
}

/* ---- values --------------------------------------------------------------------------------- */

static void put(const char *text, size_t size)
{
	fwrite_unlocked(text, 1, size, stdout);
}

static void put_string(const char *text)
{
	put(text, strlen(text));
}

static void put_number(uint64_t value, int is_signed)
{
	char digits[21], *at = digits + sizeof(digits);
	int negative = is_signed && (int64_t)value < 0;

	if (negative)
		value = -value;
	do
		*--at = (char)('0' + value % 10);
	while (value /= 10);
	if (negative)
		*--at = '-';
	put(at, (size_t)(digits + sizeof(digits) - at));
}

static void put_member(const char *key, uint64_t value)
{
	put_string(key);
	put_number(value, 0);
}

/* Prints a name, or null if there is none. */
static void put_name(const char *name)
{
	if (!name) {
		put("null", 4);
		return;
	}
	putc_unlocked('"', stdout);
	put_string(name);
	putc_unlocked('"', stdout);
}

/*
 * Writes the JSON escape of a character of n bytes; n 0: a byte that is not UTF-8. Returns the
 * length of the escape, or 0 if the character needs none.
 */
static size_t escape(char buf[16], const char *text, size_t n)
{
	static const char from[] = "\b\n\r\t\f\"", to[] = "bnrtf\"";
	const unsigned char c = (unsigned char)*text;
	const char *found = memchr(from, c, sizeof(from) - 1);

	if (!n)
		return (size_t)snprintf(buf, 16, "\\\\x%02x", c);
	if (found)
		return (size_t)snprintf(buf, 16, "\\%c", to[found - from]);
	if (c == '\\')
		return (size_t)snprintf(buf, 16, "\\\\\\\\");
	if (c < 0x20)
		return (size_t)snprintf(buf, 16, "\\u%04x", c);
	return n > 1 || c == 0x7f ? value_json(buf, text, n) : 0;
}

/*
 * JSON is UTF-8, names in the kernel are bytes. A byte that is not UTF-8 becomes \xNN, and \ is \\.
 */
static void put_text(const char *text, size_t size)
{
	size_t at, from = 0, n, length;
	char buf[16];

	putc_unlocked('"', stdout);
	size = strnlen(text, size);
	for (at = 0; at < size; at += n ? n : 1) {
		n = value_utf8(text + at, size - at);
		length = escape(buf, text + at, n);
		if (!length)
			continue;
		put(text + from, at - from);
		put(buf, length);
		from = at + (n ? n : 1);
	}
	put(text + from, size - from);
	putc_unlocked('"', stdout);
}

/* ---- fields --------------------------------------------------------------------------------- */

static void put_bit_names(uint32_t id, uint32_t index, uint64_t value)
{
	const char *name, *comma = "";

	putc_unlocked('[', stdout);
	for (unsigned bit = 0; bit < 64; bit++) {
		name = value >> bit & 1 ? ks_describe_value(id, index, bit) : NULL;
		if (!name)
			continue;
		put_string(comma);
		put_name(name);
		comma = ",";
	}
	putc_unlocked(']', stdout);
}

static void put_array(const struct ks_field_desc *field, const struct ks_event *event,
		      uint32_t index)
{
	char name[64];

	for (unsigned i = 0; i < field->count; i++) {
		putc_unlocked(i ? ',' : '{', stdout);
		put_name(element_name(name, sizeof(name), event->id, index, i));
		putc_unlocked(':', stdout);
		put_number(value_get(field, event, event->size, i), field->is_signed);
	}
	putc_unlocked('}', stdout);
}

/* Prints a number and its name: programs compare the number, people read the name. */
static void put_value(const struct member *m, const struct ks_event *event, uint32_t index)
{
	uint64_t value = value_get(&m->field, event, event->size, 0);

	put_number(value, m->field.is_signed);
	if (m->field.kind == KS_KIND_FLAGS) {
		put_string(m->name_key);
		put_bit_names(event->id, index, value);
	} else if (m->field.kind == KS_KIND_CODE) {
		put_string(m->name_key);
		put_name(ks_describe_value(event->id, index, value));
	}
}

static void put_fields(const struct kind *kind, const struct ks_event *event)
{
	uint64_t valid;

	memcpy(&valid, event + 1, sizeof(valid));
	for (uint32_t i = 0; i < kind->n; i++) {
		const struct member *m = &kind->member[i];
		const struct ks_field_desc *field = &m->field;

		put_string(i ? m->key : m->key + 1); /* without the comma */
		if (!value_known(field, valid) || field->offset + field->bytes > event->size)
			put("null", 4);
		else if (field->kind == KS_KIND_TEXT)
			put_text((const char *)event + field->offset, field->bytes);
		else if (field->count > 1)
			put_array(field, event, i);
		else
			put_value(m, event, i);
	}
}

void json_event(const struct ks_event *event)
{
	const struct kind *kind = kind_of(event->id);

	if (!kind)
		return;
	put_member("{\"v\":1,\"type\":\"event\",\"t_ns\":", event->time_ns);
	put_string(kind->names);
	put_member(",\"id\":", event->id);
	put_string(",\"cpu\":");
	if (event->cpu == KS_NO_CPU)
		put("null", 4);
	else
		put_number(event->cpu, 0);
	put_member(",\"flags\":", event->flags);
	put_member(",\"generation\":", event->generation);
	put_member(",\"weight\":", event->weight);
	put_member(",\"lost\":", event->lost);
	put_string(",\"pid\":");
	put_number((uint64_t)(int64_t)event->pid, 1);
	put_string(",\"tid\":");
	put_number((uint64_t)(int64_t)event->tid, 1);
	put_member(",\"cgroup\":", event->cgroup);
	put_member(",\"tag\":", event->tag);
	put_string(",\"comm\":");
	put_text(event->comm, sizeof(event->comm));
	put_string(",\"fields\":{");
	put_fields(kind, event);
	put_string("}}\n");
}
