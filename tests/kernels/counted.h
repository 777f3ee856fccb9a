/* SPDX-License-Identifier: BSD-2-Clause */
/* counted.h - makes events for each probe and asserts that it counts them, from any source */
#ifndef KS_TESTS_COUNTED_H
#define KS_TESTS_COUNTED_H

#include <stdint.h>

struct ks;

#define COUNTED 4

struct counted {
	const char *name;
	uint32_t probe;
	uint32_t files_scope; /* the smallest scope of the fallback */
	/* The probe is enabled, with this enum ks_source; it may be disabled afterwards. */
	void (*works)(struct ks *ks, uint32_t source);
};

extern const struct counted counted[COUNTED];

/* Call it before anything is denied. */
void counted_prepare(void);

#endif
