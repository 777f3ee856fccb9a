/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_bed.c - see bpf_bed.h */
#include "bpf_bed.h"

#include <stdio.h>

#include "ks_test.h"

void put(struct bed *bed, const char *text, const char *name)
{
	char *path = g_build_filename(bed->dir, name, NULL), *folder = g_path_get_dirname(path);
	FILE *file;

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	file = fopen(path, "we");
	g_assert_nonnull(file);
	g_assert_cmpint(fputs(text, file), >=, 0);
	g_assert_cmpint(fclose(file), ==, 0);
	g_free(folder);
	g_free(path);
}

void put_stat(struct bed *bed, int tid, unsigned ticks)
{
	char name[32], text[128];

	snprintf(name, sizeof(name), "%d/stat", tid);
	snprintf(text, sizeof(text),
		 "%d (a) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %u 0 0 0 1 0 1 0 0\n", tid, ticks);
	put(bed, text, name);
}

struct bed *bed_new(int self)
{
	struct bed *bed = g_new0(struct bed, 1);
	struct ks_open_opts opts = { .size = sizeof(opts), .max_threads = 1234 };
	char link[16], *path;

	bed->dir = g_dir_make_tmp("ks-bpf-XXXXXX", NULL);
	path = g_build_filename(bed->dir, "self", NULL);
	snprintf(link, sizeof(link), "%d", self ? self : getpid());
	g_assert_cmpint(symlink(link, path), ==, 0);
	g_free(path);
	opts.proc_path = bed->dir;
	ks_assert_rc(ks_open(&opts, &bed->ks), 0);
	for (unsigned i = 0; bed->ks->sources[i]; i++)
		if (bed->ks->sources[i]->ops->kind == KS_SOURCE_BPF)
			bed->b = ks__bpf_of(bed->ks->sources[i]);
	g_assert_nonnull(bed->b);
	return bed;
}

void bed_free(struct bed *bed)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", bed->dir, NULL };

	ks_close(bed->ks);
	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
	g_free(bed->dir);
	g_free(bed);
}
