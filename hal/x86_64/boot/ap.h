/* SPDX-License-Identifier: MIT */
/*
 * ap.h - the words that smp.c fills in behind the code of ap.S.
 */
#ifndef HAL_AP_H
#define HAL_AP_H

#define AP_OWN_CR3	0	/* 64 bits: the starting CPU's tables */
#define AP_START_CR3	8	/* 32 bits: tables below 1 MiB */
#define AP_TAKEN	12
#define AP_GDT_PTR	18	/* limit, base */
#define AP_JUMP32	24	/* offset, selector */
#define AP_JUMP64	32
#define AP_GDT		40
#define AP_WORDS_SIZE	72

#define AP_CS32		0x08
#define AP_CS64		0x10
#define AP_DS		0x18

#ifndef __ASSEMBLER__
#include <assert.h>
#include <hal/types.h>

struct ap_words {
	uint64_t own_cr3;
	uint32_t start_cr3, taken;
	uint16_t pad, gdt_limit;
	uint32_t gdt_base;
	struct { uint32_t offset, selector; } jump32, jump64;
	uint64_t gdt[4];
};
static_assert(sizeof(struct ap_words) == AP_WORDS_SIZE, "struct ap_words");
static_assert(offsetof(struct ap_words, taken) == AP_TAKEN, "AP_TAKEN");
static_assert(offsetof(struct ap_words, gdt_limit) == AP_GDT_PTR, "AP_GDT_PTR");
static_assert(offsetof(struct ap_words, jump32) == AP_JUMP32, "AP_JUMP32");
static_assert(offsetof(struct ap_words, jump64) == AP_JUMP64, "AP_JUMP64");
static_assert(offsetof(struct ap_words, gdt) == AP_GDT, "AP_GDT");

extern const char hal_ap_page[], hal_ap_32[], hal_ap_64[], hal_ap_words[], hal_ap_page_end[];
#endif
#endif
