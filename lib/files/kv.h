/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kv.h - parses files that have a key on each line: "Uid:\t0\t0\t0\t0", "MemFree:  12 kB",
 * "pgscan_kswapd 12"
 *
 * Pure functions: they accept any bytes, read only the buffer and allocate nothing.
 */
#ifndef KS_KV_H
#define KS_KV_H

#include <stddef.h>
#include <stdint.h>

/*
 * Finds the value of a key: the rest of its line, without leading blanks. If a key occurs twice,
 * the first line counts. 0; -ENOENT: no such key, or its line is cut off.
 */
int ks__kv_find(const char *text, size_t length, const char *key, const char **ret_value,
		size_t *ret_length);

/* Parses number `index` (from 0) of a key's value. 0; -ENOENT; -EINVAL: no number; -ERANGE. */
int ks__kv_number(const char *text, size_t length, const char *key, unsigned index,
		  uint64_t *ret_value);

#endif
