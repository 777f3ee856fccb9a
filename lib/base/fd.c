/* SPDX-License-Identifier: BSD-2-Clause */
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config.h"

#if KS_HAVE_BPF
#include <linux/bpf.h>
#include <linux/perf_event.h>
#endif

#define FIRST 3
#define FREE -1
#define TAKEN -2 /* the note is being written */

enum kind { FILE_KIND = 1, PATH_KIND, BPF_KIND, PERF_KIND, ANONYMOUS_KIND, SET_KIND, MEMBER_KIND };

/* ---- identity -------------------------------------------------------------------------------- */

#if KS_HAVE_BPF
/*
 * Info of every BPF object except BTF begins with kind and id. Returns 1; 0: fd is no BPF object;
 * -1: bpf() refuses to answer.
 */
static int bpf_id(int fd, struct ks__fd_id *ret)
{
	uint32_t info[2] = { 0, 0 };
	union bpf_attr attr;
	long rc;

	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)info;
	do
		rc = syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));
	while (rc && errno == EINTR);
	if (rc)
		return errno == EBADF || errno == EINVAL ? 0 : -1; /* -ENOMEM proves nothing */
	*ret = (struct ks__fd_id){ BPF_KIND, info[0], info[1] };
	return 1;
}

static int perf_id(int fd, struct ks__fd_id *ret)
{
	uint64_t id = 0;
	int rc;

	do
		rc = ioctl(fd, PERF_EVENT_IOC_ID, &id);
	while (rc && errno == EINTR);
	if (rc)
		return 0;
	*ret = (struct ks__fd_id){ PERF_KIND, id, 0 };
	return 1;
}
#else
static int bpf_id(int fd, struct ks__fd_id *ret)
{
	(void)fd, (void)ret;
	return 0;
}

static int perf_id(int fd, struct ks__fd_id *ret)
{
	(void)fd, (void)ret;
	return 0;
}
#endif

/* Returns 0; -1: fd is closed. Anonymous files have no file type and share one inode. */
static int file_id(int fd, struct ks__fd_id *ret)
{
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	*ret = (struct ks__fd_id){ FILE_KIND, st.st_dev, st.st_ino };
	if (!(st.st_mode & S_IFMT))
		ret->kind = ANONYMOUS_KIND;
	else if (S_ISDIR(st.st_mode) && fcntl(fd, F_GETFL) & O_PATH)
		ret->kind = PATH_KIND;
	return 0;
}

static int identify(int fd, struct ks__fd_id *ret)
{
	if (file_id(fd, ret))
		return -1;
	if (ret->kind == ANONYMOUS_KIND && bpf_id(fd, ret) <= 0)
		perf_id(fd, ret);
	return 0;
}

static int is_equal(const struct ks__fd_id *x, const struct ks__fd_id *y)
{
	return x->kind == y->kind && x->a == y->a && x->b == y->b;
}

/* ---- notes ----------------------------------------------------------------------------------- */

/* Returns note i, or NULL past the last. */
static struct ks__fd_note *note_at(struct ks__fds *fds, unsigned i)
{
	struct ks__fd_notes *notes = &fds->notes;

	for (; notes && i >= KS__FD_NOTES; i -= KS__FD_NOTES)
		notes = atomic_load(&notes->next);
	return notes ? &notes->note[i] : NULL;
}

static struct ks__fd_note *find(struct ks__fds *fds, int fd)
{
	struct ks__fd_note *note;

	for (unsigned i = 0; (note = note_at(fds, i)); i++)
		if (atomic_load(&note->fd) == fd)
			break;
	return note;
}

static void init_notes(struct ks__fd_notes *notes)
{
	atomic_init(&notes->next, NULL);
	for (unsigned i = 0; i < KS__FD_NOTES; i++) {
		atomic_init(&notes->note[i].fd, FREE);
		atomic_init(&notes->note[i].closing, 0);
		atomic_init(&notes->note[i].turn, 0);
	}
}

/* Chunks are only added while the handle lives, so walking them needs no lock. */
static int add_notes(struct ks__fds *fds)
{
	struct ks__fd_notes *more = malloc(sizeof(*more)), *last = &fds->notes, *none = NULL;

	if (!more)
		return -ENOMEM;
	init_notes(more);
	while (!atomic_compare_exchange_strong(&last->next, &none, more)) {
		last = none;
		none = NULL;
	}
	return 0;
}

static struct ks__fd_note *claim(struct ks__fds *fds)
{
	struct ks__fd_note *note;

	do {
		for (unsigned i = 0; (note = note_at(fds, i)); i++) {
			int none = FREE;

			if (!atomic_compare_exchange_strong(&note->fd, &none, TAKEN))
				continue;
			atomic_fetch_add(&note->turn, 1);
			return note;
		}
	} while (!add_notes(fds));
	return NULL;
}

void ks__fds_init(struct ks__fds *fds)
{
	init_notes(&fds->notes);
	atomic_init(&fds->set, -1);
	atomic_init(&fds->pair[0], -1);
	atomic_init(&fds->pair[1], -1);
}

void ks__fds_free(struct ks__fds *fds)
{
	struct ks__fd_notes *more = atomic_exchange(&fds->notes.next, NULL), *next;

	for (; more; more = next) {
		next = atomic_load(&more->next);
		free(more);
	}
}

uint32_t ks__fds_count(struct ks__fds *fds)
{
	const struct ks__fd_note *note;
	uint32_t n = 0;

	for (unsigned i = 0; (note = note_at(fds, i)); i++)
		n += atomic_load(&note->fd) >= 0;
	return n;
}

/* ---- keep ------------------------------------------------------------------------------------ */

int ks__fd_copy(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST);

	if (copy < 0)
		return errno == EINVAL ? -EMFILE : -errno; /* EINVAL: the limit is FIRST or less */
	return copy;
}

static int move_up(int fd)
{
	int up;

	if (fd >= FIRST || fd < 0)
		return fd;
	up = ks__fd_copy(fd);
	close(fd);
	return up;
}

/* kind 0: the kind that identify() finds. */
static int keep(struct ks__fds *fds, int fd, uint32_t kind)
{
	struct ks__fd_note *note, *stale;

	fd = move_up(fd);
	if (fd < 0 || !fds)
		return fd;
	stale = find(fds, fd); /* the host closed it, or the kernel could not reuse its number */
	note = claim(fds);
	if (!note || identify(fd, &note->id)) {
		int rc = note ? -errno : -ENOMEM;

		if (note)
			atomic_store(&note->fd, FREE);
		close(fd);
		return rc;
	}
	if (stale)
		atomic_store(&stale->fd, FREE);
	if (kind)
		note->id.kind = kind;
	atomic_store(&note->fd, fd);
	return fd;
}

int ks__fd_keep(struct ks__fds *fds, int fd)
{
	return keep(fds, fd, 0);
}

static int add_member(int set, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

/* The library writes to end [1], so the set watches it for errors only. */
static const uint32_t pair_events[2] = { EPOLLIN, 0 };

int ks__fd_keep_set(struct ks__fds *fds, int fd, const int pair[2])
{
	int rc = 0;

	fd = move_up(fd);
	if (fd < 0)
		return fd;
	for (unsigned i = 0; i < 2 && !rc; i++)
		rc = add_member(fd, pair[i], pair_events[i]);
	if (rc) {
		close(fd);
		return rc;
	}
	fd = keep(fds, fd, SET_KIND);
	if (fd < 0)
		return fd;
	for (unsigned i = 0; i < 2; i++)
		atomic_store(&fds->pair[i], pair[i]);
	atomic_store(&fds->set, fd);
	return fd;
}

int ks__fd_keep_member(struct ks__fds *fds, int fd)
{
	int rc;

	fd = move_up(fd);
	if (fd < 0)
		return fd;
	rc = add_member(atomic_load(&fds->set), fd, EPOLLIN);
	if (rc) {
		close(fd);
		return rc;
	}
	return keep(fds, fd, MEMBER_KIND);
}

/* ---- is it ours ------------------------------------------------------------------------------ */

/*
 * The kernel finds a member by file and number, and EPOLL_CTL_MOD fails if there is none. This call
 * sets the events that the member has already, so it changes nothing.
 */
static int has_member(int set, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	return set >= 0 && fd >= 0 && !epoll_ctl(set, EPOLL_CTL_MOD, fd, &e);
}

static int is_set(struct ks__fds *fds)
{
	for (unsigned i = 0; i < 2; i++) {
		int end = atomic_load(&fds->pair[i]);

		if (ks__fd_is_own(fds, end) &&
		    has_member(atomic_load(&fds->set), end, pair_events[i]))
			return 1;
	}
	return 0;
}

static int is_same(struct ks__fds *fds, const struct ks__fd_note *note, int fd)
{
	struct ks__fd_id now;

	switch (note->id.kind) {
	case SET_KIND:
		return is_set(fds);
	case MEMBER_KIND:
		return is_set(fds) && has_member(atomic_load(&fds->set), fd, EPOLLIN);
	case FILE_KIND:
	case PATH_KIND:
	case ANONYMOUS_KIND:
		return !file_id(fd, &now) && is_equal(&now, &note->id);
	case BPF_KIND:
		switch (bpf_id(fd, &now)) {
		case -1: /* without bpf(), compare only whether it is anonymous */
			return !file_id(fd, &now) && now.kind == ANONYMOUS_KIND;
		case 1:
			return is_equal(&now, &note->id);
		}
		return 0;
	}
	return !file_id(fd, &now) && now.kind == ANONYMOUS_KIND && perf_id(fd, &now) &&
	       is_equal(&now, &note->id);
}

int ks__fd_is_own(struct ks__fds *fds, int fd)
{
	const struct ks__fd_note *note;
	int saved = errno, is_own;

	if (fd < 0 || !fds)
		return fd >= 0;
	note = find(fds, fd);
	is_own = note && is_same(fds, note, fd);
	errno = saved;
	return is_own;
}

int ks__fd_is_member(struct ks__fds *fds, int fd)
{
	int saved = errno, is_member = has_member(atomic_load(&fds->set), fd, EPOLLIN);

	errno = saved;
	return is_member;
}

/* Another thread of the library may be closing this descriptor at the same time. */
static int is_lost(struct ks__fds *fds, const struct ks__fd_note *note)
{
	unsigned turn = atomic_load(&note->turn);
	int fd = atomic_load(&note->fd);

	return fd >= 0 && !is_same(fds, note, fd) && !atomic_load(&note->closing) &&
	       atomic_load(&note->fd) == fd && atomic_load(&note->turn) == turn;
}

int ks__fds_are_own(struct ks__fds *fds)
{
	const struct ks__fd_note *note;
	int saved = errno, are_own = 1;

	for (unsigned i = 0; are_own && (note = note_at(fds, i)); i++)
		are_own = !is_lost(fds, note);
	errno = saved;
	return are_own;
}

/* ---- close ----------------------------------------------------------------------------------- */

/*
 * Frees the note after close(): a child forked in between then finds a note of a closed descriptor,
 * not an open descriptor without a note, which nobody would close.
 */
static void close_note(struct ks__fds *fds, struct ks__fd_note *note, int fd)
{
	atomic_store(&note->closing, 1);
	if (is_same(fds, note, fd))
		close(fd);
	atomic_store(&note->fd, FREE);
	atomic_store(&note->closing, 0);
}

void ks__fd_close(struct ks__fds *fds, int fd)
{
	struct ks__fd_note *note;
	int saved = errno;

	if (fd < 0)
		return;
	if (!fds) {
		close(fd);
	} else {
		note = find(fds, fd);
		if (note)
			close_note(fds, note, fd);
	}
	errno = saved;
}

/* The set identifies its members, and the pair identifies the set: close members, set, pair. */
static unsigned turn_of(struct ks__fds *fds, const struct ks__fd_note *note, int fd)
{
	if (fd == atomic_load(&fds->pair[0]) || fd == atomic_load(&fds->pair[1]))
		return 2;
	return note->id.kind == SET_KIND;
}

void ks__fds_close(struct ks__fds *fds)
{
	struct ks__fd_note *note;
	int saved = errno;

	for (unsigned turn = 0; turn < 3; turn++)
		for (unsigned i = 0; (note = note_at(fds, i)); i++) {
			int fd = atomic_load(&note->fd);

			if (fd >= 0 && turn_of(fds, note, fd) == turn)
				close_note(fds, note, fd);
		}
	errno = saved;
}
