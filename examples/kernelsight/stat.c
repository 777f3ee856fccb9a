/* SPDX-License-Identifier: BSD-2-Clause */
#include <unistd.h>

#include "cli.h"

#define TOP_DEFAULT 20 /* rows printed for people without --top */

static int ignore_event(const struct ks_event *event, void *user)
{
	(void)event;
	(void)user;
	return 0;
}

static void print_ledger(struct session *session, const struct probe *probe,
			 const struct ks_stats *ledger)
{
	const struct ks_stats_self *row = ledger_row(ledger, probe->desc.probe);

	if (!row)
		return;
	if (session->opt->json)
		json_ledger(session->ks, probe->desc.probe, ledger, row);
	else
		table_ledger(session->ks, probe->desc.probe, row);
}

static void print_own(struct session *session)
{
	struct ks_stats own = { .size = sizeof(own) };

	if (ks_read_stats(session->own, &own) || !ks_stats_row(&own, 0))
		return;
	if (session->opt->json)
		json_own(session->ks, &own);
	else
		table_own(&own);
}

static void print_failed(struct session *session, const struct probe *probe)
{
	if (session->opt->json)
		json_probe(session->ks, probe);
	else
		text_probe(session->ks, probe);
}

static int print_keyed(struct session *session, const struct probe *probe)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct options *opt = session->opt;
	int ret;

	if (!probe->keyed)
		return 0;
	ret = ks_read_stats(probe->keyed, &stats);
	if (ret)
		return ret;
	if (opt->json)
		json_keyed(session->ks, probe, &stats, opt->top, opt->interval_ns != 0);
	else
		keyed_table(&stats, opt->by, opt->has_top ? opt->top : TOP_DEFAULT);
	return 0;
}

static int print_all(struct session *session)
{
	struct ks_stats stats, ledger = { .size = sizeof(ledger) };
	struct options *opt = session->opt;
	int status = EXIT_OK, ret;
	unsigned i;

	ret = ks_read_stats(session->ledger, &ledger);
	for (i = 0; i < opt->n_probes && !ret; i++) {
		struct probe *probe = &opt->probes[i];

		if (probe->error) {
			print_failed(session, probe);
			continue;
		}
		stats = (struct ks_stats){ .size = sizeof(stats) };
		ret = ks_read_stats(probe->reader, &stats);
		if (ret)
			break;
		if (opt->json)
			json_stats(session->ks, probe, &stats);
		else
			table_stats(session->ks, probe, &stats);
		ret = print_keyed(session, probe);
		print_ledger(session, probe, &ledger);
		if (ks_ledger_check(session->ks, probe->desc.probe))
			status = EXIT_FAILED;
	}
	if (ret)
		return fail_reading(session->ks, ret);
	print_own(session);
	if (!opt->json && opt->interval_ns)
		putchar('\n');
	return status;
}

static void say_start(const struct options *opt)
{
	if (!opt->command && !opt->duration_ns && !opt->interval_ns && !opt->json &&
	    isatty(STDERR_FILENO))
		fprintf(stderr, "counting; Ctrl-C ends it\n");
}

/* Prints each interval but the last one, which ends with the session. Returns a status. */
static int run_intervals(struct session *session, uint64_t end_ns)
{
	uint64_t interval_ns = session->opt->interval_ns, next_ns = session_now();
	int status = EXIT_OK;

	for (;;) {
		next_ns += interval_ns;
		if (end_ns && next_ns + interval_ns / 2 > end_ns)
			break;
		if (!session_wait(session, next_ns, ignore_event, NULL))
			return status;
		status |= print_all(session);
	}
	session_wait(session, end_ns, ignore_event, NULL);
	return status;
}

int stat_run(struct options *opt)
{
	const struct flags flags = {
		.enable = KS_ENABLE_NO_EVENTS,
		.reader = opt->interval_ns ? KS_READ_DELTA : 0,
	};
	struct session session;
	uint64_t end_ns;
	int status = session_open(&session, opt, &flags);

	if (status)
		return status;
	say_start(opt);
	end_ns = opt->duration_ns ? session_now() + opt->duration_ns : 0;
	if (opt->interval_ns)
		status = run_intervals(&session, end_ns);
	else
		session_wait(&session, end_ns, ignore_event, NULL);
	session_stop(&session, ignore_event, NULL);
	status |= print_all(&session);
	return session_close(&session, status);
}
