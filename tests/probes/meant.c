/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a scope counts exactly the processes that it means: no process that got the pid of a
 * dead one, no process with a similar name, but every task below a cgroup at any depth.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cgroup.h"
#include "support/harness.h"
#include "support/ks_test.h"
#include "support/on_load.h"

static const struct ks_param every_call[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 } };

static uint64_t all_calls(struct kt *t)
{
	struct ks_stats_fadvise row;
	uint64_t n = 0;

	kt_total(t, &row, sizeof(row));
	for (int i = 0; i < 7; i++)
		n += row.calls[i];
	return n;
}

/* ---- reused pids ----------------------------------------------------------------------------- */

#define STRANGE 5

/* Forks a child with this pid, which must be free. */
static pid_t fork_as(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = (uintptr_t)&pid,
				   .set_tid_size = 1 };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void run_stranger(pid_t pid)
{
	pid_t stranger = fork_as(pid);
	int status;

	if (!stranger) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < STRANGE; i++)
			syscall(SYS_fadvise64, -1, 0, 0, POSIX_FADV_NORMAL);
		_exit(0);
	}
	g_assert_cmpint(stranger, ==, pid);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
}

/*
 * The first process was seen. So not even a process that began within the same clock tick is taken
 * for it.
 */
static void number_given_away(struct kt *t)
{
	struct work w;

	work_start(&w, fad_table);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, every_call, 1);
	work_run(&w);
	g_assert_cmpuint(all_calls(t), ==, FAD_CALLS);
	run_stranger(w.pid);
	g_assert_cmpuint(all_calls(t), ==, FAD_CALLS);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, FAD_CALLS);
	work_free(&w);
}

static int nothing(void *page)
{
	(void)page;
	return 0;
}

/*
 * The first process did nothing that the probe sees. The second one begins in a later clock tick.
 */
static void number_of_the_silent(struct kt *t)
{
	uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK), made_ns;
	struct work w;

	work_start(&w, nothing);
	made_ns = work_now();
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, every_call, 1);
	work_run(&w);
	while (work_now() < made_ns + tick_ns)
		;
	run_stranger(w.pid);
	kt_settle(t);
	g_assert_cmpuint(all_calls(t), ==, 0);
	g_assert_cmpuint(t->n, ==, 0);
	work_free(&w);
}

/* ---- names ----------------------------------------------------------------------------------- */

#define ALIKE "table-wolf" /* differs from FAD_NAME only near its end, in the second 8 bytes */

static void names_alike(struct kt *t)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_PIDS, .n_pids = 1 };
	struct work w;

	g_assert_cmpmem(ALIKE, 8, FAD_NAME, 8);
	work_start(&w, fad_named);
	scope.pids = &w.pid;
	scope.comm = ALIKE;
	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
	kt_enable(t, every_call, 1);
	work_run(&w);
	g_assert_cmpuint(all_calls(t), ==, 0);
	work_free(&w);

	work_start(&w, fad_named);
	scope.pids = &w.pid;
	scope.comm = NULL;
	scope.exclude_comm = ALIKE;
	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
	work_run(&w);
	kt_settle(t);
	g_assert_cmpuint(all_calls(t), ==, FAD_CALLS);
	work_free(&w);
}

/* ---- cgroups --------------------------------------------------------------------------------- */

#define DEEP 70 /* levels below the scope */

struct chain {
	struct kt_cgroup top, beside; /* the scope, and a cgroup next to it */
	char *deep[2];                /* the deepest cgroup below each */
};

static int make_chain(struct chain *c)
{
	const struct kt_cgroup *from[] = { &c->top, &c->beside };

	if (!kt_cgroup_make(&c->top, "ks-deep") || !kt_cgroup_make(&c->beside, "ks-deep-beside")) {
		g_test_skip("no cgroup of the memory controller can be made here");
		return 0;
	}
	for (int i = 0; i < 2; i++) {
		GString *path = g_string_new(from[i]->path);

		for (int level = 0; level < DEEP; level++) {
			g_string_append(path, "/d");
			g_assert_cmpint(mkdir(path->str, 0755), ==, 0);
		}
		c->deep[i] = g_string_free(path, FALSE);
	}
	return 1;
}

static void remove_chain(struct chain *c)
{
	const struct kt_cgroup *from[] = { &c->top, &c->beside };

	for (int i = 0; i < 2; i++) {
		for (int level = 0; level < DEEP; level++) {
			struct kt_cgroup cgroup;

			snprintf(cgroup.path, sizeof(cgroup.path), "%s", c->deep[i]);
			kt_cgroup_remove(&cgroup);
			*strrchr(c->deep[i], '/') = '\0';
		}
		kt_cgroup_remove(from[i]);
		g_free(c->deep[i]);
	}
}

/* Runs the table of calls in that cgroup. */
static void work_in(const char *path)
{
	struct kt_cgroup cgroup;
	struct work w;

	g_assert_cmpuint(strlen(path), <, sizeof(cgroup.path));
	snprintf(cgroup.path, sizeof(cgroup.path), "%s", path);
	work_start(&w, fad_table);
	kt_cgroup_enter(&cgroup, w.pid);
	work_run(&w);
	work_free(&w);
}

static void set_cgroup(struct kt *t, const char *path)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_CGROUP, .cgroup = path };

	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
}

/* Tasks at each depth are counted, whether the scope is set before programs are loaded or later. */
static void cgroup_deep(struct kt *t)
{
	struct chain c;
	char *middle;

	if (!make_chain(&c))
		return;
	set_cgroup(t, c.top.path);
	kt_enable(t, every_call, 1);
	work_in(c.top.path);
	work_in(c.deep[0]);
	work_in(c.deep[1]);
	g_assert_cmpuint(all_calls(t), ==, 2 * FAD_CALLS);
	/* now the scope itself is deep */
	middle = g_strndup(c.deep[0], strlen(c.deep[0]) - 2 * 35);
	set_cgroup(t, middle);
	work_in(c.top.path);
	work_in(middle);
	work_in(c.deep[0]);
	g_assert_cmpuint(all_calls(t), ==, 4 * FAD_CALLS);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, 4 * FAD_CALLS);
	remove_chain(&c);
	g_free(middle);
}

static uint64_t undecided(struct kt *t)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = KS_BY_TOTAL };
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_reader *reader;
	uint64_t n;

	ks_assert_ok(t->ks, ks_reader_new(t->ks, KS_PROBE_SELF, &opts, &reader));
	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	n = ((const struct ks_stats_self *)ks_stats_row(&stats, 0))->ambiguous;
	ks_reader_free(reader);
	return n;
}

/* Asserts what a table of calls adds, made in a cgroup so many levels below another one. */
static void adds(struct kt *t, const char *top, const char *deep, int level, uint64_t counted,
		 uint64_t ambiguous)
{
	char *path = g_strndup(deep, strlen(top) + 2 * (size_t)level);
	uint64_t calls = all_calls(t), not_decided = undecided(t);

	work_in(path);
	g_assert_cmpuint(all_calls(t) - calls, ==, counted);
	g_assert_cmpuint(undecided(t) - not_decided, ==, ambiguous);
	g_free(path);
}

/*
 * If no kernel program can find the depth of the scope's cgroup, the programs walk up from the
 * task: either all levels, or 32 levels, and then the begins and ends of calls by deeper tasks are
 * ambiguous.
 */
static void cgroup_unfathomed(struct kt *t)
{
	int all =
		kt_kernel_has("bpf_iter_num_next") &&
		!(t->features_off & (KS_FEATURE_ITER_NUM | KS_FEATURE_RDONLY_CAST)) &&
		(g_str_has_prefix(t->variant, "tp_btf") || g_str_has_prefix(t->variant, "fentry"));
	uint64_t each = FAD_CALLS, both = 2 * FAD_CALLS;
	struct chain c;

	if (!make_chain(&c))
		return;
	on_load_refuse("ks_cgroup_level", 1u << BPF_PROG_TYPE_RAW_TRACEPOINT);
	set_cgroup(t, c.top.path);
	kt_enable(t, every_call, 1);
	on_load_refuse("", 0);
	adds(t, c.top.path, c.deep[0], 0, each, 0);
	adds(t, c.top.path, c.deep[0], 31, each, 0);
	adds(t, c.top.path, c.deep[0], 32, all ? each : 0, all ? 0 : both);
	adds(t, c.beside.path, c.deep[1], 0, 0, 0);
	adds(t, c.beside.path, c.deep[1], DEEP, 0, all ? 0 : both);
	kt_settle(t);
	remove_chain(&c);
}

/* ---- the self-test --------------------------------------------------------------------------- */

/* Records that the self-test provokes are marked. Records of the host are not. */
static void selftest_is_marked(struct kt *t)
{
	unsigned marked = 0;

	kt_enable(t, every_call, 1);
	syscall(SYS_fadvise64, -1, 0, 0, POSIX_FADV_NORMAL);
	ks_assert_ok(t->ks, ks_selftest(t->ks, t->probe, NULL));
	syscall(SYS_fadvise64, -1, 0, 0, POSIX_FADV_NORMAL);
	kt_settle(t);
	for (size_t i = 0; i < t->n; i++) {
		int own = t->records[i]->pid == getpid();

		g_assert_cmpint(!(t->records[i]->flags & KS_FLAG_SELFTEST), ==, own);
		marked += !own;
	}
	g_assert_cmpuint(t->n, ==, marked + 2);
	g_assert_cmpuint(marked, >, 0);
}

static void add(void)
{
	kt_add(KS_PROBE_FADVISE, "number-given-away", KT_FEATURES, number_given_away);
	kt_add(KS_PROBE_FADVISE, "number-of-the-silent", 0, number_of_the_silent);
	kt_add(KS_PROBE_FADVISE, "names-alike", 0, names_alike);
	kt_add(KS_PROBE_FADVISE, "cgroup-deep", KT_FEATURES, cgroup_deep);
	kt_add(KS_PROBE_FADVISE, "cgroup-unfathomed", KT_FEATURES, cgroup_unfathomed);
	kt_add(KS_PROBE_FADVISE, "selftest-is-marked", 0, selftest_is_marked);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
