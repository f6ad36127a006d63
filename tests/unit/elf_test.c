// SPDX-License-Identifier: MIT
/*
 * Property: the ELF checker reports well-formed images as they are, and refuses each image whose
 * headers would make a loader read or write outside its bounds, naming the field.
 * Failure looks like: a wrong segment, a bad header accepted, or a report of a sanitizer.
 */
#include "unit.h"

#include <elf.h>
#include <unistd.h>

#include "boot/elf.h"

static struct parse_error e;
static struct elf_info info;

/* An image like vmlinux: two segments, a note between them. Small enough to try every byte. */
struct image {
	Elf64_Ehdr h;
	Elf64_Phdr p[3];
	struct {
		Elf64_Nhdr h;
		char name[8];
		struct keel_elf_peer peer;
	} other;
	struct {
		Elf64_Nhdr h;
		char name[8];
		struct keel_elf_start start;
	} __attribute__((packed, aligned(4))) note;
	uint8_t text[64];
	uint8_t data[40];	/* to the very end */
};
static_assert(offsetof(struct image, data) + 40 == sizeof(struct image), "no padding");

#define TEXT_VA	0xffffffff81000000
#define DATA_VA	0xffffffff81200000
#define TEXT_PA	0x1000000ull
#define DATA_PA	0x1200000ull

static const struct image good = {
	.h = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_entry = TEXT_VA, .e_phoff = offsetof(struct image, p),
		.e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 3,
	},
	.p = {
		{ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = offsetof(struct image, text),
		  .p_vaddr = TEXT_VA, .p_paddr = TEXT_PA, .p_filesz = 64, .p_memsz = 64, .p_align = 0x200000 },
		{ .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = offsetof(struct image, data),
		  .p_vaddr = DATA_VA, .p_paddr = DATA_PA, .p_filesz = 40, .p_memsz = 0x3000, .p_align = 0x1000 },
		{ .p_type = PT_NOTE, .p_flags = PF_R, .p_offset = offsetof(struct image, other),
		  .p_filesz = offsetof(struct image, text) - offsetof(struct image, other), .p_align = 4 },
	},
	.other = { .h = { .n_namesz = 5, .n_descsz = 8, .n_type = 1 }, .name = "Xeel", .peer = { KEEL_ABI_VERSION, 0 } },
	.note = { .h = { .n_namesz = 5, .n_descsz = 24, .n_type = KEEL_ELF_NOTE_START }, .name = "Keel",
		  .start = { .abi_version = KEEL_ABI_VERSION, .entry_va = TEXT_VA + 0x10, .cr3_pa = DATA_PA + 0x1000 } },
};

static int open_bytes(const void *data, size_t len)
{
	void *copy = unit_copy(data, len);
	int ret = elf_open(copy, len, &info, &e);

	unit_free(copy, len);
	return ret;
}

static int open_image(const struct image *im)
{
	return open_bytes(im, sizeof(*im));
}

static void assert_refused(const struct image *im, const char *prop, const char *msg)
{
	assert_true(open_image(im) < 0);
	assert_string_equal(e.node, "ELF");
	assert_string_equal(e.prop, prop);
	if (!strstr(e.msg, msg))
		fail_msg("message \"%s\" has no \"%s\"", e.msg, msg);
}

static void good_image_is_reported(void **state)
{
	const struct elf_segment *s = info.segments;

	(void)state;
	assert_int_equal(open_image(&good), 0);
	assert_int_equal(info.nsegments, 2);
	assert_true(s[0].vaddr == TEXT_VA && s[0].paddr == TEXT_PA && s[0].filesz == 64);
	assert_int_equal(s[0].offset, offsetof(struct image, text));
	assert_int_equal(s[0].flags, ELF_PF_R | ELF_PF_X);
	assert_true(s[1].vaddr == DATA_VA && s[1].memsz == 0x3000 && s[1].filesz == 40);
	assert_true(info.vaddr_min == TEXT_VA && info.vaddr_end == DATA_VA + 0x3000);
	assert_true(info.paddr_min == TEXT_PA && info.paddr_end == DATA_PA + 0x3000);
	assert_true(info.entry == TEXT_VA);
	assert_false(info.write_exec);
	assert_true(info.has_start);
	assert_true(info.start.entry_va == TEXT_VA + 0x10 && info.start.cr3_pa == DATA_PA + 0x1000);
}

/* It would be the first thing the CPU is sent to. */
static void an_entry_that_is_no_address_is_refused(void **state)
{
	static const uint64_t at[] = { 0x800000000000, 0xffff7fffffffff00, 1ull << 63 };

	(void)state;
	for (size_t i = 0; i < NELEM(at); i++) {
		struct image im = good;

		im.p[0].p_vaddr = im.note.start.entry_va = at[i];
		assert_refused(&im, "entry_va", "not canonical");
	}
}

static void image_without_note_is_accepted(void **state)
{
	struct image im = good;

	(void)state;
	im.p[2].p_type = PT_NULL;
	assert_int_equal(open_image(&im), 0);
	assert_false(info.has_start);
	im = good;
	im.note.h.n_type = 3;
	assert_int_equal(open_image(&im), 0);
	assert_false(info.has_start);
}

static void unaligned_image_is_accepted(void **state)
{
	char *block = malloc(sizeof(good) + 3);

	(void)state;
	for (size_t shift = 1; shift < 4; shift++) {
		memcpy(block + shift, &good, sizeof(good));
		assert_int_equal(elf_open(block + shift, sizeof(good), &info, &e), 0);
		assert_true(info.has_start);
	}
	free(block);
}

static void write_and_execute_is_reported(void **state)
{
	struct image im = good;

	(void)state;
	im.p[1].p_flags |= PF_X;
	assert_int_equal(open_image(&im), 0);
	assert_true(info.write_exec);
}

/* The compiler's and linker's own idea of an executable: this test program's sibling. */
static void linked_program_is_read(void **state)
{
	char path[] = "/tmp/keel-elf-XXXXXX", cmd[256], *data = malloc(1 << 20);
	size_t len;
	FILE *f;

	(void)state;
	close(mkstemp(path));
	snprintf(cmd, sizeof(cmd), "echo 'int x[5000]; const int c = 5; int d = 6; void _start(void) { x[1] = c; }' |"
		 " gcc -x c -w -ffreestanding -nostdlib -static -no-pie -Wl,-Ttext-segment=0x400000 -o %s -", path);
	assert_int_equal(system(cmd), 0);
	f = fopen(path, "r");
	len = fread(data, 1, 1 << 20, f);
	fclose(f);
	remove(path);
	assert_int_equal(open_bytes(data, len), 0);
	assert_true(info.nsegments >= 2 && info.vaddr_min == 0x400000);
	info.peer_version = KEEL_ABI_VERSION;
	assert_int_equal(elf_check_peer(&info, KEEL_PEER_VA, 0x100000, &e), 0);
	assert_int_equal(elf_check_peer(&info, KEEL_PEER_VA, 0x1000, &e), -KEEL_ENOMEM);
	assert_int_equal(elf_check_peer(&info, KEEL_PEER_VA + 1, 0x100000, &e), -KEEL_EINVAL);
	info.entry = 0x400000;
	assert_int_equal(elf_check_peer(&info, KEEL_PEER_VA, 0x100000, &e), -KEEL_EINVAL);
	assert_string_equal(e.prop, "e_entry");
	free(data);
}

/* ---- Refused: one field changed ----------------------------------------------------------------- */

enum { MAX = -1 };

#define FIELD(f)	offsetof(struct image, f), sizeof(good.f)

static const struct mutation {
	const char *what;
	size_t offset, size;
	uint64_t value;
	const char *prop, *msg;		/* NULL: accepted */
} mutations[] = {
	{ "magic", FIELD(h.e_ident[0]), 0, "e_ident", "no ELF" },
	{ "magic_E", FIELD(h.e_ident[1]), 'e', "e_ident", "no ELF" },
	{ "class_32", FIELD(h.e_ident[4]), 1, "e_ident", "64-bit" },
	{ "big_endian", FIELD(h.e_ident[5]), 2, "e_ident", "little-endian" },
	{ "ident_version", FIELD(h.e_ident[6]), 0, "e_ident", "64-bit" },
	{ "osabi_is_free", FIELD(h.e_ident[7]), 3, NULL, NULL },
	{ "shared_object", FIELD(h.e_type), ET_DYN, "e_type", "fixed addresses" },
	{ "relocatable", FIELD(h.e_type), ET_REL, "e_type", "" },
	{ "core", FIELD(h.e_type), ET_CORE, "e_type", "" },
	{ "machine_386", FIELD(h.e_machine), EM_386, "e_machine", "x86-64" },
	{ "machine_0", FIELD(h.e_machine), 0, "e_machine", "x86-64" },
	{ "version_0", FIELD(h.e_version), 0, "e_version", "" },
	{ "version_2", FIELD(h.e_version), 2, "e_version", "" },
	{ "entry_is_free_for_linux", FIELD(h.e_entry), TEXT_PA, NULL, NULL },
	{ "phoff_beyond", FIELD(h.e_phoff), sizeof(good), "e_phoff", "beyond" },
	{ "phoff_last_byte_missing", FIELD(h.e_phoff), sizeof(good) - 3 * 56 + 1, "e_phoff", "beyond" },
	{ "phoff_max", FIELD(h.e_phoff), (uint64_t)MAX, "e_phoff", "beyond" },
	{ "phoff_wraps", FIELD(h.e_phoff), (uint64_t)-56, "e_phoff", "beyond" },
	{ "shoff_is_unused", FIELD(h.e_shoff), (uint64_t)MAX, NULL, NULL },
	{ "flags_are_unused", FIELD(h.e_flags), 0xffffffff, NULL, NULL },
	{ "ehsize_0", FIELD(h.e_ehsize), 0, "e_ehsize", "" },
	{ "ehsize_63", FIELD(h.e_ehsize), 63, "e_ehsize", "" },
	{ "phentsize_0", FIELD(h.e_phentsize), 0, "e_phentsize", "" },
	{ "phentsize_32_bit", FIELD(h.e_phentsize), 32, "e_phentsize", "" },
	{ "phentsize_larger", FIELD(h.e_phentsize), 57, "e_phentsize", "" },
	{ "phnum_0", FIELD(h.e_phnum), 0, "e_phnum", "" },
	{ "phnum_too_many", FIELD(h.e_phnum), 33, "e_phnum", "" },
	{ "phnum_beyond_end", FIELD(h.e_phnum), 32, "e_phoff", "beyond" },
	{ "phnum_max", FIELD(h.e_phnum), 0xffff, "e_phnum", "" },
	{ "shnum_is_unused", FIELD(h.e_shnum), 0xffff, NULL, NULL },
	{ "offset_beyond", FIELD(p[0].p_offset), sizeof(good) + 1, "p_filesz", "header 0: content beyond" },
	{ "offset_cut", FIELD(p[0].p_offset), sizeof(good) - 63, "p_filesz", "beyond" },
	{ "offset_max", FIELD(p[0].p_offset), (uint64_t)MAX, "p_filesz", "beyond" },
	{ "offset_wraps", FIELD(p[0].p_offset), (uint64_t)-64, "p_filesz", "beyond" },
	{ "filesz_beyond", FIELD(p[1].p_filesz), 41, "p_filesz", "header 1: content beyond" },
	{ "filesz_max", FIELD(p[1].p_filesz), (uint64_t)MAX, "p_filesz", "beyond" },
	{ "filesz_wraps", FIELD(p[1].p_filesz), (uint64_t)-1 - 200, "p_filesz", "beyond" },
	{ "memsz_less_than_filesz", FIELD(p[1].p_memsz), 35, "p_memsz", "smaller" },
	{ "memsz_0_with_content", FIELD(p[1].p_memsz), 0, "p_memsz", "smaller" },
	{ "memsz_max", FIELD(p[1].p_memsz), (uint64_t)MAX, "p_vaddr", "wraps" },
	{ "memsz_to_the_end", FIELD(p[1].p_memsz), -DATA_VA, "p_vaddr", "wraps" },
	{ "vaddr_wraps", FIELD(p[1].p_vaddr), (uint64_t)-0x2000, "p_vaddr", "wraps" },
	{ "vaddr_overlaps", FIELD(p[1].p_vaddr), TEXT_VA + 63, "p_vaddr", "overlaps" },
	{ "vaddr_overlaps_from_below", FIELD(p[1].p_vaddr), TEXT_VA - 0x2fff, "p_vaddr", "overlaps" },
	{ "vaddr_equal", FIELD(p[1].p_vaddr), TEXT_VA, "p_vaddr", "overlaps" },
	{ "vaddr_touches", FIELD(p[1].p_vaddr), TEXT_VA + 64, NULL, NULL },
	{ "vaddr_touches_from_below", FIELD(p[1].p_vaddr), TEXT_VA - 0x3000, NULL, NULL },
	{ "vaddr_0_as_percpu", FIELD(p[1].p_vaddr), 0, NULL, NULL },
	{ "paddr_wraps", FIELD(p[1].p_paddr), (uint64_t)-0x2fff, "p_paddr", "wraps" },
	{ "paddr_overlaps", FIELD(p[1].p_paddr), TEXT_PA + 1, "p_paddr", "overlaps" },
	{ "align_not_power_of_two", FIELD(p[0].p_align), 0x3000, "p_align", "power of two" },
	{ "align_0", FIELD(p[0].p_align), 0, NULL, NULL },
	{ "interpreter", FIELD(p[2].p_type), PT_INTERP, "p_type", "dynamic linker" },
	{ "dynamic", FIELD(p[2].p_type), PT_DYNAMIC, "p_type", "dynamic linker" },
	{ "note_offset_beyond", FIELD(p[2].p_offset), sizeof(good), "p_filesz", "header 2: content beyond" },
	{ "note_cut", FIELD(p[2].p_filesz), 71, "p_filesz", "note beyond" },
	{ "note_namesz_max", FIELD(other.h.n_namesz), 0xffffffff, "p_filesz", "note beyond" },
	{ "note_descsz_max", FIELD(other.h.n_descsz), 0xffffffff, "p_filesz", "note beyond" },
	{ "note_both_almost_max", FIELD(note.h.n_namesz), 0xfffffff0, "p_filesz", "note beyond" },
	{ "start_too_short", FIELD(note.h.n_descsz), 20, "note Keel", "wrong size" },
	{ "start_empty", FIELD(note.h.n_descsz), 0, "note Keel", "wrong size" },
	{ "start_twice", FIELD(other.name[0]), 'K', "note Keel", "wrong size" },
	{ "start_other_owner", FIELD(note.name[3]), 'p', NULL, NULL },
	{ "start_abi_version", FIELD(note.start.abi_version), 1, "abi_version", ": 1, this metakernel has 2" },
	{ "start_reserved", FIELD(note.start.reserved), 1, "reserved", "not zero" },
	{ "start_entry_in_data", FIELD(note.start.entry_va), DATA_VA, "entry_va", "no executable" },
	{ "start_entry_after_text", FIELD(note.start.entry_va), TEXT_VA + 64, "entry_va", "no executable" },
	{ "start_entry_0", FIELD(note.start.entry_va), 0, "entry_va", "no executable" },
	{ "start_cr3_unaligned", FIELD(note.start.cr3_pa), DATA_PA + 8, "cr3_pa", "no page" },
	{ "start_cr3_with_bit_63", FIELD(note.start.cr3_pa), DATA_PA | 1ull << 63, "cr3_pa", "no page" },
	{ "start_cr3_last_page", FIELD(note.start.cr3_pa), DATA_PA + 0x2000, NULL, NULL },
	{ "start_cr3_behind", FIELD(note.start.cr3_pa), DATA_PA + 0x3000, "cr3_pa", "no page" },
	{ "start_cr3_page_not_whole", FIELD(note.start.cr3_pa), TEXT_PA, "cr3_pa", "no page" },
	{ "start_cr3_page_cut", FIELD(p[1].p_memsz), 0x1fff, "cr3_pa", "no page" },
	{ "start_cr3_page_just_whole", FIELD(p[1].p_memsz), 0x2000, NULL, NULL },
	{ "vaddr_to_the_last_address", FIELD(p[1].p_vaddr), (uint64_t)-0x3001, NULL, NULL },
	{ "vaddr_one_too_far", FIELD(p[1].p_vaddr), (uint64_t)-0x3000, "p_vaddr", "wraps" },
};

static void one_field_changed(void **state)
{
	const struct mutation *c = *state;
	struct image im = good;

	memcpy((char *)&im + c->offset, &c->value, c->size);
	if (c->prop)
		assert_refused(&im, c->prop, c->msg);
	else
		assert_int_equal(open_image(&im), 0);
}

static void start_given_twice_is_refused(void **state)
{
	struct {
		struct image im;
		char second[sizeof(good.note)];
	} two = { .im = good };

	(void)state;
	memcpy(two.second, &good.note, sizeof(good.note));
	two.im.h.e_phnum = 3;
	two.im.p[2].p_offset = offsetof(struct image, note);
	two.im.p[2].p_filesz = sizeof(good.note);
	two.im.p[1].p_type = PT_NOTE;
	two.im.p[1].p_offset = sizeof(struct image);
	two.im.p[1].p_filesz = sizeof(good.note);
	two.im.p[1].p_align = 4;
	assert_int_equal(open_bytes(&two, sizeof(two)), -KEEL_EINVAL);
	assert_string_equal(e.prop, "note Keel");
	assert_string_equal(e.msg, "given twice");
}

static void number_of_segments_is_limited(void **state)
{
	struct {
		Elf64_Ehdr h;
		Elf64_Phdr p[ELF_MAX_SEGMENTS + 1];
	} im = { .h = good.h };

	(void)state;
	im.h.e_phoff = sizeof(im.h);
	for (unsigned int n = 0; n < NELEM(im.p); n++)
		im.p[n] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R, .p_vaddr = 0x1000 * n,
					.p_paddr = 0x1000 * n, .p_memsz = 0x1000 };
	im.h.e_phnum = ELF_MAX_SEGMENTS;
	assert_int_equal(open_bytes(&im, sizeof(im)), 0);
	assert_int_equal(info.nsegments, ELF_MAX_SEGMENTS);
	im.h.e_phnum = ELF_MAX_SEGMENTS + 1;
	assert_int_equal(open_bytes(&im, sizeof(im)), -KEEL_E2BIG);
	im.p[3].p_memsz = 0;	/* nothing to load: not counted */
	assert_int_equal(open_bytes(&im, sizeof(im)), 0);
}

static void notes_are_limited(void **state)
{
	static struct {
		struct image im;
		char more[65536];
	} big;

	(void)state;
	big.im = good;
	big.im.p[2].p_filesz = 65536;	/* what follows is empty notes */
	memset(big.im.text, 0, sizeof(big.im.text) + sizeof(big.im.data));
	assert_int_equal(open_bytes(&big, sizeof(big)), 0);
	big.im.p[2].p_filesz = 65537;
	assert_int_equal(open_bytes(&big, sizeof(big)), -KEEL_EINVAL);
	assert_string_equal(e.msg, "program header 2: too many notes");
}

static void peer_must_fit_its_memory(void **state)
{
	uint64_t bytes = DATA_VA + 0x3000 - TEXT_VA;

	(void)state;
	assert_int_equal(open_image(&good), 0);
	info.peer_version = KEEL_ABI_VERSION;
	assert_int_equal(elf_check_peer(&info, TEXT_VA, bytes, &e), 0);
	assert_int_equal(elf_check_peer(&info, TEXT_VA, bytes - 1, &e), -KEEL_ENOMEM);
	assert_string_equal(e.msg, "image larger than the peer's memory, KiB needed: 2060");
	assert_int_equal(elf_check_peer(&info, TEXT_VA + 1, bytes, &e), -KEEL_EINVAL);
	info.entry = DATA_VA;
	assert_int_equal(elf_check_peer(&info, TEXT_VA, bytes, &e), -KEEL_EINVAL);
	assert_string_equal(e.prop, "e_entry");
}

/* A note of this version: neither none, as images of version 1 have, nor one of another. */
static void peer_is_made_for_this_version(void **state)
{
	struct image im = good;

	(void)state;
	assert_int_equal(open_image(&im), 0);
	assert_int_equal(elf_check_peer(&info, TEXT_VA, UINT64_MAX, &e), -KEEL_EINVAL);
	assert_string_equal(e.prop, "abi_version");
	assert_string_equal(e.msg, "made for another version of the ABI: 1, this metakernel has 2");
	im.other.name[0] = 'K';
	im.other.h.n_type = KEEL_ELF_NOTE_PEER;
	assert_int_equal(open_image(&im), 0);
	assert_int_equal(elf_check_peer(&info, TEXT_VA, UINT64_MAX, &e), 0);
	im.other.peer.abi_version = 3;
	assert_refused(&im, "abi_version", ": 3, this metakernel has 2");
	im.other.peer = (struct keel_elf_peer) { KEEL_ABI_VERSION, 1 };
	assert_refused(&im, "reserved", "not zero");
	im = good;
	im.note.h.n_type = KEEL_ELF_NOTE_PEER;
	assert_refused(&im, "note Keel", "wrong size");
}

static void nothing_to_load_is_refused(void **state)
{
	struct image im = good;

	(void)state;
	im.p[0].p_type = im.p[1].p_type = PT_NULL;
	assert_refused(&im, "e_phnum", "nothing to load");
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(good); n++)
		assert_int_equal(open_bytes(&good, n), -KEEL_EINVAL);
}

/* Whatever is accepted keeps the promises in elf.h. */
static void assert_promises(size_t len)
{
	for (unsigned int i = 0; i < info.nsegments; i++) {
		const struct elf_segment *s = &info.segments[i];

		assert_true(s->offset <= len && s->filesz <= len - s->offset);
		assert_true(s->filesz <= s->memsz && s->memsz);
		assert_true(s->vaddr + s->memsz > s->vaddr && s->paddr + s->memsz > s->paddr);
		assert_true(s->vaddr >= info.vaddr_min && s->vaddr + s->memsz <= info.vaddr_end);
		assert_true(s->paddr >= info.paddr_min && s->paddr + s->memsz <= info.paddr_end);
		for (unsigned int k = 0; k < i; k++) {
			const struct elf_segment *t = &info.segments[k];

			assert_true(s->vaddr + s->memsz <= t->vaddr || t->vaddr + t->memsz <= s->vaddr);
			assert_true(s->paddr + s->memsz <= t->paddr || t->paddr + t->memsz <= s->paddr);
		}
	}
}

static void every_byte_of_the_headers_may_be_anything(void **state)
{
	struct image im = good;
	unsigned char *bytes = (unsigned char *)&im;

	(void)state;
	for (size_t i = 0; i < offsetof(struct image, text); i++) {
		unsigned char was = bytes[i];

		for (int v = 0; v < 256; v++) {
			bytes[i] = (unsigned char)v;
			if (!open_image(&im))
				assert_promises(sizeof(im));
			else
				assert_true(e.msg[0]);
		}
		bytes[i] = was;
	}
}

static void random_damage_is_harmless(void **state)
{
	static const uint64_t odd[] = { 0, 1, 63, 64, 0xfff, 0x1000, INT64_MAX, (uint64_t)INT64_MIN, UINT64_MAX,
					UINT64_MAX - 4095, TEXT_VA, DATA_VA, sizeof(struct image) };
	uint64_t seed = 0x656c66;
	unsigned int accepted = 0;

	(void)state;
	for (int i = 0; i < 50000; i++) {
		struct image im = good;

		for (uint32_t n = 1 + unit_below(&seed, 3); n; n--) {
			size_t words = offsetof(struct image, text) / 8;
			uint64_t v = odd[unit_below(&seed, NELEM(odd))] + unit_below(&seed, 3) - 1;

			memcpy((char *)&im + 8 * unit_below(&seed, (uint32_t)words), &v, 8);
		}
		if (!open_image(&im)) {
			assert_promises(sizeof(im));
			accepted++;
		}
	}
	assert_in_range(accepted, 500, 45000);
}

int main(void)
{
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(good_image_is_reported),
		cmocka_unit_test(an_entry_that_is_no_address_is_refused),
		cmocka_unit_test(image_without_note_is_accepted),
		cmocka_unit_test(unaligned_image_is_accepted),
		cmocka_unit_test(write_and_execute_is_reported),
		cmocka_unit_test(linked_program_is_read),
		cmocka_unit_test(start_given_twice_is_refused),
		cmocka_unit_test(number_of_segments_is_limited),
		cmocka_unit_test(notes_are_limited),
		cmocka_unit_test(peer_must_fit_its_memory),
		cmocka_unit_test(peer_is_made_for_this_version),
		cmocka_unit_test(nothing_to_load_is_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_byte_of_the_headers_may_be_anything),
		cmocka_unit_test(random_damage_is_harmless),
	};
	static struct CMUnitTest all[NELEM(fixed) + NELEM(mutations)];

	memcpy(all, fixed, sizeof(fixed));
	for (size_t i = 0; i < NELEM(mutations); i++)
		all[NELEM(fixed) + i] = (struct CMUnitTest){
			.name = mutations[i].what,
			.test_func = one_field_changed,
			.initial_state = (void *)(uintptr_t)&mutations[i],
		};
	return cmocka_run_group_tests(all, NULL, NULL) ? 1 : 0;
}
