/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a scope lets through what is in it and nothing else, by process, by tree and by name;
 * that it can be replaced while probes run; and that a host in its own namespaces sees its own ids,
 * wherever /proc and /sys are.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cgroup.h"
#include "support/harness.h"
#include "support/ks_test.h"

static const struct ks_param every_call[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 } };

static void set_scope(struct kt *t, uint32_t kind, const int32_t *pids, uint32_t n,
		      const char *comm, const char *exclude)
{
	struct ks_scope scope = { .size = sizeof(scope),
				  .kind = kind,
				  .n_pids = n,
				  .pids = pids,
				  .comm = comm,
				  .exclude_comm = exclude };

	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
}

static size_t records_of(const struct kt *t, pid_t pid)
{
	const struct ks_event *ev;
	size_t at = 0, n = 0;

	while ((ev = kt_next(t, KS_EVENT_FADVISE_CALL, &at)))
		n += ev->pid == pid;
	return n;
}

static uint64_t all_calls(struct kt *t)
{
	struct ks_stats_fadvise row;
	uint64_t n = 0;
	int i;

	kt_total(t, &row, sizeof(row));
	for (i = 0; i < 7; i++)
		n += row.calls[i];
	return n;
}

/* ---- kinds of scopes ------------------------------------------------------------------------- */

#define OWN 5

static void call_own(unsigned n)
{
	while (n--)
		syscall(SYS_fadvise64, -1, 0, 0, POSIX_FADV_NORMAL);
}

/* The default scope. */
static void self(struct kt *t)
{
	struct work w;

	work_start(&w, fad_table);
	kt_enable(t, every_call, 1);
	call_own(OWN);
	work_run(&w);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, OWN);
	g_assert_cmpuint(records_of(t, getpid()), ==, OWN);
	g_assert_cmpuint(all_calls(t), ==, OWN);
	work_free(&w);
}

static void pids(struct kt *t)
{
	struct work w[3];
	int32_t two[2];
	int i;

	for (i = 0; i < 3; i++)
		work_start(&w[i], fad_table);
	two[0] = w[0].pid;
	two[1] = w[2].pid;
	set_scope(t, KS_SCOPE_PIDS, two, 2, NULL, NULL);
	kt_enable(t, every_call, 1);
	call_own(OWN);
	for (i = 0; i < 3; i++)
		work_run(&w[i]);
	kt_settle(t);
	g_assert_cmpuint(records_of(t, w[0].pid), ==, FAD_CALLS);
	g_assert_cmpuint(records_of(t, w[2].pid), ==, FAD_CALLS);
	g_assert_cmpuint(t->n, ==, 2 * FAD_CALLS);
	g_assert_cmpuint(all_calls(t), ==, 2 * FAD_CALLS);
	for (i = 0; i < 3; i++)
		work_free(&w[i]);
}

/* Other processes may call, too: only the calls of these processes are exact. */
static void everybody(struct kt *t)
{
	struct work w;

	work_start(&w, fad_table);
	set_scope(t, KS_SCOPE_SYSTEM, NULL, 0, NULL, NULL);
	kt_enable(t, every_call, 1);
	call_own(OWN);
	work_run(&w);
	kt_settle(t);
	g_assert_cmpuint(records_of(t, w.pid), ==, FAD_CALLS);
	g_assert_cmpuint(records_of(t, getpid()), ==, OWN);
	g_assert_cmpuint(all_calls(t), >=, FAD_CALLS + OWN);
	work_free(&w);
}

/* A grandchild of the root, and one whose parent ended before it calls. */
static int tree_work(void *page)
{
	int pipe_fd[2], status, bad = 0;
	char c;

	if (pipe(pipe_fd))
		return 1;
	if (fork() == 0) {
		if (fork() == 0) { /* calls after its parent has ended */
			close(pipe_fd[1]);
			bad = read(pipe_fd[0], &c, 1) != 0;
			_exit(bad || fad_table(page));
		}
		_exit(0);
	}
	bad |= wait(&status) < 0 || status;
	close(pipe_fd[1]);
	bad |= wait(&status) < 0 || status;
	return bad;
}

static int tree_root(void *page)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return tree_work(page);
}

static void tree(struct kt *t)
{
	struct work w, other;

	work_start(&w, tree_root);
	work_start(&other, fad_table);
	set_scope(t, KS_SCOPE_TREE, &w.pid, 1, NULL, NULL);
	kt_enable(t, every_call, 1);
	call_own(OWN);
	work_run(&w);
	work_run(&other);
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, FAD_CALLS);
	g_assert_cmpuint(records_of(t, other.pid), ==, 0);
	g_assert_cmpuint(all_calls(t), ==, FAD_CALLS);
	work_free(&w);
	work_free(&other);
}

/* The root has a child already, which makes more. All call when they are told. */
static void tree_grown(struct kt *t)
{
	struct work other;
	int fds[2], status;
	pid_t root;
	char c = 0;

	work_start(&other, fad_table);
	g_assert_cmpint(pipe(fds), ==, 0);
	root = fork();
	if (root == 0) {
		struct work child, grandchild;

		work_start(&child, tree_root);
		work_start(&grandchild, fad_table);
		g_assert_cmpint(write(fds[1], &c, 1), ==, 1);
		raise(SIGSTOP); /* until the scope is set */
		work_run(&child);
		work_run(&grandchild);
		_exit(child.status || grandchild.status);
	}
	g_assert_cmpint(read(fds[0], &c, 1), ==, 1);
	g_assert_cmpint(waitpid(root, &status, WUNTRACED), ==, root);
	set_scope(t, KS_SCOPE_TREE, &root, 1, NULL, NULL);
	kt_enable(t, every_call, 1);
	kill(root, SIGCONT);
	work_run(&other);
	g_assert_cmpint(waitpid(root, &status, 0), ==, root);
	g_assert_cmpint(status, ==, 0);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, 2 * FAD_CALLS);
	g_assert_cmpuint(records_of(t, other.pid), ==, 0);
	work_free(&other);
	close(fds[0]);
	close(fds[1]);
}

/* One tree replaces another one. */
static void tree_replaced(struct kt *t)
{
	int32_t self_pid = getpid(), two[2];
	struct work w[4];
	int i;

	for (i = 0; i < 4; i++)
		work_start(&w[i], tree_root);
	two[0] = w[0].pid;
	two[1] = w[1].pid;
	set_scope(t, KS_SCOPE_TREE, two, 2, NULL, NULL);
	kt_enable(t, every_call, 1);
	work_run(&w[0]);
	kt_drain(t);
	g_assert_cmpuint(t->n, ==, FAD_CALLS);
	set_scope(t, KS_SCOPE_TREE, &w[2].pid, 1, NULL, NULL);
	work_run(&w[1]);
	work_run(&w[2]);
	kt_drain(t);
	g_assert_cmpuint(t->n, ==, 2 * FAD_CALLS);
	set_scope(t, KS_SCOPE_PIDS, &self_pid, 1, NULL, NULL);
	work_run(&w[3]);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, 2 * FAD_CALLS);
	for (i = 0; i < 4; i++)
		work_free(&w[i]);
}

/* One cgroup, one below it, and one next to it. */
static void cgroup(struct kt *t)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_CGROUP };
	struct kt_cgroup in, below, beside;
	struct work w[3];
	int i;

	if (!kt_cgroup_make(&in, "ks-scope") || !kt_cgroup_make(&below, "ks-scope/below") ||
	    !kt_cgroup_make(&beside, "ks-scope-beside")) {
		g_test_skip("no cgroup of the memory controller can be made here");
		return;
	}
	for (i = 0; i < 3; i++)
		work_start(&w[i], fad_table);
	kt_cgroup_enter(&in, w[0].pid);
	kt_cgroup_enter(&below, w[1].pid);
	kt_cgroup_enter(&beside, w[2].pid);
	scope.cgroup = in.path;
	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
	kt_enable(t, every_call, 1);
	call_own(OWN);
	for (i = 0; i < 3; i++)
		work_run(&w[i]);
	kt_settle(t);
	g_assert_cmpuint(records_of(t, w[0].pid), ==, FAD_CALLS);
	g_assert_cmpuint(records_of(t, w[1].pid), ==, FAD_CALLS);
	g_assert_cmpuint(t->n, ==, 2 * FAD_CALLS);
	for (i = 0; i < 3; i++)
		work_free(&w[i]);
	kt_cgroup_remove(&below);
	kt_cgroup_remove(&in);
	kt_cgroup_remove(&beside);
}

/* By name: matching and other names. */
static void names(struct kt *t)
{
	struct work named, plain;
	int32_t two[2];

	work_start(&named, fad_named);
	work_start(&plain, fad_table);
	two[0] = named.pid;
	two[1] = plain.pid;
	set_scope(t, KS_SCOPE_SYSTEM, NULL, 0, FAD_NAME, NULL);
	kt_enable(t, every_call, 1);
	work_run(&named);
	work_run(&plain);
	kt_drain(t);
	g_assert_cmpuint(t->n, ==, FAD_CALLS);
	g_assert_cmpuint(records_of(t, named.pid), ==, FAD_CALLS);
	work_free(&named);
	work_free(&plain);

	work_start(&named, fad_named);
	work_start(&plain, fad_table);
	two[0] = named.pid;
	two[1] = plain.pid;
	set_scope(t, KS_SCOPE_PIDS, two, 2, NULL, FAD_NAME);
	work_run(&named);
	work_run(&plain);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, 2 * FAD_CALLS);
	g_assert_cmpuint(records_of(t, plain.pid), ==, FAD_CALLS);
	work_free(&named);
	work_free(&plain);
}

/* Counts so far stay. From the call on, the new scope counts. */
static void replaced(struct kt *t)
{
	struct work w[3];
	int i;

	for (i = 0; i < 3; i++)
		work_start(&w[i], fad_table);
	kt_watch(t, KS_SCOPE_PIDS, w[0].pid);
	kt_enable(t, every_call, 1);
	work_run(&w[0]);
	work_run(&w[2]);
	kt_watch(t, KS_SCOPE_PIDS, w[1].pid);
	work_run(&w[1]);
	kt_settle(t);
	g_assert_cmpuint(records_of(t, w[0].pid), ==, FAD_CALLS);
	g_assert_cmpuint(records_of(t, w[1].pid), ==, FAD_CALLS);
	g_assert_cmpuint(t->n, ==, 2 * FAD_CALLS);
	g_assert_cmpuint(all_calls(t), ==, 2 * FAD_CALLS);
	for (i = 0; i < 3; i++)
		work_free(&w[i]);
}

/* If a new scope is refused, the old one stays. */
static void refused(struct kt *t)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_PIDS, .n_pids = 1 };
	struct work gone, w;
	char why[400];

	work_start(&gone, fad_table);
	work_start(&w, fad_table);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, every_call, 1);
	work_run(&gone);
	scope.pids = &gone.pid;
	g_assert_cmpint(ks_set_scope(t->ks, &scope), ==, -ESRCH);
	g_assert_cmpint(ks_last_error(t->ks, why, sizeof(why)), >, 0);
	scope.kind = KS_SCOPE_TREE;
	g_assert_cmpint(ks_set_scope(t->ks, &scope), ==, -ESRCH);
	scope.kind = 77;
	g_assert_cmpint(ks_set_scope(t->ks, &scope), ==, -EINVAL);
	scope.kind = KS_SCOPE_PIDS;
	scope.n_pids = 4097;
	g_assert_cmpint(ks_set_scope(t->ks, &scope), ==, -EINVAL);
	scope = (struct ks_scope){ .size = sizeof(scope), .comm = "sixteen bytes ok" };
	g_assert_cmpint(ks_set_scope(t->ks, &scope), ==, -ENAMETOOLONG);
	scope = (struct ks_scope){ .size = sizeof(scope), .kind = KS_SCOPE_CGROUP };
	g_assert_cmpint(ks_set_scope(t->ks, &scope), ==, -EINVAL);
	scope.cgroup = "/no/such/cgroup";
	g_assert_cmpint(ks_set_scope(t->ks, &scope), ==, -ENOENT);
	scope.kind = KS_SCOPE_SYSTEM;
	g_assert_cmpint(ks_set_scope(t->ks, &scope), ==, -EINVAL);
	work_run(&w);
	kt_settle(t);
	g_assert_cmpuint(records_of(t, w.pid), ==, FAD_CALLS);
	g_assert_cmpuint(t->n, ==, FAD_CALLS);
	work_free(&gone);
	work_free(&w);
}

/* ---- namespaces ------------------------------------------------------------------------------ */

static void must(int ok)
{
	if (!ok)
		g_error("%s", strerror(errno));
}

static struct kt fresh(const struct kt *like, const struct ks_open_opts *opts)
{
	struct kt t = { .probe = like->probe, .variant = like->variant, .over = like->over };

	ks_assert_rc(ks_open(opts, &t.ks), 0);
	return t;
}

/*
 * Opens a handle inside. A variant that knows only the initial namespace must say so; others must
 * work.
 */
static int usable_inside(struct kt *t)
{
	struct ks_enable_opts opts = { .size = sizeof(opts), .variant = t->variant };
	char why[400] = "";
	int err = ks_enable_probe(t->ks, t->probe, &opts);

	if (err >= 0 || strcmp(t->variant, "tracepoint")) {
		ks_assert_ok(t->ks, err);
		return 1;
	}
	g_assert_cmpint(err, ==, -KS_EUNAVAIL);
	ks_last_error(t->ks, why, sizeof(why));
	g_assert_nonnull(strstr(why, "namespace"));
	return 0;
}

static void own_fork(struct kt *t)
{
	const struct ks_event_proc_fork *ev;
	const struct ks_event_proc_exit *end;
	size_t at = 0;
	int status;
	pid_t pid;

	set_scope(t, KS_SCOPE_SYSTEM, NULL, 0, NULL, NULL);
	pid = fork();
	if (pid == 0)
		_exit(9);
	must(waitpid(pid, &status, 0) == pid);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, 2);
	ev = kt_next(t, KS_EVENT_PROC_FORK, &at);
	g_assert_cmpint(ev->ev.pid, ==, 1);
	g_assert_cmpint(ev->ev.tid, ==, 1);
	g_assert_cmpint(ev->child_pid, ==, pid);
	g_assert_cmpint(ev->child_tid, ==, pid);
	at = 0;
	end = kt_next(t, KS_EVENT_PROC_EXIT, &at);
	g_assert_cmpint(end->ev.pid, ==, pid);
	g_assert_cmpint(end->ppid, ==, 1);
	g_assert_cmpint(end->session, ==, 1);
	g_assert_cmpint(end->status, ==, 9);
}

static void own_advice(struct kt *t)
{
	kt_set(t, KS_FADVISE_PARAM_SLOW_NS, 0);
	call_own(OWN);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, OWN);
	g_assert_cmpuint(records_of(t, 1), ==, OWN);
}

/* As in a container: process 1 of a pid namespace, with its own /proc. */
static void as_first(struct kt *outer)
{
	struct kt t;

	must(unshare(CLONE_NEWNS) == 0 && mount("proc", "/proc", "proc", 0, NULL) == 0);
	must(setsid() == 1);
	t = fresh(outer, NULL);
	if (usable_inside(&t)) {
		if (t.probe == KS_PROBE_PROC)
			own_fork(&t);
		else
			own_advice(&t);
	}
	ks_close(t.ks);
}

static void namespaced(struct kt *t)
{
	must(unshare(CLONE_NEWPID) == 0);
	kt_in_child(t, as_first);
}

static void pid_namespace(struct kt *t)
{
	kt_in_child(t, namespaced);
	kt_enable(t, NULL, 0); /* outside the namespace nothing has changed */
}

/* The same without a matching /proc: ids are still those of the own namespace. */
static void as_first_unseen(struct kt *outer)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .proc_path = "/nonexistent" };
	struct kt t = fresh(outer, &opts);

	if (usable_inside(&t))
		own_advice(&t);
	ks_close(t.ks);
}

static void namespaced_unseen(struct kt *t)
{
	must(unshare(CLONE_NEWPID) == 0);
	kt_in_child(t, as_first_unseen);
}

static void pid_namespace_unseen(struct kt *t)
{
	kt_in_child(t, namespaced_unseen);
	kt_enable(t, NULL, 0);
}

/* libbpf looks for the kernel's types in the usual place, whatever it is told. */
static void hide_sys(void)
{
	char *types = g_strdup_printf("/proc/self/fd/%d", open("/sys/kernel/btf", O_PATH));

	must(mount("none", "/sys", "tmpfs", 0, NULL) == 0);
	must(g_mkdir_with_parents("/sys/kernel/btf", 0755) == 0);
	must(mount(types, "/sys/kernel/btf", NULL, MS_BIND, NULL) == 0);
	g_free(types);
}

/* /proc and /sys are elsewhere, and the usual places are empty. */
static void elsewhere(struct kt *outer)
{
	char *dir = g_dir_make_tmp("ks-root-XXXXXX", NULL);
	char *proc = g_build_filename(dir, "proc", NULL), *sys = g_build_filename(dir, "sys", NULL);
	struct ks_open_opts opts = { .size = sizeof(opts), .proc_path = proc, .sys_path = sys };
	struct kt t;

	must(unshare(CLONE_NEWNS) == 0 && mount("none", dir, "tmpfs", 0, NULL) == 0);
	must(mkdir(proc, 0700) == 0 && mkdir(sys, 0700) == 0);
	must(mount("/proc", proc, NULL, MS_BIND, NULL) == 0);
	must(mount("/sys", sys, NULL, MS_BIND | MS_REC, NULL) == 0);
	hide_sys();
	must(mount("none", "/proc", "tmpfs", 0, NULL) == 0);
	t = fresh(outer, &opts);
	kt_enable(&t, every_call, 1);
	call_own(OWN);
	kt_disable(&t);
	kt_drain(&t);
	g_assert_cmpuint(t.n, ==, OWN);
	g_assert_cmpuint(records_of(&t, getpid()), ==, OWN);
	ks_assert_ok(t.ks, ks_ledger_check(t.ks, t.probe));
	ks_close(t.ks);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

static void other_paths(struct kt *t)
{
	kt_in_child(t, elsewhere);
	kt_enable(t, NULL, 0);
}

static void add(void)
{
	kt_add(KS_PROBE_FADVISE, "self", KT_ALIKE, self);
	kt_add(KS_PROBE_FADVISE, "pids", 0, pids);
	kt_add(KS_PROBE_FADVISE, "system", 0, everybody);
	kt_add(KS_PROBE_FADVISE, "tree", KT_RAW, tree);
	kt_add(KS_PROBE_FADVISE, "tree-grown", KT_RAW, tree_grown);
	kt_add(KS_PROBE_FADVISE, "cgroup", 0, cgroup);
	kt_add(KS_PROBE_FADVISE, "tree-replaced", KT_BEST, tree_replaced);
	kt_add(KS_PROBE_FADVISE, "names", 0, names);
	kt_add(KS_PROBE_FADVISE, "replaced", KT_BEST, replaced);
	kt_add(KS_PROBE_FADVISE, "refused", KT_BEST, refused);
	kt_add(KS_PROBE_FADVISE, "pid-namespace", 0, pid_namespace);
	kt_add(KS_PROBE_PROC, "pid-namespace", 0, pid_namespace);
	kt_add(KS_PROBE_FADVISE, "pid-namespace-unseen", 0, pid_namespace_unseen);
	kt_add(KS_PROBE_FADVISE, "other-paths", 0, other_paths);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
