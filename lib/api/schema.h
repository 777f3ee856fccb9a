/* SPDX-License-Identifier: BSD-2-Clause */
/* schema.h - looks up structs by id, and a probe's settings: the common ones, then its own */
#ifndef KS_API_SCHEMA_H
#define KS_API_SCHEMA_H

#include <stdint.h>

#include "../probes/probe.h"

/* Describes setting number `index` of a probe. Returns 0, or -ENOENT past the last. */
int ks__schema_param(const struct ks__probe *probe, uint32_t index, struct ks_param_desc *ret);

/* Returns an event, a row, or a struct of the public headers; NULL: there is none. */
const struct ks__struct *ks__schema_struct(uint32_t id);
/* Returns a field of such a struct; NULL past the last. */
const struct ks__field *ks__schema_field(uint32_t id, uint32_t index);

#endif
