/* SPDX-License-Identifier: BSD-2-Clause */
/* programs.c - the programs of units: which are loaded, how, and what was said of those refused */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "answer.h"
#include "machine.h"
#include "unit.h"

#define STUB 2      /* instructions */
#define LOG_STATS 4 /* of bpf_attr.log_level: complaints and totals, without each step */

#define UNTOUCHED 0x7f /* first byte of a log while nobody has tried to load its program */

/* What a load needs for each program, in memory that is used only when it is written. */
struct scratch {
	struct bpf_insn head[STUB], stub[STUB]; /* what was there, and what came; no stub: zeros */
	size_t at[STUB];
	char log[16u << 10];
};

static const char *const kfuncs[] = { "bpf_rdonly_cast", "bpf_iter_num_new", "bpf_iter_num_next",
				      "bpf_iter_num_destroy" };

#define N_KFUNCS (sizeof(kfuncs) / sizeof(kfuncs[0]))

_Static_assert(N_KFUNCS == KS_KFUNC_END - KS_KFUNC_RDONLY_CAST, "one name for each number");

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

/* Returns the number of the last instruction that is an exit, or -1. */
static long last_exit(const struct bpf_insn *insns, size_t n)
{
	while (n--)
		if (insns[n].code == (BPF_JMP | BPF_EXIT))
			return (long)n;
	return -1;
}

/* The next one that is not a constant of two instructions: those are where maps are put in. */
static size_t next_plain(const struct bpf_insn *insns, size_t n, size_t i)
{
	while (i < n && insns[i].code == (BPF_LD | BPF_IMM | BPF_DW))
		i += 2;
	return i;
}

/*
 * libbpf relocates programs only when it loads them (1.6 can do one without the other), and a typed
 * one it loads with the kernel's BTF read and indexed. So it gets a program of a simpler type of
 * which two instructions at the beginning lead to the exit: the verifier looks no further, and all
 * the rest is relocated as it should be. Where one of the two is to be relocated itself, libbpf finds
 * another instruction than it expects, or it changes ours: then this way is given up.
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

/* The function that a call means, in the running kernel; 0: none, or it lacks that. */
static uint32_t kfunc(struct ks__types *types, const struct bpf_insn *insn)
{
	uint32_t i = (uint32_t)insn->imm - KS_KFUNC_RDONLY_CAST;

	if (insn->code != (BPF_JMP | BPF_CALL) || insn->src_reg || i >= N_KFUNCS)
		return 0;
	return ks__types_id(types, KS__BTF_FUNC, kfuncs[i]);
}

/*
 * Before 5.12 the kernel refuses an atomic instruction that fetches even where no path leads to it:
 * the fields of all instructions are checked first. Programs have them behind atomic_fetch only.
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

/* One whose section libbpf knows is left to it. */
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

/* ---- after it -------------------------------------------------------------------------------- */

/*
 * Without the names of functions and lines, which libbpf 1.1 does not give away: nothing but
 * callbacks (bpf_loop()) needs them, and those libbpf loads.
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
	while (ks__answer_again(fd, &tries, KS__TRIES));
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
			fd = fcntl(bpf_program__fd(prog), F_DUPFD_CLOEXEC, 3);
		next++;
		if (fd < 0)
			return typed == KS__TYPED_BY_US ? fd : -errno;
		p->fd = ks__fd_keep(unit->maps->fds, fd);
		if (p->fd < 0)
			return p->fd;
	}
	return 0;
}

/* ---- when it failed -------------------------------------------------------------------------- */

/* The verifier ends with what is wrong, and then its statistics. */
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

/* The words of the verifier in the kernel's own terms, as far as there are better ones. */
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
			 "%s: kernel lockdown (confidentiality) lets no program read kernel "
			 "memory: boot with lockdown=integrity or none",
			 hook);
	else if (no_task)
		snprintf(p->reason, sizeof(p->reason),
			 "%s: no program of a type is told its task here "
			 "(bpf_get_current_task_btf, Linux 5.11)",
			 hook);
	else if (no_args)
		snprintf(p->reason, sizeof(p->reason),
			 "%s: this kernel's BTF does not tell what its function is given", hook);
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
 * Notes why, of the first one whose log does not say that it was gone through, and nothing else. If
 * none was tried, it was not a program that was refused.
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
