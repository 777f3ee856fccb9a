/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that `pagecache` is right for a database at work: the same queries request the same pages
 * with a cold and with a warm cache, only a cold cache has misses, and the hit ratio is from 0 to
 * 1. Without kernel programs, /proc/vmstat gives at least the pages read, or the probe refuses.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/harness.h"
#include "support/ks_test.h"

/* 4 MiB in pages of 4 KiB, and 400 rows in random order. */
#define FILL                                                                             \
	"CREATE TABLE t(k INTEGER PRIMARY KEY, v BLOB);"                                 \
	"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1000)" \
	"INSERT INTO t SELECT i, zeroblob(4000) FROM c;"
#define ASK                                                                             \
	"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 400)" \
	"SELECT sum(length(v)) FROM c, t WHERE k = i * 617 % 1000 + 1;"

static char path[] = "/var/tmp/ks-sqlite-XXXXXX";

static int ask(void *page)
{
	int to = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)page;
	dup2(to, 1);
	execlp("sqlite3", "sqlite3", "-cmd", "PRAGMA mmap_size = 0", path, ASK, NULL);
	return 127;
}

/* Returns 0 if the test was skipped. */
static int fill(void)
{
	const char *args[] = { "sqlite3", path, FILL, NULL };
	int fd, status = -1;

	g_strlcpy(path + strlen(path) - 6, "XXXXXX", 7);
	fd = mkostemp(path, O_CLOEXEC);
	g_assert_cmpint(fd, >=, 0);
	close(fd);
	if (!g_spawn_sync(NULL, (char **)args, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
			  &status, NULL)) {
		g_test_skip("sqlite3 is not installed");
		unlink(path);
		return 1;
	}
	g_assert_cmpint(status, ==, 0);
	return 0;
}

static void forget(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	g_assert_cmpint(fsync(fd), ==, 0);
	g_assert_cmpint(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), ==, 0);
	close(fd);
}

/* Returns what one run of the queries counts. */
static struct ks_stats_pagecache count_queries(struct kt *t)
{
	struct ks_stats_pagecache before, row;
	struct work w;

	work_start(&w, ask);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, NULL, 0);
	kt_total(t, &before, sizeof(before));
	work_run(&w);
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	kt_total(t, &row, sizeof(row));
	row.requested_pages -= before.requested_pages;
	row.missed_pages -= before.missed_pages;
	row.readin_pages -= before.readin_pages;
	row.write_pages -= before.write_pages;
	work_free(&w);
	return row;
}

/* Runs once: the machine may take pages away between two runs. */
static char *query_twice(void *user)
{
	struct ks_stats_pagecache cold, warm;
	struct kt *t = user;
	char *wrong;

	forget();
	cold = count_queries(t);
	warm = count_queries(t);
	g_test_message("%u of %u pages missed, %u read in", (unsigned)cold.missed_pages,
		       (unsigned)cold.requested_pages, (unsigned)cold.readin_pages);
	g_assert_cmpuint(cold.requested_pages, >=, 400);
	g_assert_cmpuint(cold.requested_pages, ==, warm.requested_pages);
	g_assert_cmpuint(cold.missed_pages, <=, cold.requested_pages);
	g_assert_cmpuint(cold.write_pages, ==, 0);
	wrong = ks_test_outside("missed, cold", cold.missed_pages, 1, cold.readin_pages);
	if (!wrong)
		wrong = ks_test_outside("missed, warm", warm.missed_pages, 0,
					cold.missed_pages / 10);
	return wrong;
}

static void database(struct kt *t)
{
	if (fill())
		return;
	count_queries(t); /* its program is in the cache now */
	ks_test_rounds(query_twice, t);
	unlink(path);
}

/* ---- without kernel programs ----------------------------------------------------------------- */

static uint64_t read_in(struct ks *ks)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_pagecache *row;
	struct ks_reader *reader;
	uint64_t pages;

	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_PAGECACHE, NULL, &reader));
	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	row = ks_stats_row(&stats, 0);
	g_assert_cmpuint(stats.source, ==, KS_SOURCE_FILES);
	g_assert_cmpuint(row->row.valid, ==, KS_HAS_PAGECACHE_READIN);
	pages = row->readin_pages;
	ks_reader_free(reader);
	return pages;
}

/* Reads a file that was dropped, except for pages that another process held at that moment. */
static char *read_dropped(void *user)
{
	static char data[4096];
	struct ks *ks = user;
	int fd = work_file(), i;
	uint64_t before;

	for (i = 0; i < 1000; i++)
		g_assert_cmpint(pwrite(fd, data, sizeof(data), (off_t)i * 4096), ==, 4096);
	g_assert_cmpint(fsync(fd), ==, 0);
	g_assert_cmpint(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), ==, 0);
	before = read_in(ks);
	for (i = 0; i < 1000; i++)
		g_assert_cmpint(pread(fd, data, sizeof(data), (off_t)i * 4096), ==, 4096);
	close(fd);
	return ks_test_outside("read in", read_in(ks) - before, 1000, UINT64_MAX);
}

static void test_vmstat(void)
{
	struct ks_enable_opts opts = { .size = sizeof(opts), .variant = "vmstat" };
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_SYSTEM };
	int fd = work_file();
	struct ks *ks;

	if (fd < 0) {
		g_test_skip("the folder for temporary files is in memory");
		return;
	}
	close(fd);
	g_assert_cmpint(ks_open(NULL, &ks), ==, 0);
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PAGECACHE, &opts), -KS_EUNAVAIL);
	ks_assert_ok(ks, ks_set_scope(ks, &scope));
	ks_assert_ok(ks, ks_enable_probe(ks, KS_PROBE_PAGECACHE, &opts));
	ks_test_rounds(read_dropped, ks);
	ks_close(ks);
}

static void add(void)
{
	kt_add(KS_PROBE_PAGECACHE, "database", KT_BEST, database);
	g_test_add_func("/pagecache/vmstat", test_vmstat);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
