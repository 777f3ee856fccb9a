/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that every process which a test program leaves behind ends with it, also when an assertion
 * fails, and that the exit status of the test program is passed on.
 */
#include <signal.h>
#include <sys/wait.h>

#include "support/ks_test.h"

static void leave_behind(int depth)
{
	if (fork())
		return;
	setsid();
	if (depth)
		leave_behind(depth - 1);
	for (;;)
		pause();
}

/* Ends by signal `with`, or with status `with`. */
static int run(int by_signal, int with)
{
	int ends[2], status;
	char byte;
	pid_t pid;

	g_assert_cmpint(pipe(ends), ==, 0);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		ks_test_guard();
		leave_behind(3);
		leave_behind(0);
		if (by_signal)
			raise(with);
		_exit(with);
	}
	close(ends[1]);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(read(ends[0], &byte, 1), ==, 0); /* no process has the other end open */
	close(ends[0]);
	return status;
}

static void test_guard(void)
{
	int status = run(0, 0);

	g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	status = run(0, 77);
	g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 77);
	status = run(1, SIGKILL);
	g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	status = run(1, SIGABRT);
	g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/guard", test_guard);
	return g_test_run();
}
