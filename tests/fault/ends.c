/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a handle ends well in any state of its host: while threads read its statistics or wait
 * for its events, after a longjmp() out of a callback, in a child forked out of a callback or while
 * other threads are inside the library. Nothing crashes or hangs, and no kernel program and no
 * descriptor is left.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "fault.h"

/* A sanitizer has its own malloc(). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
size_t __sanitizer_get_current_allocated_bytes(void);
#define allocated() __sanitizer_get_current_allocated_bytes()
#else
#define allocated() mallinfo2().uordblks
#endif

#define HANG_S 60

static int ignore(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	return 0;
}

/* ---- beside readers --------------------------------------------------------------------- */

struct beside {
	struct ks_reader *reader;
	pthread_t thread;
	atomic_uint reads;
	int last;
};

static void *read_on(void *user)
{
	struct beside *b = user;
	struct ks_stats stats;

	do {
		stats = (struct ks_stats){ .size = sizeof(stats) };
		b->last = ks_read_stats(b->reader, &stats);
		atomic_fetch_add(&b->reads, 1);
	} while (!b->last);
	return NULL;
}

static void close_beside_readers(gconstpointer features)
{
	static const uint32_t by[] = { KS_BY_TOTAL, KS_BY_PROCESS, KS_BY_TOTAL | KS_BY_CPU,
				       KS_BY_PROCESS };
	struct ks_open_opts opts = { .size = sizeof(opts),
				     .features_off = GPOINTER_TO_SIZE(features) };
	unsigned before = counters_descriptors();

	if (!ks_test_root())
		return;
	for (unsigned i = 0, n = ks_test_volume(40, 10); i < n; i++) {
		struct beside b[4] = { 0 };
		struct ks *ks = fault_open(&opts);

		ks_assert_ok(ks, ks_enable_probe(ks, KS_PROBE_PROC, NULL));
		for (unsigned r = 0; r < 4; r++) {
			struct ks_reader_opts o = { .size = sizeof(o),
						    .by = features ? KS_BY_TOTAL : by[r] };

			ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_PROC, &o, &b[r].reader));
			g_assert_cmpint(pthread_create(&b[r].thread, NULL, read_on, &b[r]), ==, 0);
		}
		for (unsigned r = 0; r < 4; r++)
			while (atomic_load(&b[r].reads) < 1 + i % 3)
				sched_yield();
		ks_close(ks);
		for (unsigned r = 0; r < 4; r++) {
			pthread_join(b[r].thread, NULL);
			ks_assert_rc(b[r].last, -KS_ECLOSED);
			ks_reader_free(b[r].reader);
		}
		g_assert_cmpuint(counters_descriptors(), ==, before);
	}
}

struct sleeper {
	struct ks *ks;
	atomic_int begun;
	int last;
};

static void *wait_for_ever(void *user)
{
	struct sleeper *s = user;

	atomic_store(&s->begun, 1);
	s->last = ks_poll(s->ks, -1, 0, ignore, NULL);
	return NULL;
}

/*
 * The consumer wakes and gets -KS_ECLOSED. The last thread to leave frees the handle: that may be
 * the consumer.
 */
static void close_beside_consumer(void)
{
	unsigned before = counters_descriptors();

	for (unsigned i = 0, n = ks_test_volume(100, 20); i < n; i++) {
		struct sleeper s = { .ks = fault_open(NULL) };
		pthread_t thread;
		int waits = 0;

		g_assert_cmpint(pthread_create(&thread, NULL, wait_for_ever, &s), ==, 0);
		while (!atomic_load(&s.begun) || waits < 1000) {
			sched_yield(); /* most wait by then; the others get the same code */
			waits += atomic_load(&s.begun);
		}
		ks_close(s.ks);
		pthread_join(thread, NULL);
		ks_assert_rc(s.last, -KS_ECLOSED);
	}
	g_assert_cmpuint(counters_descriptors(), ==, before);
}

/* ---- after a longjmp -------------------------------------------------------------------- */

static jmp_buf out;

static int jump(const struct ks_event *ev, void *user)
{
	(void)ev;
	++*(unsigned *)user;
	longjmp(out, 1);
}

/* Ten records; the callback of the first one left by longjmp(). */
static struct ks *jumped(void)
{
	static struct ks *ks;
	static unsigned seen;

	seen = 0;
	ks = fault_open(NULL);
	fault_enable(ks, KS_PROBE_FADVISE, NULL);
	fault_advise(10);
	if (!setjmp(out)) {
		ks_poll(ks, -1, 0, jump, &seen);
		g_assert_not_reached();
	}
	g_assert_cmpuint(seen, ==, 1);
	return ks;
}

/* AddressSanitizer may keep `room` outside of the stack, which it is to overwrite. */
__attribute__((noinline, no_sanitize("address"))) static void close_deeper(struct ks *ks,
									   int levels)
{
	char room[256];

	memset(room, levels, sizeof(room));
	__asm__ volatile("" ::"r"(room) : "memory");
	if (levels)
		close_deeper(ks, levels - 1);
	else
		ks_close(ks);
	__asm__ volatile("" ::"r"(room) : "memory");
}

static void close_after_jump(gconstpointer data)
{
	int deep = GPOINTER_TO_INT(data);
	struct fault_kernel since;
	unsigned before;
	struct ks *ks;

	if (!ks_test_root())
		return;
	before = counters_descriptors();
	fault_kernel(&since);
	ks = jumped();
	if (deep)
		close_deeper(ks, 20);
	else
		ks_close(ks);
	g_assert_cmpuint(counters_descriptors(), ==, before);
	fault_kernel_clean(&since);
}

static void poll_after_jump(void)
{
	struct ks *ks;
	unsigned n;

	if (!ks_test_root())
		return;
	ks = jumped();
	n = (unsigned)ks_poll(ks, 0, 0, ignore, NULL);
	g_assert_cmpuint(n, ==, 9); /* the first one counts as delivered */
	fault_settle(ks, KS_PROBE_FADVISE);
	ks_close(ks);
}

/* ---- forks ------------------------------------------------------------------------------ */

struct callback {
	struct ks *ks;
	pid_t child;
	int closes; /* the child closes the handle before it returns */
	unsigned seen;
};

static int fork_inside(const struct ks_event *ev, void *user)
{
	struct callback *c = user;

	(void)ev;
	if (c->seen++ != 2)
		return 0;
	c->child = fork();
	g_assert_cmpint(c->child, >=, 0);
	if (!c->child && c->closes)
		ks_close(c->ks);
	return 0;
}

/* The child returns into ks_poll(), which returns -KS_EFORKED. The parent gets all records. */
static void fork_in_callback(gconstpointer features)
{
	struct ks_open_opts opts = { .size = sizeof(opts),
				     .features_off = GPOINTER_TO_SIZE(features) };
	int rc;

	if (!ks_test_root())
		return;
	for (int closes = 0; closes < 2; closes++) {
		struct callback c = { .ks = fault_open(&opts), .child = -1, .closes = closes };

		fault_enable(c.ks, KS_PROBE_FADVISE, NULL);
		fault_advise(10);
		rc = ks_poll(c.ks, 0, 0, fork_inside, &c);
		if (!c.child) {
			alarm(HANG_S);
			if (!closes)
				ks_close(c.ks);
			_exit(rc == -KS_EFORKED && c.seen == 3 ? 0 : 1);
		}
		fault_reap(c.child);
		g_assert_cmpint(rc, ==, 10);
		g_assert_cmpuint(c.seen, ==, 10);
		fault_settle(c.ks, KS_PROBE_FADVISE);
		ks_close(c.ks);
	}
}

struct busy {
	struct ks *ks;
	struct ks_reader *reader;
	void (*act)(struct busy *b);
	pthread_t thread;
	atomic_int stop;
	atomic_uint turns;
};

static void act_scope(struct busy *b)
{
	const int32_t pids[] = { getpid(), 1 };
	const struct ks_scope scope = {
		.size = sizeof(scope), .kind = KS_SCOPE_PIDS, .n_pids = 2, .pids = pids
	};

	ks_set_scope(b->ks, &scope);
}

static void act_read(struct busy *b)
{
	struct ks_stats stats = { .size = sizeof(stats) };

	ks_read_stats(b->reader, &stats);
}

static void act_poll(struct busy *b)
{
	ks_poll(b->ks, 1, 0, ignore, NULL);
}

static void act_enable(struct busy *b)
{
	ks_enable_probe(b->ks, KS_PROBE_PROC, NULL);
	ks_disable_probe(b->ks, KS_PROBE_PROC);
}

static void *be_busy(void *user)
{
	struct busy *b = user;

	while (!atomic_load(&b->stop)) {
		b->act(b);
		atomic_fetch_add(&b->turns, 1);
	}
	return NULL;
}

static void end_in_child(struct busy *b)
{
	pid_t pid = fork();

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		alarm(HANG_S);
		ks_close(b->ks);
		ks_reader_free(b->reader);
		_exit(0);
	}
	fault_reap(pid);
}

static void fork_beside(gconstpointer files)
{
	static void (*const acts[])(struct busy * b) = { act_scope, act_read, act_poll,
							 act_enable };
	const struct ks_reader_opts by = { .size = sizeof(by),
					   .by = files ? KS_BY_TOTAL : KS_BY_PROCESS,
					   .flags = KS_READ_DELTA };
	struct ks_open_opts opts = { .size = sizeof(opts),
				     .flags = KS_OPEN_ORDERED,
				     .ring_bytes = 65536,
				     .features_off = files ? KS_FEATURE_MMAP : 0 };
	const struct ks_scope all = { .size = sizeof(all), .kind = KS_SCOPE_SYSTEM };

	if (!ks_test_root())
		return;
	for (unsigned a = 0; a < G_N_ELEMENTS(acts); a++) {
		struct busy b = { .ks = fault_open(&opts), .act = acts[a] };

		ks_assert_ok(b.ks, ks_set_scope(b.ks, &all));
		ks_assert_ok(b.ks, ks_enable_probe(b.ks, KS_PROBE_PROC, NULL));
		ks_assert_ok(b.ks, ks_reader_new(b.ks, KS_PROBE_PROC, &by, &b.reader));
		g_assert_cmpint(pthread_create(&b.thread, NULL, be_busy, &b), ==, 0);
		for (unsigned i = 0, n = ks_test_volume(300, 60); i < n; i++)
			end_in_child(&b);
		atomic_store(&b.stop, 1);
		ks_wakeup(b.ks);
		pthread_join(b.thread, NULL);
		g_assert_cmpuint(atomic_load(&b.turns), >, 0);
		ks_close(b.ks);
		ks_reader_free(b.reader);
	}
}

/* ---- while a thread is known to be inside -------------------------------------------------- */

static sem_t is_inside, go_on;

/* As a log callback, it holds up a thread in the middle of a library function. */
static void hold_up(int level, const char *text, void *user)
{
	(void)level, (void)text, (void)user;
	sem_post(&is_inside);
	sem_wait(&go_on);
}

static void *fail_once(void *user)
{
	ks_assert_rc(ks_enable_probe(user, 9999, NULL), -EINVAL);
	return NULL;
}

/*
 * In the child: descriptors are closed in either case. Memory is freed only if no thread was
 * inside.
 */
static void end_and_look(struct ks *ks, int frees)
{
	pid_t pid = fork();
	size_t before, after;

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		unsigned descriptors = counters_descriptors();

		before = allocated();
		ks_close(ks);
		after = allocated();
		g_assert_cmpint(descriptors - counters_descriptors(), ==, 6);
		if (frees)
			g_assert_cmpuint(after + 1000, <, before);
		else
			g_assert_cmpuint(after, ==, before);
		_exit(0);
	}
	fault_reap(pid);
}

static void fork_while_inside(void)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .log = hold_up };
	struct ks *ks = fault_open(&opts);
	pthread_t thread;

	sem_init(&is_inside, 0, 0);
	sem_init(&go_on, 0, 0);
	g_assert_cmpint(pthread_create(&thread, NULL, fail_once, ks), ==, 0);
	sem_wait(&is_inside);
	end_and_look(ks, 0);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	end_and_look(ks, 1);
	ks_close(ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_data_func("/ends/beside-readers/bpf", NULL, close_beside_readers);
	g_test_add_data_func("/ends/beside-readers/files", GSIZE_TO_POINTER(KS_FEATURE_MMAP),
			     close_beside_readers);
	g_test_add_func("/ends/beside-consumer", close_beside_consumer);
	g_test_add_data_func("/ends/longjmp/close", NULL, close_after_jump);
	g_test_add_data_func("/ends/longjmp/close-deeper", GINT_TO_POINTER(1), close_after_jump);
	g_test_add_func("/ends/longjmp/poll", poll_after_jump);
	g_test_add_data_func("/ends/fork/callback-ring", NULL, fork_in_callback);
	g_test_add_data_func("/ends/fork/callback-perf", GSIZE_TO_POINTER(KS_FEATURE_RINGBUF),
			     fork_in_callback);
	g_test_add_data_func("/ends/fork/beside-bpf", NULL, fork_beside);
	g_test_add_data_func("/ends/fork/beside-files", GINT_TO_POINTER(1), fork_beside);
	g_test_add_func("/ends/fork/inside", fork_while_inside);
	return g_test_run();
}
