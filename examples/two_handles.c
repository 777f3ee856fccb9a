/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * two_handles.c - two components of one process, each with its own handle
 *
 * One component observes the process itself, the other one a child. The handles are independent:
 * each sees exactly the events in its scope.
 */
#include <kernelsight/kernelsight.h>

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long processes_made(struct ks_reader *reader)
{
	struct ks_stats s = { .size = sizeof(s) };

	if (ks_read_stats(reader, &s) < 0)
		return 0;
	return ((const struct ks_stats_proc *)ks_stats_row(&s, 0))->processes;
}

static void fork_and_wait(int n)
{
	for (; n > 0; n--) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

int main(void)
{
	struct ks_enable_opts programs = { .size = sizeof(programs),
					   .flags = KS_ENABLE_NO_FALLBACK };
	struct ks_reader *mine, *childs;
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_PIDS, .n_pids = 1 };
	unsigned long a, b;
	struct ks *one, *two;
	int go[2], rc;
	char byte;
	int32_t child;

	if (pipe(go) || ks_open(NULL, &one) < 0 || ks_open(NULL, &two) < 0)
		return 1;
	child = fork();
	if (child == 0) {
		close(go[1]);
		if (read(go[0], &byte, 1) < 0)
			_exit(1);
		fork_and_wait(
			7); /* the handles are the parent's; a child that lives on closes them */
		_exit(0);
	}
	scope.pids = &child;
	ks_set_scope(two, &scope);
	rc = ks_enable_probe(one, KS_PROBE_PROC, &programs);
	if (rc >= 0)
		rc = ks_enable_probe(two, KS_PROBE_PROC, &programs);
	if (rc < 0) {
		fprintf(stderr, "proc: %s\n", ks_strerror(rc));
		return rc == -KS_EUNAVAIL ? 77 : 1;
	}
	ks_reader_new(one, KS_PROBE_PROC, NULL, &mine);
	ks_reader_new(two, KS_PROBE_PROC, NULL, &childs);
	fork_and_wait(5);
	close(go[1]);
	waitpid(child, NULL, 0);
	a = processes_made(mine);
	b = processes_made(childs);
	printf("this process made %lu, its child %lu\n", a, b);
	ks_close(one);
	ks_close(two);
	ks_reader_free(mine); /* allowed before and after ks_close() */
	ks_reader_free(childs);
	return a == 5 && b == 7 ? 0 : 1;
}
