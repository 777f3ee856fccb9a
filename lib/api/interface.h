/* SPDX-License-Identifier: BSD-2-Clause */
/* interface.h - tables of what the public headers declare; interface.py generates them */
#ifndef KS_API_INTERFACE_H
#define KS_API_INTERFACE_H

#include <stdint.h>

#include "../probes/probe.h"

struct ks__constant {
	const char *name;
	int64_t value;
	const char *help;
};

struct ks__enum {
	const char *name;
	const struct ks__constant *constants; /* ends at name == NULL */
	uint32_t is_flags;
};

/* Both end at name == NULL. */
extern const struct ks__struct ks__interface_structs[];
extern const struct ks__enum ks__interface_enums[];

#endif
