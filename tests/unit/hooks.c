/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that each attach kind is parsed from its section, found possible by its own facts and
 * attached by its own calls; that a failed attach leaves nothing open; and that reasons name the
 * hook. The test plays the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "bpf/answer.h"
#include "bpf/hooks.h"
#include "support/counters.h"
#include "support/ks_test.h"
#include "support/played.h"

#define PROG 77

/* ---- a handle over a folder ------------------------------------------------------------------ */

struct bed {
	char *dir;
	struct ks *ks;
	struct ks__features f;
};

static void put(struct bed *bed, const char *text, const char *name)
{
	char *path = g_build_filename(bed->dir, name, NULL), *folder = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_free(folder);
	g_free(path);
}

/* A /sys with kprobes and one event. All features work, and there are types of two names. */
static struct bed *bed_new(void)
{
	struct bed *bed = g_new0(struct bed, 1);
	struct ks_open_opts opts = { .size = sizeof(opts) };
	struct ks__types *t = &bed->f.types;

	bed->dir = g_dir_make_tmp("ks-hooks-XXXXXX", NULL);
	put(bed, "8\n", "bus/event_source/devices/kprobe/type");
	put(bed, "config:3\n", "bus/event_source/devices/kprobe/format/retprobe");
	put(bed, "315\n", "kernel/debug/tracing/events/sched/sched_switch/id");
	opts.sys_path = bed->dir;
	ks_assert_rc(ks_open(&opts, &bed->ks), 0);
	ks__features_init(&bed->f, bed->ks);
	for (unsigned i = 0; i < KS__FEATURES; i++)
		bed->f.by_id[i].tried = 1;
	t->n = t->room = 4;
	t->own.asks = calloc(4, sizeof(*t->own.asks));
	t->own.asks[0] = (struct ks__btf_ask){ .name = "go", .kind = KS__BTF_EVENT, .id = 21 };
	t->own.asks[1] = (struct ks__btf_ask){ .name = "run", .kind = KS__BTF_FUNC, .id = 22 };
	t->own.asks[2] =
		(struct ks__btf_ask){ .name = "bpf_iter_task", .kind = KS__BTF_FUNC, .id = 23 };
	t->own.asks[3] = (struct ks__btf_ask){ .name = "stop", .kind = KS__BTF_EVENT };
	t->scanned = 1;
	played_begin();
	return bed;
}

static void bed_free(struct bed *bed)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", bed->dir, NULL };

	ks__features_free(&bed->f);
	ks_close(bed->ks);
	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
	g_free(bed->dir);
	g_free(bed);
}

static struct ks__hook hook_of(const char *section)
{
	struct ks__hook hook = { .kind = 99 };

	ks_assert_rc(ks__hook_parse(section, &hook), 0);
	return hook;
}

/* ---- sections -------------------------------------------------------------------------------- */

static void test_parse(void)
{
	static const struct {
		const char *section, *name, *target, *bare;
		int by_perf, is_iter;
		uint32_t attach;
	} all[] = {
		{ "tp_btf/go", "tp_btf", "go", "go", 0, 0, BPF_TRACE_RAW_TP },
		{ "?ks/tp_btf/go", "tp_btf", "go", "go", 0, 0, BPF_TRACE_RAW_TP },
		{ "ks/iter/task", "iter", "bpf_iter_task", "task", 0, 1, BPF_TRACE_ITER },
		{ "fentry/run", "fentry", "run", "run", 0, 0, BPF_TRACE_FENTRY },
		{ "ks/fexit/run", "fexit", "run", "run", 0, 0, BPF_TRACE_FEXIT },
		{ "?raw_tp/go", "raw_tp", "go", "go", 0, 0, 0 },
		{ "tracepoint/sched/go", "tracepoint", "sched/go", "sched/go", 1, 0, 0 },
		{ "kprobe/run", "kprobe", "run", "run", 1, 0, 0 },
		{ "kretprobe/run", "kretprobe", "run", "run", 1, 0, 0 },
	};
	static const char *const wrong[] = { "",           "raw_tp",      "raw_tp/",
					     "/go",        "??raw_tp/go", "raw_t/go",
					     "raw_tpx/go", "xdp/go",      "ks/ks/tp_btf/go" };
	struct bed *bed = bed_new();
	struct ks__hook hook;
	char section[80];

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		uint32_t attach = 99, id = 99;

		hook = hook_of(all[i].section);
		g_assert_cmpstr(ks__hook_name(&hook), ==, all[i].name);
		g_assert_cmpstr(hook.target, ==, all[i].target);
		g_assert_cmpstr(ks__hook_target(&hook), ==, all[i].bare);
		g_assert_cmpint(ks__hook_by_perf(&hook), ==, all[i].by_perf);
		g_assert_cmpint(ks__hook_is_iter(&hook), ==, all[i].is_iter);
		g_assert_cmpint(ks__hook_typed(&hook, &bed->f.types, &attach, &id), ==,
				all[i].attach != 0);
		g_assert_cmpuint(attach, ==, all[i].attach ? all[i].attach : 99);
		g_assert_cmpuint(id, ==,
				 !all[i].attach                 ? 99 :
				 !strcmp(all[i].name, "tp_btf") ? 21 :
				 all[i].is_iter                 ? 23 :
								  22);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		ks_assert_rc(ks__hook_parse(wrong[i], &hook), -EINVAL);
	/* the longest target has room for what may stand before it */
	snprintf(section, sizeof(section), "raw_tp/%.*s", 52,
		 "0123456789012345678901234567890123456789012345678901234567890");
	ks_assert_rc(ks__hook_parse(section, &hook), 0);
	g_assert_cmpuint(strlen(hook.target), ==, 52);
	strcat(section, "x");
	ks_assert_rc(ks__hook_parse(section, &hook), -EINVAL);
	hook = (struct ks__hook){ .kind = KS__HOOK_NONE };
	g_assert_cmpstr(ks__hook_name(&hook), ==, "?");
	g_assert_cmpint(ks__hook_by_perf(&hook) + ks__hook_is_iter(&hook), ==, 0);
	bed_free(bed);
}

/* ---- possible -------------------------------------------------------------------------------- */

static void possible(struct bed *bed, const char *section, int rc, const char *want)
{
	struct ks__hook hook = hook_of(section);
	char why[200] = "";

	ks_assert_rc(ks__hook_possible(&hook, &bed->f, why, sizeof(why)), rc);
	g_assert_cmpstr(why, ==, want);
}

static void test_possible(void)
{
	static const struct {
		const char *section;
		enum ks__feature_id feature;
	} all[] = {
		{ "tp_btf/go", KS__FEATURE_TP_BTF },
		{ "iter/task", KS__FEATURE_TP_BTF },
		{ "fentry/run", KS__FEATURE_FENTRY },
		{ "fexit/run", KS__FEATURE_FENTRY },
		{ "raw_tp/go", KS__FEATURE_RAW_TP },
		{ "kprobe/run", KS__FEATURE_KPROBE },
		{ "kretprobe/run", KS__FEATURE_KPROBE },
		{ "tracepoint/sched/sched_switch", KS__FEATURE_TRACEPOINT },
	};
	const struct ks__hook none = { .kind = KS__HOOK_NONE };
	struct bed *bed = bed_new();
	char why[200] = "";

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
		for (unsigned id = 0; id < KS__FEATURES; id++) {
			struct ks__feature *r = &bed->f.by_id[id];

			*r = (struct ks__feature){ .tried = 1,
						   .error = -EINVAL,
						   .reason = "it is not" };
			if (id == all[i].feature)
				possible(bed, all[i].section, -EINVAL, "it is not");
			else
				possible(bed, all[i].section, 0, "");
			r->error = 0;
		}
	possible(bed, "tp_btf/stop", -ENOENT, "tp_btf: event stop is not in this kernel's BTF");
	possible(bed, "raw_tp/stop", -ENOENT, "raw_tp: event stop is not in this kernel's BTF");
	possible(bed, "fentry/go", -ENOENT, "fentry: function go is not in this kernel's BTF");
	possible(bed, "iter/x", -ENOENT, "iter: function bpf_iter_x is not in this kernel's BTF");
	possible(bed, "tracepoint/a/b", -ENOENT, "tracepoint: event a/b is not in tracefs");
	ks_assert_rc(ks__hook_possible(&none, &bed->f, why, sizeof(why)), -EOPNOTSUPP);
	g_assert_cmpstr(why, ==, "this build does not contain its kernel programs");
	bed->f.types.own.error = -ENOENT; /* no BTF: only attaching shows it */
	possible(bed, "raw_tp/stop", 0, "");
	bed_free(bed);
}

/* Without descriptors it is unknown whether an event exists. */
static void test_possible_shortage(void)
{
	struct bed *bed = bed_new();
	struct rlimit before, none;
	struct ks__hook hook = hook_of("tracepoint/sched/sched_switch");
	char why[200] = "";

	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
	none = (struct rlimit){ 0, before.rlim_max };
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
	ks_assert_rc(ks__hook_possible(&hook, &bed->f, why, sizeof(why)), -EMFILE);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	g_assert_cmpstr(why, ==, "tracepoint: too few free descriptors: raise RLIMIT_NOFILE");
	bed_free(bed);
}

static void test_expect(void)
{
	struct bed *bed = bed_new();
	struct ks__types *t = &bed->f.types;
	static const struct {
		const char *section, *name;
		uint32_t kind;
	} all[] = { { "tp_btf/a", "a", KS__BTF_EVENT },
		    { "raw_tp/b", "b", KS__BTF_EVENT },
		    { "iter/c", "bpf_iter_c", KS__BTF_FUNC },
		    { "fentry/d", "d", KS__BTF_FUNC },
		    { "fexit/e", "e", KS__BTF_FUNC },
		    { "tracepoint/f/g", NULL, 0 },
		    { "kprobe/h", NULL, 0 },
		    { "kretprobe/i", NULL, 0 } };

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		struct ks__hook hook = hook_of(all[i].section);
		size_t n = t->n;

		ks_assert_rc(ks__hook_expect(&hook, t), 0);
		g_assert_cmpuint(t->n, ==, n + (all[i].name != NULL));
		if (!all[i].name)
			continue;
		g_assert_cmpstr(t->own.asks[n].name, ==, all[i].name);
		g_assert_cmpuint(t->own.asks[n].kind, ==, all[i].kind);
	}
	bed_free(bed);
}

/* ---- attach ---------------------------------------------------------------------------------- */

static int attach(struct bed *bed, const char *section, char *why)
{
	struct ks__hook hook = hook_of(section);

	why[0] = '\0';
	return ks__hook_attach(&hook, bed->ks, PROG, why, 200);
}

static void test_bpf(void)
{
	struct bed *bed = bed_new();
	const struct played_call *call = &played.calls[0];
	char why[200];

	played.answers[0] = 40;
	ks_assert_rc(attach(bed, "tp_btf/go", why), 40);
	g_assert_cmpint((int)call->args[0], ==, BPF_RAW_TRACEPOINT_OPEN);
	g_assert_cmpuint(call->bpf.raw_tracepoint.prog_fd, ==, PROG);
	g_assert_cmpuint(call->bpf.raw_tracepoint.name, ==, 0);
	played_begin();
	played.answers[0] = 41;
	ks_assert_rc(attach(bed, "raw_tp/go", why), 41);
	g_assert_cmpuint(call->bpf.raw_tracepoint.prog_fd, ==, PROG);
	g_assert_cmpstr(call->name, ==, "go");
	played_begin();
	played.answers[0] = 42;
	ks_assert_rc(attach(bed, "iter/task", why), 42);
	g_assert_cmpint((int)call->args[0], ==, BPF_LINK_CREATE);
	g_assert_cmpuint(call->bpf.link_create.prog_fd, ==, PROG);
	g_assert_cmpuint(call->bpf.link_create.attach_type, ==, BPF_TRACE_ITER);
	g_assert_cmpstr(why, ==, "");

	played_begin(); /* a call that a signal interrupted is made again */
	played.answers[0] = played.answers[1] = -EAGAIN;
	played.answers[2] = 43;
	ks_assert_rc(attach(bed, "raw_tp/go", why), 43);
	g_assert_cmpuint(played.n, ==, 3);
	played_begin();
	played.answers[0] = -ENOENT;
	ks_assert_rc(attach(bed, "raw_tp/go", why), -ENOENT);
	g_assert_cmpstr(why, ==, "raw_tp: go is not in this kernel");
	played_begin();
	played.answers[0] = -EINVAL;
	ks_assert_rc(attach(bed, "fentry/run", why), -EINVAL);
	g_assert_cmpstr(why, ==, "fentry: run: this kernel does not have it (EINVAL)");
	bed_free(bed);
}

/* Opens the event, gives it the program, then switches it on. */
static void assert_perf(uint32_t type, uint64_t config, const char *name, int fd)
{
	const struct played_call *c = played.calls;

	g_assert_cmpuint(played.n, ==, 3);
	g_assert_cmpint(c[0].number, ==, SYS_perf_event_open);
	g_assert_cmpuint(c[0].perf.type, ==, type);
	g_assert_cmpuint(c[0].perf.config, ==, config);
	g_assert_cmpuint(c[0].perf.size, ==, sizeof(c[0].perf));
	g_assert_cmpstr(c[0].name, ==, name);
	g_assert_cmpint((int)c[0].args[1], ==, -1);
	g_assert_cmpint((int)c[0].args[2], ==, 0);
	for (unsigned i = 1; i < 3; i++) {
		g_assert_cmpint(c[i].number, ==, 0);
		g_assert_cmpint(c[i].args[0], ==, fd);
		g_assert_cmphex((unsigned long)c[i].args[1], ==,
				i == 1 ? PERF_EVENT_IOC_SET_BPF : PERF_EVENT_IOC_ENABLE);
		g_assert_cmpint(c[i].args[2], ==, i == 1 ? PROG : 0);
	}
}

static void test_perf(void)
{
	static const struct {
		const char *section, *name;
		uint32_t type;
		uint64_t config;
	} all[] = {
		{ "tracepoint/sched/sched_switch", "", PERF_TYPE_TRACEPOINT, 315 },
		{ "kprobe/run", "run", 8, 0 },
		{ "kretprobe/run", "run", 8, 1 << 3 },
	};
	struct bed *bed = bed_new();
	char why[200];

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		int fd = open("/", O_PATH | O_CLOEXEC);

		played_begin();
		played.answers[0] = fd;
		ks_assert_rc(attach(bed, all[i].section, why), fd);
		assert_perf(all[i].type, all[i].config, all[i].name, fd);
		for (unsigned fails = 1; fails < 3; fails++) {
			unsigned before = counters_descriptors();

			played_begin();
			played.answers[0] = fd;
			played.answers[fails] = -EEXIST;
			ks_assert_rc(attach(bed, all[i].section, why), -EEXIST);
			g_assert_cmpuint(played.n, ==, fails + 1);
			g_assert_cmpuint(counters_descriptors(), ==, before - 1); /* closed */
			g_assert_nonnull(strstr(why, ": perf_event_open() failed (EEXIST)"));
			g_assert_cmpint(open("/", O_PATH | O_CLOEXEC), ==, fd);
		}
		close(fd);
	}
	bed_free(bed);
}

/* A number of /sys that is missing or no number is an error, and no event is opened. */
static void test_numbers(void)
{
	static const struct {
		const char *file, *text, *section;
		int rc;
	} all[] = {
		{ "type", "", "kprobe/run", -EINVAL },
		{ "type", "x8\n", "kprobe/run", -EINVAL },
		{ "type", ":8\n", "kretprobe/run", -EINVAL },
		{ "format/retprobe", "config:\n", "kretprobe/run", -EINVAL },
		{ "format/retprobe", "config:/\n", "kretprobe/run", -EINVAL },
		{ "format/retprobe", "config1:3\n", "kretprobe/run", -EINVAL },
		{ "format/retprobe", "3\n", "kretprobe/run", -EINVAL },
	};
	char why[200], name[80];

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		struct bed *bed = bed_new();

		snprintf(name, sizeof(name), "bus/event_source/devices/kprobe/%s", all[i].file);
		put(bed, all[i].text, name);
		ks_assert_rc(attach(bed, all[i].section, why), all[i].rc);
		g_assert_cmpuint(played.n, ==, 0);
		bed_free(bed);
	}
}

/*
 * An iterator is read to its end. A read that is interrupted, or that only took long, is repeated.
 */
static void test_iterate(void)
{
	struct bed *bed = bed_new();
	int ends[2];

	played.answers[0] = -EPERM;
	ks_assert_rc(ks__hook_iterate(50), -EPERM);
	played_begin();
	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	g_assert_cmpint(write(ends[1], "1234567", 7), ==, 7);
	close(ends[1]);
	played.answers[0] = ends[0];
	ks_assert_rc(ks__hook_iterate(50), 0);
	g_assert_cmpint((int)played.calls[0].args[0], ==, BPF_ITER_CREATE);
	g_assert_cmpuint(played.calls[0].bpf.iter_create.link_fd, ==, 50);
	g_assert_cmpint(fcntl(ends[0], F_GETFD), ==, -1);
	played_begin();
	played.answers[0] = open("/", O_RDONLY | O_CLOEXEC);
	ks_assert_rc(ks__hook_iterate(50), -EISDIR);
	bed_free(bed);
}

/* ---- one feature ----------------------------------------------------------------------------- */

/* A kernel that lacks only the function of the trial has kprobes; any other error is told. */
static void test_kprobe_trial(void)
{
	static const struct {
		int error, rc;
		const char *reason;
	} all[] = {
		{ 0, 0, "" },
		{ -ENOENT, 0, "" },
		{ -EINVAL, -EINVAL, "kprobe: perf_event_open() failed (EINVAL)" },
		{ -EMFILE, -EMFILE, "kprobe: too few free descriptors: raise RLIMIT_NOFILE" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		struct bed *bed = bed_new();
		struct ks__feature *r = &bed->f.by_id[KS__FEATURE_KPROBE];

		r->tried = 0;
		played.answers[0] = open("/", O_PATH | O_CLOEXEC); /* a program */
		played.answers[1] = open("/", O_PATH | O_CLOEXEC); /* a dummy event */
		played.answers[2] = all[i].error ? all[i].error : open("/", O_PATH | O_CLOEXEC);
		ks_assert_rc(ks__feature(&bed->f, KS__FEATURE_KPROBE), all[i].rc);
		g_assert_cmpstr(r->reason, ==, all[i].reason);
		g_assert_cmpint(r->tried, ==, all[i].error != -EMFILE);
		g_assert_cmpuint(played.n, ==, 3);
		g_assert_cmpuint(played.calls[0].bpf.prog_type, ==, BPF_PROG_TYPE_KPROBE);
		g_assert_cmpuint(played.calls[1].perf.type, ==, PERF_TYPE_SOFTWARE);
		g_assert_cmpuint(played.calls[1].perf.config, ==, PERF_COUNT_SW_DUMMY);
		g_assert_cmpuint(played.calls[2].perf.type, ==, 8);
		g_assert_cmpint(fcntl(played.answers[0], F_GETFD), ==, -1);
		g_assert_cmpint(fcntl(played.answers[1], F_GETFD), ==, -1);
		bed_free(bed);
	}
}

/* For want of descriptors nothing is known: that is the answer, and no guess. */
static void test_source(void)
{
	struct bed *bed = bed_new();
	struct ks__source *s = NULL;
	struct ks__note note;
	uint32_t variant = 99;
	uint64_t valid = 99;
	char why[200];

	for (unsigned i = 0; bed->ks->sources[i]; i++)
		if (bed->ks->sources[i]->ops->kind == KS_SOURCE_BPF)
			s = bed->ks->sources[i];
	g_assert_nonnull(s);
	for (unsigned turn = 0; turn < 3; turn++) {
		played_begin();
		for (size_t i = 0; i < G_N_ELEMENTS(played.answers); i++)
			played.answers[i] = -EMFILE;
		ks_assert_rc(turn == 0 ? s->ops->expect(s, KS_PROBE_PROC, &variant, &valid) :
			     turn == 1 ? s->ops->note(s, KS_PROBE_PROC, 0, &note) :
					 s->ops->why(s, KS_PROBE_PROC, 1, why, sizeof(why)),
			     -EMFILE);
		g_assert_cmpuint(played.n, >, 0);
	}
	g_assert_cmpuint(variant, ==, 99);
	bed_free(bed);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/hooks/parse", test_parse);
	g_test_add_func("/hooks/possible", test_possible);
	g_test_add_func("/hooks/possible/shortage", test_possible_shortage);
	g_test_add_func("/hooks/expect", test_expect);
	g_test_add_func("/hooks/attach/bpf", test_bpf);
	g_test_add_func("/hooks/attach/perf", test_perf);
	g_test_add_func("/hooks/attach/numbers", test_numbers);
	g_test_add_func("/hooks/iterate", test_iterate);
	g_test_add_func("/hooks/kprobe trial", test_kprobe_trial);
	g_test_add_func("/hooks/source", test_source);
	return g_test_run();
}
