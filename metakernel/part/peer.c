// SPDX-License-Identifier: MIT
/*
 * peer.c - a peer's memory as it is when the peer starts, at boot and at every restart.
 *
 *   KEEL_PEER_VA -> | image, W^X by segment | page tables | start info | stack | modules | free ...
 *
 * Owns:    what is kept of a peer's files: the image's segments, checked at boot, and the modules; and
 *          how far each load has come.
 * Locks:   LOCK_LIFE, the caller's; at boot none.
 * Bounds:  peer_load() does a piece of the work, at most some 20,000 instructions, and is called again
 *          until all is done (I5). Nothing runs in that memory meanwhile, so any piece may be the last one.
 */
#include <hal/irq.h>
#include "mm/flush.h"
#include "part/peer.h"
#include "lib/string.h"

#define PEER_STACK_BYTES	16384
#define PIECE_BYTES	0x20000UL	/* cleared or copied in one go */
#define PIECE_LEAVES	128		/* written in one go */

struct peer_image peer_images[MANIFEST_MAX_PARTS];

enum stage { START, CLEAR, IMAGE, MAP, MODULES };

/* A load under way. */
static struct builder {
	struct partition *p;
	enum stage stage;
	unsigned int item;	/* segment or module */
	uint64_t done;		/* bytes of this stage or item */
	uint8_t *mem;		/* where the peer's memory is for us */
	uint64_t next;		/* first unused offset in it */
	uint64_t *pml4;
	struct keel_start_info *si;
	uint8_t *stack;
	uint8_t *module;	/* the one being copied */
	bool full;
} loads[MANIFEST_MAX_PARTS];

/* Memory of the peer's, which has been cleared. */
static void *take(struct builder *b, uint64_t bytes)
{
	uint64_t at = b->next;

	bytes = align_up(bytes, PAGE_SIZE);
	if (b->full || bytes > b->p->mem_bytes - at) {
		b->full = true;
		return NULL;
	}
	b->next = at + bytes;
	return b->mem + at;
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

/* The stages: each does a piece. 1: done, 0: more to do, or -KEEL_ENOMEM. */
static int clear(struct builder *b)
{
	uint64_t n = min_u64(b->p->mem_bytes - b->done, PIECE_BYTES);

	memset(b->mem + b->done, 0, n);
	b->done += n;
	return b->done == b->p->mem_bytes;
}

/* A piece of a file. -> is that all of it? */
static bool copy_piece(struct builder *b, uint8_t *to, const uint8_t *from, uint64_t bytes)
{
	uint64_t n = min_u64(bytes - b->done, PIECE_BYTES);

	memcpy(to + b->done, from + b->done, n);
	b->done += n;
	return b->done == bytes;
}

static int copy_image(struct builder *b, const struct peer_image *img)
{
	const struct peer_segment *s = &img->segments[b->item];

	if (b->item < img->nsegments) {
		if (copy_piece(b, b->mem + (s->vaddr - KEEL_PEER_VA), img->data + s->offset, s->filesz)) {
			b->item++;
			b->done = 0;
		}
		return 0;
	}
	b->next = align_up(img->vaddr_end - KEEL_PEER_VA, PAGE_SIZE);
	b->pml4 = take(b, PAGE_SIZE);
	return b->pml4 ? 1 : -KEEL_ENOMEM;
}

/* Everything linear from KEEL_PEER_VA: 4 KiB pages over the image, 2 MiB ones behind where aligned. */
static int map_all(struct builder *b, const struct peer_image *img)
{
	unsigned int n;

	for (n = 0; n < PIECE_LEAVES && b->done < b->p->mem_bytes; n++) {
		uint64_t va = KEEL_PEER_VA + b->done;
		paddr_t pa = b->p->mem_pa + b->done;
		bool large = va >= img->vaddr_end && is_aligned(va | pa, LARGE_BYTES) &&
			     b->p->mem_bytes - b->done >= LARGE_BYTES;

		if (!peer_map(b, va, pa, segment_flags(img, va), large))
			return -KEEL_ENOMEM;
		b->done += large ? LARGE_BYTES : PAGE_SIZE;
	}
	if (b->done < b->p->mem_bytes)
		return 0;
	b->si = take(b, sizeof(*b->si));
	b->stack = take(b, PEER_STACK_BYTES);
	return b->stack ? 1 : -KEEL_ENOMEM;
}

static int copy_modules(struct builder *b)
{
	const struct manifest_part *man = b->p->man;
	const struct peer_file *k = &peer_images[b->p->index].modules[b->item];
	struct keel_start_info *si = b->si;

	if (b->item == man->nmodules) {
		si->nmodules = man->nmodules;
		return 1;
	}
	if (!b->module)
		b->module = take(b, k->size ? k->size : 1);
	if (!b->module)
		return -KEEL_ENOMEM;
	if (!copy_piece(b, b->module, k->data, k->size))
		return 0;
	si->modules[b->item].va = peer_va(b, b->module);
	si->modules[b->item].bytes = k->size;
	strlcpy(si->modules[b->item].name, man->modules[b->item], KEEL_NAME_LEN);
	b->module = NULL;
	b->done = 0;
	b->item++;
	return 0;
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
	si->xcr0 = p->vcpu->xcr0;
	strlcpy(si->name, p->man->name, sizeof(si->name));
	strlcpy(si->cmdline, p->man->cmdline, sizeof(si->cmdline));
}

static void ready(struct builder *b, const struct peer_image *img)
{
	struct vcpu *v = b->p->vcpu;

	vcpu_reset(v, va_to_pa(b->pml4));
	peer_start_info(b, b->si);
	v->regs->rip = img->entry;
	v->regs->rdi = peer_va(b, b->si);
	v->regs->rsp = peer_va(b, b->stack) + PEER_STACK_BYTES;
}

static int piece(struct builder *b, const struct peer_image *img)
{
	switch (b->stage) {
	case START:
		mmu_flush_all(b->p->vcpu);
		return 1;
	case CLEAR:
		return clear(b);
	case IMAGE:
		return copy_image(b, img);
	case MAP:
		return map_all(b, img);
	case MODULES:
		return copy_modules(b);
	}
	return -KEEL_EINVAL;
}

int peer_load(struct partition *p)
{
	const struct peer_image *img = &peer_images[p->index];
	struct builder *b = &loads[p->index];
	int err;

	if (!b->p)
		*b = (struct builder) { .p = p, .mem = pa_to_va(p->mem_pa) };
	err = piece(b, img);
	if (!err)
		return -KEEL_EAGAIN;
	if (err > 0 && b->stage != MODULES) {
		b->stage++;
		b->item = 0;
		b->done = 0;
		return -KEEL_EAGAIN;
	}
	if (err > 0)
		ready(b, img);
	b->p = NULL;
	return err > 0 ? 0 : err;
}

bool peer_loading(const struct partition *p)
{
	return loads[p->index].p;
}

void peer_load_abandon(const struct partition *p)
{
	loads[p->index].p = NULL;
}
