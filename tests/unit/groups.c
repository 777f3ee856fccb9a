/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that counts are added up per owner: each group is found among thousands, every grouping has
 * the same total, and deltas stay exact when a group is merged into the rest row.
 */
#include <errno.h>

#include "data/groups.h"
#include "support/ks_test.h"

struct sample {
	struct ks_row row;      /*   0 */
	uint64_t calls;         /*  64 */
	uint64_t by_kind[2];    /*  72 */
	uint32_t open;          /* 88 a gauge: not in the raw words */
	uint32_t reserved;      /*  92 */
	struct ks_hist wait_ns; /*  96 */
	uint64_t last;          /* 128 */
};                              /* 136 */

enum { HAS_WAIT = 1 };
enum { CALLS, KIND, SUM = 3, COUNT, LAST, WORDS };

static const struct ks__field fields[] = {
	{ KS__AT(struct sample, calls), .count = 1, .kind = KS_KIND_COUNTER },
	{ .name = "by_kind",
	  .offset = offsetof(struct sample, by_kind),
	  .bytes = 8,
	  .count = 2,
	  .kind = KS_KIND_COUNTER },
	{ KS__AT(struct sample, open), .count = 1, .kind = KS_KIND_GAUGE },
	{ KS__AT(struct sample, wait_ns), .count = 1, .kind = KS_KIND_HIST, .valid = HAS_WAIT },
	{ KS__AT(struct sample, last), .count = 1, .kind = KS_KIND_COUNTER },
	{ 0 },
};

static const struct ks__struct desc = {
	.name = "sample",
	.bytes = sizeof(struct sample),
	.fields = fields,
};

/* The n-th allocation from now on fails; 0: none. */
static int fail_in;

void *reallocarray(void *old, size_t n, size_t size)
{
	if (fail_in && --fail_in == 0)
		return NULL;
	return realloc(old, n * size);
}

static struct ks__groups *new_groups(void)
{
	struct ks__groups *g = g_new(struct ks__groups, 1);

	ks__groups_init(g, ks__groups_words(&desc));
	return g;
}

static void drop(struct ks__groups *g)
{
	ks__groups_free(g);
	g_free(g);
}

/* Adds calls = n, and in every other word a value that only this n gives. */
static void add(struct ks__groups *g, uint32_t pid, uint64_t cgroup, uint32_t role, uint64_t n)
{
	struct ks__whose whose = {
		.pid = pid, .start_ns = pid * 1000ull, .cgroup = cgroup, .role = role
	};
	const uint64_t block[WORDS] = { n, 2 * n, 3 * n, 4 * n, 5 * n, 6 * n };

	ks_assert_rc(ks__groups_add(g, &whose, block), 0);
}

/* Checks all other words of a group and returns its calls. */
static uint64_t calls_of(const struct ks__groups *g, const struct ks__whose *whose)
{
	const uint64_t *words = ks__groups_find(g, whose);

	if (!words)
		return UINT64_MAX;
	for (unsigned w = 1; w < WORDS; w++)
		g_assert_cmpuint(words[w], ==, words[CALLS] * (w + 1));
	return words[CALLS];
}

static void layout(void)
{
	g_assert_cmpuint(ks__groups_words(&desc), ==, WORDS);
	g_assert_cmpint(ks__groups_sum_word(&desc, "wait_ns"), ==, SUM);
	g_assert_cmpint(ks__groups_sum_word(&desc, "last"), ==, -1);
	g_assert_cmpint(ks__groups_sum_word(&desc, "nothing"), ==, -1);
}

static void whose_by(void)
{
	const struct ks__whose whose = { .start_ns = 1, .cgroup = 2, .pid = 3, .role = 4 };
	struct ks__whose process = ks__whose_by(&whose, KS_BY_PROCESS);
	struct ks__whose cgroup = ks__whose_by(&whose, KS_BY_CGROUP);
	struct ks__whose role = ks__whose_by(&whose, KS_BY_ROLE);
	struct ks__whose total = ks__whose_by(&whose, KS_BY_TOTAL);
	struct ks__whose all = ks__whose_by(&whose, 0);

	g_assert_cmpmem(&process, sizeof(process), (&(struct ks__whose){ .start_ns = 1, .pid = 3 }),
			sizeof(whose));
	g_assert_cmpmem(&cgroup, sizeof(cgroup), (&(struct ks__whose){ .cgroup = 2 }),
			sizeof(whose));
	g_assert_cmpmem(&role, sizeof(role), (&(struct ks__whose){ .role = 4 }), sizeof(whose));
	g_assert_cmpmem(&total, sizeof(total), (&(struct ks__whose){ 0 }), sizeof(whose));
	g_assert_cmpmem(&all, sizeof(all), &whose, sizeof(whose));
}

/*
 * With 10,000 groups, added twice, each is found, and memory grows by doubling, in the first round
 * only.
 */
static void many(void)
{
	struct ks__groups *g = new_groups();
	size_t room;

	g_assert_null(ks__groups_find(g, &(struct ks__whose){ 0 }));
	g_assert_null(ks__groups_group(g, &(struct ks__whose){ 0 }));
	for (uint32_t turn = 0; turn < 2; turn++)
		for (uint32_t i = 0; i < 10000; i++)
			add(g, i, i % 7, i % 5, i);
	g_assert_cmpuint(g->n, ==, 10000);
	for (uint32_t i = 0; i < 10000; i++)
		g_assert_cmpuint(calls_of(g, &(struct ks__whose){ .pid = i,
								  .start_ns = i * 1000ull,
								  .cgroup = i % 7,
								  .role = i % 5 }),
				 ==, 2 * i);
	g_assert_null(ks__groups_find(g, &(struct ks__whose){ .pid = 5, .start_ns = 5001 }));
	room = g->room;
	g_assert_cmpuint(room, ==, 16384);
	ks__groups_empty(g);
	g_assert_null(ks__groups_find(g, &(struct ks__whose){ 0 }));
	add(g, 1, 0, 0, 9);
	g_assert_cmpuint(g->n, ==, 1);
	g_assert_cmpuint(g->room, ==, room);
	g_assert_cmpuint(calls_of(g, &(struct ks__whose){ .pid = 1, .start_ns = 1000 }), ==, 9);
	drop(g);
}

static void fold(void)
{
	static const uint32_t by[] = { KS_BY_TOTAL, KS_BY_PROCESS, KS_BY_CGROUP, KS_BY_ROLE, 0 };
	static const size_t groups[] = { 1, 30, 5, 3, 30 };
	struct ks__groups *fine = new_groups();

	for (uint32_t i = 0; i < 30; i++)
		add(fine, i, i % 5, i % 3, i + 1);
	for (size_t k = 0; k < G_N_ELEMENTS(by); k++) {
		struct ks__groups *g = new_groups();
		uint64_t sum = 0;

		ks_assert_rc(ks__groups_fold(g, fine, by[k]), 0);
		g_assert_cmpuint(g->n, ==, groups[k]);
		for (size_t i = 0; i < g->n; i++)
			sum += calls_of(g, &g->group[i].whose);
		g_assert_cmpuint(sum, ==, 30 * 31 / 2);
		drop(g);
	}
	drop(fine);
}

/* A process has threads that have ended and threads that live, in any order. */
static void fold_ends(void)
{
	static const struct {
		uint8_t ended[2], lives[2];
	} threads[] = { { { 1, 0 }, { 0, 1 } }, { { 0, 1 }, { 1, 0 } }, { { 1, 1 }, { 0, 0 } } };

	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
		struct ks__groups *fine = new_groups(), *g = new_groups();

		add(fine, 7, 1, 0, 1);
		add(fine, 7, 2, 0, 1);
		for (int k = 0; k < 2; k++) {
			fine->group[k].ended = threads[i].ended[k];
			fine->group[k].lives = threads[i].lives[k];
		}
		ks_assert_rc(ks__groups_fold(g, fine, KS_BY_PROCESS), 0);
		g_assert_cmpuint(g->n, ==, 1);
		g_assert_cmpuint(g->group[0].ended, ==, 1);
		g_assert_cmpuint(g->group[0].lives, ==, i < 2);
		drop(g);
		drop(fine);
	}
}

/*
 * The name is that of the living main thread, else of a dead main thread, else of the first thread
 * that has one.
 */
static void names(void)
{
	struct ks__group g = { .first = 0 };

	ks__groups_name(&g, (char[16]){ "" }, 0);
	g_assert_cmpstr(g.name, ==, "");
	ks__groups_name(&g, (char[16]){ "second" }, 0);
	ks__groups_name(&g, (char[16]){ "third" }, 0);
	g_assert_cmpstr(g.name, ==, "second");
	ks__groups_name(&g, (char[16]){ "first, dead" }, 1);
	ks__groups_name(&g, (char[16]){ "fourth" }, 0);
	g_assert_cmpstr(g.name, ==, "first, dead");
	ks__groups_name(&g, (char[16]){ "first" }, 2);
	ks__groups_name(&g, (char[16]){ "first, dead" }, 1);
	g_assert_cmpstr(g.name, ==, "first");
}

static void rest(void)
{
	struct ks__groups *g = new_groups();
	struct ks__rows rows;
	const uint64_t *words;

	ks_assert_rc(ks__rows_init(&rows, &desc, 1), 0);
	for (size_t w = 0; w < rows.words; w++)
		rows.raw[w] = w + 1;
	ks_assert_rc(ks__groups_add_rest(g, &rows), 0);
	ks_assert_rc(ks__groups_add_rest(g, &rows), 0);
	words = ks__groups_find(g, &(struct ks__whose){ 0 });
	g_assert_nonnull(words);
	g_assert_cmpuint(words[CALLS], ==, 2);
	g_assert_cmpuint(words[KIND + 1], ==, 6);
	g_assert_cmpuint(words[SUM], ==, 8);
	/* zeros and buckets are words 5 to 262 */
	g_assert_cmpuint(words[COUNT], ==, 2 * (5 + 262) * 258 / 2);
	g_assert_cmpuint(words[LAST], ==, 2 * 263);
	ks__rows_free(&rows);
	drop(g);
}

static const struct sample *row_at(const struct ks__table *table, size_t i)
{
	g_assert_cmpuint(i, <, table->n_rows);
	return (const void *)(table->rows + i * table->row_size);
}

static void rows(void)
{
	struct ks__groups *g = new_groups();
	struct ks__table table = { 0 };
	const struct sample *row;

	add(g, 0, 0, 0, 5);
	add(g, 77, 0, 0, 6);
	g->group[1].ended = 1;
	memcpy(g->group[1].name, "a name", 7);
	ks_assert_rc(ks__table_add_groups(&table, &desc, g, NULL, KS_BY_PROCESS, 0), 0);
	g_assert_cmpuint(table.n_rows, ==, 2);
	row = row_at(&table, 0);
	g_assert_cmpuint(row->row.flags, ==, KS_ROW_REST);
	g_assert_cmpuint(row->calls, ==, 5);
	row = row_at(&table, 1);
	g_assert_cmpuint(row->row.by, ==, KS_BY_PROCESS);
	g_assert_cmpuint(row->row.flags, ==, KS_ROW_GONE);
	g_assert_cmpuint(row->row.key, ==, 77);
	g_assert_cmpuint(row->row.start_ns, ==, 77000);
	g_assert_cmpstr(row->row.name, ==, "a name");
	g_assert_cmpuint(row->by_kind[1], ==, 18);
	g_assert_cmpuint(row->open, ==, 0);
	g_assert_cmpuint(row->wait_ns.sum, ==, 0); /* its valid bit is not set */
	g_assert_cmpuint(row->last, ==, 36);
	g->group[1].lives = 1;
	ks_assert_rc(ks__table_add_groups(&table, &desc, g, NULL, KS_BY_PROCESS, HAS_WAIT), 0);
	g_assert_cmpuint(table.n_rows, ==, 4);
	row = row_at(&table, 3);
	g_assert_cmpuint(row->row.flags, ==, 0);
	g_assert_cmpuint(row->wait_ns.sum, ==, 24);
	g_assert_cmpuint(row->wait_ns.count, ==, 30);
	ks__table_free(&table);
	drop(g);
}

/*
 * Process 1 ended; its 10 calls and 2 more are in the rest row. Process 2 goes on, process 3 is
 * new.
 */
static void deltas(void)
{
	static const uint64_t want[] = { 2, 5, 7 };
	struct ks__groups *then = new_groups(), *now = new_groups();
	struct ks__table table = { 0 };

	add(then, 0, 0, 0, 100);
	add(then, 1, 0, 0, 10);
	add(then, 2, 0, 0, 20);
	add(now, 0, 0, 0, 112);
	add(now, 2, 0, 0, 25);
	add(now, 3, 0, 0, 7);
	ks_assert_rc(ks__table_add_groups(&table, &desc, now, then, KS_BY_PROCESS, HAS_WAIT), 0);
	g_assert_cmpuint(table.n_rows, ==, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct sample *row = row_at(&table, i);

		g_assert_cmpuint(row->calls, ==, want[i]);
		g_assert_cmpuint(row->by_kind[1], ==, 3 * want[i]);
		g_assert_cmpuint(row->wait_ns.sum, ==, 4 * want[i]);
		g_assert_cmpuint(row->wait_ns.count, ==, 5 * want[i]);
	}
	ks__table_free(&table);
	drop(then);
	drop(now);
}

/* A failed allocation leaves all groups as they were. Adding works again when there is memory. */
static void no_memory(void)
{
	const uint64_t block[WORDS] = { 1, 2, 3, 4, 5, 6 };

	for (int n = 1; n <= 2; n++) {
		struct ks__groups *g = new_groups();

		for (uint32_t i = 0; i < 64; i++)
			add(g, i, 0, 0, i);
		fail_in = n;
		ks_assert_rc(ks__groups_add(g, &(struct ks__whose){ .pid = 64 }, block), -ENOMEM);
		fail_in = 0;
		g_assert_cmpuint(g->n, ==, 64);
		add(g, 64, 0, 0, 64);
		for (uint32_t i = 0; i < 65; i++)
			g_assert_cmpuint(
				calls_of(g,
					 &(struct ks__whose){ .pid = i, .start_ns = i * 1000ull }),
				==, i);
		drop(g);
	}
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/groups/layout", layout);
	g_test_add_func("/groups/whose-by", whose_by);
	g_test_add_func("/groups/many", many);
	g_test_add_func("/groups/fold", fold);
	g_test_add_func("/groups/fold ends", fold_ends);
	g_test_add_func("/groups/names", names);
	g_test_add_func("/groups/rest", rest);
	g_test_add_func("/groups/rows", rows);
	g_test_add_func("/groups/deltas", deltas);
	g_test_add_func("/groups/no-memory", no_memory);
	return g_test_run();
}
