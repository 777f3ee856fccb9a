/* SPDX-License-Identifier: BSD-2-Clause */
/* shim.c - see shim.h */
#undef _FILE_OFFSET_BITS /* it would turn mmap() into mmap64() */
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's own functions, under the names that it keeps for replacements. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *piece);
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);

long shim_offline;
long shim_no_map_type;
long shim_no_program_type, shim_no_command;
int64_t shim_clock[CLOCK_BOOTTIME + 1];

static enum shim_what failing;
static unsigned countdown;
static int failing_with;
static long pieces, mappings;

static long (*next_syscall)(long number, ...);
static int (*next_clock_gettime)(clockid_t clock, struct timespec *ret);
static void *(*next_mmap)(void *, size_t, int, int, int, off_t);
static int (*next_munmap)(void *, size_t);

/* dlsym() may allocate, so the memory functions below do not rely on what it finds. */
static void __attribute__((constructor)) find(void)
{
	next_syscall = dlsym(RTLD_NEXT, "syscall");
	next_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	next_mmap = dlsym(RTLD_NEXT, "mmap");
	next_munmap = dlsym(RTLD_NEXT, "munmap");
}

void shim_fail(enum shim_what what, unsigned n, int error)
{
	countdown = n;
	failing_with = error;
	failing = what;
}

int shim_stop(void)
{
	failing = SHIM_NOTHING;
	return !countdown;
}

long shim_pieces(void)
{
	return pieces;
}

long shim_mappings(void)
{
	return mappings;
}

static int fails(enum shim_what what)
{
	return failing == what && countdown && !--countdown;
}

/* ---- memory --------------------------------------------------------------------------------- */

static void *counted(void *piece)
{
	if (piece)
		pieces++;
	else
		errno = ENOMEM;
	return piece;
}

void *malloc(size_t size)
{
	return counted(fails(SHIM_MEMORY) ? NULL : __libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
	return counted(fails(SHIM_MEMORY) ? NULL : __libc_calloc(n, size));
}

/* A failure leaves the old block as it was. Size 0 frees it. */
void *realloc(void *old, size_t size)
{
	void *piece;

	if (fails(SHIM_MEMORY)) {
		errno = ENOMEM;
		return NULL;
	}
	piece = __libc_realloc(old, size);
	if (!old && piece)
		pieces++;
	if (old && !size && !piece)
		pieces--;
	return piece;
}

void *reallocarray(void *old, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(old, bytes);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *piece = counted(fails(SHIM_MEMORY) ? NULL : __libc_memalign(alignment, size));

	if (!piece)
		return ENOMEM;
	*ret = piece;
	return 0;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return counted(fails(SHIM_MEMORY) ? NULL : __libc_memalign(alignment, size));
}

void free(void *piece)
{
	if (piece)
		pieces--;
	__libc_free(piece);
}

/* ---- mappings ------------------------------------------------------------------------------- */

static void *map(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	void *mapping;

	if (fails(SHIM_MAPPING)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	mapping = next_mmap(at, size, protection, flags, fd, offset);
	if (mapping != MAP_FAILED)
		mappings++;
	return mapping;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	return map(at, size, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	return map(at, size, protection, flags, fd, offset);
}

int munmap(void *at, size_t size)
{
	int rc = next_munmap(at, size);

	if (!rc)
		mappings--;
	return rc;
}

/* ---- syscalls ------------------------------------------------------------------------------ */

static int is_unknown(long number, const long *args)
{
	const union bpf_attr *attr = (const void *)args[1];

	if (number != SYS_bpf)
		return 0;
	return (shim_no_command && args[0] == shim_no_command) ||
	       (shim_no_map_type && args[0] == BPF_MAP_CREATE &&
		attr->map_type == shim_no_map_type) ||
	       (shim_no_program_type && args[0] == BPF_PROG_LOAD &&
		attr->prog_type == shim_no_program_type);
}

/* perf_event_open(attr, pid, cpu, …) */
static int refused(long number, const long *args)
{
	if (is_unknown(number, args))
		return EINVAL;
	if (number == SYS_perf_event_open && shim_offline && args[2] >= shim_offline)
		return ENODEV;
	if ((number == SYS_bpf || number == SYS_perf_event_open) && fails(SHIM_SIGNAL))
		return number == SYS_bpf && args[0] == BPF_PROG_LOAD ? EAGAIN : EINTR;
	if ((number == SYS_perf_event_open && fails(SHIM_PERF)) ||
	    (number == SYS_bpf && fails(SHIM_BPF)) ||
	    (number == SYS_bpf && args[0] == BPF_MAP_CREATE && fails(SHIM_MAP_CREATE)))
		return failing_with;
	return 0;
}

long syscall(long number, ...)
{
	long args[6];
	va_list list;
	int error;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	error = refused(number, args);
	if (error) {
		errno = error;
		return -1;
	}
	return next_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static int interrupted(void)
{
	if (!fails(SHIM_SIGNAL))
		return 0;
	errno = EINTR;
	return 1;
}

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
	if (fails(SHIM_OPEN)) {
		errno = failing_with;
		return -1;
	}
	return interrupted() ? -1 : (int)next_syscall(SYS_openat, dir, path, flags, mode);
}

#define MODE(flags)                                          \
	({                                                   \
		va_list list_;                               \
		mode_t mode_;                                \
		va_start(list_, flags);                      \
		mode_ = va_arg(list_, mode_t);               \
		va_end(list_);                               \
		(flags) & (O_CREAT | O_TMPFILE) ? mode_ : 0; \
	})

int openat64(int dir, const char *path, int flags, ...)
{
	return open_at(dir, path, flags, MODE(flags));
}

int openat(int dir, const char *path, int flags, ...)
{
	return open_at(dir, path, flags, MODE(flags));
}

ssize_t read(int fd, void *buf, size_t size)
{
	return interrupted() ? -1 : next_syscall(SYS_read, fd, buf, size);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	long arg;

	va_start(list, request);
	arg = va_arg(list, long);
	va_end(list);
	return interrupted() ? -1 : (int)next_syscall(SYS_ioctl, fd, request, arg);
}

int epoll_wait(int fd, struct epoll_event *events, int n, int timeout_ms)
{
	return interrupted() ?
		       -1 :
		       (int)next_syscall(SYS_epoll_pwait, fd, events, n, timeout_ms, NULL, 0);
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int rc = next_clock_gettime(clock, ret);
	int64_t ns;

	if (rc || clock < 0 || clock > CLOCK_BOOTTIME || !shim_clock[clock])
		return rc;
	ns = ret->tv_sec * (int64_t)1000000000 + ret->tv_nsec + shim_clock[clock];
	ret->tv_sec = ns / 1000000000;
	ret->tv_nsec = ns % 1000000000;
	return 0;
}
