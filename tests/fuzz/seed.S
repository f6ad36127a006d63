/* SPDX-License-Identifier: MIT */
/* seed.S - a small executable for the ELF fuzzer's corpus. */
#include "keel/abi.h"

	.text
	.globl	_start
_start:
	ret

	.data
	.balign	4096
tables:
	.quad	1
	.skip	4088

	.bss
	.skip	12345

#ifdef NOTE
	.section .note.keel, "a", @note
	.balign	4
	.long	5, 24, KEEL_ELF_NOTE_START
	.asciz	"Keel"
	.balign	4
	.long	KEEL_ABI_VERSION, 0
	.quad	_start, tables
#endif

	.section .note.GNU-stack, "", @progbits
