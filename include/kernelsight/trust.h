/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trust.h - check the library: ledger, self-test, and reports about the machine and the handle
 *
 * Included by kernelsight.h, whose rules hold.
 */
#ifndef KERNELSIGHT_TRUST_H
#define KERNELSIGHT_TRUST_H

#include <kernelsight/kernelsight.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * ks_ledger_check - do the records of a probe add up: submitted = delivered + discarded + in_flight
 *
 * See struct ks_stats_self. The check is exact for a probe that is off. While a probe runs, its
 * programs may be between two of these counts: the check allows a difference of 4 records for each
 * CPU. While a consumer works, or inside its callback, the records in flight cannot be counted: the
 * check then takes the missing records to be in flight.
 * @probe: KS_PROBE_..., or KS_PROBE_SELF: all probes
 * Returns 0.
 * Errors: -KS_EBALANCE (ks_last_error() says by how many records), -EINVAL (no such probe),
 *   -KS_EFORKED.
 * Cost: microseconds, and a grace period of about 30 ms if the first try does not add up.
 * Since: 0.1
 */
KS_API int ks_ledger_check(struct ks *ks, uint32_t probe);

struct ks_selftest_opts {
	size_t size;         /*  0 */
	const char *dir;     /*  8 for an unlinked file of 64 KiB; NULL: skip tests with a file */
	uint32_t timeout_ms; /* 16 at most 60000; 0: 1000 */
	uint32_t reserved;   /* 20 */
};                           /* 24 */

/*
 * ks_selftest - cause one event of each kind and check that it is counted
 *
 * After a successful test, a counter of 0 means that nothing happened. The test runs a short-lived
 * child that shares the host's memory. The child raises no SIGCHLD, and only a wait for clone
 * children (__WALL, __WCLONE) can see it. It is in scope, whatever the scope is, so your statistics
 * count its events. Its records carry KS_FLAG_SELFTEST. The test needs no consumer.
 * @probe: a probe that is on
 * @opts: NULL: defaults
 * Returns how many kinds of event were counted, without kinds that cannot be caused here. 0 on a
 *   fallback, which reads files too seldom to see the child.
 * Errors: -KS_ESILENT (attached, but an event was not counted; the state becomes KS_STATE_SILENT),
 *   -KS_EOFF (the probe is off), -EINVAL, -E2BIG, -EBUSY (inside an event callback), -ETIMEDOUT,
 *   -ECHILD (a signal ended the child, as a seccomp filter may), -ENOMEM, -EAGAIN (no more
 *   processes allowed), the error of opening dir, -KS_EFORKED.
 * Cost: milliseconds. Since: 0.1
 */
KS_API int ks_selftest(struct ks *ks, uint32_t probe, const struct ks_selftest_opts *opts);

enum ks_format { KS_TEXT = 0, KS_JSON = 1 };

/*
 * ks_check - report what this machine allows: kernel, BTF, capabilities, lockdown, sysctls,
 *   cgroups, with a remedy for each lack
 * ks_explain - report what this handle has put into the kernel: programs, hooks, maps, bytes, the
 *   capabilities in use, nanoseconds for each run of a program
 *
 * Both reports are for people and support. Any release may change their members and sentences.
 * @format: ks_format
 * @buf, @size: receives the text, cut to @size and ended with NUL; may be NULL and 0
 * Returns the length of the whole text, without NUL. Errors: -EINVAL, -ENOMEM, -KS_EFORKED.
 * Cost: milliseconds. Since: 0.1
 */
KS_API int ks_check(struct ks *ks, uint32_t format, char *buf, size_t size);
KS_API int ks_explain(struct ks *ks, uint32_t format, char *buf, size_t size);

#ifdef __cplusplus
}
#endif
#endif
