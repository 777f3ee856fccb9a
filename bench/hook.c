/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What probes cost inside the kernel.
 *
 * First, an empty program on a typed hook against one on a classic tracepoint, by the CPU time of
 * the thread that triggers the hook.
 *
 * Second, the run time of the programs of `proc`, as the kernel counts it, against those of
 * execsnoop and exitsnoop for the same processes. All are attached at the same time. Both orders
 * are measured: the first program that wakes a thread pays for starting an idle CPU, and the later
 * ones do not. The kernel counts some 35 ns for an empty program; this is subtracted.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench.h"
#include "lib/source/bpf.h"
#include "tool.h"

#define RENAMES 10000
#define ROUNDS bench_rounds(31)
#define PROCESSES 400
#define PASSES bench_rounds(5)
#define ORDERS 2

/* ---- empty hooks ----------------------------------------------------------------------------- */

static double per_rename(void)
{
	uint64_t began = cpu_thread();

	for (unsigned i = 0; i < RENAMES; i++)
		prctl(PR_SET_NAME, "bench");
	return (double)(cpu_thread() - began) / RENAMES;
}

static void empty_hooks(void)
{
	static const char *const names[] = { "peer_rename_btf", "peer_rename_raw",
					     "peer_rename_classic" };
	struct samples added[3] = { { 0 } };
	struct peer *peer = peer_open(4096);

	pin(cpu_at(0));
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < 3; i++) {
			double without = per_rename();
			int link = peer_attach(peer, names[i]);

			samples_add(&added[i], per_rename() - without);
			close(link);
		}
	}
	figure("empty hook, tp_btf / tracepoint",
	       samples_median(&added[0]) / samples_median(&added[2]), AT_MOST, 0.6, "x",
	       "adds %.0f ns, raw_tp %.0f, classic %.0f", samples_median(&added[0]),
	       samples_median(&added[1]), samples_median(&added[2]));
	peer_close(peer);
}

static void share(struct ks *ks)
{
	static const uint32_t numbers[] = { KS_PROBE_PROC, KS_PROBE_FADVISE };
	unsigned typed = 0;

	for (unsigned i = 0; i < 2; i++) {
		struct ks_probe_info info = { .size = sizeof(info) };

		must(ks, ks_query_probe(ks, numbers[i], &info), "ks_query_probe");
		typed += !strcmp(info.variant_name, "tp_btf");
	}
	figure("probes of tracepoints on tp_btf", 100.0 * typed / 2, AT_LEAST, 100, "%", "%u of 2",
	       typed);
}

/* ---- programs for the same events ------------------------------------------------------------ */

#define IDS 64

/* A group of programs. Their run times are added. */
struct group {
	uint32_t ids[IDS];
	unsigned n;
	struct runs before, during; /* sums over the group */
	struct samples ns[ORDERS];  /* net run time per event */
};

static double median_of(const struct group *g)
{
	return (samples_median(&g->ns[0]) + samples_median(&g->ns[1])) / ORDERS;
}

static double min_of(const struct group *g)
{
	return (samples_min(&g->ns[0]) + samples_min(&g->ns[1])) / ORDERS;
}

static void add_own(struct ks *ks, const char *name, struct group *g)
{
	for (unsigned i = 0; ks->sources[i]; i++) {
		struct ks__bpf_client *client;
		struct ks__program_info info;

		if (ks->sources[i]->ops != &ks__source_bpf)
			continue;
		client = &ks__bpf_of(ks->sources[i])->clients[KS_PROBE_PROC];
		for (unsigned p = 0; p < client->state[client->attached].n; p++) {
			const struct ks__program *prog = &client->state[client->attached].progs[p];

			if (!strcmp(prog->name, name) && !ks__program_info(prog->fd, &info))
				g->ids[g->n++] = info.id;
		}
	}
}

static int ignore(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	return 0;
}

struct consumer {
	pthread_t thread;
	struct ks *ks;
	atomic_int stop;
	int reads;
};

static void *consume(void *user)
{
	struct consumer *c = user;

	while (!atomic_load(&c->stop)) {
		int rc = ks_poll(c->ks, -1, 0, ignore, NULL);

		if (rc != -EINTR)
			must(c->ks, rc, "ks_poll");
	}
	return NULL;
}

/* reads 0: no thread reads, so no record wakes a thread. */
static void consumer_start(struct consumer *c, uint32_t batch_ms, int reads)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_SYSTEM };

	c->ks = host_open(batch_ms, 0, 0);
	must(c->ks, ks_set_scope(c->ks, &scope), "ks_set_scope");
	must(c->ks, ks_enable_probe(c->ks, KS_PROBE_PROC, NULL), "ks_enable_probe");
	c->reads = reads;
	if (reads)
		pthread_create(&c->thread, NULL, consume, c);
}

static void consumer_stop(struct consumer *c)
{
	atomic_store(&c->stop, 1);
	if (c->reads) {
		ks_wakeup(c->ks);
		pthread_join(c->thread, NULL);
	}
	ks_close(c->ks);
}

enum { EMPTY, BATCHED, IMMEDIATE, UNREAD, TOOL, GROUPS };
#define HANDLES 3 /* BATCHED to UNREAD */

/* Adds samples of the net run time per event, ns: that of an empty program is subtracted. */
static void account(struct group groups[GROUPS], unsigned order)
{
	double floor, events;

	for (unsigned i = 0; i < GROUPS; i++) {
		struct runs now = programs_runs(groups[i].ids, groups[i].n);

		groups[i].during = (struct runs){ now.count - groups[i].before.count,
						  now.ns - groups[i].before.ns };
	}
	events = (double)groups[EMPTY].during.count;
	floor = (double)groups[EMPTY].during.ns / events;
	samples_add(&groups[EMPTY].ns[order], floor);
	for (unsigned i = BATCHED; i < GROUPS; i++)
		samples_add(&groups[i].ns[order],
			    ((double)groups[i].during.ns - floor * (double)groups[i].during.count) /
				    events);
}

static void report(const char *event, const char *tool, struct group g[GROUPS])
{
	double peer = median_of(&g[TOOL]);
	char name[64];

	if (!g[TOOL].n) {
		figure_skipped(event, "no libbpf-tools, or they do not run here");
		return;
	}
	snprintf(name, sizeof(name), "%s event / %s", event, tool);
	figure(name, median_of(&g[BATCHED]) / peer, AT_MOST, 0.15, "x",
	       "%.0f ns net (min %.0f), %s %.0f (min %.0f); an empty program %.0f",
	       median_of(&g[BATCHED]), min_of(&g[BATCHED]), tool, peer, min_of(&g[TOOL]),
	       median_of(&g[EMPTY]));
	figure("  with KS_IMMEDIATE", median_of(&g[IMMEDIATE]) / peer, AT_MOST, 1, "x",
	       "%.0f ns net (min %.0f)", median_of(&g[IMMEDIATE]), min_of(&g[IMMEDIATE]));
	figure_plain("  with no wake-ups at all", median_of(&g[UNREAD]) / peer, "x",
		     "%.0f ns net (min %.0f)", median_of(&g[UNREAD]), min_of(&g[UNREAD]));
}

static void consumers_start(struct consumer c[HANDLES], struct group exec[GROUPS],
			    struct group exits[GROUPS])
{
	consumer_start(&c[0], 0, 1);
	consumer_start(&c[1], KS_IMMEDIATE, 1);
	consumer_start(&c[2], 0, 0);
	for (unsigned i = 0; i < HANDLES; i++) {
		add_own(c[i].ks, "proc_exec_tp_btf", &exec[BATCHED + i]);
		add_own(c[i].ks, "proc_exit_tp_btf", &exits[BATCHED + i]);
	}
}

static void same_events(struct peer *peer, struct group exec[GROUPS], struct group exits[GROUPS],
			unsigned order)
{
	struct consumer c[HANDLES] = { { .stop = 0 } };
	pid_t tools[2];
	int links[2];

	for (unsigned i = 0; i < GROUPS; i++)
		exec[i].n = exits[i].n = 0;
	if (!order)
		consumers_start(c, exec, exits);
	tools[0] = tool_start_programs("execsnoop", 2, exec[TOOL].ids, IDS, &exec[TOOL].n);
	tools[1] = tool_start_programs("exitsnoop", 1, exits[TOOL].ids, IDS, &exits[TOOL].n);
	if (order)
		consumers_start(c, exec, exits);
	links[0] = peer_attach(peer, "peer_exec");
	links[1] = peer_attach(peer, "peer_exit");
	exec[EMPTY].ids[exec[EMPTY].n++] = program_id(peer_program(peer, "peer_exec"));
	exits[EMPTY].ids[exits[EMPTY].n++] = program_id(peer_program(peer, "peer_exit"));
	for (unsigned pass = 0; pass < PASSES; pass++) {
		for (unsigned i = 0; i < GROUPS; i++) {
			exec[i].before = programs_runs(exec[i].ids, exec[i].n);
			exits[i].before = programs_runs(exits[i].ids, exits[i].n);
		}
		make_processes(PROCESSES);
		account(exec, order);
		account(exits, order);
		host_drain(c[UNREAD - BATCHED].ks);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (tools[i])
			tool_stop(tools[i]);
		close(links[i]);
	}
	for (unsigned i = 0; i < HANDLES; i++)
		consumer_stop(&c[i]);
}

int main(void)
{
	struct group exec[GROUPS] = { { .n = 0 } }, exits[GROUPS] = { { .n = 0 } };
	struct peer *peer;
	struct ks *ks;

	need_root("hooks");
	in_child(empty_hooks);
	peer = peer_open(4096);
	ks = host_open(0, 0, 0);
	share(ks);
	ks_close(ks);
	stats_on();
	for (unsigned order = 0; order < ORDERS; order++)
		same_events(peer, exec, exits, order);
	report("exec", "execsnoop", exec);
	report("exit", "exitsnoop", exits);
	peer_close(peer);
	return 0;
}
