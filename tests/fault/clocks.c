/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that setting the clock, suspending the machine and stopping the host do not disturb times
 * of events, rates, waits and deltas.
 */
#include <errno.h>

#include "fault.h"
#include "support/fake_proc.h"
#include "support/shim.h"

#define SECOND 1000000000ll
#define HOUR (3600 * SECOND)
#define TICK_NS 10000000ll
#define CLOSE 10000000ll /* ns by which two readings may differ */

static void put_back(void)
{
	memset(shim_clock, 0, sizeof(shim_clock));
}

static struct ks *open_on_files(void)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .btf_path = "/dev/null" };

	return fault_open(&opts);
}

/* ---- the wall clock is set ------------------------------------------------------------------ */

struct move {
	struct ks *ks;
	int64_t step;
};

/* Runs once: if the thread is off its CPU while it reads both clocks, they seem to differ. */
static char *move_wall(void *user)
{
	const struct move *m = user;
	uint64_t mono, mono_after;
	int64_t wall, wall_after;

	ks_assert_ok(m->ks, ks_read_clock(m->ks, &mono, &wall));
	shim_clock[CLOCK_REALTIME] = m->step;
	ks_assert_ok(m->ks, ks_read_clock(m->ks, &mono_after, &wall_after));
	put_back();
	g_assert_cmpuint(mono_after, >=, mono);
	return ks_test_outside(
		"distance of the clocks",
		(uint64_t)ABS(wall_after - wall - m->step - (int64_t)(mono_after - mono)), 0,
		CLOSE);
}

static void wall_moves(gconstpointer data)
{
	struct move m = { open_on_files(), GPOINTER_TO_SIZE(data) ? HOUR : -HOUR };

	ks_test_rounds(move_wall, &m);
	ks_close(m.ks);
}

static int never(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	g_assert_not_reached();
}

/* A wait has the length asked for, since its clock cannot be set. */
static void waits_stay(gconstpointer data)
{
	struct ks *ks = open_on_files();
	uint64_t began = work_now(), took;

	shim_clock[CLOCK_REALTIME] = GPOINTER_TO_SIZE(data) ? HOUR : -HOUR;
	shim_clock[CLOCK_BOOTTIME] = HOUR;
	ks_assert_rc(ks_poll(ks, 50, 0, never, NULL), 0);
	took = work_now() - began;
	g_assert_cmpuint(took, >=, 49 * SECOND / 1000);
	g_assert_cmpuint(took, <, 30 * SECOND);
	put_back();
	ks_close(ks);
}

/* A rate is a delta divided by its time. Neither decreases when the wall clock is set. */
static void deltas_stay(void)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .flags = KS_READ_DELTA };
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks *ks = open_on_files();
	struct ks_reader *reader;
	uint64_t last = 0;

	ks_assert_ok(ks, ks_enable_probe(ks, KS_PROBE_PROC, NULL));
	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_PROC, &opts, &reader));
	for (int i = 0; i < 6; i++) {
		shim_clock[CLOCK_REALTIME] = i % 2 ? -HOUR : HOUR;
		ks_assert_ok(ks, ks_read_stats(reader, &stats));
		g_assert_cmpuint(stats.since_ns, <=, stats.time_ns);
		g_assert_cmpuint(stats.time_ns - stats.since_ns, <, 30 * SECOND);
		if (last)
			g_assert_cmpuint(stats.since_ns, ==, last);
		last = stats.time_ns;
	}
	put_back();
	ks_reader_free(reader);
	ks_close(ks);
}

/* ---- the machine is suspended ---------------------------------------------------------------- */

struct starts {
	uint64_t fork_ns, exec_ns, exit_ns;
};

static int put_start(const struct ks_event *ev, void *user)
{
	struct starts *starts = user;

	if (ev->id == KS_EVENT_PROC_FORK)
		starts->fork_ns = ((const struct ks_event_proc_fork *)ev)->start_ns;
	else if (ev->id == KS_EVENT_PROC_EXEC)
		starts->exec_ns = ((const struct ks_event_proc_exec *)ev)->start_ns;
	else if (ev->id == KS_EVENT_PROC_EXIT)
		starts->exit_ns = ((const struct ks_event_proc_exit *)ev)->start_ns;
	return 0;
}

static struct starts look(struct bed *bed)
{
	struct starts starts = { 0 };
	struct ks__sink sink = bed_sink(bed, put_start, &starts);

	ks_assert_rc(bed_look(bed), 0);
	bed->s->ops->drain(bed->s, &sink, 100);
	return starts;
}

static int64_t asleep(void)
{
	struct timespec boot, mono;
	uint64_t before;

	do { /* only the difference of both clocks matters */
		before = work_now();
		clock_gettime(CLOCK_BOOTTIME, &boot);
		clock_gettime(CLOCK_MONOTONIC, &mono);
	} while (work_now() - before > CLOSE / 10);
	return (boot.tv_sec - mono.tv_sec) * SECOND + boot.tv_nsec - mono.tv_nsec;
}

/*
 * A suspend does not change the start time of a process. A process that starts after it has a later
 * start time.
 */
static void sleep_between(void)
{
	struct bed *bed = bed_on();
	int64_t before = asleep(), born = 5000000 * TICK_NS;
	struct starts starts;

	look(bed);
	show(bed, 200, 100, "a", 5000000, 9, FORKNOEXEC);
	starts = look(bed);
	g_assert_cmpint(ABS((int64_t)starts.fork_ns - (born - before)), <, CLOSE);

	shim_clock[CLOCK_BOOTTIME] = HOUR;
	show(bed, 200, 100, "b", 5000000, 11, 0);
	show(bed, 201, 100, "c", 5400000, 9, FORKNOEXEC);
	starts = look(bed);
	g_assert_cmpint(ABS((int64_t)starts.exec_ns - (born - before)), <, CLOSE);
	born = 5400000 * TICK_NS - HOUR;
	g_assert_cmpint(ABS((int64_t)starts.fork_ns - (born - before)), <, CLOSE);

	vanish(bed, 201);
	starts = look(bed);
	g_assert_cmpint(ABS((int64_t)starts.exit_ns - (born - before)), <, CLOSE);
	put_back();
	bed_free(bed);
}

/* ---- the host is stopped for an hour -------------------------------------------------------- */

/* Afterwards the limit on records lets `burst` records through, not an hour's worth. */
static void limit_holds(void)
{
	struct bed *bed = bed_on();

	bed->set.max_per_sec = 1;
	bed->set.burst = 3;
	bed_apply(bed);
	bed_found(bed, NONE);
	show_children(bed, 200, 10);
	bed_found(bed, "fork 100 host > 200\nfork 100 host > 201\nfork 100 host > 202\n"
		       "lost 7 for 2 of 1\n");
	shim_clock[CLOCK_MONOTONIC] = HOUR;
	show_children(bed, 300, 10);
	bed_found(bed, "fork 100 host > 300\nfork 100 host > 301\nfork 100 host > 302\n"
		       "lost 7 for 2 of 1\n");
	put_back();
	bed_free(bed);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_data_func("/wall/back", NULL, wall_moves);
	g_test_add_data_func("/wall/forth", GSIZE_TO_POINTER(1), wall_moves);
	g_test_add_data_func("/wall/waits-back", NULL, waits_stay);
	g_test_add_data_func("/wall/waits-forth", GSIZE_TO_POINTER(1), waits_stay);
	g_test_add_func("/wall/deltas", deltas_stay);
	g_test_add_func("/asleep/starts", sleep_between);
	g_test_add_func("/stopped/limit", limit_holds);
	return g_test_run();
}
