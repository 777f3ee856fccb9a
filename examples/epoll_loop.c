/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * epoll_loop.c - a server with its own event loop, in which the library is one descriptor of
 * several
 *
 * The server's work is a timer. It starts 20 short-lived children and gets their events when
 * ks_fd() becomes readable. It ends after the event of the last child.
 */
#include <kernelsight/kernelsight.h>

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 20

static int on_event(const struct ks_event *ev, void *user)
{
	int *forks = user;

	if (ev->id == KS_EVENT_PROC_FORK)
		printf("child %d of %s\n", ((const struct ks_event_proc_fork *)ev)->child_pid,
		       ev->comm);
	*forks += ev->id == KS_EVENT_PROC_FORK;
	return 0; /* a negative value would end this ks_poll() */
}

int main(void)
{
	struct ks_enable_opts programs = { .size = sizeof(programs),
					   .flags = KS_ENABLE_NO_FALLBACK };
	struct itimerspec tick = { { 0, 5000000 }, { 0, 5000000 } };
	struct epoll_event e = { .events = EPOLLIN }, got[2];
	int started = 0, forks = 0, rc;
	int loop = epoll_create1(EPOLL_CLOEXEC);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct ks *ks;

	if (ks_open(NULL, &ks) < 0)
		return 1;
	rc = ks_enable_probe(ks, KS_PROBE_PROC, &programs); /* scope: this process, which forks */
	if (rc < 0) {
		fprintf(stderr, "proc: %s\n", ks_strerror(rc));
		ks_close(ks);
		return rc == -KS_EUNAVAIL ? 77 : 1;
	}
	e.data.fd = timer;
	epoll_ctl(loop, EPOLL_CTL_ADD, timer, &e);
	e.data.fd = ks_fd(ks);
	epoll_ctl(loop, EPOLL_CTL_ADD, e.data.fd, &e);
	timerfd_settime(timer, 0, &tick, NULL);

	while (forks < CHILDREN) {
		int n = epoll_wait(loop, got, 2, 10000);

		if (n <= 0)
			break;
		for (int i = 0; i < n; i++) {
			unsigned long long ticks;

			if (got[i].data.fd != timer)
				ks_poll(ks, 0, 64, on_event,
					&forks); /* at most 64 events: other work waits */
			else if (read(timer, &ticks, sizeof(ticks)) > 0 && started++ < CHILDREN &&
				 !fork())
				_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	ks_close(ks);
	return forks == CHILDREN ? 0 : 1;
}
