/* SPDX-License-Identifier: BSD-2-Clause */
#include "best.h"

#include <stdarg.h>
#include <stdio.h>

#include <kernelsight/kernelsight.h>

__attribute__((format(printf, 3, 4))) static size_t put(char *text, size_t size, const char *format,
							...)
{
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(text, size, format, list);
	va_end(list);
	return n < 0 || (size_t)n >= size ? size : (size_t)n;
}

void best(char *text, size_t size)
{
	static const uint32_t probes[] = { KS_PROBE_PROC, KS_PROBE_SCHED, KS_PROBE_FADVISE,
					   KS_PROBE_PAGECACHE };
	const uint32_t n = sizeof(probes) / sizeof(probes[0]);
	struct ks *ks = NULL;
	size_t at;

	at = put(text, size, "open %d, ", ks_open(NULL, &ks));
	at += put(text + at, size - at, "prepared %d\n", ks_prepare(ks, probes, n));
	for (uint32_t i = 0; i < n; i++) {
		struct ks_probe_info info = { .size = sizeof(info) };
		int rc = ks_enable_probe(ks, probes[i], NULL);

		ks_query_probe(ks, probes[i], &info);
		at += put(text + at, size - at, "%s: %d, %s, valid %#llx %s\n", info.name, rc,
			  info.variant_name, (unsigned long long)info.valid, info.reason);
	}
	ks_close(ks);
}
