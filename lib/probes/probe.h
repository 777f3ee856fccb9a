/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.h - how to describe a probe: one constant of type struct ks__probe
 *
 * Read this page before you add a probe. A probe consists of
 *
 *	lib/probes/NAME.c   its constant; and its word in the list `probes` of meson.build
 *	bpf/NAME.bpf.c      its kernel programs (eBPF); their maps and rows are in bpf/shared.h
 *	events.h            its public structs: one for each event, one for a row of statistics
 *	docs/probes.md      its row in the first table, and its section
 *	tests/probes/NAME.c its test, with a workload whose exact counts are known
 *
 * `scripts/dev new-probe NAME` writes stubs of all five. The loader, the rings, the statistics, the
 * command line and the bindings read the constant: none of them needs a change. The unit test
 * `registry` compares the constant with the structs, the kernel programs and the document.
 *
 * Each table ends with a zero entry ({ 0 }), each list of strings with NULL. All strings are
 * constants. Texts for people (`help`, `summary`, `why`) are short: begin with the subject, use no
 * name that the reader has not seen, give units in `unit` and not in the text.
 */
#ifndef KS_PROBE_H
#define KS_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include <kernelsight/schema.h>

#define KS__PROGS_MAX 6    /* kernel programs of one variant */
#define KS__VARIANTS_MAX 8 /* variants of one probe */
#define KS__PROBES_MAX 16  /* = KS_BPF_PROBES */
#define KS__PARAM_OWN 32   /* id of a probe's first own setting */
#define KS__PARAMS_OWN 4   /* own settings of one probe, = KS_BPF_PARAMS */

/* One member of a struct. List the members in the order of the struct, without gaps. */
struct ks__field {
	const char *name;
	uint16_t offset;
	uint16_t bytes;            /* size of one element */
	uint16_t count;            /* number of elements; 1 if the member is no array */
	uint8_t kind;              /* ks_kind */
	uint8_t unit;              /* ks_unit */
	uint8_t is_signed;
	uint64_t valid;            /* KS_HAS_... bits that must be set; 0: always known */
	const char *label;         /* array: the meaning of its index, "advice"; else NULL */
	const char *const *values; /* names of codes, of bits or of array elements; may be NULL */
	const char *help;          /* the meaning, in a few words */
	const char *c_type;        /* as in ks_field_desc; NULL: kind and size give it */
	const char *codes;         /* as in ks_field_desc; NULL for a probe */
};

/* Name, offset and size of a member. Descriptors need no other macro. */
#define KS__AT(type, member) \
	.name = #member, .offset = offsetof(type, member), .bytes = sizeof(((type *)0)->member)

/* An event, or the row of statistics. */
struct ks__struct {
	const char *name; /* of an event "proc_exit"; of the row the name of the probe */
	uint16_t id;      /* KS_EVENT_... or KS_STATS_... */
	uint16_t bytes;   /* sizeof the struct */
	const struct ks__field *fields;
	const char *help; /* one sentence */
};

/*
 * A setting that only this probe has, for example a threshold. Kernel programs read its value from
 * ks_bpf_settings.param[id - KS__PARAM_OWN].
 */
struct ks__param {
	const char *name;
	uint32_t id;  /* KS__PARAM_OWN, + 1, + 2, ... */
	uint8_t kind; /* ks_kind: VALUE or FLAGS */
	uint8_t unit;
	uint64_t lowest, highest, default_value;
	const char *help;
};

/* Default values of the settings that every probe has: KS_PARAM_... in kernelsight.h. */
struct ks__defaults {
	uint64_t sample_every;
	uint64_t max_per_sec;
	uint64_t burst;
	uint64_t identity;
	uint64_t interval_ms;
};

/*
 * A variant: one set of kernel programs that serves the probe. The library attaches all programs of
 * a variant or none. Only the section of a program says where it attaches, for example
 * SEC("?ks/tp_btf/sched_switch").
 */
struct ks__variant {
	const char *name; /* "tp_btf" */
	const char *progs[KS__PROGS_MAX];
	uint64_t lacks;        /* KS_HAS_... bits that this variant knows on no kernel */
	const char *lacks_why; /* the reason, for people; NULL if lacks is 0 */
	uint8_t initial_pidns; /* 1: its hooks report pids of the initial pid namespace: a host in
	                          another one cannot use the variant */
	uint8_t by_pointer;    /* 1: its hooks give only the raw address of a task, so it cannot use
	                          task storage and needs the hash map instead */
};

struct ks__scan; /* lib/files/scan.h */

/* The fallback: serves the probe from files of procfs where kernel programs cannot be used. */
struct ks__fallback {
	const char *name;      /* "procfs": its name among the variants, as the last of them */
	const char *needs;     /* a file below proc_path that must be readable */
	uint64_t lacks;        /* KS_HAS_... bits that it does not know */
	const char *lacks_why; /* the reason, for people */
	const struct ks__scan *scan;
};

/*
 * One step of ks_selftest(): an action that the probe must count. The self-test calls each `run` in
 * this order and then expects that `field` has grown.
 *
 * `run` executes in a child that shares the memory of the host and has the thread pointer of the
 * calling thread. It may only make bare syscalls, through lib/probes/rawcall.h: no malloc, no
 * locks, no errno, no function of libc.
 */
struct ks__provocation {
	const char *kind;       /* the action, for people: "fork" */
	const char *field;      /* a counter of the probe's row, "processes"; of an array its sum */
	int (*run)(int dir_fd); /* returns 0, or -errno: the action is not possible here. dir_fd: a
	                           folder for test files; -1: none. NULL: the end of the child is
	                           the action */
};

/*
 * A fact that needs a configuration of the kernel. Where the kernel's BTF has the type but not the
 * member, the library clears the bit from `valid` and reports `why`.
 */
struct ks__need {
	uint64_t bit; /* KS_HAS_... */
	const char *type, *member;
	const char *why; /* "this kernel was built without CONFIG_..." */
};

struct ks__probe {
	uint16_t id;          /* KS_PROBE_... */
	const char *name;     /* also the name of its files, its section and its test */
	const char *summary;  /* one sentence; the same as in the first table of docs/probes.md */
	uint64_t caps;        /* capabilities that its programs need, 1 << CAP_... */
	uint64_t valid;       /* all KS_HAS_... bits of the probe */
	uint64_t buckets;     /* the bits of `valid` that say that histograms of a row have buckets.
	                         Reads by process, cgroup and role clear them, as these rows have
	                         none. 0: the row has no histograms */
	const struct ks__need *needs;       /* may be NULL */
	const struct ks__variant *variants; /* best first; NULL: no kernel programs */
	const char *const *maps; /* maps that only this probe uses: first NAME_stats (statistics by
	                            CPU), then NAME_rows (statistics by thread) */
	const char *const *open; /* names of histograms: the sum of open[i] grows while a thread is
	                            in state i + 1 of struct ks_bpf_open. NULL: intervals count only
	                            when they end */
	uint32_t by;             /* ks_by bits: the groupings of its statistics */
	const struct ks__struct *stats;  /* the row */
	const struct ks__struct *events; /* their ids are probe << 8 | 1, 2, ... */
	const struct ks__param *params;  /* own settings; may be NULL */
	struct ks__defaults defaults;
	const struct ks__fallback *fallback; /* NULL: see no_fallback */
	const char *no_fallback;             /* why there is no fallback, for people */
	const struct ks__provocation *provocations;
};

/* All probes of this build, KS_PROBE_SELF first. meson generates the list from `probes`. */
extern const struct ks__probe *const ks__probes[];

/* Find a probe by its number or its name. NULL: there is none. */
const struct ks__probe *ks__probe_by_id(uint32_t id);
const struct ks__probe *ks__probe_by_name(const char *name);

#endif
