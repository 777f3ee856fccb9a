/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ktypes.h - the names of <stdint.h>, and below ktypes/ every kernel type that we read
 *
 * Not a dump of one kernel: only the members in use, so that the folder reads as the list of what
 * we depend on. Offsets are those of the running kernel (CO-RE). Scalars are unsigned, whatever the
 * kernel says: libbpf adjusts the width of a load only for these. A member that was renamed or
 * moved has a flavour, struct name___suffix.
 */
#ifndef KS_KTYPES_H
#define KS_KTYPES_H

#include <linux/bpf.h>

typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
typedef __s16 int16_t;
typedef __s32 int32_t;
typedef __s64 int64_t;

/* A size, offset or flag word of the kernel: 64 bits on all machines that we build for. */
typedef unsigned long kernel_long;

#define bool _Bool
#define true 1
#define false 0
#define NULL ((void *)0)

/*
 * Never changed. The others are looked up by name in all of the kernel's types, at 0.9 ms each when
 * programs load: a reason not to add one lightly.
 */
struct list_head {
	struct list_head *next, *prev;
};

struct upid {
	uint32_t nr;
	void *ns;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#include "ktypes/cgroup.h"
#include "ktypes/fs.h"
#include "ktypes/mm.h"
#include "ktypes/regs.h"
#include "ktypes/signal.h"
#include "ktypes/task.h"
#include "ktypes/trace.h"
#pragma clang attribute pop

#endif
