/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema.h - the contents of the headers at run time: probes, structs, fields, settings, enums
 *
 * Exporters, bindings and command lines walk this schema, and so handle every probe without code
 * for it. A language that cannot read C headers takes the whole from ks_schema(), as one JSON
 * document.
 *
 * Rules for all functions here, unless a block says otherwise
 *  - They need no handle. Any thread may call them.
 *  - ks_describe_...() fills a struct: set its size first. It returns 0; -ENOENT if the index is
 *    past the last one, or if there is no such probe, struct or enum; -EINVAL if ret_... is NULL or
 *    its size is not set.
 *  - Look-ups by name return the number, or -ENOENT.
 *  - Texts are constants of the library.
 *  - Since: 0.1
 *
 * Fields of an event or a row are its members after the common head: for an event after struct
 * ks_event and `valid` (72 bytes), for a row after struct ks_row (64 bytes). Members called
 * reserved are not fields.
 *
 * The schema also has the structs of the interface: options, infos, these descriptions, and events
 * and rows with their heads. Their ids begin at KS_INTERFACE_STRUCTS and change between releases:
 * find them by name, "ks_scope". All members of these structs are fields.
 */
#ifndef KERNELSIGHT_SCHEMA_H
#define KERNELSIGHT_SCHEMA_H

#include <kernelsight/kernelsight.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KS_INTERFACE_STRUCTS 0x10000 /* lowest id of a struct of the interface */

/* A probe: see ks_describe_probe(). */
struct ks_probe_desc {
	size_t size;         /*  0 */
	uint32_t probe;      /*  8 KS_PROBE_... */
	uint32_t by;         /* 12 KS_BY_... bits: its groupings; 0: no statistics */
	uint32_t n_events;   /* 16 kinds of event; their ids: probe << 8 | 1 to n_events */
	uint32_t n_params;   /* 20 settings, see ks_describe_param() */
	uint64_t caps;       /* 24 bits 1 << CAP_... that its best variant needs */
	const char *name;    /* 32 "sched" */
	const char *summary; /* 40 one sentence */
};                           /* 48 */

/* An event, a row or a struct of the interface: see ks_describe_struct(). */
struct ks_struct_desc {
	size_t size;       /*  0 */
	uint32_t id;       /*  8 KS_STATS_..., KS_EVENT_..., or above KS_INTERFACE_STRUCTS */
	uint32_t bytes;    /* 12 of the struct, with its head */
	uint32_t n_fields; /* 16 without the head */
	uint32_t reserved; /* 20 */
	const char *name;  /* 24 "sched_wait"; the name of a row is the probe's */
	const char *help;  /* 32 one sentence */
};                         /* 40 */

/* Kinds of field */
enum ks_kind {
	KS_KIND_COUNTER = 1, /* a number that only grows */
	KS_KIND_GAUGE = 2,   /* a present value */
	KS_KIND_HIST = 3,    /* struct ks_hist */
	KS_KIND_VALUE = 4,   /* a measured number of an event */
	KS_KIND_ID = 5,      /* pid, inode, cgroup: to compare, not to add */
	KS_KIND_CODE = 6,    /* one of several codes; ks_describe_value() returns their names */
	KS_KIND_FLAGS = 7,   /* bits; ks_describe_value() returns their names */
	KS_KIND_TEXT = 8,    /* ends with NUL */
	KS_KIND_TIME = 9,    /* CLOCK_MONOTONIC, nanoseconds */
	KS_KIND_POINTER = 10, /* an address; in structs of the interface only */
	KS_KIND_STRUCT = 11,  /* a nested struct, see c_type; in structs of the interface only */
};

enum ks_unit {
	KS_UNIT_NONE = 0,
	KS_UNIT_COUNT = 1,
	KS_UNIT_NS = 2,
	KS_UNIT_BYTES = 3,
	KS_UNIT_PAGES = 4,
};

/* A field of a struct: see ks_describe_field(). */
struct ks_field_desc {
	size_t size;          /*  0 */
	uint16_t offset;      /*  8 bytes from the start of the struct */
	uint16_t bytes;       /* 10 size of one element */
	uint16_t count;       /* 12 elements of an array; 1: no array */
	uint8_t kind;         /* 14 ks_kind */
	uint8_t unit;         /* 15 ks_unit */
	uint8_t is_signed;    /* 16 1: a signed number */
	uint8_t reserved[7];  /* 17 */
	uint64_t valid;       /* 24 known if these bits of `valid` are set; 0: always known */
	const char *name;     /* 32 "runq_ns" */
	const char *label;    /* 40 array: meaning of its index, "advice"; else NULL */
	const char *help;     /* 48 a few words */
	const char *c_type;   /* 56 of one element: "uint32_t", "char", "struct ks_hist" */
	const char *codes;    /* 64 enum of its values, "ks_scope_kind"; NULL: ks_describe_value */
};                            /* 72 */

/* An enum of the headers: see ks_describe_enum(). */
struct ks_enum_desc {
	size_t size;          /*  0 */
	uint32_t n_constants; /*  8 */
	uint32_t is_flags;    /* 12 1: the constants are bits */
	const char *name;     /* 16 "ks_scope_kind"; "defines": all macros that are numbers */
};                            /* 24 */

/* A constant of an enum: see ks_describe_constant(). */
struct ks_constant_desc {
	size_t size;      /*  0 */
	int64_t value;    /*  8 */
	const char *name; /* 16 "KS_SCOPE_TREE" */
	const char *help; /* 24 its comment in the header, or "" */
};                        /* 32 */

/* A setting of a probe: see ks_describe_param(). */
struct ks_param_desc {
	size_t size;           /*  0 */
	uint32_t id;           /*  8 ks_param.id */
	uint8_t kind;          /* 12 KS_KIND_VALUE or KS_KIND_FLAGS */
	uint8_t unit;          /* 13 ks_unit */
	uint8_t only_enable;   /* 14 1: cannot change while the probe is on; 0 in this release */
	uint8_t reserved;      /* 15 */
	uint64_t lowest;       /* 16 bounds, inclusive */
	uint64_t highest;      /* 24 */
	uint64_t default_value;/* 32 */
	const char *name;      /* 40 "wait_ns"; on the command line `-o sched.wait_ns=5000000` */
	const char *help;      /* 48 a few words */
};                             /* 56 */

/*
 * ks_describe_probe - a probe, by index from 0
 * ks_describe_struct - an event, a row or a struct of the interface, by id
 * ks_describe_field - a field of struct @id, by index from 0
 * ks_describe_param - a setting of @probe (KS_PROBE_...), by index from 0
 * Cost: below a microsecond. Since: 0.1
 */
KS_API int ks_describe_probe(uint32_t index, struct ks_probe_desc *ret_probe);
KS_API int ks_describe_struct(uint32_t id, struct ks_struct_desc *ret_struct);
KS_API int ks_describe_field(uint32_t id, uint32_t index, struct ks_field_desc *ret_field);
KS_API int ks_describe_param(uint32_t probe, uint32_t index, struct ks_param_desc *ret_param);

/*
 * ks_describe_enum - an enum of the headers, by index from 0
 * ks_describe_constant - a constant of enum @index, by number from 0
 * Cost: below a microsecond. Since: 0.1
 */
KS_API int ks_describe_enum(uint32_t index, struct ks_enum_desc *ret_enum);
KS_API int ks_describe_constant(uint32_t index, uint32_t constant,
				struct ks_constant_desc *ret_constant);

/*
 * ks_describe_value - the name of a value, "dontneed"
 * @id: of the struct
 * @field: index of the field, as for ks_describe_field()
 * @value: a code; the number of a bit of flags; or the index into an array
 * Returns a constant; NULL if the value has no name. Since: 0.1
 */
KS_API const char *ks_describe_value(uint32_t id, uint32_t field, uint64_t value);

/*
 * Look-ups by name:
 * ks_probe_id - KS_PROBE_... of a probe
 * ks_struct_id - id of an event ("proc_exit"), of the row of a probe ("sched"), or of a struct of
 *   the interface ("ks_scope")
 * ks_field_index - index of a field, for ks_describe_field() and ks_describe_value()
 * ks_param_id - id of a probe's setting, for struct ks_param
 * ks_value - the inverse of ks_describe_value(): the number of a code, a bit or an array's element
 * Returns the number; -ENOENT if there is no such name, or if @name is NULL.
 * Cost: microseconds. Store the numbers that you use often. Since: 0.1
 */
KS_API int ks_probe_id(const char *name);
KS_API int ks_struct_id(const char *name);
KS_API int ks_field_index(uint32_t id, const char *name);
KS_API int ks_param_id(uint32_t probe, const char *name);
KS_API int ks_value(uint32_t id, uint32_t field, const char *name);

/*
 * ks_constant - the value of a constant of the headers: "KS_SCOPE_TREE", "KS_RECORD_MAX"
 * @ret_value: the value
 * Returns 0. Errors: -ENOENT (no such name), -EINVAL (ret_value is NULL). Since: 0.1
 */
KS_API int ks_constant(const char *name, int64_t *ret_value);

/*
 * ks_schema - the whole schema, as one JSON object
 *
 * Its members: version; probes, with their settings; structs, with their fields and the names of
 * the fields' values; enums, with their constants. A member that has the name of a member of the
 * structs above has the same meaning. Kinds and units are numbers of enum ks_kind and enum ks_unit.
 * Later releases may add members.
 * @buf, @size: receives the text, cut to @size and ended with NUL; may be NULL and 0
 * Returns the length of the whole text, without NUL. Errors: -EINVAL, -ENOMEM.
 * Cost: a millisecond, and 100 KiB of memory during the call. Since: 0.1
 */
KS_API int ks_schema(char *buf, size_t size);

#ifdef __cplusplus
}
#endif
#endif
