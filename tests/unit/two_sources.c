/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows what the api layer does with two fake sources: which it asks first, which it takes, what it
 * reports to the host, and which settings each source gets.
 */
#include <errno.h>

#include "../../bpf/shared.h"
#include "api/api.h"
#include "support/fake_source.h"
#include "support/ks_test.h"

/* ---- enable and disable ---------------------------------------------------------------------- */

/* Takes the first source that works, and reports what that source said about the probe. */
static void test_first(void)
{
	struct ks_variant_info variant;
	uint64_t before, after;
	struct ks_probe_info info;

	begin();
	programs.variant = 1;
	programs.note[1].tried = 1;
	info = query();
	g_assert_cmpuint(info.state, ==, KS_STATE_OFF);
	g_assert_cmpuint(info.source, ==, KS_SOURCE_BPF); /* the expected source */
	g_assert_cmpuint(info.variant, ==, 1);
	g_assert_cmpstr(info.variant_name, ==, "raw_tp");
	g_assert_cmpuint(info.facts, ==, KS_FACT_TRIED | KS_FACT_MISSED);
	g_assert_cmpuint(info.generation, ==, 0);
	g_assert_cmpuint(info.changed_ns, ==, 0);
	programs.note[1].tried = 0;
	g_assert_cmpuint(query().facts, ==, KS_FACT_MISSED);

	before = ks__now();
	ks_assert_rc(enable(NULL, 0), 0);
	after = ks__now();
	info = query();
	g_assert_cmpuint(info.probe, ==, PROBE);
	g_assert_cmpstr(info.name, ==, "proc");
	g_assert_cmpuint(info.state, ==, KS_STATE_ON);
	g_assert_cmpuint(info.source, ==, KS_SOURCE_BPF);
	g_assert_cmpuint(info.variant, ==, 1);
	g_assert_cmpuint(info.n_variants, ==, FILES_VARIANT + 1);
	g_assert_cmpuint(info.generation, ==, 1);
	g_assert_cmphex(info.valid, ==, ALL);
	g_assert_cmpuint(info.changed_ns, >=, before);
	g_assert_cmpuint(info.changed_ns, <=, after);
	g_assert_cmpuint(info.last_ns, ==, 0);
	g_assert_cmpstr(info.reason, ==, "");
	g_assert_cmpuint(programs.mask, ==, 1u << PROBE);
	g_assert_cmpuint(programs.prepared, ==, 1);
	g_assert_cmpuint(programs.set.generation, ==, 1);
	g_assert_cmpuint(files.prepared + files.applied + files.enabled, ==, 0);

	ks_assert_rc(ks_disable_probe(ks, PROBE), 0);
	g_assert_cmpuint(programs.disabled, ==, 1);
	g_assert_cmpuint(files.disabled, ==, 0);
	g_assert_cmpuint(query().state, ==, KS_STATE_OFF);
	g_assert_cmpuint(query().changed_ns, >=, after);
	ks_assert_rc(ks_disable_probe(ks, PROBE), 0); /* disabled already */
	variant.size = sizeof(variant);
	ks_assert_rc(ks_query_variant(ks, PROBE, FILES_VARIANT, &variant), 0);
	g_assert_cmpstr(variant.name, ==, "procfs");
	g_assert_cmpuint(variant.source, ==, KS_SOURCE_FILES);
	ks_assert_rc(ks_query_variant(ks, PROBE, FILES_VARIANT + 1, &variant), -ENOENT);
	g_assert_cmpuint(programs.disabled, ==, 1);
	end();
}

/* A source that lacks one valid bit counts as working with less. */
static void test_less(void)
{
	begin();
	programs.valid = ALL & ~(uint64_t)KS_HAS_PROC_IO;
	ks_assert_rc(enable(NULL, 0), 1);
	ks_assert_rc(ks_query_valid(ks, PROBE, KS_HAS_PROC_IO, NULL, 0), 0);
	ks_assert_rc(ks_query_valid(ks, PROBE, KS_HAS_PROC_UID, NULL, 0), 1);
	end();
}

/* A reason of denied permission has priority over one of a missing kernel feature. */
static void test_second(void)
{
	struct ks_probe_info info;
	char why[64];

	begin();
	programs.enable_rc = -KS_EUNAVAIL;
	programs.note[0] = (struct ks__note){ .error = -ENOENT, .reason = "no such event" };
	programs.note[1] = (struct ks__note){ .error = -EPERM, .reason = "no capability" };
	programs.note[2] = (struct ks__note){ .error = -EPERM, .reason = "no rights" };
	ks_assert_rc(enable(NULL, 0), 1);
	g_assert_cmpuint(programs.enabled, ==, 1);
	info = query();
	g_assert_cmpuint(info.source, ==, KS_SOURCE_FILES);
	g_assert_cmpuint(info.variant, ==, FILES_VARIANT);
	g_assert_cmpstr(info.variant_name, ==, "procfs");
	g_assert_cmphex(info.valid, ==, KS_HAS_PROC_PARENT | KS_HAS_PROC_START);
	g_assert_cmpstr(info.reason, ==, "no capability");
	ks_assert_rc(ks_query_valid(ks, PROBE, KS_HAS_PROC_START | KS_HAS_PROC_IO | KS_HAS_PROC_UID,
				    why, sizeof(why)),
		     0);
	g_assert_cmpstr(why, ==, "2 has no bit 0x80");
	ks_assert_rc(enable(NULL, KS_ENABLE_NO_FALLBACK), -KS_EUNAVAIL);
	sentence("proc is on and reads files: disable it first");
	ks_assert_rc(ks_disable_probe(ks, PROBE), 0);
	g_assert_cmpuint(files.disabled, ==, 1);
	end();
}

static void test_none(void)
{
	begin();
	programs.enable_rc = files.enable_rc = -KS_EUNAVAIL;
	programs.expect_rc = files.expect_rc = -KS_EUNAVAIL;
	programs.note[0] = (struct ks__note){ .error = -ENOENT, .reason = "no such event" };
	programs.note[1] = (struct ks__note){ .error = -EPERM, .reason = "no capability" };
	programs.note[2] = (struct ks__note){ .error = -EPERM, .reason = "no capability" };
	files.note[0] = (struct ks__note){ .error = -EACCES, .reason = "no procfs" };
	ks_assert_rc(enable(NULL, 0), -KS_EUNAVAIL);
	sentence("proc: no capability; no procfs; no such event");
	g_assert_cmpuint(files.enabled, ==, 1);
	g_assert_cmpuint(query().state, ==, KS_STATE_FAILED);
	g_assert_cmpuint(query().source, ==, KS_SOURCE_NONE);
	g_assert_cmphex(query().variant, ==, UINT32_MAX);
	g_assert_cmpstr(query().reason, ==, "no capability; no procfs; no such event");
	ks_assert_rc(ks_disable_probe(ks, PROBE), 0);
	g_assert_cmpuint(query().state, ==, KS_STATE_OFF);
	g_assert_cmpuint(programs.disabled + files.disabled, ==, 0);
	end();
}

/* If files cannot serve the probe, the reason ends with that. */
static void test_no_fallback(void)
{
	const struct ks__probe *probe;
	struct ks_probe_info info = { .size = sizeof(info) };
	char *want;

	begin();
	probe = ks->slots[KS_PROBE_FADVISE].probe;
	programs.note[0] = (struct ks__note){ .error = -EPERM, .reason = "no rights" };
	ks_assert_rc(ks_query_probe(ks, KS_PROBE_FADVISE, &info), 0);
	want = g_strdup_printf("no rights; %s", probe->no_fallback);
	g_assert_cmpstr(info.reason, ==, want);
	programs.note[0].error = 0;
	ks_assert_rc(ks_query_probe(ks, KS_PROBE_FADVISE, &info), 0);
	g_assert_cmpstr(info.reason, ==, probe->no_fallback);
	g_free(want);
	end();
}

/* If memory or descriptors are short, the call fails: it does not fall back to files. */
static void test_errors(void)
{
	begin();
	programs.prepare_rc = -ENOMEM;
	ks_assert_rc(enable(NULL, 0), -ENOMEM);
	programs.prepare_rc = 0;
	programs.apply_rc = -EMFILE;
	ks_assert_rc(enable(NULL, 0), -EMFILE);
	programs.apply_rc = 0;
	programs.enable_rc = -ENOSPC;
	ks_assert_rc(enable(NULL, 0), -ENOSPC);
	g_assert_cmpuint(files.prepared, ==, 0);
	g_assert_cmpuint(query().state, ==, KS_STATE_OFF);
	programs.enable_rc = -KS_EUNAVAIL;
	ks_assert_rc(enable(NULL, KS_ENABLE_NO_FALLBACK), -KS_EUNAVAIL);
	g_assert_cmpuint(files.prepared, ==, 0);
	end();
}

/* With a forced variant, only the source that has it is asked, and only for that variant. */
static void test_forced(void)
{
	begin();
	ks_assert_rc(enable("no such variant", 0), -EINVAL);
	g_assert_cmpuint(programs.prepared + files.prepared, ==, 0);
	ks_assert_rc(enable("procfs", 0), 1);
	g_assert_cmpuint(programs.prepared, ==, 0);
	g_assert_cmpstr(files.forced, ==, "procfs");
	ks_assert_rc(enable("procfs", 0), 1);
	ks_assert_rc(enable("tp_btf", 0), -EBUSY);
	sentence("proc is on with variant procfs: disable it before you force tp_btf");
	ks_assert_rc(ks_disable_probe(ks, PROBE), 0);
	/* the reason of this variant, not of another one */
	programs.enable_rc = -KS_EUNAVAIL;
	programs.note[0] = (struct ks__note){ .error = -EPERM, .reason = "not the first" };
	programs.note[1] = (struct ks__note){ .error = -ENOENT, .reason = "not the second" };
	ks_assert_rc(enable("raw_tp", 0), -KS_EUNAVAIL);
	sentence("proc: not the second");
	g_assert_cmpstr(query().reason, ==, "not the first; not the second");
	ks->sources[0] = &files.source, ks->sources[1] = NULL;
	ks_assert_rc(enable("tracepoint", 0), -KS_EUNAVAIL);
	sentence("proc: this library was built without BPF; build it with -Dbpf=enabled");
	ks->sources[0] = &programs.source, ks->sources[1] = &files.source;
	ks_assert_rc(enable(NULL, 1 << 3), -EINVAL);
	sentence("ks_enable_opts: flags may be KS_ENABLE_NO_FALLBACK, KS_ENABLE_NO_EVENTS and "
		 "KS_ENABLE_NO_STATS");
	programs.enable_rc = 0;

	programs.variant = 2;
	ks_assert_rc(enable("tracepoint", 0), 0);
	g_assert_cmpstr(programs.forced, ==, "tracepoint");
	g_assert_cmpuint(query().variant, ==, 2);
	g_assert_cmpuint(files.enabled, ==, 1);
	end();
}

/* ---- settings -------------------------------------------------------------------------------- */

static void test_again(void)
{
	struct ks_param burst = { .id = KS_PARAM_BURST, .value = 7 };
	struct ks_enable_opts opts = {
		.size = sizeof(opts), .flags = KS_ENABLE_NO_EVENTS, .n_params = 1, .params = &burst
	};

	begin();
	ks_assert_rc(ks_enable_probe(ks, PROBE, &opts), 0);
	g_assert_cmpuint(programs.set.flags, ==, KS_ENABLE_NO_EVENTS);
	g_assert_cmpuint(programs.set.burst, ==, 7);
	burst.value = 8;
	opts.flags = 0; /* not more flags than exist */
	ks_assert_rc(ks_enable_probe(ks, PROBE, &opts), 0);
	g_assert_cmpuint(programs.set.flags, ==, KS_ENABLE_NO_EVENTS);
	g_assert_cmpuint(programs.set.burst, ==, 8);
	g_assert_cmpuint(programs.set.generation, ==, 2);
	g_assert_cmpuint(programs.enabled, ==, 1);
	ks_assert_rc(enable(NULL, 0), 0); /* the call names no setting, so none changes */
	g_assert_cmpuint(programs.applied, ==, 2);
	ks_assert_rc(enable(NULL, KS_ENABLE_NO_STATS), -EBUSY);
	sentence("proc is on with other flags: disable it first");
	programs.apply_rc = -ENOMEM;
	ks_assert_rc(ks_enable_probe(ks, PROBE, &opts), -ENOMEM);
	g_assert_cmpuint(query().generation, ==, 2);
	programs.apply_rc = 0;

	/* all settings back to their defaults; flags are no settings */
	burst.id = 31; /* an unknown setting */
	ks_assert_rc(ks_configure_probe(ks, PROBE, &burst, 1), -EINVAL);
	sentence("proc has no setting 31");
	ks_assert_rc(ks_configure_probe(ks, PROBE, NULL, 3), -EINVAL);
	sentence("proc: n_params is 3, but params is NULL");
	ks_assert_rc(ks_configure_probe(ks, PROBE, NULL, 0), 3);
	g_assert_cmpuint(programs.set.burst, ==, 5000);
	g_assert_cmpuint(programs.set.flags, ==, KS_ENABLE_NO_EVENTS);
	ks_assert_rc(ks_disable_probe(ks, PROBE), 0);
	ks_assert_rc(ks_configure_probe(ks, PROBE, NULL, 0), -KS_EOFF);
	end();
}

/* Generations run from 1 to 255 and start over: generation 0 means off. */
static void test_generations(void)
{
	begin();
	ks_assert_rc(enable(NULL, 0), 0);
	for (int i = 2; i <= 600; i++) {
		struct ks_param burst = { .id = KS_PARAM_BURST, .value = (uint64_t)i };
		int want = (i - 1) % 255 + 1;

		ks_assert_rc(ks_configure_probe(ks, PROBE, &burst, 1), want);
		g_assert_cmpuint(programs.set.generation, ==, (uint32_t)want);
		g_assert_cmpuint(programs.set.burst, ==, (uint64_t)i);
		g_assert_cmpuint(query().generation, ==, (uint32_t)want);
	}
	end();
}

/* Each setting at both limits and one step beyond. Setting it changes its own member only. */
static void test_edges(void)
{
	static const struct {
		uint32_t id;
		size_t at;
		uint64_t lowest, highest;
	} edges[] = {
		{ KS_PARAM_SAMPLE_EVERY, offsetof(struct ks__settings, sample_every), 0, 1u << 31 },
		{ KS_PARAM_MAX_PER_SEC, offsetof(struct ks__settings, max_per_sec), 0, 1000000000 },
		{ KS_PARAM_BURST, offsetof(struct ks__settings, burst), 1, 10000000 },
		{ KS_PARAM_IDENTITY, offsetof(struct ks__settings, identity), 0, 3 },
		{ KS_PARAM_INTERVAL_MS, offsetof(struct ks__settings, interval_ms), 10, 3600000 },
	};

	begin();
	ks_assert_rc(enable(NULL, 0), 0);
	for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
		const uint64_t values[] = { edges[i].lowest, edges[i].highest, edges[i].highest + 1,
					    edges[i].lowest - 1 };

		for (size_t k = 0; k < G_N_ELEMENTS(values); k++) {
			struct ks_param param = { .id = edges[i].id, .value = values[k] };
			struct ks__settings want = programs.set;
			uint64_t value;
			int rc = ks_configure_probe(ks, PROBE, &param, 1);

			if (k < 2) {
				want.generation = (uint32_t)rc;
				memcpy((char *)&want + edges[i].at, &values[k], sizeof(value));
			} else {
				ks_assert_rc(rc, -EINVAL);
			}
			g_assert_cmpmem(&programs.set, sizeof(want), &want, sizeof(want));
			ks_assert_rc(ks_query_param(ks, PROBE, edges[i].id, &value), 0);
			g_assert_cmpuint(value, ==, values[k < 2 ? k : 1]);
		}
	}
	end();
}

/*
 * Returns the number of probes that will use kernel programs: not all probes named, none from other
 * sources.
 */
static void test_prepare(void)
{
	const uint32_t two[] = { KS_PROBE_SCHED, PROBE }, self[] = { KS_PROBE_SELF };

	begin();
	ks_assert_rc(ks_prepare(ks, two, 2), 1);
	g_assert_cmpuint(programs.mask, ==, 1u << PROBE | 1u << KS_PROBE_SCHED);
	g_assert_cmpuint(files.mask, ==, programs.mask);
	ks_assert_rc(ks_prepare(ks, two, 1), 0);
	g_assert_cmpuint(programs.mask, ==, 1u << KS_PROBE_SCHED);
	ks_assert_rc(ks_prepare(ks, two, 0), 0);
	g_assert_cmpuint(programs.mask, ==, 0);
	ks_assert_rc(ks_prepare(ks, NULL, 0), 1);
	g_assert_cmpuint(programs.mask & (1u << PROBE | 1u << KS_PROBE_PAGECACHE), ==,
			 1u << PROBE | 1u << KS_PROBE_PAGECACHE);
	ks_assert_rc(ks_prepare(ks, self, 1), -EINVAL);
	ks_assert_rc(ks_prepare(ks, NULL, 1), -EINVAL);
	files.prepare_rc = -ENOMEM;
	ks_assert_rc(ks_prepare(ks, two, 2), -ENOMEM);
	end();
}

/* A callback that closes its handle stops the sources before it returns; the end comes later. */
static int close_inside(const struct ks_event *ev, void *user)
{
	unsigned *calls = user;

	(void)ev;
	++*calls;
	g_assert_cmpuint(programs.stopped + files.stopped, ==, 0);
	ks_close(ks);
	g_assert_cmpuint(programs.stopped, ==, 1);
	g_assert_cmpuint(files.stopped, ==, 1);
	give_back();
	return 0;
}

static void test_close_inside(void)
{
	unsigned calls = 0;

	begin();
	ks_assert_rc(enable(NULL, 0), 0);
	programs.out[0] = programs.out[1] = (struct fake_record){ KS_EVENT_PROC_FORK, 96, 10 };
	g_assert_cmpint(ks_poll(ks, 1000, 10, close_inside, &calls), !=, 0);
	g_assert_cmpuint(calls, ==, 1);
	g_assert_cmpuint(programs.stopped, ==, 1);
}

/* ---- the ledger ------------------------------------------------------------------------------ */

/* The ledger is the sum over both sources. A program that was just counting gets a second look. */
static void test_ledger(void)
{
	struct ks__ledger ledger;
	char text[300];

	begin();
	programs.ledger_probe = files.ledger_probe = PROBE;
	ks_assert_rc(ks_ledger_check(ks, PROBE), 0); /* was never on */
	enable_both();
	programs.ledger =
		(struct ks__ledger){ .outcome = { [KS_SUBMITTED] = 12, [KS_FILTERED] = 3 },
				     .delivered = 10,
				     .discarded = 1,
				     .in_flight = 1,
				     .kernel_ns = 100,
				     .programs = 3,
				     .missed_known = 1,
				     .missed = 4 };
	files.ledger = (struct ks__ledger){ .outcome = { [KS_SUBMITTED] = 5 },
					    .delivered = 5,
					    .missed_known = 1 };
	for (int idle = 0; idle <= 1; idle++) {
		ks__read_ledger(ks, PROBE, idle, &ledger);
		g_assert_cmpuint(ledger.outcome[KS_SUBMITTED], ==, 17);
		g_assert_cmpuint(ledger.outcome[KS_FILTERED], ==, 3);
		g_assert_cmpuint(ledger.delivered, ==, 15);
		g_assert_cmpuint(ledger.discarded, ==, 1);
		g_assert_cmpuint(ledger.in_flight, ==, 1);
		g_assert_cmpuint(ledger.kernel_ns, ==, 100);
		g_assert_cmpuint(ledger.missed, ==, 4);
	}
	ks_assert_rc(ks_disable_probe(ks, PROBE), 0);
	ks_assert_rc(ks_ledger_check(ks, PROBE), 0);
	ks_assert_rc(ks_ledger_check(ks, 0), 0);
	programs.ledger_late = 1;
	ks_assert_rc(ks_ledger_check(ks, PROBE), 0);
	programs.ledger_late = 2;
	ks_assert_rc(ks_ledger_check(ks, PROBE), -KS_EBALANCE);
	ks_last_error(ks, text, sizeof(text));
	g_assert_true(g_str_has_prefix(text, "proc"));
	programs.ledger_late = 2;
	ks_assert_rc(ks_ledger_check(ks, KS_PROBE_SCHED), 0); /* of another probe */
	programs.ledger_late = 0;
	ks_assert_rc(ks_ledger_check(ks, KS__PROBES_MAX), -EINVAL);
	end();
}

/* A look at the ledger or at the library's own rows leaves another thread's consumption alone. */
static void test_consumer(void)
{
	static const uintptr_t states[] = { KS__CONSUMER_NONE, KS__CONSUMER_WAITS, 4096 };
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_reader *reader;

	begin();
	ks_assert_rc(enable(NULL, 0), 0);
	ks_assert_rc(ks_reader_new(ks, KS_PROBE_SELF, NULL, &reader), 0);
	for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
		atomic_store(&ks->consumer, states[i]);
		ks_assert_rc(ks_read_stats(reader, &stats), 0);
		g_assert_cmpuint(atomic_load(&ks->consumer), ==, states[i]);
		ks_assert_rc(ks_ledger_check(ks, PROBE), 0);
		g_assert_cmpuint(atomic_load(&ks->consumer), ==, states[i]);
	}
	atomic_store(&ks->consumer, KS__CONSUMER_NONE);
	ks_reader_free(reader);
	end();
}

/* With KS_OPEN_ORDERED, records that wait in the heap are in flight, those of no probe excepted. */
static void test_ledger_ordered(void)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .flags = KS_OPEN_ORDERED };
	struct ks__ledger ledger;

	for (int ordered = 0; ordered <= 1; ordered++) {
		opts.flags = ordered ? KS_OPEN_ORDERED : KS_OPEN_TRIM;
		opts.log_level = ordered ? 2 : 3; /* not the flags */
		begin_with(&opts);
		g_assert_cmpint(ks->order != NULL, ==, ordered);
		ks_assert_rc(enable(NULL, 0), 0);
		programs.ledger = (struct ks__ledger){ .outcome = { [KS_SUBMITTED] = 12 },
						       .delivered = 10,
						       .in_flight = 2 };
		atomic_store(&ks->ordered[PROBE], 7);
		ks__read_ledger(ks, PROBE, 1, &ledger);
		g_assert_cmpuint(ledger.delivered, ==, ordered ? 7 : 10);
		g_assert_cmpuint(ledger.in_flight, ==, ordered ? 5 : 2);
		ks__read_ledger(ks, PROBE, 0, &ledger);
		g_assert_cmpuint(ledger.in_flight, ==, ordered ? 5 : 2);
		programs.ledgers_self = 1;
		ks__read_ledger(ks, KS_PROBE_SELF, 1, &ledger);
		g_assert_cmpuint(ledger.delivered, ==, 10);
		g_assert_cmpuint(ledger.in_flight, ==, 2);
		end();
	}
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/two_sources/enable/first", test_first);
	g_test_add_func("/two_sources/enable/less", test_less);
	g_test_add_func("/two_sources/enable/second", test_second);
	g_test_add_func("/two_sources/enable/none", test_none);
	g_test_add_func("/two_sources/enable/no fallback", test_no_fallback);
	g_test_add_func("/two_sources/enable/errors", test_errors);
	g_test_add_func("/two_sources/enable/forced", test_forced);
	g_test_add_func("/two_sources/settings/again", test_again);
	g_test_add_func("/two_sources/settings/generations", test_generations);
	g_test_add_func("/two_sources/settings/edges", test_edges);
	g_test_add_func("/two_sources/ledger", test_ledger);
	g_test_add_func("/two_sources/ledger/ordered", test_ledger_ordered);
	g_test_add_func("/two_sources/consumer", test_consumer);
	g_test_add_func("/two_sources/close inside", test_close_inside);
	g_test_add_func("/two_sources/prepare", test_prepare);
	return g_test_run();
}
