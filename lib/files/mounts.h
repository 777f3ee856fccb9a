/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mounts.h - parses the lines of /proc/PID/mountinfo
 *
 * Pure functions: they accept any bytes, read only the buffer and allocate nothing.
 */
#ifndef KS_MOUNTS_H
#define KS_MOUNTS_H

#include <stddef.h>
#include <stdint.h>

/* One mount. Blanks and newlines, which the file writes as octal numbers, are unescaped. */
struct ks__mount {
	uint32_t id;           /* mount id, as in statx() */
	uint32_t major, minor; /* device of the file system, as in st_dev */
	char root[1024];       /* the directory or file of the file system that is mounted */
	char point[1024];      /* the path where it is mounted */
	char type[32];
	char options[256];     /* options of the file system, cut to size */
};

/*
 * Parses the next line from *at and moves *at behind it. Skips lines that are cut off, have another
 * form or have paths that are too long. 1; 0: no more lines.
 */
int ks__mounts_next(const char **at, const char *end, struct ks__mount *ret);

/* Does the mount have this option? Commas separate the options. */
int ks__mounts_option(const struct ks__mount *mount, const char *option);

#endif
