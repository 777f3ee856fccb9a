/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_load.c - which variants are possible here, loading and attaching them */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asm/unistd.h>

#include "../bpf/machine.h"
#include "bpf.h"

#define PID_NS_FIRST 0xeffffffcu /* inode of the first pid namespace, fixed by the kernel */
#define PIDS_OF_TREE 32768       /* processes of a tree that live at one time */
#define PIDS_OTHERWISE 8192      /* twice the most that a scope names: old and new ones together */
#define PROGS_MAX (KS__BPF_USERS * KS__PROGS_MAX)

static const char *const common_maps[] = { "ks_control", "ks_cpus", "ks_buckets", "ks_rings",
					   "ks_perf", "ks_pids", NULL };

/* Out of something that the host has to give: no fault of a variant, worth another try. */
static int is_shortage(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

static void close_way(struct ks__bpf *b, struct ks__bpf_user *u, int way, int error,
		      const char *reason)
{
	struct ks__bpf_way *w = &u->ways[way];

	w->note.error = error;
	snprintf(w->note.reason, sizeof(w->note.reason), "%s", reason);
	ks__log(b->base.ks, KS_LOG_INFO, "%s by %s: %s", u->name, u->variants[way].name, reason);
}

/* ---- the ground: what all programs need ------------------------------------------------------------ */

static int user_ways(struct ks__bpf_user *u)
{
	while (u->variants && u->variants[u->n_ways].name)
		u->n_ways++;
	if (!u->n_ways)
		return 0;
	u->ways = calloc(u->n_ways, sizeof(*u->ways));
	if (!u->ways)
		return -ENOMEM;
	for (unsigned i = 0; i < u->n_ways; i++) {
		struct ks__bpf_way *w = &u->ways[i];

		for (; w->n < KS__PROGS_MAX && u->variants[i].progs[w->n]; w->n++) {
			w->progs[w->n].name = u->variants[i].progs[w->n];
			w->progs[w->n].hook.kind = KS__HOOK_NONE;
			w->progs[w->n].fd = -1;
		}
	}
	return 0;
}

static int read_hooks(struct ks__bpf *b)
{
	struct ks__program *progs[KS__BPF_USERS * KS__VARIANTS_MAX * KS__PROGS_MAX];
	unsigned n = 0;
	int rc;

	for (unsigned u = 0; u < KS__BPF_USERS; u++)
		for (unsigned i = 0; i < b->users[u].n_ways; i++)
			for (unsigned p = 0; p < b->users[u].ways[i].n; p++)
				progs[n++] = &b->users[u].ways[i].progs[p];
	rc = ks__unit_hooks(progs, n);
	for (unsigned i = 0; i < n && !rc; i++)
		rc = ks__hook_expect(&progs[i]->hook, &b->features.types);
	if (!rc)
		rc = ks__types_expect(&b->features.types, KS__BTF_EVENT, "sched_process_exit");
	return rc;
}

static int test_ground(struct ks__bpf *b)
{
	static const enum ks__feature_id all[] = { KS__FEATURE_BPF, KS__FEATURE_MMAP,
						   KS__FEATURE_BTF };
	struct stat st;

	b->error = 0;
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]) && !b->error; i++) {
		b->error = ks__feature(&b->features, all[i]);
		snprintf(b->reason, sizeof(b->reason), "%s", b->features.by_id[all[i]].reason);
	}
	if (is_shortage(b->error))
		return ks__fail(b->base.ks, b->error, "%s", b->reason);
	b->nested = !fstatat(b->base.ks->proc_fd, "self/ns/pid", &st, 0) && st.st_ino != PID_NS_FIRST;
	return 0;
}

/* Cheap tests of one way. Only a shortage is an error. */
static int gate(struct ks__bpf *b, struct ks__bpf_user *u, int way)
{
	struct ks__bpf_way *w = &u->ways[way];
	char why[256] = "";
	int rc = b->error;

	if (rc) {
		snprintf(why, sizeof(why), "%s", b->reason);
	} else if (b->nested && u->variants[way].first_pidns) {
		rc = -KS_EUNAVAIL;
		snprintf(why, sizeof(why), "its process ids are those of the first pid namespace, and "
			 "this process is in another one");
	}
	for (unsigned i = 0; i < w->n && !rc; i++)
		rc = ks__hook_possible(&w->progs[i].hook, &b->features, why, sizeof(why));
	if (is_shortage(rc))
		return ks__fail(b->base.ks, rc, "%s", why);
	if (rc)
		close_way(b, u, way, rc, why);
	return 0;
}

int ks__bpf_setup(struct ks__bpf *b)
{
	int rc = 0;

	if (b->ready)
		return 0;
	for (unsigned u = 0; u < KS__BPF_USERS && !rc; u++)
		if (!b->users[u].ways)
			rc = user_ways(&b->users[u]);
	if (!rc)
		rc = read_hooks(b);
	if (!rc)
		rc = test_ground(b);
	for (unsigned u = 0; u < KS__BPF_USERS && !rc; u++)
		for (unsigned i = 0; i < b->users[u].n_ways && !rc; i++)
			rc = gate(b, &b->users[u], (int)i);
	b->ready = !rc;
	return rc;
}

int ks__bpf_choose(const struct ks__bpf *b, uint32_t user, const char *variant)
{
	const struct ks__bpf_user *u = &b->users[user];

	for (unsigned i = 0; i < u->n_ways; i++)
		if (!u->ways[i].note.error && (!variant || !strcmp(u->variants[i].name, variant)))
			return (int)i;
	return -1;
}

/* ---- constants of the programs ----------------------------------------------------------------------- */

/* The level of our pid namespace: a program that is run on ourselves sees it. */
static int pid_level(struct ks__bpf *b, uint32_t *ret_level, char *why, size_t size)
{
	struct ks__program whoami = { .name = "ks_whoami", .fd = -1 }, *progs[] = { &whoami };
	struct ks__maps maps;
	struct ks__unit unit = { .features = &b->features, .consts = &b->consts, .maps = &maps,
				 .n_cpus = b->base.ks->n_cpus, .n_pids = 1, .progs = progs,
				 .n_progs = 1 };
	int rc;

	ks__maps_init(&maps);
	rc = ks__unit_load(&unit, why, size);
	if (whoami.error)
		snprintf(why, size, "%s", whoami.reason);
	if (!rc) {
		rc = ks__program_run(whoami.fd);
		if (rc < 0)
			ks__machine_bpf(b->base.ks, "running a program (Linux 5.10)", rc, why, size);
	}
	ks__program_close(&whoami);
	ks__maps_close(&maps);
	if (rc < 0)
		return rc;
	*ret_level = (uint32_t)rc >> 24; /* below it: our own number */
	return 0;
}

/* Each line of /proc/cgroups is: controller, number of its v1 hierarchy (0: it is on v2), … */
static int memcg_on_v1(const struct ks *ks)
{
	char text[2048];
	const char *line;

	if (ks__machine_text(ks->proc_fd, "cgroups", text, sizeof(text)) <= 0)
		return 0;
	line = strstr(text, "\nmemory\t");
	return line && atoi(line + 8) != 0;
}

static int find_consts(struct ks__bpf *b, char *why, size_t size)
{
	struct ks__features *f = &b->features;
	struct ks_bpf_const *c = &b->consts;
	uint32_t n_cpus = b->base.ks->n_cpus;
	int rc = 0;

	if (b->have_consts)
		return 0;
	c->ring = !ks__feature(f, KS__FEATURE_RINGBUF);
	c->task_storage = !ks__feature(f, KS__FEATURE_TASK_STORAGE);
	c->atomic_fetch = !ks__feature(f, KS__FEATURE_ATOMIC_FETCH);
	c->rdonly_cast = !ks__feature(f, KS__FEATURE_RDONLY_CAST);
	c->own_guard = !ks__feature(f, KS__FEATURE_OWN_GUARD);
	c->memcg_v1 = (uint32_t)memcg_on_v1(b->base.ks);
	c->n_rings = n_cpus < KS_BPF_RINGS ? n_cpus : KS_BPF_RINGS;
	c->exit_has_group_dead = ks__types_args(&f->types, "sched_process_exit") == 2;
	c->nr_fadvise64 = __NR_fadvise64;
	ks__feature(f, KS__FEATURE_PERF_MISSES); /* ks__bpf_book() must not try it */
	if (b->nested)
		rc = pid_level(b, &c->pid_level, why, size);
	b->have_consts = !rc;
	return rc;
}

/* ---- loading --------------------------------------------------------------------------------------- */

struct pick {
	struct ks__bpf_user *user;
	uint32_t number;
	int way;
};

static void count_resources(struct ks__bpf *b)
{
	uint64_t bytes = 0;
	unsigned fds = 0;

	for (unsigned i = 0; i < b->maps.n; i++) {
		if (b->maps.map[i].fd < 0)
			continue;
		bytes += b->maps.map[i].bytes;
		fds++;
	}
	for (unsigned u = 0; u < KS__BPF_USERS; u++) {
		fds += atomic_load(&b->users[u].n_links);
		for (unsigned i = 0; i < b->users[u].n_ways; i++)
			if (b->users[u].ways[i].loaded)
				fds += b->users[u].ways[i].n;
	}
	atomic_store(&b->map_bytes, bytes);
	atomic_store(&b->n_fds, fds);
}

static int open_stream(struct ks__bpf *b, char *why, size_t size)
{
	struct ks *ks = b->base.ks;
	struct ks__map *rings = ks__maps_find(&b->maps, "ks_rings");
	struct ks__map *perf = ks__maps_find(&b->maps, "ks_perf");
	struct ks__stream_opts opts = {
		.epoll_fd = ks->epoll_fd,
		.batch_ms = ks->opts.batch_ms,
		.ring_bytes = ks->opts.ring_bytes,
		.n_cpus = ks->n_cpus,
		.cpus = (const void *)atomic_load(&b->tables.cpus.mem),
		.perf_map_fd = perf ? perf->fd : -1,
	};
	struct ks__stream *stream;
	int fds[KS_BPF_RINGS], rc;
	unsigned n;

	if (!rings && !perf)
		return -ENOENT;
	rc = ks__stream_open(&opts, &stream, why, size);
	if (rc)
		return rc;
	n = ks__stream_rings(stream);
	for (unsigned i = 0; i < n; i++)
		fds[i] = ks__stream_ring_fd(stream, i);
	if (n)
		rc = ks__map_put_fds(rings->fd, fds, n);
	if (rc)
		ks__stream_close(stream, 1);
	else
		atomic_store(&b->stream, stream);
	return rc;
}

/* User space's ends of the maps of a unit that was loaded. */
static int wire(struct ks__bpf *b, const struct pick *picks, unsigned n, char *why, size_t size)
{
	struct ks__map *control = ks__maps_find(&b->maps, "ks_control");
	struct ks__map *cpus = ks__maps_find(&b->maps, "ks_cpus");
	int rc = control && cpus ? 0 : -ENOENT;

	if (!rc && !b->control.map)
		rc = ks__control_map(&b->control, control->fd);
	if (!rc)
		rc = ks__table_map(&b->tables.cpus, cpus->fd, cpus->value_size, b->base.ks->n_cpus);
	for (unsigned i = 0; i < n && !rc; i++) {
		const char *const *maps = picks[i].user->maps;
		struct ks__map *stats = maps ? ks__maps_find(&b->maps, maps[0]) : NULL;

		if (stats)
			rc = ks__table_map(&b->tables.stats[picks[i].number], stats->fd,
					   stats->value_size, b->base.ks->n_cpus);
	}
	if (!rc && !atomic_load(&b->stream)) {
		rc = ks__bpf_fill_pids(b);
		if (!rc)
			rc = open_stream(b, why, size);
	}
	if (rc && !why[0])
		snprintf(why, size, "maps cannot be used (%s)", ks_error_name(rc));
	return rc;
}

/* Back to the maps of before; the first unit leaves nothing at all. */
static void unwire(struct ks__bpf *b, const struct ks__maps *before)
{
	for (unsigned i = 0; i < KS__UNIT_MAPS; i++)
		if (b->maps.map[i].fd >= 0 && before->map[i].fd < 0)
			close(b->maps.map[i].fd);
	b->maps = *before;
	if (atomic_load(&b->stream))
		return;
	ks__control_unmap(&b->control);
	ks__tables_unmap(&b->tables);
}

static int load_picks(struct ks__bpf *b, const struct pick *picks, unsigned n, char *why, size_t size)
{
	struct ks__program *progs[PROGS_MAX];
	const char *const *wanted[KS__BPF_USERS + 2];
	const struct ks__maps before = b->maps;
	struct ks__unit unit = { .features = &b->features, .consts = &b->consts, .maps = &b->maps,
				 .n_cpus = b->base.ks->n_cpus, .wanted = wanted, .progs = progs };
	unsigned n_wanted = 0;
	int rc;

	wanted[n_wanted++] = common_maps;
	unit.n_pids = PIDS_OTHERWISE;
	for (unsigned i = 0; i < n; i++) {
		struct ks__bpf_way *w = &picks[i].user->ways[picks[i].way];

		if (picks[i].user->maps)
			wanted[n_wanted++] = picks[i].user->maps;
		if (picks[i].number == KS__BPF_TREE)
			unit.n_pids = PIDS_OF_TREE;
		for (unsigned p = 0; p < w->n; p++)
			progs[unit.n_progs++] = &w->progs[p];
	}
	wanted[n_wanted] = NULL;
	why[0] = '\0';
	rc = find_consts(b, why, size);
	if (!rc)
		rc = ks__unit_load(&unit, why, size);
	if (!rc) {
		rc = wire(b, picks, n, why, size);
		if (rc)
			unwire(b, &before);
	}
	for (unsigned i = 0; i < unit.n_progs && rc; i++)
		ks__program_close(progs[i]);
	for (unsigned i = 0; i < n && !rc; i++) {
		picks[i].user->ways[picks[i].way].loaded = 1;
		picks[i].user->ways[picks[i].way].note.tried = 1;
	}
	return rc;
}

static unsigned pick(struct ks__bpf *b, uint32_t mask, const char *variant, struct pick *picks)
{
	unsigned n = 0;

	for (uint32_t u = 0; u < KS__BPF_USERS; u++) {
		int way = mask & 1u << u ? ks__bpf_choose(b, u, variant) : -1;

		if (way >= 0 && !b->users[u].ways[way].loaded)
			picks[n++] = (struct pick){ &b->users[u], u, way };
	}
	return n;
}

/* Closes the ways whose programs were refused; returns how many. */
static unsigned close_refused(struct ks__bpf *b, const struct pick *picks, unsigned n)
{
	unsigned closed = 0;

	for (unsigned i = 0; i < n; i++) {
		struct ks__bpf_way *w = &picks[i].user->ways[picks[i].way];

		for (unsigned p = 0; p < w->n; p++) {
			if (!w->progs[p].error)
				continue;
			w->note.tried = 1;
			close_way(b, picks[i].user, picks[i].way, w->progs[p].error, w->progs[p].reason);
			closed++;
			break;
		}
	}
	return closed;
}

static int load_mask(struct ks__bpf *b, uint32_t mask, const char *variant)
{
	struct pick picks[KS__BPF_USERS];
	char why[256];
	unsigned n;

	while ((n = pick(b, mask, variant, picks))) {
		int rc = load_picks(b, picks, n, why, sizeof(why));

		if (!rc)
			break;
		if (is_shortage(rc))
			return ks__fail(b->base.ks, rc, "%s", why[0] ? why : "no memory to load programs");
		if (close_refused(b, picks, n))
			continue;
		if (n == 1) {
			picks[0].user->ways[picks[0].way].note.tried = 1;
			close_way(b, picks[0].user, picks[0].way, rc, why);
			continue;
		}
		/* nobody is named: each for itself, so that none takes the others down */
		for (unsigned i = 0; i < n; i++) {
			rc = load_mask(b, 1u << picks[i].number, variant);
			if (rc)
				return rc;
		}
		break;
	}
	return 0;
}

int ks__bpf_prepare(struct ks__bpf *b, uint32_t mask, const char *variant)
{
	int rc = ks__bpf_setup(b);

	if (rc || b->error)
		return rc;
	rc = load_mask(b, mask, variant);
	count_resources(b);
#ifdef __GLIBC__
	if (b->base.ks->opts.flags & KS_OPEN_TRIM)
		malloc_trim(0);
#endif
	return rc;
}

/* ---- attaching --------------------------------------------------------------------------------------- */

static void close_links(struct ks__bpf_user *u)
{
	unsigned n = atomic_exchange(&u->n_links, 0);

	while (n)
		close(u->links[--n]);
	u->way = -1;
}

static int attach_way(struct ks__bpf *b, struct ks__bpf_user *u, int way, char *why, size_t size)
{
	struct ks__bpf_way *w = &u->ways[way];

	for (unsigned i = 0; i < w->n; i++) {
		int fd = ks__hook_attach(&w->progs[i].hook, b->base.ks, w->progs[i].fd, why, size);

		if (fd < 0) {
			close_links(u);
			return fd;
		}
		u->links[i] = fd;
		atomic_store(&u->n_links, i + 1);
	}
	u->way = way;
	atomic_store(&w->counted, 1);
	return 0;
}

static void unload_way(struct ks__bpf_way *w)
{
	if (atomic_load(&w->counted))
		return;
	for (unsigned i = 0; i < w->n; i++)
		ks__program_close(&w->progs[i]);
	w->loaded = 0;
}

int ks__bpf_attach(struct ks__bpf *b, uint32_t user, const char *variant)
{
	struct ks__bpf_user *u = &b->users[user];
	char why[256];
	int way, rc;

	if (u->way >= 0)
		return 0;
	for (;;) {
		rc = ks__bpf_prepare(b, 1u << user, variant);
		if (rc)
			return rc;
		way = ks__bpf_choose(b, user, variant);
		if (way < 0)
			return -KS_EUNAVAIL;
		rc = attach_way(b, u, way, why, sizeof(why));
		if (!rc)
			break;
		if (is_shortage(rc))
			return ks__fail(b->base.ks, rc, "%s", why);
		unload_way(&u->ways[way]);
		close_way(b, u, way, rc, why);
	}
	count_resources(b);
	return 0;
}

void ks__bpf_detach(struct ks__bpf *b, uint32_t user)
{
	close_links(&b->users[user]);
	count_resources(b);
}

void ks__bpf_unload(struct ks__bpf *b)
{
	for (unsigned u = 0; u < KS__BPF_USERS; u++) {
		struct ks__bpf_user *user = &b->users[u];

		close_links(user);
		for (unsigned i = 0; i < user->n_ways; i++) {
			atomic_store(&user->ways[i].counted, 0);
			unload_way(&user->ways[i]);
		}
		free(user->ways);
		user->ways = NULL;
		user->n_ways = 0;
	}
	ks__control_unmap(&b->control);
	ks__tables_unmap(&b->tables);
	ks__maps_close(&b->maps);
}
