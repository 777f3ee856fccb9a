/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tables.h"

_Static_assert(sizeof(struct ks_bpf_hist) == KS__HIST_WORDS * sizeof(uint64_t),
	       "struct ks_bpf_hist (bpf/shared.h) must have KS__HIST_WORDS words");

int ks__table_map(struct ks__table_map *t, int fd, uint32_t value_size, uint32_t n_cpus)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *mem;

	if (atomic_load(&t->mem))
		return 0;
	t->stride = ((size_t)value_size + 7) &
		    ~(size_t)7; /* the kernel rounds array elements up to 8 bytes */
	t->n_cpus = n_cpus;
	t->size = (t->stride * n_cpus + page - 1) & ~(page - 1);
	mem = mmap(NULL, t->size, PROT_READ, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		return -errno;
	atomic_store_explicit(&t->mem, mem, memory_order_release);
	return 0;
}

void ks__table_unmap(struct ks__table_map *t)
{
	char *mem = atomic_exchange(&t->mem, NULL);

	if (mem)
		munmap(mem, t->size);
}

void ks__tables_unmap(struct ks__tables *tables)
{
	ks__table_unmap(&tables->cpus);
	for (unsigned i = 0; i < KS_BPF_PROBES; i++)
		ks__table_unmap(&tables->stats[i]);
}

void ks__table_read(struct ks__table_map *t, struct ks__rows *rows, int per_cpu)
{
	const char *mem = atomic_load_explicit(&t->mem, memory_order_acquire);

	if (!mem || t->stride < rows->words * sizeof(uint64_t))
		return;
	for (uint32_t cpu = 0; cpu < t->n_cpus; cpu++) {
		size_t row = per_cpu ? cpu : 0;

		if (row < rows->n_rows)
			ks__rows_add(rows, row, (const void *)(mem + cpu * t->stride));
	}
}

void ks__tables_ledger(struct ks__tables *tables, uint32_t probe, struct ks__ledger *ret)
{
	const char *mem = atomic_load_explicit(&tables->cpus.mem, memory_order_acquire);

	for (uint32_t cpu = 0; mem && cpu < tables->cpus.n_cpus; cpu++) {
		const struct ks_bpf_cpu *c = (const void *)(mem + cpu * tables->cpus.stride);
		const struct ks_bpf_ledger *l = &c->probe[probe];

		for (unsigned i = 0; i < KS_OUTCOMES; i++)
			ret->outcome[i] += __atomic_load_n(&l->outcome[i], __ATOMIC_RELAXED);
		ret->kernel_ns += __atomic_load_n(&l->kernel_ns, __ATOMIC_RELAXED);
	}
}
