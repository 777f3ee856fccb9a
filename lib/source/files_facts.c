/* SPDX-License-Identifier: BSD-2-Clause */
/* files_facts.c - whether fallbacks work on this machine, and what reports say about them */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../base/text.h"
#include "../data/doc.h"
#include "../files/facts.h"
#include "files.h"

#define HIDDEN_REMEDY                                                                         \
	"mount it with hidepid=0, or join the group that its option gid= names, or run with " \
	"CAP_SYS_PTRACE"

int ks__files_usable(const struct files *files, uint32_t probe, char *why, size_t size)
{
	const struct ks *ks = files->source.ks;
	const struct ks__fallback *fallback = probe_of(files, probe)->fallback;
	const char *no = !fallback                ? probe_of(files, probe)->no_fallback :
			 fallback->scan->no_scope ? fallback->scan->no_scope(&files->scope) :
						    NULL;
	char byte;
	ssize_t n;

	if (no) {
		snprintf(why, size, "%s", no);
		return -KS_EUNAVAIL;
	}
	n = ks__text_read(ks->proc_fd, fallback->needs, &byte, 1);
	if (n > 0)
		return 0;
	snprintf(why, size,
		 "%s/%s cannot be read (%s): mount procfs there, or name it in proc_path",
		 ks->opts.proc_path, fallback->needs, n < 0 ? ks_strerror((int)n) : "it is empty");
	return n < 0 ? (int)n : -ENOENT;
}

/* procfs never hides the host's own process from it. */
void ks__files_hidden(const struct files *files, uint32_t probe, char *buf, size_t size)
{
	const struct ks *ks = files->source.ks;
	const struct ks__scan *scan = probe_of(files, probe)->fallback->scan;

	buf[0] = '\0';
	if (scan->sees_processes && files->scope.kind != KS_SCOPE_SELF &&
	    ks__facts_hides(ks->proc_fd))
		snprintf(buf, size, "%.80s hides processes of other users: " HIDDEN_REMEDY,
			 ks->opts.proc_path);
}

int ks__files_note(struct ks__source *s, uint32_t probe, uint32_t index, struct ks__note *ret)
{
	struct ks__note note = { .tried = 1 };

	if (index || !probe_of(files_of(s), probe)->fallback)
		return -ENOENT;
	note.error = ks__files_usable(files_of(s), probe, note.reason, sizeof(note.reason));
	if (!note.error)
		ks__files_hidden(files_of(s), probe, note.reason, sizeof(note.reason));
	*ret = note;
	return 0;
}

uint32_t ks__files_variant(const struct ks__probe *probe)
{
	uint32_t n = 0;

	while (probe->variants && probe->variants[n].name)
		n++;
	return n;
}

int ks__files_expect(struct ks__source *s, uint32_t probe, uint32_t *ret_variant,
		     uint64_t *ret_valid)
{
	const struct ks__probe *p = probe_of(files_of(s), probe);
	char why[256];

	if (ks__files_usable(files_of(s), probe, why, sizeof(why)))
		return -KS_EUNAVAIL;
	*ret_variant = ks__files_variant(p);
	*ret_valid = p->valid & ~p->fallback->lacks;
	return 0;
}

int ks__files_why(struct ks__source *s, uint32_t probe, uint64_t bit, char *buf, size_t size)
{
	const struct ks__fallback *fallback = probe_of(files_of(s), probe)->fallback;

	if (!fallback || !(fallback->lacks & bit))
		return 0;
	snprintf(buf, size, "%s: %s", fallback->name, fallback->lacks_why);
	return 1;
}

void ks__files_explain(struct ks__source *s, uint32_t probe, struct ks__doc *doc)
{
	struct files *files = files_of(s);
	const struct ks__scan *scan = files->served[probe].scan;
	unsigned i;

	if (!scan)
		return;
	ks__doc_array(doc, "files");
	for (i = 0; scan->files[i]; i++)
		ks__doc_str(doc, NULL, scan->files[i]);
	ks__doc_close(doc);
	ks__doc_u64(doc, "interval_ms", files->served[probe].set.interval_ms);
}

void ks__files_check(struct ks__source *s, struct ks__doc *doc)
{
	char byte;
	ssize_t n = ks__text_read(s->ks->proc_fd, "self/stat", &byte, 1);
	int hides = n > 0 && ks__facts_hides(s->ks->proc_fd);

	ks__doc_object(doc, "files");
	ks__doc_bool(doc, "procfs", n > 0);
	ks__doc_bool(doc, "all_processes", n > 0 && !hides);
	ks__doc_str(doc, "reason",
		    n < 0 ? ks_strerror((int)n) :
		    hides ? "it hides processes of other users: " HIDDEN_REMEDY :
			    NULL);
	ks__doc_close(doc);
}
