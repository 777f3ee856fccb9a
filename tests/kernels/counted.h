/* SPDX-License-Identifier: BSD-2-Clause */
/* counted.h - what each probe is given to count, and whether it does, by whatever serves it */
#ifndef KS_TESTS_COUNTED_H
#define KS_TESTS_COUNTED_H

#include <stdint.h>

struct ks;

#define COUNTED 4

struct counted {
	const char *name;
	uint32_t probe;
	uint32_t files_scope; /* files know nothing smaller */
	/* It is on, with this enum ks_source; may be off afterwards. */
	void (*works)(struct ks *ks, uint32_t source);
};

extern const struct counted counted[COUNTED];

/* While nothing is denied yet. */
void counted_prepare(void);

#endif
