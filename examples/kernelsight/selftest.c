/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "cli.h"

/* Returns the number of kinds of events seen, or a negative code, explained in probe->why. */
static int test_probe(struct ks *ks, struct probe *probe)
{
	struct ks_selftest_opts opts = { .size = sizeof(opts) };
	int ret;

	opts.dir = getenv("TMPDIR");
	if (!opts.dir)
		opts.dir = "/tmp";
	if (probe->error)
		return probe->error;
	ret = ks_selftest(ks, probe->desc.probe, &opts);
	if (ret < 0)
		probe_keep_error(ks, probe, ret);
	return ret;
}

int selftest_run(struct options *opt)
{
	struct ks *ks;
	unsigned i;
	int status, seen, failed = 0;

	/* Events of other processes must not count as provoked ones. */
	opt->scope.kind = KS_SCOPE_SELF;
	status = look_open(&ks, opt);
	if (status)
		return status;
	for (i = 0; i < opt->n_probes; i++) {
		struct probe *probe = &opt->probes[i];

		seen = test_probe(ks, probe);
		failed |= seen < 0;
		if (opt->json) {
			json_selftest(probe, seen);
		} else if (!seen && probe->info.source == KS_SOURCE_FILES) {
			printf("%-10s not tested: %s reads files too seldom to see test events\n",
			       probe->desc.name, probe->info.variant_name);
		} else if (seen >= 0) {
			printf("%-10s ok: %d kinds of events seen, by %s\n", probe->desc.name, seen,
			       probe->info.variant_name);
		} else {
			printf("%-10s FAILED: ", probe->desc.name);
			text_wrapped(stdout, 19, 19, probe->why);
		}
	}
	ks_close(ks);
	return failed ? EXIT_FAILED : EXIT_OK;
}
