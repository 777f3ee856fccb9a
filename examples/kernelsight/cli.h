/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cli.h - the command kernelsight: a program on top of the public headers, and of nothing else
 *
 * It walks the schema and knows no probe by name: a new probe appears in every command by itself.
 * Exceptions are KS_PROBE_SELF, the library's own ledger, and ratios of fields, schema.c.
 */
#ifndef CLI_H
#define CLI_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <kernelsight/identity.h>
#include <kernelsight/kernelsight.h>
#include <kernelsight/schema.h>

#define PROBES_MAX 64
#define PARAMS_MAX 32
#define ROLES_MAX 256
#define REASON_MAX 400

/* Exit statuses of its own. With a command, the command's. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOTHING = 3 };

/* ---- main.c --------------------------------------------------------------------------------- */

/* "kernelsight: TEXT" on stderr, one line whatever is in it. Returns status. */
int fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- options.c ------------------------------------------------------------------------------ */

struct options;

struct command {
	const char *name;
	const char *arguments; /* "PROBE... [OPTION]... [-- COMMAND...]" */
	const char *summary;
	const char *letters; /* short names of the options it has; 'j' is --json, see options.c */
	const char *examples;
	int needs_probe; /* at least one must be named */
	int (*run)(struct options *opt);
};

extern const struct command commands[]; /* ends at name == NULL */

/* A probe that was asked for, and, later, what became of it. */
struct probe {
	struct ks_probe_desc desc;
	struct ks_param params[PARAMS_MAX];
	uint32_t n_params;
	int error; /* of enabling it, 0: it is on */
	struct ks_probe_info info;
	char why[REASON_MAX];     /* the sentence for error */
	struct ks_reader *reader; /* of the total */
	struct ks_reader *keyed;  /* of the rows that --by wants; NULL: none */
};

struct role {
	int32_t tid;
	const char *name;
};

struct options {
	struct probe probes[PROBES_MAX];
	unsigned n_probes;
	int has_scope;
	struct ks_scope scope;
	struct role roles[ROLES_MAX];
	unsigned n_roles;
	uint32_t by; /* ks_by, one bit */
	int has_top;
	uint64_t top;
	const char *variant;
	int json;
	uint64_t duration_ns, interval_ns; /* 0: none */
	char **command;                    /* NULL: none */
};

/* Fills opt and says what is wrong. Returns 0, or EXIT_USAGE; help printed: -1. */
int options_parse(const struct command *command, int argc, char **argv, struct options *opt);
void options_free(struct options *opt);
/* Adds a probe to those asked for. Returns 0, or -1: there are too many. */
int options_add(struct options *opt, const struct ks_probe_desc *desc);

/* ---- whom.c --------------------------------------------------------------------------------- */

/* The words of --scope, --role, --by, and of an option that takes a comm. 0 or EXIT_USAGE. */
int whom_scope(const char *text, struct options *opt);
int whom_role(const char *text, struct options *opt);
int whom_by(const char *text, struct options *opt);
int whom_comm(const char *option, const char *text);
/* "process" */
const char *by_name(uint32_t by);

/* ---- help.c --------------------------------------------------------------------------------- */

void help_all(FILE *out);
void help_command(const struct command *command);
/* The nearest of what next() yields until NULL, or NULL if nothing is near. */
const char *help_nearest(const char *word, const char *(*next)(void *state), void *state);

/* ---- schema.c ------------------------------------------------------------------------------- */

/* ks_describe_...() with the size set. */
int probe_describe(uint32_t index, struct ks_probe_desc *ret_desc);
int param_describe(uint32_t probe, uint32_t index, struct ks_param_desc *ret_desc);
int struct_describe(uint32_t id, struct ks_struct_desc *ret_desc);
int field_describe(uint32_t id, uint32_t index, struct ks_field_desc *ret_desc);
/* By name: 0 or -1. KS_PROBE_SELF is not found: it is not for asking. */
int probe_find(const char *name, struct ks_probe_desc *ret_desc);
int param_find(uint32_t probe, const char *name, struct ks_param_desc *ret_desc);
/* What a misspelt name may have meant, or NULL. */
const char *probe_nearest(const char *name);
const char *param_nearest(uint32_t probe, const char *name);
/* "exit" of "proc_exit": the name without the probe's. */
const char *event_name(const struct ks_struct_desc *desc, const char *probe);
const char *state_name(unsigned state);
const char *source_name(unsigned source);
/* Name of a probe by number, or "?". */
const char *probe_name(uint32_t probe);
int variant_query(struct ks *ks, uint32_t probe, uint32_t index, struct ks_variant_info *ret_info);
/* Has a struct from `first` up to, not including, `id` a field of this name? */
int field_seen(uint32_t first, uint32_t id, const char *name);
/* "dontneed", or the number of an array's element that has no name. Returns buf. */
const char *element_name(char *buf, size_t size, uint32_t id, uint32_t field, unsigned i);

/*
 * What a program feels is a ratio of two fields; which, of which row, is the one thing about probes
 * that the schema does not say. NULL: it has none.
 */
const char *ratio_name(uint32_t id);
int ratio_known(uint32_t id, uint64_t valid);
/* Adds a row's part and whole to what is there. */
void ratio_add(const struct ks_stats *stats, const struct ks_row *row, uint64_t *part,
	       uint64_t *whole);
/* 1 - part / whole: "93.1 %", or "-" of nothing. Returns buf. */
const char *ratio_text(char *buf, size_t size, uint64_t part, uint64_t whole);

/* ---- reasons.c ------------------------------------------------------------------------------ */

/* 1 and the reason if a field of this struct cannot be known here, else 0. */
int field_missing(struct ks *ks, uint32_t id, const struct ks_field_desc *field, char *why,
		  size_t why_size);
/* What it says of a probe from now on is what is so now, also when the probe is off. */
void reasons_keep(struct ks *ks, const struct ks_probe_desc *probe);
void reasons_forget(void);

/* ---- value.c -------------------------------------------------------------------------------- */

/* Element i of a field in a record or row of `size` bytes; signed ones are sign-extended. */
uint64_t value_get(const struct ks_field_desc *field, const void *record, size_t size, unsigned i);
/* Is what it says known in this record or row? */
int value_known(const struct ks_field_desc *field, uint64_t valid);
/* "1.2 ms", "4.0 MiB", "1,234"; gap stands between number and unit. Returns buf. */
const char *value_human(char *buf, size_t size, double value, unsigned unit, const char *gap);
/* The same in at most 6 characters: "1.23ms", "123K". Returns buf. */
const char *value_short(char *buf, size_t size, double value, unsigned unit);
/* The field's name, without the unit that value_human() prints: "user" of "user_ns". */
const char *value_name(char *buf, size_t size, const struct ks_field_desc *field);
const char *value_grouped(char *buf, size_t size, uint64_t value);
/* Wall-clock time of a CLOCK_MONOTONIC one, "12:34:56.789012". Returns buf. */
const char *value_clock(char *buf, size_t size, struct ks *ks, uint64_t time_ns);

/* ---- escape.c ------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at text, 0: not one. */
size_t value_utf8(const char *text, size_t size);
/*
 * Text of a fixed array, NUL-ended or full, safe for a terminal, and no two texts alike: \\, \n, \x1b
 * (a control or a byte that is not of UTF-8), \u202e, \U000e0001. Returns buf.
 */
const char *value_escaped(char *buf, size_t size, const char *text, size_t text_size);
/* The same; in quotes, \" within, unless it is one word of ASCII. size is at least 3. */
const char *value_quoted(char *buf, size_t size, const char *text, size_t text_size);
/* A UTF-8 character of n bytes that is not seen itself, as JSON writes it: \u202e. Its length, or 0. */
size_t value_json(char buf[16], const char *text, size_t n);
/* Cut or filled up with spaces to so many characters; the rest of buf. Returns how many. */
size_t value_fitted(char *buf, size_t size, const char *text, size_t columns);

/* ---- signals.c ------------------------------------------------------------------------------ */

/* Notes from now on what shall end the session: SIGINT, SIGTERM, SIGHUP. */
void signals_catch(int with_command);
/* The handle whose consumer a signal wakes up; NULL: none any more. */
void signals_wake(struct ks *ks);
/* How many came, the last one, and whether it was typed at the terminal. */
int signals_count(void);
int signals_last(void);
int signals_from_terminal(void);
/* All of them, around fork(). */
void signals_block(void);
void signals_unblock(void);
/* For the command: ignored and blocked is what was when we were started. */
void signals_reset(void);

/* ---- child.c -------------------------------------------------------------------------------- */

/* The command after --, made but not yet running. */
struct child {
	pid_t pid;     /* 0: none, or it has ended */
	pid_t zombie;  /* it has ended, and waits for child_reap(); 0: none */
	int go, error; /* pipe ends: write to release it, read why exec failed; -1 */
	int status;    /* for exit(), once it has ended */
};

int child_fork(struct child *child, char **argv);
/* Lets it go. Returns 0, or the exit status for a command that cannot be run, having said so. */
int child_release(struct child *child, char **argv);
/* Has it ended? Then fallbacks can still look at it until child_reap(). */
int child_ended(struct child *child);
void child_reap(struct child *child);
/* Ends one that was never released; nothing otherwise. */
void child_abandon(struct child *child);

/* ---- session.c ------------------------------------------------------------------------------ */

/* ks_open_flag, ks_enable_flag and ks_reader_flag that a command wants. */
struct flags {
	uint32_t open, enable, reader;
};

/* Probes on, a command perhaps, until something ends it. */
struct session {
	struct options *opt;
	struct ks *ks;
	struct child child;
	struct ks_reader *ledger; /* of KS_PROBE_SELF, by probe */
	struct ks_reader *own;    /* of KS_PROBE_SELF, in all */
	int signals;              /* heeded so far */
	int broken;               /* exit status for an output that cannot be written, -1: it can */
};

/*
 * Opens a handle, loads programs, makes the command wait, sets the scope, enables the probes (an
 * error of one is kept with it), says if there are fallbacks, makes readers, releases the command.
 * Returns 0 or an exit status, having said why.
 */
int session_open(struct session *session, struct options *opt, const struct flags *flags);
/*
 * Hands over events. Returns 1 when the time has come (0: never), 0 when all is over: the command
 * ended, a signal came, nobody reads the output.
 */
int session_wait(struct session *session, uint64_t until_ns, ks_event_fn fn, void *user);
/* Switches the probes off and hands over what is left. */
void session_stop(struct session *session, ks_event_fn fn, void *user);
/* Waits for a command that is left, frees everything; the exit status. */
int session_close(struct session *session, int status);
/* Says why statistics cannot be read. EXIT_FAILED. */
int fail_reading(struct ks *ks, int error);
uint64_t session_now(void);
/* A probe's row among those of session->ledger, or NULL. */
const struct ks_stats_self *ledger_row(const struct ks_stats *stats, uint32_t probe);

/* A handle with opt's scope and the named probes (none: all) enabled, for a look. 0 or a status. */
int look_open(struct ks **ret_ks, struct options *opt);
/* The sentence for the last error, without the probe's name: it is printed beside that. */
void probe_keep_error(struct ks *ks, struct probe *probe, int error);

/* ---- text.c: for people --------------------------------------------------------------------- */

/* One line for a record. */
void text_event(struct ks *ks, const struct ks_event *event);
/* Words from `column` on, further lines from `indent` on, and a newline. */
void text_wrapped(FILE *out, unsigned indent, unsigned column, const char *text);
/* A probe's entry in the list. */
void text_probe(struct ks *ks, const struct probe *probe);
/* Fields of its row, or of its events as well, that cannot be known here. */
void text_unavailable(struct ks *ks, const struct probe *probe, int all_structs);

/* ---- keyed.c: rows that have a key ---------------------------------------------------------- */

#define KEYED_OTHERS UINT64_MAX /* key of the sum of several rows */

struct keyed {
	const struct ks_row **rows; /* the largest first; CPUs by number */
	size_t n, shown;            /* those behind the first `shown` are left out */
	const struct ks_row *rest;  /* NULL: none */
	struct ks_field_desc main;  /* by which they are ordered, if known */
	int known;
};

/* top 0: all; busy_only: not those that are all 0. Returns 0, or -1: no memory. */
int keyed_sort(const struct ks_stats *stats, uint64_t top, int busy_only, struct keyed *ret_keyed);
/*
 * The sum of the rows that are not shown, as a row, in statistics that have it alone. Returns 0, or -1:
 * no memory. Free with keyed_free_others().
 */
int keyed_others(const struct ks_stats *stats, const struct keyed *keyed, struct ks_stats *ret_stats);
void keyed_free_others(struct ks_stats *stats);
void keyed_free(struct keyed *keyed);
void keyed_table(const struct ks_stats *stats, uint32_t by, uint64_t top);

/* ---- bars.c, table.c: for people ------------------------------------------------------------ */

/* Histograms of one unit, side by side. */
void bars_print(const struct ks_stats *stats, const struct ks_hist *const *hists,
		const char *const *names, unsigned n, unsigned unit);
void table_stats(struct ks *ks, const struct probe *probe, const struct ks_stats *stats);
void table_ledger(struct ks *ks, uint32_t probe, const struct ks_stats_self *row);
void table_own(const struct ks_stats *own);
/* The ledger in one line, on stderr: below the events of watch. */
void text_books(struct ks *ks, uint32_t probe, const struct ks_stats_self *row);

/* ---- json.c, json_event.c: for programs, docs/cli-json.md ----------------------------------- */

void json_event(const struct ks_event *event);
void json_probe(struct ks *ks, const struct probe *probe);
void json_stats(struct ks *ks, const struct probe *probe, const struct ks_stats *stats);
/* Rows of a grouping, a line each; busy_only: but not those that are all 0. */
void json_keyed(struct ks *ks, const struct probe *probe, const struct ks_stats *stats,
		uint64_t top, int busy_only);
void json_ledger(struct ks *ks, uint32_t probe, const struct ks_stats *stats,
		 const struct ks_stats_self *row);
/* The row of KS_PROBE_SELF in all: what the library itself costs. */
void json_own(struct ks *ks, const struct ks_stats *stats);
void json_selftest(const struct probe *probe, int seen);
/* A text of the library that is one JSON object, as a member; exit_status -1: no such member. */
void json_document(const char *type, const char *key, const char *text, int exit_status);

/* ---- commands ------------------------------------------------------------------------------- */

int list_run(struct options *opt);
int check_run(struct options *opt);
int watch_run(struct options *opt);
int stat_run(struct options *opt);
int selftest_run(struct options *opt);
int explain_run(struct options *opt);

#endif
