/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.c - the consumer: waits for records, drains them, arms the next wake-up
 *
 * A consumer function (ks_poll(), ks_read_events()) drains every source. When all are empty it
 * calls their arm(), which arms the next wake-up or returns a deadline; only then it waits. One
 * timer serves the deadlines of all sources.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "../data/order.h"
#include "api.h"

#define MAX_EVENTS 1024
#define SAMPLE_BITS 4 /* during a backlog, 1 call in 16 is measured */

struct guard;

/* One call of a consumer function. */
struct call {
	struct ks__sink sink;
	struct ks *ks;
	struct guard *guard;

	/* of ks_read_events(); NULL in ks_poll() */
	char *buf;
	size_t size, used;
};

/* ---- one consumer at a time ------------------------------------------------------------------ */

int ks__consumer_try(struct ks *ks)
{
	uintptr_t was = KS__CONSUMER_NONE;

	if (atomic_compare_exchange_strong(&ks->consumer, &was, KS__CONSUMER_BORROWED))
		return 1;
	was = KS__CONSUMER_WAITS;
	return atomic_compare_exchange_strong(&ks->consumer, &was, KS__CONSUMER_BORROWED) ? 2 : 0;
}

void ks__consumer_done(struct ks *ks, int got)
{
	atomic_store(&ks->consumer, got == 2 ? KS__CONSUMER_WAITS : KS__CONSUMER_NONE);
}

/*
 * Changes ks->consumer from one state to another, and waits while it is borrowed, which takes
 * microseconds. Returns 0, or the state that is neither.
 */
static uintptr_t become(struct ks *ks, uintptr_t from, uintptr_t to)
{
	const struct timespec moment = { 0, 10000 };
	uintptr_t was = from;

	while (!atomic_compare_exchange_strong(&ks->consumer, &was, to)) {
		if (was != KS__CONSUMER_BORROWED)
			return was;
		nanosleep(&moment, NULL);
		was = from;
	}
	return 0;
}

/* here: the frame address of the public function */
static int enter(struct ks *ks, const void *here)
{
	uintptr_t other = become(ks, KS__CONSUMER_NONE, ks__thread());

	if (!other)
		return 0;
	if (other == ks__thread() && ks__frame_gone(ks, here)) {
		atomic_store(&ks->frame, NULL);
		atomic_store(&ks->in_callback, 0);
		ks__stay_readable(ks); /* the ks_poll() that is gone may have left records */
		ks__let_go(ks->core);
		return 0;
	}
	if (other == ks__thread())
		return ks__fail(ks, -EBUSY,
				"this thread is inside an event callback: return from it first");
	return ks__fail(ks, -EBUSY, "another thread is inside ks_poll() or ks_read_events()");
}

/* Ends a consumer function by leave(): on return, exception or pthread_cancel() (-fexceptions). */
struct guard {
	struct ks *ks;
	struct ks__frame frame;
	int waits;    /* inside epoll_wait() */
	int finished; /* it returns: the next wake-up is armed, or the descriptor is readable */
};

/* Returns 0 if the handle was closed, or if this is a child that a callback has forked. */
static int is_alive(const struct ks *ks)
{
	return atomic_load_explicit(&ks->core->wiped->alive, memory_order_relaxed) != 0;
}

static void leave(struct guard *guard)
{
	struct ks *ks = guard->ks;

	if (guard->waits)
		become(ks, KS__CONSUMER_WAITS, ks__thread());
	if (!guard->finished && is_alive(ks))
		ks__stay_readable(ks);
	atomic_store(&ks->frame, NULL);
	atomic_store(&ks->in_callback, 0);
	/* This call returns after all: the holds that are left are of calls that end. */
	atomic_store(&ks->core->stuck, 0);
	atomic_store(&ks->consumer, KS__CONSUMER_NONE);
}

/* ---- sinks ----------------------------------------------------------------------------------- */

static struct ks__sink sink_into(struct ks *ks, ks_event_fn fn, void *user)
{
	return (struct ks__sink){
		.fn = fn, .user = user, .alive = &ks->core->wiped->alive, .last_ns = ks->last_ns
	};
}

static int is_full(const struct call *call)
{
	return call->buf && call->size - call->used < KS_RECORD_MAX;
}

/*
 * A record has a multiple of 8 bytes, at least 72. It is copied in blocks of 32 bytes, the last of
 * which may overlap the one before: memcpy() of a variable size takes longer to choose its method
 * than to copy.
 */
static int put_copy(const struct ks_event *ev, void *user)
{
	struct call *call = user;
	char *to = call->buf + call->used;
	size_t last = ev->size - 32u;

	for (size_t at = 0; at < last; at += 32)
		memcpy(to + at, (const char *)ev + at, 32);
	memcpy(to + last, (const char *)ev + last, 32);
	call->used += ev->size;
	return is_full(call) ? -1 : 0;
}

/* ---- KS_OPEN_ORDERED ------------------------------------------------------------------------- */

struct hold {
	struct ks *ks;
	int full;
};

static int put_order(const struct ks_event *ev, void *user)
{
	struct hold *hold = user;

	/* put cannot fail: the heap had room for the longest record before this call */
	hold->full = ks__order_put(hold->ks->order, ev) || ks__order_full(hold->ks->order);
	return hold->full ? -1 : 0;
}

static int any_on(struct ks *ks)
{
	for (unsigned p = 0; p < KS__PROBES_MAX; p++)
		if (ks->slots[p].probe && ks__is_on(&ks->slots[p]))
			return 1;
	return 0;
}

static uint64_t hold_ns(const struct ks *ks)
{
	return (ks->opts.batch_ms == KS_IMMEDIATE ? 1 : ks->opts.batch_ms) * 1000000ull;
}

/* ---- drain ----------------------------------------------------------------------------------- */

static int drain_sources(struct ks *ks, struct ks__sink *sink, unsigned max)
{
	unsigned n = ks__watch_drain(ks, sink, max);

	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i] && n < max; i++) {
		struct ks__source *s = ks->sources[i];
		int got;

		if (sink->rc < 0 || !ks__sink_alive(sink))
			break; /* the callback asked to stop, or the handle is closed */
		got = s->ops->drain(s, sink, max - n);
		if (got < 0)
			return got;
		n += (unsigned)got;
	}
	return (int)n;
}

/* Moves all records of the sources into the heap. Returns 1: sources are empty; 0: heap is full. */
static int fill_order(struct ks *ks)
{
	struct hold hold = { ks, ks__order_full(ks->order) };
	struct ks__sink sink = sink_into(ks, put_order, &hold);
	int rc = 1;

	while (rc > 0 && !hold.full) {
		rc = drain_sources(ks, &sink, MAX_EVENTS);
		if (rc > 0)
			ks->armed = 0;
	}
	return rc < 0 ? rc : !hold.full;
}

/*
 * Reads the clock before it empties the sources. A record older than that time minus the batch
 * interval was already submitted, on whichever CPU, so it is now in the heap, and the watermark may
 * move there. If the sources are not empty, they may still hold older records: then the watermark
 * stays, and a full heap delivers its earliest records.
 */
static int drain_ordered(struct call *call, unsigned max)
{
	_Static_assert(!(KS__PROBES_MAX & (KS__PROBES_MAX - 1)),
		       "KS__PROBES_MAX must be a power of 2: it masks probe ids");
	struct ks *ks = call->ks;
	uint64_t now = ks__now(), watermark = now > hold_ns(ks) ? now - hold_ns(ks) : 0;
	const struct ks_event *ev;
	unsigned n = 0;
	int rc = fill_order(ks);

	if (rc < 0)
		return rc;
	if (rc)
		ks->watermark_ns = any_on(ks) ? watermark : UINT64_MAX;
	while (n < max &&
	       (ev = ks__order_take(ks->order,
				    ks__order_full(ks->order) ? UINT64_MAX : ks->watermark_ns))) {
		atomic_fetch_add_explicit(&ks->ordered[ev->id >> 8 & (KS__PROBES_MAX - 1)], 1,
					  memory_order_relaxed);
		n++;
		if (ks__put(&call->sink, ev))
			break;
	}
	return (int)n;
}

static int drain(struct call *call, unsigned max)
{
	int n = call->ks->order ? drain_ordered(call, max) :
				  drain_sources(call->ks, &call->sink, max);

	if (n > 0)
		call->ks->armed = 0;
	return n;
}

/* ---- arm the next wake-up -------------------------------------------------------------------- */

/* Arms the sources and the timer. Returns 0; 1: records arrived meanwhile, drain again; -EBADF. */
static int arm(struct ks *ks)
{
	uint64_t first = atomic_load_explicit(&ks->look_ns, memory_order_relaxed);
	int rc;

	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++) {
		uint64_t deadline = 0;

		if (ks->sources[i]->ops->arm(ks->sources[i], &deadline))
			return 1;
		if (deadline && (!first || deadline < first))
			first = deadline;
	}
	if (ks->order && ks__order_count(ks->order)) {
		uint64_t due = ks__order_next_ns(ks->order) + hold_ns(ks);

		if (!first || due < first)
			first = due;
	}
	rc = ks__wait_until(ks, first);
	if (rc)
		return rc;
	if (atomic_exchange(&ks->changed, 0))
		return 1;
	ks->armed = 1;
	return 0;
}

/* ---- wait ------------------------------------------------------------------------------------ */

/* Sleeps. Meanwhile another thread may borrow the rings, to count the records in them. */
static int sleep_for(struct call *call, int timeout_ms)
{
	struct ks *ks = call->ks;
	int rc;

	call->guard->waits = 1;
	atomic_store(&ks->consumer, KS__CONSUMER_WAITS);
	rc = ks__wait(ks, timeout_ms);
	become(ks, KS__CONSUMER_WAITS, ks__thread());
	call->guard->waits = 0;
	return rc;
}

static int left_ms(uint64_t end_ns)
{
	uint64_t now = ks__now();

	return now >= end_ns ? 0 : (int)((end_ns - now + 999999) / 1000000);
}

/* Drains as many records as `max` and the buffer allow. Returns 1 if this call must end, else 0. */
static int fill(struct call *call, unsigned max, int *n)
{
	struct ks *ks = call->ks;
	int got = drain(call, max - (unsigned)*n), stopped = !call->buf && call->sink.rc < 0;

	*n = stopped ? call->sink.rc : got < 0 ? got : *n + got;
	if (!is_alive(ks))
		return 1;
	if (*n >= 0 && (unsigned)*n < max && !is_full(call))
		return 0;
	ks__stay_readable(ks);
	return 1;
}

/* Returns 0: may sleep or return; 1: drain again; or a negative error. */
static int settle(struct ks *ks, int n)
{
	int rc = ks->armed ? 0 : arm(ks);

	if (rc > 0 && n)
		ks__stay_readable(ks);
	return n ? 0 : rc;
}

/* Returns the records delivered, or an error. 0: all are drained, and the next wake-up is armed. */
static int consume(struct call *call, int timeout_ms, unsigned max)
{
	struct ks *ks = call->ks;
	uint64_t end = timeout_ms > 0 ? ks__now() + (uint64_t)timeout_ms * 1000000u : 0;
	/* held-back records have a deadline: draining earlier finds one or two a call */
	int waits = timeout_ms && ks->armed && ks->deadline_ns, woken = 0, n = 0, rc;

	if (!ks->more)
		woken = waits ? sleep_for(call, timeout_ms) : ks__wait(ks, 0);
	if (woken < 0)
		return woken;
	for (;;) {
		if (fill(call, max, &n))
			return n;
		if (ks->more) { /* sources are empty now: take the wake-up bytes */
			ks->more = 0;
			woken = ks__wait(ks, 0);
			if (woken < 0)
				return n ? n : woken;
			continue;
		}
		rc = settle(ks, n);
		if (rc < 0)
			return rc;
		if (rc)
			continue;
		if (n || woken > 0 || !timeout_ms || (timeout_ms > 0 && !left_ms(end)))
			return n;
		woken = sleep_for(call, timeout_ms < 0 ? -1 : left_ms(end));
		if (woken < 0)
			return woken;
	}
}

/*
 * Returns how many calls this one stands for when its CPU time is measured; 0: do not measure,
 * because that takes two syscalls. Calls during a backlog are many and alike, so 1 in 16 is
 * measured. Multiples of the golden ratio select them evenly, whatever period the calls have.
 */
static unsigned weigh(struct ks *ks)
{
	if (!ks->more)
		return 1;
	return ++ks->turn * 0x9e3779b97f4a7c15u >> (64 - SAMPLE_BITS) ? 0 : 1 << SAMPLE_BITS;
}

/* Calls consume() and adds its CPU time to ks->user_ns. */
static int consume_measured(struct call *call, int timeout_ms, unsigned max)
{
	struct ks *ks = call->ks;
	unsigned weight = weigh(ks);
	uint64_t began = weight ? ks__cpu_now() : 0;
	int rc = consume(call, timeout_ms, max);

	if (weight)
		atomic_fetch_add_explicit(&ks->user_ns, (ks__cpu_now() - began) * weight,
					  memory_order_relaxed);
	if (is_alive(ks))
		return rc;
	return ks__forked(ks->core) ? -KS_EFORKED : -KS_ECLOSED;
}

/* AddressSanitizer may keep locals outside of the stack: ks__frame_gone() finds no frame there. */
__attribute__((no_sanitize("address"))) int ks_poll(struct ks *ks, int timeout_ms, int max_events,
						    ks_event_fn fn, void *user)
{
	KS__ENTER(ks);
	struct call call = { .sink = sink_into(ks, fn, user), .ks = ks };
	int rc;

	if (!fn || max_events < 0 || timeout_ms < -1)
		return ks__fail(ks, -EINVAL, "ks_poll: %s",
				!fn ? "fn is NULL" :
				      "max_events is below 0, or timeout_ms below -1 (for ever)");
	rc = enter(ks, __builtin_frame_address(0));
	if (rc)
		return rc;
	__attribute__((cleanup(leave))) struct guard guard = { .ks = ks };
	call.guard = &guard;
	guard.frame = (struct ks__frame){ ks, ++ks->frames };
	atomic_store(&ks->frame, &guard.frame);
	atomic_store(&ks->in_callback, ks__thread());
	rc = consume_measured(&call, timeout_ms, max_events ? (unsigned)max_events : MAX_EVENTS);
	guard.finished = 1;
	return rc;
}

int ks_read_events(struct ks *ks, void *buf, size_t size, int timeout_ms, size_t *ret_size)
{
	KS__ENTER(ks);
	struct call call = { .ks = ks, .buf = buf, .size = size };
	int rc;

	if (!buf || !ret_size || timeout_ms < -1 || size < KS_RECORD_MAX || (uintptr_t)buf % 8)
		return ks__fail(
			ks, -EINVAL,
			"ks_read_events: %zu bytes at %p: buf needs %d bytes or more, aligned to "
			"8; ret_size must not be NULL, timeout_ms must be -1 or more",
			size, buf, KS_RECORD_MAX);
	rc = enter(ks, __builtin_frame_address(0));
	if (rc)
		return rc;
	__attribute__((cleanup(leave))) struct guard guard = { .ks = ks };
	call.guard = &guard;
	call.sink = sink_into(ks, put_copy, &call);
	rc = consume_measured(&call, timeout_ms, UINT32_MAX >> 1);
	if (rc >= 0)
		*ret_size = call.used;
	guard.finished = 1;
	return rc;
}
