/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What loading, attaching and closing cost the host in CPU time, each time in a fresh process. The
 * library is compared with plain libbpf that loads the same object, programs and constants.
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/libbpf.h>

#include "bench.h"
#include "lib/source/bpf.h"

#define ROUNDS bench_rounds(15)
#define CYCLES 50

extern const struct ks__probe ks__probe_proc, ks__probe_fadvise;

static const struct ks__probe *const probes[] = { &ks__probe_proc, &ks__probe_fadvise };
static const uint32_t numbers[] = { KS_PROBE_PROC, KS_PROBE_FADVISE };

#define N_PROBES (sizeof(probes) / sizeof(probes[0]))

/* Results of a child process, in memory that it shares with its parent. */
static struct {
	double load, attach, close; /* ms of CPU */
	double open, prepare;
	double on[CYCLES], off[CYCLES];
	unsigned n_progs;
	struct ks_bpf_const consts;
	uint32_t kfuncs[KS_KFUNC_END - KS_KFUNC_RDONLY_CAST];
} * result;

static double ms_since(uint64_t began)
{
	return (double)(cpu_process() - began) / 1e6;
}

/* ---- the library ----------------------------------------------------------------------------- */

static struct ks *prepared(void)
{
	struct ks *ks;
	uint64_t began = cpu_process();

	ks = host_open(0, 0, 0);
	result->open = ms_since(began);
	if (must(ks, ks_prepare(ks, numbers, N_PROBES), "ks_prepare") != (int)N_PROBES)
		errx(1, "not all probes run on kernel programs here");
	result->prepare = ms_since(began) - result->open;
	return ks;
}

/* The facts that plain libbpf needs to load the same programs. */
static void take_facts(struct ks__bpf *b)
{
	static const char *const names[] = { "bpf_rdonly_cast", "bpf_iter_num_new",
					     "bpf_iter_num_next", "bpf_iter_num_destroy" };

	result->consts = b->consts;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		result->kfuncs[i] = ks__types_id(&b->features.types, KS__BTF_FUNC, names[i]);
}

static void by_library(void)
{
	uint64_t began = cpu_process();
	struct ks *ks = prepared();

	for (unsigned i = 0; i < N_PROBES; i++)
		must(ks, ks_enable_probe(ks, numbers[i], NULL), "ks_enable_probe");
	result->load = ms_since(began);
	for (unsigned i = 0; ks->sources[i]; i++)
		if (ks->sources[i]->ops == &ks__source_bpf)
			take_facts(ks__bpf_of(ks->sources[i]));
	began = cpu_process();
	ks_close(ks);
	result->close = ms_since(began);
}

static void cycles(void)
{
	struct ks *ks = prepared();
	uint64_t began;

	for (unsigned i = 0; i < bench_rounds(CYCLES); i++) {
		began = cpu_process();
		must(ks, ks_enable_probe(ks, KS_PROBE_PROC, NULL), "ks_enable_probe");
		result->on[i] = ms_since(began);
		began = cpu_process();
		must(ks, ks_disable_probe(ks, KS_PROBE_PROC), "ks_disable_probe");
		result->off[i] = ms_since(began);
	}
	ks_close(ks);
}

/* ---- plain libbpf ---------------------------------------------------------------------------- */

static int wanted_map(const char *name)
{
	static const char *const common[] = { "ks_control", "ks_cpus",    "ks_buckets", "ks_rings",
					      "ks_pids",    "ks_threads", "ks_free",    "ks_who",
					      "ks_roles",   ".rodata" };

	for (unsigned i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		if (strstr(name, common[i]))
			return 1;
	for (unsigned i = 0; i < N_PROBES; i++)
		for (const char *const *map = probes[i]->maps; map && *map; map++)
			if (!strcmp(name, *map))
				return 1;
	return 0;
}

/* Is this a program of a probe's best variant, or one that follows threads? */
static int wanted_prog(const char *name)
{
	if (!strncmp(name, "thread_", 7) && strstr(name, "_tp_btf"))
		return 1;
	for (unsigned i = 0; i < N_PROBES; i++)
		for (const struct ks__variant *v = probes[i]->variants; v->name; v++)
			for (unsigned p = 0; !strcmp(v->name, "tp_btf") && v->progs[p]; p++)
				if (!strcmp(name, v->progs[p]))
					return 1;
	return 0;
}

/* Typed programs call kernel functions by type ids. Puts them in, as the library does. */
static void put_kfuncs(struct bpf_program *prog)
{
	struct bpf_insn insns[4096];
	size_t n = bpf_program__insn_cnt(prog);

	if (n > sizeof(insns) / sizeof(insns[0]))
		errx(1, "%s is too long", bpf_program__name(prog));
	memcpy(insns, bpf_program__insns(prog), n * sizeof(insns[0]));
	for (size_t i = 0; i < n; i++) {
		uint32_t kfunc = (uint32_t)insns[i].imm - KS_KFUNC_RDONLY_CAST;

		if (insns[i].code != (BPF_JMP | BPF_CALL) || insns[i].src_reg ||
		    kfunc >= KS_KFUNC_END - KS_KFUNC_RDONLY_CAST)
			continue;
		insns[i].src_reg = BPF_PSEUDO_KFUNC_CALL;
		insns[i].imm = (int32_t)result->kfuncs[kfunc];
	}
	if (bpf_program__set_insns(prog, insns, n))
		errx(1, "%s cannot be changed", bpf_program__name(prog));
}

static void make_typed(struct bpf_program *prog)
{
	if (bpf_program__set_type(prog, BPF_PROG_TYPE_TRACING) ||
	    bpf_program__set_expected_attach_type(prog, BPF_TRACE_RAW_TP) ||
	    bpf_program__set_attach_target(prog, 0,
					   strrchr(bpf_program__section_name(prog), '/') + 1))
		errx(1, "%s cannot be typed", bpf_program__name(prog));
}

static void choose(struct bpf_object *obj)
{
	struct bpf_program *prog;
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		if (!wanted_map(bpf_map__name(map)))
			bpf_map__set_autocreate(map, false);
		if (strstr(bpf_map__name(map), ".rodata.ks") &&
		    bpf_map__set_initial_value(map, &result->consts, sizeof(result->consts)))
			errx(1, "cannot set ks_const: its size in the object has changed");
	}
	bpf_object__for_each_program(prog, obj)
	{
		int wanted = wanted_prog(bpf_program__name(prog));

		bpf_program__set_autoload(prog, wanted);
		if (!wanted)
			continue;
		put_kfuncs(prog);
		make_typed(prog);
	}
}

static void by_libbpf(void)
{
	uint64_t began = cpu_process(), attach;
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "ks");
	struct bpf_object *obj = bpf_object__open_mem(ks__bpf_object, ks__bpf_object_size, &opts);
	struct bpf_link *links[64];
	struct bpf_program *prog;
	unsigned n = 0;

	if (!obj)
		err(1, "bpf_object__open_mem");
	choose(obj);
	if (bpf_object__load(obj))
		err(1, "bpf_object__load");
	attach = cpu_process();
	bpf_object__for_each_program(prog, obj)
	{
		if (!bpf_program__autoload(prog))
			continue;
		links[n] = bpf_program__attach_trace(prog);
		if (!links[n++])
			err(1, "attaching %s", bpf_program__name(prog));
	}
	result->load = ms_since(began);
	result->attach = ms_since(attach);
	result->n_progs = n;
	began = cpu_process();
	for (unsigned i = 0; i < n; i++)
		bpf_link__destroy(links[i]);
	bpf_object__close(obj);
	result->close = ms_since(began);
}

/* ---- figures --------------------------------------------------------------------------------- */

static void report_cycles(void)
{
	struct samples on = { 0 }, off = { 0 };

	in_child(cycles);
	for (unsigned i = 0; i < bench_rounds(CYCLES); i++) {
		samples_add(&on, result->on[i]);
		samples_add(&off, result->off[i]);
	}
	figure("enable a prepared probe", samples_median(&on), AT_MOST, 0.2, "ms",
	       "proc; min %.3f of %u", samples_min(&on), bench_rounds(CYCLES));
	figure("disable it", samples_median(&off), AT_MOST, 0.2, "ms", "min %.3f",
	       samples_min(&off));
}

int main(void)
{
	struct samples library = { 0 }, bare = { 0 }, closing = { 0 }, opening = { 0 };

	need_root("load");
	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (result == MAP_FAILED)
		err(1, "mmap");
	for (unsigned round = 0; round < ROUNDS; round++) {
		in_child(by_library);
		samples_add(&library, result->load);
		samples_add(&opening, result->open);
		samples_add(&closing, result->close);
		in_child(by_libbpf);
		samples_add(&bare, result->load);
	}
	figure("prepare + enable all / libbpf", samples_median(&library) / samples_median(&bare),
	       AT_MOST, 1.2, "x", "%.1f ms of CPU (min %.1f), libbpf %.1f (min %.1f), %u programs",
	       samples_median(&library), samples_min(&library), samples_median(&bare),
	       samples_min(&bare), result->n_progs);
	figure_plain("open", samples_median(&opening), "ms", "min %.3f", samples_min(&opening));
	figure("close", samples_median(&closing), AT_MOST, 2, "ms", "min %.2f",
	       samples_min(&closing));
	report_cycles();
	return 0;
}
