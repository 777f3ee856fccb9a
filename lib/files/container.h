/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * container.h - finds the container of a cgroup by the names that runtimes give their cgroups
 *
 * Pure functions: text in, text out. An unknown fact is an empty text; nothing is guessed.
 */
#ifndef KS_CONTAINER_H
#define KS_CONTAINER_H

#include <stddef.h>
#include <stdint.h>

/*
 * All texts end with NUL. runtime is docker, containerd, cri-o, podman, lxc, libvirt-lxc,
 * systemd-nspawn, garden, mesos or buildkit; or empty, since the cgroup names of kubelet's cgroupfs
 * driver and of ECS do not contain it.
 */
struct ks__container {
	char id[80];      /* 64 hex digits; for lxc and systemd-nspawn the name */
	char runtime[16];
	char pod_uid[72]; /* Kubernetes: the UID with dashes; podman: the pod id */
	uint32_t behind;  /* offset in the path where the part made inside the container begins */
};

/*
 * Finds the innermost container in an absolute cgroup path of v1 or v2, whether the runtime itself
 * or systemd has made the cgroup. A process that monitors a container (conmon, lxc.monitor, the
 * supervisor of nspawn) is outside of it. Returns 1; 0: no container, only pod_uid may be set.
 */
int ks__container_parse(const char *path, struct ks__container *ret);

/*
 * Finds the container of the process whose /proc/self/mountinfo this is, by the files that runtimes
 * mount into a container. For a process that sees its own cgroup as "/". Do not call it outside of
 * a container: a machine that runs containers has such mounts too.
 *
 * In Kubernetes these files belong to the pod: pod_uid and maybe runtime are known, id is not. The
 * hostname (may be NULL) serves as the id only for runtimes that set it so and that the mounts
 * name, or if it has the form of docker and podman, 12 hex digits. Returns 1 if anything is known;
 * 0: all empty.
 */
int ks__container_own(const char *mountinfo, size_t length, const char *hostname,
		      struct ks__container *ret);

/*
 * Writes a short name of a cgroup, for a column: the container (12 digits of its id), "pod" and the
 * beginning of the pod's UID, or the last component of the path. A cgroup made inside of a
 * container or pod is CONTAINER/LAST. Cut to size between characters of UTF-8, and ended with NUL.
 */
void ks__container_label(const char *path, const struct ks__container *in, char *buf, size_t size);

#endif
