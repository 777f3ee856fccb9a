/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * batch_reader.c - reads many records in one call into a buffer of the host
 *
 * Bindings of other languages do this, so that one call into C brings hundreds of records. The
 * program makes 500 children while no thread reads. Then it reads the records in batches of 64 KiB
 * and checks that the ledger adds up.
 */
#include <kernelsight/kernelsight.h>

#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 500

static uint64_t batch[65536 / sizeof(uint64_t)];

int main(void)
{
	struct ks_enable_opts programs = { .size = sizeof(programs),
					   .flags = KS_ENABLE_NO_FALLBACK };
	const struct ks_event *ev;
	unsigned forks = 0, batches = 0;
	struct ks *ks;
	size_t bytes;
	int rc;

	if (ks_open(NULL, &ks) < 0)
		return 1;
	rc = ks_enable_probe(ks, KS_PROBE_PROC, &programs);
	if (rc < 0) {
		fprintf(stderr, "proc: %s\n", ks_strerror(rc));
		ks_close(ks);
		return rc == -KS_EUNAVAIL ? 77 : 1;
	}
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	ks_disable_probe(ks, KS_PROBE_PROC); /* records made so far are still delivered */
	while (ks_read_events(ks, batch, sizeof(batch), 0, &bytes) > 0) {
		batches++;
		for (ev = NULL; (ev = ks_next_event(batch, bytes, ev));)
			forks += ev->id == KS_EVENT_PROC_FORK;
	}
	rc = ks_ledger_check(ks, KS_PROBE_PROC);
	printf("%u forks in %u batches, ledger: %s\n", forks, batches, ks_strerror(rc));
	ks_close(ks);
	return forks == CHILDREN && rc == 0 ? 0 : 1;
}
