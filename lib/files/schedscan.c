/* SPDX-License-Identifier: BSD-2-Clause */
/* schedscan.c - time and switches of threads, by the differences of two looks at their files */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../data/rows.h"
#include "../ks.h"
#include "columns.h"
#include "kv.h"
#include "member.h"
#include "scan.h"
#include "../base/text.h"

#define FILE_BYTES 4096
#define DEPTH 64 /* of ancestors that are asked */

enum number { VOLUNTARY, PREEMPTED, RUNQ, ONCPU, OFFCPU, NUMBERS };

static const char *const fields[] = { "voluntary", "preempted", "runq_ns", "oncpu_ns",
				      "offcpu_ns" };

struct thread {
	int32_t pid, tid;
	uint64_t number[OFFCPU]; /* as the kernel counts them since it began */
};

/* In ascending order of tid. */
struct table {
	struct thread *at;
	size_t n, room;
};

struct schedscan {
	struct table now, old;
	uint32_t scope_turn;
	uint64_t tick_ns;
	uint64_t now_ns, old_ns; /* of the looks; CLOCK_BOOTTIME, as the start of threads is told */
	int word[NUMBERS];       /* of the statistics */
};

static int schedscan_open(const struct ks__probe *probe, void **ret_state)
{
	struct schedscan *scan = calloc(1, sizeof(*scan));
	long hz = sysconf(_SC_CLK_TCK);

	if (!scan)
		return -ENOMEM;
	for (unsigned i = 0; i < NUMBERS; i++)
		scan->word[i] = ks__rows_word(probe->stats, fields[i]);
	scan->tick_ns = 1000000000u / (uint64_t)(hz > 0 ? hz : 100);
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
	free(scan);
}

static size_t schedscan_bytes(const void *state)
{
	const struct schedscan *scan = state;

	return sizeof(*scan) + (scan->now.room + scan->old.room) * sizeof(struct thread);
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

/* Calls `see` for each number that is a name in a folder. */
static int
each(int proc_fd, const char *folder, int32_t pid, struct schedscan *scan, struct ks__look *look,
     int (*see)(struct schedscan *scan, struct ks__look *look, int32_t pid, int32_t number))
{
	int fd = openat(proc_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (!rc && (e = readdir(dir)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			rc = see(scan, look, pid, atoi(e->d_name));
	closedir(dir);
	return rc;
}

/* ---- threads --------------------------------------------------------------------------------- */

/* 0; negative: it is gone, or not to be read. */
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

/* When it began, CLOCK_BOOTTIME; 0: not known. */
static uint64_t begun_ns(const struct schedscan *scan, int proc_fd, const struct thread *thread)
{
	char path[64], text[FILE_BYTES];
	struct ks__stat stat;
	ssize_t n;

	snprintf(path, sizeof(path), "%d/task/%d/stat", thread->pid, thread->tid);
	n = ks__text_read(proc_fd, path, text, sizeof(text));
	if (n < 0 || ks__columns_stat(text, (size_t)n, &stat))
		return 0;
	return stat.column[KS__STAT_START] * scan->tick_ns;
}

/* What it has done since the last look; of one that was there before it was in scope, nothing. */
static void count(const struct schedscan *scan, struct ks__look *look, const struct thread *now)
{
	const struct thread *old = find(&scan->old, now->tid);
	uint64_t since = scan->old_ns, delta[NUMBERS] = { 0 }, busy;

	if (!scan->old_ns || look->set->flags & KS_ENABLE_NO_STATS)
		return;
	if (old && (old->pid != now->pid || old->number[ONCPU] > now->number[ONCPU]))
		old = NULL; /* another one with its number */
	if (!old) {
		since = begun_ns(scan, look->proc_fd, now);
		if (since + scan->tick_ns <= scan->old_ns)
			return;
	}
	for (unsigned i = 0; i < OFFCPU; i++)
		delta[i] = now->number[i] - (old ? old->number[i] : 0);
	busy = delta[RUNQ] + delta[ONCPU];
	if (scan->now_ns > since + busy)
		delta[OFFCPU] = scan->now_ns - since - busy;
	for (unsigned i = 0; i < NUMBERS; i++)
		look->tally->block[scan->word[i]] += delta[i];
}

static int see_thread(struct schedscan *scan, struct ks__look *look, int32_t pid, int32_t tid)
{
	struct thread thread = { .pid = pid, .tid = tid };

	return read_thread(look->proc_fd, &thread) ? 0 : append(&scan->now, &thread);
}

/* ---- processes ------------------------------------------------------------------------------- */

static int read_stat(int proc_fd, int32_t pid, struct ks__stat *ret)
{
	char path[32], text[FILE_BYTES];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/stat", pid);
	n = ks__text_read(proc_fd, path, text, sizeof(text));
	return n < 0 ? (int)n : ks__columns_stat(text, (size_t)n, ret);
}

static int is_root(const struct ks__scope *scope, int32_t pid)
{
	for (uint32_t i = 0; i < scope->n_pids; i++)
		if (scope->pids[i] == pid)
			return 1;
	return 0;
}

/* Below a root, or it was once: its parents may be gone. */
static int is_in_tree(const struct schedscan *scan, const struct ks__look *look,
		      const struct ks__stat *stat)
{
	struct ks__stat at = *stat;
	const struct thread *known = find(&scan->old, stat->pid);

	if (known && known->pid == stat->pid && scan->scope_turn == look->scope_turn)
		return 1;
	for (unsigned depth = 0; depth < DEPTH && at.pid > 0; depth++) {
		if (is_root(look->scope, at.pid))
			return 1;
		if (read_stat(look->proc_fd, (int32_t)at.column[KS__STAT_PPID], &at))
			return 0;
	}
	return 0;
}

static int see_process(struct schedscan *scan, struct ks__look *look, int32_t unused, int32_t pid)
{
	char folder[32];
	struct ks__stat stat;
	int in_tree = 0, rc;

	(void)unused;
	if (read_stat(look->proc_fd, pid, &stat))
		return 0;
	if (look->scope->kind == KS_SCOPE_TREE)
		in_tree = is_in_tree(scan, look, &stat);
	else if (look->scope->kind == KS_SCOPE_CGROUP)
		in_tree = ks__member_below(look->proc_fd, pid, look->scope->cgroup_path) > 0;
	if (!ks__look_in_scope(look, pid, in_tree, stat.comm))
		return 0;
	snprintf(folder, sizeof(folder), "%d/task", pid);
	rc = each(look->proc_fd, folder, pid, scan, look, see_thread);
	return rc == -ENOMEM ? rc : 0; /* it may be gone */
}

static int walk(struct schedscan *scan, struct ks__look *look)
{
	const struct ks__scope *scope = look->scope;
	int rc = 0;

	if (scope->kind == KS_SCOPE_SELF)
		return see_process(scan, look, 0, look->self);
	if (scope->kind != KS_SCOPE_PIDS)
		return each(look->proc_fd, ".", 0, scan, look, see_process);
	for (uint32_t i = 0; i < scope->n_pids && !rc; i++)
		rc = see_process(scan, look, 0, scope->pids[i]);
	return rc;
}

static int schedscan_look(void *state, struct ks__look *look)
{
	struct schedscan *scan = state;
	struct timespec boot;
	struct table swap;
	int rc;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	scan->now_ns = (uint64_t)boot.tv_sec * 1000000000u + (uint64_t)boot.tv_nsec;
	if (scan->scope_turn != look->scope_turn)
		scan->old_ns = 0; /* another scope begins with what is there */
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
};
