/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unit.h - load programs out of the embedded object; what stays are descriptors
 *
 * Opening and relocating an object costs milliseconds however few of its programs are loaded; so all
 * that are wanted at one time are loaded as one unit. Later units open the object again
 * and take over the maps of the first. An object that failed to load cannot be loaded again.
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

/* All maps of the object, in its order: the kernel cuts names, positions are certain. */
struct ks__maps {
	struct ks__fds *fds;
	unsigned n;          /* 0 before the first load */
	uint32_t loads;      /* that created maps, or could have */
	struct ks__map *map; /* NULL before the first load */
};

struct ks__program {
	const char *name;
	struct ks__hook hook;
	int fd;    /* -1: not loaded */
	int error; /* the kernel refused it: why */
	char reason[200];
};

struct ks__unit {
	struct ks__features *features;
	const struct ks_bpf_const *consts;
	struct ks__maps *maps;            /* in: taken over; out: and those that are new */
	uint32_t n_cpus, n_pids;          /* entries of per-CPU arrays and of ks_pids */
	const char *const *const *wanted; /* NULL-ended list of such lists of maps */
	struct ks__program *const *progs;
	unsigned n_progs;
};

/*
 * Section of each program -> its hook; programs that the object lacks keep KS__HOOK_NONE. Announces
 * the types of the kernel that the object's programs know.
 */
int ks__unit_hooks(struct ks__program *const *progs, unsigned n, struct ks__types *types);

/*
 * 0: all are loaded. Else nothing is, and maps are as before: -errno, and either some programs have
 * their error set, or `why` says what failed beside them.
 */
int ks__unit_load(const struct ks__unit *unit, char *why, size_t size);

struct ks__program_info {
	uint32_t id;
	uint64_t bytes;        /* instructions, as the kernel holds them */
	uint64_t runs, run_ns; /* with kernel.bpf_stats_enabled */
	uint64_t missed;       /* times it was not run */
	int missed_known;      /* 0: this kernel does not say */
};

/* One system call. 0 or -errno. */
int ks__program_info(int fd, struct ks__program_info *ret);

/* Runs a raw_tp program of one argument on the calling thread (Linux 5.10). 0 or -errno. */
int ks__program_run(int fd, uint64_t arg, uint32_t *ret);

void ks__program_close(struct ks__program *prog, struct ks__fds *fds);

/* ---- programs.c ------------------------------------------------------------------------------ */

/* Who loads typed programs. */
enum ks__typed {
	KS__TYPED_BY_US, /* libbpf only fits them to this kernel */
	KS__TYPED_BY_LIBBPF, /* it indexes the kernel's BTF for them, 9 ms; there is none it cannot load */
};

/* For unit.c: names to announce; before a load, after it, and after one that failed; scratch is zeroed memory. */
struct bpf_object;
int ks__programs_expect(struct ks__types *types);
size_t ks__programs_scratch_size(const struct ks__unit *unit);
int ks__programs_prepare(const struct ks__unit *unit, struct bpf_object *obj, enum ks__typed typed,
			 void *scratch);
int ks__programs_keep(const struct ks__unit *unit, struct bpf_object *obj, enum ks__typed typed,
		      const void *scratch);
/* Returns the error, or -ENOMEM if that is what it was. */
int ks__programs_name_refused(const struct ks__unit *unit, struct bpf_object *obj, void *scratch,
			      int error);

/* ---- maps.c ---------------------------------------------------------------------------------- */

void ks__maps_init(struct ks__maps *maps, struct ks__fds *fds);
void ks__maps_close(struct ks__maps *maps);
/* Only those in task storage, and the constants that say that they are used. */
void ks__maps_close_storage(struct ks__maps *maps);
/* Puts maps into the slots 0, 1, … of a map of maps. 0 or -errno. */
int ks__map_put_fds(int fd, const int *inner_fds, unsigned n, int batch);
/* The map of that name if it was created, else NULL. */
struct ks__map *ks__maps_find(struct ks__maps *maps, const char *name);

/* Whether the latest load created it. */
int ks__map_is_new(const struct ks__maps *maps, const struct ks__map *map);
/* Closes what the latest load created: the maps are as before it. */
void ks__maps_drop(struct ks__maps *maps);

/* For unit.c: before the load, and after it. On failure call ks__maps_drop(). */
int ks__maps_prepare(const struct ks__unit *unit, struct bpf_object *obj);
int ks__maps_keep(const struct ks__unit *unit, struct bpf_object *obj);

#endif
