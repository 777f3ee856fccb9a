/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that mounts and names of cgroups are read without leaving the text, and that the
 * container's text always ends and fits.
 */
#include "files/container.h"
#include "files/mounts.h"
#include "fuzz.h"

#define ended(text) must(memchr(text, 0, sizeof(text)))

static void mounts(const char *text, size_t size)
{
	const char *at = text, *end = text + size, *last = text;
	struct ks__mount mount;

	while (ks__mounts_next(&at, end, &mount)) {
		must(at > last && at <= end);
		last = at;
		ended(mount.root);
		ended(mount.point);
		ended(mount.type);
		ended(mount.options);
		ks__mounts_option(&mount, "memory");
		ks__mounts_option(&mount, "");
	}
	must(at <= end);
}

static void is_sound(const struct ks__container *in)
{
	ended(in->id);
	ended(in->runtime);
	ended(in->pod_uid);
}

static void label(const char *path, const struct ks__container *in)
{
	for (size_t size = 1; size <= 33; size += 8) {
		char *buf = malloc(size);

		must(buf);
		memset(buf, 'x', size);
		ks__container_label(path, in, buf, size);
		must(memchr(buf, 0, size));
		free(buf);
	}
}

static void container(const char *path)
{
	struct ks__container in;
	int found = ks__container_parse(path, &in);

	is_sound(&in);
	must(found == (in.id[0] != '\0'));
	must(in.behind <= strlen(path));
	label(path, &in);
}

static void own(struct input *in)
{
	char *hostname = take_text(in, 80), *text;
	struct ks__container got;
	size_t size;

	text = take_bytes(in, 8192, &size);
	must(ks__container_own(text, size, hostname[0] ? hostname : NULL, &got) ||
	     (!got.id[0] && !got.pod_uid[0]));
	is_sound(&got);
	mounts(text, size);
	free(text);
	free(hostname);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	char *path;

	if (below(&in, 2)) {
		own(&in);
		return 0;
	}
	path = take_text(&in, 1500);
	container(path);
	free(path);
	return 0;
}
