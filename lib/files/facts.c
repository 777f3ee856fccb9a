/* SPDX-License-Identifier: BSD-2-Clause */
/* facts.c - reads facts about this process and this machine from the kernel */
#include "facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "../base/file.h"
#include "kv.h"
#include "../base/text.h"

#define STATUS_MAX (4u << 20) /* bytes; the line of groups alone can have half a megabyte */

int ks__facts_status(int proc_fd, const char *key, int base, uint64_t *ret_value)
{
	size_t length, rest;
	const char *value;
	char *text;
	int rc = ks__file_whole(proc_fd, "thread-self/status", STATUS_MAX, &text, &length);

	if (rc)
		return rc;
	rc = ks__kv_find(text, length, key, &value, &rest);
	if (!rc)
		*ret_value = strtoull(value, NULL, base);
	free(text);
	return rc;
}

int ks__facts_caps(uint64_t *ret_caps)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { 0 }, { 0 } };

	if (syscall(SYS_capget, &head, data))
		return -errno;
	*ret_caps = (uint64_t)data[1].effective << 32 | data[0].effective;
	return 0;
}

/* Format: "none [integrity] confidentiality", with the present mode in brackets. */
int ks__facts_lockdown(int sys_fd, char *buf, size_t size)
{
	char text[128];
	const char *from, *to;
	int n;

	buf[0] = '\0';
	n = ks__text_string(sys_fd, "kernel/security/lockdown", text, sizeof(text));
	if (n < 0)
		return n;
	from = strchr(text, '[');
	to = from ? strchr(from, ']') : NULL;
	if (!to)
		return -EINVAL;
	snprintf(buf, size, "%.*s", (int)(to - from - 1), from + 1);
	return 0;
}

/* Format of a line: controller, number of its v1 hierarchy (0: v2), number of cgroups, enabled. */
int ks__facts_memcg(int proc_fd)
{
	char text[4096];
	ssize_t n = ks__text_read(proc_fd, "cgroups", text, sizeof(text));
	uint64_t hierarchy, enabled;

	if (n < 0)
		return (int)n;
	if (ks__kv_number(text, (size_t)n, "memory", 0, &hierarchy) ||
	    ks__kv_number(text, (size_t)n, "memory", 2, &enabled) || !enabled)
		return 0;
	return hierarchy ? 1 : 2;
}

static int first_line(int dir_fd, const char *path, char *buf, size_t size)
{
	int n;

	buf[0] = '\0';
	n = ks__text_string(dir_fd, path, buf, size);
	if (n > 0)
		buf[n = (int)strcspn(buf, "\n")] = '\0';
	return n;
}

int ks__facts_modules(int sys_fd, char *buf, size_t size)
{
	return first_line(sys_fd, "kernel/security/lsm", buf, size);
}

/* AppArmor has a file of its own; self/attr/current belongs to the first module. */
int ks__facts_confinement(int proc_fd, char *buf, size_t size)
{
	int n = first_line(proc_fd, "self/attr/apparmor/current", buf, size);

	if (n <= 0)
		n = first_line(proc_fd, "self/attr/current", buf, size);
	if (!strcmp(buf, "unconfined"))
		buf[n = 0] = '\0';
	return n;
}

/*
 * capget() asks the security modules: AppArmor removes the capabilities that its profile denies.
 * CapEff in procfs has them.
 */
uint64_t ks__facts_withheld(int proc_fd, char *profile, size_t size)
{
	uint64_t has, given;

	profile[0] = '\0';
	if (ks__facts_status(proc_fd, "CapEff", 16, &given) || ks__facts_caps(&has))
		return 0;
	given &= ~has;
	if (given && ks__facts_confinement(proc_fd, profile, size) > 0)
		profile[strcspn(profile, " ")] = '\0';
	return given;
}

/* Format of a line: "nodev" or nothing, a tab, the name. */
int ks__facts_filesystem(int proc_fd, const char *name)
{
	size_t length = strlen(name);
	char text[4096];
	int n = ks__text_string(proc_fd, "filesystems", text, sizeof(text));

	if (n < 0)
		return n;
	for (const char *at = text; (at = strchr(at, '\t'));)
		if (!strncmp(++at, name, length) && at[length] == '\n')
			return 1;
	return 0;
}

int ks__facts_own_proc(int proc_fd)
{
	char self[16];
	ssize_t n = readlinkat(proc_fd, "self", self, sizeof(self) - 1);

	if (n <= 0)
		return 1;
	self[n] = '\0';
	return atoi(self) == getpid();
}

int ks__facts_hides(int proc_fd)
{
	char byte;

	return ks__text_read(proc_fd, "self/stat", &byte, 1) == 1 &&
	       ks__text_read(proc_fd, "1/stat", &byte, 1) != 1;
}
