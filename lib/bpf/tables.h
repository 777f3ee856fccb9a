/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tables.h - statistics that programs keep in arrays which user space maps: one slot a CPU
 *
 * Readers take no lock and make no system call: a mapping is published once, by one atomic store,
 * and lives until the handle is closed.
 */
#ifndef KS_TABLES_H
#define KS_TABLES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bpf/shared.h"
#include "../data/ledger.h"
#include "../data/rows.h"

struct ks__table_map {
	_Atomic(char *) mem; /* NULL: not there yet */
	size_t stride, size;
	uint32_t n_cpus;
};

struct ks__tables {
	struct ks__table_map cpus; /* ks_cpus: struct ks_bpf_cpu each */
	struct ks__table_map stats[KS_BPF_PROBES];
};

/* Maps it, once. 0 or -errno. */
int ks__table_map(struct ks__table_map *t, int fd, uint32_t value_size, uint32_t n_cpus);
void ks__table_unmap(struct ks__table_map *t);
void ks__tables_unmap(struct ks__tables *tables);

/* Adds what each CPU has counted; per_cpu 0: all to row 0. */
void ks__table_read(struct ks__table_map *t, struct ks__rows *rows, int per_cpu);

/* Outcomes and cost of a probe, over all CPUs. */
void ks__tables_book(struct ks__tables *tables, uint32_t probe, struct ks__book *ret);

#endif
