/* SPDX-License-Identifier: BSD-2-Clause */
/* kv.c - parses files that have a key on each line */
#include "kv.h"

#include <errno.h>
#include <string.h>

#include "../base/text.h"

/* Returns the text behind the key and its colon, or NULL: the line has another key. */
static const char *behind_key(const char *line, const char *end, const char *key)
{
	size_t length = strlen(key);

	if ((size_t)(end - line) <= length || memcmp(line, key, length) != 0)
		return NULL;
	line += length;
	return *line == ':' || *line == ' ' || *line == '\t' ? line + 1 : NULL;
}

int ks__kv_find(const char *text, size_t length, const char *key, const char **ret_value,
		size_t *ret_length)
{
	const char *end = text + length, *line = text, *newline, *value;

	for (; line < end; line = newline + 1) {
		newline = memchr(line, '\n', (size_t)(end - line));
		if (!newline)
			break;
		value = behind_key(line, newline, key);
		if (!value)
			continue;
		while (*value == ' ' || *value == '\t') /* the newline ends this loop */
			value++;
		*ret_value = value;
		*ret_length = (size_t)(newline - value);
		return 0;
	}
	return -ENOENT;
}

int ks__kv_number(const char *text, size_t length, const char *key, unsigned index,
		  uint64_t *ret_value)
{
	const char *at, *end;
	size_t rest;
	uint64_t value;
	unsigned i;
	int rc = ks__kv_find(text, length, key, &at, &rest);

	if (rc)
		return rc;
	end = at + rest + 1; /* includes the newline, which ends the last number */
	for (i = 0; i <= index; i++) {
		rc = ks__text_number(&at, end, &value);
		if (rc)
			return rc;
	}
	*ret_value = value;
	return 0;
}
