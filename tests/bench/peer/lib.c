// SPDX-License-Identifier: MIT
/*
 * lib.c - entry, console, memory and page tables of a measuring partition.
 */
#include <keel/note.h>
#include "peer.h"

void peer_main(const struct keel_start_info *si);

const struct keel_start_info *info;
static uint64_t next_free;
static char line[128] __attribute__((aligned(128)));	/* in one page */

void *memset(void *p, int c, size_t n);

void *memset(void *p, int c, size_t n)
{
	void *d = p;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return p;
}

typedef uint64_t vector __attribute__((vector_size(16), aligned(1), may_alias));

/* Not by REP MOVSB: with -icount each byte of it is an instruction. */
void *memcpy(void *to, const void *from, size_t n)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	for (; n >= 64; n -= 64, d += 64, s += 64) {
		vector a = ((const vector *)s)[0], b = ((const vector *)s)[1], c = ((const vector *)s)[2], e = ((const vector *)s)[3];

		((vector *)d)[0] = a;
		((vector *)d)[1] = b;
		((vector *)d)[2] = c;
		((vector *)d)[3] = e;
	}
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	return to;
}

/* A whole line at once: two partitions write to one console. */
void say(const char *text)
{
	static uint64_t n;

	for (; *text && n < sizeof(line); text++) {
		line[n++] = *text;
		if (*text == '\n') {
			hcall(KEEL_HC_CONSOLE_WRITE, pa_of(line), n, 0);
			n = 0;
		}
	}
}

static void say_number(uint64_t v)
{
	char digits[24], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	say(p);
}

void say_value(const char *before, uint64_t v)
{
	say(before);
	say_number(v);
}

void result(const char *name, uint64_t ticks)
{
	say("BENCH ");
	say(name);
	say(" ");
	say_number(ticks);
	say("\n");
}

void stop(const char *why)
{
	say("BENCH-FAILED ");
	say(why);
	say("\n");
	for (;;)
		hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_POWEROFF, 1, 0);
}

uint64_t overhead(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < BEST_OF; i++) {
		uint64_t t = rdtsc();

		t = rdtsc() - t;
		best = t < best ? t : best;
	}
	return best;
}

void known_loop(void)
{
	uint64_t rounds = 1000000, ticks = rdtsc();

	__asm__ volatile("1: decq %0; jnz 1b" : "+r"(rounds) : : "cc");
	ticks = rdtsc() - ticks;
	say("BENCH-LOOP 2000000 ");
	say_number(ticks);
	say("\n");
}

void *room(uint64_t n)
{
	void *p = (void *)next_free;

	next_free += n * PAGE;
	if (next_free > KEEL_PEER_VA + info->mem_bytes)
		stop("no memory left");
	return p;
}

void *pages(uint64_t n)
{
	return memset(room(n), 0, n * PAGE);
}

/* The partition's own page tables lie in its memory, which is mapped from KEEL_PEER_VA on. */
uint64_t *leaf(uint64_t va)
{
	uint64_t *table = (uint64_t *)(KEEL_PEER_VA + (info->cr3_pa - info->mem_pa));

	for (unsigned int shift = 39; shift > 12; shift -= 9) {
		uint64_t *e = &table[va >> shift & 511];

		if (!(*e & PTE_P))
			*e = pa_of(pages(1)) | PTE_P | PTE_W | PTE_U | PTE_A;
		table = (uint64_t *)(KEEL_PEER_VA + ((*e & ~(PAGE - 1) & ~(1UL << 63)) - info->mem_pa));
	}
	return &table[va >> 12 & 511];
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

static uint64_t handle_named(const char *name, unsigned int type)
{
	static struct keel_cap_info cap __attribute__((aligned(128)));

	for (uint64_t h = 0; h < KEEL_MAX_HANDLES; h++)
		if (hcall(KEEL_HC_CAP_INFO, h, pa_of(&cap), 0) == 0 && cap.type == type && same(name, cap.name))
			return h;
	stop(name);
}

uint64_t part_named(const char *name)
{
	return handle_named(name, KEEL_CAP_PARTITION);
}

uint64_t chan_named(const char *name)
{
	return handle_named(name, KEEL_CAP_CHANNEL);
}

void peer_main(const struct keel_start_info *si)
{
	info = si;
	next_free = si->free_va;
	if (asked("sleeper"))
		be_sleeper();
	if (asked("ringer"))
		be_ringer(false);
	if (asked("ringer-cross"))
		be_ringer(true);
	if (asked("server"))
		be_server();
	if (asked("caller"))
		be_caller(false);
	if (asked("caller-cross"))
		be_caller(true);
	if (asked("big"))
		be_big();
	if (asked("deep"))
		be_deep();
	if (asked("many"))
		be_many();
	known_loop();
	if (asked("irqs")) {
		measure_irqs();
	} else if (asked("irqs2")) {
		measure_irqs_2cpus();
	} else {
		measure_entries();
		measure_ring();
	}
	say("BENCH-END\n");
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_POWEROFF, 0, 0);
	stop("still here");
}

__asm__(".section .text.start, \"ax\"\n"
	".globl _start\n"
	"_start: xorl %ebp, %ebp\n"
	"	call peer_main\n"
	"	ud2\n"
	".previous\n"
	".section .note.GNU-stack, \"\", @progbits\n"
	".previous\n");
