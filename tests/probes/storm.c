/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that KS_SCOPE_TREE follows a tree that lives and grows: in a storm of forks, early deaths
 * and orphans it misses no descendant and adds no process of the storm next to it. Runs with each
 * method of following a tree; better methods are refused here.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/harness.h"
#include "support/ks_test.h"
#include "support/on_load.h"

#define POPULATION ((int)ks_test_volume(60, 32))
#define LONGEST 300    /* seconds: a storm ends by itself if its test has died */
#define PIDS (1 << 22) /* at most */

enum { NOBODY, OURS, DECOY };

static struct shared {
	int go, quiet, call, orphans_lost, alive[3];
	int acknowledged, called;
	char who[PIDS];
} * sh;

static int highest; /* highest pid */

static void nap(long ns)
{
	struct timespec t = { 0, ns };

	nanosleep(&t, NULL);
}

static int is_set(const int *flag)
{
	return __atomic_load_n(flag, __ATOMIC_SEQ_CST);
}

static void count(int *counter, int by)
{
	__atomic_fetch_add(counter, by, __ATOMIC_SEQ_CST);
}

/* A process that is alive at the end makes one call, and then waits to be killed. */
static void __attribute__((noreturn)) wait_for_call(void)
{
	while (!is_set(&sh->call))
		nap(20000000);
	syscall(SYS_fadvise64, -1, 0, 0, POSIX_FADV_NORMAL);
	count(&sh->called, 1);
	for (;;)
		pause();
}

/* Forks, dies early, leaves orphans. The root goes on for ever. */
static void __attribute__((noreturn)) life(int side, unsigned seed, int is_root)
{
	int me = getpid();

	alarm(LONGEST);
	sh->who[me] = (char)side;
	for (int i = 0; is_root || i < 6; i++) {
		seed = seed * 1103515245 + 12345 + (unsigned)me;
		if (is_set(&sh->quiet))
			wait_for_call();
		if (is_root && is_set(&sh->orphans_lost) && !(is_set(&sh->acknowledged) & side)) {
			/* from here on, /proc no longer shows whose orphans these are */
			prctl(PR_SET_CHILD_SUBREAPER, 0);
			__atomic_fetch_or(&sh->acknowledged, side, __ATOMIC_SEQ_CST);
		}
		if (is_root && is_set(&sh->alive[side]) > POPULATION / 4) {
			nap(300000);
		} else if (is_root || is_set(&sh->alive[side]) < POPULATION) {
			pid_t child;

			count(&sh->alive[side], 1);
			child = fork();
			if (child == 0)
				life(side, seed | 2, 0);
			if (child < 0)
				count(&sh->alive[side], -1);
		}
		if (!is_root && seed & 0x30000)
			nap((long)(seed >> 12 & 0x3ffff));
	}
	if (is_set(&sh->quiet))
		wait_for_call();
	sh->who[me] = NOBODY;
	count(&sh->alive[side], -1);
	_exit(0);
}

static pid_t start(int side)
{
	pid_t pid = fork();

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		signal(SIGCHLD, SIG_IGN);
		/* else the test gets a hundredth of a slow CPU and takes minutes */
		if (kt_emulated())
			setpriority(PRIO_PROCESS, 0, 10);
		alarm(LONGEST);
		while (!is_set(&sh->go))
			nap(1000000);
		count(&sh->alive[side], 1);
		life(side, (unsigned)side, 1);
	}
	return pid;
}

static int living(int side)
{
	int n = 0;

	for (int pid = 1; pid <= highest; pid++)
		n += sh->who[pid] == side;
	return n;
}

/* Returns the number of program runs that the kernel has skipped. */
static uint64_t left_out(struct kt *t)
{
	struct ks_stats_self ledger;

	kt_ledger(t, &ledger);
	return ledger.missed;
}

/*
 * There is one record for each living descendant, and none for other processes. Some kernels
 * preempt fentry programs, too, and skip runs of the same program on that CPU meanwhile.
 */
static void compare(struct kt *t, uint64_t out)
{
	char *seen = calloc(PIDS, 1);
	const struct ks_event *ev;
	int missed = 0, twice = 0, wrong = 0;
	size_t at = 0;

	while ((ev = kt_next(t, KS_EVENT_FADVISE_CALL, &at)))
		seen[ev->pid]++;
	for (int pid = 1; pid <= highest; pid++) {
		missed += sh->who[pid] == OURS && !seen[pid];
		twice += seen[pid] > 1;
		wrong += sh->who[pid] != OURS && seen[pid];
	}
	free(seen);
	g_test_message("%d descendants, %d decoys, %d missed of %d runs left out", living(OURS),
		       living(DECOY), missed, (int)out);
	g_assert_cmpint(missed, <=, kt_preempts() ? (int)out : 0);
	g_assert_cmpint(twice, ==, 0);
	g_assert_cmpint(wrong, ==, 0);
	g_assert_cmpint(living(OURS), >, 5);
	g_assert_cmpint(living(DECOY), >, 5);
}

/* Kills all. Some may have been forked without having run yet. */
static void stop(pid_t roots[2])
{
	pid_t ended;

	for (int i = 0; i < 2; i++)
		kill(roots[i], SIGKILL);
	while ((ended = waitpid(-1, NULL, WNOHANG)) >= 0) {
		if (ended > 0) {
			sh->who[ended] = NOBODY;
			continue;
		}
		for (int pid = 1; pid <= highest; pid++)
			if (sh->who[pid])
				kill(pid, SIGKILL);
		nap(10000000);
	}
	munmap(sh, sizeof(*sh));
}

static void storm(struct kt *t)
{
	static const struct ks_param every_call[] = { { .id = KS_FADVISE_PARAM_SLOW_NS } };
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_TREE, .n_pids = 1 };
	pid_t roots[2];
	uint64_t out;

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	g_assert_true(sh != MAP_FAILED);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	roots[0] = start(OURS);
	roots[1] = start(DECOY);
	/* loads the programs now: that takes long next to a storm */
	kt_watch(t, KS_SCOPE_TREE, getpid());
	kt_watch(t, KS_SCOPE_PIDS, getpid());
	kt_enable(t, every_call, 1);
	out = left_out(t);
	__atomic_store_n(&sh->go, 1, __ATOMIC_SEQ_CST);
	nap(60000000);
	scope.pids = &roots[0];
	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
	__atomic_store_n(&sh->orphans_lost, 1, __ATOMIC_SEQ_CST);
	while (is_set(&sh->acknowledged) != (OURS | DECOY))
		nap(100000);
	nap(100000000);
	/* enough processes to compare: forks are slow on a busy machine */
	while (is_set(&sh->alive[OURS]) < POPULATION / 4 ||
	       is_set(&sh->alive[DECOY]) < POPULATION / 4)
		nap(1000000);
	__atomic_store_n(&sh->quiet, 1, __ATOMIC_SEQ_CST);
	nap(300000000);
	__atomic_store_n(&sh->call, 1, __ATOMIC_SEQ_CST);
	/* some are still about to die, or have not run yet */
	while (is_set(&sh->called) != is_set(&sh->alive[OURS]) + is_set(&sh->alive[DECOY]))
		nap(20000000);
	kt_settle(t);
	compare(t, left_out(t) - out);
	stop(roots);
}

/* Each storm's tree replaces the scope of the storm before. */
static void storms(struct kt *t)
{
	unsigned n = ks_test_volume(8, 2);

	while (n--) {
		storm(t);
		kt_disable(t);
		kt_forget(t);
	}
}

/* ---- other methods of following a tree ------------------------------------------------------- */

static void storm_without(struct kt *t, unsigned types, const char *program)
{
	char *text;

	on_load_refuse("tree_", types);
	storm(t);
	on_load_refuse("", 0);
	text = kt_explain(t->ks);
	g_assert_nonnull(strstr(text, program));
	g_free(text);
}

static void storm_by_raw_tp(struct kt *t)
{
	storm_without(t, 1u << BPF_PROG_TYPE_TRACING, "\"tree_fork_raw_tp\"");
}

static void storm_by_tracepoint(struct kt *t)
{
	storm_without(t, 1u << BPF_PROG_TYPE_TRACING | 1u << BPF_PROG_TYPE_RAW_TRACEPOINT,
		      "\"tree_fork_tracepoint\"");
}

static int highest_pid(void)
{
	char *text = NULL;
	int n = PIDS - 1;

	if (g_file_get_contents("/proc/sys/kernel/pid_max", &text, NULL, NULL))
		n = atoi(text) - 1;
	g_free(text);
	g_assert_cmpint(n, <, PIDS);
	return n;
}

static void add(void)
{
	kt_add(KS_PROBE_FADVISE, "storm", KT_ALIKE, storm);
	kt_add(KS_PROBE_FADVISE, "storms", KT_BEST, storms);
	kt_add(KS_PROBE_FADVISE, "storm-by-raw_tp", KT_BEST, storm_by_raw_tp);
	kt_add(KS_PROBE_FADVISE, "storm-by-tracepoint", KT_BEST, storm_by_tracepoint);
}

int main(int argc, char **argv)
{
	highest = highest_pid();
	return kt_main(argc, argv, add);
}
