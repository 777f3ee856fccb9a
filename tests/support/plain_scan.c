/* SPDX-License-Identifier: BSD-2-Clause */
/* plain_scan.c - see plain_scan.h */
#include "plain_scan.h"

#include <fcntl.h>
#include <stdio.h>

#include "data/rows.h"
#include "ks.h"
#include "ks_test.h"

void plain_put(struct plain *p, const char *text, const char *format, ...)
{
	char *name, *path, *folder;
	va_list args;
	FILE *file;

	va_start(args, format);
	name = g_strdup_vprintf(format, args);
	va_end(args);
	path = g_build_filename(p->root, name, NULL);
	folder = g_path_get_dirname(path);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	file = fopen(path, "we"); /* g_file_set_contents() waits for the disk */
	g_assert_nonnull(file);
	g_assert_cmpint(fputs(text, file), >=, 0);
	g_assert_cmpint(fclose(file), ==, 0);
	g_free(folder);
	g_free(path);
	g_free(name);
}

void plain_begin(struct plain *p, uint32_t probe, uint32_t scope_kind)
{
	*p = (struct plain){ .root = g_dir_make_tmp("ks-plain-XXXXXX", NULL) };
	p->probe = ks__probe_by_id(probe);
	p->scan = p->probe->fallback->scan;
	p->scope = (struct ks__scope){
		.kind = scope_kind,
		.pids = p->pids,
		.n_pids = scope_kind == KS_SCOPE_TREE || scope_kind == KS_SCOPE_PIDS,
	};
	p->set = (struct ks__settings){ .generation = 1, .sample_every = 1 };
	p->tally = (struct ks__tally){ .random = 1 };
	p->tally.block = g_new0(uint64_t, ks__rows_words(p->probe->stats));
	ks_assert_rc(ks__queue_init(&p->queue, 4096), 0);
	p->look = (struct ks__look){
		.proc_fd = open(p->root, O_PATH | O_DIRECTORY | O_CLOEXEC),
		.self = 100,
		.scope = &p->scope,
		.set = &p->set,
		.tally = &p->tally,
		.queue = &p->queue,
	};
	ks_assert_rc(p->scan->open(p->probe, &p->state), 0);
}

void plain_end(struct plain *p)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", p->root, NULL };

	p->scan->close(p->state);
	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
	close(p->look.proc_fd);
	ks__queue_free(&p->queue);
	g_free(p->tally.block);
	g_free(p->root);
}

int plain_look(struct plain *p)
{
	return p->scan->look(p->state, &p->look);
}

uint64_t plain_counted(const struct plain *p, const char *field)
{
	return p->tally.block[ks__rows_word(p->probe->stats, field)];
}
