/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file.h - the only place that opens files and directories named by the host or the machine
 *
 * A path may lead to anything: a FIFO without a writer, a device, an endless file. Therefore these
 * functions open regular files and directories only, never wait for a writer, and bound every read
 * and every walk. They never return descriptor 0, 1 or 2, which belong to the host even when
 * closed. A file system that does not answer (a dead network share) can still block a call: the
 * kernel offers no way to avoid that.
 */
#ifndef KS_FILE_H
#define KS_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Opens a regular file for reading. Returns a descriptor; -EISDIR, -EINVAL: no regular file;
 * -errno.
 */
int ks__file_open(int dir_fd, const char *path);
/* Opens a directory for reading its names. Returns a descriptor, -ENOTDIR or -errno. */
int ks__file_folder(int dir_fd, const char *path);
/* Opens a directory (O_PATH), readable or not, for *at() calls. Returns a descriptor or -errno. */
int ks__file_place(int dir_fd, const char *path);

/*
 * Reads up to size bytes from the current position; adds no NUL. Returns the length or -errno;
 * -EINVAL: the read would wait.
 */
ssize_t ks__file_read(int fd, char *buf, size_t size);

/*
 * Reads a whole file and adds a NUL; the caller frees *ret_text. Returns 0; -EFBIG: the file has
 * more than `most` bytes; -ENOMEM; -errno.
 */
int ks__file_whole(int dir_fd, const char *path, size_t most, char **ret_text, size_t *ret_length);

struct ks__file_name {
	int folder;         /* descriptor of the directory, open during the call */
	const char *text;
	unsigned char type; /* DT_DIR etc., or DT_UNKNOWN */
};

#define KS__FILE_NUMBERS_MAX (1 << 22) /* highest process or thread id: PID_MAX_LIMIT */

/*
 * Calls `see` for each name in a directory, in directory order, until `see` returns nonzero;
 * returns that value, or 0 after the last name. -EFBIG: more names than there can be processes;
 * -errno.
 */
int ks__file_names(int dir_fd, const char *path,
		   int (*see)(void *user, const struct ks__file_name *name), void *user);
/* The same, for names that are process or thread ids. */
int ks__file_numbers(int dir_fd, const char *path, int (*see)(void *user, int32_t number),
		     void *user);

#endif
