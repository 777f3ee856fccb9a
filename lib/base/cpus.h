/* SPDX-License-Identifier: BSD-2-Clause */
/* cpus.h - how many CPUs the kernel may have */
#ifndef KS_CPUS_H
#define KS_CPUS_H

#include <stdint.h>

/*
 * One more than the highest number of a possible CPU: as long as the kernel's arrays by CPU must be.
 * sys_fd is the folder sys_path, which may belong to another machine or say what it likes, so the
 * answer is never below what /sys of this machine says, and never above what the kernel's own masks
 * of CPUs have room for. Where neither file can be read the answer is that room: too many CPUs cost
 * memory, too few would cost events.
 */
uint32_t ks__cpus_possible(int sys_fd);

#endif
