/* SPDX-License-Identifier: BSD-2-Clause */
/* threads.c - the library's half of statistics by thread */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "../ks.h"
#include "threads.h"

#define SECOND 1000000000u
#define KEEP_NS (10ull * SECOND) /* keep rows of dead threads so long, for infrequent readers */

/* Prefers writers: readers that overlap for ever must not keep out a thread that frees slots. */
static void init_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
#ifdef __GLIBC__
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
	pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

void ks__threads_init(struct ks__threads *t, struct ks__fds *fds)
{
	memset(t, 0, sizeof(*t));
	t->fds = fds;
	init_lock(&t->lock);
	t->free_fd = t->who_fd = -1;
	for (unsigned p = 0; p < KS_BPF_PROBES; p++)
		t->rows[p].seed_fd = -1;
}

void ks__threads_unmap_rows(struct ks__threads *t, uint32_t probe)
{
	struct ks__thread_rows *r = &t->rows[probe];
	char *mem = atomic_exchange(&r->mem, NULL);

	if (mem)
		munmap(mem, r->size);
	ks__groups_free(&r->base);
	free(r->shown);
	r->shown = NULL;
	free(r->scratch);
	r->scratch = NULL;
}

void ks__threads_close(struct ks__threads *t)
{
	ks__threads_leave(t);
	for (unsigned p = 0; p < KS_BPF_PROBES; p++) {
		ks__threads_unmap_rows(t, p);
		ks__fd_close(t->fds, t->rows[p].seed_fd);
	}
	pthread_rwlock_destroy(&t->lock);
	ks__threads_init(t, t->fds);
}

void ks__threads_leave(struct ks__threads *t)
{
	struct ks_bpf_thread *slots = atomic_exchange(&t->slots, NULL);

	if (slots)
		munmap(slots, t->slots_size);
	for (unsigned p = 0; p < KS_BPF_PROBES; p++) {
		char *mem = atomic_exchange(&t->rows[p].mem, NULL);

		if (mem)
			munmap(mem, t->rows[p].size);
	}
}

static void *map(int fd, size_t bytes, size_t *ret_size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes + page - 1) & ~(page - 1);
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	*ret_size = size;
	return mem == MAP_FAILED ? NULL : mem;
}

int ks__threads_map(struct ks__threads *t, int slots_fd, int free_fd, uint32_t n_slots,
		    uint32_t n_cpus, struct ks_bpf_control *control, int push)
{
	struct ks_bpf_thread *slots;

	if (atomic_load(&t->slots))
		return 0;
	slots = map(slots_fd, n_slots * sizeof(*slots), &t->slots_size);
	if (!slots)
		return -errno;
	for (uint32_t i = 0; push && i < n_slots; i++)
		bpf_map_update_elem(free_fd, NULL, &i, BPF_ANY);
	t->control = control;
	t->free_fd = free_fd;
	t->n_cpus = n_cpus;
	t->n_slots = n_slots;
	atomic_store(&t->slots, slots);
	return 0;
}

int ks__threads_map_rows(struct ks__threads *t, const struct ks__probe *probe, int fd,
			 uint32_t value_size)
{
	struct ks__thread_rows *r = &t->rows[probe->id];
	size_t words = ks__groups_words(probe->stats);
	char *mem;

	if (atomic_load(&r->mem))
		return 0;
	for (r->n_open = 0; probe->open && probe->open[r->n_open]; r->n_open++) {
		if (r->n_open == KS__OPEN_STATES)
			return -E2BIG;
		r->open_word[r->n_open] = ks__groups_sum_word(probe->stats, probe->open[r->n_open]);
	}
	if (!r->scratch)
		r->scratch = calloc(words + 1, sizeof(*r->scratch));
	if (!r->scratch)
		return -ENOMEM;
	if (r->n_open && !r->shown) {
		r->shown = calloc((size_t)t->n_slots * r->n_open, sizeof(*r->shown));
		if (!r->shown)
			return -ENOMEM;
	}
	if (value_size < words * 8 + (r->n_open ? sizeof(struct ks_bpf_open) : 0))
		return -EINVAL;
	r->stride = ((size_t)value_size + 7) & ~(size_t)7;
	mem = map(fd, r->stride * (t->n_cpus + t->n_slots), &r->size);
	if (!mem)
		return -errno;
	ks__groups_init(&r->base, words);
	atomic_store_explicit(&r->mem, mem, memory_order_release);
	return 0;
}

/* ---- one row --------------------------------------------------------------------------------- */

static struct ks_bpf_open *open_of(const struct ks__thread_rows *r, const uint64_t *block)
{
	return (struct ks_bpf_open *)(void *)(block + r->base.words);
}

/* Reads a row and its open interval under a seqlock: `seq` is odd while a program writes. */
static struct ks_bpf_open load_open(const struct ks__thread_rows *r, const uint64_t *block,
				    uint64_t *words, uint64_t *ret_now)
{
	struct ks_bpf_open *from = open_of(r, block), open;

	for (unsigned turn = 1;; turn++) {
		open.seq = __atomic_load_n(&from->seq, __ATOMIC_ACQUIRE);
		*ret_now = ks__now();
		for (size_t w = 0; w < r->base.words; w++)
			words[w] = __atomic_load_n(&block[w], __ATOMIC_ACQUIRE);
		open.since_ns = __atomic_load_n(&from->since_ns, __ATOMIC_ACQUIRE);
		open.state = __atomic_load_n(&from->state, __ATOMIC_ACQUIRE);
		if (!(open.seq & 1) && open.seq == __atomic_load_n(&from->seq, __ATOMIC_RELAXED))
			return open;
		if (turn % 1000 == 0)
			sched_yield(); /* the hypervisor may have preempted the writer's CPU */
		if (turn == 1000000)
			return open;
	}
}

/*
 * Reads the words of a row and adds its open interval. The clock was read here, so a sum may be a
 * little above the one that the program stores when it closes the interval. So `shown` keeps the
 * highest sum, and no reader gets less than an earlier reader.
 */
static void load_row(struct ks__thread_rows *r, const uint64_t *block, int64_t slot,
		     uint64_t *words)
{
	uint64_t now, off = atomic_load(&r->off_ns);
	struct ks_bpf_open open;

	if (!r->n_open || slot < 0) {
		for (size_t w = 0; w < r->base.words; w++)
			words[w] = __atomic_load_n(&block[w], __ATOMIC_RELAXED);
		return;
	}
	open = load_open(r, block, words, &now);
	if (off && off < now)
		now = off;
	if (open.state - 1 < r->n_open && now > open.since_ns)
		words[r->open_word[open.state - 1]] += now - open.since_ns;
	for (unsigned i = 0; i < r->n_open; i++) {
		_Atomic uint64_t *shown = &r->shown[(size_t)slot * r->n_open + i];
		uint64_t *word = &words[r->open_word[i]], most = atomic_load(shown);

		while (*word > most && !atomic_compare_exchange_weak(shown, &most, *word))
			;
		if (*word < most)
			*word = most;
	}
}

static const uint64_t *row_of(const struct ks__thread_rows *r, const char *mem, size_t row)
{
	return (const uint64_t *)(const void *)(mem + row * r->stride);
}

/* ---- reading --------------------------------------------------------------------------------- */

static uint32_t slots_used(const struct ks__threads *t)
{
	uint32_t n = __atomic_load_n(&t->control->threads_next, __ATOMIC_ACQUIRE);

	/* programs do not count used slots on kernels without an atomic fetch-and-add */
	return n && n < t->n_slots ? n : t->n_slots;
}

/* The first thread names its process. The process is gone when all its threads are. */
static void describe(struct ks__group *group, const struct ks_bpf_thread *slot, uint32_t state)
{
	int first = slot->tid == slot->pid, lives = state == KS_THREAD_LIVE;
	char name[sizeof(slot->comm)];

	memcpy(name, slot->comm, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	ks__groups_name(group, name, first ? 1u + (unsigned)lives : 0);
	group->ended |= first && state == KS_THREAD_DEAD;
	group->lives |= lives;
}

static struct ks__whose whose_of(const struct ks_bpf_thread *slot)
{
	return (struct ks__whose){ .pid = slot->pid,
				   .start_ns = slot->start_ns,
				   .cgroup = slot->cgroup,
				   .role = slot->role };
}

static int read_slots(struct ks__threads *t, struct ks__thread_rows *r, const char *mem,
		      struct ks__groups *into, uint64_t *words)
{
	struct ks_bpf_thread *slots = atomic_load(&t->slots);
	uint32_t n = slots_used(t);
	int rc = 0;

	for (uint32_t i = 0; i < n && !rc; i++) {
		uint32_t state = __atomic_load_n(&slots[i].state, __ATOMIC_ACQUIRE);
		struct ks__whose whose = whose_of(&slots[i]);

		if (state == KS_THREAD_FREE)
			continue;
		load_row(r, row_of(r, mem, t->n_cpus + i), i, words);
		rc = ks__groups_add(into, &whose, words);
		if (!rc)
			describe(ks__groups_group(into, &whose), &slots[i], state);
	}
	return rc;
}

int ks__threads_read(struct ks__threads *t, uint32_t probe, struct ks__groups *into)
{
	struct ks__thread_rows *r = &t->rows[probe];
	const char *mem = atomic_load_explicit(&r->mem, memory_order_acquire);
	uint64_t *words = mem ? malloc((into->words + 1) * sizeof(*words)) : NULL;
	static const struct ks__whose rest;
	int rc = 0;

	if (!mem)
		return 0;
	if (!words)
		return -ENOMEM;
	pthread_rwlock_rdlock(&t->lock);
	rc = ks__groups_fold(into, &r->base, 0);
	for (uint32_t cpu = 0; cpu < t->n_cpus && !rc; cpu++) {
		load_row(r, row_of(r, mem, cpu), -1, words);
		rc = ks__groups_add(into, &rest, words);
	}
	if (!rc)
		rc = read_slots(t, r, mem, into, words);
	pthread_rwlock_unlock(&t->lock);
	free(words);
	return rc;
}

/* ---- emptying -------------------------------------------------------------------------------- */

static int is_open(struct ks__threads *t, uint32_t slot)
{
	for (unsigned p = 0; p < KS_BPF_PROBES; p++) {
		const struct ks__thread_rows *r = &t->rows[p];
		const char *mem = atomic_load(&r->mem);

		if (mem && r->n_open && !atomic_load(&r->off_ns) &&
		    open_of(r, row_of(r, mem, t->n_cpus + slot))->state)
			return 1;
	}
	return 0;
}

/* Frees a slot: adds its numbers to `base`, for all probes or for none. 0 or -ENOMEM. */
static int empty_slot(struct ks__threads *t, uint32_t slot, struct ks_bpf_thread *thread)
{
	struct ks__whose whose = whose_of(thread);
	uint64_t *to[KS_BPF_PROBES] = { NULL };

	for (unsigned p = 0; p < KS_BPF_PROBES; p++) {
		struct ks__groups *base = &t->rows[p].base;

		if (!atomic_load(&t->rows[p].mem))
			continue;
		to[p] = ks__groups_block(base, &whose);
		if (!to[p])
			return -ENOMEM;
		ks__groups_name(ks__groups_group(base, &whose), thread->comm,
				thread->tid == thread->pid);
	}
	for (unsigned p = 0; p < KS_BPF_PROBES; p++) {
		struct ks__thread_rows *r = &t->rows[p];
		char *mem = atomic_load(&r->mem);
		uint64_t *from;

		if (!mem)
			continue;
		from = (uint64_t *)(void *)(mem + (t->n_cpus + slot) * r->stride);
		load_row(r, from, slot, r->scratch);
		for (size_t w = 0; w < r->base.words; w++)
			to[p][w] += r->scratch[w];
		memset(from, 0, r->stride);
		for (unsigned i = 0; i < r->n_open; i++)
			atomic_store(&r->shown[(size_t)slot * r->n_open + i], 0);
	}
	__atomic_store_n(&thread->state, KS_THREAD_FREE, __ATOMIC_RELEASE);
	return 0;
}

/* Lists the processes that still have slots. 0 or -ENOMEM. */
static int list_processes(struct ks__threads *t, struct ks__groups *ret_list)
{
	struct ks_bpf_thread *slots = atomic_load(&t->slots);
	uint32_t n = slots_used(t);

	ks__groups_init(ret_list, 0);
	for (uint32_t i = 0; i < n; i++) {
		struct ks__whose whose = whose_of(&slots[i]);

		whose = ks__whose_by(&whose, KS_BY_PROCESS);
		if (__atomic_load_n(&slots[i].state, __ATOMIC_ACQUIRE) != KS_THREAD_FREE &&
		    !ks__groups_block(ret_list, &whose))
			return -ENOMEM;
	}
	return 0;
}

static int is_gone(const struct ks__whose *whose, const struct ks__groups *with_slots)
{
	struct ks__whose process = ks__whose_by(whose, KS_BY_PROCESS);

	return whose->pid && !ks__groups_find(with_slots, &process) && kill((pid_t)whose->pid, 0) &&
	       errno == ESRCH;
}

/*
 * Keeps the numbers of processes that are gone only by cgroup and role. Waits until all slots of a
 * process are free: a row by process must lose all its numbers at once, or a delta would be
 * negative.
 */
static void forget_processes(struct ks__thread_rows *r, const struct ks__groups *with_slots)
{
	struct ks__groups kept;

	ks__groups_init(&kept, r->base.words);
	for (size_t i = 0; i < r->base.n; i++) {
		const struct ks__group *group = &r->base.group[i];
		struct ks__whose whose = group->whose;
		int gone = is_gone(&whose, with_slots);

		if (gone)
			whose.pid = 0, whose.start_ns = 0;
		if (ks__groups_add(&kept, &whose, r->base.raw + i * r->base.words)) {
			ks__groups_free(&kept);
			return;
		}
		if (!gone)
			ks__groups_name(ks__groups_group(&kept, &whose), group->name, group->first);
	}
	ks__groups_free(&r->base);
	r->base = kept;
}

/*
 * A program run that began earlier may still count into a slot after its thread left it, but no run
 * takes a second. Slots of dead threads have passed a grace period already.
 */
static int may_empty(struct ks__threads *t, uint32_t slot, const struct ks_bpf_thread *thread,
		     uint64_t now, uint64_t keep_ns)
{
	uint32_t state = __atomic_load_n(&thread->state, __ATOMIC_ACQUIRE);
	uint64_t ago = now > thread->ended_ns ? now - thread->ended_ns : 0;

	if (state == KS_THREAD_DEAD)
		return ago >= keep_ns;
	return state == KS_THREAD_LEFT && ago >= SECOND && !is_open(t, slot);
}

/* Sets the watermark at which programs wake the consumer: half of the slots have dead threads. */
static void set_mark(struct ks__threads *t)
{
	uint32_t mark = __atomic_load_n(&t->emptied, __ATOMIC_RELAXED) + t->n_slots / 2;

	__atomic_store_n(&t->control->threads_wake, mark ? mark : 1, __ATOMIC_RELAXED);
}

static void forget(struct ks__threads *t)
{
	struct ks__groups with_slots;

	if (!list_processes(t, &with_slots))
		for (unsigned p = 0; p < KS_BPF_PROBES; p++)
			if (atomic_load(&t->rows[p].mem))
				forget_processes(&t->rows[p], &with_slots);
	ks__groups_free(&with_slots);
}

static void empty(struct ks__threads *t, uint64_t keep_ns)
{
	struct ks_bpf_thread *slots = atomic_load(&t->slots);
	uint64_t now = ks__now();
	uint32_t dead = __atomic_load_n(&t->control->threads_dead, __ATOMIC_RELAXED);
	uint32_t n = slots_used(t), emptied = 0, kept = 0;
	int is_own = ks__fd_is_own(t->fds, t->free_fd);

	for (uint32_t i = 0; i < n; i++) {
		if (may_empty(t, i, &slots[i], now, keep_ns) && !empty_slot(t, i, &slots[i])) {
			emptied++;
			if (t->free_fd < 0 ||
			    (is_own && !bpf_map_update_elem(t->free_fd, NULL, &i, BPF_ANY)))
				continue;
			slots[i].state = KS_THREAD_DEAD; /* empty; the next sweep puts it back */
			kept++;
		} else if (slots[i].state == KS_THREAD_LEFT || slots[i].state == KS_THREAD_DEAD) {
			kept++;
		}
	}
	if (emptied)
		forget(t);
	/* threads that ended meanwhile are counted twice until the next sweep */
	__atomic_store_n(&t->emptied, dead - kept, __ATOMIC_RELAXED);
	/* also clears a flag that a program set while slots were being freed */
	__atomic_store_n(&t->control->threads_full, 0, __ATOMIC_RELEASE);
	set_mark(t);
}

/* ---- tidying --------------------------------------------------------------------------------- */

/* If slots ran out, new threads get no rows: free slots of dead threads now, not after KEEP_NS. */
void ks__threads_tidy(struct ks__threads *t)
{
	uint32_t dead, full;
	uint64_t now;
	int many, state;

	if (!atomic_load_explicit(&t->slots, memory_order_acquire))
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	ks__threads_seed_strangers(t);
	pthread_setcancelstate(state, NULL);
	full = __atomic_load_n(&t->control->threads_full, __ATOMIC_RELAXED);
	dead = __atomic_load_n(&t->control->threads_dead, __ATOMIC_RELAXED) -
	       __atomic_load_n(&t->emptied, __ATOMIC_RELAXED);
	if (!dead && !full)
		return;
	many = dead > t->n_slots / 4;
	now = ks__now();
	if (!many && now - __atomic_load_n(&t->swept_ns, __ATOMIC_RELAXED) < SECOND)
		return;
	if (pthread_rwlock_trywrlock(&t->lock))
		return; /* a reader holds the lock; a later call will free the slots */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	__atomic_store_n(&t->swept_ns, now, __ATOMIC_RELAXED);
	empty(t, many || full ? 0 : KEEP_NS);
	pthread_rwlock_unlock(&t->lock);
	pthread_setcancelstate(state, NULL);
}

/* ---- on and off ------------------------------------------------------------------------------ */

/* Empties the hash by task address: it may have ended tasks, whose addresses new tasks may get. */
static void forget_tasks(int fd)
{
	uint64_t key;

	while (fd >= 0 && !bpf_map_get_next_key(fd, NULL, &key))
		if (bpf_map_delete_elem(fd, &key))
			return;
}

void ks__threads_track(struct ks__threads *t, int on, int new)
{
	struct ks_bpf_control *control = t->control;
	struct ks_bpf_thread *slots = atomic_load(&t->slots);
	uint64_t now = ks__now();

	if (!slots)
		return;
	pthread_rwlock_wrlock(&t->lock);
	if (on && !control->track) {
		/* some threads have ended while nothing tracked them */
		for (uint32_t i = 0; i < t->n_slots; i++)
			if (slots[i].state == KS_THREAD_LIVE) {
				slots[i].ended_ns = now;
				slots[i].state = KS_THREAD_LEFT;
				__atomic_fetch_add(&control->threads_dead, 1, __ATOMIC_RELAXED);
			}
		if (ks__fd_is_own(t->fds, t->who_fd))
			forget_tasks(t->who_fd);
		control->era++;
		/* programs look up all roles again; bpf_roles.c raises this count, too */
		__atomic_fetch_add(&control->roles, 1, __ATOMIC_RELAXED);
	}
	set_mark(t);
	__atomic_store_n(&control->track, on ? KS_TRACK_ROWS | (new ? KS_TRACK_NEW : 0) : 0u,
			 __ATOMIC_RELEASE);
	pthread_rwlock_unlock(&t->lock);
}

/* Closes open intervals at the time of the detach. No program that writes them runs. */
static void close_open(struct ks__threads *t, struct ks__thread_rows *r, uint64_t off)
{
	char *mem = atomic_load(&r->mem);

	for (uint32_t i = 0; i < t->n_slots; i++) {
		uint64_t *block = (uint64_t *)(void *)(mem + (t->n_cpus + i) * r->stride);
		struct ks_bpf_open *open = open_of(r, block);

		if (open->state - 1 < r->n_open && off > open->since_ns)
			block[r->open_word[open->state - 1]] += off - open->since_ns;
		open->state = 0;
	}
}

void ks__threads_live(struct ks__threads *t, uint32_t probe, int live)
{
	struct ks__thread_rows *r = &t->rows[probe];
	uint64_t off = atomic_load(&r->off_ns);

	if (!atomic_load(&r->mem) || !r->n_open || !live == !!off)
		return;
	if (!live) {
		atomic_store(&r->off_ns, ks__now());
		return;
	}
	pthread_rwlock_wrlock(&t->lock);
	close_open(t, r, off);
	atomic_store(&r->off_ns, 0);
	pthread_rwlock_unlock(&t->lock);
}
