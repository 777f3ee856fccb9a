/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wait.c - the descriptor of ks_fd(), and the consumer's wait
 *
 * The descriptor is an epoll set. Its members are the rings of the sources, one timer for all
 * deadlines, and both ends of a socket pair; ks_wakeup() writes to one end. Each socket has an
 * inode of its own, so fstat() shows whether the host has closed it; the sockets show whether the
 * set is still ours.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "api.h"

#define WAIT_EVENTS 32 /* epoll_wait() returns the other events next time */
#define AT_ONCE 1      /* a deadline that has always passed */

/* Bytes on the socket pair: of ks_wakeup(), and of ks__stay_readable(), at most one at a time. */
#define CALLED 'c'
#define MORE 'm'

/* ---- open ------------------------------------------------------------------------------------ */

/* A stream, so that one recv() takes the bytes of many ks_wakeup() calls. */
static int open_pair(struct ks *ks)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return -errno;
	ks->wake_fds[0] = ks__fd_keep(&ks->fds, pair[0]);
	ks->wake_fds[1] = ks__fd_keep(&ks->fds, pair[1]);
	return ks->wake_fds[0] < 0 ? ks->wake_fds[0] : ks->wake_fds[1] < 0 ? ks->wake_fds[1] : 0;
}

int ks__wait_open(struct ks *ks)
{
	int rc = open_pair(ks), fd;

	if (rc)
		return rc;
	fd = epoll_create1(EPOLL_CLOEXEC);
	ks->epoll_fd = fd < 0 ? -errno : ks__fd_keep_set(&ks->fds, fd, ks->wake_fds);
	if (ks->epoll_fd < 0)
		return ks->epoll_fd;
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	ks->timer_fd = fd < 0 ? -errno : ks__fd_keep_member(&ks->fds, fd);
	return ks->timer_fd < 0 ? ks->timer_fd : 0;
}

int ks__own(struct ks *ks)
{
	return ks__fds_are_own(&ks->fds) ? 0 : ks__fail_closed(ks);
}

/* ---- the timer ------------------------------------------------------------------------------- */

int ks__wait_until(struct ks *ks, uint64_t deadline_ns)
{
	struct itimerspec when = {
		.it_value = { (time_t)(deadline_ns / 1000000000u),
			      (long)(deadline_ns % 1000000000u) },
	};

	if (deadline_ns == ks->deadline_ns)
		return 0;
	if (!ks__fd_is_member(&ks->fds, ks->timer_fd)) /* ks__wait() checked the set */
		return ks__fail_closed(ks);
	ks->deadline_ns = deadline_ns;
	timerfd_settime(ks->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
	return 0;
}

/* Sets the flag before the timer: a consumer that sets the timer after this call sees the flag. */
void ks__consumer_poke(struct ks *ks)
{
	struct itimerspec at_once = { .it_value = { 0, AT_ONCE } };

	atomic_store(&ks->changed, 1);
	if (ks__fd_is_own(&ks->fds, ks->timer_fd))
		timerfd_settime(ks->timer_fd, TFD_TIMER_ABSTIME, &at_once, NULL);
}

/* ---- wake ------------------------------------------------------------------------------------ */

/* Async-signal-safe. If the socket is full, a wake-up is already pending. */
static int put(struct ks *ks, char what)
{
	if (!ks__fd_is_own(&ks->fds, ks->wake_fds[1]))
		return -EBADF;
	if (send(ks->wake_fds[1], &what, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN &&
	    errno != ENOBUFS && errno != ENOMEM && errno != EINTR)
		return -EBADF; /* the other end is gone */
	return 0;
}

/*
 * Keeps the descriptor readable until the next wait, because this call may have left records. An
 * expired timer would do the same, but costs an interrupt: 20 us in a virtual machine.
 */
void ks__stay_readable(struct ks *ks)
{
	ks->armed = 0;
	if (ks->more)
		return;
	ks->more = 1;
	put(ks, MORE); /* if the socket is lost, the next wait fails */
}

void ks__wake(struct ks *ks)
{
	put(ks, CALLED);
}

/* It takes no hold: a signal handler that let go of the last one would have to free the handle. */
int ks_wakeup(struct ks *ks)
{
	int saved = errno, rc;
	struct ks__core *core;

	if (!ks)
		return -EINVAL;
	core = ks->core;
	if (ks__forked(core))
		return -KS_EFORKED;
	atomic_fetch_add(&core->wakers, 1);
	rc = atomic_load(&core->closed) ? -KS_ECLOSED : put(ks, CALLED);
	atomic_fetch_sub(&core->wakers, 1);
	errno = saved;
	return rc;
}

int ks_fd(struct ks *ks)
{
	KS__ENTER(ks);
	return ks->epoll_fd;
}

/* ---- wait ------------------------------------------------------------------------------------ */

/* Reads the socket. Returns 1: ks_wakeup() was called; 0; -EBADF with a message. */
static int take_wakes(struct ks *ks)
{
	char bytes[512];
	ssize_t n;
	int woken = 0;

	ks->more = 0;
	do {
		n = recv(ks->wake_fds[0], bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n > 0 && memchr(bytes, CALLED, (size_t)n))
			woken = 1;
	} while (n == sizeof(bytes));
	return n == 0 ? ks__fail_closed(ks) : woken; /* 0: the other end is gone */
}

static void take_timer(struct ks *ks)
{
	uint64_t count;

	if (read(ks->timer_fd, &count, sizeof(count)) != sizeof(count))
		return;
	ks->deadline_ns = 0;
	ks->armed = 0;
}

/* poll() does not consume the readiness that a host's edge-triggered epoll set waits for. */
static int is_ready(const struct ks *ks)
{
	struct pollfd p = { .fd = ks->epoll_fd, .events = POLLIN };

	return poll(&p, 1, 0) != 0;
}

/* Every wait makes these two syscalls. An epoll set of the host has neither file as a member. */
static int is_ours(struct ks *ks)
{
	return ks__fd_is_own(&ks->fds, ks->wake_fds[0]) && ks__fd_is_member(&ks->fds, ks->timer_fd);
}

int ks__wait(struct ks *ks, int timeout_ms)
{
	struct epoll_event e[WAIT_EVENTS];
	int n, woken = 0, interrupted = 0;

	if (!timeout_ms && !is_ready(ks))
		return 0;
	if (!is_ours(ks))
		return ks__fail_closed(ks);
	n = epoll_wait(ks->epoll_fd, e, WAIT_EVENTS, timeout_ms);
	if (n < 0 && errno == EINTR) {
		/* a signal, a debugger or SIGCONT: return to the host, as after ks_wakeup() */
		interrupted = 1;
		n = epoll_wait(ks->epoll_fd, e, WAIT_EVENTS, 0);
	}
	if (n < 0)
		return ks__fail_closed(ks);
	if (n && timeout_ms)
		atomic_fetch_add_explicit(&ks->wakeups, 1, memory_order_relaxed);
	for (int i = 0; i < n && woken >= 0; i++) {
		if (e[i].data.fd == ks->wake_fds[0])
			woken = !timeout_ms || ks__fd_is_own(&ks->fds, ks->wake_fds[0]) ?
					take_wakes(ks) :
					ks__fail_closed(ks);
		else if (e[i].data.fd == ks->wake_fds[1])
			woken = ks__fail_closed(ks);
		else if (e[i].data.fd == ks->timer_fd)
			take_timer(ks);
	}
	return woken ? woken : interrupted;
}
