/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - what this machine allows this process; explains why the kernel refused a call
 *
 * Used only after a refusal and by ks_check(), since it opens a few small files.
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
	uint64_t withheld; /* capabilities that the process has and its AppArmor profile denies */
	int has_cap_bpf;   /* this kernel has CAP_BPF and CAP_PERFMON (5.8) */
	int initial_userns; /* 0: another user namespace, whose capabilities do not count for BPF */
	int seccomp;       /* 0: off, 1: strict, 2: filter, -1: unknown */
	int perf_paranoid; /* kernel.perf_event_paranoid, -100: unknown */
	char profile[64];
	char lockdown[32]; /* "none", "integrity", "confidentiality", "" if unknown */
};

void ks__machine_read(const struct ks *ks, struct ks__machine *ret);

/*
 * Raises RLIMIT_MEMLOCK as far as this process may, if the host allows it (KS_OPEN_RAISE_MEMLOCK).
 * 1: the limit has changed; its old value is in *ret_old.
 */
int ks__machine_raise_memlock(const struct ks *ks, struct rlimit *ret_old);

/*
 * 1: `error` is the kernel's refusal because of RLIMIT_MEMLOCK, against which it counts BPF memory
 * before 5.11. The host can raise the limit, so this answer is not final.
 */
int ks__machine_locked(const struct ks *ks, int error);

/* Writes "WHAT: why bpf() returned this error: what to do". */
void ks__machine_bpf(const struct ks *ks, const char *what, int error, char *buf, size_t size);
/* The same for perf_event_open(). */
void ks__machine_perf(const struct ks *ks, const char *what, int error, char *buf, size_t size);

/*
 * 1: lockdown forbids kernel programs to read kernel memory. The verifier only reports a missing
 * helper then.
 */
int ks__machine_confidential(const struct ks *ks);

/* Writes members of ks_check(): user namespace, seccomp, security modules, confinement. */
void ks__machine_doc(const struct ks *ks, struct ks__doc *doc);

#endif
