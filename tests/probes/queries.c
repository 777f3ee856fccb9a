/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that queries about a probe are right: its state, source and variant, when it changed, when
 * it last saw an event; that rows name their owners; that exactly the self-test's records are
 * marked; and that the record of a changed scope has each member right.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cgroup.h"
#include "support/harness.h"
#include "support/ks_test.h"

static struct ks_probe_info query(struct kt *t)
{
	struct ks_probe_info info = { .size = sizeof(info) };

	ks_assert_ok(t->ks, ks_query_probe(t->ks, t->probe, &info));
	return info;
}

static void call(unsigned n)
{
	while (n--)
		syscall(SYS_fadvise64, -1, 0, 0, POSIX_FADV_RANDOM);
}

/* Returns the index of the variant in use in the list of variants. */
static uint32_t index_of(struct kt *t, uint32_t n)
{
	struct ks_variant_info info = { .size = sizeof(info) };
	uint32_t i;

	for (i = 0; i < n; i++) {
		ks_assert_ok(t->ks, ks_query_variant(t->ks, t->probe, i, &info));
		if (!strcmp(info.name, t->variant))
			break;
	}
	g_assert_cmpuint(i, <, n);
	g_assert_cmpuint(info.source, ==, KS_SOURCE_BPF);
	g_assert_cmpint(info.error, ==, 0);
	ks_assert_rc(ks_query_variant(t->ks, t->probe, n, &info), -ENOENT);
	return i;
}

/* The probe is disabled, enabled, gets an event out of scope, one in scope, and is disabled. */
static void state(struct kt *t)
{
	const struct ks_param every = { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 };
	struct ks_probe_info off = query(t), on, last = off;
	const struct ks_event *ev;
	size_t at = 0;
	uint64_t before, after;
	pid_t stranger;

	g_assert_cmpuint(off.state, ==, KS_STATE_OFF);
	g_assert_cmpuint(off.changed_ns, ==, 0);
	g_assert_cmpuint(off.last_ns, ==, 0);
	g_assert_cmpuint(off.facts & KS_FACT_SEEN, ==, 0);
	before = work_now();
	kt_enable(t, &every, 1);
	after = work_now();
	on = query(t);
	g_assert_cmpuint(on.probe, ==, t->probe);
	g_assert_cmpstr(on.name, ==, "fadvise");
	g_assert_cmpuint(on.state, ==, KS_STATE_ON);
	g_assert_cmpuint(on.source, ==, KS_SOURCE_BPF);
	g_assert_cmpstr(on.variant_name, ==, t->variant);
	g_assert_cmpuint(on.variant, ==, index_of(t, on.n_variants));
	g_assert_cmpuint(on.caps_missing, ==, 0);
	g_assert_cmpuint(on.facts & (KS_FACT_TRIED | KS_FACT_SEEN), ==, KS_FACT_TRIED);
	g_assert_cmpuint(on.changed_ns, >=, before);
	g_assert_cmpuint(on.changed_ns, <=, after);

	stranger = fork();
	if (stranger == 0) {
		call(3);
		_exit(0);
	}
	g_assert_cmpint(waitpid(stranger, NULL, 0), ==, stranger);
	g_assert_cmpuint(query(t).facts & KS_FACT_SEEN, ==, 0);
	before = work_now();
	call(2);
	after = work_now();
	g_assert_cmpuint(query(t).facts & KS_FACT_SEEN, ==, KS_FACT_SEEN);
	kt_drain(t);
	g_assert_cmpuint(t->n, ==, 2);
	while ((ev = kt_next(t, KS_EVENT_FADVISE_CALL, &at)))
		last.last_ns = ev->time_ns;
	g_assert_cmpuint(query(t).last_ns, ==, last.last_ns);
	g_assert_cmpuint(query(t).last_ns, >=, before);
	g_assert_cmpuint(query(t).last_ns, <=, after);
	g_assert_cmpuint(query(t).changed_ns, ==, on.changed_ns);

	kt_disable(t);
	last = query(t);
	g_assert_cmpuint(last.state, ==, KS_STATE_OFF);
	g_assert_cmpuint(last.changed_ns, >=, after);
	g_assert_cmpuint(last.generation, ==, on.generation);
}

/* Rows have the number and the size of their struct. */
static void rows(struct kt *t)
{
	static const struct {
		uint32_t probe;
		uint16_t id;
		size_t bytes;
	} want[] = {
		{ KS_PROBE_PROC, KS_STATS_PROC, sizeof(struct ks_stats_proc) },
		{ KS_PROBE_SCHED, KS_STATS_SCHED, sizeof(struct ks_stats_sched) },
		{ KS_PROBE_FADVISE, KS_STATS_FADVISE, sizeof(struct ks_stats_fadvise) },
		{ KS_PROBE_PAGECACHE, KS_STATS_PAGECACHE, sizeof(struct ks_stats_pagecache) },
		{ KS_PROBE_SELF, KS_STATS_SELF, sizeof(struct ks_stats_self) },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
		struct ks_stats stats = { .size = sizeof(stats) };
		struct ks_reader *reader;

		if (want[i].probe != KS_PROBE_SELF &&
		    ks_enable_probe(t->ks, want[i].probe, NULL) < 0)
			continue;
		ks_assert_ok(t->ks, ks_reader_new(t->ks, want[i].probe, NULL, &reader));
		ks_assert_ok(t->ks, ks_read_stats(reader, &stats));
		g_assert_cmphex(stats.id, ==, want[i].id);
		g_assert_cmpuint(stats.row_size, ==, want[i].bytes);
		g_assert_cmpuint(stats.n_rows, ==, 1);
		ks_reader_free(reader);
		if (want[i].probe != KS_PROBE_SELF)
			ks_assert_ok(t->ks, ks_disable_probe(t->ks, want[i].probe));
	}
}

/* ---- the self-test --------------------------------------------------------------------------- */

static unsigned marked(struct kt *t)
{
	unsigned n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->records[i]->flags == KS_FLAG_SELFTEST;
	return n;
}

/*
 * Records of the self-test are marked, whatever the scope. Records of the host before and after it
 * are not.
 */
static void selftest(struct kt *t)
{
	const struct ks_param every = { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 };
	struct ks_selftest_opts opts = { .size = sizeof(opts),
					 .dir = g_get_tmp_dir(),
					 .timeout_ms = 60000 };
	unsigned host = 0;
	int kinds;

	kt_enable(t, t->probe == KS_PROBE_FADVISE ? &every : NULL, t->probe == KS_PROBE_FADVISE);
	ks_assert_ok(t->ks, kinds = ks_selftest(t->ks, t->probe, &opts));
	g_assert_cmpint(kinds, >, 0);
	kt_drain(t);
	g_assert_cmpuint(t->n, >=, (size_t)kinds);
	/* except the fork of its child, by the host itself */
	for (size_t i = 0; i < t->n; i++)
		host += t->records[i]->pid == getpid() && t->records[i]->id == KS_EVENT_PROC_FORK;
	g_assert_cmpuint(host, ==, t->probe == KS_PROBE_PROC);
	g_assert_cmpuint(marked(t), ==, t->n - host);
	g_assert_cmpuint(query(t).state, ==, KS_STATE_ON);

	kt_forget(t);
	if (t->probe == KS_PROBE_FADVISE) {
		call(2);
		kt_drain(t);
		g_assert_cmpuint(t->n, ==, 2);
		g_assert_cmpuint(marked(t), ==, 0);
	}
	opts.timeout_ms = 60001;
	ks_assert_rc(ks_selftest(t->ks, t->probe, &opts), -EINVAL);
	kt_disable(t);
	opts.timeout_ms = 0;
	ks_assert_rc(ks_selftest(t->ks, t->probe, &opts), -KS_EOFF);
}

/* ---- a changed scope ------------------------------------------------------------------------- */

static int keep_state(const struct ks_event *ev, void *user)
{
	if (ev->id != KS_EVENT_STATE)
		return 0;
	*(struct ks_event_state *)user = *(const struct ks_event_state *)(const void *)ev;
	return -ECANCELED;
}

/*
 * Each member has a value different from its neighbours'. Comes from files, next to the probe of
 * this case.
 */
static void scope_again(struct kt *t)
{
	const uint32_t probe = KS_PROBE_SCHED;
	struct ks_param sampled = { .id = KS_PARAM_SAMPLE_EVERY, .value = 1000 };
	struct ks_enable_opts opts = {
		.size = sizeof(opts), .n_params = 1, .params = &sampled, .variant = "procfs"
	};
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_CGROUP };
	struct ks_event_state is = { .ev.size = 0 };
	struct kt_cgroup first, second;
	struct ks *ks;
	uint64_t before;

	kt_enable(t, NULL, 0);
	if (!kt_cgroup_make(&first, "ks-query")) {
		g_test_skip("no cgroup of the memory controller can be made here");
		return;
	}
	scope.cgroup = first.path;
	ks_assert_rc(ks_open(NULL, &ks), 0);
	ks_assert_ok(ks, ks_set_scope(ks, &scope));
	ks_assert_rc(ks_enable_probe(ks, probe, &opts), 1);
	kt_cgroup_remove(&first);
	before = work_now();
	g_assert_true(kt_cgroup_make(&second, "ks-query"));
	while (ks_poll(ks, 60000, 0, keep_state, &is) != -ECANCELED)
		;
	g_assert_cmpuint(is.ev.size, ==, sizeof(is));
	g_assert_cmpuint(is.ev.cpu, ==, KS_NO_CPU);
	g_assert_cmpuint(is.ev.flags, ==, 0);
	g_assert_cmpuint(is.ev.weight, ==, 1);
	g_assert_cmpuint(is.ev.lost, ==, 0);
	g_assert_cmpint(is.ev.pid, ==, 0);
	g_assert_cmpuint(is.ev.time_ns, >=, before);
	g_assert_cmpuint(is.ev.time_ns, <=, work_now());
	g_assert_cmpuint(is.valid, ==, 0);
	g_assert_cmpuint(is.probe, ==, probe);
	g_assert_cmpuint(is.state, ==, KS_STATE_ON);
	g_assert_cmpuint(is.source, ==, KS_SOURCE_FILES);
	g_assert_cmpuint(is.sample_every, ==, 1000);
	g_assert_cmpuint(is.cause, ==, KS_CAUSE_SCOPE);
	ks_close(ks);
	kt_cgroup_remove(&second);
}

static void add(void)
{
	kt_add(KS_PROBE_FADVISE, "state", 0, state);
	kt_add(KS_PROBE_FADVISE, "rows", KT_BEST, rows);
	kt_add(KS_PROBE_FADVISE, "selftest", KT_FEATURES, selftest);
	kt_add(KS_PROBE_PROC, "selftest", 0, selftest);
	kt_add(KS_PROBE_FADVISE, "scope-again", KT_BEST, scope_again);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}
