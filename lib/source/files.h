/* SPDX-License-Identifier: BSD-2-Clause */
/* files.h - the source without kernel programs; private to files*.c */
#ifndef KS_FILES_H
#define KS_FILES_H

#include "../files/queue.h"
#include "../files/scan.h"
#include "../ks.h"

/* The state of one probe in this source. */
struct served {
	const struct ks__scan *scan; /* NULL: the probe is off here */
	void *state;
	uint64_t looked_ns;
	struct ks__settings set;
	struct ks__tally tally;
};

struct files {
	struct ks__source source;
	pthread_mutex_t lock;
	int32_t self;
	uint32_t scope_turn;
	struct ks__scope scope; /* its arrays belong to the handle */
	int look_error; /* of the last look that failed: unlock() logs it */
	struct ks__queue queue;
	struct served served[KS__PROBES_MAX];
};

static inline struct files *files_of(struct ks__source *s)
{
	return (struct files *)s;
}

static inline const struct ks__probe *probe_of(const struct files *files, uint32_t probe)
{
	return files->source.ks->slots[probe].probe;
}

/* ---- files_facts.c --------------------------------------------------------------------------- */

/* Can the fallback of this probe be used now? 0, or an error and a sentence. */
int ks__files_usable(const struct files *files, uint32_t probe, char *why, size_t size);
/* Writes what a fallback that works does not see, or "". */
void ks__files_hidden(const struct files *files, uint32_t probe, char *buf, size_t size);
/* The index of the fallback among the variants of a probe: the last. */
uint32_t ks__files_variant(const struct ks__probe *probe);
int ks__files_note(struct ks__source *s, uint32_t probe, uint32_t index, struct ks__note *ret);
int ks__files_expect(struct ks__source *s, uint32_t probe, uint32_t *ret_variant,
		     uint64_t *ret_valid);
int ks__files_why(struct ks__source *s, uint32_t probe, uint64_t bit, char *buf, size_t size);
void ks__files_explain(struct ks__source *s, uint32_t probe, struct ks__doc *doc);
void ks__files_check(struct ks__source *s, struct ks__doc *doc);

#endif
