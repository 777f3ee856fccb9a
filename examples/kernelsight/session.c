/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

uint64_t session_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int open_handle(uint32_t flags, struct ks **ret_ks)
{
	/*
	 * The command's process begins as a copy of this one, so this one's memory counts in its
	 * peak.
	 */
	struct ks_open_opts opts = { .size = sizeof(opts), .flags = flags | KS_OPEN_TRIM };
	int ret = ks_open(&opts, ret_ks);

	return ret ? fail(EXIT_FAILED, "cannot open the library: %s", ks_strerror(ret)) : 0;
}

static int wants_tree(const struct options *opt)
{
	return opt->command && !opt->has_scope;
}

/*
 * Loads the programs of a tree scope, with this process as root. If they were loaded later, the
 * waiting command would wait longer, and its events would show that wait.
 */
static void prepare_tree(struct session *session)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_TREE };

	if (wants_tree(session->opt))
		ks_set_scope(session->ks, &scope);
}

static int set_scope(struct ks *ks, const struct ks_scope *scope)
{
	int ret = ks_set_scope(ks, scope);
	char why[REASON_MAX];

	if (!ret)
		return 0;
	ks_last_error(ks, why, sizeof(why));
	return fail(ret == -KS_EUNAVAIL ? EXIT_FAILED : EXIT_USAGE, "%s",
		    *why ? why : ks_strerror(ret));
}

static int set_scope_of_session(struct session *session)
{
	struct ks_scope scope = session->opt->scope;

	if (wants_tree(session->opt)) {
		scope.kind = KS_SCOPE_TREE;
		scope.pids = &session->child.pid;
		scope.n_pids = 1;
	}
	return set_scope(session->ks, &scope);
}

/* Does the probe have a variant of this name, whether or not it works here? */
static int check_variant(struct ks *ks, const struct probe *probe, const char *name)
{
	struct ks_variant_info variant;
	char names[256] = "";
	size_t length;
	uint32_t i;

	for (i = 0; !variant_query(ks, probe->desc.probe, i, &variant); i++) {
		if (!strcmp(variant.name, name))
			return 0;
		length = strlen(names);
		snprintf(names + length, sizeof(names) - length, "%s%s", i ? ", " : "",
			 variant.name);
	}
	return fail(EXIT_USAGE, "%s has no variant '%s', only %s (try 'kernelsight list')",
		    probe->desc.name, name, names);
}

static int prepare(struct ks *ks, struct options *opt)
{
	uint32_t probes[PROBES_MAX];
	unsigned i;
	int ret = 0;

	for (i = 0; i < opt->n_probes; i++) {
		probes[i] = opt->probes[i].desc.probe;
		if (opt->variant && !ret)
			ret = check_variant(ks, &opt->probes[i], opt->variant);
	}
	/* Enabling loads a forced variant. The others need not be loaded. */
	if (ret || opt->variant)
		return ret;
	ret = ks_prepare(ks, probes, opt->n_probes);
	return ret < 0 ? fail(EXIT_FAILED, "cannot load kernel programs: %s", ks_strerror(ret)) : 0;
}

void probe_keep_error(struct ks *ks, struct probe *probe, int error)
{
	size_t length = strlen(probe->desc.name);
	char *why = probe->why;

	if (!ks_last_error(ks, why, sizeof(probe->why)))
		snprintf(why, sizeof(probe->why), "%s", ks_strerror(error));
	if (!strncmp(why, probe->desc.name, length) && !strncmp(why + length, ": ", 2))
		memmove(why, why + length + 2, strlen(why + length + 2) + 1);
}

static int enable(struct ks *ks, struct options *opt, struct probe *probe, uint32_t flags)
{
	struct ks_enable_opts enable_opts = {
		.size = sizeof(enable_opts),
		.flags = flags,
		.n_params = probe->n_params,
		.params = probe->params,
		.variant = opt->variant,
	};
	int ret = ks_enable_probe(ks, probe->desc.probe, &enable_opts);

	probe->error = ret < 0 ? ret : 0;
	if (ret < 0)
		probe_keep_error(ks, probe, ret);
	probe->info = (struct ks_probe_info){ .size = sizeof(probe->info) };
	ks_query_probe(ks, probe->desc.probe, &probe->info);
	return probe->error;
}

int look_open(struct ks **ret_ks, struct options *opt)
{
	struct ks_probe_desc desc;
	struct ks *ks;
	unsigned i;
	int status;

	for (i = 0; !opt->n_probes || i; i++) {
		if (probe_describe(i, &desc))
			break;
		if (desc.probe != KS_PROBE_SELF)
			options_add(opt, &desc);
	}
	status = open_handle(0, &ks);
	if (status)
		return status;
	/*
	 * By default the whole system, as watch and stat: some fallback files know no other scope.
	 */
	status = set_scope(ks, &opt->scope);
	if (!status)
		status = prepare(ks, opt);
	if (status) {
		ks_close(ks);
		return status;
	}
	for (i = 0; i < opt->n_probes; i++)
		enable(ks, opt, &opt->probes[i], 0);
	*ret_ks = ks;
	return 0;
}

/* Prints one line with the probes that are off or read files, and the reason of the first one. */
static void say_fallbacks(const struct options *opt)
{
	char names[256] = "";
	const char *why = NULL, *what;
	size_t length;
	unsigned i;

	for (i = 0; i < opt->n_probes; i++) {
		const struct probe *probe = &opt->probes[i];

		if (!probe->error && (probe->info.source != KS_SOURCE_FILES || opt->variant))
			continue;
		what = probe->error ? "unavailable" : "read from files";
		length = strlen(names);
		snprintf(names + length, sizeof(names) - length, "%s%s %s", length ? ", " : "",
			 probe->desc.name, what);
		if (!why)
			why = probe->error ? probe->why : probe->info.reason;
	}
	if (why)
		fail(0, "%s: %s", names, why);
}

static int enable_all(struct session *session, uint32_t flags)
{
	struct options *opt = session->opt;
	unsigned i, on = 0;

	for (i = 0; i < opt->n_probes; i++) {
		int error = enable(session->ks, opt, &opt->probes[i], flags);

		if (error == -EINVAL)
			return fail(EXIT_USAGE, "%s", opt->probes[i].why);
		on += !error;
	}
	if (!on)
		return fail(EXIT_FAILED, "%s: %s", opt->probes[0].desc.name, opt->probes[0].why);
	say_fallbacks(opt);
	return 0;
}

static int set_roles(struct session *session)
{
	const struct options *opt = session->opt;
	char why[REASON_MAX];
	unsigned i;
	int ret;

	for (i = 0; i < opt->n_roles; i++) {
		ret = ks_thread_role(session->ks, opt->roles[i].tid, opt->roles[i].name);
		if (ret >= 0)
			continue;
		ks_last_error(session->ks, why, sizeof(why));
		return fail(EXIT_USAGE, "--role %d=%s: %s", opt->roles[i].tid, opt->roles[i].name,
			    *why ? why : ks_strerror(ret));
	}
	return 0;
}

int fail_reading(struct ks *ks, int error)
{
	char why[REASON_MAX];

	if (ks_last_error(ks, why, sizeof(why)) <= 0)
		snprintf(why, sizeof(why), "%s", ks_strerror(error));
	return fail(EXIT_FAILED, "cannot read statistics: %s", why);
}

/*
 * Makes readers of the rows of --by for all probes that have such rows; at least one must. A
 * fallback may have no such rows. Its total is then printed alone if another probe has rows.
 */
static int open_keyed(struct session *session, uint32_t flags)
{
	struct options *opt = session->opt;
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = opt->by, .flags = flags };
	unsigned i, n = 0, refused = 0;
	char why[REASON_MAX];
	int ret = 0;

	if (opt->by == KS_BY_TOTAL)
		return 0;
	for (i = 0; i < opt->n_probes && !ret; i++) {
		struct probe *probe = &opt->probes[i];

		if (probe->error || !(probe->desc.by & opt->by))
			continue;
		ret = ks_reader_new(session->ks, probe->desc.probe, &opts, &probe->keyed);
		if (ret == -KS_EUNAVAIL) {
			ks_last_error(session->ks, why, sizeof(why));
			fail(0, "%s", why);
			refused++;
			ret = 0;
			continue;
		}
		n++;
	}
	if (!n && refused)
		return EXIT_FAILED;
	if (!n)
		return fail(EXIT_USAGE, "%s has no rows by %s", opt->probes[0].desc.name,
			    by_name(opt->by));
	return ret ? fail_reading(session->ks, ret) : 0;
}

static int open_readers(struct session *session, uint32_t flags)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = KS_BY_TOTAL, .flags = flags };
	struct options *opt = session->opt;
	unsigned i;
	int ret = 0;

	for (i = 0; i < opt->n_probes && !ret; i++)
		if (!opt->probes[i].error)
			ret = ks_reader_new(session->ks, opt->probes[i].desc.probe, &opts,
					    &opt->probes[i].reader);
	if (!ret)
		ret = ks_reader_new(session->ks, KS_PROBE_SELF, &opts, &session->own);
	opts.by = KS_BY_PROBE;
	if (!ret)
		ret = ks_reader_new(session->ks, KS_PROBE_SELF, &opts, &session->ledger);
	return ret ? fail_reading(session->ks, ret) : 0;
}

static void free_session(struct session *session)
{
	unsigned i;

	child_abandon(&session->child);
	for (i = 0; i < session->opt->n_probes; i++) {
		ks_reader_free(session->opt->probes[i].reader);
		ks_reader_free(session->opt->probes[i].keyed);
	}
	ks_reader_free(session->ledger);
	ks_reader_free(session->own);
	signals_wake(NULL);
	reasons_forget();
	ks_close(session->ks);
}

/* Fails before it starts a command whose events could not be printed. */
static int check_output(void)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);

	if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY)
		return 0;
	return fail(EXIT_FAILED, "cannot write the output: standard output is closed");
}

/* Returns an exit status if a signal came: then the command must not start. */
static int check_signals(const struct options *opt)
{
	return opt->command && signals_count() ? 128 + signals_last() : 0;
}

int session_open(struct session *session, struct options *opt, const struct flags *flags)
{
	int status = check_output();

	*session = (struct session){ .opt = opt, .broken = -1 };
	session->child = (struct child){ .go = -1, .error = -1 };
	if (status)
		return status;
	signals_catch(opt->command != NULL);
	status = open_handle(flags->open, &session->ks);
	if (!status) {
		prepare_tree(session);
		status = check_signals(opt);
	}
	if (!status)
		status = prepare(session->ks, opt);
	if (!status)
		status = check_signals(opt);
	if (!status && opt->command)
		status = child_fork(&session->child, opt->command);
	if (!status)
		status = set_scope_of_session(session);
	if (!status)
		status = enable_all(session, flags->enable);
	if (!status)
		status = set_roles(session);
	if (!status)
		status = open_readers(session, flags->reader);
	if (!status)
		status = open_keyed(session, flags->reader);
	signals_wake(session->ks);
	/* From now on the waiting command gets the terminal's signals, too. */
	if (!status)
		status = check_signals(opt);
	if (!status && opt->command)
		status = child_release(&session->child, opt->command);
	if (status)
		free_session(session);
	return status;
}

/* ---- running -------------------------------------------------------------------------------- */

/*
 * Handles new signals. Returns 1 if the session must end. The first signal ends only the command,
 * so that its last events are seen. A second one ends the session.
 */
static int heed_signals(struct session *session)
{
	int now = signals_count();

	if (now == session->signals)
		return 0;
	if (session->child.pid && !signals_from_terminal())
		kill(session->child.pid, signals_last());
	session->signals = now;
	return !session->child.pid || now > 1;
}

static int milliseconds_until(uint64_t until_ns)
{
	uint64_t now = session_now(), left;

	if (!until_ns)
		return -1;
	if (now >= until_ns)
		return 0;
	left = (until_ns - now + 999999) / 1000000;
	return left > INT_MAX ? INT_MAX : (int)left;
}

/* Stops printing. The session goes on, since the command may still run. */
static void give_up_output(struct session *session)
{
	struct pollfd out = { .fd = STDOUT_FILENO };
	/* a closed pipe as in `watch ... | head` is no failure */
	int closed = poll(&out, 1, 0) == 1 && out.revents & (POLLERR | POLLHUP);

	session->broken = closed ? EXIT_OK : fail(EXIT_FAILED, "cannot write the output");
	if (!freopen("/dev/null", "w", stdout))
		session->broken = EXIT_FAILED;
}

/* Returns 1 if the output can still be written. */
static int flush_output(struct session *session)
{
	if (session->broken < 0 && (fflush(stdout) || ferror(stdout)))
		give_up_output(session);
	return session->broken < 0;
}

/* Returns 1 at until_ns, 0 if the session ends, -1 if it goes on. */
static int look_around(struct session *session, uint64_t until_ns)
{
	if (heed_signals(session) || child_ended(&session->child))
		return 0;
	return until_ns && session_now() >= until_ns ? 1 : -1;
}

static int poll_events(struct session *session, int timeout_ms, ks_event_fn fn, void *user)
{
	int ret = ks_poll(session->ks, timeout_ms, 0, fn, user);

	if (ret >= 0 || ret == -EINTR)
		return 0;
	return fail(EXIT_FAILED, "cannot read events: %s", ks_strerror(ret));
}

int session_wait(struct session *session, uint64_t until_ns, ks_event_fn fn, void *user)
{
	int ret;

	while (flush_output(session)) {
		ret = look_around(session, until_ns);
		if (ret >= 0)
			return ret;
		if (poll_events(session, milliseconds_until(until_ns), fn, user))
			return 0;
	}
	return 0;
}

const struct ks_stats_self *ledger_row(const struct ks_stats *stats, uint32_t probe)
{
	const struct ks_stats_self *row;
	size_t i;

	for (i = 0; (row = ks_stats_row(stats, i)); i++)
		if (row->row.key == probe)
			return row;
	return NULL;
}

void session_stop(struct session *session, ks_event_fn fn, void *user)
{
	struct ks_probe_desc desc;
	unsigned i;
	int ret;

	for (i = 0; !probe_describe(i, &desc); i++)
		reasons_keep(session->ks, &desc);
	for (i = 0; i < session->opt->n_probes; i++)
		ks_disable_probe(session->ks, session->opt->probes[i].desc.probe);
	child_reap(&session->child);
	do
		ret = ks_poll(session->ks, 0, 0, fn, user);
	while (ret > 0 || ret == -EINTR);
}

static int drop(const struct ks_event *event, void *user)
{
	(void)event;
	(void)user;
	return 0;
}

int session_close(struct session *session, int status)
{
	int failed = 0;

	if (!flush_output(session))
		status = session->broken;
	/*
	 * The command still runs after -d or a closed output. A second signal ends the wait for it.
	 */
	while (session->child.pid && session->signals < 2 && look_around(session, 0) < 0)
		if (!failed)
			failed = poll_events(session, -1, drop, NULL);
		else
			poll(NULL, 0, 100); /* any signal ends it, SIGCHLD included */
	if (session->child.pid)
		status = 128 + signals_last();
	else if (session->child.status) /* success of the command does not hide a failure of ours */
		status = session->child.status;
	child_reap(&session->child);
	free_session(session);
	return status;
}
