/* SPDX-License-Identifier: BSD-2-Clause */
/* conditions.h - what a machine may deny, and what that costs by whose doing */
#ifndef KS_TESTS_CONDITIONS_H
#define KS_TESTS_CONDITIONS_H

#include <stdint.h>
#include <sys/types.h>

#define TRACEFS "/sys/kernel/tracing"

struct ks_open_opts;

struct condition {
	const char *name;
	const char *because; /* of each way that it costs; a regular expression */
	const char *remedy;  /* the same of what ks_check() tells to do; NULL: nothing is known */
	void (*begin)(struct ks_open_opts *opts);
	uid_t uid; /* 0: root, with these capabilities, or all if caps is 0 */
	uint64_t caps;
	/* of the whole machine, and so in guests alone; put back afterwards */
	const char *sysctl, *value;
	const char *tracefs; /* mount options */
	const char *feature; /* of the kernel: works no more, as ks_check() tells */
	int silent;          /* ways may be attached, and not be run */
	int booted;          /* the kernel was started with it */
};

/* The first: nothing is denied. The last has no name. */
extern const struct condition conditions[];

void conditions_write(const char *path, const char *value);

#endif
