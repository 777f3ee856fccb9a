/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that rings and perf buffers take no more memory than asked for, are close-on-exec and leave
 * nothing behind, not even in an epoll set that a forked child shares; and that a stream which
 * cannot be opened says why and leaves nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "lib/bpf/answer.h"
#include "lib/bpf/ring.h"
#include "support/counters.h"
#include "support/ks_test.h"

static struct ks_bpf_cpu cpus[64];

static struct ks__stream_opts opts_for(uint32_t n_cpus, uint64_t ring_bytes)
{
	return (struct ks__stream_opts){
		.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
		.batch_ms = 10,
		.ring_bytes = ring_bytes,
		.n_cpus = n_cpus,
		.cpus = cpus,
		.perf_map_fd = -1,
	};
}

static int perf_map(uint32_t n_cpus)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
		.key_size = 4,
		.value_size = 4,
		.max_entries = n_cpus,
	};
	int fd = ks__bpf(BPF_MAP_CREATE, &attr);

	g_assert_cmpint(fd, >=, 0);
	return fd;
}

static struct ks__stream *must_open(const struct ks__stream_opts *opts)
{
	struct ks__stream *s = NULL;
	char why[256] = "";
	int rc = ks__stream_open(opts, &s, why, sizeof(why));

	if (rc)
		g_error("%d: %s", rc, why);
	return s;
}

static void expect_size(uint32_t n_cpus, uint64_t ring_bytes, unsigned rings, uint64_t each)
{
	struct ks__stream_opts opts = opts_for(n_cpus, ring_bytes);
	struct ks__stream *s = must_open(&opts);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), kernel, user;
	uint32_t fds;

	g_assert_cmpuint(ks__stream_rings(s), ==, rings);
	ks__stream_size(s, &kernel, &user, &fds);
	g_assert_cmpuint(kernel, ==, rings * (MAX(each, page) + 3 * page));
	g_assert_cmpuint(fds, ==, rings);
	g_assert_cmpuint(user, <, 64 << 10);
	for (unsigned i = 0; i < rings; i++)
		g_assert_cmpint(fcntl(ks__stream_ring_fd(s, i), F_GETFD), ==, FD_CLOEXEC);
	g_assert_cmpint(ks__stream_ring_fd(s, rings), ==, -1);
	ks__stream_close(s, 1);
	close(opts.epoll_fd);
}

static void test_share(void)
{
	if (!ks_test_root())
		return;
	expect_size(1, 4 << 20, 1, 4 << 20);
	expect_size(2, 4 << 20, 2, 2 << 20);
	expect_size(3, 4 << 20, 3, 1 << 20); /* a third is no power of two, so less */
	expect_size(64, 1 << 20, KS_BPF_RINGS, 64 << 10);
	expect_size(2, (2 << 20) - 1, 2, 512 << 10);
	expect_size(64, 4096, KS_BPF_RINGS, 4096); /* a page each, however little was asked for */
}

static void test_no_traces(void)
{
	unsigned before;

	if (!ks_test_root())
		return;
	before = counters_descriptors();
	for (unsigned i = 0; i < 50; i++) {
		struct ks__stream_opts opts = opts_for(2, 1 << 20);

		if (i % 2)
			opts.perf_map_fd = perf_map(2);
		ks__stream_close(must_open(&opts), 1);
		close(opts.epoll_fd);
		if (i % 2)
			close(opts.perf_map_fd);
	}
	g_assert_cmpuint(counters_descriptors(), ==, before);
	ks__stream_close(NULL, 1);
}

/* A child has copies of the rings' descriptors. They must not stay in the parent's epoll set. */
static void test_fork(void)
{
	struct ks__stream_opts opts;
	struct ks__stream *s;
	struct epoll_event e;
	int hold[2], status;
	pid_t child;

	if (!ks_test_root())
		return;
	opts = opts_for(2, 1 << 20);
	opts.perf_map_fd = perf_map(2);
	s = must_open(&opts);
	g_assert_cmpint(pipe(hold), ==, 0);
	child = fork();
	if (!child) {
		close(hold[1]);
		_exit(read(hold[0], &e, 1) != 0);
	}
	ks__stream_close(s, 1);
	g_assert_cmpint(epoll_wait(opts.epoll_fd, &e, 1, 0), ==, 0);
	close(hold[1]);
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(status, ==, 0);
	close(hold[0]);
	close(opts.perf_map_fd);
	close(opts.epoll_fd);
}

/* A child that closes its copy must not call epoll_ctl(), which would empty the parent's set. */
static void test_child_closes(void)
{
	struct ks__stream_opts opts;
	struct ks__stream *s;
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int status;
	pid_t child;

	if (!ks_test_root())
		return;
	opts = opts_for(2, 1 << 20);
	s = must_open(&opts);
	child = fork();
	if (!child) {
		ks__stream_close(s, 0);
		_exit(0);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(status, ==, 0);
	for (unsigned i = 0; i < 2; i++) {
		g_assert_cmpint(epoll_ctl(opts.epoll_fd, EPOLL_CTL_ADD, ks__stream_ring_fd(s, i),
					  &e),
				==, -1);
		g_assert_cmpint(errno, ==, EEXIST);
	}
	ks__stream_close(s, 1);
	close(opts.epoll_fd);
}

static void expect_refusal(struct ks__stream_opts *opts, int want, const char *word)
{
	struct ks__stream *s = (struct ks__stream *)&cpus;
	unsigned before = counters_descriptors();
	char why[256] = "";

	g_assert_cmpint(ks__stream_open(opts, &s, why, sizeof(why)), ==, want);
	g_assert_true(s == (struct ks__stream *)&cpus);
	g_assert_nonnull(strstr(why, word));
	g_assert_cmpuint(counters_descriptors(), ==, before);
}

static void test_refused(void)
{
	struct ks__stream_opts opts;
	struct rlimit was, few;
	int next;

	if (!ks_test_root())
		return;
	opts = opts_for(8, 1 << 20);
	getrlimit(RLIMIT_NOFILE, &was);
	next = dup(opts.epoll_fd);
	close(next);
	few = (struct rlimit){ (rlim_t)next + 4, was.rlim_max }; /* four of eight rings at most */
	setrlimit(RLIMIT_NOFILE, &few);
	expect_refusal(&opts, -EMFILE, "RLIMIT_NOFILE");
	setrlimit(RLIMIT_NOFILE, &was);
	close(opts.epoll_fd);
	opts.epoll_fd = -1;
	expect_refusal(&opts, -EBADF, "epoll");
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/stream/share", test_share);
	g_test_add_func("/stream/no-traces", test_no_traces);
	g_test_add_func("/stream/fork", test_fork);
	g_test_add_func("/stream/child-closes", test_child_closes);
	g_test_add_func("/stream/refused", test_refused);
	return g_test_run();
}
