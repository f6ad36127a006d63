/* SPDX-License-Identifier: MIT */
/*
 * hal/hooks.h - the few functions hal calls upwards; the metakernel implements them.
 */
#ifndef HAL_HOOKS_H
#define HAL_HOOKS_H

#include <hal/boot.h>

/* Start of the metakernel: boot CPU, its own tables, interrupts off, legacy PIC not yet masked. */
void __noreturn keel_main(struct boot_info *bi);

/*
 * A started CPU's first C function (hal/smp.h): its own tables and stack, interrupts off, control registers as ap.S
 * left them, no IDT, no TSS yet.
 */
void __noreturn keel_cpu_start(void);

/* A CPU that is up and may go: what is used only once is gone, and out of its TLB. */
void __noreturn keel_cpu_main(void);

/* The machine is about to end or reset: send what still waits for the serial port, waiting (bounded). */
void keel_last_words(void);

#endif
