/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cli.h - the command kernelsight, which uses the public headers of the library and nothing else
 *
 * It walks the schema and knows no probe by name, so a new probe appears in every command without a
 * change here. There are two exceptions: KS_PROBE_SELF, the library's own ledger, and the ratios of
 * fields in schema.c.
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

/* Exit statuses. If kernelsight runs a command, it returns the command's exit status instead. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOTHING = 3 };

/* ---- main.c --------------------------------------------------------------------------------- */

/* Prints "kernelsight: TEXT" on stderr, always as one line. Returns status. */
int fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- options.c ------------------------------------------------------------------------------ */

struct options;

struct command {
	const char *name;
	const char *arguments; /* "PROBE... [OPTION]... [-- COMMAND...]" */
	const char *summary;
	const char *letters; /* letters of its options; options.c maps long options to letters */
	const char *examples;
	int needs_probe; /* 1: the user must name at least one probe */
	int (*run)(struct options *opt);
};

extern const struct command commands[]; /* the last entry has name NULL */

/* A probe that the user named, and later its state. */
struct probe {
	struct ks_probe_desc desc;
	struct ks_param params[PARAMS_MAX];
	uint32_t n_params;
	int error; /* why it could not be enabled; 0: it is on */
	struct ks_probe_info info;
	char why[REASON_MAX];     /* `error` as a sentence */
	struct ks_reader *reader; /* reads the total */
	struct ks_reader *keyed;  /* reads the rows of --by; NULL: no rows */
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
	uint32_t by; /* one bit of ks_by */
	int has_top;
	uint64_t top;
	const char *variant;
	int json;
	uint64_t duration_ns, interval_ns; /* 0: not given */
	char **command;                    /* NULL: no command */
};

/* Fills opt. Returns 0; EXIT_USAGE after an error message; or -1 after it printed the help. */
int options_parse(const struct command *command, int argc, char **argv, struct options *opt);
void options_free(struct options *opt);
/* Adds a probe to opt. Returns 0, or -1 if there are too many. */
int options_add(struct options *opt, const struct ks_probe_desc *desc);

/* ---- whom.c --------------------------------------------------------------------------------- */

/*
 * Parse the value of --scope, --role, --by, and of an option that takes the name of a thread.
 * Return 0, or EXIT_USAGE after an error message.
 */
int whom_scope(const char *text, struct options *opt);
int whom_role(const char *text, struct options *opt);
int whom_by(const char *text, struct options *opt);
int whom_comm(const char *option, const char *text);
/* Returns the name of a grouping: "process". */
const char *by_name(uint32_t by);

/* ---- help.c --------------------------------------------------------------------------------- */

void help_all(FILE *out);
void help_command(const struct command *command);
/* Returns the word of next() that is most similar to `word`, or NULL if none is similar. */
const char *help_nearest(const char *word, const char *(*next)(void *state), void *state);

/* ---- schema.c ------------------------------------------------------------------------------- */

/* Call ks_describe_...() after they set the size. */
int probe_describe(uint32_t index, struct ks_probe_desc *ret_desc);
int param_describe(uint32_t probe, uint32_t index, struct ks_param_desc *ret_desc);
int struct_describe(uint32_t id, struct ks_struct_desc *ret_desc);
int field_describe(uint32_t id, uint32_t index, struct ks_field_desc *ret_desc);
/* Find by name. Return 0 or -1. They do not find KS_PROBE_SELF, which users cannot name. */
int probe_find(const char *name, struct ks_probe_desc *ret_desc);
int param_find(uint32_t probe, const char *name, struct ks_param_desc *ret_desc);
/* Return the name that a misspelt name may stand for, or NULL. */
const char *probe_nearest(const char *name);
const char *param_nearest(uint32_t probe, const char *name);
/* Returns the name of an event without that of its probe: "exit" for "proc_exit". */
const char *event_name(const struct ks_struct_desc *desc, const char *probe);
const char *state_name(unsigned state);
const char *source_name(unsigned source);
/* Returns the name of a probe, or "?". */
const char *probe_name(uint32_t probe);
int variant_query(struct ks *ks, uint32_t probe, uint32_t index, struct ks_variant_info *ret_info);
/* Does a struct with an id from `first` to `id` - 1 have a field of this name? */
int field_seen(uint32_t first, uint32_t id, const char *name);
/* Writes the name of element i of an array ("dontneed"), or its number. Returns buf. */
const char *element_name(char *buf, size_t size, uint32_t id, uint32_t field, unsigned i);

/*
 * Ratios of two fields, such as a hit ratio. The schema does not contain them, so schema.c has a
 * table of them. Returns the name of the ratio in rows of struct `id`, or NULL if there is none.
 */
const char *ratio_name(uint32_t id);
int ratio_known(uint32_t id, uint64_t valid);
/* Adds a row's numerator and denominator to *part and *whole. */
void ratio_add(const struct ks_stats *stats, const struct ks_row *row, uint64_t *part,
	       uint64_t *whole);
/* Writes 1 - part / whole as "93.1 %", or "-" if whole is 0. Returns buf. */
const char *ratio_text(char *buf, size_t size, uint64_t part, uint64_t whole);

/* ---- reasons.c ------------------------------------------------------------------------------ */

/* Returns 1 and the reason if a field of this struct cannot be known on this machine, else 0. */
int field_missing(struct ks *ks, uint32_t id, const struct ks_field_desc *field, char *why,
		  size_t why_size);
/*
 * Stores the present answers for a probe. field_missing() then returns them when the probe is off.
 */
void reasons_keep(struct ks *ks, const struct ks_probe_desc *probe);
void reasons_forget(void);

/* ---- value.c -------------------------------------------------------------------------------- */

/* Returns element i of a field in a record or row of `size` bytes. Sign-extends signed fields. */
uint64_t value_get(const struct ks_field_desc *field, const void *record, size_t size, unsigned i);
/* Is the field's value known in a record or row with these `valid` bits? */
int value_known(const struct ks_field_desc *field, uint64_t valid);
/* Writes "1.2 ms", "4.0 MiB", "1,234", with `gap` between number and unit. Returns buf. */
const char *value_human(char *buf, size_t size, double value, unsigned unit, const char *gap);
/* The same in at most 6 characters: "1.23ms", "123K". Returns buf. */
const char *value_short(char *buf, size_t size, double value, unsigned unit);
/* Writes the field's name without the unit that value_human() prints: "user" for "user_ns". */
const char *value_name(char *buf, size_t size, const struct ks_field_desc *field);
const char *value_grouped(char *buf, size_t size, uint64_t value);
/* Writes a CLOCK_MONOTONIC time as wall-clock time: "12:34:56.789012". Returns buf. */
const char *value_clock(char *buf, size_t size, struct ks *ks, uint64_t time_ns);

/* ---- escape.c ------------------------------------------------------------------------------- */

/* Returns the length of the UTF-8 character at text, bytes; 0 if it is not valid UTF-8. */
size_t value_utf8(const char *text, size_t size);
/*
 * Writes a text so that a terminal can show it safely, and different texts stay different. Escapes
 * are \\, \n, \x1b (a control character or a byte that is not UTF-8), \u202e and \U000e0001. The
 * text ends at a NUL or at text_size. Returns buf.
 */
const char *value_escaped(char *buf, size_t size, const char *text, size_t text_size);
/* The same in quotes, with \" for a quote, unless the text is one ASCII word. size: at least 3. */
const char *value_quoted(char *buf, size_t size, const char *text, size_t text_size);
/*
 * Writes an invisible UTF-8 character of n bytes as a JSON escape: \u202e. Returns the length of
 * the escape, or 0 if the character is visible.
 */
size_t value_json(char buf[16], const char *text, size_t n);
/* Cuts a text, or pads it with spaces, to so many columns. Returns the number of bytes. */
size_t value_fitted(char *buf, size_t size, const char *text, size_t columns);

/* ---- signals.c ------------------------------------------------------------------------------ */

/* Installs handlers for the signals that end the session: SIGINT, SIGTERM, SIGHUP. */
void signals_catch(int with_command);
/* Sets the handle whose consumer a signal wakes; NULL: no handle any more. */
void signals_wake(struct ks *ks);
/* The number of signals so far, the last one, and whether a key of the terminal caused it. */
int signals_count(void);
int signals_last(void);
int signals_from_terminal(void);
/* Block and unblock all signals, around fork(). */
void signals_block(void);
void signals_unblock(void);
/* In the command's process: restores the ignored and blocked signals that kernelsight inherited. */
void signals_reset(void);

/* ---- child.c -------------------------------------------------------------------------------- */

/* The process of the command after --. It waits before exec until child_release(). */
struct child {
	pid_t pid;     /* 0: no command, or it has ended */
	pid_t zombie;  /* pid of an ended command that child_reap() must wait for; 0: none */
	int go, error; /* pipes: a byte in `go` releases the command; exec's errno; -1: closed */
	int status;    /* exit status of an ended command */
};

int child_fork(struct child *child, char **argv);
/* Lets the command run. Returns 0; or an exit status, after a message, if it cannot be run. */
int child_release(struct child *child, char **argv);
/* Has the command ended? Fallbacks can still read its files in /proc until child_reap(). */
int child_ended(struct child *child);
void child_reap(struct child *child);
/* Ends a command that was never released. */
void child_abandon(struct child *child);

/* ---- session.c ------------------------------------------------------------------------------ */

/* Flags that a subcommand needs: ks_open_flag, ks_enable_flag, ks_reader_flag. */
struct flags {
	uint32_t open, enable, reader;
};

/* Runs probes, and perhaps a command, until a signal, -d or the end of the command ends it. */
struct session {
	struct options *opt;
	struct ks *ks;
	struct child child;
	struct ks_reader *ledger; /* reads KS_PROBE_SELF by probe */
	struct ks_reader *own;    /* reads the total of KS_PROBE_SELF */
	int signals;              /* number of signals handled so far */
	int broken;               /* exit status if stdout cannot be written; -1: it can */
};

/*
 * Opens a handle, loads programs, starts the command's process, which waits; sets the scope,
 * enables the probes (a probe stores its error), prints which probes use fallbacks, makes readers,
 * and lets the command run. Returns 0, or an exit status after an error message.
 */
int session_open(struct session *session, struct options *opt, const struct flags *flags);
/*
 * Passes events to fn. Returns 1 at until_ns (0: never); or 0 when the session ends: the command
 * ended, a signal came, or no process reads the output.
 */
int session_wait(struct session *session, uint64_t until_ns, ks_event_fn fn, void *user);
/* Disables the probes and passes the remaining events to fn. */
void session_stop(struct session *session, ks_event_fn fn, void *user);
/* Waits for a command that still runs, and frees everything. Returns the exit status. */
int session_close(struct session *session, int status);
/* Prints why statistics cannot be read. Returns EXIT_FAILED. */
int fail_reading(struct ks *ks, int error);
uint64_t session_now(void);
/* Returns a probe's row of session->ledger, or NULL. */
const struct ks_stats_self *ledger_row(const struct ks_stats *stats, uint32_t probe);

/*
 * Opens a handle with the scope of opt and enables the probes that opt names, or all if it names
 * none. For subcommands that only show what works here. Returns 0 or an exit status.
 */
int look_open(struct ks **ret_ks, struct options *opt);
/* Stores the last error in probe->why, without the probe's name, which is printed beside it. */
void probe_keep_error(struct ks *ks, struct probe *probe, int error);

/* ---- text.c: output for people -------------------------------------------------------------- */

/* Prints a record as one line. */
void text_event(struct ks *ks, const struct ks_event *event);
/* Prints a text: the first line begins at `column`, further lines at `indent`. Adds a newline. */
void text_wrapped(FILE *out, unsigned indent, unsigned column, const char *text);
/* Prints a probe's entry in the list. */
void text_probe(struct ks *ks, const struct probe *probe);
/* Prints the fields of a probe's row that cannot be known here. all_structs: also of its events. */
void text_unavailable(struct ks *ks, const struct probe *probe, int all_structs);

/* ---- keyed.c: rows that have a key ---------------------------------------------------------- */

#define KEYED_OTHERS UINT64_MAX /* key of the row of keyed_others() */

struct keyed {
	const struct ks_row **rows; /* the largest first; rows of CPUs by number */
	size_t n, shown;            /* rows; of these, the first `shown` are printed */
	const struct ks_row *rest;  /* the rest row; NULL: none */
	struct ks_field_desc main;  /* the field that gives the order, if `known` */
	int known;
};

/*
 * Sorts rows. top: how many are printed, 0: all; busy_only: drops rows in which everything is 0.
 * Returns 0, or -1 if there is no memory.
 */
int keyed_sort(const struct ks_stats *stats, uint64_t top, int busy_only, struct keyed *ret_keyed);
/*
 * Adds up the rows that are not printed. ret_stats then has one row, their sum. Returns 0, or -1 if
 * there is no memory. Free ret_stats with keyed_free_others().
 */
int keyed_others(const struct ks_stats *stats, const struct keyed *keyed,
		 struct ks_stats *ret_stats);
void keyed_free_others(struct ks_stats *stats);
void keyed_free(struct keyed *keyed);
void keyed_table(const struct ks_stats *stats, uint32_t by, uint64_t top);

/* ---- bars.c, table.c: output for people ----------------------------------------------------- */

/* Prints histograms of one unit side by side. */
void bars_print(const struct ks_stats *stats, const struct ks_hist *const *hists,
		const char *const *names, unsigned n, unsigned unit);
void table_stats(struct ks *ks, const struct probe *probe, const struct ks_stats *stats);
void table_ledger(struct ks *ks, uint32_t probe, const struct ks_stats_self *row);
void table_own(const struct ks_stats *own);
/* Prints the ledger as one line on stderr, below the events of watch. */
void text_ledger(struct ks *ks, uint32_t probe, const struct ks_stats_self *row);

/* ---- json.c, json_event.c: output for programs, see docs/cli-json.md ------------------------ */

void json_event(const struct ks_event *event);
void json_probe(struct ks *ks, const struct probe *probe);
void json_stats(struct ks *ks, const struct probe *probe, const struct ks_stats *stats);
/* Prints the rows of a grouping, one per line. top, busy_only: as in keyed_sort(). */
void json_keyed(struct ks *ks, const struct probe *probe, const struct ks_stats *stats,
		uint64_t top, int busy_only);
void json_ledger(struct ks *ks, uint32_t probe, const struct ks_stats *stats,
		 const struct ks_stats_self *row);
/* Prints the total row of KS_PROBE_SELF: what the library itself costs. */
void json_own(struct ks *ks, const struct ks_stats *stats);
void json_selftest(const struct probe *probe, int seen);
/*
 * Prints a JSON object of the library as member `key` of a line. exit_status: a further member; -1:
 * no such member.
 */
void json_document(const char *type, const char *key, const char *text, int exit_status);

/* ---- commands ------------------------------------------------------------------------------- */

int list_run(struct options *opt);
int check_run(struct options *opt);
int watch_run(struct options *opt);
int stat_run(struct options *opt);
int selftest_run(struct options *opt);
int explain_run(struct options *opt);

#endif
