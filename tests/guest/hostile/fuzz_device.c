// SPDX-License-Identifier: MIT
/*
 * fuzz_device.c - random writes to ports and configuration space by a partition that holds the devices.
 *
 * Nothing may happen to the machine: it neither sleeps nor resets (this goes on), and the metakernel is as
 * it was (a debug build adds up its text, constants and tables). DMA is not tried, because a bus master
 * is trusted (rule 23): no function becomes one, and the port by which QEMU's fw_cfg does DMA is left out.
 */
#include "hostile.h"

#define PROGRESS	20000
#define BUS_MASTER	4U

static uint32_t any32(void)
{
	static const uint32_t values[] = {
		0, 0xffffffff, 0xfee00000, 0xfec00000, 0xfed00000, 0x100000, 0x80000, 0xfffff000, 0xb001, 0x601, 0xcf9,
		0x2001, 0x3c01, 0x2c012c01, 0x47, 0x3, 0x80, 0x31, 0x4a, 0xfed1c001, 0xb0000001, 0xe1000000, 0xf1f1f1f1,
	};

	return random64() & 1 ? (uint32_t)random64() : values[random64() % (sizeof(values) / sizeof(values[0]))];
}

static void any_out(uint16_t port, uint32_t value)
{
	switch (random64() % 3) {
	case 0: port_out8(port, value, 0); break;
	case 1: port_out16(port, value, 0); break;
	default: port_out32(port, value, 0);
	}
}

static void one_config(void)
{
	/* Mostly what is there: devices 0 to 3 and 31 of bus 0 */
	static const uint32_t devices[] = { 0, 1, 2, 3, 31, 31, 1, 30 };
	uint32_t dev = random64() % 8 ? devices[random64() % 8] : random64() % 32;
	uint32_t address = dev << 11 | (random64() % 8) << 8 | (random64() & 0xff);
	uint32_t value = any32();

	if (random64() % 64 == 0)
		address |= (random64() & 0xff) << 16;
	if ((address & 0xfc) == 4)
		value &= ~(BUS_MASTER * 0x01010101U);
	port_out32(0xcf8, 0x80000000 | address, 0);
	any_out((uint16_t)(0xcfc + (address & 3)), value);
	if (random64() % 32 == 0)
		port_in32(0xcfc, 0, 0);
}

static void one_port(void)
{
	static const uint16_t near[] = { 0x604, 0x600, 0xb004, 0xb2, 0x64, 0x92, 0x61, 0xcf8, 0x620, 0x660, 0xafe0, 0xae00,
					 0x20, 0x70, 0x3f8, 0xf4, 0x40, 0x700, 0x501, 0xcd6 };
	uint16_t port = (uint16_t)random64();

	if (random64() & 1)
		port = (uint16_t)(near[random64() % (sizeof(near) / sizeof(near[0]))] + random64() % 8 - 2);
	/* fw_cfg's DMA; and data for what an earlier write to 0xcf8 chose */
	if ((port >= 0x50d && port < 0x51c) || (port >= 0xcf9 && port < 0xd00))
		return;
	any_out(port, any32());
}

static void no_bus_masters(void)
{
	uint32_t function;

	for (function = 0; function < 0x10000; function += 0x100) {
		port_out32(0xcf8, 0x80000000 | function | 4, 0);
		port_out16(0xcfc, (uint64_t)port_in32(0xcfc, 0, 0) & ~BUS_MASTER, 0);
	}
}

void fuzz_devices(const char *arg)
{
	uint64_t seed = number(&arg), count, i;
	int64_t sum;
	const char *why;

	if (*arg == ',')
		arg++;
	count = number(&arg);
	random_state = seed * 0x9e3779b97f4a7c15 + 1;
	kernel_init();
	sanity_init();
	no_bus_masters();
	sum = hcall(HC_DEBUG, 15, 0, 0);
	for (i = 0; i < count; i++) {
		if (random64() & 1)
			one_config();
		else
			one_port();
		vcpu_page->flags = 0;
		if (i % PROGRESS == PROGRESS - 1)
			say("HOSTILE devfuzz %lu of %lu\n", i + 1, count);
	}
	hcall(KEEL_HC_TIMER, 0, 0, 0);
	why = sanity();
	if (!why && hcall(HC_DEBUG, 0, 0, 0) == 1 && hcall(HC_DEBUG, 15, 0, 0) != sum)
		why = "the metakernel has changed";
	say("HOSTILE devfuzz %s%s\n", why ? "FAIL " : "ok", why ? why : "");
	finish(!why, !!why);
}
