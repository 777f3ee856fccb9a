/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows how rings, perf buffers and small maps are made and filled: the calls and their arguments,
 * what is mapped and watched, the reason of each failure, and that a failure leaves nothing open.
 * The test plays the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "bpf/pids.h"
#include "bpf/ring.h"
#include "bpf/roles.h"
#include "bpf/unit.h"
#include "support/counters.h"
#include "support/ks_test.h"
#include "support/played.h"

#define EPOLL 55
#define MAP 66
#define CPUS 3
#define BYTES 8192

static struct {
	unsigned n, fail_at; /* calls of epoll_ctl(), and which one fails with ENOSPC, from 1 */
	int op[8], fd[8];
	uint32_t events[8];
} epoll;

int epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
	g_assert_cmpint(set, ==, EPOLL);
	g_assert_cmpuint(epoll.n, <, G_N_ELEMENTS(epoll.op));
	epoll.op[epoll.n] = op;
	epoll.fd[epoll.n] = fd;
	if (event) {
		epoll.events[epoll.n] = event->events;
		g_assert_cmpint(event->data.fd, ==, fd);
	}
	if (++epoll.n != epoll.fail_at)
		return 0;
	errno = ENOSPC;
	return -1;
}

static void begin(void)
{
	played_begin();
	memset(&epoll, 0, sizeof(epoll));
}

/* Memory in place of a ring or a perf buffer. */
static int memory(size_t bytes)
{
	int fd = memfd_create("lane", MFD_CLOEXEC);

	g_assert_cmpint(ftruncate(fd, (off_t)bytes), ==, 0);
	return fd;
}

static struct ks__stream_opts opts_of(uint32_t batch_ms, int perf)
{
	static struct ks_bpf_cpu cpus[CPUS];

	return (struct ks__stream_opts){ .epoll_fd = EPOLL,
					 .batch_ms = batch_ms,
					 .ring_bytes = CPUS * BYTES,
					 .n_cpus = CPUS,
					 .cpus = cpus,
					 .perf_map_fd = perf ? MAP : -1 };
}

/* ---- rings ----------------------------------------------------------------------------------- */

/* A forked child has none of the mappings. */
static void assert_not_forked(struct ks__stream *s)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		int mapped = 0;

		for (unsigned m = 0; m < 2; m++)
			mapped += !msync(s->lanes[0].map[m], 4096, MS_ASYNC);
		_exit(mapped);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
}

static void test_rings(void)
{
	const struct ks__stream_opts opts = opts_of(20, 0);
	unsigned before = counters_descriptors();
	uint64_t start = ks__now(), kernel, user;
	struct ks__stream *s;
	char why[200] = "";
	uint32_t n;

	begin();
	for (unsigned i = 0; i < CPUS; i++)
		played.answers[i] = memory(2 * 4096 + 2 * BYTES);
	ks_assert_rc(ks__stream_open(&opts, &s, why, sizeof(why)), 0);
	g_assert_cmpuint(played.n, ==, CPUS);
	g_assert_cmpuint(epoll.n, ==, CPUS);
	g_assert_cmpuint(ks__stream_rings(s), ==, CPUS);
	g_assert_cmpuint(s->n_lanes, ==, CPUS);
	g_assert_cmpuint(s->arm_ns, >=, start);
	g_assert_cmpuint(s->arm_ns, <=, ks__now());
	for (unsigned i = 0; i < CPUS; i++) {
		const struct ks__lane *lane = &s->lanes[i];

		g_assert_cmpint((int)played.calls[i].args[0], ==, BPF_MAP_CREATE);
		g_assert_cmpuint(played.calls[i].bpf.map_type, ==, BPF_MAP_TYPE_RINGBUF);
		g_assert_cmpuint(played.calls[i].bpf.max_entries, ==, BYTES);
		g_assert_cmpuint(played.calls[i].bpf.key_size, ==, 0);
		g_assert_cmpint(epoll.op[i], ==, EPOLL_CTL_ADD);
		g_assert_cmpint(epoll.fd[i], ==, lane->fd);
		g_assert_cmpuint(epoll.events[i], ==, EPOLLIN | EPOLLET);
		g_assert_cmpint(ks__stream_ring_fd(s, i), ==, lane->fd);
		g_assert_cmpuint(lane->mask, ==, BYTES - 1);
		g_assert_true((const void *)lane->consumed == lane->map[0]);
		g_assert_true((const void *)lane->produced == lane->map[1]);
		g_assert_true((const void *)lane->data == (const char *)lane->map[1] + 4096);
	}
	g_assert_cmpint(ks__stream_ring_fd(s, CPUS), ==, -1);
	ks__stream_size(s, &kernel, &user, &n);
	g_assert_cmpuint(kernel, ==, CPUS * (BYTES + 3 * 4096));
	g_assert_cmpuint(user, ==,
			 sizeof(*s) +
				 CPUS * (sizeof(struct ks__lane) + sizeof(struct ks__reported)));
	g_assert_cmpuint(n, ==, CPUS);
	assert_not_forked(s);
	ks__stream_close(s, 1);
	g_assert_cmpuint(epoll.n, ==, 2 * CPUS);
	g_assert_cmpint(epoll.op[CPUS], ==, EPOLL_CTL_DEL);
	g_assert_cmpuint(counters_descriptors(), ==, before);
}

#define RING "ring 1 of 8192 bytes: "

static void test_no_ring(void)
{
	static const struct {
		int error;
		const char *want;
	} all[] = {
		{ -EPERM, RING "EPERM; needs CAP_BPF; before Linux 5.11 also a larger "
			       "RLIMIT_MEMLOCK, see KS_OPEN_RAISE_MEMLOCK" },
		{ -ENOMEM, RING "ENOMEM; set a smaller ks_open_opts.ring_bytes" },
		{ -E2BIG, RING "E2BIG; set a smaller ks_open_opts.ring_bytes" },
		{ -EINVAL, RING "EINVAL; ring buffers need Linux 5.8" },
		{ -EMFILE, RING "EMFILE; raise RLIMIT_NOFILE" },
		{ -ENFILE, RING "ENFILE; raise the sysctl fs.file-max" },
		{ -EACCES, RING "EACCES; the kernel refuses ring buffers" },
	};
	const struct ks__stream_opts opts = opts_of(20, 0);
	unsigned before = counters_descriptors();
	struct ks__stream *s = NULL;
	char why[200];

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		begin();
		played.answers[0] = memory(2 * 4096 + 2 * BYTES);
		played.answers[1] = all[i].error;
		ks_assert_rc(ks__stream_open(&opts, &s, why, sizeof(why)), all[i].error);
		g_assert_cmpstr(why, ==, all[i].want);
		g_assert_null(s);
		g_assert_cmpuint(counters_descriptors(), ==, before);
	}
	/* a ring that cannot be mapped, or cannot be watched */
	begin();
	played.answers[0] = open("/", O_RDONLY | O_CLOEXEC);
	ks_assert_rc(ks__stream_open(&opts, &s, why, sizeof(why)), -EACCES);
	g_assert_true(g_str_has_prefix(why, "ring 0 of 8192 bytes: EACCES; "));
	begin();
	epoll.fail_at = 2;
	played.answers[0] = memory(2 * 4096 + 2 * BYTES);
	played.answers[1] = memory(2 * 4096 + 2 * BYTES);
	ks_assert_rc(ks__stream_open(&opts, &s, why, sizeof(why)), -ENOSPC);
	g_assert_cmpstr(why, ==,
			"a ring cannot join the epoll set: epoll_ctl() returned ENOSPC; "
			"raise fs.epoll.max_user_watches");
	g_assert_cmpuint(counters_descriptors(), ==, before);
}

/* ---- perf buffers ---------------------------------------------------------------------------- */

/* Bytes of one buffer: the share of an online CPU. */
static size_t share(void)
{
	size_t bytes = 4096;

	while (bytes * 2 <= CPUS * BYTES / (size_t)sysconf(_SC_NPROCESSORS_ONLN))
		bytes *= 2;
	return bytes;
}

/* Each buffer wakes late, or with each record; then it is never held. CPU 1 is offline. */
static void test_perf(void)
{
	const size_t bytes = share();

	for (int each = 0; each <= 1; each++) {
		const struct ks__stream_opts opts = opts_of(each ? KS_IMMEDIATE : 20, 1);
		unsigned before = counters_descriptors(), at = 0;
		struct ks__stream *s;
		char why[200] = "";

		begin();
		played.answers[0] = memory(4096 + bytes);
		played.answers[3] = -ENODEV;
		played.answers[4] = memory(4096 + bytes);
		ks_assert_rc(ks__stream_open(&opts, &s, why, sizeof(why)), 0);
		g_assert_cmpuint(played.n, ==, 7);
		g_assert_cmpuint(epoll.n, ==, 2);
		g_assert_cmpuint(ks__stream_rings(s), ==, 0);
		g_assert_cmpint(ks__stream_ring_fd(s, 0), ==, -1);
		for (int cpu = 0; cpu < CPUS; cpu++) {
			const struct played_call *c = &played.calls[at];
			const struct ks__lane *lane = &s->lanes[cpu];

			g_assert_cmpint(c->number, ==, SYS_perf_event_open);
			g_assert_cmpint((int)c->args[2], ==, cpu);
			g_assert_cmpuint(c->perf.type, ==, PERF_TYPE_SOFTWARE);
			g_assert_cmpuint(c->perf.config, ==, PERF_COUNT_SW_BPF_OUTPUT);
			g_assert_cmpuint(c->perf.sample_type, ==, PERF_SAMPLE_RAW);
			g_assert_cmpuint(c->perf.sample_period, ==, 1);
			g_assert_cmpuint(c->perf.watermark, ==, !each);
			g_assert_cmpuint(c->perf.wakeup_events, ==, each ? 1 : bytes / 4);
			at += cpu == 1 ? 1 : 3;
			if (cpu == 1) {
				g_assert_cmpint(lane->fd, ==, -1);
				g_assert_null(lane->consumed);
				continue;
			}
			g_assert_cmpint((int)c[1].args[0], ==, BPF_MAP_UPDATE_ELEM);
			g_assert_cmpuint(c[1].bpf.map_fd, ==, MAP);
			g_assert_cmpint(c[2].args[0], ==, lane->fd);
			g_assert_cmphex((unsigned long)c[2].args[1], ==, PERF_EVENT_IOC_ENABLE);
			g_assert_cmpint(c[2].args[2], ==, 0);
			g_assert_cmpint(lane->held, ==, !each);
			g_assert_cmpuint(lane->mask, ==, bytes - 1);
			g_assert_true((const void *)lane->data ==
				      (const char *)lane->map[0] + 4096);
		}
		g_assert_cmpint(ks__stream_expect(s, 1), ==, !each);
		ks__stream_close(s, 1);
		g_assert_cmpuint(counters_descriptors(), ==, before);
	}
}

static void test_no_perf(void)
{
	static const struct {
		int error;
		const char *want;
	} all[] = {
		{ -EPERM, "EPERM; needs CAP_PERFMON, a larger kernel.perf_event_mlock_kb or "
			  "CAP_IPC_LOCK for this size, and no seccomp filter against "
			  "perf_event_open()" },
		{ -EACCES, "EACCES; needs CAP_PERFMON or a lower kernel.perf_event_paranoid" },
		{ -ENOMEM, "ENOMEM; set a smaller ks_open_opts.ring_bytes" },
		{ -EMFILE, "EMFILE; raise RLIMIT_NOFILE" },
		{ -ENFILE, "ENFILE; raise the sysctl fs.file-max" },
		{ -ENOSYS, "ENOSYS; the kernel refuses perf_event_open()" },
	};
	const struct ks__stream_opts opts = opts_of(20, 1);
	unsigned before = counters_descriptors();
	struct ks__stream *s = NULL;
	char why[300], *want;

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
		for (unsigned at = 0; at < 3;
		     at++) { /* to open, to enter into the map, to enable */
			begin();
			if (at)
				played.answers[0] = memory(4096 + share());
			played.answers[at] = all[i].error;
			ks_assert_rc(ks__stream_open(&opts, &s, why, sizeof(why)), all[i].error);
			want = g_strdup_printf("perf buffer of %zu bytes on CPU 0: %s", share(),
					       all[i].want);
			g_assert_cmpstr(why, ==, want);
			g_assert_cmpuint(counters_descriptors(), ==, before);
			g_free(want);
		}
}

/* ---- maps ------------------------------------------------------------------------------------ */

/* Puts all descriptors with one call, or one by one; never more than the outer map has room for. */
static void test_put_fds(void)
{
	int fds[KS_BPF_RINGS + 1];

	for (int i = 0; i <= KS_BPF_RINGS; i++)
		fds[i] = 100 + i;
	begin();
	ks_assert_rc(ks__map_put_fds(MAP, fds, KS_BPF_RINGS + 1, 1), -E2BIG);
	g_assert_cmpuint(played.n, ==, 0);
	ks_assert_rc(ks__map_put_fds(MAP, fds, KS_BPF_RINGS, 1), 0);
	g_assert_cmpuint(played.n, ==, 1);
	g_assert_cmpint((int)played.calls[0].args[0], ==, BPF_MAP_UPDATE_BATCH);
	g_assert_cmpuint(played.calls[0].bpf.batch.count, ==, KS_BPF_RINGS);
	for (int batch = 0; batch <= 1; batch++) {
		begin();
		if (batch)
			played.answers[0] = -EINVAL;
		ks_assert_rc(ks__map_put_fds(MAP, fds, 3, batch), 0);
		g_assert_cmpuint(played.n, ==, 3 + (unsigned)batch);
		for (int i = 0; i < 3; i++) {
			const union bpf_attr *attr = &played.calls[batch + i].bpf;

			g_assert_cmpuint(attr->map_fd, ==, MAP);
			g_assert_true((const int *)(uintptr_t)attr->value == &fds[i]);
			g_assert_cmpuint(attr->flags, ==, BPF_ANY);
		}
		begin();
		played.answers[1] = -EPERM;
		ks_assert_rc(ks__map_put_fds(MAP, fds, 3, 0), -EPERM);
		g_assert_cmpuint(played.n, ==, 2);
	}
}

/* Only a map with a descriptor is found, and closing forgets all. */
static void keep_maps(void *user)
{
	struct ks__maps maps;

	(void)user;
	ks__maps_init(&maps, NULL);
	g_assert_null(ks__maps_find(&maps, "a"));
	maps.n = 3;
	maps.map = calloc(3, sizeof(*maps.map));
	for (unsigned i = 0; i < 3; i++)
		maps.map[i].fd = i ? memory(1) : -1;
	strcpy(maps.map[0].name, "a");
	strcpy(maps.map[1].name, "b");
	strcpy(maps.map[2].name, "storage");
	maps.map[2].type = BPF_MAP_TYPE_TASK_STORAGE;
	g_assert_null(ks__maps_find(&maps, "a"));
	g_assert_true(ks__maps_find(&maps, "b") == &maps.map[1]);
	g_assert_null(ks__maps_find(&maps, "c"));
	ks__maps_close_storage(&maps);
	g_assert_cmpint(maps.map[2].fd, ==, -1);
	g_assert_nonnull(ks__maps_find(&maps, "b"));
	ks__maps_close(&maps);
	g_assert_cmpuint(maps.n, ==, 0);
	g_assert_null(maps.map);
}

static void test_maps(void)
{
	ks_test_no_leak(keep_maps, NULL);
}

/* A process that is in the map already keeps its entry. */
static void test_pids(void)
{
	static const struct {
		int error, rc;
	} all[] = { { 0, 0 }, { -EEXIST, 0 }, { -E2BIG, -E2BIG }, { -EXDEV, -EXDEV } };
	const struct ks__pid pid = { 7, 9 };
	const struct ks__thread_role role = { 5, 6, 7 };

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		begin();
		played.answers[0] = all[i].error;
		ks_assert_rc(ks__pids_add(MAP, &pid), all[i].rc);
		g_assert_cmpint((int)played.calls[0].args[0], ==, BPF_MAP_UPDATE_ELEM);
		g_assert_cmpuint(played.calls[0].bpf.map_fd, ==, MAP);
		g_assert_cmpuint(played.calls[0].bpf.flags, ==, BPF_NOEXIST);
		g_assert_true((const void *)(uintptr_t)played.calls[0].bpf.key == &pid.pid);
		g_assert_true((const void *)(uintptr_t)played.calls[0].bpf.value == &pid.start_ns);
	}
	begin();
	played.answers[1] = -ENOENT;
	g_assert_cmpint(ks__pids_has(MAP, 7), ==, 1);
	g_assert_cmpint(ks__pids_has(MAP, 7), ==, 0);
	g_assert_cmpint((int)played.calls[0].args[0], ==, BPF_MAP_LOOKUP_ELEM);
	ks__pids_delete(MAP, 7);
	g_assert_cmpint((int)played.calls[2].args[0], ==, BPF_MAP_DELETE_ELEM);
	ks_assert_rc(ks__roles_put(MAP, &role), 0);
	g_assert_cmpint((int)played.calls[3].args[0], ==, BPF_MAP_UPDATE_ELEM);
	g_assert_cmpuint(played.calls[3].bpf.flags, ==, BPF_ANY);
	ks__roles_delete(MAP, 5);
	g_assert_cmpint((int)played.calls[4].args[0], ==, BPF_MAP_DELETE_ELEM);
	g_assert_cmpuint(played.calls[4].bpf.map_fd, ==, MAP);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/opening/rings", test_rings);
	g_test_add_func("/opening/no ring", test_no_ring);
	g_test_add_func("/opening/perf", test_perf);
	g_test_add_func("/opening/no perf", test_no_perf);
	g_test_add_func("/opening/put fds", test_put_fds);
	g_test_add_func("/opening/maps", test_maps);
	g_test_add_func("/opening/pids", test_pids);
	return g_test_run();
}
