/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../base/file.h"
#include "answer.h"
#include "types.h"

/* ---- reading --------------------------------------------------------------------------------- */

static int may_pass(int error)
{
	return ks__answer(error) != KS__ANSWER_FINAL;
}

static void scan_bytes(const void *data, size_t size, const char *path, struct ks__types_of *of,
		       size_t n)
{
	struct ks__btf_cut cut = { 0 };
	const char *flaw = "";

	of->error = ks__btf_scan(data, size, of->asks, n, &cut, &flaw);
	if (of->error)
		snprintf(of->why, sizeof(of->why), "BTF: %.100s cannot be used: %s", path, flaw);
	free(of->cut.data);
	of->cut = cut;
}

static void scan_fd(int fd, const char *path, struct ks__types_of *of, size_t n)
{
	struct ks__btf_file file;

	of->error = ks__btf_open(fd, &file);
	if (of->error) {
		snprintf(of->why, sizeof(of->why), "BTF: %.100s cannot be read (%s)", path,
			 ks_error_name(of->error));
		return;
	}
	of->is_kernels = file.is_kernels;
	scan_bytes(file.data, file.size, path, of, n);
	ks__btf_close(&file);
}

/* Adds to the reason that untyped programs work without the kernel's own BTF. */
static void suggest_copy(struct ks__types *t)
{
	size_t n = strlen(t->own.why);

	if (!t->ks->opts.btf_path && !may_pass(t->own.error))
		snprintf(t->own.why + n, sizeof(t->own.why) - n,
			 "; untyped programs can use a copy (ks_open_opts.btf_path)");
}

static void scan_own(struct ks__types *t)
{
	char path[128];
	int fd = ks__file_open(t->ks->sys_fd, "kernel/btf/vmlinux");

	snprintf(path, sizeof(path), "%.100s/kernel/btf/vmlinux", t->ks->opts.sys_path);
	if (fd < 0) {
		t->own.error = fd;
		if (fd == -ENOENT)
			snprintf(t->own.why, sizeof(t->own.why),
				 "BTF: %.100s is missing: the kernel needs CONFIG_DEBUG_INFO_BTF",
				 path);
		else if (fd == -EACCES || fd == -EPERM)
			snprintf(t->own.why, sizeof(t->own.why),
				 "BTF: %.100s cannot be opened by this user", path);
		else
			snprintf(t->own.why, sizeof(t->own.why), "BTF: %.100s cannot be read (%s)",
				 path, ks_error_name(fd));
		suggest_copy(t);
		return;
	}
	scan_fd(fd, path, &t->own, t->n);
	close(fd);
	if (t->own.error)
		suggest_copy(t);
}

static void scan_core(struct ks__types *t)
{
	const char *path = t->ks->opts.btf_path;
	int fd = ks__file_open(AT_FDCWD, path);

	if (fd < 0) {
		t->core.error = fd;
		snprintf(t->core.why, sizeof(t->core.why), "BTF: %.100s cannot be opened (%s)",
			 path, ks_error_name(t->core.error));
		return;
	}
	scan_fd(fd, path, &t->core, t->n);
	close(fd);
}

const struct ks__types_builtin *ks__types_embedded(void)
{
	const struct ks__types_builtin *b = ks__types_builtin;
	struct utsname name;

	if (uname(&name))
		return NULL;
	while (b->release && strcmp(b->release, name.release))
		b++;
	return b->release ? b : NULL;
}

/* Copies the asks of the own BTF, so that both files are scanned for the same names. */
static int ask_both(struct ks__types *t)
{
	struct ks__btf_ask *asks = realloc(t->core.asks, t->n * sizeof(*asks));

	if (!asks)
		return t->core.error = -ENOMEM;
	t->core.asks = memcpy(asks, t->own.asks, t->n * sizeof(*asks));
	return 0;
}

static void scan(struct ks__types *t)
{
	const struct ks__types_builtin *b = NULL;

	if (t->scanned)
		return;
	t->own.error = t->core.error = 0;
	scan_own(t);
	if (!t->ks->opts.btf_path && t->own.error && !may_pass(t->own.error))
		b = ks__types_embedded();
	t->replaced = t->ks->opts.btf_path || b;
	if (t->replaced && ask_both(t))
		snprintf(t->core.why, sizeof(t->core.why), "BTF: no memory to read it");
	else if (b)
		scan_bytes(b->data, b->size, b->release, &t->core, t->n);
	else if (t->replaced)
		scan_core(t);
	t->scanned = !may_pass(t->own.error) && !may_pass(t->core.error);
}

/* ---- names ----------------------------------------------------------------------------------- */

static const struct ks__btf_ask *find(const struct ks__btf_ask *asks, size_t n,
				      enum ks__btf_kind kind, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (asks[i].kind == kind && !strcmp(asks[i].name, name))
			return &asks[i];
	return NULL;
}

int ks__types_expect(struct ks__types *t, enum ks__btf_kind kind, const char *name)
{
	size_t length = strlen(name), room = t->room ? 2 * t->room : 64;
	struct ks__btf_ask ask = { .kind = kind }, *grown;

	if (find(t->own.asks, t->n, kind, name))
		return 0;
	if (length >= sizeof(ask.name))
		return -ENOSPC;
	if (t->n == t->room) {
		grown = realloc(t->own.asks, room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		t->own.asks = grown;
		t->room = room;
	}
	t->scanned = 0; /* a late name (after a shortage of memory) needs another scan */
	memcpy(ask.name, name, length + 1);
	t->own.asks[t->n++] = ask;
	return 0;
}

void ks__types_init(struct ks__types *t, const struct ks *ks)
{
	memset(t, 0, sizeof(*t));
	t->ks = ks;
}

void ks__types_free(struct ks__types *t)
{
	free(t->own.asks);
	free(t->own.cut.data);
	free(t->core.asks);
	free(t->core.cut.data);
	ks__types_init(t, t->ks);
}

/* ---- answers --------------------------------------------------------------------------------- */

static const struct ks__types_of *core(struct ks__types *t)
{
	scan(t);
	return t->replaced ? &t->core : &t->own;
}

uint32_t ks__types_id(struct ks__types *t, enum ks__btf_kind kind, const char *name)
{
	const struct ks__btf_ask *ask;

	scan(t);
	ask = find(t->own.asks, t->n, kind, name);
	return ask && !t->own.error ? ask->id : 0;
}

int ks__types_args(struct ks__types *t, const char *event)
{
	const struct ks__types_of *of = core(t);
	const struct ks__btf_ask *ask = find(of->asks, t->n, KS__BTF_EVENT, event);

	return ask && !of->error && ask->id ? ask->args : -1;
}

int ks__types_arg_is_pointer(struct ks__types *t, const char *event, unsigned n)
{
	const struct ks__types_of *of = core(t);
	const struct ks__btf_ask *ask = find(of->asks, t->n, KS__BTF_EVENT, event);

	return ask && !of->error && ask->id && n < 32 && ask->pointers >> n & 1;
}

int ks__types_member(struct ks__types *t, const char *type, const char *member)
{
	const struct ks__types_of *of = core(t);

	if (of->error || !of->cut.data)
		return -ENOENT;
	return ks__btf_has_member(of->cut.data, of->cut.size, type, member);
}

static int say(const struct ks__types_of *of, char *why, size_t size)
{
	if (of->error)
		snprintf(why, size, "%s", of->why);
	return of->error;
}

int ks__types_own(struct ks__types *t, char *why, size_t size)
{
	scan(t);
	return say(&t->own, why, size);
}

int ks__types_core(struct ks__types *t, char *why, size_t size)
{
	return say(core(t), why, size);
}

/* ---- for libbpf ------------------------------------------------------------------------------ */

/*
 * Creates a memfd with the cut and its path. -errno: memfd or /proc/self/fd does not work here.
 * -EFBIG: RLIMIT_FSIZE is too small. It limits a memfd, too, and SIGXFSZ would kill the host.
 */
static int cut_file(const struct ks__btf_cut *cut, char *path, size_t size)
{
	struct rlimit limit;
	int fd, rc;

	if (!cut->data)
		return -ENODATA;
	if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur < cut->size)
		return -EFBIG;
	fd = memfd_create("ks-btf", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(path, size, "/proc/self/fd/%d", fd);
	errno = ENOMEM; /* for a short write, which sets no errno */
	if (write(fd, cut->data, cut->size) == (ssize_t)cut->size && !access(path, R_OK))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* A directory that was open at ks_open() and that its path does not reach any more. */
static int is_lost(int fd, const char *path)
{
	struct stat was, is;

	return fd >= 0 && !fstat(fd, &was) &&
	       (stat(path, &is) || is.st_dev != was.st_dev || is.st_ino != was.st_ino);
}

int ks__types_path(struct ks__types *t, char *path, size_t size, int *ret_fd)
{
	const struct ks__types_of *of = core(t);
	int fd = of->error ? of->error : cut_file(&of->cut, path, size);
	int by_kernel = !of->error && !t->replaced && of->is_kernels;

	*ret_fd = fd;
	if (fd >= 0)
		return 0;
	if (by_kernel)
		snprintf(path, size, "%s/kernel/btf/vmlinux", t->ks->opts.sys_path);
	if (by_kernel && !access(path, R_OK))
		return 0;
	if (!of->error && (is_lost(t->ks->proc_fd, t->ks->opts.proc_path) ||
			   is_lost(t->ks->sys_fd, t->ks->opts.sys_path)))
		return -ESTALE;
	return by_kernel ? 0 : fd;
}
