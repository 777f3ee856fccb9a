/* SPDX-License-Identifier: BSD-2-Clause */
/* conditions.h - what a machine may deny, and the reasons that the library then has to give */
#ifndef KS_TESTS_CONDITIONS_H
#define KS_TESTS_CONDITIONS_H

#include <stdint.h>
#include <sys/types.h>

#define TRACEFS "/sys/kernel/tracing"

struct ks_open_opts;

struct condition {
	const char *name;
	const char *because; /* regular expression for the reason of each variant that is lost */
	const char *remedy;  /* the same for ks_check()'s remedy; NULL: none is known */
	void (*begin)(struct ks_open_opts *opts);
	uid_t uid; /* 0: root with these capabilities, or with all if caps is 0 */
	uint64_t caps;
	/* settings of the whole machine, so in guests only; restored afterwards */
	const char *sysctl, *value;
	const char *tracefs; /* mount options */
	const char *feature; /* kernel feature that does not work any more, by ks_check() */
	int silent;          /* variants may be attached and yet not run */
	int booted;          /* the kernel was booted with it */
};

/* In the first, nothing is denied. The last has no name. */
extern const struct condition conditions[];

void conditions_write(const char *path, const char *value);

#endif
