/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/perf_event.h>

#include <bpf/bpf.h>

#include "../base/text.h"
#include "answer.h"
#include "machine.h"
#include "hooks.h"

/*
 * Prefix of typed programs' sections. If libbpf 1.1 knows a section name, it looks up the target in
 * the kernel's BTF, which it reads and indexes for that: 9 ms. It ignores sections with this
 * prefix.
 */
#define OWN_PREFIX "ks/"
#define BEFORE_MAX sizeof("bpf_iter_")
#define KPROBES "bus/event_source/devices/kprobe/"

/* ---- is it possible here --------------------------------------------------------------------- */

static int has_event(const struct ks__hook *h, struct ks__features *f, char *why, size_t size)
{
	if (ks__types_id(&f->types, KS__BTF_EVENT, h->target))
		return 0;
	snprintf(why, size, "%s: event %s is not in this kernel's BTF", ks__hook_name(h),
		 h->target);
	return -ENOENT;
}

static int has_func(const struct ks__hook *h, struct ks__features *f, char *why, size_t size)
{
	if (ks__types_id(&f->types, KS__BTF_FUNC, h->target))
		return 0;
	snprintf(why, size, "%s: function %s is not in this kernel's BTF", ks__hook_name(h),
		 h->target);
	return -ENOENT;
}

static int has_format(const struct ks__hook *h, struct ks__features *f, char *why, size_t size)
{
	uint32_t id;
	int rc = ks__feature_event_id(f->ks, h->target, &id);

	if (ks__answer_ends(rc))
		ks__machine_perf(f->ks, ks__hook_name(h), rc, why, size);
	else if (rc)
		snprintf(why, size, "%s: event %s is not in tracefs", ks__hook_name(h), h->target);
	return rc;
}

/* The kernel's BTF has all events. Without BTF, only attaching shows whether the event exists. */
static int has_raw(const struct ks__hook *h, struct ks__features *f, char *why, size_t size)
{
	if (ks__types_own(&f->types, why, size))
		return 0;
	return has_event(h, f, why, size);
}

/* Only attaching shows it: the list of functions that BTF lacks is a file of 10 MB (kallsyms). */
static int may_be(const struct ks__hook *h, struct ks__features *f, char *why, size_t size)
{
	(void)h, (void)f, (void)why, (void)size;
	return 0;
}

/* ---- attach ---------------------------------------------------------------------------------- */

/* The load has set the target of a typed program, so no name is given. Works on all kernels. */
static int attach_typed(const struct ks__hook *h, const struct ks *ks, int prog_fd)
{
	int fd = bpf_raw_tracepoint_open(NULL, prog_fd);

	(void)h, (void)ks;
	return fd < 0 ? -errno : fd;
}

static int attach_iter(const struct ks__hook *h, const struct ks *ks, int prog_fd)
{
	int fd = bpf_link_create(prog_fd, 0, BPF_TRACE_ITER, NULL);

	(void)h, (void)ks;
	return fd < 0 ? -errno : fd;
}

static int attach_raw_tp(const struct ks__hook *h, const struct ks *ks, int prog_fd)
{
	int fd = bpf_raw_tracepoint_open(h->target, prog_fd);

	(void)ks;
	return fd < 0 ? -errno : fd;
}

/* Opening the event on CPU 0 is enough: the program runs on all CPUs. */
static int attach_perf(struct perf_event_attr *attr, int prog_fd)
{
	int fd = ks__perf_open(attr, 0), rc;

	if (fd < 0)
		return fd;
	rc = ks__perf_ioctl(fd, PERF_EVENT_IOC_SET_BPF, (unsigned long)prog_fd);
	if (!rc)
		rc = ks__perf_ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
	if (rc)
		close(fd);
	return rc ? rc : fd;
}

static int attach_tracepoint(const struct ks__hook *h, const struct ks *ks, int prog_fd)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT };
	uint32_t id;
	int rc = ks__feature_event_id(ks, h->target, &id);

	if (rc)
		return rc;
	attr.config = id;
	return attach_perf(&attr, prog_fd);
}

static int read_number(const struct ks *ks, const char *path, const char *before, uint32_t *ret)
{
	char text[64];
	size_t skip = strlen(before);
	int n = ks__text_string(ks->sys_fd, path, text, sizeof(text));

	if (n < 0)
		return n;
	if (strncmp(text, before, skip) || text[skip] < '0' || text[skip] > '9')
		return -EINVAL;
	*ret = (uint32_t)strtoul(text + skip, NULL, 10);
	return 0;
}

static int attach_kprobe(const struct ks__hook *h, const struct ks *ks, int prog_fd)
{
	struct perf_event_attr attr = { .config1 = (uint64_t)(uintptr_t)h->target };
	uint32_t type;
	int rc = read_number(ks, KPROBES "type", "", &type);

	attr.type = type;
	return rc ? rc : attach_perf(&attr, prog_fd);
}

static int attach_kretprobe(const struct ks__hook *h, const struct ks *ks, int prog_fd)
{
	struct perf_event_attr attr = { .config1 = (uint64_t)(uintptr_t)h->target };
	uint32_t type, bit;
	int rc = read_number(ks, KPROBES "type", "", &type);

	if (!rc)
		rc = read_number(ks, KPROBES "format/retprobe", "config:", &bit);
	if (rc)
		return rc;
	attr.type = type;
	attr.config = 1ull << (bit & 63);
	return attach_perf(&attr, prog_fd);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct kind {
	const char *prefix;
	const char *before; /* what BTF puts before the name of the target */
	enum ks__feature_id feature;
	enum ks__btf_kind btf;
	uint8_t typed; /* enum bpf_attach_type of a typed program; 0: the program is untyped */
	uint8_t named; /* 1: BTF has the name of the target */
	uint8_t perf;  /* 1: perf runs the program */
	int (*possible)(const struct ks__hook *h, struct ks__features *f, char *why, size_t size);
	int (*attach)(const struct ks__hook *h, const struct ks *ks, int prog_fd);
} kinds[] = {
	{ "tp_btf", "", KS__FEATURE_TP_BTF, KS__BTF_EVENT, BPF_TRACE_RAW_TP, 1, 0, has_event,
	  attach_typed },
	{ "iter", "bpf_iter_", KS__FEATURE_TP_BTF, KS__BTF_FUNC, BPF_TRACE_ITER, 1, 0, has_func,
	  attach_iter },
	{ "fentry", "", KS__FEATURE_FENTRY, KS__BTF_FUNC, BPF_TRACE_FENTRY, 1, 0, has_func,
	  attach_typed },
	{ "fexit", "", KS__FEATURE_FENTRY, KS__BTF_FUNC, BPF_TRACE_FEXIT, 1, 0, has_func,
	  attach_typed },
	{ "raw_tp", "", KS__FEATURE_RAW_TP, KS__BTF_EVENT, 0, 1, 0, has_raw, attach_raw_tp },
	{ "tracepoint", "", KS__FEATURE_TRACEPOINT, 0, 0, 0, 1, has_format, attach_tracepoint },
	{ "kprobe", "", KS__FEATURE_KPROBE, 0, 0, 0, 1, may_be, attach_kprobe },
	{ "kretprobe", "", KS__FEATURE_KPROBE, 0, 0, 0, 1, may_be, attach_kretprobe },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct kind *kind_of(const struct ks__hook *hook)
{
	return hook->kind < N_KINDS ? &kinds[hook->kind] : NULL;
}

int ks__hook_parse(const char *section, struct ks__hook *ret)
{
	const char *slash;

	if (*section == '?')
		section++;
	if (!strncmp(section, OWN_PREFIX, sizeof(OWN_PREFIX) - 1))
		section += sizeof(OWN_PREFIX) - 1;
	slash = strchr(section, '/');
	if (!slash || !slash[1] || strlen(slash + 1) >= sizeof(ret->target) - BEFORE_MAX)
		return -EINVAL;
	for (uint8_t i = 0; i < N_KINDS; i++) {
		size_t n = strlen(kinds[i].prefix);

		if (n != (size_t)(slash - section) || strncmp(section, kinds[i].prefix, n))
			continue;
		ret->kind = i;
		snprintf(ret->target, sizeof(ret->target), "%s%s", kinds[i].before, slash + 1);
		return 0;
	}
	return -EINVAL;
}

const char *ks__hook_name(const struct ks__hook *hook)
{
	const struct kind *kind = kind_of(hook);

	return kind ? kind->prefix : "?";
}

int ks__hook_typed(const struct ks__hook *hook, struct ks__types *types, uint32_t *ret_attach,
		   uint32_t *ret_id)
{
	const struct kind *kind = kind_of(hook);

	if (!kind || !kind->typed)
		return 0;
	*ret_attach = kind->typed;
	*ret_id = ks__types_id(types, kind->btf, hook->target);
	return 1;
}

const char *ks__hook_target(const struct ks__hook *hook)
{
	const struct kind *kind = kind_of(hook);

	return hook->target + (kind ? strlen(kind->before) : 0);
}

int ks__hook_expect(const struct ks__hook *hook, struct ks__types *types)
{
	const struct kind *kind = kind_of(hook);

	if (!kind || !kind->named)
		return 0;
	return ks__types_expect(types, kind->btf, hook->target);
}

int ks__hook_possible(const struct ks__hook *hook, struct ks__features *f, char *why, size_t size)
{
	const struct kind *kind = kind_of(hook);
	int rc;

	if (!kind) {
		snprintf(why, size, "this build does not contain its kernel programs");
		return -EOPNOTSUPP;
	}
	rc = ks__feature(f, kind->feature);
	if (rc) {
		snprintf(why, size, "%s", f->by_id[kind->feature].reason);
		return rc;
	}
	return kind->possible(hook, f, why, size);
}

static int attach(const struct kind *kind, const struct ks__hook *hook, const struct ks *ks,
		  int prog_fd)
{
	KS__SIGNALS_HELD;

	return kind->attach(hook, ks, prog_fd);
}

int ks__hook_attach(const struct ks__hook *hook, const struct ks *ks, int prog_fd, char *why,
		    size_t size)
{
	const struct kind *kind = kind_of(hook);
	unsigned tries = 0;
	char what[96];
	int fd;

	if (!kind)
		return -EOPNOTSUPP;
	do
		fd = attach(kind, hook, ks, prog_fd);
	/* the calls of perf are made again where they are made */
	while (ks__answer_again(fd, &tries, ks__hook_by_perf(hook) ? 1 : KS__TRIES));
	if (fd >= 0)
		return fd;
	snprintf(what, sizeof(what), "%s: %s", kind->prefix, hook->target);
	if (fd == -ENOENT)
		snprintf(why, size, "%s is not in this kernel", what);
	else if (kind->perf)
		ks__machine_perf(ks, what, fd, why, size);
	else
		ks__machine_bpf(ks, what, fd, why, size);
	return fd;
}

int ks__hook_by_perf(const struct ks__hook *hook)
{
	const struct kind *kind = kind_of(hook);

	return kind && kind->perf;
}

int ks__hook_is_iter(const struct ks__hook *hook)
{
	const struct kind *kind = kind_of(hook);

	return kind && kind->attach == attach_iter;
}

/* Reads the iterator to its end. The program writes nothing; the read only makes it run. */
int ks__hook_iterate(int fd)
{
	union bpf_attr attr;
	int iter, rc;
	unsigned tries = 0;
	char byte;

	memset(&attr, 0, sizeof(attr));
	attr.iter_create.link_fd = (uint32_t)fd;
	iter = ks__bpf(BPF_ITER_CREATE, &attr);
	if (iter < 0)
		return iter;
	do {
		rc = (int)read(iter, &byte, 1);
		if (rc < 0)
			rc = -errno;
		/* EAGAIN: it has visited very many tasks without output; the next read goes on */
	} while (rc > 0 || rc == -EAGAIN || ks__answer_again(rc, &tries, KS__TRIES));
	close(iter);
	return rc;
}
