/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doc.h - writes the documents of ks_check() and ks_explain(), as JSON or as text
 *
 * KS_JSON: one object on one line, without a newline. KS_TEXT: "key: value" lines for people,
 * indented by depth; each element of an array begins with "- ".
 *
 * Values may hold any bytes. Bytes that are not UTF-8 are written as the four characters \xHH. In
 * KS_TEXT, control characters are written the same way, so that a value is always one line.
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
	int error;       /* 0, -ENOMEM, -EINVAL; kept until ks__doc_finish() */
	unsigned depth;  /* of the innermost open container; 0: the outermost object */
	uint8_t is_array[KS__DOC_DEPTH], has_members[KS__DOC_DEPTH];
};

/* Opens the outermost object. */
void ks__doc_begin(struct ks__doc *doc, uint32_t format);
/*
 * Open and close a container. key is NULL inside an array. At most KS__DOC_DEPTH containers may be
 * open, including the outermost object.
 */
void ks__doc_object(struct ks__doc *doc, const char *key);
void ks__doc_array(struct ks__doc *doc, const char *key);
void ks__doc_close(struct ks__doc *doc);
/* Write a member. A NULL value is null in KS_JSON and left out in KS_TEXT. */
void ks__doc_str(struct ks__doc *doc, const char *key, const char *value);
void ks__doc_u64(struct ks__doc *doc, const char *key, uint64_t value);
void ks__doc_i64(struct ks__doc *doc, const char *key, int64_t value);
void ks__doc_bool(struct ks__doc *doc, const char *key, int value);
/*
 * Closes all open containers, copies the text into buf as ks_check() documents, and frees it.
 * Returns the length of the whole text; -ENOMEM; -EINVAL: containers were nested too deep.
 */
int ks__doc_finish(struct ks__doc *doc, char *buf, size_t size);

#endif
