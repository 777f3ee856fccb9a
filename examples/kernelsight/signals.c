/* SPDX-License-Identifier: BSD-2-Clause */
/* signals.c - the signals that end a session, and the signal state of the command after -- */
#include <signal.h>
#include <stddef.h>

#include "cli.h"

/* Static, since a signal handler gets no argument of ours. */
static struct ks *volatile to_wake;
static volatile sig_atomic_t count, last, from_terminal;

/* The signal state that this process inherited. */
static struct {
	char ignored[NSIG];
	sigset_t mask;
} start;

static const int ends[] = { SIGINT, SIGTERM, SIGHUP };

#define ENDS (sizeof(ends) / sizeof(ends[0]))

static void on_signal(int number, siginfo_t *info, void *context);

static void catch_signal(int number, int flags)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };

	sigaction(number, &action, NULL);
}

static int is_ignored(int number)
{
	struct sigaction action;

	return !sigaction(number, NULL, &action) && action.sa_handler == SIG_IGN;
}

/* The first signal does not interrupt a write that waits for its reader; the second one does. */
static void on_signal(int number, siginfo_t *info, void *context)
{
	size_t i;

	(void)context;
	if (number != SIGCHLD) {
		count = count + 1;
		last = number;
		/* Then the command got it, too: it is in the same process group. */
		from_terminal = info->si_code == SI_KERNEL;
		for (i = 0; i < ENDS; i++)
			if (!is_ignored(ends[i]))
				catch_signal(ends[i], 0);
	}
	if (to_wake)
		ks_wakeup(to_wake);
}

/*
 * Signals that were ignored stay ignored, for example under nohup or in the background of a shell.
 * But without a command, SIGINT and SIGTERM are caught in any case: nothing else would end the
 * session.
 */
static int is_caught(int number, int with_command)
{
	return !start.ignored[number] || (number != SIGHUP && !with_command);
}

void signals_catch(int with_command)
{
	size_t i;
	int number;

	for (number = 1; number < NSIG; number++)
		start.ignored[number] = (char)is_ignored(number);
	sigprocmask(SIG_SETMASK, NULL, &start.mask);
	for (i = 0; i < ENDS; i++)
		if (is_caught(ends[i], with_command))
			catch_signal(ends[i], SA_RESTART);
	catch_signal(SIGCHLD, SA_RESTART);
	/* A closed output ends the session, not the command. */
	signal(SIGPIPE, SIG_IGN);
}

void signals_wake(struct ks *ks)
{
	to_wake = ks;
}

int signals_count(void)
{
	return count;
}

int signals_last(void)
{
	return last;
}

int signals_from_terminal(void)
{
	return from_terminal;
}

void signals_block(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

void signals_unblock(void)
{
	sigprocmask(SIG_SETMASK, &start.mask, NULL);
}

void signals_reset(void)
{
	int number;

	for (number = 1; number < NSIG; number++)
		signal(number, start.ignored[number] ? SIG_IGN : SIG_DFL);
	signals_unblock();
}
