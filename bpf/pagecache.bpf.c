/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * pagecache.bpf.c - kernel programs of the probe pagecache: pages that are requested, read in,
 * written and evicted
 *
 * All events count for the current task: the one that reads, writes, faults or evicts.
 */
#include "probe.bpf.h"

#include "pagecache.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs */
	__type(key, uint32_t);
	__type(value, struct ks_bpf_stats_pagecache);
} pagecache_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs and slots of ks_threads */
	__type(key, uint32_t);
	__type(value, struct ks_bpf_row_pagecache);
} pagecache_rows SEC(".maps");

/* The counters in which an event counts. NULL: it does not count there. */
struct counters {
	struct ks_bpf_stats_pagecache *stats;
	struct ks_bpf_row_pagecache *row;
};

/* Finds the counters like ks_row(), but saves the helper call that gets the current task. */
static __always_inline struct counters counters_of(struct ks_run *run, struct task_struct *self)
{
	struct ks_bpf_who *who = NULL;
	uint32_t row;

	if (!(run->set->flags & KS_WANT_STATS))
		return (struct counters){};
	if (run->control->track & KS_TRACK_ROWS)
		who = ks_who_find(self, true);
	row = ks_row_of(run, who, ks_untrusted(self));
	return (struct counters){ ks_stats(run, &pagecache_stats),
				  bpf_map_lookup_elem(&pagecache_rows, &row) };
}

/*
 * Adds to both counters. Only one program adds to each member, and a row belongs to the current
 * thread or to this CPU, so the additions may be plain.
 */
#define count(run, counters, member, n)                                 \
	do {                                                            \
		if ((counters)->stats)                                  \
			ks_add_own(run, &(counters)->stats->member, n); \
		if ((counters)->row)                                    \
			ks_add_own(run, &(counters)->row->member, n);   \
	} while (0)

/*
 * Returns the current task with the type that task storage needs. Read it through ks_untrusted().
 */
static __always_inline struct task_struct *current_task(struct ks_run *run)
{
	if (run->typed || ks_const.task_storage)
		return bpf_get_current_task_btf();
	return (void *)bpf_get_current_task();
}

/* ---- in and out ------------------------------------------------------------------------------ */

static __always_inline enum ks_bpf_outcome added(struct ks_run *run, struct task_struct *self,
						 const struct folio *folio)
{
	const struct inode *inode;
	struct counters counters;

	if (!ks_admit(run, ks_untrusted(self)))
		return KS_FILTERED;
	inode = host_of(run, mapping_of(run, folio));
	if (!is_file(run, inode))
		return KS_FILTERED;
	counters = counters_of(run, self);
	if (is_written(run, inode, self))
		count(run, &counters, write_pages, pages_of(run, folio));
	else
		count(run, &counters, readin_pages, pages_of(run, folio));
	return KS_AGGREGATED;
}

static __always_inline enum ks_bpf_outcome deleted(struct ks_run *run, struct task_struct *self,
						   const struct folio *folio)
{
	struct counters counters;

	if (!ks_admit(run, ks_untrusted(self)) ||
	    !is_file(run, host_of(run, mapping_of(run, folio))))
		return KS_FILTERED;
	counters = counters_of(run, self);
	count(run, &counters, evicted_pages, pages_of(run, folio));
	return KS_AGGREGATED;
}

static __always_inline int pagecache_add(void *ctx, const struct folio *folio, const bool typed)
{
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PAGECACHE, typed))
		return 0;
	return ks_end(&run, added(&run, current_task(&run), folio));
}

static __always_inline int pagecache_delete(void *ctx, const struct folio *folio, const bool typed)
{
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PAGECACHE, typed))
		return 0;
	return ks_end(&run, deleted(&run, current_task(&run), folio));
}

SEC("?ks/tp_btf/mm_filemap_add_to_page_cache")
int pagecache_add_tp_btf(uint64_t *ctx)
{
	return pagecache_add(ctx, untrusted_folio((void *)ctx[0]), true);
}

SEC("?raw_tp/mm_filemap_add_to_page_cache")
int pagecache_add_raw_tp(uint64_t *ctx)
{
	return pagecache_add(ctx, (void *)ctx[0], false);
}

SEC("?ks/tp_btf/mm_filemap_delete_from_page_cache")
int pagecache_delete_tp_btf(uint64_t *ctx)
{
	return pagecache_delete(ctx, untrusted_folio((void *)ctx[0]), true);
}

SEC("?raw_tp/mm_filemap_delete_from_page_cache")
int pagecache_delete_raw_tp(uint64_t *ctx)
{
	return pagecache_delete(ctx, (void *)ctx[0], false);
}

/* ---- reads ----------------------------------------------------------------------------------- */

/* Makes the record of a miss that begins at page `from`. */
static __always_inline enum ks_bpf_outcome record_miss(struct ks_run *run, struct task_struct *self,
						       const struct pagecache_piece *piece,
						       uint64_t from)
{
	const struct inode *inode = piece->inode;
	struct ks_event_pagecache_miss *rec, room;

	rec = ks_reserve(run, ks_untrusted(self), &room, KS_EVENT_PAGECACHE_MISS, sizeof(room));
	if (!rec)
		return run->outcome;
	rec->valid = KS_HAS_PAGECACHE_MISSES;
	rec->offset = from * ks_page_bytes();
	rec->pages = pages_from(run, piece, from);
	rec->inode = piece->number;
	rec->device = piece->device;
	if (inode) {
		rec->inode = ks_read(run, inode, i_ino);
		rec->device = run->typed ? inode->i_sb->s_dev : BPF_CORE_READ(inode, i_sb, s_dev);
	}
	return ks_submit(run, rec, sizeof(room));
}

/* Returns the task's io_uring, or NULL. */
static __always_inline const struct io_uring_task *uring_of(struct ks_run *run,
							    struct task_struct *self)
{
	const struct task_struct *task = ks_untrusted(self);

	return bpf_core_field_exists(self->io_uring) ? ks_read(run, task, io_uring) : NULL;
}

/*
 * A number that changes from one read of a task to the next, and not within a read. It counts read
 * syscalls and io_uring requests, which need no read syscall.
 */
static __always_inline uint64_t reads_begun(struct ks_run *run, struct task_struct *self,
					    const struct io_uring_task *uring)
{
	const struct task_struct *task = ks_untrusted(self);
	uint64_t calls = 0;

	if (bpf_core_field_exists(self->ioac.syscr))
		calls = ks_read(run, task, ioac.syscr);
	if (uring)
		calls += (uint64_t)(run->typed ? uring->last->cached_sq_head :
						 BPF_CORE_READ(uring, last, cached_sq_head))
			 << 32;
	return calls;
}

/* The kernel got a piece of a read. A read of one page that is present needs no storage. */
static __always_inline enum ks_bpf_outcome got(struct ks_run *run, struct task_struct *self,
					       const struct pagecache_piece *piece)
{
	struct pagecache_read *read = read_stored(piece->first < piece->last);
	uint64_t requested = piece->first, missed = NOWHERE;
	const struct io_uring_task *uring;
	struct counters counters;

	if (read) {
		uring = uring_of(run, self);
		if (uring && !take_up(read, piece->file, piece->whole ? piece->first : piece->last,
				      piece->whole))
			return KS_LOST_MAP_FULL;
		/* A piece that begins at `next` belongs to this read, whatever `calls` is. */
		if (uring && piece->whole)
			read->waited = 1;
		read_go_on(read, reads_begun(run, self, uring), piece, &requested, &missed);
	}
	counters = counters_of(run, self);
	if (requested != NOWHERE)
		count(run, &counters, requested_pages, pages_from(run, piece, requested));
	if (missed == NOWHERE)
		return KS_AGGREGATED;
	count(run, &counters, missed_pages, pages_from(run, piece, missed));
	return record_miss(run, self, piece, missed);
}

/*
 * A page is missing: store the miss until the piece of its read comes. whole: see
 * pagecache_piece.
 */
static __always_inline enum ks_bpf_outcome missing(struct ks_run *run, struct task_struct *self,
						   uint64_t file, uint64_t page, uint64_t pages,
						   bool whole)
{
	const struct io_uring_task *uring;
	uint64_t last = page + pages - 1;
	struct pagecache_read *read;

	if (!ks_admit(run, ks_untrusted(self)))
		return KS_FILTERED;
	read = read_stored(true);
	if (!read)
		return KS_LOST_MAP_FULL;
	uring = uring_of(run, self);
	if (uring && !take_up(read, file, whole ? page : last, whole))
		return KS_LOST_MAP_FULL;
	/* The present read waits: its next piece comes when the device is done. */
	if (uring && !whole && read->file == file && read->last == last &&
	    read->calls == reads_begun(run, self, uring))
		read->waited = 1;
	read->miss_file = file;
	read->miss_first = page;
	read->miss_last = last;
	return KS_OPENED;
}

static __always_inline int pagecache_get(uint64_t *ctx, const bool typed)
{
	struct pagecache_piece piece = { .first = ctx[1], .last = ctx[2] };
	struct task_struct *self;
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PAGECACHE, typed))
		return 0;
	self = current_task(&run);
	if (!ks_admit(&run, ks_untrusted(self)))
		return ks_end(&run, KS_FILTERED);
	piece.inode = host_of(&run, (void *)ctx[0]);
	piece.file = (uint64_t)piece.inode;
	if (!is_file(&run, piece.inode))
		return ks_end(&run, KS_FILTERED);
	return ks_end(&run, got(&run, self, &piece));
}

static __always_inline int pagecache_miss(uint64_t *ctx, const bool typed)
{
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PAGECACHE, typed))
		return 0;
	return ks_end(&run, missing(&run, current_task(&run), ctx[0], ctx[1], ctx[3], false));
}

SEC("?ks/tp_btf/mm_filemap_get_pages")
int pagecache_get_tp_btf(uint64_t *ctx)
{
	return pagecache_get(ctx, true);
}

SEC("?raw_tp/mm_filemap_get_pages")
int pagecache_get_raw_tp(uint64_t *ctx)
{
	return pagecache_get(ctx, false);
}

SEC("?ks/tp_btf/page_cache_sync_ra")
int pagecache_miss_tp_btf(uint64_t *ctx)
{
	return pagecache_miss(ctx, true);
}

SEC("?raw_tp/page_cache_sync_ra")
int pagecache_miss_raw_tp(uint64_t *ctx)
{
	return pagecache_miss(ctx, false);
}

static __always_inline uint64_t file_of(uint64_t number, uint32_t device)
{
	return number ^ (uint64_t)device << 32;
}

SEC("?tracepoint/filemap/mm_filemap_get_pages")
int pagecache_get_tracepoint(struct trace_event_raw_mm_filemap_op_page_cache_range *ctx)
{
	struct pagecache_piece piece = { .file = file_of(ctx->i_ino, ctx->s_dev),
					 .number = ctx->i_ino,
					 .device = ctx->s_dev,
					 .first = ctx->index,
					 .last = ctx->last_index };
	struct task_struct *self;
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PAGECACHE, false))
		return 0;
	self = current_task(&run);
	if (!ks_admit(&run, ks_untrusted(self)))
		return ks_end(&run, KS_FILTERED);
	return ks_end(&run, got(&run, self, &piece));
}

SEC("?tracepoint/readahead/page_cache_sync_ra")
int pagecache_miss_tracepoint(struct trace_event_raw_page_cache_ra_op *ctx)
{
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PAGECACHE, false))
		return 0;
	return ks_end(&run, missing(&run, current_task(&run), file_of(ctx->i_ino, ctx->s_dev),
				    ctx->index, ctx->req_count, false));
}

/* ---- reads, by functions --------------------------------------------------------------------- */

/*
 * The second argument of filemap_get_pages() is the iterator before 6.3, and the number of bytes in
 * it since. Helpers read the arguments and the result: the verifier checks both paths against the
 * types of the running kernel, and would refuse plain loads on the path for other kernels.
 */
SEC("?ks/fexit/filemap_get_pages")
int pagecache_get_fexit(uint64_t *ctx)
{
	const struct kiocb *iocb = (void *)ctx[0];
	uint64_t bytes = 0, failed = 1, batch = 0, page = ks_page_bytes(), at;
	struct pagecache_piece piece = { .whole = true };
	struct task_struct *self;
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PAGECACHE, true))
		return 0;
	self = current_task(&run);
	if (!ks_admit(&run, ks_untrusted(self)))
		return ks_end(&run, KS_FILTERED);
	piece.inode = host_of_read(&run, iocb);
	piece.file = (uint64_t)piece.inode;
	if (!is_file(&run, piece.inode))
		return ks_end(&run, KS_FILTERED);
	at = ks_read(&run, iocb, ki_pos);
	piece.first = at / page;
	bpf_get_func_ret(ctx, &failed);
	if ((int)failed)
		return ks_end(&run, read_failed(&piece, (int)failed, uring_of(&run, self) != NULL));
	bpf_get_func_arg(ctx, 1, &bytes);
	if (bpf_get_func_arg_cnt(ctx) == 3)
		bytes = BPF_CORE_READ((const struct iov_iter *)bytes, count);
	piece.last = (at + bytes - 1) / page;
	bpf_get_func_arg(ctx, 2, &batch);
	if (piece.first < piece.last)
		piece.next = batch_end((const void *)batch);
	/* the read, or the file, ends there */
	if (piece.next > piece.last || piece.next * page >= ks_read(&run, piece.inode, i_size))
		piece.next = 0;
	return ks_end(&run, got(&run, self, &piece));
}

/*
 * Not typed: the reader waits for a device anyway, and each pointer that a typed program reads
 * costs the verifier time.
 */
SEC("?ks/fentry/page_cache_sync_ra")
int pagecache_miss_fentry(uint64_t *ctx)
{
	const struct readahead_control *ahead = (void *)ctx[0];
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PAGECACHE, false))
		return 0;
	return ks_end(&run, missing(&run, current_task(&run),
				    (uint64_t)host_of(&run, BPF_CORE_READ(ahead, mapping)),
				    BPF_CORE_READ(ahead, _index), ctx[1], true));
}

/* ---- through mappings ------------------------------------------------------------------------ */

/* pages: number of pages that were mapped; 0: the event is a fault. */
static __always_inline enum ks_bpf_outcome mapped(struct ks_run *run, struct task_struct *self,
						  uint64_t pages)
{
	struct counters counters = counters_of(run, self);

	if (pages)
		count(run, &counters, mapped_pages, pages * (ks_page_bytes() / 4096));
	else
		count(run, &counters, mapped_faults, 1);
	return KS_AGGREGATED;
}

static __always_inline int pagecache_map(void *ctx, const void *mapping, uint64_t pages,
					 const bool typed)
{
	struct task_struct *self;
	struct ks_run run;

	if (!ks_begin(&run, ctx, KS_PROBE_PAGECACHE, typed))
		return 0;
	self = current_task(&run);
	if (!ks_admit(&run, ks_untrusted(self)) ||
	    (mapping && !is_file(&run, host_of(&run, mapping))))
		return ks_end(&run, KS_FILTERED);
	return ks_end(&run, mapped(&run, self, pages));
}

SEC("?ks/tp_btf/mm_filemap_fault")
int pagecache_fault_tp_btf(uint64_t *ctx)
{
	return pagecache_map(ctx, (void *)ctx[0], 0, true);
}

SEC("?raw_tp/mm_filemap_fault")
int pagecache_fault_raw_tp(uint64_t *ctx)
{
	return pagecache_map(ctx, (void *)ctx[0], 0, false);
}

SEC("?tracepoint/filemap/mm_filemap_fault")
int pagecache_fault_tracepoint(void *ctx)
{
	return pagecache_map(ctx, NULL, 0, false);
}

SEC("?ks/tp_btf/mm_filemap_map_pages")
int pagecache_map_tp_btf(uint64_t *ctx)
{
	return pagecache_map(ctx, (void *)ctx[0], ctx[2] - ctx[1] + 1, true);
}

SEC("?raw_tp/mm_filemap_map_pages")
int pagecache_map_raw_tp(uint64_t *ctx)
{
	return pagecache_map(ctx, (void *)ctx[0], ctx[2] - ctx[1] + 1, false);
}

SEC("?tracepoint/filemap/mm_filemap_map_pages")
int pagecache_map_tracepoint(struct trace_event_raw_mm_filemap_op_page_cache_range *ctx)
{
	return pagecache_map(ctx, NULL, ctx->last_index - ctx->index + 1, false);
}
