/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

static void run_child(int go, int error, char **argv)
{
	char byte;
	int code;

	signals_reset();
	/* The pipe closed without a byte: the parent gave up or died. */
	if (read(go, &byte, 1) != 1)
		_exit(EXIT_FAILED);
	execvp(argv[0], argv);
	code = errno;
	if (write(error, &code, sizeof(code)) < 0)
		_exit(EXIT_FAILED);
	_exit(127);
}

int child_fork(struct child *child, char **argv)
{
	int go[2] = { -1, -1 }, error[2] = { -1, -1 };

	if (pipe2(go, O_CLOEXEC) || pipe2(error, O_CLOEXEC))
		goto failed;
	/* Block signals until the child has reset the handlers that it inherits. */
	signals_block();
	child->pid = fork();
	if (child->pid)
		signals_unblock();
	if (child->pid < 0)
		goto failed;
	if (!child->pid) {
		close(go[1]);
		close(error[0]);
		run_child(go[0], error[1], argv);
	}
	close(go[0]);
	close(error[1]);
	child->go = go[1];
	child->error = error[0];
	return 0;
failed:
	child->pid = 0;
	return fail(EXIT_FAILED, "cannot start '%s': %s", argv[0], strerror(errno));
}

int child_release(struct child *child, char **argv)
{
	int code = 0;
	ssize_t n;

	if (!child->pid)
		return 0;
	/* If a signal killed the child while it waited, that is an ordinary end of the child. */
	n = write(child->go, "", 1);
	/* Returns 0 when exec closes the other end. */
	while (n == 1 && read(child->error, &code, sizeof(code)) < 0 && errno == EINTR)
		;
	close(child->go);
	close(child->error);
	child->go = child->error = -1;
	if (!code)
		return 0;
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
	return fail(code == ENOENT ? 127 : 126, "cannot run '%s': %s", argv[0], strerror(code));
}

/* Does not reap the zombie: /proc has files of a process until its parent waits for it. */
int child_ended(struct child *child)
{
	siginfo_t info = { .si_pid = 0 };

	if (!child->pid || waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
	    !info.si_pid)
		return 0;
	child->zombie = child->pid;
	child->pid = 0;
	child->status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return 1;
}

void child_reap(struct child *child)
{
	while (child->zombie && waitpid(child->zombie, NULL, 0) < 0 && errno == EINTR)
		;
	child->zombie = 0;
}

void child_abandon(struct child *child)
{
	if (!child->pid || child->go < 0)
		return;
	close(child->go);
	close(child->error);
	child->go = child->error = -1;
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
}
