/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a signal makes no difference at any step of a call. For every n, the n-th syscall that
 * a signal may interrupt fails once. The call returns the same as without, probes use the same
 * variants, and they count the same.
 */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <kernelsight/identity.h>

#include "fault.h"
#include "support/shim.h"

#define FORKS 5

struct world {
	struct ks *ks;
	struct ks_reader *total, *whose;
};

static int set_scope(struct world *w, uint32_t kind)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = kind };

	return ks_set_scope(w->ks, &scope);
}

static int call_tree(struct world *w)
{
	return set_scope(w, KS_SCOPE_TREE);
}

static int call_pids(struct world *w)
{
	return set_scope(w, KS_SCOPE_PIDS);
}

static int call_prepare(struct world *w)
{
	return ks_prepare(w->ks, NULL, 0);
}

static int call_enable(struct world *w)
{
	return ks_enable_probe(w->ks, KS_PROBE_PROC, NULL);
}

static int call_enable_sched(struct world *w)
{
	return ks_enable_probe(w->ks, KS_PROBE_SCHED, NULL);
}

static int call_disable(struct world *w)
{
	return ks_disable_probe(w->ks, KS_PROBE_PROC);
}

static int call_query(struct world *w)
{
	struct ks_probe_info info = { .size = sizeof(info) };

	return ks_query_probe(w->ks, KS_PROBE_PROC, &info);
}

static int call_role(struct world *w)
{
	return ks_thread_role(w->ks, 0, "worker");
}

static int read_stats(struct ks_reader *reader)
{
	struct ks_stats stats = { .size = sizeof(stats) };

	return ks_read_stats(reader, &stats);
}

static int call_read(struct world *w)
{
	return read_stats(w->total);
}

static int call_read_whose(struct world *w)
{
	return read_stats(w->whose);
}

static int call_ledger(struct world *w)
{
	return ks_ledger_check(w->ks, KS_PROBE_SELF);
}

static int call_selftest(struct world *w)
{
	return ks_selftest(w->ks, KS_PROBE_PROC, NULL);
}

static const struct call {
	const char *name;
	int probe_on; /* proc and sched are enabled, with readers */
	int (*run)(struct world *w);
} calls[] = {
	{ "tree", 0, call_tree },
	{ "pids", 1, call_pids },
	{ "prepare", 0, call_prepare },
	{ "enable", 0, call_enable },
	{ "enable-sched", 0, call_enable_sched },
	{ "enable-again", 1, call_enable },
	{ "disable", 1, call_disable },
	{ "query", 0, call_query },
	{ "role", 1, call_role },
	{ "read", 1, call_read },
	{ "read-whose", 1, call_read_whose },
	{ "ledger", 1, call_ledger },
	{ "selftest", 1, call_selftest },
};

struct step {
	const struct call *call;
	int files;  /* without kernel programs */
	unsigned n; /* 0: no syscall fails */
};

/* Must be the same with and without a signal. */
struct outcome {
	int rc;
	char variant[2][32];
	uint64_t forked;
};

static void set_up(const struct step *step, struct world *w)
{
	struct ks_open_opts opts = { .size = sizeof(opts) };
	struct ks_reader_opts by = { .size = sizeof(by),
				     .by = KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE };

	if (step->files) /* hides the types that programs need */
		opts.btf_path = "/dev/null";
	w->ks = fault_open(&opts);
	if (!step->call->probe_on)
		return;
	ks_assert_ok(w->ks, ks_enable_probe(w->ks, KS_PROBE_PROC, NULL));
	ks_assert_ok(w->ks, ks_enable_probe(w->ks, KS_PROBE_SCHED, NULL));
	ks_assert_ok(w->ks, ks_reader_new(w->ks, KS_PROBE_SCHED, NULL, &w->total));
	if (!step->files) /* the fallback has no such groupings */
		ks_assert_ok(w->ks, ks_reader_new(w->ks, KS_PROBE_SCHED, &by, &w->whose));
}

/* Compares the variants of both probes, and what one of them counts. */
static void look(struct world *w, struct outcome *ret)
{
	static const uint32_t probes[] = { KS_PROBE_PROC, KS_PROBE_SCHED };
	struct ks_probe_info info = { .size = sizeof(info) };
	uint64_t before;

	for (unsigned i = 0; i < 2; i++) {
		ks_assert_ok(w->ks, ks_enable_probe(w->ks, probes[i], NULL));
		ks_assert_ok(w->ks, ks_query_probe(w->ks, probes[i], &info));
		strcpy(ret->variant[i], info.variant_name);
	}
	if (info.source != KS_SOURCE_BPF)
		return;
	before = fault_forked(w->ks);
	fault_fork(FORKS);
	ret->forked = fault_forked(w->ks) - before;
}

static int play(const struct step *step, struct outcome *ret)
{
	struct world w = { 0 };
	int failed = 0;

	memset(ret, 0, sizeof(*ret));
	set_up(step, &w);
	if (step->n)
		shim_fail(SHIM_SIGNAL, step->n, EINTR);
	ret->rc = step->call->run(&w);
	if (step->n)
		failed = shim_stop();
	look(&w, ret);
	ks_reader_free(w.total);
	ks_reader_free(w.whose);
	ks_close(w.ks);
	return failed;
}

/* A step, and what the same call gives without a signal. */
struct trial {
	struct step step;
	struct outcome want;
};

/* Runs in a child, since libbpf remembers facts about the kernel. */
static int compare(const void *data)
{
	const struct trial *trial = data;
	struct outcome got;
	int failed = play(&trial->step, &got);

	g_assert_cmpint(got.rc, ==, trial->want.rc);
	g_assert_cmpstr(got.variant[0], ==, trial->want.variant[0]);
	g_assert_cmpstr(got.variant[1], ==, trial->want.variant[1]);
	g_assert_cmpuint(got.forked, ==, trial->want.forked);
	return failed ? 0 : FAULT_NO_STEP;
}

/*
 * Returns every step at first, then steps with growing gaps, since a scan reads thousands of files.
 * With -m thorough: every step.
 */
static unsigned next_step(unsigned n)
{
	unsigned all = ks_test_volume(60, 10);

	return g_test_thorough() || n < all ? n + 1 : n + 1 + n / 8;
}

static void walk(gconstpointer data)
{
	struct trial trial = { .step = *(const struct step *)data };
	unsigned *n = &trial.step.n;

	if (!trial.step.files && !ks_test_root())
		return;
	play(&trial.step, &trial.want);
	*n = 1;
	while (fault_step(compare, &trial, *n, trial.step.call->name))
		*n = next_step(*n);
	g_test_message("%u steps", *n - 1);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	for (int files = 0; files < 2; files++)
		for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
			const struct step step = { .call = &calls[i], .files = files };
			char *path;

			if (files && calls[i].run == call_read_whose)
				continue;
			path = g_strdup_printf("/%s/%s", files ? "files" : "bpf", calls[i].name);

			g_test_add_data_func_full(path, g_memdup2(&step, sizeof(step)), walk,
						  g_free);
			g_free(path);
		}
	return g_test_run();
}
