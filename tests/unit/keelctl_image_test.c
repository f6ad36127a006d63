// SPDX-License-Identifier: MIT
/*
 * keelctl_image_test.c - an image laid out by keelctl is what the metakernel makes of it (metakernel/part/peer.c).
 *
 * Shows: what is accepted is what metakernel/boot/elf.c accepts; every page of the memory is mapped once, linearly, with the rights of
 * its segment, but for code that is shared, which is mapped where it lies and read-only; start info, stack and registers are where they have to be; nothing is written outside the memory, whatever the image.
 * Failure looks like a wrong mapping, an image taken by one and not the other, or a sanitizer report.
 */
#include "unit.h"

#include "boot/elf.h"
#include "image.h"

#include <elf.h>
#include <errno.h>

#define PAGE	4096ul
#define LARGE	0x200000ul
#define MIB	(1ul << 20)

/* Code, constants, data with a bss that ends in the middle of a page. */
struct file {
	Elf64_Ehdr h;
	Elf64_Phdr p[4];
	struct {
		Elf64_Nhdr h;
		char name[8];
		struct keel_elf_peer peer;
	} note;
	struct {		/* with a larger p[3]: */
		Elf64_Nhdr h;
		char name[8];
	} shared;
	uint8_t text[100], constants[50], data[30];
};

#define TEXT_VA		0x400000ul
#define CONST_VA	0x401000ul
#define DATA_VA		0x402010ul
#define BSS_END		0x405123ul

static const struct file good = {
	.h = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_entry = TEXT_VA + 8, .e_phoff = offsetof(struct file, p),
		.e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 4,
	},
	.p = {
		{ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = offsetof(struct file, text),
		  .p_vaddr = TEXT_VA, .p_paddr = TEXT_VA, .p_filesz = 100, .p_memsz = 100, .p_align = 0x1000 },
		{ .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = offsetof(struct file, constants),
		  .p_vaddr = CONST_VA, .p_paddr = CONST_VA, .p_filesz = 50, .p_memsz = 50, .p_align = 0x1000 },
		{ .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = offsetof(struct file, data),
		  .p_vaddr = DATA_VA, .p_paddr = DATA_VA, .p_filesz = 30, .p_memsz = BSS_END - DATA_VA, .p_align = 0x1000 },
		{ .p_type = PT_NOTE, .p_flags = PF_R, .p_offset = offsetof(struct file, note),
		  .p_filesz = sizeof(((struct file *)0)->note), .p_align = 4 },
	},
	.note = { { 5, sizeof(struct keel_elf_peer), KEEL_ELF_NOTE_PEER }, "Keel", { KEEL_ABI_VERSION, 0 } },
	.shared = { { 5, 0, KEEL_ELF_NOTE_SHARED }, "Keel" },
	.text = "code", .constants = "constants", .data = "data",
};

static struct image img;
static struct image_memory mem;
static struct keel_part_start start;

static const struct image_start with = { .name = "lua-1", .cmdline = "PWD=/ lua a.lua", .tsc_khz = 2999998, .xcr0 = 7 };

static const char *check(const struct file *f)
{
	void *copy = unit_copy(f, sizeof(*f));
	const char *why = image_check(&img, copy, sizeof(*f));

	unit_free(copy, sizeof(*f));
	return why;
}

/* Lays `good` out in fresh zeroed memory; what is behind it is poisoned. */
static int lay_out(uint64_t pa, uint64_t bytes)
{
	free(mem.at);
	mem = (struct image_memory) { .at = aligned_alloc(PAGE, bytes), .pa = pa, .bytes = bytes };
	memset(mem.at, 0, bytes);
	assert_null(image_check(&img, &good, sizeof(good)));
	return image_lay_out(&img, &with, &mem, &start);
}

static const uint64_t *table_at(uint64_t pa)
{
	assert_true(pa >= mem.pa && pa - mem.pa <= mem.bytes - PAGE && !(pa & (PAGE - 1)));
	return (const void *)((const char *)mem.at + (pa - mem.pa));
}

/* Walks the tables as the CPU does. The leaf's flags, its size, and where va leads; 0: not mapped. */
static uint64_t walk(uint64_t va, uint64_t *pa, uint64_t *size)
{
	uint64_t e = start.cr3_pa;
	int shift;

	for (shift = 39; shift >= 12; shift -= 9) {
		e = table_at(e & 0x000ffffffffff000ul)[va >> shift & 511];
		if (!(e & 1))
			return 0;
		if (shift == 12 || (shift == 21 && e & 0x80))
			break;
		assert_int_equal(e & 0xfff, 0x23);	/* P W A, supervisor */
	}
	*size = 1ul << shift;
	*pa = (e & 0x000ffffffffff000ul & ~(*size - 1)) | (va & (*size - 1));
	return e & ~0x000fffffffffe000ul & ~(*pa & 0x1000 && shift == 12 ? 0x1000ul : 0);
}

#define P_A_D	0x61ul
#define W	0x2ul
#define NX	(1ul << 63)

static uint64_t rights(uint64_t va)
{
	uint64_t pa, size, flags = walk(va, &pa, &size);

	assert_true(pa == mem.pa + (va - KEEL_PEER_VA));
	return flags & ~0x80ul;
}

static void everything_is_mapped_once_with_the_rights_of_its_segment(void **state)
{
	uint64_t va, pa, size, flags;

	(void)state;
	assert_int_equal(lay_out(0x40000000, 8 * MIB), 0);
	for (va = KEEL_PEER_VA; va < KEEL_PEER_VA + mem.bytes; va += size) {
		flags = walk(va, &pa, &size);
		assert_true(pa == mem.pa + (va - KEEL_PEER_VA));
		/* 4 KiB over the image's first 2 MiB, then large ones. */
		assert_int_equal(size, va < KEEL_PEER_VA + LARGE ? PAGE : LARGE);
		assert_int_equal(flags & 0x80, size == LARGE ? 0x80 : 0);
		assert_int_equal(flags & P_A_D, P_A_D);
		assert_int_equal(flags & 4, 0);
	}
	assert_true(rights(TEXT_VA) == P_A_D);
	assert_true(rights(CONST_VA) == (P_A_D | NX));
	assert_true(rights(DATA_VA & ~(PAGE - 1)) == (P_A_D | W | NX));
	assert_true(rights(BSS_END) == (P_A_D | W | NX));
	assert_true(rights(KEEL_PEER_VA + mem.bytes - 1) == (P_A_D | W | NX));
	assert_int_equal(walk(KEEL_PEER_VA - 1, &pa, &size), 0);
	assert_int_equal(walk(KEEL_PEER_VA + mem.bytes, &pa, &size), 0);
	assert_int_equal(walk(0, &pa, &size), 0);
}

static void memory_that_is_not_aligned_has_small_pages(void **state)
{
	uint64_t va, pa, size;

	(void)state;
	assert_int_equal(lay_out(0x40001000, 4 * MIB), 0);
	for (va = KEEL_PEER_VA; va < KEEL_PEER_VA + mem.bytes; va += PAGE) {
		assert_true(walk(va, &pa, &size) && size == PAGE);
		assert_true(pa == mem.pa + (va - KEEL_PEER_VA));
	}
}

static void the_rest_of_a_large_page_has_small_ones(void **state)
{
	uint64_t pa, size;

	(void)state;
	assert_int_equal(lay_out(0x40000000, 5 * MIB), 0);
	assert_true(walk(KEEL_PEER_VA + 3 * MIB, &pa, &size) && size == LARGE);
	assert_true(walk(KEEL_PEER_VA + 4 * MIB, &pa, &size) && size == PAGE);
	assert_int_equal(walk(KEEL_PEER_VA + 5 * MIB, &pa, &size), 0);
}

static void the_program_finds_its_segments_and_the_start_info(void **state)
{
	const struct keel_start_info *si;
	const char *at;
	uint64_t i;

	(void)state;
	assert_int_equal(lay_out(0x40000000, 8 * MIB), 0);
	at = mem.at;
	assert_memory_equal(at, good.text, 100);
	assert_memory_equal(at + (CONST_VA - KEEL_PEER_VA), good.constants, 50);
	assert_memory_equal(at + (DATA_VA - KEEL_PEER_VA), good.data, 30);
	for (i = DATA_VA + 30; i < BSS_END; i++)
		assert_int_equal(at[i - KEEL_PEER_VA], 0);
	assert_true(start.rip == TEXT_VA + 8);
	assert_true(start.rdi >= BSS_END && !(start.rdi & (PAGE - 1)) && start.rdi + PAGE < KEEL_PEER_VA + mem.bytes);
	si = (const void *)(at + (start.rdi - KEEL_PEER_VA));
	assert_true(si->magic == KEEL_START_MAGIC && si->version == KEEL_ABI_VERSION && si->size == sizeof(*si));
	assert_true(si->mem_pa == mem.pa && si->mem_bytes == mem.bytes && si->cr3_pa == start.cr3_pa);
	assert_true(si->tsc_khz == 2999998 && si->xcr0 == 7 && !si->nmodules);
	assert_string_equal(si->name, "lua-1");
	assert_string_equal(si->cmdline, "PWD=/ lua a.lua");
	/* a 16 KiB stack behind the start info, and nothing behind that is used */
	assert_true(start.rsp == start.rdi + PAGE + 16384 && !(start.rsp & 15));
	assert_true(si->free_va == start.rsp);
	for (i = si->free_va; i < KEEL_PEER_VA + mem.bytes; i++)
		assert_int_equal(at[i - KEEL_PEER_VA], 0);
}

static void memory_that_does_not_suffice_is_refused(void **state)
{
	uint64_t pages, least = 0;

	(void)state;
	for (pages = 1; pages < 40; pages++) {
		int err = lay_out(0x40000000, pages * PAGE);

		assert_true(err == 0 || err == -ENOMEM);
		if (!err && !least)
			least = pages;
		assert_true(!err == !!least);	/* more is never worse */
	}
	/* six pages of image, four tables, start info, stack */
	assert_int_equal(least, 6 + 4 + 1 + 4);
}

/* ---- code that is shared ------------------------------------------------------------------------------- */

#define TEXT_PA		0x7654000ul

/* `good`, which says that its code may be shared. */
static struct file sharing(void)
{
	struct file f = good;

	f.p[3].p_filesz = offsetof(struct file, text) - offsetof(struct file, note);
	return f;
}

static uint64_t text_bytes(const struct file *f)
{
	assert_null(image_check(&img, f, sizeof(*f)));
	return image_text_bytes(&img);
}

/* Where va leads, and that these are the rights there. */
static uint64_t leads_to(uint64_t va, uint64_t want)
{
	uint64_t pa, size, flags = walk(va, &pa, &size);

	assert_true(size == PAGE && flags == want);
	return pa;
}

static void shared_code_is_mapped_where_it_lies(void **state)
{
	struct file f = sharing();
	uint8_t *text = calloc(1, PAGE), *own;
	uint64_t va, pa, size;

	(void)state;
	lay_out(0x40000000, 8 * MIB);
	assert_int_equal(text_bytes(&f), PAGE);
	image_text_lay_out(&img, text);
	assert_memory_equal(text, f.text, 100);
	for (size = 100; size < PAGE; size++)
		assert_int_equal(text[size], 0);
	free(text);

	memset(mem.at, 0, mem.bytes);
	mem.text_pa = TEXT_PA;
	assert_int_equal(image_lay_out(&img, &with, &mem, &start), 0);
	assert_true(leads_to(TEXT_VA, P_A_D) == TEXT_PA);
	for (va = KEEL_PEER_VA + PAGE; va < KEEL_PEER_VA + mem.bytes; va += size)
		assert_true(walk(va, &pa, &size) && pa == mem.pa + (va - KEEL_PEER_VA));
	assert_true(rights(CONST_VA) == (P_A_D | NX));
	assert_true(rights(DATA_VA & ~(PAGE - 1)) == (P_A_D | W | NX));
	own = mem.at;
	for (size = 0; size < PAGE; size++)
		assert_int_equal(own[size], 0);		/* no copy */
	assert_memory_equal(own + (CONST_VA - KEEL_PEER_VA), f.constants, 50);
	assert_memory_equal(own + (DATA_VA - KEEL_PEER_VA), f.data, 30);
	assert_true(start.rip == TEXT_VA + 8);
}

/* One behind the other, each from its page on. */
static void several_segments_of_code_are_shared(void **state)
{
	struct file f = sharing();
	uint8_t *text = calloc(1, 3 * PAGE);

	(void)state;
	lay_out(0x40000000, 8 * MIB);
	f.p[0].p_memsz = PAGE + 1;
	f.p[1].p_vaddr = f.p[1].p_paddr = TEXT_VA + 8 * PAGE + 0x20;
	f.p[1].p_flags = PF_R | PF_X;
	f.p[2].p_vaddr = DATA_VA + PAGE;
	assert_int_equal(text_bytes(&f), 3 * PAGE);
	image_text_lay_out(&img, text);
	assert_memory_equal(text, f.text, 100);
	assert_memory_equal(text + 2 * PAGE + 0x20, f.constants, 50);
	free(text);
	memset(mem.at, 0, mem.bytes);
	mem.text_pa = TEXT_PA;
	assert_int_equal(image_lay_out(&img, &with, &mem, &start), 0);
	assert_true(leads_to(TEXT_VA, P_A_D) == TEXT_PA && leads_to(TEXT_VA + PAGE, P_A_D) == TEXT_PA + PAGE);
	assert_true(leads_to(TEXT_VA + 8 * PAGE, P_A_D) == TEXT_PA + 2 * PAGE);
	assert_true(leads_to(TEXT_VA + 2 * PAGE, P_A_D | W | NX) == mem.pa + 2 * PAGE);
}

#define COPIED(change) do { \
		struct file f = sharing(); \
		change; \
		assert_int_equal(text_bytes(&f), 0); \
	} while (0)

static void code_is_copied_where_it_cannot_be_shared(void **state)
{
	(void)state;
	COPIED(f.p[3].p_filesz = good.p[3].p_filesz);		/* it has not said so */
	COPIED(f.shared.h.n_descsz = 4);
	COPIED(f.shared.name[0] = 'X');
	COPIED(f.p[0].p_flags |= PF_W);
	COPIED(f.p[1].p_vaddr = TEXT_VA + 100);			/* constants in the same page */
	COPIED(f.p[2].p_vaddr = TEXT_VA + 200; f.p[2].p_memsz = f.p[2].p_filesz);	/* data */
	COPIED(f.p[0].p_vaddr = UINT64_MAX - 200; f.h.e_entry = f.p[0].p_vaddr);
	COPIED(f.p[0].p_vaddr = 1ul << 40; f.h.e_entry = f.p[0].p_vaddr; f.p[0].p_memsz = (16ul << 20) + 1);
	COPIED(f.p[0].p_vaddr = 1ul << 40; f.h.e_entry = f.p[0].p_vaddr; f.p[0].p_memsz = 1ul << 63);
}

#define REFUSED(change, word) do { \
		struct file f = good; \
		change; \
		assert_non_null(check(&f)); \
		assert_non_null(strstr(check(&f), word)); \
	} while (0)

static void wrong_images_are_refused_by_name(void **state)
{
	(void)state;
	assert_null(check(&good));
	REFUSED(f.h.e_ident[0] = 'x', "not an ELF");
	REFUSED(f.h.e_machine = EM_AARCH64, "wrong machine");
	REFUSED(f.h.e_ident[EI_CLASS] = ELFCLASS32, "wrong machine");
	REFUSED(f.h.e_type = ET_DYN, "dynamic");
	REFUSED(f.p[1].p_type = PT_INTERP, "dynamic");
	REFUSED(f.p[0].p_vaddr -= 0x1000, "below 0x400000");
	REFUSED(f.h.e_entry = CONST_VA, "entry");
	REFUSED(f.p[2].p_filesz = 50, "missing");
	REFUSED(f.p[1].p_vaddr = TEXT_VA + 50, "overlap");
	REFUSED(f.h.e_phnum = 0, "damaged");
	REFUSED(f.note.peer.abi_version = 1, "made for version 1 of Keel's ABI, this is version 2");
	REFUSED(f.note.peer.abi_version = 3, "made for version 3 of Keel's ABI");
	REFUSED(f.p[3].p_type = PT_NULL, "made for version 1");		/* which had no note */
	REFUSED(f.note.name[0] = 'X', "made for version 1");
	REFUSED(f.note.h.n_descsz = UINT32_MAX, "made for version 1");
	REFUSED(f.note.h.n_namesz = UINT32_MAX, "made for version 1");
	REFUSED(f.p[3].p_filesz = 27, "made for version 1");
	assert_non_null(strstr(image_check(&img, "#!/bin/sh\n", 10), "not an ELF"));
}

/* Whatever it is, it stays in its memory, and so does what is shared of it. */
static void lay_out_at_random(struct keel_part_start *regs)
{
	uint64_t bytes = image_text_bytes(&img);
	void *text = bytes && bytes <= MIB ? calloc(1, bytes) : NULL;

	if (text)
		image_text_lay_out(&img, text);
	mem.text_pa = text ? TEXT_PA : 0;
	free(text);
	memset(mem.at, 0, mem.bytes);
	image_lay_out(&img, &with, &mem, regs);
}

/* Headers changed at random: the metakernel takes what we take, but for what concerns only Linux's own image. */
static void what_is_accepted_is_what_the_metakernel_accepts(void **state)
{
	unsigned int i, k, taken = 0, refused = 0;
	struct keel_part_start regs;
	struct parse_error e;
	struct elf_info elf;
	uint64_t rnd = 11;
	struct file f;

	(void)state;
	assert_int_equal(lay_out(0x40000000, 4 * MIB), 0);
	for (i = 0; i < 200000; i++) {
		bool ours, theirs;

		f = sharing();
		for (k = 0; k <= unit_below(&rnd, 3); k++) {
			uint32_t at = unit_below(&rnd, offsetof(struct file, note));

			((uint8_t *)&f)[at] ^= (uint8_t)(1 << unit_below(&rnd, 8));
		}
		for (k = 0; k < NELEM(f.p); k++) {
			f.p[k].p_paddr = f.p[k].p_vaddr;
			if (f.p[k].p_type == PT_NOTE && k != 3)
				f.p[k].p_type = PT_NULL;
		}
		f.p[3] = sharing().p[3];	/* notes are looked at by the metakernel more closely */
		ours = !image_check(&img, &f, sizeof(f));
		theirs = !elf_open(&f, sizeof(f), &elf, &e) && !elf_check_peer(&elf, KEEL_PEER_VA, UINT64_MAX, &e);
		if (ours != theirs)
			fail_msg("round %u: taken here %d, there %d (%s: %s)", i, ours, theirs, e.prop, e.msg);
		if (ours)
			lay_out_at_random(&regs);
		*(ours ? &taken : &refused) += 1;
		if (ours && taken > 300)
			break;
	}
	assert_true(taken > 100 && refused > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_mapped_once_with_the_rights_of_its_segment),
		cmocka_unit_test(memory_that_is_not_aligned_has_small_pages),
		cmocka_unit_test(the_rest_of_a_large_page_has_small_ones),
		cmocka_unit_test(the_program_finds_its_segments_and_the_start_info),
		cmocka_unit_test(memory_that_does_not_suffice_is_refused),
		cmocka_unit_test(shared_code_is_mapped_where_it_lies),
		cmocka_unit_test(several_segments_of_code_are_shared),
		cmocka_unit_test(code_is_copied_where_it_cannot_be_shared),
		cmocka_unit_test(wrong_images_are_refused_by_name),
		cmocka_unit_test(what_is_accepted_is_what_the_metakernel_accepts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
