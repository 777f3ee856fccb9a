/* SPDX-License-Identifier: BSD-2-Clause */
/* Shows that parsers of the kernel's files stay inside the text and read numbers as libc does. */
#include <errno.h>

#include "files/columns.h"
#include "files/kv.h"
#include "base/text.h"
#include "fuzz.h"

static void number(const char *text, size_t size)
{
	const char *at = text, *end = text + size;
	uint64_t value = 4711, again;
	char *copy, *stop;
	int rc;

	while (!(rc = ks__text_number(&at, end, &value))) {
		must(at > text && at < end);
		must(*at == ' ' || *at == '\t' || *at == '\n');
		copy = strndup(text, size);
		errno = 0;
		again = strtoull(copy, &stop, 10);
		must(*text == '\n' || (stop - copy == at - text && again == value && !errno));
		free(copy);
		size -= (size_t)(at - text);
		text = at;
	}
	must(rc == -EINVAL || rc == -ERANGE);
	must(at == text);
}

static void keys(const char *text, size_t size)
{
	static const char *const names[] = { "Tgid", "Uid", "MemFree", "pgscan", "a" };
	const char *value;
	size_t length;
	uint64_t got;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!ks__kv_find(text, size, names[i], &value, &length)) {
			must(value > text && value + length < text + size);
			must(value[length] == '\n' && !memchr(value, '\n', length));
		}
		for (unsigned n = 0; n < 3; n++)
			ks__kv_number(text, size, names[i], n, &got);
	}
}

static void columns(const char *text, size_t size)
{
	uint64_t values[8];
	struct ks__stat stat;

	ks__columns_numbers(text, size, values, 8);
	if (ks__columns_stat(text, size, &stat))
		return;
	must(memchr(stat.comm, 0, sizeof(stat.comm)));
	must(memchr(text, ')', size) && memchr(text, '(', size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	unsigned what = below(&in, 3);
	char *text = take_bytes(&in, 4096, &size);

	if (what == 0)
		number(text, size);
	else if (what == 1)
		keys(text, size);
	else
		columns(text, size);
	free(text);
	return 0;
}
