/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * files.c - the source without kernel programs: the fallbacks of probes read files of procfs
 *
 * A look is one read of the files of a probe. The source looks when a reader reads the statistics,
 * when the scope changes, when the probe is disabled and, if the probe makes records, each interval
 * in the consumer. Records that the look of a reader has found wait in a queue for the consumer.
 *
 * `lock` guards everything here, since the consumer and readers do not take the handle's lock. It
 * is released while a callback of the host runs: a callback of events may read statistics, and one
 * of messages may take long.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../data/rows.h"
#include "files.h"

_Static_assert(KS_OUTCOMES == KS__OUTCOMES,
	       "KS_OUTCOMES (bpf/shared.h) and KS__OUTCOMES (ledger.h) must be equal");

/*
 * Takes the lock and disables the cancellation of this thread: the source reads files under the
 * lock, and each read is a cancellation point. Returns the old state, for unlock().
 */
static int lock(struct files *files)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&files->lock);
	return state;
}

static void unlock(struct files *files, int state)
{
	struct ks *ks = files->source.ks;
	int rc = files->look_error;

	files->look_error = 0;
	pthread_mutex_unlock(&files->lock);
	pthread_setcancelstate(state, NULL);
	if (rc)
		ks__log(ks, KS_LOG_WARNING, "%s cannot be read now: %s", ks->opts.proc_path,
			ks_strerror(rc));
}

/* ---- open and close -------------------------------------------------------------------------- */

/* The pid of this process in the procfs at proc_path, which may be of another pid namespace. */
static int32_t own_pid(int proc_fd)
{
	char link[16] = "";
	int32_t pid = 0;

	if (readlinkat(proc_fd, "self", link, sizeof(link) - 1) > 0)
		pid = atoi(link);
	return pid > 0 ? pid : getpid();
}

static int files_open(struct ks *ks, struct ks__source **ret_source)
{
	struct files *files = calloc(1, sizeof(*files));
	unsigned i;

	if (!files)
		return -ENOMEM;
	files->source = (struct ks__source){ &ks__source_files, ks };
	files->self = own_pid(ks->proc_fd);
	files->scope.kind = KS_SCOPE_SELF;
	for (i = 0; i < KS__PROBES_MAX; i++)
		files->served[i].tally.random = ks__now() | 1;
	pthread_mutex_init(&files->lock, NULL);
	*ret_source = &files->source;
	return 0;
}

static void stop(struct served *served)
{
	if (served->scan)
		served->scan->close(served->state);
	served->scan = NULL;
	served->state = NULL;
}

static void files_close_forked(struct ks__source *s)
{
	struct files *files = files_of(s);
	unsigned i;

	for (i = 0; i < KS__PROBES_MAX; i++) {
		stop(&files->served[i]);
		free(files->served[i].tally.block);
	}
	ks__queue_free(&files->queue);
	free(files);
}

static void files_close(struct ks__source *s)
{
	pthread_mutex_destroy(&files_of(s)->lock);
	files_close_forked(s);
}

/* ---- looking --------------------------------------------------------------------------------- */

static int look(struct files *files, struct served *served)
{
	struct ks__look look = {
		.proc_fd = files->source.ks->proc_fd,
		.self = files->self,
		.scope_turn = files->scope_turn,
		.scope = &files->scope,
		.set = &served->set,
		.tally = &served->tally,
		.queue = &files->queue,
	};
	int is_own = look.proc_fd < 0 || ks__fd_is_own(&files->source.ks->fds, look.proc_fd);
	int rc = is_own ? served->scan->look(served->state, &look) : -EBADF;

	/* also after a failure, so that the next look waits for the interval */
	served->looked_ns = ks__now();
	return rc;
}

/* Keeps the error for unlock() to log. The next look finds what a failed look has missed. */
static void try_look(struct files *files, struct served *served)
{
	int rc = look(files, served);

	if (rc)
		files->look_error = rc;
}

static int makes_records(const struct served *served)
{
	return served->scan && !(served->set.flags & KS_ENABLE_NO_EVENTS) &&
	       served->set.sample_every;
}

/* Statistics, too, miss what ends between two looks. */
static int wants_looks(const struct served *served)
{
	return makes_records(served) || (served->scan && served->scan->misses_ends &&
					 !(served->set.flags & KS_ENABLE_NO_STATS));
}

/* The time of the consumer's next look; UINT64_MAX: none. */
static uint64_t due_ns(const struct served *served)
{
	return wants_looks(served) ? served->looked_ns + served->set.interval_ms * 1000000u :
				     UINT64_MAX;
}

/* ---- on and off ------------------------------------------------------------------------------ */

static int files_prepare(struct ks__source *s, uint32_t mask, const char *variant)
{
	(void)s, (void)mask, (void)variant;
	return 0;
}

/* Allocates memory that stays until the handle is closed. */
static int reserve(struct files *files, const struct ks__probe *probe, struct served *served)
{
	if (!served->tally.block)
		served->tally.block =
			calloc(ks__rows_words(probe->stats), sizeof(*served->tally.block));
	if (!served->tally.block)
		return -ENOMEM;
	if (files->queue.bytes)
		return 0;
	return ks__queue_init(&files->queue, files->source.ks->opts.ring_bytes);
}

/* The first look only notes the present state: events count from now on. */
static int start(struct files *files, const struct ks__probe *probe, struct served *served)
{
	int rc = reserve(files, probe, served);

	if (!rc)
		rc = probe->fallback->scan->open(probe, &served->state);
	if (rc)
		return rc;
	served->scan = probe->fallback->scan;
	rc = look(files, served);
	if (rc)
		stop(served);
	return rc;
}

static int files_enable(struct ks__source *s, uint32_t probe, const char *variant,
			uint32_t *ret_variant, uint64_t *ret_valid)
{
	struct files *files = files_of(s);
	const struct ks__probe *p = probe_of(files, probe);
	char why[256];
	int state, rc;

	if (variant && (!p->fallback || strcmp(variant, p->fallback->name)))
		return -KS_EUNAVAIL;
	rc = ks__files_usable(files, probe, why, sizeof(why));
	if (rc == -EMFILE || rc == -ENFILE ||
	    rc == -ENOMEM) /* the host can mend this: no reason to call the variant unusable */
		return ks__fail(s->ks, rc, "%s: %s cannot be read: %s", p->name,
				s->ks->opts.proc_path, ks_strerror(rc));
	if (rc)
		return -KS_EUNAVAIL;
	state = lock(files);
	rc = files->served[probe].scan ? 0 : start(files, p, &files->served[probe]);
	unlock(files, state);
	if (rc)
		return ks__fail(s->ks, rc, "%s: %s cannot be scanned: %s", p->name,
				s->ks->opts.proc_path, ks_strerror(rc));
	ks__files_hidden(files, probe, why, sizeof(why));
	if (why[0])
		ks__log(s->ks, KS_LOG_WARNING, "%s: %s", p->name, why);
	*ret_variant = ks__files_variant(p);
	*ret_valid = p->valid & ~p->fallback->lacks;
	return 0;
}

/* Looks a last time, so that events up to now are counted. */
static void files_disable(struct ks__source *s, uint32_t probe)
{
	struct files *files = files_of(s);
	struct served *served = &files->served[probe];
	int state;

	state = lock(files);
	if (served->scan)
		try_look(files, served);
	stop(served);
	unlock(files, state);
}

static int files_apply(struct ks__source *s, uint32_t probe, const struct ks__settings *set)
{
	struct files *files = files_of(s);
	int state;

	state = lock(files);
	files->served[probe].set = *set;
	unlock(files, state);
	return 0;
}

/* Looks before the change, so that earlier events count under the old scope. */
static int files_set_scope(struct ks__source *s, const struct ks__scope *scope)
{
	struct files *files = files_of(s);
	int state;

	state = lock(files);
	for (unsigned i = 0; i < KS__PROBES_MAX; i++)
		if (files->served[i].scan)
			try_look(files, &files->served[i]);
	files->scope = *scope;
	files->scope_turn++;
	unlock(files, state);
	return 0;
}

/* ---- consumer -------------------------------------------------------------------------------- */

static void look_if_due(struct files *files)
{
	uint64_t now = ks__now();
	unsigned i;

	for (i = 0; i < KS__PROBES_MAX; i++)
		if (due_ns(&files->served[i]) <= now)
			try_look(files, &files->served[i]);
}

/* Counts the record as delivered before the callback gets it, since the callback may unwind. */
static int take(struct files *files, struct ks_event *ret)
{
	unsigned probe;

	if (!ks__queue_take(&files->queue, ks__now(), ret))
		return 0;
	probe = ret->id >> 8;
	if (probe != KS_PROBE_SELF) {
		files->served[probe].tally.queued--;
		files->served[probe].tally.delivered++;
	}
	return 1;
}

static int files_drain(struct ks__source *s, struct ks__sink *sink, unsigned max)
{
	union {
		struct ks_event ev;
		char bytes[KS__QUEUE_RECORD_MAX];
	} record;
	struct files *files = files_of(s);
	unsigned n = 0;
	int got, state, rc = 0;

	state = lock(files);
	look_if_due(files);
	unlock(files, state);
	while (n < max && !rc) {
		state = lock(files);
		got = take(files, &record.ev);
		unlock(files, state);
		if (!got)
			break;
		n++;
		rc = ks__put(sink, &record.ev);
	}
	return (int)n;
}

static int files_arm(struct ks__source *s, uint64_t *ret_deadline_ns)
{
	struct files *files = files_of(s);
	uint64_t first = UINT64_MAX;
	int ready, state;
	unsigned i;

	state = lock(files);
	ready = ks__queue_ready(&files->queue);
	for (i = 0; i < KS__PROBES_MAX; i++) {
		uint64_t due = due_ns(&files->served[i]);

		first = due < first ? due : first;
	}
	unlock(files, state);
	if (ready)
		return 1;
	*ret_deadline_ns = first == UINT64_MAX ? 0 : first;
	return 0;
}

/* ---- readers --------------------------------------------------------------------------------- */

static int files_read(struct ks__source *s, uint32_t probe, struct ks__rows *rows, int per_cpu)
{
	struct files *files = files_of(s);
	struct served *served = &files->served[probe];
	const char *why = "";
	int state, rc = 0;

	(void)per_cpu; /* files do not name the CPU: all counts go to the first row */
	state = lock(files);
	if (served->scan)
		rc = look(files, served);
	if (rc == -KS_EUNAVAIL) /* a constant; another thread may stop the scan after unlock() */
		why = served->scan->no_scope(&files->scope);
	if (!rc && served->tally.block)
		ks__rows_add(rows, 0, served->tally.block);
	unlock(files, state);
	if (rc == -KS_EUNAVAIL)
		return ks__fail(s->ks, rc, "%s", why);
	if (rc == -EBADF)
		return ks__fail_closed(s->ks);
	if (rc)
		return ks__fail(s->ks, rc, "%s cannot be read now: %s", s->ks->opts.proc_path,
				ks_strerror(rc));
	return 0;
}

static int files_ledger(struct ks__source *s, uint32_t probe, int idle, struct ks__ledger *ret)
{
	struct files *files = files_of(s);
	const struct ks__tally *tally = &files->served[probe].tally;
	/* missed_known 0: the scan does not know what ended between two looks */
	struct ks__ledger ledger = { 0 };
	int state;

	state = lock(files);
	memcpy(ledger.outcome, tally->outcome, sizeof(ledger.outcome));
	ledger.delivered = tally->delivered;
	ledger.in_flight = idle ? tally->queued : 0;
	unlock(files, state);
	*ret = ledger;
	return 0;
}

/* ---- size ------------------------------------------------------------------------------------ */

static void files_size(struct ks__source *s, uint64_t *ret_kernel, uint64_t *ret_user)
{
	struct files *files = files_of(s);
	uint64_t bytes = sizeof(*files);
	unsigned i;
	int state;

	state = lock(files);
	bytes += files->queue.size;
	for (i = 0; i < KS__PROBES_MAX; i++)
		if (files->served[i].scan)
			bytes += files->served[i].scan->bytes(files->served[i].state);
	unlock(files, state);
	*ret_kernel = 0;
	*ret_user = bytes;
}

/* admit is NULL: looks are too rare to see the short-lived child of a self-test. */
const struct ks__source_ops ks__source_files = {
	.kind = KS_SOURCE_FILES,
	.open = files_open,
	.close = files_close,
	.close_forked = files_close_forked,
	.prepare = files_prepare,
	.enable = files_enable,
	.disable = files_disable,
	.apply = files_apply,
	.set_scope = files_set_scope,
	.note = ks__files_note,
	.expect = ks__files_expect,
	.why = ks__files_why,
	.drain = files_drain,
	.arm = files_arm,
	.read = files_read,
	.ledger = files_ledger,
	.explain = ks__files_explain,
	.check = ks__files_check,
	.size = files_size,
};
