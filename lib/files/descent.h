/* SPDX-License-Identifier: BSD-2-Clause */
/* descent.h - finds the descendants of a tree of processes in procfs */
#ifndef KS_DESCENT_H
#define KS_DESCENT_H

#include <stdint.h>

struct ks__descent {
	/* Is this process in the tree already? */
	int (*is_in)(void *user, int32_t pid);
	/* Adds a process that has an ancestor in the tree. Negative ends the walk. */
	int (*enrol)(void *user, int32_t pid);
	void *user;
	uint64_t until_ns; /* time limit on the clock of ks__now(), then -EAGAIN; 0: none */
};

/*
 * Walks once over all processes of the procfs at proc_fd. Returns the number of processes that it
 * has added or could not place because parents died meanwhile: repeat until it returns 0. 0 also if
 * there is no procfs; else a negative code. It asks is_in once for each ancestor. Processes whose
 * files contradict each other about parents are outside of the tree.
 */
int ks__descent_walk(int proc_fd, const struct ks__descent *tree);

#endif
