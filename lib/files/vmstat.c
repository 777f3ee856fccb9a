/* SPDX-License-Identifier: BSD-2-Clause */
/* vmstat.c - pages that the machine has read from block devices, from /proc/vmstat */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../data/rows.h"
#include "../ks.h"
#include "kv.h"
#include "scan.h"
#include "../base/text.h"

#define VMSTAT_BYTES 16384
#define PAGE_KB 4 /* size of the pages in the statistics, in KiB */

struct vmstat {
	int begun, word;
	uint64_t kb; /* KiB read from devices, without swap, up to the last page counted */
	char text[VMSTAT_BYTES];
};

static int vmstat_open(const struct ks__probe *probe, void **ret_state)
{
	struct vmstat *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->word = ks__rows_word(probe->stats, "readin_pages");
	*ret_state = v;
	return 0;
}

static size_t vmstat_bytes(const void *state)
{
	(void)state;
	return sizeof(struct vmstat);
}

/* pgpgin counts KiB, pswpin pages of the kernel's page size. */
static int read_kb(struct vmstat *v, const struct ks__look *look, uint64_t *ret_kb)
{
	ssize_t n = ks__text_read(look->proc_fd, "vmstat", v->text, sizeof(v->text));
	uint64_t in, swap, page_kb = (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
	int rc = n < 0 ? (int)n : ks__kv_number(v->text, (size_t)n, "pgpgin", 0, &in);

	if (rc)
		return rc;
	if (ks__kv_number(v->text, (size_t)n, "pswpin", 0, &swap)) /* a kernel without swap */
		swap = 0;
	*ret_kb = in > swap * page_kb ? in - swap * page_kb : 0;
	return 0;
}

/* The file has numbers of the whole machine only. */
static const char *vmstat_no_scope(const struct ks__scope *scope)
{
	if (scope->kind == KS_SCOPE_SYSTEM && !scope->has_comm && !scope->has_exclude)
		return NULL;
	return "vmstat counts the whole machine: it serves the scope KS_SCOPE_SYSTEM, without comm "
	       "and exclude_comm, and no other";
}

/*
 * The two counters are not updated together on all CPUs, so their difference may go backwards for a
 * moment. Then this look adds 0 and a later one the remainder.
 */
static int vmstat_look(void *state, struct ks__look *look)
{
	struct vmstat *v = state;
	uint64_t kb, pages;
	int rc;

	if (vmstat_no_scope(look->scope))
		return -KS_EUNAVAIL;
	rc = read_kb(v, look, &kb);
	if (rc)
		return rc;
	look->now_ns = ks__now();
	if (!v->begun)
		v->kb = kb;
	v->begun = 1;
	pages = kb > v->kb ? (kb - v->kb) / PAGE_KB : 0;
	v->kb += pages * PAGE_KB;
	if (!(look->set->flags & KS_ENABLE_NO_STATS))
		look->tally->block[v->word] += pages;
	return 0;
}

static const char *const files[] = { "vmstat", NULL };

const struct ks__scan ks__scan_vmstat = {
	.files = files,
	.open = vmstat_open,
	.close = free,
	.look = vmstat_look,
	.bytes = vmstat_bytes,
	.no_scope = vmstat_no_scope,
};
