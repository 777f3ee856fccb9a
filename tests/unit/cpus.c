/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a handle counts possible CPUs, not CPUs that are online, and that records stay exact
 * when a CPU has been silent or a clock has jumped.
 */
#include <glib/gstdio.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "config.h"
#include "ks.h"
#include "support/ks_test.h"

#if KS_HAVE_BPF
#include "support/lane.h"
#endif

/* ---- how many ------------------------------------------------------------------------------- */

static uint32_t possible(const char *list)
{
	char *root = g_dir_make_tmp("ks-cpus-XXXXXX", NULL);
	char *dir = g_build_filename(root, "devices/system/cpu", NULL);
	char *file = g_build_filename(dir, "possible", NULL);
	struct ks_open_opts opts = { .size = sizeof(opts), .sys_path = root };
	struct ks *ks;
	uint32_t n;

	g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
	if (list)
		g_assert_true(g_file_set_contents(file, list, -1, NULL));
	ks_assert_rc(ks_open(&opts, &ks), 0);
	n = ks->n_cpus;
	ks_close(ks);
	g_remove(file);
	for (; strlen(dir) > strlen(root); *strrchr(dir, '/') = '\0')
		g_assert_cmpint(g_rmdir(dir), ==, 0);
	g_assert_cmpint(g_rmdir(root), ==, 0);
	g_free(file);
	g_free(dir);
	g_free(root);
	return n;
}

/* Number of CPUs that the kernel's masks have room for. */
static uint32_t room(void)
{
	unsigned long mask[1024];

	return (uint32_t)syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask) * 8;
}

/*
 * The result is never below this machine's own number, whatever a file says, and never above what
 * the kernel can have.
 */
static void test_possible(void)
{
	uint32_t real, most = room();
	char *text;

	g_assert_true(g_file_get_contents("/sys/devices/system/cpu/possible", &text, NULL, NULL));
	real = (uint32_t)atoi(strrchr(text, '-') ? strrchr(text, '-') + 1 : text) + 1;
	g_free(text);
	g_assert_cmpuint(most, >=, MAX(real, 64));
	g_assert_cmpuint(possible("0\n"), ==, real);
	g_assert_cmpuint(possible("0-63\n"), ==, MAX(64, real));
	g_assert_cmpuint(possible("0-3,38\n"), ==, MAX(39, real)); /* per-CPU arrays' length */
	g_assert_cmpuint(possible("0-3,38-51,4"), ==, MAX(52, real));
	g_assert_cmpuint(possible("0-60000\n"), ==, most);
	g_assert_cmpuint(possible("0-4294967296\n"), ==, most);
	g_assert_cmpuint(possible(""), ==, real);
	g_assert_cmpuint(possible("none"), ==, real);
	g_assert_cmpuint(possible(NULL), ==, real);
}

/* Without any list, the number is that of the kernel's masks. */
static void test_no_list(void)
{
	int status = -1;
	pid_t pid;

	if (!ks_test_root())
		return;
	pid = fork();
	if (!pid) {
		int rc = unshare(CLONE_NEWNS) ||
			 mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
			 mount("none", "/sys", "tmpfs", 0, NULL);

		_exit(rc ? 77 : possible(NULL) == room() && possible("0-3\n") == 4 ? 0 : 1);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		g_test_skip("no mount namespace of its own");
	else
		g_assert_cmpint(status, ==, 0);
}

/* ---- clocks --------------------------------------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	g_assert_cmpint(clock_gettime(clock, &t), ==, 0);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Each function reads its own clock, to the nanosecond. */
static void test_clocks(void)
{
	static const struct {
		clockid_t clock;
		uint64_t (*now)(void);
	} all[] = { { CLOCK_MONOTONIC, ks__now },
		    { CLOCK_REALTIME, ks__wall_now },
		    { CLOCK_THREAD_CPUTIME_ID, ks__cpu_now } };

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		uint64_t before = clock_ns(all[i].clock), at = all[i].now();

		g_assert_cmpuint(at, >=, before);
		g_assert_cmpuint(at, <=, clock_ns(all[i].clock));
	}
}

/* The difference of two clocks lies between those of two pairs of readings. */
static void test_ahead(void)
{
	static const clockid_t all[][2] = { { CLOCK_REALTIME, CLOCK_MONOTONIC },
					    { CLOCK_MONOTONIC, CLOCK_REALTIME },
					    { CLOCK_BOOTTIME, CLOCK_THREAD_CPUTIME_ID } };

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		clockid_t clock = all[i][0], other = all[i][1];
		int64_t before = (int64_t)clock_ns(clock), first = (int64_t)clock_ns(other);
		int64_t ahead = ks__clock_ahead(clock, other);
		int64_t last = (int64_t)clock_ns(other), after = (int64_t)clock_ns(clock);

		g_assert_cmpint(ahead, >=, before - last);
		g_assert_cmpint(ahead, <=, after - first);
	}
	g_assert_cmpint(llabs(ks__clock_ahead(CLOCK_MONOTONIC, CLOCK_MONOTONIC)), <=, 100000);
}

#if KS_HAVE_BPF

/* ---- a CPU that comes online later ---------------------------------------------------------- */

/*
 * CPU 5 shares a ring with CPU 1. Records that CPU 5 lost before its first record are reported as
 * losses of CPU 5.
 */
static void test_comes_later(gconstpointer via)
{
	struct lanes *l = lanes_new(via, 4, 8);

	for (unsigned i = 0; i < 10; i++)
		ring_add(l, 1, 1, 0);
	g_assert_cmpint(lanes_drain(l, 100), ==, 10);
	lanes_forget(l);
	lane_clock += 1000;
	lane_lose(l, 5, 2, 7);
	ring_add(l, 2, 5, 7);
	ring_add(l, 1, 1, 0);
	g_assert_cmpint(lanes_drain(l, 100), ==, 3);
	g_assert_cmpuint(l->seen[0].lost.ev.cpu, ==, 5);
	g_assert_cmpuint(l->seen[0].lost.lost, ==, 7);
	g_assert_cmpuint(l->seen[0].lost.probe, ==, 2);
	g_assert_cmpuint(l->seen[1].ev.cpu, ==, 5);
	g_assert_cmpuint(l->seen[2].ev.cpu, ==, 1);
	g_assert_cmpuint(ks__stream_delivered(l->s, 1), ==, 11);
	g_assert_cmpuint(ks__stream_delivered(l->s, 2), ==, 1);
	lanes_free(l);
}

/*
 * When a CPU goes offline, its records stay in the ring, and a loss after the last one is reported.
 */
static void test_goes(gconstpointer via)
{
	struct lanes *l = lanes_new(via, 4, 8);

	ring_add(l, 1, 3, 0);
	lane_lose(l, 3, 1, 2);
	lane_clock += 3600 * 1000000000ull;
	g_assert_cmpint(lanes_drain(l, 100), ==, 2);
	g_assert_cmpuint(l->seen[1].lost.lost, ==, 2);
	g_assert_cmpint(lanes_drain(l, 100), ==, 0);
	lanes_free(l);
}

/* ---- a clock that jumps --------------------------------------------------------------------- */

/* A jump of an hour gives the budget for wake-ups no more than a second would. */
static void test_leap(gconstpointer via)
{
	const uint64_t hour = 3600 * 1000000000ull;
	struct lanes *l = lanes_new(via, 1, 1);
	uint64_t deadline = 0;
	unsigned armed = 0;

	for (unsigned round = 0; round < 3; round++) {
		lane_clock += hour;
		armed = 0;
		for (unsigned i = 0; i < 100; i++) {
			ring_add(l, 1, 0, 0);
			g_assert_cmpint(lanes_drain(l, 100), ==, 1);
			g_assert_cmpint(ks__stream_arm(l->s, &deadline), ==, 0);
			armed += !deadline;
			g_assert_cmpuint(deadline, <=, lane_clock + 10000000);
			lanes_forget(l);
		}
		g_assert_cmpuint(armed, <=, 21); /* the budget allows bursts of 20 */
		g_assert_cmpuint(armed, >=, 10);
	}
	lanes_free(l);
}

#endif

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/cpus/possible", test_possible);
	g_test_add_func("/cpus/no list", test_no_list);
	g_test_add_func("/clock/now", test_clocks);
	g_test_add_func("/clock/ahead", test_ahead);
#if KS_HAVE_BPF
	g_test_add_data_func("/cpus/comes-later", &ks__rings, test_comes_later);
	g_test_add_data_func("/cpus/goes", &ks__rings, test_goes);
	g_test_add_data_func("/clock/leap", &ks__rings, test_leap);
#endif
	return g_test_run();
}
