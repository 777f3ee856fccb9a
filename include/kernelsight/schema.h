/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema.h - what events.h and kernelsight.h say, at run time
 *
 * Exporters, bindings and command lines walk it and know every probe without code of their own.
 * A language that has no use for C headers takes all of it from ks_schema(), as one JSON document.
 * No handle, any thread. Each ks_describe_ function fills the struct and returns 0; -ENOENT past the
 * last or if there is no such thing; -EINVAL if ret_... is NULL or its size is 0. Each look-up by name
 * returns the number, or -ENOENT. Texts are constants of the library. Since: 0.1
 *
 * The fields of an event or a row are what differs from struct to struct. The head, which does not,
 * is not among them: of an event struct ks_event and `valid` (72 bytes), of a row struct ks_row
 * (64 bytes). Members called reserved are not fields either.
 *
 * The structs of the headers are described, too: heads, options, infos, these descriptions, and events
 * and rows as the headers have them. Their ids are KS_INTERFACE_STRUCTS and up, in no lasting order:
 * find them by name, "ks_scope". All of their members are fields.
 */
#ifndef KERNELSIGHT_SCHEMA_H
#define KERNELSIGHT_SCHEMA_H

#include <kernelsight/kernelsight.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KS_INTERFACE_STRUCTS 0x10000 /* id of the first struct that is named as in the headers */

struct ks_probe_desc {
	size_t size;         /*  0 */
	uint32_t probe;      /*  8 KS_PROBE_... */
	uint32_t by;         /* 12 groupings it has; 0: no statistics */
	uint32_t n_events;   /* 16 kinds: ids probe << 8 | 1 to n_events */
	uint32_t n_params;   /* 20 */
	uint64_t caps;       /* 24 1 << CAP_... that its best variant needs */
	const char *name;    /* 32 "sched" */
	const char *summary; /* 40 one sentence */
};                           /* 48 */

struct ks_struct_desc {
	size_t size;       /*  0 */
	uint32_t id;       /*  8 KS_STATS_..., KS_EVENT_... */
	uint32_t bytes;    /* 12 of the struct, head included */
	uint32_t n_fields; /* 16 head not included */
	uint32_t reserved; /* 20 */
	const char *name;  /* 24 "sched_wait"; of a row the probe's */
	const char *help;  /* 32 one sentence */
};                         /* 40 */

enum ks_kind {
	KS_KIND_COUNTER = 1, /* only grows */
	KS_KIND_GAUGE = 2,
	KS_KIND_HIST = 3,  /* struct ks_hist */
	KS_KIND_VALUE = 4, /* a measured number of an event */
	KS_KIND_ID = 5,    /* pid, inode, cgroup: to compare, not to add */
	KS_KIND_CODE = 6,  /* ks_describe_value() has the names */
	KS_KIND_FLAGS = 7, /* bits; ks_describe_value() has the names */
	KS_KIND_TEXT = 8,
	KS_KIND_TIME = 9, /* CLOCK_MONOTONIC */
	KS_KIND_POINTER = 10, /* an address; in structs of the interface only, as is the next */
	KS_KIND_STRUCT = 11,  /* another struct of the interface, see c_type */
};

enum ks_unit {
	KS_UNIT_NONE = 0,
	KS_UNIT_COUNT = 1,
	KS_UNIT_NS = 2,
	KS_UNIT_BYTES = 3,
	KS_UNIT_PAGES = 4,
};

struct ks_field_desc {
	size_t size;          /*  0 */
	uint16_t offset;      /*  8 in the struct */
	uint16_t bytes;       /* 10 of one element */
	uint16_t count;       /* 12 elements: 1, or those of an array */
	uint8_t kind;         /* 14 ks_kind */
	uint8_t unit;         /* 15 ks_unit */
	uint8_t is_signed;    /* 16 */
	uint8_t reserved[7];  /* 17 */
	uint64_t valid;       /* 24 bits of `valid` that must be set; 0: always known */
	const char *name;     /* 32 "runq_ns" */
	const char *label;    /* 40 of an array: what its index means, "advice"; else NULL */
	const char *help;     /* 48 */
	const char *c_type;   /* 56 of one element: "uint32_t", "char", "const char *", "struct ks_hist" */
	const char *codes;    /* 64 the enum of its values, "ks_scope_kind"; NULL: none, see ks_value() */
};                            /* 72 */

struct ks_enum_desc {
	size_t size;          /*  0 */
	uint32_t n_constants; /*  8 */
	uint32_t is_flags;    /* 12 1: bits, of which several may be set */
	const char *name;     /* 16 "ks_scope_kind"; "defines": the numbers that are macros */
};                            /* 24 */

struct ks_constant_desc {
	size_t size;      /*  0 */
	int64_t value;    /*  8 */
	const char *name; /* 16 "KS_SCOPE_TREE" */
	const char *help; /* 24 "" if the headers say no more */
};                        /* 32 */

struct ks_param_desc {
	size_t size;           /*  0 */
	uint32_t id;           /*  8 for struct ks_param */
	uint8_t kind;          /* 12 KS_KIND_VALUE or KS_KIND_FLAGS */
	uint8_t unit;          /* 13 ks_unit */
	uint8_t only_enable;   /* 14 1: not while it runs; 0 of all settings of this release */
	uint8_t reserved;      /* 15 */
	uint64_t lowest;       /* 16 */
	uint64_t highest;      /* 24 */
	uint64_t default_value;/* 32 */
	const char *name;      /* 40 "wait_ns": `-o sched.wait_ns=5000000` */
	const char *help;      /* 48 */
};                             /* 56 */

KS_API int ks_describe_probe(uint32_t index, struct ks_probe_desc *ret_probe);
KS_API int ks_describe_struct(uint32_t id, struct ks_struct_desc *ret_struct);
KS_API int ks_describe_field(uint32_t id, uint32_t index, struct ks_field_desc *ret_field);
KS_API int ks_describe_param(uint32_t probe, uint32_t index, struct ks_param_desc *ret_param);

/* Enums of the headers by their index, and the constants of one by theirs. Since: 0.1 */
KS_API int ks_describe_enum(uint32_t index, struct ks_enum_desc *ret_enum);
KS_API int ks_describe_constant(uint32_t index, uint32_t constant,
				struct ks_constant_desc *ret_constant);

/*
 * ks_describe_value - name of a code, of a flag's bit number, or of an array's element; "dontneed"
 * Returns a constant, or NULL if it has no name. Since: 0.1
 */
KS_API const char *ks_describe_value(uint32_t id, uint32_t field, uint64_t value);

/*
 * ks_probe_id - KS_PROBE_... of a probe
 * ks_struct_id - id of an event ("proc_exit"), of a probe's row ("sched"), or of a struct of the headers
 *   ("ks_scope")
 * ks_field_index - index of a field for ks_describe_field() and ks_describe_value()
 * ks_param_id - id of a probe's setting, for struct ks_param
 * ks_value - what ks_describe_value() has a name for: the number of a code, bit or element
 * Returns it, or -ENOENT; NULL is no name. Cost: microseconds: keep what you use often. Since: 0.1
 */
KS_API int ks_probe_id(const char *name);
KS_API int ks_struct_id(const char *name);
KS_API int ks_field_index(uint32_t id, const char *name);
KS_API int ks_param_id(uint32_t probe, const char *name);
KS_API int ks_value(uint32_t id, uint32_t field, const char *name);

/*
 * ks_constant - the value of a constant of the headers: "KS_SCOPE_TREE", "KS_EUNAVAIL", "KS_RECORD_MAX"
 * Returns 0, -ENOENT, or -EINVAL (no ret_value). Since: 0.1
 */
KS_API int ks_constant(const char *name, int64_t *ret_value);

/*
 * ks_schema - all that this header describes, as one JSON object
 *
 * Members: version; probes (with their settings); structs (with their fields, and the names of a
 * field's values by number); enums (with their constants). Members that are named here as in the
 * structs above mean the same; kinds and units are numbers of enum ks_kind and ks_unit. Members may be
 * added.
 * @buf, @size: text, cut to size and ended with NUL; may be NULL and 0
 * Returns the length of the whole text, without NUL. Errors: -EINVAL, -ENOMEM. Cost: a millisecond, and
 *   100 KiB while it runs. Since: 0.1
 */
KS_API int ks_schema(char *buf, size_t size);

#ifdef __cplusplus
}
#endif
#endif
