/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that new settings and scopes go into the slot that is not in use; that the slot left behind
 * keeps its values; that disabling changes one word; and that only a second change within a second
 * waits for kernel programs that may still be running.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/bpf/control.h"
#include "support/ks_test.h"
#include "support/own_syscall.h"

#define PROBE 3

/* If `refused`, membarrier() and bpf() fail; sleeps are counted and return at once. */
static struct {
	int refused, no_bpf;
	unsigned sleeps, barriers;
	struct timespec until;
} kernel;

static long own_syscall(long number, const long args[6])
{
	kernel.barriers += number == SYS_membarrier;
	if ((number == SYS_membarrier && kernel.refused) || (number == SYS_bpf && kernel.no_bpf)) {
		errno = EINVAL;
		return -1;
	}
	return real_syscall(number, args);
}

/* A signal interrupts every other sleep. */
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *wait, struct timespec *left)
{
	(void)left;
	g_assert_cmpint(clock, ==, CLOCK_MONOTONIC);
	g_assert_cmpint(flags, ==, TIMER_ABSTIME);
	kernel.until = *wait;
	return ++kernel.sleeps % 2 ? EINTR : 0;
}

static long waits(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

/* Ordinary memory takes the place of the map. */
static void begin(struct ks__control *c)
{
	int fd = memfd_create("control", MFD_CLOEXEC);

	g_assert_cmpint(ftruncate(fd, 1 << 16), ==, 0);
	memset(c, 0, sizeof(*c));
	c->scope.self = 77;
	g_assert_cmpint(ks__control_map(c, fd), ==, 0);
	close(fd);
	g_assert_cmpuint(c->map->scope[c->map->scope_index].self, ==, 77);
}

static void apply(struct ks__control *c, uint32_t generation)
{
	struct ks_bpf_settings set = { .generation = generation, .sample_every = generation * 10 };

	ks__control_apply(c, PROBE, &set);
}

static void expect_slot(const struct ks__control *c, unsigned slot, uint32_t generation,
			uint32_t sample_every)
{
	g_assert_cmpuint(c->map->settings[PROBE][slot].generation, ==, generation);
	g_assert_cmpuint(c->map->settings[PROBE][slot].sample_every, ==, sample_every);
}

static void test_settings(void)
{
	long before = waits();
	struct ks__control c;

	begin(&c);
	apply(&c, 1);
	expect_slot(&c, 0, 0, 0);
	expect_slot(&c, 1, 0, 0);
	ks__control_live(&c, PROBE, 1);
	g_assert_cmpuint(c.map->index[PROBE], ==, 1);
	expect_slot(&c, 1, 1, 10);
	apply(&c, 2);
	g_assert_cmpuint(c.map->index[PROBE], ==, 0);
	expect_slot(&c, 0, 2, 20);
	expect_slot(&c, 1, 1, 10); /* a running program may still read it */
	ks__control_live(&c, PROBE, 0);
	g_assert_cmpuint(c.map->index[PROBE], ==, 0);
	expect_slot(&c, 0, 0, 20);
	g_assert_cmpint(waits(), ==, before);
	ks__control_unmap(&c);
}

static void test_again(void)
{
	struct ks__control c;
	long before = waits();

	begin(&c);
	apply(&c, 1);
	ks__control_live(&c, PROBE, 1);
	ks__control_live(&c, PROBE, 0);
	apply(&c, 2);
	ks__control_live(&c, PROBE, 1);
	g_assert_cmpuint(c.map->index[PROBE], ==, 0);
	expect_slot(&c, 0, 2, 20);
	expect_slot(&c, 1, 0, 10);
	ks__control_live(&c, PROBE, 0);
	g_assert_cmpint(waits(), ==, before);
	apply(&c, 3);
	ks__control_live(&c, PROBE, 1);
	g_assert_cmpuint(c.map->index[PROBE], ==, 1);
	expect_slot(&c, 1, 3, 30);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1) /* on one CPU, no other program can be running now */
		g_assert_cmpint(waits(), >, before);

	c.left_ns[PROBE][0] = 1; /* left a long time ago */
	before = waits();
	apply(&c, 4);
	expect_slot(&c, 0, 4, 40);
	g_assert_cmpint(waits(), ==, before);
	ks__control_unmap(&c);
}

/*
 * Disabled and enabled again with the same settings, a probe keeps its slot and nothing waits, but
 * a new lifetime begins.
 */
static void test_same(void)
{
	struct ks__control c;
	struct ks_bpf_settings set = { .sample_every = 10, .param = { 5, 6, 7, 8 } };
	long before = waits();

	begin(&c);
	for (uint32_t i = 1; i <= 100; i++) {
		set.generation = i;
		ks__control_apply(&c, PROBE, &set);
		ks__control_live(&c, PROBE, 1);
		g_assert_cmpuint(c.map->index[PROBE], ==, 1);
		expect_slot(&c, 1, i, 10);
		g_assert_cmpuint(c.map->settings[PROBE][1].epoch, ==, i);
		ks__control_live(&c, PROBE, 0);
		expect_slot(&c, 1, 0, 10);
		g_assert_cmpuint(c.map->settings[PROBE][1].epoch, ==, i); /* of runs that go on */
	}
	set.param[3]++;
	ks__control_apply(&c, PROBE, &set);
	ks__control_live(&c, PROBE, 1);
	g_assert_cmpuint(c.map->index[PROBE], ==, 0);
	g_assert_cmpuint(c.map->settings[PROBE][0].epoch, ==, 101);
	g_assert_cmpuint(c.map->settings[PROBE][0].param[3], ==, 9);
	g_assert_cmpuint(c.map->settings[PROBE][1].param[3], ==, 8);
	g_assert_cmpint(waits(), ==, before);
	ks__control_unmap(&c);
}

/* Runs of the last period end before rows change hands; a probe that is on waits for nothing. */
static void test_settle(void)
{
	struct ks__control c;

	begin(&c);
	apply(&c, 1);
	kernel.barriers = 0;
	ks__control_settle(&c, PROBE); /* it was never on */
	ks__control_live(&c, PROBE, 1);
	ks__control_settle(&c, PROBE);
	g_assert_cmpuint(kernel.barriers, ==, 0);
	apply(&c, 2); /* leaves slot 1 for slot 0 */
	ks__control_live(&c, PROBE, 0);
	ks__control_settle(&c, PROBE);
	g_assert_cmpuint(kernel.barriers, ==, 1);
	g_assert_cmpuint(c.left_ns[PROBE][0], ==, 0);
	g_assert_cmpuint(c.left_ns[PROBE][1], ==, 0);
	ks__control_settle(&c, PROBE);
	apply(&c, 3); /* other settings, and still no second wait */
	ks__control_live(&c, PROBE, 1);
	g_assert_cmpuint(kernel.barriers, ==, 1);
	ks__control_live(&c, PROBE, 0);
	c.left_ns[PROBE][0] = ks__now() - 1000000000; /* slot 1 was left just now */
	c.left_ns[PROBE][1] = ks__now();
	ks__control_settle(&c, PROBE);
	g_assert_cmpuint(kernel.barriers, ==, 2);
	ks__control_unmap(&c);
}

static void test_scope(void)
{
	struct ks_bpf_scope scope = { .kind = KS_BPF_SCOPE_SYSTEM };
	struct ks__control c;
	long before = waits();

	begin(&c);
	ks__control_scope(&c, &scope);
	g_assert_cmpuint(c.map->scope_index, ==, 1);
	g_assert_cmpuint(c.map->scope[1].kind, ==, KS_BPF_SCOPE_SYSTEM);
	g_assert_cmpuint(c.map->scope[0].self, ==, 77);
	g_assert_cmpint(waits(), ==, before);
	scope.self = 78;
	ks__control_scope(&c, &scope);
	g_assert_cmpuint(c.map->scope_index, ==, 0);
	g_assert_cmpuint(c.map->scope[0].self, ==, 78);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		g_assert_cmpint(waits(), >, before);
	ks__control_unmap(&c);
}

/* A scope that was refused may have been read: its slot is used again after a grace period. */
static void test_refused(void)
{
	struct ks__control c;
	uint64_t before = ks__now();
	uint32_t slot;

	begin(&c);
	slot = ks__control_scope_slot(&c);
	g_assert_cmpuint(slot, ==, 1);
	g_assert_cmpuint(c.scope_left_ns[1], ==, 0);
	ks__control_scope_refused(&c, slot);
	g_assert_cmpuint(c.scope_left_ns[1], >=, before);
	g_assert_cmpuint(c.scope_left_ns[1], <=, ks__now());
	g_assert_cmpuint(c.scope_left_ns[0], ==, 0);
	kernel.barriers = 0;
	g_assert_cmpuint(ks__control_scope_slot(&c), ==, slot);
	g_assert_cmpuint(kernel.barriers, ==, 1);
	g_assert_cmpuint(c.scope_left_ns[1], ==, 0);
	ks__control_unmap(&c);
}

/*
 * Where membarrier() is refused, a map of maps waits, and where that fails, the rest of a second.
 */
static void test_no_barrier(void)
{
	struct ks__control c;
	uint64_t end;

	begin(&c);
	for (int no_bpf = geteuid() != 0; no_bpf <= 1; no_bpf++) {
		ks__control_scope_refused(&c, 1);
		end = c.scope_left_ns[1] + 1000000000;
		kernel.refused = 1;
		kernel.no_bpf = no_bpf;
		kernel.sleeps = 0;
		ks__control_scope_slot(&c);
		g_assert_cmpuint(kernel.sleeps, ==, no_bpf ? 2 : 0);
		if (no_bpf)
			g_assert_cmpuint((uint64_t)kernel.until.tv_sec * 1000000000 +
						 (uint64_t)kernel.until.tv_nsec,
					 ==, end);
		/* left a second ago: no program runs that long */
		kernel.sleeps = kernel.barriers = 0;
		c.scope_left_ns[1] = ks__now() - 1000000000;
		ks__control_scope_slot(&c);
		g_assert_cmpuint(kernel.sleeps + kernel.barriers, ==, 0);
		kernel.refused = kernel.no_bpf = 0;
	}
	ks__control_unmap(&c);
}

/* What was set before the map exists is in force when it does; probes that are off do nothing. */
static void test_before(void)
{
	struct ks_bpf_settings set = { .generation = 5, .sample_every = 50 };
	struct ks_bpf_scope scope = { .kind = KS_BPF_SCOPE_SYSTEM, .self = 78 };
	struct ks__control c = { .map = NULL };
	int fd = memfd_create("control", MFD_CLOEXEC);

	g_assert_cmpint(ftruncate(fd, 1 << 16), ==, 0);
	ks__control_idle(&c);
	for (uint32_t p = 0; p < KS_BPF_PROBES; p++)
		ks__control_apply(&c, p, &set);
	ks__control_live(&c, 0, 1);
	ks__control_live(&c, KS_BPF_PROBES - 1, 1);
	ks__control_live(&c, PROBE, 1);
	ks__control_live(&c, PROBE, 0);
	ks__control_scope(&c, &scope);
	ks__control_also(&c, 99);
	ks_assert_rc(ks__control_map(&c, fd), 0);
	for (uint32_t p = 0; p < KS_BPF_PROBES; p++) {
		int on = p == 0 || p == KS_BPF_PROBES - 1;

		g_assert_cmpuint(c.map->settings[p][0].generation, ==, on ? 5 : 0);
		g_assert_cmpuint(c.map->settings[p][0].sample_every, ==, on ? 50 : 0);
		g_assert_cmpuint(c.map->settings[p][0].epoch, ==, on ? 1 : 0);
	}
	g_assert_cmpuint(c.map->scope[0].kind, ==, KS_BPF_SCOPE_SYSTEM);
	g_assert_cmpuint(c.map->scope[0].also, ==, 99);
	ks__control_also(&c, 0);
	g_assert_cmpuint(c.map->scope[0].also, ==, 0);
	g_assert_cmpuint(c.scope.also, ==, 0);
	c.map->track = c.map->tree = 3;
	ks__control_idle(&c);
	g_assert_cmpuint(c.map->track | c.map->tree, ==, 0);
	g_assert_cmpuint(c.map->settings[0][0].generation, ==, 5);
	ks__control_unmap(&c);
	g_assert_null(c.map);
	ks_assert_rc(ks__control_map(&c, -1), -EBADF);
	g_assert_null(c.map);
	close(fd);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/control/settings", test_settings);
	g_test_add_func("/control/again", test_again);
	g_test_add_func("/control/same", test_same);
	g_test_add_func("/control/settle", test_settle);
	g_test_add_func("/control/scope", test_scope);
	g_test_add_func("/control/refused", test_refused);
	g_test_add_func("/control/no barrier", test_no_barrier);
	g_test_add_func("/control/before", test_before);
	return g_test_run();
}
