/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that each call accepts and refuses options as the manual says, that failures do not write
 * outputs, that each error code has a text, and that each failure has its own message.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kernelsight/kernelsight.h>

#include "../support/ks_test.h"
#include "ks.h"

static struct ks *opened(void)
{
	struct ks *ks = NULL;

	g_assert_cmpint(ks_open(NULL, &ks), ==, 0);
	return ks;
}

/* ---- codes ----------------------------------------------------------------------------------- */

static void test_codes(void)
{
	static const struct {
		int code;
		const char *name;
	} codes[] = {
		{ KS_EUNAVAIL, "KS_EUNAVAIL" },
		{ KS_EOFF, "KS_EOFF" },
		{ KS_EFORKED, "KS_EFORKED" },
		{ KS_EBALANCE, "KS_EBALANCE" },
		{ KS_ESILENT, "KS_ESILENT" },
		{ KS_ECLOSED, "KS_ECLOSED" },
		{ EINVAL, "EINVAL" },
		{ EBUSY, "EBUSY" },
		{ E2BIG, "E2BIG" },
		{ ESRCH, "ESRCH" },
		{ ENAMETOOLONG, "ENAMETOOLONG" },
		{ EMFILE, "EMFILE" },
	};

	g_assert_cmpint(KS_EUNAVAIL, ==, 4096); /* pinned */
	g_assert_cmpint(KS_ECLOSED, ==, 4101);
	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		g_assert_cmpstr(ks_error_name(-codes[i].code), ==, codes[i].name);
		g_assert_cmpstr(ks_error_name(codes[i].code), ==, codes[i].name);
		g_assert_cmpstr(ks_strerror(-codes[i].code), !=, "unknown error");
		for (size_t k = 0; k < i; k++)
			g_assert_cmpstr(ks_strerror(codes[i].code), !=, ks_strerror(codes[k].code));
	}
	g_assert_cmpstr(ks_error_name(-4095), ==, "?");
	g_assert_cmpstr(ks_strerror(-4095), ==, "unknown error");
	g_assert_cmpstr(ks_strerror(0), ==, "success");
}

static void test_version(void)
{
	g_assert_cmphex(ks_version(), ==, KS_VERSION);
	g_assert_cmphex(KS_VERSION, ==,
			KS_VERSION_MAJOR << 16 | KS_VERSION_MINOR << 8 | KS_VERSION_PATCH);
}

/* ---- options --------------------------------------------------------------------------------- */

static void refused(const struct ks_open_opts *opts, int rc)
{
	struct ks *untouched = (struct ks *)opts, *ks = untouched;

	g_assert_cmpint(ks_open(opts, &ks), ==, rc);
	g_assert_true(ks == untouched);
}

static void test_values(void)
{
	struct ks_open_opts o = { .size = sizeof(o) };

	o.flags = 1u << 30;
	refused(&o, -EINVAL);
	o = (struct ks_open_opts){ .size = sizeof(o), .batch_ms = 60001 };
	refused(&o, -EINVAL);
	o = (struct ks_open_opts){ .size = sizeof(o), .ring_bytes = 4095 };
	refused(&o, -EINVAL);
	o = (struct ks_open_opts){ .size = sizeof(o), .log_level = KS_LOG_DEBUG + 1 };
	refused(&o, -EINVAL);
	o = (struct ks_open_opts){ .size = sizeof(o), .max_threads = (1u << 22) + 1 };
	refused(&o, -EINVAL);
	o = (struct ks_open_opts){ .size = sizeof(o), .features_off = 1ull << 63 };
	refused(&o, -EINVAL);
	g_assert_cmpint(ks_open(NULL, NULL), ==, -EINVAL);
}

/* Accepts the largest and smallest allowed values; test_values() has the first refused ones. */
static void test_edges(void)
{
	const struct ks_open_opts edges[] = {
		{ .flags = KS_OPEN_ORDERED | KS_OPEN_RAISE_MEMLOCK | KS_OPEN_TRIM },
		{ .batch_ms = 60000 },
		{ .batch_ms = KS_IMMEDIATE },
		{ .ring_bytes = 4096 },
		{ .ring_bytes = 1ull << 32 },
		{ .log_level = KS_LOG_DEBUG },
		{ .max_threads = 1u << 22 },
		{ .features_off = KS_FEATURE_RINGBUF | KS_FEATURE_BTF_TRACING |
				  KS_FEATURE_TASK_STORAGE | KS_FEATURE_ATOMIC_FETCH |
				  KS_FEATURE_RDONLY_CAST | KS_FEATURE_OWN_GUARD | KS_FEATURE_BATCH |
				  KS_FEATURE_MMAP | KS_FEATURE_ITER_NUM },
	};
	struct ks_open_opts o;
	struct ks *ks;

	for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
		o = edges[i];
		o.size = sizeof(o);
		g_assert_cmpint(ks_open(&o, &ks), ==, 0);
		g_assert_cmpuint(ks->opts.flags, ==, o.flags);
		g_assert_cmpuint(ks->opts.batch_ms, ==, o.batch_ms ? o.batch_ms : 10);
		g_assert_cmpuint(ks->opts.ring_bytes, ==, o.ring_bytes ? o.ring_bytes : 4 << 20);
		g_assert_cmpuint(ks->opts.max_threads, ==, o.max_threads ? o.max_threads : 16384);
		g_assert_cmpuint(ks->opts.features_off, ==, o.features_off);
		g_assert_cmpstr(ks->opts.proc_path, ==, "/proc");
		g_assert_cmpstr(ks->opts.sys_path, ==, "/sys");
		g_assert_null(ks->opts.btf_path);
		ks_close(ks);
	}
	o = (struct ks_open_opts){ .size = sizeof(o), .ring_bytes = (1ull << 32) + 1 };
	refused(&o, -EINVAL);
	o = (struct ks_open_opts){
		.size = sizeof(o), .btf_path = "/a", .proc_path = "/b", .sys_path = "/c"
	};
	g_assert_cmpint(ks_open(&o, &ks), ==, 0);
	g_assert_cmpstr(ks->opts.btf_path, ==, "/a");
	g_assert_cmpstr(ks->opts.proc_path, ==, "/b");
	g_assert_cmpstr(ks->opts.sys_path, ==, "/c");
	ks_close(ks);
}

static void test_sizes(void)
{
	struct {
		struct ks_open_opts known;
		uint64_t newer;
	} long_opts = { .known.size = sizeof(long_opts) };
	struct ks_open_opts o = { .size = sizeof(size_t) };
	struct ks *ks;

	g_assert_cmpint(ks_open(&o, &ks), ==, 0); /* an older header: the rest has defaults */
	ks_close(ks);
	g_assert_cmpint(ks_open(&long_opts.known, &ks), ==, 0);
	ks_close(ks);
	long_opts.newer = 1;
	refused(&long_opts.known, -E2BIG);
	o.size = sizeof(size_t) - 1;
	refused(&o, -EINVAL);
}

/* Members that the caller's shorter struct lacks are not written. */
static void test_short_output(void)
{
	struct ks_probe_info info;
	struct ks *ks = opened();

	memset(&info, 0x5a, sizeof(info));
	info.size = 16;
	g_assert_cmpint(ks_query_probe(ks, KS_PROBE_PROC, &info), ==, 0);
	g_assert_cmpuint(info.size, ==, 16);
	g_assert_cmpuint(info.probe, ==, KS_PROBE_PROC);
	g_assert_cmphex(info.variant, ==, 0x5a5a5a5a);
	ks_close(ks);
}

/*
 * ---- error messages
 * -------------------------------------------------------------------------------
 */

static void test_sentence(void)
{
	char text[256] = "", cut[8];
	struct ks *ks = opened();
	int length;

	g_assert_cmpint(ks_last_error(ks, text, sizeof(text)), ==, 0);
	errno = 77;
	g_assert_cmpint(ks_enable_probe(ks, 14, NULL), ==, -EINVAL);
	g_assert_cmpint(errno, ==, 77);
	length = ks_last_error(ks, text, sizeof(text));
	g_assert_cmpstr(text, ==, "there is no probe 14 in this library");
	g_assert_cmpint(length, ==, (int)strlen(text));
	g_assert_cmpint(ks_last_error(ks, cut, sizeof(cut)), ==, length);
	g_assert_cmpstr(cut, ==, "there i");
	g_assert_cmpint(ks_last_error(ks, NULL, 0), ==, length);
	g_assert_cmpint(ks_last_error(ks, NULL, 1), ==, -EINVAL);
	ks_close(ks);
}

static void *fail_elsewhere(void *ks)
{
	char text[256];

	g_assert_cmpint(ks_last_error(ks, text, sizeof(text)), ==, 0);
	ks_enable_probe(ks, 13, NULL);
	ks_last_error(ks, text, sizeof(text));
	g_assert_cmpstr(text, ==, "there is no probe 13 in this library");
	return NULL;
}

/* A thread's message stays until 16 other threads have failed. */
static void test_threads(void)
{
	struct ks *ks = opened();
	char text[256];

	ks_enable_probe(ks, 14, NULL);
	for (int i = 0; i < 16; i++) {
		pthread_t thread;

		g_assert_cmpint(ks_last_error(ks, text, sizeof(text)), >, 0);
		g_assert_cmpstr(text, ==, "there is no probe 14 in this library");
		g_assert_cmpint(pthread_create(&thread, NULL, fail_elsewhere, ks), ==, 0);
		pthread_join(thread, NULL);
	}
	g_assert_cmpint(ks_last_error(ks, text, sizeof(text)), ==, 0);
	ks_close(ks);
}

static void on_log(int level, const char *text, void *user)
{
	g_assert_cmpint(level, ==, KS_LOG_WARNING);
	g_strlcpy(user, text, 256);
}

static void test_log(void)
{
	char text[256] = "";
	struct ks_open_opts o = { .size = sizeof(o), .log = on_log, .log_user = text };
	struct ks *ks;

	g_assert_cmpint(ks_open(&o, &ks), ==, 0);
	ks_disable_probe(ks, 14);
	g_assert_cmpstr(text, ==, "there is no probe 14 in this library");
	ks_close(ks);
	text[0] = '\0';
	o.log_level = KS_LOG_ERROR;
	g_assert_cmpint(ks_open(&o, &ks), ==, 0);
	ks_disable_probe(ks, 14);
	g_assert_cmpstr(text, ==, "");
	ks_close(ks);
}

struct heard {
	int n, level;
	char text[64];
};

static void hear(int level, const char *text, void *user)
{
	struct heard *heard = user;

	heard->n++;
	heard->level = level;
	g_strlcpy(heard->text, text, sizeof(heard->text));
}

/* A log level lets through messages of that level and of worse levels, each with its own level. */
static void test_log_levels(void)
{
	g_assert_cmpint(KS_LOG_ERROR, ==, 1); /* pinned */
	for (int asked = 0; asked <= KS_LOG_DEBUG; asked++) {
		struct heard heard = { 0 };
		struct ks_open_opts o = { .size = sizeof(o),
					  .log = hear,
					  .log_user = &heard,
					  .log_level = (uint32_t)asked };
		int least = asked ? asked : KS_LOG_WARNING, n = 0;
		struct ks *ks;

		g_assert_cmpint(ks_open(&o, &ks), ==, 0);
		heard.n = 0;
		for (int level = KS_LOG_ERROR; level <= KS_LOG_DEBUG; level++) {
			ks__log(ks, level, "%s %d", level == KS_LOG_INFO ? "info" : "level", level);
			n += level <= least;
			g_assert_cmpint(heard.n, ==, n);
			if (level > least)
				continue;
			g_assert_cmpint(heard.level, ==, level);
			g_assert_cmpstr(heard.text, ==,
					level == 1 ? "level 1" :
					level == 2 ? "level 2" :
					level == 3 ? "info 3" :
						     "level 4");
		}
		ks_close(ks);
	}
}

/* ---- settings -------------------------------------------------------------------------------- */

static const struct {
	uint32_t probe, id;
	uint64_t value;
} defaults[] = {
	{ KS_PROBE_PROC, KS_PARAM_SAMPLE_EVERY, 1 },
	{ KS_PROBE_PROC, KS_PARAM_MAX_PER_SEC, 5000 },
	{ KS_PROBE_PROC, KS_PARAM_IDENTITY, KS_IDENTITY_CGROUP | KS_IDENTITY_COMM },
	{ KS_PROBE_SCHED, KS_PARAM_BURST, 1000 },
	{ KS_PROBE_SCHED, KS_PARAM_INTERVAL_MS, 1000 },
	{ KS_PROBE_SCHED, KS_SCHED_PARAM_WAIT_NS, 10000000 },
	{ KS_PROBE_SCHED, KS_SCHED_PARAM_BLOCK_NS, 0 },
	{ KS_PROBE_FADVISE, KS_FADVISE_PARAM_SLOW_NS, 10000000 },
};

static void test_settings(void)
{
	struct ks_param good = { .id = KS_PARAM_SAMPLE_EVERY, .value = 7 };
	struct ks_param pair[2] = { good, { .id = KS_PARAM_BURST, .value = 0 } };
	struct ks *ks = opened();
	uint64_t value = 99;
	char text[256];

	g_assert_cmpint(ks_configure_probe(ks, KS_PROBE_PROC, &good, 1), ==, -KS_EOFF);
	g_assert_cmpint(ks_query_param(ks, KS_PROBE_PROC, KS_PARAM_SAMPLE_EVERY, &value), ==, 0);
	g_assert_cmpuint(value, ==, 1);
	value = 99;
	g_assert_cmpint(ks_query_param(ks, KS_PROBE_PROC, 31, &value), ==, -EINVAL);
	g_assert_cmpint(ks_query_param(ks, KS_PROBE_SCHED, KS_PARAM_INTERVAL_MS, NULL), ==,
			-EINVAL);
	g_assert_cmpint(ks_query_param(ks, KS_PROBE_SELF, KS_PARAM_BURST, &value), ==, -EINVAL);
	g_assert_cmpint(ks_query_param(ks, KS_PROBE_FADVISE, KS_PARAM_INTERVAL_MS, &value), ==,
			-EINVAL); /* the first source has no files */
	g_assert_cmpuint(value, ==, 99);
	for (size_t i = 0; i < G_N_ELEMENTS(defaults); i++) {
		g_assert_cmpint(ks_query_param(ks, defaults[i].probe, defaults[i].id, &value), ==,
				0);
		g_assert_cmpuint(value, ==, defaults[i].value);
	}
	value = 99;
	for (int i = 0; i < 3; i++) { /* members that only a text would have */
		struct ks_param data = { .id = KS_PARAM_BURST, .value = 1 };

		data.data = i == 0 ? &value : NULL;
		data.data_size = i == 1;
		data.reserved = i == 2;
		g_assert_cmpint(ks_enable_probe(ks, KS_PROBE_PROC,
						&(struct ks_enable_opts){
							.size = sizeof(struct ks_enable_opts),
							.n_params = 1,
							.params = &data }),
				==, -EINVAL);
		ks_last_error(ks, text, sizeof(text));
		g_assert_cmpstr(text, ==,
				"proc.burst is a number: data, data_size and reserved must be 0");
	}
	g_assert_cmpuint(value, ==, 99);
	g_assert_cmpint(
		ks_enable_probe(ks, KS_PROBE_PROC,
				&(struct ks_enable_opts){ .size = sizeof(struct ks_enable_opts),
							  .n_params = 2,
							  .params = pair }),
		==, -EINVAL);
	ks_last_error(ks, text, sizeof(text));
	g_assert_cmpstr(text, ==, "proc.burst: 0 is not within 1 to 10000000");
	ks_close(ks);
}

static void test_scope(void)
{
	int32_t none = 0x3fffffff;
	struct ks_scope s = {
		.size = sizeof(s), .kind = KS_SCOPE_PIDS, .n_pids = 1, .pids = &none
	};
	struct ks *ks = opened();

	g_assert_cmpint(ks_set_scope(ks, &s), ==, -ESRCH);
	s.n_pids = 4097;
	g_assert_cmpint(ks_set_scope(ks, &s), ==, -EINVAL);
	s = (struct ks_scope){ .size = sizeof(s), .kind = 3 };
	g_assert_cmpint(ks_set_scope(ks, &s), ==, -EINVAL);
	s = (struct ks_scope){
		.size = sizeof(s), .kind = KS_SCOPE_SYSTEM, .n_pids = 1, .pids = &none
	};
	g_assert_cmpint(ks_set_scope(ks, &s), ==, -EINVAL);
	s = (struct ks_scope){ .size = sizeof(s), .comm = "sixteen bytes ok" };
	g_assert_cmpint(ks_set_scope(ks, &s), ==, -ENAMETOOLONG);
	s.comm = "fifteen bytes k";
	g_assert_cmpint(ks_set_scope(ks, &s), ==, 0);
	g_assert_cmpint(ks_set_scope(ks, NULL), ==, 0);
	ks_close(ks);
}

/* A source that counts calls and fails as the test says. */
struct asked {
	struct ks__source source;
	int set, rc;
};

static int set_scope(struct ks__source *s, const struct ks__scope *scope)
{
	struct asked *asked = (struct asked *)s;

	g_assert_cmpuint(scope->kind, ==, KS_SCOPE_SYSTEM);
	asked->set++;
	return asked->rc;
}

/* If a source refuses a new scope, no source must be left with that scope. */
static void test_scope_refused(void)
{
	static const int answers[] = { 0, -ENOSPC };
	const struct ks__source_ops ops = { .set_scope = set_scope };
	const struct ks_scope s = { .size = sizeof(s), .kind = KS_SCOPE_SYSTEM };

	for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
		struct ks *ks = opened();
		struct asked a[2] = { { .source = { &ops, ks }, .rc = answers[i] },
				      { .source = { &ops, ks } } };
		struct ks__source *own[KS__SOURCES_MAX];

		memcpy(own, ks->sources, sizeof(own));
		memset(ks->sources, 0, sizeof(own));
		ks->sources[0] = &a[0].source;
		ks->sources[1] = &a[1].source;
		ks_assert_rc(ks_set_scope(ks, &s), answers[i]);
		g_assert_cmpuint(ks->scope.kind, ==, answers[i] ? KS_SCOPE_SELF : KS_SCOPE_SYSTEM);
		g_assert_cmpint(a[0].set, ==, 1);
		g_assert_cmpint(a[1].set, ==, answers[i] ? 0 : 1);
		memcpy(ks->sources, own, sizeof(own));
		ks_close(ks);
	}
}

/* Converts between the two clocks, with readings of both before and after. */
static void test_clock(void)
{
	uint64_t mono_ns = 0, mono[2], wall[2];
	struct ks *ks = opened();
	int64_t wall_ns = 0;

	wall[0] = ks__wall_now();
	mono[0] = ks__now();
	g_assert_cmpint(ks_read_clock(ks, &mono_ns, &wall_ns), ==, 0);
	mono[1] = ks__now();
	wall[1] = ks__wall_now();
	g_assert_cmpuint(mono_ns, >=, mono[0]);
	g_assert_cmpuint(mono_ns, <=, mono[1]);
	g_assert_cmpint(wall_ns, >=, (int64_t)wall[0]);
	g_assert_cmpint(wall_ns, <=, (int64_t)wall[1]);
	g_assert_cmpint(wall_ns / 1000000000, >=, g_get_real_time() / G_USEC_PER_SEC - 60);
	g_assert_cmpint(ks_read_clock(ks, NULL, &wall_ns), ==, -EINVAL);
	g_assert_cmpint(ks_read_clock(ks, &mono_ns, NULL), ==, -EINVAL);
	ks_close(ks);
}

static int helps; /* another thread frees descriptors before the handle opens its epoll set */

/* The library calls this function in place of libc's. */
int epoll_create1(int flags)
{
	struct rlimit limit;

	if (helps && !getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	return (int)syscall(SYS_epoll_create1, flags);
}

/*
 * Opens a handle with n free numbers from 50 on, and the lower ones below 3. 0: it ends as it must.
 */
static int open_within(unsigned n, int wanted)
{
	struct ks *untouched = (struct ks *)&wanted, *ks = untouched;
	struct rlimit limit;
	int rc, top;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 50 + n;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return 1;
	rc = ks_open(NULL, &ks);
	if (rc != wanted)
		return 2;
	if (rc && ks != untouched)
		return 3;
	if (!rc)
		ks_close(ks);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	top = fcntl(2, F_DUPFD_CLOEXEC, 3); /* no descriptor is left */
	close(top);
	return top == 50 ? 0 : 4;
}

static int open_without(void)
{
	for (int fd = 3; fd < 50; fd++)
		dup2(2, fd);
	for (int fd = 50; fd < 1024; fd++)
		close(fd);
	close(0);
	for (unsigned n = 0; n <= 6; n++)
		if (open_within(n, n < 6 ? -EMFILE : 0))
			return 1 + (int)n;
	helps = 1;
	if (open_within(1, -EMFILE)) /* for the first socket */
		return 11;
	close(1);
	if (open_within(1, -EMFILE)) /* for the second one */
		return 12;
	return 0;
}

/*
 * For want of descriptors ks_open() fails as such, whichever descriptor is the first to be moved.
 */
static void test_no_descriptors(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(open_without());
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(WEXITSTATUS(status), ==, 0);
	g_assert_true(WIFEXITED(status));
}

static void test_null(void)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	uint64_t mono;
	int64_t wall;

	ks_close(NULL);
	ks_reader_free(NULL);
	g_assert_cmpint(ks_fd(NULL), ==, -EINVAL);
	g_assert_cmpint(ks_wakeup(NULL), ==, -EINVAL);
	g_assert_cmpint(ks_poll(NULL, 0, 0, NULL, NULL), ==, -EINVAL);
	g_assert_cmpint(ks_read_stats(NULL, &stats), ==, -EINVAL);
	g_assert_cmpint(ks_read_clock(NULL, &mono, &wall), ==, -EINVAL);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/api/codes", test_codes);
	g_test_add_func("/api/version", test_version);
	g_test_add_func("/api/options/values", test_values);
	g_test_add_func("/api/options/edges", test_edges);
	g_test_add_func("/api/options/sizes", test_sizes);
	g_test_add_func("/api/options/short-output", test_short_output);
	g_test_add_func("/api/sentence/one", test_sentence);
	g_test_add_func("/api/sentence/threads", test_threads);
	g_test_add_func("/api/sentence/log", test_log);
	g_test_add_func("/api/sentence/log levels", test_log_levels);
	g_test_add_func("/api/settings", test_settings);
	g_test_add_func("/api/scope/values", test_scope);
	g_test_add_func("/api/scope/refused", test_scope_refused);
	g_test_add_func("/api/clock", test_clock);
	g_test_add_func("/api/no descriptors", test_no_descriptors);
	g_test_add_func("/api/null", test_null);
	return g_test_run();
}
