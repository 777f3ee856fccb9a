/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * on_load.h - a word with each program on its way into the kernel
 *
 * A program that links on_load.c has its own syscall(), which libbpf's calls reach as well. (shim.h has
 * another one: not both.)
 */
#ifndef KS_TESTS_ON_LOAD_H
#define KS_TESTS_ON_LOAD_H

#include <linux/bpf.h>

/* bpf(BPF_PROG_LOAD, attr, size): as the kernel answers, or with errno set and -1 */
long on_load_pass(const union bpf_attr *attr, unsigned size);

/* Asked instead of the kernel while it is set. */
extern long (*on_load)(union bpf_attr *attr, unsigned size);

/*
 * From now on programs whose names begin so are refused, EACCES, if they are of these types: 1 <<
 * BPF_PROG_TYPE_... Before on_load() is asked. types 0: none any more.
 */
void on_load_refuse(const char *prefix, unsigned types);

#endif
