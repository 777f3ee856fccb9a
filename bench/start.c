/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command kernelsight against tools of Debian's libbpf-tools: the CPU time to start, measure
 * for a second and print, and the time from the start to the first event on the terminal.
 */
#include <err.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "tool.h"

#define ROUNDS bench_rounds(7)
#define PATIENCE_NS 5000000000ull

static double cpu_ms(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e3 +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e3;
}

static void measure_start(char *const argv[], struct samples *s)
{
	struct rusage usage = tool_wait(tool_start(argv, NULL));

	samples_add(s, cpu_ms(&usage));
}

static void start(void)
{
	char *own[] = { KS_CLI, "stat", "proc", "fadvise", "-d", "1", NULL };
	char *peer[] = { "runqlat", "1", "1", NULL };
	struct samples mine = { 0 }, theirs = { 0 };

	if (!tool_exists(peer[0])) {
		figure_skipped("start CPU / runqlat", "no libbpf-tools");
		return;
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		measure_start(own, &mine);
		measure_start(peer, &theirs);
	}
	figure("start CPU / runqlat", samples_median(&mine) / samples_median(&theirs), AT_MOST, 0.7,
	       "x", "kernelsight stat proc fadvise %.1f ms (min %.1f), runqlat %.1f (min %.1f)",
	       samples_median(&mine), samples_min(&mine), samples_median(&theirs),
	       samples_min(&theirs));
}

/*
 * Measures the time until the terminal shows the name of a process, ms. Such processes are started
 * all the time.
 */
static void measure_first(char *const argv[], struct samples *s)
{
	uint64_t began = wall();
	char buf[8192];
	size_t used = 0;
	ssize_t n;
	int fd;
	pid_t pid = tool_start(argv, &fd);

	while (wall() - began < PATIENCE_NS) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, 100) <= 0)
			continue;
		n = read(fd, buf + used, sizeof(buf) - 1 - used);
		if (n <= 0)
			break;
		used += (size_t)n;
		buf[used] = '\0';
		if (strstr(buf, "/bin/true")) {
			samples_add(s, (double)(wall() - began) / 1e6);
			break;
		}
		if (used > sizeof(buf) / 2)
			used = 0;
	}
	close(fd);
	tool_stop(pid);
}

static void first_event(void)
{
	char *own[] = { KS_CLI, "watch", "proc", NULL }, *peer[] = { "execsnoop", NULL };
	struct samples mine = { 0 }, theirs = { 0 };
	pid_t load;

	if (!tool_exists(peer[0])) {
		figure_skipped("first event / execsnoop", "no libbpf-tools");
		return;
	}
	load = keep_making_processes(cpu_at(0));
	for (unsigned round = 0; round < ROUNDS; round++) {
		measure_first(own, &mine);
		measure_first(peer, &theirs);
	}
	tool_stop(load);
	if (!mine.n || !theirs.n)
		errx(1, "a tool printed no event in any round");
	figure("first event / execsnoop, minima", samples_min(&mine) / samples_min(&theirs),
	       AT_MOST, 0.5, "x",
	       "kernelsight watch proc %.0f ms (median %.0f), execsnoop %.0f (median %.0f)",
	       samples_min(&mine), samples_median(&mine), samples_min(&theirs),
	       samples_median(&theirs));
}

int main(void)
{
	need_root("start");
	start();
	first_event();
	return 0;
}
