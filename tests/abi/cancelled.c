/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that unwinding still works in a host that links the library statically: a thread that is
 * cancelled while it reads a stream releases the stream's lock, and its cleanup handlers run.
 */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <kernelsight/kernelsight.h>

static FILE *stream;
static int cleaned;

static void clean(void *set)
{
	*(int *)set = 1;
}

static void *read_line(void *ready)
{
	char line[16], *got;

	pthread_cleanup_push(clean, &cleaned);
	pthread_barrier_wait(ready);
	got = fgets(line, sizeof(line), stream);
	pthread_cleanup_pop(0);
	return got;
}

int main(void)
{
	pthread_barrier_t ready;
	pthread_t thread;
	char line[16];
	void *result;
	struct ks *ks;
	int fds[2];

	if (ks_open(NULL, &ks) || pipe(fds))
		return 1;
	ks_close(ks);
	stream = fdopen(fds[0], "r");
	pthread_barrier_init(&ready, NULL, 2);
	pthread_create(&thread, NULL, read_line, &ready);
	pthread_barrier_wait(&ready);
	pthread_cancel(thread);
	pthread_join(thread, &result);
	if (result != PTHREAD_CANCELED || !cleaned)
		return 2;
	alarm(20); /* waiting for a lock that was not released would never end */
	if (write(fds[1], "x\n", 2) != 2 || !fgets(line, sizeof(line), stream))
		return 3;
	return 0;
}
