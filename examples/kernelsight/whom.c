/* SPDX-License-Identifier: BSD-2-Clause */
/* whom.c - the options --scope, --exclude-comm, --role and --by */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* Parses a pid. Returns 0 if there is none; *end is behind it. */
static int32_t parse_pid(const char *text, char **ret_end)
{
	unsigned long pid;

	errno = 0;
	pid = strtoul(text, ret_end, 10);
	return *text < '0' || *text > '9' || errno || pid > INT_MAX ? 0 : (int32_t)pid;
}

static int parse_pids(const char *text, uint32_t kind, struct ks_scope *scope)
{
	const char *at = text;
	int32_t *pids, pid;
	char *end;

	do {
		pid = parse_pid(at, &end);
		if (!pid || (*end && *end != ','))
			return fail(EXIT_USAGE, "'%s' is not a list of pids (try %s:1,2)", text,
				    kind == KS_SCOPE_TREE ? "tree" : "pid");
		pids = realloc((void *)scope->pids, (scope->n_pids + 1) * sizeof(*pids));
		if (!pids)
			return fail(EXIT_FAILED, "out of memory");
		pids[scope->n_pids++] = pid;
		scope->pids = pids;
		at = end + 1;
	} while (*end);
	scope->kind = kind;
	return 0;
}

int whom_comm(const char *option, const char *text)
{
	if (*text && strlen(text) <= 15)
		return 0;
	return fail(EXIT_USAGE, "%s takes the name of a thread, 1 to 15 bytes, not '%s'", option,
		    text);
}

int whom_scope(const char *text, struct options *opt)
{
	struct ks_scope *scope = &opt->scope;

	if (opt->has_scope)
		return fail(EXIT_USAGE, "--scope was given twice");
	opt->has_scope = 1;
	if (!strncmp(text, "pid:", 4))
		return parse_pids(text + 4, KS_SCOPE_PIDS, scope);
	if (!strncmp(text, "tree:", 5))
		return parse_pids(text + 5, KS_SCOPE_TREE, scope);
	if (!strncmp(text, "cgroup:", 7) && text[7]) {
		scope->kind = KS_SCOPE_CGROUP;
		scope->cgroup = text + 7;
		return 0;
	}
	if (!strncmp(text, "comm:", 5)) {
		scope->kind = KS_SCOPE_SYSTEM;
		scope->comm = text + 5;
		return whom_comm("--scope comm:", text + 5);
	}
	scope->kind = !strcmp(text, "self") ? KS_SCOPE_SELF : KS_SCOPE_SYSTEM;
	if (scope->kind == KS_SCOPE_SELF || !strcmp(text, "system"))
		return 0;
	return fail(EXIT_USAGE,
		    "no scope '%s' (try self, pid:N[,N], tree:N[,N], cgroup:PATH, comm:NAME or "
		    "system)",
		    text);
}

int whom_role(const char *text, struct options *opt)
{
	struct role *role = &opt->roles[opt->n_roles];
	char *end;

	if (opt->n_roles == ROLES_MAX)
		return fail(EXIT_USAGE, "more than %d roles", ROLES_MAX);
	role->tid = parse_pid(text, &end);
	if (!role->tid || *end != '=' || !end[1])
		return fail(EXIT_USAGE, "--role takes TID=NAME, not '%s'", text);
	role->name = end + 1;
	opt->n_roles++;
	return 0;
}

static const struct {
	const char *name;
	uint32_t by;
} groupings[] = {
	{ "total", KS_BY_TOTAL }, { "process", KS_BY_PROCESS }, { "cgroup", KS_BY_CGROUP },
	{ "role", KS_BY_ROLE },   { "cpu", KS_BY_CPU },
};

#define GROUPINGS (sizeof(groupings) / sizeof(groupings[0]))

int whom_by(const char *text, struct options *opt)
{
	size_t i;

	for (i = 0; i < GROUPINGS; i++)
		if (!strcmp(groupings[i].name, text)) {
			opt->by = groupings[i].by;
			return 0;
		}
	return fail(EXIT_USAGE, "no grouping '%s' (try process, cgroup, role, cpu or total)", text);
}

const char *by_name(uint32_t by)
{
	size_t i;

	for (i = 0; i < GROUPINGS; i++)
		if (groupings[i].by == by)
			return groupings[i].name;
	return "?";
}
