/* SPDX-License-Identifier: BSD-2-Clause */
/* sources.c - the list of sources of this build */
#include "config.h"
#include "source.h"

const struct ks__source_ops *const ks__sources[] = {
#if KS_HAVE_BPF
	&ks__source_bpf,
#endif
	&ks__source_files,
	NULL,
};
