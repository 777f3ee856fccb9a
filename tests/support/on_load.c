/* SPDX-License-Identifier: BSD-2-Clause */
/* on_load.c - see on_load.h */
#include "on_load.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

long (*on_load)(union bpf_attr *attr, unsigned size);

static const char *refused_prefix = "";
static unsigned refused_types;

void on_load_refuse(const char *prefix, unsigned types)
{
	refused_prefix = prefix;
	refused_types = types;
}

static int is_refused(const union bpf_attr *attr)
{
	return refused_types >> attr->prog_type & 1 &&
	       !strncmp(attr->prog_name, refused_prefix, strlen(refused_prefix));
}

static long (*next_syscall(void))(long, ...)
{
	static long (*next)(long, ...);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "syscall");
	return next;
}

long on_load_pass(const union bpf_attr *attr, unsigned size)
{
	return next_syscall()(SYS_bpf, BPF_PROG_LOAD, attr, size);
}

static long load(union bpf_attr *attr, unsigned size)
{
	if (is_refused(attr)) {
		errno = EACCES;
		return -1;
	}
	return on_load ? on_load(attr, size) : on_load_pass(attr, size);
}

long syscall(long number, ...)
{
	long args[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_bpf && args[0] == BPF_PROG_LOAD)
		return load((union bpf_attr *)args[1], (unsigned)args[2]);
	return next_syscall()(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}
