/* SPDX-License-Identifier: BSD-2-Clause */
#include "fault.h"

#include <errno.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <bpf/libbpf.h>

#include "bpf/unit.h"
#include "support/harness.h"

#define TRACEFS "/sys/kernel/tracing"

/* ---- children --------------------------------------------------------------------------- */

void fault_reap(pid_t pid)
{
	int status;

	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
}

int fault_step(int (*fn)(const void *data), const void *data, unsigned n, const char *what)
{
	pid_t pid = fork();
	int status;

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(fn(data));
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	if (!WIFEXITED(status) || (WEXITSTATUS(status) && WEXITSTATUS(status) != FAULT_NO_STEP))
		g_error("step %u of %s: the child ended with status %#x", n, what,
			(unsigned)status);
	return !WEXITSTATUS(status);
}

void fault_in_child(void (*fn)(const void *data), const void *data)
{
	pid_t pid = fork();

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn(data);
		_exit(0);
	}
	fault_reap(pid);
}

void fault_private_mounts(void)
{
	g_assert_cmpint(unshare(CLONE_NEWNS), ==, 0);
	g_assert_cmpint(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
	if (access(TRACEFS "/events", F_OK))
		g_assert_cmpint(mount("nodev", TRACEFS, "tracefs", 0, NULL), ==, 0);
}

void fault_hide(const char *dir)
{
	g_assert_cmpint(mount("none", dir, "tmpfs", 0, NULL), ==, 0);
}

char *fault_file(const void *bytes, size_t size)
{
	int fd = memfd_create("fault", 0);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint((int)write(fd, bytes, size), ==, (int)size);
	return g_strdup_printf("/proc/self/fd/%d", fd);
}

void fault_filter(int nr, int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = { G_N_ELEMENTS(code), code };

	g_assert_cmpint(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), ==, 0);
}

void fault_become(uid_t uid, uint64_t caps)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)caps, .permitted = (uint32_t)caps },
		{ .effective = caps >> 32, .permitted = caps >> 32 },
	};

	if (uid) {
		g_assert_cmpint(prctl(PR_SET_KEEPCAPS, 1), ==, 0);
		g_assert_cmpint(setgroups(0, NULL), ==, 0);
		g_assert_cmpint(setresgid(uid, uid, uid), ==, 0);
		g_assert_cmpint(setresuid(uid, uid, uid), ==, 0);
	}
	g_assert_cmpint(syscall(SYS_capset, &head, data), ==, 0);
}

/* ---- what the kernel holds -------------------------------------------------------------- */

/* Not links and BTF objects: they live only as long as the programs and maps that go with them. */
static const struct {
	int next, open;
} kinds[] = {
	{ BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID },
	{ BPF_MAP_GET_NEXT_ID, BPF_MAP_GET_FD_BY_ID },
};

static int next(int cmd, uint32_t *id)
{
	union bpf_attr attr = { .start_id = *id };

	if (syscall(SYS_bpf, cmd, &attr, sizeof(attr)))
		return 0;
	*id = attr.next_id;
	return 1;
}

static void note_name(GHashTable *names, const char *name)
{
	g_hash_table_add(names, g_strndup(name, BPF_OBJ_NAME_LEN - 1));
}

/* Names of all programs and maps of the library, cut as the kernel cuts them. */
static GHashTable *all_names(void)
{
	static GHashTable *names;
	libbpf_print_fn_t print;
	struct bpf_program *prog;
	struct bpf_object *obj;
	struct bpf_map *map;

	if (names)
		return names;
	names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	print = libbpf_set_print(NULL);
	obj = bpf_object__open_mem(ks__bpf_object, ks__bpf_object_size, NULL);
	libbpf_set_print(print);
	g_assert_nonnull(obj);
	bpf_object__for_each_program(prog, obj) note_name(names, bpf_program__name(prog));
	bpf_object__for_each_map(map, obj) note_name(names, bpf_map__name(map));
	bpf_object__close(obj);
	return names;
}

/* Decided by the name: other processes of this machine load programs meanwhile. */
static int is_ours(size_t kind, uint32_t id)
{
	union {
		struct bpf_prog_info prog;
		struct bpf_map_info map;
	} info = { .prog = { 0 } };
	union bpf_attr attr = { .prog_id = id };
	int fd = (int)syscall(SYS_bpf, kinds[kind].open, &attr, sizeof(attr)), rc;
	const char *name = kind ? info.map.name : info.prog.name;

	if (fd < 0)
		return 0;
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = kind ? sizeof(info.map) : sizeof(info.prog);
	attr.info.info = (uintptr_t)&info;
	rc = (int)syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));
	close(fd);
	if (rc)
		return 0;
	return g_str_has_prefix(name, "ks_") || g_str_has_prefix(name, "ks.") ||
	       g_hash_table_contains(all_names(), name);
}

void fault_kernel(struct fault_kernel *now)
{
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		for (now->id[i] = 0; next(kinds[i].next, &now->id[i]);)
			;
}

static int is_family(pid_t pid)
{
	char path[32], *text = NULL, *at;
	int parent = 0;

	if (pid == getpid())
		return 1;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (g_file_get_contents(path, &text, NULL, NULL) && (at = strrchr(text, ')')))
		sscanf(at, ") %*c %d", &parent);
	g_free(text);
	return parent > 1 && is_family(parent);
}

/* Returns whether a process has this line in the fdinfo of one of its descriptors. */
static int holds(pid_t pid, const char *line)
{
	char path[64], *text;
	const char *fd;
	int found = 0;
	GDir *dir;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	dir = g_dir_open(path, 0, NULL);
	while (dir && !found && (fd = g_dir_read_name(dir))) {
		char *info = g_build_filename(path, fd, NULL);

		if (g_file_get_contents(info, &text, NULL, NULL)) {
			found = strstr(text, line) != NULL;
			g_free(text);
		}
		g_free(info);
	}
	if (dir)
		g_dir_close(dir);
	return found;
}

/*
 * True if a process outside this test has it open: others on this machine may use the library, too.
 */
static int is_foreign(size_t kind, uint32_t id)
{
	char *line = g_strdup_printf("\n%s_id:\t%u\n", kind ? "map" : "prog", id);
	GDir *dir = g_dir_open("/proc", 0, NULL);
	const char *name;
	int found = 0;

	while (dir && !found && (name = g_dir_read_name(dir))) {
		pid_t pid = atoi(name);

		found = pid > 0 && holds(pid, line) && !is_family(pid);
	}
	if (dir)
		g_dir_close(dir);
	g_free(line);
	return found;
}

/* Returns the id of the first one that is left, or 0. */
static uint32_t left(size_t kind, uint32_t since, uint32_t until)
{
	while (next(kinds[kind].next, &since) && since <= until)
		if (is_ours(kind, since))
			return since;
	return 0;
}

/* The kernel frees after grace periods, and a thread that is off its CPU may delay one. */
void fault_kernel_clean(const struct fault_kernel *since)
{
	int64_t end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
	struct fault_kernel now, done = *since;

	fault_kernel(&now);
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		uint32_t id;

		while ((id = left(i, done.id[i], now.id[i]))) {
			if (is_foreign(i, id)) {
				done.id[i] = id;
				continue;
			}
			if (g_get_monotonic_time() > end)
				g_error("%s %u is left in the kernel", i ? "map" : "program", id);
			syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
		}
	}
}

/* ---- handles ---------------------------------------------------------------------------- */

struct ks *fault_open(const struct ks_open_opts *opts)
{
	struct ks *ks;

	ks_assert_rc(ks_open(opts, &ks), 0);
	return ks;
}

int fault_counts_locked(void)
{
	struct ks *ks = fault_open(NULL);
	int size = ks_check(ks, KS_JSON, NULL, 0) + 4096, counts;
	char *text = g_malloc((gsize)size);

	g_assert_cmpint(ks_check(ks, KS_JSON, text, (size_t)size), <, size);
	counts = strstr(text, "counts against RLIMIT_MEMLOCK") != NULL;
	g_free(text);
	ks_close(ks);
	return counts;
}

static int enable(struct ks *ks, uint32_t probe, const char *variant, const struct ks_param *params,
		  uint32_t n)
{
	struct ks_enable_opts opts = {
		.size = sizeof(opts), .n_params = n, .params = params, .variant = variant
	};

	return ks_enable_probe(ks, probe, &opts);
}

void fault_enable(struct ks *ks, uint32_t probe, const char *variant)
{
	struct ks_param every = { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 };

	ks_assert_ok(ks, enable(ks, probe, variant, &every, probe == KS_PROBE_FADVISE));
}

const char *fault_typed(uint32_t probe)
{
	int has_helper = kt_kernel_has("bpf_get_current_task_btf");

	return has_helper || probe == KS_PROBE_PROC ? "tp_btf" : "raw_tp";
}

void fault_burst(struct ks *ks, unsigned records)
{
	struct ks_param params[] = {
		{ .id = KS_PARAM_MAX_PER_SEC, .value = 0 },
		{ .id = BURST_PARAM_RECORDS, .value = records },
	};

	ks_assert_ok(ks, enable(ks, BURST_PROBE, NULL, params, 2));
}

void fault_refused(struct ks *ks, uint32_t probe, const char *variant, const char *const *words)
{
	char why[400];

	ks_assert_rc(enable(ks, probe, variant, NULL, 0), -KS_EUNAVAIL);
	g_assert_cmpint(ks_last_error(ks, why, sizeof(why)), <, (int)sizeof(why));
	for (; *words; words++)
		if (!strstr(why, *words))
			g_error("the reason does not mention '%s': %s", *words, why);
}

/* ---- workloads and what came of them ---------------------------------------------------- */

void fault_fallback(struct ks *ks)
{
	uint64_t before = fault_forked(ks);
	int hold[2];
	pid_t pid;
	char c;

	g_assert_cmpint(pipe(hold), ==, 0);
	pid = fork();
	if (pid == 0) {
		close(hold[1]);
		_exit(read(hold[0], &c, 1) != 0);
	}
	close(hold[0]);
	g_assert_cmpuint(fault_forked(ks) - before, ==, 1);
	close(hold[1]);
	fault_reap(pid);
	fault_settle(ks, KS_PROBE_PROC);
	g_assert_cmpint(ks_check(ks, KS_TEXT, NULL, 0), >, 0);
	g_assert_cmpint(ks_explain(ks, KS_TEXT, NULL, 0), >, 0);
}

void fault_advise(unsigned n)
{
	int fd = memfd_create("fault", MFD_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	while (n--)
		g_assert_cmpint((int)syscall(SYS_fadvise64, fd, 0, 0, POSIX_FADV_NORMAL), ==, 0);
	close(fd);
}

void fault_fork(unsigned n)
{
	while (n--) {
		pid_t pid = fork();

		g_assert_cmpint(pid, >=, 0);
		if (pid == 0)
			_exit(0);
		fault_reap(pid);
	}
}

static void read_row(struct ks *ks, uint32_t probe, uint32_t by, void *ret_row, size_t size)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = by };
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_row *row;
	struct ks_reader *reader;
	uint32_t key = by == KS_BY_PROBE ? probe : 0;
	size_t i = 0;

	ks_assert_ok(ks,
		     ks_reader_new(ks, by == KS_BY_PROBE ? KS_PROBE_SELF : probe, &opts, &reader));
	ks_assert_ok(ks, ks_read_stats(reader, &stats));
	while ((row = ks_stats_row(&stats, i++)) && row->key != key)
		;
	g_assert_nonnull(row);
	g_assert_cmpuint(stats.row_size, ==, size);
	memcpy(ret_row, row, size);
	ks_reader_free(reader);
}

void fault_total(struct ks *ks, uint32_t probe, void *ret_row, size_t size)
{
	read_row(ks, probe, KS_BY_TOTAL, ret_row, size);
}

uint64_t fault_advised(struct ks *ks)
{
	struct ks_stats_fadvise row;

	fault_total(ks, KS_PROBE_FADVISE, &row, sizeof(row));
	return row.calls[KS_ADVICE_NORMAL];
}

void fault_counted(struct ks *ks, uint32_t probe, uint64_t counted, uint64_t done)
{
	uint64_t missed = kt_preempts_events() ? fault_ledger(ks, probe).missed : 0;

	g_assert_cmpuint(counted, <=, done);
	g_assert_cmpuint(counted + missed, >=, done);
}

uint64_t fault_forked(struct ks *ks)
{
	struct ks_stats_proc row;

	fault_total(ks, KS_PROBE_PROC, &row, sizeof(row));
	return row.processes;
}

struct ks_stats_self fault_ledger(struct ks *ks, uint32_t probe)
{
	struct ks_stats_self row;

	read_row(ks, probe, KS_BY_PROBE, &row, sizeof(row));
	return row;
}

static int count(const struct ks_event *ev, void *user)
{
	if (ev->id != KS_EVENT_LOST)
		++*(unsigned *)user;
	return 0;
}

unsigned fault_drain(struct ks *ks)
{
	unsigned n = 0;
	int rc;

	while ((rc = ks_poll(ks, 0, 0, count, &n)) > 0)
		;
	ks_assert_ok(ks, rc);
	return n;
}

void fault_settle(struct ks *ks, uint32_t probe)
{
	struct ks_stats_self ledger;

	ks_assert_ok(ks, ks_disable_probe(ks, probe));
	fault_drain(ks);
	ks_assert_ok(ks, ks_ledger_check(ks, probe));
	ledger = fault_ledger(ks, probe);
	g_assert_cmpuint(ledger.in_flight, ==, 0);
	g_assert_cmpuint(ledger.submitted, ==, ledger.delivered + ledger.discarded);
}

void fault_exact(struct ks *ks, uint32_t probe, const char *variant)
{
	struct ks_probe_info info = { .size = sizeof(info) };
	int proc = probe == KS_PROBE_PROC;
	uint64_t before;

	fault_drain(ks); /* a slow call of the self-test, for instance */
	fault_enable(ks, probe, variant);
	ks_assert_ok(ks, ks_query_probe(ks, probe, &info));
	g_assert_cmpuint(info.source, ==, KS_SOURCE_BPF);
	if (variant)
		g_assert_cmpstr(info.variant_name, ==, variant);
	before = proc ? fault_forked(ks) : fault_advised(ks);
	if (proc)
		fault_fork(10);
	else
		fault_advise(10);
	g_assert_cmpuint((proc ? fault_forked(ks) : fault_advised(ks)) - before, ==, 10);
	g_assert_cmpuint(fault_drain(ks), ==, 10);
	fault_settle(ks, probe);
}
