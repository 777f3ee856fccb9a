/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a shortage has the remedy of its own resource, whichever call runs into it; and that
 * ks_check() says whether the user namespace is the initial one.
 */
#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "bpf/machine.h"
#include "bpf/stream.h"
#include "fault/fault.h"
#include "support/ks_test.h"

#define USER_NS_INITIAL 0xeffffffdu /* inode of the initial user namespace, fixed by the kernel */

/* ---- shortages ------------------------------------------------------------------------------- */

static const struct shortage {
	int error;
	const char *remedy;
} shortages[] = {
	{ ENFILE, "raise the sysctl fs.file-max" },
	{ EMFILE, "raise RLIMIT_NOFILE" },
};

static void ends_with(const char *text, const char *end)
{
	if (!g_str_has_suffix(text, end))
		g_error("'%s' does not end with '%s'", text, end);
}

static void test_explained(void)
{
	struct ks *ks;

	ks_assert_rc(ks_open(NULL, &ks), 0);
	for (size_t i = 0; i < G_N_ELEMENTS(shortages); i++) {
		char why[256];

		ks__machine_bpf(ks, "maps", -shortages[i].error, why, sizeof(why));
		g_assert_true(g_str_has_prefix(why, "maps: "));
		ends_with(why, shortages[i].remedy);
		ks__machine_perf(ks, "kprobe", -shortages[i].error, why, sizeof(why));
		g_assert_true(g_str_has_prefix(why, "kprobe: "));
		ends_with(why, shortages[i].remedy);
	}
	ks_close(ks);
}

static void refuse(const struct shortage *shortage, int nr, int perf_map_fd)
{
	struct ks_bpf_cpu cpu = { 0 };
	struct ks__stream_opts opts = { .epoll_fd = -1,
					.ring_bytes = 4096,
					.n_cpus = 1,
					.cpus = &cpu,
					.perf_map_fd = perf_map_fd };
	struct ks__stream *stream = NULL;
	char why[256] = "";

	g_assert_cmpint(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
	fault_filter(nr, shortage->error);
	g_assert_cmpint(ks__stream_open(&opts, &stream, why, sizeof(why)), ==, -shortage->error);
	g_assert_null(stream);
	ends_with(why, shortage->remedy);
}

static void refuse_ring(const void *shortage)
{
	refuse(shortage, SYS_bpf, -1);
}

static void refuse_perf_buffer(const void *shortage)
{
	refuse(shortage, SYS_perf_event_open, 0);
}

static void test_streams(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(shortages); i++) {
		fault_in_child(refuse_ring, &shortages[i]);
		fault_in_child(refuse_perf_buffer, &shortages[i]);
	}
}

/* ---- the user namespace ---------------------------------------------------------------------- */

static int says_initial(void)
{
	static char text[1 << 17];
	struct ks *ks;
	int yes, no;

	ks_assert_rc(ks_open(NULL, &ks), 0);
	g_assert_cmpint(ks_check(ks, KS_JSON, text, sizeof(text)), <, (int)sizeof(text));
	ks_close(ks);
	yes = strstr(text, "\"initial_user_namespace\":true") != NULL;
	no = strstr(text, "\"initial_user_namespace\":false") != NULL;
	g_assert_cmpint(yes + no, ==, 1);
	return yes;
}

static void in_new_namespace(const void *data)
{
	(void)data;
	if (unshare(CLONE_NEWUSER))
		return; /* not allowed here */
	g_assert_cmpint(says_initial(), ==, 0);
}

static void test_namespace(void)
{
	struct stat st;

	g_assert_cmpint(stat("/proc/self/ns/user", &st), ==, 0);
	g_assert_cmpint(says_initial(), ==, st.st_ino == USER_NS_INITIAL);
	fault_in_child(in_new_namespace, NULL);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/machine/shortage/explained", test_explained);
	g_test_add_func("/machine/shortage/streams", test_streams);
	g_test_add_func("/machine/user-namespace", test_namespace);
	return g_test_run();
}
