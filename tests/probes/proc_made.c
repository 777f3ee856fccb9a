/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that every variant records threads that the kernel makes in a process by itself as it does
 * other threads: those of io_uring, as many as /proc lists.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc_checks.h"

#define ENTRIES 8
#define MADE_MAX 64
#define NO_RING 77 /* exit status: io_uring is not allowed here */

struct made {
	uint32_t n;
	int32_t tid[MADE_MAX];
};

/* ---- io_uring without a library -------------------------------------------------------------- */

struct ring {
	struct io_uring_params params;
	int fd;
	char *sq;
	struct io_uring_sqe *sqes;
};

static int open_ring(struct ring *r, unsigned flags)
{
	const struct io_uring_params *p = &r->params;

	memset(r, 0, sizeof(*r));
	r->params.flags = flags;
	r->params.sq_thread_idle = 1000;
	r->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &r->params);
	if (r->fd < 0)
		return 0;
	r->sq = mmap(NULL, p->sq_off.array + p->sq_entries * 4, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, p->sq_entries * sizeof(*r->sqes), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	return r->sq != MAP_FAILED && (void *)r->sqes != MAP_FAILED;
}

/* Has a worker do nothing, and waits until that is done. */
static int ask_worker(struct ring *r)
{
	uint32_t *tail = (void *)(r->sq + r->params.sq_off.tail);
	uint32_t mask = *(uint32_t *)(void *)(r->sq + r->params.sq_off.ring_mask);
	uint32_t *array = (void *)(r->sq + r->params.sq_off.array);
	uint32_t at = *tail & mask;

	memset(&r->sqes[at], 0, sizeof(r->sqes[at]));
	r->sqes[at].opcode = IORING_OP_NOP;
	r->sqes[at].flags = IOSQE_ASYNC;
	array[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1;
}

/* ---- the process ----------------------------------------------------------------------------- */

static int list_threads(struct made *made)
{
	GDir *dir = g_dir_open("/proc/self/task", 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		int32_t tid = atoi(name);

		if (tid != getpid() && made->n < MADE_MAX)
			made->tid[made->n++] = tid;
	}
	if (!dir)
		return 0;
	g_dir_close(dir);
	return 1;
}

static int use_rings(void *page)
{
	struct ring poller, plain;

	if (!open_ring(&poller, IORING_SETUP_SQPOLL) || !open_ring(&plain, 0))
		return NO_RING;
	if (!ask_worker(&plain))
		return 1;
	return !list_threads(page);
}

static unsigned begins_of(const struct kt *t, int32_t tid)
{
	const struct ks_event_proc_fork *ev;
	unsigned n = 0;
	size_t at = 0;

	while ((ev = kt_next(t, KS_EVENT_PROC_FORK, &at)))
		n += ev->child_tid == tid && ev->thread && ev->child_pid == ev->ev.pid;
	return n;
}

/* Before 5.12 they are kernel threads and no threads of the process: /proc lists none. */
static void rings(struct kt *t)
{
	const struct made *made;
	struct work w;

	proc_watch(t, &w, use_rings);
	made = w.page;
	if (w.status == NO_RING << 8) {
		g_test_skip("io_uring may not be used here");
		work_free(&w);
		return;
	}
	g_assert_cmpint(w.status, ==, 0);
	g_test_message("%u threads", made->n);
	proc_totals(t, 0, made->n, 0, 1, made->n);
	for (uint32_t i = 0; i < made->n; i++) {
		g_assert_cmpuint(begins_of(t, made->tid[i]), ==, 1);
		g_assert_cmpint(proc_end_of(t, made->tid[i])->ev.pid, ==, w.pid);
	}
	work_free(&w);
}

static void add(void)
{
	kt_add(KS_PROBE_PROC, "io-uring", KT_FEATURES, rings);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
