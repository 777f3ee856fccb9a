/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * on_load.h - lets a test see, change or refuse each kernel program as it is loaded
 *
 * A test program that links on_load.c has its own syscall(), which libbpf calls as well. It cannot
 * link shim.c, which has another one.
 */
#ifndef KS_TESTS_ON_LOAD_H
#define KS_TESTS_ON_LOAD_H

#include <linux/bpf.h>

/*
 * Calls bpf(BPF_PROG_LOAD, attr, size) in the kernel. Returns as syscall() does: -1 with errno set
 * if it failed.
 */
long on_load_pass(const union bpf_attr *attr, unsigned size);

/* If set, it is called in place of the kernel. */
extern long (*on_load)(union bpf_attr *attr, unsigned size);

/*
 * Refuses, with EACCES, programs whose names begin with `prefix` and whose type is in `types` (bits
 * 1 << BPF_PROG_TYPE_...), before on_load() is called. types 0 ends it.
 */
void on_load_refuse(const char *prefix, unsigned types);

#endif
