/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trust.h - can it be believed: ledger, self-test, and what there is on this machine and in this handle
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
 * ks_ledger_check - does everything add up (struct ks_stats_self)
 *
 * Exact for probes at rest (off, and their records read); for running ones the difference may be
 * as large as the events of the last microseconds. While a consumer is at work, or inside its
 * callback, records in flight cannot be counted and are taken to be what is missing.
 * @probe: KS_PROBE_..., or KS_PROBE_SELF: all
 * Returns 0. Errors: -KS_EBALANCE (ks_last_error(): which line, by how much), -EINVAL, -KS_EFORKED.
 * Cost: microseconds. Since: 0.1
 */
KS_API int ks_ledger_check(struct ks *ks, uint32_t probe);

struct ks_selftest_opts {
	size_t size;         /*  0 */
	const char *dir;     /*  8 for an unlinked file of 64 KiB; NULL: skip what needs one */
	uint32_t timeout_ms; /* 16 0: 1000 */
	uint32_t reserved;   /* 20 */
};                           /* 24 */

/*
 * ks_selftest - provoke one event of each kind and see it counted, so that 0 means 0
 *
 * Works with a short-lived child that shares your memory, raises no SIGCHLD, is invisible to wait()
 * and is in scope whatever the scope is: it is in your statistics, too. Its records carry
 * KS_FLAG_SELFTEST. Needs no consumer.
 * @probe: that is on
 * @opts: NULL: defaults
 * Returns how many kinds were seen; kinds that cannot be provoked here are not counted. 0 on a
 *   fallback: files are looked at too seldom to see the child.
 * Errors: -KS_ESILENT (attached and blind; the state becomes KS_STATE_SILENT), -KS_EOFF, -EINVAL,
 *   -EBUSY (inside a callback), -ETIMEDOUT, -KS_EFORKED.
 * Cost: milliseconds. Since: 0.1
 */
KS_API int ks_selftest(struct ks *ks, uint32_t probe, const struct ks_selftest_opts *opts);

enum ks_format { KS_TEXT = 0, KS_JSON = 1 };

/*
 * ks_check - what this machine allows: kernel, BTF, capabilities, lockdown, sysctls, cgroups, each
 *   with the remedy
 * ks_explain - what this handle has put into the kernel: programs, hooks, maps, bytes, capabilities
 *   used, nanoseconds per event
 * @format: ks_format
 * @buf, @size: text, cut to size and ended with NUL; may be NULL and 0
 * Returns the length of the whole text, without NUL. Errors: -EINVAL, -ENOMEM, -KS_EFORKED.
 * Cost: milliseconds. Since: 0.1
 */
KS_API int ks_check(struct ks *ks, uint32_t format, char *buf, size_t size);
KS_API int ks_explain(struct ks *ks, uint32_t format, char *buf, size_t size);

#ifdef __cplusplus
}
#endif
#endif
