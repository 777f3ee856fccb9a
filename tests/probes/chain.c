/* SPDX-License-Identifier: BSD-2-Clause */
/* chain N - becomes itself N more times, then ends. Linked statically: an exec is quick. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long left = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
	char number[24];

	if (left <= 0)
		return 0;
	snprintf(number, sizeof(number), "%ld", left - 1);
	execv(argv[0], (char *[]){ argv[0], number, NULL });
	return 1;
}
