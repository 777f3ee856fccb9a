/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that if a machine hides or breaks something that the library needs (BTF, tracefs, bpf(),
 * perf_event_open()), exactly the variants that need it fail. Each of these says why, the others
 * count as always, a fallback serves what is left, and nothing is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fault.h"

#define BTF_DIR "/sys/kernel/btf"
#define BTF BTF_DIR "/vmlinux"
#define TRACEFS "/sys/kernel/tracing"
#define DEBUGFS "/sys/kernel/debug"

/* Part of the reason for each variant; NULL: it works. */
struct expect {
	const char *tp_btf, *raw_tp, *tracepoint;
};

static void expect_variant(struct ks *ks, uint32_t probe, const char *variant, const char *word)
{
	const char *const words[] = { word, NULL };

	if (word)
		fault_refused(ks, probe, variant, words);
	else
		fault_exact(ks, probe, variant);
}

/*
 * Tries both probes with each variant, then with the default: kernel programs if a variant works,
 * else the fallback.
 */
static void expect(const struct ks_open_opts *opts, const struct expect *e)
{
	static const char no_helper[] = "bpf_get_current_task_btf";
	const uint32_t probes[] = { KS_PROBE_PROC, KS_PROBE_FADVISE };
	int none = e->tp_btf && e->raw_tp && e->tracepoint;
	unsigned before = counters_descriptors();
	struct ks *ks = fault_open(opts);

	for (size_t i = 0; i < G_N_ELEMENTS(probes); i++) {
		int lacks = strcmp(fault_typed(probes[i]), "tp_btf") != 0;

		/* programs are loaded before perf buffers are opened */
		if (lacks && (!e->tp_btf || (opts && opts->features_off)))
			expect_variant(ks, probes[i], "tp_btf", no_helper);
		else
			expect_variant(ks, probes[i], "tp_btf", e->tp_btf);
		expect_variant(ks, probes[i], "raw_tp", e->raw_tp);
		expect_variant(ks, probes[i], "tracepoint", e->tracepoint);
	}
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, NULL), none);
	if (none)
		expect_variant(ks, KS_PROBE_FADVISE, NULL, "no fallback");
	g_assert_cmpint(ks_check(ks, KS_JSON, NULL, 0), >, 0);
	g_assert_cmpint(ks_explain(ks, KS_JSON, NULL, 0), >, 0);
	fault_settle(ks, KS_PROBE_PROC);
	ks_close(ks);
	g_assert_cmpuint(counters_descriptors(), ==, before);
}

/* ---- BTF: other files replace the kernel's --------------------------------------------------- */

static const char hidden[] = "is missing";

static void btf_hidden(const void *data)
{
	const struct expect e = { hidden, hidden, hidden };

	(void)data;
	fault_private_mounts();
	fault_hide(BTF_DIR);
	expect(NULL, &e);
}

static char *own_btf(gsize *ret_size)
{
	char *bytes;

	g_assert_true(g_file_get_contents(BTF, &bytes, ret_size, NULL));
	g_assert_cmpuint(*ret_size, >, 1 << 20);
	return bytes;
}

/* The kernel's BTF is hidden, and btf_path has a copy: enough for programs without BTF types. */
static void btf_hidden_but_copied(const void *data)
{
	const struct expect e = { hidden, NULL, NULL };
	struct ks_open_opts opts = { .size = sizeof(opts) };
	gsize size;
	char *bytes, *path;

	(void)data;
	fault_private_mounts();
	bytes = own_btf(&size);
	path = fault_file(bytes, size);
	opts.btf_path = path;
	fault_hide(BTF_DIR);
	expect(&opts, &e);
	g_free(path);
	g_free(bytes);
}

/* Programs are relocated to a copy of the BTF. */
static void btf_copied(const void *data)
{
	const struct expect e = { NULL, NULL, NULL };
	struct ks_open_opts opts = { .size = sizeof(opts) };
	gsize size;
	char *bytes, *path;

	(void)data;
	fault_private_mounts();
	bytes = own_btf(&size);
	path = fault_file(bytes, size);
	opts.btf_path = path;
	expect(&opts, &e);
	g_free(path);
	g_free(bytes);
}

enum damage { EMPTY, HEAD, HALF, GARBAGE, MAGIC, VERSION, LENGTHS, STRINGS, DAMAGES };

static char *damaged(enum damage how)
{
	gsize size;
	char *bytes = own_btf(&size), *path;
	uint32_t *words =
		(uint32_t *)(void *)bytes; /* magic … hdr_len type_off type_len str_off str_len */

	switch (how) {
	case EMPTY:
		size = 0;
		break;
	case HEAD:
		size = 10;
		break;
	case HALF:
		size /= 2;
		break;
	case GARBAGE:
		for (gsize i = 0; i < size; i++)
			bytes[i] = (char)(i * 2654435761u >> 13);
		break;
	case MAGIC:
		bytes[0] ^= 1;
		break;
	case VERSION:
		bytes[2] = 99;
		break;
	case LENGTHS:
		words[3] = words[5] = UINT32_MAX - 8;
		break;
	default: /* a type is cut in the middle */
		words[3] -= 4;
		break;
	}
	path = fault_file(bytes, size);
	g_free(bytes);
	return path;
}

/* As btf_path, while the kernel's own BTF is there. */
static void btf_path_damaged(const void *data)
{
	const struct expect e = { "BTF", "BTF", "BTF" };
	struct ks_open_opts opts = { .size = sizeof(opts) };
	char *path = damaged((enum damage)GPOINTER_TO_INT(data));

	fault_private_mounts();
	opts.btf_path = path;
	expect(&opts, &e);
	g_free(path);
}

/* In place of the kernel's own BTF. */
static void btf_damaged(const void *data)
{
	const struct expect e = { "BTF", "BTF", "BTF" };
	char *path = damaged((enum damage)GPOINTER_TO_INT(data)), *bytes;
	gsize size;

	fault_private_mounts();
	fault_hide(BTF_DIR);
	g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
	g_assert_true(g_file_set_contents(BTF, bytes, (gssize)size, NULL));
	expect(NULL, &e);
	g_free(bytes);
	g_free(path);
}

static void btf_path_strange(const void *data)
{
	const struct expect e = { data, data, data };
	struct ks_open_opts opts = { .size = sizeof(opts), .btf_path = data };

	fault_private_mounts();
	expect(&opts, &e);
}

/* The file is larger than the BTF of any kernel, which no limit of the host causes. */
static void btf_path_huge(const void *data)
{
	static const char words[] = "cannot be read (E2BIG)";
	const struct expect e = { words, words, words };
	struct ks_open_opts opts = { .size = sizeof(opts), .btf_path = fault_file("", 1) };

	(void)data;
	g_assert_cmpint(truncate(opts.btf_path, 1 << 30), ==, 0);
	fault_private_mounts();
	expect(&opts, &e);
}

/* ---- other files ------------------------------------------------------------------------ */

static void tracefs_hidden(const void *data)
{
	const struct expect e = { NULL, NULL, "tracefs is not mounted" };

	(void)data;
	fault_private_mounts();
	fault_hide(TRACEFS);
	fault_hide(DEBUGFS);
	expect(NULL, &e);
}

/* All of /sys is hidden: no BTF, no tracefs, and not even the number of CPUs. */
static void sys_hidden(const void *data)
{
	const struct expect e = { hidden, hidden, hidden };
	struct ks_open_opts opts = { .size = sizeof(opts), .sys_path = data };

	fault_private_mounts();
	expect(&opts, &e);
}

/* Programs work without /proc. The fallback says that it needs it. */
static void proc_hidden(const void *data)
{
	static const char *const words[] = { "procfs", NULL };
	struct ks_open_opts opts = { .size = sizeof(opts), .proc_path = data };
	struct ks *ks = fault_open(&opts);

	fault_refused(ks, KS_PROBE_PROC, "procfs", words);
	fault_exact(ks, KS_PROBE_PROC, NULL);
	fault_exact(ks, KS_PROBE_FADVISE, "raw_tp");
	ks_close(ks);
}

/* ---- seccomp ---------------------------------------------------------------------------- */

struct filter {
	int nr;
	int error;
	uint64_t features_off;
	struct expect expect;
};

static void filtered(const void *data)
{
	const struct filter *f = data;
	struct ks_open_opts opts = { .size = sizeof(opts), .features_off = f->features_off };

	fault_private_mounts();
	fault_filter(f->nr, f->error);
	expect(&opts, &f->expect);
}

/* ---- cases ------------------------------------------------------------------------------ */

struct test {
	void (*fn)(const void *data);
	const void *data;
};

static void run(gconstpointer data)
{
	const struct test *t = data;
	struct fault_kernel since;

	if (!ks_test_root())
		return;
	fault_kernel(&since);
	fault_in_child(t->fn, t->data);
	fault_kernel_clean(&since);
}

static void add(const char *path, void (*fn)(const void *data), const void *data)
{
	struct test t = { fn, data };

	g_test_add_data_func_full(path, g_memdup2(&t, sizeof(t)), run, g_free);
}

static void add_damages(void)
{
	static const char *const names[DAMAGES] = {
		[EMPTY] = "empty",     [HEAD] = "head",       [HALF] = "half",
		[GARBAGE] = "garbage", [MAGIC] = "magic",     [VERSION] = "version",
		[LENGTHS] = "lengths", [STRINGS] = "strings",
	};

	int each = ks_test_volume(DAMAGES, 3) < DAMAGES ?
			   3 :
			   1; /* or only some, where tests are scaled down */

	for (int i = 0; i < DAMAGES; i += each) {
		char *own = g_strconcat("/btf/damaged/", names[i], NULL);
		char *path = g_strconcat("/btf/path-damaged/", names[i], NULL);

		add(own, btf_damaged, GINT_TO_POINTER(i));
		add(path, btf_path_damaged, GINT_TO_POINTER(i));
		g_free(own);
		g_free(path);
	}
}

static const char stay[] = "out of reach since chroot(): call ks_prepare() before chroot(), or";

/* Asserts that the message of the last error has this part. */
static void has_message(struct ks *ks, const char *part)
{
	char text[KS_ERROR_MAX];

	g_assert_cmpint(ks_last_error(ks, text, sizeof(text)), >, 0);
	if (!strstr(text, part))
		g_error("'%s' has no '%s'", text, part);
}

/* Out of reach of /proc and /sys: the fallback and its reason, and nothing is refused for good. */
static void other_root(const void *data)
{
	static const uint32_t probes[] = { KS_PROBE_PROC, KS_PROBE_SCHED };
	static const struct ks_scope tree = { .size = sizeof(tree), .kind = KS_SCOPE_TREE };
	char dir[] = "/tmp/ks-root-XXXXXX";
	int root = open("/", O_PATH | O_DIRECTORY);
	struct ks *ks = fault_open(NULL), *late = fault_open(NULL);
	struct ks_enable_opts none = { .size = sizeof(none), .flags = KS_ENABLE_NO_FALLBACK };
	struct ks_probe_info info = { .size = sizeof(info) };

	(void)data;
	g_assert_nonnull(mkdtemp(dir));
	ks_assert_rc(ks_prepare(late, probes, G_N_ELEMENTS(probes)), G_N_ELEMENTS(probes));
	g_assert_cmpint(chroot(dir), ==, 0);
	ks_assert_rc(ks_prepare(ks, probes, G_N_ELEMENTS(probes)), 0);
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_SCHED, &none), -KS_EUNAVAIL);
	has_message(ks, stay);
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, NULL), 1);
	has_message(ks, stay);
	ks_assert_ok(ks, ks_query_probe(ks, KS_PROBE_PROC, &info));
	g_assert_cmpuint(info.source, ==, KS_SOURCE_FILES);
	/* loaded programs keep working; only those of a tree are not there */
	ks_assert_rc(ks_enable_probe(late, KS_PROBE_PROC, NULL), 0);
	fault_exact(late, KS_PROBE_PROC, NULL);
	ks_assert_rc(ks_enable_probe(late, KS_PROBE_SCHED, NULL), 0);
	ks_assert_rc(ks_set_scope(late, &tree), -KS_EUNAVAIL);
	has_message(late, stay);
	ks_close(late);
	g_assert_cmpint(fchdir(root), ==, 0);
	g_assert_cmpint(chroot("."), ==, 0);
	ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_PROC));
	ks_assert_rc(ks_prepare(ks, probes, G_N_ELEMENTS(probes)), G_N_ELEMENTS(probes));
	for (size_t i = 0; i < G_N_ELEMENTS(probes); i++)
		ks_assert_rc(ks_enable_probe(ks, probes[i], NULL), 0);
	ks_close(ks);
	close(root);
	g_assert_cmpint(rmdir(dir), ==, 0);
}

/* Opened where neither /proc nor /sys is: each call says that they are missing. */
static void bare_root(const void *data)
{
	static const struct ks_scope cgroup = { .size = sizeof(cgroup),
						.kind = KS_SCOPE_CGROUP,
						.cgroup = "/" };
	char dir[] = "/tmp/ks-root-XXXXXX";
	int root = open("/", O_PATH | O_DIRECTORY);
	struct ks *ks;

	(void)data;
	g_assert_nonnull(mkdtemp(dir));
	g_assert_cmpint(chroot(dir), ==, 0);
	ks = fault_open(NULL);
	ks_assert_rc(ks_prepare(ks, NULL, 0), 0);
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, NULL), -KS_EUNAVAIL);
	has_message(ks, "/proc/self/stat cannot be read (not found)");
	has_message(ks, "BTF: /sys/kernel/btf/vmlinux is missing");
	ks_assert_rc(ks_set_scope(ks, &cgroup), -KS_EUNAVAIL);
	has_message(ks, "no cgroup hierarchy is mounted below /sys");
	ks_close(ks);
	g_assert_cmpint(fchdir(root), ==, 0);
	g_assert_cmpint(chroot("."), ==, 0);
	close(root);
	g_assert_cmpint(rmdir(dir), ==, 0);
}

static void chrooted(void)
{
	if (!ks_test_root())
		return;
	fault_in_child(other_root, NULL);
	fault_in_child(bare_root, NULL);
}

int main(int argc, char **argv)
{
	static const char by_filter[] = "seccomp";
	static const struct filter bpf_eperm = {
		SYS_bpf, EPERM, 0, { by_filter, by_filter, by_filter }
	};
	static const struct filter bpf_enosys = {
		SYS_bpf, ENOSYS, 0, { by_filter, by_filter, by_filter }
	};
	static const struct filter perf_eperm = {
		SYS_perf_event_open, EPERM, 0, { NULL, NULL, by_filter }
	};
	static const struct filter perf_enosys = {
		SYS_perf_event_open, ENOSYS, 0, { NULL, NULL, by_filter }
	};
	/* perf buffers are the only transport, and they are refused */
	static const struct filter perf_buffers = {
		SYS_perf_event_open, EPERM, KS_FEATURE_RINGBUF, { by_filter, by_filter, by_filter }
	};

	ks_test_init(&argc, &argv);
	add("/btf/hidden", btf_hidden, NULL);
	add("/btf/copied", btf_copied, NULL);
	add("/btf/hidden-but-copied", btf_hidden_but_copied, NULL);
	add("/btf/path-missing", btf_path_strange, "/nonexistent");
	add("/btf/path-folder", btf_path_strange, "/tmp");
	add("/btf/path-device", btf_path_strange, "/dev/null");
	add("/btf/path-huge", btf_path_huge, NULL);
	add_damages();
	add("/hidden/tracefs", tracefs_hidden, NULL);
	add("/hidden/sys", sys_hidden, "/nonexistent");
	add("/hidden/proc", proc_hidden, "/nonexistent");
	add("/seccomp/bpf-eperm", filtered, &bpf_eperm);
	add("/seccomp/bpf-enosys", filtered, &bpf_enosys);
	add("/seccomp/perf-eperm", filtered, &perf_eperm);
	add("/seccomp/perf-enosys", filtered, &perf_enosys);
	add("/seccomp/perf-buffers", filtered, &perf_buffers);
	g_test_add_func("/hidden/chroot", chrooted);
	return g_test_run();
}
