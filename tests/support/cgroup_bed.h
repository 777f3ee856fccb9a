/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroup_bed.h - a hierarchy of cgroups for tests of ks__cgroups: the machine's, or one of plain
 * folders
 */
#ifndef KS_TEST_CGROUP_BED_H
#define KS_TEST_CGROUP_BED_H

#include <stdint.h>

#include "files/cgroups.h"

#define SECOND 1000000000ull

struct bed {
	char *dir;  /* folder with proc/ and sys/; NULL: the machine's hierarchy */
	char *root; /* folder below which make() and unmake() work */
	int proc_fd;
	struct ks__cgroups *c;
};

uint64_t inode(const char *path);
/* Creates a cgroup below root. Returns its id. */
uint64_t make(struct bed *bed, const char *path);
void unmake(struct bed *bed, const char *path);

/*
 * Makes a hierarchy of plain folders. memory: the number of the memory controller's hierarchy, "0":
 * version 2.
 */
struct bed *bed_new(const char *memory);
/* Writes a file below proc/. */
void bed_file(struct bed *bed, const char *name, const char *text);
/* Makes a line of mountinfo that presents a plain folder as a mount. */
char *line(const char *root, const char *point, const char *type, const char *options);

/* Asserts path and flags of the cgroup with this id now; want NULL: the cgroup is unknown. */
void assert_known(struct bed *bed, uint64_t id, const char *path, uint32_t flags);
void assert_label(struct bed *bed, uint64_t id, uint64_t read_ns, const char *want);

#endif
