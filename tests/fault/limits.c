/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a host without free descriptors gets -EMFILE and can try again with the same handle;
 * that the limit on locked memory is raised where it counts if the host may raise it, and stays as
 * it was otherwise; that no limit on the size of files kills a host; and that structs of any size
 * and buffers of any kind are handled as the header says.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "fault.h"

/* ---- descriptors ------------------------------------------------------------------------ */

/* Leaves n descriptors that may still be opened. */
static void spare(unsigned n)
{
	struct rlimit limit;
	int next;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	next = dup(0);
	g_assert_cmpint(next, >=, 0);
	close(next);
	limit.rlim_cur = (rlim_t)next + n;
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

/* Fills gaps in the numbers, so that the limit equals the number of descriptors. */
static void close_gaps(void)
{
	while (dup(0) < 60)
		;
}

static void open_limited(const void *data)
{
	struct ks *untouched = (struct ks *)&data, *ks = untouched;
	unsigned before;

	close_gaps();
	before = counters_descriptors();
	for (unsigned n = 0; n < 6; n++) {
		spare(n);
		ks_assert_rc(ks_open(NULL, &ks), -EMFILE);
		g_assert_true(ks == untouched);
		spare(64);
		g_assert_cmpuint(counters_descriptors(), ==, before);
	}
	spare(6);
	ks_assert_rc(ks_open(NULL, &ks), 0);
	ks_close(ks);
}

/*
 * Allows one descriptor more each time until the call works. Each failure leaves no descriptor
 * open.
 */
static unsigned until_it_works(struct ks *ks, int (*fn)(struct ks *ks))
{
	unsigned n, before = counters_descriptors();
	char why[300];
	int rc;

	for (n = 0;; n++) {
		spare(n);
		rc = fn(ks);
		spare(300);
		if (rc >= 0)
			return n;
		ks_assert_rc(rc, -EMFILE);
		g_assert_cmpint(ks_last_error(ks, why, sizeof(why)), >, 0);
		if (!strstr(why, "RLIMIT_NOFILE"))
			g_error("the message does not mention RLIMIT_NOFILE: %s", why);
		g_assert_cmpuint(counters_descriptors(), ==, before);
		g_assert_cmpuint(n, <, 300);
	}
}

static int prepare(struct ks *ks)
{
	const uint32_t probes[] = { KS_PROBE_PROC, KS_PROBE_FADVISE };

	return ks_prepare(ks, probes, 2);
}

static int enable(struct ks *ks)
{
	return ks_enable_probe(ks, KS_PROBE_PROC, NULL);
}

static void limited(const void *data)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .features_off = GPOINTER_TO_SIZE(data) };
	struct ks_probe_info info = { .size = sizeof(info) };
	unsigned before = counters_descriptors();
	struct ks *ks;

	close_gaps();
	spare(300);
	before = counters_descriptors();
	ks = fault_open(&opts);
	g_assert_cmpuint(until_it_works(ks, prepare), >, 0);
	g_assert_cmpuint(until_it_works(ks, enable), >, 0);
	ks_assert_ok(ks, ks_query_probe(ks, KS_PROBE_PROC, &info));
	g_assert_cmpstr(info.variant_name, ==, "tp_btf"); /* the shortage ruled out no variant */
	g_assert_cmpuint(info.source, ==, KS_SOURCE_BPF);
	fault_exact(ks, KS_PROBE_FADVISE, NULL);
	fault_exact(ks, KS_PROBE_PROC, NULL);
	ks_close(ks);
	g_assert_cmpuint(counters_descriptors(), ==, before);

	ks = fault_open(&opts); /* the same without preparing */
	g_assert_cmpuint(until_it_works(ks, enable), >, 0);
	fault_exact(ks, KS_PROBE_PROC, NULL);
	ks_close(ks);
	g_assert_cmpuint(counters_descriptors(), ==, before);
}

static void descriptors(gconstpointer data)
{
	struct fault_kernel since;

	if (!ks_test_root())
		return;
	fault_kernel(&since);
	fault_in_child(limited, data);
	fault_kernel_clean(&since);
}

/* A process that locks itself in may open nothing at all: limits of 0 and of 3 descriptors. */
static void locked_in(const void *data)
{
	static const rlim_t few[] = { 0, 3 };
	struct rlimit limit;
	struct ks *ks, *none;
	char why[300];

	(void)data;
	ks = fault_open(NULL);
	getrlimit(RLIMIT_NOFILE, &limit);
	for (size_t i = 0; i < G_N_ELEMENTS(few); i++) {
		const struct rlimit now = { few[i], limit.rlim_max };
		int (*const calls[])(struct ks *) = { prepare, enable };

		for (size_t k = 0; k < G_N_ELEMENTS(calls); k++) {
			int rc;

			g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &now), ==, 0);
			rc = calls[k](ks);
			g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
			ks_assert_rc(rc, -EMFILE);
			g_assert_cmpint(ks_last_error(ks, why, sizeof(why)), >, 0);
			g_assert_nonnull(strstr(why, "RLIMIT_NOFILE"));
		}
		close(0); /* a number below 3 is free, and does not help */
		g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &now), ==, 0);
		ks_assert_rc(ks_open(NULL, &none), -EMFILE);
		ks_assert_rc(prepare(ks), -EMFILE);
		g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
		g_assert_cmpint(dup(2), ==, 0);
	}
	fault_exact(ks, KS_PROBE_PROC, NULL);
	ks_close(ks);
}

static void descriptors_locked_in(void)
{
	if (ks_test_root())
		fault_in_child(locked_in, NULL);
}

static void descriptors_open(void)
{
	fault_in_child(open_limited, NULL);
}

/* ---- locked memory: before 5.11 maps and programs count against it ------------------------ */

static const struct ks_open_opts raising = { .size = sizeof(raising),
					     .flags = KS_OPEN_RAISE_MEMLOCK };

static struct rlimit locked(void)
{
	struct rlimit limit;

	g_assert_cmpint(getrlimit(RLIMIT_MEMLOCK, &limit), ==, 0);
	return limit;
}

/*
 * Even trials need some memory. Where it counts, this process must be allowed to raise the limit.
 */
static void raised(const void *data)
{
	static const char *const words[] = { "RLIMIT_MEMLOCK, 0 KiB", "KS_OPEN_RAISE_MEMLOCK",
					     NULL };
	const struct rlimit before = { 0, locked().rlim_max };
	int counts = GPOINTER_TO_INT(data);
	struct ks *ks;

	g_assert_cmpint(setrlimit(RLIMIT_MEMLOCK, &before), ==, 0);
	if (counts) {
		ks = fault_open(NULL);
		fault_refused(ks, KS_PROBE_PROC, "tp_btf", words);
		ks_close(ks);
		g_assert_cmpuint(locked().rlim_cur, ==, 0);
	}
	ks = fault_open(&raising);
	fault_exact(ks, KS_PROBE_PROC, NULL);
	ks_close(ks);
	g_assert_cmpuint(locked().rlim_cur, ==, counts ? RLIM_INFINITY : 0);
	g_assert_cmpuint(locked().rlim_max, ==, counts ? RLIM_INFINITY : before.rlim_max);
}

/*
 * The limit is raised as far as this process may, which is not enough. The reason says so, and the
 * limit is restored.
 */
static void not_raised(const void *data)
{
	static const char *const words[] = { "RLIMIT_MEMLOCK, 0 KiB", "ulimit -Hl", NULL };
	const struct rlimit none = { 0, 0 };
	struct ks *ks;

	g_assert_cmpint(setrlimit(RLIMIT_MEMLOCK, &none), ==, 0);
	fault_become(0, ~(1ull << CAP_SYS_RESOURCE) & ((1ull << CAP_CHECKPOINT_RESTORE) - 1));
	ks = fault_open(&raising);
	if (GPOINTER_TO_INT(data))
		fault_refused(ks, KS_PROBE_PROC, "tp_btf", words);
	else
		fault_exact(ks, KS_PROBE_PROC, "tp_btf");
	ks_close(ks);
	g_assert_cmpuint(locked().rlim_cur, ==, 0);
	g_assert_cmpuint(locked().rlim_max, ==, 0);
}

/* Everything is refused, so the limit was raised in vain: it is restored. */
static void raised_for_nothing(const void *unused)
{
	static const char *const words[] = { "seccomp", NULL };
	const struct rlimit before = { 0, locked().rlim_max };
	struct ks *ks;

	(void)unused;
	g_assert_cmpint(setrlimit(RLIMIT_MEMLOCK, &before), ==, 0);
	fault_filter(SYS_bpf, EPERM);
	ks = fault_open(&raising);
	fault_refused(ks, KS_PROBE_PROC, "tp_btf", words);
	ks_close(ks);
	g_assert_cmpuint(locked().rlim_cur, ==, 0);
	g_assert_cmpuint(locked().rlim_max, ==, before.rlim_max);
}

/* Prepares a probe under a limit of 0 bytes for files; a SIGXFSZ would end this process. */
static struct ks *prepare_fileless(const struct ks_open_opts *opts, int want)
{
	const uint32_t probe = KS_PROBE_PROC;
	struct ks *ks = fault_open(opts);
	struct rlimit limit, none;
	int rc;

	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
	none = limit;
	none.rlim_cur = 0;
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
	rc = ks_prepare(ks, &probe, 1);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
	ks_assert_rc(rc, want);
	return ks;
}

static void fileless(const void *unused)
{
	static const struct ks_open_opts copy = { .size = sizeof(copy),
						  .btf_path = "/sys/kernel/btf/vmlinux" };
	struct ks_variant_info info = { .size = sizeof(info) };
	struct ks *ks = prepare_fileless(NULL, 1);

	(void)unused;
	fault_exact(ks, KS_PROBE_PROC, NULL); /* libbpf has read the kernel's whole BTF */
	ks_close(ks);
	ks = prepare_fileless(&copy, 0); /* BTF of others never reaches libbpf uncut */
	ks_assert_ok(ks, ks_query_variant(ks, KS_PROBE_PROC, 0, &info));
	g_assert_cmpint(info.error, ==, -EFBIG);
	g_assert_cmpstr(ks_error_name(info.error), ==, "EFBIG");
	g_assert_cmpstr(info.reason, ==,
			"loading programs: the memfd with BTF for libbpf would be larger than "
			"RLIMIT_FSIZE allows: raise it (ulimit -f), or do without "
			"ks_open_opts.btf_path");
	fault_exact(ks, KS_PROBE_PROC, NULL); /* the limit is as before, so programs load */
	ks_close(ks);
}

static void memory(gconstpointer fn)
{
	struct fault_kernel since;

	if (!ks_test_root())
		return;
	fault_kernel(&since);
	fault_in_child((void (*)(const void *))fn, GINT_TO_POINTER(fault_counts_locked()));
	fault_kernel_clean(&since);
}

/* ---- input structs --------------------------------------------------------------------------- */

struct input {
	const char *name;
	size_t size;
	int (*call)(struct ks *ks, const void *opts);
};

static int call_open(struct ks *ks, const void *opts)
{
	struct ks *other = ks;
	int rc = ks_open(opts, &other);

	if (rc)
		g_assert_true(other == ks);
	else
		ks_close(other);
	return rc;
}

static int call_scope(struct ks *ks, const void *opts)
{
	return ks_set_scope(ks, opts);
}

/* The fallback works without root. */
static int call_enable(struct ks *ks, const void *opts)
{
	int rc = ks_enable_probe(ks, KS_PROBE_PROC, opts);

	ks_disable_probe(ks, KS_PROBE_PROC);
	return rc < 0 ? rc : 0;
}

static int call_reader(struct ks *ks, const void *opts)
{
	struct ks_reader *untouched = (struct ks_reader *)&opts, *reader = untouched;
	int rc = ks_reader_new(ks, KS_PROBE_PROC, opts, &reader);

	if (rc)
		g_assert_true(reader == untouched);
	else
		ks_reader_free(reader);
	return rc;
}

static int call_selftest(struct ks *ks, const void *opts)
{
	int rc;

	ks_enable_probe(ks, KS_PROBE_PROC, NULL);
	rc = ks_selftest(ks, KS_PROBE_PROC, opts);
	ks_disable_probe(ks, KS_PROBE_PROC);
	return rc < 0 ? rc : 0;
}

static const struct input inputs[] = {
	{ "ks_open_opts", sizeof(struct ks_open_opts), call_open },
	{ "ks_scope", sizeof(struct ks_scope), call_scope },
	{ "ks_enable_opts", sizeof(struct ks_enable_opts), call_enable },
	{ "ks_reader_opts", sizeof(struct ks_reader_opts), call_reader },
	{ "ks_selftest_opts", sizeof(struct ks_selftest_opts), call_selftest },
};

static int with_size(const struct input *in, struct ks *ks, size_t size, size_t nonzero)
{
	_Alignas(8) char opts[512] = "";

	memcpy(opts, &size, sizeof(size));
	if (nonzero)
		opts[nonzero] = 1;
	return in->call(ks, opts);
}

static void input(gconstpointer data)
{
	const struct input *in = data;
	struct ks *ks = fault_open(NULL);

	ks_assert_rc(with_size(in, ks, 0, 0), -EINVAL);
	ks_assert_rc(with_size(in, ks, sizeof(size_t) - 1, 0), -EINVAL);
	ks_assert_rc(with_size(in, ks, sizeof(size_t), 0), 0); /* all members have their defaults */
	for (size_t size = sizeof(size_t); size <= in->size; size += 8)
		ks_assert_rc(with_size(in, ks, size, 0), 0);
	ks_assert_rc(with_size(in, ks, in->size, in->size), 0); /* nothing past the end is read */
	ks_assert_rc(with_size(in, ks, in->size + 8, 0), 0);
	ks_assert_rc(with_size(in, ks, 500, 0), 0);
	ks_assert_rc(with_size(in, ks, in->size + 8, in->size), -E2BIG);
	ks_assert_rc(with_size(in, ks, 500, 499), -E2BIG);
	ks_close(ks);
}

/* ---- output structs -------------------------------------------------------------------------- */

static struct ks_reader *any_reader;

static int out_probe(struct ks *ks, void *ret)
{
	return ks_query_probe(ks, KS_PROBE_PROC, ret);
}

static int out_variant(struct ks *ks, void *ret)
{
	return ks_query_variant(ks, KS_PROBE_PROC, 0, ret);
}

static int out_stats(struct ks *ks, void *ret)
{
	(void)ks;
	return ks_read_stats(any_reader, ret);
}

static const struct output {
	const char *name;
	size_t size;
	int (*call)(struct ks *ks, void *ret);
} outputs[] = {
	{ "ks_probe_info", sizeof(struct ks_probe_info), out_probe },
	{ "ks_variant_info", sizeof(struct ks_variant_info), out_variant },
	{ "ks_stats", sizeof(struct ks_stats), out_stats },
};

/* At most `size` bytes are written, and `size` becomes the number of bytes written. */
static void output_size(const struct output *out, struct ks *ks, size_t size, size_t want)
{
	_Alignas(8) unsigned char ret[1024];
	size_t got;

	memset(ret, 0xa5, sizeof(ret));
	memcpy(ret, &size, sizeof(size));
	ks_assert_ok(ks, out->call(ks, ret));
	memcpy(&got, ret, sizeof(got));
	g_assert_cmpuint(got, ==, want);
	for (size_t i = want; i < sizeof(ret); i++)
		g_assert_cmphex(ret[i], ==, 0xa5);
}

static void output(gconstpointer data)
{
	const struct output *out = data;
	struct ks *ks = fault_open(NULL);
	size_t none = 0;
	_Alignas(8) char room[1024] = "";

	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_SELF, NULL, &any_reader));
	ks_assert_rc(out->call(ks, &none), -EINVAL);
	ks_assert_rc(out->call(ks, room), -EINVAL);
	ks_assert_rc(out->call(ks, NULL), -EINVAL);
	for (size_t size = sizeof(size_t); size <= out->size; size += 8)
		output_size(out, ks, size, size);
	output_size(out, ks, 1024, out->size);
	ks_reader_free(any_reader);
	ks_close(ks);
}

/* ---- buffers ---------------------------------------------------------------------------- */

static void buffers_refused(void)
{
	_Alignas(8) static char buf[2 * KS_RECORD_MAX];
	struct ks *ks = fault_open(NULL);
	size_t size = 4711;

	ks_assert_rc(ks_read_events(ks, NULL, sizeof(buf), 0, &size), -EINVAL);
	ks_assert_rc(ks_read_events(ks, buf, 0, 0, &size), -EINVAL);
	ks_assert_rc(ks_read_events(ks, buf, KS_RECORD_MAX - 1, 0, &size), -EINVAL);
	ks_assert_rc(ks_read_events(ks, buf, sizeof(buf), 0, NULL), -EINVAL);
	ks_assert_rc(ks_read_events(ks, buf, sizeof(buf), -2, &size), -EINVAL);
	for (int i = 1; i < 8; i++)
		ks_assert_rc(ks_read_events(ks, buf + i, KS_RECORD_MAX, 0, &size), -EINVAL);
	g_assert_cmpuint(size, ==, 4711);
	ks_assert_rc(ks_read_events(ks, buf, KS_RECORD_MAX, 0, &size), 0);
	g_assert_cmpuint(size, ==, 0);
	ks_close(ks);
}

/* The smallest buffer needs many calls and loses nothing. Memory behind it is not written. */
static void buffer_smallest(void)
{
	_Alignas(8) static char buf[KS_RECORD_MAX + 8];
	uint64_t n = 0;
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = fault_open(NULL);
	fault_burst(ks, 5);
	work_pin(0);
	for (int i = 0; i < 200; i++)
		syscall(SYS_getppid);
	memset(buf, 0x5a, sizeof(buf));
	while (n < 1000) {
		const struct ks_event *ev = NULL;
		size_t size;
		int rc = ks_read_events(ks, buf, KS_RECORD_MAX, -1, &size), walked = 0;

		g_assert_cmpint(rc, >, 0);
		g_assert_cmpuint(size, <=, KS_RECORD_MAX);
		while ((ev = ks_next_event(buf, size, ev))) {
			const struct ks_event_burst_record *rec = (const void *)ev;

			g_assert_cmpuint(ev->id, ==, BURST_EVENT);
			g_assert_cmpuint(rec->sequence, ==, n++);
			walked++;
		}
		g_assert_cmpint(walked, ==, rc);
		g_assert_cmphex((unsigned char)buf[KS_RECORD_MAX], ==, 0x5a);
	}
	work_unpin();
	fault_settle(ks, BURST_PROBE);
	ks_close(ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/descriptors/open", descriptors_open);
	g_test_add_func("/descriptors/locked in", descriptors_locked_in);
	g_test_add_data_func("/descriptors/ring", NULL, descriptors);
	g_test_add_data_func("/descriptors/perf", GSIZE_TO_POINTER(KS_FEATURE_RINGBUF),
			     descriptors);
	g_test_add_data_func("/memory/raised", raised, memory);
	g_test_add_data_func("/files/size", fileless, memory);
	g_test_add_data_func("/memory/not-raised", not_raised, memory);
	g_test_add_data_func("/memory/raised-for-nothing", raised_for_nothing, memory);
	for (size_t i = 0; i < G_N_ELEMENTS(inputs); i++) {
		char *path = g_strconcat("/input/", inputs[i].name, NULL);

		g_test_add_data_func(path, &inputs[i], input);
		g_free(path);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(outputs); i++) {
		char *path = g_strconcat("/output/", outputs[i].name, NULL);

		g_test_add_data_func(path, &outputs[i], output);
		g_free(path);
	}
	g_test_add_func("/buffers/refused", buffers_refused);
	g_test_add_func("/buffers/smallest", buffer_smallest);
	return g_test_run();
}
