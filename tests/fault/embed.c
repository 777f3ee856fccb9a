/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a host is unchanged after the whole life of a handle, also if everything is refused.
 * No signal handler, mask, variable, folder, locale, umask or limit differs. No thread was started
 * and no child is left. Every descriptor closes on exec. Nothing was written to standard output or
 * error.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <locale.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <bpf/libbpf.h>

#include "fault.h"

extern char **environ;

/* ---- the state of a host --------------------------------------------------------------------- */

static void add_signals(GString *s)
{
	sigset_t mask;

	for (int i = 1; i < NSIG; i++) {
		struct sigaction action;

		if (sigaction(i, NULL, &action))
			continue;
		g_string_append_printf(s, "signal %d: %p %x\n", i, (void *)action.sa_handler,
				       (unsigned)action.sa_flags);
	}
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	for (int i = 1; i < NSIG; i++)
		if (sigismember(&mask, i) == 1)
			g_string_append_printf(s, "blocked %d\n", i);
}

static void add_limits(GString *s)
{
	struct rlimit limit;

	for (int i = 0; i < (int)RLIM_NLIMITS; i++)
		if (!getrlimit((__rlimit_resource_t)i, &limit))
			g_string_append_printf(s, "limit %d: %ju %ju\n", i,
					       (uintmax_t)limit.rlim_cur,
					       (uintmax_t)limit.rlim_max);
}

static char *host(void)
{
	GString *s = g_string_new(NULL);
	char *folder = g_get_current_dir();
	mode_t mode = umask(022);

	umask(mode);
	add_signals(s);
	add_limits(s);
	for (char **e = environ; *e; e++)
		g_string_append_printf(s, "%s\n", *e);
	g_string_append_printf(s, "folder %s\nlocale %s\numask %o\n", folder,
			       setlocale(LC_ALL, NULL), mode);
	g_string_append_printf(s, "uid %d dumpable %d privileges %d\n", geteuid(),
			       prctl(PR_GET_DUMPABLE), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	g_free(folder);
	return g_string_free(s, FALSE);
}

static void one_thread(void)
{
	struct stat st;

	g_assert_cmpint(stat("/proc/self/task", &st), ==, 0);
	g_assert_cmpuint(st.st_nlink, ==, 3); /* ".", ".." and itself */
}

static void all_close_on_exec(void)
{
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) == 0)
			g_error("descriptor %d does not close on exec", fd);
}

/* ---- a whole life ----------------------------------------------------------------------- */

static int on_event(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	return 0;
}

static void try_variants(struct ks *ks, uint32_t probe)
{
	struct ks_variant_info v = { .size = sizeof(v) };

	for (uint32_t i = 0; ks_query_variant(ks, probe, i, &v) == 0; i++) {
		struct ks_enable_opts opts = { .size = sizeof(opts), .variant = v.name };

		ks_enable_probe(ks, probe, &opts);
		one_thread();
		all_close_on_exec();
		ks_selftest(ks, probe, NULL);
		ks_poll(ks, 0, 0, on_event, NULL);
		ks_disable_probe(ks, probe);
	}
}

/* Calls everything. At the end `proc` uses kernel programs, or its fallback. */
static void live(const struct ks_open_opts *opts, int on_fallback)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_TREE };
	struct ks *ks;

	errno = 4711;
	ks_assert_rc(ks_open(opts, &ks), 0);
	ks_check(ks, KS_JSON, NULL, 0);
	ks_prepare(ks, NULL, 0);
	all_close_on_exec();
	ks_set_scope(ks, &scope);
	try_variants(ks, KS_PROBE_PROC);
	try_variants(ks, KS_PROBE_FADVISE);
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_PROC, NULL), on_fallback);
	ks_assert_rc(ks_enable_probe(ks, 77, NULL), -EINVAL);
	ks_poll(ks, 5, 0, on_event, NULL);
	ks_wakeup(ks);
	ks_explain(ks, KS_TEXT, NULL, 0);
	ks_ledger_check(ks, KS_PROBE_SELF);
	ks_close(ks);
}

static int printed;

static int print(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	printed = 1;
	return 0;
}

static void live_unnoticed(uint32_t flags, uint64_t features_off, int on_fallback)
{
	const struct ks_open_opts opts = { .size = sizeof(opts),
					   .flags = flags,
					   .features_off = features_off };
	unsigned descriptors = counters_descriptors();
	libbpf_print_fn_t before = libbpf_set_print(print);
	char *was = host(), *is;

	live(&opts, on_fallback);
	is = host();
	g_assert_cmpstr(is, ==, was);
	one_thread();
	g_assert_cmpuint(counters_descriptors(), ==, descriptors);
	g_assert_cmpint(waitpid(-1, NULL, WNOHANG | __WALL), ==, -1);
	g_assert_cmpint(errno, ==, ECHILD);
	g_assert_true(libbpf_set_print(before) == print); /* the host's callback, unused */
	g_assert_cmpint(printed, ==, 0);
	g_free(is);
	g_free(was);
}

/* ---- hosts ------------------------------------------------------------------------------ */

static void sigchld(int signal)
{
	(void)signal;
	g_assert_not_reached();
}

static void as_root(void)
{
	signal(SIGCHLD, sigchld); /* the child of the self-test causes none */
	live_unnoticed(0, 0, 0);
	live_unnoticed(KS_OPEN_ORDERED | KS_OPEN_TRIM, KS_FEATURE_RINGBUF, 0);
}

static void as_nobody(void)
{
	fault_become(65534, 0);
	live_unnoticed(0, 0, 1);
}

static void with_bpf_only(void)
{
	fault_become(65534, 1ull << CAP_BPF);
	live_unnoticed(0, 0, 1);
}

static void with_filter(const struct sock_filter *code, unsigned n)
{
	const struct sock_fprog prog = { (unsigned short)n, (struct sock_filter *)code };

	g_assert_cmpint(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), ==, 0);
	live_unnoticed(0, 0, 1);
}

static void without_bpf(void)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	with_filter(code, G_N_ELEMENTS(code));
}

/*
 * The library's trials succeed, and loading by libbpf fails, which makes libbpf print. The filter
 * tells them apart by the size that they pass to bpf().
 */
static void without_loading(void)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BPF_PROG_LOAD, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, sizeof(union bpf_attr), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	with_filter(code, G_N_ELEMENTS(code));
}

/* Output of the host itself is an assertion that failed; it is printed here. */
static void silent(gconstpointer data)
{
	void (*const fn)(void) = data;
	GString *said = g_string_new(NULL);
	char buf[4096];
	int out[2];
	pid_t pid;
	ssize_t n;

	if (!ks_test_root())
		return;
	g_assert_cmpint(pipe(out), ==, 0);
	pid = fork();
	if (!pid) {
		dup2(out[1], 1);
		dup2(out[1], 2);
		syscall(SYS_close_range, 3, ~0u, 0);
		fn();
		fflush(NULL);
		_exit(0);
	}
	close(out[1]);
	while ((n = read(out[0], buf, sizeof(buf))) > 0)
		g_string_append_len(said, buf, n);
	close(out[0]);
	if (said->len)
		g_error("the host's output is not empty: %s", said->str);
	g_string_free(said, TRUE);
	fault_reap(pid);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_data_func("/embed/root", as_root, silent);
	g_test_add_data_func("/embed/nobody", as_nobody, silent);
	g_test_add_data_func("/embed/bpf-only", with_bpf_only, silent);
	g_test_add_data_func("/embed/no-bpf", without_bpf, silent);
	g_test_add_data_func("/embed/no-loading", without_loading, silent);
	return g_test_run();
}
