/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that per-CPU arrays are mapped once and whole, that each CPU's counts go to its row and to
 * no other, and that nothing beyond the last CPU is read; the test plays the kernel.
 */
#include <errno.h>
#include <sys/mman.h>

#include "bpf/tables.h"
#include "support/ks_test.h"

#define CPUS 3
#define WORDS 2
#define PROBE 5

struct sample {
	struct ks_row row; /*  0 */
	uint64_t calls;    /* 64 */
	uint64_t bytes;    /* 72 */
};                         /* 80 */

static const struct ks__field fields[] = {
	{ KS__AT(struct sample, calls), .count = 1, .kind = KS_KIND_COUNTER },
	{ KS__AT(struct sample, bytes), .count = 1, .kind = KS_KIND_COUNTER },
	{ 0 },
};

static const struct ks__struct desc = { .bytes = sizeof(struct sample), .fields = fields };

/* Returns a file of whole pages, and its memory. */
static int file(size_t bytes, void *ret_mem)
{
	int fd = memfd_create("table", MFD_CLOEXEC);
	void *mem;

	g_assert_cmpint(ftruncate(fd, (off_t)((bytes + 4095) & ~4095ul)), ==, 0);
	mem = mmap(NULL, (bytes + 4095) & ~4095ul, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	g_assert_true(mem != MAP_FAILED);
	memcpy(ret_mem, &mem, sizeof(mem));
	return fd;
}

/* Elements are as long as the kernel makes them, and the mapping has whole pages. */
static void test_map(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	static const struct {
		uint32_t value, n;
		size_t stride, pages;
	} all[] = {
		{ 8, 1, 8, 1 },     { 1, 1, 8, 1 },       { 9, 2, 16, 1 },      { 16, 256, 16, 1 },
		{ 16, 257, 16, 2 }, { 4096, 1, 4096, 1 }, { 4097, 1, 4104, 2 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		struct ks__table_map t = { .mem = NULL };
		char *mem, *first;
		int fd = file(2 * page, &mem);

		ks_assert_rc(ks__table_map(&t, fd, all[i].value, all[i].n), 0);
		first = atomic_load(&t.mem);
		g_assert_cmpuint(t.stride, ==, all[i].stride);
		g_assert_cmpuint(t.size, ==, all[i].pages * page);
		g_assert_cmpuint(t.n_cpus, ==, all[i].n);
		mem[5] = 'x';
		g_assert_cmpint(first[5], ==, 'x');
		ks_assert_rc(ks__table_map(&t, -1, 24, 9), 0); /* is mapped already */
		g_assert_true(atomic_load(&t.mem) == first);
		g_assert_cmpuint(t.stride, ==, all[i].stride);
		ks__table_unmap(&t);
		g_assert_null(atomic_load(&t.mem));
		g_assert_cmpint(msync(first, page, MS_ASYNC), ==, -1);
		g_assert_cmpint(errno, ==, ENOMEM);
		ks__table_unmap(&t);
		munmap(mem, 2 * page);
		close(fd);
	}
}

static void test_no_map(void)
{
	struct ks__table_map t = { .mem = NULL };

	ks_assert_rc(ks__table_map(&t, -1, 8, 1), -EBADF);
	g_assert_null(atomic_load(&t.mem));
}

/* Unmaps the table of CPUs and that of each probe, the last one, too. */
static void test_unmap_all(void)
{
	static struct ks__tables tables;
	void *mem;
	int fd = file(100, &mem);

	ks_assert_rc(ks__table_map(&tables.cpus, fd, 8, 1), 0);
	for (unsigned i = 0; i < KS_BPF_PROBES; i++)
		ks_assert_rc(ks__table_map(&tables.stats[i], fd, 8, 1), 0);
	ks__tables_unmap(&tables);
	g_assert_null(atomic_load(&tables.cpus.mem));
	for (unsigned i = 0; i < KS_BPF_PROBES; i++)
		g_assert_null(atomic_load(&tables.stats[i].mem));
	munmap(mem, 4096);
	close(fd);
}

static void assert_rows(const struct ks__rows *rows, size_t row, uint64_t calls, uint64_t bytes)
{
	g_assert_cmpuint(rows->raw[row * WORDS], ==, calls);
	g_assert_cmpuint(rows->raw[row * WORDS + 1], ==, bytes);
}

static void test_read(void)
{
	struct ks__table_map t = { .mem = NULL };
	struct ks__rows rows;
	uint64_t *block;
	int fd = file(CPUS * WORDS * 8, &block);

	for (size_t i = 0; i < 512; i++)
		block[i] = 1ull << i % 32; /* also behind the last CPU */
	ks_assert_rc(ks__rows_init(&rows, &desc, CPUS), 0);
	ks__table_read(&t, &rows, 1); /* not mapped yet */
	assert_rows(&rows, 0, 0, 0);
	ks_assert_rc(ks__table_map(&t, fd, WORDS * 8, CPUS), 0);
	ks__table_read(&t, &rows, 1);
	assert_rows(&rows, 0, 1, 2);
	assert_rows(&rows, 1, 4, 8);
	assert_rows(&rows, 2, 16, 32);
	ks__table_read(&t, &rows, 0);
	assert_rows(&rows, 0, 1 + 21, 2 + 42);
	assert_rows(&rows, 1, 4, 8);
	ks__rows_free(&rows);

	ks_assert_rc(ks__rows_init(&rows, &desc, 2), 0); /* fewer rows than CPUs */
	ks__table_read(&t, &rows, 1);
	assert_rows(&rows, 0, 1, 2);
	assert_rows(&rows, 1, 4, 8);
	ks__table_unmap(&t);
	ks_assert_rc(ks__table_map(&t, fd, WORDS * 8 - 8, CPUS), 0); /* another build's array */
	ks__table_read(&t, &rows, 1);
	assert_rows(&rows, 0, 1, 2);
	ks__rows_free(&rows);
	ks__table_unmap(&t);
	munmap(block, 4096);
	close(fd);
}

/* A ledger is the sum over the CPUs; other probes and what is behind the last CPU do not count. */
static void test_ledger(void)
{
	static struct ks__tables tables;
	struct ks__ledger ledger = { .delivered = 7, .outcome = { [1] = 1000 }, .kernel_ns = 5 };
	struct ks_bpf_cpu *cpu;
	int fd = file((CPUS + 1) * sizeof(*cpu), &cpu);

	memset(cpu, 0x5a, (CPUS + 1) * sizeof(*cpu));
	for (unsigned c = 0; c < CPUS; c++) {
		for (unsigned i = 0; i < KS_OUTCOMES; i++)
			cpu[c].probe[PROBE].outcome[i] = (i + 1) << 8 * c;
		cpu[c].probe[PROBE].kernel_ns = 3ull << 8 * c;
	}
	ks__tables_ledger(&tables, PROBE, &ledger); /* not mapped yet */
	g_assert_cmpuint(ledger.outcome[1], ==, 1000);
	ks_assert_rc(ks__table_map(&tables.cpus, fd, sizeof(*cpu), CPUS), 0);
	ks__tables_ledger(&tables, PROBE, &ledger);
	for (unsigned i = 0; i < KS_OUTCOMES; i++)
		g_assert_cmpuint(ledger.outcome[i], ==, (i + 1) * 0x10101 + (i == 1 ? 1000 : 0));
	g_assert_cmpuint(ledger.kernel_ns, ==, 5 + 0x30303);
	g_assert_cmpuint(ledger.delivered, ==, 7);
	ks__tables_unmap(&tables);
	munmap(cpu, (CPUS + 1) * sizeof(*cpu));
	close(fd);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/tables/map", test_map);
	g_test_add_func("/tables/no map", test_no_map);
	g_test_add_func("/tables/unmap all", test_unmap_all);
	g_test_add_func("/tables/read", test_read);
	g_test_add_func("/tables/ledger", test_ledger);
	return g_test_run();
}
