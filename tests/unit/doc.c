/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that any sequence of calls gives valid JSON on one line, and lines of text that a person
 * can read.
 */
#include <errno.h>

#include "data/doc.h"
#include "support/ks_test.h"

static void check(struct ks__doc *doc, const char *want)
{
	char buf[4096];

	g_assert_cmpint(ks__doc_finish(doc, buf, sizeof(buf)), ==, (int)strlen(want));
	g_assert_cmpstr(buf, ==, want);
	g_assert_null(doc->text);
}

static void test_empty(void)
{
	struct ks__doc doc;

	ks__doc_begin(&doc, KS_JSON);
	check(&doc, "{}");
	ks__doc_begin(&doc, KS_TEXT);
	check(&doc, "");
}

/* Makes the same calls for both formats. */
static void walk(struct ks__doc *doc)
{
	ks__doc_str(doc, "kernel", "6.18");
	ks__doc_str(doc, "missing", NULL);
	ks__doc_u64(doc, "bytes", UINT64_MAX);
	ks__doc_i64(doc, "error", INT64_MIN);
	ks__doc_object(doc, "btf");
	ks__doc_bool(doc, "readable", 1);
	ks__doc_bool(doc, "broken", 0);
	ks__doc_close(doc);
	ks__doc_array(doc, "programs");
	ks__doc_object(doc, NULL);
	ks__doc_str(doc, "name", "proc_fork");
	ks__doc_array(doc, "maps");
	ks__doc_str(doc, NULL, "a");
	ks__doc_u64(doc, NULL, 7);
	ks__doc_close(doc);
	ks__doc_close(doc);
	ks__doc_object(doc, NULL);
	ks__doc_object(doc, "hook");
	ks__doc_str(doc, "kind", "tp_btf");
	ks__doc_close(doc);
	ks__doc_u64(doc, "runs", 0);
	ks__doc_close(doc);
	ks__doc_close(doc);
	ks__doc_array(doc, "none");
	ks__doc_close(doc);
	ks__doc_str(doc, "end", "");
}

static void test_json(void)
{
	struct ks__doc doc;

	ks__doc_begin(&doc, KS_JSON);
	walk(&doc);
	check(&doc, "{\"kernel\":\"6.18\",\"missing\":null,\"bytes\":18446744073709551615,"
		    "\"error\":-9223372036854775808,\"btf\":{\"readable\":true,\"broken\":false},"
		    "\"programs\":[{\"name\":\"proc_fork\",\"maps\":[\"a\",7]},"
		    "{\"hook\":{\"kind\":\"tp_btf\"},\"runs\":0}],\"none\":[],\"end\":\"\"}");
}

static void test_text(void)
{
	struct ks__doc doc;

	ks__doc_begin(&doc, KS_TEXT);
	walk(&doc);
	check(&doc, "kernel: 6.18\n"
		    "bytes: 18446744073709551615\n"
		    "error: -9223372036854775808\n"
		    "btf:\n"
		    "  readable: yes\n"
		    "  broken: no\n"
		    "programs:\n"
		    "  - name: proc_fork\n"
		    "    maps:\n"
		    "      - a\n"
		    "      - 7\n"
		    "  - hook:\n"
		    "      kind: tp_btf\n"
		    "    runs: 0\n"
		    "none:\n"
		    "end: \n");
}

/* Objects and lists left open are closed at the end. */
static void test_unclosed(void)
{
	struct ks__doc doc;

	ks__doc_begin(&doc, KS_JSON);
	ks__doc_close(&doc);
	ks__doc_array(&doc, "a");
	ks__doc_array(&doc, NULL);
	ks__doc_object(&doc, NULL);
	check(&doc, "{\"a\":[[{}]]}");
}

static void check_str(const char *value, const char *json, const char *text)
{
	struct ks__doc doc;
	char want[256];

	ks__doc_begin(&doc, KS_JSON);
	ks__doc_str(&doc, "k", value);
	g_snprintf(want, sizeof(want), "{\"k\":\"%s\"}", json);
	check(&doc, want);
	ks__doc_begin(&doc, KS_TEXT);
	ks__doc_str(&doc, "k", value);
	g_snprintf(want, sizeof(want), "k: %s\n", text);
	check(&doc, want);
}

static void test_escapes(void)
{
	check_str("a\"b\\c/d", "a\\\"b\\\\c/d", "a\"b\\c/d");
	check_str("a\nb\tc\x1b[0m\x7f", "a\\u000ab\\u0009c\\u001b[0m\x7f",
		  "a\\x0ab\\x09c\\x1b[0m\\x7f");
}

static void test_utf8(void)
{
	static const char good[][5] = { "\xc3\xa4",         "\xe2\x82\xac",     "\xed\x9f\xbf",
					"\xc2\x80",         "\xdf\xbf",         "\xe0\xa0\x80",
					"\xed\x9f\xbf",     "\xf0\x90\x80\x80", "\xee\x80\x80",
					"\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf" };
	/*
	 * an overlong form, surrogates, above U+10FFFF, a cut-off sequence, a lone continuation
	 * byte
	 */
	static const char bad[][5] = { "\xc0\x80",
				       "\xc1\xbf",
				       "\xe0\x80\x80",
				       "\xe0\x9f\xbf",
				       "\xed\xa0\x80",
				       "\xf0\x8f\xbf\xbf",
				       "\xf4\x90\x80\x80",
				       "\xf5\x80\x80\x80",
				       "\xe2\x82",
				       "\xf0\x9f\x98",
				       "\xc3",
				       "\x80",
				       "\xff" };
	char json[64], text[64];
	size_t i, j;

	for (i = 0; i < G_N_ELEMENTS(good); i++)
		check_str(good[i], good[i], good[i]);
	for (i = 0; i < G_N_ELEMENTS(bad); i++) {
		json[0] = text[0] = 0;
		for (j = 0; bad[i][j]; j++) {
			g_snprintf(json + 5 * j, 6, "\\\\x%02x", bad[i][j] & 0xff);
			g_snprintf(text + 4 * j, 5, "\\x%02x", bad[i][j] & 0xff);
		}
		check_str(bad[i], json, text);
	}
	check_str("a\xff\"", "a\\\\xff\\\"", "a\\xff\"");
	check_str("\xe2\x82z", "\\\\xe2\\\\x82z", "\\xe2\\x82z");
}

static void test_cut(void)
{
	struct ks__doc doc;
	char buf[8] = "before";

	ks__doc_begin(&doc, KS_JSON);
	ks__doc_str(&doc, "key", "value");
	g_assert_cmpint(ks__doc_finish(&doc, NULL, 0), ==, 15);
	ks__doc_begin(&doc, KS_JSON);
	ks__doc_str(&doc, "key", "value");
	g_assert_cmpint(ks__doc_finish(&doc, buf, sizeof(buf)), ==, 15);
	g_assert_cmpstr(buf, ==, "{\"key\":");
	ks__doc_begin(&doc, KS_TEXT);
	g_assert_cmpint(ks__doc_finish(&doc, buf, 1), ==, 0);
	g_assert_cmpstr(buf, ==, "");
}

static void test_growth(void)
{
	struct ks__doc doc;
	char *buf = g_malloc(1 << 20);
	int i, length;

	ks__doc_begin(&doc, KS_JSON);
	ks__doc_array(&doc, "a");
	for (i = 0; i < 100000; i++)
		ks__doc_u64(&doc, NULL, 1000);
	length = ks__doc_finish(&doc, buf, 1 << 20);
	g_assert_cmpint(length, ==, 500000 + 7);
	g_assert_cmpint((int)strlen(buf), ==, length);
	g_assert_true(g_str_has_suffix(buf, ",1000,1000]}"));
	g_free(buf);
}

static void test_errors(void)
{
	struct ks__doc doc;
	char buf[8] = "before";
	int i;

	ks__doc_begin(&doc, KS_JSON);
	for (i = 1; i < KS__DOC_DEPTH; i++)
		ks__doc_object(&doc, "o");
	g_assert_cmpint(ks__doc_finish(&doc, NULL, 0), ==, 2 + 6 * (KS__DOC_DEPTH - 1));

	/* one level too deep, and far too deep */
	for (int depth = KS__DOC_DEPTH; depth <= 2 * KS__DOC_DEPTH; depth += KS__DOC_DEPTH) {
		ks__doc_begin(&doc, KS_JSON);
		for (i = 0; i < depth; i++)
			ks__doc_array(&doc, i ? NULL : "a");
		ks_assert_rc(ks__doc_finish(&doc, buf, sizeof(buf)), -EINVAL);
		g_assert_cmpstr(buf, ==, "before");
	}

	ks__doc_begin(&doc, KS_TEXT);
	ks__doc_str(&doc, "a", "b");
	doc.error = -ENOMEM;
	ks__doc_str(&doc, "c", "d");
	ks_assert_rc(ks__doc_finish(&doc, buf, sizeof(buf)), -ENOMEM);
	g_assert_cmpstr(buf, ==, "before");
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/doc/empty", test_empty);
	g_test_add_func("/doc/json", test_json);
	g_test_add_func("/doc/text", test_text);
	g_test_add_func("/doc/unclosed", test_unclosed);
	g_test_add_func("/doc/escapes", test_escapes);
	g_test_add_func("/doc/utf8", test_utf8);
	g_test_add_func("/doc/cut", test_cut);
	g_test_add_func("/doc/growth", test_growth);
	g_test_add_func("/doc/errors", test_errors);
	return g_test_run();
}
