/* SPDX-License-Identifier: BSD-2-Clause */
/* check.c - ks_check(): what this machine allows; ks_explain(): what this handle has loaded */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <linux/capability.h>

#include "../data/doc.h"
#include "../data/ledger.h"
#include "../files/facts.h"
#include "../base/text.h"
#include "api.h"

/* Returns the first line of a small file, in buf, or NULL. */
static const char *read_line(int dir, const char *path, char *buf, size_t size)
{
	if (ks__text_string(dir, path, buf, size) <= 0)
		return NULL;
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

/* ---- check ----------------------------------------------------------------------------------- */

static void check_kernel(struct ks__doc *doc)
{
	struct utsname u;

	if (uname(&u))
		return;
	ks__doc_object(doc, "kernel");
	ks__doc_str(doc, "release", u.release);
	ks__doc_str(doc, "machine", u.machine);
	ks__doc_close(doc);
}

static const struct {
	const char *name;
	int bit;
} capabilities[] = {
	{ "cap_bpf", CAP_BPF },
	{ "cap_perfmon", CAP_PERFMON },
	{ "cap_sys_admin", CAP_SYS_ADMIN },
	{ "cap_sys_resource", CAP_SYS_RESOURCE },
	{ NULL, 0 },
};

static void check_capabilities(struct ks__doc *doc)
{
	uint64_t have = ks__caps();

	ks__doc_object(doc, "capabilities");
	for (unsigned i = 0; capabilities[i].name; i++)
		ks__doc_bool(doc, capabilities[i].name, have >> capabilities[i].bit & 1);
	ks__doc_close(doc);
}

/* Values of sysctls that keep kernel programs from working, and the remedy. */
static const struct obstacle {
	const char *file; /* below proc_path/sys */
	char value;       /* first character of the harmful value; '-': report only */
	const char *remedy;
} obstacles[] = {
	{ "kernel/ftrace_enabled", '0',
	  "sysctl kernel.ftrace_enabled=1: at 0, fentry and kprobe programs count nothing" },
	{ "net/core/bpf_jit_enable", '0',
	  "sysctl net.core.bpf_jit_enable=1: at 0, kernel programs run several times slower" },
	{ "kernel/unprivileged_bpf_disabled", '-', NULL },
	{ "kernel/perf_event_paranoid", '-', NULL },
	{ "kernel/kptr_restrict", '-', NULL },
	{ NULL, 0, NULL },
};

static void check_sysctls(struct ks *ks, struct ks__doc *doc)
{
	ks__doc_object(doc, "sysctls");
	for (const struct obstacle *o = obstacles; o->file; o++) {
		char path[80], value[64];

		snprintf(path, sizeof(path), "sys/%s", o->file);
		ks__doc_str(doc, o->file, read_line(ks->proc_fd, path, value, sizeof(value)));
	}
	ks__doc_close(doc);
}

/* why: a reason of some probe. It is written only if no other remedy covers it. */
static void check_remedies(struct ks *ks, const char *why, struct ks__doc *doc)
{
	const uint64_t both = 1ull << CAP_BPF | 1ull << CAP_PERFMON;
	char path[80], value[128], mode[32];
	const char *line;
	int locked;

	ks__facts_lockdown(ks->sys_fd, mode, sizeof(mode));
	locked = !strcmp(mode, "confidentiality");
	ks__doc_array(doc, "remedies");
	if (both & ~ks__caps() & ks__facts_withheld(ks->proc_fd, value, sizeof(value)))
		ks__doc_str(doc, NULL,
			    "add `capability bpf, capability perfmon,` to the AppArmor profile of "
			    "this process (see confined_by), and remove deny rules for them: the "
			    "profile withholds these capabilities");
	else if (both & ~ks__caps())
		ks__doc_str(
			doc, NULL,
			"setcap cap_bpf,cap_perfmon+ep PROGRAM, or run as root (in a container, "
			"add both): without these capabilities the kernel refuses kernel programs");
	else if (why[0] && !(locked && strstr(why, "lockdown (confidentiality)")))
		ks__doc_str(doc, NULL, why);
	if (locked)
		ks__doc_str(
			doc, NULL,
			"boot with lockdown=integrity or none: lockdown (confidentiality) does not "
			"let kernel programs read kernel memory");
	for (const struct obstacle *o = obstacles; o->file; o++) {
		snprintf(path, sizeof(path), "sys/%s", o->file);
		line = read_line(ks->proc_fd, path, value, sizeof(value));
		if (o->remedy && line && line[0] == o->value)
			ks__doc_str(doc, NULL, o->remedy);
	}
	ks__doc_close(doc);
}

static void check_cgroups(struct ks *ks, struct ks__doc *doc)
{
	int version = ks__facts_memcg(ks->proc_fd);
	char controllers[256];

	ks__doc_object(doc, "cgroups");
	ks__doc_str(doc, "memory_controller", version == 1 ? "v1" : version == 2 ? "v2" : "none");
	ks__doc_str(doc, "v2_controllers",
		    read_line(ks->sys_fd, "fs/cgroup/cgroup.controllers", controllers,
			      sizeof(controllers)));
	ks__doc_close(doc);
}

static const char *source_name(uint16_t source)
{
	switch (source) {
	case KS_SOURCE_BPF:
		return "bpf";
	case KS_SOURCE_FILES:
		return "files";
	}
	return "none";
}

static const char *state_name(uint16_t state)
{
	static const char *const names[] = { "off", "on", "failed", "?", "silent" };

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

static void check_fields(struct ks *ks, const struct ks__probe *probe, uint64_t valid,
			 struct ks__doc *doc)
{
	ks__doc_array(doc, "unavailable");
	for (const struct ks__struct *t = probe->stats; t; t = NULL) {
		for (const struct ks__field *f = t->fields; f->name; f++) {
			char why[256] = "";

			if (!(f->valid & ~valid))
				continue;
			ks_query_valid(ks, probe->id, f->valid, why, sizeof(why));
			ks__doc_object(doc, NULL);
			ks__doc_str(doc, "field", f->name);
			ks__doc_str(doc, "reason", why);
			ks__doc_close(doc);
		}
	}
	ks__doc_close(doc);
}

/*
 * Returns 2: kernel programs serve all fields; 1: some fields, or a fallback; 0: nothing. If `why`
 * is "", it receives the reason why no kernel program serves the probe.
 */
static int check_probe(struct ks *ks, const struct ks__probe *probe, char *why, size_t size,
		       struct ks__doc *doc)
{
	struct ks_probe_info info = { .size = sizeof(info) };
	struct ks_variant_info v = { .size = sizeof(v) };

	if (ks_query_probe(ks, probe->id, &info))
		return 0;
	ks__doc_object(doc, NULL);
	ks__doc_str(doc, "probe", probe->name);
	ks__doc_str(doc, "state", state_name(info.state));
	ks__doc_str(doc, "source", source_name(info.source));
	ks__doc_str(doc, "variant", info.variant_name[0] ? info.variant_name : NULL);
	ks__doc_bool(doc, "tried", info.facts & KS_FACT_TRIED);
	ks__doc_str(doc, "reason", info.reason[0] ? info.reason : NULL);
	ks__doc_array(doc, "variants");
	for (uint32_t i = 0; ks_query_variant(ks, probe->id, i, &v) == 0; i++) {
		ks__doc_object(doc, NULL);
		ks__doc_str(doc, "variant", v.name);
		ks__doc_bool(doc, "usable", !v.error);
		ks__doc_str(doc, "reason", v.reason[0] ? v.reason : NULL);
		ks__doc_close(doc);
		v.size = sizeof(v);
	}
	ks__doc_close(doc);
	check_fields(ks, probe, info.valid, doc);
	ks__doc_close(doc);
	if (info.source != KS_SOURCE_BPF && !why[0])
		snprintf(why, size, "%s", info.reason);
	if (info.source == KS_SOURCE_NONE)
		return 0;
	return info.source == KS_SOURCE_BPF && info.valid == probe->valid ? 2 : 1;
}

/* Another thread may have closed the handle meanwhile: then the document is not whole. */
static int finish(struct ks *ks, struct ks__doc *doc, char *buf, size_t size)
{
	int closed = atomic_load(&ks->core->closed);
	int rc = ks__doc_finish(doc, closed ? NULL : buf, closed ? 0 : size);

	return closed ? -KS_ECLOSED : rc;
}

int ks_check(struct ks *ks, uint32_t format, char *buf, size_t size)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	int all = 2, any = 0, rc;
	char value[32], why[256] = "";
	struct ks__doc doc;

	if (format > KS_JSON || (size && !buf))
		return ks__fail(ks, -EINVAL,
				"ks_check: format is %u and must be KS_TEXT or KS_JSON; buf may be "
				"NULL only if size is 0",
				format);
	rc = ks__own(ks);
	if (rc)
		return rc;
	ks__doc_begin(&doc, format);
	check_kernel(&doc);
	check_capabilities(&doc);
	check_sysctls(ks, &doc);
	ks__facts_lockdown(ks->sys_fd, value, sizeof(value));
	ks__doc_str(&doc, "lockdown", value[0] ? value : "not in this kernel, or not readable");
	check_cgroups(ks, &doc);
	ks__doc_str(&doc, "proc_path", ks->opts.proc_path);
	ks__doc_str(&doc, "sys_path", ks->opts.sys_path);
	ks__lock(ks);
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++)
		ks->sources[i]->ops->check(ks->sources[i], &doc);
	ks__unlock(ks);
	ks__doc_array(&doc, "probes");
	for (const struct ks__probe *const *p = ks__probes; *p; p++) {
		int got;

		if (!(*p)->variants && !(*p)->fallback)
			continue;
		got = check_probe(ks, *p, why, sizeof(why), &doc);
		all = got < all ? got : all;
		any = got > any ? got : any;
	}
	ks__doc_close(&doc);
	check_remedies(ks, why, &doc);
	ks__doc_str(&doc, "verdict", all == 2 ? "full" : any ? "partial" : "nothing works");
	return ks__end(ks, begun, finish(ks, &doc, buf, size));
}

/* ---- explain --------------------------------------------------------------------------------- */

static void explain_probe(struct ks *ks, struct ks__slot *slot, struct ks__doc *doc)
{
	struct ks__source *s = atomic_load(&slot->source);
	struct ks__ledger ledger;

	ks__doc_object(doc, NULL);
	ks__doc_str(doc, "probe", slot->probe->name);
	ks__doc_str(doc, "state", state_name((uint16_t)atomic_load(&slot->state)));
	ks__doc_str(doc, "source", source_name(s ? s->ops->kind : KS_SOURCE_NONE));
	if (s) {
		ks__read_ledger(ks, slot->probe->id, 0, &ledger);
		ks__doc_u64(doc, "fired", ks__ledger_fired(&ledger));
		ks__doc_u64(doc, "kernel_ns", ledger.kernel_ns);
		ks__doc_array(doc, "capabilities");
		for (unsigned i = 0; s->ops->kind == KS_SOURCE_BPF && capabilities[i].name; i++)
			if (slot->probe->caps >> capabilities[i].bit & 1)
				ks__doc_str(doc, NULL, capabilities[i].name);
		ks__doc_close(doc);
		if (ks__ledger_fired(&ledger))
			ks__doc_u64(doc, "ns_per_run",
				    ledger.kernel_ns / ks__ledger_fired(&ledger));
		s->ops->explain(s, slot->probe->id, doc);
	}
	ks__doc_close(doc);
}

int ks_explain(struct ks *ks, uint32_t format, char *buf, size_t size)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	uint64_t kernel = 0, user = sizeof(*ks), k, u;
	struct ks__doc doc;

	if (format > KS_JSON || (size && !buf))
		return ks__fail(
			ks, -EINVAL,
			"ks_explain: format is %u and must be KS_TEXT or KS_JSON; buf may be "
			"NULL only if size is 0",
			format);
	ks__doc_begin(&doc, format);
	ks__lock(ks);
	ks__doc_array(&doc, "probes");
	for (uint32_t p = 0; p < KS__PROBES_MAX; p++) {
		struct ks__slot *slot = &ks->slots[p];

		if (slot->probe && (slot->probe->variants || slot->probe->fallback))
			explain_probe(ks, slot, &doc);
	}
	ks__doc_close(&doc);
	ks__doc_object(&doc, "shared");
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++) {
		struct ks__source *s = ks->sources[i];

		k = u = 0;
		s->ops->explain(s, KS_PROBE_SELF, &doc);
		s->ops->size(s, &k, &u);
		kernel += k, user += u;
	}
	ks__doc_close(&doc);
	ks__unlock(ks);
	ks__doc_u64(&doc, "kernel_bytes", kernel);
	ks__doc_u64(&doc, "user_bytes", user);
	ks__doc_u64(&doc, "descriptors", ks__fds_count(&ks->fds));
	return ks__end(ks, begun, finish(ks, &doc, buf, size));
}
