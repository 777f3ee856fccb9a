/* SPDX-License-Identifier: BSD-2-Clause */
/* played.c - see played.h */
#include "played.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "ks_test.h"
#include "own_syscall.h"

struct played played;

void played_begin(void)
{
	memset(&played, 0, sizeof(played));
	played.caps = UINT64_MAX;
}

static int answer(void)
{
	int rc = played.answers[played.n++];

	if (rc >= 0)
		return rc;
	errno = -rc;
	return -1;
}

static struct played_call *next_call(long number, const long *args, unsigned n)
{
	struct played_call *call = &played.calls[played.n];

	g_assert_cmpuint(played.n + 1, <, G_N_ELEMENTS(played.calls));
	call->number = number;
	memcpy(call->args, args, n * sizeof(*args));
	return call;
}

static int on_bpf(const long *args)
{
	struct played_call *call = next_call(SYS_bpf, args, 4);

	if (args[1]) {
		memcpy(&call->bpf, (const void *)args[1],
		       MIN(sizeof(call->bpf), (size_t)(unsigned)args[2]));
		if ((int)args[0] == BPF_RAW_TRACEPOINT_OPEN && call->bpf.raw_tracepoint.name)
			g_strlcpy(call->name,
				  (const char *)(uintptr_t)call->bpf.raw_tracepoint.name,
				  sizeof(call->name));
	}
	return answer();
}

static int on_perf(const long *args)
{
	struct played_call *call = next_call(SYS_perf_event_open, args, 4);

	if (args[0]) {
		memcpy(&call->perf, (const void *)args[0], sizeof(call->perf));
		if (call->perf.config1)
			g_strlcpy(call->name, (const char *)(uintptr_t)call->perf.config1,
				  sizeof(call->name));
	}
	return answer();
}

static int on_capget(const long *args)
{
	struct __user_cap_data_struct *data = (void *)args[1];

	data[0].effective = (uint32_t)played.caps;
	data[1].effective = (uint32_t)(played.caps >> 32);
	return 0;
}

static long own_syscall(long number, const long args[6])
{
	if (number == SYS_bpf)
		return on_bpf(args);
	if (number == SYS_perf_event_open)
		return on_perf(args);
	if (number == SYS_capget)
		return on_capget(args);
	return real_syscall(number, args);
}

int ioctl(int fd, unsigned long request, ...)
{
	long args[3] = { fd, (long)request, 0 };
	va_list list;

	va_start(list, request);
	args[2] = va_arg(list, long);
	va_end(list);
	next_call(0, args, 3);
	return answer();
}
