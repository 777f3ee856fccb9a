/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the README's host, whose loop ends when ks_poll() returns a negative value, survives
 * interruptions of a wait without a signal handler of its own: Ctrl-Z and fg at a terminal, SIGSTOP
 * and SIGCONT, children that another thread spawns.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "fault.h"

#define ROUNDS 3
#define HANG_S 60
#define CTRL_Z "\x1a"

/* Newer architectures have only epoll_pwait(). */
#if defined(SYS_epoll_wait)
#define EPOLL_WAIT SYS_epoll_wait
#else
#define EPOLL_WAIT SYS_epoll_pwait
#endif

static struct ks *handle;
static volatile sig_atomic_t done;

static int ignore(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	return 0;
}

static void end(int signal)
{
	(void)signal;
	done = 1;
	ks_wakeup(handle);
}

/* Runs the README's loop. Returns 0 if it went on until it was told to end. */
static int host(void)
{
	int rc = 0;

	handle = fault_open(NULL);
	signal(SIGUSR1, end);
	while (!done && (rc = ks_poll(handle, -1, 0, ignore, NULL)) >= 0)
		;
	ks_close(handle);
	return rc < 0 ? 3 : 0;
}

/* Waits until the process is inside epoll_wait(), according to the kernel, or has ended. */
static void until_it_waits(pid_t pid)
{
	char path[48], text[128];
	int number = -1;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	while (number != SYS_epoll_pwait && number != EPOLL_WAIT && !waitpid(pid, NULL, WNOHANG)) {
		FILE *f = fopen(path, "r");

		if (!f || !fgets(text, sizeof(text), f) || sscanf(text, "%d", &number) != 1)
			number = -1;
		if (f)
			fclose(f);
		sched_yield();
	}
}

static void is_stopped(pid_t pid, int signal)
{
	int status;

	g_assert_cmpint(waitpid(pid, &status, WUNTRACED), ==, pid);
	g_assert_true(WIFSTOPPED(status));
	g_assert_cmpint(WSTOPSIG(status), ==, signal);
}

static void goes_on(pid_t pid)
{
	int status;

	g_assert_cmpint(waitpid(pid, &status, WCONTINUED), ==, pid);
	g_assert_true(WIFCONTINUED(status));
}

static void ends_well(pid_t pid)
{
	until_it_waits(pid);
	kill(pid, SIGUSR1);
	fault_reap(pid);
}

/* ---- stopped and continued -------------------------------------------------------------- */

static void stopped(void)
{
	pid_t pid = fork();

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		alarm(HANG_S);
		_exit(host());
	}
	for (int i = 0; i < ROUNDS; i++) {
		until_it_waits(pid);
		kill(pid, SIGSTOP);
		is_stopped(pid, SIGSTOP);
		kill(pid, SIGCONT);
		goes_on(pid);
	}
	ends_well(pid);
}

/* ---- a terminal ------------------------------------------------------------------------- */

/* Acts as a shell: its jobs have process groups of their own, and one of them has the terminal. */
static void shell(const void *data)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), tty;
	pid_t pid;

	(void)data;
	alarm(HANG_S);
	g_assert_cmpint(grantpt(master) | unlockpt(master), ==, 0);
	g_assert_cmpint(setsid(), >=, 0);
	signal(SIGTTOU, SIG_IGN);
	tty = open(ptsname(master), O_RDWR); /* a session leader without a terminal gets this one */
	g_assert_cmpint(tty, >=, 0);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		tcsetpgrp(tty, getpid());
		alarm(HANG_S);
		_exit(host());
	}
	setpgid(pid, pid);
	g_assert_cmpint(tcsetpgrp(tty, pid), ==, 0);
	for (int i = 0; i < ROUNDS; i++) {
		until_it_waits(pid);
		g_assert_cmpint(write(master, CTRL_Z, 1), ==, 1);
		is_stopped(pid, SIGTSTP);
		g_assert_cmpint(tcsetpgrp(tty, getpid()), ==, 0);
		g_assert_cmpint(tcsetpgrp(tty, pid), ==, 0); /* fg */
		kill(-pid, SIGCONT);
		goes_on(pid);
	}
	ends_well(pid);
}

static void terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	if (master < 0) {
		g_test_skip("no terminals here");
		return;
	}
	close(master);
	fault_in_child(shell, NULL);
}

/* ---- beside children -------------------------------------------------------------------- */

struct waiter {
	struct ks *ks;
	atomic_int stop;
	int answer;
};

static void *wait_on(void *user)
{
	struct waiter *w = user;
	int rc = 0;

	while (!atomic_load(&w->stop) && rc >= 0)
		rc = ks_poll(w->ks, -1, 0, ignore, NULL);
	w->answer = rc;
	return NULL;
}

/* posix_spawn() shares its memory with the child until that executes a program. */
static void spawning(void)
{
	char *const argv[] = { (char *)"true", NULL };
	struct waiter w = { .ks = fault_open(NULL) };
	pthread_t thread;

	g_assert_cmpint(pthread_create(&thread, NULL, wait_on, &w), ==, 0);
	for (unsigned i = 0, n = ks_test_volume(100, 20); i < n; i++) {
		pid_t pid;

		if (!posix_spawnp(&pid, "true", NULL, NULL, argv, NULL))
			fault_reap(pid); /* guests may have no such program */
	}
	atomic_store(&w.stop, 1);
	ks_wakeup(w.ks);
	pthread_join(thread, NULL);
	g_assert_cmpint(w.answer, >=, 0);
	ks_close(w.ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/interrupted/stopped", stopped);
	g_test_add_func("/interrupted/terminal", terminal);
	g_test_add_func("/interrupted/spawning", spawning);
	return g_test_run();
}
