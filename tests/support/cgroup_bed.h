/* SPDX-License-Identifier: BSD-2-Clause */
/* cgroup_bed.h - a hierarchy of cgroups to ask about: the machine's, or one of plain folders */
#ifndef KS_TEST_CGROUP_BED_H
#define KS_TEST_CGROUP_BED_H

#include <stdint.h>

#include "files/cgroups.h"

#define SECOND 1000000000ull

struct bed {
	char *dir;  /* of plain folders, with proc/ and sys/; else NULL */
	char *root; /* what make() and unmake() begin at */
	int proc_fd;
	struct ks__cgroups *c;
};

uint64_t inode(const char *path);
/* A cgroup below root, and its id. */
uint64_t make(struct bed *bed, const char *path);
void unmake(struct bed *bed, const char *path);

/* What is said of an id now; want NULL: nothing. */
void assert_known(struct bed *bed, uint64_t id, const char *path, uint32_t flags);
void assert_label(struct bed *bed, uint64_t id, uint64_t read_ns, const char *want);

#endif
