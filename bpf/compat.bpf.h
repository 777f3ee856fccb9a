/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* compat.bpf.h - differences between kernels, each hidden in one inline function */
#ifndef KS_COMPAT_BPF_H
#define KS_COMPAT_BPF_H

#include "maps.bpf.h"

/*
 * Iterator of a loop whose body the verifier checks twice, whatever the number of turns. Use it
 * only if ks_const.iter_num is set. It is the kernel's struct bpf_iter_num, which headers before
 * 6.4 lack.
 */
struct ks_turns {
	__u64 opaque;
} __attribute__((aligned(8)));

/*
 * Kernel functions (kfuncs). Call each only if its member of ks_const is set. They are no symbols,
 * since libbpf reads and indexes the kernel's whole BTF for a symbol. The loader puts in their ids.
 */
static void *(*const bpf_rdonly_cast)(const void *obj,
				      uint32_t type) = (void *)KS_KFUNC_RDONLY_CAST;
static int (*const bpf_iter_num_new)(struct ks_turns *turns, int start,
				     int end) = (void *)KS_KFUNC_ITER_NUM_NEW;
static int *(*const bpf_iter_num_next)(struct ks_turns *turns) = (void *)KS_KFUNC_ITER_NUM_NEXT;
static void (*const bpf_iter_num_destroy)(struct ks_turns *turns) = (void *)
	KS_KFUNC_ITER_NUM_DESTROY;

/*
 * Reads a member: by a plain load if the verifier knows the type of p, else by a helper, which
 * costs 20 times as much.
 */
#define ks_get(typed, p, member) ((typed) ? (p)->member : BPF_CORE_READ(p, member))

/*
 * Makes a trusted argument untrusted. From 6.2 on, for each pointer that a program reads through a
 * trusted argument, the verifier searches the whole BTF of the kernel: 0.5 to 0.9 ms for each hop
 * and path, unless that BTF is sorted. The cast costs nothing at run time. Pass the trusted pointer
 * to helpers: they refuse untrusted ones.
 */
static __always_inline struct task_struct *ks_untrusted(struct task_struct *task)
{
	if (ks_const.rdonly_cast)
		return bpf_rdonly_cast(task, ks_const.task_type);
	return task;
}

static __always_inline uint32_t ks_page_bytes(void)
{
	return ks_const.page_bytes ? ks_const.page_bytes : 4096;
}

/*
 * Number of pages in a folio, in pages of the kernel. The page cache's tracepoints have a struct
 * page as argument before 5.18. The word of flags is the first member of both structs.
 */
static __always_inline uint64_t ks_folio_pages(const struct folio *folio)
{
	const struct page *tail;
	kernel_long flags = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), folio);
	if (!(flags >> bpf_core_enum_value(enum pageflags, PG_head) & 1))
		return 1;
	if (bpf_core_field_exists(folio->_folio_order))
		return 1ULL << (BPF_CORE_READ(folio, _folio_order) & 63);
	if (bpf_core_field_exists(folio->_flags_1))
		return 1ULL << (BPF_CORE_READ(folio, _flags_1) & 63);
	tail = (const void *)folio + bpf_core_type_size(struct page);
	return 1ULL << (BPF_CORE_READ(tail, compound_order) & 63);
}

/*
 * Peak of resident pages: the higher of the kernel's high-water mark and the present number. The
 * kernel's counters lag by a batch per CPU.
 */
static __always_inline uint64_t ks_mm_peak(const struct mm_struct *mm, const bool typed)
{
	const struct mm_struct___before_6_2 *old = (const void *)mm;
	uint64_t high = ks_get(typed, mm, hiwater_rss);
	int64_t file, anon, shmem, now;

	if (bpf_core_field_exists(struct mm_rss_stat, count)) {
		/* by helper: the verifier of 5.10 refuses plain loads of this type */
		file = BPF_CORE_READ(old, rss_stat.count[0].counter);
		anon = BPF_CORE_READ(old, rss_stat.count[1].counter);
		shmem = BPF_CORE_READ(old, rss_stat.count[3].counter);
	} else {
		file = ks_get(typed, mm, rss_stat[0].count);
		anon = ks_get(typed, mm, rss_stat[1].count);
		shmem = ks_get(typed, mm, rss_stat[3].count);
	}
	now = (file > 0 ? file : 0) + (anon > 0 ? anon : 0) + (shmem > 0 ? shmem : 0);
	return (uint64_t)now > high ? (uint64_t)now : high;
}

/*
 * Does a 32-bit task make the present syscall of a 64-bit kernel? Its syscalls have other numbers.
 * The flags are from <asm/thread_info.h>.
 */
static __always_inline bool ks_is_compat(const struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(task, thread_info.status) & 0x2; /* TS_COMPAT */
#else
	return BPF_CORE_READ(task, thread_info.flags) >> 22 & 1; /* TIF_32BIT */
#endif
}

#endif
