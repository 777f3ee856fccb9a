/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "cli.h"

static const struct {
	char letter;
	const char *name, *argument, *help;
} texts[] = {
	{ 's', "scope", "WHOM",
	  "self, pid:N[,N], tree:N[,N] (these processes and their descendants), cgroup:PATH "
	  "(and the cgroups below it), comm:NAME (threads of this name) or system; default: "
	  "the command and its descendants, without a command the system" },
	{ 'x', "exclude-comm", "NAME", "do not count threads of this name" },
	{ 'b', "by", "GROUPING",
	  "print a row for each process, cgroup, role or cpu below the total; total: no "
	  "rows (default). The row with the largest first time, or else first count, comes "
	  "first; CPUs come by number. The last rows are the sum of the rows that --top leaves "
	  "out, and the rest: what has no row of its own" },
	{ 't', "top", "N", "print the N largest rows; 0: all; default: 20, with --json all" },
	{ 'r', "role", "TID=NAME",
	  "give the thread TID this role, for --by role; may be repeated" },
	{ 'o', NULL, "PROBE.SETTING=VALUE",
	  "set a probe's setting; a number may end in us, ms or s if it is a time, in "
	  "K, M or G if it is a size" },
	{ 'v', "variant", "NAME",
	  "use this variant of the probe or fail; 'kernelsight list' names them" },
	{ 'j', "json", NULL, "print one JSON object per line" },
	{ 'd', NULL, "SECONDS", "end after this time" },
	{ 'i', NULL, "SECONDS", "print what was counted in each interval of this length" },
	{ 'h', "help", NULL, "print this text" },
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
	fprintf(out, "\n'kernelsight COMMAND --help' lists the options and settings.\n");
}

static void print_entry(const char *name, const char *help)
{
	printf("    %-22s ", name);
	text_wrapped(stdout, 27, 27, help);
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
		print_entry(left, texts[i].help);
	}
}

/*
 * All probes have the settings with ids below 32. Prints their help once, and defaults per probe.
 */
static void print_settings(void)
{
	struct ks_probe_desc probe;
	struct ks_param_desc param;
	char name[96], value[32], defaults[256];
	size_t length;
	uint32_t i, j, explained = 0;

	printf("\nSETTINGS\n");
	for (i = 0; !probe_describe(i, &probe); i++) {
		if (probe.probe == KS_PROBE_SELF)
			continue;
		for (j = 0; !explained && !param_describe(probe.probe, j, &param); j++)
			if (param.id < 32)
				print_entry(param.name, param.help);
		explained = 1;
		for (j = 0, length = 0; !param_describe(probe.probe, j, &param); j++) {
			value_human(value, sizeof(value), (double)param.default_value, param.unit,
				    "");
			if (length < sizeof(defaults))
				length += (size_t)snprintf(defaults + length,
							   sizeof(defaults) - length, " %s=%s",
							   param.name, value);
			snprintf(name, sizeof(name), "%s.%s", probe.name, param.name);
			if (param.id >= 32)
				print_entry(name, param.help);
		}
		snprintf(name, sizeof(name), "defaults of %s", probe.name);
		if (length)
			print_entry(name, defaults + 1);
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

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/*
 * Edit distance of two words: insert, delete, replace a letter, swap neighbours. Long words are
 * never similar.
 */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[33][33], i, j, n = (unsigned)strlen(a), m = (unsigned)strlen(b);

	if (n > 32 || m > 32)
		return 99;
	for (i = 0; i <= n; i++)
		d[i][0] = i;
	for (j = 0; j <= m; j++)
		d[0][j] = j;
	for (i = 1; i <= n; i++)
		for (j = 1; j <= m; j++) {
			d[i][j] = least(d[i - 1][j], d[i][j - 1]) + 1;
			d[i][j] = least(d[i][j], d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
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
