/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a ledger's balance is computed right, and that a ledger which does not balance says
 * which line is wrong, and by how much.
 */
#include "data/ledger.h"
#include "support/ks_test.h"

static const struct ks__ledger example = {
	.outcome = { 1, 2, 3, 4, 5, 100, 7, 8, 9, 10, 11, 12 },
	.delivered = 90,
	.discarded = 4,
	.in_flight = 6,
	.missed = 3,
	.missed_known = 1,
	.kernel_ns = 1000,
	.programs = 2,
};

static void test_fired(void)
{
	struct ks__ledger empty = { 0 };

	g_assert_cmpuint(ks__ledger_fired(&empty), ==, 0);
	g_assert_cmpuint(ks__ledger_fired(&example), ==, 172);
}

static void test_add(void)
{
	struct ks__ledger sum = { .missed_known = 1 };
	int i;

	ks__ledger_add(&sum, &example);
	g_assert_cmpmem(&sum, sizeof(sum), &example, sizeof(example));
	ks__ledger_add(&sum, &example);
	for (i = 0; i < KS__OUTCOMES; i++)
		g_assert_cmpuint(sum.outcome[i], ==, 2 * example.outcome[i]);
	g_assert_cmpuint(sum.delivered, ==, 180);
	g_assert_cmpuint(sum.discarded, ==, 8);
	g_assert_cmpuint(sum.in_flight, ==, 12);
	g_assert_cmpuint(sum.missed, ==, 6);
	g_assert_cmpuint(sum.kernel_ns, ==, 2000);
	g_assert_cmpuint(sum.programs, ==, 4);
	g_assert_cmpint(sum.missed_known, ==, 1);
}

static void test_add_unknown(void)
{
	struct ks__ledger sum = { .missed_known = 1 }, unknown = { 0 };

	ks__ledger_add(&sum, &unknown);
	ks__ledger_add(&sum, &example);
	g_assert_cmpint(sum.missed_known, ==, 0);
}

static void test_balanced(void)
{
	struct ks__ledger ledger = { 0 };
	char why[8] = "before";

	ks_assert_rc(ks__ledger_check("proc", &ledger, 0, why, sizeof(why)), 0);
	ks_assert_rc(ks__ledger_check("proc", &example, 0, why, sizeof(why)), 0);
	g_assert_cmpstr(why, ==, "before");
}

static void test_too_few(void)
{
	struct ks__ledger ledger = example;
	char why[200];

	ledger.delivered = 89;
	ks_assert_rc(ks__ledger_check("proc", &ledger, 0, why, sizeof(why)), -KS_EBALANCE);
	g_assert_cmpstr(why, ==,
			"proc: submitted (100) is not delivered (89) + discarded (4) + "
			"in_flight (6): 1 record too few");
	ledger.in_flight = 0;
	ks_assert_rc(ks__ledger_check("proc", &ledger, 6, why, sizeof(why)), -KS_EBALANCE);
	g_assert_true(g_str_has_suffix(why, ": 7 records too few"));
	ks_assert_rc(ks__ledger_check("proc", &ledger, 7, why, sizeof(why)), 0);
}

static void test_too_many(void)
{
	struct ks__ledger ledger = example;
	char why[200];

	ledger.discarded = 14;
	ks_assert_rc(ks__ledger_check("fadvise", &ledger, 9, why, sizeof(why)), -KS_EBALANCE);
	g_assert_cmpstr(why, ==,
			"fadvise: submitted (100) is not delivered (90) + discarded (14) + "
			"in_flight (6): 10 records too many");
	ks_assert_rc(ks__ledger_check("fadvise", &ledger, 10, why, sizeof(why)), 0);
}

static void test_no_room_for_words(void)
{
	struct ks__ledger ledger = { .delivered = UINT64_MAX };
	char why[5];

	ks_assert_rc(ks__ledger_check("proc", &ledger, 0, NULL, 0), -KS_EBALANCE);
	ks_assert_rc(ks__ledger_check("proc", &ledger, 0, why, sizeof(why)), -KS_EBALANCE);
	g_assert_cmpstr(why, ==, "proc");
}

static void test_row(void)
{
	struct ks_stats_self row = { .user_ns = 77, .wakeups = 78 };
	struct ks__ledger ledger = example;

	ks__ledger_row(&ledger, &row);
	g_assert_cmpuint(row.fired, ==, 172);
	g_assert_cmpuint(row.filtered, ==, 1);
	g_assert_cmpuint(row.sampled_out, ==, 2);
	g_assert_cmpuint(row.throttled, ==, 3);
	g_assert_cmpuint(row.aggregated, ==, 4);
	g_assert_cmpuint(row.opened, ==, 5);
	g_assert_cmpuint(row.submitted, ==, 100);
	g_assert_cmpuint(row.lost_ring, ==, 7);
	g_assert_cmpuint(row.lost_locked, ==, 8);
	g_assert_cmpuint(row.lost_map, ==, 9);
	g_assert_cmpuint(row.unmatched, ==, 10);
	g_assert_cmpuint(row.ambiguous, ==, 11);
	g_assert_cmpuint(row.malformed, ==, 12);
	g_assert_cmpuint(row.delivered, ==, 90);
	g_assert_cmpuint(row.discarded, ==, 4);
	g_assert_cmpuint(row.in_flight, ==, 6);
	g_assert_cmpuint(row.missed, ==, 3);
	g_assert_cmpuint(row.kernel_ns, ==, 1000);
	g_assert_cmpuint(row.programs, ==, 2);
	g_assert_cmpuint(row.row.valid, ==, KS_HAS_SELF_MISSED | KS_HAS_SELF_COST);
	g_assert_cmpuint(row.user_ns, ==, 77);
	g_assert_cmpuint(row.wakeups, ==, 78);

	ledger.missed_known = 0;
	row = (struct ks_stats_self){ 0 };
	ks__ledger_row(&ledger, &row);
	g_assert_cmpuint(row.missed, ==, 0);
	g_assert_cmpuint(row.row.valid, ==, KS_HAS_SELF_COST);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/ledger/fired", test_fired);
	g_test_add_func("/ledger/add", test_add);
	g_test_add_func("/ledger/add-unknown", test_add_unknown);
	g_test_add_func("/ledger/balanced", test_balanced);
	g_test_add_func("/ledger/too-few", test_too_few);
	g_test_add_func("/ledger/too-many", test_too_many);
	g_test_add_func("/ledger/no-room-for-words", test_no_room_for_words);
	g_test_add_func("/ledger/row", test_row);
	return g_test_run();
}
