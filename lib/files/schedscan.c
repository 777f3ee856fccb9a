/* SPDX-License-Identifier: BSD-2-Clause */
/* schedscan.c - time and switches of threads, as differences between two looks at their files */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../data/rows.h"
#include "../base/file.h"
#include "../ks.h"
#include "columns.h"
#include "family.h"
#include "kv.h"
#include "member.h"
#include "scan.h"
#include "starts.h"
#include "../base/text.h"

#define FILE_BYTES 4096

enum number { VOLUNTARY, PREEMPTED, RUNQ, ONCPU, OFFCPU, NUMBERS };

static const char *const fields[] = { "voluntary", "preempted", "runq_ns", "oncpu_ns",
				      "offcpu_ns" };

struct thread {
	int32_t pid, tid;
	uint64_t number[OFFCPU]; /* the kernel's counts since the start of the thread */
};

/* In ascending order of tid. */
struct table {
	struct thread *at;
	size_t n, room;
};

struct schedscan {
	struct table now, old;
	struct ks__family family; /* for KS_SCOPE_TREE */
	uint32_t scope_turn;
	uint64_t tick_ns;
	struct ks__starts starts;
	uint64_t now_ns, old_ns; /* times of the looks, CLOCK_BOOTTIME like the start of threads */
	int word[NUMBERS];       /* indexes of words in the statistics */
};

static int schedscan_open(const struct ks__probe *probe, void **ret_state)
{
	struct schedscan *scan = calloc(1, sizeof(*scan));

	if (!scan)
		return -ENOMEM;
	for (unsigned i = 0; i < NUMBERS; i++)
		scan->word[i] = ks__rows_word(probe->stats, fields[i]);
	scan->tick_ns = ks__columns_tick_ns();
	*ret_state = scan;
	return 0;
}

static void schedscan_close(void *state)
{
	struct schedscan *scan = state;

	if (!scan)
		return;
	free(scan->now.at);
	free(scan->old.at);
	free(scan->family.at);
	free(scan);
}

static size_t schedscan_bytes(const void *state)
{
	const struct schedscan *scan = state;

	return sizeof(*scan) + (scan->now.room + scan->old.room) * sizeof(struct thread) +
	       scan->family.room * sizeof(struct ks__kin);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static int by_tid(const void *a, const void *b)
{
	const struct thread *p = a, *q = b;

	return (p->tid > q->tid) - (p->tid < q->tid);
}

static const struct thread *find(const struct table *table, int32_t tid)
{
	struct thread key = { .tid = tid };

	return table->n ? bsearch(&key, table->at, table->n, sizeof(key), by_tid) : NULL;
}

static int append(struct table *table, const struct thread *thread)
{
	if (table->n == table->room) {
		size_t room = table->room ? 2 * table->room : 64;
		struct thread *grown = reallocarray(table->at, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		table->at = grown;
		table->room = room;
	}
	table->at[table->n++] = *thread;
	return 0;
}

/* ---- threads --------------------------------------------------------------------------------- */

/* 0; negative: the thread is gone, or its files cannot be read. */
static int read_thread(int proc_fd, struct thread *thread)
{
	char path[64], text[FILE_BYTES];
	uint64_t times[2];
	ssize_t n;
	int rc;

	snprintf(path, sizeof(path), "%d/task/%d/schedstat", thread->pid, thread->tid);
	n = ks__text_read(proc_fd, path, text, sizeof(text));
	rc = n < 0 ? (int)n : ks__columns_numbers(text, (size_t)n, times, 2);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "%d/task/%d/status", thread->pid, thread->tid);
	n = ks__text_read(proc_fd, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	thread->number[ONCPU] = times[0];
	thread->number[RUNQ] = times[1];
	rc = ks__kv_number(text, (size_t)n, "voluntary_ctxt_switches", 0,
			   &thread->number[VOLUNTARY]);
	return rc ? rc :
		    ks__kv_number(text, (size_t)n, "nonvoluntary_ctxt_switches", 0,
				  &thread->number[PREEMPTED]);
}

/* Gets the start time of a thread, CLOCK_BOOTTIME. 0; negative: unknown. */
static int begun_ns(const struct schedscan *scan, int proc_fd, const struct thread *thread,
		    int64_t *ret_ns)
{
	char path[64], text[FILE_BYTES];
	struct ks__stat stat;
	ssize_t n;

	snprintf(path, sizeof(path), "%d/task/%d/stat", thread->pid, thread->tid);
	n = ks__text_read(proc_fd, path, text, sizeof(text));
	if (n < 0 || ks__columns_stat(text, (size_t)n, &stat))
		return -ENODATA;
	return ks__starts_ns(&scan->starts, stat.column[KS__STAT_START], scan->tick_ns, ret_ns);
}

/*
 * Counts of one thread never fall. If one did, another thread has got its tid: a new one, or the
 * thread that called exec, which takes the number of the first.
 */
static int is_another(const struct thread *old, const struct thread *now)
{
	for (unsigned i = 0; i < OFFCPU; i++)
		if (old->number[i] > now->number[i])
			return 1;
	return old->pid != now->pid;
}

/*
 * Adds what a thread did since the last look. A thread that is older but comes into scope only now
 * adds nothing: its earlier time is out of scope.
 */
static void count(const struct schedscan *scan, struct ks__look *look, const struct thread *now)
{
	const struct thread *old = find(&scan->old, now->tid);
	uint64_t since = scan->old_ns, delta[NUMBERS] = { 0 }, busy;

	if (!scan->old_ns || look->set->flags & KS_ENABLE_NO_STATS)
		return;
	if (old && is_another(old, now))
		old = NULL;
	if (!old) {
		int64_t begun;

		if (begun_ns(scan, look->proc_fd, now, &begun) ||
		    begun + (int64_t)scan->tick_ns <= (int64_t)scan->old_ns)
			return;
		since = (uint64_t)begun;
	}
	for (unsigned i = 0; i < OFFCPU; i++)
		delta[i] = now->number[i] - (old ? old->number[i] : 0);
	busy = delta[RUNQ] + delta[ONCPU];
	if (scan->now_ns > since + busy)
		delta[OFFCPU] = scan->now_ns - since - busy;
	for (unsigned i = 0; i < NUMBERS; i++)
		look->tally->block[scan->word[i]] += delta[i];
}

/* The context of a walk. */
struct walk {
	struct schedscan *scan;
	struct ks__look *look;
	int32_t pid;
};

static int see_thread(void *user, int32_t tid)
{
	const struct walk *w = user;
	struct thread thread = { .pid = w->pid, .tid = tid };

	int rc = read_thread(w->look->proc_fd, &thread);

	return rc ? ks__text_shortage(rc) : append(&w->scan->now, &thread);
}

/* ---- processes ------------------------------------------------------------------------------- */

static int see_threads(struct walk *w, int32_t pid, int in_tree, const struct ks__stat *stat)
{
	char folder[32];
	int rc;

	if (!ks__look_in_scope(w->look, pid, stat->column[KS__STAT_START], in_tree, stat->comm))
		return 0;
	w->pid = pid;
	snprintf(folder, sizeof(folder), "%d/task", pid);
	rc = ks__file_numbers(w->look->proc_fd, folder, see_thread, w);
	return ks__text_shortage(rc);
}

static int see_process(void *user, int32_t pid)
{
	struct walk *w = user;
	const struct ks__scope *scope = w->look->scope;
	struct ks__stat stat;
	int in_tree = 0, rc;

	rc = ks__columns_read_stat(w->look->proc_fd, pid, &stat);
	if (rc)
		return ks__text_shortage(rc);
	if (scope->kind == KS_SCOPE_CGROUP)
		in_tree = ks__member_below(w->look->proc_fd, pid, scope->cgroup_path) > 0;
	return see_threads(w, pid, in_tree, &stat);
}

/* ---- a tree ---------------------------------------------------------------------------------- */

/*
 * Adds a process to the family. The roots are in the tree, and so is a process that was in it
 * before: its ancestors may be gone.
 */
static int see_kin(void *user, int32_t pid)
{
	const struct walk *w = user;
	const struct schedscan *scan = w->scan;
	const struct thread *known = find(&scan->old, pid);
	struct ks__kin kin = { .pid = pid };
	struct ks__stat stat;
	int rc = ks__columns_read_stat(w->look->proc_fd, pid, &stat);

	if (rc)
		return ks__text_shortage(rc);
	kin.parent = (int32_t)stat.column[KS__STAT_PPID];
	kin.start = ks__columns_start_ns(stat.column[KS__STAT_START], scan->tick_ns);
	if (ks__look_is_named(w->look, pid, stat.column[KS__STAT_START]) ||
	    (known && known->pid == pid && scan->scope_turn == w->look->scope_turn))
		kin.place = KS__PLACE_IN;
	return ks__family_add(&w->scan->family, &kin);
}

static int walk_tree(struct walk *w)
{
	struct ks__family *family = &w->scan->family;
	int rc;

	family->n = 0;
	rc = ks__file_numbers(w->look->proc_fd, ".", see_kin, w);
	if (rc)
		return rc;
	ks__family_sort(family);
	ks__family_place(family);
	for (size_t i = 0; i < family->n && !rc; i++) {
		struct ks__stat stat;

		if (family->at[i].place == KS__PLACE_IN &&
		    !ks__columns_read_stat(w->look->proc_fd, family->at[i].pid, &stat))
			rc = see_threads(w, family->at[i].pid, 1, &stat);
	}
	return rc;
}

static int walk(struct schedscan *scan, struct ks__look *look)
{
	const struct ks__scope *scope = look->scope;
	struct walk w = { .scan = scan, .look = look };
	int rc = 0;

	if (scope->kind == KS_SCOPE_SELF)
		return see_process(&w, look->self);
	if (scope->kind == KS_SCOPE_TREE)
		return walk_tree(&w);
	if (scope->kind != KS_SCOPE_PIDS)
		return ks__file_numbers(look->proc_fd, ".", see_process, &w);
	for (uint32_t i = 0; i < scope->n_pids && !rc; i++)
		rc = see_process(&w, scope->pids[i]);
	return rc;
}

static int schedscan_look(void *state, struct ks__look *look)
{
	struct schedscan *scan = state;
	struct timespec boot;
	struct table swap;
	int rc;

	rc = ks__starts_find(&scan->starts, look->proc_fd);
	if (rc == -ENOMEM)
		return rc;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	scan->now_ns = (uint64_t)boot.tv_sec * 1000000000u + (uint64_t)boot.tv_nsec;
	if (scan->scope_turn != look->scope_turn)
		scan->old_ns = 0; /* the first look at a new scope only notes the present state */
	scan->now.n = 0;
	rc = walk(scan, look);
	if (rc)
		return rc;
	look->now_ns = ks__now();
	if (scan->now.n)
		qsort(scan->now.at, scan->now.n, sizeof(*scan->now.at), by_tid);
	for (size_t i = 0; i < scan->now.n; i++)
		count(scan, look, &scan->now.at[i]);
	swap = scan->old;
	scan->old = scan->now;
	scan->now = swap;
	scan->old_ns = scan->now_ns;
	scan->scope_turn = look->scope_turn;
	return 0;
}

static const char *const files[] = { "PID/stat", "PID/task/TID/schedstat", "PID/task/TID/status",
				     "PID/task/TID/stat", NULL };

const struct ks__scan ks__scan_sched = {
	.files = files,
	.open = schedscan_open,
	.close = schedscan_close,
	.look = schedscan_look,
	.bytes = schedscan_bytes,
	.misses_ends = 1,
	.sees_processes = 1,
};
