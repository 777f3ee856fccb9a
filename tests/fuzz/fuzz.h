/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.h - code that the fuzz targets have in common
 *
 * A target reads any bytes as a list of choices. libFuzzer makes them (scripts/dev fuzz TARGET), or
 * main.c reads them from the files of the corpus, as a test.
 */
#ifndef KS_TESTS_FUZZ_H
#define KS_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Aborts if the condition is false: it must hold for any input. */
#define must(condition)                                                                          \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			fprintf(stderr, "%s:%d: must be: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                 \
		}                                                                                \
	} while (0)

struct input {
	const uint8_t *at, *end;
};

/* Returns the next n bytes, up to 8, as a number. Bytes missing at the end are 0. */
static inline uint64_t take(struct input *in, unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n && in->at < in->end; i++)
		value |= (uint64_t)*in->at++ << 8 * i;
	return value;
}

static inline uint32_t below(struct input *in, uint32_t n)
{
	return (uint32_t)(take(in, n > 256 ? 4 : 1) % n);
}

/*
 * Returns up to `most` bytes in memory of exactly their size, so that a sanitizer sees reads beyond
 * them; free() it.
 */
static inline char *take_bytes(struct input *in, size_t most, size_t *ret_size)
{
	size_t left = (size_t)(in->end - in->at), n = left < most ? left : most;
	char *bytes = malloc(n + !n);

	must(bytes);
	memcpy(bytes, in->at, n);
	in->at += n;
	*ret_size = n;
	return bytes;
}

/* The same as a text, which ends at its first NUL. */
static inline char *take_text(struct input *in, size_t most)
{
	size_t left = (size_t)(in->end - in->at), n = strnlen((const char *)in->at, left);
	char *text;

	n = n < most ? n : most;
	text = strndup((const char *)in->at, n);
	must(text);
	in->at += n < left ? n + 1 : n;
	return text;
}

/* folder.c: a folder of this process, and a file at a path below it. */
const char *fuzz_folder(void);
void fuzz_write(const char *path, const void *bytes, size_t size);

#endif
