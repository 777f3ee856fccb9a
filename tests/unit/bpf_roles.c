/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows what the source with kernel programs keeps and reports while no program is loaded: the
 * roles of threads, its maps, missed runs and sizes; and that enabling fails with the right reason.
 */
#include <errno.h>
#include <stdio.h>

#include "bpf/ring.h"
#include "data/doc.h"
#include "support/bpf_bed.h"
#include "support/ks_test.h"

/* ---- roles ----------------------------------------------------------------------------------- */

static int set_role(struct bed *bed, int32_t tid, uint32_t role, uint64_t ticks)
{
	struct ks__source *s = &bed->b->base;

	return s->ops->set_role(s, tid, role, ticks);
}

/* Returns the role of a thread, 0: none. A thread has at most one, with its start time. */
static uint32_t role_of(struct bed *bed, int32_t tid)
{
	uint32_t role = 0;

	for (unsigned i = 0; i < bed->b->n_roles; i++)
		if (bed->b->roles[i].tid == tid) {
			g_assert_cmpuint(role, ==, 0);
			g_assert_cmpuint(bed->b->roles[i].ticks, ==, 7);
			role = bed->b->roles[i].role;
		}
	return role;
}

static void test_roles(void)
{
	struct bed *bed = bed_new(0);

	for (int tid = 1; tid <= 5; tid++)
		ks_assert_rc(set_role(bed, tid, 10 + (uint32_t)tid, 7), 0);
	ks_assert_rc(set_role(bed, 2, 22, 7), 0); /* another role */
	ks_assert_rc(set_role(bed, 5, 25, 7), 0);
	ks_assert_rc(set_role(bed, 3, 0, 0), 0); /* none */
	ks_assert_rc(set_role(bed, 9, 0, 0), 0); /* it had none */
	g_assert_cmpuint(bed->b->n_roles, ==, 4);
	g_assert_cmpuint(role_of(bed, 1), ==, 11);
	g_assert_cmpuint(role_of(bed, 2), ==, 22);
	g_assert_cmpuint(role_of(bed, 3), ==, 0);
	g_assert_cmpuint(role_of(bed, 4), ==, 14);
	g_assert_cmpuint(role_of(bed, 5), ==, 25);
	bed_free(bed);
}

/* If there is no room, the roles of threads that have ended go, and no others. */
static void test_roles_full(void)
{
	struct bed *bed = bed_new(0);
	char text[200];

	for (int tid = 1; tid <= KS__ROLES_MAX; tid++)
		ks_assert_rc(set_role(bed, tid, 1, 7), 0);
	g_assert_cmpuint(bed->b->n_roles, ==, KS__ROLES_MAX);
	put_stat(bed, 10, 7);
	put_stat(bed, 20, 8); /* another thread */
	put(bed, "", "30/stat");
	put(bed, "", "40/stat/folder"); /* it cannot be read, so the thread may live */
	put_stat(bed, KS__ROLES_MAX, 7);
	ks_assert_rc(set_role(bed, 9999, 2, 7), 0);
	g_assert_cmpuint(bed->b->n_roles, ==, 5);
	g_assert_cmpuint(role_of(bed, 10), ==, 1);
	g_assert_cmpuint(role_of(bed, 30), ==, 1); /* an empty file tells nothing */
	g_assert_cmpuint(role_of(bed, 40), ==, 1);
	g_assert_cmpuint(role_of(bed, KS__ROLES_MAX), ==, 1);
	g_assert_cmpuint(role_of(bed, 9999), ==, 2);

	for (int tid = 1; bed->b->n_roles < KS__ROLES_MAX; tid++) {
		put_stat(bed, 10000 + tid, 7);
		ks_assert_rc(set_role(bed, 10000 + tid, 3, 7), 0);
	}
	put_stat(bed, 9999, 7);
	ks_assert_rc(set_role(bed, 20000, 4, 7), -ENOSPC);
	ks_last_error(bed->ks, text, sizeof(text));
	g_assert_cmpstr(text, ==, "4096 live threads have roles: take one back first (role NULL)");
	g_assert_cmpuint(bed->b->n_roles, ==, KS__ROLES_MAX);
	g_assert_cmpuint(role_of(bed, 20000), ==, 0);
	ks_assert_rc(set_role(bed, 10001, 5, 7), 0); /* one that has a role needs no room */
	g_assert_cmpuint(role_of(bed, 10001), ==, 5);
	bed_free(bed);
}

/* ---- reports --------------------------------------------------------------------------------- */

static void assert_maps(struct bed *bed, uint32_t probe, const char *want)
{
	struct ks__doc doc;
	char text[2000], *whole = g_strdup_printf("{\"programs\":[],\"maps\":[%s],\"z\":1}", want);

	ks__doc_begin(&doc, KS_JSON);
	ks__bpf_explain(&bed->b->base, probe, &doc);
	ks__doc_u64(&doc, "z", 1); /* all containers are closed */
	g_assert_cmpint(ks__doc_finish(&doc, text, sizeof(text)), ==, (int)strlen(whole));
	g_assert_cmpstr(text, ==, whole);
	g_free(whole);
}

/* A probe has the maps that its descriptor names; the library itself has all others. */
static void test_maps(void)
{
	struct ks__map maps[] = {
		{ .name = "sched_stats", .fd = 1, .type = 2, .max_entries = 3, .bytes = 40 },
		{ .name = "sched_rows", .fd = -1, .type = 2, .max_entries = 9, .bytes = 90 },
		{ .name = "ks_pids", .fd = 0, .type = 1, .max_entries = 5, .bytes = 60 },
		{ .name = "ks_rings", .fd = 2, .type = 12, .max_entries = 7, .bytes = 80 },
		{ .name = "ks_odd", .fd = 2, .type = 9999, .max_entries = 1, .bytes = 1 },
		{ .name = "ks_gone", .fd = -1, .type = 1, .max_entries = 1, .bytes = 1 },
		{ .name = "proc_ended", .fd = 2, .type = 9, .max_entries = 11, .bytes = 12 },
	};
	struct bed *bed = bed_new(0);
	struct ks__maps kept = bed->b->maps;

	bed->b->maps.map = maps;
	bed->b->maps.n = G_N_ELEMENTS(maps);
	assert_maps(bed, KS_PROBE_SCHED,
		    "{\"name\":\"sched_stats\",\"kind\":\"array\",\"entries\":3,\"bytes\":40}");
	assert_maps(bed, KS_PROBE_PROC,
		    "{\"name\":\"proc_ended\",\"kind\":\"lru_hash\",\"entries\":11,\"bytes\":12}");
	assert_maps(bed, KS_PROBE_FADVISE, "");
	assert_maps(bed, KS_PROBE_SELF,
		    "{\"name\":\"ks_pids\",\"kind\":\"hash\",\"entries\":5,\"bytes\":60},"
		    "{\"name\":\"ks_rings\",\"kind\":\"array_of_maps\",\"entries\":7,\"bytes\":80},"
		    "{\"name\":\"ks_odd\",\"kind\":\"?\",\"entries\":1,\"bytes\":1}");
	bed->b->maps = kept;
	bed_free(bed);
}

/* Missed runs are known only if every program that ever counted tells them. */
static void test_missed(void)
{
	struct bed *bed = bed_new(0);
	struct ks__bpf_variant state = { .n = 1, .progs = { { .name = "none", .fd = -1 } } };
	struct ks__bpf_client *client = &bed->b->clients[KS_PROBE_SCHED];
	struct ks__ledger ledger;

	client->state = &state;
	client->n_variants = 1;
	atomic_store(&client->n_links, 3);
	for (int counted = 0; counted <= 1; counted++) {
		atomic_store(&state.counted, counted);
		memset(&ledger, 0x5a, sizeof(ledger));
		ks_assert_rc(ks__bpf_ledger(&bed->b->base, KS_PROBE_SCHED, 1, &ledger), 0);
		g_assert_cmpint(ledger.missed_known, ==, !counted);
		g_assert_cmpuint(ledger.missed, ==, 0);
		g_assert_cmpuint(ledger.programs, ==, 3);
		g_assert_cmpuint(ledger.delivered, ==, 0);
		g_assert_cmpuint(ledger.in_flight, ==, 0);
	}
	atomic_store(&client->n_links, 0);
	client->state = NULL;
	client->n_variants = 0;
	bed_free(bed);
}

/* The part of ks_check() is closed, and says which kernels keep a limit of records by CPU. */
static void test_check(void)
{
	struct bed *bed = bed_new(0);
	struct ks__feature *fetch = &bed->b->features.by_id[KS__FEATURE_ATOMIC_FETCH];
	struct ks__doc doc;
	char text[20000];

	for (int works = 0; works <= 1; works++) {
		ks__doc_begin(&doc, KS_JSON);
		*fetch = (struct ks__feature){ .tried = 1, .error = works ? 0 : -EINVAL };
		ks__bpf_check(&bed->b->base, &doc);
		ks__doc_u64(&doc, "z", 1);
		g_assert_cmpint(ks__doc_finish(&doc, text, sizeof(text)), <, (int)sizeof(text));
		g_assert_true(g_str_has_prefix(text, "{\"bpf\":{\"works\":"));
		g_assert_true(g_str_has_suffix(
			text,
			works ? "\"record_limit\":\"kept over all CPUs\"},\"z\":1}" :
				"\"record_limit\":\"kept by each CPU for itself\"},\"z\":1}"));
	}
	bed_free(bed);
}

/* A program that the host has closed is never attached, nor taken for a want of memory. */
static void test_closed(void)
{
	struct bed *bed = bed_new(0);
	struct ks__bpf_client *client = &bed->b->clients[KS_PROBE_SCHED];
	struct ks__bpf_variant state = { .n = 1,
					 .progs = { { .name = "none", .fd = bed->ks->proc_fd } },
					 .loaded = 1 };
	char text[200];

	state.progs[0].fd = dup(0); /* not one of the handle's */
	client->state = &state;
	client->n_variants = 1;
	bed->b->ready = 1;
	ks_assert_rc(ks__bpf_attach(bed->b, KS_PROBE_SCHED, NULL), -EBADF);
	ks_last_error(bed->ks, text, sizeof(text));
	g_assert_nonnull(strstr(text, "closed"));
	g_assert_cmpint(client->attached, ==, -1);
	g_assert_cmpuint(atomic_load(&client->n_links), ==, 0);
	g_assert_cmpint(atomic_load(&state.counted), ==, 0);
	close(state.progs[0].fd);
	client->state = NULL;
	client->n_variants = 0;
	bed->b->ready = 0;
	bed_free(bed);
}

/* If the state of the threads cannot be read, the probe is off again, and its message says why. */
static void test_no_seed(void)
{
	static struct ks_bpf_control control;
	static struct ks_bpf_cpu cpu;
	struct bed *bed = bed_new(0);
	struct ks__bpf *b = bed->b;
	struct ks__bpf_client *client = &b->clients[KS_PROBE_SCHED];
	struct ks__bpf_variant state = { .n = 1,
					 .progs = { { .name = "none", .fd = -1 } },
					 .loaded = 1 };
	const struct ks__stream_opts opts = { .n_cpus = 1, .cpus = &cpu, .perf_map_fd = -1 };
	uint32_t variant = 99;
	uint64_t valid;
	char text[200];

	ks_assert_rc(ks__hook_parse("iter/task", &state.progs[0].hook), 0);
	client->state = &state;
	client->n_variants = 1;
	client->attached = 0; /* attached */
	client->links[0] = dup(0);
	b->threads.control = &control;
	b->ready = 1;
	atomic_store(&b->stream, ks__stream_new(&opts, &ks__rings, 0));
	g_assert_cmpint(b->base.ops->enable(&b->base, KS_PROBE_SCHED, NULL, &variant, &valid), <,
			0);
	ks_last_error(bed->ks, text, sizeof(text));
	g_assert_true(g_str_has_prefix(
		text, "sched: cannot read the state of the threads that already run ("));
	g_assert_cmpuint(variant, ==, 99);
	g_assert_cmpint(client->attached, ==, -1);
	g_assert_cmpuint(b->control.live, ==, 0);
	close(client->links[0]);
	client->state = NULL;
	client->n_variants = 0;
	b->ready = 0;
	b->threads.control = NULL;
	bed_free(bed);
}

static void test_size(void)
{
	struct bed *bed = bed_new(0);
	uint64_t kernel = 7, user = 7;

	ks__bpf_size(&bed->b->base, &kernel, &user);
	g_assert_cmpuint(kernel, ==, 0);
	g_assert_cmpuint(user, ==, sizeof(*bed->b));
	atomic_store(&bed->b->map_bytes, 1000);
	atomic_store(&bed->b->variants_bytes, 30);
	ks__bpf_size(&bed->b->base, &kernel, &user);
	g_assert_cmpuint(kernel, ==, 1000);
	g_assert_cmpuint(user, ==, sizeof(*bed->b) + 30);
	bed_free(bed);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/bpf_roles/roles", test_roles);
	g_test_add_func("/bpf_roles/roles/full", test_roles_full);
	g_test_add_func("/bpf_roles/maps", test_maps);
	g_test_add_func("/bpf_roles/missed", test_missed);
	g_test_add_func("/bpf_roles/check", test_check);
	g_test_add_func("/bpf_roles/closed", test_closed);
	g_test_add_func("/bpf_roles/no seed", test_no_seed);
	g_test_add_func("/bpf_roles/size", test_size);
	return g_test_run();
}
