/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that new settings and scopes go into the slot that is not in use; that the slot left behind
 * keeps its values; that disabling changes one word; and that only a second change within a second
 * waits for kernel programs that may still be running.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/bpf/control.h"
#include "support/ks_test.h"

#define PROBE 3

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
		g_assert_cmpuint(c.map->settings[PROBE][1].epoch, ==, i + 1);
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

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/control/settings", test_settings);
	g_test_add_func("/control/again", test_again);
	g_test_add_func("/control/same", test_same);
	g_test_add_func("/control/scope", test_scope);
	return g_test_run();
}
