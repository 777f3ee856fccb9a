/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that setting a thread's role never waits for the handle's lock. While another thread holds
 * the lock in a load that stands still, inside a log callback or beside it, roles are set, removed
 * and refused. Threads get that lock in the order in which they come.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <kernelsight/identity.h>

#include "api/api.h"
#include "config.h"
#include "ks.h"
#include "support/ks_test.h"

#define PATIENCE_US (60 * G_USEC_PER_SEC)

static struct {
	GMutex lock;
	GCond cond;
	int inside, is_done;
} stage;

static void set(int *what)
{
	g_mutex_lock(&stage.lock);
	*what = 1;
	g_cond_broadcast(&stage.cond);
	g_mutex_unlock(&stage.lock);
}

/* Returns 0 if it did not happen in time. */
static int await(const int *what)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_US;
	int came = 1;

	g_mutex_lock(&stage.lock);
	while (!*what && came)
		came = g_cond_wait_until(&stage.cond, &stage.lock, end);
	came = *what;
	g_mutex_unlock(&stage.lock);
	return came;
}

/*
 * Stops a load at its first info message until the other thread is done. (Warnings come from the
 * other thread.)
 */
static void stop_load(int level, const char *text, void *user)
{
	struct ks *const *ks = user;

	(void)text;
	if (level != KS_LOG_INFO || stage.is_done)
		return;
	g_assert_cmpint(pthread_mutex_trylock(&(*ks)->lock), ==, EBUSY);
	set(&stage.inside);
	if (!await(&stage.is_done))
		g_error("a role waits for the thread that loads");
}

static void *name_threads(void *user)
{
	struct ks *ks = user;

	g_assert_true(await(&stage.inside));
	ks_assert_rc(ks_thread_role(ks, 0, "worker"), 1);
	ks_assert_rc(ks_thread_role(ks, getpid(), "wal-writer"), 2);
	ks_assert_rc(ks_thread_role(ks, 0, "worker"), 1);
	ks_assert_rc(ks_thread_role(ks, 0, NULL), 0);
	ks_assert_rc(ks_thread_role(ks, 0, "No Role"), -EINVAL);
	ks_assert_rc(ks_thread_role(ks, 0x3fffffff, "worker"), -ESRCH);
	set(&stage.is_done);
	return NULL;
}

static struct ks *begin(pthread_t *ret_thread)
{
	static struct ks *ks;
	struct ks_open_opts opts = { .size = sizeof(opts),
				     .features_off = KS_FEATURE_BTF_TRACING,
				     .log = stop_load,
				     .log_level = KS_LOG_INFO,
				     .log_user = &ks };

	stage.inside = stage.is_done = 0;
	ks_assert_rc(ks_open(&opts, &ks), 0);
	g_assert_cmpint(pthread_create(ret_thread, NULL, name_threads, ks), ==, 0);
	return ks;
}

static void end(struct ks *ks, pthread_t thread)
{
	g_assert_cmpint(pthread_join(thread, NULL), ==, 0);
	g_assert_cmpint(stage.is_done, ==, 1);
	ks_close(ks);
}

/*
 * With BTF tracing turned off, each probe has a variant that cannot work, which causes a log
 * message.
 */
static void test_load(void)
{
	pthread_t thread;
	struct ks *ks = begin(&thread);

	g_assert_cmpint(ks_prepare(ks, NULL, 0), >=, 0);
	end(ks, thread);
}

static void test_lock(void)
{
	pthread_t thread;
	struct ks *ks = begin(&thread);

	pthread_mutex_lock(&ks->lock);
	set(&stage.inside);
	if (!await(&stage.is_done))
		g_error("a role waits for the handle's lock");
	pthread_mutex_unlock(&ks->lock);
	end(ks, thread);
}

struct queue {
	struct ks *ks;
	atomic_int other_was_first;
};

static void *take_turn(void *user)
{
	struct queue *queue = user;

	ks__lock(queue->ks);
	atomic_store(&queue->other_was_first, 1);
	ks__unlock(queue->ks);
	return NULL;
}

/* A thread that gives up the lock and takes it again at once comes behind one that waited. */
static void test_order(void)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_US;
	struct queue queue = { .ks = NULL };
	pthread_t thread;

	g_assert_cmpint(ks_open(NULL, &queue.ks), ==, 0);
	ks__lock(queue.ks);
	g_assert_cmpint(pthread_create(&thread, NULL, take_turn, &queue), ==, 0);
	while (!pthread_mutex_trylock(&queue.ks->next)) {
		pthread_mutex_unlock(&queue.ks->next);
		if (g_get_monotonic_time() > end)
			g_error("the thread does not wait for the lock in a queue");
		sched_yield();
	}
	ks__unlock(queue.ks);
	ks__lock(queue.ks);
	g_assert_true(atomic_load(&queue.other_was_first));
	ks__unlock(queue.ks);
	pthread_join(thread, NULL);
	ks_close(queue.ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	if (KS_HAVE_BPF)
		g_test_add_func("/roles/load", test_load);
	g_test_add_func("/roles/lock", test_lock);
	g_test_add_func("/roles/order", test_order);
	return g_test_run();
}
