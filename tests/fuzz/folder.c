/* SPDX-License-Identifier: BSD-2-Clause */
/* folder.c - files whose bytes a target chooses; removed when the process ends */
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

static char folder[64];

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void remove_folder(void)
{
	nftw(folder, drop, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_folder(void)
{
	if (!folder[0]) {
		snprintf(folder, sizeof(folder), "%s/ks-fuzz-XXXXXX",
			 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
		must(mkdtemp(folder));
		atexit(remove_folder);
	}
	return folder;
}

static void make_folders(char *path)
{
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
}

void fuzz_write(const char *path, const void *bytes, size_t size)
{
	char whole[256];
	int fd;

	snprintf(whole, sizeof(whole), "%s/%s", fuzz_folder(), path);
	fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		make_folders(whole);
		fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	}
	must(fd >= 0);
	must(write(fd, bytes, size) == (ssize_t)size);
	close(fd);
}
