/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define SETTINGS_MAX 128

static const struct option longs[] = {
	{ "scope", required_argument, NULL, 's' },
	{ "exclude-comm", required_argument, NULL, 'x' },
	{ "by", required_argument, NULL, 'b' },
	{ "top", required_argument, NULL, 't' },
	{ "role", required_argument, NULL, 'r' },
	{ "variant", required_argument, NULL, 'v' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* State of the parser. It resolves settings after it has read all probes. */
struct line {
	const struct command *command;
	struct options *opt;
	struct option longs[sizeof(longs) / sizeof(longs[0])];
	const char *settings[SETTINGS_MAX];
	unsigned n_settings;
};

static int parse_seconds(const char *text, int letter, uint64_t *ret_ns)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0.001 && seconds <= 1e9))
		return fail(EXIT_USAGE, "-%c takes seconds, not '%s' (try -%c 1)", letter, text,
			    letter);
	*ret_ns = (uint64_t)(seconds * 1e9);
	return 0;
}

static int bad_probe(const char *name)
{
	const char *near = probe_nearest(name);

	if (near)
		return fail(EXIT_USAGE,
			    "no probe '%s', did you mean '%s'? (try 'kernelsight list')", name,
			    near);
	return fail(EXIT_USAGE, "no probe '%s' (try 'kernelsight list')", name);
}

int options_add(struct options *opt, const struct ks_probe_desc *desc)
{
	unsigned i;

	for (i = 0; i < opt->n_probes; i++)
		if (opt->probes[i].desc.probe == desc->probe)
			return 0;
	if (i == PROBES_MAX)
		return -1;
	opt->probes[opt->n_probes++].desc = *desc;
	return 0;
}

static int add_probes(struct line *line, int argc, char **argv)
{
	struct ks_probe_desc desc;
	int i;

	for (i = optind; i < argc; i++) {
		if (probe_find(argv[i], &desc))
			return bad_probe(argv[i]);
		if (options_add(line->opt, &desc))
			return fail(EXIT_USAGE, "more than %d probes", PROBES_MAX);
	}
	if (line->command->needs_probe && !line->opt->n_probes)
		return fail(EXIT_USAGE,
			    "%s: which probe? name at least one (try 'kernelsight list')",
			    line->command->name);
	return 0;
}

/* Parses 10, 0x0a, 10ms, 64K: exact up to 2^64, so without fractions. Returns 0 or -1. */
static int parse_number(const char *text, unsigned unit, uint64_t *ret_value)
{
	static const struct {
		const char *suffix;
		unsigned unit;
		uint64_t factor;
	} suffixes[] = {
		{ "", 0, 1 },
		{ "ns", KS_UNIT_NS, 1 },
		{ "us", KS_UNIT_NS, 1000 },
		{ "ms", KS_UNIT_NS, 1000000 },
		{ "s", KS_UNIT_NS, 1000000000 },
		{ "K", KS_UNIT_BYTES, 1 << 10 },
		{ "M", KS_UNIT_BYTES, 1 << 20 },
		{ "G", KS_UNIT_BYTES, 1 << 30 },
	};
	int hex = text[0] == '0' && text[1] == 'x';
	unsigned long long value;
	char *end;
	size_t i;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	value = strtoull(text, &end, hex ? 16 : 10);
	if (errno)
		return -1;
	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (!strcmp(end, suffixes[i].suffix) && (!*end || suffixes[i].unit == unit))
			return __builtin_mul_overflow(value, suffixes[i].factor, ret_value) ? -1 :
											      0;
	return -1;
}

static int set_value(struct probe *probe, const struct ks_param_desc *desc, const char *text)
{
	struct ks_param param = { .id = desc->id };

	if (desc->kind == KS_KIND_TEXT) {
		param.data = text;
		param.data_size = strlen(text);
		if (param.data_size < desc->lowest || param.data_size > desc->highest)
			return fail(EXIT_USAGE, "%s.%s takes %llu to %llu bytes", probe->desc.name,
				    desc->name, (unsigned long long)desc->lowest,
				    (unsigned long long)desc->highest);
	} else if (parse_number(text, desc->unit, &param.value) || param.value < desc->lowest ||
		   param.value > desc->highest) {
		return fail(EXIT_USAGE, "%s.%s takes a number from %llu to %llu, not '%s'",
			    probe->desc.name, desc->name, (unsigned long long)desc->lowest,
			    (unsigned long long)desc->highest, text);
	}
	if (probe->n_params == PARAMS_MAX)
		return fail(EXIT_USAGE, "more than %d settings of %s", PARAMS_MAX,
			    probe->desc.name);
	probe->params[probe->n_params++] = param;
	return 0;
}

static int bad_setting(const struct probe *probe, const char *name)
{
	const char *near = param_nearest(probe->desc.probe, name);

	if (near)
		return fail(EXIT_USAGE, "%s has no setting '%s', did you mean '%s'?",
			    probe->desc.name, name, near);
	return fail(EXIT_USAGE, "%s has no setting '%s' (try 'kernelsight stat --help')",
		    probe->desc.name, name);
}

static int parse_setting(struct options *opt, const char *text)
{
	const char *dot = strchr(text, '.'), *equals = strchr(text, '=');
	struct ks_param_desc desc;
	char probe[64], name[64];
	unsigned i;

	if (!dot || !equals || dot > equals || dot - text >= 64 || equals - dot > 64)
		return fail(EXIT_USAGE, "-o takes PROBE.SETTING=VALUE, not '%s'", text);
	snprintf(probe, sizeof(probe), "%.*s", (int)(dot - text), text);
	snprintf(name, sizeof(name), "%.*s", (int)(equals - dot - 1), dot + 1);
	for (i = 0; i < opt->n_probes && strcmp(opt->probes[i].desc.name, probe); i++)
		;
	if (i < opt->n_probes) {
		if (param_find(opt->probes[i].desc.probe, name, &desc))
			return bad_setting(&opt->probes[i], name);
		return set_value(&opt->probes[i], &desc, equals + 1);
	}
	if (probe_find(probe, &(struct ks_probe_desc){ 0 }))
		return bad_probe(probe);
	return fail(EXIT_USAGE, "-o %s: the probe '%s' was not asked for; name it, too", text,
		    probe);
}

static int parse_top(const char *text, struct options *opt)
{
	if (parse_number(text, KS_UNIT_COUNT, &opt->top))
		return fail(EXIT_USAGE, "--top takes a number of rows, 0: all, not '%s'", text);
	opt->has_top = 1;
	return 0;
}

static const char *next_long(void *state)
{
	const struct option **at = state;

	return (*at)++->name;
}

static int bad_option(struct line *line, int argc, char **argv, int missing)
{
	const char *word = argv[optind - 1], *name = line->command->name, *near = NULL;
	const struct option *at = line->longs;
	char letter[3] = { '-', (char)optopt, 0 };

	if (missing)
		return fail(EXIT_USAGE, "%s needs a value (try 'kernelsight %s --help')",
			    optind <= argc ? word : letter, name);
	if (!strncmp(word, "--", 2))
		near = help_nearest(word + 2, next_long, &at);
	else
		word = letter;
	if (near)
		return fail(EXIT_USAGE, "%s has no option %s, did you mean --%s?", name, word,
			    near);
	return fail(EXIT_USAGE, "%s has no option %s (try 'kernelsight %s --help')", name, word,
		    name);
}

static int parse_option(struct line *line, int letter)
{
	struct options *opt = line->opt;

	switch (letter) {
	case 's':
		return whom_scope(optarg, opt);
	case 'x':
		opt->scope.exclude_comm = optarg;
		return whom_comm("--exclude-comm", optarg);
	case 'b':
		return whom_by(optarg, opt);
	case 't':
		return parse_top(optarg, opt);
	case 'r':
		return whom_role(optarg, opt);
	case 'o':
		if (line->n_settings == SETTINGS_MAX)
			return fail(EXIT_USAGE, "more than %d settings -o", SETTINGS_MAX);
		line->settings[line->n_settings++] = optarg;
		return 0;
	case 'v':
		opt->variant = optarg;
		return 0;
	case 'd':
		return parse_seconds(optarg, letter, &opt->duration_ns);
	case 'i':
		return parse_seconds(optarg, letter, &opt->interval_ns);
	case 'j':
		opt->json = 1;
		return 0;
	}
	help_command(line->command);
	return -1;
}

/* Tells getopt_long() only this command's options, so that those of others are errors. */
static void choose_options(struct line *line, char short_names[16])
{
	const char *letters = line->command->letters, *taking = "odi";
	size_t i, n = 0;

	for (i = 0; longs[i].name; i++)
		if (strchr(letters, longs[i].val))
			line->longs[n++] = longs[i];
	*short_names++ = ':';
	for (; *taking; taking++)
		if (strchr(letters, *taking)) {
			*short_names++ = *taking;
			*short_names++ = ':';
		}
	*short_names++ = 'h';
	*short_names = 0;
}

static int split_command(struct line *line, int *argc, char **argv)
{
	int i;

	for (i = 1; i < *argc && strcmp(argv[i], "--"); i++)
		;
	if (i == *argc)
		return 0;
	if (!strchr(line->command->letters, 'd'))
		return fail(EXIT_USAGE, "%s takes no command after --", line->command->name);
	if (i + 1 == *argc)
		return fail(EXIT_USAGE, "no command after --");
	line->opt->command = argv + i + 1;
	*argc = i;
	return 0;
}

int options_parse(const struct command *command, int argc, char **argv, struct options *opt)
{
	struct line line = { .command = command, .opt = opt };
	char short_names[16];
	int letter, status;
	unsigned i;

	opt->scope.size = sizeof(opt->scope);
	opt->scope.kind = KS_SCOPE_SYSTEM;
	opt->by = KS_BY_TOTAL;
	/*
	 * Before getopt_long(), which reorders the words: options of the command would mix with
	 * ours.
	 */
	status = split_command(&line, &argc, argv);
	if (status)
		return status;
	choose_options(&line, short_names);
	while ((letter = getopt_long(argc, argv, short_names, line.longs, NULL)) != -1) {
		if (letter == '?' || letter == ':')
			return bad_option(&line, argc, argv, letter == ':');
		status = parse_option(&line, letter);
		if (status)
			return status;
	}
	if (opt->has_top && opt->by == KS_BY_TOTAL)
		return fail(EXIT_USAGE, "--top needs rows: --by process, cgroup, role or cpu");
	status = add_probes(&line, argc, argv);
	for (i = 0; i < line.n_settings && !status; i++)
		status = parse_setting(opt, line.settings[i]);
	return status;
}

void options_free(struct options *opt)
{
	if (!opt)
		return;
	free((void *)opt->scope.pids);
	free(opt);
}
