/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.h - the map ks_control, which kernel programs read: scope and settings of probes
 *
 * The scope and the settings of each probe have two slots and an index. The library writes a new
 * value into the slot that is not in use and then flips the index: one store switches all programs
 * at once. A program run that began earlier may still read the old slot. So the library reuses a
 * slot only after a grace period: it waits 10 to 40 ms if the slot was in use in the last second.
 * Only the second change within a second waits, of the scope or of one probe's settings. Disabling
 * a probe writes one word of the slot in use and never waits. Enabling the probe with the same
 * settings writes that word back and does not wait either; enabling it with other settings is one
 * change. A probe whose rows show open intervals waits each time: see ks__control_settle().
 *
 * Values that are set before the maps exist are stored and take effect when they are mapped.
 */
#ifndef KS_CONTROL_H
#define KS_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/shared.h"

struct ks__control {
	struct ks_bpf_control *map; /* NULL: not mapped yet */
	size_t map_size;
	struct ks_bpf_scope scope; /* as last set */
	struct ks_bpf_settings settings[KS_BPF_PROBES];
	uint32_t live; /* bit per probe, 1: its settings are in force, 0: its programs do nothing */
	uint32_t epoch[KS_BPF_PROBES]; /* number of the probe's present or next enabled period */
	uint64_t scope_left_ns[2], left_ns[KS_BPF_PROBES][2]; /* when a slot was last in use */
};

/* Maps a newly created ks_control. 0 or -errno. */
int ks__control_map(struct ks__control *c, int fd);
void ks__control_unmap(struct ks__control *c);

/* Sets the settings of a probe: in force at once if it is live, else when it becomes live. */
void ks__control_apply(struct ks__control *c, uint32_t probe, const struct ks_bpf_settings *set);
/* Switches off the programs that belong to no probe. */
void ks__control_idle(struct ks__control *c);
/* live 1: the programs of the probe count from now on. 0: they stop counting. */
void ks__control_live(struct ks__control *c, uint32_t probe, int live);
/* Waits until no run goes on that began before the probe was disabled. */
void ks__control_settle(struct ks__control *c, uint32_t probe);
/* Waits until no run reads the slot of the next scope; returns the slot. The map must be mapped. */
uint32_t ks__control_scope_slot(struct ks__control *c);
void ks__control_scope(struct ks__control *c, const struct ks_bpf_scope *scope);
/* The scope of this slot did not take effect, but program runs that follow its tree may go on. */
void ks__control_scope_refused(struct ks__control *c, uint32_t slot);
/* Adds one process to the scope; 0: none. */
void ks__control_also(struct ks__control *c, uint32_t pid);

#endif
