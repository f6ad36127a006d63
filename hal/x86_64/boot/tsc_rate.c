// SPDX-License-Identifier: MIT
/*
 * tsc_rate.c - the rate of the time-stamp counter: told by the hypervisor or CPUID, or measured
 * against channel 2 of the PIT (Intel 8254), whose gate and output are in port 0x61.
 */
#include <hal/cpu.h>
#include <hal/irq.h>
#include "../tsc.h"

#define PIT_HZ		1193182
#define PIT_CH2		0x42
#define PIT_MODE	0x43
#define PIT_CH2_MODE0	0xb0	/* channel 2, both bytes, mode 0: output rises at zero */
#define PIT_CH2_LATCH	0x80
#define PORT_B		0x61
#define PORT_B_GATE2	0x01
#define PORT_B_SPEAKER	0x02
#define PORT_B_OUT2	0x20

#define MEASURE_COUNTS	12000		/* 10 ms */
#define MEASURE_ROUNDS	40
#define GOOD_ERROR	512		/* of 2^20: 1 in 2000 */
#define TSC_GIVE_UP	20000000000	/* ticks without an answer: there is no PIT */

static const char *tsc_source = "guess";

const char *hal_tsc_source(void)
{
	return tsc_source;
}

/* Leaf 0x40000010: a convention VMware started; KVM and others follow it. */
static uint64_t khz_from_hypervisor(void)
{
	if (!hal_cpu()->hypervisor || hal_cpuid(0x40000000, 0).eax < 0x40000010)
		return 0;
	return hal_cpuid(0x40000010, 0).eax;
}

/* Leaf 0x15: crystal Hz * EBX / EAX (vol. 3B, 19.7.3). Only if the crystal is enumerated. */
static uint64_t khz_from_cpuid(void)
{
	struct hal_cpuid r;

	if (hal_cpu()->max_leaf < 0x15)
		return 0;
	r = hal_cpuid(0x15, 0);
	if (!r.eax || !r.ebx || !r.ecx)
		return 0;
	return (uint64_t)r.ecx * r.ebx / r.eax / 1000;
}

/* The PIT's count and the TSC at one moment, give or take half of `width` ticks. */
struct reading {
	uint64_t tsc, width;
	uint16_t count;
};

static struct reading read_both(void)
{
	struct reading r;

	r.tsc = hal_rdtsc();
	hal_outb(PIT_MODE, PIT_CH2_LATCH);
	r.width = hal_rdtsc() - r.tsc;
	r.tsc += r.width / 2;
	r.count = hal_inb(PIT_CH2);
	r.count |= (uint16_t)(hal_inb(PIT_CH2) << 8);
	return r;
}

/*
 * One countdown of 55 ms. Two readings of it give the rate, however long this CPU was away between
 * them: what counts is that it was not away during a reading (we may be a thread of a busy host). Ends
 * with the first pair of readings that is good enough. -> kHz, and in *error the uncertainty in parts
 * of 2^20; 0 if there was no pair at all.
 */
static uint64_t pit_round(uint64_t *error)
{
	uint8_t portb = (uint8_t)(hal_inb(PORT_B) & ~(PORT_B_GATE2 | PORT_B_SPEAKER));
	struct reading a, b;
	uint64_t khz = 0;

	hal_outb(PORT_B, portb);
	hal_outb(PIT_MODE, PIT_CH2_MODE0);
	hal_outb(PIT_CH2, 0xff);
	hal_outb(PIT_CH2, 0xff);
	hal_outb(PORT_B, portb | PORT_B_GATE2);
	*error = UINT64_MAX;
	a = read_both();
	for (unsigned int i = 0; i < 4; i++) {
		b = read_both();
		if (b.width < a.width)
			a = b;
	}
	do {
		uint64_t ticks, counts, now;

		b = read_both();
		ticks = b.tsc - a.tsc;
		counts = (uint16_t)(a.count - b.count);
		if (hal_inb(PORT_B) & PORT_B_OUT2)
			break;		/* over; the count starts again at its top */
		if (ticks > TSC_GIVE_UP) {
			*error = 0;	/* no use trying again */
			return 0;
		}
		if (counts < MEASURE_COUNTS)
			continue;
		now = ((a.width + b.width) << 20) / ticks;
		if (now < *error) {
			*error = now;
			khz = ticks * PIT_HZ / counts / 1000;
		}
	} while (*error > GOOD_ERROR);
	hal_outb(PORT_B, portb);
	return khz;
}

static uint64_t khz_from_pit(void)
{
	uint64_t khz = 0, best = UINT64_MAX;

	for (unsigned int i = 0; i < MEASURE_ROUNDS && best > GOOD_ERROR; i++) {
		uint64_t error, measured = pit_round(&error);

		if (error < best) {
			best = error;
			khz = measured;
		}
	}
	return khz;
}

/* Base frequency in MHz if CPUID has it (leaf 0x16), else something sane. */
static uint64_t khz_guess(void)
{
	uint64_t khz = 0;

	if (hal_cpu()->max_leaf >= 0x16)
		khz = (hal_cpuid(0x16, 0).eax & 0xffff) * 1000ULL;
	return khz ? khz : 2000000;
}

/* Within one part in 64. */
static bool near(uint64_t a, uint64_t b)
{
	uint64_t diff = a > b ? a - b : b - a;

	return diff <= b / 64;
}

/*
 * A hypervisor is believed. CPUID is exact where it is right, but emulators copy it from a real
 * machine (Bochs' Ice Lake says 1.5 GHz and runs at 50 MHz), so the PIT must agree.
 */
void tsc_calibrate(void)
{
	uint64_t pit, told;

	if (tsc_khz)
		return;
	tsc_source = "hypervisor";
	tsc_khz = khz_from_hypervisor();
	if (tsc_khz)
		return;
	told = khz_from_cpuid();
	pit = khz_from_pit();
	if (told && (!pit || near(told, pit))) {
		tsc_source = "cpuid";
		tsc_khz = told;
	} else if (pit) {
		tsc_source = "pit";
		tsc_khz = pit;
	} else {
		tsc_source = "guess";
		tsc_khz = khz_guess();
	}
}
