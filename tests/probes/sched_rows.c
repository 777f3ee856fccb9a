/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that readers can tell when a row of `sched` changes under them: its seq is odd while a
 * program writes, grows by 2 with each interval that ends, and is even while the thread sleeps.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf/shared.h"
#include "support/harness.h"
#include "support/ks_test.h"
#include "support/map_named.h"

#define NAPS 50
#define ASLEEP 3 /* ks_bpf_open.state */

enum { WAIT, NAP, NAP_ON, END };

static void futex(const int *word, int op, int value)
{
	syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static int is_told(const int *turn, int what)
{
	return __atomic_load_n(turn, __ATOMIC_SEQ_CST) == what;
}

/* Naps as often as it is told, and sleeps otherwise. */
static int nap(void *page)
{
	int *turn = page;

	work_pin(0);
	while (!is_told(turn, END)) {
		futex(turn, FUTEX_WAIT, WAIT);
		for (unsigned i = 0; is_told(turn, NAP) && i < NAPS; i++)
			usleep(50);
		while (is_told(turn, NAP_ON))
			usleep(1);
		if (is_told(turn, NAP))
			__atomic_store_n(turn, WAIT, __ATOMIC_SEQ_CST);
	}
	return 0;
}

static void tell(struct work *w, int turn)
{
	__atomic_store_n((int *)w->page, turn, __ATOMIC_SEQ_CST);
	futex(w->page, FUTEX_WAKE, INT_MAX);
}

/* Maps an array of the handle into memory, for good. */
static const char *array_of(const char *name, struct bpf_map_info *ret)
{
	int fd = map_named(name, ret);
	void *at = mmap(NULL, (size_t)ret->value_size * ret->max_entries, PROT_READ, MAP_SHARED, fd,
			0);

	g_assert_true(at != MAP_FAILED);
	return at;
}

static const volatile struct ks_bpf_row_sched *row_of(uint32_t tid)
{
	struct bpf_map_info info;
	const struct ks_bpf_thread *threads = (const void *)array_of("ks_threads", &info);
	uint32_t slot = 0, n = info.max_entries;
	const struct ks_bpf_row_sched *rows = (const void *)array_of("sched_rows", &info);

	g_assert_cmpuint(info.value_size, ==, sizeof(*rows));
	while (slot < n && (threads[slot].state != KS_THREAD_LIVE || threads[slot].tid != tid))
		slot++;
	g_assert_cmpuint(slot, <, n);
	return &rows[info.max_entries - n + slot]; /* those of CPUs come first */
}

/* Waits until the row, or the word, has what is asked for. */
#define until(condition)                                                  \
	do {                                                              \
		int64_t end_ = g_get_monotonic_time() + KS_TEST_LONG_US;  \
		while (!(condition)) {                                    \
			g_assert_cmpint(g_get_monotonic_time(), <, end_); \
			sched_yield();                                    \
		}                                                         \
	} while (0)

static void nap_once(struct work *w)
{
	tell(w, NAP);
	until(is_told(w->page, WAIT));
}

static uint64_t intervals(const volatile struct ks_bpf_row_sched *row)
{
	return row->runq_ns.count + row->oncpu_ns.count + row->offcpu_ns.count;
}

static void sequence(struct kt *t)
{
	const volatile struct ks_bpf_row_sched *row;
	uint64_t ended;
	struct work w;
	uint32_t seq;

	work_start(&w, nap);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, NULL, 0);
	work_go(&w);
	nap_once(&w);
	row = row_of((uint32_t)w.pid);
	until(row->open.state == ASLEEP);
	seq = row->open.seq;
	ended = intervals(row);
	g_assert_cmpuint(seq % 2, ==, 0);
	nap_once(&w);
	until(row->open.state == ASLEEP);
	ended = intervals(row) - ended;
	g_assert_cmpuint(ended, >, 0); /* a short nap may be over before the thread sleeps */
	g_assert_cmpuint(row->open.seq - seq, ==, 2 * ended);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
		work_pin(1);
		tell(&w, NAP_ON);
		until(row->open.seq % 2);
		work_unpin();
	}
	tell(&w, END);
	work_wait(&w);
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	work_free(&w);
}

static void add(void)
{
	kt_add(KS_PROBE_SCHED, "sequence", KT_FEATURES, sequence);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
