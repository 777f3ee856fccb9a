/* SPDX-License-Identifier: BSD-2-Clause */
#include "mounts.h"

#include <stdio.h>
#include <string.h>

#include "../base/text.h"

/* Gets the next field of a line and moves *at behind it. Returns its length; 0: no more. */
static size_t next_field(const char **at, const char *end, const char **ret_field)
{
	const char *c = *at;

	while (c < end && *c == ' ')
		c++;
	*ret_field = c;
	while (c < end && *c != ' ')
		c++;
	*at = c;
	return (size_t)(c - *ret_field);
}

static int octal(const char *c, const char *end)
{
	int value = 0;

	if (end - c < 4 || *c != '\\')
		return -1;
	for (int i = 1; i < 4; i++) {
		if (c[i] < '0' || c[i] > '7')
			return -1;
		value = value * 8 + c[i] - '0';
	}
	return value > 0 && value < 256 ? value : -1;
}

/* 1: all of the text fits into buf; 0: it is cut. */
static int unescape(const char *field, size_t length, char *buf, size_t size)
{
	const char *end = field + length;
	size_t n = 0;

	while (field < end && n + 1 < size) {
		int value = octal(field, end);

		buf[n++] = value < 0 ? *field : (char)value;
		field += value < 0 ? 1 : 4;
	}
	buf[n] = 0;
	return field == end;
}

/* Format: ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS */
static int parse_line(const char *at, const char *end, struct ks__mount *ret)
{
	const char *field, *found[5];
	size_t length[5];
	char dev[24];
	uint64_t id;

	if (ks__text_number(&at, end, &id) || id > UINT32_MAX)
		return 0;
	ret->id = (uint32_t)id;
	next_field(&at, end, &field);
	for (int i = 0; i < 3; i++)
		length[i] = next_field(&at, end, &found[i]);
	while ((length[3] = next_field(&at, end, &field)) && !(length[3] == 1 && *field == '-'))
		;
	length[3] = next_field(&at, end, &found[3]);
	next_field(&at, end, &field);
	length[4] = next_field(&at, end, &found[4]);
	if (!length[4] || !unescape(found[0], length[0], dev, sizeof(dev)) ||
	    sscanf(dev, "%u:%u", &ret->major, &ret->minor) != 2)
		return 0;
	unescape(found[4], length[4], ret->options, sizeof(ret->options));
	return unescape(found[1], length[1], ret->root, sizeof(ret->root)) &&
	       unescape(found[2], length[2], ret->point, sizeof(ret->point)) &&
	       unescape(found[3], length[3], ret->type, sizeof(ret->type));
}

int ks__mounts_next(const char **at, const char *end, struct ks__mount *ret)
{
	const char *line, *newline;

	while (*at < end) {
		line = *at;
		newline = memchr(line, '\n', (size_t)(end - line));
		*at = newline ? newline + 1 : end;
		if (newline && parse_line(line, newline, ret))
			return 1;
	}
	return 0;
}

int ks__mounts_option(const struct ks__mount *mount, const char *option)
{
	const char *at = mount->options;
	size_t length = strlen(option), n;

	for (; *at; at += n + (at[n] == ',')) {
		n = strcspn(at, ",");
		if (n == length && !memcmp(at, option, n))
			return 1;
	}
	return 0;
}
