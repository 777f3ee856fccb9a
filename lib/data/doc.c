/* SPDX-License-Identifier: BSD-2-Clause */
/* doc.c - writes a document as JSON or as text */
#include "doc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kernelsight/kernelsight.h>

static void put(struct ks__doc *doc, const char *bytes, size_t n)
{
	if (doc->error)
		return;
	if (doc->length + n + 1 > doc->size) {
		size_t size = (doc->length + n + 1) * 2;
		char *text = realloc(doc->text, size);

		if (!text) {
			doc->error = -ENOMEM;
			return;
		}
		doc->text = text;
		doc->size = size;
	}
	memcpy(doc->text + doc->length, bytes, n);
	doc->length += n;
	doc->text[doc->length] = 0;
}

static void put_text(struct ks__doc *doc, const char *text)
{
	put(doc, text, strlen(text));
}

/*
 * Returns the bytes of the UTF-8 character at s; 0: it is no UTF-8 (Unicode standard, table 3-7).
 */
static size_t utf8_length(const unsigned char *s)
{
	unsigned low = 0x80, high = 0xbf;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0; /* excludes overlong forms */
	else if (s[0] == 0xed)
		high = 0x9f; /* excludes surrogates */
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f; /* excludes code points above U+10FFFF */
	for (i = 1; i < n; i++, low = 0x80, high = 0xbf)
		if (s[i] < low || s[i] > high)
			return 0;
	return n;
}

/* Writes the content of a JSON string, or the value of a text line. */
static void put_escaped(struct ks__doc *doc, const char *value)
{
	const unsigned char *s = (const unsigned char *)value;
	const int json = doc->format == KS_JSON;
	char escape[8];

	while (*s) {
		size_t n = utf8_length(s);

		if (n == 0 || (!json && (*s < 0x20 || *s == 0x7f)))
			snprintf(escape, sizeof(escape), json ? "\\\\x%02x" : "\\x%02x", *s);
		else if (json && (*s == '"' || *s == '\\'))
			snprintf(escape, sizeof(escape), "\\%c", *s);
		else if (json && *s < 0x20)
			snprintf(escape, sizeof(escape), "\\u%04x", *s);
		else
			escape[0] = 0;

		if (escape[0])
			put_text(doc, escape);
		else
			put(doc, (const char *)s, n);
		s += n ? n : 1;
	}
}

static void indent(struct ks__doc *doc, unsigned depth)
{
	while (depth-- > 0)
		put(doc, "  ", 2);
}

static void json_key(struct ks__doc *doc, const char *key)
{
	if (doc->has_members[doc->depth])
		put(doc, ",", 1);
	if (!key)
		return;
	put(doc, "\"", 1);
	put_escaped(doc, key);
	put(doc, "\":", 2);
}

/*
 * In an array, the dash of an object stands before its first member, "  - name: proc_fork_tp_btf",
 * and the other members are indented to the same column.
 */
static void text_key(struct ks__doc *doc, const char *key)
{
	const unsigned depth = doc->depth;
	const int element = doc->is_array[depth];

	if (element || (depth > 0 && doc->is_array[depth - 1] && !doc->has_members[depth])) {
		indent(doc, element ? depth : depth - 1);
		put(doc, "- ", 2);
	} else {
		indent(doc, depth);
	}
	if (key) {
		put_escaped(doc, key);
		put(doc, ":", 1);
	}
}

static void begin_member(struct ks__doc *doc, const char *key)
{
	if (doc->format == KS_JSON)
		json_key(doc, key);
	else
		text_key(doc, key);
	doc->has_members[doc->depth] = 1;
}

static void end_member(struct ks__doc *doc)
{
	if (doc->format != KS_JSON)
		put(doc, "\n", 1);
}

/* A value that needs no escape. */
static void put_value(struct ks__doc *doc, const char *key, const char *value)
{
	begin_member(doc, key);
	if (key && doc->format != KS_JSON)
		put(doc, " ", 1);
	put_text(doc, value);
	end_member(doc);
}

static void open_container(struct ks__doc *doc, const char *key, int is_array)
{
	if (doc->depth + 1 == KS__DOC_DEPTH) {
		doc->error = doc->error ? doc->error : -EINVAL;
		return;
	}
	if (doc->format == KS_JSON) {
		begin_member(doc, key);
		put(doc, is_array ? "[" : "{", 1);
	} else if (is_array || !doc->is_array[doc->depth]) {
		/*
		 * An object in an array has no line of its own: its dash precedes its first member.
		 */
		begin_member(doc, key);
		end_member(doc);
	}
	doc->depth++;
	doc->is_array[doc->depth] = (uint8_t)is_array;
	doc->has_members[doc->depth] = 0;
}

void ks__doc_begin(struct ks__doc *doc, uint32_t format)
{
	*doc = (struct ks__doc){ .format = format };
	if (format == KS_JSON)
		put(doc, "{", 1);
}

void ks__doc_object(struct ks__doc *doc, const char *key)
{
	open_container(doc, key, 0);
}

void ks__doc_array(struct ks__doc *doc, const char *key)
{
	open_container(doc, key, 1);
}

void ks__doc_close(struct ks__doc *doc)
{
	if (doc->depth == 0)
		return;
	if (doc->format == KS_JSON)
		put(doc, doc->is_array[doc->depth] ? "]" : "}", 1);
	doc->depth--;
	/* Opening an object in an array in KS_TEXT has not marked the array as non-empty. */
	doc->has_members[doc->depth] = 1;
}

void ks__doc_str(struct ks__doc *doc, const char *key, const char *value)
{
	const int json = doc->format == KS_JSON;

	if (!value) {
		if (json)
			put_value(doc, key, "null");
		return;
	}
	begin_member(doc, key);
	if (json || key)
		put(doc, json ? "\"" : " ", 1);
	put_escaped(doc, value);
	if (json)
		put(doc, "\"", 1);
	end_member(doc);
}

void ks__doc_u64(struct ks__doc *doc, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	put_value(doc, key, text);
}

void ks__doc_i64(struct ks__doc *doc, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	put_value(doc, key, text);
}

void ks__doc_bool(struct ks__doc *doc, const char *key, int value)
{
	if (doc->format == KS_JSON)
		put_value(doc, key, value ? "true" : "false");
	else
		put_value(doc, key, value ? "yes" : "no");
}

int ks__doc_finish(struct ks__doc *doc, char *buf, size_t size)
{
	int rc;

	while (doc->depth > 0)
		ks__doc_close(doc);
	if (doc->format == KS_JSON)
		put(doc, "}", 1);
	rc = doc->error ? doc->error : (int)doc->length;
	if (rc >= 0 && size > 0) {
		size_t n = doc->length < size ? doc->length : size - 1;

		if (n > 0)
			memcpy(buf, doc->text, n);
		buf[n] = 0;
	}
	free(doc->text);
	*doc = (struct ks__doc){ 0 };
	return rc;
}
