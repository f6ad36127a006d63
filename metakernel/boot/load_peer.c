// SPDX-License-Identifier: MIT
/*
 * load_peer.c - how the memory of a manifest's peer is laid out.
 *
 *   KEEL_PEER_VA -> | image, W^X by segment | page tables | start info | stack | modules | free ...
 *
 * What is behind the image is laid out once, in place, and then kept (part/peer.h): the image's file as it came, which has no zeroes of .bss in it,
 * and a copy of what lies between the image and the free memory. The first start fills memory from that, as every restart.
 */
#include <hal/irq.h>
#include "boot/load.h"
#include "mm/frames.h"
#include "part/peer.h"
#include "run/vcpu.h"
#include "lib/string.h"

_Static_assert(PEER_MAX_RUNS > ELF_MAX_SEGMENTS, "a peer's segments");

#define PEER_STACK_BYTES	16384
#define DATA_FLAGS		(PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX)

struct builder {
	struct partition *p;
	const struct elf_info *elf;
	uint8_t *mem;		/* where the peer's memory is for us */
	uint64_t next;		/* first unused offset in it */
	uint64_t *pml4;
};

/* Memory of the peer's, cleared; all the rest is by the peer_load() at the end. */
static void *take(struct builder *b, uint64_t bytes)
{
	const struct manifest_part *man = b->p->man;
	uint64_t at = b->next;

	bytes = align_up(bytes, PAGE_SIZE);
	if (bytes > b->p->mem_bytes - at)
		load_refuse("/partitions/%s: memory: %lu KiB do not hold image, page tables and modules", man->name,
			    man->mem_bytes >> 10);
	b->next = at + bytes;
	return memset(b->mem + at, 0, bytes);
}

static uint64_t peer_va(const struct builder *b, const void *at)
{
	return KEEL_PEER_VA + (uint64_t)((const uint8_t *)at - b->mem);
}

static uint64_t *next_level(struct builder *b, uint64_t *table, uint64_t i)
{
	if (!table[i & 511])
		table[i & 511] = va_to_pa(take(b, PAGE_SIZE)) | PTE_P | PTE_W | PTE_A;
	return pa_to_va(table[i & 511] & PTE_ADDR);
}

/* One leaf; the peer's tables have A and D set so that its shadow fills never write them. */
static void peer_map(struct builder *b, uint64_t va, uint64_t leaf, bool large)
{
	uint64_t *t = next_level(b, next_level(b, b->pml4, va >> 39), va >> 30);

	if (large)
		t[(va >> 21) & 511] = leaf | PTE_PS;
	else
		next_level(b, t, va >> 21)[(va >> 12) & 511] = leaf;
}

static uint64_t segment_flags(const struct elf_info *elf, uint64_t va)
{
	const struct elf_segment *s;

	for (s = elf->segments; s < elf->segments + elf->nsegments; s++)
		if (va >= align_down(s->vaddr, PAGE_SIZE) && va < s->vaddr + s->memsz)
			return PTE_P | PTE_A | PTE_D | (s->flags & ELF_PF_W ? PTE_W : 0) | (s->flags & ELF_PF_X ? 0 : PTE_NX);
	return DATA_FLAGS;
}

/* Everything linear from KEEL_PEER_VA: 4 KiB pages over the image, 2 MiB ones behind where aligned. */
static void map_all(struct builder *b)
{
	const struct partition *p = b->p;
	uint64_t done, va;
	bool large;

	b->pml4 = take(b, PAGE_SIZE);
	for (done = 0; done < p->mem_bytes; done += large ? LARGE_BYTES : PAGE_SIZE) {
		va = KEEL_PEER_VA + done;
		large = va >= b->elf->vaddr_end && is_aligned(va | (p->mem_pa + done), LARGE_BYTES) &&
			p->mem_bytes - done >= LARGE_BYTES;
		peer_map(b, va, (p->mem_pa + done) | segment_flags(b->elf, va), large);
	}
}

static void copy_modules(struct builder *b, const struct bundle_file *modules, struct keel_start_info *si)
{
	const struct manifest_part *man = b->p->man;
	uint32_t i;

	for (i = 0; i < man->nmodules; i++) {
		void *to = take(b, modules[i].size ? modules[i].size : 1);

		memcpy(to, modules[i].data, modules[i].size);
		si->modules[i].va = peer_va(b, to);
		si->modules[i].bytes = modules[i].size;
		strlcpy(si->modules[i].name, man->modules[i], KEEL_NAME_LEN);
	}
	si->nmodules = man->nmodules;
}

static void fill_start_info(const struct builder *b, struct keel_start_info *si)
{
	const struct partition *p = b->p;

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

static const void *keep(const struct partition *p, const void *data, uint64_t bytes)
{
	paddr_t pa = frames_alloc_mk(pages_of(bytes));

	if (!pa)
		load_refuse("/partitions/%s: memory: %lu KiB, to keep for a restart, are not left", p->man->name, bytes >> 10);
	return memcpy(pa_to_va(pa), data, bytes);
}

static void keep_run(struct peer_start *s, uint64_t at, uint64_t bytes, const uint8_t *data)
{
	if (bytes)
		s->runs[s->nruns++] = (struct peer_run) { at, bytes, data };
}

void load_peer(struct partition *p, const struct elf_info *elf, const struct bundle_file *modules)
{
	struct builder b = { .p = p, .elf = elf, .mem = pa_to_va(p->mem_pa) };
	uint64_t image_end = align_up(elf->vaddr_end - KEEL_PEER_VA, PAGE_SIZE);
	const uint8_t *file = keep(p, elf->image, elf->len);
	struct peer_start *s = &peer_starts[p->index];
	struct keel_start_info *si;
	const struct elf_segment *seg;
	uint8_t *stack;

	for (seg = elf->segments; seg < elf->segments + elf->nsegments; seg++)
		keep_run(s, seg->vaddr - KEEL_PEER_VA, seg->filesz, file + seg->offset);
	b.next = image_end;
	map_all(&b);
	si = take(&b, sizeof(*si));
	stack = take(&b, PEER_STACK_BYTES);
	copy_modules(&b, modules, si);
	vcpu_reset(p->vcpu, 0);		/* from here on it has an XCR0 */
	fill_start_info(&b, si);
	keep_run(s, image_end, b.next - image_end, keep(p, b.mem + image_end, b.next - image_end));
	s->cr3_pa = si->cr3_pa;
	s->rip = elf->entry;
	s->rdi = peer_va(&b, si);
	s->rsp = peer_va(&b, stack) + PEER_STACK_BYTES;
	while (peer_load(p))
		;
}
