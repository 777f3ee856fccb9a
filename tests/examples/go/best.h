/* SPDX-License-Identifier: BSD-2-Clause */
/* best.h - what a new handle gets here, as text */
#ifndef KS_TESTS_BEST_H
#define KS_TESTS_BEST_H

#include <stddef.h>

/* Opens a handle, prepares and enables all probes and closes it: a line for each probe. */
void best(char *text, size_t size);

#endif
