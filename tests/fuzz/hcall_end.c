// SPDX-License-Identifier: MIT
/* hcall_end.c - linked behind all of the metakernel (hcall_begin.c). */
extern char hcall_bss_end[64], hcall_data_end[64];
char hcall_bss_end[64];
char hcall_data_end[64] = { 1 };
