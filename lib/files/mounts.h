/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mounts.h - the lines of /proc/PID/mountinfo
 *
 * Pure: any bytes may be in the buffer, none outside it is read, nothing is allocated.
 */
#ifndef KS_MOUNTS_H
#define KS_MOUNTS_H

#include <stddef.h>
#include <stdint.h>

/* Blanks and newlines, which the file writes as octal numbers, are characters again. */
struct ks__mount {
	uint32_t id;           /* of the mount, as statx() has it */
	uint32_t major, minor; /* of the file system, as in st_dev */
	char root[1024];       /* which directory or file of the file system this is */
	char point[1024];      /* where it is */
	char type[32];
	char options[256];     /* of the file system, cut to size */
};

/*
 * The next line from *at, which then points behind it. Lines that are cut off, of another form or
 * with paths too long are left out. 1, or 0 at the end.
 */
int ks__mounts_next(const char **at, const char *end, struct ks__mount *ret);

/* Is this one of its options, which commas part? */
int ks__mounts_option(const struct ks__mount *mount, const char *option);

#endif
