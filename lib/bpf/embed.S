/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Embeds the kernel programs as constant bytes: const unsigned char ks__bpf_object[];
 * const size_t ks__bpf_object_size;
 */
	.section .rodata
	.balign 8
	.global ks__bpf_object
	.hidden ks__bpf_object
	.type ks__bpf_object, %object
ks__bpf_object:
	.incbin KS_OBJECT
	.size ks__bpf_object, . - ks__bpf_object
0:
	.balign 8
	.global ks__bpf_object_size
	.hidden ks__bpf_object_size
	.type ks__bpf_object_size, %object
	.size ks__bpf_object_size, 8
ks__bpf_object_size:
	.quad 0b - ks__bpf_object

	.section .note.GNU-stack,"",%progbits

/* No code is in this file: its note keeps branch protection (CET, BTI) on for the whole library. */
#if defined(__CET__)
#include <cet.h>
#elif defined(__ARM_FEATURE_BTI_DEFAULT)
	.section .note.gnu.property,"a"
	.balign 8
	.long 4, 16, 5 /* bytes of the name, bytes of the properties, NT_GNU_PROPERTY_TYPE_0 */
	.asciz "GNU"
	.long 0xc0000000, 4 /* GNU_PROPERTY_AARCH64_FEATURE_1_AND, bytes of its value */
	.long 3, 0 /* BTI and PAC */
#endif
