// SPDX-License-Identifier: MIT
/*
 * calls.c - partitions that call each other while a third one ends and restarts them; the command line says which is which.
 *
 *   serve    answers every call, now and then after a sleep, so that callers queue and end while they are served
 *   call     calls for ever; ends with status 0 when the server is gone, with 1 if an answer was not to its question
 *   boss     with control: restarts the callers at random for a while, then ends the server, and powers off with
 *            status 0 if all callers ended with 0
 *
 * A caller's words say who asks (by its memory's address) and what; the server sends them back, changed, and notices if
 * one channel ever brings words of two. tests/system/test_calls.py looks at what they say.
 */
#include <stdbool.h>
#include <keel/abi.h>
#include <keel/note.h>

#define ROUNDS		200
#define LIMIT_MS	60000
#define MASK		0x5a5a5a5a5a5a5a5a

#define vcpu_page ((volatile struct keel_vcpu_page *)KEEL_VCPU_VA)

void peer_main(const struct keel_start_info *si);

static const struct keel_start_info *info;
static uint64_t seed;

struct words {
	uint64_t w[4];
};

static long enter(long nr, uint64_t a, uint64_t b, uint64_t c)
{
	__asm__ volatile("int $15" : "+a"(nr) : "D"(a), "S"(b), "d"(c) : "memory");
	return nr;
}

static long call(long nr, uint64_t a, struct words *x)
{
	register uint64_t r10 __asm__("r10") = x->w[2], r8 __asm__("r8") = x->w[3];

	__asm__ volatile("int $15" : "+a"(nr), "+S"(x->w[0]), "+d"(x->w[1]), "+r"(r10), "+r"(r8) : "D"(a) : "memory");
	x->w[2] = r10;
	x->w[3] = r8;
	return nr;
}

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static uint64_t random64(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1d;
}

static uint64_t pa_of(const void *p)
{
	return info->mem_pa + ((uint64_t)p - KEEL_PEER_VA);
}

static void say(const char *text)
{
	static char line[128] __attribute__((aligned(128)));	/* in one page */
	uint64_t n;

	for (n = 0; text[n] && n < sizeof(line); n++)
		line[n] = text[n];
	enter(KEEL_HC_CONSOLE_WRITE, pa_of(line), n, 0);
}

static void say_count(const char *before, uint64_t n, const char *behind)
{
	char text[96], digits[24];
	unsigned int at = 0, i = 0;

	while (*before)
		text[at++] = *before++;
	do
		digits[i++] = (char)('0' + n % 10);
	while (n /= 10);
	while (i)
		text[at++] = digits[--i];
	while (*behind)
		text[at++] = *behind++;
	text[at] = 0;
	say(text);
}

static _Noreturn void quit(const char *why, uint64_t reason, int status)
{
	say(why);
	for (;;)
		enter(KEEL_HC_SHUTDOWN, reason, (uint64_t)status, 0);
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return !*a && !*b;
}

static void sleep_until(uint64_t deadline)
{
	while (rdtsc() < deadline) {
		vcpu_page->events = 0;		/* of channels that go up or down: nobody here acts on them */
		enter(KEEL_HC_BLOCK, 0, deadline, 0);
	}
}

/* The first handle from `h` on that is of this type, and what it is. */
static long next_handle(long h, uint32_t type, struct keel_cap_info *cap)
{
	static struct keel_cap_info answer __attribute__((aligned(128)));

	for (; h < KEEL_MAX_HANDLES; h++) {
		if (enter(KEEL_HC_CAP_INFO, (uint64_t)h, pa_of(&answer), 0) || answer.type != type)
			continue;
		*cap = answer;
		return h;
	}
	return -1;
}

/* ---- serve ---------------------------------------------------------------------------------------------- */

static void serve(void)
{
	uint64_t who[KEEL_MAX_HANDLES] = { 0 }, page = info->free_va;
	struct keel_cap_info cap;
	struct words x = { { 0 } };
	long h;

	for (h = 0; (h = next_handle(h, KEEL_CAP_CHANNEL, &cap)) >= 0; h++, page += 4096)
		if (enter(KEEL_HC_CHAN_OFFER, (uint64_t)h, pa_of((void *)page), 1) || enter(KEEL_HC_CHAN_STATE, (uint64_t)h, 1, 0))
			quit("calls: FAIL no window\n", KEEL_SHUTDOWN_EXIT, 1);
	for (;;) {
		h = call(KEEL_HC_REPLY_WAIT, 0, &x);
		if (h == -KEEL_EAGAIN) {	/* a caller went up or down, and had its doorbell rung for that */
			vcpu_page->events = 0;
			continue;
		}
		if (h < 0 || h >= KEEL_MAX_HANDLES || x.w[1] != (x.w[0] ^ MASK) || (who[h] && who[h] != x.w[0]))
			quit("calls: FAIL words of another\n", KEEL_SHUTDOWN_EXIT, 1);
		who[h] = x.w[0];
		if (random64() % 8 == 0)
			sleep_until(rdtsc() + random64() % info->tsc_khz / 20);
		if (random64() % 64 == 0) {
			enter(KEEL_HC_CHAN_STATE, (uint64_t)h, 0, 0);	/* the caller gets its -EPIPE */
			enter(KEEL_HC_CHAN_STATE, (uint64_t)h, 1, 0);
		}
		x.w[3] = x.w[2] + x.w[0];
	}
}

/* ---- call ----------------------------------------------------------------------------------------------- */

static void calls(void)
{
	struct keel_cap_info cap;
	uint64_t chan = (uint64_t)next_handle(0, KEEL_CAP_CHANNEL, &cap), me = info->mem_pa, n = 0, refused = 0, in_a_row = 0;

	while (in_a_row < 200) {		/* for as long as the server sleeps, it is only down for a moment */
		uint64_t question = random64();
		struct words x = { { me, me ^ MASK, question, 0 } };
		long err = call(KEEL_HC_CALL, chan, &x);

		if (err == -KEEL_EPIPE) {
			refused++;
			in_a_row++;
			sleep_until(rdtsc() + info->tsc_khz / 10);
			continue;
		}
		if (err || x.w[0] != me || x.w[2] != question || x.w[3] != question + me)
			quit("calls: FAIL an answer to something else\n", KEEL_SHUTDOWN_EXIT, 1);
		in_a_row = 0;
		n++;
	}
	say_count("calls: answered ", n, "\n");
	quit("calls: the server is gone\n", KEEL_SHUTDOWN_EXIT, 0);
}

/* ---- boss ------------------------------------------------------------------------------------------------ */

static struct keel_part_info *part_info(uint64_t h)
{
	static struct keel_part_info answer __attribute__((aligned(256)));

	enter(KEEL_HC_PART_INFO, h, pa_of(&answer), 0);
	return &answer;
}

static void boss(void)
{
	uint64_t callers[8], ncallers = 0, server = 0, deadline = rdtsc() + info->tsc_khz * LIMIT_MS, i;
	struct keel_cap_info cap;
	long h;

	for (h = 0; (h = next_handle(h, KEEL_CAP_PARTITION, &cap)) >= 0; h++) {
		if (same(cap.name, "server"))
			server = (uint64_t)h;
		else if (!same(cap.name, info->name))
			callers[ncallers++] = (uint64_t)h;
	}
	for (i = 0; i < ROUNDS; i++) {
		sleep_until(rdtsc() + random64() % info->tsc_khz * 3);
		if (part_info(server)->state > KEEL_PART_BLOCKED)
			quit("calls: FAIL the server has ended\n", KEEL_SHUTDOWN_POWEROFF, 1);
		if (enter(KEEL_HC_PART_CTL, callers[random64() % ncallers], KEEL_CTL_RESTART, 0))
			quit("calls: FAIL no restart\n", KEEL_SHUTDOWN_POWEROFF, 1);
	}
	sleep_until(rdtsc() + info->tsc_khz * 10);
	enter(KEEL_HC_PART_CTL, server, KEEL_CTL_DESTROY, 0);
	for (i = 0; i < ncallers; i++) {
		while (part_info(callers[i])->state <= KEEL_PART_BLOCKED) {
			if (rdtsc() > deadline)
				quit("calls: FAIL a caller waits for ever\n", KEEL_SHUTDOWN_POWEROFF, 1);
			sleep_until(rdtsc() + info->tsc_khz);
		}
		if (part_info(callers[i])->state != KEEL_PART_EXITED || part_info(callers[i])->status)
			quit("calls: FAIL a caller did not end well\n", KEEL_SHUTDOWN_POWEROFF, 1);
	}
	quit("calls: all ended well\n", KEEL_SHUTDOWN_POWEROFF, 0);
}

void peer_main(const struct keel_start_info *si)
{
	info = si;
	seed = rdtsc() | 1;
	if (same(si->cmdline, "serve"))
		serve();
	if (same(si->cmdline, "call"))
		calls();
	boss();
}

__asm__(".section .text.start, \"ax\"\n"
	".globl _start\n"
	"_start: xorl %ebp, %ebp\n"
	"	call peer_main\n"
	"	ud2\n"
	".previous\n"
	".section .note.GNU-stack, \"\", @progbits\n"
	".previous\n");
