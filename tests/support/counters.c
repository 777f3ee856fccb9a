/* SPDX-License-Identifier: BSD-2-Clause */
#include "counters.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HELD_MAX 256

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

int counters_on(void)
{
	union bpf_attr attr = { .enable_stats.type = BPF_STATS_RUN_TIME };

	return bpf(BPF_ENABLE_STATS, &attr) < 0 ? -errno : 0;
}

/* Finds the program of a descriptor in /proc/self/fdinfo, without help of the library. */
static uint32_t program_of(const char *fd)
{
	char path[300], line[256];
	uint32_t id = 0;
	int program = 1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", fd);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "link_type", 9))
			program = 0;
		sscanf(line, "prog_id: %u", &id);
	}
	fclose(f);
	return program ? id : 0;
}

static unsigned held(uint32_t *ids)
{
	struct dirent *entry;
	unsigned n = 0, i;
	DIR *dir = opendir("/proc/self/fd");

	while (dir && (entry = readdir(dir)) && n < HELD_MAX) {
		ids[n] = program_of(entry->d_name);
		for (i = 0; ids[n] && ids[i] != ids[n]; i++)
			;
		if (ids[n] && i == n)
			n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

static int info_of(uint32_t id, struct bpf_prog_info *ret_info)
{
	union bpf_attr attr = { .prog_id = id };
	long fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
	int err;

	if (fd < 0)
		return -errno;
	memset(ret_info, 0, sizeof(*ret_info));
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(*ret_info);
	attr.info.info = (uintptr_t)ret_info;
	err = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) < 0 ? -errno : 0;
	close((int)fd);
	return err;
}

unsigned counters_programs(const char *prefix, uint64_t *ret_runs, uint64_t *ret_missed)
{
	uint32_t ids[HELD_MAX];
	struct bpf_prog_info info;
	unsigned n = held(ids), i, found = 0;

	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	*ret_runs = *ret_missed = 0;
	for (i = 0; i < n; i++) {
		if (info_of(ids[i], &info) || strncmp(info.name, prefix, strlen(prefix)))
			continue;
		*ret_runs += info.run_cnt;
		*ret_missed += info.recursion_misses;
		found++;
	}
	return found;
}

unsigned counters_descriptors(void)
{
	unsigned n = 0;
	DIR *dir = opendir("/proc/self/fd");

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static uint64_t inode_below(const char *root, const char *path)
{
	char whole[600];
	struct stat st;

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	return stat(whole, &st) ? 0 : st.st_ino;
}

uint64_t counters_cgroup(void)
{
	uint64_t v1 = 0, v2 = 0;
	char line[512], *path;
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		path = strchr(line, '/');
		if (!path)
			continue;
		if (strstr(line, ":memory:"))
			v1 = inode_below("/sys/fs/cgroup/memory", path);
		if (!strncmp(line, "0::", 3))
			v2 = inode_below("/sys/fs/cgroup", path);
	}
	if (f)
		fclose(f);
	return v1 ? v1 : v2;
}

int counters_spare_descriptors(unsigned spare, struct rlimit *ret_before)
{
	struct rlimit limit;
	int next = 0;

	getrlimit(RLIMIT_NOFILE, ret_before);
	limit = *ret_before;
	for (; spare > 0; next++)
		if (fcntl(next, F_GETFD) < 0)
			spare--;
	limit.rlim_cur = (rlim_t)next;
	return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}
