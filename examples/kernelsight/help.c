/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <string.h>

#include "cli.h"

static const struct {
	char letter;
	const char *name, *argument, *help;
} texts[] = {
	{ 's', "scope", "WHOM",
	  "self, pid:N[,N], comm:NAME or system; without it the command\n"
	  "and all that it starts, or without a command the system" },
	{ 'x', "exclude-comm", "NAME", "leave out threads of this name" },
	{ 'o', NULL, "PROBE.SETTING=VALUE",
	  "set a probe's setting; numbers may end in\n"
	  "us, ms, s (times) or K, M, G (sizes)" },
	{ 'v', "variant", "NAME", "attach this way or not at all, see 'kernelsight list'" },
	{ 'j', "json", NULL, "one JSON object a line" },
	{ 'd', NULL, "SECONDS", "end after so long" },
	{ 'i', NULL, "SECONDS", "print what happened in each such interval" },
	{ 'h', "help", NULL, "this text" },
};

void help_all(FILE *out)
{
	const struct command *command;

	fprintf(out,
		"kernelsight - typed kernel events and statistics, with an exact ledger\n\n"
		"USAGE\n    kernelsight COMMAND [OPTION]...\n    kernelsight --version | --help\n\n"
		"COMMANDS\n");
	for (command = commands; command->name; command++)
		fprintf(out, "    %-9s %s\n", command->name, command->summary);
	fprintf(out, "\nEXAMPLES\n");
	for (command = commands; command->name; command++)
		fputs(command->examples, out);
	fprintf(out, "\n'kernelsight COMMAND --help' tells the options and settings.\n");
}

/* Continuation lines of a help text stand below its first. */
static void print_option(const char *left, const char *help)
{
	const char *end;

	for (; help; help = end ? end + 1 : NULL, left = "") {
		end = strchr(help, '\n');
		printf("    %-22s %.*s\n", left, end ? (int)(end - help) : (int)strlen(help), help);
	}
}

static void print_options(const char *letters)
{
	char left[64];
	size_t i;

	printf("\nOPTIONS\n");
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!strchr(letters, texts[i].letter))
			continue;
		snprintf(left, sizeof(left), "%s%s%s%s", texts[i].name ? "--" : "-",
			 texts[i].name ? texts[i].name : (char[]){ texts[i].letter, 0 },
			 texts[i].argument ? " " : "", texts[i].argument ? texts[i].argument : "");
		print_option(left, texts[i].help);
	}
}

static void print_setting(const struct ks_param_desc *param)
{
	char value[32], left[96];

	value_human(value, sizeof(value), (double)param->default_value, param->unit, "");
	snprintf(left, sizeof(left), "%s (%s)", param->name, value);
	printf("      %-24s %s\n", left, param->help);
}

/* Those that every probe has, from one of them; then each probe's own. */
static void print_settings(void)
{
	struct ks_probe_desc probe;
	struct ks_param_desc param;
	uint32_t i, j;

	printf("\nSETTINGS, in brackets the default\n");
	for (i = 0; !probe_describe(i, &probe); i++) {
		if (probe.probe == KS_PROBE_SELF)
			continue;
		printf("    %s\n", probe.name);
		for (j = 0; !param_describe(probe.probe, j, &param); j++)
			print_setting(&param);
	}
}

void help_command(const struct command *command)
{
	printf("kernelsight %s - %s\n\nUSAGE\n    kernelsight %s %s\n", command->name,
	       command->summary, command->name, command->arguments);
	print_options(command->letters);
	if (strchr(command->letters, 'o'))
		print_settings();
	printf("\nEXAMPLES\n%s", command->examples);
}

/* Edits (insert, delete, replace, swap neighbours) from a to b; long words count as far. */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[33][33], i, j, n = (unsigned)strlen(a), m = (unsigned)strlen(b), best;

	if (n > 32 || m > 32)
		return 99;
	for (i = 0; i <= n; i++)
		for (j = 0; j <= m; j++) {
			if (!i || !j) {
				d[i][j] = i + j;
				continue;
			}
			best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			if (best > d[i - 1][j] + 1)
				best = d[i - 1][j] + 1;
			if (best > d[i][j - 1] + 1)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    best > d[i - 2][j - 2] + 1)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	return d[n][m];
}

const char *help_nearest(const char *word, const char *(*next)(void *state), void *state)
{
	unsigned best = (unsigned)strlen(word) / 3 + 1, now;
	const char *candidate, *found = NULL;

	while ((candidate = next(state))) {
		now = distance(word, candidate);
		if (now > best || (found && now == best))
			continue;
		best = now;
		found = candidate;
	}
	return found;
}
