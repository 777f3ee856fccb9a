/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "machine.h"
#include "types.h"

static int scan_fd(int fd, const char *path, struct ks__btf_ask *asks, size_t n, char *why,
		   size_t size)
{
	const char *flaw = "";
	struct ks__btf_file file;
	int rc = ks__btf_open(fd, &file);

	if (rc) {
		snprintf(why, size, "BTF: %.100s cannot be read (%s)", path, ks_error_name(rc));
		return rc;
	}
	rc = ks__btf_scan(file.data, file.size, asks, n, &flaw);
	if (rc)
		snprintf(why, size, "BTF: %.100s is broken: %s", path, flaw);
	ks__btf_close(&file);
	return rc;
}

static void scan_own(struct ks__types *t)
{
	char path[128];
	int fd = openat(t->ks->sys_fd, "kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);

	snprintf(path, sizeof(path), "%.100s/kernel/btf/vmlinux", t->ks->opts.sys_path);
	if (fd < 0) {
		t->own_error = -errno;
		/* an O_PATH descriptor of sys_path that could not be opened is -1: EBADF */
		snprintf(t->own_why, sizeof(t->own_why), "BTF: %.100s %s", path,
			 t->own_error == -ENOENT || t->own_error == -EBADF ?
				 "is missing: it needs a kernel with CONFIG_DEBUG_INFO_BTF" :
				 "may not be opened by this user");
		return;
	}
	t->own_error = scan_fd(fd, path, t->own, t->n, t->own_why, sizeof(t->own_why));
	close(fd);
}

static void scan_core(struct ks__types *t)
{
	const char *path = t->ks->opts.btf_path;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	memcpy(t->core, t->own, sizeof(t->core));
	if (fd < 0) {
		t->core_error = -errno;
		snprintf(t->core_why, sizeof(t->core_why), "BTF: %.100s cannot be opened (%s)",
			 path, ks_error_name(t->core_error));
		return;
	}
	t->core_error = scan_fd(fd, path, t->core, t->n, t->core_why, sizeof(t->core_why));
	close(fd);
}

static void scan(struct ks__types *t)
{
	if (t->scanned)
		return;
	t->own_error = t->core_error = 0;
	scan_own(t);
	if (t->ks->opts.btf_path)
		scan_core(t);
	t->scanned = !ks__machine_shortage(t->own_error) && !ks__machine_shortage(t->core_error);
}

static const struct ks__btf_ask *find(const struct ks__btf_ask *asks, size_t n,
				      enum ks__btf_kind kind, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (asks[i].kind == kind && !strcmp(asks[i].name, name))
			return &asks[i];
	return NULL;
}

void ks__types_init(struct ks__types *t, const struct ks *ks)
{
	memset(t, 0, sizeof(*t));
	t->ks = ks;
}

int ks__types_expect(struct ks__types *t, enum ks__btf_kind kind, const char *name)
{
	struct ks__btf_ask *ask = &t->own[t->n];

	if (find(t->own, t->n, kind, name))
		return 0;
	if (t->n == KS__NAMES_MAX || strlen(name) >= sizeof(ask->name))
		return -ENOSPC;
	t->scanned = 0; /* who announces late, since memory was short before, has it read again */
	ask->kind = kind;
	memcpy(ask->name, name, strlen(name) + 1);
	t->n++;
	return 0;
}

uint32_t ks__types_id(struct ks__types *t, enum ks__btf_kind kind, const char *name)
{
	const struct ks__btf_ask *ask;

	scan(t);
	ask = find(t->own, t->n, kind, name);
	return ask && !t->own_error ? ask->id : 0;
}

int ks__types_args(struct ks__types *t, const char *event)
{
	const struct ks__btf_ask *ask;

	scan(t);
	ask = find(t->ks->opts.btf_path ? t->core : t->own, t->n, KS__BTF_EVENT, event);
	return ask && ask->id ? ask->args : -1;
}

int ks__types_own(struct ks__types *t, char *why, size_t size)
{
	scan(t);
	if (t->own_error)
		snprintf(why, size, "%s", t->own_why);
	return t->own_error;
}

int ks__types_core(struct ks__types *t, char *why, size_t size)
{
	if (!t->ks->opts.btf_path)
		return ks__types_own(t, why, size);
	scan(t);
	if (t->core_error)
		snprintf(why, size, "%s", t->core_why);
	return t->core_error;
}
