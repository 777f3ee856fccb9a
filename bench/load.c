/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What loading, attaching and closing cost the host in CPU time, each time in a fresh process: the
 * library against the same object, programs and constants in the hands of plain libbpf.
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/libbpf.h>

#include "bench.h"
#include "lib/source/bpf.h"

#define ROUNDS 15
#define CYCLES 50

extern const struct ks__probe ks__probe_proc, ks__probe_fadvise;

static const struct ks__probe *const probes[] = { &ks__probe_proc, &ks__probe_fadvise };
static const uint32_t numbers[] = { KS_PROBE_PROC, KS_PROBE_FADVISE };

#define N_PROBES (sizeof(probes) / sizeof(probes[0]))

/* What a child has measured, in memory shared with it. */
static struct {
	double load, attach, close; /* ms of CPU */
	double open, prepare;
	double on[CYCLES], off[CYCLES];
	unsigned n_progs;
	struct ks_bpf_const consts;
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

static void by_library(void)
{
	uint64_t began = cpu_process();
	struct ks *ks = prepared();

	for (unsigned i = 0; i < N_PROBES; i++)
		must(ks, ks_enable_probe(ks, numbers[i], NULL), "ks_enable_probe");
	result->load = ms_since(began);
	for (unsigned i = 0; ks->sources[i]; i++)
		if (ks->sources[i]->ops == &ks__source_bpf)
			result->consts = ks__bpf_of(ks->sources[i])->consts;
	began = cpu_process();
	ks_close(ks);
	result->close = ms_since(began);
}

static void cycles(void)
{
	struct ks *ks = prepared();
	uint64_t began;

	for (unsigned i = 0; i < CYCLES; i++) {
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
	static const char *const common[] = { "ks_control", "ks_cpus", "ks_buckets",
					      "ks_rings",   "ks_pids", ".rodata" };

	for (unsigned i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		if (strstr(name, common[i]))
			return 1;
	for (unsigned i = 0; i < N_PROBES; i++)
		for (const char *const *map = probes[i]->maps; map && *map; map++)
			if (!strcmp(name, *map))
				return 1;
	return 0;
}

static int wanted_prog(const char *name)
{
	for (unsigned i = 0; i < N_PROBES; i++)
		for (const struct ks__variant *v = probes[i]->variants; v->name; v++)
			for (unsigned p = 0; !strcmp(v->name, "tp_btf") && v->progs[p]; p++)
				if (!strcmp(name, v->progs[p]))
					return 1;
	return 0;
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
			errx(1, "ks_const is not what it was");
	}
	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, wanted_prog(bpf_program__name(prog)));
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
		links[n] = bpf_program__attach(prog);
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
	for (unsigned i = 0; i < CYCLES; i++) {
		samples_add(&on, result->on[i]);
		samples_add(&off, result->off[i]);
	}
	figure("enable a prepared probe", samples_median(&on), AT_MOST, 0.2, "ms",
	       "proc; min %.3f of %u", samples_min(&on), CYCLES);
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
