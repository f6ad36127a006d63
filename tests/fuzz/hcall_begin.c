// SPDX-License-Identifier: MIT
/* hcall_begin.c - linked before all of the metakernel: its variables lie between these and those of hcall_end.c. */
extern char hcall_bss_begin[64], hcall_data_begin[64];
char hcall_bss_begin[64];
char hcall_data_begin[64] = { 1 };
