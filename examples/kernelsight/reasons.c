/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reasons.c - why a field is not known
 *
 * The library answers for the variant on which a probe runs. The command reads statistics once more
 * after it disabled the probes. The library would then answer for the variant that it would choose
 * next, so this file stores the earlier answers.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct kept {
	struct kept *next;
	uint32_t probe;
	uint64_t valid; /* bit of a missing field; 0: marks that the probe's answers are stored */
	char why[REASON_MAX];
};

static struct kept *kept;

static const struct kept *find(uint32_t probe, uint64_t valid)
{
	const struct kept *at;

	for (at = kept; at; at = at->next)
		if (at->probe == probe && at->valid == valid)
			return at;
	return NULL;
}

static void keep(uint32_t probe, uint64_t valid, const char *why)
{
	struct kept *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return;
	entry->probe = probe;
	entry->valid = valid;
	snprintf(entry->why, sizeof(entry->why), "%s", why);
	entry->next = kept;
	kept = entry;
}

void reasons_keep(struct ks *ks, const struct ks_probe_desc *probe)
{
	uint32_t first = probe->probe << 8, id, i;
	struct ks_field_desc field;
	char why[REASON_MAX];

	for (id = first; id <= first + probe->n_events; id++)
		for (i = 0; !field_describe(id, i, &field); i++)
			if (field_missing(ks, id, &field, why, sizeof(why)) &&
			    !find(probe->probe, field.valid))
				keep(probe->probe, field.valid, why);
	keep(probe->probe, 0, "");
}

void reasons_forget(void)
{
	struct kept *next;

	for (; kept; kept = next) {
		next = kept->next;
		free(kept);
	}
}

int field_missing(struct ks *ks, uint32_t id, const struct ks_field_desc *field, char *why,
		  size_t why_size)
{
	const struct kept *answer;

	*why = 0;
	if (!field->valid)
		return 0;
	if (!find(id >> 8, 0))
		return !ks_query_valid(ks, id >> 8, field->valid, why, why_size);
	answer = find(id >> 8, field->valid);
	if (answer)
		snprintf(why, why_size, "%s", answer->why);
	return answer != NULL;
}
