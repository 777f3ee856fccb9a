/* SPDX-License-Identifier: BSD-2-Clause */
/* registry.c - finds a probe. meson generates the list from `probes` in meson.build. */
#include <string.h>

#include "probe.h"

const struct ks__probe *ks__probe_by_id(uint32_t id)
{
	for (const struct ks__probe *const *p = ks__probes; *p; p++)
		if ((*p)->id == id)
			return *p;
	return NULL;
}

const struct ks__probe *ks__probe_by_name(const char *name)
{
	for (const struct ks__probe *const *p = ks__probes; *p; p++)
		if (!strcmp((*p)->name, name))
			return *p;
	return NULL;
}
