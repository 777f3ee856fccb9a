/* SPDX-License-Identifier: BSD-2-Clause */
/* list.c - the commands list and check, which print what works on this machine */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int list_run(struct options *opt)
{
	struct ks *ks;
	unsigned i;
	int status = look_open(&ks, opt);

	for (i = 0; !status && i < opt->n_probes; i++) {
		if (opt->json)
			json_probe(ks, &opt->probes[i]);
		else
			text_probe(ks, &opt->probes[i]);
	}
	if (!status)
		ks_close(ks);
	return status;
}

/* Does the probe run on kernel programs, with all fields of its statistics and events known? */
static int has_all(struct ks *ks, const struct probe *probe)
{
	uint32_t first = probe->desc.probe << 8, id, i;
	struct ks_field_desc field;

	if (probe->error || probe->info.source != KS_SOURCE_BPF)
		return 0;
	for (id = first; id <= first + probe->desc.n_events; id++)
		for (i = 0; !field_describe(id, i, &field); i++)
			if (field.valid &&
			    !ks_query_valid(ks, probe->desc.probe, field.valid, NULL, 0))
				return 0;
	return 1;
}

static int verdict(struct ks *ks, const struct options *opt)
{
	int all = 1, any = 0;
	unsigned i;

	for (i = 0; i < opt->n_probes; i++) {
		all &= has_all(ks, &opt->probes[i]);
		any |= !opt->probes[i].error;
	}
	return !any ? EXIT_NOTHING : all ? EXIT_OK : EXIT_FAILED;
}

/* Returns the text of ks_check() or ks_explain(), or NULL on failure. The caller frees it. */
static char *document(struct ks *ks, int (*write)(struct ks *, uint32_t, char *, size_t),
		      uint32_t format)
{
	int length = write(ks, format, NULL, 0), size;
	char *text = NULL;

	/* The numbers in the text grow, so it may be longer now than at the first call. */
	do {
		free(text);
		if (length < 0)
			return NULL;
		size = length + 256;
		text = malloc((size_t)size);
		if (!text)
			return NULL;
		length = write(ks, format, text, (size_t)size);
	} while (length < 0 || length >= size);
	return text;
}

static void say_verdict(int status)
{
	switch (status) {
	case EXIT_OK:
		puts("=> every probe runs on its kernel programs, with all fields");
		return;
	case EXIT_FAILED:
		puts("=> some probe is unavailable, reads files or lacks fields; see above");
		return;
	}
	puts("=> nothing works here, not even the fallbacks");
}

int check_run(struct options *opt)
{
	struct ks *ks;
	char *text;
	int status = look_open(&ks, opt);

	if (status)
		return status;
	status = verdict(ks, opt);
	text = document(ks, ks_check, opt->json ? KS_JSON : KS_TEXT);
	if (!text) {
		status = fail(EXIT_FAILED, "out of memory");
	} else if (opt->json) {
		json_document("check", "machine", text, status);
	} else {
		fputs(text, stdout);
		say_verdict(status);
	}
	free(text);
	ks_close(ks);
	return status;
}

int explain_run(struct options *opt)
{
	struct ks *ks;
	char *text;
	int status = look_open(&ks, opt);

	if (status)
		return status;
	text = document(ks, ks_explain, opt->json ? KS_JSON : KS_TEXT);
	if (!text)
		status = fail(EXIT_FAILED, "out of memory");
	else if (opt->json)
		json_document("explain", "handle", text, -1);
	else
		fputs(text, stdout);
	free(text);
	ks_close(ks);
	return status;
}
