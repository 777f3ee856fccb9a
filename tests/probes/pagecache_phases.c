/* SPDX-License-Identifier: BSD-2-Clause */
/* pagecache_phases.c - see pagecache_phases.h */
#include "pagecache_phases.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/workload.h"

#define LARGE 256 /* pages */
#define LONG 102  /* pages of a long read: a quarter of the file */
#define FIRST 10  /* of its pages, those in memory */
#define DEPTH 16  /* entries of an io_uring, a power of two */

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

/* A page that is modified in part is read for the write. */
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

/* Each read touches two pages. */
static int read_unaligned(int fd)
{
	return reads(fd, N - 1, PAGE, 100, PAGE);
}

static int read_small(int fd)
{
	return reads(fd, N, 100, 50, PAGE);
}

/*
 * Reads in pieces of several folios. The last read ends behind the file; a second read meets the
 * same end.
 */
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

/* Reads each page of a mapping, or writes it. */
static int touch(int fd, int protection, int advice)
{
	volatile char *at = mmap(NULL, N * PAGE, protection, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED || madvise((void *)at, N * PAGE, advice))
		return 1;
	for (int i = 0; i < N; i++)
		if (protection & PROT_WRITE)
			at[i * PAGE] = 'm';
		else
			(void)at[i * PAGE];
	return munmap((void *)at, N * PAGE);
}

static int read_mapped(int fd)
{
	return touch(fd, PROT_READ, MADV_NORMAL);
}

static int write_mapped(int fd)
{
	return touch(fd, PROT_READ | PROT_WRITE, MADV_NORMAL);
}

/* A fault that misses has the event of a read that misses. The last read misses nothing. */
static int read_after_fault(int fd)
{
	return posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) || reads(fd, 2, PAGE, 400 * PAGE, PAGE) ||
	       touch(fd, PROT_READ, MADV_SEQUENTIAL) || reads(fd, 1, 2 * PAGE, 400 * PAGE, 0);
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

/* ---- overlapping reads: each begins further on, and all end at the same page ----------------- */

#define OVERLAP 16
#define OVERLAPS (OVERLAP * (OVERLAP + 1) / 2)

static size_t left_from(int i)
{
	return (size_t)(OVERLAP - i) * PAGE;
}

static int overlap(int fd)
{
	for (int i = 0; i < OVERLAP; i++)
		if (pread(fd, buffer, left_from(i), (off_t)i * PAGE) != (ssize_t)left_from(i))
			return 1;
	return 0;
}

static int overlap_vector(int fd)
{
	for (int i = 0; i < OVERLAP; i++) {
		const struct iovec part = { buffer, left_from(i) };

		if (preadv2(fd, &part, 1, (off_t)i * PAGE, 0) != (ssize_t)left_from(i))
			return errno;
	}
	return 0;
}

/*
 * Empties the pipe without a read(), from which the kernel programs would tell one splice() from
 * the next.
 */
static int splices(int fd, int n, int from, int step)
{
	int pipes[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC), rc = 0;

	if (null < 0 || pipe2(pipes, O_CLOEXEC) ||
	    fcntl(pipes[1], F_SETPIPE_SZ, sizeof(buffer)) < 0)
		return 1;
	for (int i = from; n && !rc; n--, i += step) {
		off_t at = (off_t)i * PAGE;
		ssize_t bytes = (ssize_t)left_from(i);

		rc = splice(fd, &at, pipes[1], NULL, left_from(i), 0) != bytes ||
		     splice(pipes[0], NULL, null, NULL, left_from(i), 0) != bytes;
	}
	return rc;
}

static int overlap_splice(int fd)
{
	return splices(fd, OVERLAP, 0, 1);
}

static int splice_twice(int fd)
{
	return splices(fd, 2, OVERLAP - 2, 0);
}

static int overlap_aio(int fd)
{
	aio_context_t context = 0;
	int rc = syscall(SYS_io_setup, 8, &context) ? errno : 0;

	for (int i = 0; i < OVERLAP && !rc; i++) {
		struct iocb cb = { .aio_fildes = (uint32_t)fd,
				   .aio_lio_opcode = IOCB_CMD_PREAD,
				   .aio_buf = (uint64_t)(uintptr_t)buffer,
				   .aio_nbytes = left_from(i),
				   .aio_offset = (int64_t)i * PAGE };
		struct iocb *list[] = { &cb };
		struct io_event done;

		rc = syscall(SYS_io_submit, context, 1, list) != 1 ||
		     syscall(SYS_io_getevents, context, 1, 1, &done, NULL) != 1 ||
		     done.res != (int64_t)left_from(i);
	}
	syscall(SYS_io_destroy, context);
	return rc;
}

/* An io_uring. Its submission entries are made anew for each group of reads. */
struct uring {
	struct io_uring_params params;
	int fd;
	char *ring;
	struct io_uring_sqe *entries;
	unsigned nops; /* that are submitted behind each group */
};

static unsigned *in_ring(const struct uring *u, uint32_t offset)
{
	return (unsigned *)(void *)(u->ring + offset);
}

static int uring_open(struct uring *u)
{
	const size_t bytes = 16384;

	memset(u, 0, sizeof(*u));
	u->fd = (int)syscall(SYS_io_uring_setup, DEPTH, &u->params);
	if (u->fd < 0)
		return errno;
	u->ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, IORING_OFF_SQ_RING);
	u->entries = mmap(NULL, DEPTH * sizeof(*u->entries), PROT_READ | PROT_WRITE, MAP_SHARED,
			  u->fd, IORING_OFF_SQES);
	return (void *)u->ring == MAP_FAILED || (void *)u->entries == MAP_FAILED ? errno : 0;
}

/* Opens it for reads of a file that is not read ahead. */
static int uring_open_random(struct uring *u, int fd)
{
	int rc = uring_open(u);

	return rc ? rc : posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}

static void uring_put(struct uring *u, unsigned i, struct io_uring_sqe entry)
{
	unsigned *tail = in_ring(u, u->params.sq_off.tail);

	u->entries[i] = entry;
	in_ring(u, u->params.sq_off.array)[*tail & (DEPTH - 1)] = i;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

/* Makes n reads at the same time, the next one `step` behind the one before. All must be whole. */
static int uring_reads(struct uring *u, int fd, unsigned n, size_t bytes, off_t at, size_t step)
{
	unsigned *head = in_ring(u, u->params.cq_off.head), all = n + u->nops;
	const struct io_uring_cqe *done = (const void *)(u->ring + u->params.cq_off.cqes);
	int rc = 0;

	for (unsigned i = 0; i < n; i++)
		uring_put(u, i,
			  (struct io_uring_sqe){ .opcode = IORING_OP_READ,
						 .fd = fd,
						 .off = (uint64_t)at + i * step,
						 .addr = (uint64_t)(uintptr_t)buffer,
						 .len = (uint32_t)bytes,
						 .user_data = bytes });
	for (unsigned i = n; i < all; i++)
		uring_put(u, i, (struct io_uring_sqe){ .opcode = IORING_OP_NOP });
	if (syscall(SYS_io_uring_enter, u->fd, all, all, IORING_ENTER_GETEVENTS, NULL, 0) != all)
		return errno;
	for (unsigned i = 0; i < all; i++, (*head)++) {
		unsigned mask = *in_ring(u, u->params.cq_off.ring_mask);

		rc |= done[*head & mask].res != (int)done[*head & mask].user_data;
	}
	return rc;
}

static int overlap_uring(int fd)
{
	struct uring u;
	int rc = uring_open(&u);

	for (int i = 0; i < OVERLAP && !rc; i++)
		rc = uring_reads(&u, fd, 1, left_from(i), (off_t)i * PAGE, 0);
	return rc;
}

/* The thread submits more while a read waits: the read is the same one afterwards. */
static int nop_uring(int fd)
{
	struct uring u;
	int rc = uring_open_random(&u, fd);

	u.nops = 1;
	for (int i = 0; i < N / LONG && !rc; i++)
		rc = reads(fd, 1, FIRST * PAGE, (off_t)i * LONG * PAGE, 0) ||
		     uring_reads(&u, fd, 1, LONG * PAGE, (off_t)i * LONG * PAGE, 0);
	return rc;
}

/* Each second read of four pages is followed by one of the last two pages of the read before. */
static int between_uring(int fd)
{
	struct uring u;
	int rc = uring_open(&u) || uring_reads(&u, fd, 1, PAGE, 0, 0);

	for (int i = 0; i < N / 8 && !rc; i++)
		rc = reads(fd, 2, 4 * PAGE, (off_t)i * 8 * PAGE, 4 * PAGE) ||
		     reads(fd, 1, 2 * PAGE, ((off_t)i * 8 + 2) * PAGE, 0);
	return rc;
}

/* Plain reads of a thread that has an io_uring. */
static int overlap_beside_uring(int fd)
{
	struct uring u;
	int rc = uring_open(&u);

	return rc || uring_reads(&u, fd, 1, PAGE, 0, 0) || overlap(fd);
}

/* io_uring first reads without waiting, which starts the device and fails, and then reads again. */
static int random_uring(int fd)
{
	struct uring u;
	int rc = uring_open_random(&u, fd);

	for (int i = 0; i < N && !rc; i++)
		rc = uring_reads(&u, fd, 1, PAGE, (off_t)i * PAGE, 0);
	return rc;
}

/* Each of several reads in flight fails first, before one of them reads again. */
static int deep_uring(int fd)
{
	struct uring u;
	int rc = uring_open_random(&u, fd);

	for (int i = 0; i < N && !rc; i += DEPTH)
		rc = uring_reads(&u, fd, i + DEPTH < N ? DEPTH : (unsigned)(N - i), PAGE,
				 (off_t)i * PAGE, PAGE);
	return rc;
}

static int long_uring(int fd)
{
	struct uring u;

	return uring_open_random(&u, fd) ||
	       uring_reads(&u, fd, N / LONG, LONG * PAGE, 0, LONG * PAGE);
}

/* The first pages of each read are in memory. It waits for the next one, and the others go on. */
static int parts_uring(int fd)
{
	struct uring u;

	return uring_open_random(&u, fd) || reads(fd, N / LONG, FIRST * PAGE, 0, LONG * PAGE) ||
	       uring_reads(&u, fd, N / LONG, LONG * PAGE, 0, LONG * PAGE);
}

/* ---- sizes, holes ---------------------------------------------------------------------------- */

/* The file ends within a page. The read asks for more. */
static int read_tail(int fd)
{
	return pwrite(fd, buffer, 100, (off_t)N * PAGE) != 100 ||
	       pread(fd, buffer, 8 * PAGE, (off_t)(N - 2) * PAGE) != 2 * PAGE + 100;
}

/* Reads zeros, for which no device is read. */
static int read_hole(int fd)
{
	return ftruncate(fd, (off_t)N * PAGE) || read_random(fd);
}

/* ---- files without a disk -------------------------------------------------------------------- */

/* Does all that can be counted, with a file that is not on a disk. */
static int use_in_memory(int fd)
{
	return write_all(fd) || read_all(fd) || read_mapped(fd) || drop(fd) || ftruncate(fd, 0);
}

static int in_memory(int fd)
{
	fd = memfd_create("pagecache", MFD_CLOEXEC);
	return fd < 0 || use_in_memory(fd);
}

static int in_ramfs(int fd)
{
	char dir[] = "/var/tmp/ks-ramfs-XXXXXX";

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return errno;
	if (!mkdtemp(dir) || mount("none", dir, "ramfs", 0, NULL) || chdir(dir))
		return errno;
	fd = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || use_in_memory(fd) || unlink("file") || chdir("/"))
		return 1;
	close(fd);
	return umount2(dir, MNT_DETACH) || rmdir(dir);
}

static int in_aio_ring(int fd)
{
	aio_context_t context = 0;

	(void)fd;
	return syscall(SYS_io_setup, 1000, &context) || syscall(SYS_io_destroy, context) ? errno :
											   0;
}

static int in_secret(int fd)
{
#ifdef SYS_memfd_secret
	char *at;

	fd = (int)syscall(SYS_memfd_secret, 0);
	if (fd < 0)
		return errno;
	at = ftruncate(fd, 16 * PAGE) ? MAP_FAILED :
					mmap(NULL, 16 * PAGE, PROT_WRITE, MAP_SHARED, fd, 0);
	if ((void *)at == MAP_FAILED)
		return errno;
	for (int i = 0; i < 16; i++)
		at[i * PAGE] = 's';
	munmap(at, 16 * PAGE);
	return close(fd);
#else
	return fd ? ENOSYS : 0;
#endif
}

static int in_huge_pages(int fd)
{
	const size_t bytes = 2 << 20;
	char *at;

	fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		return errno;
	at = mmap(NULL, bytes, PROT_WRITE, MAP_SHARED, fd, 0);
	if ((void *)at == MAP_FAILED)
		return errno;
	at[0] = 'h';
	munmap(at, bytes);
	return close(fd);
}

/* Reads the disk below the file as a block device. */
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
	{ "mapped", COLD, read_mapped, .readin = N, .mapped = N, .faults = 1 },
	{ "mapped-warm", WARM, read_mapped, .around = N },
	{ "after-fault", COLD, read_after_fault, .requested = 4, .missed = 2, .readin = N,
	  .mapped = N, .faults = 1 },
	{ "overwrite", COLD, write_all, .written = N },
	{ "overwrite-100", COLD, write_some, .written = N },
	{ "append", COLD, append, .written = MORE },
	{ "direct", COLD, read_direct, .optional = 1 },
	/* in the portions that fit into a pipe */
	{ "sendfile", COLD, send_all, .requested = N, .missed = 16, .readin = N },
	{ "sendfile-warm", WARM, send_all, .requested = N },
	{ "random-16k", COLD, read_random_16k, .requested = N, .missed = N, .readin = N,
	  .in_pieces = 1 },
	{ "unaligned", WARM, read_unaligned, .requested = 2 * (N - 1) },
	{ "small", WARM, read_small, .requested = N },
	{ "large", WARM, read_large, .requested = N + 6, .beyond = LARGE - N % LARGE,
	  .past_end = 1 },
	{ "vector", WARM, read_vector, .requested = N },
	{ "mapped-write", COLD, write_mapped, .readin = N, .mapped = N, .faults = 1 },
	{ "willneed", COLD, advise, .readin = 32 },
	{ "drop", WARM, drop, .evicted = N },
	{ "truncate", WARM, shrink, .evicted = N },
	{ "overlap", WARM, overlap, .requested = OVERLAPS },
	{ "overlap-vector", WARM, overlap_vector, .requested = OVERLAPS, .optional = 1 },
	{ "overlap-splice", WARM, overlap_splice, .requested = OVERLAPS, .alike = 1 },
	{ "splice-twice", WARM, splice_twice, .requested = 4 },
	{ "overlap-aio", WARM, overlap_aio, .requested = OVERLAPS, .alike = 1, .optional = 1 },
	{ "random-uring", COLD, random_uring, .requested = N, .missed = N, .readin = N,
	  .optional = 1 },
	{ "deep-uring", COLD, deep_uring, .requested = N, .missed = N, .readin = N, .optional = 1 },
	{ "long-uring", COLD, long_uring, .requested = N, .missed = N, .readin = N, .optional = 1 },
	{ "parts-uring", COLD, parts_uring, .requested = N + N / LONG * FIRST,
	  .again = N - N / LONG * FIRST, .missed = N, .readin = N, .optional = 1 },
	{ "overlap-uring", WARM, overlap_uring, .requested = OVERLAPS, .optional = 1 },
	{ "nop-uring", COLD, nop_uring, .requested = N + N / LONG * FIRST,
	  .again = N - N / LONG * FIRST, .missed = N, .readin = N, .optional = 1 },
	{ "between-uring", WARM, between_uring, .requested = 1 + N / 8 * 10, .optional = 1 },
	{ "overlap-beside-uring", WARM, overlap_beside_uring, .requested = 1 + OVERLAPS,
	  .optional = 1 },
	{ "tail", WARM, read_tail, .requested = 3, .written = 1, .beyond = 5 },
	{ "hole", NEW, read_hole, .requested = N, .missed = N, .readin = N },
	{ "in-memory", WARM, in_memory, .mapped = 0 },
	{ "in-ramfs", WARM, in_ramfs, .beyond = N, .optional = 1 },
	{ "in-aio-ring", WARM, in_aio_ring, .optional = 1 },
	{ "in-secret", WARM, in_secret, .optional = 1 },
	{ "in-huge-pages", WARM, in_huge_pages, .optional = 1 },
	/* pages in use by the file system are in memory; all others are dropped in each round */
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
