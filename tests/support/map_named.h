/* SPDX-License-Identifier: BSD-2-Clause */
/* map_named.h - finds a map of kernel programs among the descriptors of the test */
#ifndef KS_TEST_MAP_NAMED_H
#define KS_TEST_MAP_NAMED_H

#include <bpf/bpf.h>
#include <glib.h>
#include <string.h>

/* Returns the descriptor of the map that has this name. The test has one handle with that map. */
static inline int map_named(const char *name, struct bpf_map_info *ret)
{
	for (int fd = 3; fd < 1024; fd++) {
		uint32_t size = sizeof(*ret);

		memset(ret, 0, sizeof(*ret));
		if (!bpf_obj_get_info_by_fd(fd, ret, &size) && !strcmp(ret->name, name))
			return fd;
	}
	g_error("no descriptor is the map %s", name);
}

#endif
