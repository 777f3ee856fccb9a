/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a scope's cgroup that is created again becomes the scope, that each probe that is on
 * reports it once, and when the library looks: once a second, sooner only if it could not look.
 */
#include <errno.h>
#include <stdio.h>

#include "api/api.h"
#include "support/cgroup_bed.h"
#include "support/fake_source.h"
#include "support/ks_test.h"

#define LATER 10000000ull

static struct bed *bed;

/* A handle with the scope /a in a hierarchy of plain folders, and two probes that are on. */
static uint64_t begin_watch(void)
{
	static char proc[200], sys[200];
	struct ks_open_opts opts = { .size = sizeof(opts), .proc_path = proc, .sys_path = sys };
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_CGROUP, .cgroup = "a" };
	uint64_t id;
	char *mount;

	bed = bed_new("0");
	snprintf(proc, sizeof(proc), "%s/proc", bed->dir);
	snprintf(sys, sizeof(sys), "%s/sys", bed->dir);
	mount = line("/", bed->root, "cgroup2", "nsdelegate");
	bed_file(bed, "self/mountinfo", mount);
	g_free(mount);
	id = make(bed, "a");
	begin_with(&opts);
	ks_assert_rc(enable(NULL, 0), 0);
	ks->slots[PROBE].set.sample_every = 7;
	atomic_store(&ks->slots[KS_PROBE_FADVISE].state, KS_STATE_SILENT);
	ks->slots[KS_PROBE_FADVISE].set.sample_every = 9;
	ks_assert_ok(ks, ks_set_scope(ks, &scope));
	g_assert_cmpuint(ks->scope.cgroup, ==, id);
	return id;
}

static void end_watch(void)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", bed->dir, NULL };

	atomic_store(&ks->slots[KS_PROBE_FADVISE].state, KS_STATE_OFF);
	end();
	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
	close(bed->proc_fd);
	g_free(bed->root);
	g_free(bed->dir);
	g_free(bed);
}

/* The folder keeps its inode under another name, so the new one has another. */
static uint64_t make_again(const char *old_name)
{
	char *from = g_build_filename(bed->root, "a", NULL);
	char *to = g_build_filename(bed->root, old_name, NULL);

	g_assert_cmpint(rename(from, to), ==, 0);
	g_free(from);
	g_free(to);
	return make(bed, "a");
}

struct seen {
	unsigned n, stop_at;
	struct ks_event_state ev[8];
};

static int see(const struct ks_event *ev, void *user)
{
	struct seen *seen = user;

	g_assert_cmpuint(ev->size, ==, sizeof(struct ks_event_state));
	g_assert_cmpuint(seen->n, <, G_N_ELEMENTS(seen->ev));
	memcpy(&seen->ev[seen->n++], ev, sizeof(struct ks_event_state));
	return seen->n == seen->stop_at ? -7 : 0;
}

/* A look that is due. The next one must come after `later`. */
static void look(struct seen *seen, int max, int rc, uint64_t later)
{
	uint64_t before = ks__now();

	atomic_store(&ks->look_ns, 1);
	ks_assert_rc(ks_poll(ks, 0, max, see, seen), rc);
	g_assert_cmpuint(atomic_load(&ks->look_ns), >=, later ? before + later : 0);
	g_assert_cmpuint(atomic_load(&ks->look_ns), <=, later ? ks__now() + later : 0);
}

static void expect(const struct ks_event_state *ev, uint32_t probe, uint16_t state, uint32_t source,
		   uint32_t every)
{
	g_assert_cmpuint(ev->ev.id, ==, KS_EVENT_STATE);
	g_assert_cmpuint(ev->ev.cpu, ==, KS_NO_CPU);
	g_assert_cmpuint(ev->ev.weight, ==, 1);
	g_assert_cmpuint(ev->probe, ==, probe);
	g_assert_cmpuint(ev->state, ==, state);
	g_assert_cmpuint(ev->source, ==, source);
	g_assert_cmpuint(ev->sample_every, ==, every);
	g_assert_cmpuint(ev->cause, ==, KS_CAUSE_SCOPE);
}

/*
 * Both probes report it with the settings of that moment, once, also to calls that take one each.
 */
static void test_again(void)
{
	for (int max = 0; max <= 1; max++) {
		struct seen seen = { 0 };
		uint64_t first = begin_watch(), second, before;

		look(&seen, max, 0, SECOND); /* the same cgroup */
		g_assert_cmpuint(programs.scoped, ==, 1);
		second = make_again("old");
		g_assert_cmpuint(second, !=, first);
		before = ks__now();
		look(&seen, max, max ? 1 : 2, SECOND);
		g_assert_cmpuint(ks->scope.cgroup, ==, second);
		g_assert_cmpuint(programs.scoped, ==, 2);
		g_assert_cmpuint(programs.cgroup, ==, second);
		g_assert_cmpuint(files.cgroup, ==, second);
		if (max) { /* no look before all is reported */
			ks->slots[KS_PROBE_FADVISE].set.sample_every = 99;
			atomic_store(&ks->look_ns, 1);
			ks_assert_rc(ks_poll(ks, 0, max, see, &seen), 1);
			g_assert_cmpuint(atomic_load(&ks->look_ns), ==, 1);
		}
		g_assert_cmpuint(seen.n, ==, 2);
		expect(&seen.ev[0], PROBE, KS_STATE_ON, KS_SOURCE_BPF, 7);
		expect(&seen.ev[1], KS_PROBE_FADVISE, KS_STATE_SILENT, KS_SOURCE_NONE, 9);
		for (int i = 0; i < 2; i++) {
			g_assert_cmpuint(seen.ev[i].ev.time_ns, >=, before);
			g_assert_cmpuint(seen.ev[i].ev.time_ns, <=, ks__now());
		}
		look(&seen, max, 0, SECOND);
		g_assert_cmpuint(seen.n, ==, 2);
		end_watch();
	}
}

/* A callback that stops gets the other record from the next call. */
static void test_stop(void)
{
	struct seen seen = { .stop_at = 1 };

	begin_watch();
	make_again("old");
	look(&seen, 0, -7, SECOND);
	g_assert_cmpuint(seen.n, ==, 1);
	ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), 1);
	expect(&seen.ev[1], KS_PROBE_FADVISE, KS_STATE_SILENT, KS_SOURCE_NONE, 9);
	end_watch();
}

/*
 * A cgroup that is gone, and one that a source cannot take: the scope stays, the next look tries.
 */
static void test_not_yet(void)
{
	struct seen seen = { 0 };
	uint64_t first = begin_watch(), second;

	second = make_again("old");
	unmake(bed, "a");
	look(&seen, 0, 0, SECOND);
	g_assert_cmpuint(ks->scope.cgroup, ==, first);
	g_assert_cmpuint(programs.scoped, ==, 1);
	second = make(bed, "a");
	files.scope_rc = -ENOMEM;
	look(&seen, 0, 0, SECOND);
	g_assert_cmpuint(ks->scope.cgroup, ==, first);
	g_assert_cmpuint(files.scoped, ==, 2);
	files.scope_rc = 0;
	look(&seen, 0, 2, SECOND);
	g_assert_cmpuint(ks->scope.cgroup, ==, second);
	end_watch();
}

/* Not due, or the lock is taken: then it looks 10 ms later. Other scopes are not looked at. */
static void test_when(void)
{
	const struct ks_scope self = { .size = sizeof(self) };
	struct seen seen = { 0 };
	struct ks__sink sink = { 0 };
	uint64_t first = begin_watch(), due = ks__now() + 3600 * SECOND, before;

	g_assert_cmpuint(atomic_load(&ks->look_ns), >, 0);
	g_assert_cmpint(atomic_load(&ks->changed), ==, 1); /* the consumer sets its timer anew */
	make_again("old");
	atomic_store(&ks->look_ns, due);
	ks_assert_rc(ks_poll(ks, 0, 0, see, &seen), 0);
	g_assert_cmpuint(atomic_load(&ks->look_ns), ==, due);
	g_assert_cmpuint(ks->deadline_ns, ==, due);
	before = ks__now();
	atomic_store(&ks->look_ns, 1);
	pthread_mutex_lock(&ks->lock);
	g_assert_cmpuint(ks__watch_drain(ks, &sink, 100), ==, 0);
	pthread_mutex_unlock(&ks->lock);
	g_assert_cmpuint(atomic_load(&ks->look_ns), >=, before + LATER);
	g_assert_cmpuint(atomic_load(&ks->look_ns), <=, ks__now() + LATER);
	g_assert_cmpuint(ks->scope.cgroup, ==, first);
	ks_assert_ok(ks, ks_set_scope(ks, &self));
	g_assert_cmpuint(atomic_load(&ks->look_ns), ==, 0);
	look(&seen, 0, 0, 0);
	g_assert_cmpuint(seen.n, ==, 0);
	end_watch();
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/watch/again", test_again);
	g_test_add_func("/watch/stop", test_stop);
	g_test_add_func("/watch/not yet", test_not_yet);
	g_test_add_func("/watch/when", test_when);
	return g_test_run();
}
