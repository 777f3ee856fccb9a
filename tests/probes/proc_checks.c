/* SPDX-License-Identifier: BSD-2-Clause */
#include "proc_checks.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void proc_watch(struct kt *t, struct work *w, work_fn fn)
{
	work_start(w, fn);
	kt_watch(t, KS_SCOPE_TREE, w->pid);
	kt_enable(t, NULL, 0);
	work_run(w);
	kt_settle(t);
	g_assert_cmpuint(t->lost[KS_LOST_RING] + t->lost[KS_LOST_THROTTLED], ==, 0);
}

void proc_totals(struct kt *t, uint64_t processes, uint64_t threads, uint64_t execs,
		 uint64_t process_exits, uint64_t thread_exits)
{
	struct ks_stats_proc row;
	struct ks_stats_self ledger;

	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.processes, ==, processes);
	g_assert_cmpuint(row.threads, ==, threads);
	g_assert_cmpuint(row.execs, ==, execs);
	g_assert_cmpuint(row.process_exits, ==, process_exits);
	g_assert_cmpuint(row.thread_exits, ==, thread_exits);
	g_assert_cmpuint(row.lifetime_ns.count, ==, process_exits);
	g_assert_cmpuint(kt_count(t, KS_EVENT_PROC_FORK), ==, processes + threads);
	g_assert_cmpuint(kt_count(t, KS_EVENT_PROC_EXEC), ==, execs);
	g_assert_cmpuint(kt_count(t, KS_EVENT_PROC_EXIT), ==, process_exits + thread_exits);
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.submitted, ==, t->n);
	g_assert_cmpuint(ledger.fired, ==, ledger.submitted + ledger.filtered);
	g_assert_cmpuint(kt_field(&row, KS_STATS_PROC, "processes", 0), ==, processes);
}

struct ks_reader *proc_reader(struct kt *t)
{
	const struct ks_reader_opts opts = { .size = sizeof(opts), .by = KS_BY_ROLE };
	struct ks_reader *reader;

	ks_assert_ok(t->ks, ks_reader_new(t->ks, t->probe, &opts, &reader));
	return reader;
}

void proc_same_rows(struct kt *t, struct ks_reader *reader)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_proc *row;
	struct ks_stats_proc total;

	kt_total(t, &total, sizeof(total));
	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	g_assert_cmpuint(stats.n_rows, ==, 1);
	row = ks_stats_row(&stats, 0);
	g_assert_cmpuint(row->processes, ==, total.processes);
	g_assert_cmpuint(row->threads, ==, total.threads);
	g_assert_cmpuint(row->execs, ==, total.execs);
	g_assert_cmpuint(row->process_exits, ==, total.process_exits);
	g_assert_cmpuint(row->thread_exits, ==, total.thread_exits);
	g_assert_cmpuint(row->failed, ==, total.failed);
	g_assert_cmpuint(row->killed, ==, total.killed);
	g_assert_cmpuint(row->lifetime_ns.count, ==, total.lifetime_ns.count);
	g_assert_cmpuint(row->lifetime_ns.sum, ==, total.lifetime_ns.sum);
	ks_reader_free(reader);
}

static const struct ks_event_proc_exit *end_between(const struct kt *t, int32_t tid, uint64_t from,
						    uint64_t to)
{
	const struct ks_event_proc_exit *ev, *found = NULL;
	size_t at = 0;

	while ((ev = kt_next(t, KS_EVENT_PROC_EXIT, &at))) {
		if (ev->ev.tid != tid || ev->ev.time_ns < from || ev->ev.time_ns > to)
			continue;
		g_assert_null(found);
		found = ev;
	}
	g_assert_nonnull(found);
	return found;
}

const struct ks_event_proc_exit *proc_end_of(const struct kt *t, int32_t tid)
{
	return end_between(t, tid, 0, UINT64_MAX);
}

const struct ks_event_proc_exit *proc_end_of_child(const struct kt *t, const struct proc_child *c)
{
	return end_between(t, c->pid, c->begin_ns, c->end_ns);
}

const struct ks_event_proc_fork *proc_begin_of(const struct kt *t, const struct proc_child *c)
{
	const struct ks_event_proc_fork *ev, *found = NULL;
	size_t at = 0;

	while ((ev = kt_next(t, KS_EVENT_PROC_FORK, &at))) {
		if (ev->child_tid != c->pid || ev->ev.time_ns < c->begin_ns ||
		    ev->ev.time_ns > c->end_ns)
			continue;
		g_assert_null(found);
		found = ev;
	}
	g_assert_nonnull(found);
	return found;
}

void proc_ended_as(const struct ks_event_proc_exit *ev, int status)
{
	g_assert_true(ev->valid & KS_HAS_PROC_STATUS);
	g_assert_cmpint(ev->status, ==, WIFEXITED(status) ? WEXITSTATUS(status) : 0);
	g_assert_cmpint(ev->signal, ==, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	g_assert_cmpint(ev->core_dumped, ==, WIFSIGNALED(status) && WCOREDUMP(status) ? 1 : 0);
	g_assert_cmpint(kt_field(ev, KS_EVENT_PROC_EXIT, "status", 0), ==, ev->status);
	g_assert_cmpint(kt_field(ev, KS_EVENT_PROC_EXIT, "signal", 0), ==, ev->signal);
}

int proc_walks_far(const struct kt *t)
{
	return kt_kernel_has("bpf_iter_num_next") &&
	       !(t->features_off & (KS_FEATURE_ITER_NUM | KS_FEATURE_RDONLY_CAST));
}

void *proc_note_tid(void *arg)
{
	*(int32_t *)arg = (int32_t)syscall(SYS_gettid);
	return NULL;
}

void proc_gone(pid_t pid)
{
	char path[64], line[256], *state;
	FILE *f;
	int gone = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	while (!gone) {
		f = fopen(path, "re");
		state = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
		gone = state && state[2] == 'Z';
		if (f)
			fclose(f);
		sched_yield();
	}
}

void proc_remove_dir(const char *dir)
{
	GDir *d = g_dir_open(dir, 0, NULL);
	const char *name;

	while (d && (name = g_dir_read_name(d))) {
		char *path = g_build_filename(dir, name, NULL);

		unlink(path);
		g_free(path);
	}
	if (d)
		g_dir_close(d);
	rmdir(dir);
}
