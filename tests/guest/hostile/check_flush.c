// SPDX-License-Identifier: MIT
/*
 * check_flush.c - what one vCPU changes in the tables of another: after FLUSH_SET, or an offer, the other has nothing
 * of what was there before.
 *
 * Pairs of vCPUs. One writes: it exchanges a frame, takes it or the right to write away, flushes, and spoils what the
 * other must not reach any more. The other touches the page all the time and must never read POISON; what it
 * adds up must not appear where SPOILT was written.
 */
#include "hostile.h"

#define CHANGES		1500
#define CHANGES_LONG	20000
#define LOW_VA		0x70000000UL
#define HIGH_VA		0xffff900000001000UL
#define OFFER_VA	0x80000000UL
#define GOOD		0x600dUL
#define POISON		0xdeadUL
#define SPOILT		0x5a5a000000000000UL
#define VEC_FLUSH	0x43
#define OMITTED_FROM	600
#define LATE_S		5

static const uint64_t vas[2] = { LOW_VA, HIGH_VA };

/* What the others know of a vCPU: in its line. */
enum { L_DONE, L_TOUCHED, L_OFFERED, L_PTE, L_FRAMES = L_PTE + 2, L_TABLE };

/* The pages of one half: two frames by turns; how they look from the vCPU that writes. */
struct page {
	volatile uint64_t *pte, *frame[2];
	unsigned int now;
	bool spoilt;		/* the one that is not `now` */
};

static struct page target[2];
static uint64_t target_cr3, faults;
static unsigned int partner;
static void *mine;		/* frames of this vCPU's pages */

static unsigned int changes(void)
{
	return word("long") ? CHANGES_LONG : CHANGES;
}

/* ---- The one that touches ------------------------------------------------------------------------ */

static long do_touch(uint64_t va, uint64_t b, uint64_t c)
{
	volatile uint64_t *p = (volatile uint64_t *)va;
	uint64_t v = p[0];

	(void)b, (void)c;
	if (v == GOOD)
		asm volatile("lock incq %0" : "+m" (p[1]) : : "memory");
	return (long)v;
}

static const char *touch(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (attempt(do_touch, vas[i], 0, 0)) {
			faults++;
			EXPECT(vector() == VEC_PF && vcpu_page->cr2 - vas[i] < PAGE, "vector %u at %lx", vector(), vcpu_page->cr2);
			continue;
		}
		EXPECT(happened.result == GOOD, "old data, %lx at %lx, after a flush", happened.result, vas[i]);
	}
	shared->line[me][L_TOUCHED]++;
	return NULL;
}

/* Pages for the partner to change, once. */
static void target_make(void)
{
	unsigned int i;

	partner = me ^ 1;
	if (mine)
		return;
	mine = page_alloc(4);
	for (i = 0; i < 2; i++) {
		map(vas[i], pa_of(mine) + 2 * i * PAGE, DATA);
		((uint64_t *)mine)[2 * i * 512] = GOOD;
		shared->line[me][L_PTE + i] = pa_of(pte_of(vas[i], false));
	}
	shared->line[me][L_FRAMES] = pa_of(mine);
	shared->line[me][L_TABLE] = start_info->cr3_pa;
	flush();
}

/* See the partner's, after meet(). */
static void target_look(void)
{
	uint64_t va = WINDOW_VA + 0x70000, pte;
	unsigned int i, n;

	target_cr3 = shared->line[partner][L_TABLE];
	for (i = 0; i < 2; i++, va += 4 * PAGE) {
		pte = shared->line[partner][L_PTE + i];
		map(va, pte & PTE_ADDR, DATA);
		target[i].pte = (volatile uint64_t *)(va + (pte & 4095));
		for (n = 0; n < 2; n++) {
			map(va + (n + 1) * PAGE, shared->line[partner][L_FRAMES] + (2 * i + n) * PAGE, DATA);
			target[i].frame[n] = (volatile uint64_t *)(va + (n + 1) * PAGE);
		}
		target[i].now = (*target[i].pte & PTE_ADDR) == shared->line[partner][L_FRAMES] + (2 * i + 1) * PAGE;
	}
	flush();
}

/* ---- The one that writes --------------------------------------------------------------------------- */

static const char *flush_partner(unsigned int i, unsigned int half)
{
	static const uint64_t kinds[] = { KEEL_FLUSH_RANGE, KEEL_FLUSH_ALL, KEEL_FLUSH_USER };
	uint64_t set = i % 5 ? 1UL << partner : ~0UL;
	int64_t err = hcall5(KEEL_HC_FLUSH_SET, set, kinds[i / 6 % (half ? 2 : 3)], target_cr3, vas[half], 1);

	EXPECT(err == 0, "FLUSH_SET: %ld", err);
	return NULL;
}

static const char *check_spoilt(const struct page *p, unsigned int n)
{
	EXPECT(p->frame[n][1] == SPOILT, "written after the flush: %lx", p->frame[n][1]);
	return NULL;
}

static void spoil(struct page *p, unsigned int n, bool read)
{
	if (read)
		p->frame[n][0] = POISON;
	p->frame[n][1] = SPOILT;
}

static void restore(const struct page *p, unsigned int n)
{
	p->frame[n][1] = 0;
	p->frame[n][0] = GOOD;
}

/* Another frame. */
static const char *exchange(struct page *p, unsigned int i, unsigned int half)
{
	unsigned int old = p->now;
	const char *why = p->spoilt ? check_spoilt(p, !old) : NULL;

	restore(p, !old);
	p->now = !old;
	__atomic_store_n(p->pte, (shared->line[partner][L_FRAMES] + (2 * half + p->now) * PAGE) | DATA, __ATOMIC_SEQ_CST);
	if (!why)
		why = flush_partner(i, half);
	spoil(p, old, true);
	p->spoilt = true;
	return why;
}

/* For a while none, or none that may be written. */
static const char *take_away(struct page *p, unsigned int i, unsigned int half, bool all)
{
	uint64_t e = (shared->line[partner][L_FRAMES] + (2 * half + p->now) * PAGE) | DATA;
	const char *why;
	unsigned int n;

	__atomic_store_n(p->pte, all ? 0 : e & ~PTE_W, __ATOMIC_SEQ_CST);
	why = flush_partner(i, half);
	spoil(p, p->now, all);
	for (n = 0; n < 200; n++)
		asm volatile("pause");
	if (!why)
		why = check_spoilt(p, p->now);
	restore(p, p->now);
	__atomic_store_n(p->pte, e, __ATOMIC_SEQ_CST);
	return why;
}

static const char *change(unsigned int i)
{
	unsigned int half = i & 1;

	switch (i / 2 % 3) {
	case 0: return exchange(&target[half], i, half);
	case 1: return take_away(&target[half], i, half, true);
	default: return take_away(&target[half], i, half, false);
	}
}

/* Before the roles change: what is spoilt must be so still, and looks as at the start. */
static const char *settle(const char *why)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (!why && target[i].spoilt)
			why = check_spoilt(&target[i], !target[i].now);
		target[i].spoilt = false;
	}
	return why;
}

static const char *write_all(unsigned int count)
{
	const char *why = NULL;
	unsigned int i;

	while (!shared->line[partner][L_TOUCHED])
		relax();
	for (i = 0; i < count && !why && !shared->failed; i++)
		why = change(i);
	shared->failed |= !!why;
	shared->line[me][L_DONE] = 1;
	return settle(why);
}

static const char *touch_all(void)
{
	const char *why = NULL;

	while (!shared->line[partner][L_DONE])
		if (!why && (why = touch()))
			shared->failed = 1;
	return why;
}

static void begin(void)
{
	shared->line[me][L_DONE] = shared->line[me][L_TOUCHED] = 0;
	target_make();
	meet();
	target_look();
	meet();
}

const char *check_flush_set(void)
{
	const char *why = NULL, *now;
	unsigned int role;

	for (role = 0; role < 2; role++) {
		begin();
		now = (me & 1) == role ? write_all(changes()) : touch_all();
		why = why ? why : now;
		meet();
	}
	EXPECT(why || faults, "the other one never met a fault");
	return why ? why : sanity();
}

/* ---- Both at the same time, with interrupts whose handlers flush, too ----------------------------------- */

static void flush_back(unsigned int vector)
{
	if (vector == VEC_FLUSH)
		hcall5(KEEL_HC_FLUSH_SET, ~0UL, irq_count[VEC_FLUSH] % 3, target_cr3, LOW_VA, 1);
}

const char *check_flush_each_other(void)
{
	const char *why = NULL, *now;
	unsigned int i;

	begin();
	irq_hook = flush_back;
	for (i = 0; i < changes() && !why && !shared->failed; i++) {
		hcall(KEEL_HC_IPI, partner, VEC_FLUSH, 0);
		if (i & 8)
			irqs_on();
		why = change(i);
		if (!why)
			why = touch();
		irqs_off();
	}
	shared->failed |= !!why;
	meet();
	irq_hook = NULL;
	now = settle(why);
	irqs_on();
	irqs_off();
	EXPECT(now || irq_count[VEC_FLUSH], "no interrupt came");
	return now ? now : sanity();
}

/* ---- Offers against walks -------------------------------------------------------------------------------- */

static long do_add(uint64_t va, uint64_t b, uint64_t c)
{
	(void)b, (void)c;
	asm volatile("lock incq %0" : "+m" (*(volatile uint64_t *)va) : : "memory");
	return 0;
}

/* Entry of level 2 for OFFER_VA. */
static uint64_t *offer_pde(void)
{
	uint64_t *t;

	pte_of(OFFER_VA + 0x200000, true);	/* what is above */
	t = at_pa(start_info->cr3_pa);
	t = at_pa(t[0] & PTE_ADDR);
	t = at_pa(t[OFFER_VA >> 30] & PTE_ADDR);
	return &t[(OFFER_VA >> 21) & 511];
}

/* Walk tables that lie in what the partner offers meanwhile; once it has, there must be none. */
static const char *walk(uint64_t round)
{
	unsigned int i, after = 0;

	*offer_pde() = shared->line[partner][L_OFFERED] | TABLE;
	flush();
	for (i = 0; shared->line[partner][L_DONE] < 2 * round + 2; i++) {
		bool offered = shared->line[partner][L_DONE] > 2 * round;
		bool added = !attempt(do_add, OFFER_VA + (random64() & 511) * PAGE, 0, 0);

		EXPECT(!offered || !added, "a table in a window is walked, touch %u", i);
		after += offered;
		shared->line[me][L_TOUCHED]++;
		if (i % 8 == 0)
			hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, OFFER_VA, 512);
	}
	EXPECT(after, "nothing was tried after the offer");
	return NULL;
}

/* A table, whose entries lack A and D, and the pages it leads to; all of it is given away and must be 0 for good. */
static const char *give(uint64_t round, uint64_t handle, uint64_t *w)
{
	uint64_t start = shared->line[partner][L_TOUCHED];
	const char *why = NULL;
	unsigned int i, n;
	int64_t err;

	while (shared->line[partner][L_TOUCHED] - start < 20 + round * 8)
		relax();
	err = hcall(KEEL_HC_CHAN_OFFER, handle, pa_of(w), 4);
	shared->line[me][L_DONE] = 2 * round + 1;
	start = shared->line[partner][L_TOUCHED];
	for (n = 0; !err && !why && (n < 20 || (shared->line[partner][L_TOUCHED] - start < 50 && !shared->failed)); n++)
		for (i = 0; i < 4 * 512; i++)
			if (((volatile uint64_t *)w)[i])
				why = detail("word %u of the window is %lx", i, w[i]);
	shared->line[me][L_DONE] = 2 * round + 2;
	EXPECT(!err, "the offer: %ld", err);
	return why;
}

static unsigned int count_channels(uint64_t *first)
{
	struct keel_cap_info *info = page_alloc(1);
	unsigned int h, n = 0;

	for (h = 0; !hcall(KEEL_HC_CAP_INFO, h, pa_of(info), 0); h++)
		if (info->type == KEEL_CAP_CHANNEL && (info->rights & KEEL_RIGHT_SERVE)) {
			*first = n ? *first : h;
			n++;
		}
	return n;
}

const char *check_offers(void)
{
	uint64_t first = 0, round, rounds = count_channels(&first) / clones;
	const char *why = NULL, *now;
	unsigned int role, i;

	for (role = 0; role < 2; role++) {
		begin();
		for (round = 0; round < rounds; round++) {
			uint64_t *w = (me & 1) == role ? page_alloc(4) : NULL;

			for (i = 0; w && i < 512; i++)
				w[i] = (pa_of(w) + (1 + i % 3) * PAGE) | PTE_P | PTE_W | PTE_NX;
			shared->line[me][L_OFFERED] = w ? pa_of(w) : 0;
			meet();
			now = w ? give(round, first + me * rounds + round, w) : walk(round);
			shared->failed |= !!now;
			why = why ? why : now;
			meet();
		}
	}
	EXPECT(why || rounds, "no channel to serve");
	return why ? why : sanity();
}

/* ---- Debug builds: something of a shoot-down left out, on purpose ------------------------------------------ */

static void not_back(unsigned int vector)
{
	if (vector != KEEL_EVENT_VECTOR)
		return;
	say("HOSTILE omitted FAIL the flush does not come back\n");
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_EXIT, 0, 0);
}

/*
 * vCPU 0 writes; in the middle of it the metakernel begins to leave out what `omitted` says (metakernel/mm/check.c).
 * Either it sees that itself, or the flush does not come back, or vCPU 1 reads what is no more.
 */
const char *check_omitted(void)
{
	const char *arg = word("omitted"), *why = NULL;
	uint64_t what = number(&arg);
	unsigned int i;

	EXPECT(hcall(HC_DEBUG, 0, 0, 0) == 1, "not a debug build");
	begin();
	if (me)
		return touch_all();
	while (!shared->line[partner][L_TOUCHED])
		relax();
	for (i = 0; i < OMITTED_FROM && !why; i++)
		why = change(i);
	EXPECT(!why && !shared->failed, "something went wrong before anything was left out");
	hcall(HC_DEBUG, 18, what, 0);
	irq_hook = not_back;
	irqs_on();
	hcall(KEEL_HC_TIMER, rdtsc() + LATE_S * 1000 * start_info->tsc_khz, 0, 0);
	for (; i < changes() && !why && !shared->failed; i++)
		why = change(i);
	shared->line[me][L_DONE] = 1;
	return why;
}
