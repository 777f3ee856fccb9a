/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * container.h - which container a cgroup belongs to, by the names that runtimes give their cgroups
 *
 * Pure: text in, text out. What is not known is an empty text; nothing is guessed.
 */
#ifndef KS_CONTAINER_H
#define KS_CONTAINER_H

#include <stddef.h>
#include <stdint.h>

/*
 * All are ended with NUL. runtime is one of docker, containerd, cri-o, podman, lxc, libvirt-lxc,
 * systemd-nspawn, garden, mesos, buildkit, or empty: kubelet's cgroupfs driver and ECS leave it
 * out.
 */
struct ks__container {
	char id[80];      /* 64 hex digits, of lxc and nspawn the name */
	char runtime[16];
	char pod_uid[72]; /* of Kubernetes with dashes; podman's pod id */
	uint32_t behind;  /* the path from here on is made in the container or pod */
};

/*
 * The innermost container that an absolute cgroup path tells of, on v1 and v2, made by runtimes
 * themselves or by systemd for them. What watches over a container from outside (conmon,
 * lxc.monitor, nspawn's supervisor) is not in it. Returns 1, or 0 and all empty but maybe pod_uid:
 * no container.
 */
int ks__container_parse(const char *path, struct ks__container *ret);

/*
 * The container that the reader of this /proc/self/mountinfo is in, for one who sees its own cgroup
 * as "/": files that runtimes mount into it tell. Not to be asked outside of one: a host that runs
 * containers has such mounts too.
 *
 * In Kubernetes these files are of the pod: pod_uid and maybe runtime are known, id is not.
 * hostname, which may be NULL, is the id only where a runtime that names itself makes it so, or
 * where it has the form that docker and podman choose, 12 hex digits.
 * Returns 1 if anything is known, else 0 and all empty.
 */
int ks__container_own(const char *mountinfo, size_t length, const char *hostname,
		      struct ks__container *ret);

/*
 * A name of a cgroup for a column: the container's (12 digits of an id), "pod" and the beginning of
 * a uid, or the last part of the path; of a cgroup made inside of these: CONTAINER/LAST. Cut to
 * size, between characters of UTF-8, and ended with NUL.
 */
void ks__container_label(const char *path, const struct ks__container *in, char *buf, size_t size);

#endif
