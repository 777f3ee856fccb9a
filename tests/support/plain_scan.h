/* SPDX-License-Identifier: BSD-2-Clause */
/* plain_scan.h - one scan by itself, over a /proc of plain files in a folder for temporary files */
#ifndef KS_TEST_PLAIN_SCAN_H
#define KS_TEST_PLAIN_SCAN_H

#include <glib.h>

#include "files/scan.h"

struct plain {
	char *root;
	const struct ks__probe *probe;
	const struct ks__scan *scan;
	void *state;
	int32_t pids[1]; /* of the scope, if that is a tree or a list of pids */
	struct ks__scope scope;
	struct ks__settings set; /* generation 1, records without limits */
	struct ks__tally tally;
	struct ks__queue queue;
	struct ks__look look; /* the host is process 100 */
};

/* Opens the fallback of this probe, without a look. */
void plain_begin(struct plain *p, uint32_t probe, uint32_t scope_kind);
void plain_end(struct plain *p);
/* Writes a file; its name is relative to the folder. */
void plain_put(struct plain *p, const char *text, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Looks once; returns what the scan returns. */
int plain_look(struct plain *p);
/* Returns one counter of the statistics. */
uint64_t plain_counted(const struct plain *p, const char *field);

#endif
