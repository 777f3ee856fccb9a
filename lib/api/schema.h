/* SPDX-License-Identifier: BSD-2-Clause */
/* schema.h - a probe's settings, the common ones and its own, as one list */
#ifndef KS_API_SCHEMA_H
#define KS_API_SCHEMA_H

#include <stdint.h>

#include "../probes/probe.h"

/* Setting number `index` of a probe: 0, or -ENOENT past the last. */
int ks__schema_param(const struct ks__probe *probe, uint32_t index, struct ks_param_desc *ret);

#endif
