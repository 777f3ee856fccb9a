/* SPDX-License-Identifier: BSD-2-Clause */
/* programs.c - kernel programs of units: which are loaded and how, and why one was refused */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "answer.h"
#include "machine.h"
#include "unit.h"

#define STUB 2      /* instructions of a stub */
#define LOG_STATS 4 /* bpf_attr.log_level: errors and totals, without each step */

#define UNTOUCHED 0x7f /* first byte of a log until libbpf tries to load its program */

/* Data of one program during a load. The pages are allocated when they are first written. */
struct scratch {
	struct bpf_insn head[STUB], stub[STUB]; /* old and new instructions; no stub: zeros */
	size_t at[STUB];                        /* their indexes in the program */
	char log[16u << 10];
};

static const char *const kfuncs[] = { "bpf_rdonly_cast", "bpf_iter_num_new", "bpf_iter_num_next",
				      "bpf_iter_num_destroy" };

#define N_KFUNCS (sizeof(kfuncs) / sizeof(kfuncs[0]))

_Static_assert(N_KFUNCS == KS_KFUNC_END - KS_KFUNC_RDONLY_CAST,
	       "kfuncs[] needs one name for each KS_KFUNC_ number, in their order");

int ks__programs_expect(struct ks__types *types)
{
	int rc = 0;

	for (size_t i = 0; i < N_KFUNCS && !rc; i++)
		rc = ks__types_expect(types, KS__BTF_FUNC, kfuncs[i]);
	return rc;
}

/* ---- one program ----------------------------------------------------------------------------- */

void ks__program_close(struct ks__program *prog, struct ks__fds *fds)
{
	ks__fd_close(fds, prog->fd);
	prog->fd = -1;
}

int ks__program_run(int fd, uint64_t arg, uint32_t *ret)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &arg, .ctx_size_in = sizeof(arg));
	unsigned tries = 0;
	int rc;

	do
		rc = bpf_prog_test_run_opts(fd, &opts) ? -errno : 0;
	while (ks__answer_again(rc, &tries, KS__TRIES));
	if (!rc)
		*ret = opts.retval;
	return rc;
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

/* ---- instructions ---------------------------------------------------------------------------- */

/* Returns the index of the last exit instruction, or -1. */
static long last_exit(const struct bpf_insn *insns, size_t n)
{
	while (n--)
		if (insns[n].code == (BPF_JMP | BPF_EXIT))
			return (long)n;
	return -1;
}

/* Skips constants of two instructions, into which libbpf puts maps; returns the next index. */
static size_t next_plain(const struct bpf_insn *insns, size_t n, size_t i)
{
	while (i < n && insns[i].code == (BPF_LD | BPF_IMM | BPF_DW))
		i += 2;
	return i;
}

/*
 * Makes a program that libbpf relocates without indexing the kernel's BTF. libbpf relocates a
 * program only when it loads it (1.6 can do one without the other), and for a typed program it
 * reads and indexes the kernel's BTF first. So libbpf gets the program with an untyped type and a
 * stub: two instructions at the beginning jump to the exit. The verifier looks no further, and
 * libbpf relocates all other instructions. If one of the two replaced instructions needs a
 * relocation, libbpf fails on an unexpected instruction or changes the stub; then the caller leaves
 * the program to libbpf.
 */
static int make_stub(struct bpf_insn *insns, size_t n, struct scratch *s)
{
	long exit = last_exit(insns, n);

	s->at[0] = next_plain(insns, n, 0);
	s->at[1] = next_plain(insns, n, s->at[0] + 1);
	if (exit <= (long)s->at[1] || exit > INT16_MAX)
		return -ERANGE;
	s->stub[0] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K };
	s->stub[1] = (struct bpf_insn){ .code = BPF_JMP | BPF_JEQ | BPF_K,
					.off = (int16_t)(exit - (long)s->at[1] - 1) };
	for (int i = 0; i < STUB; i++) {
		s->head[i] = insns[s->at[i]];
		insns[s->at[i]] = s->stub[i];
	}
	return 0;
}

/* Type id of the kfunc that this instruction calls; 0: no such call, or the kernel lacks it. */
static uint32_t kfunc(struct ks__types *types, const struct bpf_insn *insn)
{
	uint32_t i = (uint32_t)insn->imm - KS_KFUNC_RDONLY_CAST;

	if (insn->code != (BPF_JMP | BPF_CALL) || insn->src_reg || i >= N_KFUNCS)
		return 0;
	return ks__types_id(types, KS__BTF_FUNC, kfuncs[i]);
}

/*
 * Fits instructions to the running kernel. Sets the type ids of kfunc calls. Replaces fetching
 * atomic instructions if the kernel lacks them: before 5.12 it checks the fields of all
 * instructions first and refuses these even in dead code. Programs use them only behind the
 * constant atomic_fetch.
 */
static void fit(const struct ks__unit *unit, struct bpf_insn *insns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct bpf_insn *insn = &insns[i];
		uint32_t id = kfunc(&unit->features->types, insn);

		if (id) {
			insn->src_reg = BPF_PSEUDO_KFUNC_CALL;
			insn->imm = (int32_t)id;
		}
		if (!unit->consts->atomic_fetch && BPF_CLASS(insn->code) == BPF_STX &&
		    BPF_MODE(insn->code) == BPF_ATOMIC && insn->imm != BPF_ADD)
			*insn = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K };
	}
}

static int change(const struct ks__unit *unit, struct bpf_program *prog, struct scratch *stub)
{
	size_t n = bpf_program__insn_cnt(prog);
	struct bpf_insn *insns = malloc(n * sizeof(*insns));
	int rc = insns ? 0 : -ENOMEM;

	if (!rc) {
		memcpy(insns, bpf_program__insns(prog), n * sizeof(*insns));
		fit(unit, insns, n);
		if (stub)
			rc = make_stub(insns, n, stub);
	}
	if (!rc)
		rc = bpf_program__set_insns(prog, insns, n);
	free(insns);
	return rc;
}

/* ---- before the load ------------------------------------------------------------------------- */

size_t ks__programs_scratch_size(const struct ks__unit *unit)
{
	return unit->n_progs * sizeof(struct scratch);
}

static struct ks__program *chosen(const struct ks__unit *unit, const struct bpf_program *prog)
{
	for (unsigned i = 0; i < unit->n_progs; i++)
		if (!strcmp(unit->progs[i]->name, bpf_program__name(prog)))
			return unit->progs[i];
	return NULL;
}

/* 1: a typed program with a section name that libbpf does not know; libbpf loads all others. */
static int is_typed(const struct ks__unit *unit, const struct ks__program *p,
		    const struct bpf_program *prog, uint32_t *ret_attach, uint32_t *ret_id)
{
	return bpf_program__type(prog) == BPF_PROG_TYPE_UNSPEC &&
	       ks__hook_typed(&p->hook, &unit->features->types, ret_attach, ret_id);
}

static int prepare(const struct ks__unit *unit, const struct ks__program *p,
		   struct bpf_program *prog, enum ks__typed typed, struct scratch *scratch)
{
	uint32_t attach, id;
	int rc, is = is_typed(unit, p, prog, &attach, &id);

	rc = change(unit, prog, is && typed == KS__TYPED_BY_US ? scratch : NULL);
	scratch->log[0] = UNTOUCHED;
	if (!rc)
		rc = bpf_program__set_log_buf(prog, scratch->log, sizeof(scratch->log));
	if (!rc)
		rc = bpf_program__set_log_level(prog, LOG_STATS);
	if (rc || !is)
		return rc;
	if (typed == KS__TYPED_BY_US)
		return bpf_program__set_type(prog, BPF_PROG_TYPE_RAW_TRACEPOINT);
	rc = bpf_program__set_type(prog, BPF_PROG_TYPE_TRACING);
	if (!rc)
		rc = bpf_program__set_expected_attach_type(prog, attach);
	if (!rc)
		rc = bpf_program__set_attach_target(prog, 0, ks__hook_target(&p->hook));
	return rc;
}

int ks__programs_prepare(const struct ks__unit *unit, struct bpf_object *obj, enum ks__typed typed,
			 void *scratch)
{
	struct scratch *next = scratch;
	struct bpf_program *prog;
	int rc = 0;

	bpf_object__for_each_program(prog, obj)
	{
		struct ks__program *p = chosen(unit, prog);

		rc = bpf_program__set_autoload(prog, p != NULL);
		if (!rc && p)
			rc = prepare(unit, p, prog, typed, next++);
		if (rc)
			return rc;
	}
	return next - (struct scratch *)scratch == unit->n_progs ? 0 : -ENOENT;
}

/* ---- after the load -------------------------------------------------------------------------- */

/*
 * Loads a relocated typed program without its function and line information, which libbpf 1.1 does
 * not give out. Only programs with callbacks (bpf_loop()) need it; libbpf itself loads those.
 */
static int load_typed(const struct bpf_program *prog, uint32_t attach, uint32_t id,
		      const struct scratch *scratch)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach, .attach_btf_id = id);
	size_t n = bpf_program__insn_cnt(prog);
	struct bpf_insn *insns;
	unsigned tries = 0;
	int fd, sound = 1;

	insns = malloc(n * sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	memcpy(insns, bpf_program__insns(prog), n * sizeof(*insns));
	for (int i = 0; i < STUB; i++) {
		sound &= !memcmp(&insns[scratch->at[i]], &scratch->stub[i], sizeof(*insns));
		insns[scratch->at[i]] = scratch->head[i];
	}
	do
		fd = !sound ? -EINVAL :
			      bpf_prog_load(BPF_PROG_TYPE_TRACING, bpf_program__name(prog),
					    "Dual BSD/GPL", insns, n, &opts);
	while (ks__answer_again(fd, &tries, KS__TRIES_LOAD));
	free(insns);
	return fd;
}

int ks__programs_keep(const struct ks__unit *unit, struct bpf_object *obj, enum ks__typed typed,
		      const void *scratch)
{
	const struct scratch *next = scratch;
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
	{
		struct ks__program *p = chosen(unit, prog);
		uint32_t attach, id;
		int fd;

		if (!p)
			continue;
		if (typed == KS__TYPED_BY_US && next->stub[0].code)
			fd = ks__hook_typed(&p->hook, &unit->features->types, &attach, &id) ?
				     load_typed(prog, attach, id, next) :
				     -EINVAL;
		else
			fd = ks__fd_copy(bpf_program__fd(prog));
		next++;
		if (fd < 0)
			return fd;
		p->fd = ks__fd_keep(unit->maps->fds, fd);
		if (p->fd < 0)
			return p->fd;
	}
	return 0;
}

/* ---- after a failed load --------------------------------------------------------------------- */

/* Copies the last line of the log before the verifier's statistics: it says what is wrong. */
static void last_words(const char *log, char *buf, size_t size)
{
	const char *line = log, *best = "", *end;

	for (; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (end == line || line[0] == ';' || !strncmp(line, "processed ", 10) ||
		    strstr(line, "stack depth") == line ||
		    strstr(line, "verification time") == line)
			continue;
		best = line;
	}
	snprintf(buf, size, "%.*s", (int)(strchrnul(best, '\n') - best), best);
}

/* Sets error and reason of a refused program; replaces the verifier's words by clearer ones. */
static void say_refused(const struct ks__unit *unit, struct ks__program *p, const char *log,
			const char *words, int error)
{
	const char *hook = ks__hook_name(&p->hook);
	int locked = strstr(words, "bpf_probe_read") &&
		     ks__machine_confidential(unit->features->ks);
	int no_task = !locked && strstr(words, "func") && strstr(words, "#158");
	int no_args = !locked && strstr(log, "arg0 type FWD");

	p->error = no_task || no_args ? -EOPNOTSUPP : error; /* the kernel lacks it */
	if (locked)
		snprintf(p->reason, sizeof(p->reason),
			 "%s: kernel lockdown (confidentiality) forbids programs to read kernel "
			 "memory: boot with lockdown=integrity or none",
			 hook);
	else if (no_task)
		snprintf(p->reason, sizeof(p->reason),
			 "%s: typed programs cannot get their task on this kernel "
			 "(bpf_get_current_task_btf, Linux 5.11)",
			 hook);
	else if (no_args)
		snprintf(p->reason, sizeof(p->reason),
			 "%s: this kernel's BTF lacks the argument types of its function", hook);
	else if (error == -EPERM && !words[0] && ks__feature(unit->features, KS__FEATURE_MEMCG))
		ks__machine_bpf(unit->features->ks, hook, error, p->reason, sizeof(p->reason));
	else if (words[0])
		snprintf(p->reason, sizeof(p->reason), "%s: the verifier refused %s: %s", hook,
			 p->name, words);
	else
		snprintf(p->reason, sizeof(p->reason), "%s: the kernel refused %s (%s)", hook,
			 p->name, ks_error_name(error));
}

/*
 * Sets the reason of one program: the first whose log does not say that the verifier accepted it.
 * If libbpf has tried no program, the load failed for another reason.
 */
int ks__programs_name_refused(const struct ks__unit *unit, struct bpf_object *obj, void *scratch,
			      int error)
{
	struct scratch *next = scratch;
	struct bpf_program *prog;
	char words[120];

	bpf_object__for_each_program(prog, obj)
	{
		struct ks__program *p = chosen(unit, prog);

		if (!p)
			continue;
		if (next->log[0] == UNTOUCHED) {
			if (next == scratch)
				break;
			next->log[0] = '\0';
		}
		next->log[sizeof(next->log) - 1] = '\0';
		last_words(next->log, words, sizeof(words));
		if (words[0] || !strstr(next->log, "processed ")) {
			say_refused(unit, p, next->log, words, error);
			break;
		}
		next++;
	}
	return error;
}
