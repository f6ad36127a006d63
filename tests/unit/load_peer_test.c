// SPDX-License-Identifier: MIT
/*
 * Property: what a manifest's peer finds at its start is what its image and modules say, mapped with the rights of their
 * segments, and peer_load() makes the same of any memory later; one that is too small is refused by name.
 * Failure looks like: bytes or table entries other than asked for, a second start unlike the first, a report of a sanitizer.
 */
#include "unit.h"

extern char *unit_arena;
#include "metakernel/boot/load_peer.c"
#include "metakernel/part/peer.c"
#include "refused.h"

#define ARENA		(16UL << 20)
#define MEM		0x400000UL
#define MEM_BYTES	0x500000UL	/* from a large page's begin on: the image's, a large one, a half */
#define OWNER		(FRAMES_PARTITION + 0)
#define VAR_VA		(KEEL_PEER_VA + 0x3800)

char *unit_arena;
size_t unit_arena_bytes;
static uint8_t frame_table[1 << 16] __attribute__((aligned(4096)));
static uint8_t file[0x3000], module[5000];
static struct partition part;
static struct manifest_part man;
static struct elf_info elf;
static struct regs regs;
static struct vcpu vcpu;
static struct bundle_file modules[2];

void *unit_pa_to_va(paddr_t pa) { fail_msg("%#lx is no memory", pa); abort(); }
paddr_t unit_va_to_pa(const void *va) { return (paddr_t)((const char *)va - unit_arena); }
uint64_t hal_tsc_khz(void) { return 1234567; }
void mmu_flush_all(struct vcpu *v) { (void)v; }

void vcpu_reset(struct vcpu *v, paddr_t cr3)
{
	v->cr3 = cr3;
	v->xcr0 = 7;
	memset(v->regs, 0, sizeof(*v->regs));
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
	return (size_t)snprintf(dst, size, "%s", src);
}

static int start(void **state)
{
	(void)state;
	unit_arena_bytes = ARENA;
	unit_arena = aligned_alloc(4096, ARENA);
	memset(unit_arena, 0x5a, ARENA);
	memset(peer_starts, 0, sizeof(peer_starts));
	memset(loads, 0, sizeof(loads));
	frames_init(frame_table, ARENA >> PAGE_SHIFT);
	frames_add_ram(0, ARENA >> PAGE_SHIFT);
	assert_int_equal(frames_claim(MEM >> PAGE_SHIFT, MEM_BYTES >> PAGE_SHIFT, FRAMES_FREE, OWNER), 0);
	for (size_t i = 0; i < sizeof(file); i++)
		file[i] = (uint8_t)(i * 13 + 5);
	memset(module, 0x77, sizeof(module));
	man = (struct manifest_part) { .name = "lua", .cmdline = "lua a.lua", .mem_bytes = MEM_BYTES, .nmodules = 2,
				       .modules = { "a.lua", "empty" } };
	part = (struct partition) { .owner = OWNER, .man = &man, .vcpu = &vcpu, .nvcpus = 1, .mem_pa = MEM, .mem_bytes = MEM_BYTES };
	vcpu = (struct vcpu) { .regs = &regs };
	elf = (struct elf_info) {
		.image = file, .len = sizeof(file), .entry = KEEL_PEER_VA + 0x40, .nsegments = 2,
		.segments = {
			{ .vaddr = KEEL_PEER_VA, .memsz = 0x2100, .offset = 0x100, .filesz = 0x2100, .flags = ELF_PF_R | ELF_PF_X },
			{ .vaddr = VAR_VA, .memsz = 0x2000, .offset = 0x2200, .filesz = 0x900, .flags = ELF_PF_R | ELF_PF_W },
		},
		.vaddr_min = KEEL_PEER_VA, .vaddr_end = VAR_VA + 0x2000,
	};
	modules[0] = (struct bundle_file) { .name = "a.lua", .data = module, .size = sizeof(module) };
	modules[1] = (struct bundle_file) { .name = "empty", .data = module, .size = 0 };
	return 0;
}

static int stop(void **state)
{
	(void)state;
	free(unit_arena);
	return 0;
}

static const char *mem(uint64_t va)
{
	return unit_arena + MEM + (va - KEEL_PEER_VA);
}

/* What the peer's own tables say of an address; large pages as if they were small. */
static uint64_t leaf_of(uint64_t va)
{
	const uint64_t *t = (const uint64_t *)(const void *)(unit_arena + vcpu.cr3);
	unsigned int shift;
	uint64_t e = 0;

	for (shift = 39; shift >= 12; shift -= 9) {
		e = t[va >> shift & 511];
		if (!(e & PTE_P))
			return 0;
		if (shift == 12)
			break;
		if (e & PTE_PS)
			return (e & ~PTE_PS) + (va & (LARGE_BYTES - PAGE_SIZE));
		t = (const uint64_t *)(const void *)(unit_arena + (e & PTE_ADDR));
	}
	return e;
}

static void memory_is_as_the_files_say(void **state)
{
	const struct keel_start_info *si;

	(void)state;
	load_peer(&part, &elf, modules);
	assert_int_equal(regs.rip, KEEL_PEER_VA + 0x40);
	assert_memory_equal(mem(KEEL_PEER_VA), file + 0x100, 0x2100);
	assert_memory_equal(mem(VAR_VA), file + 0x2200, 0x900);
	for (uint64_t va = VAR_VA + 0x900; va < VAR_VA + 0x2000; va++)
		assert_int_equal(*mem(va), 0);		/* its .bss */
	si = (const void *)mem(regs.rdi);
	assert_int_equal(si->magic, KEEL_START_MAGIC);
	assert_int_equal(si->mem_pa, MEM);
	assert_int_equal(si->mem_bytes, MEM_BYTES);
	assert_int_equal(si->cr3_pa, vcpu.cr3);
	assert_int_equal(si->tsc_khz, 1234567);
	assert_int_equal(si->xcr0, 7);
	assert_string_equal(si->name, "lua");
	assert_string_equal(si->cmdline, "lua a.lua");
	assert_int_equal(si->nmodules, 2);
	assert_int_equal(si->modules[0].bytes, sizeof(module));
	assert_memory_equal(mem(si->modules[0].va), module, sizeof(module));
	assert_int_equal(mem(si->modules[0].va)[sizeof(module)], 0);
	assert_int_equal(si->modules[1].bytes, 0);
	assert_string_equal(si->modules[1].name, "empty");
	assert_true(si->free_va > si->modules[1].va && si->free_va <= KEEL_PEER_VA + MEM_BYTES);
	assert_int_equal(regs.rsp & PAGE_MASK, 0);
	assert_int_equal((uint8_t)unit_arena[MEM - 1], 0x5a);
	assert_int_equal((uint8_t)unit_arena[MEM + MEM_BYTES], 0x5a);
}

/* All of it, once, at its place: text not writable, data not executable. */
static void pages_have_the_rights_of_their_segments(void **state)
{
	uint64_t va, want;

	(void)state;
	load_peer(&part, &elf, modules);
	for (va = KEEL_PEER_VA; va < KEEL_PEER_VA + MEM_BYTES; va += PAGE_SIZE) {
		want = (MEM + (va - KEEL_PEER_VA)) | PTE_P | PTE_A | PTE_D;
		want |= va < KEEL_PEER_VA + 0x3000 ? 0 : PTE_W | PTE_NX;
		assert_int_equal(leaf_of(va), want);
	}
	assert_int_equal(leaf_of(KEEL_PEER_VA - PAGE_SIZE), 0);
	assert_int_equal(leaf_of(va), 0);
}

static void a_second_start_is_as_the_first(void **state)
{
	char *first = malloc(MEM_BYTES);
	struct regs was;

	(void)state;
	load_peer(&part, &elf, modules);
	memcpy(first, unit_arena + MEM, MEM_BYTES);
	was = regs;
	memset(file, 0, sizeof(file));		/* the bundle's memory is Linux's by then */
	memset(module, 0, sizeof(module));
	memset(unit_arena + MEM, 0xcc, MEM_BYTES);
	while (peer_load(&part) == -KEEL_EAGAIN)
		;
	assert_memory_equal(first, unit_arena + MEM, MEM_BYTES);
	assert_memory_equal(&was, &regs, sizeof(was));
	free(first);
}

/* From too little for the tables to too little by a page: without the last 2 MiB one table less is needed. */
static void too_little_memory_is_refused(void **state)
{
	const struct keel_start_info *si;
	uint64_t needs;

	(void)state;
	load_peer(&part, &elf, modules);
	si = (const void *)mem(regs.rdi);
	needs = si->free_va - KEEL_PEER_VA;
	for (part.mem_bytes = 0x6000; part.mem_bytes <= needs - 2 * PAGE_SIZE; part.mem_bytes += PAGE_SIZE) {
		memset(peer_starts, 0, sizeof(peer_starts));
		why[0] = '\0';
		if (!setjmp(refused))
			load_peer(&part, &elf, modules);
		assert_non_null(strstr(why, "/partitions/lua: memory: "));
		assert_non_null(strstr(why, "do not hold image, page tables and modules"));
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		T(memory_is_as_the_files_say),
		T(pages_have_the_rights_of_their_segments),
		T(a_second_start_is_as_the_first),
		T(too_little_memory_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
