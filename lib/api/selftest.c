/* SPDX-License-Identifier: BSD-2-Clause */
/* selftest.c - causes one event of each kind in a child and checks that the probe counts it */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../base/file.h"
#include "../data/rows.h"
#include "../probes/rawcall.h"
#include "api.h"

#define STACK_BYTES 65536

/* Shared by the child and the thread that clones it (CLONE_VM). */
struct child {
	const struct ks__provocation *kinds;
	int dir_fd;
	uint32_t go; /* futex: 0 wait, 1 run, 2 exit at once */
	int *result; /* by kind; 0: the event was caused */
};

/*
 * The child shares the host's memory and thread pointer, so it makes raw syscalls only: no errno,
 * no malloc, no locks. Its descriptor table is a copy.
 */
static int RAW_CODE child_main(void *arg)
{
	struct child *c = arg;

	while (__atomic_load_n(&c->go, __ATOMIC_ACQUIRE) == 0)
		raw6(SYS_futex, (long)&c->go, FUTEX_WAIT, 0, 0, 0, 0);
	for (int i = 0; __atomic_load_n(&c->go, __ATOMIC_ACQUIRE) == 1 && c->kinds[i].kind; i++) {
		c->result[i] = 0;
		if (c->kinds[i].run)
			c->result[i] = c->kinds[i].run(c->dir_fd);
	}
	raw6(SYS_exit_group, 0, 0, 0, 0, 0, 0);
	return 0;
}

/* Starts a child without SIGCHLD, copy of page tables or handlers of the host. Returns its pid. */
static pid_t start_child(struct child *c, char *stack)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = clone(child_main, stack + STACK_BYTES, CLONE_VM, c);
	if (pid < 0)
		pid = -errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static void release_child(struct child *c, uint32_t go)
{
	__atomic_store_n(&c->go, go, __ATOMIC_RELEASE);
	syscall(SYS_futex, &c->go, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/*
 * Waits for the child, which takes a few ms; kills it after timeout_ms. Returns 0, -ETIMEDOUT, or
 * the signal that ended the child before it was through.
 */
static int reap_child(pid_t pid, int timeout_ms)
{
	const struct timespec moment = { 0, 1000000 };
	uint64_t end = ks__now() + (uint64_t)timeout_ms * 1000000u;
	int status = 0;

	while (waitpid(pid, &status, __WALL | WNOHANG) == 0) {
		if (ks__now() >= end) {
			kill(pid, SIGKILL);
			while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
				;
			return -ETIMEDOUT;
		}
		nanosleep(&moment, NULL);
	}
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Reads a counter of the source in use: the sum of its elements over all CPUs. */
static int read_field(const struct ks__slot *slot, const char *field, uint64_t *ret_value)
{
	struct ks__source *s = atomic_load(&slot->source);
	const struct ks__field *f = slot->probe->stats->fields;
	struct ks__rows rows;
	int word = ks__rows_word(slot->probe->stats, field);
	int rc;

	while (f->name && strcmp(f->name, field))
		f++;
	if (word < 0 || !f->name)
		return -EINVAL;
	rc = ks__rows_init(&rows, slot->probe->stats, 1);
	if (rc)
		return rc;
	rc = s->ops->read(s, slot->probe->id, &rows, 0);
	*ret_value = 0;
	for (unsigned i = 0; i < f->count; i++)
		*ret_value += rows.raw[(unsigned)word + i];
	ks__rows_free(&rows);
	return rc;
}

static int run_child(struct ks *ks, struct ks__slot *slot, struct child *c, int timeout_ms)
{
	struct ks__source *s = atomic_load(&slot->source);
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	int rc, ended;
	pid_t pid;

	if (stack == MAP_FAILED)
		return -ENOMEM;
	pid = start_child(c, stack);
	if (pid < 0) {
		munmap(stack, STACK_BYTES);
		return ks__fail(ks, pid, "self-test: cannot create its child process");
	}
	rc = s->ops->admit(s, pid);
	release_child(c, rc ? 2 : 1);
	ended = reap_child(pid, timeout_ms);
	if (ended < 0 && !rc)
		rc = ks__fail(ks, ended, "%s: the self-test's child did not end within %d ms",
			      slot->probe->name, timeout_ms);
	if (ended > 0 && !rc)
		rc = ks__fail(ks, -ECHILD,
			      "%s: signal %d ended the self-test's child, as a seccomp filter may",
			      slot->probe->name, ended);
	s->ops->admit(s, 0);
	munmap(stack, STACK_BYTES);
	return rc;
}

/* Returns 1 if the variant in use knows this field, else 0. */
static int is_known(const struct ks__slot *slot, const char *field)
{
	const struct ks__field *f = slot->probe->stats->fields;

	while (f->name && strcmp(f->name, field))
		f++;
	return f->name && !(f->valid & ~atomic_load(&slot->valid));
}

/* Compares the counters before and after. A failure's message names the kinds not counted. */
static int judge(struct ks *ks, struct ks__slot *slot, const struct child *c,
		 const uint64_t *before)
{
	char blind[128] = "";
	int seen = 0, n = 0;

	for (int i = 0; c->kinds[i].kind; i++) {
		uint64_t after;
		int rc;

		if (c->result[i] || !is_known(slot, c->kinds[i].field))
			continue;
		rc = read_field(slot, c->kinds[i].field, &after);
		if (rc)
			return rc;
		if (after != before[i])
			seen++;
		else if (n < (int)sizeof(blind))
			n += snprintf(blind + n, sizeof(blind) - (size_t)n, "%s%s", n ? ", " : "",
				      c->kinds[i].kind);
	}
	if (seen || n) {
		unsigned state = n ? KS_STATE_SILENT : KS_STATE_ON;

		if (atomic_exchange(&slot->state, state) != state)
			slot->changed_ns = ks__now();
	}
	if (n)
		return ks__fail(ks, -KS_ESILENT,
				"%s: the self-test caused events that were not counted (%s): is "
				"kernel.ftrace_enabled 0, or the kernel's event disabled?",
				slot->probe->name, blind);
	return seen;
}

static int provoke(struct ks *ks, struct ks__slot *slot, const struct ks_selftest_opts *o,
		   struct child *c, uint64_t *before)
{
	struct ks__settings set = slot->set;
	struct ks__source *s = atomic_load(&slot->source);
	int rc = 0;

	for (int i = 0; c->kinds[i].kind && !rc; i++) {
		c->result[i] = -ECANCELED;
		rc = read_field(slot, c->kinds[i].field, &before[i]);
	}
	if (o->dir && !rc) {
		c->dir_fd = ks__file_folder(AT_FDCWD, o->dir);
		if (c->dir_fd < 0)
			return ks__fail(ks, c->dir_fd, "self-test: cannot open the directory %s",
					o->dir);
	}
	set.flags &= ~(uint32_t)KS_ENABLE_NO_STATS;
	if (!rc)
		rc = s->ops->apply(s, slot->probe->id, &set);
	if (!rc)
		rc = run_child(ks, slot, c, o->timeout_ms ? (int)o->timeout_ms : 1000);
	if (set.flags != slot->set.flags)
		s->ops->apply(s, slot->probe->id, &slot->set);
	if (c->dir_fd >= 0)
		close(c->dir_fd);
	return rc ? rc : judge(ks, slot, c, before);
}

static int selftest(struct ks *ks, struct ks__slot *slot, const struct ks_selftest_opts *o)
{
	struct child c = { .kinds = slot->probe->provocations, .dir_fd = -1 };
	uint64_t *before;
	size_t n = 0;
	int rc;

	/* a source that reads files reads them too seldom to see a short-lived child */
	if (!c.kinds || !atomic_load(&slot->source)->ops->admit)
		return 0;
	while (c.kinds[n].kind)
		n++;
	before = calloc(n + 1, sizeof(*before));
	c.result = calloc(n + 1, sizeof(*c.result));
	if (before && c.result)
		rc = provoke(ks, slot, o, &c, before);
	else
		rc = ks__fail(ks, -ENOMEM, "self-test: out of memory");
	free(before);
	free(c.result);
	return rc;
}

int ks_selftest(struct ks *ks, uint32_t probe, const struct ks_selftest_opts *opts)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	struct ks_selftest_opts o = { 0 };
	struct ks__slot *slot = ks__switchable(ks, probe);
	int rc = 0;

	if (!slot)
		return ks__end(ks, begun, -EINVAL);
	if (opts)
		rc = ks__opts_in(&o, sizeof(o), opts);
	if (!rc && (o.reserved || o.timeout_ms > 60000))
		rc = -EINVAL;
	if (rc)
		return ks__fail(ks, rc,
				"ks_selftest_opts: size %zu must be 8 or more, timeout_ms at most "
				"60000, reserved 0",
				opts->size);
	if (atomic_load(&ks->in_callback) == ks__thread() &&
	    !ks__frame_gone(ks, __builtin_frame_address(0)))
		return ks__fail(ks, -EBUSY, "ks_selftest: not possible inside an event callback");
	ks__lock(ks);
	if (atomic_load(&slot->state) != KS_STATE_ON &&
	    atomic_load(&slot->state) != KS_STATE_SILENT)
		rc = ks__fail(ks, -KS_EOFF, "%s is off: enable it first", slot->probe->name);
	else if (!(rc = ks__own(ks)))
		rc = selftest(ks, slot, &o);
	ks__unlock(ks);
	return ks__end(ks, begun, rc);
}
