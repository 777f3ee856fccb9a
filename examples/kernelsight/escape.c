/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * escape.c - escapes text from outside for a terminal and for JSON
 *
 * Names of threads, files and cgroups are arbitrary bytes. A name must not move the cursor, change
 * the order of displayed text, or look like other output of the command.
 */
#include <string.h>

#include "cli.h"

size_t value_utf8(const char *text, size_t size)
{
	const unsigned char *s = (const unsigned char *)text;
	/* Bounds of the second byte after E0, ED, F0 and F4: no overlong forms, no surrogates. */
	unsigned low = 0x80, high = 0xbf;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	n = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 :
	    (s[0] & 0xf0) == 0xe0        ? 3 :
	    s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 :
					   0;
	if (!n || n > size)
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	for (i = 1; i < n; i++, low = 0x80, high = 0xbf)
		if (s[i] < low || s[i] > high)
			return 0;
	return n;
}

/* Returns the code point of a UTF-8 character of n bytes. */
static uint32_t decode(const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *)text;
	uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	size_t i;

	for (i = 1; i < n; i++)
		c = c << 6 | (s[i] & 0x3f);
	return c;
}

/*
 * Ranges of invisible characters: controls (C0, DEL, C1), line and paragraph separators, format
 * characters (category Cf of Unicode 15, which includes bidirectional overrides), default ignorable
 * characters, and noncharacters.
 */
static const struct {
	uint32_t first, last;
} invisible[] = {
	{ 0x0000, 0x001f },   { 0x007f, 0x009f },   { 0x00ad, 0x00ad },   { 0x034f, 0x034f },
	{ 0x0600, 0x0605 },   { 0x061c, 0x061c },   { 0x06dd, 0x06dd },   { 0x070f, 0x070f },
	{ 0x0890, 0x0891 },   { 0x08e2, 0x08e2 },   { 0x115f, 0x1160 },   { 0x17b4, 0x17b5 },
	{ 0x180b, 0x180f },   { 0x200b, 0x200f },   { 0x2028, 0x202e },   { 0x2060, 0x206f },
	{ 0x2800, 0x2800 },   { 0x3164, 0x3164 },   { 0xfdd0, 0xfdef },   { 0xfe00, 0xfe0f },
	{ 0xfeff, 0xfeff },   { 0xffa0, 0xffa0 },   { 0xfff0, 0xfffb },   { 0xfffe, 0xffff },
	{ 0x110bd, 0x110bd }, { 0x110cd, 0x110cd }, { 0x13430, 0x1343f }, { 0x1bca0, 0x1bca3 },
	{ 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff },
};

static int is_invisible(uint32_t c)
{
	size_t i;

	for (i = 0; i < sizeof(invisible) / sizeof(invisible[0]) && invisible[i].first <= c; i++)
		if (c <= invisible[i].last)
			return 1;
	return (c & 0xfffe) == 0xfffe;
}

/* Escapes the character of n bytes at text; n 0: a byte that is not UTF-8. Returns the length. */
static size_t put_character(char buf[12], const char *text, size_t n, const char *also)
{
	uint32_t c = n ? decode(text, n) : (unsigned char)*text;

	if (n && c == '\n')
		return (size_t)snprintf(buf, 12, "\\n");
	if (n == 1 && (c == '\\' || strchr(also, (int)c)) && c)
		return (size_t)snprintf(buf, 12, "\\%c", (int)c);
	if (n && !is_invisible(c)) {
		memcpy(buf, text, n);
		return n;
	}
	return (size_t)snprintf(buf, 12,
				c < 0x80 || !n ? "\\x%02x" :
				c < 0x10000    ? "\\u%04x" :
						 "\\U%08x",
				c);
}

static const char *escape(char *buf, size_t size, const char *text, size_t text_size,
			  const char *also)
{
	size_t i, n, length, at = 0;
	char character[12];

	for (i = 0; i < text_size && text[i]; i += n ? n : 1) {
		n = value_utf8(text + i, text_size - i);
		length = put_character(character, text + i, n, also);
		if (at + length + 1 > size)
			break;
		memcpy(buf + at, character, length);
		at += length;
	}
	buf[at] = 0;
	return buf;
}

const char *value_escaped(char *buf, size_t size, const char *text, size_t text_size)
{
	return escape(buf, size, text, text_size, "");
}

/* Can the text stand without quotes? Only an ASCII word can: a path may contain " pid=1". */
static int is_word(const char *text, size_t size)
{
	size_t i;

	for (i = 0; i < size && text[i]; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
			return 0;
	return i > 0;
}

const char *value_quoted(char *buf, size_t size, const char *text, size_t text_size)
{
	size_t length;

	if (is_word(text, text_size))
		return escape(buf, size, text, text_size, "");
	buf[0] = '"';
	escape(buf + 1, size - 2, text, text_size, "\"");
	length = strlen(buf);
	memcpy(buf + length, "\"", 2);
	return buf;
}

size_t value_json(char buf[16], const char *text, size_t n)
{
	uint32_t c = decode(text, n);

	if (!is_invisible(c) || c < 0x20)
		return 0;
	if (c < 0x10000)
		return (size_t)snprintf(buf, 16, "\\u%04x", c);
	c -= 0x10000;
	return (size_t)snprintf(buf, 16, "\\u%04x\\u%04x", 0xd800 + (c >> 10),
				0xdc00 + (c & 0x3ff));
}

size_t value_fitted(char *buf, size_t size, const char *text, size_t columns)
{
	size_t n, at = 0, used = 0;

	for (; text[at] && used < columns; used++) {
		n = value_utf8(text + at, strlen(text + at));
		n = n ? n : 1;
		if (at + n + 1 > size)
			break;
		memcpy(buf + at, text + at, n);
		at += n;
	}
	for (; used < columns && at + 1 < size; used++)
		buf[at++] = ' ';
	buf[at] = 0;
	return used;
}
