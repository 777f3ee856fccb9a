/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rawcall.h - bare syscalls, for code that runs in a child that shares the memory of the host
 *
 * The child of ks_selftest() has the thread pointer of the thread that made it, so a wrapper of
 * libc would write that thread's errno. Code of sanitizers must not run there either.
 */
#ifndef KS_RAWCALL_H
#define KS_RAWCALL_H

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define RAW_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define RAW_SANITIZED 1
#endif
#endif

#ifdef RAW_SANITIZED
#define RAW_PLAIN __attribute__((no_sanitize("address", "thread", "undefined")))
#define RAW_CODE RAW_PLAIN __attribute__((noinline))
#else
#define RAW_PLAIN
#define RAW_CODE
#endif

/* Makes a syscall and returns the kernel's result; negative: -errno. */
#if defined(__x86_64__)
static inline __attribute__((always_inline)) long raw6(long nr, long a, long b, long c, long d,
						       long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline __attribute__((always_inline)) long raw6(long nr, long a, long b, long c, long d,
						       long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "rawcall.h: bare syscalls are written for x86_64 and arm64 only"
#endif

/*
 * Makes a child that makes one syscall, and ends if that returns. As with vfork(), the caller waits
 * until the child has ended or has called exec. It is one asm statement, since the child runs on
 * the caller's stack and must not write to it. Returns the pid of the child, or -errno. The child
 * sends SIGCHLD only if it has called exec.
 */
static inline RAW_PLAIN __attribute__((always_inline)) long
raw_vfork_call(long nr, long a, long b, long c, long d, long e)
{
	long pid;

#if defined(__x86_64__)
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	const long call[] = { nr, a, b, c, d, e };

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "mov 0(%[call]), %%rax\n\t"
			 "mov 8(%[call]), %%rdi\n\t"
			 "mov 16(%[call]), %%rsi\n\t"
			 "mov 24(%[call]), %%rdx\n\t"
			 "mov 32(%[call]), %%r10\n\t"
			 "mov 40(%[call]), %%r8\n\t"
			 "syscall\n\t"
			 "mov %[exit], %%eax\n\t"
			 "mov $127, %%edi\n\t"
			 "syscall\n"
			 "1:"
			 : "=a"(pid)
			 : "a"((long)SYS_clone), "D"((long)(CLONE_VM | CLONE_VFORK)), "S"(0L),
			   "d"(0L), "r"(r10), "r"(r8), [call] "r"(call), [exit] "i"(SYS_exit)
			 : "rcx", "r11", "memory");
#else
	register long x8 __asm__("x8") = SYS_clone;
	register long x0 __asm__("x0") = CLONE_VM | CLONE_VFORK;
	register long x1 __asm__("x1") = 0;
	register long x2 __asm__("x2") = 0;
	register long x3 __asm__("x3") = 0;
	register long x4 __asm__("x4") = 0;
	const long call[] = { nr, a, b, c, d, e };

	__asm__ volatile("svc 0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x9, %[call]\n\t"
			 "ldp x8, x0, [x9]\n\t"
			 "ldp x1, x2, [x9, 16]\n\t"
			 "ldp x3, x4, [x9, 32]\n\t"
			 "svc 0\n\t"
			 "mov x8, %[exit]\n\t"
			 "mov x0, 127\n\t"
			 "svc 0\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), [call] "r"(call),
			   [exit] "i"(SYS_exit)
			 : "x9", "memory");
	pid = x0;
#endif
	return pid;
}

/* Is the first page of the file in the page cache? 1, 0; negative: that cannot be asked. */
static inline RAW_PLAIN __attribute__((always_inline)) int raw_is_cached(long fd)
{
	long at = raw6(SYS_mmap, 0, 4096, PROT_NONE, MAP_SHARED, fd, 0), rc;
	unsigned char page = 0;

	if (at < 0 && at > -4096)
		return (int)at;
	rc = raw6(SYS_mincore, at, 4096, (long)&page, 0, 0, 0);
	raw6(SYS_munmap, at, 4096, 0, 0, 0, 0);
	return rc < 0 ? (int)rc : page & 1;
}

/* Reads a hole of 64 KiB, which leaves clean pages, and drops them. A file in memory has none. */
static inline RAW_PLAIN __attribute__((always_inline)) int raw_drop(long fd)
{
	long rc = raw6(SYS_ftruncate, fd, 65536, 0, 0, 0, 0), at;
	char byte;

	for (at = 0; at < 65536 && rc >= 0; at += 4096)
		rc = raw6(SYS_pread64, fd, (long)&byte, 1, at, 0, 0);
	if (rc >= 0)
		rc = raw_is_cached(fd);
	if (rc == 0)
		rc = -EOPNOTSUPP;
	if (rc > 0)
		rc = raw6(SYS_fadvise64, fd, 0, 0, POSIX_FADV_DONTNEED, 0, 0);
	if (rc < 0)
		return (int)rc;
	return raw_is_cached(fd) == 0 ? 0 : -EBUSY;
}

/* The same with a new file without a name in that folder. */
static inline RAW_PLAIN __attribute__((always_inline)) int raw_read_and_drop(int dir_fd)
{
	static const char here[] = ".";
	long fd;
	int rc;

	if (dir_fd < 0)
		return -ENOENT;
	fd = raw6(SYS_openat, dir_fd, (long)here, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600, 0, 0);
	if (fd < 0)
		return (int)fd;
	rc = raw_drop(fd);
	raw6(SYS_close, fd, 0, 0, 0, 0, 0);
	return rc;
}

#endif
