// SPDX-License-Identifier: MIT
/*
 * clone.c - several vCPUs, each of which runs the whole program as if it were alone.
 *
 * The memory is cut into slices. vCPU n has tables that map slice n where slice 0 is for vCPU 0, with a copy of the
 * image, the start info and the stack in it, so that every check has its variables for itself and runs unchanged
 * on all vCPUs at once. What they tell each other is in a few pages of slice 0, at SHARED_VA for all.
 *
 *   machine     | slice 0: image, start info, stack, free ... | slice 1: a copy ... | ...
 *   vCPU n        KEEL_PEER_VA -> slice n                       SHARED_VA -> pages of slice 0
 */
#include "hostile.h"

#define NESTED	8	/* interrupts */

unsigned int clones = 1, me;
volatile uint64_t irq_count[256];
void (*irq_hook)(unsigned int vector);

extern void irq_c(uint64_t vector, uint64_t rflags);

/* A slice, as vCPU 0 sees it: its own mapping holds all of the memory. */
struct slice {
	uint64_t base, next;	/* addresses */
	uint64_t *top;
};

static void *slice_page(struct slice *s)
{
	void *p = (void *)s->next;

	s->next += PAGE;
	return memset(p, 0, PAGE);
}

static void slice_map(struct slice *s, uint64_t va, uint64_t e)
{
	uint64_t *t = s->top;
	unsigned int level;

	for (level = 3; level; level--) {
		uint64_t *up = &t[(va >> (12 + 9 * level)) & 511];

		if (!*up)
			*up = pa_of(slice_page(s)) | PTE_P | PTE_W | PTE_A;
		t = at_pa(*up & PTE_ADDR);
	}
	t[(va >> 12) & 511] = e;
}

/* The flags of the image's pages are those of slice 0; the rest is data. */
static uint64_t flags_at(uint64_t va)
{
	return va < (uint64_t)image_end ? *pte_of(va, false) & ~PTE_ADDR : DATA;
}

static void clone_start_one(unsigned int n, uint64_t slice_bytes)
{
	struct slice s = { .base = KEEL_PEER_VA + n * slice_bytes };
	struct keel_start_info *si;
	uint64_t va, used = start_info->free_va - KEEL_PEER_VA;
	int64_t err;

	memcpy((void *)s.base, (const void *)KEEL_PEER_VA, used);
	s.next = s.base + used;
	s.top = slice_page(&s);
	for (va = 0; va < slice_bytes; va += PAGE)
		slice_map(&s, KEEL_PEER_VA + va, pa_of((void *)(s.base + va)) | flags_at(KEEL_PEER_VA + va));
	for (va = 0; va < SHARED_PAGES; va++)
		slice_map(&s, SHARED_VA + va * PAGE, *pte_of(SHARED_VA + va * PAGE, false));
	si = (struct keel_start_info *)((uint64_t)start_info + n * slice_bytes);
	si->mem_pa = whole_pa + n * slice_bytes;
	si->cr3_pa = pa_of(s.top);
	si->free_va = s.next - n * slice_bytes;
	err = hcall5(KEEL_HC_VCPU_START, n, (uint64_t)clone_start, pa_of(s.top), (uint64_t)start_info, 0);
	if (err) {
		say("HOSTILE clone %u FAIL %ld\n", n, err);
		finish(0, 1);
	}
}

void clones_start(void)
{
	struct keel_start_info *si = (struct keel_start_info *)start_info;
	uint64_t n = vcpu_page->nvcpus, slice_bytes = whole_bytes / n & ~(PAGE - 1);
	uint8_t *pages = page_alloc(SHARED_PAGES);
	unsigned int i;

	si->mem_bytes = slice_bytes;
	memset(pages, 0, SHARED_PAGES * PAGE);
	for (i = 0; i < SHARED_PAGES; i++)
		map(SHARED_VA + i * PAGE, pa_of(pages) + i * PAGE, DATA);
	flush();
	clones = shared->clones = (uint32_t)n;
	si->free_va = (uint64_t)page_alloc(1);	/* what is copied ends here */
	for (i = 1; i < n; i++)
		clone_start_one(i, slice_bytes);
}

uint64_t shared_pa(void)
{
	return *pte_of(SHARED_VA, false) & PTE_ADDR;
}

void relax(void)
{
	unsigned int i;

	for (i = 0; i < 100; i++)
		asm volatile("pause");
	hcall(KEEL_HC_YIELD, ~0UL, 0, 0);
}

void meet(void)
{
	uint32_t round;

	if (clones == 1)
		return;
	round = shared->rounds;
	if (__atomic_add_fetch(&shared->arrived, 1, __ATOMIC_SEQ_CST) == clones) {
		shared->arrived = 0;
		__atomic_store_n(&shared->rounds, round + 1, __ATOMIC_SEQ_CST);
		return;
	}
	while (__atomic_load_n(&shared->rounds, __ATOMIC_SEQ_CST) == round)
		relax();
}

/* ---- Interrupts ---------------------------------------------------------------------------------- */

/*
 * From ev_irq, which puts all registers back when this returns. rflags: with the virtual IF to go back to. The next one
 * comes in at once, on top of this one; beyond NESTED what was interrupted goes on with virtual IF 0, or
 * who is faster than this would use up the stack.
 */
void irq_c(uint64_t vector, uint64_t rflags)
{
	static unsigned int depth;

	irq_count[vector & 255]++;
	if (irq_hook)
		irq_hook((unsigned int)vector & 255);
	if (rflags & 0x200 && ++depth < NESTED) {
		irqs_on();
		depth--;
	} else if (rflags & 0x200) {
		depth--;
	}
}

void irqs_on(void)
{
	*(volatile uint64_t *)&vcpu_page->flags = 0x200;
	if (*(volatile uint64_t *)&vcpu_page->pending)
		hcall(KEEL_HC_IRQ_WINDOW, 0, 0, 0);
}

void irqs_off(void)
{
	*(volatile uint64_t *)&vcpu_page->flags = 0;
}

void irqs_init(void)
{
	hcall(KEEL_HC_SET_ENTRY, KEEL_ENTRY_TEXT_BEGIN, (uint64_t)ev_irq, 0);
	hcall(KEEL_HC_SET_ENTRY, KEEL_ENTRY_TEXT_END, (uint64_t)ev_irq_end, 0);
	hcall(KEEL_HC_SET_ENTRY, KEEL_ENTRY_EVENT_KERNEL, (uint64_t)ev_irq, 0);
}
