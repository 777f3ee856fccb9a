/* SPDX-License-Identifier: BSD-2-Clause */
/* starts.c - converts start times of tasks in procfs to the reader's CLOCK_BOOTTIME */
#include "starts.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "../base/clock.h"
#include "../base/file.h"
#include "../base/text.h"
#include "columns.h"
#include "kv.h"

#define SECOND ((int64_t)1000000000)
#define SLACK (SECOND / 100)        /* two clocks cannot be read at the same moment */
#define TIME_NS_INITIAL 0xeffffffau /* inode of the initial time namespace */
#define STAT_MAX (4u << 20)

/*
 * Reads the offset of this process's CLOCK_BOOTTIME. The file has the offset for children of the
 * process, which may be in another time namespace: then -ENODATA.
 */
static int read_offset(int proc_fd, const struct stat *own, int64_t *ret_ns)
{
	uint64_t seconds = 0, ns = 0;
	struct stat next;
	char text[256];
	ssize_t n;
	int rc;

	if (fstatat(proc_fd, "self/ns/time_for_children", &next, 0))
		return -errno;
	if (next.st_ino != own->st_ino)
		return -ENODATA;
	n = ks__text_read(proc_fd, "self/timens_offsets", text, sizeof(text));
	if (n < 0)
		return (int)n;
	rc = ks__kv_number(text, (size_t)n, "boottime", 0, &seconds);
	if (!rc)
		rc = ks__kv_number(text, (size_t)n, "boottime", 1, &ns);
	*ret_ns = (int64_t)seconds * SECOND + (int64_t)ns;
	return rc;
}

static int read_btime(int proc_fd, int64_t *ret_ns)
{
	uint64_t seconds = 0;
	size_t length;
	char *text;
	int rc = ks__file_whole(proc_fd, "stat", STAT_MAX, &text, &length);

	if (rc)
		return rc;
	rc = ks__kv_number(text, length, "btime", 0, &seconds);
	free(text);
	*ret_ns = (int64_t)seconds * SECOND;
	return rc;
}

/* Is btime, which has whole seconds, the wall time of this zero? */
static int fits(int64_t zero, int64_t btime)
{
	return zero - btime > -SLACK && zero - btime < SECOND + SLACK;
}

/*
 * Linux 5.11 began to shift btime and the start times together, and btime can be checked: it is the
 * zero of either the reader's clock or the machine's clock.
 */
int ks__starts_find(struct ks__starts *starts, int proc_fd)
{
	int64_t zero, btime, offset = 0;
	int has_offset, shifted, rc;
	struct stat own;

	if (starts->known)
		return 0;
	starts->shift_ns = 0;
	starts->known = fstatat(proc_fd, "self/ns/time", &own, 0) || own.st_ino == TIME_NS_INITIAL;
	if (starts->known)
		return 0;
	rc = read_btime(proc_fd, &btime);
	if (rc)
		return rc;
	has_offset = !read_offset(proc_fd, &own, &offset);
	zero = ks__clock_ahead(CLOCK_REALTIME, CLOCK_BOOTTIME); /* wall time at its zero */
	shifted = fits(zero, btime);
	if (shifted == (has_offset && fits(zero + offset, btime)))
		return -ENODATA; /* neither, or so small an offset that it may be both */
	starts->known = 1;
	starts->shift_ns = shifted ? 0 : offset;
	return 0;
}

int ks__starts_ns(const struct ks__starts *starts, uint64_t ticks, uint64_t tick_ns,
		  int64_t *ret_ns)
{
	uint64_t ns;

	if (!starts->known || __builtin_mul_overflow(ticks, tick_ns, &ns))
		return -ENODATA;
	*ret_ns = ks__columns_start_ns(ticks, tick_ns) + starts->shift_ns;
	return 0;
}
