/* SPDX-License-Identifier: BSD-2-Clause */
/* text.c - prints events and reasons for people */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define WIDTH 80

void text_wrapped(FILE *out, unsigned indent, unsigned column, const char *text)
{
	char safe[2 * REASON_MAX];
	const char *word = value_escaped(safe, sizeof(safe), text, strlen(text));
	size_t length;

	for (; *word; word += length + strspn(word + length, " ")) {
		length = strcspn(word, " ");
		if (column > indent && column + 1 + length > WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", (int)length, word);
		column += (unsigned)length;
	}
	fputc('\n', out);
}

/* ---- events --------------------------------------------------------------------------------- */

static void print_flags(uint32_t id, uint32_t index, uint64_t value)
{
	const char *name, *between = "";
	unsigned bit;

	for (bit = 0; bit < 64; bit++) {
		if (!(value >> bit & 1))
			continue;
		name = ks_describe_value(id, index, bit);
		if (name)
			printf("%s%s", between, name);
		else
			printf("%s%u", between, bit);
		between = "|";
	}
	if (!value)
		putchar('0');
}

static void print_string(const char *text, size_t size)
{
	char buf[4 * KS_RECORD_MAX];

	fputs(value_quoted(buf, sizeof(buf), text, size), stdout);
}

static void print_number(const struct ks_field_desc *field, uint64_t value)
{
	char buf[32];

	if (field->unit == KS_UNIT_NS || field->unit == KS_UNIT_BYTES)
		fputs(value_human(buf, sizeof(buf),
				  field->is_signed ? (double)(int64_t)value : (double)value,
				  field->unit, ""),
		      stdout);
	else if (field->is_signed)
		printf("%" PRId64, (int64_t)value);
	else
		printf("%" PRIu64, value);
}

static void print_element(struct ks *ks, const struct ks_event *event, uint32_t index,
			  const struct ks_field_desc *field, unsigned i)
{
	uint64_t value = value_get(field, event, event->size, i);
	const char *name = NULL;
	char buf[32];

	switch (field->kind) {
	case KS_KIND_TIME:
		fputs(value_clock(buf, sizeof(buf), ks, value), stdout);
		return;
	case KS_KIND_FLAGS:
		print_flags(event->id, index, value);
		return;
	case KS_KIND_CODE:
		name = ks_describe_value(event->id, index, value);
		break;
	}
	if (name)
		fputs(name, stdout);
	else
		print_number(field, value);
}

/* Is the value an amount of 0? A line would have many of them, so they are left out. */
static int is_nothing(const struct ks_event *event, const struct ks_field_desc *field)
{
	return field->unit != KS_UNIT_NONE && field->count == 1 &&
	       !value_get(field, event, event->size, 0);
}

static void print_field(struct ks *ks, const struct ks_event *event, uint32_t index,
			const struct ks_field_desc *field, uint64_t valid)
{
	int known = value_known(field, valid) && field->offset + field->bytes <= event->size;
	char name[64];
	unsigned i;

	if (known && is_nothing(event, field))
		return;
	printf(" %s=", value_name(name, sizeof(name), field));
	if (!known)
		putchar('?');
	else if (field->kind == KS_KIND_TEXT)
		print_string((const char *)event + field->offset, field->bytes);
	else
		for (i = 0; i < field->count; i++) {
			if (i)
				putchar(',');
			print_element(ks, event, index, field, i);
		}
}

/* Returns the name of a code in an event of the library itself, or "?". */
static const char *code_name(uint32_t id, size_t offset, uint64_t value)
{
	struct ks_field_desc field;
	const char *name = NULL;
	uint32_t i;

	for (i = 0; !field_describe(id, i, &field); i++)
		if (field.offset == offset)
			name = ks_describe_value(id, i, value);
	return name ? name : "?";
}

/* Lost records stand out, since they matter more than the records around them. */
static void print_lost(const char *clock, const struct ks_event_lost *lost)
{
	char count[32];
	int colour = isatty(STDOUT_FILENO);

	printf("%s%s *** %s records of %s lost", colour ? "\033[1;31m" : "", clock,
	       value_grouped(count, sizeof(count), lost->lost),
	       lost->probe == UINT32_MAX ? "several probes" : probe_name(lost->probe));
	if (lost->ev.cpu != KS_NO_CPU)
		printf(" on CPU %u", lost->ev.cpu);
	printf(": %s ***%s\n",
	       code_name(KS_EVENT_LOST, offsetof(struct ks_event_lost, reason), lost->reason),
	       colour ? "\033[0m" : "");
}

static void print_state(const char *clock, const struct ks_event_state *state)
{
	const uint32_t id = KS_EVENT_STATE;

	printf("%s *** %s is %s, from %s", clock, probe_name(state->probe),
	       code_name(id, offsetof(struct ks_event_state, state), state->state),
	       code_name(id, offsetof(struct ks_event_state, source), state->source));
	if (state->sample_every > 1)
		printf(", a record for 1 in %u", state->sample_every);
	if (state->cause == KS_CAUSE_SCOPE)
		printf(": the scope's cgroup was created again, and is watched ***\n");
	else
		printf(": %s ***\n",
		       code_name(id, offsetof(struct ks_event_state, cause), state->cause));
}

static void print_head(const char *clock, const struct ks_event *event,
		       const struct ks_struct_desc *desc)
{
	const char *probe = probe_name(event->id >> 8);
	char comm[16 * 10], fitted[16 * 10], kind[64];
	const char *name = value_quoted(comm, sizeof(comm), event->comm, sizeof(event->comm));

	/* A longer name is not cut: it moves the rest of the line. */
	value_fitted(fitted, sizeof(fitted), name, 15);
	snprintf(kind, sizeof(kind), "%s.%s", probe, event_name(desc, probe));
	printf("%s %-12s %7d/%-7d %s", clock, kind, event->pid, event->tid,
	       strlen(name) > 15 ? name : fitted);
	if (event->weight > 1)
		printf(" x%u", event->weight);
	if (event->flags & KS_FLAG_FALLBACK)
		printf(" [from files]");
	if (event->flags & KS_FLAG_SELFTEST)
		printf(" [self-test]");
	if (event->flags & KS_FLAG_CUT)
		printf(" [cut]");
}

void text_event(struct ks *ks, const struct ks_event *event)
{
	struct ks_struct_desc desc;
	struct ks_field_desc field;
	uint64_t valid = 0;
	char clock[32];
	uint32_t i;

	value_clock(clock, sizeof(clock), ks, event->time_ns);
	if (event->id == KS_EVENT_LOST) {
		print_lost(clock, (const struct ks_event_lost *)(const void *)event);
		return;
	}
	if (event->id == KS_EVENT_STATE) {
		print_state(clock, (const struct ks_event_state *)(const void *)event);
		return;
	}
	if (struct_describe(event->id, &desc))
		return;
	memcpy(&valid, event + 1, sizeof(valid));
	print_head(clock, event, &desc);
	for (i = 0; !field_describe(event->id, i, &field); i++)
		print_field(ks, event, i, &field, valid);
	putchar('\n');
}

/* ---- what a probe can do on this machine ---------------------------------------------------- */

/* Fields that are missing for the same reason, which share a line. */
struct missing {
	char names[256], why[REASON_MAX];
};

static void print_missing(struct missing *missing)
{
	char text[sizeof(missing->names) + REASON_MAX + 4];

	if (!*missing->names)
		return;
	snprintf(text, sizeof(text), "%s: %s", missing->names, missing->why);
	printf("  unavailable  ");
	text_wrapped(stdout, 15, 15, text);
	*missing->names = 0;
}

static void add_missing(struct missing *missing, const char *name, const char *why)
{
	size_t length = strlen(missing->names);

	if (strcmp(missing->why, why)) {
		print_missing(missing);
		snprintf(missing->why, sizeof(missing->why), "%s", why);
		length = 0;
	}
	snprintf(missing->names + length, sizeof(missing->names) - length, "%s%s",
		 length ? ", " : "", name);
}

void text_unavailable(struct ks *ks, const struct probe *probe, int all_structs)
{
	struct missing missing = { .names = "" };
	uint32_t n = all_structs ? probe->desc.n_events + 1 : 1, first = probe->desc.probe << 8;
	struct ks_field_desc field;
	char why[REASON_MAX];
	uint32_t id, i;

	for (id = first; id < first + n; id++)
		for (i = 0; !field_describe(id, i, &field); i++)
			if (field_missing(ks, id, &field, why, sizeof(why)) &&
			    !field_seen(first, id, field.name))
				add_missing(&missing, field.name, why);
	print_missing(&missing);
}

static void print_variant(const struct ks_variant_info *variant)
{
	char text[sizeof(variant->name) + sizeof(variant->reason) + 4];

	size_t length = strlen(variant->name);
	int named = !strncmp(variant->reason, variant->name, length) &&
		    variant->reason[length] == ':';

	if (!variant->error)
		snprintf(text, sizeof(text), "%s", variant->name);
	else if (named)
		snprintf(text, sizeof(text), "%s", variant->reason);
	else
		snprintf(text, sizeof(text), "%s: %s", variant->name, variant->reason);
	printf("  %-12s ", variant->error ? "skipped" : "also works");
	text_wrapped(stdout, 15, 15, text);
}

void text_probe(struct ks *ks, const struct probe *probe)
{
	const struct ks_probe_info *info = &probe->info;
	struct ks_variant_info variant;
	uint32_t i;

	printf("%-10s ", probe->desc.name);
	text_wrapped(stdout, 11, 11, probe->desc.summary);
	printf("  %-12s %s", probe->error ? state_name(KS_STATE_FAILED) : "works by",
	       probe->error ? "" : info->variant_name);
	if (!probe->error && info->source == KS_SOURCE_FILES)
		printf(" (reads files)");
	putchar('\n');
	if (probe->error) {
		printf("  reason       ");
		text_wrapped(stdout, 15, 15, probe->why);
		return;
	}
	for (i = 0; !variant_query(ks, probe->desc.probe, i, &variant); i++)
		if (i != info->variant)
			print_variant(&variant);
	text_unavailable(ks, probe, 1);
}
