/* SPDX-License-Identifier: BSD-2-Clause */
#include "container.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "mounts.h"

#define ID_DIGITS 64 /* ids of OCI runtimes: SHA-256 in hex */
#define SHORT_DIGITS 12

/* One component of a path; not ended with NUL. */
struct part {
	const char *text;
	size_t length;
};

/* A runtime that puts its cgroups right below a cgroup of this name. */
struct parent {
	const char *name;
	const char *runtime;
	int any; /* 1: its ids have no fixed form */
};

static const struct parent parents[] = {
	{ "docker", "docker", 0 },
	{ "moby", "docker", 0 },
	{ "k8s.io", "containerd", 0 }, /* this and the next: namespaces of containerd */
	{ "default", "containerd", 0 },
	{ "garden", "garden", 1 },
	{ "mesos", "mesos", 1 },
	{ "buildkit", "buildkit", 1 },
	{ "lxc", "lxc", 1 },
	{ "lxc.payload", "lxc", 1 },
};

/* Prefixes of ids, as in docker-ID.scope. */
static const struct {
	const char *text;
	const char *runtime;
} prefixes[] = {
	{ "docker", "docker" },      { "cri-containerd", "containerd" },
	{ "nerdctl", "containerd" }, { "crio", "cri-o" },
	{ "libpod", "podman" },      { "libpod-payload", "podman" },
};

static void copy(char *buf, size_t size, const char *text, size_t length)
{
	if (length >= size)
		length = size - 1;
	memcpy(buf, text, length);
	buf[length] = 0;
}

static int is_hex(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!isdigit((unsigned char)text[i]) && !(text[i] >= 'a' && text[i] <= 'f'))
			return 0;
	return length > 0;
}

static int part_is(struct part p, const char *text)
{
	return p.length == strlen(text) && !memcmp(p.text, text, p.length);
}

static int begins(struct part p, const char *text)
{
	return p.length > strlen(text) && !memcmp(p.text, text, strlen(text));
}

static int cut_prefix(struct part *p, const char *text)
{
	if (!begins(*p, text))
		return 0;
	p->text += strlen(text);
	p->length -= strlen(text);
	return 1;
}

static int cut_suffix(struct part *p, const char *text)
{
	size_t length = strlen(text);

	if (p->length <= length || memcmp(p->text + p->length - length, text, length))
		return 0;
	p->length -= length;
	return 1;
}

/* Gets the next component of a path, without slashes, and moves *at behind it. 0: no more. */
static int next_part(const char **at, struct part *ret)
{
	*at += strspn(*at, "/");
	ret->text = *at;
	ret->length = strcspn(*at, "/");
	*at += ret->length;
	return ret->length > 0;
}

/* Unescapes a unit name: systemd writes a character that is not allowed as \x2d. */
static void copy_unescaped(char *buf, size_t size, struct part p)
{
	size_t n = 0;

	for (size_t i = 0; i < p.length && n + 1 < size; i++) {
		unsigned value;

		if (p.length - i >= 4 && p.text[i] == '\\' && p.text[i + 1] == 'x' &&
		    isxdigit((unsigned char)p.text[i + 2]) &&
		    isxdigit((unsigned char)p.text[i + 3]) &&
		    sscanf(p.text + i + 2, "%2x", &value) == 1 && value) {
			buf[n++] = (char)value;
			i += 3;
		} else {
			buf[n++] = p.text[i];
		}
	}
	buf[n] = 0;
}

/* ---- pods ------------------------------------------------------------------------------------ */

/* Is it a UUID, or the hash of a static pod (a pod from a file of the node)? */
static int is_uid(struct part p)
{
	static const unsigned char groups[] = { 8, 4, 4, 4, 12 };

	if (p.length == 32)
		return is_hex(p.text, p.length);
	if (p.length != 36)
		return 0;
	for (size_t i = 0; i < sizeof(groups); p.text += groups[i++] + 1)
		if (!is_hex(p.text, groups[i]) || (i < 4 && p.text[groups[i]] != '-'))
			return 0;
	return 1;
}

/* Finds the last occurrence of a text, or NULL. */
static const char *find_last(struct part p, const char *text)
{
	size_t length = strlen(text);

	for (size_t i = p.length; i-- > 0;)
		if (p.length - i >= length && !memcmp(p.text + i, text, length))
			return p.text + i;
	return NULL;
}

/*
 * Takes the pod from one of these forms:
 *  podUID
 *  kubepods-burstable-podUID.slice  "_" stands for "-" in UID; may have a prefix. It ends with
 *                                   ":cri-containerd:ID" if kubelet uses the systemd driver, but
 *                                   containerd does not
 *  libpod_pod_ID.slice
 */
static int take_pod(struct part p, int below_libpod, struct ks__container *ret)
{
	const char *end = find_last(p, ".slice"), *begin;
	struct part uid = p;

	if (below_libpod && p.length == ID_DIGITS && is_hex(p.text, p.length)) {
		copy(ret->pod_uid, sizeof(ret->pod_uid), p.text, p.length);
		return 1;
	}
	if (cut_prefix(&uid, "pod") && is_uid(uid)) {
		copy(ret->pod_uid, sizeof(ret->pod_uid), uid.text, uid.length);
		return 1;
	}
	if (!end)
		return 0;
	p.length = (size_t)(end - p.text);
	if ((begin = find_last(p, "libpod_pod_")) && p.length >= ID_DIGITS &&
	    begin + strlen("libpod_pod_") == end - ID_DIGITS &&
	    is_hex(end - ID_DIGITS, ID_DIGITS)) {
		copy(ret->pod_uid, sizeof(ret->pod_uid), end - ID_DIGITS, ID_DIGITS);
		return 1;
	}
	if (!find_last(p, "kubepods") || !(begin = find_last(p, "-pod")) || begin + 4 == end)
		return 0;
	copy(ret->pod_uid, sizeof(ret->pod_uid), begin + 4, (size_t)(end - begin - 4));
	for (char *c = ret->pod_uid; *c; c++)
		if (*c == '_')
			*c = '-';
	return 1;
}

/* ---- containers ------------------------------------------------------------------------------ */

static void set(struct ks__container *ret, const char *runtime, struct part id)
{
	copy_unescaped(ret->id, sizeof(ret->id), id);
	snprintf(ret->runtime, sizeof(ret->runtime), "%s", runtime);
}

/* Takes the container from [PREFIX-]ID[.scope]; ":" or "_" may stand for "-". */
static int take_digits(struct part p, const struct parent *parent, struct ks__container *ret)
{
	const char *runtime = parent ? parent->runtime : "";
	struct part id;

	cut_suffix(&p, ".scope");
	if (p.length < ID_DIGITS)
		return 0;
	p.length -= ID_DIGITS;
	id = (struct part){ p.text + p.length, ID_DIGITS };
	if (!is_hex(id.text, id.length))
		return 0;
	if (p.length) {
		const char *colon;

		if (!strchr("-:_", p.text[--p.length]))
			return 0;
		if ((colon = find_last(p, ":"))) {
			p.length -= (size_t)(colon + 1 - p.text);
			p.text = colon + 1;
		}
		if (find_last(p, "conmon"))
			return 0;
		runtime = "";
	}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (part_is(p, prefixes[i].text))
			runtime = prefixes[i].runtime;
	set(ret, runtime, id);
	return 1;
}

/* Is it TASK-NUMBER, the form of Amazon ECS below /ecs/TASK? */
static int is_ecs(struct part p)
{
	if (p.length < 34 || !is_hex(p.text, 32) || p.text[32] != '-')
		return 0;
	for (size_t i = 33; i < p.length; i++)
		if (!isdigit((unsigned char)p.text[i]))
			return 0;
	return 1;
}

/*
 * Takes the container from machine-NAME.scope or systemd-nspawn@NAME.service. Virtual machines have
 * a machine-NAME.scope too: it belongs to systemd-nspawn only if a cgroup "payload" is below it.
 */
static int take_machine(struct part p, const char **at, struct ks__container *ret)
{
	const char *behind = *at, *runtime = "";
	struct part inner;
	int more = next_part(&behind, &inner), payload = more && part_is(inner, "payload");

	if (more && part_is(inner, "supervisor"))
		return 0;
	if (cut_suffix(&p, ".service") && cut_prefix(&p, "systemd-nspawn@")) {
		runtime = "systemd-nspawn";
	} else if (cut_suffix(&p, ".scope") && cut_prefix(&p, "machine-")) {
		if (begins(p, "qemu\\x2d"))
			return 0;
		if (payload)
			runtime = "systemd-nspawn";
		else if (cut_prefix(&p, "lxc\\x2d"))
			runtime = "libvirt-lxc";
	} else {
		return 0;
	}
	if (!strcmp(runtime, "libvirt-lxc")) { /* NAME begins with a number */
		struct part name = p;

		while (name.length && isdigit((unsigned char)*name.text)) {
			name.text++;
			name.length--;
		}
		if (cut_prefix(&name, "\\x2d"))
			p = name;
	}
	if (payload)
		*at = behind;
	set(ret, runtime, p);
	return 1;
}

static int take_container(struct part p, const struct parent *parent, const char **at,
			  struct ks__container *ret)
{
	struct part name = p;

	if (take_digits(p, parent, ret) || take_machine(p, at, ret))
		return 1;
	if (cut_prefix(&name, "lxc.payload.")) {
		set(ret, "lxc", name);
		return 1;
	}
	if (cut_suffix(&name, ".libvirt-lxc")) {
		set(ret, "libvirt-lxc", name);
		return 1;
	}
	if ((parent && parent->any) || is_ecs(p)) {
		set(ret, parent ? parent->runtime : "", p);
		return 1;
	}
	return 0;
}

static const struct parent *find_parent(struct part p, const struct parent *before)
{
	/* garden has one more level, for shares of the CPU */
	if (before && part_is((struct part){ before->name, strlen(before->name) }, "garden") &&
	    (part_is(p, "good") || part_is(p, "bad")))
		return before;
	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++)
		if (part_is(p, parents[i].name))
			return &parents[i];
	return NULL;
}

int ks__container_parse(const char *path, struct ks__container *ret)
{
	struct ks__container found = { .id = "" };
	const struct parent *parent = NULL, *next;
	const char *at = path;
	int below_libpod = 0;
	struct part p;

	while (next_part(&at, &p)) {
		int pod = take_pod(p, below_libpod, &found);

		if (pod) { /* a node in a container: the container of its pods is another one */
			found.id[0] = found.runtime[0] = 0;
			found.behind = (uint32_t)(at - path);
		}
		next = find_parent(p, parent);
		if (parent && parent->any && next != parent) /* any name is an id here */
			next = NULL;
		if (!(pod && below_libpod) && !next && take_container(p, parent, &at, &found))
			found.behind = (uint32_t)(at - path);
		parent = next;
		below_libpod = part_is(p, "libpod_parent");
	}
	*ret = found;
	return found.id[0] != 0;
}

/* ---- the caller's own container -------------------------------------------------------------- */

/* How certain an id is, in ascending order: containers of a pod share hosts files. */
enum { NOTHING, BY_HOSTS, BY_HOSTNAME, BY_ITS_OWN };

static int rank(const char *point)
{
	if (!strcmp(point, "/run/.containerenv"))
		return BY_ITS_OWN;
	if (!strcmp(point, "/etc/hostname"))
		return BY_HOSTNAME;
	if (!strcmp(point, "/etc/hosts") || !strcmp(point, "/etc/resolv.conf"))
		return BY_HOSTS;
	return NOTHING;
}

/*
 * Takes the container from the source path of a mount:
 *  containers/ID/hostname                   docker
 *  overlay-containers/ID/userdata/hostname  podman, cri-o
 *  containers/NAMESPACE/ID/hostname, etchosts/NAMESPACE/ID/hosts  nerdctl
 *  sandboxes/ID/hostname                    containerd; ID is that of the pod
 */
static int take_mount(const char *root, struct ks__container *ret)
{
	struct part p, before = { "", 0 }, first = { "", 0 };
	const char *at = root;

	for (; next_part(&at, &p); first = before, before = p) {
		const char *runtime = NULL;

		if (p.length != ID_DIGITS || !is_hex(p.text, p.length))
			continue;
		if (part_is(before, "containers"))
			runtime = "docker";
		else if (cut_suffix(&before, "-containers"))
			runtime = "podman";
		else if (part_is(first, "containers") || part_is(first, "etchosts") ||
			 part_is(before, "sandboxes"))
			runtime = "containerd";
		if (!runtime)
			return 0;
		set(ret, runtime, part_is(before, "sandboxes") ? (struct part){ "", 0 } : p);
		return 1;
	}
	return 0;
}

/* Takes the pod from pods/UID/etc-hosts or pods/UID/containers/NAME/NUMBER in kubelet's folder. */
static void take_kubelet(const struct ks__mount *mount, struct ks__container *ret)
{
	struct part p, before = { "", 0 };
	const char *at = mount->root;

	if (strcmp(mount->point, "/etc/hosts") && strcmp(mount->point, "/dev/termination-log"))
		return;
	for (; next_part(&at, &p); before = p)
		if (part_is(before, "pods") && is_uid(p))
			copy(ret->pod_uid, sizeof(ret->pod_uid), p.text, p.length);
}

/*
 * Takes the container of runtimes that boot a whole system: its hostname is the container's name.
 */
static void take_system(const struct ks__mount *mount, const char *hostname,
			struct ks__container *ret)
{
	struct part root = { mount->root, strlen(mount->root) };

	if (cut_prefix(&root, "/systemd/nspawn/propagate/"))
		set(ret, "systemd-nspawn", root);
	else if (!strcmp(mount->type, "fuse.lxcfs") && !strncmp(mount->point, "/proc/", 6))
		set(ret, "lxc", (struct part){ hostname, strlen(hostname) });
}

int ks__container_own(const char *mountinfo, size_t length, const char *hostname,
		      struct ks__container *ret)
{
	const char *at = mountinfo, *end = mountinfo + length;
	struct ks__container found = { .id = "" };
	struct ks__mount mount;
	int best = NOTHING;

	if (!hostname)
		hostname = "";
	while (ks__mounts_next(&at, end, &mount)) {
		int now = rank(mount.point);

		take_kubelet(&mount, &found);
		if (now > best && take_mount(mount.root, &found))
			best = now;
		else if (best == NOTHING)
			take_system(&mount, hostname, &found);
	}
	if (found.pod_uid[0]) {
		found.id[0] = 0;
		if (!strcmp(found.runtime, "podman"))
			set(&found, "cri-o", (struct part){ "", 0 });
	} else if (!found.runtime[0] && strlen(hostname) == SHORT_DIGITS &&
		   is_hex(hostname, SHORT_DIGITS)) {
		copy(found.id, sizeof(found.id), hostname, SHORT_DIGITS);
	}
	*ret = found;
	return found.id[0] || found.runtime[0] || found.pod_uid[0];
}

/* ---- labels ---------------------------------------------------------------------------------- */

static int short_length(const char *id, int otherwise)
{
	return strlen(id) >= 32 && is_hex(id, SHORT_DIGITS) ? SHORT_DIGITS : otherwise;
}

void ks__container_label(const char *path, const struct ks__container *in, char *buf, size_t size)
{
	const char *last = strrchr(path, '/'), *inner = path + in->behind;
	const char *slash = inner[strspn(inner, "/")] ? "/" : "";
	char text[sizeof(in->id) + 256];
	size_t length;

	last = last && last[1] ? last + 1 : path;
	if (in->id[0])
		snprintf(text, sizeof(text), "%.*s%s%s", short_length(in->id, sizeof(in->id)),
			 in->id, slash, *slash ? last : "");
	else if (in->pod_uid[0])
		snprintf(text, sizeof(text), "pod%.*s%s%s", short_length(in->pod_uid, 8),
			 in->pod_uid, slash, *slash ? last : "");
	else
		snprintf(text, sizeof(text), "%s", last);
	if (!size)
		return;
	length = strlen(text);
	if (length >= size)
		for (length = size - 1; length && (text[length] & 0xc0) == 0x80;)
			length--;
	memcpy(buf, text, length);
	buf[length] = 0;
}
