/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * alone LIBRARY. Shows that a copy of the library inside a process calls only itself. This host has
 * functions with all its public names, each of which ends the host (traps.c). None is called.
 */
#include <dlfcn.h>
#include <stdio.h>

#include <kernelsight/kernelsight.h>
#include <kernelsight/schema.h>

static void *library;

static void *of(const char *name)
{
	void *fn = dlsym(library, name);

	if (!fn)
		fprintf(stderr, "no %s\n", name);
	return fn;
}

/* The library's function, not this host's. */
#define OF(name) ((__typeof__(name) *)of(#name))

static int ignore(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	return 0;
}

static void use(struct ks *ks)
{
	struct ks_probe_info info = { .size = sizeof(info) };
	struct ks_stats stats = { .size = sizeof(stats) };
	static uint64_t events[8192];
	struct ks_reader *reader;
	static char text[1 << 20];
	size_t size;

	OF(ks_check)(ks, KS_TEXT, text, sizeof(text));
	OF(ks_query_probe)(ks, KS_PROBE_PROC, &info);
	OF(ks_prepare)(ks, NULL, 0);
	OF(ks_enable_probe)(ks, KS_PROBE_PROC, NULL);
	OF(ks_selftest)(ks, KS_PROBE_PROC, NULL);
	OF(ks_explain)(ks, KS_JSON, text, sizeof(text));
	OF(ks_ledger_check)(ks, KS_PROBE_PROC);
	OF(ks_poll)(ks, 0, 0, ignore, NULL);
	if (OF(ks_read_events)(ks, events, sizeof(events), 0, &size) > 0)
		OF(ks_next_event)(events, size, NULL);
	if (!OF(ks_reader_new)(ks, KS_PROBE_PROC, NULL, &reader)) {
		OF(ks_read_stats)(reader, &stats);
		OF(ks_stats_row)(&stats, 0);
		OF(ks_reader_free)(reader);
	}
	OF(ks_disable_probe)(ks, KS_PROBE_PROC);
	OF(ks_last_error)(ks, text, sizeof(text));
	OF(ks_strerror)(-KS_EFORKED);
}

int main(int argc, char **argv)
{
	struct ks *ks;

	library = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	if (OF(ks_version)() != KS_VERSION || OF(ks_open)(NULL, &ks))
		return 2;
	use(ks);
	OF(ks_close)(ks);
	return 0;
}
