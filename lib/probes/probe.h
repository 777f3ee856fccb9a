/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.h - what a probe is: one constant of type struct ks__probe, and nothing else
 *
 * This is the page to read before adding one. Copy a neighbour in lib/probes/, fill it in, write
 * bpf/NAME.bpf.c, its block in events.h, its row in docs/probes.md, its test, and its word in the
 * `probes` list of meson.build. The loader, the rings, the statistics, the command line and the
 * bindings find everything here.
 *
 * Tables end at a zero entry (name == NULL). All strings are constants.
 */
#ifndef KS_PROBE_H
#define KS_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include <kernelsight/schema.h>

#define KS__PROGS_MAX 6    /* programs of one variant */
#define KS__VARIANTS_MAX 8 /* variants of one probe */
#define KS__PROBES_MAX 16  /* = KS_BPF_PROBES */
#define KS__PARAM_OWN 32   /* id of a probe's first own setting */
#define KS__PARAMS_OWN 4   /* own settings of one probe, = KS_BPF_PARAMS */

/* One member of an event or a row. Fields stand in the order of the struct, without holes. */
struct ks__field {
	const char *name;
	uint16_t offset;
	uint16_t bytes; /* of one element */
	uint16_t count; /* elements; 1 unless an array */
	uint8_t kind;   /* ks_kind */
	uint8_t unit;   /* ks_unit */
	uint8_t is_signed;
	uint64_t valid;            /* KS_HAS_... bits that must be set; 0: always known */
	const char *label;         /* of an array: what its index means, else NULL */
	const char *const *values; /* names of codes, bits or elements, NULL-ended; or NULL */
	const char *help;
	const char *c_type; /* as ks_field_desc; a probe's field leaves it out: it follows from the rest */
	const char *codes;  /* as ks_field_desc, in structs of the headers only */
};

/* Name, offset and size of a member: the one macro of a descriptor. */
#define KS__AT(type, member) \
	.name = #member, .offset = offsetof(type, member), .bytes = sizeof(((type *)0)->member)

/* One event or the row of statistics. */
struct ks__struct {
	const char *name; /* "proc_exit"; of a row the probe's name */
	uint16_t id;      /* KS_EVENT_... or KS_STATS_... */
	uint16_t bytes;   /* sizeof the struct */
	const struct ks__field *fields;
	const char *help; /* one sentence */
};

/* A setting of the probe's own. Its value stands in ks_bpf_settings.param[id - KS__PARAM_OWN]. */
struct ks__param {
	const char *name;
	uint32_t id;
	uint8_t kind; /* ks_kind: VALUE or FLAGS */
	uint8_t unit;
	uint64_t lowest, highest, default_value;
	const char *help;
};

/* Defaults of the settings that every probe has. */
struct ks__defaults {
	uint64_t sample_every;
	uint64_t max_per_sec;
	uint64_t burst;
	uint64_t identity;
	uint64_t interval_ms;
};

/*
 * One way to attach. The section of each program says where: SEC("?ks/tp_btf/sched_switch"); that is
 * its only statement. All programs of a variant, or none.
 */
struct ks__variant {
	const char *name; /* "tp_btf" */
	const char *progs[KS__PROGS_MAX];
	uint64_t lacks;         /* bits of `valid` that it cannot know on any kernel */
	const char *lacks_why;  /* in words, if any */
	uint8_t first_pidns;    /* 1: its ids are those of the first pid namespace only */
	uint8_t by_pointer;     /* 1: it knows other tasks by address alone, as task storage does not */
};

struct ks__scan; /* lib/files/scan.h: a probe's fallback that makes events */

/* Without BPF. */
struct ks__fallback {
	const char *name;  /* "procfs" */
	const char *needs; /* a file below proc_path that must be readable */
	uint64_t lacks;
	const char *lacks_why;
	const struct ks__scan *scan;
};

/*
 * How ks_selftest() provokes events: each `run` is called, in this order, in a child that shares the
 * memory of the host, and `field` of the row must then have grown. Only system calls that are safe
 * there: no malloc, no locks, no errno (use syscall numbers through lib/api/selftest.c's helpers).
 */
struct ks__provocation {
	const char *kind;  /* "fork", "fadvise dontneed" */
	const char *field; /* of the probe's row, a counter: "processes"; an array's sum */
	int (*run)(int dir_fd); /* 0, or -errno: cannot be provoked here. dir_fd -1: no folder.
	                           NULL: happens by the child's end */
};

/* What kernels lack by their configuration: without that member, that is not known. */
struct ks__need {
	uint64_t bit; /* of `valid` */
	const char *type, *member;
	const char *why; /* "this kernel was built without CONFIG_…" */
};

struct ks__probe {
	uint16_t id;
	const char *name;     /* = file names, doc row, test name */
	const char *summary;  /* one sentence, the same as in docs/probes.md */
	uint64_t caps;        /* 1 << CAP_... */
	uint64_t valid;       /* all KS_HAS_... bits */
	uint64_t buckets;     /* those of them that a row has whose histograms have buckets; 0: it
	                         has no histograms */
	const struct ks__need *needs;       /* ends at bit == 0; may be NULL */
	const struct ks__variant *variants; /* best first; NULL: no kernel programs (KS_PROBE_SELF) */
	const char *const *maps;            /* maps that exist for it alone, NULL-ended; the first is
	                                       its statistics, NAME_stats, the second those by thread,
	                                       NAME_rows */
	const char *const *open;            /* NULL-ended: in state i + 1 of struct ks_bpf_open the sum
	                                       of this histogram grows; NULL: nothing is ever open */
	uint32_t by;                        /* ks_by bits of its statistics */
	const struct ks__struct *stats;
	const struct ks__struct *events; /* ends at name == NULL; ids probe << 8 | 1, 2, … */
	const struct ks__param *params;  /* own settings; may be NULL */
	struct ks__defaults defaults;
	const struct ks__fallback *fallback; /* NULL: see no_fallback */
	const char *no_fallback;             /* why there is none */
	const struct ks__provocation *provocations;
};

/* All probes of this build, KS_PROBE_SELF first, NULL-ended; generated by meson from `probes`. */
extern const struct ks__probe *const ks__probes[];

/* By number or by name; NULL if there is none. */
const struct ks__probe *ks__probe_by_id(uint32_t id);
const struct ks__probe *ks__probe_by_name(const char *name);

#endif
