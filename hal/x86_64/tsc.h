/* SPDX-License-Identifier: MIT */
/*
 * tsc.h - private to hal/x86_64: the rate of the time-stamp counter.
 */
#ifndef HAL_TSC_H
#define HAL_TSC_H

#include <hal/types.h>

extern uint64_t tsc_khz;	/* 0: not known yet */

/* Find it. Does nothing the second time. */
void tsc_calibrate(void);

#endif
