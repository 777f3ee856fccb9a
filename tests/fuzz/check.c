/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the report about any machine is valid: UTF-8, one JSON object on one line, whatever
 * the files below proc_path and sys_path contain.
 */
#include <glib.h>

#include <kernelsight/kernelsight.h>

#include "fuzz.h"

/* Files that ks_open() and ks_check() read. */
static const char *const files[] = {
	"sys/devices/system/cpu/possible",
	"sys/kernel/security/lockdown",
	"sys/fs/cgroup/cgroup.controllers",
	"proc/cgroups",
	"proc/self/status",
	"proc/self/stat",
	"proc/sys/kernel/perf_event_paranoid",
	"proc/sys/kernel/unprivileged_bpf_disabled",
	"proc/sys/kernel/cap_last_cap",
	"proc/sys/net/core/bpf_jit_enable",
};

/* Asserts that strings end, brackets match, and nothing follows the outermost one. */
static void is_json(const char *text)
{
	unsigned depth = 0;
	char open[64];

	must(*text == '{');
	for (int string = 0; *text; text++) {
		must((unsigned char)*text >= 0x20);
		if (string && *text == '\\') {
			must(*++text);
		} else if (*text == '"') {
			string = !string;
		} else if (!string && (*text == '{' || *text == '[')) {
			must(depth < sizeof(open));
			open[depth++] = *text;
		} else if (!string && (*text == '}' || *text == ']')) {
			must(depth && open[--depth] == (*text == '}' ? '{' : '['));
		}
		must(depth || !text[1]);
	}
	must(!depth);
}

static char *report(struct ks *ks, uint32_t format)
{
	int n = ks_check(ks, format, NULL, 0);
	char *text = malloc((size_t)n + 1);

	must(n > 0 && text);
	must(ks_check(ks, format, text, (size_t)n + 1) == n);
	must(g_utf8_validate(text, n, NULL));
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	char proc[256], sys[256], *text;
	struct ks_open_opts opts = {
		.size = sizeof(opts), .btf_path = "/dev/null", .proc_path = proc, .sys_path = sys
	};
	struct ks *ks;

	snprintf(proc, sizeof(proc), "%s/proc", fuzz_folder());
	snprintf(sys, sizeof(sys), "%s/sys", fuzz_folder());
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		text = take_text(&in, 300);
		fuzz_write(files[i], text, strlen(text));
		free(text);
	}
	must(!ks_open(&opts, &ks));
	text = report(ks, KS_JSON);
	is_json(text);
	free(text);
	text = report(ks, KS_TEXT);
	must(!strchr(text, '\t') && !strchr(text, '\r'));
	free(text);
	ks_close(ks);
	return 0;
}
