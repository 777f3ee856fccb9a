/* SPDX-License-Identifier: BSD-2-Clause */
/* tool.h - other tools to compare with, and processes for them to see */
#ifndef TOOL_H
#define TOOL_H

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* The name is looked for where root has its tools. */
int tool_exists(const char *name);
/* Its output goes to a terminal of its own (*ret_terminal), or nowhere if that is NULL. */
pid_t tool_start(char *const argv[], int *ret_terminal);
/* The same, and waits until it has so many programs: their ids. 0: there is no such tool. */
pid_t tool_start_programs(char *name, unsigned programs, uint32_t *ids, unsigned max,
			  unsigned *ret_n);
/* Ends it by SIGINT and waits for it; what it has used. */
struct rusage tool_stop(pid_t pid);
struct rusage tool_wait(pid_t pid);
/* Ids of the attached programs of a process; how many. */
unsigned tool_programs(pid_t pid, uint32_t *ids, unsigned max);

/* So many processes, one after the other: fork, exec of /bin/true, exit. */
void make_processes(unsigned n);
/* A process that makes them without end, on that CPU; it ends with its parent, or by SIGINT. */
pid_t keep_making_processes(int cpu);

#endif
