/* SPDX-License-Identifier: BSD-2-Clause */
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t work_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t work_stolen(void)
{
	unsigned long long ticks = 0;
	char *text = NULL;

	if (g_file_get_contents("/proc/stat", &text, NULL, NULL))
		sscanf(text, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &ticks);
	g_free(text);
	return ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

void work_pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

void work_unpin(void)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof(set));
	sched_setaffinity(0, sizeof(set), &set);
}

int work_file(void)
{
	char *path = g_build_filename(g_get_tmp_dir(), "ks-work-XXXXXX", NULL);
	int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
	struct statfs fs;

	if (fd >= 0)
		unlink(path);
	g_free(path);
	if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The child closes all that it inherited: a BPF link would keep a kernel program running. */
static void child(struct work *w, int word, work_fn fn)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(word, 3);
	syscall(SYS_close_range, 4, ~0u, 0);
	if (read(3, &c, 1) != 1)
		_exit(125);
	close(3);
	_exit(fn(w->page));
}

void work_start(struct work *w, work_fn fn)
{
	int pipe_fd[2];

	memset(w, 0, sizeof(*w));
	w->page = mmap(NULL, WORK_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	g_assert_true(w->page != MAP_FAILED);
	g_assert_cmpint(pipe2(pipe_fd, O_CLOEXEC), ==, 0);
	w->begin_ns = work_now();
	w->pid = fork();
	g_assert_cmpint(w->pid, >=, 0);
	if (w->pid == 0)
		child(w, pipe_fd[0], fn);
	close(pipe_fd[0]);
	w->go = pipe_fd[1];
}

void work_go(struct work *w)
{
	g_assert_cmpint(write(w->go, "g", 1), ==, 1);
	close(w->go);
	w->go = -1;
}

void work_wait(struct work *w)
{
	g_assert_cmpint(wait4(w->pid, &w->status, 0, &w->usage), ==, w->pid);
	w->end_ns = work_now();
}

void work_run(struct work *w)
{
	work_go(w);
	work_wait(w);
}

void work_free(struct work *w)
{
	munmap(w->page, WORK_PAGE);
	w->page = NULL;
	if (w->go >= 0) /* work_go() was not called */
		close(w->go);
}

/* ---- advice --------------------------------------------------------------------------------- */

static uint64_t resident(int fd)
{
	static const size_t page = 4096;
	unsigned char *vec;
	struct stat st;
	uint64_t n = 0;
	size_t pages, i;
	void *map;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size == 0)
		return 0;
	pages = ((size_t)st.st_size + page - 1) / page;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	vec = g_malloc0(pages);
	if (map != MAP_FAILED && mincore(map, (size_t)st.st_size, vec) == 0)
		for (i = 0; i < pages; i++)
			n += vec[i] & 1;
	if (map != MAP_FAILED)
		munmap(map, (size_t)st.st_size);
	g_free(vec);
	return n;
}

struct fad_call *fad_make(struct fad_page *page, int fd, uint64_t offset, uint64_t length,
			  uint32_t advice)
{
	struct fad_call *call = &page->call[page->n++];
	uint64_t before = resident(fd), begin;
	struct stat st;

	call->fd = fd;
	call->offset = offset;
	call->length = length;
	call->advice = advice;
	if (fstat(fd, &st) == 0) {
		call->device = major(st.st_dev) << 20 | minor(st.st_dev);
		call->inode = st.st_ino;
	}
	begin = work_now();
	call->result = syscall(SYS_fadvise64, fd, offset, length, advice) < 0 ? -errno : 0;
	call->duration_ns = work_now() - begin;
	call->dropped = before - resident(fd);
	return call;
}

static void fad_times(struct fad_page *page, int fd, unsigned n, uint32_t advice)
{
	unsigned i;

	for (i = 0; i < n; i++)
		fad_make(page, fd, (uint64_t)i << 36 | 4096 * page->n, 4096 * (uint64_t)i, advice);
}

int fad_table(void *arg)
{
	struct fad_page *page = arg;
	int pipe_fd[2], fd = work_file();

	work_pin(0);
	prctl(PR_GET_NAME, page->comm);
	if (fd < 0)
		fd = memfd_create("table", MFD_CLOEXEC);
	if (fd < 0 || pipe(pipe_fd))
		return 1;
	fad_times(page, fd, FAD_N, POSIX_FADV_NORMAL);
	fad_times(page, 1000, 3, POSIX_FADV_NORMAL);
	fad_times(page, pipe_fd[0], 2, POSIX_FADV_NORMAL);
	fad_times(page, fd, FAD_N + 1, POSIX_FADV_RANDOM);
	fad_times(page, fd, FAD_N + 2, POSIX_FADV_SEQUENTIAL);
	fad_times(page, fd, FAD_N + 3, POSIX_FADV_WILLNEED);
	fad_times(page, fd, FAD_N + 4, POSIX_FADV_DONTNEED);
	fad_times(page, fd, FAD_N + 5, POSIX_FADV_NOREUSE);
	fad_times(page, fd, 7, 99);
	return 0;
}

int fad_named(void *page)
{
	prctl(PR_SET_NAME, FAD_NAME);
	return fad_table(page);
}

int fad_many(void *arg)
{
	struct fad_page *page = arg;
	int fd = memfd_create("many", MFD_CLOEXEC);

	for (page->n = 0; page->n < FAD_MANY; page->n++)
		if (syscall(SYS_fadvise64, fd, 0, 0, POSIX_FADV_SEQUENTIAL))
			return 1;
	return 0;
}

/* ---- processes ------------------------------------------------------------------------------ */

int proc_forks(void *arg)
{
	struct proc_page *page = arg;
	unsigned i, n = PROC_FORKS;
	pid_t pid;

	for (i = 0; i < n; i++) {
		struct proc_child *c = &page->child[i];

		c->begin_ns = work_now();
		pid = fork(); /* not into the page: the child would write 0 there */
		if (pid == 0)
			_exit((int)(i % 256));
		if (waitpid(pid, &c->status, 0) != pid)
			return 1;
		c->pid = pid;
		c->end_ns = work_now();
		page->n++;
	}
	return 0;
}
