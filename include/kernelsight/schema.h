/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema.h - what events.h and kernelsight.h say, at run time
 *
 * Exporters, bindings and command lines walk it and know every probe without code of their own.
 * No handle, any thread. Each function fills the struct and returns 0; -ENOENT past the last or if
 * there is no such thing; -EINVAL if size is 0. Texts are constants of the library. Since: 0.1
 *
 * Fields are what differs from struct to struct. The head, which does not, is not among them: of an
 * event struct ks_event and `valid` (72 bytes), of a row struct ks_row (64 bytes). Members called
 * reserved are not fields either.
 */
#ifndef KERNELSIGHT_SCHEMA_H
#define KERNELSIGHT_SCHEMA_H

#include <kernelsight/kernelsight.h>

#ifdef __cplusplus
extern "C" {
#endif

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
};                            /* 56 */

struct ks_param_desc {
	size_t size;           /*  0 */
	uint32_t id;           /*  8 for struct ks_param */
	uint8_t kind;          /* 12 KS_KIND_VALUE, FLAGS or TEXT */
	uint8_t unit;          /* 13 ks_unit */
	uint8_t only_enable;   /* 14 1: not while it runs */
	uint8_t reserved;      /* 15 */
	uint64_t lowest;       /* 16 of a text: bytes */
	uint64_t highest;      /* 24 */
	uint64_t default_value;/* 32 */
	const char *name;      /* 40 "wait_ns": `-o sched.wait_ns=5000000` */
	const char *help;      /* 48 */
};                             /* 56 */

KS_API int ks_describe_probe(uint32_t index, struct ks_probe_desc *ret_probe);
KS_API int ks_describe_struct(uint32_t id, struct ks_struct_desc *ret_struct);
KS_API int ks_describe_field(uint32_t id, uint32_t index, struct ks_field_desc *ret_field);
KS_API int ks_describe_param(uint32_t probe, uint32_t index, struct ks_param_desc *ret_param);

/*
 * ks_describe_value - name of a code, of a flag's bit number, or of an array's element; "dontneed"
 * Returns a constant, or NULL if it has no name. Since: 0.1
 */
KS_API const char *ks_describe_value(uint32_t id, uint32_t field, uint64_t value);

/* ks_probe_id - KS_PROBE_... of a name, or -ENOENT. No handle. Since: 0.1 */
KS_API int ks_probe_id(const char *name);

#ifdef __cplusplus
}
#endif
#endif
