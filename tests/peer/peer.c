// SPDX-License-Identifier: MIT
/*
 * peer.c - the smallest unikernel that can do wrong: its command line says what.
 *
 *   wild         writes where nothing is mapped, three calls deep
 *   privileged   executes an instruction of ring 0
 *   code         writes into its own code
 *   memory       uses its memory up and goes on
 *   panic        says itself that it cannot go on
 *   exit         ends in order, with status 5
 *   spin         runs for ever
 *   tick         wakes up ten thousand times a second
 *   flood        writes lines for ever
 *   again        with control: restarts the partition "big" for ever
 *   burn         rings the other side of its channel for ever
 *   steady       160 us of work every ms, a thousand times; says how many were not done by the next, and how long they took
 *   steady-long  the same ten thousand times
 *   forge        writes what would change a terminal, or look like a line of somebody else
 *
 * It says "peer: ready WORD" first. tests/system/test_faults.py looks at what comes of it.
 */
#include <stdbool.h>
#include <keel/note.h>

void peer_main(const struct keel_start_info *si);

static const struct keel_start_info *info;

static long hcall(long nr, uint64_t a, uint64_t b)
{
	asm volatile("int $15" : "+a" (nr) : "D" (a), "S" (b) : "memory");
	return nr;
}

static void say(const char *text)
{
	static char line[128] __attribute__((aligned(128)));	/* in one page */
	uint64_t n = 0;

	while (text[n] && n < sizeof(line)) {
		line[n] = text[n];
		n++;
	}
	hcall(KEEL_HC_CONSOLE_WRITE, info->mem_pa + ((uint64_t)line - KEEL_PEER_VA), n);
}

static uint64_t now_tsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a" (low), "=d" (high));
	return (uint64_t)high << 32 | low;
}

static void flood(void)
{
	for (;;)
		say("flood flood flood flood flood flood\n");
}

static void say_number(const char *before, uint64_t n)
{
	char digits[24], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	say(before);
	say(p);
}

static void burn(void)
{
	for (;;)
		hcall(KEEL_HC_CHAN_KICK, 1, 0);
}

#define STEADY_US	160
#define STEADY_BUCKETS	20	/* of 50 us */

/* As many instructions as that takes where one takes a nanosecond (QEMU's -icount). */
static void work(uint64_t us)
{
	uint64_t rounds = us * 1000 / 2;

	asm volatile("1: decq %0; jnz 1b" : "+r" (rounds) : : "cc");
}

static void steady(unsigned int periods)
{
	uint64_t us = info->tsc_khz / 1000, period = info->tsc_khz, next = now_tsc() + period, took, most = 0;
	unsigned int missed = 0, histogram[STEADY_BUCKETS + 1] = { 0 };

	for (unsigned int i = 0; i < periods; i++, next += period) {
		while (now_tsc() < next)
			hcall(KEEL_HC_BLOCK, 0, next);
		work(STEADY_US);
		took = now_tsc() - next;
		missed += took > period;
		most = took > most ? took : most;
		took /= 50 * us;
		histogram[took < STEADY_BUCKETS ? took : STEADY_BUCKETS]++;
	}
	for (unsigned int i = 0; i <= STEADY_BUCKETS; i++) {
		if (!histogram[i])
			continue;
		say_number("peer: done after ", i * 50);
		say_number(" us or more: ", histogram[i]);
		say("\n");
	}
	say_number("peer: steady ", periods);
	say_number(" missed ", missed);
	say_number(" longest ", most / us);
	say(" us\n");
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_EXIT, missed ? 1 : 0);
}

static void forge(void)
{
	say("\033[2J\033[H\r[keel] forged by ESC\n");
	say("\b\b\b\b\b\b\b\b\b[keel] forged by BS\n");
	say("a\r\n[keel] forged by LF\r[keel] forged by CR\n");
	say("\302\233A \233A \302\205[linux] forged by C1\n");
	for (unsigned int i = 0; i < 12; i++)
		say("0123456789");
	say("[keel] forged by length\n");
	say("forge: gr\303\274n\n");
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return !*a && !*b;
}

static bool asked(const char *word)
{
	return same(word, info->cmdline);
}

static void again(void)
{
	static struct keel_cap_info cap __attribute__((aligned(128)));
	uint64_t h = 0;

	while (hcall(KEEL_HC_CAP_INFO, h, info->mem_pa + ((uint64_t)&cap - KEEL_PEER_VA)) == 0 &&
	       !same(cap.name, "big"))
		h++;
	while (hcall(KEEL_HC_PART_CTL, h, KEEL_CTL_RESTART) == 0)
		;
	say("peer: not again\n");
}

__attribute__((noinline)) static void wild_write(volatile uint64_t *at)
{
	*at = 1;
	asm volatile("");	/* no tail calls: each of the three is in the backtrace */
}

__attribute__((noinline)) static void wild_caller(uint64_t at)
{
	wild_write((volatile uint64_t *)at);
	asm volatile("");
}

/* At a fixed distance from each other, so that a test can say what the backtrace must hold. */
__attribute__((noinline)) static void wild(void)
{
	wild_caller(0x123456789000);
	asm volatile("");
}

static void use_up_memory(void)
{
	volatile uint8_t *p = (volatile uint8_t *)info->free_va;

	for (;; p += 4096)
		*p = 1;
}

void peer_main(const struct keel_start_info *si)
{
	info = si;
	say("peer: ready ");
	say(si->cmdline);
	say("\n");
	if (asked("wild"))
		wild();
	if (asked("privileged"))
		asm volatile("wbinvd");
	if (asked("code"))
		*(volatile uint8_t *)(uintptr_t)peer_main = 0;
	if (asked("memory"))
		use_up_memory();
	if (asked("panic"))
		hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_CRASH, 1);
	if (asked("exit"))
		hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_EXIT, 5);
	if (asked("flood"))
		flood();
	if (asked("again"))
		again();
	if (asked("burn"))
		burn();
	if (asked("steady"))
		steady(1000);
	if (asked("steady-long"))
		steady(10000);
	if (asked("forge"))
		forge();
	if (asked("spin"))
		for (;;)
			asm volatile("pause");
	if (asked("tick"))
		for (;;)
			hcall(KEEL_HC_BLOCK, 0, now_tsc() + si->tsc_khz / 10);
	say("peer: still alive\n");
	for (;;)
		hcall(KEEL_HC_BLOCK, 0, 0);
}

asm(".section .text.start, \"ax\"\n"
    ".globl _start\n"
    "_start: xorl %ebp, %ebp\n"
    "	call peer_main\n"
    "	ud2\n"
    ".previous\n"
    ".section .note.GNU-stack, \"\", @progbits\n"
    ".previous\n");
