/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * musl-gcc links the libgcc of the system, which asks glibc for unwinding tables. "Not found": then
 * it asks dl_iterate_phdr(), as libgcc made for musl does.
 */
int _dl_find_object(void *address, void *result);

int _dl_find_object(void *address, void *result)
{
	(void)address, (void)result;
	return -1;
}
