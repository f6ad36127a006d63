/* SPDX-License-Identifier: MIT */
/* machine.h - what a partition is told of the machine and Linux user space can find out. */
#ifndef KEELCTL_MACHINE_H
#define KEELCTL_MACHINE_H

#include <stdint.h>

/* Of the time-stamp counter. */
uint64_t machine_tsc_khz(void);
/* The extended states a new vCPU has enabled: x87, SSE and AVX of those the machine has. */
uint64_t machine_xcr0(void);

#endif
