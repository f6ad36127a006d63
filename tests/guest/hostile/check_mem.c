// SPDX-License-Identifier: MIT
/*
 * check_mem.c - attacks on memory: frames that are not its own, page tables in odd places, shadows
 * thrown away under it.
 */
#include "hostile.h"

#define MIB		0x100000UL
#define GIB		0x40000000UL
#define FAR_VA		0x8000000000UL	/* second entry of the top-level table on */
#define LARGE		0x200000UL

static uint64_t *top(void)
{
	return at_pa(start_info->cr3_pa);
}

static void flush_va(uint64_t va)
{
	hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, va, 1);
}

/* ---- Rule 24, I1, I2: all of physical memory ------------------------------------------------------- */

static const char *try_frame(uint64_t pa, uint64_t flags)
{
	map(WINDOW_VA, pa & PTE_ADDR, flags);
	flush_va(WINDOW_VA);
	EXPECT(hcall(KEEL_HC_FILL, WINDOW_VA, 6, 0) != 0 || own_pa(pa), "frame %lx can be filled", pa);
	EXPECT(!can_read(WINDOW_VA) || own_pa(pa), "frame %lx is readable", pa);
	EXPECT(!can_write(WINDOW_VA) || own_pa(pa), "frame %lx is writable", pa);
	return NULL;
}

const char *check_foreign_frames(void)
{
	static const uint64_t devices[] = {
		0xfee00000, 0xfee00300, 0xfeeff000, 0xfec00000, 0xfec01000, 0xfed00000, 0xfed40000, 0xfed90000,
		0xffc00000, 0xfff00000, 0xfffff000, 0xfffc0000, 0xe0000000, 0xb0000000, 0xc0000000, 0xfd000000,
		0xfea00000, 0xa0000, 0xb8000, 0xc0000, 0xf0000, 0, 0x1000, 0x100000000, 0x8000000000,
		0xfffffff000, 0x3ffffffff000, 0xffffffffff000,
	};
	const uint64_t flags = PTE_P | PTE_W | PTE_U | PTE_A | PTE_D, mem = whole_pa;
	const char *why;
	unsigned int i;
	uint64_t pa;

	for (i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		why = try_frame(devices[i], flags);
		if (!why)
			why = try_frame(devices[i], flags | PTE_PCD | PTE_PWT);
		if (why)
			return why;
	}
	/* The metakernel's image page by page, then all RAM in steps, then what lies next to us. */
	for (pa = MIB; pa < 3 * MIB; pa += PAGE)
		if ((why = try_frame(pa, flags)))
			return why;
	for (pa = 0; pa < 600 * MIB; pa += 61 * PAGE)
		if ((why = try_frame(pa, flags)))
			return why;
	for (pa = mem - 64 * PAGE; pa < mem + whole_bytes + 64 * PAGE; pa += PAGE)
		if (!own_pa(pa) && (why = try_frame(pa, flags)))
			return why;
	map(WINDOW_VA, 0, 0);
	flush();
	return sanity();
}

/* A leaf of 2 MiB or 1 GiB that covers own and other frames: only the own ones are there. */
static const char *try_large(uint64_t va, uint64_t base, uint64_t bytes, uint64_t step)
{
	uint64_t off, seen = 0;

	for (off = 0; off < bytes; off += step) {
		bool own = own_pa(base + off);

		EXPECT(can_read(va + off) == own, "%lx in a leaf of %lx: own %u", base + off, bytes, own);
		seen += own;
	}
	for (off = whole_pa - 4 * PAGE; off < whole_pa + whole_bytes + 4 * PAGE;
	     off += PAGE)
		if (off >= base && off < base + bytes)
			EXPECT(can_write(va + off - base) == own_pa(off), "write %lx in a leaf of %lx", off, bytes);
	(void)seen;
	return NULL;
}

const char *check_huge_leaves(void)
{
	uint64_t *pdpt = page_alloc(1), *pd = page_alloc(1), base, va;
	const char *why;

	top()[1] = pa_of(pdpt) | TABLE;
	pdpt[1] = pa_of(pd) | TABLE;
	va = FAR_VA + GIB;
	for (base = (whole_pa & ~(LARGE - 1)) - LARGE;
	     base < whole_pa + whole_bytes + LARGE; base += LARGE) {
		pd[0] = base | PTE_P | PTE_W | PTE_A | PTE_PS;
		flush();
		why = try_large(va, base, LARGE, PAGE);
		if (why)
			return why;
	}
	base = whole_pa & ~(GIB - 1);
	pdpt[0] = base | PTE_P | PTE_W | PTE_A | PTE_PS;
	pdpt[2] = PTE_P | PTE_W | PTE_A | PTE_PS | 3 * GIB;	/* the LAPIC's */
	flush();
	why = try_large(FAR_VA, base, GIB, 97 * PAGE);
	if (why)
		return why;
	EXPECT(!can_read(FAR_VA + 2 * GIB + 0x3ee00000), "the local APIC in a 1 GiB leaf");
	/* A leaf in the top-level table is not a thing; reserved bits set in all entries. */
	top()[3] = base | PTE_P | PTE_W | PTE_A | PTE_PS;
	flush();
	can_read(3 * FAR_VA);
	can_write(3 * FAR_VA + 0x1000);
	top()[3] = top()[1] = 0;
	flush();
	return sanity();
}

/* ---- Rule 16 -------------------------------------------------------------------------------------------- */

const char *check_global_bit(void)
{
	uint64_t *a = page_alloc(1), *b = page_alloc(1), cr3 = start_info->cr3_pa;
	volatile uint64_t *p = (volatile uint64_t *)(WINDOW_VA + 0x3000);

	a[0] = 0xa;
	b[0] = 0xb;
	map((uint64_t)p, pa_of(a), DATA | PTE_G);
	flush_va((uint64_t)p);
	EXPECT(*p == 0xa, "reads %lx", *p);
	hcall(HC_DEBUG, 10, 0, 0);
	map((uint64_t)p, pa_of(b), DATA | PTE_G);
	flush_va((uint64_t)p);
	EXPECT(*p == 0xb, "after INVLPG it still reads %lx", *p);
	map((uint64_t)p, pa_of(a), DATA | PTE_G);
	hcall(KEEL_HC_LOAD_CR3, cr3, 0, 0);
	hcall(KEEL_HC_FLUSH, KEEL_FLUSH_ALL, 0, 0);
	EXPECT(*p == 0xa, "after a flush of all it still reads %lx", *p);
	return NULL;
}

/* ---- Rule 19 ---------------------------------------------------------------------------------------------- */

/* Addresses that lead to the hole, or look as if, given to every call that drops or fills. */
const char *check_hole_not_dropped(void)
{
	static const uint64_t alias[] = {
		0xffffffffffe00000, 0x0000ffffffe00000, 0x0001ffffffe00000, 0x7fffffffffe00000,
		0x8000ffffffe00000, 0xfffeffffffe00000, 0xffffffffffc00000, 0x0000ffffffc00000,
	};
	unsigned int i;

	for (i = 0; i < sizeof(alias) / sizeof(alias[0]); i++) {
		hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, alias[i], 512);
		EXPECT_SANE();
		hcall(KEEL_HC_FLUSH_FILL, alias[i] + 0x30000, 7, 0);
		hcall(KEEL_HC_FLUSH_FILL, alias[i] + 0x40000, 7, 0);
		hcall(KEEL_HC_FLUSH_FILL, alias[i] + 0x10000, 7, 0);
		hcall(KEEL_HC_FILL, alias[i], 7, 0);
		EXPECT_SANE();
	}
	return NULL;
}

/* ---- Rule 20 ---------------------------------------------------------------------------------------------- */

static int find_channel(uint32_t right)
{
	struct keel_cap_info *info = page_alloc(1);
	unsigned int others = me;	/* each vCPU has its own */
	int h;

	for (h = 0; h < KEEL_MAX_HANDLES; h++) {
		if (hcall(KEEL_HC_CAP_INFO, (uint64_t)h, pa_of(info), 0))
			return -1;
		if (info->type == KEEL_CAP_CHANNEL && (info->rights & right) && !others--)
			return h;
	}
	return -1;
}

const char *check_table_in_window(void)
{
	uint64_t *w = page_alloc(4), *data = page_alloc(1), va = 2 * FAR_VA + 0x1000;
	int h = find_channel(KEEL_RIGHT_SERVE);
	unsigned int round, i;

	EXPECT(h >= 0, "no channel to serve");
	/* Working tables in frames that are then given away. */
	data[0] = 0xda7a;
	top()[2] = pa_of(w) | TABLE;
	w[0] = pa_of(w + 512) | TABLE;
	w[512] = pa_of(w + 1024) | TABLE;
	w[1025] = pa_of(data) | DATA;
	flush();
	EXPECT(*(volatile uint64_t *)va == 0xda7a, "the tables do not work before");
	EXPECT(hcall(KEEL_HC_CHAN_OFFER, (uint64_t)h, pa_of(w), 4) == 0, "the window is refused");
	for (i = 0; i < 4 * 512; i++)
		EXPECT(!w[i], "the window starts with %lx at entry %u", w[i], i);
	for (round = 0; round < 3; round++) {
		EXPECT(!can_read(va), "round %u: a table in a window is walked", round);
		EXPECT(hcall(KEEL_HC_FILL, va, 4, 0) < 0, "round %u: a table in a window is filled from", round);
		for (i = 0; i < 4 * 512; i++)
			EXPECT((w[i] & (PTE_A | PTE_D)) == 0, "round %u: entry %u became %lx", round, i, w[i]);
		/* Entries without A: were they walked, it would appear. Second round: only the leaf table. */
		w[0] = pa_of(w + 512) | PTE_P | PTE_W;
		w[512] = pa_of(w + 1024) | PTE_P | PTE_W;
		w[1025] = pa_of(data) | PTE_P | PTE_W | PTE_NX;
		if (round == 1) {
			uint64_t *pdpt = page_alloc(1), *pd = page_alloc(1);

			pdpt[0] = pa_of(pd) | TABLE;
			pd[0] = pa_of(w + 1024) | TABLE;
			top()[2] = pa_of(pdpt) | TABLE;
		}
		flush();
	}
	/* Buffers and an IDT there are refused too; giving the same frames twice as well. */
	EXPECT(hcall(KEEL_HC_CONSOLE_WRITE, pa_of(w), 1, 0) == -KEEL_EFAULT, "a buffer in a window");
	EXPECT(hcall(KEEL_HC_LOAD_IDT, pa_of(w), 4095, 0) == -KEEL_EFAULT, "an IDT in a window");
	EXPECT(hcall(KEEL_HC_CHAN_OFFER, (uint64_t)h, pa_of(w), 4) == -KEEL_EBUSY, "a second window");
	/* Still plain memory, whatever the cache type asked for (rule 21). */
	map(WINDOW_VA + 0x4000, pa_of(w), DATA | PTE_PCD | PTE_PWT);
	flush();
	w[7] = 0x77;
	EXPECT(*(volatile uint64_t *)(WINDOW_VA + 0x4000 + 56) == 0x77, "window reads differ");
	hcall(HC_DEBUG, 10, 0, 0);
	top()[2] = 0;
	flush();
	return sanity();
}

const char *check_table_foreign(void)
{
	const uint64_t mem = whole_pa;
	uint64_t *pdpt = page_alloc(1), *pd = page_alloc(1), pa;
	unsigned int i;

	pdpt[0] = pa_of(pd) | TABLE;
	for (i = 0; i < 2000; i++) {
		pa = i < 512 ? MIB + i * PAGE : i < 544 ? mem - (i - 511) * PAGE :
		     i < 576 ? mem + whole_bytes + (i - 544) * PAGE : random64() % (600 * MIB) & PTE_ADDR;
		if (own_pa(pa))
			continue;
		top()[2] = pa | TABLE;
		flush();
		EXPECT(!can_read(2 * FAR_VA + (random64() & 0x7fffffffff)), "frame %lx is walked as a level 3 table", pa);
		top()[2] = pa_of(pdpt) | TABLE;
		pd[0] = pa | TABLE;
		flush();
		EXPECT(!can_read(2 * FAR_VA + (random64() & 0x1fffff)), "frame %lx is walked as a leaf table", pa);
	}
	top()[2] = 0;
	flush();
	return sanity();
}

static long do_poke(uint64_t va, uint64_t value, uint64_t c)
{
	(void)c;
	*(volatile uint64_t *)va = value;
	return 0;
}

const char *check_table_loops(void)
{
	uint64_t *page = page_alloc(1), va;
	unsigned int i;

	/* The top-level table as its own child, at every level. */
	top()[5] = start_info->cr3_pa | TABLE;
	flush();
	va = 5UL << 39 | 5UL << 30 | 5UL << 21 | 5UL << 12;
	EXPECT(*(volatile uint64_t *)(va + 5 * 8) == top()[5] && can_write(va), "no self-map");
	/* Through it, change entries that are in use. */
	*(volatile uint64_t *)(va + 6 * 8) = pa_of(page) | TABLE;
	for (i = 0; i < 512; i++)
		page[i] = pa_of(page) | TABLE;
	flush();
	for (i = 0; i < 400; i++) {
		va = 6UL << 39 | (random64() & 0x7ffffff000);
		EXPECT(*(volatile uint64_t *)va == page[0], "%lx reads wrong", va);
	}
	/* A table that maps itself writable, rewritten through that mapping while it is walked. */
	for (i = 0; i < 200; i++) {
		va = 6UL << 39 | (uint64_t)i << 12;
		attempt(do_poke, va + i * 8, i & 1 ? 0 : pa_of(page) | TABLE | PTE_PS, 0);
		can_read(va + 0x200000);
		if (i % 16 == 0)
			flush();
	}
	top()[5] = top()[6] = 0;
	flush();
	return sanity();
}

/* Random entries at random levels, touched: nothing but own frames may answer. */
const char *check_table_garbage(void)
{
	uint64_t *pdpt = page_alloc(1), *pd = page_alloc(1), *pt = page_alloc(1), *data = page_alloc(1);
	const uint64_t tables[] = { pa_of(pdpt), pa_of(pd), pa_of(pt), pa_of(data) };
	unsigned int i;

	for (i = 0; i < 10000; i++) {
		uint64_t e = random64(), *t = random64() & 1 ? pt : random64() & 1 ? pd : pdpt;

		if (random64() & 3)	/* mostly an own frame, else any address at all */
			e = (e & ~PTE_ADDR) | tables[random64() & 3];
		if (random64() & 3)
			e |= PTE_P;
		if (random64() & 1)
			e &= ~PTE_PS;
		t[random64() & 511] = e;
		top()[7] = tables[random64() & 3] | (random64() & 0xfff) | PTE_P;
		hcall(KEEL_HC_FLUSH, random64() % 3, 7UL << 39 | (random64() & 0x7fffffffff), random64() & 511);
		if (random64() & 1)
			can_read(7UL << 39 | (random64() & 0x7fffffffff));
		else
			hcall(KEEL_HC_FILL, 7UL << 39 | (random64() & 0x7fffffffff), random64() & 31, 0);
		if (i % 2000 == 0)
			EXPECT_SANE();
	}
	top()[7] = 0;
	flush();
	return sanity();
}

/* ---- Rule 22: the pool --------------------------------------------------------------------------------------- */

const char *check_thrash(void)
{
	uint64_t *pdpt = page_alloc(1), *pd = page_alloc(1), *pt = page_alloc(1), *data = page_alloc(1);
	struct keel_part_info *info = page_alloc(1);
	unsigned int i;

	data[0] = 0x7a54;
	for (i = 0; i < 512; i++) {
		pdpt[i] = pa_of(pd) | TABLE;
		pd[i] = pa_of(pt) | TABLE;
		pt[i] = pa_of(data) | DATA;
	}
	for (i = 16; i < 500; i++)
		if (i < 256 || i > 260)
			top()[i] = pa_of(pdpt) | TABLE;
	flush();
	for (i = 0; i < 20000; i++) {
		uint64_t va = (16 + random64() % 240) << 39 | (random64() & 0x7ffffff000);

		if (random64() & 1)
			va = 0xffff000000000000 | (261 + random64() % 230) << 39 | (random64() & 0x7ffffff000);
		EXPECT(*(volatile uint64_t *)va == 0x7a54, "%lx reads wrong", va);
	}
	hcall(KEEL_HC_PART_INFO, 0, pa_of(info), 0);
	EXPECT(info->shadow_used <= info->shadow_pages, "%lu of %lu pages used", info->shadow_used,
	       info->shadow_pages);
	for (i = 16; i < 500; i++)
		if (i < 256 || i > 260)
			top()[i] = 0;
	flush();
	return sanity();
}

/* Many roots: every PCID value, kept and flushed, with PCID on and off. */
const char *check_cr3_pcids(void)
{
	uint64_t *a = page_alloc(1), *b = page_alloc(1), cr3 = start_info->cr3_pa, pcid, i;
	volatile uint64_t *p = (volatile uint64_t *)(WINDOW_VA + 0x6000);

	a[0] = 0xa;
	b[0] = 0xb;
	for (i = 0; i < 2; i++) {
		uint64_t cr4 = vcpu_page->cr4 | 0x80 | (i ? 0x20000UL : 0);

		asm volatile("mov %0, %%cr4" : : "r" (cr4) : "memory");
		for (pcid = 0; pcid < 4096; pcid += pcid < 16 ? 1 : 255) {
			map((uint64_t)p, pa_of(a), DATA);
			hcall(KEEL_HC_LOAD_CR3, cr3 | (i ? pcid : 0), 0, 0);
			EXPECT(*p == 0xa, "PCID %lu: after a flush %lx", pcid, *p);
			map((uint64_t)p, pa_of(b), DATA);
			hcall(KEEL_HC_LOAD_CR3, cr3 | (i ? pcid | 1UL << 63 : 0), 0, 0);
			hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, (uint64_t)p, 1);
			EXPECT(*p == 0xb, "PCID %lu: after INVLPG %lx", pcid, *p);
		}
	}
	hcall(KEEL_HC_LOAD_CR3, cr3, 0, 0);
	return sanity();
}

/* Ring 1's own protection from its ring 3, in the shadows as in its tables. */
const char *check_smep(void)
{
	struct user_regs u;

	EXPECT(!can_run(USER_TEXT_VA), "ring 1 executes a page of ring 3");
	user_init(&u, u_read);
	u.rdi = KEEL_PEER_VA;
	go_user(&u);
	EXPECT(happened.how == HOW_USER && vector() == VEC_PF, "ring 3 reads a page of ring 1");
	EXPECT(!can_write((uint64_t)user_text), "ring 1 writes its read-only text");
	EXPECT(!can_run((uint64_t)&happened), "ring 1 executes its data");
	return NULL;
}
