/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool.h"

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PLACES "/usr/sbin:/usr/bin:/sbin:/bin"

extern char **environ;

int tool_exists(const char *name)
{
	char places[] = PLACES, path[300], *next = places, *place;

	while ((place = strsep(&next, ":"))) {
		snprintf(path, sizeof(path), "%s/%s", place, name);
		if (!access(path, X_OK))
			return 1;
	}
	return 0;
}

static void become(char *const argv[], int quiet)
{
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("PATH", PLACES, 1);
	if (quiet)
		dup2(null, 1);
	dup2(null, 2);
	execvp(argv[0], argv);
	_exit(127);
}

pid_t tool_start(char *const argv[], int *ret_terminal)
{
	struct winsize size = { .ws_row = 50, .ws_col = 200 };
	pid_t pid = ret_terminal ? forkpty(ret_terminal, NULL, NULL, &size) : fork();

	if (pid < 0)
		err(1, "%s", argv[0]);
	if (!pid)
		become(argv, !ret_terminal);
	return pid;
}

struct rusage tool_wait(pid_t pid)
{
	struct rusage usage;

	if (wait4(pid, NULL, 0, &usage) != pid)
		err(1, "wait4");
	return usage;
}

struct rusage tool_stop(pid_t pid)
{
	kill(pid, SIGINT);
	return tool_wait(pid);
}

/* A link's descriptor has both lines in its fdinfo, a program's only the second one. */
static uint32_t program_of(pid_t pid, const char *fd)
{
	char path[300], line[256];
	int is_link = 0;
	uint32_t id = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", pid, fd);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		is_link |= !strncmp(line, "link_type", 9);
		sscanf(line, "prog_id: %u", &id);
	}
	fclose(f);
	return is_link ? id : 0;
}

unsigned tool_programs(pid_t pid, uint32_t *ids, unsigned max)
{
	struct dirent *entry;
	char path[64];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	dir = opendir(path);
	while (dir && n < max && (entry = readdir(dir)))
		if ((ids[n] = program_of(pid, entry->d_name)))
			n++;
	if (dir)
		closedir(dir);
	return n;
}

pid_t tool_start_programs(char *name, unsigned programs, uint32_t *ids, unsigned max,
			  unsigned *ret_n)
{
	char *argv[] = { name, NULL };
	uint64_t end = wall() + 10000000000ull;
	pid_t pid;

	if (!tool_exists(name))
		return 0;
	pid = tool_start(argv, NULL);
	while ((*ret_n = tool_programs(pid, ids, max)) < programs && wall() < end)
		nap(20000000);
	return pid;
}

void make_processes(unsigned n)
{
	char *argv[] = { "/bin/true", NULL };
	pid_t pid;

	while (n--) {
		if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ))
			errx(1, "posix_spawn");
		waitpid(pid, NULL, 0);
	}
}

pid_t keep_making_processes(int cpu)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(cpu);
		for (;;)
			make_processes(1000);
	}
	return pid;
}
