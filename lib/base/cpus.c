/* SPDX-License-Identifier: BSD-2-Clause */
/* cpus.c - the number of possible CPUs */
#include "cpus.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "text.h"

#define POSSIBLE "devices/system/cpu/possible"
#define CPUS_MAX 65536

/* Returns 9 for "0-3,8"; 0: the file cannot be read or holds no number. */
static uint32_t read_list(int dir_fd, const char *path)
{
	char text[4096];
	ssize_t length = ks__text_read(dir_fd, path, text, sizeof(text));
	uint32_t next = 0, number = 0;

	for (ssize_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9') {
			number = 0;
			continue;
		}
		number = number * 10 + (uint32_t)(text[i] - '0');
		if (number >= CPUS_MAX)
			number = CPUS_MAX - 1;
		next = number >= next ? number + 1 : next;
	}
	return next;
}

/*
 * Returns the number of bits in the kernel's CPU mask. The syscall returns how many bytes of the
 * mask it copied; glibc's sched_getaffinity() hides that.
 */
static uint32_t mask_bits(void)
{
	unsigned long mask[CPUS_MAX / 8 / sizeof(long)];
	long bytes = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);

	return bytes > 0 ? (uint32_t)bytes * 8 : CPUS_MAX;
}

uint32_t ks__cpus_possible(int sys_fd)
{
	uint32_t most = mask_bits(), listed = read_list(sys_fd, POSSIBLE);
	uint32_t real = read_list(AT_FDCWD, "/sys/" POSSIBLE);
	uint32_t n = listed > real ? listed : real;

	return n && n < most ? n : most;
}
