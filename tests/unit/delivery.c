/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a consumer gets each record of two sources once, limited by max and by its buffer;
 * that it wakes at the earliest deadline of the sources; that in ordered delivery a record waits as
 * long as it must and no longer; that a handle that is closed meanwhile gives no document; and that
 * a wake-up needs our own sockets.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "support/fake_source.h"
#include "support/ks_test.h"

#define FORK KS_EVENT_PROC_FORK
#define WAIT KS_EVENT_SCHED_WAIT
#define SECOND 1000000000ull

struct seen {
	unsigned n, stop_at; /* the callback returns -7 at this record; 0: at none */
	uint64_t time_ns[32], tag[32];
};

static int see(const struct ks_event *ev, void *user)
{
	struct seen *seen = user;

	g_assert_cmpint(((const char *)ev)[ev->size - 1], ==, (char)ev->tag);
	seen->time_ns[seen->n] = ev->time_ns;
	seen->tag[seen->n++] = ev->tag;
	return seen->n == seen->stop_at ? -7 : 0;
}

static void times(const struct seen *seen, unsigned n, const uint64_t *want)
{
	g_assert_cmpuint(seen->n, ==, n);
	for (unsigned i = 0; i < n; i++)
		g_assert_cmpuint(seen->time_ns[i], ==, want[i]);
}

static int readable(void)
{
	struct pollfd fd = { .fd = ks_fd(ks), .events = POLLIN };

	return poll(&fd, 1, 0);
}

static uint64_t last_ns(uint32_t probe)
{
	struct ks_probe_info info = { .size = sizeof(info) };

	ks_assert_ok(ks, ks_query_probe(ks, probe, &info));
	return info.last_ns;
}

/* The sources have three and four records. */
static void fill(void)
{
	static const struct fake_record first[] = { { FORK, 96, 10 },
						    { FORK, 96, 30 },
						    { WAIT, 112, 50 } };
	static const struct fake_record second[] = {
		{ FORK, 96, 20 }, { FORK, 72, 40 }, { FORK, 104, 60 }, { FORK, 96, 70 }
	};

	memcpy(programs.out, first, sizeof(first));
	memcpy(files.out, second, sizeof(second));
}

static void test_most(void)
{
	struct seen seen = { 0 };

	begin();
	fill();
	ks_assert_rc(ks_poll(ks, 0, 5, see, &seen), 5);
	g_assert_cmpint(readable(), ==, 1); /* more records wait */
	g_assert_cmpuint(last_ns(KS_PROBE_PROC), ==, 40);
	g_assert_cmpuint(last_ns(KS_PROBE_SCHED), ==, 50);
	g_assert_cmpuint(last_ns(KS_PROBE_FADVISE), ==, 0);
	ks_assert_rc(ks_poll(ks, -1, 5, see, &seen), 2);
	times(&seen, 7, (uint64_t[]){ 10, 30, 50, 20, 40, 60, 70 });
	ks_assert_rc(ks_poll(ks, 0, 5, see, &seen), 0);
	g_assert_cmpint(readable(), ==, 0);
	g_assert_cmpuint(seen.n, ==, 7);
	g_assert_cmpuint(seen.tag[6], ==, 3);
	end();
}

/*
 * If the callback returns an error, the call ends with it. That record counts as delivered, and no
 * other source is drained.
 */
static void test_stop(void)
{
	struct seen seen = { .stop_at = 2 };

	begin();
	fill();
	ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), -7);
	g_assert_cmpuint(seen.n, ==, 2);
	g_assert_cmpuint(files.drained, ==, 0);
	g_assert_cmpint(readable(), ==, 1);
	seen.stop_at = 4;
	ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), -7);
	ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), 3);
	times(&seen, 7, (uint64_t[]){ 10, 30, 50, 20, 40, 60, 70 });
	end();
}

/* A batch takes records while the buffer has room for one more record of the longest size. */
static void test_batch(void)
{
	static _Alignas(8) char buf[KS_RECORD_MAX + 1024];
	const struct ks_event *ev = NULL;
	size_t size = 4711;
	struct seen seen = { 0 };

	begin();
	fill();
	ks_assert_rc(ks_read_events(ks, buf, KS_RECORD_MAX - 1, 0, &size), -EINVAL);
	ks_assert_rc(ks_read_events(ks, buf + 4, KS_RECORD_MAX, 0, &size), -EINVAL);
	ks_assert_rc(ks_read_events(ks, buf, KS_RECORD_MAX, -2, &size), -EINVAL);
	g_assert_cmpuint(size, ==, 4711);
	ks_assert_rc(ks_read_events(ks, buf, KS_RECORD_MAX, 0, &size), 1);
	g_assert_cmpuint(size, ==, 96);
	g_assert_cmpint(readable(), ==, 1);
	/* exactly enough room for two more records; and one byte less */
	ks_assert_rc(ks_read_events(ks, buf, KS_RECORD_MAX + 96, 0, &size), 2);
	g_assert_cmpuint(size, ==, 96 + 112);
	ks_assert_rc(ks_read_events(ks, buf, KS_RECORD_MAX + 95, 0, &size), 1);
	g_assert_cmpuint(size, ==, 96);
	ks_assert_rc(ks_read_events(ks, buf, sizeof(buf), 0, &size), 3);
	g_assert_cmpuint(size, ==, 72 + 104 + 96);
	while ((ev = ks_next_event(buf, size, ev)))
		see(ev, &seen);
	times(&seen, 3, (uint64_t[]){ 40, 60, 70 });
	ks_assert_rc(ks_read_events(ks, buf, sizeof(buf), 0, &size), 0);
	g_assert_cmpuint(size, ==, 0);
	end();
}

/* Seconds until the timer expires, rounded up; 0: it is off. */
static uint64_t timer_s(void)
{
	struct itimerspec left;

	g_assert_cmpint(timerfd_gettime(ks->timer_fd, &left), ==, 0);
	return (uint64_t)left.it_value.tv_sec + (left.it_value.tv_nsec > 0);
}

/* The timer is set to the earliest deadline of all sources. */
static void test_deadlines(void)
{
	static const struct {
		unsigned first, second, want; /* seconds from now; 0: no deadline */
	} cases[] = { { 3000, 900, 900 },
		      { 600, 4000, 600 },
		      { 0, 900, 900 },
		      { 900, 0, 900 },
		      { 0, 0, 0 } };
	struct seen seen = { 0 };

	begin();
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		uint64_t now = ks__now();

		programs.deadline_ns = cases[i].first ? now + cases[i].first * SECOND : 0;
		files.deadline_ns = cases[i].second ? now + cases[i].second * SECOND : 0;
		ks__consumer_poke(ks); /* otherwise it would not ask the sources again */
		ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), 0);
		g_assert_cmpuint(timer_s(), <=, cases[i].want);
		g_assert_cmpuint(timer_s() + 300, >, cases[i].want);
		g_assert_cmpint(timer_s() == 0, ==, cases[i].want == 0);
	}
	end();
}

/* If a source gets records while it is armed, the same call drains it again. */
static void test_late_records(void)
{
	struct seen seen = { 0 };
	unsigned drained;

	begin();
	ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), 0);
	g_assert_cmpuint(programs.armed, ==, 1);
	g_assert_cmpuint(files.armed, ==, 1);
	drained = files.drained;
	files.arm_rc = 1;
	ks__consumer_poke(ks);
	ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), 0);
	g_assert_cmpuint(files.armed, >=, 3);
	g_assert_cmpuint(files.drained, >=, drained + 2);
	end();
}

/*
 * ---- ordered delivery
 * ----------------------------------------------------------------------------
 */

static void test_ordered(void)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .flags = KS_OPEN_ORDERED };
	struct seen seen = { 0 };

	begin_with(&opts);
	ks_assert_rc(enable(NULL, 0), 0);
	fill();
	ks_assert_rc(ks_poll(ks, 0, 3, see, &seen), 3);
	ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), 4);
	times(&seen, 7, (uint64_t[]){ 10, 20, 30, 40, 50, 60, 70 });
	g_assert_cmpuint(last_ns(KS_PROBE_PROC), ==, 70);
	end();
}

/* A new record waits as long as a batch may take, since an older one may still arrive. */
static void test_held(void)
{
	static const struct {
		uint32_t batch_ms;
		unsigned ahead_s, want_s;
	} cases[] = { { 60000, 0, 60 }, { 30000, 1000, 1030 }, { KS_IMMEDIATE, 1000, 1001 } };

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct ks_open_opts opts = { .size = sizeof(opts),
					     .flags = KS_OPEN_ORDERED,
					     .batch_ms = cases[i].batch_ms };
		struct seen seen = { 0 };

		begin_with(&opts);
		ks_assert_rc(enable(NULL, 0), 0);
		programs.out[0] =
			(struct fake_record){ FORK, 96, ks__now() + cases[i].ahead_s * SECOND };
		ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), 0);
		g_assert_cmpuint(timer_s(), <=, cases[i].want_s);
		g_assert_cmpuint(timer_s() + 25, >, cases[i].want_s);
		/* no probe is enabled, so no older record can arrive */
		ks_assert_rc(ks_disable_probe(ks, PROBE), 0);
		ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), 1);
		end();
	}
}

/* A record held back for ordering counts as in flight, not as delivered. */
static void test_held_is_in_flight(void)
{
	struct ks_open_opts opts = { .size = sizeof(opts),
				     .flags = KS_OPEN_ORDERED,
				     .batch_ms = 60000 };
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_self *row;
	struct ks_reader *reader;
	struct seen seen = { 0 };

	begin_with(&opts);
	ks_assert_rc(enable(NULL, 0), 0);
	programs.out[0] = (struct fake_record){ FORK, 96, 10 };
	programs.out[1] = (struct fake_record){ FORK, 96, ks__now() + SECOND };
	programs.out[2] = (struct fake_record){ FORK, 96, ks__now() + SECOND };
	programs.ledger.delivered = 3;
	programs.ledger.in_flight = 4;  /* in the ring */
	programs.ledger.outcome[5] = 7; /* submitted */
	ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), 1);
	ks_assert_rc(ks_reader_new(ks, KS_PROBE_SELF,
				   &(struct ks_reader_opts){ .size = sizeof(struct ks_reader_opts),
							     .by = KS_BY_PROBE },
				   &reader),
		     0);
	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	row = ks_stats_row(&stats, 0);
	g_assert_cmpuint(row->row.key, ==, PROBE);
	g_assert_cmpuint(row->submitted, ==, 7);
	g_assert_cmpuint(row->delivered, ==, 1);
	g_assert_cmpuint(row->in_flight, ==, 2 + 4);
	ks_reader_free(reader);
	end();
}

static int close_and_report(const struct ks_event *ev, void *user)
{
	struct ks *closed = ks;
	char text[64] = "untouched";

	(void)ev;
	++*(unsigned *)user;
	end();
	ks_assert_rc(ks_check(closed, KS_JSON, text, sizeof(text)), -KS_ECLOSED);
	ks_assert_rc(ks_explain(closed, KS_TEXT, text, sizeof(text)), -KS_ECLOSED);
	g_assert_cmpstr(text, ==, "untouched");
	return 0;
}

/* The callback closes the handle: it gets no more records, and the handle no more documents. */
static void test_closed_inside(void)
{
	unsigned seen = 0;

	begin();
	fill();
	ks_assert_rc(ks_poll(ks, 0, 0, close_and_report, &seen), -KS_ECLOSED);
	g_assert_cmpuint(seen, ==, 1);
}

/* As another thread does it: the handle is closed while a source writes into the document. */
static void test_closed_meanwhile(void)
{
	int (*const reports[])(struct ks *, uint32_t, char *, size_t) = { ks_check, ks_explain };

	for (size_t i = 0; i < G_N_ELEMENTS(reports); i++) {
		char text[64] = "untouched";

		begin();
		files.during = end;
		ks_assert_rc(reports[i](ks, KS_JSON, text, sizeof(text)), -KS_ECLOSED);
		g_assert_cmpstr(text, ==, "untouched");
	}
}

/* ---- wake-ups -------------------------------------------------------------------------------- */

static void (*meanwhile)(void); /* what the host does while the next call waits */

/* The library calls this function in place of libc's. */
int epoll_wait(int set, struct epoll_event *events, int most, int timeout_ms)
{
	void (*fn)(void) = timeout_ms ? meanwhile : NULL;

	if (fn) {
		meanwhile = NULL;
		fn();
	}
	return epoll_pwait(set, events, most, timeout_ms, NULL);
}

/*
 * A socket of the host with one byte to read: at the number of one of ours, whose copy is `kept`.
 */
static struct {
	int fd, kept, peer;
} host;

static void replace(int fd)
{
	int pair[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	g_assert_cmpint(write(pair[1], "c", 1), ==, 1);
	host.fd = fd;
	host.kept = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	host.peer = pair[1];
	g_assert_cmpint(dup2(pair[0], fd), ==, fd);
	close(pair[0]);
}

/* Asserts that nobody wrote to the host's socket or read from it, and puts ours back. */
static void restore(void)
{
	char bytes[4];

	g_assert_cmpint(recv(host.peer, bytes, sizeof(bytes), MSG_DONTWAIT), ==, -1);
	g_assert_cmpint(recv(host.fd, bytes, sizeof(bytes), MSG_DONTWAIT), ==, 1);
	g_assert_cmpint(dup2(host.kept, host.fd), ==, host.fd);
	close(host.kept);
	close(host.peer);
}

static void wake_and_replace(void)
{
	ks_assert_rc(ks_wakeup(ks), 0);
	replace(ks->wake_fds[0]);
}

static void test_wakeup(void)
{
	struct seen seen = { 0 };
	int status;
	pid_t pid;

	begin();
	for (int i = 0; i < 2; i++) {
		g_assert_cmpint(fcntl(ks->wake_fds[i], F_GETFD), ==, FD_CLOEXEC);
		g_assert_cmpint(fcntl(ks->wake_fds[i], F_GETFL), ==, O_RDWR | O_NONBLOCK);
	}
	ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), 0);
	pid = fork();
	if (!pid)
		_exit(ks_wakeup(ks) == -KS_EFORKED ? 0 : 1);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
	g_assert_cmpint(readable(), ==, 0);
	errno = 77;
	ks_assert_rc(ks_wakeup(ks), 0);
	g_assert_cmpint(errno, ==, 77);
	g_assert_cmpint(readable(), ==, 1);
	ks_assert_rc(ks_poll(ks, -1, 0, see, &seen), 0);
	g_assert_cmpint(readable(), ==, 0);
	end();
}

static int send_error;

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
	if (!send_error)
		return sendto(fd, bytes, n, flags, NULL, 0);
	errno = send_error;
	return -1;
}

/* A byte that cannot be sent now is none that is needed: others are on their way. */
static void test_wakeup_full(void)
{
	static const int passing[] = { EAGAIN, ENOBUFS, ENOMEM, EINTR };
	static const int final[] = { EPIPE, ECONNRESET, ENOTCONN, EIO, EINVAL, EBADF };

	begin();
	for (size_t i = 0; i < G_N_ELEMENTS(passing); i++) {
		send_error = passing[i];
		ks_assert_rc(ks_wakeup(ks), 0);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(final); i++) {
		send_error = final[i];
		ks_assert_rc(ks_wakeup(ks), -EBADF);
	}
	send_error = 0;
	end();
}

/* A host has closed one of the two sockets and opened its own under that number. */
static void test_wakeup_lost(void)
{
	static const char closed[] =
		"the host closed a descriptor of this handle (with closefrom(), or close() of a "
		"wrong number): close the handle and open another";
	struct seen seen = { 0 };

	begin();
	ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), 0);
	replace(ks->wake_fds[1]);
	errno = 77;
	ks_assert_rc(ks_wakeup(ks), -EBADF);
	g_assert_cmpint(errno, ==, 77);
	g_assert_cmpint(readable(), ==, 0);
	restore();
	wake_and_replace();
	ks_assert_rc(ks_poll(ks, -1, 0, see, &seen), -EBADF);
	restore();
	ks_assert_rc(ks_poll(ks, -1, 0, see, &seen), 0);
	meanwhile = wake_and_replace;
	ks_assert_rc(ks_poll(ks, -1, 0, see, &seen), -EBADF);
	sentence(closed);
	g_assert_null(meanwhile);
	restore();
	ks_assert_rc(ks_poll(ks, -1, 0, see, &seen), 0);
	g_assert_cmpint(readable(), ==, 0);
	end();
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/delivery/most", test_most);
	g_test_add_func("/delivery/stop", test_stop);
	g_test_add_func("/delivery/batch", test_batch);
	g_test_add_func("/delivery/deadlines", test_deadlines);
	g_test_add_func("/delivery/late records", test_late_records);
	g_test_add_func("/delivery/ordered", test_ordered);
	g_test_add_func("/delivery/held", test_held);
	g_test_add_func("/delivery/held is in flight", test_held_is_in_flight);
	g_test_add_func("/delivery/closed inside", test_closed_inside);
	g_test_add_func("/delivery/closed meanwhile", test_closed_meanwhile);
	g_test_add_func("/delivery/wakeup", test_wakeup);
	g_test_add_func("/delivery/wakeup/full", test_wakeup_full);
	g_test_add_func("/delivery/wakeup/lost", test_wakeup_lost);
	return g_test_run();
}
