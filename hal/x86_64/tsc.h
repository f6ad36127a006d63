/* SPDX-License-Identifier: MIT */
/*
 * tsc.h - private to hal/x86_64: measure the time-stamp counter.
 */
#ifndef HAL_TSC_H
#define HAL_TSC_H

/* Find hal_tsc_khz(). Does nothing the second time. */
void tsc_calibrate(void);

#endif
