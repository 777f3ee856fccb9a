/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the map of a tree holds living processes only: threads neither enter nor leave it, nor
 * does a main thread whose process another thread took over by exec; nor do processes beside it.
 */
#include <dirent.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "proc_checks.h"

/* Returns the number of entries in the map, over all handles of this process. */
static unsigned enrolled(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *d;
	unsigned n = 0;

	while ((d = readdir(dir))) {
		struct bpf_map_info info = { 0 };
		uint32_t size = sizeof(info), key, last;
		int fd = atoi(d->d_name), first = 1;

		if (bpf_obj_get_info_by_fd(fd, &info, &size) || strcmp(info.name, "ks_pids"))
			continue;
		while (!bpf_map_get_next_key(fd, first ? NULL : &last, &key)) {
			last = key;
			first = 0;
			n++;
		}
	}
	closedir(dir);
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

static void add(void)
{
	kt_add(KS_PROBE_PROC, "ends", KT_BEST, ends);
	kt_add(KS_PROBE_PROC, "taken-over", KT_BEST, taken_over);
	kt_add(KS_PROBE_PROC, "beside", KT_BEST | KT_FEATURES, beside);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
