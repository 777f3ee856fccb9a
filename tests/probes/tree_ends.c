/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the map of a tree holds living processes only: threads neither enter nor leave it, nor
 * does a main thread whose process another thread took over by exec; nor do processes beside it.
 * Shows that a process for which the map has no room is counted as lost, and that a scope for which
 * it has no room changes nothing.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc_checks.h"
#include "support/map_named.h"
#include "source/bpf.h"

/* Returns the handle's descriptor of this map. *ret_room: for how many entries it has room. */
static int map_of(const char *name, unsigned *ret_room)
{
	struct bpf_map_info info;
	int fd = map_named(name, &info);

	*ret_room = info.max_entries;
	return fd;
}

/* Returns the number of entries in the map. */
static unsigned enrolled(void)
{
	unsigned n = 0, room;
	int fd = map_of("ks_pids", &room);
	uint32_t key, last;

	while (!bpf_map_get_next_key(fd, n ? &last : NULL, &key)) {
		last = key;
		n++;
	}
	return n;
}

#define GRACES 200

static void wait_grace(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		g_usleep(10000);
}

/* Entries of ended processes are removed some grace periods later. */
static void all_leave(unsigned want)
{
	for (unsigned i = 0; i < GRACES && enrolled() != want; i++)
		wait_grace();
	g_assert_cmpuint(enrolled(), ==, want);
}

#define FAMILY 5

static int family(void *page)
{
	int32_t tids[FAMILY];
	pthread_t thread;
	int status, bad = 0;

	(void)page;
	for (int i = 0; i < FAMILY; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			bad = pthread_create(&thread, NULL, proc_note_tid, &tids[i]);
			bad |= pthread_join(thread, NULL);
			_exit(bad);
		}
		bad |= waitpid(pid, &status, 0) != pid || status;
	}
	for (int i = 0; i < FAMILY; i++)
		bad |= pthread_create(&thread, NULL, proc_note_tid, &tids[i]) ||
		       pthread_join(thread, NULL);
	return bad;
}

static void ends(struct kt *t)
{
	struct work w;

	proc_watch(t, &w, family);
	g_assert_cmpint(w.status, ==, 0);
	proc_totals(t, FAMILY, 2 * FAMILY, 0, FAMILY + 1, 2 * FAMILY);
	all_leave(0);
	work_free(&w);
}

/* ---- exec by a second thread ----------------------------------------------------------------- */

static void *take_over(void *arg)
{
	execl("/bin/sh", "sh", "-c", "while [ ! -e \"$0/go\" ]; do :; done; exec \"$1\" 1",
	      g_getenv("KS_TEST_DIR"), KS_CHAIN, NULL);
	return arg;
}

static int be_taken_over(void *page)
{
	pthread_t thread;

	(void)page;
	if (pthread_create(&thread, NULL, take_over, NULL) || pthread_join(thread, NULL))
		return 1;
	return 2;
}

static int is_sh(pid_t pid)
{
	char *path = g_strdup_printf("/proc/%d/comm", (int)pid), *comm = NULL;
	int is = g_file_get_contents(path, &comm, NULL, NULL) && !strcmp(comm, "sh\n");

	g_free(path);
	g_free(comm);
	return is;
}

static void taken_over(struct kt *t)
{
	char *dir = g_dir_make_tmp("ks-tree-XXXXXX", NULL);
	char *go = g_build_filename(dir, "go", NULL);
	struct work w;

	g_setenv("KS_TEST_DIR", dir, 1);
	work_start(&w, be_taken_over);
	kt_watch(t, KS_SCOPE_TREE, w.pid);
	kt_enable(t, NULL, 0);
	work_go(&w);
	while (!is_sh(w.pid))
		g_assert_cmpint(waitpid(w.pid, NULL, WNOHANG), ==, 0);
	/* until the former main thread is gone for good */
	for (int i = 0; i < 20; i++) {
		wait_grace();
		g_assert_cmpuint(enrolled(), ==, 1);
	}
	g_assert_true(g_file_set_contents(go, "", 0, NULL));
	work_wait(&w);
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	g_assert_cmpuint(kt_count(t, KS_EVENT_PROC_EXEC), ==, 3);
	all_leave(0);
	proc_remove_dir(dir);
	g_free(go);
	g_free(dir);
	work_free(&w);
}

/* ---- beside a tree --------------------------------------------------------------------------- */

#define DEEP 70    /* more generations than a program looks at: 64, 24 without a loop */
#define FORKS 1000 /* of the last generation, which stay */
#define SCOPES 15

/* Each generation dies with its parent, which waits. The last one forks children that stay. */
static void __attribute__((noreturn)) beget(unsigned generations, unsigned *forks)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (; generations && fork() == 0; generations--)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (; !generations && *forks < FORKS; ++*(volatile unsigned *)forks) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		g_usleep(200);
	}
	for (;;)
		pause();
}

static int __attribute__((noreturn)) beget_all(void *forks)
{
	beget(DEEP, forks);
}

static int __attribute__((noreturn)) stay(void *page)
{
	(void)page;
	for (;;)
		pause();
}

/*
 * While the library looks for the processes of a tree, others fork next to it. Their ancestors are
 * too many to look at, and they do not count as its descendants for that.
 */
static void beside(struct kt *t)
{
	struct work deep, root;
	volatile unsigned *forks;
	unsigned before, within = 0;

	work_start(&deep, beget_all);
	work_start(&root, stay);
	forks = deep.page;
	kt_watch(t, KS_SCOPE_TREE, root.pid);
	kt_enable(t, NULL, 0);
	work_go(&deep);
	work_go(&root);
	while (!*forks)
		g_usleep(1000);
	for (unsigned i = 0; i < SCOPES; i++) {
		before = *forks;
		kt_watch(t, KS_SCOPE_TREE, root.pid);
		within += *forks - before;
		g_assert_cmpuint(enrolled(), ==, 2); /* the root, in this scope and the last one */
	}
	g_test_message("%u forks meanwhile", within);
	kill(root.pid, SIGKILL);
	kill(deep.pid, SIGKILL);
	work_wait(&root);
	work_wait(&deep);
	work_free(&root);
	work_free(&deep);
}

/* ---- a full map ------------------------------------------------------------------------------ */

#define NO_PROCESS (1u << 22) /* process ids are below */
#define ROOM "cannot watch the processes of the scope: there are more than the map has room for"

/* Returns the words of the scope that programs read. */
static struct ks_bpf_control control(void)
{
	struct ks_bpf_control words;
	uint32_t zero = 0;
	unsigned room;

	g_assert_cmpint(bpf_map_lookup_elem(map_of("ks_control", &room), &zero, &words), ==, 0);
	return words;
}

/* Key of a process that does not exist, in the scope that is in force. */
static uint32_t nobody(unsigned i)
{
	return KS_PID_KEY(NO_PROCESS + i, control().scope_index);
}

static unsigned fillers;

/* Fills the map until it has room for `left` more entries. */
static void fill(unsigned left)
{
	unsigned room, n;
	int fd = map_of("ks_pids", &room);
	uint32_t first = nobody(0);
	uint64_t start = 0;

	n = room - enrolled() - left;
	for (fillers = 0; fillers < n; fillers++) {
		uint32_t key = first + fillers;

		g_assert_cmpint(bpf_map_update_elem(fd, &key, &start, BPF_NOEXIST), ==, 0);
	}
	g_assert_cmpuint(enrolled(), ==, room - left);
}

/* Makes room for n more entries. */
static void make_room(unsigned n)
{
	unsigned room;
	int fd = map_of("ks_pids", &room);

	while (n--) {
		uint32_t key = nobody(--fillers);

		g_assert_cmpint(bpf_map_delete_elem(fd, &key), ==, 0);
	}
}

static unsigned slots_of(pid_t pid)
{
	unsigned room, n = 0;
	int fd = map_of("ks_pids", &room);

	for (unsigned slot = 0; slot < 2; slot++) {
		uint32_t key = KS_PID_KEY(pid, slot);
		uint64_t start;

		n += !bpf_map_lookup_elem(fd, &key, &start);
	}
	return n;
}

/* Returns how many processes the ledger of the library itself has as lost. */
static uint64_t lost_processes(struct kt *t)
{
	struct kt self = *t;
	struct ks_stats_self total, own;

	self.probe = KS_PROBE_SELF;
	kt_total(&self, &total, sizeof(total));
	kt_ledger(t, &own);
	g_assert_cmpuint(own.lost_map, ==, 0);
	return total.lost_map;
}

static int child_calls(void *page)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(fad_table(page));
	return waitpid(pid, &status, 0) != pid || status;
}

static void run_well(struct work *w)
{
	work_run(w);
	g_assert_cmpint(w->status, ==, 0);
}

/* Names the first process twice: the last one then never is one for which there is no room. */
static void watch_all(struct kt *t, uint32_t kind, const struct work *w, uint32_t n, int want)
{
	int32_t pids[5];
	struct ks_scope scope = {
		.size = sizeof(scope), .kind = kind, .n_pids = n + 1, .pids = pids
	};

	for (uint32_t i = 0; i <= n; i++)
		pids[i] = w[i % n].pid;
	ks_assert_rc(ks_set_scope(t->ks, &scope), want);
}

static const struct ks_param every_call[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 } };

/*
 * The child of the first root finds too little room: it is not in scope, and is counted as lost,
 * once. The child of the second one finds room. need: entries of a child.
 */
static void lose_child(struct kt *t, unsigned need)
{
	struct work w[2];
	uint64_t lost;
	unsigned n;

	for (int i = 0; i < 2; i++)
		work_start(&w[i], child_calls);
	watch_all(t, KS_SCOPE_TREE, w, 2, 0);
	kt_enable(t, every_call, 1);
	fill(need - 1);
	n = enrolled();
	lost = lost_processes(t);
	run_well(&w[0]);
	kt_drain(t);
	g_assert_cmpuint(t->n, ==, 0);
	g_assert_cmpuint(lost_processes(t), ==, lost + 1);
	g_assert_cmpuint(enrolled(), <=, n); /* the root may have left already */
	make_room(1);
	run_well(&w[1]);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, FAD_CALLS);
	g_assert_cmpuint(lost_processes(t), ==, lost + 1);
	/* in a nested pid namespace the roots stay: they have no second entry */
	for (unsigned i = 0; i < GRACES && enrolled() > fillers + 2; i++)
		wait_grace();
	g_assert_cmpuint(enrolled(), <=, fillers + 2);
	for (int i = 0; i < 2; i++)
		work_free(&w[i]);
}

static void full(struct kt *t)
{
	lose_child(t, 1);
}

static void as_first(struct kt *outer)
{
	struct kt t = { .probe = outer->probe, .variant = outer->variant, .over = outer->over };

	g_assert_cmpint(unshare(CLONE_NEWNS), ==, 0);
	g_assert_cmpint(mount("proc", "/proc", "proc", 0, NULL), ==, 0);
	ks_assert_rc(ks_open(NULL, &t.ks), 0);
	lose_child(&t, 2);
	ks_close(t.ks);
}

static void namespaced(struct kt *t)
{
	g_assert_cmpint(unshare(CLONE_NEWPID), ==, 0);
	kt_in_child(t, as_first);
}

/* In a nested pid namespace a child needs two entries. With room for one it gets none. */
static void full_nested(struct kt *t)
{
	kt_in_child(t, namespaced);
	kt_enable(t, NULL, 0);
}

/* When a program may last have read this slot, ns; 0: never. */
static uint64_t left_ns(const struct kt *t, uint32_t slot)
{
	for (unsigned i = 0; t->ks->sources[i]; i++)
		if (t->ks->sources[i]->ops->kind == KS_SOURCE_BPF)
			return ks__bpf_of(t->ks->sources[i])->control.scope_left_ns[slot];
	g_assert_not_reached();
}

/* A scope that does not fit is refused. The map and the words for the programs stay as they are. */
static void refuse(struct kt *t, uint32_t kind, const struct work *w, uint32_t n)
{
	struct ks_bpf_control before = control(), after;
	uint64_t since = work_now();
	unsigned entries = enrolled();
	char why[400] = "";

	watch_all(t, kind, w, n, -E2BIG);
	/* programs may have read its processes: the next scope waits for them */
	g_assert_cmpuint(left_ns(t, !before.scope_index), >=, since);
	ks_last_error(t->ks, why, sizeof(why));
	g_assert_cmpstr(why, ==, ROOM);
	after = control();
	g_assert_cmpuint(after.scope_index, ==, before.scope_index);
	g_assert_cmpuint(after.tree, ==, before.tree);
	g_assert_cmpmem(after.scope, sizeof(after.scope), before.scope, sizeof(before.scope));
	g_assert_cmpuint(enrolled(), ==, entries);
	for (uint32_t i = 0; i < n; i++)
		g_assert_cmpuint(slots_of(w[i].pid), ==, 0);
}

/* Are the programs attached that follow a tree? */
static int follows(struct kt *t)
{
	char *text = kt_explain(t->ks), *at = strstr(text, "\"tree_fork_");
	int is = at && g_str_has_prefix(strstr(at, "\"attached\":"), "\"attached\":true");

	g_free(text);
	return is;
}

/*
 * w[0] is in scope, w[1] to w[3] are not. A list and a tree of these three do not fit, nor does the
 * tree of this process, whose children do not fit. The old scope goes on, and a scope that fits
 * replaces it.
 */
static void refuse_all(struct kt *t, uint32_t kind, unsigned room)
{
	const struct work self = { .pid = getpid() };
	struct work w[4];

	for (int i = 0; i < 4; i++)
		work_start(&w[i], kind == KS_SCOPE_TREE ? child_calls : fad_table);
	watch_all(t, kind, w, 1, 0);
	kt_enable(t, every_call, 1);
	fill(room);
	refuse(t, KS_SCOPE_PIDS, w + 1, 3);
	refuse(t, KS_SCOPE_TREE, w + 1, 3);
	refuse(t, KS_SCOPE_TREE, &self, 1);
	g_assert_cmpint(follows(t), ==, kind == KS_SCOPE_TREE);
	run_well(&w[1]);
	run_well(&w[0]);
	kt_drain(t);
	g_assert_cmpuint(t->n, ==, FAD_CALLS);
	make_room(2);
	watch_all(t, kind, w + 2, 2, 0);
	run_well(&w[2]);
	run_well(&w[3]);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, 3 * FAD_CALLS);
	g_assert_cmpuint(lost_processes(t), ==, 0);
	g_assert_cmpuint(slots_of(NO_PROCESS), ==, 1); /* until the slot is needed again */
	watch_all(t, KS_SCOPE_PIDS, &self, 1, 0);
	g_assert_cmpuint(slots_of(NO_PROCESS), ==, 0);
	for (int i = 0; i < 4; i++)
		work_free(&w[i]);
}

static void full_list(struct kt *t)
{
	refuse_all(t, KS_SCOPE_PIDS, 2);
}

static void full_tree(struct kt *t)
{
	refuse_all(t, KS_SCOPE_TREE, 2);
}

static void add(void)
{
	kt_add(KS_PROBE_PROC, "ends", KT_BEST, ends);
	kt_add(KS_PROBE_PROC, "taken-over", KT_BEST, taken_over);
	kt_add(KS_PROBE_PROC, "beside", KT_BEST | KT_FEATURES, beside);
	kt_add(KS_PROBE_FADVISE, "full", KT_BEST, full);
	kt_add(KS_PROBE_FADVISE, "full-nested", KT_BEST, full_nested);
	kt_add(KS_PROBE_FADVISE, "full-list", KT_BEST, full_list);
	kt_add(KS_PROBE_FADVISE, "full-tree", KT_BEST, full_tree);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
