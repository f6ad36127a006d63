/* SPDX-License-Identifier: MIT */
/*
 * hal/hooks.h - the few functions hal calls upwards; the metakernel implements them.
 */
#ifndef HAL_HOOKS_H
#define HAL_HOOKS_H

#include <hal/boot.h>

/* Start of the metakernel: boot CPU, its own tables, interrupts off, legacy PIC not yet masked. */
void __noreturn keel_main(struct boot_info *bi);

#endif
