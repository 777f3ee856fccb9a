/* SPDX-License-Identifier: BSD-2-Clause */
/* cpus.h - the number of possible CPUs */
#ifndef KS_CPUS_H
#define KS_CPUS_H

#include <stdint.h>

/*
 * Returns the highest number of a possible CPU plus one: the length of an array indexed by CPU.
 *
 * sys_fd is the directory sys_path. It may belong to another machine or hold anything. The result
 * is therefore at least what /sys of this machine says, and at most the size of the kernel's CPU
 * mask. If neither file can be read, the result is the size of the mask: too many CPUs cost memory,
 * too few lose events.
 */
uint32_t ks__cpus_possible(int sys_fd);

#endif
