/* SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/utsname.h>

#include "config.h"
#include "counters.h"
#include "ks_test.h"

#if KS_HAVE_BPF
#include <bpf/btf.h>
#endif

#define TRACEFS "/sys/kernel/tracing"

struct kt_case {
	uint32_t probe;
	unsigned over;
	uint64_t off;
	kt_fn fn;
	char variant[32];
};

static const struct {
	uint64_t bit;
	const char *name;
} features[] = {
	{ KS_FEATURE_TASK_STORAGE, "no-task-storage" },
	{ KS_FEATURE_ATOMIC_FETCH, "no-atomic-fetch" },
	{ KS_FEATURE_RDONLY_CAST, "no-rdonly-cast" },
	{ KS_FEATURE_OWN_GUARD, "no-own-guard" },
	{ KS_FEATURE_BATCH, "no-batch" },
	{ KS_FEATURE_ITER_NUM, "no-iter-num" },
	{ KS_FEATURE_RINGBUF | KS_FEATURE_TASK_STORAGE | KS_FEATURE_ATOMIC_FETCH |
		  KS_FEATURE_RDONLY_CAST | KS_FEATURE_OWN_GUARD | KS_FEATURE_BATCH |
		  KS_FEATURE_ITER_NUM,
	  "no-features" },
};

/* ---- the machine ---------------------------------------------------------------------------- */

/* Mounts tracefs in a mount namespace of our own, so that the machine stays unchanged. */
static void prepare(void)
{
	if (geteuid())
		return;
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		g_error("no mount namespace of our own: %s", strerror(errno));
	if (access(TRACEFS "/events", F_OK) && mount("nodev", TRACEFS, "tracefs", 0, NULL))
		g_test_message("no tracefs: %s", strerror(errno));
	if (counters_on())
		g_test_message("the kernel does not count program runs");
}

int kt_emulated(void)
{
	return g_getenv("KS_GUEST") != NULL;
}

int kt_preempts(void)
{
	char *model = NULL;
	int preempts = access("/sys/kernel/realtime", F_OK) == 0;

	if (g_file_get_contents("/sys/kernel/debug/sched/preempt", &model, NULL, NULL))
		preempts |= strstr(model, "(full)") || strstr(model, "(lazy)");
	g_free(model);
	return preempts;
}

int kt_preempts_events(void)
{
	struct utsname name;

	return kt_preempts() && !uname(&name) && atoi(name.release) >= 7;
}

/* Reading all symbols takes seconds on a slow machine, so this keeps them. */
int kt_kernel_has(const char *name)
{
	static char *symbols;
	char *line = g_strdup_printf(" %s\n", name);
	int found;

	if (!symbols && !g_file_get_contents("/proc/kallsyms", &symbols, NULL, NULL))
		symbols = g_strdup("");
	found = strstr(symbols, line) != NULL;
	g_free(line);
	return found;
}

/*
 * Looks for the folder of a tracepoint. Those of syscalls have nothing else. Where tracefs cannot
 * be had, looks for the function that calls the tracepoint.
 */
static int has_event(const char *name)
{
	char *pattern = g_strdup_printf(TRACEFS "/events/*/%s", name);
	char *caller = g_strdup_printf("__traceiter_%s", name);
	glob_t found;
	int rc = glob(pattern, GLOB_ONLYDIR, NULL, &found), has = !rc || kt_kernel_has(caller);

	if (!rc)
		globfree(&found);
	g_free(caller);
	g_free(pattern);
	return has;
}

/*
 * page_cache_sync_ra was a function long before it became a tracepoint. A word in parentheses, such
 * as (EPERM), is an error and no helper.
 */
int kt_missing(const char *why)
{
	static const struct {
		const char *before;
		size_t skip; /* from there to the name, in bytes */
		const char *after;
		int (*has)(const char *name);
	} said[] = { { "event ", 6, " is not in ", has_event },
		     { "function ", 9, " is not in ", kt_kernel_has },
		     { "(bpf_", 1, ", Linux ", kt_kernel_has } };
	char name[64];
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(said); i++) {
		const char *at = strstr(why, said[i].before);

		if (!at || sscanf(at + said[i].skip, "%63[a-zA-Z0-9_/]", name) != 1 ||
		    !g_str_has_prefix(at + said[i].skip + strlen(name), said[i].after))
			continue;
		at = strrchr(name, '/');
		if (!said[i].has(at ? at + 1 : name))
			return 1;
	}
	return 0;
}

#if KS_HAVE_BPF
/* True if the kernel knows the members of the struct that is this function's first argument. */
static int takes_struct(const struct btf *types, const char *function)
{
	const struct btf_type *t = btf__type_by_id(
		types, (uint32_t)MAX(btf__find_by_name_kind(types, function, BTF_KIND_FUNC), 0));

	if (!btf_is_func(t))
		return 0;
	t = btf__type_by_id(types, t->type);
	if (!btf_vlen(t))
		return 0;
	t = btf__type_by_id(types, btf_params(t)->type);
	while (btf_is_ptr(t) || btf_is_mod(t))
		t = btf__type_by_id(types, t->type);
	return btf_is_struct(t);
}
#endif

int kt_knows_registers(void)
{
#if KS_HAVE_BPF
	static int known = -1;
	struct btf *types;

	if (known >= 0)
		return known;
	types = btf__load_vmlinux_btf();
	known = types && (takes_struct(types, "__x64_sys_fadvise64") ||
			  takes_struct(types, "__arm64_sys_fadvise64_64"));
	btf__free(types);
	return known;
#else
	return 0;
#endif
}

/*
 * A kernel without kprobes cannot patch its text. fentry also needs direct calls of trampolines,
 * which arm64 has from 6.4 on, and types of a syscall's arguments, which 5.10 does not have.
 */
int kt_must_work(const char *variant, const char *why)
{
	if (!KS_HAVE_BPF || kt_missing(why))
		return 0;
	if (g_str_has_prefix(variant, "tp_btf"))
		return access("/sys/kernel/btf/vmlinux", R_OK) == 0;
	if (g_str_has_prefix(variant, "fentry"))
		return access("/sys/kernel/btf/vmlinux", R_OK) == 0 &&
		       access(TRACEFS "/kprobe_events", F_OK) == 0 &&
		       kt_kernel_has("register_ftrace_direct") && kt_knows_registers();
	if (g_str_has_prefix(variant, "kprobe"))
		return access(TRACEFS "/kprobe_events", F_OK) == 0;
	if (g_str_has_prefix(variant, "tracepoint"))
		return access(TRACEFS "/events/sched", R_OK) == 0;
	return g_str_has_prefix(variant, "raw_tp");
}

/* ---- cases ---------------------------------------------------------------------------------- */

static struct ks *open_for(const struct kt_case *c)
{
	struct ks_open_opts opts = { .size = sizeof(opts),
				     .flags = c->over & KT_ORDERED ? KS_OPEN_ORDERED : 0,
				     .features_off = c->off };
	struct ks *ks;

	g_assert_cmpint(ks_open(&opts, &ks), ==, 0);
	return ks;
}

/* Tries the variant on a handle of its own. Returns why it cannot work here, "" if it can. */
static char *tried(const struct kt_case *c)
{
	struct ks_enable_opts opts = { .size = sizeof(opts),
				       .flags = KS_ENABLE_NO_FALLBACK,
				       .variant = c->variant };
	struct ks *ks = open_for(c);
	char why[400] = "";
	int err = ks_enable_probe(ks, c->probe, &opts);

	if (err < 0)
		ks_last_error(ks, why, sizeof(why));
	ks_close(ks);
	if (err < 0 && kt_must_work(c->variant, why))
		g_error("%s: %s", c->variant, why);
	if (err < 0) {
		g_assert_cmpint(err, ==, -KS_EUNAVAIL);
		g_assert_cmpuint(strlen(why), >, 0);
	}
	return g_strdup(why);
}

/* As tried(), but remembers the answer: detaching a classic tracepoint takes 72 ms. */
static const char *why_not(const struct kt_case *c)
{
	static GHashTable *known;
	char *key = g_strdup_printf("%u %s %" PRIx64, c->probe, c->variant, c->off);
	const char *why;

	if (!known)
		known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	why = g_hash_table_lookup(known, key);
	if (!why) {
		g_hash_table_insert(known, g_strdup(key), tried(c));
		why = g_hash_table_lookup(known, key);
	}
	g_free(key);
	return why;
}

static int works(const struct kt_case *c)
{
	const char *why = why_not(c);

	if (why[0])
		g_test_skip(why);
	return !why[0];
}

static int was_enabled(const struct kt *t)
{
	struct ks_probe_info info = { .size = sizeof(info) };

	g_assert_cmpint(ks_query_probe(t->ks, t->probe, &info), ==, 0);
	return info.generation > 0;
}

static void run_case(gconstpointer data)
{
	const struct kt_case *c = data;
	struct kt t = {
		.probe = c->probe, .variant = c->variant, .features_off = c->off, .over = c->over
	};
	unsigned descriptors = counters_descriptors();

	if (!ks_test_root() || !works(c))
		return;
	g_assert_cmpuint(counters_descriptors(), ==, descriptors);
	t.ks = open_for(c);
	c->fn(&t);
	if (was_enabled(&t)) /* a test may skip before it enables */
		kt_settle(&t);
	ks_close(t.ks);
	kt_forget(&t);
	free(t.records);
	g_assert_cmpuint(counters_descriptors(), ==, descriptors);
}

static void add_case(const struct kt_case *like, const char *probe, uint64_t off, const char *with,
		     const char *name)
{
	struct kt_case *c = g_memdup2(like, sizeof(*like));
	char *path = g_strdup_printf("/%s/%s/%s/%s", probe, like->variant, with, name);

	c->off = off;
	g_test_add_data_func_full(path, c, run_case, g_free);
	g_free(path);
}

/* Does KS_TEST_VARIANTS shorten the run like this? */
static int shortened(const char *name)
{
	return !g_strcmp0(g_getenv("KS_TEST_VARIANTS"), name);
}

/* True at the first call for this probe. */
static int first_of(uint32_t *seen, uint32_t probe)
{
	int first = !(*seen & 1u << probe);

	*seen |= 1u << probe;
	return first;
}

/* One test of each probe always runs over perf buffers, by the best variant. */
static int over_perf(const struct kt_case *c, int best)
{
	static uint32_t seen;

	if (!(c->over & KT_PERF) || shortened("features"))
		return 0;
	return !shortened("each") || (best && first_of(&seen, c->probe));
}

static void add_variant(const struct kt_case *c, const char *probe, const char *name, int best,
			int few)
{
	size_t i, last = G_N_ELEMENTS(features) - 1;

	if (!shortened("features"))
		add_case(c, probe, 0, "ring", name);
	if (over_perf(c, best))
		add_case(c, probe, KS_FEATURE_RINGBUF, "perf", name);
	if (c->over & KT_RAW && !few && !shortened("each") && !strcmp(c->variant, "raw_tp"))
		add_case(c, probe, KS_FEATURE_BTF_TRACING, "no-tp-btf", name);
	if (!best || few || !(c->over & KT_FEATURES))
		return;
	for (i = shortened("each") ? last : 0; i <= last; i++)
		add_case(c, probe, features[i].bit, features[i].name, name);
}

/* The first test of a probe runs by every variant in any case. */
static int best_only(uint32_t probe)
{
	static uint32_t seen;

	return !first_of(&seen, probe) &&
	       (shortened("best") || shortened("each") || shortened("features"));
}

/*
 * What works for a probe here. It is found out once: opening a handle takes a second on a slow
 * machine.
 */
struct known {
	char name[32];
	unsigned n, best; /* best: first variant that must work and does; n if there is none */
	char variants[16][32];
};

static const struct known *known_of(const struct kt_case *like)
{
	static struct known *all[32];
	struct ks_variant_info info = { .size = sizeof(info) };
	struct ks_probe_info about = { .size = sizeof(about) };
	struct kt_case c = *like;
	struct known *k;
	struct ks *ks;

	g_assert_cmpuint(c.probe, <, G_N_ELEMENTS(all));
	if (all[c.probe])
		return all[c.probe];
	k = all[c.probe] = g_new0(struct known, 1);
	k->best = UINT_MAX;
	ks = open_for(&c);
	g_assert_cmpint(ks_query_probe(ks, c.probe, &about), ==, 0);
	g_strlcpy(k->name, about.name, sizeof(k->name));
	for (uint32_t i = 0; ks_query_variant(ks, c.probe, i, &info) == 0; i++) {
		if (info.source != KS_SOURCE_BPF)
			continue;
		g_assert_cmpuint(k->n, <, G_N_ELEMENTS(k->variants));
		g_strlcpy(k->variants[k->n], info.name, sizeof(k->variants[0]));
		g_strlcpy(c.variant, info.name, sizeof(c.variant));
		if (k->best == UINT_MAX && kt_must_work(info.name, info.reason) &&
		    (geteuid() || !why_not(&c)[0]))
			k->best = k->n;
		k->n++;
	}
	ks_close(ks);
	return k;
}

void kt_add(uint32_t probe, const char *name, unsigned over, kt_fn fn)
{
	struct kt_case c = { .probe = probe, .over = over, .fn = fn };
	const struct known *k = known_of(&c);
	int few = best_only(probe), alike = over & KT_ALIKE && shortened("each");

	for (unsigned i = 0; i < k->n; i++) {
		if ((few || alike || over & KT_BEST || shortened("features")) && i != k->best)
			continue;
		g_strlcpy(c.variant, k->variants[i], sizeof(c.variant));
		add_variant(&c, k->name, name, i == k->best, few);
	}
}

int kt_main(int argc, char **argv, void (*add)(void))
{
	ks_test_init(&argc, &argv);
	prepare();
	add();
	return g_test_run();
}

/* ---- in a case ------------------------------------------------------------------------------ */

void kt_enable(struct kt *t, const struct ks_param *params, uint32_t n)
{
	struct ks_enable_opts opts = {
		.size = sizeof(opts), .n_params = n, .params = params, .variant = t->variant
	};
	struct ks_probe_info info = { .size = sizeof(info) };

	ks_assert_ok(t->ks, ks_enable_probe(t->ks, t->probe, &opts));
	g_assert_cmpint(ks_query_probe(t->ks, t->probe, &info), ==, 0);
	g_assert_cmpstr(info.variant_name, ==, t->variant);
	g_assert_cmpuint(info.state, ==, KS_STATE_ON);
	g_assert_cmpuint(info.source, ==, KS_SOURCE_BPF);
}

void kt_disable(struct kt *t)
{
	ks_assert_ok(t->ks, ks_disable_probe(t->ks, t->probe));
}

void kt_set(struct kt *t, uint32_t id, uint64_t value)
{
	struct ks_param param = { .id = id, .value = value };

	ks_assert_ok(t->ks, ks_configure_probe(t->ks, t->probe, &param, 1));
}

void kt_watch(struct kt *t, uint32_t kind, pid_t pid)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = kind, .n_pids = 1, .pids = &pid };

	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
}

static int collect(const struct ks_event *ev, void *user)
{
	struct kt *t = user;

	if (ev->id == KS_EVENT_LOST) {
		const struct ks_event_lost *hole = (const void *)ev;

		g_assert_cmpuint(hole->reason, <, G_N_ELEMENTS(t->lost));
		g_assert_cmpuint(hole->from_ns, <=, hole->to_ns);
		t->lost[hole->reason] += hole->lost;
		return 0;
	}
	g_assert_cmpuint(ev->size % 8, ==, 0);
	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 1024;
		t->records = g_realloc_n(t->records, t->room, sizeof(*t->records));
	}
	t->records[t->n++] = g_memdup2(ev, ev->size);
	return 0;
}

void kt_drain(struct kt *t)
{
	int n;

	do {
		n = ks_poll(t->ks, 0, 0, collect, t);
		g_assert_cmpint(n, >=, 0);
	} while (n > 0);
}

void kt_forget(struct kt *t)
{
	while (t->n)
		g_free(t->records[--t->n]);
	memset(t->lost, 0, sizeof(t->lost));
}

void kt_settle(struct kt *t)
{
	struct ks_struct_desc desc = { .size = sizeof(desc) };
	struct ks_stats_self ledger;
	uint64_t runs, missed;
	char *prefix;

	kt_disable(t);
	kt_drain(t);
	g_assert_cmpint(ks_describe_struct(t->probe << 8, &desc), ==, 0);
	prefix = g_strconcat(desc.name, "_", NULL);
	g_assert_cmpuint(counters_programs(prefix, &runs, &missed), >, 0);
	g_free(prefix);
	ks_assert_ok(t->ks, ks_ledger_check(t->ks, t->probe));
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.submitted, ==, ledger.delivered + ledger.discarded);
	g_assert_cmpuint(ledger.in_flight, ==, 0);
	if (!(t->over & KT_UNEVEN))
		g_assert_cmpuint(ledger.fired, ==, runs);
	if (ledger.row.valid & KS_HAS_SELF_MISSED)
		g_assert_cmpuint(ledger.missed, ==, missed);
}

/* ---- what the case has seen ------------------------------------------------------------------ */

const void *kt_next(const struct kt *t, uint16_t id, size_t *at)
{
	while (*at < t->n)
		if (t->records[(*at)++]->id == id)
			return t->records[*at - 1];
	return NULL;
}

size_t kt_count(const struct kt *t, uint16_t id)
{
	size_t at = 0, n = 0;

	while (kt_next(t, id, &at))
		n++;
	return n;
}

static void read_row(struct kt *t, uint32_t probe, uint32_t by, uint64_t key, void *row,
		     size_t size)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = by };
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_row *found = NULL;
	struct ks_reader *reader;
	size_t i;

	g_assert_cmpint(ks_reader_new(t->ks, probe, &opts, &reader), ==, 0);
	g_assert_cmpint(ks_read_stats(reader, &stats), ==, 0);
	for (i = 0; (found = ks_stats_row(&stats, i)) && found->key != key; i++)
		;
	g_assert_nonnull(found);
	g_assert_cmpuint(stats.row_size, ==, size);
	memcpy(row, found, size);
	ks_reader_free(reader);
}

void kt_total(struct kt *t, void *ret_row, size_t size)
{
	read_row(t, t->probe, KS_BY_TOTAL, 0, ret_row, size);
}

void kt_ledger(struct kt *t, struct ks_stats_self *ret_row)
{
	read_row(t, KS_PROBE_SELF, KS_BY_PROBE, t->probe, ret_row, sizeof(*ret_row));
}

char *kt_explain(struct ks *ks)
{
	int size = ks_explain(ks, KS_JSON, NULL, 0) + 4096; /* numbers may grow */
	char *text = g_malloc(size);

	g_assert_cmpint(ks_explain(ks, KS_JSON, text, size), <, size);
	return text;
}

uint64_t kt_field(const void *record, uint32_t id, const char *name, unsigned element)
{
	struct ks_field_desc f = { .size = sizeof(f) };
	uint64_t value = 0;
	uint32_t i;

	for (i = 0; ks_describe_field(id, i, &f) == 0; i++)
		if (!strcmp(f.name, name))
			break;
	g_assert_cmpstr(f.name, ==, name);
	g_assert_cmpuint(element, <, f.count);
	g_assert_cmpuint(f.bytes, <=, sizeof(value));
	memcpy(&value, (const char *)record + f.offset + element * f.bytes, f.bytes);
	if (f.is_signed && f.bytes == 4)
		value = (uint64_t)(int64_t)(int32_t)value;
	return value;
}
