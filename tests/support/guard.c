/* SPDX-License-Identifier: BSD-2-Clause */
/* guard.c - ends every process that a test program leaves behind */
#include "ks_test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/*
 * Kills the children that this process has now. Their own children then become ours. Returns 0 if
 * there was none.
 */
static int end_children(void)
{
	char path[64];
	FILE *list;
	int pid, n = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	list = fopen(path, "r");
	while (list && fscanf(list, "%d", &pid) == 1)
		n += kill(pid, SIGKILL) == 0;
	if (list)
		fclose(list);
	return n;
}

/* Ends this process, the parent, with the same status or signal as the test program. */
static void end_as(int status)
{
	const struct rlimit none = { 0, 0 };

	if (!WIFSIGNALED(status))
		_exit(WEXITSTATUS(status));
	setrlimit(RLIMIT_CORE, &none);
	signal(WTERMSIG(status), SIG_DFL);
	raise(WTERMSIG(status));
	_exit(1);
}

void ks_test_guard(void)
{
	pid_t guard = getpid(), pid, ended;
	int status = 0, last;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != guard)
			_exit(1);
		return;
	}
	if (pid < 0)
		g_error("no child to run the tests in: %s", strerror(errno));
	while ((ended = waitpid(-1, &last, 0)) != pid)
		if (ended < 0 && errno != EINTR)
			_exit(1);
	status = last;
	while (end_children())
		while (waitpid(-1, NULL, 0) < 0 && errno == EINTR)
			;
	end_as(status);
}
