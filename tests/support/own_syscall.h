/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_syscall.h - a syscall() of the test program, which the library and libbpf call in place of
 * libc's
 *
 * One source of the program includes this file and defines own_syscall().
 */
#ifndef KS_TEST_OWN_SYSCALL_H
#define KS_TEST_OWN_SYSCALL_H

#include <dlfcn.h>
#include <stdarg.h>
#include <unistd.h>

/* Returns what syscall() returns, and sets errno like it. */
static long own_syscall(long number, const long args[6]);

static inline long real_syscall(long number, const long args[6])
{
	static long (*real)(long number, ...);

	if (!real)
		*(void **)(void *)&real = dlsym(RTLD_NEXT, "syscall");
	return real(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

long syscall(long number, ...)
{
	long args[6];
	va_list list;

	va_start(list, number);
	for (unsigned i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	return own_syscall(number, args);
}

#endif
