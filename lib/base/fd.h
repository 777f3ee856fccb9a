/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fd.h - the descriptors that a handle keeps: none is 0, 1 or 2, and each is known again
 *
 * The host may close a descriptor of the library by mistake (closefrom(3) of a daemon), and the kernel
 * gives its number to the next file that the host opens. So each kept descriptor is noted with what it
 * is, and nothing is closed or written to whose note no longer fits:
 *
 *	file, directory, socket device and inode
 *	BPF object, link        its kind and id
 *	perf event              its id
 *	epoll set               it has one of our pair of sockets, which are known by their inodes
 *	member of that set      the set has this very file under this number
 *
 * Another descriptor of the same file at the same number is taken for ours. Any other anonymous file,
 * and a BPF object for a process that may no longer call bpf(), is only known to be anonymous.
 *
 * Any thread, without a lock; ks__fd_is_own() is async-signal-safe. A forked child has its parent's
 * notes: at whatever moment it was forked, they are whole.
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
	atomic_int closing; /* by us, just now */
	struct ks__fd_id id;
};

struct ks__fd_notes {
	_Atomic(struct ks__fd_notes *) next;
	struct ks__fd_note note[KS__FD_NOTES];
};

struct ks__fds {
	struct ks__fd_notes notes;
	atomic_int set;     /* the epoll set, or -1 */
	atomic_int pair[2]; /* its members that tell that it is ours, or -1 */
};

void ks__fds_init(struct ks__fds *fds);
/* Closes all that are still ours. Also in a forked child. */
void ks__fds_close(struct ks__fds *fds);
/* Of the notes; closes nothing. */
void ks__fds_free(struct ks__fds *fds);
/* How many are kept. */
uint32_t ks__fds_count(struct ks__fds *fds);

/*
 * Takes a descriptor over, moves it to 3 or above, and notes it. Returns its number, or -errno (it is
 * closed then). A negative fd is returned as it is. fds NULL: moves it only.
 */
int ks__fd_keep(struct ks__fds *fds, int fd);
/*
 * An epoll set, of which both ends of a pair that is kept become members: one to be read, one for its
 * errors. And another member, to be read.
 */
int ks__fd_keep_set(struct ks__fds *fds, int fd, const int pair[2]);
int ks__fd_keep_member(struct ks__fds *fds, int fd);

/* Is this number still what was noted? 1 or 0; 0 for a negative one. fds NULL: 1. */
int ks__fd_is_own(struct ks__fds *fds, int fd);
/*
 * Does the set have this very file under this number? One syscall, for a caller that found the set to be
 * its own a moment ago.
 */
int ks__fd_is_member(struct ks__fds *fds, int fd);
/* Are all of them? 0: the host has closed one. */
int ks__fds_are_own(struct ks__fds *fds);
/* Closes it if it is still ours, and forgets it. fds NULL: closes it. */
void ks__fd_close(struct ks__fds *fds, int fd);

#endif
