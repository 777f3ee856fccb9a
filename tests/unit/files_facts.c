/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows what the source without kernel programs says of itself: sizes, files, what to expect of a
 * probe, and why it cannot serve one.
 */
#include <errno.h>

#include "data/doc.h"
#include "files/scan.h"
#include "source/files.h"
#include "support/fake_proc.h"
#include "support/ks_test.h"

#ifndef __SANITIZE_ADDRESS__ /* it ends the program for such a size */
/* Without memory for the queue, the probe stays off. */
static void test_no_memory(void)
{
	struct bed *bed = bed_new(0);
	const uint64_t bytes = bed->ks->opts.ring_bytes;
	uint32_t variant = 99;
	uint64_t valid;
	char text[256], *want;

	bed->ks->opts.ring_bytes = SIZE_MAX / 2;
	bed_apply(bed);
	ks_assert_rc(bed->s->ops->enable(bed->s, KS_PROBE_PROC, NULL, &variant, &valid), -ENOMEM);
	g_assert_cmpuint(variant, ==, 99);
	want = g_strdup_printf("proc: %s cannot be scanned: out of memory", bed->dir);
	ks_last_error(bed->ks, text, sizeof(text));
	g_assert_cmpstr(text, ==, want);
	bed->ks->opts.ring_bytes = bytes;
	bed_enable(bed);
	g_free(want);
	bed_free(bed);
}
#endif

/* The size has the queue and the state of each scan that runs. */
static void test_size(void)
{
	const size_t row = 72; /* of the scan's tables, which begin with 256 rows each */
	struct bed *bed = bed_new(8192);
	uint64_t before, on, more, kernel = 77;

	bed->s->ops->size(bed->s, &kernel, &before);
	g_assert_cmpuint(kernel, ==, 0);
	g_assert_cmpuint(before, ==, sizeof(struct files));
	bed_enable(bed);
	bed->s->ops->size(bed->s, &kernel, &on);
	g_assert_cmpuint(on, >=, before + 8192 + 256 * row);
	g_assert_cmpuint(on, <=, before + 8192 + 256 * row + 512);
	ks_assert_rc(bed_look(bed), 0);
	bed->s->ops->size(bed->s, &kernel, &more);
	g_assert_cmpuint(more, ==, on + 256 * row);
	bed->s->ops->disable(bed->s, KS_PROBE_PROC);
	bed->s->ops->size(bed->s, &kernel, &on);
	g_assert_cmpuint(on, ==, before + 8192);
	bed_free(bed);
}

/* ---- what cannot be had ---------------------------------------------------------------------- */

static void assert_check(struct bed *bed, const char *want)
{
	char text[500], *whole = g_strdup_printf("{\"files\":%s}", want);
	struct ks__doc doc;

	ks__doc_begin(&doc, KS_JSON);
	bed->s->ops->check(bed->s, &doc);
	ks__doc_finish(&doc, text, sizeof(text));
	g_assert_cmpstr(text, ==, whole);
	g_free(whole);
}

/* What ks_explain() tells of a scan, while the probe is on. */
static void test_explain(void)
{
	struct bed *bed = bed_new(0);
	struct ks__doc doc;
	char text[500];

	for (int on = 0; on <= 1; on++) {
		ks__doc_begin(&doc, KS_JSON);
		bed->s->ops->explain(bed->s, KS_PROBE_PROC, &doc);
		ks__doc_finish(&doc, text, sizeof(text));
		g_assert_cmpstr(text, ==,
				on ? "{\"files\":[\"PID/stat\",\"PID/status\",\"PID/exe\"],"
				     "\"interval_ms\":3600000}" :
				     "{}");
		bed_enable(bed);
	}
	bed_free(bed);
}

/* The fallback is the variant behind all others; expect() tells it before the probe is on. */
static void test_expect(void)
{
	struct bed *bed = bed_new(0);
	const struct ks__probe *probe = bed->ks->slots[KS_PROBE_PROC].probe;
	uint32_t variant = 99, n = 0;
	uint64_t valid = 99;

	while (probe->variants[n].name)
		n++;
	ks_assert_rc(bed->s->ops->expect(bed->s, KS_PROBE_PROC, &variant, &valid), 0);
	g_assert_cmpuint(variant, ==, n);
	g_assert_cmphex(valid, ==, probe->valid & ~probe->fallback->lacks);
	g_assert_cmphex(valid, !=, probe->valid);
	ks_assert_rc(bed->s->ops->expect(bed->s, KS_PROBE_FADVISE, &variant, &valid), -KS_EUNAVAIL);
	g_assert_cmpuint(variant, ==, n);
	bed_free(bed);
}

static void test_reasons(void)
{
	struct bed *bed = bed_new(0);
	char *stat = bed_path(bed, 100, "stat");
	struct ks__note note;
	char why[256] = "";
	uint32_t variant;
	uint64_t valid;

	ks_assert_rc(bed->s->ops->note(bed->s, KS_PROBE_PROC, 0, &note), 0);
	ks_assert_rc(note.error, 0);
	ks_assert_rc(bed->s->ops->note(bed->s, KS_PROBE_PROC, 1, &note), -ENOENT);
	ks_assert_rc(bed->s->ops->why(bed->s, KS_PROBE_PROC, KS_HAS_PROC_PATH, why, 256), 0);
	ks_assert_rc(bed->s->ops->why(bed->s, KS_PROBE_PROC, KS_HAS_PROC_SHORT, why, 256), 1);
	g_assert_nonnull(
		strstr(why, "procfs: a scan of /proc misses processes that begin and end"));
	ks_assert_rc(bed->s->ops->enable(bed->s, KS_PROBE_PROC, "raw_tp", &variant, &valid),
		     -KS_EUNAVAIL);

	unlink(stat);
	ks_assert_rc(bed->s->ops->note(bed->s, KS_PROBE_PROC, 0, &note), 0);
	ks_assert_rc(note.error, -ENOENT);
	g_assert_true(g_str_has_prefix(note.reason, bed->dir));
	g_assert_nonnull(
		strstr(note.reason, "/self/stat cannot be read (not found): mount procfs"));
	ks_assert_rc(bed->s->ops->expect(bed->s, KS_PROBE_PROC, &variant, &valid), -KS_EUNAVAIL);
	assert_check(bed, "{\"procfs\":false,\"all_processes\":false,\"reason\":\"not found\"}");
	bed_write(bed, 100, "stat", "");
	ks_assert_rc(bed->s->ops->note(bed->s, KS_PROBE_PROC, 0, &note), 0);
	ks_assert_rc(note.error, -ENOENT);
	g_assert_nonnull(
		strstr(note.reason, "/self/stat cannot be read (it is empty): mount procfs"));
	assert_check(bed, "{\"procfs\":false,\"all_processes\":false,\"reason\":null}");
	ks_assert_rc(bed->s->ops->enable(bed->s, KS_PROBE_PROC, NULL, &variant, &valid),
		     -KS_EUNAVAIL);
	g_free(stat);
	bed_free(bed);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
#ifndef __SANITIZE_ADDRESS__
	g_test_add_func("/files_facts/no memory", test_no_memory);
#endif
	g_test_add_func("/files_facts/size", test_size);
	g_test_add_func("/files_facts/explain", test_explain);
	g_test_add_func("/files_facts/expect", test_expect);
	g_test_add_func("/files_facts/reasons", test_reasons);
	return g_test_run();
}
