// SPDX-License-Identifier: MIT
/* tsc.c - the time-stamp counter as a clock. hal/x86_64/boot/tsc_rate.c finds its rate. */
#include <hal/cpu.h>
#include <hal/irq.h>
#include "tsc.h"

uint64_t tsc_khz;

uint64_t hal_tsc_khz(void)
{
	return tsc_khz;
}

void hal_delay_us(uint64_t us)
{
	uint64_t t0 = hal_rdtsc(), ticks = us * tsc_khz / 1000;

	while (hal_rdtsc() - t0 < ticks)
		hal_pause();
}
