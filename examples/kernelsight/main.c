/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Each example is a command, and from column 50 on its purpose. */
const struct command commands[] = {
	{
		.name = "list",
		.arguments = "[PROBE]... [OPTION]...",
		.summary = "the probes: what works on this machine, and why not more",
		.letters = "sjh",
		.examples = "    kernelsight list                              # all probes\n",
		.run = list_run,
	},
	{
		.name = "check",
		.arguments = "[OPTION]...",
		.summary = "this machine: what works, what does not, and the remedy",
		.letters = "sjh",
		.examples =
			"    kernelsight check                             # exit 0 if all works\n",
		.run = check_run,
	},
	{
		.name = "watch",
		.arguments = "PROBE... [OPTION]... [-- COMMAND [ARGUMENT]...]",
		.summary = "events, one per line; ? is unknown, amounts of 0 are omitted",
		.letters = "sxovjdh",
		.examples =
			"    kernelsight watch proc                        # until Ctrl-C\n"
			"    kernelsight watch proc -- make                # make, its children\n"
			"    kernelsight watch proc --scope comm:sh -d 10  # shells, 10 seconds\n"
			"    kernelsight watch proc --scope tree:812       # 812 and its children\n"
			"    kernelsight watch fadvise -o fadvise.slow_ns=0 --json\n",
		.needs_probe = 1,
		.run = watch_run,
	},
	{
		.name = "stat",
		.arguments = "PROBE... [OPTION]... [-- COMMAND [ARGUMENT]...]",
		.summary = "statistics, at the end or after each interval",
		.letters = "sxbtrovjdih",
		.examples = "    kernelsight stat proc -- make                 # what a build did\n"
			    "    kernelsight stat proc fadvise -i 1            # every second\n"
			    "    kernelsight stat pagecache --by process -i 1  # whose pages\n"
			    "    kernelsight stat fadvise --scope pid:812 -d 60\n",
		.needs_probe = 1,
		.run = stat_run,
	},
	{
		.name = "selftest",
		.arguments = "[PROBE]... [OPTION]...",
		.summary = "provoke events and check that the probes count them",
		.letters = "vjh",
		.examples = "    kernelsight selftest proc --variant raw_tp    # exit 0 if seen\n",
		.run = selftest_run,
	},
	{
		.name = "explain",
		.arguments = "[PROBE]... [OPTION]...",
		.summary = "what the probes put into the kernel: programs, maps, bytes",
		.letters = "vjh",
		.examples = "    kernelsight explain proc                      # as text\n",
		.run = explain_run,
	},
	{ .name = NULL },
};

int fail(int status, const char *format, ...)
{
	char text[1024], line[4 * sizeof(text)];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	fprintf(stderr, "kernelsight: %s\n", value_escaped(line, sizeof(line), text, strlen(text)));
	return status;
}

static const char *next_command(void *state)
{
	const struct command **at = state;

	return (*at)++->name;
}

static const struct command *find_command(const char *name)
{
	const struct command *at = commands;
	const char *near;

	for (; at->name; at++)
		if (!strcmp(at->name, name))
			return at;
	at = commands;
	near = help_nearest(name, next_command, &at);
	if (near)
		fail(EXIT_USAGE, "no command '%s', did you mean '%s'? (try 'kernelsight --help')",
		     name, near);
	else
		fail(EXIT_USAGE, "no command '%s' (try 'kernelsight --help')", name);
	return NULL;
}

static int print_version(void)
{
	uint32_t version = ks_version();

	printf("kernelsight %u.%u.%u\n", version >> 16, version >> 8 & 255, version & 255);
	return EXIT_OK;
}

static int run_command(const struct command *command, int argc, char **argv)
{
	struct options *opt = calloc(1, sizeof(*opt));
	int status;

	if (!opt)
		return fail(EXIT_FAILED, "out of memory");
	status = options_parse(command, argc, argv, opt);
	if (status < 0)
		status = EXIT_OK;
	else if (!status)
		status = command->run(opt);
	options_free(opt);
	return status;
}

/* Checks that help and lists could be written. A session checks its own output. */
static int close_output(int status)
{
	if (fflush(stdout) || ferror(stdout))
		return fail(EXIT_FAILED, "cannot write the output");
	return status;
}

/*
 * Opens /dev/null in place of standard streams that are closed. Else a descriptor of the library or
 * a pipe could get the number 0 to 2, and output would go there. Reading and writing them still
 * fails, and a command finds them closed.
 */
static void hold_standard_streams(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", O_CLOEXEC | (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY));
}

int main(int argc, char **argv)
{
	const struct command *command;

	hold_standard_streams();

	if (argc < 2) {
		help_all(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return close_output(print_version());
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		help_all(stdout);
		return close_output(EXIT_OK);
	}
	command = find_command(argv[1]);
	return command ? close_output(run_command(command, argc - 1, argv + 1)) : EXIT_USAGE;
}
