// SPDX-License-Identifier: MIT
/*
 * Property: Linux's image, its initrd and its boot parameters are written into frames of its own only,
 * whatever addresses a damaged image names, aligned or not; and its command line is whole or refused.
 * Failure looks like: a byte outside Linux's frames that changed, or a report of a sanitizer.
 */
#include "unit.h"

#include <elf.h>
#undef PF_W	/* of segments; the page faults' is not used here */
#include <hal/boot.h>
#define ONCE	0x500000UL	/* what runs once, of the metakernel's image */
#define __once_start	(unit_arena + ONCE)
#define __once_end	(unit_arena + ONCE + 0x2000)
extern char *unit_arena;
#include "metakernel/boot/load_linux.c"
#include "metakernel/lib/log.h"
#include "refused.h"

#define ARENA	(8UL << 20)
#define MK_AT	0x300000UL	/* a frame of the metakernel between Linux's */
#define BUNDLE	0x600000UL
#define TEXT_VA	0xffffffff81000000UL

char *unit_arena;
size_t unit_arena_bytes;
static uint8_t frame_table[1 << 16] __attribute__((aligned(4096)));
static struct partition part;
static struct manifest_part man;
static struct boot_info bi;
static struct bundle_file image;
static struct regs regs;
static struct vcpu vcpu;

void *unit_pa_to_va(paddr_t pa) { fail_msg("%#lx is no memory", pa); abort(); }
paddr_t unit_va_to_pa(const void *va) { return (paddr_t)((const char *)va - unit_arena); }
void log_printf(const char *fmt, ...) { (void)fmt; }
void vcpu_reset(struct vcpu *v, paddr_t cr3) { (void)v, (void)cr3; }

struct bundle_file load_find(const void *bundle, size_t len, const char *name, const char *who, const char *prop)
{
	(void)bundle, (void)len, (void)name, (void)who, (void)prop;
	return image;
}

static struct {
	Elf64_Ehdr h;
	Elf64_Phdr p[2];
	struct {
		Elf64_Nhdr h;
		char name[8];
		struct keel_elf_start start;
	} __attribute__((packed, aligned(4))) note;
	uint8_t text[64];
} im;

static int start(void **state)
{
	(void)state;
	unit_arena_bytes = ARENA;
	unit_arena = aligned_alloc(4096, ARENA);
	memset(unit_arena, 0x5a, ARENA);
	memset(&bi, 0, sizeof(bi));
	memset(&part, 0, sizeof(part));
	memset(&man, 0, sizeof(man));
	bi.region[0] = (struct boot_region) { 0, ARENA, BOOT_RAM, 0 };
	bi.nregions = 1;
	frames_init(frame_table, ARENA >> PAGE_SHIFT);
	frames_add_ram(0, ARENA >> PAGE_SHIFT);
	assert_int_equal(frames_claim(MK_AT >> PAGE_SHIFT, 1, FRAMES_FREE, FRAMES_MK), 0);
	assert_int_equal(frames_claim(ONCE >> PAGE_SHIFT, 2, FRAMES_FREE, FRAMES_MK), 0);
	assert_int_equal(frames_claim(BUNDLE >> PAGE_SHIFT, 1, FRAMES_FREE, FRAMES_MK), 0);
	strcpy(man.name, "linux");
	strcpy(man.cmdline, "console=hvc0");
	part.owner = FRAMES_PARTITION;
	part.man = &man;
	part.nvcpus = 1;
	part.vcpu = &vcpu;
	vcpu.regs = &regs;
	memset(&im, 0, sizeof(im));
	im.h = (Elf64_Ehdr) {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_entry = TEXT_VA,
		.e_phoff = offsetof(typeof(im), p), .e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2,
	};
	im.p[0] = (Elf64_Phdr) {
		.p_type = PT_LOAD, .p_flags = ELF_PF_R | ELF_PF_X, .p_offset = offsetof(typeof(im), text), .p_vaddr = TEXT_VA,
		.p_paddr = 0x200000, .p_filesz = 64, .p_memsz = 0x2000, .p_align = 1,
	};
	im.p[1] = (Elf64_Phdr) {
		.p_type = PT_NOTE, .p_flags = PF_R, .p_offset = offsetof(typeof(im), note),
		.p_filesz = sizeof(im.note), .p_align = 4,
	};
	im.note.h = (Elf64_Nhdr) { .n_namesz = 5, .n_descsz = sizeof(im.note.start), .n_type = KEEL_ELF_NOTE_START };
	strcpy(im.note.name, "Keel");
	im.note.start = (struct keel_elf_start) {
		.abi_version = KEEL_ABI_VERSION, .entry_va = TEXT_VA, .cr3_pa = 0x200000,
	};
	image = (struct bundle_file) { .data = (const void *)&im, .size = sizeof(im) };
	return 0;
}

static int stop(void **state)
{
	(void)state;
	free(unit_arena);
	return 0;
}

/* True: loaded. Either way, nobody else's frame has changed. */
static bool load(uint64_t paddr, uint64_t memsz)
{
	volatile bool ok = false;

	im.p[0].p_paddr = paddr;
	im.p[0].p_memsz = memsz;
	im.note.start.cr3_pa = align_up(paddr, PAGE_SIZE);
	why[0] = '\0';
	if (!setjmp(refused)) {
		load_linux(&part, &bi, pa_to_va(BUNDLE), 64);
		ok = true;
	}
	for (uint64_t i = 0; i < PAGE_SIZE; i++)
		if (unit_arena[MK_AT + i] != 0x5a)
			fail_msg("byte %#lx of the metakernel was written (segment %#lx, %#lx)", i, paddr, memsz);
	return ok;
}

static void a_good_image_is_loaded(void **state)
{
	(void)state;
	assert_true(load(0x200000, 0x2000));
	assert_memory_equal(unit_arena + 0x200000, im.text, 64);
	assert_string_equal(unit_arena + CMDLINE_PA, "console=hvc0 ");
	assert_int_equal(frames_owner(ONCE >> PAGE_SHIFT), part.owner);
}

/* The last page of a segment that does not begin where a page does is looked at too. */
static void the_last_page_is_looked_at(void **state)
{
	(void)state;
	assert_false(load(MK_AT - PAGE_SIZE - 1, 0x1002));
	assert_non_null(strstr(why, "0x300000 it must be loaded at is not free"));
}

static void no_segment_reaches_a_frame_of_another(void **state)
{
	static const uint64_t at[] = { MK_AT - 0x3000, MK_AT - 0x2001, MK_AT - 0x1fff, MK_AT, MK_AT + 1, MK_AT + 0xfff };
	static const uint64_t sizes[] = { 0x1fff, 0x2000, 0x2001, 0x2002, 0x3000, 0x3001, 0x10000 };

	for (size_t i = 0; i < NELEM(at); i++)
		for (size_t k = 0; k < NELEM(sizes); k++) {
			bool reaches = at[i] + sizes[k] > MK_AT;

			assert_true(load(at[i], sizes[k]) == !reaches);
			stop(state);
			start(state);
		}
}

static void addresses_beyond_memory_are_refused(void **state)
{
	static const uint64_t at[] = { ARENA - 0x1000, ARENA - 1, ARENA, 1UL << 40, 1UL << 52, -0x3000UL, -0x2001UL };

	for (size_t i = 0; i < NELEM(at); i++) {
		assert_false(load(at[i], 0x2000));
		stop(state);
		start(state);
	}
}

static void nothing_is_loaded_over_the_boot_parameters(void **state)
{
	assert_false(load(0x8f000, 0x2000));
	stop(state);
	start(state);
	assert_false(load(0x91fff, 0x2000));
	assert_non_null(strstr(why, "boot parameters"));
}

static void a_command_line_is_whole_or_refused(void **state)
{
	char *to;

	strcpy(bi.cmdline, "x -- ");
	to = bi.cmdline + strlen(bi.cmdline);
	memset(to, 'w', 2047 - strlen(man.cmdline) - 1);
	assert_true(load(0x200000, 0x2000));
	assert_int_equal(strlen(unit_arena + CMDLINE_PA), 2047);
	stop(state);
	start(state);
	strcpy(bi.cmdline, "x -- ");
	memset(to, 'w', 2047 - strlen(man.cmdline));
	assert_false(load(0x200000, 0x2000));
	assert_non_null(strstr(why, "2048 characters, most are 2047"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_good_image_is_loaded, start, stop),
		cmocka_unit_test_setup_teardown(the_last_page_is_looked_at, start, stop),
		cmocka_unit_test_setup_teardown(no_segment_reaches_a_frame_of_another, start, stop),
		cmocka_unit_test_setup_teardown(addresses_beyond_memory_are_refused, start, stop),
		cmocka_unit_test_setup_teardown(nothing_is_loaded_over_the_boot_parameters, start, stop),
		cmocka_unit_test_setup_teardown(a_command_line_is_whole_or_refused, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
