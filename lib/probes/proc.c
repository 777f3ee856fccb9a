/* SPDX-License-Identifier: BSD-2-Clause */
/* proc.c - processes and threads: fork, exec, exit */
#include "../files/scan.h"
#include "probe.h"
#include "rawcall.h"

#include <linux/capability.h>
#include <linux/elf.h>
#include <linux/memfd.h>
#include <linux/wait.h>
#include <errno.h>
#include <fcntl.h>

static const struct ks__field row_fields[] = {
	{ KS__AT(struct ks_stats_proc, processes), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "processes created" },
	{ KS__AT(struct ks_stats_proc, threads), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .valid = KS_HAS_PROC_THREADS,
	  .help = "threads created, without the first thread of each process" },
	{ KS__AT(struct ks_stats_proc, execs), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "programs executed" },
	{ KS__AT(struct ks_stats_proc, process_exits), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .help = "processes that ended" },
	{ KS__AT(struct ks_stats_proc, thread_exits), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .valid = KS_HAS_PROC_THREADS,
	  .help = "threads that ended before their process" },
	{ KS__AT(struct ks_stats_proc, failed), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .valid = KS_HAS_PROC_STATUS,
	  .help = "processes that ended with a status other than 0" },
	{ KS__AT(struct ks_stats_proc, killed), .count = 1, .kind = KS_KIND_COUNTER,
	  .unit = KS_UNIT_COUNT, .valid = KS_HAS_PROC_STATUS,
	  .help = "processes that a signal ended" },
	{ KS__AT(struct ks_stats_proc, lifetime_ns), .count = 1, .kind = KS_KIND_HIST,
	  .unit = KS_UNIT_NS, .valid = KS_HAS_PROC_LIFETIME,
	  .help = "time of a process from fork to exit" },
	{ 0 },
};

static const struct ks__field fork_fields[] = {
	{ KS__AT(struct ks_event_proc_fork, start_ns), .count = 1, .kind = KS_KIND_TIME,
	  .unit = KS_UNIT_NS, .valid = KS_HAS_PROC_START,
	  .help = "start of the new process or thread" },
	{ KS__AT(struct ks_event_proc_fork, child_pid), .count = 1, .kind = KS_KIND_ID,
	  .is_signed = 1, .help = "pid of the new process, or of the process of the new thread" },
	{ KS__AT(struct ks_event_proc_fork, child_tid), .count = 1, .kind = KS_KIND_ID,
	  .is_signed = 1, .help = "tid of the new thread" },
	{ KS__AT(struct ks_event_proc_fork, thread), .count = 1, .kind = KS_KIND_VALUE,
	  .help = "1: a thread was created, 0: a process" },
	{ 0 },
};

static const struct ks__field exec_fields[] = {
	{ KS__AT(struct ks_event_proc_exec, start_ns), .count = 1, .kind = KS_KIND_TIME,
	  .unit = KS_UNIT_NS, .valid = KS_HAS_PROC_START, .help = "start of the process" },
	{ KS__AT(struct ks_event_proc_exec, ppid), .count = 1, .kind = KS_KIND_ID, .is_signed = 1,
	  .valid = KS_HAS_PROC_PARENT, .help = "pid of the parent" },
	{ KS__AT(struct ks_event_proc_exec, session), .count = 1, .kind = KS_KIND_ID,
	  .is_signed = 1, .valid = KS_HAS_PROC_SESSION, .help = "session of the process" },
	{ KS__AT(struct ks_event_proc_exec, old_tid), .count = 1, .kind = KS_KIND_ID,
	  .is_signed = 1, .valid = KS_HAS_PROC_OLD_TID,
	  .help = "tid of the thread that called exec" },
	{ KS__AT(struct ks_event_proc_exec, uid), .count = 1, .kind = KS_KIND_ID,
	  .valid = KS_HAS_PROC_UID, .help = "real user id" },
	{ KS__AT(struct ks_event_proc_exec, path), .count = 1, .kind = KS_KIND_TEXT,
	  .valid = KS_HAS_PROC_PATH, .help = "path of the program, as the caller gave it" },
	{ 0 },
};

static const struct ks__field exit_fields[] = {
	{ KS__AT(struct ks_event_proc_exit, start_ns), .count = 1, .kind = KS_KIND_TIME,
	  .unit = KS_UNIT_NS, .valid = KS_HAS_PROC_START,
	  .help = "start of the process or thread" },
	{ KS__AT(struct ks_event_proc_exit, user_ns), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_NS, .valid = KS_HAS_PROC_CPU, .help = "CPU time in user mode" },
	{ KS__AT(struct ks_event_proc_exit, system_ns), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_NS, .valid = KS_HAS_PROC_CPU, .help = "CPU time in the kernel" },
	{ KS__AT(struct ks_event_proc_exit, ppid), .count = 1, .kind = KS_KIND_ID, .is_signed = 1,
	  .valid = KS_HAS_PROC_PARENT, .help = "pid of the parent" },
	{ KS__AT(struct ks_event_proc_exit, session), .count = 1, .kind = KS_KIND_ID,
	  .is_signed = 1, .valid = KS_HAS_PROC_SESSION, .help = "session of the process" },
	{ KS__AT(struct ks_event_proc_exit, status), .count = 1, .kind = KS_KIND_VALUE,
	  .is_signed = 1, .valid = KS_HAS_PROC_STATUS, .help = "argument of exit(), 0 to 255" },
	{ KS__AT(struct ks_event_proc_exit, signal), .count = 1, .kind = KS_KIND_VALUE,
	  .valid = KS_HAS_PROC_STATUS, .help = "signal that ended the process, or 0" },
	{ KS__AT(struct ks_event_proc_exit, core_dumped), .count = 1, .kind = KS_KIND_VALUE,
	  .valid = KS_HAS_PROC_STATUS, .help = "1: a core was written" },
	{ KS__AT(struct ks_event_proc_exit, thread), .count = 1, .kind = KS_KIND_VALUE,
	  .help = "1: a thread ended, 0: the process" },
	{ KS__AT(struct ks_event_proc_exit, peak_rss), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_BYTES, .valid = KS_HAS_PROC_MEMORY,
	  .help = "most memory the process had at once" },
	{ KS__AT(struct ks_event_proc_exit, minor_faults), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_COUNT, .valid = KS_HAS_PROC_FAULTS, .help = "page faults without I/O" },
	{ KS__AT(struct ks_event_proc_exit, major_faults), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_COUNT, .valid = KS_HAS_PROC_FAULTS,
	  .help = "page faults that read from a device" },
	{ KS__AT(struct ks_event_proc_exit, read_bytes), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_BYTES, .valid = KS_HAS_PROC_IO, .help = "bytes read from block devices" },
	{ KS__AT(struct ks_event_proc_exit, write_bytes), .count = 1, .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_BYTES, .valid = KS_HAS_PROC_IO,
	  .help = "bytes written to block devices" },
	{ 0 },
};

#define ALL                                                                                 \
	(KS_HAS_PROC_PARENT | KS_HAS_PROC_START | KS_HAS_PROC_STATUS | KS_HAS_PROC_CPU |    \
	 KS_HAS_PROC_PATH | KS_HAS_PROC_THREADS | KS_HAS_PROC_MEMORY | KS_HAS_PROC_IO |     \
	 KS_HAS_PROC_SHORT | KS_HAS_PROC_LIFETIME | KS_HAS_PROC_UID | KS_HAS_PROC_OLD_TID | \
	 KS_HAS_PROC_SESSION | KS_HAS_PROC_FAULTS | KS_HAS_PROC_BUCKETS)

static const struct ks__struct stats = {
	.name = "proc",
	.id = KS_STATS_PROC,
	.bytes = sizeof(struct ks_stats_proc),
	.fields = row_fields,
	.help = "Processes and threads that were created or ended.",
};

static const struct ks__struct events[] = {
	{
		.name = "proc_fork",
		.id = KS_EVENT_PROC_FORK,
		.bytes = sizeof(struct ks_event_proc_fork),
		.fields = fork_fields,
		.help = "A process or a thread was created.",
	},
	{
		.name = "proc_exec",
		.id = KS_EVENT_PROC_EXEC,
		.bytes = sizeof(struct ks_event_proc_exec),
		.fields = exec_fields,
		.help = "A process replaced its program.",
	},
	{
		.name = "proc_exit",
		.id = KS_EVENT_PROC_EXIT,
		.bytes = sizeof(struct ks_event_proc_exit),
		.fields = exit_fields,
		.help = "A process or one of its threads ended.",
	},
	{ 0 },
};

static const struct ks__variant variants[] = {
	{
		.name = "tp_btf",
		.progs = { "proc_fork_tp_btf", "proc_exec_tp_btf", "proc_exit_tp_btf" },
	},
	{
		.name = "raw_tp",
		.progs = { "proc_fork_raw_tp", "proc_exec_raw_tp", "proc_exit_raw_tp" },
	},
	{
		.name = "tracepoint",
		.progs = { "proc_fork_tracepoint", "proc_exec_tracepoint", "proc_exit_tracepoint" },
		.lacks = KS_HAS_PROC_START,
		.lacks_why = "the record of task_newtask has no start time, unlike exec and exit",
		.initial_pidns = 1,
	},
	{ 0 },
};

static const struct ks__need needs[] = {
	{ KS_HAS_PROC_IO, "task_io_accounting", "read_bytes",
	  "this kernel was built without CONFIG_TASK_IO_ACCOUNTING" },
	{ 0 },
};

static const char *const maps[] = { "proc_stats", "proc_rows", "proc_ended", NULL };

static const struct ks__fallback fallback = {
	.name = "procfs",
	.needs = "self/stat",
	.lacks = KS_HAS_PROC_STATUS | KS_HAS_PROC_CPU | KS_HAS_PROC_THREADS | KS_HAS_PROC_MEMORY |
		 KS_HAS_PROC_IO | KS_HAS_PROC_SHORT | KS_HAS_PROC_LIFETIME | KS_HAS_PROC_OLD_TID |
		 KS_HAS_PROC_FAULTS | KS_HAS_PROC_BUCKETS,
	.lacks_why = "a scan of /proc misses processes that begin and end between two looks, how a "
		     "process ended and what it used, and which thread called exec",
	.scan = &ks__scan_proc,
};

/* ---- the self-test: runs in a child, see struct ks__provocation ------------------------------ */

static int RAW_CODE provoke_fork(int dir_fd)
{
	long pid = raw_vfork_call(SYS_exit, 0, 0, 0, 0, 0);

	(void)dir_fd;
	if (pid > 0)
		raw6(SYS_wait4, pid, 0, __WALL, 0, 0, 0);
	return pid < 0 ? (int)pid : 0;
}

/* An ELF program that calls exit(0). The test writes it to a memfd, so it needs no folder. */
static const struct {
	Elf64_Ehdr head;
	Elf64_Phdr load;
	uint32_t code[4];
} program = {
	.head = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
#if defined(__x86_64__)
		.e_machine = EM_X86_64,
#else
		.e_machine = EM_AARCH64,
#endif
		.e_version = EV_CURRENT,
		.e_entry = 0x400000 + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
	},
	.load = {
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_vaddr = 0x400000,
		.p_filesz = sizeof(program),
		.p_memsz = sizeof(program),
	},
#if defined(__x86_64__)
	/* mov $60, %eax; xor %edi, %edi; syscall */
	.code = { 0x00003cb8, 0x0fff3100, 0x00000005 },
#else
	/* mov x8, #93; mov x0, #0; svc #0 */
	.code = { 0xd2800ba8, 0xd2800000, 0xd4000001 },
#endif
};

/*
 * A process that has called exec sends SIGCHLD to its parent when it ends. The host must not get
 * that signal, so a grandchild calls exec.
 */
static int RAW_CODE provoke_exec(int dir_fd)
{
	static const char name[] = "kernelsight", empty[] = "";
	const char *const args[] = { name, 0 };
	long fd = raw6(SYS_memfd_create, (long)name, MFD_CLOEXEC, 0, 0, 0, 0), pid;
	int status = 0;

	(void)dir_fd;
	if (fd < 0)
		return (int)fd;
	pid = raw6(SYS_write, fd, (long)&program, sizeof(program), 0, 0, 0);
	if (pid == sizeof(program))
		pid = raw_vfork_call(SYS_execveat, fd, (long)empty, (long)args, (long)(args + 1),
				     AT_EMPTY_PATH);
	raw6(SYS_close, fd, 0, 0, 0, 0, 0);
	if (pid < 0)
		return (int)pid;
	raw6(SYS_wait4, pid, (long)&status, __WALL, 0, 0, 0);
	return status ? -EACCES : 0; /* the machine may forbid to execute a memfd */
}

static const struct ks__provocation provocations[] = {
	{ "fork", "processes", provoke_fork },
	{ "exec", "execs", provoke_exec },
	{ "exit", "process_exits", NULL },
	{ 0 },
};

extern const struct ks__probe ks__probe_proc;

const struct ks__probe ks__probe_proc = {
	.id = KS_PROBE_PROC,
	.name = "proc",
	.summary = "Processes and threads: fork, exec, exit, and the resources they used.",
	.caps = 1ull << CAP_BPF | 1ull << CAP_PERFMON,
	.valid = ALL,
	.buckets = KS_HAS_PROC_BUCKETS,
	.needs = needs,
	.variants = variants,
	.maps = maps,
	.stats = &stats,
	.by = KS_BY_TOTAL | KS_BY_CPU | KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE,
	.events = events,
	.defaults = {
		.sample_every = 1,
		.max_per_sec = 5000,
		.burst = 5000,
		.identity = KS_IDENTITY_CGROUP | KS_IDENTITY_COMM,
		.interval_ms = 1000,
	},
	.fallback = &fallback,
	.provocations = provocations,
};
