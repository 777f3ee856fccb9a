/* SPDX-License-Identifier: BSD-2-Clause */
/* pagecache_phases.c - what the processes of the tests of pagecache do to a file */
#include "pagecache_phases.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/workload.h"

#define LARGE 256 /* pages */

static char buffer[LARGE * PAGE] __attribute__((aligned(PAGE)));

static int reads(int fd, int n, size_t bytes, off_t from, off_t step)
{
	for (int i = 0; i < n; i++)
		if (pread(fd, buffer, bytes, from + i * step) != (ssize_t)bytes)
			return 1;
	return 0;
}

static int writes(int fd, int n, int from)
{
	for (int i = 0; i < n; i++)
		if (pwrite(fd, buffer, PAGE, (off_t)(from + i) * PAGE) != PAGE)
			return 1;
	return 0;
}

int write_all(int fd)
{
	return writes(fd, N, 0);
}

int append(int fd)
{
	return writes(fd, MORE, N);
}

/* A page is read to be modified: it comes in for the write. */
static int write_some(int fd)
{
	for (int i = 0; i < N; i++)
		if (pwrite(fd, buffer, 100, (off_t)i * PAGE + 50) != 100)
			return 1;
	return 0;
}

int read_all(int fd)
{
	return reads(fd, N, PAGE, 0, PAGE);
}

int read_random(int fd)
{
	return posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) || read_all(fd);
}

int read_random_16k(int fd)
{
	return posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) ||
	       reads(fd, N / 4, 4 * PAGE, 0, 4 * PAGE);
}

/* Each of these touches two pages. */
static int read_unaligned(int fd)
{
	return reads(fd, N - 1, PAGE, 100, PAGE);
}

static int read_small(int fd)
{
	return reads(fd, N, 100, 50, PAGE);
}

/* In pieces of some folios; the last one ends behind the file. The same end in a second read. */
static int read_large(int fd)
{
	for (off_t at = 0; at < N * PAGE; at += sizeof(buffer))
		if (pread(fd, buffer, sizeof(buffer), at) <= 0)
			return 1;
	return reads(fd, 1, 4 * PAGE, 100 * PAGE, 0) || reads(fd, 1, 2 * PAGE, 102 * PAGE, 0) ||
	       pread(fd, buffer, PAGE, N * PAGE) != 0;
}

static int read_vector(int fd)
{
	struct iovec parts[] = { { buffer, 3 * PAGE }, { buffer + 8 * PAGE, 5 * PAGE } };

	for (int i = 0; i < N / 8; i++)
		if (preadv(fd, parts, 2, (off_t)i * 8 * PAGE) != 8 * PAGE)
			return 1;
	return 0;
}

static int read_mapped(int fd)
{
	volatile char *at = mmap(NULL, N * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return 1;
	for (int i = 0; i < N; i++)
		(void)at[i * PAGE];
	return munmap((void *)at, N * PAGE);
}

static int write_mapped(int fd)
{
	volatile char *at = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return 1;
	for (int i = 0; i < N; i++)
		at[i * PAGE] = 'm';
	return munmap((void *)at, N * PAGE);
}

static int read_direct(int fd)
{
	if (fcntl(fd, F_SETFL, O_DIRECT))
		return errno;
	return read_all(fd) || writes(fd, 10, 0);
}

static int send_all(int fd)
{
	int to = open("/dev/null", O_WRONLY | O_CLOEXEC);
	off_t at = 0;

	while (at < N * PAGE)
		if (sendfile(to, fd, &at, (size_t)(N * PAGE - at)) <= 0)
			return 1;
	return 0;
}

static int advise(int fd)
{
	return posix_fadvise(fd, 0, 32 * PAGE, POSIX_FADV_WILLNEED);
}

int drop(int fd)
{
	return posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int shrink(int fd)
{
	return ftruncate(fd, 0);
}

/* All that there is to count, of a file that is none. */
static int in_memory(int fd)
{
	fd = memfd_create("pagecache", MFD_CLOEXEC);
	return fd < 0 || write_all(fd) || read_all(fd) || read_mapped(fd) || drop(fd) ||
	       ftruncate(fd, 0);
}

/* The disk below the file, as a device. */
static int from_device(int fd)
{
	char name[] = "/var/tmp/ks-device-XXXXXX";
	struct stat st;
	int rc;

	if (fstat(fd, &st) || !mkdtemp(name))
		return 1;
	rc = rmdir(name) || mknod(name, S_IFBLK | 0600, st.st_dev);
	fd = rc ? -1 : open(name, O_RDONLY | O_CLOEXEC);
	unlink(name);
	return fd < 0 ? errno : reads(fd, 64, PAGE, 0, PAGE) || drop(fd);
}

const struct phase phases[] = {
	{ "write", NEW, write_all, .written = N },
	{ "sequential", COLD, read_all, .requested = N, .missed = 1, .readin = N },
	{ "warm", WARM, read_all, .requested = N },
	{ "random", COLD, read_random, .requested = N, .missed = N, .readin = N },
	{ "mapped", COLD, read_mapped, .readin = N, .mapped = N },
	{ "overwrite", COLD, write_all, .written = N },
	{ "overwrite-100", COLD, write_some, .written = N },
	{ "append", COLD, append, .written = MORE },
	{ "direct", COLD, read_direct, .optional = 1 },
	/* by what goes into a pipe */
	{ "sendfile", COLD, send_all, .requested = N, .missed = 16, .readin = N },
	{ "sendfile-warm", WARM, send_all, .requested = N },
	{ "random-16k", COLD, read_random_16k, .requested = N, .missed = N, .readin = N,
	  .in_pieces = 1 },
	{ "unaligned", WARM, read_unaligned, .requested = 2 * (N - 1) },
	{ "small", WARM, read_small, .requested = N },
	{ "large", WARM, read_large, .requested = N + 6, .beyond = LARGE - N % LARGE,
	  .past_end = 1 },
	{ "vector", WARM, read_vector, .requested = N },
	{ "mapped-write", COLD, write_mapped, .readin = N, .mapped = N },
	{ "willneed", COLD, advise, .readin = 32 },
	{ "drop", WARM, drop, .evicted = N },
	{ "truncate", WARM, shrink, .evicted = N },
	{ "in-memory", WARM, in_memory, .mapped = 0 },
	/* what the file system uses is in memory, and what it does not is dropped in each round */
	{ "device", WARM, from_device, .beyond = 64, .beyond_missed = 64, .optional = 1 },
};

const uint32_t n_phases = G_N_ELEMENTS(phases);

uint32_t phase_of(int (*run)(int fd))
{
	uint32_t i = 0;

	while (phases[i].run != run)
		i++;
	return i;
}

int run_phase(void *page)
{
	struct plan *plan = page;
	int fd = open(plan->path, O_RDWR | O_CLOEXEC), rc;

	work_pin(0);
	rc = fd < 0 ? 1 : phases[plan->phase].run(fd);
	if (rc && phases[plan->phase].optional)
		plan->refused = (uint32_t)rc;
	return rc && !plan->refused;
}
