/* SPDX-License-Identifier: MIT */
/*
 * hal/boot.h - what the boot loader told us, the same for Multiboot 1 and 2.
 */
#ifndef HAL_BOOT_H
#define HAL_BOOT_H

#include <hal/types.h>

/* Types of boot_region: the numbers of ACPI's E820 (ACPI 6.4, table 15.3). */
#define BOOT_RAM	1
#define BOOT_RESERVED	2
#define BOOT_ACPI	3	/* tables, reusable once read */
#define BOOT_NVS	4
#define BOOT_BAD	5

#define BOOT_MAX_REGIONS	128

struct boot_region {
	uint64_t base, bytes;
	uint32_t type;
	uint32_t reserved;
};

/*
 * Regions are sorted by base, do not overlap (where the firmware's did, the less usable type won)
 * and neighbours of one type are joined. They are the firmware's: memory the metakernel uses is
 * not taken out. It uses [HAL_IMAGE_PA, early_end) and what is RAM of [more_base, more_end); [module_pa, +module_bytes) is
 * the module (QEMU puts it right behind the image; GRUB may put it elsewhere).
 */
struct boot_info {
	char cmdline[2048];		/* without the image's own name */
	bool cmdline_cut;		/* it was longer */
	paddr_t module_pa;		/* 0 if there is none */
	uint64_t module_bytes;
	struct boot_region region[BOOT_MAX_REGIONS];
	unsigned int nregions;
	paddr_t rsdp_pa;		/* 0 if none found */
	bool rsdp_is_copy;		/* rsdp_pa is in the image: the original was not found */
	paddr_t early_end;		/* first free byte behind the image */
	paddr_t more_base, more_end;	/* early allocations that the image had no room for; 0: none */
	paddr_t ram_end;		/* end of the last RAM region */
	paddr_t direct_map_end;		/* the direct map reaches from 0 to here */
	const char *protocol;		/* "multiboot1" or "multiboot2" */
	char loader[64];		/* the loader's name for itself */
};

/*
 * npages pages of zeroed RAM, never freed: of the image, or below 4 GiB, which moves boot_info.more_end. Does not return
 * without memory.
 */
paddr_t hal_early_alloc(size_t npages);

/* Pointer to [pa, pa + bytes) if the direct map has it, else NULL. For tables the firmware names. */
const void *hal_phys_window(paddr_t pa, uint64_t bytes);

/*
 * Nothing between __once_start and __once_end is used again: zero it and take it out of the image's map. Whoever
 * owns those frames has them from then on.
 */
void hal_once_over(void);

/* The metakernel's root table (CR3 value). */
paddr_t hal_boot_cr3(void);

/* Set by the linker script. */
extern char __image_start[], __image_end[];
extern char __once_start[], __once_text_end[], __once_end[];	/* code, then read-only data */
extern char __text_start[], __text_end[];
extern char __tramp_text_start[], __tramp_text_end[];
extern char __rodata_start[], __rodata_end[];
extern char __data_start[], __data_end[];
extern char __build_id_start[], __build_id_end[];	/* an ELF note */
extern char hal_boot_stack_guard[], hal_boot_stack[], hal_boot_stack_end[];

/* Called by start.S on the boot stack, paging on. */
void __noreturn hal_boot(uint32_t magic, uint32_t info_pa);

/* The linker's build id of this image in hex. */
const char *hal_build_id(void);

#endif
