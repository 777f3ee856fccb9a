/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/capability.h>

#include "../data/doc.h"
#include "../files/facts.h"
#include "../base/text.h"
#include "answer.h"
#include "machine.h"

#define USER_NS_INITIAL 0xeffffffdu /* inode of the initial user namespace, fixed by the kernel */
#define NOT_KNOWN -100

static int read_int(int dir_fd, const char *path, int otherwise)
{
	char text[32];

	return ks__text_string(dir_fd, path, text, sizeof(text)) > 0 ? atoi(text) : otherwise;
}

void ks__machine_read(const struct ks *ks, struct ks__machine *ret)
{
	struct stat st;
	uint64_t mode;

	if (ks__facts_caps(&ret->caps))
		ret->caps = 0;
	ret->withheld = ks__facts_withheld(ks->proc_fd, ret->profile, sizeof(ret->profile));
	ret->has_cap_bpf = read_int(ks->proc_fd, "sys/kernel/cap_last_cap", CAP_BPF) >= CAP_BPF;
	ret->initial_userns = fstatat(ks->proc_fd, "self/ns/user", &st, 0) ||
			      st.st_ino == USER_NS_INITIAL;
	ret->seccomp = ks__facts_status(ks->proc_fd, "Seccomp", 10, &mode) ? -1 : (int)mode;
	ret->perf_paranoid = read_int(ks->proc_fd, "sys/kernel/perf_event_paranoid", NOT_KNOWN);
	ks__facts_lockdown(ks->sys_fd, ret->lockdown, sizeof(ret->lockdown));
}

int ks__machine_confidential(const struct ks *ks)
{
	char mode[32];

	ks__facts_lockdown(ks->sys_fd, mode, sizeof(mode));
	return !strcmp(mode, "confidentiality");
}

int ks__machine_raise_memlock(const struct ks *ks, struct rlimit *ret_old)
{
	struct rlimit most = { RLIM_INFINITY, RLIM_INFINITY };

	if (!(ks->opts.flags & KS_OPEN_RAISE_MEMLOCK) || getrlimit(RLIMIT_MEMLOCK, ret_old))
		return 0;
	if (ret_old->rlim_cur == RLIM_INFINITY)
		return 0;
	if (!setrlimit(RLIMIT_MEMLOCK, &most))
		return 1;
	most = (struct rlimit){ ret_old->rlim_max, ret_old->rlim_max };
	return !setrlimit(RLIMIT_MEMLOCK, &most);
}

/* ---- reasons in words ------------------------------------------------------------------------ */

static int has(const struct ks__machine *m, int cap)
{
	return (m->caps & (1ull << cap | 1ull << CAP_SYS_ADMIN)) != 0;
}

/* Checked first: without the capabilities nothing else matters. 1: it has written the reason. */
static int say_caps(const struct ks__machine *m, int bpf, const char *what, char *buf, size_t size)
{
	int no_bpf = bpf && !has(m, CAP_BPF), no_perf = !has(m, CAP_PERFMON);
	const uint64_t missing = (uint64_t)no_bpf << CAP_BPF | (uint64_t)no_perf << CAP_PERFMON;

	if (!missing)
		return 0;
	if (!(missing & ~m->withheld))
		snprintf(buf, size,
			 "%s: AppArmor denies capabilities to this process: add `capability "
			 "bpf, capability perfmon,` to its profile %s",
			 what, m->profile);
	else if (!m->has_cap_bpf)
		snprintf(buf, size,
			 "%s: needs CAP_SYS_ADMIN (before Linux 5.8 there is no CAP_BPF): "
			 "run as root, or setcap cap_sys_admin+ep PROGRAM",
			 what);
	else
		snprintf(buf, size,
			 "%s: needs %s%s%s: setcap cap_bpf,cap_perfmon+ep PROGRAM, or run "
			 "as root (in a container: add both)",
			 what, no_bpf ? "CAP_BPF" : "", no_bpf && no_perf ? " and " : "",
			 no_perf ? "CAP_PERFMON" : "");
	return 1;
}

static int is_refused(long number, long command)
{
	syscall(number, command, NULL, -1L, 0L, -1L);
	return errno == EPERM || errno == EACCES || errno == ENOSYS;
}

/*
 * Distinguishes a seccomp filter from a security module, if both would refuse a call: the kernel
 * runs the filter first. Makes two invalid calls that the kernel itself refuses with another error,
 * before it asks a module: one with an unknown command (before 6.5 the kernel does not check
 * capabilities for it), and the real command with an invalid size (bpf()) or flags
 * (perf_event_open()). A filter that kills the process for the call would have done so earlier.
 */
static int is_filtered(const struct ks__machine *m, long number)
{
	if (m->seccomp <= 0)
		return 0;
	return is_refused(number, -1) && is_refused(number, BPF_PROG_LOAD);
}

/* 1: the label is an SELinux context, "USER:ROLE:TYPE...", and SELinux is enforcing. */
static int is_context(const struct ks *ks, const char *modules, const char *label)
{
	const char *colon = strstr(modules, "selinux") ? strchr(label, ':') : NULL;

	return colon && strchr(colon + 1, ':') && read_int(ks->sys_fd, "fs/selinux/enforce", 1);
}

/* All other causes are excluded: a security module refuses, most likely the one with the label. */
static void say_module(const struct ks *ks, const char *call, const char *what, int error,
		       char *buf, size_t size)
{
	char modules[96], label[96];
	int n = ks__facts_modules(ks->sys_fd, modules, sizeof(modules));
	int is_confined = ks__facts_confinement(ks->proc_fd, label, sizeof(label)) > 0;

	snprintf(buf, size, "%s: a security module (LSM) refuses %s (%s): ", what, call,
		 ks_error_name(error));
	size -= strlen(buf);
	buf += strlen(buf);
	if (n > 0 && is_confined && is_context(ks, modules, label))
		snprintf(buf, size,
			 "SELinux confines this process: allow what `ausearch -m avc -ts recent | "
			 "audit2allow` prints to %s",
			 label);
	else if (n > 0 && strstr(modules, "bpf"))
		snprintf(buf, size, "one of %s; `bpftool prog show` lists programs of type lsm",
			 modules);
	else
		snprintf(buf, size, "%s%s; see its log", n > 0 ? "one of " : "which one is unknown",
			 n > 0 ? modules : "");
}

/*
 * Goes by the release (before 5.11): when the limit is exhausted, the kernel refuses the calls that
 * could find it out otherwise.
 */
static int counts_locked(struct rlimit *ret)
{
	struct utsname name;
	int major, minor;

	return !uname(&name) && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	       (major < 5 || (major == 5 && minor < 11)) && !getrlimit(RLIMIT_MEMLOCK, ret) &&
	       ret->rlim_cur != RLIM_INFINITY;
}

/*
 * Lockdown forbids kprobes but no bpf() call: the verifier only reports a missing helper to
 * programs that would read kernel memory.
 */
static void say_refused(const struct ks *ks, const struct ks__machine *m, long number,
			const char *what, int error, char *buf, size_t size)
{
	const char *call = number == SYS_bpf ? "bpf()" : "perf_event_open()";
	struct rlimit locked;

	if (!m->initial_userns)
		snprintf(buf, size,
			 "%s: capabilities of a user namespace do not count: run this program in "
			 "the initial user namespace (in a container: without userns remapping)",
			 what);
	else if (is_filtered(m, number))
		snprintf(buf, size,
			 "%s: a seccomp filter refuses %s, and capabilities do not help: "
			 "allow it in the filter (of a container: its seccomp profile)",
			 what, call);
	else if (number == SYS_bpf && error == -EPERM && counts_locked(&locked))
		snprintf(buf, size,
			 "%s: RLIMIT_MEMLOCK, %" PRIu64 " KiB, is too small for BPF memory, which "
			 "this kernel counts against it: %s",
			 what, (uint64_t)locked.rlim_cur / 1024,
			 ks->opts.flags & KS_OPEN_RAISE_MEMLOCK ?
				 "raise its hard limit (ulimit -Hl)" :
				 "raise it (ulimit -l), or open with KS_OPEN_RAISE_MEMLOCK");
	else if (number == SYS_perf_event_open && error == -EPERM &&
		 !strcmp(m->lockdown, "confidentiality"))
		snprintf(buf, size,
			 "%s: kernel lockdown (confidentiality) forbids it: boot with "
			 "lockdown=integrity or none",
			 what);
	else
		say_module(ks, call, what, error, buf, size);
}

int ks__machine_locked(const struct ks *ks, int error)
{
	struct ks__machine m;
	struct rlimit limit;

	if (error != -EPERM || !counts_locked(&limit))
		return 0;
	ks__machine_read(ks, &m);
	return has(&m, CAP_BPF) && has(&m, CAP_PERFMON) && m.initial_userns &&
	       !is_filtered(&m, SYS_bpf);
}

/* The host has changed its own process such that libbpf cannot read the types of the kernel. */
static void say_host(const struct ks *ks, const char *what, int error, char *buf, size_t size)
{
	if (error == -EFBIG)
		snprintf(buf, size,
			 "%s: the memfd with BTF for libbpf would be larger than RLIMIT_FSIZE "
			 "allows: raise it (ulimit -f)%s",
			 what, ks->opts.btf_path ? ", or do without ks_open_opts.btf_path" : "");
	else
		snprintf(buf, size,
			 "%s: /proc and /sys are out of reach since chroot(): call ks_prepare() "
			 "before chroot(), or mount procfs there",
			 what);
}

/* Explains errors that may pass: no kernel or policy refuses for good. 1: it wrote the reason. */
static int say_for_now(const struct ks *ks, const char *what, int error, char *buf, size_t size)
{
	switch (ks__answer(error)) {
	case KS__ANSWER_PASSING:
		snprintf(buf, size, "%s: signals interrupted every attempt (%s): try again", what,
			 ks_error_name(error));
		return 1;
	case KS__ANSWER_BUSY:
		snprintf(buf, size, "%s: it is in use elsewhere (%s): enable the probe again later",
			 what, ks_error_name(error));
		return 1;
	case KS__ANSWER_SHORTAGE:
		snprintf(buf, size, "%s: %s", what,
			 error == -ENOMEM ? "the kernel has no memory for it" :
			 error == -ENFILE ? "too many files are open on this machine: raise the "
					    "sysctl fs.file-max" :
					    "too few free descriptors: raise RLIMIT_NOFILE");
		return 1;
	case KS__ANSWER_HOST:
		say_host(ks, what, error, buf, size);
		return 1;
	default:
		return 0;
	}
}

void ks__machine_bpf(const struct ks *ks, const char *what, int error, char *buf, size_t size)
{
	struct ks__machine m;

	if (say_for_now(ks, what, error, buf, size))
		return;
	ks__machine_read(ks, &m);
	if (error == -ENOSYS && m.seccomp <= 0)
		snprintf(buf, size, "%s: this kernel has no bpf() (CONFIG_BPF_SYSCALL)", what);
	else if (error != -EPERM && error != -EACCES && error != -ENOSYS)
		snprintf(buf, size, "%s: this kernel does not have it (%s)", what,
			 ks_error_name(error));
	else if (error == -ENOSYS || !say_caps(&m, 1, what, buf, size))
		say_refused(ks, &m, SYS_bpf, what, error, buf, size);
}

static void say_paranoid(const struct ks__machine *m, char *buf, size_t size)
{
	size_t n = strlen(buf);

	if (m->perf_paranoid > -1)
		snprintf(buf + n, size - n, " (kernel.perf_event_paranoid is %d)",
			 m->perf_paranoid);
}

void ks__machine_perf(const struct ks *ks, const char *what, int error, char *buf, size_t size)
{
	struct ks__machine m;

	if (say_for_now(ks, what, error, buf, size))
		return;
	ks__machine_read(ks, &m);
	if (error == -ENOSYS && m.seccomp <= 0)
		snprintf(buf, size, "%s: this kernel has no perf_event_open() (CONFIG_PERF_EVENTS)",
			 what);
	else if (error != -EPERM && error != -EACCES && error != -ENOSYS)
		snprintf(buf, size, "%s: perf_event_open() failed (%s)", what,
			 ks_error_name(error));
	else if (error != -ENOSYS && say_caps(&m, 0, what, buf, size))
		say_paranoid(&m, buf, size);
	else if (error == -EACCES && m.perf_paranoid > 2 && !(m.caps & 1ull << CAP_SYS_ADMIN))
		snprintf(buf, size,
			 "%s: kernel.perf_event_paranoid is %d, and above 2 this kernel needs "
			 "CAP_SYS_ADMIN: sysctl kernel.perf_event_paranoid=2, or run as root",
			 what, m.perf_paranoid);
	else
		say_refused(ks, &m, SYS_perf_event_open, what, error, buf, size);
}

void ks__machine_doc(const struct ks *ks, struct ks__doc *doc)
{
	struct ks__machine m;
	char line[256];

	ks__machine_read(ks, &m);
	ks__doc_bool(doc, "initial_user_namespace", m.initial_userns);
	if (m.seccomp >= 0)
		ks__doc_str(doc, "seccomp", m.seccomp ? "on" : "off");
	if (ks__facts_modules(ks->sys_fd, line, sizeof(line)) > 0)
		ks__doc_str(doc, "security_modules", line);
	if (ks__facts_confinement(ks->proc_fd, line, sizeof(line)) > 0)
		ks__doc_str(doc, "confined_by", line);
}
