/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_source.h - a handle with two sources that say what a test tells them
 *
 * They serve KS_PROBE_PROC alone: the first as kernel programs do, the second as files.
 */
#ifndef KS_TEST_FAKE_SOURCE_H
#define KS_TEST_FAKE_SOURCE_H

#include "data/groups.h"
#include "ks.h"

#define PROBE KS_PROBE_PROC
#define ALL (ks->slots[PROBE].probe->valid)
#define CPUS 3
#define FILES_VARIANT 3 /* after tp_btf, raw_tp and tracepoint */

/* A record that a source hands over: its tag counts from 0, its last byte is that, too. */
struct fake_record {
	uint16_t id, size;
	uint64_t time_ns;
};

struct fake {
	struct ks__source source;
	/* what it answers */
	int prepare_rc, apply_rc, enable_rc, expect_rc, read_rc;
	uint32_t variant;
	uint64_t valid;
	uint64_t processes[CPUS], execs; /* counted; execs on the first CPU */
	struct ks__whose whose;          /* whose they all are */
	struct ks__book book;
	uint32_t book_probe; /* whose it is; 0: PROBE */
	uint64_t kernel, user;
	struct ks__note note[4];
	struct fake_record out[16]; /* those that are there, up to one of size 0 */
	uint64_t deadline_ns;
	int rest_rc; /* 1: once */
	/* what it was asked */
	unsigned prepared, applied, enabled, disabled;
	uint32_t mask;
	const char *forced;
	struct ks__settings set;
	unsigned given, drained, rested;
};

extern struct ks *ks;
extern struct fake programs, files;

void begin(void);
void begin_with(const struct ks_open_opts *opts);
void end(void);

int enable(const char *variant, uint32_t flags);
/* On by one, then by the other: both have counted. */
void enable_both(void);
struct ks_probe_info query(void);
/* The last error is this one. */
void sentence(const char *want);

#endif
