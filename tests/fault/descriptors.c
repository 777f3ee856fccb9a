/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that if a host closes a descriptor of the library by mistake, calls return -EBADF with a
 * message and none hangs, and the file that has the number next is neither written, read, changed
 * nor closed, whatever kind it is. Also shows that no descriptor of a handle is 0, 1 or 2, and that
 * there are no more than the manual says.
 *
 * A child of its own tries each descriptor of a handle. With `-m thorough` each is replaced by each
 * kind of file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <kernelsight/identity.h>

#include "fault.h"

#define MOST 200  /* upper bound for descriptors of a handle */
#define HANG_S 60 /* seconds after which a call counts as hanging */
#define TEXT "HEADER-OF-MY-DB!"

/* ---- the next file with the number ----------------------------------------------------------- */

/* A file of the host, and one more descriptor to inspect it. */
struct stranger {
	int fd, other;
};

static struct stranger file_new(void)
{
	char *path = fault_file(TEXT, sizeof(TEXT));
	int fd = open(path, O_RDWR | O_CLOEXEC);

	g_free(path);
	return (struct stranger){ fd, dup(fd) };
}

static void file_same(const struct stranger *s)
{
	char text[2 * sizeof(TEXT)] = "";

	g_assert_cmpint(pread(s->other, text, sizeof(text), 0), ==, sizeof(TEXT));
	g_assert_cmpstr(text, ==, TEXT);
	g_assert_cmpint(lseek(s->other, 0, SEEK_CUR), ==, 0);
}

/* One byte waits at each end. */
static struct stranger pair_new(void)
{
	int pair[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), ==, 0);
	g_assert_cmpint(write(pair[0], "x", 1), ==, 1);
	g_assert_cmpint(write(pair[1], "y", 1), ==, 1);
	return (struct stranger){ pair[0], pair[1] };
}

static void pair_same(const struct stranger *s)
{
	char bytes[8];

	g_assert_cmpint(read(s->other, bytes, sizeof(bytes)), ==, 1);
	g_assert_cmpint(read(s->fd, bytes, sizeof(bytes)), ==, 1);
}

static struct stranger event_new(void)
{
	int fd = eventfd(5, EFD_NONBLOCK);

	return (struct stranger){ fd, dup(fd) };
}

static void event_same(const struct stranger *s)
{
	uint64_t count;

	g_assert_cmpint(read(s->other, &count, sizeof(count)), ==, sizeof(count));
	g_assert_cmpuint(count, ==, 5);
}

/* With an edge that has not been reported yet. */
static struct stranger set_new(void)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	struct stranger s = { epoll_create1(0), eventfd(1, EFD_NONBLOCK) };

	g_assert_cmpint(epoll_ctl(s.fd, EPOLL_CTL_ADD, s.other, &e), ==, 0);
	return s;
}

static void set_same(const struct stranger *s)
{
	struct epoll_event e[4];

	g_assert_cmpint(epoll_wait(s->fd, e, 4, 0), ==, 1);
}

static struct stranger timer_new(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

	return (struct stranger){ fd, dup(fd) };
}

static void timer_same(const struct stranger *s)
{
	struct itimerspec when;
	uint64_t count;

	g_assert_cmpint(timerfd_gettime(s->other, &when), ==, 0);
	g_assert_cmpint(when.it_value.tv_sec, ==, 0);
	g_assert_cmpint(when.it_value.tv_nsec, ==, 0);
	g_assert_cmpint(read(s->other, &count, sizeof(count)), ==, -1);
}

static const struct kind {
	const char *name;
	struct stranger (*make)(void); /* NULL: the number stays unused */
	void (*is_same)(const struct stranger *s);
} kinds[] = {
	{ "closed", NULL, NULL },          { "file", file_new, file_same },
	{ "socket", pair_new, pair_same }, { "eventfd", event_new, event_same },
	{ "epoll", set_new, set_same },    { "timerfd", timer_new, timer_same },
};

/* ---- descriptors of a handle ------------------------------------------------------------ */

static unsigned list(int *fds)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0) {
			g_assert_cmpuint(n, <, MOST);
			fds[n++] = fd;
		}
	return n;
}

static int is_one_of(const int *fds, unsigned n, int fd)
{
	while (n--)
		if (fds[n] == fd)
			return 1;
	return 0;
}

static int ignore(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	return 0;
}

struct host {
	struct ks *ks;
	struct ks_reader *reader;
	int fds[MOST]; /* all descriptors of the handle */
	unsigned n;
};

/* features: optional features that are off. With `files`, only the fallback serves. */
static void host_open(struct host *h, uint64_t features)
{
	struct ks_reader_opts by = { .size = sizeof(by),
				     .by = features & KS_FEATURE_MMAP ? KS_BY_TOTAL :
									KS_BY_PROCESS };
	struct ks_open_opts opts = { .size = sizeof(opts), .features_off = features };
	struct ks_cgroup_info info = { .size = sizeof(info) };
	int before[MOST], after[MOST];
	unsigned n_before = list(before), n_after;

	h->ks = fault_open(&opts);
	ks_assert_ok(h->ks, ks_enable_probe(h->ks, KS_PROBE_PROC, NULL));
	ks_assert_ok(h->ks, ks_enable_probe(h->ks, KS_PROBE_SCHED, NULL));
	ks_assert_ok(h->ks, ks_reader_new(h->ks, KS_PROBE_PROC, &by, &h->reader));
	ks_describe_cgroup(h->ks, counters_cgroup(), &info);
	n_after = list(after);
	h->n = 0;
	for (unsigned i = 0; i < n_after; i++)
		if (!is_one_of(before, n_before, after[i]))
			h->fds[h->n++] = after[i];
}

/* ---- every function --------------------------------------------------------------------- */

static void has_message(struct ks *ks, int rc)
{
	char why[300] = "";

	if (rc != -EBADF)
		return;
	g_assert_cmpint(ks_last_error(ks, why, sizeof(why)), >, 0);
	g_assert_nonnull(strstr(why, "the host closed a descriptor"));
}

/* Consumes all records first. Returns the code of the last call. */
static int consume(struct ks *ks)
{
	static _Alignas(8) char buf[KS_RECORD_MAX];
	int rc = 0;
	size_t size;

	for (int i = 0; i < 10; i++) {
		rc = i % 2 ? ks_read_events(ks, buf, sizeof(buf), i, &size) :
			     ks_poll(ks, i, 1 + i, ignore, NULL);
		g_assert_true(rc >= 0 || rc == -EBADF);
		has_message(ks, rc);
	}
	return rc;
}

static void call_all(struct host *h)
{
	const struct ks_scope tree = { .size = sizeof(tree), .kind = KS_SCOPE_TREE };
	struct ks_probe_info probe = { .size = sizeof(probe) };
	struct ks_cgroup_info cgroup = { .size = sizeof(cgroup) };
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks *ks = h->ks;

	has_message(ks, ks_read_stats(h->reader, &stats));
	has_message(ks, ks_set_scope(ks, &tree));
	has_message(ks, ks_configure_probe(ks, KS_PROBE_PROC, NULL, 0));
	has_message(ks, ks_query_probe(ks, KS_PROBE_FADVISE, &probe));
	has_message(ks, ks_thread_role(ks, 0, "worker"));
	has_message(ks, ks_describe_cgroup(ks, counters_cgroup(), &cgroup));
	has_message(ks, ks_selftest(ks, KS_PROBE_PROC, NULL));
	has_message(ks, ks_ledger_check(ks, KS_PROBE_SELF));
	has_message(ks, ks_check(ks, KS_JSON, NULL, 0));
	has_message(ks, ks_explain(ks, KS_JSON, NULL, 0));
	has_message(ks, ks_prepare(ks, NULL, 0));
	has_message(ks, ks_disable_probe(ks, KS_PROBE_PROC));
	has_message(ks, ks_enable_probe(ks, KS_PROBE_PROC, NULL));
	has_message(ks, ks_enable_probe(ks, KS_PROBE_FADVISE, NULL));
}

/* ---- one descriptor --------------------------------------------------------------------- */

struct step {
	unsigned i;
	const struct kind *kind;
	uint64_t features;
};

/* True if the consumer itself needs it: the epoll set, its timer, or the wake-up socket. */
static int is_consumers(int fd)
{
	char path[32], name[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	g_assert_cmpint(readlink(path, name, sizeof(name) - 1), >, 0);
	return strstr(name, "eventpoll") || strstr(name, "timerfd") || strstr(name, "socket");
}

static void lose(struct host *h, const struct step *step, struct stranger *s)
{
	int fd = h->fds[step->i];

	if (!step->kind->make) {
		g_assert_cmpint(close(fd), ==, 0);
		return;
	}
	*s = step->kind->make();
	g_assert_cmpint(dup2(s->fd, fd), ==, fd);
	close(s->fd);
	s->fd = fd;
}

static int child(const void *data)
{
	const struct step *step = data;
	struct stranger s = { -1, -1 };
	struct host h;
	int needed, last;

	alarm(HANG_S);
	host_open(&h, step->features);
	if (step->i >= h.n)
		return FAULT_NO_STEP;
	needed = is_consumers(h.fds[step->i]);
	fault_fork(3);
	if (step->i % 2) /* leaves records that the next call takes without waiting */
		ks_assert_ok(h.ks, ks_poll(h.ks, 0, 1, ignore, NULL));
	lose(&h, step, &s);
	fault_fork(3);
	if (step->i % 3)
		has_message(h.ks, ks_wakeup(h.ks) == 0 ? 0 : -1);
	last = consume(h.ks);
	if (needed)
		ks_assert_rc(last, -EBADF);
	call_all(&h);
	consume(h.ks);
	ks_reader_free(h.reader);
	ks_close(h.ks);
	for (unsigned i = 0; i < h.n; i++) /* only through the set can the library find the timer */
		if (i != step->i && fcntl(h.fds[i], F_GETFD) >= 0)
			g_assert_true(needed && is_consumers(h.fds[i]));
	if (step->kind->make) {
		g_assert_cmpint(fcntl(s.fd, F_GETFD), >=, 0);
		step->kind->is_same(&s);
	}
	return 0;
}

/* Closes each descriptor alone, and replaces it by one kind of file in turn, or by every kind. */
static void walk(gconstpointer features)
{
	unsigned stride = g_test_thorough() ? 1 : (unsigned)(1 / MAX(ks_test_scale(), 0.01)) | 1;
	struct step step = { .features = GPOINTER_TO_SIZE(features) };
	const size_t n = G_N_ELEMENTS(kinds);
	int more = 1;

	if (!ks_test_root())
		return;
	for (step.i = 0; more; step.i += step.i < 8 ? 1 : stride)
		for (size_t k = 0; k < n && more; k++) {
			step.kind = &kinds[k];
			if (k && k != 1 + step.i % (n - 1) && (stride > 1 || step.i >= 8) &&
			    !g_test_thorough())
				continue;
			more = fault_step(child, &step, step.i, step.kind->name);
		}
	g_assert_cmpuint(step.i, >, 6);
}

/* A daemon calls closefrom(3) and opens its own files under these numbers. */
static void everything(const void *data)
{
	struct host h;
	int own[MOST];
	unsigned n = 0;

	(void)data;
	alarm(HANG_S);
	host_open(&h, 0);
	fault_fork(3);
	for (unsigned i = 0; i < h.n; i++)
		close(h.fds[i]);
	while (n < h.n)
		own[n++] = dup(0);
	ks_assert_rc(consume(h.ks), -EBADF);
	ks_assert_rc(ks_wakeup(h.ks), -EBADF);
	call_all(&h);
	ks_reader_free(h.reader);
	ks_close(h.ks);
	for (unsigned i = 0; i < n; i++)
		g_assert_cmpint(close(own[i]), ==, 0);
}

static void closefrom_3(void)
{
	if (ks_test_root())
		fault_in_child(everything, NULL);
}

/* ---- numbers of descriptors ------------------------------------------------------------------ */

static void without_stdio(const void *features)
{
	struct host h;

	for (int fd = 0; fd < 3; fd++)
		close(fd);
	host_open(&h, GPOINTER_TO_SIZE(features));
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			_exit(3 + fd);
	for (unsigned i = 0; i < h.n; i++)
		if (h.fds[i] < 3 || fcntl(h.fds[i], F_GETFD) != FD_CLOEXEC)
			_exit(6);
	ks_reader_free(h.reader);
	ks_close(h.ks);
}

static void numbers(gconstpointer features)
{
	if (ks_test_root())
		fault_in_child(without_stdio, features);
}

/* The promise of kernelsight.h for ks_prepare(): an upper bound, also while it loads. */
#define HELD 120
#define LOADING 250

static void are_bounded(const void *data)
{
	const struct ks_scope tree = { .size = sizeof(tree), .kind = KS_SCOPE_TREE };
	const uint32_t probes[] = { KS_PROBE_PROC, KS_PROBE_SCHED, KS_PROBE_FADVISE,
				    KS_PROBE_PAGECACHE };
	unsigned before = counters_descriptors();
	struct ks_cgroup_info info = { .size = sizeof(info) };
	struct ks_stats_self self;
	struct rlimit limit = { before + LOADING, before + LOADING };
	struct ks *ks;

	(void)data;
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	ks = fault_open(NULL);
	g_assert_cmpuint(counters_descriptors() - before, ==, 6);
	ks_assert_ok(ks, ks_prepare(ks, probes, G_N_ELEMENTS(probes)));
	ks_assert_ok(ks, ks_set_scope(ks, &tree));
	for (size_t i = 0; i < G_N_ELEMENTS(probes); i++)
		ks_assert_ok(ks, ks_enable_probe(ks, probes[i], NULL));
	ks_describe_cgroup(ks, counters_cgroup(), &info);
	g_test_message("%u descriptors", counters_descriptors() - before);
	g_assert_cmpuint(counters_descriptors() - before, <=, HELD);
	fault_total(ks, KS_PROBE_SELF, &self, sizeof(self));
	g_assert_cmpuint(self.descriptors, ==, counters_descriptors() - before);
	ks_close(ks);
	g_assert_cmpuint(counters_descriptors(), ==, before);
}

static void bound(void)
{
	if (ks_test_root())
		fault_in_child(are_bounded, NULL);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_data_func("/descriptors/lost/bpf", NULL, walk);
	g_test_add_data_func("/descriptors/lost/perf", GSIZE_TO_POINTER(KS_FEATURE_RINGBUF), walk);
	g_test_add_data_func("/descriptors/lost/files", GSIZE_TO_POINTER(KS_FEATURE_MMAP), walk);
	g_test_add_func("/descriptors/lost/all", closefrom_3);
	g_test_add_data_func("/descriptors/numbers/bpf", NULL, numbers);
	g_test_add_data_func("/descriptors/numbers/files", GSIZE_TO_POINTER(KS_FEATURE_MMAP),
			     numbers);
	g_test_add_func("/descriptors/bound", bound);
	return g_test_run();
}
