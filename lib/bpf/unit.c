/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "config.h"
#include "machine.h"
#include "unit.h"

#define LOG_SIZE (64u << 10)
#define UNTOUCHED 0x7f

/* ---- libbpf's process-wide state ------------------------------------------------------------- */

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

/*
 * A libbpf of our own stays silent. The host may use the same one (-Dlibbpf=shared): then its print
 * callback is put aside for the time of a load. Two handles that load at once do not take quiet()
 * for the host's; what can go wrong is that messages of the later one's load are printed, or the
 * host's of that moment are not.
 */
static libbpf_print_fn_t silence(void)
{
	libbpf_print_fn_t old = libbpf_set_print(quiet);

	return old == quiet || KS_LIBBPF_STATIC ? NULL : old;
}

static void unsilence(libbpf_print_fn_t old)
{
	if (old)
		libbpf_set_print(old);
}

/* Exported since libbpf 1.2 only, though declared before; libbpf.a has it. */
extern int libbpf_set_memlock_rlim(size_t bytes) __attribute__((weak));

/*
 * Before 5.11 memory of maps and programs counts against RLIMIT_MEMLOCK, and libbpf raises that
 * unasked, once a process: told not to, or, where it cannot be told, put back after the load
 * (*limit). It is raised here if the host allowed it. Returns 1 if *limit is to be put back.
 */
static int memlock(struct ks__features *f, struct rlimit *limit)
{
	struct rlimit most = { RLIM_INFINITY, RLIM_INFINITY };

	if (!ks__feature(f, KS__FEATURE_MEMCG) || getrlimit(RLIMIT_MEMLOCK, limit))
		return 0;
	if (f->ks->opts.flags & KS_OPEN_RAISE_MEMLOCK) {
		if (setrlimit(RLIMIT_MEMLOCK, &most)) {
			most = (struct rlimit){ limit->rlim_max, limit->rlim_max };
			setrlimit(RLIMIT_MEMLOCK, &most);
		}
		return 0;
	}
	if (!libbpf_set_memlock_rlim)
		return 1;
	libbpf_set_memlock_rlim(0);
	return 0;
}

/* ---- programs -------------------------------------------------------------------------------- */

void ks__program_close(struct ks__program *prog)
{
	if (prog->fd >= 0)
		close(prog->fd);
	prog->fd = -1;
}

int ks__program_run(int fd)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (bpf_prog_test_run_opts(fd, &opts))
		return -errno;
	return (int)opts.retval;
}

static struct ks__program *chosen(const struct ks__unit *unit, const struct bpf_program *prog)
{
	for (unsigned i = 0; i < unit->n_progs; i++)
		if (!strcmp(unit->progs[i]->name, bpf_program__name(prog)))
			return unit->progs[i];
	return NULL;
}

/*
 * Before 5.12 the kernel refuses an atomic instruction that fetches even where no path leads to it:
 * the fields of all instructions are checked first. Programs have them behind atomic_fetch only.
 */
static int drop_fetching(struct bpf_program *prog)
{
	size_t n = bpf_program__insn_cnt(prog);
	struct bpf_insn *insns = malloc(n * sizeof(*insns));
	int rc;

	if (!insns)
		return -ENOMEM;
	memcpy(insns, bpf_program__insns(prog), n * sizeof(*insns));
	for (size_t i = 0; i < n; i++)
		if (BPF_CLASS(insns[i].code) == BPF_STX && BPF_MODE(insns[i].code) == BPF_ATOMIC &&
		    insns[i].imm != BPF_ADD)
			insns[i] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K };
	rc = bpf_program__set_insns(prog, insns, n);
	free(insns);
	return rc;
}

/*
 * A log buffer each, in memory that is used only when it is written. libbpf touches it only when
 * its program is refused: the first byte tells which one it was, even if the kernel wrote no text.
 */
static int choose_programs(const struct ks__unit *unit, struct bpf_object *obj, char *logs)
{
	struct bpf_program *prog;
	unsigned found = 0;
	int rc = 0;

	bpf_object__for_each_program(prog, obj)
	{
		struct ks__program *p = chosen(unit, prog);

		rc = bpf_program__set_autoload(prog, p != NULL);
		if (!rc && p && !unit->consts->atomic_fetch)
			rc = drop_fetching(prog);
		if (!rc && p) {
			logs[found * LOG_SIZE] = UNTOUCHED;
			rc = bpf_program__set_log_buf(prog, logs + found * LOG_SIZE, LOG_SIZE);
			found++;
		}
		if (rc)
			return rc;
	}
	return found == unit->n_progs ? 0 : -ENOENT;
}

/* The verifier ends with what is wrong, and then its statistics. */
static void last_words(const char *log, char *buf, size_t size)
{
	const char *line = log, *best = "", *end;

	for (; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (end == line || !strncmp(line, "processed ", 10) ||
		    strstr(line, "stack depth") == line ||
		    strstr(line, "verification time") == line)
			continue;
		best = line;
	}
	snprintf(buf, size, "%.*s", (int)(strchrnul(best, '\n') - best), best);
}

/*
 * Notes why. libbpf loads a program that has failed once more, for its log. If the kernel only says
 * that the log is too long, and the log of no complaint, then the program is sound: there was no
 * memory for it the first time.
 */
static int name_refused(const struct ks__unit *unit, struct bpf_object *obj, char *logs, int error)
{
	struct bpf_program *prog;
	unsigned i = 0;

	bpf_object__for_each_program(prog, obj)
	{
		struct ks__program *p = chosen(unit, prog);
		char *log = logs + i * LOG_SIZE, words[120];

		if (!p)
			continue;
		i++;
		if (log[0] == UNTOUCHED)
			continue;
		log[LOG_SIZE - 1] = '\0';
		last_words(log, words, sizeof(words));
		if (error == -ENOSPC && !words[0])
			return -ENOMEM;
		p->error = error;
		if (strstr(words, "bpf_probe_read") && ks__machine_confidential(unit->features->ks))
			snprintf(p->reason, sizeof(p->reason),
				 "%s: kernel lockdown (confidentiality) lets no program read "
				 "kernel memory: boot with lockdown=integrity or none",
				 ks__hook_name(&p->hook));
		else if (words[0])
			snprintf(p->reason, sizeof(p->reason), "%s: the verifier refused %s: %s",
				 ks__hook_name(&p->hook), p->name, words);
		else
			snprintf(p->reason, sizeof(p->reason), "%s: the kernel refused %s (%s)",
				 ks__hook_name(&p->hook), p->name, ks_error_name(error));
	}
	return error;
}

int ks__program_info(int fd, struct ks__program_info *ret)
{
	struct bpf_prog_info info;
	uint32_t size = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	ret->id = info.id;
	ret->bytes = (uint64_t)info.xlated_prog_len + info.jited_prog_len;
	ret->runs = info.run_cnt;
	ret->run_ns = info.run_time_ns;
	ret->missed = info.recursion_misses;
	ret->missed_known = size >= offsetof(struct bpf_prog_info, recursion_misses) + 8;
	return 0;
}

static int keep_programs(const struct ks__unit *unit, struct bpf_object *obj)
{
	for (unsigned i = 0; i < unit->n_progs; i++) {
		struct ks__program *p = unit->progs[i];
		struct bpf_program *prog = bpf_object__find_program_by_name(obj, p->name);

		p->fd = fcntl(bpf_program__fd(prog), F_DUPFD_CLOEXEC, 3);
		if (p->fd < 0)
			return -errno;
	}
	return 0;
}

/* ---- the unit -------------------------------------------------------------------------------- */

/* Where libbpf shall look for the types of the kernel; NULL: where it does by itself. */
static const char *types_path(const struct ks *ks, char *buf, size_t size)
{
	if (ks->opts.btf_path)
		return ks->opts.btf_path;
	if (!strcmp(ks->opts.sys_path, "/sys"))
		return NULL;
	snprintf(buf, size, "%s/kernel/btf/vmlinux", ks->opts.sys_path);
	return buf;
}

/*
 * libbpf has codes of its own, from 4000 up. Of an object that is part of this library they mean that
 * libelf has had no memory.
 */
static int as_errno(int code)
{
	return code <= -4000 ? -ENOMEM : code;
}

static struct bpf_object *open_object(const char *types)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "ks", .btf_custom_path = types);

	return bpf_object__open_mem(ks__bpf_object, ks__bpf_object_size, &opts);
}

static void say(const struct ks__unit *unit, int error, char *why, size_t size)
{
	if (error == -EMFILE || error == -ENFILE)
		snprintf(why, size, "too few descriptors are free (RLIMIT_NOFILE)");
	else if (error == -EPERM && ks__feature(unit->features, KS__FEATURE_MEMCG))
		snprintf(why, size,
			 "maps do not fit into RLIMIT_MEMLOCK, which this kernel counts them "
			 "against: raise it (ulimit -l), or open with KS_OPEN_RAISE_MEMLOCK");
	else if (error == -EPERM)
		ks__machine_bpf(unit->features->ks, "loading", error, why, size);
	else
		snprintf(why, size, "loading failed (%s)", ks_error_name(error));
}

static int load(const struct ks__unit *unit, struct bpf_object *obj, char *logs)
{
	uint32_t new = 0;
	int rc = ks__maps_prepare(unit, obj);

	if (!rc)
		rc = choose_programs(unit, obj, logs);
	if (rc)
		return rc;
	rc = bpf_object__load(obj);
	if (rc) {
		if (!ks__machine_shortage(rc))
			rc = name_refused(unit, obj, logs, rc);
		return rc;
	}
	rc = ks__maps_keep(unit, obj, &new);
	if (!rc)
		rc = keep_programs(unit, obj);
	if (rc) {
		ks__maps_drop(unit, new);
		for (unsigned i = 0; i < unit->n_progs; i++)
			ks__program_close(unit->progs[i]);
	}
	return rc;
}

/*
 * libbpf keeps for the life of the process what it takes the kernel for, and a trial that failed
 * for want of a descriptor says that the kernel lacks the feature: so there must be enough of them
 * first. Twice what stays, since it is copied before the object goes, and some for the trials.
 */
static int spare_descriptors(const struct ks__unit *unit)
{
	int fds[2 * (KS__UNIT_MAPS + 96) + 8], rc = 0;
	unsigned need = 2 * (KS__UNIT_MAPS / 2 + unit->n_progs) + 8, n = 0;

	for (; n < need && n < sizeof(fds) / sizeof(fds[0]) && !rc; n++) {
		fds[n] = fcntl(unit->features->ks->epoll_fd, F_DUPFD_CLOEXEC, 3);
		if (fds[n] < 0) {
			rc = -errno;
			break;
		}
	}
	while (n)
		close(fds[--n]);
	return rc;
}

/*
 * A type that the kernel lacks makes libbpf 1.1 look at the types of modules, which only
 * CAP_SYS_ADMIN may; not so if it is told where the types are. Only then: it parses them once more,
 * 9 ms.
 */
static int load_object(const struct ks__unit *unit, const char *types, char *logs)
{
	struct bpf_object *obj = open_object(types);
	int rc = as_errno(obj ? load(unit, obj, logs) : -errno), named = 0;

	bpf_object__close(obj);
	for (unsigned i = 0; i < unit->n_progs; i++)
		named |= unit->progs[i]->error;
	if (rc != -EPERM || types || named)
		return rc;
	return load_object(unit, "/sys/kernel/btf/vmlinux", logs);
}

int ks__unit_load(const struct ks__unit *unit, char *why, size_t size)
{
	size_t logs_size = unit->n_progs * LOG_SIZE;
	libbpf_print_fn_t old;
	struct rlimit limit;
	char path[4096], *logs;
	int rc, put_back;

	for (unsigned i = 0; i < unit->n_progs; i++)
		unit->progs[i]->error = 0;
	rc = spare_descriptors(unit);
	if (rc) {
		say(unit, rc, why, size);
		return rc;
	}
	logs = mmap(NULL, logs_size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (logs == MAP_FAILED)
		return -ENOMEM;
	put_back = memlock(unit->features, &limit);
	old = silence();
	rc = load_object(unit, types_path(unit->features->ks, path, sizeof(path)), logs);
	unsilence(old);
	if (put_back)
		setrlimit(RLIMIT_MEMLOCK, &limit);
	munmap(logs, logs_size);
	if (rc)
		say(unit, rc, why, size);
	return rc;
}

int ks__unit_hooks(struct ks__program *const *progs, unsigned n)
{
	libbpf_print_fn_t old = silence();
	struct bpf_object *obj = open_object(NULL);
	int rc = obj ? 0 : as_errno(-errno);

	for (unsigned i = 0; obj && i < n; i++) {
		const struct bpf_program *prog =
			bpf_object__find_program_by_name(obj, progs[i]->name);

		progs[i]->hook.kind = KS__HOOK_NONE;
		if (prog && ks__hook_parse(bpf_program__section_name(prog), &progs[i]->hook))
			progs[i]->hook.kind = KS__HOOK_NONE;
	}
	bpf_object__close(obj);
	unsilence(old);
	return rc;
}
