/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * btf.h - what raw BTF of a kernel says about names, in one pass and without libbpf
 *
 * libbpf's own parser costs 9 ms and 12 MiB of heap; this answers all questions at once in 1-5 ms.
 * Bytes are not trusted: whatever a file holds, the scan stays inside it.
 */
#ifndef KS_BTF_H
#define KS_BTF_H

#include <stddef.h>
#include <stdint.h>

enum ks__btf_kind {
	KS__BTF_EVENT, /* a tracepoint: typedef btf_trace_NAME of a pointer to a function */
	KS__BTF_FUNC,  /* a function that is a symbol of its own */
};

struct ks__btf_ask {
	char name[64];
	uint32_t kind; /* ks__btf_kind */
	uint32_t id;   /* answer: its type id; 0: there is none */
	int args;      /* answer: arguments of an event; -1: not known */
};

/* 0, or -EINVAL: this is not sound BTF; why then says what is wrong. All or no answers. */
int ks__btf_scan(const void *data, size_t size, struct ks__btf_ask *asks, size_t n_asks,
		 const char **ret_why);

/* Bytes of a file: mapped (sysfs allows it since 6.16) or read. */
struct ks__btf_file {
	void *data;
	size_t size;
};

/* 0 or -errno. fd stays the caller's. */
int ks__btf_open(int fd, struct ks__btf_file *ret);
void ks__btf_close(struct ks__btf_file *file);

#endif
