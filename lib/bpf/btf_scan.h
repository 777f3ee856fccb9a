/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * btf_scan.h - look up names in the raw BTF of a kernel, in one pass and without libbpf
 *
 * libbpf's parser costs 9 ms and 12 MiB of heap, and it searches all types for each name that
 * kernel programs refer to. The scan looks up all names at once in 1-5 ms and copies the few types
 * that libbpf needs. The scan does not trust the bytes: it never reads outside of them.
 */
#ifndef KS_BTF_SCAN_H
#define KS_BTF_SCAN_H

#include <stddef.h>
#include <stdint.h>

enum ks__btf_kind {
	KS__BTF_EVENT, /* a tracepoint: typedef btf_trace_NAME of a pointer to a function */
	KS__BTF_FUNC,  /* a function with a symbol of its own */
	KS__BTF_TYPE,  /* all structs, unions, enums and typedefs of that name */
};

struct ks__btf_ask {
	char name[64];
	uint32_t kind; /* ks__btf_kind */
	uint32_t id;   /* answer: type id of the first match; 0: none */
	int args;      /* answer: number of arguments of an event; -1: unknown */
	uint32_t pointers; /* answer: bit i is set if argument i (of the first 32) is a pointer */
};

/* BTF that contains only some types; allocated by malloc(). */
struct ks__btf_cut {
	void *data; /* NULL: none */
	size_t size;
};

/*
 * Fills in the answers of all asks, or of none. Returns 0, -ENOMEM, or -EINVAL for malformed BTF;
 * *ret_why then says what is wrong. If ret_cut is not NULL, *ret_cut gets BTF with every
 * KS__BTF_TYPE of the asks and the types they contain by value, but not the types they point to.
 * The scan refuses BTF that would make libbpf crash or run without bound: types that contain
 * themselves, and absurd sizes, names and numbers of members.
 */
int ks__btf_scan(const void *data, size_t size, struct ks__btf_ask *asks, size_t n_asks,
		 struct ks__btf_cut *ret_cut, const char **ret_why);

/*
 * 1: a struct or union of that name has that member, directly or within an anonymous member; 0: it
 * has not; -ENOENT: there is no such type.
 */
int ks__btf_has_member(const void *data, size_t size, const char *type, const char *member);

/* The bytes of a BTF file: mapped (sysfs allows that since 6.16) or read into memory. */
struct ks__btf_file {
	void *data;
	size_t size;
	int is_kernels; /* 1: the file is in sysfs, so the kernel wrote it */
};

/* 0 or -errno; -E2BIG: larger than the BTF of any kernel. The caller keeps fd. */
int ks__btf_open(int fd, struct ks__btf_file *ret);
void ks__btf_close(struct ks__btf_file *file);

#endif
