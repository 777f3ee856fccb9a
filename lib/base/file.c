/* SPDX-License-Identifier: BSD-2-Clause */
/* file.c - the only place that opens files and directories named by the host or the machine */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"

#define FIRST_BYTES 4096
#define NAMES_BYTES 4096

/*
 * A signal can interrupt openat() on network and FUSE file systems. The caller has no directory
 * (-1) if it could not be opened (a chroot without /proc): then there is no such file.
 */
static int open_at(int dir_fd, const char *path, int flags)
{
	int fd;

	if (dir_fd == -1) {
		errno = ENOENT;
		return -1;
	}
	do
		fd = openat(dir_fd, path, flags | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd;
}

/* O_NONBLOCK: do not wait for a FIFO's writer. O_NOCTTY: do not acquire a controlling terminal. */
int ks__file_open(int dir_fd, const char *path)
{
	int fd = open_at(dir_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY), rc = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		rc = -errno;
	else if (!S_ISREG(st.st_mode))
		rc = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (!rc)
		return ks__fd_keep(NULL, fd);
	close(fd);
	return rc;
}

static int open_folder(int dir_fd, const char *path, int flags)
{
	int fd = open_at(dir_fd, path, flags | O_DIRECTORY);

	return fd < 0 ? -errno : ks__fd_keep(NULL, fd);
}

int ks__file_folder(int dir_fd, const char *path)
{
	return open_folder(dir_fd, path, O_RDONLY | O_NONBLOCK);
}

int ks__file_place(int dir_fd, const char *path)
{
	return open_folder(dir_fd, path, O_PATH);
}

/*
 * Some regular files, such as trace_pipe, wait for data: with O_NONBLOCK read() fails with EAGAIN.
 */
ssize_t ks__file_read(int fd, char *buf, size_t size)
{
	size_t length = 0;
	ssize_t n = 0;

	/* seq_file returns at most a page for each read() */
	while (length < size) {
		n = read(fd, buf + length, size - length);
		if (n > 0)
			length += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break;
	}
	if (n < 0)
		return errno == EAGAIN ? -EINVAL : -errno;
	return (ssize_t)length;
}

/* Doubles the buffer until a read leaves a part of it unused. */
static int read_whole(int fd, size_t most, char **text, size_t *ret_length)
{
	size_t room = 0, length = 0;

	do {
		size_t more = room ? 2 * room : FIRST_BYTES;
		char *grown = realloc(*text, more);
		ssize_t n;

		if (!grown)
			return -ENOMEM;
		*text = grown;
		room = more;
		n = ks__file_read(fd, grown + length, room - length);
		if (n < 0)
			return (int)n;
		length += (size_t)n;
		if (length > most)
			return -EFBIG;
	} while (length == room);
	(*text)[length] = '\0';
	*ret_length = length;
	return 0;
}

int ks__file_whole(int dir_fd, const char *path, size_t most, char **ret_text, size_t *ret_length)
{
	int fd = ks__file_open(dir_fd, path), rc;
	char *text = NULL;

	if (fd < 0)
		return fd;
	rc = read_whole(fd, most, &text, ret_length);
	close(fd);
	if (rc)
		free(text);
	else
		*ret_text = text;
	return rc;
}

/* Converts a decimal name to its number; 0: the name is no process or thread id. */
static int32_t name_to_number(const char *name)
{
	int32_t number = 0;

	if (*name == '0')
		return 0;
	for (; *name >= '0' && *name <= '9' && number <= KS__FILE_NUMBERS_MAX; name++)
		number = number * 10 + (*name - '0');
	return *name || number > KS__FILE_NUMBERS_MAX ? 0 : number;
}

int ks__file_names(int dir_fd, const char *path,
		   int (*see)(void *user, const struct ks__file_name *name), void *user)
{
	char list[NAMES_BYTES] __attribute__((aligned(8)));
	int fd = ks__file_folder(dir_fd, path), left = KS__FILE_NUMBERS_MAX, rc = 0;
	const struct dirent *entry; /* the kernel's, with 64 bits: _FILE_OFFSET_BITS */
	ssize_t n = 0;

	if (fd < 0)
		return fd;
	while (!rc && (n = syscall(SYS_getdents64, fd, list, sizeof(list))) > 0) {
		for (ssize_t at = 0; !rc && at < n; at += entry->d_reclen) {
			struct ks__file_name name = { .folder = fd };

			entry = (const void *)(list + at);
			name.text = entry->d_name;
			name.type = entry->d_type;
			rc = left-- ? see(user, &name) : -EFBIG;
		}
	}
	if (n < 0)
		rc = -errno;
	close(fd);
	return rc;
}

struct numbers {
	int (*see)(void *user, int32_t number);
	void *user;
};

static int see_number(void *user, const struct ks__file_name *name)
{
	const struct numbers *numbers = user;
	int32_t number = name_to_number(name->text);

	return number ? numbers->see(numbers->user, number) : 0;
}

int ks__file_numbers(int dir_fd, const char *path, int (*see)(void *user, int32_t number),
		     void *user)
{
	struct numbers numbers = { see, user };

	return ks__file_names(dir_fd, path, see_number, &numbers);
}
