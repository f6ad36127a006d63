// SPDX-License-Identifier: MIT
/*
 * check_smp.c - vCPUs of a partition start and stop each other, send interrupts, and wake each other up.
 */
#include "hostile.h"

#define STARTS		1000
#define IPIS		3000
#define ROUNDS		100000	/* of ping-pong, for two vCPUs */
#define VEC_PING	0x40
#define VEC_LATE	0x41
#define VEC_WAKE	0x42
#define LATE_S		100	/* a wake-up that has not come by then is lost */

static uint64_t seconds(uint64_t n)
{
	return n * 1000 * start_info->tsc_khz;
}

/* ---- Starting and stopping; vCPU 0 alone is on --------------------------------------------------- */

static bool gone(unsigned int n)
{
	return hcall(KEEL_HC_VCPU_STATE, n, 0, 0) == KEEL_VCPU_OFF;
}

const char *check_start_stop(void)
{
	static volatile uint64_t words[4];	/* bounce()'s, and one more */
	const uint64_t va = (uint64_t)bounce, cr3 = start_info->cr3_pa;
	uint64_t n, i, others = vcpu_page->nvcpus - 1, again = 0;

	EXPECT(others >= 1, "the partition has one vCPU");
	for (n = 1; n <= others; n++) {
		EXPECT(gone((unsigned int)n), "vCPU %lu is on", n);
		EXPECT(hcall5(KEEL_HC_VCPU_START, n, va, cr3, (uint64_t)words, 0) == 0, "vCPU %lu does not start", n);
		while (words[0] < n)
			relax();
		EXPECT(words[2] == 0, "it begins with RSP %lx", words[2]);
		EXPECT(!gone((unsigned int)n), "vCPU %lu runs and is off", n);
		EXPECT(hcall5(KEEL_HC_VCPU_START, n, va, cr3, (uint64_t)words, 0) == -KEEL_EBUSY, "started twice");
	}
	words[1] = 1;
	for (i = 1; i < STARTS; i++)
		for (n = 1; n <= others; n++) {
			while (!gone((unsigned int)n))
				relax();
			EXPECT(hcall5(KEEL_HC_VCPU_START, n, va, cr3, (uint64_t)words, 0) == 0, "start %lu refused", i);
			/* on, or through already */
			again += hcall5(KEEL_HC_VCPU_START, n, va, cr3, (uint64_t)words, 0) == 0;
		}
	for (n = 1; n <= others; n++)
		while (!gone((unsigned int)n))
			relax();
	EXPECT(words[0] == STARTS * others + again, "%lu starts, %lu of them twice, ran %lu times", STARTS * others, again,
	       words[0]);
	return NULL;
}

/* All are on. */
const char *check_start_errors(void)
{
	const uint64_t cr3 = start_info->cr3_pa, va = (uint64_t)bounce, n = vcpu_page->nvcpus;
	static const uint64_t bad_va[] = { 0x0000800000000000, 0xffff7fffffffffff, 1UL << 63, KEEL_HOLE_BASE,
					   KEEL_STACK_VA, ~0UL };
	static const uint64_t bad_cr3[] = { 1UL << 52, 1UL << 63, ~0UL };
	uint64_t i, other = (me + 1) % n;

	EXPECT(vcpu_page->apic_id == me && vcpu_page->vcpu_id == me && n == clones, "ids %lu %lu of %lu",
	       vcpu_page->apic_id, vcpu_page->vcpu_id, n);
	for (i = 0; i < n; i++) {
		EXPECT(hcall(KEEL_HC_VCPU_STATE, i, 0, 0) == KEEL_VCPU_ON, "vCPU %lu is off", i);
		EXPECT(hcall5(KEEL_HC_VCPU_START, i, va, cr3, 0, 0) == -KEEL_EBUSY, "vCPU %lu started", i);
	}
	for (i = n; i < 70; i++) {
		EXPECT(hcall(KEEL_HC_VCPU_STATE, i, 0, 0) == -KEEL_EINVAL, "state of %lu", i);
		EXPECT(hcall5(KEEL_HC_VCPU_START, i, va, cr3, 0, 0) == -KEEL_EINVAL, "start of %lu", i);
		EXPECT(hcall(KEEL_HC_IPI, i, 0x40, 0) == -KEEL_EINVAL, "IPI to %lu", i);
	}
	EXPECT(hcall(KEEL_HC_VCPU_STATE, 1UL << 32, 0, 0) == -KEEL_EINVAL, "state of 1 << 32");
	for (i = 0; i < sizeof(bad_va) / sizeof(bad_va[0]); i++)
		EXPECT(hcall5(KEEL_HC_VCPU_START, other, bad_va[i], cr3, 0, 0) == -KEEL_EINVAL, "RIP %lx", bad_va[i]);
	for (i = 0; i < sizeof(bad_cr3) / sizeof(bad_cr3[0]); i++)
		EXPECT(hcall5(KEEL_HC_VCPU_START, other, va, bad_cr3[i], 0, 0) == -KEEL_EINVAL, "CR3 %lx", bad_cr3[i]);
	for (i = 0; i < 0x20; i++) {
		if (i == 2)
			continue;
		EXPECT(hcall(KEEL_HC_IPI, other, i, 0) == -KEEL_EINVAL, "IPI of vector %lu", i);
		EXPECT(hcall(KEEL_HC_IPI_SET, i, 0, 0) == -KEEL_EINVAL, "IPI_SET of vector %lu", i);
	}
	EXPECT(hcall(KEEL_HC_IPI_SET, 0x40, ~0UL << n, 0) == 0, "vCPUs that are not there");
	EXPECT(hcall(KEEL_HC_YIELD, n, 0, 0) == 0 && hcall(KEEL_HC_YIELD, ~0UL, 0, 0) == 0, "YIELD");
	EXPECT(hcall5(KEEL_HC_FLUSH_SET, ~0UL, 3, cr3, 0, 0) == -KEEL_EINVAL, "FLUSH_SET of no kind");
	EXPECT(hcall5(KEEL_HC_FLUSH_SET, ~0UL, 2, cr3, 0, 513) == -KEEL_EINVAL, "FLUSH_SET of 513 pages");
	EXPECT(hcall(1UL << 40 << 8 | KEEL_HC_FLUSH_SET, 1, 0, 0) == -KEEL_EINVAL, "a ticket that was not drawn");
	return sanity();
}

/* ---- Interrupts ------------------------------------------------------------------------------------ */

static void answer(unsigned int vector)
{
	if (vector == VEC_PING)
		__atomic_fetch_add(&shared->line[me][0], 1, __ATOMIC_SEQ_CST);
}

/* vCPU 0 pings all others, each of which answers before the next one: none may be lost. */
static const char *ping_all(void)
{
	uint64_t i, n, start;

	for (i = 1; i <= IPIS; i++) {
		start = rdtsc();	/* each has that long: all of them may take longer on a busy host */
		if (i & 1)
			hcall(KEEL_HC_IPI_SET, VEC_PING, ~1UL, 0);
		for (n = 1; n < clones; n++) {
			if (!(i & 1))
				hcall(KEEL_HC_IPI, n, VEC_PING, 0);
			while (shared->line[n][0] != i) {
				EXPECT(rdtsc() - start < seconds(LATE_S), "IPI %lu to vCPU %lu is lost", i, n);
				EXPECT(shared->line[n][0] <= i, "vCPU %lu got one too many", n);
				relax();
			}
		}
	}
	return NULL;
}

/* Vector 2 comes with virtual IF 0, and one that was sent before does not. */
static const char *nmi(void)
{
	unsigned int from = (me + clones - 1) % clones, to = (me + 1) % clones;
	uint64_t late = irq_count[VEC_LATE], start = rdtsc();

	irqs_off();
	meet();
	hcall(KEEL_HC_IPI, to, VEC_LATE, 0);
	shared->line[to][1] = 1;
	while (!shared->line[me][1])
		relax();
	while (!*(volatile uint64_t *)&vcpu_page->pending)	/* without a call, too */
		EXPECT(rdtsc() - start < seconds(LATE_S), "sent by vCPU %u, and not pending", from);
	hcall(KEEL_HC_IPI, to, 2, 0);
	while (!irq_count[2]) {
		EXPECT(rdtsc() - start < seconds(LATE_S), "vector 2 is lost");
		relax();
	}
	EXPECT(irq_count[VEC_LATE] == late, "an interrupt with virtual IF 0");
	irqs_on();
	EXPECT(irq_count[VEC_LATE] == late + 1, "an interrupt is lost");
	return NULL;
}

const char *check_ipis(void)
{
	const char *why = NULL;

	irq_hook = answer;
	irqs_on();
	meet();
	if (me == 0) {
		why = ping_all();
		shared->line[0][2] = 1;
	}
	while (!shared->line[0][2]) {	/* without a call: an interrupt has to come by itself */
		irqs_on();
		asm volatile("pause");
	}
	irq_hook = NULL;
	if (!why)
		why = nmi();
	irqs_off();
	return why ? why : sanity();
}

/* ---- Blocking and waking ----------------------------------------------------------------------------- */

/* Until it is this vCPU's turn; looks with virtual IF 0, BLOCK sets it. False: nobody has woken it. */
static bool wait_turn(volatile uint64_t *turn)
{
	uint64_t start = rdtsc();

	for (;;) {
		irqs_off();
		if (*turn == me)
			return true;
		if (rdtsc() - start >= seconds(LATE_S))
			return false;
		hcall(KEEL_HC_BLOCK, 1, start + seconds(LATE_S), 0);
	}
}

const char *check_ping_pong(void)
{
	unsigned int partner = me ^ 1;
	volatile uint64_t *turn = &shared->line[me & ~1U][3];
	uint64_t rounds = ROUNDS / (clones / 2), i;

	*turn = me & ~1U;
	meet();
	for (i = 0; i < rounds; i++) {
		EXPECT(wait_turn(turn), "the wake-up of round %lu of %lu is lost", i, rounds);
		__atomic_store_n(turn, partner, __ATOMIC_SEQ_CST);
		hcall(KEEL_HC_IPI, partner, VEC_WAKE, 0);
	}
	meet();
	irqs_on();
	irqs_off();
	return sanity();
}

/* ---- Ending, for the watcher ------------------------------------------------------------------------ */

void smp_die(void)
{
	uint64_t end = rdtsc() + (rdtsc() & 0xffff) * start_info->tsc_khz / 8192;	/* up to 8 ms */
	unsigned int i = 0;

	kernel_init();
	while (me + 1 < clones || rdtsc() < end) {
		hcall(KEEL_HC_IPI_SET, 0x40, ~0UL, 0);
		hcall5(KEEL_HC_FLUSH_SET, ~0UL, i++ % 3, start_info->cr3_pa, WINDOW_VA, 1);
		hcall(KEEL_HC_BLOCK, 0, rdtsc() + start_info->tsc_khz / 100, 0);
		if (i % 16 == 0)
			say("alive\n");
	}
	hcall(KEEL_HC_SET_ENTRY, KEEL_ENTRY_EVENT_KERNEL, 0, 0);
	*(volatile uint64_t *)0x7fff12345000 = 0;
	finish(0, 1);
}

/* The first partition beside this one ends again and again, by itself or by a restart that comes before. */
void restarts(const char *arg)
{
	uint64_t count = number(&arg), i, start = rdtsc(), faults = 0;
	struct keel_part_info *info = page_alloc(1);
	bool ok = true;

	for (i = 0; i < count && ok; i++) {
		do {
			nap_us(200);
			hcall(KEEL_HC_PART_INFO, 1, pa_of(info), 0);
		} while (i % 2 == 0 && info->state < KEEL_PART_EXITED && rdtsc() - start < seconds(6 * LATE_S));
		if (info->state >= KEEL_PART_EXITED) {
			faults++;
			ok = info->state == KEEL_PART_FAULTED && info->fault.cr2 == 0x7fff12345000;
		}
		ok &= i % 2 == 1 || info->state >= KEEL_PART_EXITED;
		ok &= hcall(KEEL_HC_PART_CTL, 1, KEEL_CTL_RESTART, 0) == 0;
	}
	nap_us(500);
	ok &= hcall(KEEL_HC_PART_CTL, 1, KEEL_CTL_DESTROY, 0) == 0;
	hcall(KEEL_HC_PART_INFO, 1, pa_of(info), 0);
	say("HOSTILE restarts %s %lu, %lu of them after a fault; state %u %s\n", ok && faults >= count / 2 ? "ok" : "FAIL", i,
	    faults, info->state, info->reason);
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_POWEROFF, !ok, 0);
	finish(0, 1);
}
