/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doc.h - ks_check() and ks_explain(): one walk, two formats
 *
 * KS_JSON: one object on one line. KS_TEXT: "key: value" lines, indented by depth, for people.
 */
#ifndef KS_DOC_H
#define KS_DOC_H

#include <stddef.h>
#include <stdint.h>

struct ks__doc {
	char *text;
	size_t length, size;
	uint32_t format; /* ks_format */
	int error;       /* 0 or -ENOMEM, kept until finish */
	unsigned depth;
	uint8_t is_array[16], has_members[16];
};

void ks__doc_begin(struct ks__doc *doc, uint32_t format);
/* Containers. key is NULL inside an array. Depth at most 16. */
void ks__doc_object(struct ks__doc *doc, const char *key);
void ks__doc_array(struct ks__doc *doc, const char *key);
void ks__doc_close(struct ks__doc *doc);
/* Members. A NULL value is null in JSON and left out of text. Bytes that are not UTF-8 are escaped. */
void ks__doc_str(struct ks__doc *doc, const char *key, const char *value);
void ks__doc_u64(struct ks__doc *doc, const char *key, uint64_t value);
void ks__doc_i64(struct ks__doc *doc, const char *key, int64_t value);
void ks__doc_bool(struct ks__doc *doc, const char *key, int value);
/* Copies as ks_check() promises, frees; returns the whole length or -ENOMEM. */
int ks__doc_finish(struct ks__doc *doc, char *buf, size_t size);

#endif
