/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that ks_set_scope() reads the start of each process that it names exactly once, before any
 * source takes the scope; that all sources have that start; and that a process which is replaced
 * afterwards does not count.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "config.h"
#include "files/columns.h"
#include "source/files.h"
#include "support/fake_proc.h"
#include "support/ks_test.h"
#if KS_HAVE_BPF
#include "source/bpf.h"
#endif

/* The highest pid that there can be: in practice no process has it. */
#define LATER 4194303

static const uint32_t kinds[] = { KS_SCOPE_PIDS, KS_SCOPE_TREE };

/* ---- processes that exist, in a /proc of plain files ----------------------------------------- */

static int32_t child(void)
{
	pid_t parent = getpid(), pid = fork();

	g_assert_cmpint(pid, >=, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
	_exit(0);
}

static void end(int32_t pid)
{
	g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

/* own: this /proc is of the pid namespace of the test. */
static struct bed *bed_of(int own)
{
	struct bed *bed = bed_new(0);
	char *self = g_build_filename(bed->dir, "self", NULL), link[16];
	int pid = own ? getpid() : LATER;

	show(bed, pid, 1, "test", 50, 9, 0);
	snprintf(link, sizeof(link), "%d", pid);
	g_assert_cmpint(unlink(self), ==, 0);
	g_assert_cmpint(symlink(link, self), ==, 0);
	g_free(self);
	return bed;
}

/* Files alone serve the handle: otherwise a tree would load kernel programs. */
struct alone {
	struct ks__source *sources[KS__SOURCES_MAX];
};

static void alone_begin(struct alone *alone, struct bed *bed)
{
	memcpy(alone->sources, bed->ks->sources, sizeof(alone->sources));
	memset(bed->ks->sources, 0, sizeof(alone->sources));
	bed->ks->sources[0] = bed->s;
}

static void alone_end(const struct alone *alone, struct bed *bed)
{
	memcpy(bed->ks->sources, alone->sources, sizeof(alone->sources));
}

static void name(struct bed *bed, uint32_t kind, const int32_t *pids, uint32_t n)
{
	const struct ks_scope scope = {
		.size = sizeof(scope), .kind = kind, .pids = pids, .n_pids = n
	};

	ks_assert_rc(ks_set_scope(bed->ks, &scope), 0);
}

/* ---- what is read ---------------------------------------------------------------------------- */

#define CHILDREN 5

/* Asserts the start of one process in the handle's scope and in both sources. */
static void assert_start(struct bed *bed, int32_t pid, uint64_t want)
{
	const struct ks__scope *scope = &bed->ks->scope, *files = &files_of(bed->s)->scope;
	uint32_t i = 0;

	while (i < scope->n_pids && scope->pids[i] != pid)
		i++;
	g_assert_cmpuint(i, <, scope->n_pids);
	g_assert_cmphex(scope->starts[i], ==, want);
	g_assert_cmpint(files->pids[i], ==, pid);
	g_assert_cmphex(files->starts[i], ==, want);
#if KS_HAVE_BPF
	if (scope->foreign || want == KS__START_HIDDEN || want == KS__START_UNKNOWN)
		g_assert_cmphex(ks__bpf_start(scope, i), ==, 0);
	else if (want == KS__START_ENDED)
		g_assert_cmphex(ks__bpf_start(scope, i), ==, KS_PID_TICK - 1);
	else
		g_assert_cmphex(ks__bpf_start(scope, i), ==,
				KS_PID_TICK | want * ks__columns_tick_ns());
#endif
}

/*
 * A process that proc_path does not show may be hidden; if it was shown a moment before, it has
 * ended. A file without a start says nothing.
 */
static void test_starts(void)
{
	static const uint64_t want[CHILDREN] = { 4711, 0, KS__START_HIDDEN, KS__START_UNKNOWN,
						 KS__START_ENDED };

	for (int own = 0; own <= 1; own++) {
		struct bed *bed = bed_of(own);
		int32_t pids[CHILDREN + 2];
		char *path;

		for (unsigned i = 0; i < CHILDREN; i++)
			pids[CHILDREN - i] = child();
		pids[0] = pids[3]; /* named twice */
		pids[CHILDREN + 1] = pids[CHILDREN];
		show(bed, pids[1], 1, "a", 4711, 11, 0);
		show(bed, pids[2], 1, "b", 0, 11, 0);
		show(bed, pids[4], 1, "d", 60, 11, 0);
		bed_write(bed, pids[4], "stat", "");
		show(bed, pids[5], 1, "e", 60, 11, 0);
		bed_write(bed, pids[5], "status", "Name:\te\n");
		path = bed_path(bed, pids[5], "stat");
		g_assert_cmpint(unlink(path), ==, 0);
		g_free(path);
		name(bed, KS_SCOPE_PIDS, pids, G_N_ELEMENTS(pids));
		g_assert_cmpint(bed->ks->scope.foreign, ==, !own);
		g_assert_cmpuint(bed->ks->scope.n_pids, ==, CHILDREN);
		g_assert_cmpuint(files_of(bed->s)->scope.n_pids, ==, CHILDREN);
		for (unsigned i = 1; i < CHILDREN; i++)
			g_assert_cmpint(bed->ks->scope.pids[i - 1], <, bed->ks->scope.pids[i]);
		for (unsigned i = 0; i < CHILDREN; i++)
			assert_start(bed, pids[i + 1], want[i]);
		name(bed, KS_SCOPE_SYSTEM, NULL, 0);
		g_assert_null(bed->ks->scope.starts);
		g_assert_null(files_of(bed->s)->scope.starts);
		for (unsigned i = 0; i < CHILDREN; i++)
			end(pids[i + 1]);
		bed_free(bed);
	}
}

/* Returns how often the file that `fd` watches has been opened since the last call. */
static unsigned opens(int fd)
{
	char buf[4096] __attribute__((aligned(8)));
	unsigned n = 0;
	ssize_t got = read(fd, buf, sizeof(buf));

	for (ssize_t at = 0; at < got;) {
		const struct inotify_event *ev = (const void *)(buf + at);

		g_assert_cmpuint(ev->mask & IN_Q_OVERFLOW, ==, 0);
		n += !!(ev->mask & IN_OPEN);
		at += (ssize_t)(sizeof(*ev) + ev->len);
	}
	return n;
}

/* Events of closing keep the kernel from merging those of two opens. */
static int watch(struct bed *bed, int32_t pid)
{
	char *path = bed_path(bed, pid, "stat");
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	g_assert_cmpint(inotify_add_watch(fd, path, IN_OPEN | IN_CLOSE), >=, 0);
	g_free(path);
	return fd;
}

static void test_opens(void)
{
	for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
		struct bed *bed = bed_of(1);
		int32_t a = child(), b = child(), pids[] = { b, a, b };
		struct alone alone;
		int fds[2];

		show(bed, a, 1, "a", 60, 11, 0);
		show(bed, b, 1, "b", 70, 11, 0);
		fds[0] = watch(bed, a);
		fds[1] = watch(bed, b);
		if (kinds[k] == KS_SCOPE_TREE)
			alone_begin(&alone, bed);
		for (unsigned turn = 0; turn < 3; turn++) {
			name(bed, kinds[k], pids, 3);
			g_assert_cmpuint(opens(fds[0]), ==, 1);
			g_assert_cmpuint(opens(fds[1]), ==, 1);
		}
		if (kinds[k] == KS_SCOPE_TREE)
			alone_end(&alone, bed);
		close(fds[0]);
		close(fds[1]);
		end(a);
		end(b);
		bed_free(bed);
	}
}

/* ---- a process that is replaced -------------------------------------------------------------- */

static struct bed *slow_bed;
static int32_t slow_pid;

/* The first source takes long: meanwhile another process gets the pid. */
static int set_slowly(struct ks__source *s, const struct ks__scope *scope)
{
	(void)s;
	g_assert_cmpuint(scope->n_pids, ==, 1);
	show(slow_bed, slow_pid, 1, "stranger", 70, 11, 0);
	return 0;
}

enum when { NEVER, BEFORE_SECOND_SOURCE, BEFORE_FIRST_LOOK };

static void replace(uint32_t kind, enum when when)
{
	static const struct ks__source_ops slow = { .set_scope = set_slowly };
	struct bed *bed = slow_bed = bed_of(1);
	struct ks__source first = { &slow, bed->ks };
	int32_t pid = slow_pid = child();
	char *want = g_strdup_printf("fork %d a > %d\n", pid, LATER);
	struct alone alone;

	show(bed, pid, 100, "a", 60, 11, FORKNOEXEC);
	alone_begin(&alone, bed);
	if (when == BEFORE_SECOND_SOURCE) {
		bed->ks->sources[1] = bed->s;
		bed->ks->sources[0] = &first;
	}
	name(bed, kind, &pid, 1);
	alone_end(&alone, bed);
	if (when == BEFORE_FIRST_LOOK)
		show(bed, pid, 100, "stranger", 70, 11, 0);
	bed_enable(bed);
	show(bed, LATER, pid, "b", 71, 11, FORKNOEXEC);
	bed_found(bed, when == NEVER ? want : NONE);
#if KS_HAVE_BPF
	if (kind == KS_SCOPE_PIDS)
		g_assert_cmphex(ks__bpf_start(&bed->ks->scope, 0), ==,
				KS_PID_TICK | 60 * ks__columns_tick_ns());
#endif
	end(pid);
	bed_free(bed);
	g_free(want);
}

static void test_replaced(void)
{
	for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
		for (int when = NEVER; when <= BEFORE_FIRST_LOOK; when++)
			replace(kinds[k], (enum when)when);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/scope/starts", test_starts);
	g_test_add_func("/scope/opens", test_opens);
	g_test_add_func("/scope/replaced", test_replaced);
	return g_test_run();
}
