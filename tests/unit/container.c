/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that container and pod are found in the cgroup paths of the known runtimes, on v1, on v2
 * and nested, and in the files that runtimes mount into containers; and that no other path or mount
 * gives one.
 */
#include <stdio.h>

#include "files/container.h"
#include "files/mounts.h"
#include "support/ks_test.h"

#define ID "3f4a5b6c7d8e9f00112233445566778899aabbccddeeff00112233445566778a"
#define ID2 "b1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d2611184"
#define UID "74c13223-5a00-11e9-b385-42010a80018d"
#define UID_ "74c13223_5a00_11e9_b385_42010a80018d"
#define HASH "9b1f0c5d8e7a4b3c2d1e0f9a8b7c6d5e"
#define GUID "8d4f8c4e-9b9b-4b9d-5d0e-b4c1"
#define U8 "\u00e4\u00e4\u00e4\u00e4"
#define USER "/user.slice/user-1000.slice/user@1000.service"

/* ---- paths ----------------------------------------------------------------------------------- */

struct path {
	const char *name, *path, *id, *runtime, *pod_uid, *label;
};

static const struct path paths[] = {
	{ "docker/cgroupfs", "/docker/" ID, ID, "docker", "", "3f4a5b6c7d8e" },
	{ "docker/systemd", "/system.slice/docker-" ID ".scope", ID, "docker", "", "3f4a5b6c7d8e" },
	{ "docker/rootless", USER "/user.slice/docker-" ID ".scope", ID, "docker", "",
	  "3f4a5b6c7d8e" },
	{ "docker/parent", "/batch/" ID, ID, "", "", "3f4a5b6c7d8e" },
	{ "docker/old", "/" ID, ID, "", "", "3f4a5b6c7d8e" },
	{ "docker/containerd", "/moby/" ID, ID, "docker", "", "3f4a5b6c7d8e" },
	{ "docker/in docker", "/docker/" ID "/docker/" ID2, ID2, "docker", "", "b1946ac92492" },
	{ "docker/init", "/system.slice/docker-" ID ".scope/init.scope", ID, "docker", "",
	  "3f4a5b6c7d8e/init.scope" },
	{ "docker/boots systemd", "/docker/" ID "/system.slice/nginx.service", ID, "docker", "",
	  "3f4a5b6c7d8e/nginx.service" },
	{ "docker/long inside", "/docker/" ID "/system.slice/postgresql@15-main.service", ID,
	  "docker", "", "3f4a5b6c7d8e/postgresql@15-main" },
	{ "docker/buildkit", "/docker/buildkit/ocz1n1s5wgqjd5nhn9ebxhqwx",
	  "ocz1n1s5wgqjd5nhn9ebxhqwx", "buildkit", "", "ocz1n1s5wgqjd5nhn9ebxhqwx" },
	{ "ecs/ec2", "/ecs/55091c13-b8cf-4801-b527-f4601742204d/" ID, ID, "", "", "3f4a5b6c7d8e" },
	{ "ecs/fargate", "/ecs/" HASH "/" HASH "-1234567890", HASH "-1234567890", "", "",
	  "9b1f0c5d8e7a" },

	{ "kubernetes/containerd",
	  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
	  ".slice/cri-containerd-" ID ".scope",
	  ID, "containerd", UID, "3f4a5b6c7d8e" },
	{ "kubernetes/guaranteed",
	  "/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" ID ".scope", ID,
	  "containerd", UID, "3f4a5b6c7d8e" },
	{ "kubernetes/cgroupfs", "/kubepods/besteffort/pod" UID "/" ID, ID, "", UID,
	  "3f4a5b6c7d8e" },
	{ "kubernetes/cgroupfs guaranteed", "/kubepods/pod" UID "/" ID, ID, "", UID,
	  "3f4a5b6c7d8e" },
	{ "kubernetes/cri-o",
	  "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_ ".slice/crio-" ID
	  ".scope",
	  ID, "cri-o", UID, "3f4a5b6c7d8e" },
	{ "kubernetes/cri-o with crun",
	  "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope/container", ID, "cri-o",
	  UID, "3f4a5b6c7d8e/container" },
	{ "kubernetes/cri-o cgroupfs", "/kubepods/burstable/pod" UID "/crio-" ID, ID, "cri-o", UID,
	  "3f4a5b6c7d8e" },
	{ "kubernetes/dockershim", "/kubepods.slice/kubepods-pod" UID_ ".slice/docker-" ID ".scope",
	  ID, "docker", UID, "3f4a5b6c7d8e" },
	{ "kubernetes/static pod", "/kubepods/burstable/pod" HASH "/" ID, ID, "", HASH,
	  "3f4a5b6c7d8e" },
	{ "kubernetes/static pod systemd",
	  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" HASH
	  ".slice/cri-containerd-" ID ".scope",
	  ID, "containerd", HASH, "3f4a5b6c7d8e" },
	{ "kubernetes/two drivers",
	  "/system.slice/containerd.service/kubepods-burstable-pod" UID_
	  ".slice:cri-containerd:" ID,
	  ID, "containerd", UID, "3f4a5b6c7d8e" },
	{ "kubernetes/kata", "/kubepods/pod" UID "/kata_" ID, ID, "", UID, "3f4a5b6c7d8e" },
	{ "kubernetes/kind",
	  "/docker/" ID "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
	  "kubelet-kubepods-besteffort-pod" UID_ ".slice/cri-containerd-" ID2 ".scope",
	  ID2, "containerd", UID, "b1946ac92492" },
	{ "kubernetes/kind cgroupfs", "/docker/" ID "/kubelet/kubepods/besteffort/pod" UID "/" ID2,
	  ID2, "", UID, "b1946ac92492" },
	{ "kubernetes/docker in a pod", "/kubepods/besteffort/pod" UID "/" ID "/docker/" ID2, ID2,
	  "docker", UID, "b1946ac92492" },
	{ "kubernetes/pod", "/kubepods/besteffort/pod" UID, "", "", UID, "pod74c13223" },
	{ "kubernetes/pod of a node in a container", "/docker/" ID "/kubepods/pod" UID, "", "", UID,
	  "pod74c13223" },
	{ "kubernetes/pod systemd", "/kubepods.slice/kubepods-pod" UID_ ".slice", "", "", UID,
	  "pod74c13223" },
	{ "kubernetes/conmon",
	  "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-conmon-" ID ".scope", "", "", UID,
	  "pod74c13223/crio-conmon-3f4a5b6" },
	{ "kubernetes/class", "/kubepods.slice/kubepods-burstable.slice", "", "", "",
	  "kubepods-burstable.slice" },

	{ "containerd/nerdctl", "/system.slice/nerdctl-" ID ".scope", ID, "containerd", "",
	  "3f4a5b6c7d8e" },
	{ "containerd/cgroupfs", "/default/" ID, ID, "containerd", "", "3f4a5b6c7d8e" },
	{ "containerd/k8s.io", "/k8s.io/" ID, ID, "containerd", "", "3f4a5b6c7d8e" },

	{ "podman/root", "/machine.slice/libpod-" ID ".scope", ID, "podman", "", "3f4a5b6c7d8e" },
	{ "podman/crun", "/machine.slice/libpod-" ID ".scope/container", ID, "podman", "",
	  "3f4a5b6c7d8e/container" },
	{ "podman/rootless", USER "/user.slice/libpod-" ID ".scope", ID, "podman", "",
	  "3f4a5b6c7d8e" },
	{ "podman/cgroupfs", "/libpod_parent/libpod-" ID, ID, "podman", "", "3f4a5b6c7d8e" },
	{ "podman/quadlet", "/system.slice/db.service/libpod-payload-" ID, ID, "podman", "",
	  "3f4a5b6c7d8e" },
	{ "podman/pod", "/machine.slice/machine-libpod_pod_" ID2 ".slice/libpod-" ID ".scope", ID,
	  "podman", ID2, "3f4a5b6c7d8e" },
	{ "podman/pod cgroupfs", "/libpod_parent/" ID2 "/libpod-" ID, ID, "podman", ID2,
	  "3f4a5b6c7d8e" },
	{ "podman/pod itself", "/libpod_parent/" ID2, "", "", ID2, "podb1946ac92492" },
	{ "podman/pod systemd itself", "/machine.slice/machine-libpod_pod_" ID2 ".slice", "", "",
	  ID2, "podb1946ac92492" },
	{ "podman/pod in a container", "/docker/" ID "/machine-libpod_pod_" ID2 ".slice", "", "",
	  ID2, "podb1946ac92492" },
	{ "podman/conmon", "/machine.slice/libpod-conmon-" ID ".scope", "", "", "",
	  "libpod-conmon-3f4a5b6c7d8e9f001" },
	{ "podman/conmon cgroupfs", "/libpod_parent/conmon", "", "", "", "conmon" },

	{ "lxc/2", "/lxc/web", "web", "lxc", "", "web" },
	{ "lxc/3", "/lxc.payload/web", "web", "lxc", "", "web" },
	{ "lxc/4", "/lxc.payload.web", "web", "lxc", "", "web" },
	{ "lxc/inside", "/lxc.payload.web/system.slice/cron.service", "web", "lxc", "",
	  "web/cron.service" },
	{ "lxc/monitor", "/lxc.monitor.web", "", "", "", "lxc.monitor.web" },
	{ "lxc/monitor 3", "/lxc.monitor/web", "", "", "", "web" },
	{ "lxc/proxmox", "/lxc/101/ns/system.slice", "101", "lxc", "", "101/system.slice" },
	{ "lxc/name of a parent", "/lxc/docker/" ID, ID, "", "", "3f4a5b6c7d8e" },
	{ "lxc/name of a parent itself", "/lxc/docker", "docker", "lxc", "", "docker" },
	{ "lxc/docker in it", "/lxc.payload.web/docker/" ID, ID, "docker", "", "3f4a5b6c7d8e" },
	{ "lxc/all", "/lxc", "", "", "", "lxc" },
	{ "libvirt/systemd", "/machine.slice/machine-lxc\\x2d1234\\x2dweb\\x2d1.scope", "web-1",
	  "libvirt-lxc", "", "web-1" },
	{ "libvirt/cgroupfs", "/machine/web.libvirt-lxc", "web", "libvirt-lxc", "", "web" },
	{ "libvirt/qemu", "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope", "", "", "",
	  "machine-qemu\\x2d1\\x2dweb.scope" },
	{ "libvirt/qemu, docker beside it",
	  "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/docker/" ID, ID, "docker", "",
	  "3f4a5b6c7d8e" },

	{ "nspawn/v2", "/machine.slice/machine-web\\x2d1.scope/payload/system.slice", "web-1",
	  "systemd-nspawn", "", "web-1/system.slice" },
	{ "nspawn/v1", "/machine.slice/machine-web.scope", "web", "", "", "web" },
	{ "nspawn/service", "/machine.slice/systemd-nspawn@web.service/payload", "web",
	  "systemd-nspawn", "", "web" },
	{ "nspawn/supervisor", "/machine.slice/systemd-nspawn@web.service/supervisor", "", "", "",
	  "supervisor" },

	{ "garden", "/garden/" GUID, GUID, "garden", "", GUID },
	{ "garden/systemd", "/system.slice/garden.service/garden/good/" GUID, GUID, "garden", "",
	  GUID },
	{ "garden/share", "/garden/bad", "", "", "", "bad" },
	{ "mesos", "/mesos/" UID, UID, "mesos", "", "74c13223-5a00-11e9-b385-42010a8" },

	{ "none/root", "/", "", "", "", "/" },
	{ "none/service", "/system.slice/docker.service", "", "", "", "docker.service" },
	{ "none/containerd", "/system.slice/containerd.service", "", "", "", "containerd.service" },
	{ "none/user", USER "/app.slice/run-u7.scope", "", "", "", "run-u7.scope" },
	{ "none/docker itself", "/docker", "", "", "", "docker" },
	{ "none/63 digits",
	  "/docker/b1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d261118", "", "", "",
	  "b1946ac92492d2347c6235b4d261118" },
	{ "none/short", "/docker/3f4a5b6c7d8e", "", "", "", "3f4a5b6c7d8e" },
	{ "none/65 digits", "/docker/0" ID, "", "", "", "03f4a5b6c7d8e9f0011223344556677" },
	{ "none/no pod", "/podcast/pod1/pod" GUID, "", "", "", "pod" GUID },
	{ "none/slashes", "//docker///" ID "//", ID, "docker", "", "3f4a5b6c7d8e" },
	{ "none/empty", "", "", "", "", "" },
	{ "none/utf-8", "/" U8 U8 U8 U8, "", "", "", U8 U8 U8 "\u00e4\u00e4\u00e4" },
};

static void test_path(gconstpointer data)
{
	const struct path *want = data;
	struct ks__container in;
	char label[32], cut[8];
	int found;

	memset(&in, 0x5a, sizeof(in));
	found = ks__container_parse(want->path, &in);
	g_assert_cmpstr(in.id, ==, want->id);
	g_assert_cmpstr(in.runtime, ==, want->runtime);
	g_assert_cmpstr(in.pod_uid, ==, want->pod_uid);
	g_assert_cmpint(found, ==, want->id[0] != 0);
	ks__container_label(want->path, &in, label, sizeof(label));
	g_assert_cmpstr(label, ==, want->label);
	g_assert_true(g_utf8_validate(label, -1, NULL));

	ks__container_label(want->path, &in, cut, sizeof(cut));
	g_assert_true(g_str_has_prefix(label, cut));
	g_assert_cmpuint(strlen(cut), >=, MIN(strlen(label), sizeof(cut) - 2));
}

/* Names of the longest length the kernel allows, and digits in wrong places. */
static void test_long_names(void)
{
	char path[600], name[256], label[32];
	struct ks__container in;

	memset(name, 'n', 255);
	name[255] = 0;
	snprintf(path, sizeof(path), "/lxc/%s/%s", name, name);
	g_assert_cmpint(ks__container_parse(path, &in), ==, 1);
	g_assert_cmpuint(strlen(in.id), ==, sizeof(in.id) - 1);
	g_assert_cmpuint(in.behind, ==, 5 + 255);
	ks__container_label(path, &in, label, sizeof(label));
	g_assert_cmpuint(strlen(label), ==, 31);

	memset(name, 'a', 255);
	snprintf(path, sizeof(path), "/kubepods/kubepods-pod%.200s.slice/%s", name, name);
	g_assert_cmpint(ks__container_parse(path, &in), ==, 0);
	g_assert_cmpuint(strlen(in.pod_uid), ==, sizeof(in.pod_uid) - 1);
}

/* ---- mounts ---------------------------------------------------------------------------------- */

#define LINE(root, point) \
	"701 690 254:1 " root " " point " rw,relatime master:1 - ext4 /dev/vda1 rw\n"
#define REST                                                                              \
	"690 580 0:51 / / rw - overlay overlay rw,upperdir=/var/lib/docker/overlay2/" ID2 \
	"/diff\n"                                                                         \
	"695 690 0:5 / /dev rw,nosuid - tmpfs tmpfs rw\n"

struct own {
	const char *name, *mounts, *hostname, *id, *runtime, *pod_uid;
};

static const struct own owns[] = {
	{ "docker",
	  REST LINE("/var/lib/docker/containers/" ID "/resolv.conf", "/etc/resolv.conf")
		  LINE("/var/lib/docker/containers/" ID "/hostname", "/etc/hostname"),
	  "3f4a5b6c7d8e", ID, "docker", "" },
	{ "docker/own disk", REST LINE("/containers/" ID "/hosts", "/etc/hosts"), "db", ID,
	  "docker", "" },
	{ "docker/hostname is surer",
	  LINE("/docker/containers/" ID2 "/hosts", "/etc/hosts")
		  LINE("/docker/containers/" ID "/hostname", "/etc/hostname")
			  LINE("/docker/containers/" ID2 "/resolv.conf", "/etc/resolv.conf"),
	  "db", ID, "docker", "" },
	{ "docker/volumes of others",
	  REST LINE("/var/lib/docker/containers/" ID "/hosts", "/mnt/hosts"), "db", "", "", "" },
	{ "docker/host mounted",
	  REST LINE("/docker/containers/" ID "/hostname", "/etc/hostname")
		  LINE("/kubelet/pods/" UID "/etc-hosts", "/host/etc/hosts"),
	  "db", ID, "docker", "" },
	{ "podman",
	  REST LINE("/containers/storage/overlay-containers/" ID "/userdata/hostname",
		    "/etc/hostname"),
	  "db", ID, "podman", "" },
	{ "podman/in a pod",
	  LINE("/containers/overlay-containers/" ID2 "/userdata/hostname",
	       "/etc/hostname") LINE("/containers/overlay-containers/" ID "/userdata/.containerenv",
				     "/run/.containerenv")
		  LINE("/containers/overlay-containers/" ID2 "/userdata/hosts", "/etc/hosts"),
	  "db", ID, "podman", "" },
	{ "podman/vfs",
	  LINE("/containers/storage/vfs-containers/" ID "/userdata/hosts", "/etc/hosts"), "db", ID,
	  "podman", "" },
	{ "nerdctl",
	  LINE("/var/lib/nerdctl/1935db59/containers/default/" ID "/hostname", "/etc/hostname"),
	  "db", ID, "containerd", "" },
	{ "nerdctl/hosts",
	  LINE("/var/lib/nerdctl/1935db59/etchosts/default/" ID "/hosts", "/etc/hosts"), "db", ID,
	  "containerd", "" },
	{ "kubernetes/containerd",
	  REST LINE("/var/lib/kubelet/pods/" UID "/etc-hosts", "/etc/hosts")
		  LINE("/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/" ID "/hostname",
		       "/etc/hostname"),
	  "db-0", "", "containerd", UID },
	{ "kubernetes/cri-o",
	  LINE("/containers/storage/overlay-containers/" ID "/userdata/hostname", "/etc/hostname")
		  LINE("/var/lib/kubelet/pods/" UID "/containers/db/1a2b3c4d",
		       "/dev/termination-log"),
	  "db-0", "", "cri-o", UID },
	{ "kubernetes/docker",
	  LINE("/var/lib/docker/containers/" ID "/hostname", "/etc/hostname")
		  LINE("/pods/" HASH "/etc-hosts", "/etc/hosts"),
	  "db-0", "", "docker", HASH },
	{ "kubernetes/hostname of digits",
	  LINE("/var/lib/kubelet/pods/" UID "/etc-hosts", "/etc/hosts"), "0123456789ab", "", "",
	  UID },
	{ "kubernetes/folder of the node",
	  LINE("/var/lib/kubelet/pods/" UID "/volumes/a",
	       "/var/lib/kubelet/pods/" UID "/volumes/a"),
	  "node", "", "", "" },
	{ "lxc", REST "88 77 0:44 /proc/cpuinfo /proc/cpuinfo rw - fuse.lxcfs lxcfs rw\n", "web",
	  "web", "lxc", "" },
	{ "lxc/host", "88 77 0:44 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw\n", "web", "", "", "" },
	{ "lxc/docker in it",
	  "88 77 0:44 /proc/cpuinfo /proc/cpuinfo rw - fuse.lxcfs lxcfs rw\n" LINE(
		  "/docker/containers/" ID "/hosts", "/etc/hosts"),
	  "web", ID, "docker", "" },
	{ "nspawn",
	  "9 8 0:24 /systemd/nspawn/propagate/web-1 /run/host/incoming ro - tmpfs tmpfs rw\n",
	  "other", "web-1", "systemd-nspawn", "" },
	{ "hostname", REST, "0123456789ab", "0123456789ab", "", "" },
	{ "hostname/another", REST, "0123456789ag", "", "", "" },
	{ "nothing", "", NULL, "", "", "" },
};

static void test_own(gconstpointer data)
{
	const struct own *want = data;
	size_t length = strlen(want->mounts);
	char *exact = g_memdup2(want->mounts, length);
	struct ks__container in;
	int found;

	memset(&in, 0x5a, sizeof(in));
	found = ks__container_own(exact, length, want->hostname, &in);
	g_assert_cmpstr(in.id, ==, want->id);
	g_assert_cmpstr(in.runtime, ==, want->runtime);
	g_assert_cmpstr(in.pod_uid, ==, want->pod_uid);
	g_assert_cmpint(found, ==, want->id[0] || want->runtime[0] || want->pod_uid[0]);
	g_free(exact);
}

/* Of any part of a file, cut at any byte, only whole lines count. */
static void test_mounts_cut(void)
{
	static const char text[] =
		"31 23 0:28 /a\\040b /sys/fs/cg\\134r\\012p rw - tmpfs tmpfs rw,mode=755\n"
		"35 31 0:32 / /m rw shared:1 master:2 - cgroup cgroup rw,cpu,memory\n";
	const size_t first = (size_t)(strchr(text, '\n') - text) + 1;

	for (size_t length = 0; length < sizeof(text); length++) {
		char *exact = g_memdup2(text, length);
		const char *at = exact;
		struct ks__mount mount;
		int n = 0;

		while (ks__mounts_next(&at, exact + length, &mount))
			n++;
		g_assert_cmpint(n, ==, length == sizeof(text) - 1 ? 2 : length >= first);
		if (n == 1) {
			g_assert_cmpstr(mount.root, ==, "/a b");
			g_assert_cmpstr(mount.point, ==, "/sys/fs/cg\\r\np");
			g_assert_cmpuint(mount.id, ==, 31);
			g_assert_cmpuint(mount.minor, ==, 28);
		}
		if (n == 2) {
			g_assert_cmpstr(mount.type, ==, "cgroup");
			g_assert_true(ks__mounts_option(&mount, "memory"));
			g_assert_true(ks__mounts_option(&mount, "rw"));
			g_assert_false(ks__mounts_option(&mount, "mem"));
			g_assert_false(ks__mounts_option(&mount, "cpuset"));
		}
		g_free(exact);
	}
}

/* An octal number stands for one byte, which is not 0 and has 8 bits; other text stays. */
static void test_mounts_octal(void)
{
	static const struct {
		const char *text, *want;
	} all[] = {
		{ "\\001", "\x01" },  { "\\377", "\xff" },  { "\\000", "\\000" },
		{ "\\400", "\\400" }, { "\\08a", "\\08a" }, { "\\128", "\\128" },
		{ "\\1/4", "\\1/4" }, { "\\12", "\\12" },   { "\\040\\", " \\" },
		{ "\\\\040", "\\ " },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		char *text = g_strdup_printf("7 2 8:3 / /%s rw - tmpfs tmpfs rw\n", all[i].text);
		const char *at = text;
		struct ks__mount mount;

		g_assert_true(ks__mounts_next(&at, text + strlen(text), &mount));
		g_assert_cmpstr(mount.point + 1, ==, all[i].want);
		g_assert_cmpuint(mount.id, ==, 7);
		g_assert_cmpuint(mount.major, ==, 8);
		g_assert_cmpuint(mount.minor, ==, 3);
		g_assert_cmpstr(mount.root, ==, "/");
		g_assert_cmpstr(mount.type, ==, "tmpfs");
		g_assert_cmpstr(mount.options, ==, "rw");
		g_free(text);
	}
}

/* Texts as long as their arrays, and a byte longer: options are cut, other lines are skipped. */
static void test_mounts_long(void)
{
	for (unsigned more = 0; more <= 1; more++) {
		char *root = g_strnfill(1022 + more, 'r'), *type = g_strnfill(31, 't');
		char *options = g_strnfill(255 + more, 'o');
		char *text = g_strdup_printf("4294967295 2 8:3 /%s /x rw - %s a %s\n"
					     "4294967296 2 8:3 / /y rw - t a o\n"
					     "5 2 8:3 / /%s rw - %s%s a o\n",
					     root, type, options, root, type, more ? "t" : "");
		const char *at = text;
		struct ks__mount mount;

		if (!more) {
			g_assert_true(ks__mounts_next(&at, text + strlen(text), &mount));
			g_assert_cmpuint(mount.id, ==, UINT32_MAX);
			g_assert_cmpuint(strlen(mount.root), ==, 1023);
			g_assert_cmpstr(mount.type, ==, type);
			g_assert_cmpuint(strlen(mount.options), ==, 255);
			g_assert_true(ks__mounts_next(&at, text + strlen(text), &mount));
			g_assert_cmpuint(mount.id, ==, 5);
			g_assert_cmpuint(strlen(mount.point), ==, 1023);
		}
		g_assert_false(ks__mounts_next(&at, text + strlen(text), &mount));
		g_free(text);
		g_free(options);
		g_free(type);
		g_free(root);
	}
}

/* A line with too few or too many columns is skipped. The lines around it count. */
static void test_mounts_hostile(void)
{
	static const char *const lines[] = {
		"",
		" ",
		"\\",
		"1",
		"1 2 3",
		"1 2 0:3 / /x rw - ",
		"1 2 0:3 / /x rw tmpfs tmpfs rw",
		"1 2 03 / /x rw - tmpfs tmpfs rw",
		"1 2 a:b / /x rw - tmpfs tmpfs rw",
		"1 2 0:3 / /x rw - - -",
		"1 2 0:3 / /x rw - tmpfs tmpfs",
	};
	char *root = g_strnfill(2000, 'r');

	for (size_t i = 0; i <= G_N_ELEMENTS(lines); i++) {
		char *odd = i < G_N_ELEMENTS(lines) ?
				    g_strdup(lines[i]) :
				    g_strdup_printf("1 2 0:3 /%s /x rw - tmpfs tmpfs rw", root);
		char *text =
			g_strdup_printf("%s%s\n%s", LINE("/a", "/1"), odd, LINE("/b", "/2\\04"));
		const char *at = text;
		struct ks__mount mount;

		g_assert_true(ks__mounts_next(&at, text + strlen(text), &mount));
		g_assert_cmpstr(mount.point, ==, "/1");
		g_assert_true(ks__mounts_next(&at, text + strlen(text), &mount));
		g_assert_cmpstr(mount.point, ==, "/2\\04");
		g_assert_false(ks__mounts_next(&at, text + strlen(text), &mount));
		g_free(text);
		g_free(odd);
	}
	g_free(root);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		char *name = g_strdup_printf("/container/path/%s", paths[i].name);

		g_test_add_data_func(name, &paths[i], test_path);
		g_free(name);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(owns); i++) {
		char *name = g_strdup_printf("/container/own/%s", owns[i].name);

		g_test_add_data_func(name, &owns[i], test_own);
		g_free(name);
	}
	g_test_add_func("/container/long names", test_long_names);
	g_test_add_func("/mounts/cut", test_mounts_cut);
	g_test_add_func("/container/mounts/octal", test_mounts_octal);
	g_test_add_func("/container/mounts/long", test_mounts_long);
	g_test_add_func("/mounts/hostile", test_mounts_hostile);
	return g_test_run();
}
