/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_source.h"

#include "../../bpf/shared.h"
#include "data/doc.h"

#include <errno.h>

#include "data/rows.h"
#include "ks_test.h"

static struct fake *fake(struct ks__source *s)
{
	return (struct fake *)s;
}

static int fake_prepare(struct ks__source *s, uint32_t mask, const char *variant)
{
	fake(s)->prepared++;
	fake(s)->mask = mask;
	fake(s)->forced = variant;
	return fake(s)->prepare_rc;
}

static int fake_apply(struct ks__source *s, uint32_t probe, const struct ks__settings *set)
{
	g_assert_cmpuint(probe, ==, PROBE);
	fake(s)->applied++;
	if (!fake(s)->apply_rc)
		fake(s)->set = *set;
	return fake(s)->apply_rc;
}

static int fake_set_scope(struct ks__source *s, const struct ks__scope *scope)
{
	fake(s)->scoped++;
	if (!fake(s)->scope_rc)
		fake(s)->cgroup = scope->cgroup;
	return fake(s)->scope_rc;
}

static int fake_enable(struct ks__source *s, uint32_t probe, const char *variant,
		       uint32_t *ret_variant, uint64_t *ret_valid)
{
	g_assert_cmpuint(probe, ==, PROBE);
	g_assert_cmpstr(variant, ==, fake(s)->forced);
	fake(s)->enabled++;
	if (!fake(s)->enable_rc) {
		*ret_variant = fake(s)->variant;
		*ret_valid = fake(s)->valid;
	}
	return fake(s)->enable_rc;
}

static void fake_disable(struct ks__source *s, uint32_t probe)
{
	g_assert_cmpuint(probe, ==, PROBE);
	fake(s)->disabled++;
}

static int fake_note(struct ks__source *s, uint32_t probe, uint32_t index, struct ks__note *ret)
{
	(void)probe;
	if (index >= G_N_ELEMENTS(fake(s)->note))
		return -ENOENT;
	*ret = fake(s)->note[index];
	return 0;
}

static int fake_expect(struct ks__source *s, uint32_t probe, uint32_t *ret_variant,
		       uint64_t *ret_valid)
{
	if (probe != PROBE && fake(s)->serves_all) {
		*ret_variant = 0;
		*ret_valid = ks->slots[probe].probe->valid;
		return 0;
	}
	if (probe != PROBE)
		return -KS_EUNAVAIL;
	*ret_variant = fake(s)->variant;
	*ret_valid = fake(s)->valid;
	return fake(s)->expect_rc;
}

static int fake_why(struct ks__source *s, uint32_t probe, uint64_t bit, char *buf, size_t size)
{
	g_assert_cmpuint(probe, ==, PROBE);
	g_snprintf(buf, (gulong)size, "%u has no bit %#" G_GINT64_MODIFIER "x", s->ops->kind, bit);
	return 1;
}

static int fake_read(struct ks__source *s, uint32_t probe, struct ks__rows *rows, int per_cpu)
{
	const int processes = ks__rows_word(rows->desc, "processes");
	const int execs = ks__rows_word(rows->desc, "execs");

	g_assert_cmpuint(probe, ==, PROBE);
	g_assert_cmpuint(rows->n_rows, ==, per_cpu ? CPUS : 1);
	if (fake(s)->read_rc)
		return fake(s)->read_rc;
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		rows->raw[(per_cpu ? cpu : 0) * rows->words + (size_t)processes] +=
			fake(s)->processes[cpu];
	rows->raw[execs] += fake(s)->execs;
	return 0;
}

static int fake_groups(struct ks__source *s, uint32_t probe, struct ks__groups *groups)
{
	uint64_t block[16] = { 0 };

	g_assert_cmpuint(probe, ==, PROBE);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		block[0] += fake(s)->processes[cpu];
	return fake(s)->read_rc ? fake(s)->read_rc : ks__groups_add(groups, &fake(s)->whose, block);
}

static int fake_ledger(struct ks__source *s, uint32_t probe, int idle, struct ks__ledger *ret)
{
	(void)idle;
	if (probe != (fake(s)->ledger_probe ? fake(s)->ledger_probe : PROBE) &&
	    !(fake(s)->ledgers_self && probe == KS_PROBE_SELF))
		return -ENOENT;
	*ret = fake(s)->ledger;
	if (fake(s)->ledger_late) {
		fake(s)->ledger_late--;
		ret->outcome[KS_SUBMITTED]--;
	}
	return 0;
}

static void fake_size(struct ks__source *s, uint64_t *ret_kernel, uint64_t *ret_user)
{
	*ret_kernel = fake(s)->kernel;
	*ret_user = fake(s)->user;
}

static void fake_stop(struct ks__source *s)
{
	fake(s)->stopped++;
}

static int fake_admit(struct ks__source *s, int32_t pid)
{
	struct fake *f = fake(s);

	f->admitted++;
	f->admitted_pid = pid;
	if (pid) {
		f->processes[0] += f->on_admit_processes;
		f->execs += f->on_admit_execs;
	}
	return pid ? f->admit_rc : 0;
}

static void fake_check(struct ks__source *s, struct ks__doc *doc)
{
	ks__doc_str(doc, s->ops->kind == KS_SOURCE_BPF ? "fake_bpf" : "fake_files", "checked");
	if (fake(s)->during)
		fake(s)->during();
}

static void fake_explain(struct ks__source *s, uint32_t probe, struct ks__doc *doc)
{
	ks__doc_u64(doc, s->ops->kind == KS_SOURCE_BPF ? "fake_bpf" : "fake_files", probe);
	if (fake(s)->during)
		fake(s)->during();
}

static int fake_drain(struct ks__source *s, struct ks__sink *sink, unsigned max)
{
	_Alignas(8) char bytes[KS_RECORD_MAX];
	unsigned n = 0;

	fake(s)->drained++;
	while (n < max && fake(s)->out[fake(s)->given].size) {
		const struct fake_record *out = &fake(s)->out[fake(s)->given];
		struct ks_event *ev = (void *)bytes;

		memset(bytes, 0, sizeof(bytes));
		*ev = (struct ks_event){ .size = out->size,
					 .id = out->id,
					 .time_ns = out->time_ns,
					 .tag = fake(s)->given++ };
		bytes[out->size - 1] = (char)ev->tag;
		n++;
		if (ks__put(sink, ev))
			break;
	}
	return (int)n;
}

static int fake_arm(struct ks__source *s, uint64_t *ret_deadline_ns)
{
	int rc = fake(s)->arm_rc;

	fake(s)->armed++;
	fake(s)->arm_rc = 0;
	*ret_deadline_ns = fake(s)->deadline_ns;
	return rc;
}

#define OPS                                                                                       \
	.prepare = fake_prepare, .set_scope = fake_set_scope, .apply = fake_apply,                \
	.enable = fake_enable, .disable = fake_disable, .note = fake_note, .expect = fake_expect, \
	.why = fake_why, .read = fake_read, .ledger = fake_ledger, .size = fake_size,             \
	.drain = fake_drain, .arm = fake_arm, .check = fake_check, .explain = fake_explain,       \
	.stop = fake_stop

static const struct ks__source_ops programs_ops = { .kind = KS_SOURCE_BPF,
						    .read_groups = fake_groups,
						    .admit = fake_admit,
						    OPS };
static const struct ks__source_ops files_ops = { .kind = KS_SOURCE_FILES, OPS };

struct ks *ks;
struct fake programs, files;
static struct ks__source *own[KS__SOURCES_MAX];

void give_back(void)
{
	memcpy(ks->sources, own, sizeof(own));
}

void begin(void)
{
	begin_with(NULL);
}

void begin_with(const struct ks_open_opts *opts)
{
	ks_assert_rc(ks_open(opts, &ks), 0);
	memcpy(own, ks->sources, sizeof(own));
	memset(ks->sources, 0, sizeof(own));
	ks->n_cpus = CPUS;
	programs = (struct fake){ .source = { &programs_ops, ks }, .valid = ALL };
	files = (struct fake){ .source = { &files_ops, ks },
			       .variant = FILES_VARIANT,
			       .valid = KS_HAS_PROC_PARENT | KS_HAS_PROC_START };
	ks->sources[0] = &programs.source;
	ks->sources[1] = &files.source;
}

void end(void)
{
	give_back();
	ks_close(ks);
}

int enable(const char *variant, uint32_t flags)
{
	struct ks_enable_opts opts = { .size = sizeof(opts), .variant = variant, .flags = flags };

	return ks_enable_probe(ks, PROBE, &opts);
}

struct ks_probe_info query(void)
{
	struct ks_probe_info info = { .size = sizeof(info) };

	ks_assert_ok(ks, ks_query_probe(ks, PROBE, &info));
	return info;
}

void sentence(const char *want)
{
	char text[400] = "";

	ks_last_error(ks, text, sizeof(text));
	g_assert_cmpstr(text, ==, want);
}

void enable_both(void)
{
	ks_assert_rc(enable("procfs", 0), 1);
	ks_assert_rc(ks_disable_probe(ks, PROBE), 0);
	ks_assert_rc(enable("tp_btf", 0), 0);
}
