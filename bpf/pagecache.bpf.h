/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * pagecache.bpf.h - files, folios, and the pieces of a read; for pagecache.bpf.c
 *
 * The kernel serves a read in pieces of a few folios and fires an event for each piece. The event
 * gives the first page of the piece and the last page of the whole read. So the first event gives
 * all pages of the read. A later event belongs to the same read if task, file and last page are the
 * same, its first page is further on, and the task has completed no read in between. (Linux counts
 * completed reads with CONFIG_TASK_XACCT, but not those of AIO, splice() and io_uring's threads.)
 *
 * The event of a miss comes before that of its piece. It gives the pages from the missing one to
 * the end of the read. These pages count as missed, once, whatever the kernel reads ahead
 * meanwhile. They count when a piece with the same end comes, since page faults and failing reads
 * have the same event. So there are never more missed pages than requested ones. Since Linux 6.17 a
 * piece has no event for folios that were present while its next folio was still being read. If
 * such a read began with a miss, the miss gives its first page.
 *
 * Programs on kernel functions (fentry) see all pieces, the folios of each, and its result. The
 * next piece of a read begins behind the last folio of this one, so no other read is taken for it.
 * A miss whose read failed is dropped.
 *
 * A thread with an io_uring has several reads in flight: each is tried without waiting, fails, and
 * goes on when the device is done, in any order. While another read is the thread's present one, a
 * read that waits is kept in the map pagecache_waiting.
 */
#ifndef KS_PAGECACHE_BPF_H
#define KS_PAGECACHE_BPF_H

#include "probe.bpf.h"

/* ---- files and folios ------------------------------------------------------------------------ */

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

/* Returns the inode of an address_space: `host`, which was always its first member. */
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

/* Returns the address_space of a folio. Before 5.16 the kernel had only struct page. */
static __always_inline const void *mapping_of(struct ks_run *run, const struct folio *folio)
{
	if (bpf_core_field_exists(folio->mapping))
		return ks_read(run, folio, mapping);
	return ks_read(run, (const struct page *)folio, mapping);
}

/*
 * Is the inode a file on a disk or a network, whose file system has registered a backing device?
 * Other inodes do not count: the pages of block devices are metadata. Files in memory (tmpfs,
 * memfd, ramfs, hugetlbfs, secretmem, rings of AIO) do not get their pages through the events that
 * count them here, though they may lose them through one.
 */
static __always_inline bool is_file(struct ks_run *run, const struct inode *inode)
{
	if (!bpf_core_field_exists(((struct backing_dev_info *)0)->id))
		return BPF_CORE_READ(inode, i_sb, s_bdi, dev) != NULL;
	return (run->typed ? inode->i_sb->s_bdi->id : BPF_CORE_READ(inode, i_sb, s_bdi, id)) != 0;
}

/*
 * Pages of a folio, in units of 4096 bytes. It uses plain loads from 6.6 on, where that is simple.
 */
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
 * Is the current task writing to the file? A writer holds the inode's lock for writing, and a
 * reader does not. The low bits of the lock's owner are flags. Readers set bit 0; in the mutex of
 * PREEMPT_RT waiting tasks set it.
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

/* ---- reads ----------------------------------------------------------------------------------- */

/* The present or last read of a task. */
struct pagecache_read {
	uint64_t file;        /* pagecache_piece.file; 0: no read yet */
	uint64_t first, last; /* of its latest piece, pages of the kernel */
	uint64_t calls;       /* reads_begun() */
	uint64_t miss_file;   /* of a miss whose piece has not come yet; 0: no such miss */
	uint64_t miss_first, miss_last;
	uint64_t missed; /* 1: all pages up to the end have counted as missed */
	uint64_t next;   /* page where the next piece begins; 0: not known, or no piece is left */
	uint32_t waited; /* 1: it has waited, so its next piece may come with other `calls` */
	uint32_t n_waiting; /* of its reads in pagecache_waiting; more if some were evicted */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct pagecache_read);
} pagecache_reads SEC(".maps");

/*
 * Used in its place if tracing programs have no task storage (before 5.11). Key: tgid and pid,
 * since the address of a dead task is soon that of another one.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, uint64_t);
	__type(value, struct pagecache_read);
} pagecache_reads_hash SEC(".maps");

/*
 * Reads that wait, of tasks with an io_uring, except the present read of each task. If the map is
 * full, the reads that have waited longest leave it.
 */
struct pagecache_waiting_key {
	uint64_t task; /* tgid and pid */
	uint64_t file;
	uint64_t page; /* where the read goes on; if events do not give that, its last page */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct pagecache_waiting_key);
	__type(value, struct pagecache_read);
} pagecache_waiting SEC(".maps");

/* Returns the stored read of the current task, or NULL. create: makes it if there is none. */
static __always_inline struct pagecache_read *read_stored(bool create)
{
	struct pagecache_read fresh = {}, *read;
	uint64_t task;

	if (ks_const.task_storage)
		return bpf_task_storage_get(&pagecache_reads, bpf_get_current_task_btf(), NULL,
					    create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	task = bpf_get_current_pid_tgid();
	read = bpf_map_lookup_elem(&pagecache_reads_hash, &task);
	if (read || !create)
		return read;
	bpf_map_update_elem(&pagecache_reads_hash, &task, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&pagecache_reads_hash, &task);
}

/* A piece of a read, as an event gives it. */
struct pagecache_piece {
	const struct inode *inode; /* NULL: the event gives only number and device */
	uint64_t file;             /* tells files apart: the inode's address, or file_of() */
	uint64_t number;           /* number of the inode */
	uint64_t first, last;      /* first page of the piece, last one of the read; kernel pages */
	uint64_t next;             /* page behind the last folio; 0: not known, or the read ends */
	bool whole;                /* the event gives `next` */
	uint32_t device;           /* device of the inode */
};

#define NOWHERE (~0ULL)

/*
 * Number of pages from page `from` to the last page of the read, in units of 4096 bytes. It stops
 * at the end of the file, since a buffer may be larger than the file.
 */
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

#define KS_BLOCK_BYTES 65536

/*
 * Does the miss end where the read of the piece ends? Since Linux 6.17 a miss ends with the last
 * block of the file system, which may be larger than a page.
 */
static __always_inline bool ends_alike(const struct pagecache_read *read,
				       const struct pagecache_piece *piece)
{
	return (read->miss_last - piece->last) * ks_page_bytes() < KS_BLOCK_BYTES;
}

/*
 * Makes the piece the latest one of the task's read. *ret_requested: page from which on the pages
 * up to the last one count as requested; NOWHERE if they have counted already. *ret_missed: the
 * same for missed pages; NOWHERE also if none is missed.
 */
static __always_inline void read_go_on(struct pagecache_read *read, uint64_t calls,
				       const struct pagecache_piece *piece, uint64_t *ret_requested,
				       uint64_t *ret_missed)
{
	bool follows = piece->whole ? read->next && read->next == piece->first :
				      read->first < piece->first;
	bool first = read->file != piece->file || read->last != piece->last || !follows ||
		     (read->calls != calls && !read->waited);
	bool begins = piece->whole ? read->miss_first == piece->first && ends_alike(read, piece) :
				     read->miss_first <= piece->first &&
					     read->miss_last == piece->last;
	bool missed = read->miss_file == piece->file && begins;
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
	read->waited = 0;
}

/* Returns the page behind the last folio of a batch, 0 if the batch is empty. */
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

/* ---- reads that wait ------------------------------------------------------------------------- */

/*
 * Does a piece or a miss at this page belong to the present read? page: see pagecache_waiting_key.
 */
static __always_inline bool is_present(const struct pagecache_read *read, uint64_t file,
				       uint64_t page, bool whole)
{
	if (read->miss_file == file && (whole ? read->miss_first : read->miss_last) == page)
		return true;
	return read->file == file && page && (whole ? read->next : read->last) == page;
}

/*
 * Puts the present read into pagecache_waiting, if it waits. If events do not give where a read
 * goes on, one that has missed pages may wait again. Returns false if there is no room.
 */
static __always_inline bool put_waiting(struct pagecache_read *read, bool whole)
{
	struct pagecache_waiting_key key = { .task = bpf_get_current_pid_tgid() };

	if (read->miss_file) {
		key.file = read->miss_file;
		key.page = whole ? read->miss_first : read->miss_last;
	} else if (whole ? read->next : read->missed && read->first < read->last) {
		key.file = read->file;
		key.page = whole ? read->next : read->last;
	}
	if (!key.file)
		return true;
	if ((int)bpf_map_update_elem(&pagecache_waiting, &key, read, BPF_ANY))
		return false;
	read->n_waiting++;
	return true;
}

/*
 * Makes the read at this page of this file the task's present one. Returns false if there is no
 * room for the read that was: then that one stays.
 */
static __always_inline bool take_up(struct pagecache_read *read, uint64_t file, uint64_t page,
				    bool whole)
{
	struct pagecache_waiting_key key = { .task = bpf_get_current_pid_tgid(), file, page };
	struct pagecache_read *other = NULL;
	uint32_t n_waiting;

	if (is_present(read, file, page, whole))
		return true;
	if (!put_waiting(read, whole))
		return false;
	n_waiting = read->n_waiting;
	if (n_waiting)
		other = bpf_map_lookup_elem(&pagecache_waiting, &key);
	if (other) {
		*read = *other;
		read->waited = 1;
		bpf_map_delete_elem(&pagecache_waiting, &key);
		n_waiting--;
	} else {
		__builtin_memset(read, 0, sizeof(*read));
	}
	read->n_waiting = n_waiting;
	return true;
}

#define KS_EAGAIN 11
#define KS_EIOCBQUEUED 529 /* <linux/errno.h> of the kernel */

/*
 * A read failed at the piece: drop its miss. But io_uring and RWF_NOWAIT first try to read without
 * waiting, and read again when the device is done: that read has the miss.
 */
static __always_inline enum ks_bpf_outcome read_failed(const struct pagecache_piece *piece,
						       int error, bool uring)
{
	struct pagecache_read *read;

	if (error == -KS_EAGAIN || error == -KS_EIOCBQUEUED)
		return KS_FILTERED;
	read = read_stored(false);
	if (read && uring && !take_up(read, piece->file, piece->first, true))
		return KS_LOST_MAP_FULL;
	if (read)
		read->miss_file = 0;
	return KS_FILTERED;
}

#endif
