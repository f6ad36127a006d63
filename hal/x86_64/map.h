/* SPDX-License-Identifier: MIT */
/*
 * map.h - private to hal/x86_64: the metakernel's address map.
 */
#ifndef HAL_MAP_H
#define HAL_MAP_H

#include <hal/types.h>

extern uint64_t boot_pml4[], boot_pd_image[];	/* boot/start.S */
extern uint64_t map_end;			/* of the direct map: a machine address */

#endif
