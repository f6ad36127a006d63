/* SPDX-License-Identifier: MIT */
/*
 * multiboot.h - the information structures of Multiboot 0.6.96 and Multiboot 2.0.
 */
#ifndef HAL_MULTIBOOT_H
#define HAL_MULTIBOOT_H

#include <hal/types.h>

#define MB1_BOOT_MAGIC	0x2badb002
#define MB2_BOOT_MAGIC	0x36d76289

/* Multiboot 1, section 3.3: which fields are valid. */
#define MB1_HAS_MEM	0x001
#define MB1_HAS_CMDLINE	0x004
#define MB1_HAS_MODS	0x008
#define MB1_HAS_MMAP	0x040
#define MB1_HAS_LOADER	0x200

struct mb1_info {
	uint32_t flags;
	uint32_t mem_lower_kib, mem_upper_kib;
	uint32_t boot_device;
	uint32_t cmdline_pa;
	uint32_t mods_count, mods_pa;
	uint32_t syms[4];
	uint32_t mmap_bytes, mmap_pa;
	uint32_t drives_bytes, drives_pa;
	uint32_t config_table_pa;
	uint32_t loader_name_pa;
};

struct mb1_module {
	uint32_t start_pa, end_pa, string_pa, reserved;
};

struct mb1_mmap {
	uint32_t size;		/* of what follows */
	uint64_t base, bytes;
	uint32_t type;
} __packed;

/* Multiboot 2, section 3.6: tags, each 8-byte aligned, behind a {total size, reserved} head. */
#define MB2_TAG_END	0
#define MB2_TAG_CMDLINE	1
#define MB2_TAG_LOADER	2
#define MB2_TAG_MODULE	3
#define MB2_TAG_MEM	4
#define MB2_TAG_MMAP	6
#define MB2_TAG_ACPI1	14
#define MB2_TAG_ACPI2	15

struct mb2_tag {
	uint32_t type, size;
};

struct mb2_module {
	struct mb2_tag tag;
	uint32_t start_pa, end_pa;
};

struct mb2_mem {
	struct mb2_tag tag;
	uint32_t lower_kib, upper_kib;
};

struct mb2_mmap {
	struct mb2_tag tag;
	uint32_t entry_size, entry_version;
};

struct mb2_mmap_entry {
	uint64_t base, bytes;
	uint32_t type, reserved;
};

#endif
