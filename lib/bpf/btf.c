/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/btf.h>
#include <linux/magic.h>

#include "btf.h"

#define BTF_FILE_MAX (256u << 20)
#define KIND_FUNC 12
#define KIND_DECL_TAG 17
#define KIND_ENUM64 19
#define KIND_LAST 19
#define STRIDE 64 /* one type in so many has its offset kept */
#define EVENT_PREFIX "btf_trace_"
#define EVENT_PREFIX_SIZE (sizeof(EVENT_PREFIX) - 1)

struct scan {
	const char *types, *strings;
	uint32_t types_size, strings_size;
	uint32_t *offsets; /* of types 1, 1 + STRIDE, … */
	uint32_t n_types;
};

/* What follows struct btf_type. */
static uint64_t tail_size(const struct btf_type *t)
{
	uint64_t n = BTF_INFO_VLEN(t->info);

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return n * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return n * sizeof(struct btf_enum);
	case KIND_ENUM64:
		return n * 12;
	case BTF_KIND_FUNC_PROTO:
		return n * sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return n * sizeof(struct btf_var_secinfo);
	default:
		return 0;
	}
}

/* The type at an offset, or NULL if it or its tail does not fit. */
static const struct btf_type *type_at(const struct scan *s, uint64_t offset, uint64_t *ret_next)
{
	const struct btf_type *t;

	if (offset + sizeof(*t) > s->types_size)
		return NULL;
	t = (const void *)(s->types + offset);
	*ret_next = offset + sizeof(*t) + tail_size(t);
	return *ret_next <= s->types_size ? t : NULL;
}

static const struct btf_type *type_by_id(const struct scan *s, uint32_t id)
{
	const struct btf_type *t;
	uint64_t offset;

	if (!id || id > s->n_types)
		return NULL;
	offset = s->offsets[(id - 1) / STRIDE];
	for (uint32_t left = (id - 1) % STRIDE;; left--) {
		t = type_at(s, offset, &offset);
		if (!t || !left)
			return t;
	}
}

static void answer(const struct scan *s, const struct btf_type *t, uint32_t id,
		   struct ks__btf_ask *asks, size_t n_asks)
{
	int event = BTF_INFO_KIND(t->info) == BTF_KIND_TYPEDEF;
	const char *name = s->strings + t->name_off;

	if (event) {
		if (strncmp(name, EVENT_PREFIX, EVENT_PREFIX_SIZE))
			return;
		name += EVENT_PREFIX_SIZE;
	}
	for (size_t i = 0; i < n_asks; i++)
		if (asks[i].name[0] == name[0] && !asks[i].id &&
		    asks[i].kind == (event ? KS__BTF_EVENT : KS__BTF_FUNC) &&
		    !strcmp(asks[i].name, name))
			asks[i].id = id;
}

static int walk(struct scan *s, struct ks__btf_ask *asks, size_t n_asks)
{
	uint64_t offset = 0;

	while (offset < s->types_size) {
		uint32_t at = (uint32_t)offset, kind;
		const struct btf_type *t = type_at(s, offset, &offset);

		if (!t)
			return -EINVAL;
		kind = BTF_INFO_KIND(t->info);
		if (!kind ||
		    kind > KIND_LAST) /* its length is not known: what follows cannot be read */
			return -EINVAL;
		if (s->n_types % STRIDE == 0)
			s->offsets[s->n_types / STRIDE] = at;
		s->n_types++;
		if ((kind == BTF_KIND_TYPEDEF || kind == KIND_FUNC) &&
		    t->name_off < s->strings_size)
			answer(s, t, s->n_types, asks, n_asks);
	}
	return 0;
}

/* typedef -> pointer -> function; the first argument is hidden: the void * of the attached data */
static int count_args(const struct scan *s, uint32_t id)
{
	const struct btf_type *t = type_by_id(s, id);

	if (t)
		t = type_by_id(s, t->type);
	if (!t || BTF_INFO_KIND(t->info) != BTF_KIND_PTR)
		return -1;
	t = type_by_id(s, t->type);
	if (!t || BTF_INFO_KIND(t->info) != BTF_KIND_FUNC_PROTO || !BTF_INFO_VLEN(t->info))
		return -1;
	return (int)BTF_INFO_VLEN(t->info) - 1;
}

static const char *take_header(struct scan *s, const char *data, size_t size)
{
	struct btf_header h;
	uint64_t types, strings;

	if (size < sizeof(h))
		return "it is shorter than a BTF header";
	memcpy(&h, data, sizeof(h));
	if (h.magic != 0xeb9f)
		return "it does not begin as BTF of this byte order does";
	if (h.version != BTF_VERSION)
		return "its version is not 1";
	if (h.version != BTF_VERSION)
		return "it is of another version of BTF";
	types = (uint64_t)h.hdr_len + h.type_off;
	strings = (uint64_t)h.hdr_len + h.str_off;
	if (h.hdr_len < sizeof(h) || types % 4 || types + h.type_len > size ||
	    strings + h.str_len > size)
		return "it is cut short";
	if (!h.str_len || data[strings + h.str_len - 1])
		return "its names do not end";
	s->types = data + types;
	s->types_size = h.type_len;
	s->strings = data + strings;
	s->strings_size = h.str_len;
	return NULL;
}

int ks__btf_scan(const void *data, size_t size, struct ks__btf_ask *asks, size_t n_asks,
		 const char **ret_why)
{
	struct scan s = { 0 };
	const char *why = take_header(&s, data, size);
	int rc;

	for (size_t i = 0; i < n_asks; i++)
		asks[i].id = 0, asks[i].args = -1;
	if (why) {
		*ret_why = why;
		return -EINVAL;
	}
	s.offsets = calloc(s.types_size / sizeof(struct btf_type) / STRIDE + 1, sizeof(*s.offsets));
	if (!s.offsets) {
		*ret_why = "there is no memory to read it";
		return -ENOMEM;
	}
	rc = walk(&s, asks, n_asks);
	if (rc)
		*ret_why = "its types cannot be read";
	for (size_t i = 0; i < n_asks; i++)
		if (rc)
			asks[i].id = 0;
		else if (asks[i].id && asks[i].kind == KS__BTF_EVENT)
			asks[i].args = count_args(&s, asks[i].id);
	free(s.offsets);
	return rc;
}

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
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t)st.st_size > BTF_FILE_MAX)
		return -EINVAL;
	f.size = (size_t)st.st_size;
	/* Only sysfs is mapped: a file that shrinks meanwhile would be a SIGBUS in the host. */
	if (!fstatfs(fd, &fs) && fs.f_type == SYSFS_MAGIC) {
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
