/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a handle belongs to the process that opened it. In a forked child every function
 * returns -KS_EFORKED, except those that release, and these do not disturb the parent. A child that
 * does not release holds programs that do nothing. After exec nothing is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "fault.h"

struct family {
	struct ks *ks;
	struct ks_reader *reader;
	int hold[2]; /* the child waits until this is closed */
};

static int nobody(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	g_assert_not_reached();
}

/* ---- every function --------------------------------------------------------------------- */

static void probes_say_forked(struct ks *ks)
{
	struct ks_variant_info v = { .size = sizeof(v) };
	struct ks_probe_info info = { .size = sizeof(info) };
	struct ks_reader *reader = NULL;
	uint64_t value;

	ks_assert_rc(ks_set_scope(ks, NULL), -KS_EFORKED);
	ks_assert_rc(ks_prepare(ks, NULL, 0), -KS_EFORKED);
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, NULL), -KS_EFORKED);
	ks_assert_rc(ks_disable_probe(ks, KS_PROBE_FADVISE), -KS_EFORKED);
	ks_assert_rc(ks_configure_probe(ks, KS_PROBE_FADVISE, NULL, 0), -KS_EFORKED);
	ks_assert_rc(ks_query_param(ks, KS_PROBE_FADVISE, KS_PARAM_BURST, &value), -KS_EFORKED);
	ks_assert_rc(ks_query_probe(ks, KS_PROBE_FADVISE, &info), -KS_EFORKED);
	ks_assert_rc(ks_query_variant(ks, KS_PROBE_FADVISE, 0, &v), -KS_EFORKED);
	ks_assert_rc(ks_query_valid(ks, KS_PROBE_FADVISE, 1, NULL, 0), -KS_EFORKED);
	ks_assert_rc(ks_reader_new(ks, KS_PROBE_FADVISE, NULL, &reader), -KS_EFORKED);
	g_assert_null(reader);
}

static void all_say_forked(struct family *f)
{
	static _Alignas(8) char buf[KS_RECORD_MAX];
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks *ks = f->ks;
	uint64_t mono;
	int64_t wall;
	size_t size;

	probes_say_forked(ks);
	ks_assert_rc(ks_read_stats(f->reader, &stats), -KS_EFORKED);
	ks_assert_rc(ks_fd(ks), -KS_EFORKED);
	ks_assert_rc(ks_poll(ks, -1, 0, nobody, NULL), -KS_EFORKED);
	ks_assert_rc(ks_read_events(ks, buf, sizeof(buf), -1, &size), -KS_EFORKED);
	ks_assert_rc(ks_wakeup(ks), -KS_EFORKED);
	ks_assert_rc(ks_ledger_check(ks, KS_PROBE_FADVISE), -KS_EFORKED);
	ks_assert_rc(ks_selftest(ks, KS_PROBE_FADVISE, NULL), -KS_EFORKED);
	ks_assert_rc(ks_check(ks, KS_TEXT, buf, sizeof(buf)), -KS_EFORKED);
	ks_assert_rc(ks_explain(ks, KS_TEXT, buf, sizeof(buf)), -KS_EFORKED);
	ks_assert_rc(ks_read_clock(ks, &mono, &wall), -KS_EFORKED);
	ks_assert_rc(ks_last_error(ks, buf, sizeof(buf)), -KS_EFORKED);
}

/* ---- a family --------------------------------------------------------------------------- */

static struct family family_new(uint64_t features_off)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .features_off = features_off };
	struct family f = { .ks = fault_open(&opts) };

	fault_enable(f.ks, KS_PROBE_FADVISE, NULL);
	ks_assert_ok(f.ks, ks_reader_new(f.ks, KS_PROBE_FADVISE, NULL, &f.reader));
	g_assert_cmpint(pipe2(f.hold, O_CLOEXEC), ==, 0);
	fault_advise(5);
	g_assert_cmpuint(fault_drain(f.ks), ==, 5);
	return f;
}

static void family_free(struct family *f)
{
	close(f->hold[0]);
	ks_reader_free(f->reader);
	ks_close(f->ks);
}

static int readable(struct ks *ks, int timeout_ms)
{
	struct pollfd p = { .fd = ks_fd(ks), .events = POLLIN };

	return poll(&p, 1, timeout_ms);
}

/*
 * Runs once: perf buffers are looked at every ten milliseconds, so a late thread may find
 * something.
 */
static char *look(void *ks)
{
	g_assert_cmpuint(fault_drain(ks), ==, 0);
	return ks_test_outside("readable", (uint64_t)readable(ks, 0), 0, 0);
}

/* In the parent, counts, records and wake-ups go on undisturbed. */
static void unharmed(struct family *f, uint64_t so_far)
{
	g_assert_cmpuint(fault_advised(f->ks), ==, so_far);
	ks_test_rounds(look, f->ks);
	fault_advise(3);
	g_assert_cmpint(readable(f->ks, 60000), ==, 1);
	g_assert_cmpuint(fault_drain(f->ks), ==, 3);
	ks_assert_ok(f->ks, ks_wakeup(f->ks));
	g_assert_cmpint(readable(f->ks, 0), ==, 1);
	ks_assert_rc(ks_poll(f->ks, -1, 0, nobody, NULL), 0);
	g_assert_cmpuint(fault_advised(f->ks), ==, so_far + 3);
	ks_assert_ok(f->ks, ks_ledger_check(f->ks, KS_PROBE_FADVISE));
}

/* ---- a child that closes ---------------------------------------------------------------- */

static void child_closes(gconstpointer without)
{
	struct fault_kernel since;
	struct family f;
	unsigned before;
	pid_t pid;

	if (!ks_test_root())
		return;
	fault_kernel(&since);
	before = counters_descriptors();
	f = family_new(GPOINTER_TO_SIZE(without));
	pid = fork();
	if (!pid) {
		all_say_forked(&f);
		fault_advise(2); /* not in the parent's scope */
		ks_reader_free(f.reader);
		ks_close(f.ks);
		g_assert_cmpuint(counters_descriptors(), ==, before + 2); /* those of the pipe */
		_exit(0);
	}
	fault_reap(pid);
	unharmed(&f, 5);
	close(f.hold[1]);
	family_free(&f);
	fault_kernel_clean(&since);
	g_assert_cmpuint(counters_descriptors(), ==, before);
}

/* The child opens a handle of its own, which counts exactly. */
static void child_opens(void)
{
	struct family f;
	pid_t pid;

	if (!ks_test_root())
		return;
	f = family_new(0);
	pid = fork();
	if (!pid) {
		struct ks *own;

		ks_close(f.ks);
		own = fault_open(NULL);
		fault_exact(own, KS_PROBE_FADVISE, NULL);
		fault_exact(own, KS_PROBE_PROC, NULL);
		ks_close(own);
		ks_reader_free(f.reader); /* readers and handle in either order */
		_exit(0);
	}
	fault_reap(pid);
	unharmed(&f, 5);
	close(f.hold[1]);
	family_free(&f);
}

/* ---- a child that lives on -------------------------------------------------------------- */

static void child_lives_on(void)
{
	struct fault_kernel since;
	struct family f;
	struct ks *next;
	pid_t pid;
	char c;

	if (!ks_test_root())
		return;
	fault_kernel(&since);
	f = family_new(0);
	pid = fork();
	if (!pid) {
		close(f.hold[1]);
		_exit(read(f.hold[0], &c, 1) != 0);
	}
	unharmed(&f, 5);
	fault_settle(f.ks, KS_PROBE_FADVISE); /* the child still has the link */
	fault_advise(4);
	g_assert_cmpuint(fault_advised(f.ks), ==, 8);
	g_assert_cmpuint(fault_drain(f.ks), ==, 0);
	fault_enable(f.ks, KS_PROBE_FADVISE, NULL); /* attached twice now; events count once */
	fault_advise(6);
	g_assert_cmpuint(fault_drain(f.ks), ==, 6);
	g_assert_cmpuint(fault_advised(f.ks), ==, 14);
	ks_reader_free(f.reader);
	ks_close(f.ks);
	next = fault_open(NULL);
	fault_exact(next, KS_PROBE_FADVISE, NULL);
	ks_close(next);
	close(f.hold[1]);
	fault_reap(pid);
	close(f.hold[0]);
	fault_kernel_clean(&since);
}

/* ---- locks that were held at the fork --------------------------------------------------- */

static atomic_int stop;

static void *query(void *ks)
{
	struct ks_probe_info info = { .size = sizeof(info) };
	char why[16];

	while (!atomic_load(&stop)) {
		info.size = sizeof(info);
		ks_assert_ok(ks, ks_query_probe(ks, KS_PROBE_FADVISE, &info));
		ks_assert_rc(ks_query_probe(ks, 77, &info), -EINVAL);
		ks_last_error(ks, why, sizeof(why));
	}
	return NULL;
}

/* If the child hangs, the test's timeout ends it. */
static void fork_while_busy(void)
{
	pthread_t thread;
	struct family f;

	if (!ks_test_root())
		return;
	f = family_new(0);
	atomic_store(&stop, 0);
	g_assert_cmpint(pthread_create(&thread, NULL, query, f.ks), ==, 0);
	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (!pid) {
			char why[16];

			ks_assert_rc(ks_set_scope(f.ks, NULL), -KS_EFORKED);
			ks_assert_rc(ks_last_error(f.ks, why, sizeof(why)), -KS_EFORKED);
			ks_close(f.ks);
			_exit(0);
		}
		fault_reap(pid);
	}
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
	unharmed(&f, 5);
	close(f.hold[1]);
	family_free(&f);
}

/* ---- exec ------------------------------------------------------------------------------- */

#define LIST "--list-descriptors"

/* Runs if this program is started with the argument for it: prints the names of its descriptors. */
static int list_descriptors(void)
{
	GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
	const char *fd;

	while (dir && (fd = g_dir_read_name(dir))) {
		char *path = g_build_filename("/proc/self/fd", fd, NULL);
		char *name = g_file_read_link(path, NULL);

		puts(name ? name : "nameless");
		g_free(name);
		g_free(path);
	}
	if (!dir)
		return 1;
	g_dir_close(dir);
	return 0;
}

static char *born_with(void)
{
	char *argv[] = { "/proc/self/exe", LIST, NULL }, *out = NULL;
	int status;

	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_LEAVE_DESCRIPTORS_OPEN, NULL, NULL,
				   &out, NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
	return out;
}

static void after_exec(void)
{
	struct family f;
	char *names;

	if (!ks_test_root())
		return;
	f = family_new(0);
	names = born_with();
	g_assert_nonnull(strstr(names, "/fd")); /* its own descriptor of the folder */
	g_assert_null(strstr(names, "anon_inode"));
	g_assert_null(strstr(names, "bpf"));
	g_free(names);
	unharmed(&f, 5);
	close(f.hold[1]);
	family_free(&f);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], LIST))
		return list_descriptors();
	ks_test_init(&argc, &argv);
	g_test_add_data_func("/fork/child-closes/ring", NULL, child_closes);
	g_test_add_data_func("/fork/child-closes/perf", GSIZE_TO_POINTER(KS_FEATURE_RINGBUF),
			     child_closes);
	g_test_add_func("/fork/child-opens", child_opens);
	g_test_add_func("/fork/child-lives-on", child_lives_on);
	g_test_add_func("/fork/while-busy", fork_while_busy);
	g_test_add_func("/fork/exec", after_exec);
	return g_test_run();
}
