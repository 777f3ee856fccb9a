/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the record of a process's end has the usage that wait4() and /proc give: CPU time,
 * peak memory, faults, block I/O; and its identity: parent, session, start.
 *
 * Bounds: CPU time, one tick of 10 ms per thread, since a thread's last tick is not counted yet
 * when it ends, plus the time from the end to the wait. Peak memory, RSS_SLACK, since the kernel
 * counts pages per CPU in batches. Faults, those of the process's way out.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proc_checks.h"

#define TICK_NS 10000000
#define RSS_SLACK (1u << 20)
#define EXIT_FAULTS 16

struct usage_page {
	uint64_t read_bytes, write_bytes; /* from /proc/self/io just before the end */
	int32_t pid, tid;
	uint64_t thread_ns;                /* CPU time of the thread just before its end */
	uint64_t start_ticks, child_ticks; /* from /proc/PID/stat */
	int32_t child, grandchild;
};

static uint64_t in_ns(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_usec * 1000;
}

static uint64_t cpu_now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* ---- CPU time -------------------------------------------------------------------------------- */

#define USER_NS 200000000
#define SYSTEM_NS 100000000

static void burn_user(uint64_t ns)
{
	uint64_t until = cpu_now(CLOCK_THREAD_CPUTIME_ID) + ns;
	volatile unsigned i;

	while (cpu_now(CLOCK_THREAD_CPUTIME_ID) < until)
		for (i = 0; i < 100000; i++)
			;
}

static void burn_system(uint64_t ns)
{
	uint64_t until = cpu_now(CLOCK_THREAD_CPUTIME_ID) + ns;
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	char *buf = malloc(1 << 20);

	while (buf && cpu_now(CLOCK_THREAD_CPUTIME_ID) < until)
		if (read(fd, buf, 1 << 20) <= 0)
			break;
	free(buf);
	close(fd);
}

static int busy(void *page)
{
	(void)page;
	burn_user(USER_NS);
	burn_system(SYSTEM_NS);
	return 0;
}

/*
 * CPU time since the last tick is added after the hook, and a tick is late when the CPU was taken
 * away. The kernel splits CPU time into user and system time by ticks, and a hypervisor takes ticks
 * away as well. With few ticks, one more or less between the end and the wait makes a great
 * difference.
 */
static char *other_cpu(const struct ks_event_proc_exit *end, const struct work *w, unsigned threads)
{
	uint64_t user = in_ns(w->usage.ru_utime), system = in_ns(w->usage.ru_stime);
	uint64_t bound = threads * TICK_NS + (w->end_ns - end->ev.time_ns);

	g_assert_true(end->valid & KS_HAS_PROC_CPU);
	if (apart(end->user_ns + end->system_ns, user + system) > bound)
		return ks_test_outside("difference of CPU time",
				       apart(end->user_ns + end->system_ns, user + system), 0,
				       bound);
	if (apart(end->user_ns, user) <= bound)
		return ks_test_outside("difference of system time", apart(end->system_ns, system),
				       0, bound);
	return ks_test_outside("difference of user time", apart(end->user_ns, user), 0, bound);
}

static char *cpu_once(void *user)
{
	const struct ks_event_proc_exit *end;
	struct kt *t = user;
	struct work w;
	char *wrong;

	kt_forget(t);
	proc_watch(t, &w, busy);
	end = proc_end_of(t, w.pid);
	wrong = other_cpu(end, &w, 1);
	/* where ticks fall is chance: at least half of the burnt time must be there */
	if (!wrong)
		wrong = ks_test_outside("user time", end->user_ns, USER_NS / 2, UINT64_MAX);
	if (!wrong)
		wrong = ks_test_outside("system time", end->system_ns, SYSTEM_NS / 2, UINT64_MAX);
	work_free(&w);
	return wrong;
}

static void cpu(struct kt *t)
{
	ks_test_rounds(cpu_once, t);
}

static void *busy_thread(void *arg)
{
	struct usage_page *page = arg;

	proc_note_tid(&page->tid);
	burn_user(USER_NS / 2);
	page->thread_ns = cpu_now(CLOCK_THREAD_CPUTIME_ID);
	return NULL;
}

static int busy_threads(void *page)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, busy_thread, page))
		return 1;
	burn_system(USER_NS / 4);
	pthread_join(thread, NULL);
	return 0;
}

/*
 * A process's usage includes that of all its threads, also of ended ones; a thread's usage is its
 * own. The threads do different things, so that a sum which leaves out a thread has a wrong split.
 */
static char *threads_once(void *user)
{
	const struct ks_event_proc_exit *end;
	const struct usage_page *page;
	struct kt *t = user;
	struct work w;
	char *wrong;

	kt_forget(t);
	proc_watch(t, &w, busy_threads);
	page = w.page;
	wrong = other_cpu(proc_end_of(t, w.pid), &w, 2);
	end = proc_end_of(t, page->tid);
	/* if the hook does not know the last thread, the first one that finds none alive is it */
	if (!wrong)
		wrong = ks_test_outside("thread", end->thread, 1, 1);
	if (!wrong)
		wrong = ks_test_outside("time of the thread", end->user_ns + end->system_ns,
					page->thread_ns - TICK_NS, page->thread_ns + TICK_NS);
	work_free(&w);
	return wrong;
}

static void cpu_of_threads(struct kt *t)
{
	ks_test_rounds(threads_once, t);
}

/* ---- memory ---------------------------------------------------------------------------------- */

#define TOUCHED (64u << 20)

static char *touch(int how)
{
	char *map = mmap(NULL, TOUCHED, PROT_READ | PROT_WRITE, how | MAP_ANONYMOUS, -1, 0);
	size_t i;

	if (map == MAP_FAILED)
		_exit(1);
	madvise(map, TOUCHED, MADV_NOHUGEPAGE);
	for (i = 0; i < TOUCHED; i += 4096)
		map[i] = 1;
	return map;
}

static int touch_and_keep(void *page)
{
	(void)page;
	touch(MAP_PRIVATE);
	return 0;
}

/* Shared memory, which the kernel counts apart. */
static int touch_shared(void *page)
{
	(void)page;
	touch(MAP_SHARED);
	return 0;
}

static int touch_and_free(void *page)
{
	(void)page;
	return munmap(touch(MAP_PRIVATE), TOUCHED);
}

static void peak_of(struct kt *t, work_fn fn)
{
	const struct ks_event_proc_exit *end;
	struct work w;

	kt_forget(t);
	proc_watch(t, &w, fn);
	g_assert_cmpint(w.status, ==, 0);
	end = proc_end_of(t, w.pid);
	g_assert_true(end->valid & KS_HAS_PROC_MEMORY);
	g_assert_cmpuint(end->peak_rss, >=, TOUCHED);
	g_assert_cmpuint(apart(end->peak_rss, (uint64_t)w.usage.ru_maxrss * 1024), <=, RSS_SLACK);
	/* Linux 5.10 counts the first touch of shared memory as a major fault. */
	g_assert_cmpuint(end->minor_faults + end->major_faults, >=, TOUCHED / 4096);
	g_assert_cmpuint(end->minor_faults, <=, w.usage.ru_minflt);
	g_assert_cmpuint(end->minor_faults + EXIT_FAULTS, >=, w.usage.ru_minflt);
	g_assert_cmpuint(end->major_faults, ==, w.usage.ru_majflt);
	work_free(&w);
}

static void memory(struct kt *t)
{
	peak_of(t, touch_and_keep);
	peak_of(t, touch_and_free);
	peak_of(t, touch_shared);
}

/*
 * The child is too small for the kernel's counters: its peak is unknown, and wait4() says 0. Its
 * faults are known.
 */
static int have_child_that_dies(void *page)
{
	(void)page;
	execl(KS_CHAIN, KS_CHAIN, "-1", NULL);
	return 0;
}

static void dies_at_once(struct kt *t)
{
	const struct ks_event_proc_exit *end;
	uint64_t faults;
	struct work w;
	size_t at = 0;

	proc_watch(t, &w, have_child_that_dies);
	faults = (uint64_t)WEXITSTATUS(w.status);
	g_assert_cmpuint(faults, >, 0);
	while ((end = kt_next(t, KS_EVENT_PROC_EXIT, &at)) && end->signal != SIGSEGV)
		;
	g_assert_nonnull(end);
	g_assert_true(end->valid & KS_HAS_PROC_FAULTS);
	g_assert_cmpuint(end->minor_faults, <=, faults);
	g_assert_cmpuint(end->minor_faults + EXIT_FAULTS, >=, faults);
	g_assert_cmpuint(end->minor_faults, >, 0);
	g_assert_cmpint(!!(end->valid & KS_HAS_PROC_MEMORY), ==, end->peak_rss > 0);
	work_free(&w);
}

/* ---- threads that end with their process ----------------------------------------------------- */

#define CROWD 40
#define CROWD_PAGES 256

struct crowd {
	pthread_barrier_t together;
	char *map;
	unsigned next; /* index of the next thread's part */
};

static void *touch_some(void *arg)
{
	struct crowd *c = arg;
	char *part = c->map +
		     (size_t)__atomic_fetch_add(&c->next, 1, __ATOMIC_SEQ_CST) * CROWD_PAGES * 4096;

	for (size_t i = 0; i < CROWD_PAGES; i++)
		part[i * 4096] = 1;
	pthread_barrier_wait(&c->together);
	return NULL;
}

/*
 * Nobody waits for the threads: when the process ends, some have ended, others are about to. Memory
 * mapped next to a thread's stack may get a huge page together with it before it can refuse one (up
 * to Linux 6.6). So everything is mapped before there are threads.
 */
static int end_amid_crowd(void *page)
{
	size_t bytes = CROWD * CROWD_PAGES * 4096;
	struct crowd c = { .next = 0 };
	pthread_t thread;

	(void)page;
	c.map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c.map == MAP_FAILED)
		return 1;
	madvise(c.map, bytes, MADV_NOHUGEPAGE);
	pthread_barrier_init(&c.together, NULL, CROWD + 1);
	for (unsigned i = 0; i < CROWD; i++)
		if (pthread_create(&thread, NULL, touch_some, &c))
			return 1;
	pthread_barrier_wait(&c.together);
	return 0;
}

/* Returns the end record of the process, whichever thread was the last. */
static const struct ks_event_proc_exit *end_of_process(const struct kt *t, int32_t pid)
{
	const struct ks_event_proc_exit *ev;
	size_t at = 0;

	while ((ev = kt_next(t, KS_EVENT_PROC_EXIT, &at)))
		if (ev->ev.pid == pid && !ev->thread)
			return ev;
	g_error("no exit record of process %d", (int)pid);
}

/* Returns whether the crowd's usage is known; asserts that it is complete if so. */
static int crowd_once(struct kt *t)
{
	const struct ks_event_proc_exit *end;
	struct work w;
	int known;

	kt_forget(t);
	proc_watch(t, &w, end_amid_crowd);
	g_assert_cmpint(w.status, ==, 0);
	end = end_of_process(t, w.pid);
	known = !!(end->valid & KS_HAS_PROC_MEMORY);
	g_assert_cmpint(!!(end->valid & KS_HAS_PROC_CPU), ==, known);
	if (known) {
		g_assert_cmpuint(end->minor_faults, <=, (uint64_t)w.usage.ru_minflt);
		g_assert_cmpuint(end->minor_faults + CROWD + EXIT_FAULTS, >=,
				 (uint64_t)w.usage.ru_minflt);
		g_assert_cmpuint(end->minor_faults, >=, CROWD * CROWD_PAGES);
	} else {
		g_assert_cmpuint(end->minor_faults, ==, 0);
	}
	work_free(&w);
	return known;
}

/*
 * No thread is counted twice or left out, wherever it is on its way out. Programs without bounded
 * loops over a variable (Linux 6.4) look once, and say so if a thread was released meanwhile.
 */
static void crowd(struct kt *t)
{
	unsigned rounds = ks_test_volume(10, 4), known = 0;

	for (unsigned round = 0; round < rounds; round++)
		known += (unsigned)crowd_once(t);
	if (proc_walks_far(t))
		g_assert_cmpuint(known, ==, rounds);
	else
		g_assert_cmpuint(known, >, 0);
}

/* ---- block I/O ------------------------------------------------------------------------------- */

#define WRITTEN (1u << 20)

/* Bypasses the page cache, so that everything reaches the disk at once. */
static void *write_and_read(void *arg)
{
	int fd = work_file(), ok = fd >= 0;
	void *buf = NULL;

	(void)arg;
	ok = ok && posix_memalign(&buf, 4096, WRITTEN) == 0;
	ok = ok && fcntl(fd, F_SETFL, O_DIRECT) == 0;
	if (ok)
		memset(buf, 'k', WRITTEN);
	ok = ok && pwrite(fd, buf, WRITTEN, 0) == WRITTEN;
	ok = ok && pread(fd, buf, WRITTEN, 0) == WRITTEN && pread(fd, buf, WRITTEN, 0) == WRITTEN;
	free(buf);
	if (fd >= 0)
		close(fd);
	return ok ? arg : NULL;
}

static uint64_t io_of_self(const char *name)
{
	char *text = NULL, *at;
	uint64_t value = 0;

	if (!g_file_get_contents("/proc/self/io", &text, NULL, NULL))
		_exit(77);
	at = strstr(text, name);
	if (at)
		value = strtoull(at + strlen(name), NULL, 10);
	g_free(text);
	return value;
}

static int io_work(void *arg)
{
	struct usage_page *page = arg;
	pthread_t thread;
	void *ok;

	if (!write_and_read(arg))
		return 77;
	if (pthread_create(&thread, NULL, write_and_read, arg) || pthread_join(thread, &ok) || !ok)
		return 1;
	page->read_bytes = io_of_self("\nread_bytes: ");
	page->write_bytes = io_of_self("\nwrite_bytes: ");
	return 0;
}

static void block_io(struct kt *t)
{
	const struct ks_event_proc_exit *end;
	const struct usage_page *page;
	struct work w;

	proc_watch(t, &w, io_work);
	page = w.page;
	if (w.status == 77 << 8) {
		g_test_skip("no disk below the folder for temporary files, or no /proc/PID/io");
		return;
	}
	g_assert_cmpint(w.status, ==, 0);
	end = proc_end_of(t, w.pid);
	g_assert_true(end->valid & KS_HAS_PROC_IO);
	g_assert_cmpuint(end->read_bytes, ==, page->read_bytes);
	g_assert_cmpuint(end->write_bytes, ==, page->write_bytes);
	g_assert_cmpuint(end->read_bytes, >=, 4 * WRITTEN);
	g_assert_cmpuint(end->write_bytes, >=, 2 * WRITTEN);
	work_free(&w);
}

/* ---- identity -------------------------------------------------------------------------------- */

static uint64_t start_ticks(pid_t pid)
{
	char path[64], *text = NULL, *at;
	uint64_t ticks = 0;
	int field;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	at = strrchr(text, ')'); /* end of field 2 */
	for (field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at)
		ticks = strtoull(at, NULL, 10);
	g_free(text);
	return ticks;
}

/* A child in a session of its own, and its child. */
static int session_work(void *arg)
{
	struct usage_page *page = arg;
	pid_t pid;
	int status;

	page->start_ticks = start_ticks(getpid());
	pid = fork();
	if (pid == 0) {
		page->child_ticks = start_ticks(getpid());
		if (setsid() < 0)
			_exit(1);
		pid = fork();
		if (pid == 0)
			_exit(0);
		page->grandchild = pid;
		_exit(waitpid(pid, &status, 0) != pid);
	}
	page->child = pid;
	return waitpid(pid, &status, 0) != pid || status;
}

/* The kernel counts ticks since boot, including suspend. Records use the monotonic clock. */
static void started_at(uint64_t start_ns, uint64_t ticks)
{
	uint64_t tick_ns = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK), before, asleep;

	do { /* only the difference of both clocks matters */
		before = cpu_now(CLOCK_MONOTONIC);
		asleep = cpu_now(CLOCK_BOOTTIME) - cpu_now(CLOCK_MONOTONIC);
	} while (cpu_now(CLOCK_MONOTONIC) - before > tick_ns / 10);
	g_assert_cmpuint(apart((start_ns + asleep) / tick_ns, ticks), <=, 1);
}

static void who(struct kt *t)
{
	const struct ks_event_proc_exit *end;
	const struct usage_page *page;
	struct work w;

	proc_watch(t, &w, session_work);
	page = w.page;
	g_assert_cmpint(w.status, ==, 0);
	end = proc_end_of(t, w.pid);
	g_assert_cmpint(end->ppid, ==, getpid());
	g_assert_cmpint(end->session, ==, getsid(0));
	started_at(end->start_ns, page->start_ticks);
	end = proc_end_of(t, page->child);
	g_assert_cmpint(end->ppid, ==, w.pid);
	g_assert_cmpint(end->session, ==, page->child);
	started_at(end->start_ns, page->child_ticks);
	end = proc_end_of(t, page->grandchild);
	g_assert_cmpint(end->ppid, ==, page->child);
	g_assert_cmpint(end->session, ==, page->child);
	work_free(&w);
}

static void add(void)
{
	kt_add(KS_PROBE_PROC, "cpu", KT_PERF, cpu);
	kt_add(KS_PROBE_PROC, "cpu-of-threads", KT_FEATURES, cpu_of_threads);
	kt_add(KS_PROBE_PROC, "memory", 0, memory);
	kt_add(KS_PROBE_PROC, "dies-at-once", 0, dies_at_once);
	kt_add(KS_PROBE_PROC, "crowd", KT_FEATURES, crowd);
	kt_add(KS_PROBE_PROC, "block-io", 0, block_io);
	kt_add(KS_PROBE_PROC, "who", 0, who);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
