/* SPDX-License-Identifier: BSD-2-Clause */
/* schema.h - structs by their id; a probe's settings, the common ones and its own, as one list */
#ifndef KS_API_SCHEMA_H
#define KS_API_SCHEMA_H

#include <stdint.h>

#include "../probes/probe.h"

/* Setting number `index` of a probe: 0, or -ENOENT past the last. */
int ks__schema_param(const struct ks__probe *probe, uint32_t index, struct ks_param_desc *ret);

/* An event, a row, or a struct of the headers; NULL: there is none. */
const struct ks__struct *ks__schema_struct(uint32_t id);
/* One of its fields; NULL past the last. */
const struct ks__field *ks__schema_field(uint32_t id, uint32_t index);

#endif
