/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_facts.c - what is possible on this machine: common requirements, variants, constants */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asm/unistd.h>

#include "../bpf/answer.h"
#include "../bpf/machine.h"
#include "../base/text.h"
#include "../files/columns.h"
#include "../files/facts.h"
#include "bpf.h"

/* Inode numbers of the initial namespaces, fixed by the kernel. */
#define PID_NS_INITIAL 0xeffffffcu
#define TIME_NS_INITIAL 0xeffffffau

void ks__bpf_refuse(struct ks__bpf *b, struct ks__bpf_client *c, int index, int error,
		    const char *reason)
{
	struct ks__bpf_variant *v = &c->state[index];

	v->note.error = error;
	v->again = ks__answer(error) != KS__ANSWER_FINAL || ks__machine_locked(b->base.ks, error);
	ks__errors_print(v->note.reason, sizeof(v->note.reason), "%s", reason);
	ks__log(b->base.ks, KS_LOG_INFO, "%s by %s: %s", c->name, c->variants[index].name, reason);
}

void ks__bpf_reopen(struct ks__bpf *b, uint32_t mask)
{
	if (b->again) {
		b->ready = b->again = 0;
		mask = UINT32_MAX;
	}
	for (unsigned c = 0; c < KS__BPF_CLIENTS; c++) {
		struct ks__bpf_client *client = &b->clients[c];

		for (unsigned i = 0; i < client->n_variants && mask & 1u << c; i++) {
			struct ks__bpf_variant *v = &client->state[i];

			if (v->again)
				memset(&v->note, 0, sizeof(v->note));
			v->again = 0;
		}
	}
}

/* ---- the ground: what every kernel program needs --------------------------------------------- */

static int make_variants(struct ks__bpf *b, struct ks__bpf_client *c)
{
	unsigned n = 0;

	while (c->variants && c->variants[n].name)
		n++;
	if (!n)
		return 0;
	c->state = calloc(n, sizeof(*c->state));
	if (!c->state)
		return -ENOMEM;
	c->n_variants = n;
	atomic_fetch_add(&b->variants_bytes, c->n_variants * sizeof(*c->state));
	for (unsigned i = 0; i < c->n_variants; i++) {
		struct ks__bpf_variant *v = &c->state[i];

		for (; v->n < KS__PROGS_MAX && c->variants[i].progs[v->n]; v->n++) {
			v->progs[v->n].name = c->variants[i].progs[v->n];
			v->progs[v->n].hook.kind = KS__HOOK_NONE;
			v->progs[v->n].fd = -1;
		}
	}
	return 0;
}

static int read_hooks(struct ks__bpf *b)
{
	struct ks__program **progs;
	unsigned n = 0;
	int rc;

	for (unsigned c = 0; c < KS__BPF_CLIENTS; c++)
		for (unsigned i = 0; i < b->clients[c].n_variants; i++)
			n += b->clients[c].state[i].n;
	progs = calloc(n + 1, sizeof(struct ks__program *));
	if (!progs)
		return -ENOMEM;
	n = 0;
	for (unsigned c = 0; c < KS__BPF_CLIENTS; c++)
		for (unsigned i = 0; i < b->clients[c].n_variants; i++)
			for (unsigned p = 0; p < b->clients[c].state[i].n; p++)
				progs[n++] = &b->clients[c].state[i].progs[p];
	rc = ks__unit_hooks(progs, n, &b->features.types);
	for (unsigned i = 0; i < n && !rc; i++)
		rc = ks__hook_expect(&progs[i]->hook, &b->features.types);
	if (!rc)
		rc = ks__types_expect(&b->features.types, KS__BTF_EVENT, "sched_process_exit");
	if (!rc)
		rc = ks__types_expect(&b->features.types, KS__BTF_EVENT, "sched_switch");
	free(progs);
	return rc;
}

/*
 * Before Linux 5.11, maps count against RLIMIT_MEMLOCK. There the raised limit stays, since another
 * handle may rely on it for a load.
 */
static int stays_raised(struct ks__bpf *b)
{
	int rc = ks__feature(&b->features, KS__FEATURE_MEMCG);

	return rc && !ks__answer_ends(rc) && !ks__feature(&b->features, KS__FEATURE_BPF);
}

/* -1: unknown; whoami() asks the kernel. */
static void find_namespaces(struct ks__bpf *b)
{
	struct stat st;

	if (fstatat(b->base.ks->proc_fd, "self/ns/pid", &st, 0))
		b->nested = -1;
	else
		b->nested = st.st_ino != PID_NS_INITIAL;
	if (!fstatat(b->base.ks->proc_fd, "self/ns/time", &st, 0) ||
	    !stat("/proc/self/ns/time", &st))
		b->shifted = st.st_ino != TIME_NS_INITIAL;
	else
		b->shifted = b->nested < 0 ? -1 : 0; /* a kernel without time namespaces */
}

static int test_ground(struct ks__bpf *b)
{
	static const enum ks__feature_id all[] = { KS__FEATURE_BPF, KS__FEATURE_MMAP,
						   KS__FEATURE_BTF };
	struct rlimit old;
	int raised = ks__machine_raise_memlock(b->base.ks, &old);

	b->error = 0;
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]) && !b->error; i++) {
		b->error = ks__feature(&b->features, all[i]);
		snprintf(b->reason, sizeof(b->reason), "%s", b->features.by_id[all[i]].reason);
	}
	if (raised && !stays_raised(b))
		setrlimit(RLIMIT_MEMLOCK, &old);
	if (ks__answer_ends(b->error))
		return ks__fail(b->base.ks, b->error, "%s", b->reason);
	b->again = ks__answer(b->error) != KS__ANSWER_FINAL ||
		   ks__machine_locked(b->base.ks, b->error);
	find_namespaces(b);
	return 0;
}

/* Cheap tests of one variant. Returns an error only if the process lacks a resource. */
static int gate(struct ks__bpf *b, struct ks__bpf_client *c, int index)
{
	struct ks__bpf_variant *v = &c->state[index];
	char why[256] = "";
	int rc = b->error;

	if (rc) {
		snprintf(why, sizeof(why), "%s", b->reason);
	} else if (b->nested && c->variants[index].initial_pidns) {
		rc = -KS_EUNAVAIL;
		snprintf(why, sizeof(why), "it reports pids of the initial pid namespace, and %s",
			 b->nested > 0 ?
				 "this process is in another one" :
				 "without procfs it is unknown whether this process is in that "
				 "one: mount procfs, or name it in proc_path");
	}
	for (unsigned i = 0; i < v->n && !rc; i++)
		rc = ks__hook_possible(&v->progs[i].hook, &b->features, why, sizeof(why));
	if (ks__answer_ends(rc))
		return ks__fail(b->base.ks, rc, "%s", why);
	if (rc)
		ks__bpf_refuse(b, c, index, rc, why);
	return 0;
}

uint64_t ks__bpf_lacks(struct ks__types *types, const struct ks__need *needs)
{
	uint64_t lacks = 0;

	for (const struct ks__need *n = needs; n && n->bit; n++)
		if (ks__types_member(types, n->type, n->member) == 0)
			lacks |= n->bit;
	return lacks;
}

static void read_lacks(struct ks__bpf *b)
{
	for (const struct ks__probe *const *p = ks__probes; *p; p++)
		b->clients[(*p)->id].lacks = ks__bpf_lacks(&b->features.types, (*p)->needs);
}

int ks__bpf_setup(struct ks__bpf *b)
{
	int rc = 0;

	if (b->ready)
		return 0;
	/* a file that cannot be read now may be readable later: no result is kept */
	if (!ks__fds_are_own(&b->base.ks->fds))
		return ks__fail_closed(b->base.ks);
	for (unsigned c = 0; c < KS__BPF_CLIENTS && !rc; c++)
		if (!b->clients[c].state)
			rc = make_variants(b, &b->clients[c]);
	if (!rc)
		rc = read_hooks(b);
	if (!rc)
		rc = test_ground(b);
	for (unsigned c = 0; c < KS__BPF_CLIENTS && !rc; c++)
		for (unsigned i = 0; i < b->clients[c].n_variants && !rc; i++)
			rc = gate(b, &b->clients[c], (int)i);
	if (!rc && !b->error)
		read_lacks(b);
	b->ready = !rc;
	return rc;
}

/* ---- constants of the programs --------------------------------------------------------------- */

/* Gets a number of 64 bits, which ks_whoami returns in two halves. */
static int ask(int fd, enum ks_bpf_whoami low, uint64_t *ret)
{
	uint32_t half[2] = { 0 };
	int rc = ks__program_run(fd, low, &half[0]);

	if (!rc)
		rc = ks__program_run(fd, low + 1, &half[1]);
	*ret = half[0] | (uint64_t)half[1] << 32;
	return rc;
}

/*
 * Up to about Linux 5.11, start times in /proc ignore the time namespace. The file of the calling
 * thread shows which kind this kernel has.
 */
static uint64_t shift_of_ticks(struct ks__bpf *b, uint64_t boot_ns, uint64_t start_ns)
{
	char text[1024];
	struct ks__stat stat;
	ssize_t n = ks__text_read(b->base.ks->proc_fd, "thread-self/stat", text, sizeof(text));

	if (n > 0 && !ks__columns_stat(text, (size_t)n, &stat) &&
	    stat.column[KS__STAT_START] == start_ns / b->consts.tick_ns)
		return 0;
	return boot_ns;
}

static int ask_all(struct ks__bpf *b, int fd, void *user)
{
	struct ks_bpf_const *c = &b->consts;
	uint64_t boot_ns = 0, start_ns = 0;
	uint32_t pid = 0;
	int rc = b->nested ? ks__program_run(fd, KS_WHOAMI_PID, &pid) : 0;

	(void)user;
	if (!rc && b->shifted)
		rc = ask(fd, KS_WHOAMI_MONO_LOW, &c->mono_ns);
	if (!rc && b->shifted)
		rc = ask(fd, KS_WHOAMI_BOOT_LOW, &boot_ns);
	if (!rc && boot_ns)
		rc = ask(fd, KS_WHOAMI_START_LOW, &start_ns);
	if (!rc && boot_ns)
		c->boot_ns = shift_of_ticks(b, boot_ns, start_ns);
	c->pid_level = pid >> 24; /* the other bits: the pid of this process */
	return rc;
}

/* Loads a program, runs it once in the calling thread and closes it. 0 or -errno. */
static int ask_once(struct ks__bpf *b, const char *name,
		    int (*ask_it)(struct ks__bpf *b, int fd, void *user), void *user, char *why,
		    size_t size)
{
	struct ks__program once = { .name = name, .hook.kind = KS__HOOK_NONE, .fd = -1 };
	struct ks__program *progs[] = { &once };
	struct ks__maps maps;
	struct ks__unit unit = { .features = &b->features,
				 .consts = &b->consts,
				 .maps = &maps,
				 .n_cpus = b->base.ks->n_cpus,
				 .n_pids = 1,
				 .progs = progs,
				 .n_progs = 1 };
	int rc;

	ks__maps_init(&maps, &b->base.ks->fds);
	rc = ks__unit_load(&unit, why, size);
	if (once.error)
		snprintf(why, size, "%s", once.reason);
	if (!rc) {
		rc = ask_it(b, once.fd, user);
		if (rc)
			ks__machine_bpf(b->base.ks, "running a program (Linux 5.10)", rc, why,
					size);
	}
	ks__program_close(&once, maps.fds);
	ks__maps_close(&maps);
	return rc;
}

/*
 * Gets the level of this process's pid namespace and the offsets of its time namespace: a program
 * that runs in the calling thread can read them.
 */
static int whoami(struct ks__bpf *b, char *why, size_t size)
{
	return ask_once(b, "ks_whoami", ask_all, NULL, why, size);
}

struct level {
	int dir_fd;
	uint32_t level;
};

static int ask_level(struct ks__bpf *b, int fd, void *user)
{
	struct level *l = user;

	(void)b;
	return ks__program_run(fd, (uint64_t)l->dir_fd, &l->level);
}

uint32_t ks__bpf_cgroup_level(struct ks__bpf *b, int dir_fd)
{
	char why[256] = "";
	struct level ask = { .dir_fd = dir_fd };
	int rc = dir_fd;

	if (rc >= 0)
		rc = ask_once(b, "ks_cgroup_level", ask_level, &ask, why, sizeof(why));
	if (!ask.level)
		ks__log(b->base.ks, KS_LOG_WARNING,
			"the depth of the scope's cgroup is unknown (%s): tasks more than 32 "
			"cgroups below it are not watched (1,024 where the kernel has "
			"bpf_iter_num_next())",
			why[0] ? why :
			rc < 0 ? ks_error_name(rc) :
				 "its folder is not one of kernfs");
	return ask.level;
}

/*
 * Finds the argument of sched_switch that holds the state of the thread that leaves its CPU. The
 * arguments are (preempt, prev, next, state), in some kernels (preempt, state, prev, next).
 */
static uint32_t prev_state(struct ks__types *types)
{
	if (ks__types_args(types, "sched_switch") != 4)
		return KS_PREV_STATE_NONE;
	return ks__types_arg_is_pointer(types, "sched_switch", 1) ? KS_PREV_STATE_LAST :
								    KS_PREV_STATE_SECOND;
}

/*
 * Does the kernel have this feature? Sets *rc if the answer is temporary: a constant stays for the
 * life of the handle, so it must not rest on such an answer.
 */
static int has(struct ks__features *f, enum ks__feature_id id, int *rc, char *why, size_t size)
{
	int error = ks__feature(f, id);

	if (error && !f->by_id[id].tried && !*rc) {
		*rc = error;
		snprintf(why, size, "%s", f->by_id[id].reason);
	}
	return !error;
}

static void type_ids(struct ks__types *types, struct ks_bpf_const *c)
{
	c->task_type = ks__types_id(types, KS__BTF_TYPE, "task_struct");
	c->inode_type = ks__types_id(types, KS__BTF_TYPE, "inode");
	c->cgroup_type = ks__types_id(types, KS__BTF_TYPE, "cgroup");
	c->prev_state = prev_state(types);
	c->folio_type = ks__types_id(types, KS__BTF_TYPE, "folio");
	c->exit_has_group_dead = ks__types_args(types, "sched_process_exit") == 2;
}

int ks__bpf_consts(struct ks__bpf *b, int by_pointer, char *why, size_t size)
{
	struct ks__features *f = &b->features;
	struct ks_bpf_const *c = &b->consts;
	uint32_t n_cpus = b->base.ks->n_cpus;
	int rc;

	if (b->have_consts)
		return 0;
	rc = ks__types_own(&f->types, why, size);
	if (!ks__answer_ends(rc))
		rc = 0; /* variants that need BTF are refused already */
	c->ring = has(f, KS__FEATURE_RINGBUF, &rc, why, size);
	c->task_storage = !by_pointer && has(f, KS__FEATURE_TASK_STORAGE, &rc, why, size) &&
			  has(f, KS__FEATURE_TP_BTF, &rc, why, size);
	c->atomic_fetch = has(f, KS__FEATURE_ATOMIC_FETCH, &rc, why, size);
	c->rdonly_cast = has(f, KS__FEATURE_RDONLY_CAST, &rc, why, size);
	c->iter_num = has(f, KS__FEATURE_ITER_NUM, &rc, why, size);
	c->kernel_reads = has(f, KS__FEATURE_KERNEL_READS, &rc, why, size);
	c->own_guard = has(f, KS__FEATURE_OWN_GUARD, &rc, why, size);
	has(f, KS__FEATURE_PERF_MISSES, &rc, why, size); /* now: ks__bpf_ledger() must not */
	if (rc)
		return rc;
	why[0] = '\0';
	type_ids(&f->types, c);
	rc = ks__facts_memcg(b->base.ks->proc_fd);
	if (ks__text_shortage(rc)) {
		snprintf(why, size, "/proc/cgroups cannot be read now: %s", ks_strerror(rc));
		return rc;
	}
	c->memcg_v1 = rc == 1;
	rc = 0;
	c->n_rings = n_cpus < KS_BPF_RINGS ? n_cpus : KS_BPF_RINGS;
	c->nr_fadvise64 = __NR_fadvise64;
	c->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	c->n_cpus = n_cpus;
	c->n_threads = b->base.ks->opts.max_threads;
	c->tick_ns = (uint32_t)ks__columns_tick_ns();
	if (b->nested || b->shifted)
		rc = whoami(b, why, size);
	b->have_consts = !rc;
	return rc;
}
