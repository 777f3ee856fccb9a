/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doc.h - ks_check() and ks_explain(): one walk, two formats
 *
 * KS_JSON: one object on one line, without a newline. KS_TEXT: "key: value" lines for people,
 * indented by depth; elements of arrays begin with "- ".
 *
 * Texts may hold anything: bytes that are not UTF-8 come out as the four characters \xHH, and so do
 * control characters in KS_TEXT, so that a value is always one line.
 */
#ifndef KS_DOC_H
#define KS_DOC_H

#include <stddef.h>
#include <stdint.h>

#define KS__DOC_DEPTH 16

struct ks__doc {
	char *text;
	size_t length, size;
	uint32_t format; /* ks_format */
	int error;       /* 0, -ENOMEM, -EINVAL; kept until finish */
	unsigned depth;  /* of the innermost container that is open; 0: the outermost object */
	uint8_t is_array[KS__DOC_DEPTH], has_members[KS__DOC_DEPTH];
};

/* Opens the outermost object. */
void ks__doc_begin(struct ks__doc *doc, uint32_t format);
/* Containers. key is NULL inside an array. Depth at most KS__DOC_DEPTH, the outermost included. */
void ks__doc_object(struct ks__doc *doc, const char *key);
void ks__doc_array(struct ks__doc *doc, const char *key);
void ks__doc_close(struct ks__doc *doc);
/* Members. A NULL value is null in JSON and left out of text. */
void ks__doc_str(struct ks__doc *doc, const char *key, const char *value);
void ks__doc_u64(struct ks__doc *doc, const char *key, uint64_t value);
void ks__doc_i64(struct ks__doc *doc, const char *key, int64_t value);
void ks__doc_bool(struct ks__doc *doc, const char *key, int value);
/*
 * Closes what is open, copies as ks_check() promises and frees the text. The whole length, -ENOMEM,
 * or -EINVAL: nested too deep.
 */
int ks__doc_finish(struct ks__doc *doc, char *buf, size_t size);

#endif
