/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - what this machine allows this process, and words for a refusal with its remedy
 *
 * Asked only after a refusal and for ks_check(): it opens a few small files.
 */
#ifndef KS_MACHINE_H
#define KS_MACHINE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "../ks.h"

struct ks__doc;

struct ks__machine {
	uint64_t caps;     /* effective, 1 << CAP_... */
	uint64_t withheld; /* given, but kept back by AppArmor's profile */
	int has_cap_bpf;   /* this kernel knows CAP_BPF and CAP_PERFMON (5.8) */
	int first_userns;  /* capabilities of another user namespace do not count for BPF */
	int seccomp;       /* 0: off, 1: strict, 2: filter, -1: not known */
	int perf_paranoid; /* kernel.perf_event_paranoid, -100: not known */
	char profile[64];
	char lockdown[32]; /* "none", "integrity", "confidentiality", "" if not known */
};

void ks__machine_read(const struct ks *ks, struct ks__machine *ret);

/*
 * RLIMIT_MEMLOCK as far up as this process may have it, where the host allows it
 * (KS_OPEN_RAISE_MEMLOCK). 1: it is another one now, and was *ret_old.
 */
int ks__machine_raise_memlock(const struct ks *ks, struct rlimit *ret_old);

/*
 * Memory of BPF counts against RLIMIT_MEMLOCK here (before 5.11), and the kernel refused something for
 * that reason: the host can raise the limit, so the answer is no lasting one.
 */
int ks__machine_locked(const struct ks *ks, int error);

/* "WHAT: why bpf() said error; what to do" */
void ks__machine_bpf(const struct ks *ks, const char *what, int error, char *buf, size_t size);
/* The same for perf_event_open(). */
void ks__machine_perf(const struct ks *ks, const char *what, int error, char *buf, size_t size);

/* Does lockdown keep kernel memory from programs? The verifier only says that a helper is missing. */
int ks__machine_confidential(const struct ks *ks);

/* Members for ks_check(), beside those that need no reading between the lines. */
void ks__machine_doc(const struct ks *ks, struct ks__doc *doc);

#endif
