/* SPDX-License-Identifier: BSD-2-Clause */
#include <unistd.h>

#include "cli.h"

static int print_event(const struct ks_event *event, void *user)
{
	struct session *session = user;

	if (session->opt->json)
		json_event(event);
	else
		text_event(session->ks, event);
	return 0;
}

/* Prints the ledger at the end, one line per probe: it shows whether records were lost. */
static int print_ledgers(struct session *session)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_self *row;
	struct options *opt = session->opt;
	int status = EXIT_OK;
	unsigned i;

	if (ks_read_stats(session->ledger, &stats))
		return fail(EXIT_FAILED, "cannot read the ledger");
	for (i = 0; i < opt->n_probes; i++) {
		row = ledger_row(&stats, opt->probes[i].desc.probe);
		if (opt->probes[i].error || !row)
			continue;
		if (ks_ledger_check(session->ks, opt->probes[i].desc.probe))
			status = EXIT_FAILED;
		if (opt->json)
			json_ledger(session->ks, opt->probes[i].desc.probe, &stats, row);
		else
			text_ledger(session->ks, opt->probes[i].desc.probe, row);
	}
	return status;
}

static void say_start(const struct options *opt)
{
	if (!opt->command && !opt->duration_ns && !opt->json && isatty(STDERR_FILENO))
		fprintf(stderr, "watching; Ctrl-C ends it\n");
}

int watch_run(struct options *opt)
{
	/* In the order of time: people expect a fork before the events of its child. */
	static const struct flags flags = { .open = KS_OPEN_ORDERED };
	struct session session;
	int status = session_open(&session, opt, &flags);

	if (status)
		return status;
	say_start(opt);
	session_wait(&session, opt->duration_ns ? session_now() + opt->duration_ns : 0, print_event,
		     &session);
	session_stop(&session, print_event, &session);
	status = print_ledgers(&session);
	return session_close(&session, status);
}
