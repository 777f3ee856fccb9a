/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the library without kernel programs serves a host of another libc (musl): a handle,
 * proc by its fallback, three children in the statistics and in records, a wait that ends, and the
 * end.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kernelsight/identity.h>
#include <kernelsight/kernelsight.h>

#define CHILDREN 3

static int failed;

static void is(const char *what, long long is, long long want)
{
	printf("%s - %s", is == want ? "ok" : "not ok", what);
	if (is != want)
		printf(": %lld, not %lld", is, want);
	putchar('\n');
	failed |= is != want;
}

static int count(const struct ks_event *ev, void *user)
{
	const struct ks_event_proc_fork *fork = (const void *)ev;

	if (ev->id == KS_EVENT_PROC_FORK && ev->pid == getpid() && fork->start_ns)
		++*(int *)user;
	return 0;
}

static unsigned long long forks(struct ks_reader *reader)
{
	struct ks_stats stats = { .size = sizeof(stats) };

	if (ks_read_stats(reader, &stats) || !stats.n_rows)
		return 0;
	return ((const struct ks_stats_proc *)ks_stats_row(&stats, 0))->processes;
}

int main(void)
{
	const struct ks_enable_opts opts = { .size = sizeof(opts), .variant = "procfs" };
	const struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_SELF };
	struct ks_reader *reader = NULL;
	pid_t child[CHILDREN];
	struct ks *ks = NULL;
	char text[200];
	int gate[2], seen = 0;

	is("open", ks_open(NULL, &ks), 0);
	is("scope", ks_set_scope(ks, &scope), 0);
	is("enable", ks_enable_probe(ks, KS_PROBE_PROC, &opts), 1);
	is("a role", ks_thread_role(ks, 0, "main"), 1);
	is("reader", ks_reader_new(ks, KS_PROBE_PROC, NULL, &reader), 0);
	is("none yet", (long long)forks(reader), 0);
	is("gate", pipe(gate), 0);
	for (int i = 0; i < CHILDREN; i++) {
		char byte;

		child[i] = fork();
		if (!child[i]) {
			close(gate[1]);
			_exit(read(gate[0], &byte, 1) != 0);
		}
	}
	is("children in the statistics", (long long)forks(reader), CHILDREN);
	ks_poll(ks, 0, 0, count, &seen);
	is("and in records", seen, CHILDREN);
	close(gate[1]);
	for (int i = 0; i < CHILDREN; i++)
		waitpid(child[i], NULL, 0);
	is("wake up", ks_wakeup(ks), 0);
	is("a wait ends", ks_poll(ks, -1, 0, count, &seen) >= 0, 1);
	is("a refusal", ks_enable_probe(ks, 999, NULL) < 0, 1);
	is("has a sentence", ks_last_error(ks, text, sizeof(text)) > 0 && *text, 1);
	ks_reader_free(reader);
	ks_close(ks);
	return failed;
}
