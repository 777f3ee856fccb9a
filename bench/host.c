/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the library costs an idle host: memory; and CPU time and wake-ups in five seconds in which
 * all probes are on and no event is in scope.
 */
#include <err.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define IDLE_NS 5000000000ull

static const uint32_t numbers[] = { KS_PROBE_PROC, KS_PROBE_FADVISE, KS_PROBE_SCHED,
				    KS_PROBE_PAGECACHE };

#define N_PROBES (sizeof(numbers) / sizeof(numbers[0]))

/* Reads the number behind a name in a file like /proc/PID/status. */
static long field(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	char line[256];
	long value = -1;

	if (!f)
		err(1, "%s", path);
	while (value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			value = strtol(line + strlen(name), NULL, 10);
	fclose(f);
	return value;
}

static double mib(const char *name)
{
	return (double)field("/proc/self/status", name) / 1024;
}

static struct ks *enable_all(void)
{
	struct ks *ks = host_open(0, 0, 0);

	must(ks, ks_prepare(ks, numbers, N_PROBES), "ks_prepare");
	for (unsigned i = 0; i < N_PROBES; i++)
		must(ks, ks_enable_probe(ks, numbers[i], NULL), "ks_enable_probe");
	return ks;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void memory(void)
{
	double anon = mib("RssAnon:"), rss = mib("VmRSS:"), untrimmed, trimmed;
	struct ks *ks = enable_all();

	untrimmed = mib("RssAnon:") - anon;
	malloc_trim(0);
	trimmed = mib("RssAnon:") - anon;
	figure("memory added", trimmed, AT_MOST, 2, "MiB",
	       "after malloc_trim(); %.1f before it, until malloc gives it back", untrimmed);
	figure("  at the peak", mib("VmHWM:") - rss, AT_MOST, 20, "MiB",
	       "while loading; pages of rings and of libraries included");
	ks_close(ks);
}

/* ---- idle ------------------------------------------------------------------------------------ */

struct consumer {
	struct ks *ks;
	atomic_int tid, stop;
	uint64_t records;
};

static int on_event(const struct ks_event *ev, void *user)
{
	struct consumer *c = user;

	(void)ev;
	c->records++;
	return 0;
}

static void *consume(void *user)
{
	struct consumer *c = user;

	atomic_store(&c->tid, gettid());
	while (!atomic_load(&c->stop))
		must(c->ks, ks_poll(c->ks, -1, 0, on_event, c), "ks_poll");
	return NULL;
}

struct usage {
	uint64_t cpu_ns;
	long switches;
};

/* Reads the context switches and CPU time of a thread of this process. */
static struct usage usage_of(int tid)
{
	struct usage u;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	u.switches = field(path, "voluntary_ctxt_switches:");
	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", tid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%lu", &u.cpu_ns) != 1)
		errx(1, "%s", path);
	fclose(f);
	return u;
}

static uint64_t filtered(struct ks *ks)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_reader *reader;
	uint64_t n;

	must(ks, ks_reader_new(ks, KS_PROBE_SELF, NULL, &reader), "ks_reader_new");
	must(ks, ks_read_stats(reader, &stats), "ks_read_stats");
	n = ((const struct ks_stats_self *)ks_stats_row(&stats, 0))->filtered;
	ks_reader_free(reader);
	return n;
}

static void idle(void)
{
	/* On a busy machine this process waits for a CPU. That must not become an event. */
	const struct ks_param wait = { .id = KS_SCHED_PARAM_WAIT_NS, .value = 0 };
	struct consumer c = { .ks = enable_all() };
	struct usage before, after;
	uint64_t runs, cpu;
	pthread_t thread;

	must(c.ks, ks_configure_probe(c.ks, KS_PROBE_SCHED, &wait, 1), "ks_configure_probe");
	pthread_create(&thread, NULL, consume, &c); /* the last event in scope */
	nap(500000000);
	before = usage_of(atomic_load(&c.tid));
	runs = filtered(c.ks);
	cpu = cpu_process();
	nap(bench_ns(IDLE_NS));
	cpu = cpu_process() - cpu;
	after = usage_of(atomic_load(&c.tid));
	runs = filtered(c.ks) - runs;
	figure("5 s idle: wake-ups", (double)(after.switches - before.switches), AT_MOST, 0, "",
	       "all probes on, scope self, consumer in ks_poll(-1); %lu runs for others filtered",
	       (unsigned long)runs);
	figure("  CPU of the consumer", (double)(after.cpu_ns - before.cpu_ns), AT_MOST, 0, "ns",
	       "the whole process, this measurement included: %.0f us", (double)cpu / 1e3);
	atomic_store(&c.stop, 1);
	ks_wakeup(c.ks);
	pthread_join(thread, NULL);
	ks_close(c.ks);
}

int main(void)
{
	need_root("host");
	in_child(memory);
	in_child(idle);
	return 0;
}
