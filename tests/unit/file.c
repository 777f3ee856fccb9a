/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a path from the host or from the machine is opened only if it is a regular file or a
 * folder; that opening never waits for a writer; and that reads and walks stop at their limits.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/text.h"
#include "files/facts.h"
#include "support/counters.h"
#include "support/ks_test.h"

#define HUGE_BYTES ((off_t)1 << 40)

static char *root; /* of the current test */
static int root_fd;

static char *in_root(const char *name)
{
	return g_build_filename(root, name, NULL);
}

static void begin(void)
{
	root = g_dir_make_tmp("ks-file-XXXXXX", NULL);
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(root_fd, >=, 0);
}

static void end(void)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", root, NULL };

	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
	close(root_fd);
	g_free(root);
}

static void make_text(const char *name, const char *text, gssize length)
{
	char *path = in_root(name);

	g_assert_true(g_file_set_contents(path, text, length, NULL));
	g_free(path);
}

/* Makes a sparse regular file of one terabyte. */
static void make_huge(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(ftruncate(fd, HUGE_BYTES), ==, 0);
	close(fd);
}

static void make_socket(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(at.sun_path, path, sizeof(at.sun_path));
	g_assert_cmpint(bind(fd, (const struct sockaddr *)&at, sizeof(at)), ==, 0);
	close(fd);
}

/* ---- what is opened -------------------------------------------------------------------------- */

static void assert_refused(const char *name, int rc)
{
	unsigned before = counters_descriptors();
	char text[8] = "as was";

	ks_assert_rc(ks__file_open(root_fd, name), rc);
	ks_assert_rc(ks__text_read(root_fd, name, text, sizeof(text)), rc);
	g_assert_cmpstr(text, ==, "as was");
	g_assert_cmpuint(counters_descriptors(), ==, before);
}

static void test_refused(void)
{
	char *path;

	begin();
	path = in_root("socket");
	g_assert_cmpint(mkfifoat(root_fd, "fifo", 0600), ==, 0);
	make_socket(path);
	g_assert_cmpint(mkdirat(root_fd, "folder", 0700), ==, 0);
	g_assert_cmpint(symlinkat("fifo", root_fd, "link"), ==, 0);
	g_assert_cmpint(symlinkat("circle", root_fd, "circle"), ==, 0);
	g_assert_cmpint(symlinkat("/dev/zero", root_fd, "device"), ==, 0);
	assert_refused("fifo", -EINVAL);
	assert_refused("link", -EINVAL);
	assert_refused("device", -EINVAL);
	assert_refused("socket", -ENXIO);
	assert_refused("folder", -EISDIR);
	assert_refused("circle", -ELOOP);
	assert_refused("missing", -ENOENT);
	ks_assert_rc(ks__file_folder(root_fd, "fifo"), -ENOTDIR);
	ks_assert_rc(ks__file_place(root_fd, "fifo"), -ENOTDIR);
	ks_assert_rc(ks__file_place(root_fd, "missing"), -ENOENT);
	g_free(path);
	end();
}

static void assert_flags(int fd, int has, int lacks)
{
	int flags = fcntl(fd, F_GETFL);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
	g_assert_cmpint(flags & (has | lacks), ==, has);
	close(fd);
}

static void test_opened(void)
{
	begin();
	make_text("text", "12\n", -1);
	g_assert_cmpint(symlinkat("text", root_fd, "link"), ==, 0);
	assert_flags(ks__file_open(root_fd, "link"), O_NONBLOCK, O_ACCMODE);
	assert_flags(ks__file_folder(root_fd, "."), O_DIRECTORY | O_NONBLOCK, O_ACCMODE);
	assert_flags(ks__file_place(root_fd, "."), O_DIRECTORY | O_PATH, O_ACCMODE);
	end();
}

/* If the host closes a standard descriptor, the library never opens a file under that number. */
static void test_descriptors(void)
{
	int kept = fcntl(0, F_DUPFD_CLOEXEC, 3), fd[3];

	begin();
	make_text("text", "12\n", -1);
	close(0);
	fd[0] = ks__file_open(root_fd, "text");
	fd[1] = ks__file_folder(root_fd, ".");
	fd[2] = ks__file_place(root_fd, ".");
	for (int i = 0; i < 3; i++) {
		g_assert_cmpint(fd[i], >=, 3);
		g_assert_cmpint(fcntl(fd[i], F_GETFD), ==, FD_CLOEXEC);
		close(fd[i]);
	}
	g_assert_cmpint(fcntl(0, F_GETFD), ==, -1);
	if (kept >= 0) {
		g_assert_cmpint(dup2(kept, 0), ==, 0);
		close(kept);
	}
	end();
}

/* ---- reading --------------------------------------------------------------------------------- */

static void test_read(void)
{
	char text[8] = "........";

	begin();
	make_text("text", "123456", -1);
	ks_assert_rc(ks__text_read(root_fd, "text", text, 4), 4);
	g_assert_cmpmem(text, 8, "1234....", 8);
	ks_assert_rc(ks__text_read(root_fd, "text", text, 8), 6);
	g_assert_cmpmem(text, 8, "123456..", 8);
	ks_assert_rc(ks__text_string(root_fd, "text", text, 4), 3);
	g_assert_cmpstr(text, ==, "123");
	end();
}

/*
 * A read that fails is no end of the file, also if bytes were read before; EAGAIN is a wrong file.
 */
static void test_read_fails(void)
{
	char bytes[8] = "........", *text = NULL;
	size_t length = 77;
	int pipe_fd[2], folder;

	begin();
	g_assert_cmpint(pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK), ==, 0);
	g_assert_cmpint(ks__file_read(pipe_fd[0], bytes, 8), ==, -EINVAL);
	g_assert_cmpint(write(pipe_fd[1], "123", 3), ==, 3);
	g_assert_cmpint(ks__file_read(pipe_fd[0], bytes, 8), ==, -EINVAL);
	g_assert_cmpint(ks__file_read(pipe_fd[1], bytes, 8), ==, -EBADF); /* only for writing */
	g_assert_cmpint(write(pipe_fd[1], "123", 3), ==, 3);
	close(pipe_fd[1]);
	g_assert_cmpint(ks__file_read(pipe_fd[0], bytes, 8), ==, 3);
	close(pipe_fd[0]);
	folder = ks__file_folder(root_fd, ".");
	g_assert_cmpint(ks__file_read(folder, bytes, 8), ==, -EISDIR);
	close(folder);
	/* page 0 of a process is not mapped */
	ks_assert_rc(ks__file_whole(AT_FDCWD, "/proc/self/mem", 1 << 20, &text, &length), -EIO);
	g_assert_null(text);
	g_assert_cmpuint(length, ==, 77);
	end();
}

static void assert_whole(gsize length, size_t most, int rc)
{
	char *bytes = g_malloc(length + 1), *text = NULL;
	size_t got = 77;

	memset(bytes, 'x', length);
	make_text("text", bytes, (gssize)length);
	ks_assert_rc(ks__file_whole(root_fd, "text", most, &text, &got), rc);
	g_assert_cmpuint(got, ==, rc ? 77 : length);
	if (!rc) {
		g_assert_cmpmem(text, got, bytes, length);
		g_assert_cmpint(text[got], ==, '\0');
	} else {
		g_assert_null(text);
	}
	free(text);
	g_free(bytes);
}

static void test_whole(void)
{
	size_t length = 77;
	char *text = NULL, *path;

	begin();
	assert_whole(0, 0, 0);
	assert_whole(1, 0, -EFBIG);
	assert_whole(4095, 4095, 0);
	assert_whole(4096, 4096, 0);
	assert_whole(4097, 4096, -EFBIG);
	assert_whole(100000, 100000, 0);
	assert_whole(100001, 100000, -EFBIG);
	path = in_root("huge");
	make_huge(path);
	ks_assert_rc(ks__file_whole(root_fd, "huge", 1 << 20, &text, &length), -EFBIG);
	ks_assert_rc(ks__file_whole(root_fd, "missing", 1 << 20, &text, &length), -ENOENT);
	g_assert_null(text);
	g_assert_cmpuint(length, ==, 77);
	g_free(path);
	end();
}

/* A process's line of groups may be long; the lines behind it are found. */
static void test_status(void)
{
	GString *text = g_string_new("Name:\ta\nGroups:\t");
	uint64_t value = 77;

	begin();
	for (unsigned i = 0; i < 65536; i++)
		g_string_append_printf(text, "%u ", 4294000000u + i);
	g_string_append(text, "\nSeccomp:\t2\nSeccomp_filters:\t1\n");
	g_assert_cmpint(mkdirat(root_fd, "thread-self", 0700), ==, 0);
	make_text("thread-self/status", text->str, -1);
	ks_assert_rc(ks__facts_status(root_fd, "Seccomp", 10, &value), 0);
	g_assert_cmpuint(value, ==, 2);
	ks_assert_rc(ks__facts_status(root_fd, "CapEff", 16, &value), -ENOENT);
	while (text->len <= 4 << 20)
		g_string_append(text, "Filler:\t12345678901234567890\n");
	make_text("thread-self/status", text->str, -1);
	ks_assert_rc(ks__facts_status(root_fd, "Seccomp", 10, &value), -EFBIG);
	g_string_free(text, TRUE);
	end();
}

/* ---- folders --------------------------------------------------------------------------------- */

struct seen {
	int32_t number[8];
	unsigned n, stop_at;
};

static int see(void *user, int32_t number)
{
	struct seen *seen = user;

	g_assert_cmpuint(seen->n, <, G_N_ELEMENTS(seen->number));
	seen->number[seen->n++] = number;
	return seen->n == seen->stop_at ? -ECANCELED : 0;
}

static int by_number(const void *a, const void *b)
{
	return *(const int32_t *)a - *(const int32_t *)b;
}

static void test_numbers(void)
{
	static const char *const names[] = { "1",  "22", "4194304",    "4194305", "01",  "0",
					     "1a", "-1", "4294967297", "a",       "self" };
	struct seen seen = { .n = 0 };

	begin();
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		make_text(names[i], "", -1);
	ks_assert_rc(ks__file_numbers(root_fd, ".", see, &seen), 0);
	g_assert_cmpuint(seen.n, ==, 3);
	qsort(seen.number, seen.n, sizeof(*seen.number), by_number);
	g_assert_cmpint(seen.number[0], ==, 1);
	g_assert_cmpint(seen.number[1], ==, 22);
	g_assert_cmpint(seen.number[2], ==, 4194304);
	seen = (struct seen){ .stop_at = 2 };
	ks_assert_rc(ks__file_numbers(root_fd, ".", see, &seen), -ECANCELED);
	g_assert_cmpuint(seen.n, ==, 2);
	ks_assert_rc(ks__file_numbers(root_fd, "a", see, &seen), -ENOTDIR);
	ks_assert_rc(ks__file_numbers(root_fd, "missing", see, &seen), -ENOENT);
	end();
}

static int remove_folder(void *user, const struct ks__file_name *name)
{
	g_assert_cmpint(name->text[0], ==, '.');
	if (!(*(unsigned *)user)++)
		g_assert_cmpint(unlinkat(root_fd, "sub", AT_REMOVEDIR), ==, 0);
	return 0;
}

/* A folder that can no longer be read is no folder without further names. */
static void test_names_fail(void)
{
	struct seen seen = { .n = 0 };
	unsigned n = 0;

	begin();
	g_assert_cmpint(mkdirat(root_fd, "sub", 0700), ==, 0);
	errno = 77; /* of an earlier call */
	ks_assert_rc(ks__file_numbers(root_fd, "sub", see, &seen), 0);
	g_assert_cmpuint(seen.n, ==, 0);
	ks_assert_rc(ks__file_names(root_fd, "sub", remove_folder, &n), -ENOENT);
	g_assert_cmpuint(n, ==, 2); /* "." and ".." */
	end();
}

/* More names than one getdents64() returns. */
static int count(void *user, int32_t number)
{
	*(unsigned *)user += number == 0 ? 0 : 1;
	return 0;
}

static void test_many(void)
{
	unsigned n = 0;

	begin();
	for (unsigned i = 1; i <= 1000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		make_text(name, "", -1);
	}
	ks_assert_rc(ks__file_numbers(root_fd, ".", count, &n), 0);
	g_assert_cmpuint(n, ==, 1000);
	end();
}

/* ---- all that the library opens -------------------------------------------------------------- */

/* All paths that the library opens below proc_path and sys_path. */
static const char *const opened[] = {
	"self/stat",
	"self/mountinfo",
	"self/attr/current",
	"self/attr/apparmor/current",
	"thread-self/status",
	"cgroups",
	"filesystems",
	"vmstat",
	"1/stat",
	"1/status",
	"1/cgroup",
	"1/task/1/stat",
	"1/task/1/status",
	"1/task/1/schedstat",
	"sys/kernel/cap_last_cap",
	"sys/kernel/hostname",
	"sys/kernel/perf_event_paranoid",
	"sys/kernel/ftrace_enabled",
	"sys/net/core/bpf_jit_enable",
	"devices/system/cpu/possible",
	"kernel/btf/vmlinux",
	"kernel/security/lsm",
	"kernel/security/lockdown",
	"kernel/tracing/events/task/task_rename/id",
	"bus/event_source/devices/kprobe/type",
	"fs/cgroup/cgroup.controllers",
	"btf",
};

static void make(const char *path, const char *kind)
{
	char *folder = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	if (!strcmp(kind, "fifo"))
		g_assert_cmpint(mkfifo(path, 0600), ==, 0);
	else if (!strcmp(kind, "huge"))
		make_huge(path);
	else if (!strcmp(kind, "device"))
		g_assert_cmpint(symlink("/dev/zero", path), ==, 0);
	else if (!strcmp(kind, "circle"))
		g_assert_cmpint(symlink(path, path), ==, 0);
	else
		g_assert_cmpint(mkdir(path, 0700), ==, 0);
	g_free(folder);
}

static int swallow(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	return 0;
}

static void use(struct ks *ks)
{
	static const uint32_t kinds[] = { KS_SCOPE_SYSTEM, KS_SCOPE_TREE, KS_SCOPE_SELF };
	struct ks_probe_info info = { .size = sizeof(info) };
	int32_t first = 1;

	g_assert_cmpint(ks_check(ks, KS_TEXT, NULL, 0), >, 0);
	ks_prepare(ks, NULL, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		const struct ks_scope scope = { .size = sizeof(scope), .kind = kinds[i] };

		ks_set_scope(ks, &scope);
		for (uint32_t probe = 1; ks_query_probe(ks, probe, &info) == 0; probe++) {
			ks_enable_probe(ks, probe, NULL);
			ks_disable_probe(ks, probe);
		}
	}
	ks_set_scope(ks, &(struct ks_scope){ .size = sizeof(struct ks_scope),
					     .kind = KS_SCOPE_PIDS,
					     .pids = &first,
					     .n_pids = 1 });
	ks_set_scope(ks, &(struct ks_scope){ .size = sizeof(struct ks_scope),
					     .kind = KS_SCOPE_CGROUP,
					     .cgroup = "/" });
	ks_poll(ks, 0, 0, swallow, NULL);
	g_assert_cmpint(ks_explain(ks, KS_TEXT, NULL, 0), >, 0);
}

/* Replaces one file after the other by one of the bad kind, at last all of them. */
static void test_hostile(gconstpointer data)
{
	const char *kind = data;

	for (size_t bad = 0; bad <= G_N_ELEMENTS(opened); bad++) {
		struct ks_open_opts opts = { .size = sizeof(opts) };
		struct ks *ks;
		char *btf;

		begin();
		btf = in_root("btf");
		for (size_t i = 0; i < G_N_ELEMENTS(opened); i++) {
			char *path = in_root(opened[i]);

			if (bad == i || bad == G_N_ELEMENTS(opened))
				make(path, kind);
			g_free(path);
		}
		opts.proc_path = opts.sys_path = root;
		opts.btf_path = btf;
		ks_assert_rc(ks_open(&opts, &ks), 0);
		use(ks);
		ks_close(ks);
		g_free(btf);
		end();
	}
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "fifo", "huge", "device", "circle", "folder" };

	ks_test_init(&argc, &argv);
	g_test_add_func("/file/refused", test_refused);
	g_test_add_func("/file/opened", test_opened);
	g_test_add_func("/file/descriptors", test_descriptors);
	g_test_add_func("/file/read", test_read);
	g_test_add_func("/file/read/fails", test_read_fails);
	g_test_add_func("/file/whole", test_whole);
	g_test_add_func("/file/status", test_status);
	g_test_add_func("/file/numbers", test_numbers);
	g_test_add_func("/file/names/fail", test_names_fail);
	g_test_add_func("/file/many", test_many);
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		char *name = g_strdup_printf("/file/hostile/%s", kinds[i]);

		g_test_add_data_func(name, kinds[i], test_hostile);
		g_free(name);
	}
	return g_test_run();
}
