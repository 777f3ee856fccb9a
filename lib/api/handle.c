/* SPDX-License-Identifier: BSD-2-Clause */
/* handle.c - ks_open(), the last error, the clock, the version */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/cpus.h"
#include "../base/file.h"
#include "../data/order.h"
#include "api.h"

#define ALL_FLAGS (KS_OPEN_ORDERED | KS_OPEN_RAISE_MEMLOCK | KS_OPEN_TRIM)
#define ALL_FEATURES                                                               \
	(KS_FEATURE_RINGBUF | KS_FEATURE_BTF_TRACING | KS_FEATURE_TASK_STORAGE |   \
	 KS_FEATURE_ATOMIC_FETCH | KS_FEATURE_RDONLY_CAST | KS_FEATURE_OWN_GUARD | \
	 KS_FEATURE_BATCH | KS_FEATURE_MMAP | KS_FEATURE_ITER_NUM)
#define MAX_THREADS 16384
#define RING_BYTES (4u << 20)
#define BATCH_MS 10

int ks__opts_in(void *mine, size_t known, const void *theirs)
{
	const unsigned char *bytes = theirs;
	size_t size;

	memcpy(&size, theirs, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	for (size_t i = known; i < size; i++)
		if (bytes[i])
			return -E2BIG;
	memset(mine, 0, known);
	memcpy(mine, theirs, (size < known ? size : known) & ~(size_t)7); /* ignore half a member */
	return 0;
}

int ks__opts_out(void *theirs, const void *mine, size_t known)
{
	size_t size;

	if (!theirs)
		return -EINVAL;
	memcpy(&size, theirs, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	if (size > known)
		size = known;
	memcpy(theirs, mine, size);
	memcpy(theirs, &size, sizeof(size));
	return 0;
}

/* ---- open ------------------------------------------------------------------------------------ */

static int check_opts(const struct ks_open_opts *o)
{
	if (o->flags & ~(uint32_t)ALL_FLAGS || o->max_threads > 1u << 22 ||
	    o->features_off & ~(uint64_t)ALL_FEATURES)
		return -EINVAL;
	if (o->batch_ms != KS_IMMEDIATE && o->batch_ms > 60000)
		return -EINVAL;
	if (o->log_level > KS_LOG_DEBUG)
		return -EINVAL;
	if (o->ring_bytes && (o->ring_bytes < 4096 || o->ring_bytes > 1ull << 32))
		return -EINVAL;
	return 0;
}

/* NULL stays NULL. */
static int copy_text(const char **text)
{
	if (*text && !(*text = strdup(*text)))
		return -ENOMEM;
	return 0;
}

static int take_opts(struct ks *ks, const struct ks_open_opts *opts)
{
	struct ks_open_opts *o = &ks->opts;
	const char *btf, *proc, *sys;
	int rc;

	if (opts) {
		rc = ks__opts_in(o, sizeof(*o), opts);
		if (rc)
			return rc;
	}
	btf = o->btf_path, proc = o->proc_path, sys = o->sys_path;
	o->btf_path = o->proc_path = o->sys_path = NULL; /* from here on they hold copies */
	rc = check_opts(o);
	if (rc)
		return rc;
	if (!o->batch_ms)
		o->batch_ms = BATCH_MS;
	if (!o->ring_bytes)
		o->ring_bytes = RING_BYTES;
	if (!o->max_threads)
		o->max_threads = MAX_THREADS;
	o->btf_path = btf;
	rc = copy_text(&o->btf_path);
	if (rc)
		return rc;
	o->proc_path = proc ? proc : "/proc";
	rc = copy_text(&o->proc_path);
	if (rc)
		return rc;
	o->sys_path = sys ? sys : "/sys";
	return copy_text(&o->sys_path);
}

/* A missing directory is no error here: each call that needs it reports it. */
static int open_place(struct ks *ks, const char *path, int *ret_fd)
{
	int fd = ks__fd_keep(&ks->fds, ks__file_place(AT_FDCWD, path));

	*ret_fd = fd < 0 ? -1 : fd;
	return fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM ? fd : 0;
}

static int open_descriptors(struct ks *ks)
{
	int rc = ks__wait_open(ks);

	if (!rc)
		rc = open_place(ks, ks->opts.proc_path, &ks->proc_fd);
	if (!rc)
		rc = open_place(ks, ks->opts.sys_path, &ks->sys_fd);
	if (!rc)
		ks->n_cpus = ks__cpus_possible(ks->sys_fd);
	return rc;
}

static int open_sources(struct ks *ks)
{
	for (unsigned i = 0; ks__sources[i] && i < KS__SOURCES_MAX - 1; i++) {
		int rc = ks__sources[i]->open(ks, &ks->sources[i]);

		if (rc)
			return rc;
	}
	for (const struct ks__probe *const *p = ks__probes; *p; p++) {
		struct ks__slot *slot = &ks->slots[(*p)->id];

		slot->probe = *p;
		ks__settings_defaults(*p, &slot->set);
	}
	/* The library's own statistics begin now. */
	atomic_store(&ks->slots[KS_PROBE_SELF].since_ns, ks__now());
	return 0;
}

int ks_open(const struct ks_open_opts *opts, struct ks **ret_ks)
{
	int rc, saved = errno;
	struct ks *ks;

	if (!ret_ks)
		return -EINVAL;
	ks = calloc(1, sizeof(*ks));
	if (!ks)
		return -ENOMEM;
	ks__fds_init(&ks->fds);
	ks->epoll_fd = ks->timer_fd = ks->proc_fd = ks->sys_fd = -1;
	ks->wake_fds[0] = ks->wake_fds[1] = -1;
	pthread_mutex_init(&ks->lock, NULL);
	pthread_mutex_init(&ks->next, NULL);
	ks__errors_init(&ks->errors);
	pthread_mutex_init(&ks->cgroups_lock, NULL);
	pthread_mutex_init(&ks->roles_lock, NULL);
	ks->scope.kind = KS_SCOPE_SELF;
	rc = take_opts(ks, opts);
	ks->errors.log = ks->opts.log;
	ks->errors.log_user = ks->opts.log_user;
	if (ks->opts.log_level)
		ks->errors.log_level = ks->opts.log_level;
	if (!rc && !(ks->core = ks__core_new(ks)))
		rc = -ENOMEM;
	if (!rc && ks->opts.flags & KS_OPEN_ORDERED &&
	    !(ks->order = ks__order_new(ks->opts.ring_bytes)))
		rc = -ENOMEM;
	if (!rc)
		rc = open_descriptors(ks);
	if (!rc)
		rc = open_sources(ks);
	if (rc)
		ks__destroy(ks);
	else
		*ret_ks = ks;
	errno = saved;
	return rc;
}

/* ---- last error, clock, version -------------------------------------------------------------- */

int ks_last_error(struct ks *ks, char *buf, size_t size)
{
	KS__ENTER(ks);

	if (!buf && size)
		return -EINVAL;
	return ks__errors_last(&ks->errors, buf, size);
}

int ks_read_clock(struct ks *ks, uint64_t *ret_mono_ns, int64_t *ret_wall_ns)
{
	uint64_t before, wall, after;

	if (!ks || !ret_mono_ns || !ret_wall_ns)
		return -EINVAL;
	if (ks__forked(ks->core))
		return -KS_EFORKED;
	before = ks__now();
	wall = ks__wall_now();
	after = ks__now();
	*ret_mono_ns = before + (after - before) / 2;
	*ret_wall_ns = (int64_t)wall;
	return 0;
}

uint32_t ks_version(void)
{
	return KS_VERSION;
}
