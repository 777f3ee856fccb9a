/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that running out of memory, mappings, BPF maps or descriptors does no harm at any step of
 * any call. The call fails with a message or works with less. Nothing leaks. The next call works as
 * usual.
 *
 * A child of its own tries each step, since libbpf remembers facts about the kernel for the life of
 * a process. With `-m thorough` every step of every call is tried. KS_TEST_SCALE below 1: only that
 * part of all steps is tried, one per case, spread over calls, shortages and distances.
 */
#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <kernelsight/identity.h>

#include "fault.h"
#include "support/shim.h"

#define STEPS_ALL 6u        /* every step up to this one, then each twice as far */
#define STEPS_FEW 10        /* steps per call, when only a part of all is tried */
#define DESCRIPTORS_MAX 100 /* more than any call needs */
#define BY_WHOSE (KS_BY_TOTAL | KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE)

/* ---- the calls ------------------------------------------------------------------------------ */

struct call {
	const char *name;
	int probe_on; /* KS_PROBE_PROC is enabled and has events */
	int scope;    /* set before: 0 self, else this kind */
	int deep;     /* may open files or load programs */
	int (*run)(struct ks *ks);
	uint32_t by; /* sched is enabled before, and `reader` has its rows by this grouping */
	int again;   /* and was read before: the second read fails */
};

static struct ks_reader *reader;
static uint64_t own_cgroup; /* 0: there is no cgroup */

static int call_open(struct ks *ks)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .flags = KS_OPEN_ORDERED };
	struct ks *other = ks;
	int rc = ks_open(&opts, &other);

	if (rc)
		g_assert_true(other == ks);
	else
		ks_close(other);
	return rc;
}

static int set_scope(struct ks *ks, uint32_t kind)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = kind };

	return ks_set_scope(ks, &scope);
}

static int call_scope_pids(struct ks *ks)
{
	return set_scope(ks, KS_SCOPE_PIDS);
}

static int call_scope_tree(struct ks *ks)
{
	return set_scope(ks, KS_SCOPE_TREE);
}

static int call_prepare(struct ks *ks)
{
	static const uint32_t probes[] = { KS_PROBE_PROC, KS_PROBE_FADVISE };

	return ks_prepare(ks, probes, 2);
}

static int call_enable(struct ks *ks)
{
	return ks_enable_probe(ks, KS_PROBE_PROC, NULL);
}

static int call_disable(struct ks *ks)
{
	return ks_disable_probe(ks, KS_PROBE_PROC);
}

static int call_configure(struct ks *ks)
{
	const struct ks_param burst = { .id = KS_PARAM_BURST, .value = 77 };

	return ks_configure_probe(ks, KS_PROBE_PROC, &burst, 1);
}

static int call_query(struct ks *ks)
{
	struct ks_probe_info info = { .size = sizeof(info) };

	return ks_query_probe(ks, KS_PROBE_PROC, &info);
}

static int new_reader(struct ks *ks, uint32_t probe, uint32_t by)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = by, .flags = KS_READ_DELTA };
	struct ks_reader *made = reader;
	int rc = ks_reader_new(ks, probe, &opts, &made);

	if (rc)
		g_assert_true(made == reader);
	else
		ks_reader_free(made);
	return rc;
}

static int call_reader(struct ks *ks)
{
	return new_reader(ks, KS_PROBE_PROC, KS_BY_TOTAL | KS_BY_CPU);
}

static int call_reader_whose(struct ks *ks)
{
	return new_reader(ks, KS_PROBE_SCHED, BY_WHOSE);
}

static int call_reader_self(struct ks *ks)
{
	return new_reader(ks, KS_PROBE_SELF, KS_BY_PROBE);
}

/* A reader's first read allocates its memory. */
static int call_read(struct ks *ks)
{
	struct ks_stats stats = { .size = sizeof(stats) };

	(void)ks;
	return ks_read_stats(reader, &stats);
}

static int ignore(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	return 0;
}

static int call_role(struct ks *ks)
{
	int rc = ks_thread_role(ks, 0, "worker");

	return rc < 0 ? rc : 0;
}

static int call_cgroup(struct ks *ks)
{
	struct ks_cgroup_info info = { .size = sizeof(info) };

	return ks_describe_cgroup(ks, own_cgroup, &info);
}

static int call_poll(struct ks *ks)
{
	return ks_poll(ks, 0, 0, ignore, NULL);
}

static int call_ledger(struct ks *ks)
{
	return ks_ledger_check(ks, KS_PROBE_SELF);
}

static int call_selftest(struct ks *ks)
{
	return ks_selftest(ks, KS_PROBE_PROC, NULL);
}

static int call_check(struct ks *ks)
{
	return ks_check(ks, KS_JSON, NULL, 0);
}

static int call_explain(struct ks *ks)
{
	return ks_explain(ks, KS_TEXT, NULL, 0);
}

static const struct call calls[] = {
	{ "open", 0, 0, 1, call_open, 0, 0 },
	{ "scope-pids", 0, 0, 1, call_scope_pids, 0, 0 },
	{ "scope-pids-on", 1, 0, 0, call_scope_pids, 0, 0 },
	{ "scope-tree", 0, 0, 1, call_scope_tree, 0, 0 },
	{ "prepare", 0, 0, 1, call_prepare, 0, 0 },
	{ "enable", 0, 0, 1, call_enable, 0, 0 },
	{ "enable-tree", 0, KS_SCOPE_TREE, 1, call_enable, 0, 0 },
	{ "disable", 1, 0, 0, call_disable, 0, 0 },
	{ "configure", 1, 0, 0, call_configure, 0, 0 },
	{ "query", 0, 0, 1, call_query, 0, 0 },
	{ "reader", 1, 0, 0, call_reader, 0, 0 },
	{ "reader-self", 1, 0, 0, call_reader_self, 0, 0 },
	{ "read", 1, 0, 1, call_read, 0, 0 },
	{ "read-total", 1, 0, 1, call_read, KS_BY_TOTAL, 0 },
	{ "read-cpu", 1, 0, 1, call_read, KS_BY_CPU, 0 },
	{ "read-process", 1, 0, 1, call_read, KS_BY_PROCESS, 0 },
	{ "read-cgroup", 1, 0, 1, call_read, KS_BY_CGROUP, 0 },
	{ "read-role", 1, 0, 1, call_read, KS_BY_ROLE, 0 },
	{ "read-whose", 1, 0, 1, call_read, BY_WHOSE, 0 },
	{ "read-total-again", 1, 0, 1, call_read, KS_BY_TOTAL, 1 },
	{ "read-cpu-again", 1, 0, 1, call_read, KS_BY_CPU, 1 },
	{ "read-process-again", 1, 0, 1, call_read, KS_BY_PROCESS, 1 },
	{ "read-cgroup-again", 1, 0, 1, call_read, KS_BY_CGROUP, 1 },
	{ "read-role-again", 1, 0, 1, call_read, KS_BY_ROLE, 1 },
	{ "read-whose-again", 1, 0, 1, call_read, BY_WHOSE, 1 },
	{ "reader-whose", 1, 0, 1, call_reader_whose, KS_BY_TOTAL, 0 },
	{ "role", 1, 0, 1, call_role, 0, 0 },
	{ "cgroup", 0, 0, 1, call_cgroup, 0, 0 },
	{ "poll", 1, 0, 0, call_poll, 0, 0 },
	{ "ledger", 1, 0, 0, call_ledger, 0, 0 },
	{ "selftest", 1, 0, 1, call_selftest, 0, 0 },
	{ "check", 0, 0, 1, call_check, 0, 0 },
	{ "explain", 1, 0, 0, call_explain, 0, 0 },
};

/* ---- shortages ------------------------------------------------------------------------------- */

static const struct shortage {
	const char *name;
	enum shim_what what; /* SHIM_NOTHING: a shortage of descriptors */
	int error;
	int deep; /* only files and kernel programs need it */
} shortages[] = {
	{ "memory", SHIM_MEMORY, ENOMEM, 0 },
	{ "mappings", SHIM_MAPPING, ENOMEM, 0 },
	{ "descriptors", SHIM_NOTHING, EMFILE, 1 },
	{ "maps-refused", SHIM_MAP_CREATE, EPERM, 1 },
	{ "maps-no-memory", SHIM_MAP_CREATE, ENOMEM, 1 },
	{ "bpf-no-memory", SHIM_BPF, ENOMEM, 1 },
};

static int is_of_bpf(const struct shortage *shortage)
{
	return shortage->what == SHIM_MAP_CREATE || shortage->what == SHIM_BPF;
}

/* The fallback has no such groupings. */
static int is_of_whose(const struct call *call)
{
	return call->by & ~(uint32_t)(KS_BY_TOTAL | KS_BY_CPU) || call->run == call_reader_whose;
}

struct step {
	const struct call *call;
	const struct shortage *shortage;
	int files; /* without kernel programs */
	int only;  /* try this step only */
	uint64_t features_off;
	unsigned n;
};

/* Returns the next free number. There are no gaps below it. */
static int next_descriptor(void)
{
	int fd = dup(0);

	g_assert_cmpint(fd, >=, 0);
	close(fd);
	return fd;
}

static void limit_descriptors(rlim_t n)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = n ? n : limit.rlim_max;
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

static void begin_shortage(const struct step *step)
{
	if (step->shortage->what)
		shim_fail(step->shortage->what, step->n, step->shortage->error);
	else
		limit_descriptors((rlim_t)next_descriptor() + step->n - 1);
}

/* Returns 1 if something was refused, as far as the test can tell. */
static int end_shortage(const struct step *step, int rc)
{
	if (step->shortage->what)
		return shim_stop();
	limit_descriptors(0);
	return rc < 0 || step->n < DESCRIPTORS_MAX;
}

/* ---- one step ------------------------------------------------------------------------------- */

static struct ks *open_for(const struct step *step)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .features_off = step->features_off };

	if (step->files) /* hides the types that programs need */
		opts.btf_path = "/dev/null";
	return fault_open(&opts);
}

static void set_up(const struct step *step, struct ks *ks)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = KS_BY_TOTAL | KS_BY_CPU };

	if (step->call->scope)
		ks_assert_ok(ks, set_scope(ks, (uint32_t)step->call->scope));
	if (!step->call->probe_on)
		return;
	ks_assert_ok(ks, ks_enable_probe(ks, KS_PROBE_PROC, NULL));
	if (step->call->by) {
		opts.by = step->call->by;
		opts.flags = KS_READ_DELTA;
		ks_assert_ok(ks, ks_enable_probe(ks, KS_PROBE_SCHED, NULL));
	}
	ks_assert_ok(ks, ks_reader_new(ks, step->call->by ? KS_PROBE_SCHED : KS_PROBE_PROC, &opts,
				       &reader));
	if (step->call->again)
		ks_assert_ok(ks, call_read(ks));
	fault_fork(3);
}

/*
 * Asserts the best variant. If creating one map fails, libbpf concludes that this kernel has no
 * global data at all and does not ask again. Then the fallback serves, and the reason is libbpf's.
 */
static void is_best(const struct step *step, const struct ks_probe_info *info)
{
	if (step->files)
		g_assert_cmpuint(info->source, ==, KS_SOURCE_FILES);
	else if (step->shortage->error != EPERM &&
		 !(is_of_bpf(step->shortage) && strstr(info->reason, "wasn't created")))
		g_assert_cmpstr(info->variant_name, ==, "tp_btf");
}

/* Asserts that the handle works as ever: it counts exactly, and its ledger balances. */
static void is_usable(const struct step *step, struct ks *ks)
{
	struct ks_probe_info info = { .size = sizeof(info) };
	uint64_t before;

	ks_assert_ok(ks, ks_set_scope(ks, NULL));
	ks_assert_ok(ks, ks_enable_probe(ks, KS_PROBE_PROC, NULL));
	ks_assert_ok(ks, ks_query_probe(ks, KS_PROBE_PROC, &info));
	is_best(step, &info);
	before = fault_forked(ks);
	fault_fork(5);
	if (info.source == KS_SOURCE_BPF)
		g_assert_cmpuint(fault_forked(ks) - before, ==, 5);
	fault_settle(ks, KS_PROBE_PROC);
}

/* A shortage is reported as an error. A refusal by policy is a reason to use the fallback. */
static void has_message(const struct step *step, struct ks *ks, int rc)
{
	char why[KS_ERROR_MAX];

	if (rc >= 0)
		return;
	if (step->shortage->error == EPERM)
		g_assert_true(rc == -EPERM || rc == -KS_EUNAVAIL);
	else
		ks_assert_rc(rc, -step->shortage->error);
	if (step->call->run == call_open || step->call->run == call_poll)
		return; /* another handle's error; for the consumer the code is enough */
	g_assert_cmpint(ks_last_error(ks, why, sizeof(why)), >, 0);
	if (step->call->run == call_read)
		g_assert_cmpint(ks_reader_error(reader, why, sizeof(why)), >, 0);
}

static int child(const void *data)
{
	const struct step *step = data;
	unsigned descriptors = counters_descriptors(), after;
	long pieces = shim_pieces(), mappings = shim_mappings();
	struct ks *ks = open_for(step);
	int rc, failed;

	set_up(step, ks);
	begin_shortage(step);
	rc = step->call->run(ks);
	failed = end_shortage(step, rc);
	if (failed)
		has_message(step, ks, rc);
	after = counters_descriptors();
	if (failed && rc < 0 && step->shortage->error != EPERM) {
		ks_assert_ok(ks, step->call->run(ks)); /* the second call works */
		g_assert_cmpuint(after, <=, counters_descriptors());
	}
	is_usable(step, ks);
	ks_reader_free(reader);
	ks_close(ks);
	g_assert_cmpuint(counters_descriptors(), ==, descriptors);
	g_assert_cmpint(shim_pieces(), ==, pieces);
	g_assert_cmpint(shim_mappings(), ==, mappings);
	return failed ? 0 : FAULT_NO_STEP;
}

/* ---- a scope of pids ------------------------------------------------------------------------- */

/* Asserts that the scope is this process: a handle with another scope would not count its forks. */
static void watches_itself(struct ks *ks, int files)
{
	if (!files) {
		fault_exact(ks, KS_PROBE_PROC, NULL);
		return;
	}
	fault_enable(ks, KS_PROBE_PROC, NULL);
	fault_fallback(ks);
}

/*
 * Each file that tells which process a pid means is needed: without it, a thread or a later process
 * with this pid would be watched. The probe is off, so that no look at /proc opens files, too.
 */
static void scope_files(const void *data)
{
	const struct step like = { .files = GPOINTER_TO_INT(data) };
	int32_t pid = getppid();
	struct ks_scope scope = { sizeof(scope), KS_SCOPE_PIDS, 1, &pid, NULL, NULL, NULL };
	struct ks *ks = open_for(&like);
	const uint32_t probe = KS_PROBE_PROC;
	char why[KS_ERROR_MAX];
	unsigned n = 0;
	int rc;

	ks_assert_rc(ks_prepare(ks, &probe, 1), like.files ? 0 : 1);
	for (;;) {
		shim_fail(SHIM_OPEN, ++n, ENFILE);
		rc = ks_set_scope(ks, &scope);
		if (!shim_stop())
			break;
		ks_assert_rc(rc, -ENFILE);
		g_assert_cmpint(ks_last_error(ks, why, sizeof(why)), >, 0);
		g_assert_nonnull(strstr(why, n == 1 ? "/status: " : "/stat: "));
		watches_itself(ks, like.files);
	}
	ks_assert_ok(ks, rc);
	g_assert_cmpuint(n - 1, ==, 2); /* of the check, and of the start */
	ks_close(ks);
}

static void scope(gconstpointer files)
{
	if (files || ks_test_root())
		fault_in_child(scope_files, files);
}

/* Returns the step of the i-th try, i from 0. */
static unsigned distance(unsigned i)
{
	return g_test_thorough() || i < STEPS_ALL ? i + 1 : STEPS_ALL << (i + 1 - STEPS_ALL);
}

static void walk(gconstpointer data)
{
	struct step step = *(const struct step *)data;
	unsigned i = 0;

	if (!step.files && !ks_test_root())
		return;
	if (step.only) {
		fault_step(child, &step, step.n, step.call->name);
		return;
	}
	do
		step.n = distance(i++);
	while (fault_step(child, &step, step.n, step.call->name));
	g_test_message("%u steps", step.n - 1);
}

static void add_case(const struct step *like, const char *path)
{
	g_test_add_data_func_full(path, g_memdup2(like, sizeof(*like)), walk, g_free);
}

/*
 * Tries one step in this many. The number is odd, so that tries vary over steps and over kinds of
 * calls.
 */
static unsigned stride(void)
{
	double scale = ks_test_scale();

	return g_test_thorough() || scale >= 1 ? 1 : (unsigned)(1 / MAX(scale, 0.001)) | 1;
}

static void add(const struct call *call, const struct shortage *shortage, int files)
{
	static unsigned steps;
	struct step step = { .call = call, .shortage = shortage, .files = files };
	char *path =
		g_strdup_printf("/%s/%s/%s", shortage->name, files ? "files" : "bpf", call->name);

	step.only = stride() > 1;
	if (!step.only)
		add_case(&step, path);
	for (unsigned i = 0; step.only && i < STEPS_FEW; i++) {
		char *of = g_strdup_printf("%s/%u", path, step.n = distance(i));

		if (steps++ % stride() == 0)
			add_case(&step, of);
		g_free(of);
	}
	g_free(path);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	own_cgroup = counters_cgroup();
	g_test_add_data_func("/scope/bpf", NULL, scope);
	g_test_add_data_func("/scope/files", GINT_TO_POINTER(1), scope);
	for (size_t s = 0; s < G_N_ELEMENTS(shortages); s++)
		for (size_t c = 0; c < G_N_ELEMENTS(calls); c++) {
			if (calls[c].run == call_cgroup && !own_cgroup)
				continue;
			if (shortages[s].deep && !calls[c].deep && !g_test_thorough())
				continue;
			add(&calls[c], &shortages[s], 0);
			if (!is_of_bpf(&shortages[s]) && !is_of_whose(&calls[c]))
				add(&calls[c], &shortages[s], 1);
		}
	return g_test_run();
}
