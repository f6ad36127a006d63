// SPDX-License-Identifier: MIT
/*
 * check_frame.c - attacks by return frames, descriptors and selectors that ring 0 loads for a partition: rule 10.
 */
#include "hostile.h"

#define GDT	((const volatile uint64_t *)KEEL_VCPU_RO_VA)
#define TLS_DATA 0x00cff3000000ffffUL	/* flat, writable, DPL 3 */
#define TLS_RO	0x00cff1000000ffffUL	/* flat, read-only, DPL 3 */
#define TLS0	(KEEL_GDT_TLS_MIN << 3 | 3)

/* ---- Rule 10: frames given to the metakernel ----------------------------------------------------------------- */

void iret_by_hypercall(const struct frame_case *f)
{
	vcpu_page->iret.rip = f->rip;
	vcpu_page->iret.cs = f->cs;
	vcpu_page->iret.rflags = f->rflags;
	vcpu_page->iret.rsp = f->rsp;
	vcpu_page->iret.ss = f->ss;
	hc_iret(KEEL_HC_IRET, 0, 0);
}

/* RIP 0 stands for the text of ring 3, whose address is not a constant. */
static const struct frame_case frame_cases[] = {
	{ 0, KEEL_CS_USER, 0x202, USER_STACK, KEEL_SS_USER, true },
	{ 0, KEEL_CS_USER, 0x002, USER_STACK, KEEL_SS_USER, true },	/* IF=0 */
	{ 0, KEEL_CS_USER, 0x3202, USER_STACK, KEEL_SS_USER, true },	/* IOPL=3 */
	{ 0, KEEL_CS_USER, 0x4202, USER_STACK, KEEL_SS_USER, true },	/* NT */
	{ 0, KEEL_CS_USER, 0x20202, USER_STACK, KEEL_SS_USER, true },	/* VM */
	{ 0, KEEL_CS_USER, 0x180202, USER_STACK, KEEL_SS_USER, true },	/* VIF, VIP */
	{ 0, KEEL_CS_USER, ~0x50100UL, USER_STACK, KEEL_SS_USER, true },	/* all but TF, RF, AC */
	{ 0, KEEL_CS_RING1, 0x202, USER_STACK, KEEL_SS_RING1, false },
	{ 0, 0x10, 0x202, USER_STACK, KEEL_SS_USER, false },
	{ 0, 0x13, 0x202, USER_STACK, KEEL_SS_USER, false },
	{ 0, 0x80, 0x202, USER_STACK, 0x88, false },
	{ 0, 0x83, 0x202, USER_STACK, KEEL_SS_USER, false },
	{ 0, 0, 0x202, USER_STACK, KEEL_SS_USER, false },
	{ 0, 3, 0x202, USER_STACK, KEEL_SS_USER, false },
	{ 0, KEEL_SS_USER, 0x202, USER_STACK, KEEL_SS_USER, false },
	{ 0, 0x37, 0x202, USER_STACK, KEEL_SS_USER, false },		/* LDT */
	{ 0, 0x10033, 0x202, USER_STACK, KEEL_SS_USER, false },
	{ 0, 0x93, 0x202, USER_STACK, KEEL_SS_USER, false },		/* TSS */
	{ 0, 0xffff, 0x202, USER_STACK, KEEL_SS_USER, false },
	{ 0, KEEL_CS_USER, 0x202, USER_STACK, 0, false },
	{ 0, KEEL_CS_USER, 0x202, USER_STACK, 3, false },
	{ 0, KEEL_CS_USER, 0x202, USER_STACK, 0x28, false },
	{ 0, KEEL_CS_USER, 0x202, USER_STACK, KEEL_SS_RING1, false },
	{ 0, KEEL_CS_USER, 0x202, USER_STACK, 0x88, false },
	{ 0, KEEL_CS_USER, 0x202, USER_STACK, KEEL_CS_USER, false },
	{ 0, KEEL_CS_USER, 0x202, USER_STACK, TLS0, false },		/* absent */
	{ 0, KEEL_CS_USER, 0x202, USER_STACK, 0x67, false },		/* LDT */
	{ 0, KEEL_CS_USER, 0x202, USER_STACK, 0x7b, false },		/* the CPU number */
	{ 0x0000800000000000, KEEL_CS_USER, 0x202, USER_STACK, KEEL_SS_USER, false },
	{ 0x8000000000000000, KEEL_CS_USER, 0x202, USER_STACK, KEEL_SS_USER, false },
	{ 0xffff7fffffffffff, KEEL_CS_USER, 0x202, USER_STACK, KEEL_SS_USER, false },
	{ 0x0000800000000000, KEEL_CS_USER32, 0x202, USER_STACK, KEEL_SS_USER, false },
};

static const char *frame_result(unsigned int i, bool good)
{
	if (good) {
		EXPECT(happened.how == HOW_SYSCALL, "frame %u: how %u vector %u", i, happened.how, vector());
		EXPECT((happened.rax & 0x27200) == 0x200, "frame %u: ring 3 has RFLAGS %lx", i, happened.rax);
		EXPECT(happened.rdx == KEEL_CS_USER && happened.rsi == KEEL_SS_USER, "frame %u: CS %lx SS %lx", i,
		       happened.rdx, happened.rsi);
	} else {
		EXPECT(happened.how == HOW_BAD_IRET && vector() == VEC_GP, "frame %u: how %u vector %u", i,
		       happened.how, vector());
	}
	return sanity();
}

const char *check_iret_frames(void)
{
	const uint64_t text = user_va(u_flags), sp = USER_STACK;
	struct frame_case f;
	const char *why;
	unsigned int i;

	for (i = 0; i < sizeof(frame_cases) / sizeof(frame_cases[0]); i++) {
		f = frame_cases[i];
		if (!f.rip)
			f.rip = text;
		iret_by_hypercall(&f);
		why = frame_result(i, f.good);
		if (why)
			return why;
	}
	/* Odd but harmless: a wild stack, 32-bit code beyond 4 GiB, the upper half as RIP. */
	iret_by_hypercall(&(struct frame_case){ text, KEEL_CS_USER, 0x202, 0x8000000000000000, KEEL_SS_USER, 0 });
	EXPECT_SANE();
	iret_by_hypercall(&(struct frame_case){ 0x100000000 + text, KEEL_CS_USER32, 0x202, sp, KEEL_SS_USER, 0 });
	EXPECT_SANE();
	iret_by_hypercall(&(struct frame_case){ KEEL_TRAMP_VA, KEEL_CS_USER, 0x202, sp, KEEL_SS_USER, 0 });
	EXPECT(happened.how == HOW_USER && vector() == VEC_PF, "ring 3 in the trampoline: how %u", happened.how);
	vcpu_page->user_gs = 0x8000000000000000;
	f = frame_cases[0];
	f.rip = text;
	iret_by_hypercall(&f);
	vcpu_page->user_gs = 0;
	EXPECT(happened.how == HOW_SYSCALL, "non-canonical GS base: how %u", happened.how);
	return sanity();
}

const char *check_set_desc(void)
{
	unsigned int access, flags, i;

	for (i = 0; i < 40; i++)
		EXPECT((hcall(KEEL_HC_SET_DESC, i, 0, 0) == 0) == (i >= KEEL_GDT_TLS_MIN && i <= KEEL_GDT_CPUNODE),
		       "index %u", i);
	EXPECT(hcall(KEEL_HC_SET_DESC, 1UL << 32 | 12, TLS_DATA, 0) < 0, "a large index is taken");
	for (access = 0; access < 256; access++)
		for (flags = 0; flags < 16; flags++) {
			uint64_t d = 0x000f00000000ffff | (uint64_t)access << 40 | (uint64_t)flags << 52, got;
			bool present = access & 0x80, data = (access & 0x18) == 0x10, dpl3 = (access & 0x60) == 0x60;
			int64_t e;

			hcall(KEEL_HC_SET_DESC, 12, 0, 0);
			e = hcall(KEEL_HC_SET_DESC, 12, d, 0);
			got = GDT[12];
			EXPECT((e == 0) == (!present || (data && dpl3)), "access %x flags %x: %ld", access, flags, e);
			EXPECT(e == 0 || got == 0, "refused, but the GDT holds %lx", got);
			EXPECT(!present || e || got == (d | 1UL << 40), "the GDT holds %lx", got);
		}
	hcall(KEEL_HC_SET_DESC, 12, 0, 0);
	return check_descriptors();
}

/* SS from a TLS descriptor: writable is fine, read-only or gone must not fault in ring 0. */
const char *check_stack_selector(void)
{
	const struct frame_case f = { user_va(u_flags), KEEL_CS_USER, 0x202, USER_STACK, TLS0, 0 };
	struct user_regs u;

	hcall(KEEL_HC_SET_DESC, 12, TLS_DATA, 0);
	iret_by_hypercall(&f);
	EXPECT(happened.how == HOW_SYSCALL && happened.rsi == TLS0, "writable: how %u SS %lx", happened.how,
	       happened.rsi);
	hcall(KEEL_HC_SET_DESC, 12, TLS_RO, 0);
	iret_by_hypercall(&f);
	EXPECT(happened.how == HOW_BAD_IRET, "read-only: how %u", happened.how);
	user_init(&u, u_flags);
	u.ss = TLS0;
	go_user(&u);
	EXPECT(happened.how == HOW_KERNEL, "read-only, own IRETQ: how %u", happened.how);
	hcall(KEEL_HC_SET_DESC, 12, 0, 0);
	iret_by_hypercall(&f);
	EXPECT(happened.how == HOW_BAD_IRET, "gone: how %u", happened.how);
	go_user(&u);
	EXPECT(happened.how == HOW_KERNEL, "gone, own IRETQ: how %u", happened.how);
	return sanity();
}

void load_data_selectors(uint16_t sel)
{
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs" : : "r" (sel));
}

/* Selectors in registers whose descriptor then goes: reloading them at a switch must not fault. */
const char *check_stale_selectors(void)
{
	static const uint64_t then[] = { 0, TLS_RO, TLS_DATA & ~0xf00000ffffUL };
	unsigned int i;

	for (i = 0; i < 3; i++) {
		hcall(KEEL_HC_SET_DESC, 12, TLS_DATA, 0);
		load_data_selectors(TLS0);
		hcall(KEEL_HC_SET_DESC, 12, then[i], 0);
		nap_us(2000);
		nap_us(2000);
		load_data_selectors(0);
		EXPECT_SANE();
	}
	load_data_selectors(KEEL_SS_RING1);
	nap_us(2000);
	load_data_selectors(KEEL_SS_USER);
	nap_us(2000);
	load_data_selectors(0);
	hcall(KEEL_HC_SET_DESC, 12, 0, 0);
	return sanity();
}

const char *check_load_gs(void)
{
	uint64_t sel, gs;

	asm volatile("rdgsbase %0" : "=r" (gs));
	/* Set and load without a switch in between, then removed, then each selector there is. */
	hcall(KEEL_HC_SET_DESC, 13, TLS_DATA | 0x230000UL << 16, 0);
	EXPECT(hcall(KEEL_HC_LOAD_GS, 13 << 3 | 3, 0, 0) == 0x230000, "base %lx",
	       hcall(KEEL_HC_LOAD_GS, 13 << 3 | 3, 0, 0));
	hcall(KEEL_HC_SET_DESC, 13, TLS_RO, 0);
	hcall(KEEL_HC_LOAD_GS, 13 << 3 | 3, 0, 0);
	hcall(KEEL_HC_SET_DESC, 13, 0, 0);
	for (sel = 0; sel < 0x10000; sel += sel < 0x200 ? 1 : 0x3fd)
		hcall(KEEL_HC_LOAD_GS, sel, 0, 0);
	hcall(KEEL_HC_LOAD_GS, ~0UL, 0, 0);
	hcall(KEEL_HC_LOAD_GS, 0, 0, 0);
	vcpu_page->user_gs = 0;
	asm volatile("wrgsbase %0" : : "r" (gs));
	return sanity();
}
