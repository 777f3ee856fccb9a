/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file.h - files and folders that a host or the machine names: the only place that opens them
 *
 * A path may lead anywhere: to a FIFO without a writer, a device, a file without an end. So only
 * regular files and folders are opened, no call waits for somebody else to write, and every read
 * and every walk has a bound. No descriptor is 0, 1 or 2, which are the host's even when closed. A file system that does not answer (a dead network share) can still
 * block: the kernel offers no way around that.
 */
#ifndef KS_FILE_H
#define KS_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A regular file, for reading. A descriptor; -EISDIR, -EINVAL: something else; -errno. */
int ks__file_open(int dir_fd, const char *path);
/* A folder whose names are read. A descriptor; -ENOTDIR; -errno. */
int ks__file_folder(int dir_fd, const char *path);
/* A folder as a place for paths: it need not be readable. A descriptor; -ENOTDIR; -errno. */
int ks__file_place(int dir_fd, const char *path);

/* Its beginning, up to size bytes; no NUL is added. The length; -errno, -EINVAL: it would wait. */
ssize_t ks__file_read(int fd, char *buf, size_t size);

/*
 * All of a file, with a NUL behind it, to be freed. 0; -EFBIG: it has more than `most` bytes;
 * -ENOMEM; -errno.
 */
int ks__file_whole(int dir_fd, const char *path, size_t most, char **ret_text, size_t *ret_length);

struct ks__file_name {
	int folder;         /* a descriptor of the folder, during the call */
	const char *text;
	unsigned char type; /* DT_DIR and its like; DT_UNKNOWN */
};

#define KS__FILE_NUMBERS_MAX (1 << 22) /* no process or thread has a higher number: PID_MAX_LIMIT */

/*
 * Calls `see` for each name of a folder, in the folder's order, until it returns something else than
 * 0; then returns that. -EFBIG: more names than there can be processes; -errno.
 */
int ks__file_names(int dir_fd, const char *path,
		   int (*see)(void *user, const struct ks__file_name *name), void *user);
/* The same for the names that are numbers of processes or threads. */
int ks__file_numbers(int dir_fd, const char *path, int (*see)(void *user, int32_t number),
		     void *user);

#endif
