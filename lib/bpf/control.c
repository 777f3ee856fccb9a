/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/membarrier.h>

#include <bpf/bpf.h>

#include "../ks.h"
#include "control.h"

#define SECOND 1000000000u

/* ---- grace periods --------------------------------------------------------------------------- */

/* An update of a map of maps waits until no program run can still see the old inner map. */
static int wait_by_map(void)
{
	int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 4, 1, NULL), outer = -1, rc = -1;
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = (uint32_t)inner);
	uint32_t key = 0;

	if (inner >= 0)
		outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, NULL, 4, 4, 1, &opts);
	if (outer >= 0)
		rc = bpf_map_update_elem(outer, &key, &inner, BPF_ANY);
	if (outer >= 0)
		close(outer);
	if (inner >= 0)
		close(inner);
	return rc;
}

/*
 * Waits until no running program can still read the slot left at `left_ns` (0: never in use). Takes
 * 10 to 40 ms, or nothing if the slot was left more than a second ago, since no program runs for a
 * second. membarrier() returns EINVAL with nohz_full CPUs, and a seccomp filter may refuse it; then
 * try a map of maps, and last wait for the rest of the second.
 */
static void wait_grace(uint64_t left_ns)
{
	uint64_t end = left_ns + SECOND, now = ks__now();
	struct timespec t = { (time_t)(end / SECOND), (long)(end % SECOND) };

	if (!left_ns || now >= end)
		return;
	if (!syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) || !wait_by_map())
		return;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* ---- settings -------------------------------------------------------------------------------- */

/* put_off() clears only the generation: 1 if the slot is off and has the same settings. */
static int is_same(const struct ks_bpf_settings *off, const struct ks_bpf_settings *set)
{
	struct ks_bpf_settings as = *set;

	as.generation = 0;
	as.epoch = off->epoch;
	return !memcmp(off, &as, sizeof(as));
}

/* A run reads generation and epoch as one word, so it never has the epoch of another period. */
static void put_period(struct ks_bpf_settings *at, const struct ks_bpf_settings *set)
{
	uint64_t period = (uint64_t)set->epoch << 32 | set->generation;

	_Static_assert(offsetof(struct ks_bpf_settings, epoch) == 4, "epoch: the upper half");
	__atomic_store_n((uint64_t *)(void *)&at->generation, period, __ATOMIC_RELEASE);
}

static void put_settings(struct ks__control *c, uint32_t probe, const struct ks_bpf_settings *set)
{
	struct ks_bpf_control *map = c->map;
	uint32_t old = map->index[probe], next = !old;

	if (is_same(&map->settings[probe][old], set)) {
		/* a run that still reads the slot finds the same settings: no need to wait */
		put_period(&map->settings[probe][old], set);
		return;
	}
	wait_grace(c->left_ns[probe][next]);
	map->settings[probe][next] = *set;
	__atomic_store_n(&map->index[probe], next, __ATOMIC_RELEASE);
	if (map->settings[probe][old].generation)
		c->left_ns[probe][old] = ks__now();
}

/*
 * Switches a probe off by one word of the slot in use: a run that begins later finds generation 0
 * and reads no other word. A run that goes on keeps the epoch of the period in which it began.
 */
static void put_off(struct ks__control *c, uint32_t probe)
{
	uint32_t index = c->map->index[probe];
	struct ks_bpf_settings *set = &c->map->settings[probe][index];

	__atomic_store_n(&set->generation, 0, __ATOMIC_SEQ_CST);
	c->left_ns[probe][index] = ks__now();
}

void ks__control_apply(struct ks__control *c, uint32_t probe, const struct ks_bpf_settings *set)
{
	c->settings[probe] = *set;
	c->settings[probe].epoch = c->epoch[probe];
	if (c->map && c->live & 1u << probe)
		put_settings(c, probe, &c->settings[probe]);
}

void ks__control_settle(struct ks__control *c, uint32_t probe)
{
	uint64_t *left = c->left_ns[probe];

	if (c->live & 1u << probe)
		return;
	wait_grace(left[0] > left[1] ? left[0] : left[1]);
	left[0] = left[1] = 0;
}

void ks__control_live(struct ks__control *c, uint32_t probe, int live)
{
	if (!live == !(c->live & 1u << probe))
		return;
	c->live ^= 1u << probe;
	if (!live || !c->epoch[probe])
		c->epoch[probe]++;
	c->settings[probe].epoch = c->epoch[probe];
	if (!c->map)
		return;
	if (live)
		put_settings(c, probe, &c->settings[probe]);
	else
		put_off(c, probe);
}

void ks__control_idle(struct ks__control *c)
{
	if (!c->map)
		return;
	__atomic_store_n(&c->map->track, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&c->map->tree, 0, __ATOMIC_RELEASE);
}

/* ---- scope ----------------------------------------------------------------------------------- */

uint32_t ks__control_scope_slot(struct ks__control *c)
{
	uint32_t slot = !c->map->scope_index;

	wait_grace(c->scope_left_ns[slot]);
	c->scope_left_ns[slot] = 0;
	return slot;
}

void ks__control_scope_refused(struct ks__control *c, uint32_t slot)
{
	c->scope_left_ns[slot] = ks__now();
}

void ks__control_scope(struct ks__control *c, const struct ks_bpf_scope *scope)
{
	struct ks_bpf_control *map = c->map;
	uint32_t old, next;

	c->scope = *scope;
	if (!map)
		return;
	old = map->scope_index;
	next = ks__control_scope_slot(c);
	map->scope[next] = *scope;
	__atomic_store_n(&map->scope_index, next, __ATOMIC_RELEASE);
	c->scope_left_ns[old] = ks__now();
}

/* Stores one word into the slot in use, which needs no grace period. */
void ks__control_also(struct ks__control *c, uint32_t pid)
{
	c->scope.also = pid;
	if (c->map)
		__atomic_store_n(&c->map->scope[c->map->scope_index].also, pid, __ATOMIC_RELEASE);
}

/* ---- the map --------------------------------------------------------------------------------- */

_Static_assert(KS_BPF_PROBES <= 32, "widen ks__control.live: it has one bit for each probe");

int ks__control_map(struct ks__control *c, int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE),
	       size = (sizeof(*c->map) + page - 1) & ~(page - 1);
	struct ks_bpf_control *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	c->map = map;
	c->map_size = size;
	map->scope[0] = c->scope; /* no program has run yet, so no flip is needed */
	for (uint32_t p = 0; p < KS_BPF_PROBES; p++)
		if (c->live & 1u << p)
			map->settings[p][0] = c->settings[p];
	return 0;
}

void ks__control_unmap(struct ks__control *c)
{
	if (c->map)
		munmap(c->map, c->map_size);
	c->map = NULL;
}
