/* SPDX-License-Identifier: MIT */
/*
 * hal/hooks.h - the few functions hal calls upwards; the metakernel implements them.
 */
#ifndef HAL_HOOKS_H
#define HAL_HOOKS_H

#include <hal/boot.h>

/* Start of the metakernel: boot CPU, its own tables, interrupts off, legacy PIC not yet masked. */
void __noreturn keel_main(struct boot_info *bi);

/* The machine is about to end or reset: send what still waits for the serial port, waiting (bounded). */
void keel_last_words(void);

#endif
