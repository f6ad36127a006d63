/* SPDX-License-Identifier: MIT */
/*
 * shim/hal/types.h - hal/types.h for the host: physical memory is an arena of the test.
 *
 * Stands before hal/include in the include path of what is tested. Everything but the two functions
 * that cross between physical and virtual addresses is the real header's.
 */
#ifndef UNIT_SHIM_HAL_TYPES_H
#define UNIT_SHIM_HAL_TYPES_H

#define pa_to_va	hal_pa_to_va
#define va_to_pa	hal_va_to_pa
#include_next <hal/types.h>
#undef pa_to_va
#undef va_to_pa

extern char *unit_arena;	/* physical address 0 */
extern size_t unit_arena_bytes;

/* The test fails when `pa` is no memory. */
void *unit_pa_to_va(paddr_t pa);
paddr_t unit_va_to_pa(const void *va);

static inline void *pa_to_va(paddr_t pa)
{
	return pa < unit_arena_bytes ? unit_arena + pa : unit_pa_to_va(pa);
}

static inline paddr_t va_to_pa(const void *va)
{
	return unit_va_to_pa(va);
}

#endif
