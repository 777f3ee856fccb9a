/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.h - the words that programs obey: scope and settings, two slots and an index each
 *
 * A new value goes into the slot that is not in use; then the index is flipped: one store, one
 * moment for all programs. A run that began before may still read the old slot, so before that is
 * written again, a grace period must have passed since it was left: it is waited for if that was
 * less than a second ago. So what waits, 8-32 ms, is the second change within a second: of the
 * scope, or of one probe's settings. Disabling writes one word of the slot in use and never waits.
 * Nor does enabling with the same settings again, which writes that word back; with others it is one
 * change.
 *
 * What is said before the maps exist is kept and takes effect when they are mapped.
 */
#ifndef KS_CONTROL_H
#define KS_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/shared.h"

struct ks__control {
	struct ks_bpf_control *map; /* NULL: not mapped yet */
	size_t map_size;
	struct ks_bpf_scope scope; /* as last said */
	struct ks_bpf_settings settings[KS_BPF_PROBES];
	uint32_t live; /* a bit each probe: its settings are in force, else it is inert */
	uint32_t epoch[KS_BPF_PROBES]; /* of its present life, or its next one */
	uint64_t scope_left_ns[2], left_ns[KS_BPF_PROBES][2]; /* when a slot was last in use */
};

/* Maps ks_control, which is new. 0 or -errno. */
int ks__control_map(struct ks__control *c, int fd);
void ks__control_unmap(struct ks__control *c);

/* Settings of a probe: in force at once if it is live, else once it is. */
void ks__control_apply(struct ks__control *c, uint32_t probe, const struct ks_bpf_settings *set);
/* The programs that belong to no probe do nothing any more. */
void ks__control_idle(struct ks__control *c);
/* From here on the programs of the probe count; no longer. */
void ks__control_live(struct ks__control *c, uint32_t probe, int live);
/* The slot that the next scope will take, once no run looks at it any more. The map is mapped. */
uint32_t ks__control_scope_slot(struct ks__control *c);
void ks__control_scope(struct ks__control *c, const struct ks_bpf_scope *scope);
/* It was not taken after all, but runs that followed its tree may go on. */
void ks__control_scope_refused(struct ks__control *c, uint32_t slot);
/* One more process, beside the scope; 0: none. */
void ks__control_also(struct ks__control *c, uint32_t pid);

#endif
