/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that every failure has its own message: never that of an earlier call, never cut without a
 * mark, never a bit's number in place of its name; that a reader's message needs no handle; and
 * that a probe which works with less says why.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include <kernelsight/kernelsight.h>

#include "base/error.h"
#include "support/ks_test.h"

static struct ks *opened(const struct ks_open_opts *opts)
{
	struct ks *ks = NULL;

	ks_assert_rc(ks_open(opts, &ks), 0);
	return ks;
}

static void is_text(struct ks *ks, const char *want)
{
	char text[KS_ERROR_MAX];

	g_assert_cmpint(ks_last_error(ks, text, sizeof(text)), ==, (int)strlen(want));
	g_assert_cmpstr(text, ==, want);
}

/* A text of n bytes, followed by two-byte characters. */
static void test_cut(void)
{
	char text[16];

	g_assert_cmpint(ks__errors_print(text, sizeof(text), "%s", "123456789012345"), ==, 15);
	g_assert_cmpstr(text, ==, "123456789012345");
	g_assert_cmpint(ks__errors_print(text, sizeof(text), "%s", "1234567890123456"), ==, 16);
	g_assert_cmpstr(text, ==, "123456789012...");
	ks__errors_print(text, sizeof(text), "%s", "12345678901\u00e4\u00e4\u00e4");
	g_assert_cmpstr(text, ==, "12345678901...");
	ks__errors_print(text, 3, "%s", "1234");
	g_assert_cmpstr(text, ==, "12");
}

static void test_longest(void)
{
	struct ks *ks = opened(NULL);
	char path[900], text[2 * KS_ERROR_MAX];
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_CGROUP, .cgroup = path };

	g_assert_cmpint(KS_ERROR_MAX, ==, 512); /* pinned */
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	g_assert_cmpint(ks_set_scope(ks, &scope), <, 0);
	if (ks_last_error(ks, text, sizeof(text)) == KS_ERROR_MAX - 1)
		g_assert_cmpstr(text + KS_ERROR_MAX - 4, ==, "...");
	else
		g_assert_cmpint((int)strlen(text), <, 200); /* without cgroups in the text */
	ks_close(ks);
}

/* Each code, with and without its sign, has its own name and words. */
static void test_codes(void)
{
	static const struct {
		int code;
		const char *name, *words;
	} all[] = {
		{ 0, "OK", "success" },
		{ KS_EUNAVAIL, "KS_EUNAVAIL", "not available on this machine" },
		{ KS_EOFF, "KS_EOFF", "the probe was never enabled" },
		{ KS_EFORKED, "KS_EFORKED", "the handle belongs to the parent process" },
		{ KS_EBALANCE, "KS_EBALANCE", "the ledger does not add up" },
		{ KS_ESILENT, "KS_ESILENT",
		  "attached, but the events of the self-test were not counted" },
		{ KS_ECLOSED, "KS_ECLOSED", "the handle is closed" },
		{ E2BIG, "E2BIG", "members that only a newer release knows are set" },
		{ EACCES, "EACCES", "permission denied" },
		{ EAGAIN, "EAGAIN", "try again" },
		{ EBADF, "EBADF", "bad file descriptor" },
		{ EBUSY, "EBUSY", "another thread is consuming, or this one is inside a callback" },
		{ ECHILD, "ECHILD", "the child process ended too early" },
		{ EEXIST, "EEXIST", "exists already" },
		{ EFAULT, "EFAULT", "bad address" },
		{ EFBIG, "EFBIG", "larger than a file may be (RLIMIT_FSIZE)" },
		{ EINTR, "EINTR", "interrupted by a signal" },
		{ EINVAL, "EINVAL", "invalid argument" },
		{ EIO, "EIO", "input or output error" },
		{ EMFILE, "EMFILE", "too many open descriptors in this process" },
		{ ESTALE, "ESTALE", "a path leads elsewhere than before (chroot, a file server)" },
		{ ENAMETOOLONG, "ENAMETOOLONG", "name too long" },
		{ ENFILE, "ENFILE", "too many open files on this machine" },
		{ ENODEV, "ENODEV", "no such device" },
		{ ENOENT, "ENOENT", "not found" },
		{ ENOMEM, "ENOMEM", "out of memory" },
		{ ENOSPC, "ENOSPC", "no room" },
		{ ENOSYS, "ENOSYS", "this kernel has no such syscall" },
		{ ENOTSUP, "ENOTSUP", "not supported" },
		{ EPERM, "EPERM", "operation not permitted" },
		{ ESRCH, "ESRCH", "no such process or thread" },
		{ ETIMEDOUT, "ETIMEDOUT", "timed out" },
		{ 524, "ENOTSUPP", "not supported" },
		{ 4095, "?", "unknown error" },
		{ INT_MAX, "?", "unknown error" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		g_assert_cmpstr(ks_error_name(all[i].code), ==, all[i].name);
		g_assert_cmpstr(ks_error_name(-all[i].code), ==, all[i].name);
		g_assert_cmpstr(ks_strerror(all[i].code), ==, all[i].words);
		g_assert_cmpstr(ks_strerror(-all[i].code), ==, all[i].words);
	}
}

struct heard {
	int level;
	unsigned times;
	char text[KS_ERROR_MAX];
};

static void hear(int level, const char *text, void *user)
{
	struct heard *heard = user;

	heard->level = level;
	heard->times++;
	g_strlcpy(heard->text, text, sizeof(heard->text));
}

/* A callback gets messages of its level and of more urgent ones; a failure is a warning. */
static void test_log(void)
{
	static struct ks__errors errors;
	struct heard heard = { 0 };

	ks__errors_init(&errors);
	g_assert_cmpuint(errors.log_level, ==, KS_LOG_WARNING);
	ks__errors_log(&errors, KS_LOG_WARNING, "nobody hears"); /* no callback */
	errors.log = hear;
	errors.log_user = &heard;
	for (int level = KS_LOG_ERROR; level <= KS_LOG_DEBUG; level++)
		ks__errors_log(&errors, level, "level %d", level);
	g_assert_cmpuint(heard.times, ==, KS_LOG_WARNING - KS_LOG_ERROR + 1);
	g_assert_cmpint(heard.level, ==, KS_LOG_WARNING);
	errors.log_level = KS_LOG_ERROR;
	ks_assert_rc(ks__errors_fail(&errors, -EIO, "quiet"), -EIO);
	g_assert_cmpuint(heard.times, ==, KS_LOG_WARNING - KS_LOG_ERROR + 1);
	errors.log_level = KS_LOG_DEBUG;
	ks_assert_rc(ks__errors_fail(&errors, -EIO, "loud %d", 7), -EIO);
	g_assert_cmpuint(heard.times, ==, KS_LOG_WARNING - KS_LOG_ERROR + 2);
	g_assert_cmpint(heard.level, ==, KS_LOG_WARNING);
	g_assert_cmpstr(heard.text, ==, "loud 7");
	ks__errors_note(&errors, "50% noted");
	g_assert_cmpuint(heard.times, ==, KS_LOG_WARNING - KS_LOG_ERROR + 2);
	ks_assert_rc(ks__errors_last(&errors, heard.text, sizeof(heard.text)), 9);
	g_assert_cmpstr(heard.text, ==, "50% noted");
	ks__errors_destroy(&errors);
}

static void *fail_in_thread(void *user)
{
	char text[64];

	ks__errors_last(user, text, sizeof(text));
	g_assert_cmpstr(text, ==, ""); /* of another thread */
	ks__errors_fail(user, -EIO, "thread %d", gettid());
	return NULL;
}

/* Each thread has its own message. If more threads fail than there is room for, the oldest goes. */
static void test_threads(void)
{
	static struct ks__errors errors;
	char text[64];

	ks__errors_init(&errors);
	ks__errors_fail(&errors, -EIO, "main");
	for (unsigned i = 1; i <= KS__ERRORS; i++) {
		GThread *thread = g_thread_new("fails", fail_in_thread, &errors);

		g_thread_join(thread);
		ks__errors_last(&errors, text, sizeof(text));
		g_assert_cmpstr(text, ==, i < KS__ERRORS ? "main" : "");
	}
	ks__errors_destroy(&errors);
}

/* The second call fails without a message of its own. */
static void test_own_sentence(void)
{
	static struct ks__errors errors;
	uint32_t begun;
	char text[KS_ERROR_MAX];

	ks__errors_init(&errors);
	begun = ks__errors_begin(&errors);
	ks__errors_fail(&errors, -EINVAL, "the first");
	ks_assert_rc(ks__errors_end(&errors, begun, -EINVAL, "call"), -EINVAL);
	ks__errors_last(&errors, text, sizeof(text));
	g_assert_cmpstr(text, ==, "the first");
	begun = ks__errors_begin(&errors);
	ks_assert_rc(ks__errors_end(&errors, begun, 3, "call"), 3);
	ks__errors_last(&errors, text, sizeof(text));
	g_assert_cmpstr(text, ==, "the first");
	ks_assert_rc(ks__errors_end(&errors, begun, -ENOMEM, "call"), -ENOMEM);
	ks__errors_last(&errors, text, sizeof(text));
	g_assert_cmpstr(text, ==, "call: out of memory (ENOMEM)");
	ks__errors_destroy(&errors);
}

static void test_names(void)
{
	struct ks_reader_opts by = { .size = sizeof(by), .by = KS_BY_CPU };
	struct ks_reader *reader;
	struct ks *ks = opened(NULL);

	ks_assert_rc(ks_reader_new(ks, KS_PROBE_SELF, &by, &reader), -EINVAL);
	is_text(ks, "self has no rows by CPU; it has rows by total, probe");
	by.by = KS_BY_ROLE | KS_BY_PROCESS | KS_BY_TOTAL;
	ks_assert_rc(ks_reader_new(ks, KS_PROBE_SELF, &by, &reader), -EINVAL);
	is_text(ks, "self has no rows by process, role; it has rows by total, probe");
	by.by = 1 << 20;
	ks_assert_rc(ks_reader_new(ks, KS_PROBE_SELF, &by, &reader), -EINVAL);
	is_text(ks,
		"self has no rows by bits that this library does not know; it has rows by total, "
		"probe");
	by = (struct ks_reader_opts){ .size = sizeof(by), .flags = 2 };
	ks_assert_rc(ks_reader_new(ks, KS_PROBE_SELF, &by, &reader), -EINVAL);
	is_text(ks, "ks_reader_opts: flags may be KS_READ_DELTA, reserved must be 0");
	ks_close(ks);
}

/* The library's own probe is always on, and it has no events that a self-test could cause. */
static void test_own_probe(void)
{
	struct ks *ks = opened(NULL);

	ks_assert_rc(ks_selftest(ks, KS_PROBE_SELF, NULL), -EINVAL);
	is_text(ks, "self is always on: it cannot be switched, configured or tested");
	ks_assert_rc(ks_disable_probe(ks, KS_PROBE_SELF), -EINVAL);
	is_text(ks, "self is always on: it cannot be switched, configured or tested");
	ks_close(ks);
}

static void test_reader(void)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_reader *reader, *self;
	struct ks *ks = opened(NULL);
	char text[KS_ERROR_MAX];

	ks_assert_rc(ks_reader_new(ks, KS_PROBE_PROC, NULL, &reader), 0);
	ks_assert_rc(ks_reader_new(ks, KS_PROBE_SELF, NULL, &self), 0);
	ks_assert_rc(ks_reader_error(reader, text, sizeof(text)), 0);
	g_assert_cmpstr(text, ==, "");
	ks_assert_rc(ks_reader_error(NULL, text, sizeof(text)), -EINVAL);
	ks_assert_rc(ks_reader_error(reader, NULL, 1), -EINVAL);
	ks_assert_rc(ks_read_stats(reader, &stats), -KS_EOFF);
	ks_assert_rc(ks_reader_error(reader, text, sizeof(text)), 22);
	g_assert_cmpstr(text, ==, "proc was never enabled");
	ks_assert_rc(ks_reader_error(reader, text, 5), 22);
	g_assert_cmpstr(text, ==, "proc");
	ks_assert_rc(ks_read_stats(self, &stats), 0);
	ks_assert_rc(ks_reader_error(self, NULL, 0), 0);
	ks_assert_rc(ks_read_stats(self, NULL), -EINVAL);
	ks_reader_error(self, text, sizeof(text));
	g_assert_cmpstr(text, ==, "ks_read_stats: invalid argument (EINVAL)");
	ks_close(ks);
	ks_assert_rc(ks_read_stats(self, &stats), -KS_ECLOSED);
	ks_reader_error(self, text, sizeof(text));
	g_assert_cmpstr(text, ==, "ks_read_stats: the handle is closed (KS_ECLOSED)");
	ks_reader_free(reader);
	ks_reader_free(self);
}

/* A fallback keeps its own reason, not that of an earlier request. */
static void test_less(void)
{
	struct ks_enable_opts opts = { .size = sizeof(opts), .variant = "procfs" };
	struct ks_probe_info info = { .size = sizeof(info) };
	struct ks *ks = opened(NULL);
	char text[KS_ERROR_MAX];

	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, &opts), 1);
	g_assert_cmpint(ks_last_error(ks, text, sizeof(text)), >, 0);
	g_assert_true(g_str_has_prefix(text, "proc is limited to variant procfs: "));
	ks_assert_rc(ks_query_probe(ks, KS_PROBE_PROC, &info), 0);
	g_assert_cmpstr(info.reason, !=, "");
	g_assert_nonnull(strstr(text, info.reason));
	ks_close(ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/errors/cut", test_cut);
	g_test_add_func("/errors/longest", test_longest);
	g_test_add_func("/errors/codes", test_codes);
	g_test_add_func("/errors/log", test_log);
	g_test_add_func("/errors/threads", test_threads);
	g_test_add_func("/errors/own-sentence", test_own_sentence);
	g_test_add_func("/errors/names", test_names);
	g_test_add_func("/errors/own probe", test_own_probe);
	g_test_add_func("/errors/reader", test_reader);
	g_test_add_func("/errors/less", test_less);
	return g_test_run();
}
