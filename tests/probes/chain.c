/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chain N - calls exec on itself N more times, then exits. It is linked statically so that exec is
 * quick. With N = -1 it forks a child that dies at once, and exits with the child's number of page
 * faults from wait4().
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int faults_of_child(void)
{
	struct rusage usage;
	pid_t pid = fork();

	if (pid == 0) {
		raise(SIGSEGV);
		_exit(0);
	}
	if (pid < 0 || wait4(pid, NULL, 0, &usage) != pid || usage.ru_minflt > 255)
		return 0;
	return (int)usage.ru_minflt;
}

int main(int argc, char **argv)
{
	long left = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
	char number[24];

	if (left < 0)
		return faults_of_child();
	if (left == 0)
		return 0;
	snprintf(number, sizeof(number), "%ld", left - 1);
	execv(argv[0], (char *[]){ argv[0], number, NULL });
	return 1;
}
