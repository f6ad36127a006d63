/* SPDX-License-Identifier: MIT */
/*
 * bootinfo.h - private to hal/x86_64: read what the boot loader left.
 */
#ifndef HAL_BOOTINFO_H
#define HAL_BOOTINFO_H

#include <hal/boot.h>

/* Fill *bi (zeroed) from Multiboot information. False if magic is neither protocol's. */
bool bootinfo_parse(struct boot_info *bi, uint32_t magic, paddr_t info_pa);

#endif
