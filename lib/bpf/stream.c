/* SPDX-License-Identifier: BSD-2-Clause */
/* stream.c - order of lanes, losses and wake-ups of a stream, for rings and perf buffers alike */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>

#include <kernelsight/kernelsight.h>

#include "ring.h"

#define FEW 4                   /* arm a lane only if it got at most this many records lately */
#define MORE_LOOKS 64           /* headers that a drain may read beyond the records it may put */
#define PATIENCE_MIN_NS 1000000 /* a look costs 5 us: this is at most half a percent of a CPU */

static uint64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- open and close -------------------------------------------------------------------------- */

static uint64_t outcome(const struct ks__stream *s, uint32_t cpu, unsigned probe, unsigned which)
{
	return __atomic_load_n(&s->cpus[cpu].probe[probe].outcome[which], __ATOMIC_RELAXED);
}

static uint64_t losses(const struct ks__stream *s, uint32_t cpu, unsigned probe)
{
	return outcome(s, cpu, probe, KS_LOST_RING_FULL) +
	       outcome(s, cpu, probe, KS_LOST_RING_LOCKED);
}

/* Takes the counts at the start of the stream as reported: earlier losses are not reported. */
static void begin_cpu(struct ks__stream *s, uint32_t cpu, uint64_t now)
{
	struct ks__reported *reported = &s->reported[cpu];

	reported->lost = __atomic_load_n(&s->cpus[cpu].lost, __ATOMIC_ACQUIRE);
	reported->time_ns = reported->throttle_ns = now;
	for (unsigned p = 0; p < KS_BPF_PROBES; p++) {
		reported->throttled[p] = outcome(s, cpu, p, KS_THROTTLED);
		reported->lost_by[p] = losses(s, cpu, p);
		reported->total += reported->lost_by[p];
	}
}

struct ks__stream *ks__stream_new(const struct ks__stream_opts *opts,
				  const struct ks__transport *via, unsigned n_lanes)
{
	struct ks__stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->via = via;
	s->cpus = opts->cpus;
	s->n_cpus = opts->n_cpus;
	s->n_lanes = n_lanes;
	s->batch_ms = opts->batch_ms;
	s->epoll_fd = opts->epoll_fd;
	s->fds = opts->fds;
	s->now = monotonic;
	s->budget_ns = KS__WAKEUP_BURST;
	s->arm_ns = s->now();
	s->lanes = calloc(n_lanes, sizeof(*s->lanes));
	s->reported = calloc(s->n_cpus, sizeof(*s->reported));
	if (!s->lanes || !s->reported) {
		ks__stream_close(s, 0);
		return NULL;
	}
	for (unsigned i = 0; i < n_lanes; i++) {
		s->lanes[i].fd = -1;
		s->lanes[i].produced = &s->lanes[i].pos;
	}
	for (uint32_t cpu = 0; cpu < s->n_cpus; cpu++)
		begin_cpu(s, cpu, s->arm_ns);
	return s;
}

/* Bytes of one ring: a power of two and at least a page, else at most its share of `bytes`. */
static size_t share(uint64_t bytes, unsigned among)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);

	while (size * 2 <= bytes / among && size < 1u << 31)
		size *= 2;
	return size;
}

static int watch(struct ks__stream *s, const struct ks__lane *lane, char *why, size_t size)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET, .data = { .fd = lane->fd } };
	int rc;

	if (lane->fd < 0 || !epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, lane->fd, &e))
		return 0;
	rc = -errno;
	snprintf(why, size, "a ring cannot join the epoll set: epoll_ctl() returned %s%s",
		 ks_error_name(rc), rc == -ENOSPC ? "; raise fs.epoll.max_user_watches" : "");
	return rc;
}

int ks__stream_open(const struct ks__stream_opts *opts, struct ks__stream **ret, char *why,
		    size_t size)
{
	int perf = opts->perf_map_fd >= 0;
	unsigned rings = opts->n_cpus < KS_BPF_RINGS ? opts->n_cpus : KS_BPF_RINGS;
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned among = perf && online > 0 ? (unsigned)online : rings;
	struct ks__stream *s;
	int rc = 0;

	s = ks__stream_new(opts, perf ? &ks__perfbufs : &ks__rings, perf ? opts->n_cpus : rings);
	if (!s) {
		snprintf(why, size, "no memory for the records of %u CPUs", opts->n_cpus);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < s->n_lanes && !rc; i++) {
		rc = s->via->open(opts, i, share(opts->ring_bytes, among), &s->lanes[i], why, size);
		if (!rc)
			rc = watch(s, &s->lanes[i], why, size);
	}
	if (rc) {
		ks__stream_close(s, 1);
		return rc;
	}
	*ret = s;
	return 0;
}

void ks__stream_close(struct ks__stream *s, int epoll)
{
	if (!s)
		return;
	for (unsigned i = 0; s->lanes && i < s->n_lanes; i++) {
		struct ks__lane *lane = &s->lanes[i];

		/* a close alone leaves the descriptor in the set while a forked child has a copy */
		if (epoll && ks__fd_is_own(s->fds, lane->fd) && ks__fd_is_own(s->fds, s->epoll_fd))
			epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, lane->fd, NULL);
		/* a forked child lacks these mappings and may have mapped other memory there */
		for (unsigned m = 0; m < 2 && epoll; m++)
			if (lane->map[m])
				munmap(lane->map[m], lane->map_bytes[m]);
		ks__fd_close(s->fds, lane->fd);
	}
	free(s->lanes);
	free(s->reported);
	free(s);
}

unsigned ks__stream_rings(const struct ks__stream *s)
{
	return s->via == &ks__rings ? s->n_lanes : 0;
}

int ks__stream_ring_fd(const struct ks__stream *s, unsigned ring)
{
	return ring < ks__stream_rings(s) ? s->lanes[ring].fd : -1;
}

int ks__stream_expect(struct ks__stream *s, uint32_t probe)
{
	atomic_fetch_or(&s->probes, 1u << probe);
	return !s->via->arm && s->batch_ms != KS_IMMEDIATE;
}

/* ---- losses ---------------------------------------------------------------------------------- */

/* Losses of a CPU that are in the ledger and not yet reported. */
static uint64_t unreported(const struct ks__stream *s, uint32_t cpu)
{
	uint64_t sum = 0, total = s->reported[cpu].total;

	for (unsigned p = 0; p < KS_BPF_PROBES; p++)
		sum += losses(s, cpu, p);
	return sum > total ? sum - total : 0; /* programs update the ledger last: it may lag */
}

/* The full rise of a running count: `rise` is the rise modulo 2^32, the ledger has the wraps. */
static uint64_t whole_rise(const struct ks__stream *s, uint32_t cpu, uint32_t rise)
{
	uint64_t all = unreported(s, cpu);

	if (all < rise)
		return (int32_t)rise > 0 ? rise : 0;
	return rise + ((all - rise) & ~(uint64_t)UINT32_MAX);
}

/*
 * Returns the probe whose records were lost, or UINT32_MAX if several probes have lost records
 * since the counts were last settled. The ledger is ahead of the records in the ring. So the counts
 * are settled when only one probe has new losses, or when all losses in the ledger are reported.
 */
static uint32_t blame(const struct ks__stream *s, uint32_t cpu, uint64_t rise)
{
	struct ks__reported *reported = &s->reported[cpu];
	uint64_t by[KS_BPF_PROBES], sum = 0;
	uint32_t which = UINT32_MAX;
	unsigned n = 0;

	reported->unsettled += rise;
	for (unsigned p = 0; p < KS_BPF_PROBES; p++) {
		by[p] = losses(s, cpu, p);
		sum += by[p] - reported->lost_by[p];
		if (by[p] != reported->lost_by[p])
			which = n++ ? UINT32_MAX : p;
	}
	if (n == 1 && sum >= reported->unsettled)
		reported->lost_by[which] += reported->unsettled;
	else if (sum == reported->unsettled)
		memcpy(reported->lost_by, by, sizeof(by));
	else
		return which;
	reported->unsettled = 0;
	return which;
}

static void put_loss(struct ks__pass *pass, const struct ks__reported *reported, uint32_t cpu,
		     uint8_t generation, uint64_t time_ns, struct ks_event_lost *lost)
{
	lost->ev = (struct ks_event){
		.size = sizeof(*lost),
		.id = KS_EVENT_LOST,
		.cpu = (uint16_t)cpu,
		.generation = generation,
		.weight = 1,
		.lost = reported->lost,
		.time_ns = time_ns,
	};
	pass->room--;
	if (ks__put(pass->sink, &lost->ev))
		ks__pass_end(pass);
}

static int report_loss(struct ks__stream *s, struct ks__pass *pass, uint32_t cpu, uint64_t rise,
		       uint8_t generation, uint64_t time_ns)
{
	struct ks__reported *reported = &s->reported[cpu];
	struct ks_event_lost ev = {
		.lost = rise,
		/* an interrupt within a program run writes its record first, with a later time */
		.from_ns = reported->time_ns < time_ns ? reported->time_ns : time_ns,
		.to_ns = time_ns,
		.reason = KS_LOST_RING,
		.probe = blame(s, cpu, rise),
	};

	reported->lost += (uint32_t)rise;
	reported->total += rise;
	put_loss(pass, reported, cpu, generation, time_ns, &ev);
	return ks__pass_goes_on(pass);
}

/*
 * Running counts have 32 bits. If a record's count is lower than the reported one, an interrupt's
 * record has overtaken this record and nothing is to report. But if the ledger has that many
 * unreported losses, the count has risen by more than 2^31.
 */
int ks__stream_report(struct ks__stream *s, struct ks__pass *pass, const struct ks_event *ev)
{
	uint32_t rise = ev->lost - s->reported[ev->cpu].lost;

	if ((int32_t)rise < 0 && unreported(s, ev->cpu) < rise)
		return 1;
	return report_loss(s, pass, ev->cpu, rise, ev->generation, ev->time_ns);
}

/*
 * Throttled events leave no record, so only their interval is known: from the last look until now.
 * The head has the time of the record that follows (0: none), so that the order of times holds.
 */
static void report_throttled(struct ks__stream *s, struct ks__pass *pass, uint32_t cpu,
			     uint64_t next_ns)
{
	struct ks__reported *reported = &s->reported[cpu];
	uint64_t now = reported->time_ns;
	uint32_t left = atomic_load_explicit(&s->probes, memory_order_relaxed);

	for (; left; left &= left - 1) { /* each probe costs a cache line of another CPU */
		unsigned p = (unsigned)__builtin_ctz(left);
		uint64_t count = outcome(s, cpu, p, KS_THROTTLED);
		struct ks_event_lost ev = {
			.lost = count - reported->throttled[p],
			.from_ns = reported->throttle_ns,
			.reason = KS_LOST_THROTTLED,
			.probe = p,
		};

		if (!ev.lost)
			continue;
		if (!ks__pass_goes_on(pass))
			return;
		now = ev.to_ns = s->now();
		reported->throttled[p] = count;
		put_loss(pass, reported, cpu, reported->generation, next_ns ? next_ns : now, &ev);
	}
	if (now > reported->throttle_ns)
		reported->throttle_ns = now;
}

/* ---- drain ----------------------------------------------------------------------------------- */

static int empty(const struct ks__lane *lane)
{
	return ks__lane_produced(lane) == lane->pos;
}

static void drain_lane(struct ks__stream *s, unsigned i, struct ks__pass *pass)
{
	uint64_t next_ns;

	if (empty(&s->lanes[i]))
		return;
	next_ns = s->via->next_ns(s, &s->lanes[i]);
	for (uint32_t cpu = i; cpu < s->n_cpus && next_ns; cpu += s->n_lanes)
		report_throttled(s, pass, cpu, next_ns);
	if (ks__pass_goes_on(pass))
		s->via->drain(s, &s->lanes[i], pass);
}

/*
 * Reports losses after the last record. The count is read before the ring is found empty: all
 * records submitted before the loss have been handed over.
 */
static void report_remaining(struct ks__stream *s, unsigned i, struct ks__pass *pass)
{
	for (uint32_t cpu = i; cpu < s->n_cpus && ks__pass_goes_on(pass); cpu += s->n_lanes) {
		struct ks__reported *reported = &s->reported[cpu];
		uint32_t lost = __atomic_load_n(&s->cpus[cpu].lost, __ATOMIC_ACQUIRE);
		uint64_t rise = whole_rise(s, cpu, lost - reported->lost);

		if (!empty(&s->lanes[i]))
			return;
		if (rise)
			report_loss(s, pass, cpu, rise, reported->generation, s->now());
		report_throttled(s, pass, cpu, 0);
	}
}

int ks__stream_drain(struct ks__stream *s, struct ks__sink *sink, unsigned max)
{
	struct ks__pass pass = { .sink = sink, .room = max, .looks = (uint64_t)max + MORE_LOOKS };
	unsigned first = s->next, n = s->n_lanes;

	for (unsigned i = 0; i < n && ks__pass_goes_on(&pass); i++) {
		unsigned at = first + i < n ? first + i : first + i - n;

		s->next = at + 1 < n ? at + 1 : 0;
		drain_lane(s, at, &pass);
	}
	for (unsigned i = 0; i < n && ks__pass_goes_on(&pass); i++)
		report_remaining(s, i, &pass);
	return (int)(max - pass.room);
}

/* ---- arm ------------------------------------------------------------------------------------- */

static void refill(struct ks__stream *s, uint64_t passed_ns)
{
	s->budget_ns += (int64_t)passed_ns;
	if (s->budget_ns > KS__WAKEUP_BURST)
		s->budget_ns = KS__WAKEUP_BURST;
	if (s->budget_ns < -KS__WAKEUP_BURST)
		s->budget_ns = -KS__WAKEUP_BURST;
}

static int may_arm(const struct ks__stream *s, const struct ks__lane *lane)
{
	if (!s->via->arm)
		return 0;
	return s->batch_ms == KS_IMMEDIATE ||
	       (lane->looked <= FEW && s->budget_ns >= KS__WAKEUP_NS);
}

/* How long a held lane may wait for the next look: at the recent rate it is not full by then. */
static uint64_t patience(const struct ks__stream *s, const struct ks__lane *lane,
			 uint64_t passed_ns)
{
	uint64_t batch = s->batch_ms * 1000000ull;
	uint64_t quarters = (lane->pos - lane->arm_pos) * 4 / (lane->mask + 1);
	uint64_t wait = quarters ? passed_ns / quarters : batch;

	if (wait < PATIENCE_MIN_NS)
		wait = PATIENCE_MIN_NS;
	return wait < batch ? wait : batch;
}

int ks__stream_arm(struct ks__stream *s, uint64_t *ret_deadline_ns)
{
	uint64_t now = s->now(), passed = now - s->arm_ns, wait = UINT64_MAX;
	int any = atomic_load(&s->probes) != 0, slipped = 0;

	s->arm_ns = now;
	refill(s, passed);
	for (unsigned i = 0; i < s->n_lanes; i++) {
		struct ks__lane *lane = &s->lanes[i];

		if (lane->held && may_arm(s, lane)) {
			/* a record that slips in costs as much as a wake-up: prevents spinning */
			lane->held = s->via->arm(lane);
			slipped |= lane->held;
			s->budget_ns -= lane->held * KS__WAKEUP_NS;
		}
		if (lane->held && any && patience(s, lane, passed) < wait)
			wait = patience(s, lane, passed);
		lane->looked = 0;
		lane->arm_pos = lane->pos;
	}
	if (slipped)
		return 1;
	if (wait == UINT64_MAX)
		s->deadline_ns = 0;
	else if (s->deadline_ns <= now || s->deadline_ns > now + wait)
		s->deadline_ns = now + wait; /* an earlier deadline stays: no need to set a timer */
	*ret_deadline_ns = s->deadline_ns;
	return 0;
}

void ks__stream_publish(struct ks__stream *s)
{
	for (unsigned i = 0; i < s->n_lanes; i++)
		if (s->lanes[i].consumed)
			__atomic_store_n(s->lanes[i].consumed, s->lanes[i].pos, __ATOMIC_RELEASE);
}

/* ---- figures --------------------------------------------------------------------------------- */

void ks__stream_in_flight(struct ks__stream *s, uint64_t counts[KS_BPF_PROBES])
{
	memset(counts, 0, KS_BPF_PROBES * sizeof(*counts));
	for (unsigned i = 0; i < s->n_lanes; i++)
		s->via->in_flight(s, &s->lanes[i], counts);
}

uint64_t ks__stream_delivered(const struct ks__stream *s, uint32_t probe)
{
	return probe < KS_BPF_PROBES ?
		       atomic_load_explicit(&s->delivered[probe], memory_order_relaxed) :
		       0;
}

uint64_t ks__stream_discarded(const struct ks__stream *s, uint32_t probe)
{
	return probe ? 0 : atomic_load_explicit(&s->discarded, memory_order_relaxed);
}

void ks__stream_size(const struct ks__stream *s, uint64_t *ret_kernel, uint64_t *ret_user,
		     uint32_t *ret_descriptors)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), kernel = 0;
	uint32_t descriptors = 0;

	for (unsigned i = 0; i < s->n_lanes; i++) {
		if (s->lanes[i].fd < 0)
			continue;
		kernel += s->lanes[i].mask + 1 + s->via->pages * page;
		descriptors++;
	}
	*ret_kernel = kernel;
	*ret_user = sizeof(*s) + s->n_lanes * sizeof(*s->lanes) + s->n_cpus * sizeof(*s->reported);
	*ret_descriptors = descriptors;
}
