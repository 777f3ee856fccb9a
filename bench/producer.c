/* SPDX-License-Identifier: BSD-2-Clause */
#include "producer.h"

#include <err.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define NAP_NS 150000 /* shorter pauses are busy waits, since timers are late */

static void wait_until(uint64_t when)
{
	uint64_t now;

	while ((now = wall()) < when)
		if (when - now > NAP_NS)
			nap(when - now - NAP_NS / 2);
}

static int may_call(struct producer *p)
{
	uint64_t room = atomic_load(&p->room);

	return !room || atomic_load(&p->calls) - atomic_load(&p->seen) < room;
}

/* If other load delays this process, it does not make up for missed calls: no burst. */
static void run(struct producer *p)
{
	unsigned seed = 5;
	uint64_t due = wall();

	for (;;) {
		uint64_t gap = atomic_load(&p->gap_ns), now;
		double u;

		if (!gap || !may_call(p)) {
			atomic_store(&p->idle, !gap);
			sched_yield();
			due = wall();
			continue;
		}
		atomic_store(&p->idle, 0);
		u = (rand_r(&seed) + 1.0) / ((double)RAND_MAX + 2);
		due += (uint64_t)(-log(u) * (double)gap);
		now = wall();
		if (now > due + 20 * gap)
			due = now;
		wait_until(due);
		syscall(SYS_getppid);
		atomic_fetch_add(&p->calls, 1);
	}
}

struct producer *producer_start(int cpu)
{
	struct producer *p =
		mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	pid_t pid;

	if (p == MAP_FAILED)
		err(1, "mmap");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(cpu);
		run(p);
	}
	p->pid = pid;
	return p;
}

void producer_pace(struct producer *p, uint64_t gap_ns)
{
	atomic_store(&p->idle, 0);
	atomic_store(&p->gap_ns, gap_ns);
	while (!gap_ns && !atomic_load(&p->idle))
		nap(100000);
}

void producer_stop(struct producer *p)
{
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	munmap(p, sizeof(*p));
}
