/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What reading statistics costs. Rows by process are compared with the entries of a hash, one
 * look-up each. A total with a histogram is compared with one look-up of the same number of bytes.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bench.h"
#include "bpf/shared.h"

#define ROWS 10000u
#define ROUNDS bench_rounds(21)

/* ---- the peer: a hash by process, a per-CPU array ------------------------------------------ */

static int full_hash(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "rows", 8, sizeof(struct ks_bpf_row_fadvise),
				ROWS, NULL);
	struct ks_bpf_row_fadvise row = { .calls = { 1 } };

	if (fd < 0)
		err(1, "cannot make a hash map");
	for (uint64_t key = 1; key <= ROWS; key++)
		if (bpf_map_update_elem(fd, &key, &row, BPF_ANY))
			err(1, "cannot add an entry to the hash map");
	return fd;
}

static unsigned read_hash(int fd)
{
	struct ks_bpf_row_fadvise row;
	uint64_t key, next, *at = NULL;
	unsigned n = 0;

	for (; !bpf_map_get_next_key(fd, at, &next); n++) {
		key = next;
		at = &key;
		if (bpf_map_lookup_elem(fd, &key, &row))
			err(1, "cannot look up a key of the hash map");
	}
	return n;
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* Starts processes that call posix_fadvise() once and then stay. */
static pid_t crowd(unsigned n)
{
	pid_t group = fork();
	int ready[2];
	char c;

	if (group)
		return group;
	setpgid(0, 0);
	for (unsigned i = 0; i < n; i++) {
		if (pipe2(ready, O_CLOEXEC))
			err(1, "cannot make a pipe");
		if (fork() == 0) {
			posix_fadvise(-1, 0, 0, POSIX_FADV_NORMAL);
			close(ready[0]);
			close(ready[1]);
			pause();
		}
		close(ready[1]);
		if (read(ready[0], &c, 1) < 0)
			err(1, "cannot start a child process");
		close(ready[0]);
	}
	raise(SIGSTOP);
	pause();
	_exit(0);
}

static struct ks_reader *reader(struct ks *ks, uint32_t probe, uint32_t by)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = by };
	struct ks_reader *r;

	must(ks, ks_reader_new(ks, probe, &opts, &r), "a reader");
	return r;
}

static size_t read_rows(struct ks_reader *r)
{
	struct ks_stats s = { .size = sizeof(s) };

	if (ks_read_stats(r, &s))
		errx(1, "cannot read the statistics");
	return s.n_rows;
}

static void rows(struct ks *ks)
{
	struct samples mine = { 0 }, theirs = { 0 };
	int fd = full_hash(), status;
	size_t n = 0;
	pid_t group;

	group = crowd(ROWS);
	waitpid(group, &status, WUNTRACED);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct ks_reader *r = reader(ks, KS_PROBE_FADVISE, KS_BY_PROCESS);
		uint64_t t0, t1, t2;

		read_rows(r); /* the first read makes the reader allocate its memory */
		t0 = cpu_thread();
		n = read_rows(r);
		t1 = cpu_thread();
		read_hash(fd);
		t2 = cpu_thread();
		samples_add(&mine, (double)(t1 - t0) / 1e3);
		samples_add(&theirs, (double)(t2 - t1) / 1e3);
		ks_reader_free(r);
	}
	kill(-group, SIGKILL);
	waitpid(group, &status, 0);
	close(fd);
	figure("read a row of thousands / a key",
	       samples_median(&mine) / (double)n / (samples_median(&theirs) / ROWS), AT_MOST, 0.2,
	       "x", "%zu rows %.0f us, %u keys %.0f us", n, samples_median(&mine), ROWS,
	       samples_median(&theirs));
}

/* ---- a histogram --------------------------------------------------------------------------- */

static void histogram(struct ks *ks)
{
	size_t bytes = sizeof(struct ks_bpf_stats_proc);
	int fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "hist", 4, (uint32_t)bytes, 1, NULL);
	struct ks_reader *r = reader(ks, KS_PROBE_PROC, KS_BY_TOTAL);
	char *value = calloc(1024, bytes);
	struct samples mine = { 0 }, theirs = { 0 };
	uint32_t key = 0;

	if (fd < 0 || !value)
		err(1, "cannot make a per-CPU array");
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t t0 = cpu_thread(), t1, t2;

		for (unsigned j = 0; j < 100; j++)
			read_rows(r);
		t1 = cpu_thread();
		for (unsigned j = 0; j < 100; j++)
			if (bpf_map_lookup_elem(fd, &key, value))
				err(1, "cannot look up the histogram");
		t2 = cpu_thread();
		samples_add(&mine, (double)(t1 - t0) / 1e2);
		samples_add(&theirs, (double)(t2 - t1) / 1e2);
	}
	ks_reader_free(r);
	free(value);
	close(fd);
	figure("read a histogram / one look-up", samples_median(&mine) / samples_median(&theirs),
	       AT_MOST, 0.3, "x", "%.0f ns, look-up of all CPUs %.0f ns", samples_median(&mine),
	       samples_median(&theirs));
}

int main(void)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_SYSTEM };
	struct ks_enable_opts quiet = { .size = sizeof(quiet), .flags = KS_ENABLE_NO_EVENTS };
	struct ks *ks;

	need_root("read");
	if (ks_open(NULL, &ks))
		errx(1, "cannot open a handle");
	must(ks, ks_set_scope(ks, &scope), "the scope");
	must(ks, ks_enable_probe(ks, KS_PROBE_PROC, &quiet), "proc");
	must(ks, ks_enable_probe(ks, KS_PROBE_FADVISE, &quiet), "fadvise");
	histogram(ks);
	rows(ks);
	ks_close(ks);
	return 0;
}
