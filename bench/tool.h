/* SPDX-License-Identifier: BSD-2-Clause */
/* tool.h - runs other tools for comparison, and makes processes that they observe */
#ifndef TOOL_H
#define TOOL_H

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* Is there a tool of this name in the folders where root has tools? */
int tool_exists(const char *name);
/*
 * Starts a tool. Its output goes to a new terminal, *ret_terminal, or to /dev/null if ret_terminal
 * is NULL.
 */
pid_t tool_start(char *const argv[], int *ret_terminal);
/*
 * Starts a tool and waits until it has `programs` kernel programs; ids are their ids. Returns 0 if
 * there is no such tool.
 */
pid_t tool_start_programs(char *name, unsigned programs, uint32_t *ids, unsigned max,
			  unsigned *ret_n);
/* Ends a tool by SIGINT and waits for it. Both return what it used. */
struct rusage tool_stop(pid_t pid);
struct rusage tool_wait(pid_t pid);
/* Reads the ids of a process's attached kernel programs. Returns their number. */
unsigned tool_programs(pid_t pid, uint32_t *ids, unsigned max);

/* Makes n processes, one after the other: fork, exec of /bin/true, exit. */
void make_processes(unsigned n);
/* Starts a process that does so without end on CPU `cpu`. It ends with its parent, or by SIGINT. */
pid_t keep_making_processes(int cpu);

#endif
