// SPDX-License-Identifier: MIT
/*
 * check_storm.c - interrupts that come without end (rule 25): a line is masked and comes back, messages wait.
 *
 * QEMU's `edu` device is the one that storms: its line stays as it is until somebody acknowledges it. An emulated
 * CPU is too slow for what counts as a storm, so the debug build is asked for less.
 */
#include "hostile.h"

#define EDU		0x11e81234U
#define EDU_RAISE	0x60
#define EDU_ACK		0x64
#define VECTOR		0x51U
#define MESSAGE		0x61U
#define HIGHER		0x71U
#define LIMIT		100U	/* in 100 ms */
#define MOST		(3 * LIMIT)	/* a window may have begun before */
#define RTE_LEVEL	0x8000U
#define RTE_MASKED	0x10000U
#define CALM_US		1000000

static volatile uint32_t *edu;
static unsigned int pin;

static long wait_for_it(uint64_t us, uint64_t b, uint64_t c)
{
	uint64_t end = rdtsc() + us * start_info->tsc_khz / 1000;

	(void)b, (void)c;
	vcpu_page->flags = 0x200;
	hcall(KEEL_HC_IRQ_WINDOW, 0, 0, 0);
	while (rdtsc() < end)
		;
	vcpu_page->flags = 0;
	return 0;
}

/* What else was still waiting comes first. */
static bool arrives(attempt_fn fn, uint64_t a, uint64_t b, unsigned int which)
{
	unsigned int tries = 8;
	bool event;

	do {
		event = attempt(fn, a, b, 0);
		vcpu_page->flags = 0;
	} while (event && vector() != which && --tries);
	return event && vector() == which;
}

static bool comes(unsigned int which, uint64_t us)
{
	bool came = arrives(wait_for_it, us, 0, which);

	if (came)
		hcall(KEEL_HC_EOI, 0, 0, 0);
	return came;
}

/* How often it comes until it no longer does, MOST + 1 at most. */
static unsigned int how_often(unsigned int which)
{
	unsigned int n = 0;

	while (n <= MOST && comes(which, 20000))
		n++;
	return n;
}

static void write_line(uint32_t low)
{
	hcall(KEEL_HC_IOAPIC_WRITE, 0, 0x11 + 2 * pin, (uint64_t)vcpu_page->apic_id << 24);
	hcall(KEEL_HC_IOAPIC_WRITE, 0, 0x10 + 2 * pin, low);
}

static bool line_is_masked(void)
{
	return hcall(HC_DEBUG, 14, 0, 0x10 + 2 * pin) & RTE_MASKED;
}

static bool find_edu(void)
{
	unsigned int dev;

	for (dev = 1; dev < 32; dev++) {
		uint32_t at = dev << 11;

		if (config_read(at) != EDU)
			continue;
		config_write(at | 4, 2);
		edu = map_device(config_read(at | 0x10) & ~15U);
		pin = config_read(at | 0x3c) & 0xff;
		return true;
	}
	return false;
}

/* A line whose cause nobody takes away. */
static const char *line_storms(void)
{
	unsigned int n;

	write_line(VECTOR | RTE_LEVEL);
	edu[EDU_RAISE / 4] = 1;
	n = how_often(VECTOR);
	EXPECT(n >= LIMIT / 2 && n <= MOST, "line %u came %u times", pin, n);
	EXPECT(line_is_masked(), "line %u is not masked", pin);
	write_line(VECTOR | RTE_LEVEL);
	EXPECT(comes(VECTOR, 20000), "a line that was written anew does not come");
	n = how_often(VECTOR);
	EXPECT(n <= MOST && line_is_masked(), "the second time it came %u times", n);
	EXPECT(comes(VECTOR, 2 * CALM_US), "it does not come back");
	edu[EDU_ACK / 4] = 1;
	hcall(KEEL_HC_EOI, 0, 0, 0);
	EXPECT(how_often(VECTOR) <= 2, "it came without a cause");
	write_line(RTE_MASKED);
	return NULL;
}

static long send_message(uint64_t which, uint64_t us, uint64_t c)
{
	hcall(HC_DEBUG, 1, which, 0);
	return wait_for_it(us, 0, c);
}

static bool message_comes(unsigned int which)
{
	return arrives(send_message, which, 5000, which);
}

/* Forged ones are as good as a device's: no line carries the vector. */
static const char *messages_storm(void)
{
	unsigned int n = 0;

	while (n <= MOST && message_comes(MESSAGE))
		n++;
	EXPECT(n >= LIMIT / 2 && n <= MOST, "message %x came %u times", MESSAGE, n);
	EXPECT(!message_comes(MESSAGE - 1), "one of the same class comes");
	EXPECT(message_comes(HIGHER), "one of a higher class does not come");
	EXPECT(comes(MESSAGE, 2 * CALM_US), "it does not come back");
	return NULL;
}

const char *check_storm(void)
{
	const char *why;

	EXPECT(find_edu(), "no edu device");
	EXPECT(hcall(HC_DEBUG, 17, LIMIT, 0) == 0, "not a debug build");
	why = line_storms();
	if (!why)
		why = messages_storm();
	hcall(HC_DEBUG, 17, 10000, 0);
	if (why)
		return why;
	return sanity();
}
