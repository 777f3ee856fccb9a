/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ktypes.h - the types of <stdint.h>, and in ktypes/ every kernel type that the programs read
 *
 * The types have only the members in use, so the folder lists the kernel facts that the programs
 * depend on. libbpf replaces the offsets by those of the running kernel (CO-RE). Declare scalars
 * unsigned even if the kernel's are signed: libbpf adjusts the width of a load only for unsigned
 * types. A member that was renamed or moved has a flavour, struct name___suffix.
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

/* A size, offset or flag word of the kernel: 64 bits on all supported machines. */
typedef unsigned long kernel_long;

#define bool _Bool
#define true 1
#define false 0
#define NULL ((void *)0)

/*
 * These two have the same layout in all kernels, so they need no relocation. For each other type
 * libbpf searches all of the kernel's types by name when programs load, which costs 0.9 ms. Add a
 * type only if it is worth that.
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
