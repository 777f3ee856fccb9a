/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the parsers of /proc read the right values whatever names processes have, and refuse
 * text that is cut off, too large or of another format, without reading beyond the buffer.
 */
#include <errno.h>
#include <fcntl.h>

#include "files/columns.h"
#include "files/kv.h"
#include "files/member.h"
#include "base/text.h"
#include "support/ks_test.h"

#define BEHIND                                                                       \
	" S 41 40 39 34816 -1 4194368 101 0 0 0 3 4 0 0 20 0 1 0 252403 2998272 359" \
	" 18446744073709551615 94133855006720 94133855030825 140731825702640 0 0 0"  \
	" 0 0 0 0 0 0 17 1 0 0 0 0 0 94133855046672 94133855048288 94134847639552"   \
	" 140731825707702 140731825707731 140731825707731 140731825709034 0\n"

/* Returns a copy without a byte behind it, so that a sanitizer sees reads beyond its end. */
static char *exact(const char *text, size_t length)
{
	char *copy = malloc(length ? length : 1);

	g_assert_nonnull(copy);
	memcpy(copy, text, length);
	return copy;
}

static int parse(const char *text, size_t length, struct ks__stat *ret)
{
	char *copy = exact(text, length);
	int rc = ks__columns_stat(copy, length, ret);

	free(copy);
	return rc;
}

/* ---- columns --------------------------------------------------------------------------------- */

static void assert_behind(const struct ks__stat *stat)
{
	g_assert_cmpint(stat->pid, ==, 42);
	g_assert_cmpint(stat->state, ==, 'S');
	g_assert_cmpuint(stat->column[KS__STAT_PPID], ==, 41);
	g_assert_cmpuint(stat->column[KS__STAT_SESSION], ==, 39);
	g_assert_cmpint((int64_t)stat->column[8], ==, -1);
	g_assert_cmpuint(stat->column[KS__STAT_FLAGS], ==, 0x400040);
	g_assert_cmpuint(stat->column[KS__STAT_THREADS], ==, 1);
	g_assert_cmpuint(stat->column[KS__STAT_START], ==, 252403);
	g_assert_cmpuint(stat->column[25], ==, UINT64_MAX);
	g_assert_cmpuint(stat->column[KS__STAT_CODE], ==, 94133855006720);
	g_assert_cmpuint(stat->column[KS__STAT_STACK], ==, 140731825702640);
}

static void test_comm(gconstpointer data)
{
	const char *comm = data;
	char *text = g_strdup_printf("42 (%s)" BEHIND, comm);
	struct ks__stat stat;

	ks_assert_rc(parse(text, strlen(text), &stat), 0);
	assert_behind(&stat);
	g_assert_cmpstr(stat.comm, ==, comm);
	g_free(text);
}

/* Names of kernel workers may have more than 15 bytes. */
static void test_long_comm(void)
{
	const char text[] = "42 (kworker/u8:2-events_unbound)" BEHIND;
	struct ks__stat stat;

	ks_assert_rc(parse(text, strlen(text), &stat), 0);
	g_assert_cmpstr(stat.comm, ==, "kworker/u8:2-ev");
	assert_behind(&stat);
}

/* For a line cut at any byte: a cut number is never taken for a smaller number. */
static void test_stat_cut(void)
{
	const char text[] = "42 (a) b)" BEHIND;
	const size_t enough = strstr(text, " 0 0 0 0 0 0 0 0 0 17") - text + 1;
	struct ks__stat stat, before;
	size_t length;

	memset(&before, 0x5a, sizeof(before));
	for (length = 0; length < enough; length++) {
		stat = before;
		ks_assert_rc(parse(text, length, &stat), -EINVAL);
		g_assert_cmpmem(&stat, sizeof(stat), &before, sizeof(before));
	}
	for (; length <= strlen(text); length++)
		ks_assert_rc(parse(text, length, &stat), 0);
}

static void test_stat_hostile(void)
{
	static const struct {
		const char *text;
		int rc;
	} cases[] = {
		{ "", -EINVAL },
		{ ")", -EINVAL },
		{ "42", -EINVAL },
		{ "42 ", -EINVAL },
		{ "42 )", -EINVAL },
		{ "42 (", -EINVAL },
		{ "42 ()", -EINVAL },
		{ "42 ) (" BEHIND, -EINVAL },
		{ "42 [a]" BEHIND, -EINVAL },
		{ "42 [a)" BEHIND, -EINVAL },
		{ "42 (a)\tS 1 1 1" BEHIND, -EINVAL },
		{ "a (b)" BEHIND, -EINVAL },
		{ "42 (a)S 1 1 1" BEHIND, -EINVAL },
		{ "42 (a) S 1 1 x 1", -EINVAL },
		{ "42 (a) S 1 - 1 1", -EINVAL },
		{ "2147483648 (a)" BEHIND, -ERANGE },
		{ "18446744073709551616 (a)" BEHIND, -ERANGE },
		{ "42 (a) S 99999999999999999999 1 1 1", -ERANGE },
		{ "42 (a) S -9223372036854775809 1 1 1", -ERANGE },
	};
	struct ks__stat stat;
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(cases); i++)
		ks_assert_rc(parse(cases[i].text, strlen(cases[i].text), &stat), cases[i].rc);
}

static void test_numbers(void)
{
	const char text[] = "  1\t22 -9223372036854775808 18446744073709551615\n";
	uint64_t n[4];

	ks_assert_rc(ks__columns_numbers(text, strlen(text), n, 4), 0);
	g_assert_cmpuint(n[0], ==, 1);
	g_assert_cmpuint(n[1], ==, 22);
	g_assert_cmpint((int64_t)n[2], ==, INT64_MIN);
	g_assert_cmpuint(n[3], ==, UINT64_MAX);
	ks_assert_rc(ks__columns_numbers(text, strlen(text) - 1, n, 4), -EINVAL);
	ks_assert_rc(ks__columns_numbers("1 2\n", 4, n, 3), -EINVAL);
	ks_assert_rc(ks__columns_numbers("18446744073709551616\n", 21, n, 1), -ERANGE);
	ks_assert_rc(ks__columns_numbers("", 0, n, 0), 0);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static const char status[] = "Name:\tUid:\t7\\n\n"
			     "Umask:\t0022\n"
			     "Uid:\t1000\t1001\t1002\t1003\n"
			     "Uid:\t5\n"
			     "Groups:\t \n"
			     "VmRSS:\t    3060 kB\n"
			     "Empty:\n"
			     "NSpid:\t12";

static void test_find(void)
{
	const char *value;
	size_t length;

	ks_assert_rc(ks__kv_find(status, strlen(status), "Umask", &value, &length), 0);
	g_assert_cmpmem(value, length, "0022", 4);
	ks_assert_rc(ks__kv_find(status, strlen(status), "VmRSS", &value, &length), 0);
	g_assert_cmpmem(value, length, "3060 kB", 7);
	ks_assert_rc(ks__kv_find(status, strlen(status), "Empty", &value, &length), 0);
	g_assert_cmpuint(length, ==, 0);
	ks_assert_rc(ks__kv_find(status, strlen(status), "Vm", &value, &length), -ENOENT);
	ks_assert_rc(ks__kv_find(status, strlen(status), "VmRSSx", &value, &length), -ENOENT);
	ks_assert_rc(ks__kv_find(status, strlen(status), "NSpid", &value, &length), -ENOENT);
	ks_assert_rc(ks__kv_find(status, 0, "Name", &value, &length), -ENOENT);
}

static void test_key_numbers(void)
{
	uint64_t value = 77;

	ks_assert_rc(ks__kv_number(status, strlen(status), "Uid", 0, &value), 0);
	g_assert_cmpuint(value, ==, 1000);
	ks_assert_rc(ks__kv_number(status, strlen(status), "Uid", 3, &value), 0);
	g_assert_cmpuint(value, ==, 1003);
	ks_assert_rc(ks__kv_number(status, strlen(status), "VmRSS", 0, &value), 0);
	g_assert_cmpuint(value, ==, 3060);
	ks_assert_rc(ks__kv_number(status, strlen(status), "Uid", 4, &value), -EINVAL);
	ks_assert_rc(ks__kv_number(status, strlen(status), "VmRSS", 1, &value), -EINVAL);
	ks_assert_rc(ks__kv_number(status, strlen(status), "Groups", 0, &value), -EINVAL);
	ks_assert_rc(ks__kv_number(status, strlen(status), "Empty", 0, &value), -EINVAL);
	ks_assert_rc(ks__kv_number(status, strlen(status), "Gid", 0, &value), -ENOENT);
	g_assert_cmpuint(value, ==, 3060);
}

/* vmstat has no colons. meminfo has brackets in its keys. */
static void test_other_files(void)
{
	const char vmstat[] =
		"pgscan_direct 5\npgscan_direct_throttle 0\npgscan_file 18446744073709551615\n";
	const char meminfo[] = "MemTotal:        4028340 kB\nActive(anon):     59784 kB\n";
	const char wrong[] = "a 18446744073709551616\n";
	uint64_t value;

	ks_assert_rc(ks__kv_number(vmstat, strlen(vmstat), "pgscan_direct_throttle", 0, &value), 0);
	g_assert_cmpuint(value, ==, 0);
	ks_assert_rc(ks__kv_number(vmstat, strlen(vmstat), "pgscan_file", 0, &value), 0);
	g_assert_cmpuint(value, ==, UINT64_MAX);
	ks_assert_rc(ks__kv_number(meminfo, strlen(meminfo), "Active(anon)", 0, &value), 0);
	g_assert_cmpuint(value, ==, 59784);
	ks_assert_rc(ks__kv_number(wrong, strlen(wrong), "a", 0, &value), -ERANGE);
}

/* For a file cut at any byte: a key is found only if its whole line is there. */
static void test_key_cut(void)
{
	const size_t enough = strstr(status, "Uid:\t5") - status;
	uint64_t value;
	size_t length;

	for (length = 0; length <= strlen(status); length++) {
		char *copy = exact(status, length);

		ks_assert_rc(ks__kv_number(copy, length, "Uid", 3, &value),
			     length < enough ? -ENOENT : 0);
		free(copy);
	}
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Expects the path in the memory controller's line, else in the line of cgroup v2. */
static void expect_member(const char *text, const char *want)
{
	size_t length = 0;
	const char *path = ks__member_path(text, strlen(text), &length);

	if (!want) {
		g_assert_null(path);
		return;
	}
	g_assert_cmpmem(path, length, want, strlen(want));
}

static void test_member(void)
{
	expect_member("0::/a.slice/b.service\n", "/a.slice/b.service");
	expect_member("4:cpu,cpuacct:/x\n3:memory:/y\n0::/z\n", "/y");
	expect_member("0::/z\n4:hugetlb,memory,rdma:/y: with colons\n", "/y: with colons");
	expect_member("4:memory2:/x\n0::/\n", "/");
	expect_member("1:name=systemd:/x\n", NULL);
	expect_member("3:memory:/cut", NULL);
	expect_member("", NULL);
	expect_member("\n:\n::\n", "");
}

static void test_read(void)
{
	char *dir = g_dir_make_tmp("ks-parsers-XXXXXX", NULL), buf[8192];
	char *path = g_build_filename(dir, "file", NULL);
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	memset(buf, 'x', sizeof(buf));
	g_assert_true(g_file_set_contents(path, "0123456789", 10, NULL));
	g_assert_cmpint(ks__text_read(fd, "file", buf, sizeof(buf)), ==, 10);
	g_assert_cmpmem(buf, 11, "0123456789x", 11);
	g_assert_cmpint(ks__text_read(fd, "file", buf, 4), ==, 4);
	g_assert_cmpint(ks__text_read(fd, "none", buf, sizeof(buf)), ==, -ENOENT);
	g_assert_cmpint(ks__text_read(fd, ".", buf, sizeof(buf)), ==, -EISDIR);
	g_assert_cmpint(ks__text_read(1 << 20, "file", buf, sizeof(buf)), ==, -EBADF);
	g_assert_cmpint(ks__text_read(-1, "file", buf, sizeof(buf)), ==, -ENOENT); /* no /proc */
	g_assert_true(g_file_set_contents(path, "", 0, NULL));
	g_assert_cmpint(ks__text_read(fd, "file", buf, sizeof(buf)), ==, 0);

	close(fd);
	g_assert_cmpint(unlink(path), ==, 0);
	g_assert_cmpint(rmdir(dir), ==, 0);
	g_free(path);
	g_free(dir);
}

/* Reads the kernel's own files. vmstat is longer than one read() returns. */
static void test_real(void)
{
	char *buf = g_malloc(65536);
	struct ks__stat stat;
	ssize_t length;
	uint64_t value;
	int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	length = ks__text_read(fd, "self/stat", buf, 65536);
	g_assert_cmpint(length, >, 0);
	ks_assert_rc(ks__columns_stat(buf, (size_t)length, &stat), 0);
	g_assert_cmpint(stat.pid, ==, getpid());
	g_assert_cmpuint(stat.column[KS__STAT_PPID], ==, (uint64_t)getppid());
	g_assert_cmpuint(stat.column[KS__STAT_SESSION], ==, (uint64_t)getsid(0));
	length = ks__text_read(fd, "self/status", buf, 65536);
	ks_assert_rc(ks__kv_number(buf, (size_t)length, "Uid", 0, &value), 0);
	g_assert_cmpuint(value, ==, getuid());
	length = ks__text_read(fd, "meminfo", buf, 65536);
	ks_assert_rc(ks__kv_number(buf, (size_t)length, "MemTotal", 0, &value), 0);
	g_assert_cmpuint(value, >, 0);
	close(fd);
	g_free(buf);
}

int main(int argc, char **argv)
{
	static const char *const comms[][2] = {
		{ "plain", "cat" },
		{ "empty", "" },
		{ "spaces", "a  b c" },
		{ "brackets", "((a)) (b)" },
		{ "closing", ")))" },
		{ "newline", "a\nb\n" },
		{ "another line", "a) R 1 2 3" },
		{ "bytes", "\xff\x01\t" },
	};
	size_t i;

	ks_test_init(&argc, &argv);
	for (i = 0; i < G_N_ELEMENTS(comms); i++) {
		char *name = g_strdup_printf("/parsers/stat/comm/%s", comms[i][0]);

		g_test_add_data_func(name, comms[i][1], test_comm);
		g_free(name);
	}
	g_test_add_func("/parsers/stat/long comm", test_long_comm);
	g_test_add_func("/parsers/stat/cut", test_stat_cut);
	g_test_add_func("/parsers/stat/hostile", test_stat_hostile);
	g_test_add_func("/parsers/columns", test_numbers);
	g_test_add_func("/parsers/keys/find", test_find);
	g_test_add_func("/parsers/keys/numbers", test_key_numbers);
	g_test_add_func("/parsers/keys/other files", test_other_files);
	g_test_add_func("/parsers/keys/cut", test_key_cut);
	g_test_add_func("/parsers/member", test_member);
	g_test_add_func("/parsers/read", test_read);
	g_test_add_func("/parsers/real", test_real);
	return g_test_run();
}
