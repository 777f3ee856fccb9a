/* SPDX-License-Identifier: BSD-2-Clause */
/* sched_cast.c - see sched_cast.h */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "config.h"
#if KS_HAVE_BPF
#include <bpf/btf.h>
#endif

#include "sched_cast.h"
#include "support/ks_test.h"

void cast_wait(struct cast *cast, uint32_t step)
{
	uint32_t now;

	while ((now = __atomic_load_n(&cast->step, __ATOMIC_ACQUIRE)) < step)
		syscall(SYS_futex, &cast->step, FUTEX_WAIT, now, NULL, NULL, 0);
}

void cast_next(struct cast *c)
{
	__atomic_fetch_add(&c->step, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &c->step, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static int text_of(pid_t pid, int32_t tid, const char *file, char *buf, size_t size)
{
	char path[64];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, file);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	n = fread(buf, 1, size - 1, f);
	buf[n] = 0;
	fclose(f);
	return 0;
}

struct cast_counts cast_counts(pid_t pid, int32_t tid)
{
	struct cast_counts c = { 0 };
	char text[4096], *at;

	g_assert_cmpint(text_of(pid, tid, "status", text, sizeof(text)), ==, 0);
	at = strstr(text, "\nvoluntary_ctxt_switches:");
	g_assert_nonnull(at);
	c.voluntary = g_ascii_strtoull(strchr(at, ':') + 1, NULL, 10);
	at = strstr(text, "\nnonvoluntary_ctxt_switches:");
	c.preempted = g_ascii_strtoull(strchr(at, ':') + 1, NULL, 10);
	g_assert_cmpint(text_of(pid, tid, "schedstat", text, sizeof(text)), ==, 0);
	c.run_ns = g_ascii_strtoull(text, &at, 10);
	c.wait_ns = g_ascii_strtoull(at, NULL, 10);
	return c;
}

unsigned cast_threads(pid_t pid)
{
	char text[4096], *at;

	g_assert_cmpint(text_of(pid, pid, "status", text, sizeof(text)), ==, 0);
	at = strstr(text, "\nThreads:");
	g_assert_nonnull(at);
	return (unsigned)g_ascii_strtoull(strchr(at, ':') + 1, NULL, 10);
}

/*
 * Returns whether the thread sleeps in futex() on this word with this value; word 0: on any.
 * Reading the file waits until the thread is on no CPU and in no queue. The state in /proc alone is
 * not enough: it changes earlier, and the thread may be preempted in between.
 */
static int sleeps_on(pid_t pid, int32_t tid, uintptr_t word, uint32_t value)
{
	unsigned long at, how, is;
	char text[256];
	long call;

	g_assert_cmpint(text_of(pid, tid, "syscall", text, sizeof(text)), ==, 0);
	if (sscanf(text, "%ld %lx %lx %lx", &call, &at, &how, &is) < 4 || call != SYS_futex)
		return 0;
	return !word || (at == word && (uint32_t)is == value);
}

void cast_asleep(pid_t pid, int32_t tid)
{
	while (!sleeps_on(pid, tid, 0, 0))
		sched_yield();
}

void cast_all_asleep(const struct work *w, const struct cast *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		while (!__atomic_load_n(&c->tid[i], __ATOMIC_ACQUIRE) ||
		       !sleeps_on(w->pid, c->tid[i], (uintptr_t)&c->step, c->step))
			sched_yield();
}

/* ---- rows ----------------------------------------------------------------------------------- */

struct ks_reader *cast_reader(struct kt *t, uint32_t by)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = by };
	struct ks_reader *reader;

	ks_assert_ok(t->ks, ks_reader_new(t->ks, t->probe, &opts, &reader));
	return reader;
}

int cast_row(struct ks_reader *reader, uint32_t by, uint64_t key, struct ks_stats_sched *ret)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_sched *row;

	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	for (size_t i = 0; (row = ks_stats_row(&stats, i)); i++)
		if (row->row.by == by && row->row.key == key) {
			*ret = *row;
			return 1;
		}
	return 0;
}

void cast_nap(long ns)
{
	struct timespec t = { .tv_nsec = ns };

	nanosleep(&t, NULL);
}

#if KS_HAVE_BPF
int cast_state_passed(void)
{
	struct btf *types = btf__load_vmlinux_btf();
	const struct btf_type *t = NULL;
	int32_t id;
	int passed;

	g_assert_nonnull(types);
	id = btf__find_by_name_kind(types, "btf_trace_sched_switch", BTF_KIND_TYPEDEF);
	g_assert_cmpint(id, >, 0);
	t = btf__type_by_id(types, (uint32_t)id);
	t = btf__type_by_id(types, t->type); /* the pointer */
	t = btf__type_by_id(types, t->type); /* the function, whose first argument is hidden */
	passed = btf_vlen(t) == 1 + 4;
	btf__free(types);
	return passed;
}
#else
int cast_state_passed(void)
{
	return 0; /* without kernel programs there are no records of sleeps */
}
#endif

/* TASK_RTLOCK_WAIT, only under PREEMPT_RT: the thread waits for a lock of the kernel. */
#define RTLOCK_WAIT 0x1000

void cast_check_state(const struct ks_event_sched_block *rec, int passed)
{
	if (!passed && rec->valid == KS_HAS_SCHED_OFFCPU) {
		g_assert_cmpuint(rec->sleep_state, ==, 0);
		return;
	}
	g_assert_cmpuint(rec->valid, ==, KS_HAS_SCHED_OFFCPU | KS_HAS_SCHED_SLEEP);
	if (rec->sleep_state == RTLOCK_WAIT && !access("/sys/kernel/realtime", F_OK))
		return;
	g_assert_cmpuint(rec->sleep_state & 3, !=, 0); /* interruptible, or not */
	g_assert_cmpuint(rec->sleep_state & 3, !=, 3);
	g_assert_cmpuint(rec->sleep_state & 0x200, ==, 0); /* TASK_WAKING */
}
