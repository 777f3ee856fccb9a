/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows how the rows of threads are read and emptied; the test plays the kernel. Nothing is counted
 * twice or lost. A process keeps its row and its name until its last slot is emptied. An open
 * interval counts until now and never shrinks.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "bpf/threads.h"
#include "ks.h"
#include "support/ks_test.h"

#define CPUS 2
#define SLOTS 8
#define PROBE 3
#define SECOND 1000000000ull
#define HOUR (3600 * SECOND)
#define NOT_YET (-(int64_t)HOUR) /* as ago_ns: an hour ahead, however slow the test is */

struct sample {
	struct ks_row row;       /*  0 */
	uint64_t calls;          /* 64 */
	struct ks_hist spent_ns; /* 72 */
};                               /* 104 */

/* One value in the map of rows. */
struct sample_row {
	uint64_t calls;
	struct ks_bpf_sum spent_ns;
	struct ks_bpf_open open;
};

static const struct ks__field fields[] = {
	{ KS__AT(struct sample, calls), .count = 1, .kind = KS_KIND_COUNTER },
	{ KS__AT(struct sample, spent_ns), .count = 1, .kind = KS_KIND_HIST },
	{ 0 },
};

static const struct ks__struct desc = { .bytes = sizeof(struct sample), .fields = fields };
static const char *const open_fields[] = { "spent_ns", NULL };
static const struct ks__probe probe = { .id = PROBE, .stats = &desc, .open = open_fields };

/* The memory that the kernel programs write. */
struct bed {
	struct ks__threads t;
	struct ks_bpf_control control;
	struct ks_bpf_thread *slots;
	struct sample_row *rows;
	int slots_fd, rows_fd;
};

static void *memory(const char *name, size_t bytes, int *ret_fd)
{
	*ret_fd = memfd_create(name, MFD_CLOEXEC);
	g_assert_cmpint(ftruncate(*ret_fd, (off_t)((bytes + 4095) & ~4095ul)), ==, 0);
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
}

static struct bed *bed_new(void)
{
	struct bed *b = g_new0(struct bed, 1);

	b->slots = memory("slots", SLOTS * sizeof(*b->slots), &b->slots_fd);
	b->rows = memory("rows", (CPUS + SLOTS) * sizeof(*b->rows), &b->rows_fd);
	ks__threads_init(&b->t, NULL);
	ks_assert_rc(ks__threads_map(&b->t, b->slots_fd, -1, SLOTS, CPUS, &b->control, 0), 0);
	ks_assert_rc(ks__threads_map_rows(&b->t, &probe, b->rows_fd, sizeof(*b->rows)), 0);
	ks__threads_track(&b->t, 1, 0);
	return b;
}

static void bed_free(struct bed *b)
{
	ks__threads_close(&b->t);
	munmap(b->slots, SLOTS * sizeof(*b->slots));
	munmap(b->rows, (CPUS + SLOTS) * sizeof(*b->rows));
	close(b->slots_fd);
	close(b->rows_fd);
	g_free(b);
}

/* Gives a thread a slot and counts `calls` in its row. */
static void give(struct bed *b, unsigned slot, uint32_t pid, uint32_t tid, const char *comm,
		 uint64_t calls)
{
	b->slots[slot] = (struct ks_bpf_thread){
		.pid = pid, .tid = tid, .start_ns = 5, .cgroup = 7, .state = KS_THREAD_LIVE
	};
	g_strlcpy(b->slots[slot].comm, comm, sizeof(b->slots[slot].comm));
	b->rows[CPUS + slot].calls = calls;
	b->control.threads_next = MAX(b->control.threads_next, slot + 1);
}

/* Returns the time `ns` ago. On a machine that booted later than that, returns the time of boot. */
static uint64_t ago(int64_t ns)
{
	int64_t now = (int64_t)ks__now();

	return now > ns ? (uint64_t)(now - ns) : 1;
}

static void end(struct bed *b, unsigned slot, uint32_t state, int64_t ago_ns)
{
	b->slots[slot].ended_ns = ago(ago_ns);
	b->slots[slot].state = state;
	b->control.threads_dead++;
}

/* Sweeps at once, even if less than a second has passed since the last sweep. */
static void tidy(struct bed *b)
{
	b->t.swept_ns = 0;
	ks__threads_tidy(&b->t);
}

/*
 * Returns the calls of a process and its name; pid 0: of the rest row. UINT64_MAX: there is no row.
 */
static uint64_t calls_of(struct bed *b, uint32_t pid, char name[16])
{
	struct ks__whose whose = { .pid = pid, .start_ns = pid ? 5 : 0 };
	struct ks__groups fine, by;
	const uint64_t *words;
	uint64_t calls;

	ks__groups_init(&fine, ks__groups_words(&desc));
	ks__groups_init(&by, fine.words);
	ks_assert_rc(ks__threads_read(&b->t, PROBE, &fine), 0);
	ks_assert_rc(ks__groups_fold(&by, &fine, KS_BY_PROCESS), 0);
	words = ks__groups_find(&by, &whose);
	calls = words ? words[0] : UINT64_MAX;
	if (words && name)
		memcpy(name, ks__groups_group(&by, &whose)->name, 16);
	ks__groups_free(&fine);
	ks__groups_free(&by);
	return calls;
}

static uint64_t spent_by_all(struct bed *b)
{
	struct ks__groups fine, total;
	uint64_t spent;

	ks__groups_init(&fine, ks__groups_words(&desc));
	ks__groups_init(&total, fine.words);
	ks_assert_rc(ks__threads_read(&b->t, PROBE, &fine), 0);
	ks_assert_rc(ks__groups_fold(&total, &fine, KS_BY_TOTAL), 0);
	spent = ks__groups_find(&total, &(struct ks__whose){ 0 })[1];
	ks__groups_free(&fine);
	ks__groups_free(&total);
	return spent;
}

/* Returns a pid that no process has: its process has just been waited for. */
static uint32_t dead_pid(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	return (uint32_t)pid;
}

/* Reads rows of CPUs and of slots, but not of free slots. */
static void reading(void)
{
	struct bed *b = bed_new();
	char name[16];

	b->rows[0].calls = 1;
	b->rows[1].calls = 2;
	give(b, 0, 10, 10, "ten", 4);
	give(b, 1, 10, 11, "ten", 8);
	give(b, 3, 12, 12, "twelve", 16);
	b->rows[CPUS + 2].calls = 32;
	g_assert_cmpuint(calls_of(b, 0, NULL), ==, 3);
	g_assert_cmpuint(calls_of(b, 10, name), ==, 12);
	g_assert_cmpstr(name, ==, "ten");
	g_assert_cmpuint(calls_of(b, 12, NULL), ==, 16);
	g_assert_cmpuint(calls_of(b, 13, NULL), ==, UINT64_MAX);
	bed_free(b);
}

/* A dead process's row stays for ten seconds. Then its counts move to the rest row. */
static void dead(void)
{
	struct bed *b = bed_new();
	uint32_t pid = dead_pid();

	give(b, 0, pid, pid, "gone", 4);
	end(b, 0, KS_THREAD_DEAD, 5 * SECOND);
	tidy(b);
	g_assert_cmpuint(calls_of(b, pid, NULL), ==, 4);
	g_assert_cmpuint(calls_of(b, 0, NULL), ==, 0);
	b->slots[0].ended_ns -= 6 * SECOND;
	tidy(b);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_FREE);
	g_assert_cmpuint(calls_of(b, pid, NULL), ==, UINT64_MAX);
	g_assert_cmpuint(calls_of(b, 0, NULL), ==, 4);
	give(b, 0, 50, 50, "next", 1); /* the slot's row was emptied */
	g_assert_cmpuint(calls_of(b, 50, NULL), ==, 1);
	g_assert_cmpuint(calls_of(b, 0, NULL), ==, 4);
	bed_free(b);
}

/* The slots of a process are emptied one by one. Its row goes with the last slot. */
static void whole(void)
{
	struct bed *b = bed_new();
	uint32_t pid = dead_pid();
	char name[16];

	give(b, 0, pid, pid, "first", 4);
	give(b, 1, pid, pid + 1, "stale", 8);
	end(b, 0, KS_THREAD_DEAD, 20 * SECOND);
	end(b, 1, KS_THREAD_DEAD, NOT_YET);
	tidy(b);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_FREE);
	g_assert_cmpuint(b->slots[1].state, ==, KS_THREAD_DEAD);
	g_assert_cmpuint(calls_of(b, pid, name), ==, 12);
	g_assert_cmpstr(name, ==, "first");
	b->slots[1].ended_ns = ago(20 * SECOND);
	tidy(b);
	g_assert_cmpuint(calls_of(b, pid, NULL), ==, UINT64_MAX);
	g_assert_cmpuint(calls_of(b, 0, NULL), ==, 12);
	bed_free(b);
}

/* A living process keeps its row and its name even without a slot. */
static void lives(void)
{
	struct bed *b = bed_new();
	uint32_t pid = (uint32_t)getpid();
	char name[16];

	give(b, 0, pid, pid, "me", 4);
	end(b, 0, KS_THREAD_LEFT, NOT_YET);
	tidy(b);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_LEFT); /* a program may still run */
	b->slots[0].ended_ns = ago(SECOND);
	tidy(b);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_FREE);
	g_assert_cmpuint(calls_of(b, pid, name), ==, 4);
	g_assert_cmpstr(name, ==, "me");
	give(b, 0, pid, pid, "renamed", 3);
	g_assert_cmpuint(calls_of(b, pid, name), ==, 7);
	g_assert_cmpstr(name, ==, "renamed");
	bed_free(b);
}

/*
 * After an exec by a second thread, the old main thread is dead. The process has the new one's
 * name.
 */
static void execed(void)
{
	struct bed *b = bed_new();
	char name[16];

	give(b, 0, 10, 10, "new", 4);
	give(b, 1, 10, 10, "old", 8);
	end(b, 1, KS_THREAD_DEAD, 0);
	g_assert_cmpuint(calls_of(b, 10, name), ==, 12);
	g_assert_cmpstr(name, ==, "new");
	bed_free(b);
}

/*
 * If slots ran out, slots of dead threads are freed at once, and the flag is reset at most once a
 * second.
 */
static void full(void)
{
	struct bed *b = bed_new();

	give(b, 0, 10, 10, "ten", 4);
	end(b, 0, KS_THREAD_DEAD, SECOND / 10);
	b->control.threads_full = 1;
	tidy(b);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_FREE);
	g_assert_cmpuint(b->control.threads_full, ==, 0);
	b->control.threads_full = 1; /* set late: slots had just been freed */
	ks__threads_tidy(&b->t);
	g_assert_cmpuint(b->control.threads_full, ==, 1); /* at most once a second */
	tidy(b);
	g_assert_cmpuint(b->control.threads_full, ==, 0);
	bed_free(b);
}

/* A quarter of all are dead: they do not wait for ten seconds, nor the sweep for one. */
static void crowded(void)
{
	struct bed *b = bed_new();

	for (unsigned i = 0; i < SLOTS; i++)
		give(b, i, 10 + i, 10 + i, "dead", 1);
	for (unsigned i = 0; i < SLOTS / 4; i++)
		end(b, i, KS_THREAD_DEAD, 0);
	tidy(b);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_DEAD);
	end(b, SLOTS / 4, KS_THREAD_DEAD, 0);
	ks__threads_tidy(&b->t);
	for (unsigned i = 0; i < SLOTS; i++)
		g_assert_cmpuint(b->slots[i].state, ==,
				 i <= SLOTS / 4 ? KS_THREAD_FREE : KS_THREAD_LIVE);
	bed_free(b);
}

/*
 * When tracking is attached again, all slots in use count as left, since exits may have been
 * missed.
 */
static void era(void)
{
	struct bed *b = bed_new();
	uint32_t before = b->control.era;

	give(b, 0, 10, 10, "ten", 4);
	ks__threads_track(&b->t, 1, 0); /* tracking was attached already */
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_LIVE);
	ks__threads_track(&b->t, 0, 0);
	g_assert_cmpuint(b->control.track, ==, 0);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_LIVE);
	ks__threads_track(&b->t, 1, 0);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_LEFT);
	g_assert_cmpuint(b->control.era, ==, before + 1);
	g_assert_cmpuint(b->control.threads_dead, ==, 1);
	g_assert_cmpuint(calls_of(b, 10, NULL), ==, 4);
	bed_free(b);
}

/* An open interval counts until now. A later read never returns less. */
static void open_interval(void)
{
	struct bed *b = bed_new();
	struct sample_row *row = &b->rows[CPUS];
	uint64_t reported, since = ago(HOUR), passed = ks__now() - since, now;

	give(b, 0, 10, 10, "ten", 1);
	row->spent_ns.sum = 1000;
	row->open = (struct ks_bpf_open){ .since_ns = since, .state = 1 };
	reported = spent_by_all(b);
	g_assert_cmpuint(reported, >=, 1000 + passed);
	g_assert_cmpuint(reported, <=, 1000 + ks__now() - since);

	/* a kernel program that read its clock before the reader did closes the interval */
	row->spent_ns.sum = reported - 500;
	row->open.state = 0;
	g_assert_cmpuint(spent_by_all(b), ==, reported);
	row->spent_ns.sum = reported + 500;
	g_assert_cmpuint(spent_by_all(b), ==, reported + 500);

	/* disabled, the interval stands still; enabled again, it has ended */
	row->open = (struct ks_bpf_open){ .since_ns = ks__now(), .state = 1 };
	ks__threads_live(&b->t, PROBE, 0);
	reported = spent_by_all(b);
	now = ks__now();
	g_assert_cmpuint(reported, >=, row->spent_ns.sum);
	g_assert_cmpuint(reported, <=, row->spent_ns.sum + now - row->open.since_ns);
	g_assert_cmpuint(spent_by_all(b), ==, reported);
	ks__threads_live(&b->t, PROBE, 1);
	g_assert_cmpuint(row->open.state, ==, 0);
	g_assert_cmpuint(row->spent_ns.sum, ==, reported);
	g_assert_cmpuint(spent_by_all(b), ==, reported);
	bed_free(b);
}

/* A left slot is not emptied while its interval is open. */
static void open_left(void)
{
	struct bed *b = bed_new();

	give(b, 0, 10, 10, "ten", 1);
	b->rows[CPUS].open = (struct ks_bpf_open){ .since_ns = ks__now(), .state = 1 };
	end(b, 0, KS_THREAD_LEFT, 5 * SECOND);
	tidy(b);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_LEFT);
	b->rows[CPUS].open.state = 0;
	tidy(b);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_FREE);
	bed_free(b);
}

/* The widest field that a descriptor can name, and a histogram behind it. */
#define WIDE_WORDS 8000

struct wide {
	struct ks_row row;
	uint64_t calls[WIDE_WORDS];
	struct ks_hist spent_ns;
};

static const struct ks__field wide_fields[] = {
	{ KS__AT(struct wide, calls), .count = WIDE_WORDS, .kind = KS_KIND_COUNTER },
	{ KS__AT(struct wide, spent_ns), .count = 1, .kind = KS_KIND_HIST },
	{ 0 },
};

static const struct ks__struct wide_desc = { .bytes = 0, .fields = wide_fields };
static const struct ks__probe wide_probe = { .id = PROBE, .stats = &wide_desc };

/* The descriptor alone decides how long a row is: the library has no array that limits it. */
static void wide(void)
{
	const size_t words = WIDE_WORDS + 2;
	uint32_t pid = dead_pid();
	struct ks__groups fine;
	struct bed *b = bed_new();
	uint64_t *rows;
	int fd;

	rows = memory("wide", (CPUS + SLOTS) * words * 8, &fd);
	ks__threads_unmap_rows(&b->t, PROBE);
	ks_assert_rc(ks__threads_map_rows(&b->t, &wide_probe, fd, (uint32_t)words * 8), 0);
	give(b, 0, pid, pid, "gone", 4);
	for (size_t w = 0; w < words; w++)
		rows[CPUS * words + w] = w + 1;
	end(b, 0, KS_THREAD_DEAD, 20 * SECOND);
	tidy(b);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_FREE);
	ks__groups_init(&fine, words);
	ks_assert_rc(ks__threads_read(&b->t, PROBE, &fine), 0);
	for (size_t w = 0; w < words; w++) {
		uint64_t sum = 0;

		for (size_t i = 0; i < fine.n; i++)
			sum += fine.raw[i * words + w];
		g_assert_cmpuint(sum, ==, w + 1);
		g_assert_cmpuint(rows[CPUS * words + w], ==, 0);
	}
	ks__groups_free(&fine);
	munmap(rows, (CPUS + SLOTS) * words * 8);
	close(fd);
	bed_free(b);
}

/* A thread can be in KS__OPEN_STATES states. A probe with one more is refused. */
static void states(void)
{
	const char *names[KS__OPEN_STATES + 2] = { NULL };
	struct ks__probe many = probe;
	struct bed *b = bed_new();

	for (unsigned i = 0; i < KS__OPEN_STATES; i++)
		names[i] = "spent_ns";
	many.open = names;
	ks__threads_unmap_rows(&b->t, PROBE);
	ks_assert_rc(ks__threads_map_rows(&b->t, &many, b->rows_fd, sizeof(*b->rows)), 0);
	ks__threads_unmap_rows(&b->t, PROBE);
	names[KS__OPEN_STATES] = "spent_ns";
	ks_assert_rc(ks__threads_map_rows(&b->t, &many, b->rows_fd, sizeof(*b->rows)), -E2BIG);
	bed_free(b);
}

/* Tracking goes on: what is left of the last time is of another era. */
static void tracking(void)
{
	struct bed *b = bed_new();
	uint64_t before = ks__now();
	uint32_t era = b->control.era, roles = b->control.roles;

	g_assert_cmpuint(b->control.track, ==, KS_TRACK_ROWS);
	ks__threads_track(&b->t, 1, 1);
	g_assert_cmpuint(b->control.track, ==, KS_TRACK_ROWS | KS_TRACK_NEW);
	g_assert_cmpuint(b->control.era, ==, era);
	g_assert_cmpuint(b->control.roles, ==, roles);
	give(b, 0, 10, 10, "live", 1);
	give(b, 1, 11, 11, "dead", 1);
	end(b, 1, KS_THREAD_DEAD, SECOND);
	ks__threads_track(&b->t, 0, 1);
	g_assert_cmpuint(b->control.track, ==, 0);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_LIVE);
	ks__threads_track(&b->t, 1, 0);
	g_assert_cmpuint(b->control.track, ==, KS_TRACK_ROWS);
	g_assert_cmpuint(b->control.era, ==, era + 1);
	g_assert_cmpuint(b->control.roles, ==, roles + 1);
	g_assert_cmpuint(b->control.threads_dead, ==, 2);
	g_assert_cmpuint(b->slots[0].state, ==, KS_THREAD_LEFT);
	g_assert_cmpuint(b->slots[0].ended_ns, >=, before);
	g_assert_cmpuint(b->slots[0].ended_ns, <=, ks__now());
	g_assert_cmpuint(b->slots[1].state, ==, KS_THREAD_DEAD);
	g_assert_cmpuint(b->slots[1].ended_ns, <, b->slots[0].ended_ns);
	bed_free(b);
}

/* Asserts that seed programs ran or did not, and that nobody holds the lock. */
static void assert_seeded(struct bed *b, int ran)
{
	g_assert_cmpuint(b->control.unseeded, ==, !ran);
	g_assert_cmpint(pthread_rwlock_trywrlock(&b->t.lock), ==, 0);
	pthread_rwlock_unlock(&b->t.lock);
}

/* Seed programs run at most once a second, and only if programs met threads they do not know. */
static void strangers(void)
{
	struct bed *b = bed_new();
	uint64_t before = ks__now();

	b->t.seeded_ns = 0;
	b->control.unseeded = 0;
	ks__threads_seed_strangers(&b->t);
	g_assert_cmpuint(b->t.seeded_ns, ==, 0);
	b->control.unseeded = 1;
	b->t.seeded_ns = ks__now() - SECOND;
	ks__threads_seed_strangers(&b->t);
	assert_seeded(b, 1);
	g_assert_cmpuint(b->t.seeded_ns, >=, before);
	g_assert_cmpuint(b->t.seeded_ns, <=, ks__now());
	b->control.unseeded = 1;
	b->t.seeded_ns = ks__now();
	ks__threads_seed_strangers(&b->t);
	assert_seeded(b, 0);
	b->t.seeded_ns = 0;
	g_assert_cmpint(pthread_rwlock_rdlock(&b->t.lock), ==, 0);
	ks__threads_seed_strangers(&b->t); /* waits for nobody */
	g_assert_cmpint(pthread_rwlock_unlock(&b->t.lock), ==, 0);
	assert_seeded(b, 0);
	bed_free(b);
}

/*
 * A seed program of any probe runs at once; its error is the answer. The host keeps its descriptor.
 */
static void seeds(void)
{
	static const uint32_t probes[] = { 0, KS_BPF_PROBES - 1 };
	int fd = memfd_create("no link", MFD_CLOEXEC);

	for (size_t i = 0; i < G_N_ELEMENTS(probes); i++) {
		struct bed *b = bed_new();

		b->control.unseeded = 1;
		ks_assert_rc(ks__threads_seed(&b->t, probes[i], -1), 0); /* there is none */
		assert_seeded(b, 0);
		g_assert_cmpint(ks__threads_seed(&b->t, probes[i], fd), <, 0);
		assert_seeded(b, 1);
		g_assert_cmpint(b->t.rows[probes[i]].seed_fd, >, 2);
		g_assert_cmpint(b->t.rows[probes[i]].seed_fd, !=, fd);
		b->control.unseeded = 1;
		ks__threads_reseed(&b->t);
		assert_seeded(b, 1);
		b->control.unseeded = 1;
		ks_assert_rc(ks__threads_seed(&b->t, probes[i], -1), 0);
		assert_seeded(b, 0);
		g_assert_cmpint(b->t.rows[probes[i]].seed_fd, ==, -1);
		ks_assert_rc(ks__threads_seed(&b->t, probes[i], 1 << 20), -EBADF);
		bed_free(b);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/slots/reading", reading);
	g_test_add_func("/slots/dead", dead);
	g_test_add_func("/slots/whole", whole);
	g_test_add_func("/slots/lives", lives);
	g_test_add_func("/slots/exec", execed);
	g_test_add_func("/slots/full", full);
	g_test_add_func("/slots/crowded", crowded);
	g_test_add_func("/slots/era", era);
	g_test_add_func("/slots/tracking", tracking);
	g_test_add_func("/slots/strangers", strangers);
	g_test_add_func("/slots/seeds", seeds);
	g_test_add_func("/slots/open", open_interval);
	g_test_add_func("/slots/open-left", open_left);
	g_test_add_func("/slots/wide", wide);
	g_test_add_func("/slots/states", states);
	return g_test_run();
}
