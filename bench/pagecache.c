/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What it costs to count pages that come into the page cache by process, for a task in scope.
 * Compared with the bpftrace one-liner that does the same.
 *
 * First by the CPU time of a thread that reads pages, with the library, bpftrace or neither
 * attached. Then by the run time of both programs for the same pages. The run time of an empty
 * program on the same hook is subtracted. This second figure leaves out what the kind of attachment
 * costs.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "lib/source/bpf.h"
#include "tool.h"

#define PAGES 8192
#define PASSES bench_rounds(5)
#define ROUNDS bench_rounds(7)

static char name[] = "bpftrace", option[] = "-e";
static char program[] = "tracepoint:filemap:mm_filemap_add_to_page_cache { @[pid] = count(); }";
static char *const tool_argv[] = { name, option, program, NULL };

/*
 * Makes a file whose pages are read one at a time, so that no folio is larger than a page. The file
 * is a hole, so that no read waits for a device.
 */
static int file_of_pages(void)
{
	char path[] = "/var/tmp/ks-bench-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0)
		return -1;
	unlink(path);
	if (ftruncate(fd, (off_t)PAGES * 4096) || posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void add_pages(int fd)
{
	char byte;

	for (unsigned i = 0; i < PAGES; i++)
		if (pread(fd, &byte, 1, (off_t)i * 4096) != 1)
			exit(1);
}

static uint32_t own_program(struct ks *ks, const char *wanted)
{
	for (unsigned i = 0; ks->sources[i]; i++) {
		const struct ks__bpf_client *client;
		struct ks__program_info info;

		if (ks->sources[i]->ops != &ks__source_bpf)
			continue;
		client = &ks__bpf_of(ks->sources[i])->clients[KS_PROBE_PAGECACHE];
		for (unsigned p = 0; p < client->state[client->attached].n; p++)
			if (!strcmp(client->state[client->attached].progs[p].name, wanted) &&
			    !ks__program_info(client->state[client->attached].progs[p].fd, &info))
				return info.id;
	}
	return 0;
}

/* bpftrace attaches by a perf event, not a link, so look at the fdinfo of all descriptors. */
static uint32_t program_of(pid_t pid, unsigned fd)
{
	char path[64], line[256];
	uint32_t id = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%u", (int)pid, fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "prog_id: %u", &id);
	if (f)
		fclose(f);
	return id;
}

/* bpftrace first loads programs to test kernel features: its own program is the one that stays. */
static uint32_t wait_for_tool(pid_t pid)
{
	uint64_t end = wall() + 10000000000ull;
	uint32_t ids[2] = { 0 };

	while (wall() < end) {
		nap(200000000);
		ids[1] = ids[0];
		ids[0] = 0;
		for (unsigned fd = 3; fd < 32 && !ids[0]; fd++)
			ids[0] = program_of(pid, fd);
		if (ids[0] && ids[0] == ids[1])
			return ids[0];
	}
	errx(1, "bpftrace did not load its program in time");
}

static struct ks *watch(int32_t pid, const char *variant)
{
	struct ks_enable_opts opts = { .size = sizeof(opts), .variant = variant };
	struct ks_scope scope = {
		.size = sizeof(scope), .kind = KS_SCOPE_PIDS, .pids = &pid, .n_pids = 1
	};
	struct ks *ks = host_open(0, 0, 0);

	if (pid)
		must(ks, ks_set_scope(ks, &scope), "ks_set_scope");
	must(ks, ks_enable_probe(ks, KS_PROBE_PAGECACHE, &opts), "ks_enable_probe");
	return ks;
}

/* ---- CPU time -------------------------------------------------------------------------------- */

/* CPU time of reading one page, ns: the minimum of some passes. */
static double per_page(int fd)
{
	struct samples s = { .n = 0 };
	uint64_t began;

	for (unsigned i = 0; i < ROUNDS; i++) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		began = cpu_thread();
		add_pages(fd);
		samples_add(&s, (double)(cpu_thread() - began) / PAGES);
	}
	return samples_min(&s);
}

/*
 * First the variant tp_btf-adds, which counts what bpftrace counts. The whole probe handles two
 * more events for each such read.
 */
static void added_time(int fd)
{
	static const char *const variants[] = { "tp_btf-adds", "tp_btf" };
	struct samples own[2] = { { .n = 0 } }, tool = { .n = 0 };

	for (unsigned pass = 0; pass < PASSES; pass++) {
		double none = per_page(fd), with;
		pid_t pid;

		for (unsigned i = 0; i < 2; i++) {
			struct ks *ks = watch(0, variants[i]);

			samples_add(&own[i], per_page(fd) - none);
			ks_close(ks);
		}
		pid = tool_start(tool_argv, NULL);
		wait_for_tool(pid);
		with = per_page(fd);
		tool_stop(pid);
		samples_add(&tool, with - per_page(fd));
	}
	figure("page-cache add, CPU added / bpftrace",
	       samples_median(&own[0]) / samples_median(&tool), AT_MOST, 0.45, "x",
	       "adds %.0f ns (min %.0f), bpftrace %.0f (min %.0f)", samples_median(&own[0]),
	       samples_min(&own[0]), samples_median(&tool), samples_min(&tool));
	figure_plain("  with requests and misses, too",
		     samples_median(&own[1]) / samples_median(&tool), "x",
		     "adds %.0f ns (min %.0f)", samples_median(&own[1]), samples_min(&own[1]));
}

/* ---- run time -------------------------------------------------------------------------------- */

enum { EMPTY, OWN, OTHER, TOOL, PROGRAMS };

static void compare(const uint32_t ids[PROGRAMS], int fd)
{
	struct samples ns[PROGRAMS] = { { 0 } };

	for (unsigned pass = 0; pass < PASSES; pass++) {
		struct runs before[PROGRAMS];

		for (unsigned i = 0; i < PROGRAMS; i++)
			before[i] = program_runs(ids[i]);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		add_pages(fd);
		for (unsigned i = 0; i < PROGRAMS; i++) {
			struct runs now = program_runs(ids[i]);

			samples_add(&ns[i], (double)(now.ns - before[i].ns) /
						    (double)(now.count - before[i].count));
		}
	}
	for (unsigned i = OWN; i < PROGRAMS; i++)
		for (unsigned k = 0; k < PASSES; k++)
			ns[i].v[k] -= ns[EMPTY].v[k];
	figure("page-cache add / bpftrace one-liner",
	       samples_median(&ns[OWN]) / samples_median(&ns[TOOL]), AT_MOST, 0.45, "x",
	       "%.0f ns net (min %.0f), bpftrace %.0f (min %.0f); an empty program %.0f",
	       samples_median(&ns[OWN]), samples_min(&ns[OWN]), samples_median(&ns[TOOL]),
	       samples_min(&ns[TOOL]), samples_median(&ns[EMPTY]));
	figure_plain("  out of scope", samples_median(&ns[OTHER]) / samples_median(&ns[TOOL]), "x",
		     "%.0f ns net (min %.0f)", samples_median(&ns[OTHER]), samples_min(&ns[OTHER]));
}

static void run_time(int fd)
{
	pid_t pid = tool_start(tool_argv, NULL); /* first, since it inherits open descriptors */
	uint32_t tool = wait_for_tool(pid);
	struct peer *peer = peer_open(4096);
	int link = peer_attach(peer, "peer_add");
	struct ks *own = watch(0, "tp_btf"), *other = watch(1, "tp_btf");
	const uint32_t ids[PROGRAMS] = {
		[EMPTY] = program_id(peer_program(peer, "peer_add")),
		[OWN] = own_program(own, "pagecache_add_tp_btf"),
		[OTHER] = own_program(other, "pagecache_add_tp_btf"),
		[TOOL] = tool,
	};

	stats_on();
	compare(ids, fd);
	tool_stop(pid);
	ks_close(own);
	ks_close(other);
	close(link);
	peer_close(peer);
}

int main(void)
{
	int fd;

	need_root("page cache");
	fd = file_of_pages();
	if (fd < 0 || !tool_exists(tool_argv[0])) {
		figure_skipped("page-cache add", "no bpftrace, or no disk below /var/tmp");
		return 0;
	}
	pin(cpu_at(0));
	added_time(fd);
	run_time(fd);
	close(fd);
	return 0;
}
