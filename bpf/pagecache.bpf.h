/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * pagecache.bpf.h - files, folios, and a read from its first page to its last; for pagecache.bpf.c
 *
 * A read is told in pieces: an event for each handful of folios, and each of them names all that is
 * left of the read. So the pages of the first one are those of the read, and the others are known by
 * their end: same task, same file, same last page, further on, and no read of that task has ended in
 * between (where that is counted: CONFIG_TASK_XACCT; AIO, splice() and io_uring's own threads are not).
 *
 * A miss is told before its piece, with the pages from there to the end of the read: those are what
 * is missed, once, whatever is read ahead in the meantime. It counts when a piece with that end
 * comes, since faults cause this event as well, and reads that fail. So there are never more pages
 * missed than requested. Nothing is told of folios that were there when the next one of the same
 * piece was still on its way (Linux 6.17): if the read began with a miss, that tells its begin.
 *
 * Functions of the kernel (fentry) tell of all pieces, which folios each found, and how it ended: the
 * next piece of a read begins behind the last folio of this one, so no other read is taken for it. A
 * miss whose read has failed is forgotten.
 */
#ifndef KS_PAGECACHE_BPF_H
#define KS_PAGECACHE_BPF_H

#include "probe.bpf.h"

/* ---- files and folios -------------------------------------------------------------------------- */

static __always_inline const struct inode *untrusted_inode(const struct inode *inode)
{
	if (ks_const.rdonly_cast)
		return bpf_rdonly_cast(inode, ks_const.inode_type);
	return inode;
}

static __always_inline const struct folio *untrusted_folio(const struct folio *folio)
{
	if (ks_const.rdonly_cast)
		return bpf_rdonly_cast(folio, ks_const.folio_type);
	return folio;
}

/* host: the first member since there are address spaces. */
static __always_inline const struct inode *host_of(struct ks_run *run, const void *mapping)
{
	const struct inode *inode = NULL;

	if (run->typed)
		return untrusted_inode(*(const struct inode *const *)mapping);
	bpf_probe_read_kernel(&inode, sizeof(inode), mapping);
	return inode;
}

static __always_inline const struct inode *host_of_read(struct ks_run *run,
							const struct kiocb *iocb)
{
	const struct file *file = ks_read(run, iocb, ki_filp);

	return host_of(run, ks_read(run, file, f_mapping));
}

/* Before 5.16 there was only struct page. */
static __always_inline const void *mapping_of(struct ks_run *run, const struct folio *folio)
{
	if (bpf_core_field_exists(folio->mapping))
		return ks_read(run, folio, mapping);
	return ks_read(run, (const struct page *)folio, mapping);
}

/*
 * Files of a disk or a network: their file system has registered a backing device, to which pages are
 * written and from which they come. Not block devices, whose pages are metadata; nor files that lie in
 * memory alone (tmpfs, memfd, ramfs, hugetlbfs, secretmem, rings of AIO, ...), whose pages come by other
 * ways than they go.
 */
static __always_inline bool is_file(struct ks_run *run, const struct inode *inode)
{
	if (!bpf_core_field_exists(((struct backing_dev_info *)0)->id))
		return BPF_CORE_READ(inode, i_sb, s_bdi, dev) != NULL;
	return (run->typed ? inode->i_sb->s_bdi->id : BPF_CORE_READ(inode, i_sb, s_bdi, id)) != 0;
}

/* Of 4096 bytes. Plain loads where the kernel is new enough for that to be simple, 6.6. */
static __always_inline uint64_t pages_of(struct ks_run *run, const struct folio *folio)
{
	uint64_t unit = ks_page_bytes() / 4096;

	if (!run->typed || !bpf_core_field_exists(folio->_flags_1) ||
	    bpf_core_field_exists(folio->_folio_order))
		return ks_folio_pages(folio) * unit;
	if (!(*(const volatile kernel_long *)folio >>
		      bpf_core_enum_value(enum pageflags, PG_head) & 1))
		return unit;
	return unit << (folio->_flags_1 & 63);
}

/*
 * Whoever writes into a file holds its lock for writing, and no reader does. The low bits of the
 * owner are flags: bit 0 is set by readers, or, in a mutex, by those who wait.
 */
static __always_inline bool is_written(struct ks_run *run, const struct inode *inode,
				       const struct task_struct *self)
{
	const struct inode___rt *rt = (const void *)inode;

	if (bpf_core_field_exists(rt->i_rwsem.rwbase.rtmutex.owner))
		return ((uint64_t)BPF_CORE_READ(rt, i_rwsem.rwbase.rtmutex.owner) & ~1ULL) ==
		       (uint64_t)self;
	return (ks_read(run, inode, i_rwsem.owner.counter) & ~6ULL) == (uint64_t)self;
}

/* ---- reads ------------------------------------------------------------------------------------- */

/* What a task reads, or has read last. */
struct pagecache_read {
	uint64_t file; /* 0: nothing yet */
	uint64_t first, last;
	uint64_t calls;
	uint64_t miss_file; /* of a miss whose piece has not come yet; 0: none */
	uint64_t miss_first, miss_last;
	uint64_t missed; /* 1: the rest of it counts as missed already */
	uint64_t next;   /* page where its next piece begins; 0: not known, or there is none */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct pagecache_read);
} pagecache_reads SEC(".maps");

/* Its twin where kernels have no task storage for tracing (before 5.11), by task. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, uint64_t);
	__type(value, struct pagecache_read);
} pagecache_reads_hash SEC(".maps");

static __always_inline struct pagecache_read *read_stored(bool create)
{
	struct pagecache_read fresh = {}, *read;
	uint64_t task;

	if (ks_const.task_storage)
		return bpf_task_storage_get(&pagecache_reads, bpf_get_current_task_btf(), NULL,
					    create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	task = bpf_get_current_task();
	read = bpf_map_lookup_elem(&pagecache_reads_hash, &task);
	if (read || !create)
		return read;
	bpf_map_update_elem(&pagecache_reads_hash, &task, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&pagecache_reads_hash, &task);
}

/* A piece of a read, as the program is told of it. */
struct pagecache_piece {
	const struct inode *inode; /* NULL: the event tells numbers only */
	uint64_t file;             /* the inode's address, or what its numbers make */
	uint64_t number;           /* of the inode */
	uint64_t first, last;      /* pages of the kernel */
	uint64_t next;             /* behind its last folio; 0: not known, or it ends the read */
	bool whole;                /* `next` is known if there is one */
	uint32_t device;
};

#define NOWHERE (~0ULL)

/* From a page to the piece's last, or the file's: a buffer may be larger than what there is to read. */
static __always_inline uint64_t pages_from(struct ks_run *run, const struct pagecache_piece *piece,
					   uint64_t from)
{
	const struct inode *inode = piece->inode;
	uint64_t end = piece->last + 1, size;

	if (inode) {
		size = ks_read(run, inode, i_size);
		size = (size + ks_page_bytes() - 1) / ks_page_bytes();
		if (size < end)
			end = size;
	}
	return end > from ? (end - from) * (ks_page_bytes() / 4096) : 0;
}

/*
 * The piece is the latest of its read now. From which page on its end is requested, and missed:
 * NOWHERE if that has counted before, or is not so.
 */
static __always_inline void read_go_on(struct pagecache_read *read, uint64_t calls,
				       const struct pagecache_piece *piece, uint64_t *ret_requested,
				       uint64_t *ret_missed)
{
	bool follows = piece->whole ? read->next && read->next == piece->first :
				      read->first < piece->first;
	bool first = read->file != piece->file || read->last != piece->last || !follows ||
		     read->calls != calls;
	bool missed = read->miss_file == piece->file && read->miss_last == piece->last &&
		      read->miss_first <= piece->first;
	uint64_t from = missed ? read->miss_first : piece->first;

	if (first)
		read->missed = 0;
	*ret_requested = first ? from : NOWHERE;
	*ret_missed = missed && !read->missed ? from : NOWHERE;
	read->missed |= missed;
	read->miss_file = 0;
	read->file = piece->file;
	read->first = piece->first;
	read->last = piece->last;
	read->next = piece->next;
	read->calls = calls;
}

/* The page behind the last folio that a piece found. */
static __always_inline uint64_t batch_end(const struct folio_batch *batch)
{
	uint64_t n = BPF_CORE_READ(batch, nr);
	const struct folio *folio = NULL;

	if (!n)
		return 0;
	bpf_probe_read_kernel(&folio, sizeof(folio),
			      (const void *)batch + bpf_core_field_offset(batch->folios) +
				      (n - 1 & 63) * sizeof(folio));
	return BPF_CORE_READ(folio, index) + ks_folio_pages(folio);
}

/* It came to nothing, and so did what it missed. */
static __always_inline enum ks_bpf_outcome read_failed(void)
{
	struct pagecache_read *read = read_stored(false);

	if (read)
		read->miss_file = 0;
	return KS_FILTERED;
}

#endif
