/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kv.h - files with a key on each line: "Uid:\t0\t0\t0\t0", "MemFree:  12 kB", "pgscan_kswapd 12"
 *
 * Pure: any bytes may be in the buffer, none outside it is read, nothing is allocated.
 */
#ifndef KS_KV_H
#define KS_KV_H

#include <stddef.h>
#include <stdint.h>

/*
 * What stands behind a key, up to the end of its line, without the blanks before it. The first line
 * counts if a key comes twice. 0; -ENOENT: no such key, or its line is cut off.
 */
int ks__kv_find(const char *text, size_t length, const char *key, const char **ret_value,
		size_t *ret_length);

/* Number `index`, from 0, of those behind a key. 0, -ENOENT, -EINVAL (not a number), -ERANGE. */
int ks__kv_number(const char *text, size_t length, const char *key, unsigned index,
		  uint64_t *ret_value);

#endif
