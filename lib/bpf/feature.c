/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/perf_event.h>

#include <bpf/bpf.h>

#include "../data/doc.h"
#include "../files/facts.h"
#include "../base/text.h"
#include "feature.h"
#include "answer.h"
#include "machine.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Trials attach to a rare event, and to a function that only the kernel's self-tests call. */
#define TRIAL_EVENT "task_rename"
#define TRIAL_FUNC "bpf_fentry_test1"

/* ---- raw calls ------------------------------------------------------------------------------- */

#define INSN(c, d, s, o, i)                                                         \
	{                                                                           \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) \
	}
#define MOV_IMM(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOV(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define CALL(helper) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static const struct bpf_insn nothing[] = { MOV_IMM(0, 0), EXIT() };

static int load(uint32_t type, uint32_t attach, uint32_t btf_id, const struct bpf_insn *insns,
		size_t n)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = type;
	attr.expected_attach_type = attach;
	attr.attach_btf_id = btf_id;
	attr.insns = (uint64_t)(uintptr_t)insns;
	attr.insn_cnt = (uint32_t)n;
	attr.license = (uint64_t)(uintptr_t) "GPL";
	return ks__bpf(BPF_PROG_LOAD, &attr);
}

static int make_map(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key;
	attr.value_size = value;
	attr.max_entries = entries;
	attr.map_flags = flags;
	return ks__bpf(BPF_MAP_CREATE, &attr);
}

/* Closes a descriptor that is not needed. Returns 0, or the error that came in its place. */
static int drop(int fd)
{
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int refused(struct ks__features *f, struct ks__feature *r, const char *what, int error)
{
	if (error)
		ks__machine_bpf(f->ks, what, error, r->reason, sizeof(r->reason));
	return error;
}

/* ---- the trials ------------------------------------------------------------------------------ */

static int try_bpf(struct ks__features *f, struct ks__feature *r)
{
	return refused(f, r, "BPF maps", drop(make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0)));
}

static int try_btf(struct ks__features *f, struct ks__feature *r)
{
	return ks__types_core(&f->types, r->reason, sizeof(r->reason));
}

static int try_mmap(struct ks__features *f, struct ks__feature *r)
{
	return refused(f, r, "arrays that user space can mmap (Linux 5.5)",
		       drop(make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE)));
}

static int try_batch(struct ks__features *f, struct ks__feature *r)
{
	int map = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0), rc = map;
	uint32_t key = 0;
	uint64_t value = 0;

	if (map >= 0)
		rc = ks__map_put_batch(map, &key, &value, 1);
	drop(map);
	return refused(f, r, "batch updates of maps (Linux 5.6)", rc);
}

static int try_iter_num(struct ks__features *f, struct ks__feature *r)
{
	int rc = ks__feature(f, KS__FEATURE_RDONLY_CAST);

	if (!rc && ks__types_id(&f->types, KS__BTF_FUNC, "bpf_iter_num_next"))
		return 0;
	if (ks__answer_ends(rc)) { /* unknown now; the next prepare asks again */
		snprintf(r->reason, sizeof(r->reason), "%s",
			 f->by_id[KS__FEATURE_RDONLY_CAST].reason);
		return rc;
	}
	snprintf(r->reason, sizeof(r->reason), "this kernel has no numeric iterator (Linux 6.4)");
	return -EOPNOTSUPP;
}

/* bpf_ktime_get_coarse_ns() came in the release that charges BPF memory to cgroups (5.11). */
static int try_memcg(struct ks__features *f, struct ks__feature *r)
{
	static const struct bpf_insn prog[] = { CALL(BPF_FUNC_ktime_get_coarse_ns), MOV_IMM(0, 0),
						EXIT() };

	int rc = drop(load(BPF_PROG_TYPE_SOCKET_FILTER, 0, 0, prog, COUNT(prog)));

	if (rc && ks__feature(f, KS__FEATURE_BPF))
		snprintf(r->reason, sizeof(r->reason), "unknown, since bpf() is refused");
	else if (rc)
		snprintf(r->reason, sizeof(r->reason),
			 "BPF memory counts against RLIMIT_MEMLOCK on this kernel");
	return rc;
}

static int try_ringbuf(struct ks__features *f, struct ks__feature *r)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);

	return refused(f, r, "ring buffers (Linux 5.8)",
		       drop(make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, page, 0)));
}

/* A task storage map needs BTF of its key and value: this BTF has only an int. */
static int tiny_btf(void)
{
	static const struct {
		struct btf_header head;
		struct btf_type type;
		uint32_t encoding;
		char strings[8];
	} btf = {
		{ .magic = 0xeb9f,
		  .version = 1,
		  .hdr_len = sizeof(struct btf_header),
		  .type_len = 16,
		  .str_off = 16,
		  .str_len = 8 },
		{ .name_off = 1, .info = BTF_KIND_INT << 24, .size = 4 },
		BTF_INT_SIGNED << 24 | 32,
		"\0int",
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.btf = (uint64_t)(uintptr_t)&btf;
	attr.btf_size = sizeof(btf);
	return ks__bpf(BPF_BTF_LOAD, &attr);
}

static int task_storage(int btf)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_TASK_STORAGE;
	attr.key_size = attr.value_size = 4;
	attr.map_flags = BPF_F_NO_PREALLOC;
	attr.btf_fd = (uint32_t)btf;
	attr.btf_key_type_id = attr.btf_value_type_id = 1;
	return ks__bpf(BPF_MAP_CREATE, &attr);
}

/* Linux 5.11 has the map but only LSM programs may use it: load a tracing program that uses it. */
static int try_task_storage(struct ks__features *f, struct ks__feature *r)
{
	int btf = tiny_btf(), map = btf < 0 ? btf : task_storage(btf), rc = map;

	if (map >= 0) {
		const struct bpf_insn prog[] = {
			CALL(BPF_FUNC_get_current_task_btf),
			MOV(2, 0),
			INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
			INSN(0, 0, 0, 0, 0),
			MOV_IMM(3, 0),
			MOV_IMM(4, 0),
			CALL(BPF_FUNC_task_storage_get),
			MOV_IMM(0, 0),
			EXIT(),
		};

		rc = drop(load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0, prog, COUNT(prog)));
		close(map);
	}
	drop(btf);
	return refused(f, r, "task storage (Linux 5.12)", rc);
}

static int try_atomic_fetch(struct ks__features *f, struct ks__feature *r)
{
	static const struct bpf_insn prog[] = {
		MOV_IMM(0, 0), INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 0, -8, 0),
		MOV_IMM(1, 1), INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 10, 1, -8, BPF_CMPXCHG),
		MOV_IMM(0, 0), EXIT(),
	};

	return refused(f, r, "compare-and-exchange (Linux 5.12)",
		       drop(load(BPF_PROG_TYPE_SOCKET_FILTER, 0, 0, prog, COUNT(prog))));
}

/* Typed programs do without this helper where they can. All others need it. */
static int try_kernel_reads(struct ks__features *f, struct ks__feature *r)
{
	static const struct bpf_insn prog[] = {
		MOV(1, 10),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -8),
		MOV_IMM(2, 8),
		MOV_IMM(3, 0),
		CALL(BPF_FUNC_probe_read_kernel),
		MOV_IMM(0, 0),
		EXIT(),
	};
	int rc = drop(load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0, prog, COUNT(prog)));

	/* Before Linux 5.13 the program loads under lockdown, and the helper fails at run time. */
	if (!ks__machine_confidential(f->ks))
		return refused(f, r, "reading of kernel memory by programs", rc);
	snprintf(r->reason, sizeof(r->reason),
		 "reading of kernel memory by programs: kernel lockdown (confidentiality) forbids "
		 "it: boot with lockdown=integrity or none");
	return rc ? rc : -EPERM;
}

static int by_name(struct ks__features *f, struct ks__feature *r, const char *func,
		   const char *since)
{
	int rc;

	if (ks__types_id(&f->types, KS__BTF_FUNC, func))
		return 0;
	rc = ks__types_own(&f->types, r->reason, sizeof(r->reason));
	if (rc)
		return ks__answer_ends(rc) ? rc : -EOPNOTSUPP;
	snprintf(r->reason, sizeof(r->reason), "%s (Linux %s) is not in this kernel's BTF", func,
		 since);
	return -EOPNOTSUPP;
}

static int try_rdonly_cast(struct ks__features *f, struct ks__feature *r)
{
	return by_name(f, r, "bpf_rdonly_cast", "6.2");
}

static int try_own_guard(struct ks__features *f, struct ks__feature *r)
{
	return by_name(f, r, "bpf_prog_inc_misses_counter", "6.1");
}

/* BTF lacks trace_call_bpf(), which is inlined. It counts misses since this iterator's release. */
static int try_perf_misses(struct ks__features *f, struct ks__feature *r)
{
	return by_name(f, r, "bpf_iter_task_new", "6.7");
}

static int try_tp_btf(struct ks__features *f, struct ks__feature *r)
{
	uint32_t id = ks__types_id(&f->types, KS__BTF_EVENT, TRIAL_EVENT);

	if (!id)
		return ks__types_own(&f->types, r->reason, sizeof(r->reason));
	return refused(
		f, r, "tp_btf",
		drop(load(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, id, nothing, COUNT(nothing))));
}

/*
 * The kernel must patch its code for an fentry program. Some kernels refuse that at load, others
 * (arm64 before 6.4) only at attach. If tp_btf programs work, patching is what the kernel refuses;
 * else the reason is the same as for any typed program.
 */
static int no_fentry(struct ks__features *f, struct ks__feature *r, const char *when, int rc)
{
	if (!rc || ks__answer_ends(rc) || ks__feature(f, KS__FEATURE_TP_BTF))
		return refused(f, r, "fentry", rc);
	snprintf(r->reason, sizeof(r->reason),
		 "fentry: this kernel cannot patch its functions: "
		 "it refuses to %s fentry programs (%s)",
		 when, ks_error_name(rc));
	return rc;
}

static int try_fentry(struct ks__features *f, struct ks__feature *r)
{
	uint32_t id = ks__types_id(&f->types, KS__BTF_FUNC, TRIAL_FUNC);
	union bpf_attr attr;
	int fd, rc;

	if (!id)
		return ks__types_own(&f->types, r->reason, sizeof(r->reason));
	fd = load(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, id, nothing, COUNT(nothing));
	if (fd < 0)
		return no_fentry(f, r, "load", fd);
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.prog_fd = (uint32_t)fd;
	rc = drop(ks__bpf(BPF_RAW_TRACEPOINT_OPEN, &attr));
	close(fd);
	return no_fentry(f, r, "attach", rc);
}

static int try_raw_tp(struct ks__features *f, struct ks__feature *r)
{
	return refused(f, r, "raw_tp",
		       drop(load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0, nothing, COUNT(nothing))));
}

int ks__feature_event_id(const struct ks *ks, const char *event, uint32_t *ret_id)
{
	static const char *const roots[] = { "kernel/tracing", "kernel/debug/tracing" };
	int rc = -ENOENT;

	for (size_t i = 0; i < COUNT(roots); i++) {
		char path[160], text[32];
		int n;

		snprintf(path, sizeof(path), "%s/events/%s/id", roots[i], event);
		n = ks__text_string(ks->sys_fd, path, text, sizeof(text));
		if (n > 0) {
			*ret_id = (uint32_t)strtoul(text, NULL, 10);
			return 0;
		}
		if (n < 0 && n != -ENOENT)
			rc = n;
	}
	return rc;
}

static int tracefs(struct ks__features *f, struct ks__feature *r)
{
	uint32_t id;
	int rc = ks__feature_event_id(f->ks, "task/" TRIAL_EVENT, &id);
	int has_none = rc == -ENOENT && !ks__facts_filesystem(f->ks->proc_fd, "tracefs");

	if (ks__answer_ends(rc))
		ks__machine_perf(f->ks, "tracepoint", rc, r->reason, sizeof(r->reason));
	else if (rc == -EACCES)
		snprintf(r->reason, sizeof(r->reason),
			 "tracepoint: tracefs may not be read by this "
			 "user: run as root, or mount -o remount,gid=GROUP,mode=750 "
			 "%.80s/kernel/tracing",
			 f->ks->opts.sys_path);
	else if (has_none)
		snprintf(r->reason, sizeof(r->reason),
			 "tracepoint: this kernel has no tracefs (CONFIG_TRACING)");
	else if (rc && ks__machine_confidential(f->ks))
		snprintf(r->reason, sizeof(r->reason),
			 "tracepoint: kernel lockdown (confidentiality) hides tracefs: boot with "
			 "lockdown=integrity or none");
	else if (rc == -ENOENT)
		snprintf(r->reason, sizeof(r->reason),
			 "tracepoint: tracefs is not mounted: mount -t "
			 "tracefs nodev %.100s/kernel/tracing",
			 f->ks->opts.sys_path);
	else if (rc)
		snprintf(r->reason, sizeof(r->reason), "tracepoint: tracefs cannot be read (%s)",
			 ks_error_name(rc));
	if (rc == -ENOENT && !has_none)
		return -ENODEV; /* the kernel has tracefs, but it is not mounted */
	return rc;
}

/*
 * Checks that this process may open a perf event for all tasks of a CPU. Uses a dummy event that
 * never fires, since closing a tracepoint event costs 72 ms.
 */
static int perf_allowed(struct ks__features *f, struct ks__feature *r, const char *what)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_DUMMY };
	int rc = drop(ks__perf_open(&attr, 0));

	if (rc)
		ks__machine_perf(f->ks, what, rc, r->reason, sizeof(r->reason));
	return rc;
}

static int try_tracepoint(struct ks__features *f, struct ks__feature *r)
{
	int rc = refused(f, r, "tracepoint",
			 drop(load(BPF_PROG_TYPE_TRACEPOINT, 0, 0, nothing, COUNT(nothing))));

	if (!rc)
		rc = tracefs(f, r);
	if (!rc)
		rc = perf_allowed(f, r, "tracepoint");
	return rc;
}

static int try_kprobe(struct ks__features *f, struct ks__feature *r)
{
	struct perf_event_attr attr = { .config1 = (uint64_t)(uintptr_t)TRIAL_FUNC };
	char text[32];
	int rc;

	rc = ks__text_string(f->ks->sys_fd, "bus/event_source/devices/kprobe/type", text,
			     sizeof(text));
	if (ks__answer_ends(rc)) {
		ks__machine_perf(f->ks, "kprobe", rc, r->reason, sizeof(r->reason));
		return rc;
	}
	if (rc < 0 && rc != -ENOENT) {
		snprintf(r->reason, sizeof(r->reason), "kprobe: %.80s cannot be read (%s)",
			 f->ks->opts.sys_path, ks_error_name(rc));
		return rc;
	}
	if (rc < 0) {
		snprintf(r->reason, sizeof(r->reason),
			 "kprobe: this kernel has no kprobes "
			 "(CONFIG_KPROBE_EVENTS)");
		return -EOPNOTSUPP;
	}
	rc = refused(f, r, "kprobe",
		     drop(load(BPF_PROG_TYPE_KPROBE, 0, 0, nothing, COUNT(nothing))));
	if (!rc)
		rc = perf_allowed(f, r, "kprobe");
	if (rc)
		return rc;
	attr.type = (uint32_t)strtoul(text, NULL, 10);
	rc = drop(ks__perf_open(&attr, 0));
	if (rc && rc != -ENOENT) /* ENOENT: a kernel without self-tests lacks TRIAL_FUNC */
		ks__machine_perf(f->ks, "kprobe", rc, r->reason, sizeof(r->reason));
	return rc == -ENOENT ? 0 : rc;
}

static const struct {
	const char *name;
	uint64_t bit; /* bit of enum ks_feature that switches it off; 0: none */
	int (*try)(struct ks__features *f, struct ks__feature *r);
} table[KS__FEATURES] = {
	[KS__FEATURE_BPF] = { "bpf", 0, try_bpf },
	[KS__FEATURE_BTF] = { "btf", 0, try_btf },
	[KS__FEATURE_MMAP] = { "mmap", KS_FEATURE_MMAP, try_mmap },
	[KS__FEATURE_MEMCG] = { "memory_cgroups", 0, try_memcg },
	[KS__FEATURE_RINGBUF] = { "ringbuf", KS_FEATURE_RINGBUF, try_ringbuf },
	[KS__FEATURE_TASK_STORAGE] = { "task_storage", KS_FEATURE_TASK_STORAGE, try_task_storage },
	[KS__FEATURE_ATOMIC_FETCH] = { "atomic_fetch", KS_FEATURE_ATOMIC_FETCH, try_atomic_fetch },
	[KS__FEATURE_RDONLY_CAST] = { "rdonly_cast", KS_FEATURE_RDONLY_CAST, try_rdonly_cast },
	[KS__FEATURE_OWN_GUARD] = { "own_guard", KS_FEATURE_OWN_GUARD, try_own_guard },
	[KS__FEATURE_ITER_NUM] = { "iter_num", KS_FEATURE_ITER_NUM, try_iter_num },
	[KS__FEATURE_BATCH] = { "batch", KS_FEATURE_BATCH, try_batch },
	[KS__FEATURE_KERNEL_READS] = { "kernel_reads", 0, try_kernel_reads },
	[KS__FEATURE_PERF_MISSES] = { "perf_misses", 0, try_perf_misses },
	[KS__FEATURE_TP_BTF] = { "tp_btf", KS_FEATURE_BTF_TRACING, try_tp_btf },
	[KS__FEATURE_FENTRY] = { "fentry", KS_FEATURE_BTF_TRACING, try_fentry },
	[KS__FEATURE_RAW_TP] = { "raw_tp", 0, try_raw_tp },
	[KS__FEATURE_TRACEPOINT] = { "tracepoint", 0, try_tracepoint },
	[KS__FEATURE_KPROBE] = { "kprobe", 0, try_kprobe },
};

/* Announces all names that trials look up, so that one scan of BTF finds them. */
static int expect_names(struct ks__features *f)
{
	static const char *const funcs[] = { TRIAL_FUNC, "bpf_rdonly_cast",
					     "bpf_prog_inc_misses_counter", "bpf_iter_task_new",
					     "bpf_iter_num_next" };
	int rc = ks__types_expect(&f->types, KS__BTF_EVENT, TRIAL_EVENT);

	for (size_t i = 0; i < COUNT(funcs) && !rc; i++)
		rc = ks__types_expect(&f->types, KS__BTF_FUNC, funcs[i]);
	return rc;
}

static int try(struct ks__features *f, enum ks__feature_id id)
{
	KS__SIGNALS_HELD;

	return table[id].try(f, &f->by_id[id]);
}

int ks__feature(struct ks__features *f, enum ks__feature_id id)
{
	struct ks__feature *r = &f->by_id[id];

	if (r->tried)
		return r->error;
	r->error = expect_names(f);
	if (r->error) {
		snprintf(r->reason, sizeof(r->reason), "%s: out of memory", table[id].name);
		return r->error;
	}
	r->tried = 1;
	if (table[id].bit & f->ks->opts.features_off) {
		r->error = -EOPNOTSUPP;
		snprintf(r->reason, sizeof(r->reason), "%s: switched off by features_off",
			 table[id].name);
		return r->error;
	}
	r->error = try(f, id);
	if (!r->error)
		r->reason[0] = '\0';
	/* cache only a final answer */
	r->tried = ks__answer(r->error) == KS__ANSWER_FINAL && !ks__machine_locked(f->ks, r->error);
	return r->error;
}

void ks__features_init(struct ks__features *f, const struct ks *ks)
{
	memset(f, 0, sizeof(*f));
	f->ks = ks;
	ks__types_init(&f->types, ks);
}

void ks__features_free(struct ks__features *f)
{
	ks__types_free(&f->types);
}

void ks__features_doc(struct ks__features *f, struct ks__doc *doc)
{
	ks__doc_array(doc, "features");
	for (unsigned i = 0; i < KS__FEATURES; i++) {
		int error = ks__feature(f, i);

		ks__doc_object(doc, NULL);
		ks__doc_str(doc, "name", table[i].name);
		ks__doc_bool(doc, "works", !error);
		ks__doc_str(doc, "reason", error ? f->by_id[i].reason : NULL);
		ks__doc_close(doc);
	}
	ks__doc_close(doc);
}
