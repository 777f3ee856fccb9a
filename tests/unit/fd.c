/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a descriptor is kept at 3 or above and counted until it is closed; that each kind of
 * file is recognized, and another file under its number is neither taken for ours nor closed; and
 * that a descriptor that cannot be kept is closed. The test plays bpf() and the ioctl() of perf.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <linux/bpf.h>
#include <linux/perf_event.h>

#include "base/fd.h"
#include "support/ks_test.h"
#include "support/own_syscall.h"

#define GONE 1000 /* nobody opens this number */

/* ---- the kernel ------------------------------------------------------------------------------ */

/* What bpf() and perf know of a descriptor; all 0: neither knows it. */
struct known {
	int bpf_error, interrupted; /* the next calls that a signal interrupts */
	uint32_t bpf_kind, bpf_id;
	uint64_t perf_id;
};

static struct known known[1024];
static void (*meanwhile)(void); /* what another thread does during the next bpf() */

static long refuse(int error)
{
	errno = error;
	return -1;
}

static long own_syscall(long number, const long args[6])
{
	const union bpf_attr *attr = (const void *)args[1];
	void (*fn)(void) = meanwhile;
	struct known is, *at;

	if (number != SYS_bpf)
		return real_syscall(number, args);
	g_assert_cmpint(args[0], ==, BPF_OBJ_GET_INFO_BY_FD);
	g_assert_cmpuint(attr->info.info_len, ==, 8);
	for (size_t i = sizeof(attr->info); i < (size_t)args[2]; i++)
		g_assert_cmphex(((const unsigned char *)attr)[i], ==, 0); /* Linux refuses others */
	at = &known[attr->info.bpf_fd];
	if (at->interrupted && at->interrupted--)
		return refuse(EINTR);
	is = *at;
	meanwhile = NULL;
	if (fn)
		fn();
	if (is.bpf_error || !is.bpf_kind)
		return refuse(is.bpf_error ? is.bpf_error : EINVAL);
	memcpy((void *)(uintptr_t)attr->info.info, &is.bpf_kind, 4);
	memcpy((char *)(uintptr_t)attr->info.info + 4, &is.bpf_id, 4);
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;

	g_assert_cmpuint(request, ==, PERF_EVENT_IOC_ID);
	if (known[fd].interrupted && known[fd].interrupted--)
		return (int)refuse(EINTR);
	if (!known[fd].perf_id)
		return (int)refuse(ENOTTY);
	va_start(list, request);
	*va_arg(list, uint64_t *) = known[fd].perf_id;
	va_end(list);
	return 0;
}

/* ---- helpers --------------------------------------------------------------------------------- */

static int is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int anonymous(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	g_assert_cmpint(fd, >=, 3);
	memset(&known[fd], 0, sizeof(known[fd]));
	return fd;
}

static int keep(struct ks__fds *fds, int fd)
{
	g_assert_cmpint(ks__fd_keep(fds, fd), ==, fd);
	return fd;
}

static void end(struct ks__fds *fds)
{
	ks__fds_close(fds);
	g_assert_cmpuint(ks__fds_count(fds), ==, 0);
	ks__fds_free(fds);
}

/* ---- numbers and counts ---------------------------------------------------------------------- */

/* Number 3 stays. 0 and 2 move to the first free number from 3 on. */
static void number(void)
{
	struct rlimit limit = { 6, 6 };
	struct ks__fds fds;
	int moved[2], open[2], flags[2], rc;

	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	g_assert_cmpint(dup2(1, 0), ==, 0);
	ks__fds_init(&fds);
	g_assert_cmpint(dup(1), ==, 3);
	g_assert_cmpint(ks__fd_keep(&fds, 3), ==, 3);
	g_assert_cmpint(dup(1), ==, 4);
	close(4);
	for (int i = 0; i < 2; i++) { /* a failed assertion needs 2, so it waits */
		int low = 2 * i, kept = i ? fcntl(2, F_DUPFD_CLOEXEC, 100) : -1;

		g_assert_cmpint(dup2(1, low), ==, low);
		moved[i] = ks__fd_keep(&fds, low);
		open[i] = is_open(low);
		flags[i] = fcntl(moved[i], F_GETFD);
		if (i)
			dup2(kept, 2);
		close(kept);
	}
	for (int i = 0; i < 2; i++) {
		g_assert_cmpint(moved[i], ==, 4 + i);
		g_assert_cmpint(open[i], ==, 0);
		g_assert_cmpint(flags[i], ==, FD_CLOEXEC);
	}
	g_assert_cmpuint(ks__fds_count(&fds), ==, 3);
	g_assert_cmpint(ks__fd_copy(1), ==, 6);
	g_assert_cmpint(fcntl(6, F_GETFD), ==, FD_CLOEXEC);
	close(6);
	ks_assert_rc(ks__fd_copy(6), -EBADF);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	ks_assert_rc(ks__fd_copy(1), -EMFILE);
	g_assert_cmpint(dup(1), ==, 0);
	rc = ks__fd_keep(&fds, 0); /* there is no number for it */
	ks_assert_rc(rc, -EMFILE);
	g_assert_false(is_open(0));
	limit.rlim_cur = 3;
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	g_assert_cmpint(dup(1), ==, 0);
	rc = ks__fd_copy(1); /* not even 3 */
	ks_assert_rc(rc, -EMFILE);
	rc = ks__fd_keep(&fds, 0);
	ks_assert_rc(rc, -EMFILE);
	g_assert_false(is_open(0));
	g_assert_cmpuint(ks__fds_count(&fds), ==, 3);
	end(&fds);
	for (int fd = 3; fd < 6; fd++)
		g_assert_false(is_open(fd));
}

static void test_numbers(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		number();
		_exit(0);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
}

/* More descriptors than one chunk of notes has room for; each is counted until it is closed. */
static void test_count(void)
{
	struct ks__fds fds;
	int fd[KS__FD_NOTES + 6];

	ks__fds_init(&fds);
	g_assert_cmpuint(ks__fds_count(&fds), ==, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(fd); i++) {
		fd[i] = keep(&fds, anonymous());
		g_assert_cmpuint(ks__fds_count(&fds), ==, i + 1);
	}
	ks__fd_close(&fds, fd[10]);
	g_assert_false(is_open(fd[10]));
	g_assert_cmpuint(ks__fds_count(&fds), ==, G_N_ELEMENTS(fd) - 1);
	ks__fd_close(&fds, fd[10]); /* it has no note now */
	ks__fd_close(&fds, -1);
	g_assert_cmpuint(ks__fds_count(&fds), ==, G_N_ELEMENTS(fd) - 1);
	for (unsigned i = 0; i < G_N_ELEMENTS(fd); i++)
		g_assert_cmpint(ks__fd_is_own(&fds, fd[i]), ==, i != 10);
	g_assert_cmpint(ks__fds_are_own(&fds), ==, 1);
	end(&fds);
	for (unsigned i = 0; i < G_N_ELEMENTS(fd); i++)
		g_assert_false(is_open(fd[i]));
}

/* A number that the host has closed and the library opens again has one note, the new one. */
static void test_again(void)
{
	struct ks__fds fds;
	int fd, file;

	ks__fds_init(&fds);
	fd = keep(&fds, anonymous());
	close(fd);
	g_assert_cmpint(ks__fds_are_own(&fds), ==, 0);
	file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	g_assert_cmpint(file, ==, fd);
	keep(&fds, fd);
	g_assert_cmpuint(ks__fds_count(&fds), ==, 1);
	g_assert_cmpint(ks__fd_is_own(&fds, fd), ==, 1);
	g_assert_cmpint(ks__fds_are_own(&fds), ==, 1);
	end(&fds);
	g_assert_false(is_open(fd));
}

/* What is no descriptor stays what it is; without notes, every descriptor is ours. */
static void test_without_notes(void)
{
	struct ks__fds fds;
	int fd = anonymous(), file = anonymous();

	ks__fds_init(&fds);
	ks_assert_rc(ks__fd_keep(&fds, -EMFILE), -EMFILE);
	ks_assert_rc(ks__fd_keep_set(&fds, -EMFILE, (const int[2]){ fd, fd }), -EMFILE);
	ks_assert_rc(ks__fd_keep_member(&fds, -EMFILE), -EMFILE);
	close(file);
	ks_assert_rc(ks__fd_keep(&fds, file), -EBADF); /* closed already */
	g_assert_cmpuint(ks__fds_count(&fds), ==, 0);
	g_assert_cmpint(ks__fd_is_own(&fds, fd), ==, 0);
	g_assert_cmpint(ks__fd_is_own(&fds, -1), ==, 0);
	g_assert_cmpint(ks__fd_is_own(NULL, fd), ==, 1);
	g_assert_cmpint(ks__fd_is_own(NULL, -1), ==, 0);
	g_assert_cmpint(keep(NULL, fd), ==, fd);
	ks__fd_close(&fds, fd);
	g_assert_true(is_open(fd));
	errno = 77;
	ks__fd_close(NULL, -1);
	ks__fd_close(NULL, fd);
	g_assert_cmpint(errno, ==, 77);
	g_assert_false(is_open(fd));
	end(&fds);
}

/* ---- identity -------------------------------------------------------------------------------- */

enum kind { CLOSED, FILE_A, FILE_B, FOLDER, PLACE, SOCKET, PLAIN, BPF, PERF };

struct thing {
	enum kind kind;
	struct known known;
};

static int make(const struct thing *thing)
{
	int pair[2], fd = -1;

	switch (thing->kind) {
	case CLOSED:
		return -1;
	case FILE_A:
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		break;
	case FILE_B:
		fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		break;
	case FOLDER:
		fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		break;
	case PLACE:
		fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		break;
	case SOCKET:
		g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
		close(pair[1]);
		fd = pair[0];
		break;
	case PLAIN:
	case BPF:
	case PERF:
		fd = anonymous();
	}
	g_assert_cmpint(fd, >=, 3);
	known[fd] = thing->known;
	return fd;
}

static const struct {
	struct thing is, then; /* what was kept, and what has its number later */
	int own;
} changes[] = {
	{ { .kind = FILE_A }, { .kind = FILE_A }, 1 },
	{ { .kind = FILE_A }, { .kind = FILE_B }, 0 },
	{ { .kind = FILE_A }, { .kind = CLOSED }, 0 },
	{ { .kind = FILE_A }, { .kind = PLAIN }, 0 },
	{ { .kind = FOLDER }, { .kind = FOLDER }, 1 },
	{ { .kind = FOLDER }, { .kind = PLACE }, 0 },
	{ { .kind = PLACE }, { .kind = PLACE }, 1 },
	{ { .kind = PLACE }, { .kind = FOLDER }, 0 },
	{ { .kind = PLACE }, { .kind = CLOSED }, 0 },
	{ { .kind = SOCKET }, { .kind = SOCKET }, 0 }, /* each has an inode */
	{ { .kind = PLAIN }, { .kind = PLAIN }, 1 },
	{ { .kind = PLAIN }, { .kind = FILE_A }, 0 },
	{ { .kind = PLAIN }, { .kind = CLOSED }, 0 },
	{ { BPF, { .bpf_kind = 1, .bpf_id = 7 } }, { BPF, { .bpf_kind = 1, .bpf_id = 7 } }, 1 },
	{ { BPF, { .bpf_kind = 1, .bpf_id = 7 } }, { BPF, { .bpf_kind = 2, .bpf_id = 7 } }, 0 },
	{ { BPF, { .bpf_kind = 1, .bpf_id = 7 } }, { BPF, { .bpf_kind = 1, .bpf_id = 8 } }, 0 },
	{ { BPF, { .bpf_kind = 1, .bpf_id = 7 } }, { .kind = PLAIN }, 0 },
	{ { BPF, { .bpf_kind = 1, .bpf_id = 7 } }, { .kind = FILE_A }, 0 },
	{ { BPF, { .bpf_kind = 1, .bpf_id = 7 } }, { PLAIN, { .bpf_error = EBADF } }, 0 },
	/* bpf() does not answer: then it is only known to be anonymous */
	{ { BPF, { .bpf_kind = 1, .bpf_id = 7 } }, { PLAIN, { .bpf_error = EPERM } }, 1 },
	{ { BPF, { .bpf_kind = 1, .bpf_id = 7 } }, { PLAIN, { .bpf_error = ENOMEM } }, 1 },
	{ { BPF, { .bpf_kind = 1, .bpf_id = 7 } }, { FILE_A, { .bpf_error = EPERM } }, 0 },
	{ { BPF, { .bpf_error = EPERM } }, { BPF, { .bpf_kind = 1, .bpf_id = 7 } }, 1 },
	/* a call that a signal interrupts is made again */
	{ { BPF, { .bpf_kind = 1, .bpf_id = 7, .interrupted = 2 } },
	  { BPF, { .bpf_kind = 1, .bpf_id = 7, .interrupted = 2 } },
	  1 },
	{ { BPF, { .bpf_kind = 1, .bpf_id = 7 } },
	  { BPF, { .bpf_kind = 1, .bpf_id = 8, .interrupted = 2 } },
	  0 },
	{ { PERF, { .perf_id = 1ull << 40 } }, { PERF, { .perf_id = 1ull << 40 } }, 1 },
	{ { PERF, { .perf_id = 1ull << 40 } }, { PERF, { .perf_id = 1ull << 40 | 1 } }, 0 },
	{ { PERF, { .perf_id = 9 } }, { PERF, { .perf_id = 9, .interrupted = 1 } }, 1 },
	{ { PERF, { .perf_id = 9 } }, { .kind = PLAIN }, 0 },
	{ { PERF, { .perf_id = 9 } }, { BPF, { .bpf_kind = 9 } }, 0 },
	{ { PERF, { .perf_id = 9 } }, { FILE_A, { .perf_id = 9 } }, 0 },
	{ { PERF, { .perf_id = 9 } }, { .kind = CLOSED }, 0 },
};

static void test_identity(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
		struct ks__fds fds;
		int fd, other;

		g_test_message("row %zu", i);
		ks__fds_init(&fds);
		fd = keep(&fds, make(&changes[i].is));
		known[fd].interrupted = 0;
		other = make(&changes[i].then);
		if (other >= 0) {
			g_assert_cmpint(dup2(other, fd), ==, fd);
			close(other);
		} else {
			close(fd);
		}
		known[fd] = changes[i].then.known;
		errno = 77;
		g_assert_cmpint(ks__fd_is_own(&fds, fd), ==, changes[i].own);
		g_assert_cmpint(ks__fds_are_own(&fds), ==, changes[i].own);
		g_assert_cmpuint(ks__fds_count(&fds), ==, 1);
		if (i % 2)
			ks__fd_close(&fds, fd);
		else
			ks__fds_close(&fds);
		g_assert_cmpint(errno, ==, 77);
		g_assert_cmpuint(ks__fds_count(&fds), ==, 0);
		g_assert_cmpint(is_open(fd), ==, other >= 0 && !changes[i].own);
		if (is_open(fd))
			close(fd);
		ks__fds_free(&fds);
	}
}

/* ---- two threads ----------------------------------------------------------------------------- */

static struct ks__fds shared;
static int shared_fd;

/* Closes the descriptor, and keeps another file under its number. */
static void reopen(void)
{
	int other = anonymous();

	ks__fd_close(&shared, shared_fd);
	g_assert_cmpint(dup2(other, shared_fd), ==, shared_fd);
	close(other);
	known[shared_fd].bpf_id = 8;
	keep(&shared, shared_fd);
}

/* What the library closes itself, in another thread, is not taken for lost. */
static void test_closing(void)
{
	ks__fds_init(&shared);
	shared_fd = keep(&shared, make(&(struct thing){ BPF, { .bpf_kind = 1, .bpf_id = 7 } }));
	meanwhile = reopen;
	g_assert_cmpint(ks__fds_are_own(&shared), ==, 1);
	g_assert_null(meanwhile);
	g_assert_cmpint(ks__fd_is_own(&shared, shared_fd), ==, 1);
	close(shared_fd);
	memset(&known[shared_fd], 0, sizeof(known[shared_fd]));
	atomic_store(&shared.notes.note[0].closing, 1);
	g_assert_cmpint(ks__fds_are_own(&shared), ==, 1);
	atomic_store(&shared.notes.note[0].closing, 0);
	g_assert_cmpint(ks__fds_are_own(&shared), ==, 0);
	end(&shared);
}

/* ---- the epoll set --------------------------------------------------------------------------- */

struct set {
	struct ks__fds fds;
	int pair[2], set, timer;
};

static int timer_new(void)
{
	return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

static void set_new(struct set *s)
{
	ks__fds_init(&s->fds);
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s->pair),
			==, 0);
	keep(&s->fds, s->pair[0]);
	keep(&s->fds, s->pair[1]);
	s->set = epoll_create1(EPOLL_CLOEXEC);
	g_assert_cmpint(ks__fd_keep_set(&s->fds, s->set, s->pair), ==, s->set);
	s->timer = timer_new();
	g_assert_cmpint(ks__fd_keep_member(&s->fds, s->timer), ==, s->timer);
}

/* Asserts what is ours; one bit each: both sockets, the set, the timer. */
static void expect_own(struct set *s, unsigned own)
{
	unsigned is = 0;

	errno = 77;
	is |= ks__fd_is_own(&s->fds, s->pair[0]) ? 1 : 0;
	is |= ks__fd_is_own(&s->fds, s->pair[1]) ? 2 : 0;
	is |= ks__fd_is_own(&s->fds, s->set) ? 4 : 0;
	is |= ks__fd_is_own(&s->fds, s->timer) ? 8 : 0;
	g_assert_cmphex(is, ==, own);
	g_assert_cmpint(ks__fds_are_own(&s->fds), ==, own == 15);
	g_assert_cmpint(errno, ==, 77);
}

/* Puts another file under the number. Returns ours under another number, to put it back. */
static int replace(int fd, int other)
{
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	g_assert_cmpint(kept, >=, 3);
	g_assert_cmpint(dup2(other, fd), ==, fd);
	close(other);
	return kept;
}

static void test_set(void)
{
	struct epoll_event e[4];
	struct set s;
	int kept[2];

	set_new(&s);
	expect_own(&s, 15);
	g_assert_cmpuint(ks__fds_count(&s.fds), ==, 4);
	g_assert_cmpint(epoll_wait(s.set, e, 4, 0), ==, 0);
	g_assert_cmpint(write(s.pair[0], "x", 1), ==, 1); /* only end [0] is for reading */
	g_assert_cmpint(epoll_wait(s.set, e, 4, 0), ==, 0);
	g_assert_cmpint(write(s.pair[1], "x", 1), ==, 1);
	g_assert_cmpint(epoll_wait(s.set, e, 4, 0), ==, 1);
	g_assert_cmpint(e[0].data.fd, ==, s.pair[0]);
	g_assert_cmphex(e[0].events, ==, EPOLLIN);

	kept[0] = replace(s.pair[0], make(&(struct thing){ .kind = SOCKET }));
	expect_own(&s, 14); /* one end is enough */
	kept[1] = replace(s.pair[1], make(&(struct thing){ .kind = SOCKET }));
	expect_own(&s, 0);
	replace(s.pair[0], kept[0]);
	expect_own(&s, 13);
	replace(s.pair[1], kept[1]);
	expect_own(&s, 15);
	kept[0] = replace(s.set, epoll_create1(EPOLL_CLOEXEC));
	expect_own(&s, 3);
	replace(s.set, kept[0]);
	kept[0] = replace(s.timer, timer_new());
	expect_own(&s, 7);
	g_assert_cmpint(ks__fd_is_member(&s.fds, s.timer), ==, 0);
	replace(s.timer, kept[0]);
	expect_own(&s, 15);
	g_assert_cmpint(ks__fd_is_member(&s.fds, s.timer), ==, 1);
	end(&s.fds);
	g_assert_false(is_open(s.pair[0]) || is_open(s.pair[1]));
	g_assert_false(is_open(s.set) || is_open(s.timer));
}

/* The set needs both ends; what cannot become a member is closed. */
static void test_set_refused(void)
{
	struct set s;
	int fd;

	g_assert_false(is_open(GONE));
	set_new(&s);
	for (int i = 0; i < 2; i++) {
		struct ks__fds fds;
		int pair[2] = { s.pair[0], s.pair[1] };

		ks__fds_init(&fds);
		fd = epoll_create1(EPOLL_CLOEXEC);
		pair[i] = GONE;
		ks_assert_rc(ks__fd_keep_set(&fds, fd, pair), -EBADF);
		g_assert_false(is_open(fd));
		g_assert_cmpuint(ks__fds_count(&fds), ==, 0);
		g_assert_cmpint(atomic_load(&fds.set), ==, -1);
		fd = timer_new();
		ks_assert_rc(ks__fd_keep_member(&fds, fd), -EBADF); /* there is no set */
		g_assert_false(is_open(fd));
		end(&fds);
	}
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ks_assert_rc(ks__fd_keep_member(&s.fds, fd), -EPERM);
	g_assert_false(is_open(fd));
	g_assert_cmpuint(ks__fds_count(&s.fds), ==, 4);
	expect_own(&s, 15);
	end(&s.fds);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/fd/numbers", test_numbers);
	g_test_add_func("/fd/count", test_count);
	g_test_add_func("/fd/again", test_again);
	g_test_add_func("/fd/without notes", test_without_notes);
	g_test_add_func("/fd/identity", test_identity);
	g_test_add_func("/fd/closing", test_closing);
	g_test_add_func("/fd/set", test_set);
	g_test_add_func("/fd/set/refused", test_set_refused);
	return g_test_run();
}
