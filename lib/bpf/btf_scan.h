/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * btf_scan.h - what raw BTF of a kernel says about names, in one pass and without libbpf
 *
 * libbpf's own parser costs 9 ms and 12 MiB of heap, and a search through all types for each name
 * that programs are loaded against; this answers all questions at once in 1-5 ms, and cuts out the
 * few types that libbpf needs. Bytes are not trusted: whatever a file holds, the scan stays inside.
 */
#ifndef KS_BTF_SCAN_H
#define KS_BTF_SCAN_H

#include <stddef.h>
#include <stdint.h>

enum ks__btf_kind {
	KS__BTF_EVENT, /* a tracepoint: typedef btf_trace_NAME of a pointer to a function */
	KS__BTF_FUNC,  /* a function that is a symbol of its own */
	KS__BTF_TYPE,  /* structs, unions, enums and typedefs of that name */
};

struct ks__btf_ask {
	char name[64];
	uint32_t kind; /* ks__btf_kind */
	uint32_t id;   /* answer: its type id, the first one's; 0: there is none */
	int args;      /* answer: arguments of an event; -1: not known */
	uint32_t pointers; /* answer: a bit for each of the first 32 that is a pointer */
};

/* BTF of some types, made by malloc. */
struct ks__btf_cut {
	void *data; /* NULL: none */
	size_t size;
};

/*
 * 0, -ENOMEM or -EINVAL: this is not sound BTF; why then says what is wrong. All or no answers.
 * *ret_cut, if wanted, gets BTF with every KS__BTF_TYPE of the asks and what they hold by value, but
 * not what they point to. BTF that libbpf could not work on in bounded time, or at all, is refused:
 * types that hold themselves, absurd sizes, names and numbers of members.
 */
int ks__btf_scan(const void *data, size_t size, struct ks__btf_ask *asks, size_t n_asks,
		 struct ks__btf_cut *ret_cut, const char **ret_why);

/*
 * Does a struct or union of that name have that member, if only within an anonymous one? 1, 0, or
 * -ENOENT: there is no such type.
 */
int ks__btf_has_member(const void *data, size_t size, const char *type, const char *member);

/* Bytes of a file: mapped (sysfs allows it since 6.16) or read. */
struct ks__btf_file {
	void *data;
	size_t size;
	int is_kernels; /* in sysfs: the kernel wrote it */
};

/* 0 or -errno; -EFBIG: larger than that of any kernel. fd stays the caller's. */
int ks__btf_open(int fd, struct ks__btf_file *ret);
void ks__btf_close(struct ks__btf_file *file);

#endif
