/* SPDX-License-Identifier: MIT */
/*
 * hal/rtc.h - the wall clock in CMOS, taken to be UTC.
 */
#ifndef HAL_RTC_H
#define HAL_RTC_H

#include <hal/types.h>

/* Seconds since 1970-01-01, or 0 if the clock does not answer sensibly. Takes up to a millisecond. */
uint64_t hal_rtc_unix_seconds(void);

#endif
