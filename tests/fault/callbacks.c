/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows what an event callback may do (close, disable, configure, enable, read, be cancelled) and
 * what it may not do (consume, self-test), and that only one thread at a time may consume.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "fault.h"

#define BATCH 50 /* records in the first poll */

struct host {
	struct ks *ks;
	unsigned seen, at; /* acts at this record */
	void (*act)(struct host *h);
	int answer; /* the callback's return value after that */
	uint8_t generation, others;
	sem_t inside, go_on;
};

static int on_event(const struct ks_event *ev, void *user)
{
	struct host *h = user;

	if (ev->id == KS_EVENT_LOST || ev->id >> 8 != BURST_PROBE)
		return 0;
	h->seen++;
	h->others |= h->generation && ev->generation != h->generation;
	if (h->seen != h->at)
		return 0;
	if (h->act)
		h->act(h);
	return h->answer;
}

static int poll_once(struct host *h)
{
	return ks_poll(h->ks, 0, 0, on_event, h);
}

static struct host *host_new(unsigned at, void (*act)(struct host *h))
{
	struct host *h = g_new0(struct host, 1);

	h->at = at;
	h->act = act;
	h->ks = fault_open(NULL);
	fault_burst(h->ks, 5);
	for (int i = 0; i < BATCH / 5; i++)
		syscall(SYS_getppid);
	return h;
}

static void host_free(struct host *h)
{
	fault_settle(h->ks, BURST_PROBE);
	ks_close(h->ks);
	g_free(h);
}

/* ---- close ------------------------------------------------------------------------------ */

static void act_close(struct host *h)
{
	ks_close(h->ks);
	ks_close(h->ks); /* takes effect later, and once */
}

static void close_inside(void)
{
	struct fault_kernel since;
	unsigned before;
	struct host *h;

	if (!ks_test_root())
		return;
	before = counters_descriptors();
	fault_kernel(&since);
	h = host_new(7, act_close);
	ks_assert_rc(ks_poll(h->ks, -1, 0, on_event, h), -KS_ECLOSED);
	g_assert_cmpuint(h->seen, ==, 7);
	g_assert_cmpuint(counters_descriptors(), ==, before);
	fault_kernel_clean(&since);
	g_free(h);
}

/* The close comes first, the callback's own return value second. */
static void close_and_stop(void)
{
	struct host *h;

	if (!ks_test_root())
		return;
	h = host_new(BATCH, act_close);
	h->answer = -1234;
	ks_assert_rc(poll_once(h), -KS_ECLOSED);
	g_assert_cmpuint(h->seen, ==, BATCH);
	g_free(h);
}

/* ---- disable, configure, enable --------------------------------------------------------- */

static void act_disable(struct host *h)
{
	ks_assert_ok(h->ks, ks_disable_probe(h->ks, BURST_PROBE));
	syscall(SYS_getppid); /* makes no records any more */
}

static void disable_inside(void)
{
	struct host *h;

	if (!ks_test_root())
		return;
	h = host_new(7, act_disable);
	ks_assert_rc(poll_once(h), BATCH);
	g_assert_cmpuint(h->seen, ==, BATCH);
	ks_assert_rc(poll_once(h), 0);
	g_assert_cmpuint(fault_ledger(h->ks, BURST_PROBE).submitted, ==, BATCH);
	host_free(h);
}

static void act_configure(struct host *h)
{
	const struct ks_param param = { .id = BURST_PARAM_RECORDS, .value = 3 };
	int rc = ks_configure_probe(h->ks, BURST_PROBE, &param, 1);

	g_assert_cmpint(rc, >, 0);
	h->generation = (uint8_t)rc;
	syscall(SYS_getppid);
}

static void configure_inside(void)
{
	struct host *h;

	if (!ks_test_root())
		return;
	h = host_new(BATCH, act_configure);
	while (h->seen < BATCH + 3)
		ks_assert_ok(h->ks, poll_once(h));
	ks_assert_rc(poll_once(h), 0);
	g_assert_cmpuint(h->seen, ==, BATCH + 3);
	g_assert_false(h->others); /* all later records have the new generation */
	host_free(h);
}

static void act_enable(struct host *h)
{
	const struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_SELF };

	fault_enable(h->ks, KS_PROBE_FADVISE, NULL);
	ks_assert_ok(h->ks, ks_set_scope(h->ks, &scope));
	fault_advise(4);
	g_assert_cmpuint(fault_advised(h->ks), ==, 4);
	g_assert_cmpuint(fault_ledger(h->ks, BURST_PROBE).submitted, ==, BATCH);
	ks_assert_ok(h->ks, ks_ledger_check(h->ks, KS_PROBE_SELF));
	g_assert_cmpint(ks_explain(h->ks, KS_TEXT, NULL, 0), >, 0);
	g_assert_cmpint(ks_fd(h->ks), >=, 0);
}

static void enable_inside(void)
{
	struct host *h;

	if (!ks_test_root())
		return;
	h = host_new(7, act_enable);
	ks_assert_ok(h->ks, poll_once(h));
	g_assert_cmpuint(h->seen, ==, BATCH);
	fault_settle(h->ks, KS_PROBE_FADVISE);
	g_assert_cmpuint(fault_ledger(h->ks, KS_PROBE_FADVISE).delivered, ==, 4);
	host_free(h);
}

/* ---- what a callback may not do --------------------------------------------------------- */

static void act_consume(struct host *h)
{
	static _Alignas(8) char buf[KS_RECORD_MAX];
	size_t size = 4711;
	char why[200];

	ks_assert_rc(poll_once(h), -EBUSY);
	g_assert_cmpint(ks_last_error(h->ks, why, sizeof(why)), >, 0);
	g_assert_nonnull(strstr(why, "callback"));
	ks_assert_rc(ks_read_events(h->ks, buf, sizeof(buf), 0, &size), -EBUSY);
	g_assert_cmpuint(size, ==, 4711);
	ks_assert_rc(ks_selftest(h->ks, BURST_PROBE, NULL), -EBUSY);
	ks_assert_rc(ks_wakeup(h->ks), 0);
}

static void consume_inside(void)
{
	struct host *h;

	if (!ks_test_root())
		return;
	h = host_new(7, act_consume);
	ks_assert_rc(poll_once(h), BATCH);
	g_assert_cmpuint(h->seen, ==, BATCH);
	ks_assert_rc(ks_poll(h->ks, -1, 0, on_event, h), 0); /* the wake-up is not lost */
	host_free(h);
}

/* A negative return value ends the call after this event, which counts as delivered. */
static void stop_inside(void)
{
	struct host *h;

	if (!ks_test_root())
		return;
	h = host_new(7, NULL);
	h->answer = -1234;
	ks_assert_rc(poll_once(h), -1234);
	g_assert_cmpuint(h->seen, ==, 7);
	g_assert_cmpuint(fault_ledger(h->ks, BURST_PROBE).delivered, ==, 7);
	ks_assert_rc(ks_poll(h->ks, -1, 0, on_event, h), BATCH - 7); /* the others wake at once */
	host_free(h);
}

/* ---- one consumer at a time ------------------------------------------------------------- */

static void act_wait(struct host *h)
{
	sem_post(&h->inside);
	while (sem_wait(&h->go_on))
		;
}

static void *consume(void *user)
{
	return GINT_TO_POINTER(poll_once(user));
}

static void second_consumer(void)
{
	static _Alignas(8) char buf[KS_RECORD_MAX];
	struct host *h;
	pthread_t first;
	void *rc;
	size_t size;

	if (!ks_test_root())
		return;
	h = host_new(7, act_wait);
	sem_init(&h->inside, 0, 0);
	sem_init(&h->go_on, 0, 0);
	g_assert_cmpint(pthread_create(&first, NULL, consume, h), ==, 0);
	sem_wait(&h->inside);
	ks_assert_rc(poll_once(h), -EBUSY);
	ks_assert_rc(ks_read_events(h->ks, buf, sizeof(buf), -1, &size), -EBUSY);
	ks_assert_ok(h->ks, ks_ledger_check(h->ks, BURST_PROBE)); /* none waits for the consumer */
	sem_post(&h->go_on);
	pthread_join(first, &rc);
	g_assert_cmpint(GPOINTER_TO_INT(rc), ==, BATCH);
	ks_assert_rc(poll_once(h), 0); /* now this thread may consume */
	host_free(h);
}

static atomic_int is_inside, may_leave;

/* The library calls it in the thread that failed, which so stays inside the handle. */
static void stay(int level, const char *text, void *user)
{
	(void)level, (void)text, (void)user;
	atomic_store(&is_inside, 1);
	while (!atomic_load(&may_leave))
		sched_yield();
}

static void *fail(void *user)
{
	struct host *h = user;

	return GINT_TO_POINTER(ks_enable_probe(h->ks, 999, NULL));
}

/* ks_close() in a callback closes no descriptor while another thread is inside the handle. */
static void close_beside_another(void)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .log = stay };
	struct host h = { .at = 1, .act = act_close };
	pthread_t other;
	void *rc;
	int fd;

	if (!ks_test_root())
		return;
	h.ks = fault_open(&opts);
	fault_burst(h.ks, 5);
	syscall(SYS_getppid);
	fd = ks_fd(h.ks);
	g_assert_cmpint(pthread_create(&other, NULL, fail, &h), ==, 0);
	while (!atomic_load(&is_inside))
		sched_yield();
	ks_assert_rc(poll_once(&h), -KS_ECLOSED);
	g_assert_cmpint(fcntl(fd, F_GETFD), >=, 0);
	atomic_store(&may_leave, 1);
	pthread_join(other, &rc);
	g_assert_cmpint(GPOINTER_TO_INT(rc), ==, -EINVAL);
	g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1); /* it was the last to leave */
}

/* A cancelled thread unwinds: its event was delivered, and another thread may consume. */
static void cancelled(void)
{
	struct host *h;
	pthread_t first;
	void *rc;

	if (!ks_test_root())
		return;
	h = host_new(7, act_wait);
	sem_init(&h->inside, 0, 0);
	sem_init(&h->go_on, 0, 0);
	g_assert_cmpint(pthread_create(&first, NULL, consume, h), ==, 0);
	sem_wait(&h->inside);
	pthread_cancel(first);
	pthread_join(first, &rc);
	g_assert_true(rc == PTHREAD_CANCELED);
	g_assert_cmpuint(fault_ledger(h->ks, BURST_PROBE).delivered, ==, 7);
	ks_assert_rc(poll_once(h), BATCH - 7);
	g_assert_cmpuint(h->seen, ==, BATCH);
	host_free(h);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/callback/close", close_inside);
	g_test_add_func("/callback/close-and-stop", close_and_stop);
	g_test_add_func("/callback/close-beside-another", close_beside_another);
	g_test_add_func("/callback/disable", disable_inside);
	g_test_add_func("/callback/configure", configure_inside);
	g_test_add_func("/callback/enable", enable_inside);
	g_test_add_func("/callback/consume", consume_inside);
	g_test_add_func("/callback/stop", stop_inside);
	g_test_add_func("/consumer/second", second_consumer);
	g_test_add_func("/consumer/cancelled", cancelled);
	return g_test_run();
}
