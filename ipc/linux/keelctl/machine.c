// SPDX-License-Identifier: MIT
/* machine.c - see machine.h. */
#include "machine.h"

#include <cpuid.h>
#include <stdio.h>
#include <time.h>

#define STATES		7u	/* x87, SSE, AVX */
#define MEASURE_MS	20

/* Linux on Keel takes the frequency from the metakernel, and shows all of its digits. */
static uint64_t told_khz(void)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	unsigned int mhz, khz;
	uint64_t found = 0;
	char line[4096];

	while (f && !found && fgets(line, sizeof(line), f))
		if (sscanf(line, "cpu MHz : %u.%3u", &mhz, &khz) == 2)
			found = (uint64_t)mhz * 1000 + khz;
	if (f)
		fclose(f);
	return found;
}

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t measured_khz(void)
{
	const struct timespec pause = { .tv_nsec = MEASURE_MS * 1000000 };
	uint64_t ns = clock_ns(), tsc = __builtin_ia32_rdtsc();

	nanosleep(&pause, NULL);
	tsc = __builtin_ia32_rdtsc() - tsc;
	ns = clock_ns() - ns;
	return ns ? tsc * 1000000 / ns : 0;
}

uint64_t machine_tsc_khz(void)
{
	uint64_t khz = told_khz();

	return khz ? khz : measured_khz();
}

uint64_t machine_xcr0(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_XSAVE))
		return 0;
	return __get_cpuid_count(0xd, 0, &a, &b, &c, &d) ? a & STATES : STATES & 3;
}
