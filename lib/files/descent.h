/* SPDX-License-Identifier: BSD-2-Clause */
/* descent.h - who descends from whom, as /proc tells it at the moment */
#ifndef KS_DESCENT_H
#define KS_DESCENT_H

#include <stdint.h>

struct ks__descent {
	/* Is this process in the tree? */
	int (*is_in)(void *user, int32_t pid);
	/* An ancestor of it is: enrol it. Negative ends the walk. */
	int (*enrol)(void *user, int32_t pid);
	void *user;
	uint64_t until_ns; /* of ks__now(): -EAGAIN when it is past; 0: no end */
};

/*
 * One walk over all processes of the procfs at proc_fd. Returns how many it has enrolled or could not
 * place, since parents died while it walked: walk until there are none. Or a negative code; 0 if
 * there is no procfs. Each ancestor is asked once; what lies about its parents is out.
 */
int ks__descent_walk(int proc_fd, const struct ks__descent *tree);

#endif
