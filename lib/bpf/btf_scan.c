/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "btf_raw.h"

#define BTF_FILE_MAX (64u << 20) /* bytes; the BTF of a kernel has 5 to 15 MiB */
#define ROOTS_MAX 65536          /* types that match a wanted name; kernels have hundreds */
#define SEARCH_MAX (1u << 18)    /* members that one search may visit */
#define STRIDE 64                /* the index has the offset of every 64th type */
#define HASH 512                 /* buckets; the hash of a name is made of its first two bytes */
#define EVENT_PREFIX "btf_trace_"
#define EVENT_PREFIX_SIZE (sizeof(EVENT_PREFIX) - 1)

struct scan {
	struct ks__btf_raw raw;
	struct ks__btf_ask *asks;
	size_t n_asks;
	uint32_t first[HASH]; /* 1 + index of the first ask in this bucket, 0: none */
	uint32_t *next;       /* of each ask: the same for the next one */
	uint32_t *roots;      /* ids of all types that match a KS__BTF_TYPE */
	size_t n_roots, room;
};

size_t ks__btf_part(const struct btf_type *t)
{
	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return sizeof(struct btf_enum);
	case KS__KIND_ENUM64:
		return 12;
	case BTF_KIND_FUNC_PROTO:
		return sizeof(struct btf_param);
	default:
		return 0;
	}
}

uint64_t ks__btf_tail(const struct btf_type *t)
{
	uint64_t n = BTF_INFO_VLEN(t->info);

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case KS__KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_DATASEC:
		return n * sizeof(struct btf_var_secinfo);
	default:
		return n * ks__btf_part(t);
	}
}

/* Returns the type at an offset, or NULL if it or its tail ends outside of the type section. */
static const struct btf_type *type_at(const struct ks__btf_raw *raw, uint64_t offset,
				      uint64_t *ret_next)
{
	const struct btf_type *t;

	if (offset + sizeof(*t) > raw->types_size)
		return NULL;
	t = (const void *)(raw->types + offset);
	*ret_next = offset + sizeof(*t) + ks__btf_tail(t);
	return *ret_next <= raw->types_size ? t : NULL;
}

const struct btf_type *ks__btf_type(const struct ks__btf_raw *raw, uint32_t id)
{
	const struct btf_type *t;
	uint64_t offset;

	if (!id || id > raw->n_types)
		return NULL;
	offset = raw->offsets[(id - 1) / STRIDE];
	for (uint32_t left = (id - 1) % STRIDE;; left--) {
		t = type_at(raw, offset, &offset);
		if (!t || !left)
			return t;
	}
}

const char *ks__btf_name(const struct ks__btf_raw *raw, uint32_t offset)
{
	return offset < raw->strings_size ? raw->strings + offset : "";
}

/* ---- names ----------------------------------------------------------------------------------- */

static unsigned hash(const char *name)
{
	return name[0] ? ((unsigned char)name[0] ^ (unsigned)(unsigned char)name[1] << 3) % HASH :
			 0;
}

static int add_root(struct scan *s, uint32_t id)
{
	uint32_t *grown;

	if (s->n_roots == s->room) {
		s->room = s->room ? 2 * s->room : 256;
		grown = realloc(s->roots, s->room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		s->roots = grown;
	}
	s->roots[s->n_roots++] = id;
	return 0;
}

static int answer(struct scan *s, const char *name, enum ks__btf_kind kind, uint32_t id)
{
	int rc = 0;

	for (uint32_t i = s->first[hash(name)]; i && !rc; i = s->next[i - 1]) {
		struct ks__btf_ask *ask = &s->asks[i - 1];

		if (ask->kind != kind || strcmp(ask->name, name))
			continue;
		if (!ask->id)
			ask->id = id;
		if (kind == KS__BTF_TYPE)
			rc = add_root(s, id);
	}
	return rc;
}

static int consider(struct scan *s, const struct btf_type *t, uint32_t id)
{
	const char *name = ks__btf_name(&s->raw, t->name_off);

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_TYPEDEF:
		if (!strncmp(name, EVENT_PREFIX, EVENT_PREFIX_SIZE))
			return answer(s, name + EVENT_PREFIX_SIZE, KS__BTF_EVENT, id);
		return answer(s, name, KS__BTF_TYPE, id);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_ENUM:
	case KS__KIND_ENUM64:
		return answer(s, name, KS__BTF_TYPE, id);
	case KS__KIND_FUNC:
		return answer(s, name, KS__BTF_FUNC, id);
	default:
		return 0;
	}
}

static int walk(struct scan *s)
{
	struct ks__btf_raw *raw = &s->raw;
	uint64_t offset = 0;
	int rc = 0;

	while (offset < raw->types_size && !rc) {
		uint32_t at = (uint32_t)offset, kind;
		const struct btf_type *t = type_at(raw, offset, &offset);

		if (!t)
			return -EINVAL;
		kind = BTF_INFO_KIND(t->info);
		if (!kind || kind > KS__KIND_LAST) /* unknown length: the next type is not found */
			return -EINVAL;
		if (raw->n_types % STRIDE == 0)
			raw->offsets[raw->n_types / STRIDE] = at;
		raw->n_types++;
		rc = consider(s, t, raw->n_types);
	}
	return rc;
}

/*
 * Follows typedef -> pointer -> function. Does not count the first parameter of the function: it is
 * the void * of the data that belongs to the attachment.
 */
static int count_args(const struct ks__btf_raw *raw, uint32_t id, uint32_t *ret_pointers)
{
	const struct btf_type *t = ks__btf_type(raw, id);
	const struct btf_param *param;

	if (t)
		t = ks__btf_type(raw, t->type);
	if (!t || BTF_INFO_KIND(t->info) != BTF_KIND_PTR)
		return -1;
	t = ks__btf_type(raw, t->type);
	if (!t || BTF_INFO_KIND(t->info) != BTF_KIND_FUNC_PROTO || !BTF_INFO_VLEN(t->info))
		return -1;
	param = (const void *)(t + 1);
	for (uint32_t i = 1; i < BTF_INFO_VLEN(t->info) && i <= 32; i++) {
		const struct btf_type *of = ks__btf_type(raw, param[i].type);

		if (of && BTF_INFO_KIND(of->info) == BTF_KIND_PTR)
			*ret_pointers |= 1u << (i - 1);
	}
	return (int)BTF_INFO_VLEN(t->info) - 1;
}

static const char *take_header(struct ks__btf_raw *raw, const char *data, size_t size)
{
	struct btf_header h;
	uint64_t types, strings;

	if (size < sizeof(h))
		return "it is shorter than a BTF header";
	memcpy(&h, data, sizeof(h));
	if (h.magic != 0xeb9f)
		return "it does not begin with the BTF magic number in this byte order";
	if (h.version != BTF_VERSION)
		return "its BTF version is not 1";
	types = (uint64_t)h.hdr_len + h.type_off;
	strings = (uint64_t)h.hdr_len + h.str_off;
	if (h.hdr_len < sizeof(h) || types % 4 || types + h.type_len > size ||
	    strings + h.str_len > size)
		return "it is truncated";
	if (!h.str_len || data[strings + h.str_len - 1])
		return "its string section does not end with a NUL byte";
	raw->types = data + types;
	raw->types_size = h.type_len;
	raw->strings = data + strings;
	raw->strings_size = h.str_len;
	return NULL;
}

static int prepare(struct scan *s)
{
	s->raw.offsets = calloc(s->raw.types_size / sizeof(struct btf_type) / STRIDE + 1,
				sizeof(*s->raw.offsets));
	s->next = calloc(s->n_asks + 1, sizeof(*s->next));
	if (!s->raw.offsets || !s->next)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n_asks; i++) {
		unsigned h = hash(s->asks[i].name);

		s->next[i] = s->first[h];
		s->first[h] = i + 1;
	}
	return 0;
}

int ks__btf_raw_open(const void *data, size_t size, struct ks__btf_raw *ret)
{
	struct scan s = { 0 };
	int rc = take_header(&s.raw, data, size) ? -EINVAL : prepare(&s);

	if (!rc)
		rc = walk(&s);
	free(s.next);
	if (rc)
		free(s.raw.offsets);
	else
		*ret = s.raw;
	return rc;
}

static const char *why_not(int rc)
{
	switch (rc) {
	case -ENOMEM:
		return "there is no memory to read it";
	case -E2BIG:
		return "its types are larger than in any kernel";
	case -ENAMETOOLONG:
		return "a name in it is longer than in any kernel";
	default:
		return "its type section is malformed";
	}
}

static int make_cut(const struct scan *s, struct ks__btf_cut *ret, const char **ret_why)
{
	int rc = s->n_roots > ROOTS_MAX ? -E2BIG :
					  ks__btf_make_cut(&s->raw, s->roots, s->n_roots, ret);

	if (!rc)
		rc = ks__btf_sound(ret->data, ret->size, ret_why);
	if (!rc || rc == -ENOMEM)
		return rc;
	if (!*ret_why)
		*ret_why = why_not(rc);
	return -EINVAL;
}

static void answer_all(struct scan *s, int rc)
{
	for (size_t i = 0; i < s->n_asks; i++)
		if (rc)
			s->asks[i].id = 0;
		else if (s->asks[i].id && s->asks[i].kind == KS__BTF_EVENT)
			s->asks[i].args = count_args(&s->raw, s->asks[i].id, &s->asks[i].pointers);
}

int ks__btf_scan(const void *data, size_t size, struct ks__btf_ask *asks, size_t n_asks,
		 struct ks__btf_cut *ret_cut, const char **ret_why)
{
	struct scan s = { .asks = asks, .n_asks = n_asks };
	const char *why = take_header(&s.raw, data, size);
	struct ks__btf_cut cut = { 0 };
	int rc = why ? -EINVAL : prepare(&s);

	for (size_t i = 0; i < n_asks; i++)
		asks[i].id = 0, asks[i].args = -1, asks[i].pointers = 0;
	if (!rc)
		rc = walk(&s);
	if (!rc && ret_cut)
		rc = make_cut(&s, &cut, &why);
	answer_all(&s, rc);
	if (rc) {
		*ret_why = why ? why : why_not(rc);
		free(cut.data);
	} else if (ret_cut) {
		*ret_cut = cut;
	}
	free(s.roots);
	free(s.next);
	free(s.raw.offsets);
	return rc;
}

/* ---- members --------------------------------------------------------------------------------- */

/* A search for a member. `left` ends it even if a malformed type contains itself. */
struct search {
	const struct ks__btf_raw *raw;
	const char *member;
	uint32_t left; /* members that it may still visit */
};

static int has_member(struct search *s, const struct btf_type *t, int depth)
{
	const struct btf_member *m = (const void *)(t + 1);

	if (BTF_INFO_KIND(t->info) != BTF_KIND_STRUCT && BTF_INFO_KIND(t->info) != BTF_KIND_UNION)
		return 0;
	for (uint32_t i = 0; i < BTF_INFO_VLEN(t->info) && s->left; i++, s->left--) {
		const char *name = ks__btf_name(s->raw, m[i].name_off);
		const struct btf_type *inner;

		if (name[0]) {
			if (!strcmp(name, s->member))
				return 1;
			continue;
		}
		inner = depth ? ks__btf_type(s->raw, m[i].type) : NULL;
		if (inner && has_member(s, inner, depth - 1))
			return 1;
		if (!s->left)
			break;
	}
	return 0;
}

int ks__btf_has_member(const void *data, size_t size, const char *type, const char *member)
{
	struct search search = { .member = member, .left = SEARCH_MAX };
	struct ks__btf_raw raw;
	int rc = ks__btf_raw_open(data, size, &raw), found = -ENOENT;

	if (rc)
		return rc;
	search.raw = &raw;
	for (uint32_t id = 1; id <= raw.n_types && found == -ENOENT; id++) {
		const struct btf_type *t = ks__btf_type(&raw, id);
		uint32_t kind = BTF_INFO_KIND(t->info);

		if ((kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION) &&
		    !strcmp(ks__btf_name(&raw, t->name_off), type))
			found = has_member(&search, t, 8);
	}
	free(raw.offsets);
	return found;
}

/* ---- files ----------------------------------------------------------------------------------- */

static int read_all(int fd, char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, data + done, size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

int ks__btf_open(int fd, struct ks__btf_file *ret)
{
	struct ks__btf_file f = { 0 };
	struct statfs fs;
	struct stat st;
	int rc;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0)
		return -EINVAL;
	if ((uint64_t)st.st_size > BTF_FILE_MAX)
		return -E2BIG;
	f.size = (size_t)st.st_size;
	/* Map only sysfs files: if a mapped file shrinks, the host gets a SIGBUS. */
	f.is_kernels = !fstatfs(fd, &fs) && fs.f_type == SYSFS_MAGIC;
	if (f.is_kernels) {
		f.data = mmap(NULL, f.size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (f.data != MAP_FAILED) {
			*ret = f;
			return 0;
		}
	}
	f.data = mmap(NULL, f.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f.data == MAP_FAILED)
		return -ENOMEM;
	rc = read_all(fd, f.data, f.size);
	if (rc) {
		munmap(f.data, f.size);
		return rc;
	}
	*ret = f;
	return 0;
}

void ks__btf_close(struct ks__btf_file *file)
{
	if (file->data)
		munmap(file->data, file->size);
	file->data = NULL;
}
