// SPDX-License-Identifier: MIT
/*
 * bootinfo.c - Multiboot 1 and 2 information into one struct boot_info.
 *
 * Everything is copied out before the first early allocation, which may overwrite the originals.
 * Trusts: the boot loader, but sizes are bounded so that a broken one ends in a message.
 */
#include "bootinfo.h"
#include "multiboot.h"

#define CMDLINE_MAX	(sizeof(((struct boot_info *)0)->cmdline))
#define LOADER_MAX	(sizeof(((struct boot_info *)0)->loader))

/* False: cut. */
static bool copy_string(char *dst, size_t max, const char *src)
{
	size_t i;

	for (i = 0; i + 1 < max && src[i]; i++)
		dst[i] = src[i];
	dst[i] = '\0';
	return !src[i];
}

static void add_region(struct boot_info *bi, uint64_t base, uint64_t bytes, uint32_t type)
{
	struct boot_region *r;

	if (!bytes || bi->nregions == BOOT_MAX_REGIONS)
		return;
	r = &bi->region[bi->nregions++];
	r->base = base;
	r->bytes = bytes;
	r->type = type;
	r->reserved = 0;
}

static void add_basic_memory(struct boot_info *bi, uint32_t lower_kib, uint32_t upper_kib)
{
	add_region(bi, 0, (uint64_t)lower_kib << 10, BOOT_RAM);
	add_region(bi, 0x100000, (uint64_t)upper_kib << 10, BOOT_RAM);
}

static bool starts_with(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return false;
	return true;
}

static void mb1_mmap(struct boot_info *bi, const struct mb1_info *mbi)
{
	const char *p = pa_to_va(mbi->mmap_pa);
	const char *end = p + mbi->mmap_bytes;

	while (end - p >= (ptrdiff_t)sizeof(struct mb1_mmap)) {
		const struct mb1_mmap *m = (const void *)p;

		add_region(bi, m->base, m->bytes, m->type);
		p += m->size + sizeof(m->size);
	}
}

static void parse_mb1(struct boot_info *bi, const struct mb1_info *mbi)
{
	bi->protocol = "multiboot1";
	if (mbi->flags & MB1_HAS_LOADER)
		copy_string(bi->loader, LOADER_MAX, pa_to_va(mbi->loader_name_pa));
	if (mbi->flags & MB1_HAS_CMDLINE) {
		const char *s = pa_to_va(mbi->cmdline_pa);

		/* QEMU puts the file's name in front, GRUB does not. */
		if (starts_with(bi->loader, "qemu")) {
			while (*s && *s != ' ')
				s++;
			while (*s == ' ')
				s++;
		}
		bi->cmdline_cut = !copy_string(bi->cmdline, CMDLINE_MAX, s);
	}
	if ((mbi->flags & MB1_HAS_MODS) && mbi->mods_count) {
		const struct mb1_module *m = pa_to_va(mbi->mods_pa);

		bi->module_pa = m->start_pa;
		bi->module_bytes = m->end_pa - m->start_pa;
	}
	if (mbi->flags & MB1_HAS_MMAP)
		mb1_mmap(bi, mbi);
	else if (mbi->flags & MB1_HAS_MEM)
		add_basic_memory(bi, mbi->mem_lower_kib, mbi->mem_upper_kib);
}

static void mb2_mmap(struct boot_info *bi, const struct mb2_mmap *tag)
{
	const char *p = (const char *)(tag + 1);
	const char *end = (const char *)tag + tag->tag.size;

	if (tag->entry_size < sizeof(struct mb2_mmap_entry))
		return;
	for (; end - p >= (ptrdiff_t)tag->entry_size; p += tag->entry_size) {
		const struct mb2_mmap_entry *e = (const void *)p;

		add_region(bi, e->base, e->bytes, e->type);
	}
}

/* Keep our own copy: the tag is ordinary RAM. The newer one wins. */
static void mb2_rsdp(struct boot_info *bi, const struct mb2_tag *tag)
{
	static char rsdp[36] __aligned(16);
	const char *src = (const char *)(tag + 1);
	size_t len = min_u64(tag->size - sizeof(*tag), sizeof(rsdp));

	if (bi->rsdp_pa && tag->type == MB2_TAG_ACPI1)
		return;
	for (size_t i = 0; i < len; i++)
		rsdp[i] = src[i];
	bi->rsdp_pa = va_to_pa(rsdp);
}

static void mb2_tag(struct boot_info *bi, const struct mb2_tag *tag)
{
	const struct mb2_module *mod = (const void *)tag;
	const struct mb2_mem *mem = (const void *)tag;

	switch (tag->type) {
	case MB2_TAG_CMDLINE:
		bi->cmdline_cut = !copy_string(bi->cmdline, CMDLINE_MAX, (const char *)(tag + 1));
		break;
	case MB2_TAG_LOADER:
		copy_string(bi->loader, LOADER_MAX, (const char *)(tag + 1));
		break;
	case MB2_TAG_MODULE:
		if (bi->module_pa)
			break;
		bi->module_pa = mod->start_pa;
		bi->module_bytes = mod->end_pa - mod->start_pa;
		break;
	case MB2_TAG_MEM:
		if (!bi->nregions)
			add_basic_memory(bi, mem->lower_kib, mem->upper_kib);
		break;
	case MB2_TAG_MMAP:
		bi->nregions = 0;
		mb2_mmap(bi, (const void *)tag);
		break;
	case MB2_TAG_ACPI1:
	case MB2_TAG_ACPI2:
		mb2_rsdp(bi, tag);
		break;
	default:
		break;
	}
}

static void parse_mb2(struct boot_info *bi, const uint32_t *head)
{
	const char *p = (const char *)(head + 2);
	const char *end = (const char *)head + head[0];

	bi->protocol = "multiboot2";
	while (end - p >= (ptrdiff_t)sizeof(struct mb2_tag)) {
		const struct mb2_tag *tag = (const void *)p;

		if (tag->type == MB2_TAG_END || tag->size < sizeof(*tag))
			break;
		mb2_tag(bi, tag);
		p += align_up(tag->size, 8);
	}
}

bool bootinfo_parse(struct boot_info *bi, uint32_t magic, paddr_t info_pa)
{
	if (magic == MB1_BOOT_MAGIC)
		parse_mb1(bi, pa_to_va(info_pa));
	else if (magic == MB2_BOOT_MAGIC)
		parse_mb2(bi, pa_to_va(info_pa));
	else
		return false;
	return true;
}
