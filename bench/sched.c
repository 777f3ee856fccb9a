/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the probe `sched` costs in the kernel: the run time of its programs, as the kernel counts
 * it, against those of runqlat and cpudist for the same switches and wake-ups. All are attached at
 * the same time. Both orders are measured, since the first program that reads a thread's data finds
 * cold caches. The run time of an empty program on the same hook is subtracted from each run.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "lib/source/bpf.h"
#include "tool.h"

#define TURNS 20000
#define PASSES bench_rounds(7)
#define ORDERS 2
#define IDS 16

/* A group of programs. Their run times are added. */
struct group {
	uint32_t ids[IDS];
	unsigned n;
	struct runs before;
	struct samples ns[ORDERS]; /* net run time per switch */
};

/* The first three groups also have a group of only those programs that run at switches. */
enum { OWN, OTHER, RUNQLAT, CPUDIST, OWN_SWITCH, OTHER_SWITCH, EMPTY, GROUPS };

/* ---- workload -------------------------------------------------------------------------------- */

static void pass_on(int from, int to, int first)
{
	char c = 0;

	for (unsigned i = 0; i < TURNS; i++) {
		if (first && write(to, &c, 1) != 1)
			exit(1);
		if (read(from, &c, 1) != 1)
			exit(1);
		if (!first && write(to, &c, 1) != 1)
			exit(1);
	}
}

/* Two processes on one CPU wake each other and sleep: one wake-up per switch. */
static void ping_pong(void)
{
	int there[2], back[2];
	pid_t pid;

	if (pipe(there) || pipe(back))
		err(1, "pipe");
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pass_on(there[0], back[1], 0);
		_exit(0);
	}
	pass_on(back[0], there[1], 1);
	waitpid(pid, NULL, 0);
	close(there[0]), close(there[1]), close(back[0]), close(back[1]);
}

/* ---- programs -------------------------------------------------------------------------------- */

static void add(struct group *g, uint32_t id)
{
	if (g->n < sizeof(g->ids) / sizeof(*g->ids))
		g->ids[g->n++] = id;
}

static struct ks *own_start(uint32_t scope_kind, struct group *all, struct group *switches)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = scope_kind };
	struct ks *ks = host_open(0, 0, 0);

	must(ks, ks_set_scope(ks, &scope), "ks_set_scope");
	must(ks, ks_enable_probe(ks, KS_PROBE_SCHED, NULL), "ks_enable_probe");
	for (unsigned i = 0; ks->sources[i]; i++) {
		struct ks__bpf_client *client;
		struct ks__program_info info;

		if (ks->sources[i]->ops != &ks__source_bpf)
			continue;
		client = &ks__bpf_of(ks->sources[i])->clients[KS_PROBE_SCHED];
		for (unsigned p = 0; p < client->state[client->attached].n; p++) {
			const struct ks__program *prog = &client->state[client->attached].progs[p];

			if (!strcmp(prog->name, "sched_seed") || ks__program_info(prog->fd, &info))
				continue;
			add(all, info.id);
			if (!strncmp(prog->name, "sched_switch", strlen("sched_switch")))
				add(switches, info.id);
		}
	}
	return ks;
}

static void account(struct group groups[GROUPS], unsigned order)
{
	struct runs during[GROUPS];
	double floor;

	for (unsigned i = 0; i < GROUPS; i++) {
		during[i] = programs_runs(groups[i].ids, groups[i].n);
		during[i].count -= groups[i].before.count;
		during[i].ns -= groups[i].before.ns;
	}
	floor = (double)during[EMPTY].ns / (double)during[EMPTY].count;
	samples_add(&groups[EMPTY].ns[order], floor);
	for (unsigned i = 0; i < EMPTY; i++)
		samples_add(&groups[i].ns[order],
			    ((double)during[i].ns - floor * (double)during[i].count) /
				    (double)during[EMPTY].count);
}

static void same_events(struct peer *peer, struct group g[GROUPS], unsigned order)
{
	struct ks *own[2] = { NULL };
	pid_t tools[2] = { 0 };
	int link;

	for (unsigned i = 0; i < GROUPS; i++)
		g[i].n = 0;
	for (unsigned i = 0; i < 2; i++) {
		if (i == order) {
			own[0] = own_start(KS_SCOPE_SYSTEM, &g[OWN], &g[OWN_SWITCH]);
			own[1] = own_start(KS_SCOPE_SELF, &g[OTHER], &g[OTHER_SWITCH]);
			continue;
		}
		tools[0] = tool_start_programs("runqlat", 3, g[RUNQLAT].ids, IDS, &g[RUNQLAT].n);
		tools[1] = tool_start_programs("cpudist", 1, g[CPUDIST].ids, IDS, &g[CPUDIST].n);
	}
	link = peer_attach(peer, "peer_switch");
	add(&g[EMPTY], program_id(peer_program(peer, "peer_switch")));
	for (unsigned pass = 0; pass < PASSES; pass++) {
		for (unsigned i = 0; i < GROUPS; i++)
			g[i].before = programs_runs(g[i].ids, g[i].n);
		in_child(ping_pong);
		account(g, order);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (tools[i])
			tool_stop(tools[i]);
		ks_close(own[i]);
	}
	close(link);
}

/* ---- figures --------------------------------------------------------------------------------- */

static double median_of(const struct group *g)
{
	return (samples_median(&g->ns[0]) + samples_median(&g->ns[1])) / ORDERS;
}

static double min_of(const struct group *g)
{
	return (samples_min(&g->ns[0]) + samples_min(&g->ns[1])) / ORDERS;
}

static void report(const char *event, const char *name, const struct group *own,
		   const struct group *other, const struct group *peer, double floor)
{
	char title[64];

	snprintf(title, sizeof(title), "%s / %s", event, name);
	if (!peer->n) {
		figure_skipped(title, "no libbpf-tools, or they do not run here");
		return;
	}
	figure(title, median_of(own) / median_of(peer), AT_MOST, 0.5, "x",
	       "%.0f ns net (min %.0f), first %.0f, last %.0f; %s %.0f (min %.0f); "
	       "an empty one %.0f",
	       median_of(own), min_of(own), samples_median(&own->ns[0]),
	       samples_median(&own->ns[1]), name, median_of(peer), min_of(peer), floor);
	figure_plain("  out of scope", median_of(other) / median_of(peer), "x",
		     "%.0f ns net (min %.0f)", median_of(other), min_of(other));
}

int main(void)
{
	struct group g[GROUPS] = { { .n = 0 } };
	struct peer *peer;

	need_root("sched");
	pin(cpu_at(0));
	peer = peer_open(4096);
	stats_on();
	for (unsigned order = 0; order < ORDERS; order++)
		same_events(peer, g, order);
	report("switch and wake-up", "runqlat", &g[OWN], &g[OTHER], &g[RUNQLAT],
	       median_of(&g[EMPTY]));
	report("switch", "cpudist", &g[OWN_SWITCH], &g[OTHER_SWITCH], &g[CPUDIST],
	       median_of(&g[EMPTY]));
	peer_close(peer);
	return 0;
}
