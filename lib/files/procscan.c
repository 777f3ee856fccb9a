/* SPDX-License-Identifier: BSD-2-Clause */
/* procscan.c - finds events of processes by comparing two walks over /proc */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../base/file.h"
#include "../data/rows.h"
#include "../ks.h"
#include "columns.h"
#include "kv.h"
#include "member.h"
#include "scan.h"
#include "starts.h"
#include "../base/text.h"

#define STATUS_BYTES 4096

/* PF_... flags of a process: ABI since 2.6, but no header of user space defines them */
#define PF_EXITING 0x00000004
#define PF_FORKNOEXEC 0x00000040
#define PF_KTHREAD 0x00200000

enum tree { TREE_UNKNOWN, TREE_OUT, TREE_IN };

struct process {
	uint64_t ticks; /* start time in the file's unit: with pid it identifies the process */
	uint64_t start_ns;
	uint64_t code, stack; /* addresses that exec has chosen; stack 0: no permission */
	int32_t pid, ppid, session;
	uint32_t flags;
	char comm[16];
	uint8_t tree;
	uint8_t dead;
	uint8_t knows_start;
};

/* In ascending order of pid. */
struct table {
	struct process *at;
	size_t n, room;
};

struct procscan {
	struct table now, old;
	uint32_t probe, scope_turn;
	int begun;
	int forks, execs, exits; /* indexes of words in the statistics */
	uint64_t tick_ns;
	struct ks__starts starts;
	int64_t ahead_ns; /* CLOCK_BOOTTIME minus CLOCK_MONOTONIC: time that the machine slept */
};

static int procscan_open(const struct ks__probe *probe, void **ret_state)
{
	struct procscan *scan = calloc(1, sizeof(*scan));

	if (!scan)
		return -ENOMEM;
	scan->probe = probe->id;
	scan->forks = ks__rows_word(probe->stats, "processes");
	scan->execs = ks__rows_word(probe->stats, "execs");
	scan->exits = ks__rows_word(probe->stats, "process_exits");
	scan->tick_ns = ks__columns_tick_ns();
	*ret_state = scan;
	return 0;
}

static void procscan_close(void *state)
{
	struct procscan *scan = state;

	if (!scan)
		return;
	free(scan->now.at);
	free(scan->old.at);
	free(scan);
}

static size_t procscan_bytes(const void *state)
{
	const struct procscan *scan = state;

	return sizeof(*scan) + (scan->now.room + scan->old.room) * sizeof(struct process);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static int by_pid(const void *a, const void *b)
{
	const struct process *p = a, *q = b;

	return (p->pid > q->pid) - (p->pid < q->pid);
}

/* procfs usually lists processes in this order already. */
static void sort(struct table *table)
{
	size_t i = 1;

	while (i < table->n && table->at[i - 1].pid < table->at[i].pid)
		i++;
	if (i < table->n)
		qsort(table->at, table->n, sizeof(*table->at), by_pid);
}

static struct process *find(const struct table *table, int32_t pid)
{
	struct process key = { .pid = pid };

	return table->n ? bsearch(&key, table->at, table->n, sizeof(key), by_pid) : NULL;
}

/* Room for one more. The table doubles, so in the long run nothing is allocated. */
static struct process *append(struct table *table)
{
	size_t room = table->room ? 2 * table->room : 256;
	struct process *grown;

	if (table->n == table->room) {
		grown = reallocarray(table->at, room, sizeof(*grown));
		if (!grown)
			return NULL;
		table->at = grown;
		table->room = room;
	}
	return &table->at[table->n++];
}

/* ---- reading --------------------------------------------------------------------------------- */

static struct process describe(const struct procscan *scan, int32_t pid,
			       const struct ks__stat *stat)
{
	const uint64_t *column = stat->column;
	struct process p = {
		.pid = pid,
		.ppid = (int32_t)column[KS__STAT_PPID],
		.session = (int32_t)column[KS__STAT_SESSION],
		.flags = (uint32_t)column[KS__STAT_FLAGS],
		.ticks = column[KS__STAT_START],
		.code = column[KS__STAT_CODE],
		.stack = column[KS__STAT_STACK],
		/* a leader that ended before its threads also looks like a zombie */
		.dead = (stat->state == 'Z' || stat->state == 'X') && column[KS__STAT_THREADS] <= 1,
	};
	int64_t start;

	p.knows_start = !ks__starts_ns(&scan->starts, p.ticks, scan->tick_ns, &start);
	if (p.knows_start)
		p.start_ns = (uint64_t)(start - scan->ahead_ns);
	memcpy(p.comm, stat->comm, sizeof(p.comm));
	return p;
}

/* Is the process inside exec? Its new program is not in place yet; its comm may be the old one. */
static int is_within_exec(const struct process *p)
{
	return !p->code && !(p->flags & (PF_EXITING | PF_KTHREAD));
}

/*
 * Adds a process to the table. A process is gone only if its file does not exist. If the file
 * cannot be read now (no permission), the entry of the last walk stays. For want of a descriptor or
 * memory the walk fails: else the next one would report old processes as new.
 */
static int see(struct procscan *scan, struct ks__look *look, int32_t pid)
{
	const struct process *known = find(&scan->old, pid);
	struct process *p;
	struct ks__stat stat;
	int rc = ks__columns_read_stat(look->proc_fd, pid, &stat);

	if (ks__text_shortage(rc))
		return rc;
	if (rc == -ENOENT || rc == -ESRCH)
		return 0;
	if (rc == -EINVAL || rc == -ERANGE)
		look->tally->outcome[KS_MALFORMED]++;
	if (rc && !known)
		return 0;
	p = append(&scan->now);
	if (!p)
		return -ENOMEM;
	*p = rc ? *known : describe(scan, pid, &stat);
	if (!known || known->ticks != p->ticks) {
		if (is_within_exec(p))
			p->flags |= PF_FORKNOEXEC; /* the next look reports its exec */
	} else if (is_within_exec(p)) {
		*p = *known;
	} else {
		if (known->knows_start)
			p->start_ns =
				known->start_ns; /* ahead_ns changes when the machine sleeps */
		p->tree = known->tree;
	}
	return 0;
}

struct walk {
	struct procscan *scan;
	struct ks__look *look;
};

static int see_number(void *user, int32_t pid)
{
	const struct walk *w = user;

	return see(w->scan, w->look, pid);
}

static int walk(struct procscan *scan, struct ks__look *look)
{
	struct walk w = { scan, look };
	int rc;

	scan->now.n = 0;
	scan->ahead_ns = ks__clock_ahead(CLOCK_BOOTTIME, CLOCK_MONOTONIC);
	rc = ks__starts_find(&scan->starts, look->proc_fd);
	if (rc == -ENOMEM)
		return rc;
	rc = ks__file_numbers(look->proc_fd, ".", see_number, &w);
	sort(&scan->now);
	return rc;
}

/* ---- the tree -------------------------------------------------------------------------------- */

/* Finds a process in this walk, else in the last one. */
static struct process *find_either(struct procscan *scan, int32_t pid)
{
	struct process *p = find(&scan->now, pid);

	return p ? p : find(&scan->old, pid);
}

/* Climbs to the first ancestor with a known place, then gives that place to all on the path. */
static void place(struct procscan *scan, struct process *from)
{
	size_t steps = scan->now.n + scan->old.n; /* ends a circle of parents */
	struct process *p = from;
	enum tree tree;

	while (p && p->tree == TREE_UNKNOWN && steps--)
		p = find_either(scan, p->ppid);
	tree = p && p->tree == TREE_IN ? TREE_IN : TREE_OUT;
	for (p = from; p && p->tree == TREE_UNKNOWN; p = find_either(scan, p->ppid))
		p->tree = (uint8_t)tree;
}

/*
 * Marks the roots of a new tree. Only processes of this table are roots, not a later process that
 * gets the pid of one.
 */
static void plant(struct procscan *scan, struct table *table, const struct ks__look *look)
{
	size_t i;

	for (i = 0; i < table->n; i++)
		table->at[i].tree = TREE_UNKNOWN;
	for (i = 0; i < look->scope->n_pids; i++) {
		struct process *root = find(table, look->scope->pids[i]);

		if (root && ks__look_is_named(look, root->pid, root->ticks))
			root->tree = TREE_IN;
	}
	scan->scope_turn = look->scope_turn;
}

/* Places all processes of the table. */
static void grow(struct procscan *scan, struct table *table)
{
	size_t i;

	for (i = 0; i < table->n; i++)
		if (table->at[i].tree == TREE_UNKNOWN)
			place(scan, &table->at[i]);
}

/*
 * Finds which processes are in the cgroup of the scope. Processes move between cgroups, so each
 * look reads that again. A process that is gone keeps its last place.
 */
static void ask_cgroups(struct procscan *scan, const struct ks__look *look)
{
	for (size_t i = 0; i < scan->now.n; i++) {
		struct process *p = &scan->now.at[i];
		int below = ks__member_below(look->proc_fd, p->pid, look->scope->cgroup_path);

		if (below >= 0)
			p->tree = below ? TREE_IN : TREE_OUT;
	}
}

/* ---- records --------------------------------------------------------------------------------- */

static uint64_t start(const struct process *p)
{
	return p->knows_start ? KS_HAS_PROC_START : 0;
}

static void put_fork(struct ks__look *look, uint32_t weight, const struct process *child,
		     const char *comm)
{
	struct ks_event_proc_fork e = {
		.valid = start(child),
		.start_ns = child->start_ns,
		.child_pid = child->pid,
		.child_tid = child->pid,
	};

	ks__look_head(look, sizeof(e), KS_EVENT_PROC_FORK, child->ppid, comm, &e.ev);
	ks__look_put(look, &e.ev, weight);
}

static void read_uid(int proc_fd, struct ks_event_proc_exec *e)
{
	char path[32], text[STATUS_BYTES];
	uint64_t uid;
	ssize_t n;

	snprintf(path, sizeof(path), "%d/status", e->ev.pid);
	n = ks__text_read(proc_fd, path, text, sizeof(text));
	if (n < 0 || ks__kv_number(text, (size_t)n, "Uid", 0, &uid) || uid > UINT32_MAX)
		return;
	e->valid |= KS_HAS_PROC_UID;
	e->uid = (uint32_t)uid;
}

static void read_path(int proc_fd, struct ks_event_proc_exec *e)
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "%d/exe", e->ev.pid);
	n = readlinkat(proc_fd, link, e->path, sizeof(e->path));
	if (n < 0)
		return;
	e->valid |= KS_HAS_PROC_PATH;
	if ((size_t)n == sizeof(e->path)) {
		e->path[n - 1] = '\0';
		e->ev.flags |= KS_FLAG_CUT;
	}
}

/* The number 0 means: not visible in the pid namespace of this procfs, or none. */
static uint64_t family(const struct process *p)
{
	return (p->ppid ? KS_HAS_PROC_PARENT : 0) | (p->session ? KS_HAS_PROC_SESSION : 0);
}

static void put_exec(struct ks__look *look, uint32_t weight, const struct process *p)
{
	struct ks_event_proc_exec e = {
		.valid = start(p) | family(p),
		.start_ns = p->start_ns,
		.ppid = p->ppid,
		.session = p->session,
	};

	ks__look_head(look, sizeof(e), KS_EVENT_PROC_EXEC, p->pid, p->comm, &e.ev);
	read_uid(look->proc_fd, &e);
	read_path(look->proc_fd, &e);
	ks__look_put(look, &e.ev, weight);
}

static void put_exit(struct ks__look *look, uint32_t weight, const struct process *p)
{
	struct ks_event_proc_exit e = {
		.valid = start(p) | family(p),
		.start_ns = p->start_ns,
		.ppid = p->ppid,
		.session = p->session,
	};

	ks__look_head(look, sizeof(e), KS_EVENT_PROC_EXIT, p->pid, p->comm, &e.ev);
	ks__look_put(look, &e.ev, weight);
}

/* ---- events ---------------------------------------------------------------------------------- */

static uint32_t count(const struct procscan *scan, struct ks__look *look, const struct process *p,
		      int word)
{
	int in = ks__look_in_scope(look, p->pid, p->ticks, p->tree == TREE_IN, p->comm);

	return ks__look_count(look, scan->probe, in, word);
}

static void exited(struct procscan *scan, struct ks__look *look, const struct process *p)
{
	uint32_t weight = count(scan, look, p, scan->exits);

	if (weight)
		put_exit(look, weight, p);
}

static void executed(struct procscan *scan, struct ks__look *look, const struct process *p)
{
	uint32_t weight = count(scan, look, p, scan->execs);

	if (weight)
		put_exec(look, weight, p);
}

/*
 * The scope applies to the parent. It may be invisible: ppid 0 is the kernel or a process of
 * another pid namespace.
 */
static void forked(struct procscan *scan, struct ks__look *look, const struct process *child)
{
	const struct process nobody = { .pid = child->ppid };
	const struct process *parent = find_either(scan, child->ppid);
	uint32_t weight = count(scan, look, parent ? parent : &nobody, scan->forks);

	if (weight)
		put_fork(look, weight, child, parent ? parent->comm : nobody.comm);
}

static int has_executed(const struct process *old, const struct process *now)
{
	if (now->flags & PF_KTHREAD) /* kernel workers change their comm all the time */
		return 0;
	if (old->flags & ~now->flags & PF_FORKNOEXEC)
		return 1;
	if (old->stack && now->stack)
		return old->stack != now->stack || old->code != now->code;
	return strcmp(old->comm, now->comm) != 0;
}

static void appeared(struct procscan *scan, struct ks__look *look, const struct process *p)
{
	forked(scan, look, p);
	if (!(p->flags & (PF_FORKNOEXEC | PF_KTHREAD)))
		executed(scan, look, p);
	if (p->dead)
		exited(scan, look, p);
}

static void vanished(struct procscan *scan, struct ks__look *look, const struct process *p)
{
	if (!p->dead)
		exited(scan, look, p);
}

static void changed(struct procscan *scan, struct ks__look *look, const struct process *old,
		    const struct process *now)
{
	if (has_executed(old, now))
		executed(scan, look, now);
	if (now->dead && !old->dead)
		exited(scan, look, now);
}

/*
 * Compares the tables pid by pid. If two processes had the same pid in turn, the exit of the first
 * one comes before the fork of the second one.
 */
static void compare(struct procscan *scan, struct ks__look *look)
{
	const struct process *old = scan->old.at, *old_end = old + scan->old.n;
	const struct process *now = scan->now.at, *now_end = now + scan->now.n;

	while (old < old_end || now < now_end) {
		if (now == now_end || (old < old_end && old->pid < now->pid)) {
			vanished(scan, look, old++);
		} else if (old == old_end || now->pid < old->pid) {
			appeared(scan, look, now++);
		} else if (old->ticks != now->ticks) {
			vanished(scan, look, old++);
			appeared(scan, look, now++);
		} else {
			changed(scan, look, old++, now++);
		}
	}
}

static int procscan_look(void *state, struct ks__look *look)
{
	struct procscan *scan = state;
	struct table swap;
	int rc;

	/* before the walk: new processes get into the tree only by their parents */
	if (scan->begun && scan->scope_turn != look->scope_turn) {
		plant(scan, &scan->old, look);
		scan->now.n = 0;
		grow(scan, &scan->old);
	}
	rc = walk(scan, look);
	if (rc)
		return rc;
	if (!scan->begun)
		plant(scan, &scan->now, look);
	if (look->scope->kind == KS_SCOPE_CGROUP)
		ask_cgroups(scan, look);
	else
		grow(scan, &scan->now);
	look->now_ns = ks__now();
	if (scan->begun)
		compare(scan, look);
	scan->begun = 1;
	swap = scan->old;
	scan->old = scan->now;
	scan->now = swap;
	return 0;
}

static const char *const files[] = { "PID/stat", "PID/status", "PID/exe", NULL };

const struct ks__scan ks__scan_proc = {
	.files = files,
	.open = procscan_open,
	.close = procscan_close,
	.look = procscan_look,
	.bytes = procscan_bytes,
	.misses_ends = 1,
	.sees_processes = 1,
};
