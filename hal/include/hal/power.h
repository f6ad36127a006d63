/* SPDX-License-Identifier: MIT */
/*
 * hal/power.h - the ways to end: exit status for emulators, power off, reset.
 */
#ifndef HAL_POWER_H
#define HAL_POWER_H

#include <hal/types.h>

#define HAL_EXIT_MANIFEST	120	/* manifest or bundle refused */
#define HAL_EXIT_CPU		121	/* CPU feature missing */
#define HAL_EXIT_PANIC		122

/* Say "[keel] exit status N" on the console, tell the emulator, power off; else halt for ever. */
void __noreturn hal_exit(uint8_t status);

void __noreturn hal_reset(void);

#endif
