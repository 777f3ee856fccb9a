/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_source.h - a handle with two fake sources that answer as the test says
 *
 * Both serve KS_PROBE_PROC alone: the first in place of the kernel programs, the second in place of
 * the files.
 */
#ifndef KS_TEST_FAKE_SOURCE_H
#define KS_TEST_FAKE_SOURCE_H

#include "data/groups.h"
#include "ks.h"

#define PROBE KS_PROBE_PROC
#define ALL (ks->slots[PROBE].probe->valid)
#define CPUS 3
#define FILES_VARIANT 3 /* after tp_btf, raw_tp and tracepoint */

/*
 * A record that a source delivers. Tags count from 0, and the last byte of a record repeats its
 * tag.
 */
struct fake_record {
	uint16_t id, size;
	uint64_t time_ns;
};

struct fake {
	struct ks__source source;
	/* what the source answers */
	int prepare_rc, apply_rc, enable_rc, expect_rc, read_rc, scope_rc, admit_rc;
	int serves_all; /* expect() names all other probes, too, with all fields */
	uint32_t variant;
	uint64_t valid;
	uint64_t processes[CPUS], execs; /* what it has counted; execs on the first CPU only */
	struct ks__whose whose;          /* owner of all its counts */
	struct ks__ledger ledger;
	int ledgers_self;    /* `ledger` is that of KS_PROBE_SELF, too */
	unsigned ledger_late; /* so many answers miss one record that was delivered already */
	uint32_t ledger_probe; /* probe that `ledger` belongs to; 0: PROBE */
	uint64_t kernel, user;
	struct ks__note note[4];
	struct fake_record out[16]; /* records that wait for delivery, up to the first of size 0 */
	uint64_t deadline_ns;
	int arm_rc; /* answer of the next arm() only */
	void (*during)(void); /* called while the source writes into a document; NULL: nothing */
	/* what the library asked of the source */
	unsigned prepared, applied, enabled, disabled;
	uint32_t mask;
	const char *forced;
	struct ks__settings set;
	unsigned given, drained, armed, stopped, scoped;
	uint64_t cgroup; /* of the scope */
	/* What it counts when a child of a self-test is admitted, and the pids that it was given */
	uint64_t on_admit_processes, on_admit_execs;
	unsigned admitted;
	int32_t admitted_pid;
};

extern struct ks *ks;
extern struct fake programs, files;

/* Gives the handle its own sources back, which it needs before it is freed. */
void give_back(void);
void begin(void);
void begin_with(const struct ks_open_opts *opts);
void end(void);

int enable(const char *variant, uint32_t flags);
/* Enables the probe from one source, then from the other, so that both have counted. */
void enable_both(void);
struct ks_probe_info query(void);
/* Asserts the text of the last error. */
void sentence(const char *want);

#endif
