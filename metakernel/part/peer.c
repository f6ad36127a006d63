// SPDX-License-Identifier: MIT
/*
 * peer.c - a peer's memory as it is when the peer starts, at boot and at every restart.
 *
 *   KEEL_PEER_VA -> | image, W^X by segment | page tables | start info | stack | modules | free ...
 *
 * Owns:    what is kept of a peer's files: the image's segments, checked at boot, and the modules.
 */
#include <hal/irq.h>
#include "mm/flush.h"
#include "part/peer.h"
#include "lib/string.h"

#define PEER_STACK_BYTES	16384

struct peer_image peer_images[MAX_PARTS];

struct builder {
	struct partition *p;
	uint8_t *mem;		/* where the peer's memory is for us */
	uint64_t next;		/* first unused offset in it */
	uint64_t *pml4;
	bool full;
};

static void *take(struct builder *b, uint64_t bytes)
{
	uint64_t at = b->next;

	bytes = align_up(bytes, PAGE_SIZE);
	if (b->full || bytes > b->p->mem_bytes - at) {
		b->full = true;
		return NULL;
	}
	b->next = at + bytes;
	return memset(b->mem + at, 0, bytes);
}

static uint64_t peer_va(const struct builder *b, const void *at)
{
	return KEEL_PEER_VA + (uint64_t)((const uint8_t *)at - b->mem);
}

static uint64_t *next_level(struct builder *b, uint64_t *table, unsigned int i)
{
	uint64_t *t;

	if (table[i])
		return pa_to_va(table[i] & PTE_ADDR);
	t = take(b, PAGE_SIZE);
	if (t)
		table[i] = va_to_pa(t) | PTE_P | PTE_W | PTE_A;
	return t;
}

/* One leaf; the peer's tables have A and D set so that its shadow fills never write them. */
static bool peer_map(struct builder *b, uint64_t va, paddr_t pa, uint64_t flags, bool large)
{
	uint64_t *t = next_level(b, b->pml4, (va >> 39) & 511);

	t = t ? next_level(b, t, (va >> 30) & 511) : NULL;
	if (t && large) {
		t[(va >> 21) & 511] = pa | flags | PTE_PS;
		return true;
	}
	t = t ? next_level(b, t, (va >> 21) & 511) : NULL;
	if (!t)
		return false;
	t[(va >> 12) & 511] = pa | flags;
	return true;
}

#define DATA_FLAGS (PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX)

static uint64_t segment_flags(const struct peer_image *img, uint64_t va)
{
	unsigned int i;

	for (i = 0; i < img->nsegments; i++) {
		const struct peer_segment *s = &img->segments[i];

		if (va >= align_down(s->vaddr, PAGE_SIZE) && va < s->vaddr + s->memsz)
			return PTE_P | PTE_A | PTE_D | (s->write ? PTE_W : 0) |
			       (s->execute ? 0 : PTE_NX);
	}
	return DATA_FLAGS;
}

/* Everything linear from KEEL_PEER_VA: 4 KiB pages over the image, 2 MiB ones behind where aligned. */
static bool peer_map_all(struct builder *b, const struct peer_image *img)
{
	uint64_t off = 0;

	while (off < b->p->mem_bytes) {
		uint64_t va = KEEL_PEER_VA + off;
		paddr_t pa = b->p->mem_pa + off;
		bool large = va >= img->vaddr_end && is_aligned(va | pa, LARGE_BYTES) &&
			     b->p->mem_bytes - off >= LARGE_BYTES;

		if (!peer_map(b, va, pa, segment_flags(img, va), large))
			return false;
		off += large ? LARGE_BYTES : PAGE_SIZE;
	}
	return true;
}

static void peer_copy_image(struct builder *b, const struct peer_image *img)
{
	unsigned int i;

	for (i = 0; i < img->nsegments; i++) {
		const struct peer_segment *s = &img->segments[i];

		memcpy(b->mem + (s->vaddr - KEEL_PEER_VA), img->data + s->offset, s->filesz);
	}
	b->next = align_up(img->vaddr_end - KEEL_PEER_VA, PAGE_SIZE);
}

static bool peer_modules(struct builder *b, struct keel_start_info *si)
{
	const struct manifest_part *man = b->p->man;
	uint32_t i;

	for (i = 0; i < man->nmodules; i++) {
		const struct peer_file *k = &peer_images[b->p->index].modules[i];
		void *at = take(b, k->size ? k->size : 1);

		if (!at)
			return false;
		memcpy(at, k->data, k->size);
		si->modules[i].va = peer_va(b, at);
		si->modules[i].bytes = k->size;
		strlcpy(si->modules[i].name, man->modules[i], KEEL_NAME_LEN);
	}
	si->nmodules = man->nmodules;
	return true;
}

static void peer_start_info(struct builder *b, struct keel_start_info *si)
{
	struct partition *p = b->p;

	si->magic = KEEL_START_MAGIC;
	si->version = KEEL_ABI_VERSION;
	si->size = sizeof(*si);
	si->mem_pa = p->mem_pa;
	si->mem_bytes = p->mem_bytes;
	si->free_va = KEEL_PEER_VA + b->next;
	si->cr3_pa = va_to_pa(b->pml4);
	si->tsc_khz = hal_tsc_khz();
	si->xcr0 = p->vcpu.xcr0;
	strlcpy(si->name, p->man->name, sizeof(si->name));
	strlcpy(si->cmdline, p->man->cmdline, sizeof(si->cmdline));
}

int peer_load(struct partition *p)
{
	const struct peer_image *img = &peer_images[p->index];
	struct builder b = { .p = p, .mem = pa_to_va(p->mem_pa) };
	struct keel_start_info *si;
	uint8_t *stack;

	mmu_flush_all(&p->vcpu);
	memset(b.mem, 0, p->mem_bytes);
	peer_copy_image(&b, img);
	b.pml4 = take(&b, PAGE_SIZE);
	if (!b.pml4 || !peer_map_all(&b, img))
		return -KEEL_ENOMEM;
	si = take(&b, sizeof(*si));
	stack = take(&b, PEER_STACK_BYTES);
	if (!si || !stack || !peer_modules(&b, si))
		return -KEEL_ENOMEM;
	vcpu_reset(&p->vcpu, va_to_pa(b.pml4));
	peer_start_info(&b, si);
	p->vcpu.regs->rip = img->entry;
	p->vcpu.regs->rdi = peer_va(&b, si);
	p->vcpu.regs->rsp = peer_va(&b, stack) + PEER_STACK_BYTES;
	return 0;
}
