/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - runs a target without a fuzzer
 *
 * Shows that the fuzzer's corpus, each file of the folders named, does no harm.
 */
#include <dirent.h>

#include "fuzz.h"

#define INPUT_MAX 65536

static void run(const char *folder, const char *name)
{
	static uint8_t bytes[INPUT_MAX];
	char path[1024];
	size_t size;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "re");
	must(f);
	size = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	LLVMFuzzerTestOneInput(bytes, size);
}

static unsigned run_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned n = 0;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		run(folder, entry->d_name);
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	int failed = 0;

	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++) {
		unsigned n = run_folder(argv[i]);

		printf("%sok %d - %u inputs\n", n ? "" : "not ", i, n);
		failed |= !n;
	}
	return failed;
}
