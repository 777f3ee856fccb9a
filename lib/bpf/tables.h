/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tables.h - per-CPU statistics: kernel programs write them into arrays that user space maps
 *
 * Readers take no lock and make no syscall. One atomic store publishes a mapping, which then stays
 * until the handle is closed.
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
	_Atomic(char *) mem; /* NULL: not mapped yet */
	size_t stride, size;
	uint32_t n_cpus;
};

struct ks__tables {
	struct ks__table_map cpus; /* ks_cpus: one struct ks_bpf_cpu for each CPU */
	struct ks__table_map stats[KS_BPF_PROBES];
};

/* Maps the array; later calls do nothing. 0 or -errno. */
int ks__table_map(struct ks__table_map *t, int fd, uint32_t value_size, uint32_t n_cpus);
void ks__table_unmap(struct ks__table_map *t);
void ks__tables_unmap(struct ks__tables *tables);

/* Adds the counts of each CPU to the row of its number; per_cpu 0: all to row 0. */
void ks__table_read(struct ks__table_map *t, struct ks__rows *rows, int per_cpu);

/* Adds the ledger of a probe over all CPUs: outcomes and time in the kernel. */
void ks__tables_ledger(struct ks__tables *tables, uint32_t probe, struct ks__ledger *ret);

#endif
