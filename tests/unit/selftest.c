/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a self-test names each kind of event that was caused and not counted, and judges no
 * other; that its child is never left behind; that its options are checked and kept; and that an
 * action of a probe that the kernel refuses is not taken for done.
 */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../fault/fault.h"
#include "probes/rawcall.h"
#include "support/counters.h"
#include "support/fake_source.h"
#include "support/ks_test.h"

#define SILENT(kinds)                                                              \
	"proc: the self-test caused events that were not counted (" kinds "): is " \
	"kernel.ftrace_enabled 0, or the kernel's event disabled?"

/* ---- what the child does --------------------------------------------------------------------- */

/* The child shares the memory of the test. */
static int ran, folder_flags;

static int RAW_CODE run(int dir_fd)
{
	(void)dir_fd;
	ran++;
	return 0;
}

static int RAW_CODE run_not(int dir_fd)
{
	(void)dir_fd;
	ran++;
	return -EPERM;
}

static int RAW_CODE see_folder(int dir_fd)
{
	folder_flags = (int)raw6(SYS_fcntl, dir_fd, F_GETFL, 0, 0, 0, 0);
	return 0;
}

static int RAW_CODE sleep_on(int dir_fd)
{
	(void)dir_fd;
	for (;;)
		raw6(SYS_ppoll, 0, 0, 0, 0, 0, 0);
	return 0;
}

static int RAW_CODE die(int dir_fd)
{
	(void)dir_fd;
	return (int)raw6(SYS_kill, raw6(SYS_getpid, 0, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0, 0);
}

/* ---- helpers --------------------------------------------------------------------------------- */

static struct ks__probe changed;

static void begin_on(const struct ks__provocation *kinds)
{
	begin();
	changed = *ks->slots[PROBE].probe;
	if (kinds)
		changed.provocations = kinds;
	ks->slots[PROBE].probe = &changed;
	ran = 0;
	ks_assert_rc(enable(NULL, 0), 0);
}

static void no_child_is_left(void)
{
	g_assert_cmpint(waitpid(-1, NULL, __WALL | WNOHANG), ==, -1);
	g_assert_cmpint(errno, ==, ECHILD);
}

static void selftest_is(int rc, uint16_t state)
{
	unsigned before = counters_descriptors();

	ks_assert_rc(ks_selftest(ks, PROBE, NULL), rc);
	g_assert_cmpuint(query().state, ==, state);
	g_assert_cmpint(programs.admitted_pid, ==, 0); /* the child is out of scope again */
	g_assert_cmpuint(counters_descriptors(), ==, before);
	no_child_is_left();
}

/* ---- kinds ----------------------------------------------------------------------------------- */

/* The kinds of the probe itself. Counting is on during the test only, if it was off. */
static void test_named(void)
{
	uint64_t before;

	begin();
	ks_assert_rc(ks_selftest(ks, PROBE, NULL), -KS_EOFF);
	sentence("proc is off: enable it first");
	ks_assert_rc(enable(NULL, KS_ENABLE_NO_STATS), 0);
	before = ks__now();
	selftest_is(-KS_ESILENT, KS_STATE_SILENT);
	sentence(SILENT("fork, exec, exit"));
	g_assert_cmpuint(query().changed_ns, >=, before);
	g_assert_cmpuint(programs.admitted, ==, 2);
	g_assert_cmpuint(programs.set.flags & KS_ENABLE_NO_STATS, ==, KS_ENABLE_NO_STATS);
	programs.on_admit_execs = 1;
	selftest_is(-KS_ESILENT, KS_STATE_SILENT);
	sentence(SILENT("fork, exit"));
	programs.on_admit_processes = 2;
	selftest_is(-KS_ESILENT, KS_STATE_SILENT);
	sentence(SILENT("exit"));
	programs.read_rc = -EIO;
	ks_assert_rc(ks_selftest(ks, PROBE, NULL), -EIO);
	no_child_is_left();
	end();
}

/* All that is caused is counted: the answer is how many kinds, and a silent probe is on again. */
static void test_counted(void)
{
	static const struct ks__provocation kinds[] = { { "a", "processes", run },
							{ "b", "execs", run },
							{ 0 } };
	uint64_t silent_ns;

	begin_on(kinds);
	selftest_is(-KS_ESILENT, KS_STATE_SILENT);
	sentence(SILENT("a, b"));
	g_assert_cmpint(ran, ==, 2);
	silent_ns = query().changed_ns;
	programs.on_admit_processes = 1;
	programs.on_admit_execs = 3;
	selftest_is(2, KS_STATE_ON);
	g_assert_cmpint(ran, ==, 4);
	g_assert_cmpuint(query().changed_ns, >, silent_ns);
	silent_ns = query().changed_ns;
	selftest_is(2, KS_STATE_ON);
	g_assert_cmpuint(query().changed_ns, ==, silent_ns); /* no change */
	end();
}

/* What the child could not do, and what the variant does not count, is not judged. */
static void test_not_judged(void)
{
	static const struct ks__provocation kinds[] = {
		{ "a", "execs", run_not }, { "b", "threads", run }, { "c", "processes", run }, { 0 }
	};
	static const struct ks__provocation none[] = { { "a", "execs", run_not }, { 0 } };
	uint64_t before;

	begin_on(kinds);
	atomic_store(&ks->slots[PROBE].valid, ALL & ~(uint64_t)KS_HAS_PROC_THREADS);
	selftest_is(-KS_ESILENT, KS_STATE_SILENT);
	sentence(SILENT("c"));
	g_assert_cmpint(ran, ==, 3);
	programs.on_admit_processes = 1;
	selftest_is(1, KS_STATE_ON);
	end();
	begin_on(none);
	before = query().changed_ns;
	selftest_is(0, KS_STATE_ON);
	g_assert_cmpuint(query().changed_ns, ==, before);
	end();
}

/* A list of names that does not fit is cut after 127 bytes. */
static void test_long(void)
{
#define TEN "0123456789"
#define FORTY TEN TEN TEN TEN
	static const struct ks__provocation kinds[] = {
		{ "10" FORTY, "execs", run }, { "20" FORTY, "execs", run },
		{ "30" FORTY, "execs", run }, { "40" FORTY, "execs", run },
		{ "50" FORTY, "execs", run }, { 0 }
	};

	begin_on(kinds);
	selftest_is(-KS_ESILENT, KS_STATE_SILENT);
	g_assert_cmpint(ran, ==, 5);
	sentence(SILENT("10" FORTY ", 20" FORTY ", 30" TEN TEN TEN "0123456"));
	end();
}

/* A counter that the probe does not have is a fault of the table. */
static void test_wrong_table(void)
{
	static const struct ks__provocation kinds[] = { { "a", "no_such_counter", run }, { 0 } };

	begin_on(kinds);
	selftest_is(-EINVAL, KS_STATE_ON);
	g_assert_cmpint(ran, ==, 0);
	end();
}

/* ---- the child ------------------------------------------------------------------------------- */

/* If the source cannot admit the child, it causes nothing. */
static void test_not_admitted(void)
{
	static const struct ks__provocation kinds[] = { { "a", "execs", run }, { 0 } };

	begin_on(kinds);
	programs.admit_rc = -ENOMEM;
	selftest_is(-ENOMEM, KS_STATE_ON);
	g_assert_cmpint(ran, ==, 0);
	g_assert_cmpuint(programs.admitted, ==, 2);
	programs.admit_rc = 0;
	programs.apply_rc = -EIO; /* nor if it cannot count */
	selftest_is(-EIO, KS_STATE_ON);
	g_assert_cmpint(ran, ==, 0);
	g_assert_cmpuint(programs.admitted, ==, 2);
	end();
}

/* A child that does not end is killed when its time is over. */
static void test_killed(void)
{
	static const struct ks__provocation kinds[] = { { "a", "execs", sleep_on }, { 0 } };
	const struct ks_selftest_opts opts = { .size = sizeof(opts), .timeout_ms = 20 };
	uint64_t before;

	begin_on(kinds);
	before = ks__now();
	ks_assert_rc(ks_selftest(ks, PROBE, &opts), -ETIMEDOUT);
	g_assert_cmpuint(ks__now() - before, >=, 20000000);
	sentence("proc: the self-test's child did not end within 20 ms");
	g_assert_cmpint(programs.admitted_pid, ==, 0);
	g_assert_cmpuint(query().state, ==, KS_STATE_ON);
	no_child_is_left();
	end();
}

/* A child that a signal ends says nothing about the probe, whatever it has caused before. */
static void test_signalled(void)
{
	static const struct ks__provocation kinds[] = {
		{ "a", "processes", run }, { "b", "execs", die }, { "c", "execs", run }, { 0 }
	};

	begin_on(kinds);
	selftest_is(-ECHILD, KS_STATE_ON);
	sentence("proc: signal 9 ended the self-test's child, as a seccomp filter may");
	g_assert_cmpint(ran, ==, 1);
	end();
}

/* Only a source that can admit the child can be tested. */
static void test_files(void)
{
	begin();
	ks_assert_rc(enable("procfs", 0), 1);
	ks_assert_rc(ks_selftest(ks, PROBE, NULL), 0);
	g_assert_cmpuint(files.admitted, ==, 0);
	g_assert_cmpuint(files.applied, ==, 1); /* by enable() */
	end();
}

/* ---- options --------------------------------------------------------------------------------- */

static void test_options(void)
{
	static const struct ks__provocation kinds[] = { { "a", "execs", see_folder }, { 0 } };
	struct ks_selftest_opts opts = { .size = sizeof(opts), .timeout_ms = 60000 };
	unsigned before;

	begin_on(kinds);
	before = counters_descriptors();
	ks_assert_rc(ks_selftest(ks, PROBE, &opts), -KS_ESILENT);
	g_assert_cmpint(folder_flags, ==, -EBADF); /* there is none */
	opts.dir = "/proc";
	programs.on_admit_execs = 1;
	ks_assert_rc(ks_selftest(ks, PROBE, &opts), 1);
	g_assert_cmpint(folder_flags & (O_ACCMODE | O_DIRECTORY), ==, O_RDONLY | O_DIRECTORY);
	opts.dir = "/proc/no-such-folder";
	ks_assert_rc(ks_selftest(ks, PROBE, &opts), -ENOENT);
	sentence("self-test: cannot open the directory /proc/no-such-folder");
	for (int i = 0; i < 3; i++) {
		opts = (struct ks_selftest_opts){ .size = i ? sizeof(opts) : 7,
						  .timeout_ms = i == 1 ? 60001 : 60000,
						  .reserved = i == 2 };
		ks_assert_rc(ks_selftest(ks, PROBE, &opts), -EINVAL);
		sentence(
			i ? "ks_selftest_opts: size 24 must be 8 or more, timeout_ms at most "
			    "60000, reserved 0" :
			    "ks_selftest_opts: size 7 must be 8 or more, timeout_ms at most 60000, "
			    "reserved 0");
	}
	g_assert_cmpuint(counters_descriptors(), ==, before);
	end();
}

/* ---- the actions of the probes --------------------------------------------------------------- */

/* A syscall that the action makes and its error, and what the action returns. 0: it works. */
static const struct {
	uint32_t probe;
	const char *kind;
	int folder, number, error, rc;
} actions[] = {
	{ KS_PROBE_PROC, "fork", 0, SYS_getppid, 0, 0 },
	{ KS_PROBE_PROC, "fork", 0, SYS_clone, EAGAIN, EAGAIN },
	{ KS_PROBE_PROC, "exec", 0, SYS_getppid, 0, 0 },
	{ KS_PROBE_PROC, "exec", 0, SYS_memfd_create, EPERM, EPERM },
	{ KS_PROBE_PROC, "exec", 0, SYS_write, ENOSPC, ENOSPC },
	{ KS_PROBE_PROC, "exec", 0, SYS_clone, EAGAIN, EAGAIN },
	{ KS_PROBE_PROC, "exec", 0, SYS_execveat, EPERM, EACCES },
	{ KS_PROBE_SCHED, "switch", 0, SYS_getppid, 0, 0 },
	{ KS_PROBE_SCHED, "switch", 0, SYS_nanosleep, EPERM, EPERM },
	{ KS_PROBE_SCHED, "wake-up", 0, SYS_nanosleep, EINTR, EINTR },
	{ KS_PROBE_FADVISE, "call", 0, SYS_getppid, 0, 0 },
	{ KS_PROBE_FADVISE, "call", 0, SYS_memfd_create, ENOMEM, ENOMEM },
	{ KS_PROBE_FADVISE, "call", 0, SYS_fadvise64, ENOSYS, ENOSYS },
	{ KS_PROBE_FADVISE, "drop", 0, SYS_getppid, 0, ENOENT },
	{ KS_PROBE_FADVISE, "drop", 1, SYS_openat, EACCES, EACCES },
	{ KS_PROBE_FADVISE, "drop", 1, SYS_ftruncate, EFBIG, EFBIG },
	{ KS_PROBE_FADVISE, "drop", 1, SYS_pread64, EIO, EIO },
	{ KS_PROBE_PAGECACHE, "read", 0, SYS_getppid, 0, ENOENT },
	{ KS_PROBE_PAGECACHE, "read", 1, SYS_openat, EACCES, EACCES },
	{ KS_PROBE_PAGECACHE, "miss", 1, SYS_ftruncate, EFBIG, EFBIG },
	{ KS_PROBE_PAGECACHE, "read-in", 1, SYS_pread64, EIO, EIO },
	{ KS_PROBE_PAGECACHE, "eviction", 1, SYS_openat, EROFS, EROFS },
};

#define LEFT_BEHIND 255 /* the action has left a child */

static int act(size_t i)
{
	const struct ks__probe *probe = ks__probe_by_id(actions[i].probe);
	const struct ks__provocation *p = probe->provocations;
	int dir_fd = actions[i].folder ? open(g_get_tmp_dir(), O_PATH | O_DIRECTORY) : -1, rc;

	while (strcmp(p->kind, actions[i].kind))
		p++;
	g_assert_cmpint(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
	if (actions[i].error)
		fault_filter(actions[i].number, actions[i].error);
	rc = -p->run(dir_fd);
	return waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD ? rc : LEFT_BEHIND;
}

static void test_actions(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
		pid_t pid = fork();
		int status;

		if (!pid)
			_exit(act(i));
		g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
		g_test_message("%s, row %zu", actions[i].kind, i);
		g_assert_true(WIFEXITED(status));
		g_assert_cmpint(WEXITSTATUS(status), ==, actions[i].rc);
	}
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/selftest/named", test_named);
	g_test_add_func("/selftest/counted", test_counted);
	g_test_add_func("/selftest/not judged", test_not_judged);
	g_test_add_func("/selftest/long", test_long);
	g_test_add_func("/selftest/wrong table", test_wrong_table);
	g_test_add_func("/selftest/not admitted", test_not_admitted);
	g_test_add_func("/selftest/killed", test_killed);
	g_test_add_func("/selftest/signalled", test_signalled);
	g_test_add_func("/selftest/files", test_files);
	g_test_add_func("/selftest/options", test_options);
	g_test_add_func("/selftest/actions", test_actions);
	return g_test_run();
}
