/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fd.h - the descriptors that a handle keeps
 *
 * No kept descriptor is 0, 1 or 2. The host may close a descriptor of the library by mistake
 * (closefrom(3) of a daemon), and the kernel gives its number to the next file that the host opens.
 * Therefore a note records the identity of each kept descriptor, and the library closes and writes
 * to a descriptor only if its identity still equals the note:
 *
 *	file, directory, socket device and inode
 *	BPF object, link        kind and id
 *	perf event              id
 *	epoll set               one socket of our socket pair is a member; sockets have inodes
 *	member of that set      the set has this file under this number
 *
 * Another descriptor of the same file at the same number is taken for ours. Any other anonymous
 * file is only known to be anonymous; so is a BPF object if the process may no longer call bpf().
 *
 * Any thread may call these functions, without a lock; ks__fd_is_own() is async-signal-safe. A
 * forked child has its parent's notes, which are complete at every moment.
 */
#ifndef KS_FD_H
#define KS_FD_H

#include <stdatomic.h>
#include <stdint.h>

#define KS__FD_NOTES 64

struct ks__fd_id {
	uint32_t kind;
	uint64_t a, b;
};

struct ks__fd_note {
	atomic_int fd;      /* -1: the note is free */
	atomic_uint turn;   /* counts the files that this note has described */
	atomic_int closing; /* the library is closing it */
	struct ks__fd_id id;
};

struct ks__fd_notes {
	_Atomic(struct ks__fd_notes *) next;
	struct ks__fd_note note[KS__FD_NOTES];
};

struct ks__fds {
	struct ks__fd_notes notes;
	atomic_int set;     /* the epoll set, or -1 */
	atomic_int pair[2]; /* the members by which the set is recognized, or -1 */
};

void ks__fds_init(struct ks__fds *fds);
/* Closes all descriptors that are still ours. Works in a forked child, too. */
void ks__fds_close(struct ks__fds *fds);
/* Frees the notes; closes no descriptor. */
void ks__fds_free(struct ks__fds *fds);
/* Returns how many descriptors are kept. */
uint32_t ks__fds_count(struct ks__fds *fds);

/*
 * Copies a descriptor to 3 or above, close-on-exec. Returns the copy, which has no note, or -errno:
 * -EMFILE also if RLIMIT_NOFILE allows no number from 3 on.
 */
int ks__fd_copy(int fd);
/*
 * Takes over a descriptor, moves it to 3 or above and notes it. Returns its number, or -errno after
 * closing it. A negative fd is returned unchanged. fds NULL: moves the descriptor only.
 */
int ks__fd_keep(struct ks__fds *fds, int fd);
/*
 * Like ks__fd_keep(), for an epoll set. Both ends of the socket pair, which are kept already,
 * become members: [0] for reading, [1] for errors only.
 */
int ks__fd_keep_set(struct ks__fds *fds, int fd, const int pair[2]);
/* Like ks__fd_keep(), and adds the descriptor to that set, for reading. */
int ks__fd_keep_member(struct ks__fds *fds, int fd);

/* Returns 1 if fd is still the file of its note, else 0; 0 for a negative fd. fds NULL: 1. */
int ks__fd_is_own(struct ks__fds *fds, int fd);
/*
 * Returns 1 if the set has the file of fd under this number, else 0. One syscall, for a caller that
 * has just found the set to be its own.
 */
int ks__fd_is_member(struct ks__fds *fds, int fd);
/* Returns 1 if ks__fd_is_own() is 1 for all kept descriptors; 0: the host has closed one. */
int ks__fds_are_own(struct ks__fds *fds);
/* Closes fd if it is still ours, and frees its note. fds NULL: closes fd. */
void ks__fd_close(struct ks__fds *fds, int fd);

#endif
