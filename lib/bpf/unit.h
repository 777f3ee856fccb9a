/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unit.h - load kernel programs from the embedded object and keep their descriptors
 *
 * Opening and relocating an object costs milliseconds, however few of its programs are loaded. So
 * the library loads all programs that it needs at one time as one unit. Later units open the object
 * again and reuse the maps of the first. libbpf cannot load an object again whose load has failed.
 */
#ifndef KS_UNIT_H
#define KS_UNIT_H

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/shared.h"
#include "feature.h"
#include "hooks.h"

/* The kernel programs, linked into one ELF object (embed.S). */
extern const unsigned char ks__bpf_object[];
extern const size_t ks__bpf_object_size;

struct ks__map {
	char name[32];
	int fd;        /* -1: not created */
	uint32_t load; /* the load that created it, counted from 1 */
	uint32_t type, key_size, value_size, max_entries;
	uint64_t bytes; /* kernel memory, as the kernel counts it */
};

/* All maps of the object, found by their position in it, since the kernel truncates names. */
struct ks__maps {
	struct ks__fds *fds;
	unsigned n;          /* 0 before the first load */
	uint32_t loads;      /* number of loads that created maps, or could have */
	struct ks__map *map; /* NULL before the first load */
};

struct ks__program {
	const char *name;
	struct ks__hook hook;
	int fd;    /* -1: not loaded */
	int error; /* -errno if the kernel refused the program, and the reason in words */
	char reason[200];
};

struct ks__unit {
	struct ks__features *features;
	const struct ks_bpf_const *consts;
	struct ks__maps *maps;            /* in: maps to reuse; out: also maps that were created */
	uint32_t n_cpus, n_pids;          /* entries of per-CPU arrays and of ks_pids */
	const char *const *const *wanted; /* NULL-ended list of NULL-ended lists of map names */
	struct ks__program *const *progs;
	unsigned n_progs;
};

/*
 * Sets the hook of each program from its section name; programs that the object lacks get
 * KS__HOOK_NONE. Announces the kernel types that the object's programs use. 0 or -errno.
 */
int ks__unit_hooks(struct ks__program *const *progs, unsigned n, struct ks__types *types);

/*
 * Loads all programs of the unit, or none. 0, or -errno: the maps are as before, and either a
 * program has its error set, or `why` says what else failed.
 */
int ks__unit_load(const struct ks__unit *unit, char *why, size_t size);

struct ks__program_info {
	uint32_t id;
	uint64_t bytes;        /* instructions in the kernel, translated and JIT-compiled */
	uint64_t runs, run_ns; /* counted only with kernel.bpf_stats_enabled */
	uint64_t missed;       /* runs that the kernel left out */
	int missed_known;      /* 0: this kernel does not report `missed` */
};

/* Costs one syscall. 0 or -errno. */
int ks__program_info(int fd, struct ks__program_info *ret);

/* Runs a raw_tp program with one argument on the calling thread (Linux 5.10). 0 or -errno. */
int ks__program_run(int fd, uint64_t arg, uint32_t *ret);

void ks__program_close(struct ks__program *prog, struct ks__fds *fds);

/* ---- programs.c ------------------------------------------------------------------------------ */

/* Which code loads typed programs. */
enum ks__typed {
	KS__TYPED_BY_US, /* this library; libbpf only relocates them */
	KS__TYPED_BY_LIBBPF, /* libbpf, for all programs; it first indexes the kernel's BTF, 9 ms */
};

/* For unit.c; scratch is zeroed memory. */
struct bpf_object;
/* Announces the kernel functions (kfuncs) that programs call. */
int ks__programs_expect(struct ks__types *types);
size_t ks__programs_scratch_size(const struct ks__unit *unit);
/* Before a load: selects and changes the programs. */
int ks__programs_prepare(const struct ks__unit *unit, struct bpf_object *obj, enum ks__typed typed,
			 void *scratch);
/* After a load: keeps the descriptors of the programs. */
int ks__programs_keep(const struct ks__unit *unit, struct bpf_object *obj, enum ks__typed typed,
		      const void *scratch);
/* After a failed load: sets error and reason of the refused program. Returns `error`. */
int ks__programs_name_refused(const struct ks__unit *unit, struct bpf_object *obj, void *scratch,
			      int error);

/* ---- maps.c ---------------------------------------------------------------------------------- */

void ks__maps_init(struct ks__maps *maps, struct ks__fds *fds);
void ks__maps_close(struct ks__maps *maps);
/* Closes only the task storage maps and the map of constants, which says whether they are used. */
void ks__maps_close_storage(struct ks__maps *maps);
/* Puts maps into slots 0 to n - 1 of a map of maps. batch: tries one call for all. 0 or -errno. */
int ks__map_put_fds(int fd, const int *inner_fds, unsigned n, int batch);
/* The map of that name if it was created, else NULL. */
struct ks__map *ks__maps_find(struct ks__maps *maps, const char *name);

/* 1: the latest load created this map. */
int ks__map_is_new(const struct ks__maps *maps, const struct ks__map *map);
/* Closes the maps that the latest load created; the others stay. */
void ks__maps_drop(struct ks__maps *maps);

/* For unit.c: before the load, and after it. On failure call ks__maps_drop(). */
int ks__maps_prepare(const struct ks__unit *unit, struct bpf_object *obj);
int ks__maps_keep(const struct ks__unit *unit, struct bpf_object *obj);

#endif
