/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much more CPU time real loads take while all probes count the whole machine and no reader
 * reads: a server that answers requests, and processes that pass messages.
 */
#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "tool.h"

#define ROUNDS bench_rounds(21)

static const uint32_t numbers[] = { KS_PROBE_PROC, KS_PROBE_FADVISE, KS_PROBE_SCHED,
				    KS_PROBE_PAGECACHE };

#define N_PROBES (sizeof(numbers) / sizeof(numbers[0]))

/* ---- the library ----------------------------------------------------------------------------- */

struct host {
	struct ks *ks;
	atomic_int stop;
	pthread_t consumer;
};

static int ignore(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	return 0;
}

static void *consume(void *user)
{
	struct host *h = user;

	while (!atomic_load(&h->stop))
		must(h->ks, ks_poll(h->ks, -1, 0, ignore, NULL), "ks_poll");
	return NULL;
}

static void host_begin(struct host *h)
{
	const struct ks_scope all = { .size = sizeof(all), .kind = KS_SCOPE_SYSTEM };

	h->ks = host_open(0, 0, 0);
	must(h->ks, ks_set_scope(h->ks, &all), "ks_set_scope");
	must(h->ks, ks_prepare(h->ks, numbers, N_PROBES), "ks_prepare");
	atomic_store(&h->stop, 0);
	pthread_create(&h->consumer, NULL, consume, h);
}

static void host_switch(struct host *h, int on)
{
	for (unsigned i = 0; i < N_PROBES; i++)
		if (on)
			must(h->ks, ks_enable_probe(h->ks, numbers[i], NULL), "ks_enable_probe");
		else
			must(h->ks, ks_disable_probe(h->ks, numbers[i]), "ks_disable_probe");
}

static void host_end(struct host *h)
{
	atomic_store(&h->stop, 1);
	ks_wakeup(h->ks);
	pthread_join(h->consumer, NULL);
	ks_close(h->ks);
}

/* ---- loads: each returns the CPU time that it took, ms --------------------------------------- */

static double cpu_of(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e3 +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e3;
}

static double messages(void)
{
	char *argv[] = { "perf", "bench", "sched", "messaging", "-g", "4", "-l", "100", NULL };
	struct rusage used = tool_wait(tool_start(argv, NULL));

	return cpu_of(&used);
}

static struct {
	pid_t pid;
	clockid_t clock;
	char dir[32], socket[48];
} server;

static double server_cpu(void)
{
	struct timespec t;

	if (clock_gettime(server.clock, &t))
		err(1, "the CPU time of redis-server");
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void server_start(void)
{
	char *argv[] = { "redis-server", "--port",      "0",     "--save",   "",
			 "--unixsocket", server.socket, "--dir", server.dir, NULL };

	snprintf(server.dir, sizeof(server.dir), "/tmp/ks-guard-XXXXXX");
	if (!mkdtemp(server.dir))
		err(1, "mkdtemp");
	snprintf(server.socket, sizeof(server.socket), "%s/redis", server.dir);
	server.pid = tool_start(argv, NULL);
	for (unsigned i = 0; access(server.socket, F_OK) && i < 500; i++)
		nap(20000000);
	if (clock_getcpuclockid(server.pid, &server.clock))
		errx(1, "redis-server ended before it answered");
}

static void server_end(void)
{
	tool_stop(server.pid);
	unlink(server.socket);
	rmdir(server.dir);
}

static double answers(void)
{
	char *argv[] = { "redis-benchmark", "-s", server.socket, "-t", "get", "-n",
			 "20000",           "-c", "20",          "-q", NULL };
	double before = server_cpu();

	tool_wait(tool_start(argv, NULL));
	return server_cpu() - before;
}

/* ---- figures --------------------------------------------------------------------------------- */

/* Measures with and without probes, one right after the other, in alternating order. */
static void guard(const char *name, double (*load)(void))
{
	struct samples ratios = { 0 }, on = { 0 }, off = { 0 };
	struct host h;

	host_begin(&h);
	load();
	for (unsigned round = 0; round < ROUNDS; round++) {
		double cpu[2] = { 0 };

		for (unsigned i = 0; i < 2; i++) {
			unsigned with = (round + i) & 1;

			if (with)
				host_switch(&h, 1);
			cpu[with] = load();
			if (with)
				host_switch(&h, 0);
		}
		samples_add(&ratios, cpu[1] / cpu[0]);
		samples_add(&on, cpu[1]);
		samples_add(&off, cpu[0]);
	}
	host_end(&h);
	figure(name, samples_median(&ratios), AT_MOST, 1.05, "x",
	       "CPU %.1f ms with all probes (min %.1f), %.1f without (min %.1f)",
	       samples_median(&on), samples_min(&on), samples_median(&off), samples_min(&off));
}

static void guard_server(void)
{
	if (!tool_exists("redis-server") || !tool_exists("redis-benchmark")) {
		figure_skipped("redis GET", "no redis-server, or no redis-benchmark");
		return;
	}
	server_start();
	guard("redis GET", answers);
	server_end();
}

static void guard_messages(void)
{
	if (tool_exists("perf"))
		guard("sched messaging", messages);
	else
		figure_skipped("sched messaging", "no perf");
}

int main(void)
{
	need_root("guard");
	in_child(guard_server);
	in_child(guard_messages);
	return 0;
}
