// SPDX-License-Identifier: MIT
/*
 * fuzz.c - hypercalls with random numbers and arguments, a little biased towards what is valid.
 *
 * Left out is what ends the partition by design: SHUTDOWN, IRET, a garbage CR3, an event entry or an
 * IDT that leads nowhere. Buffers lie in pages of their own, since most calls write them.
 */
#include "hostile.h"

#define SCRATCH_PAGES	64
#define PROGRESS	20000

static uint8_t *scratch;

static uint64_t any_address(void)
{
	const uint64_t mem = whole_pa;

	switch (random64() % 12) {
	case 0: return random64();
	case 1: return 0;
	case 2: return ~0UL << (random64() & 63);
	case 3: return 1UL << (random64() & 63);
	case 4: return KEEL_HOLE_BASE + (random64() & 0x1fffff);
	case 5: return 0x0000800000000000 - (random64() & 0xffff);
	case 6: return mem - PAGE * (random64() % 64);
	case 7: return mem + whole_bytes + PAGE * (random64() % 64);
	case 8: return 0x100000 + (random64() & 0x1ff000);
	case 9: return 0xfec00000 + (random64() & 0x13ff000);
	case 10: return WINDOW_VA + (random64() & 0x3fffff);
	default: return (1UL << 47) + random64() % (1UL << 47);
	}
}

/* Machine address of scratch memory, or anything else that is not other memory of ours. */
static uint64_t any_buffer(void)
{
	uint64_t a;

	if (random64() % 4)
		return pa_of(scratch + random64() % (SCRATCH_PAGES * PAGE) / (random64() & 1 ? 1 : PAGE) % SCRATCH_PAGES * PAGE) +
		       (random64() & 1 ? random64() & 4095 : 0);
	do
		a = any_address();
	while (own_pa(a & ((1UL << 52) - 1)));
	return a;
}

static uint64_t any_length(void)
{
	switch (random64() % 8) {
	case 0: return random64() % 8192;
	case 1: return random64();
	case 2: return 4096;
	case 3: return 0;
	default: return random64() % 16;
	}
}

static uint64_t any_value(void)
{
	switch (random64() % 4) {
	case 0: return random64() & 63;
	case 1: return any_address();
	case 2: return any_buffer();
	default: return random64();
	}
}

static uint64_t any_handle(void)
{
	return random64() % 4 ? random64() % 6 : any_value();
}

static uint64_t any_selector(void)
{
	return random64() & 1 ? (random64() % 4 + 12) * 8 + 3 : random64() & 0xffff;
}

struct args {
	uint64_t a, b, c;
};

/* Arguments that a call about the partition itself may take. */
static void args_of_own(uint64_t n, struct args *x)
{
	switch (n) {
	case KEEL_HC_CONSOLE_WRITE:
		x->a = any_buffer();
		x->b = random64() % 64 ? 0 : any_length();
		break;
	case KEEL_HC_CONSOLE_READ:
		x->a = any_buffer();
		x->b = any_length();
		break;
	case KEEL_HC_BLOCK:
		x->a = 0;
		x->b = rdtsc() + random64() % 200000;
		break;
	case KEEL_HC_SET_ENTRY:
		if (x->a <= KEEL_ENTRY_EVENT_KERNEL || x->a == KEEL_ENTRY_BAD_IRET)
			x->a += KEEL_ENTRY_NR;
		else if (x->a < KEEL_ENTRY_NR)
			x->b = KEEL_HOLE_BASE + x->b % 0x200000;
		break;
	case KEEL_HC_LOAD_IDT:
		if (own_pa(x->a))
			x->a += 1UL << 45;
		break;
	case KEEL_HC_LOAD_CR3:
		x->a = start_info->cr3_pa | (random64() & (0xfffUL | 1UL << 63));
		break;
	case KEEL_HC_FLUSH:
		x->a = random64() % 5;
		x->b = any_address();
		x->c = random64() & 1 ? random64() % 600 : any_value();
		break;
	case KEEL_HC_FILL:
	case KEEL_HC_FLUSH_FILL:
		x->a = any_address();
		x->b = random64() & 63;
		break;
	case KEEL_HC_LOAD_GS:
		x->a = any_selector();
		break;
	case KEEL_HC_SET_DESC:
		x->a = random64() % 8 + 10;
		if (random64() & 1)
			x->b = random64() & 1 ? 0x00cff3000000ffff : 0x00cff1000000ffff;
		break;
	case KEEL_HC_TIMER:
		x->a = random64() & 1 ? rdtsc() + random64() % 1000000 : any_value();
		break;
	}
}

/* Calls from one vCPU to others. */
static void args_between_vcpus(uint64_t n, struct args *x)
{
	switch (n) {
	case KEEL_HC_VCPU_START:	/* an address that could be would begin there, without a stack */
		x->a = random64() & 1 ? random64() % (clones + 2) : any_value();
		x->b = random64() & 1 ? KEEL_HOLE_BASE + (x->b & 0x1fffff) : 1UL << 47 | x->b >> 17;
		break;
	case KEEL_HC_IPI:	/* not the NMI-like event: in a hypercall's way back there may be no frame for it */
		x->a = random64() % (clones + 1);
		x->b = 0x20 + random64() % 0xe8;
		break;
	case KEEL_HC_IPI_SET:
		x->a = random64() & 3 ? 0x20 + random64() % 0xe0 : random64() % 0x20 + (x->a & ~0xffUL);
		x->a += x->a == 2;
		x->b = random64() & 1 ? any_value() : random64() % (1U << clones);
		break;
	case KEEL_HC_VCPU_STATE:
	case KEEL_HC_YIELD:
		x->a = random64() & 1 ? random64() % (clones + 1) : any_value();
		break;
	case KEEL_HC_FLUSH_SET:
		x->a = random64() & 1 ? any_value() : random64() % (1U << clones);
		x->b = random64() % 4;
		x->c = random64() & 1 ? start_info->cr3_pa : any_address();
		break;
	}
}

/* Calls that take a handle, or the like. */
static void args_of_others(uint64_t n, struct args *x)
{
	switch (n) {
	case KEEL_HC_CAP_INFO:
	case KEEL_HC_CHAN_INFO:
	case KEEL_HC_PART_INFO:
	case KEEL_HC_PART_STATS:
		x->a = any_handle();
		x->b = any_buffer();
		break;
	case KEEL_HC_CHAN_OFFER:
		x->a = any_handle();
		x->b = any_buffer();
		x->c = random64() & 7;
		break;
	case KEEL_HC_CHAN_STATE:
	case KEEL_HC_CHAN_KICK:
		x->a = any_handle();
		x->b = random64() % 3;
		break;
	case KEEL_HC_PART_CONS_READ:
	case KEEL_HC_PART_CONS_WRITE:
		x->a = any_handle();
		x->b = any_buffer();
		x->c = any_length();
		break;
	case KEEL_HC_PART_CTL:
		x->a = any_handle();
		x->b = x->a ? KEEL_CTL_ATTACH + random64() % 3 : random64() % 4;	/* the other one is to live */
		break;
	case KEEL_HC_PART_BUDGET:
		x->a = any_handle();
		x->b = random64() & 1 ? any_value() : random64() % 10000000;
		x->c = random64() & 1 ? any_value() : random64() % 100000000;
		break;
	case KEEL_HC_LOG_READ:
		x->a = any_buffer();
		x->b = any_length();
		break;
	case KEEL_HC_CALL:	/* never one that is made: nobody answers (tests/peer/calls.c has those) */
		x->a += x->a < KEEL_MAX_HANDLES ? KEEL_MAX_HANDLES : 0;
		break;
	case KEEL_HC_REPLY_WAIT:	/* the timer ends it */
		x->a = random64() & 7 ? random64() & 1 : any_value();
		hcall(KEEL_HC_TIMER, rdtsc() + random64() % 200000, 0, 0);
		break;
	case KEEL_HC_SET_XCR0:
		x->a = random64() & 1 ? 3 : random64() & 0x3ff;
		break;
	}
}

/* Delegation, and channels made and closed while the other side uses them. */
static void args_of_caps(uint64_t n, struct args *x)
{
	switch (n) {
	case KEEL_HC_CAP_GRANT:
		x->a = any_handle();
		x->b = any_handle();
		x->c = random64() % 8 ? random64() % 4 : any_value();
		break;
	case KEEL_HC_CAP_REVOKE:
	case KEEL_HC_CAP_DROP:	/* seldom of what it was given: it would soon have nothing */
		x->a = random64() % 100 ? 6 + random64() % 250 : any_handle();
		break;
	case KEEL_HC_CHAN_CREATE:
		x->a = any_handle();
		x->b = random64() % 4 ? (random64() & 7) * PAGE : any_value();
		break;
	case KEEL_HC_CHAN_CONNECT:
		x->a = any_handle();
		x->b = any_handle();
		x->c = random64() % 4 ? (random64() & 7) * PAGE : any_value();
		break;
	case KEEL_HC_MEM_SHARE:	/* scratch, so that the program lives; a window it is part of may be closed again */
		x->a = any_buffer() & ~(random64() & 1 ? 0xfffUL : 0);
		x->b = random64() % 4 ? 1 + random64() % 2 : any_value();
		break;
	case KEEL_HC_CHAN_CLOSE:
		x->a = random64() & 1 ? 0 : any_handle();
		x->b = random64() % 4 ? random64() % 24 : any_value();
		break;
	}
}

static uint64_t connected, closed, granted, revoked;

static void one(void)
{
	uint64_t n = random64() % 5 ? random64() % (KEEL_HC_NR + 2) : any_value();
	struct args x = { any_value(), any_value(), any_value() };

	if (n == KEEL_HC_SHUTDOWN || n == KEEL_HC_IRET || n == KEEL_HC_VCPU_STOP || n == HC_DEBUG)
		return;
	args_of_own(n, &x);
	args_between_vcpus(n, &x);
	args_of_others(n, &x);
	args_of_caps(n, &x);
	if (hcall5(n, x.a, x.b, x.c, any_value(), any_value()) < 0)
		return;
	connected += n == KEEL_HC_CHAN_CONNECT;
	closed += n == KEEL_HC_CHAN_CLOSE;
	granted += n == KEEL_HC_CAP_GRANT;
	revoked += n == KEEL_HC_CAP_REVOKE;
}

/* Page table entries beside the calls: what FILL and FLUSH look at. */
static void one_entry(void)
{
	uint64_t va = WINDOW_VA + (random64() & 0x7f) * PAGE, e = random64();

	if (random64() & 1)
		e = (e & ~PTE_ADDR) | pa_of(scratch + random64() % SCRATCH_PAGES * PAGE);
	*pte_of(va, true) = e;
	if (random64() & 1)
		can_read(va);
	else
		can_write(va);
}

void fuzz(const char *arg)
{
	uint64_t seed = number(&arg), count, i;
	const char *why;

	if (*arg == ',')
		arg++;
	count = number(&arg);
	random_state = (seed + 16 * me) * 0x9e3779b97f4a7c15 + 1;
	kernel_init();
	sanity_init();
	pte_of(WINDOW_VA, true);
	scratch = page_alloc(SCRATCH_PAGES);
	for (i = 0; i < count; i++) {
		one();
		if (i % 16 == 0)
			one_entry();
		vcpu_page->flags = 0;
		if (i % PROGRESS == PROGRESS - 1)
			say("\nHOSTILE fuzz %lu of %lu\n", i + 1, count);
	}
	hcall(KEEL_HC_SET_XCR0, 3, 0, 0);
	hcall(KEEL_HC_TIMER, 0, 0, 0);
	hcall(KEEL_HC_LOAD_CR3, start_info->cr3_pa, 0, 0);
	take_events();	/* the IPIs it sent itself */
	say("\nfuzz: %lu connected, %lu closed, %lu granted, %lu revoked\n", connected, closed, granted, revoked);
	why = sanity();
	if (why)
		say("\nHOSTILE fuzz FAIL %s\n", why);
	else
		say("\nHOSTILE fuzz ok\n");
	finish(!why, !!why);
}
