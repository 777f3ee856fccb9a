/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that structs of any size and content are accepted or refused as a whole: after a refusal
 * the old settings are in force. Uses only the fallbacks, so that all runs are alike.
 */
#include <errno.h>

#include <kernelsight/schema.h>

#include "fuzz.h"

static struct ks *open_on_files(void)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .btf_path = "/dev/null" };
	static const char stat[] = "1 (a) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0 0 1 0 1\n";
	char path[256];
	struct ks *ks;

	fuzz_write("proc/self/stat", stat, sizeof(stat) - 1);
	fuzz_write("proc/1/stat", stat, sizeof(stat) - 1);
	snprintf(path, sizeof(path), "%s/proc", fuzz_folder());
	opts.proc_path = path;
	must(!ks_open(&opts, &ks));
	return ks;
}

/* Makes a struct of any size: `known` bytes are chosen, those behind them are mostly 0. */
static void *any_struct(struct input *in, const void *known, size_t known_size)
{
	size_t size = below(in, 8) ? known_size : take(in, 1);
	size_t room = size > sizeof(size) ? size : sizeof(size);
	char *opts = calloc(1, room);

	must(opts);
	memcpy(opts, known, known_size < room ? known_size : room);
	memcpy(opts, &size, sizeof(size));
	if (room > known_size && below(in, 2))
		opts[known_size + below(in, (uint32_t)(room - known_size))] = (char)take(in, 1);
	return opts;
}

static void open_any(struct input *in)
{
	char *texts[3] = { take_text(in, 300), take_text(in, 300), take_text(in, 300) };
	struct ks_open_opts o = {
		.flags = (uint32_t)take(in, 1),
		.batch_ms = (uint32_t)take(in, 4),
		.ring_bytes = take(in, 5),
		.log_level = (uint32_t)take(in, 1),
		.features_off = take(in, 2),
		.btf_path = below(in, 2) ? texts[0] : NULL,
		.proc_path = below(in, 2) ? texts[1] : NULL,
		.sys_path = below(in, 2) ? texts[2] : NULL,
	};
	struct ks *untouched = (struct ks *)(void *)in, *ks = untouched;
	void *opts;
	int rc;

	if (o.flags & KS_OPEN_ORDERED)
		o.ring_bytes &= 0xfffff; /* memory of that size is really allocated */
	opts = any_struct(in, &o, sizeof(o));
	rc = ks_open(opts, &ks);
	must(rc <= 0 && (!rc || ks == untouched));
	if (!rc)
		ks_close(ks);
	free(opts);
	for (int i = 0; i < 3; i++)
		free(texts[i]);
}

static void scope_any(struct input *in, struct ks *ks)
{
	char *comm = take_text(in, 20), *exclude = take_text(in, 20), *cgroup = take_text(in, 60);
	int32_t pids[8];
	struct ks_scope s = {
		.kind = below(in, 6),
		.n_pids = below(in, 9),
		.pids = below(in, 4) ? pids : NULL,
		.comm = below(in, 2) ? comm : NULL,
		.exclude_comm = below(in, 2) ? exclude : NULL,
		.cgroup = below(in, 2) ? cgroup : NULL,
	};
	void *scope;
	int rc;

	for (int i = 0; i < 8; i++)
		pids[i] = below(in, 4) ? 1 : (int32_t)take(in, 4);
	scope = any_struct(in, &s, sizeof(s));
	rc = ks_set_scope(ks, scope);
	must(rc == 0 || rc == -EINVAL || rc == -ESRCH || rc == -ENAMETOOLONG || rc == -E2BIG ||
	     rc == -KS_EUNAVAIL);
	free(scope);
	free(comm);
	free(exclude);
	free(cgroup);
}

static unsigned any_params(struct input *in, struct ks_param *params, unsigned most)
{
	unsigned n = below(in, most + 1);

	for (unsigned i = 0; i < n; i++)
		params[i] = (struct ks_param){
			.id = below(in, 4) ? 1 + below(in, 6) : (uint32_t)take(in, 4),
			.reserved = !below(in, 16),
			.value = take(in, 1 + below(in, 8)),
			.data = below(in, 16) ? NULL : params,
		};
	return n;
}

/* Reads all settings, to see that none has changed. */
static unsigned settings(struct ks *ks, uint32_t probe, uint64_t *ret)
{
	struct ks_param_desc desc = { .size = sizeof(desc) };
	unsigned n = 0;

	for (; n < 16 && !ks_describe_param(probe, n, &desc); desc.size = sizeof(desc)) {
		must(!ks_query_param(ks, probe, desc.id, &ret[n]));
		must(ret[n] >= desc.lowest && ret[n] <= desc.highest);
		n++;
	}
	return n;
}

static void configure_any(struct input *in, struct ks *ks)
{
	struct ks_param params[8];
	uint64_t before[16] = { 0 }, after[16] = { 0 };
	unsigned n = any_params(in, params, 8);
	int rc;

	settings(ks, KS_PROBE_PROC, before);
	rc = ks_configure_probe(ks, KS_PROBE_PROC, n ? params : NULL, n);
	must(rc < 0 || (rc >= 1 && rc <= 255));
	settings(ks, KS_PROBE_PROC, after);
	must(rc > 0 || !memcmp(before, after, sizeof(before)));
}

static void enable_any(struct input *in, struct ks *ks)
{
	static const char *const variants[] = { NULL, NULL, "procfs", "tp_btf", "", "no such" };
	struct ks_param params[4];
	struct ks_enable_opts o = {
		.flags = below(in, 10),
		.n_params = any_params(in, params, 4),
		.params = params,
		.variant = variants[below(in, 6)],
	};
	void *opts = any_struct(in, &o, sizeof(o));
	int rc = ks_enable_probe(ks, below(in, 4) ? KS_PROBE_PROC : (uint32_t)take(in, 4), opts);

	must(rc <= 1);
	free(opts);
}

static void read_any(struct input *in, struct ks *ks)
{
	struct ks_reader_opts o = { .by = below(in, 40),
				    .flags = below(in, 4),
				    .reserved = !below(in, 16) };
	void *opts = any_struct(in, &o, sizeof(o));
	struct ks_stats stats = { .size = take(in, 1) };
	struct ks_reader *reader;

	if (!ks_reader_new(ks, below(in, 4) ? KS_PROBE_PROC : (uint32_t)take(in, 1), opts,
			   &reader)) {
		ks_read_stats(reader, &stats);
		ks_reader_free(reader);
	}
	free(opts);
}

static void query_any(struct input *in, struct ks *ks)
{
	uint32_t probe = below(in, 4) ? KS_PROBE_PROC : (uint32_t)take(in, 4);
	struct ks_probe_info info = { .size = take(in, 2) };
	struct ks_variant_info variant = { .size = take(in, 2) };
	char why[64];
	uint64_t value;

	ks_query_probe(ks, probe, &info);
	ks_query_variant(ks, probe, below(in, 16), &variant);
	ks_query_param(ks, probe, (uint32_t)take(in, 4), &value);
	ks_query_valid(ks, probe, take(in, 8), why, below(in, sizeof(why)));
}

static void act(struct input *in, struct ks *ks)
{
	switch (below(in, 6)) {
	case 0:
		open_any(in);
		break;
	case 1:
		scope_any(in, ks);
		break;
	case 2:
		configure_any(in, ks);
		break;
	case 3:
		enable_any(in, ks);
		break;
	case 4:
		read_any(in, ks);
		break;
	default:
		query_any(in, ks);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ks *ks;
	struct input in = { data, data + size };
	char why[400];

	if (!ks)
		ks = open_on_files();
	while (in.at < in.end)
		act(&in, ks);
	must(ks_last_error(ks, why, sizeof(why)) >= 0);
	must(!ks_disable_probe(ks, KS_PROBE_PROC));
	must(!ks_set_scope(ks, NULL));
	must(!ks_ledger_check(ks, KS_PROBE_SELF));
	return 0;
}
