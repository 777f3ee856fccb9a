/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* regs.h - arch/.../include/asm/ptrace.h; included by ktypes.h */

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	kernel_long di, si, dx, r10, ax, orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	kernel_long regs[31];
	uint32_t syscallno;
};
#else
#error "bpf/ktypes/regs.h has struct pt_regs for x86_64 and arm64 only: add this architecture"
#endif
