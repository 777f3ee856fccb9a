/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that ten minutes of everything leave nothing behind: all probes are enabled, the whole
 * system is in scope, processes come and go, the host polls and reads. Memory, descriptors and maps
 * do not grow after the first third of the time, and at the end the ledger balances.
 * KS_SOAK_SECONDS: another duration.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/ks_test.h"

#define READERS 8
#define GROWTH_KB 2048 /* readers hold a row per thread, dead threads included */

struct use {
	long anon_kb, fds;
	uint64_t map_bytes;
};

static const uint32_t all_probes[] = { KS_PROBE_PROC, KS_PROBE_SCHED, KS_PROBE_FADVISE,
				       KS_PROBE_PAGECACHE };

/* Forks a child that forks others, each of which reads a file and drops it from the page cache. */
static pid_t start_load(void)
{
	pid_t pid = fork();
	char page[4096];

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		const struct timespec moment = { 0, 2000000 };

		if (fork() == 0) {
			int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

			while (read(fd, page, sizeof(page)) > 0)
				;
			posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
			_exit(0);
		}
		nanosleep(&moment, NULL);
		waitpid(-1, NULL, 0);
	}
}

static long anon_kb(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	long kb = -1;

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "RssAnon: %ld kB", &kb) == 1)
			break;
	if (status)
		fclose(status);
	return kb;
}

static long descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	long n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static struct use use_now(struct ks_reader *self)
{
	struct ks_stats s = { .size = sizeof(s) };
	const struct ks_stats_self *row;

	g_assert_cmpint(ks_read_stats(self, &s), ==, 0);
	row = ks_stats_row(&s, 0);
	return (struct use){ anon_kb(), descriptors(), row->map_bytes };
}

static int ignore(const struct ks_event *ev, void *user)
{
	(void)ev;
	++*(uint64_t *)user;
	return 0;
}

static struct ks_reader *reader(struct ks *ks, uint32_t probe, uint32_t by, uint32_t flags)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = by, .flags = flags };
	struct ks_reader *r;

	ks_assert_ok(ks, ks_reader_new(ks, probe, &opts, &r));
	return r;
}

static void read_all(struct ks *ks, struct ks_reader **readers)
{
	for (int i = 0; i < READERS; i++) {
		struct ks_stats s = { .size = sizeof(s) };

		ks_assert_ok(ks, ks_read_stats(readers[i], &s));
		g_assert_cmpuint(s.n_rows, >, 0);
	}
}

static void run(struct ks *ks, struct ks_reader *self, struct ks_reader **readers, time_t seconds)
{
	time_t begin = time(NULL), next = begin;
	struct use first = { 0 }, now = { 0 };
	uint64_t events = 0;

	while (time(NULL) - begin < seconds) {
		int rc = ks_poll(ks, 200, 0, ignore, &events);

		g_assert_true(rc >= 0 || rc == -EINTR);
		if (time(NULL) < next)
			continue;
		next++;
		read_all(ks, readers);
		now = use_now(self);
		if (!first.fds && time(NULL) - begin >= seconds / 3)
			first = now;
		if (!first.fds)
			continue;
		g_assert_cmpint(now.fds, ==, first.fds);
		g_assert_cmpuint(now.map_bytes, ==, first.map_bytes);
		g_assert_cmpint(now.anon_kb, <, first.anon_kb + GROWTH_KB);
	}
	g_test_message("%" G_GUINT64_FORMAT " events, RssAnon %ld -> %ld kB, %ld descriptors",
		       events, first.anon_kb, now.anon_kb, now.fds);
	g_assert_cmpuint(events, >, (uint64_t)seconds);
}

static void soak(void)
{
	const char *asked = getenv("KS_SOAK_SECONDS");
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_SYSTEM };
	struct ks_reader *readers[READERS], *self;
	uint64_t events = 0;
	struct ks *ks;
	pid_t load;

	if (geteuid()) {
		g_test_skip("needs root");
		return;
	}
	ks_assert_rc(ks_open(NULL, &ks), 0);
	ks_assert_ok(ks, ks_set_scope(ks, &scope));
	for (size_t i = 0; i < G_N_ELEMENTS(all_probes); i++) {
		ks_assert_ok(ks, ks_enable_probe(ks, all_probes[i], NULL));
		readers[2 * i] = reader(ks, all_probes[i], KS_BY_TOTAL, 0);
		readers[2 * i + 1] = reader(ks, all_probes[i],
					    KS_BY_TOTAL | KS_BY_PROCESS | KS_BY_CGROUP,
					    i % 2 ? KS_READ_DELTA : 0);
	}
	self = reader(ks, KS_PROBE_SELF, KS_BY_TOTAL, 0);
	load = start_load();
	run(ks, self, readers, asked ? atoi(asked) : 600);
	kill(load, SIGKILL);
	waitpid(load, NULL, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(all_probes); i++)
		ks_assert_ok(ks, ks_disable_probe(ks, all_probes[i]));
	while (ks_poll(ks, 0, 0, ignore, &events) > 0)
		;
	ks_assert_ok(ks, ks_ledger_check(ks, KS_PROBE_SELF));
	for (int i = 0; i < READERS; i++)
		ks_reader_free(readers[i]);
	ks_reader_free(self);
	ks_close(ks);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/soak/all", soak);
	return g_test_run();
}
