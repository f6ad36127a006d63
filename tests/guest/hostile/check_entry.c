// SPDX-License-Identifier: MIT
/*
 * check_entry.c - attacks on the ways into ring 0: system calls, gates, descriptors, frames that claim to come
 * from there. Rules 4, 6, 7, 9, 10.
 */
#include "hostile.h"

#define GDT	((const volatile uint64_t *)KEEL_VCPU_RO_VA)
#define IDT	((const volatile uint64_t *)KEEL_IDT_VA)
#define GDT_WORDS 20		/* what the limit covers */
#define RFLAGS_TF 0x100UL
#define RFLAGS_VM 0x20000UL

/* ---- Rule 4: SYSCALL and SYSENTER where they should not work ------------------------------------------ */

/* The payload at address 0, where a CSTAR or SYSENTER_EIP of 0 leads. */
static void map_zero_page(bool on)
{
	static uint8_t *page;
	unsigned int i;

	if (!page) {
		page = page_alloc(1);
		for (i = 0; i < (unsigned int)(payload_end - payload); i++)
			page[i] = (uint8_t)payload[i];
	}
	map(0, on ? pa_of(page) : 0, on ? PTE_P | PTE_A : 0);
	flush();
}

static const char *system_call_refused(const char *label, uint64_t cs)
{
	struct user_regs u;

	map_zero_page(true);
	user_init(&u, label);
	u.cs = cs;
	go_user(&u);
	map_zero_page(false);
	EXPECT(!payload_ran, "the page at 0 ran with CS %x", payload_ran);
	EXPECT(happened.how == HOW_USER && (vector() == VEC_UD || vector() == VEC_GP),
	       "how %u vector %u", happened.how, vector());
	EXPECT(vcpu_page->event.frame.cs == cs, "CS %lx", vcpu_page->event.frame.cs);
	return NULL;
}

const char *check_compat_syscall(void)
{
	const char *why = system_call_refused(u32_syscall, KEEL_CS_USER32);

	return why ? why : sanity();
}

static long do_sysenter(uint64_t a, uint64_t b, uint64_t c)
{
	(void)a, (void)b, (void)c;
	asm volatile("sysenter" : : : "rcx", "rdx", "memory");
	return 0;
}

const char *check_sysenter(void)
{
	const char *why = system_call_refused(u32_sysenter, KEEL_CS_USER32);

	if (why)
		return why;
	why = system_call_refused(u_sysenter, KEEL_CS_USER);
	if (why)
		return why;
	map_zero_page(true);
	EXPECT(attempt(do_sysenter, 0, 0, 0), "SYSENTER from ring 1 came back");
	map_zero_page(false);
	return sanity();
}

/* ---- Rules 6, 7, 10: gates, software interrupts, descriptors ------------------------------------------- */

const char *check_gates(void)
{
	unsigned int v;

	for (v = 0; v < 256; v++) {
		uint64_t low = IDT[2 * v], high = IDT[2 * v + 1];
		uint64_t handler = (low & 0xffff) | ((low >> 48) << 16) | high << 32;
		unsigned int sel = (low >> 16) & 0xffff, type = (low >> 40) & 0x1f, dpl = (low >> 45) & 3;
		unsigned int ist = (low >> 32) & 7, want = v == 3 || v == 4 ? 3 : v == KEEL_HC_VECTOR ? 1 : 0;
		bool needs_ist = v == 1 || v == 2 || v == 8 || v == 18;

		EXPECT(low & 1UL << 47, "gate %u is absent", v);
		EXPECT(type == 0xe, "gate %u has type %x", v, type);
		EXPECT(dpl == want, "gate %u has DPL %u", v, dpl);
		EXPECT(sel / 8 < GDT_WORDS && !(sel & 7), "gate %u has selector %x", v, sel);
		EXPECT(((GDT[sel / 8] >> 45) & 3) == 0, "gate %u leads to ring %u", v,
		       (unsigned int)(GDT[sel / 8] >> 45) & 3);
		EXPECT(!!ist == needs_ist, "gate %u has IST %u", v, ist);
		EXPECT(handler >= KEEL_TRAMP_VA && handler < KEEL_IDT_VA, "gate %u leads to %lx", v, handler);
	}
	return NULL;
}

static const char *descriptor_ok(unsigned int i, uint64_t d)
{
	unsigned int dpl = (d >> 45) & 3, type = (d >> 40) & 0xf;
	bool code = type & 8;

	if (!(d & 1UL << 47))
		return NULL;
	if (!(d & 1UL << 44)) {
		EXPECT((type & 0xd) == 9 && dpl == 0, "GDT %u is a system descriptor of type %x", i, type);
		return NULL;
	}
	EXPECT(d & 1UL << 40, "GDT %u is not accessed yet", i);
	EXPECT(dpl != 2, "GDT %u is for ring 2", i);
	EXPECT(!code || !(type & 4), "GDT %u is conforming", i);
	EXPECT(!code || (d & 1UL << 53) || dpl == 3, "GDT %u is 32-bit code for ring %u", i, dpl);
	return NULL;
}

const char *check_descriptors(void)
{
	unsigned int i;

	for (i = 0; i < GDT_WORDS; i++) {
		const char *why = i == 19 ? NULL : descriptor_ok(i, GDT[i]);	/* 18, 19: the TSS */

		if (why)
			return why;
	}
	EXPECT(!can_write(KEEL_VCPU_RO_VA + 8 * KEEL_GDT_TLS_MIN), "the GDT is writable");
	return NULL;
}

static uint8_t *int_page(void)
{
	static uint8_t *page;

	if (!page) {
		page = page_alloc(1);
		map(WINDOW_VA, pa_of(page), PTE_P | PTE_U | PTE_A);
		map(WINDOW_VA + PAGE, pa_of(page), PTE_P | PTE_A);
		flush();
	}
	return page;
}

const char *check_int_n(void)
{
	uint8_t *code = int_page();
	struct user_regs u;
	unsigned int v;

	for (v = 0; v < 256; v++) {
		code[0] = 0xcd;
		code[1] = (uint8_t)v;
		code[2] = 0xc3;
		user_init(&u, u_syscall);
		u.rip = WINDOW_VA;
		u.rax = KEEL_HC_ABI_VERSION;
		go_user(&u);
		EXPECT(happened.how == HOW_USER, "int %u in ring 3: how %u", v, happened.how);
		EXPECT(vector() == (v == 3 || v == 4 ? v : VEC_GP), "int %u in ring 3: vector %u", v, vector());
		EXPECT((vcpu_page->event.frame.cs & 3) == 3, "int %u: CS %lx", v, vcpu_page->event.frame.cs);
		happened.rax = 0;
		if (v == KEEL_HC_VECTOR)
			continue;	/* a hypercall with a random number */
		EXPECT(attempt((attempt_fn)(WINDOW_VA + PAGE), 0, 0, 0), "int %u in ring 1 came back", v);
		EXPECT(vector() == (v == 3 || v == 4 ? v : VEC_GP), "int %u in ring 1: vector %u", v, vector());
	}
	return sanity();
}

/* ---- Rule 9: frames that claim to be from ring 0 ---------------------------------------------------------- */

const char *check_iretl_vm(void)
{
	static const uint16_t cs[] = { 0x33, 0x10, 0x11, 0x12, 0x80, 0x81, 0, 0x8, 0x90, 0xffff };
	static const uint32_t rip[] = { 0x1234, 0xffff, 0x40000000, 0 };
	struct user_regs u;
	unsigned int i, j;

	/* Code where QEMU's idea of VM86 would fetch from, if anything: CS * 16 + IP. */
	map_zero_page(true);
	map(0x1000, pa_of(user_text), PTE_P | PTE_U | PTE_A);
	map(0x2000, pa_of(user_text), PTE_P | PTE_U | PTE_A);
	flush();
	for (i = 0; i < sizeof(cs) / sizeof(cs[0]); i++)
		for (j = 0; j < 4; j++) {
			user_init(&u, u_iretl);
			u.rdi = rip[j];
			u.rdx = cs[i];
			u.rsi = 0x202 | RFLAGS_VM | (j & 1 ? RFLAGS_TF : 0);
			u.rcx = 0x10;
			go_user(&u);
			EXPECT(!payload_ran, "the payload ran with CS %x", payload_ran);
			EXPECT(happened.how == HOW_USER || happened.how == HOW_SYSCALL, "CS %x: how %u",
			       (unsigned int)cs[i], happened.how);
			EXPECT_SANE();
		}
	map(0x1000, 0, 0);
	map(0x2000, 0, 0);
	map_zero_page(false);
	return NULL;
}

/* Every way into ring 0, executed in QEMU's idea of VM86 in ring 3. */
const char *check_vm_entries(void)
{
	static const uint8_t code[][4] = {
		{ 0x0f, 0x05, 0x0f, 0x05 },	/* syscall */
		{ 0x0f, 0x34, 0x0f, 0x34 },	/* sysenter */
		{ 0xcd, 0x0f, 0xcd, 0x0f },	/* int 15 */
		{ 0xcd, 0x03, 0xcd, 0x20 },
		{ 0xcc, 0xcc, 0xcc, 0xcc },	/* int3 */
		{ 0xf1, 0xf1, 0xf1, 0xf1 },	/* icebp */
		{ 0xcf, 0xcf, 0xcf, 0xcf },	/* iret */
		{ 0x66, 0xcf, 0x66, 0xcf },
		{ 0xf4, 0xfa, 0xfb, 0xf4 },	/* hlt cli sti */
		{ 0xec, 0xee, 0x6c, 0x6e },	/* in out ins outs */
		{ 0x0f, 0x20, 0xd8, 0x90 },	/* mov cr3 */
		{ 0x0f, 0x22, 0xd8, 0x90 },
		{ 0x0f, 0x30, 0x0f, 0x32 },	/* wrmsr rdmsr */
		{ 0xcb, 0xcb, 0xcb, 0xcb },	/* far return */
		{ 0x9d, 0x9c, 0x9d, 0x9c },	/* popf pushf */
		{ 0x40, 0x75, 0xfd, 0x90 },	/* inc ax, jnz: until the timer comes, or at last the end of the pages */
	};
	static const uint16_t cs[] = { 0x10, 0x80, 0x11, 0x33, 0x0 };
	uint8_t *page = page_alloc(1);
	struct user_regs u;
	unsigned int i, j, k;

	for (k = 1; k < 4; k++)
		map(k * PAGE, pa_of(page), PTE_P | PTE_W | PTE_U | PTE_A | PTE_D);
	flush();
	for (i = 0; i < sizeof(code) / 4; i++)
		for (j = 0; j < sizeof(cs) / sizeof(cs[0]); j++) {
			for (k = 0; k < PAGE; k++)
				page[k] = code[i][k % 4];
			user_init(&u, u_iretl);
			u.rdi = 0x1800;
			u.rdx = cs[j];
			u.rsi = 0x202 | RFLAGS_VM;
			u.rcx = 0x10;
			u.rax = KEEL_HC_ABI_VERSION;
			if (code[i][0] == 0x40)
				hcall(KEEL_HC_TIMER, rdtsc() + 100 * start_info->tsc_khz / 1000, 0, 0);
			go_user(&u);
			EXPECT(happened.how != HOW_NOTHING, "code %u CS %x: nothing", i, (unsigned int)cs[j]);
			EXPECT_SANE();
		}
	hcall(KEEL_HC_TIMER, 0, 0, 0);
	take_events();	/* on a slow machine the timer comes before ring 3 is reached, where nobody looks for it */
	vcpu_page->events = 0;
	for (k = 1; k < 4; k++)
		map(k * PAGE, 0, 0);
	flush();
	return NULL;
}

static long do_iretq(uint64_t cs, uint64_t ss, uint64_t rflags)
{
	asm volatile("mov %%rsp, %%rax; push %1; push %%rax; push %2; push %0; lea 1f(%%rip), %%rax; push %%rax\n"
		     "iretq; 1:" : : "r" (cs), "r" (ss), "r" (rflags) : "rax", "memory");
	return 0;
}

static long do_lretq(uint64_t cs, uint64_t rip, uint64_t c)
{
	(void)c;
	asm volatile("push %0; push %1; lretq" : : "r" (cs), "r" (rip) : "memory");
	return 0;
}

static long do_lcall(uint64_t sel, uint64_t b, uint64_t c)
{
	struct { uint32_t offset; uint16_t sel; } __attribute__((packed)) to = { 0, (uint16_t)sel };

	(void)b, (void)c;
	asm volatile("lcall *%0" : : "m" (to) : "memory");
	return 0;
}

const char *check_return_ring0(void)
{
	static const uint16_t sels[] = { 0x10, 0x12, 0x80, 0x81, 0x83, 0x88, 0x90, 0x98, 0x0, 0x14, 0x63, 0xfff8 };
	struct user_regs u;
	unsigned int i;

	for (i = 0; i < sizeof(sels) / sizeof(sels[0]); i++) {
		uint64_t sel = sels[i];

		EXPECT(attempt(do_iretq, sel, KEEL_SS_RING1, 0x202), "IRETQ to CS %lx from ring 1", sel);
		EXPECT(!sel || attempt(do_iretq, KEEL_CS_RING1, sel, 0x202), "IRETQ to SS %lx from ring 1", sel);
		EXPECT(attempt(do_lretq, sel, 0, 0), "LRETQ to CS %lx from ring 1", sel);
		EXPECT(attempt(do_lcall, sel, 0, 0), "far call to %lx from ring 1", sel);
		user_init(&u, u_iretq);
		u.rdi = user_va(u_syscall);
		u.rdx = sel;
		u.rsi = 0x3202;
		u.rcx = KEEL_SS_USER;
		go_user(&u);
		EXPECT(happened.how == HOW_USER, "IRETQ to CS %lx from ring 3: how %u", sel, happened.how);
		user_init(&u, u_lretq);
		u.rdi = user_va(u_syscall);
		u.rdx = sel;
		go_user(&u);
		EXPECT(happened.how == HOW_USER, "LRETQ to CS %lx from ring 3: how %u", sel, happened.how);
		user_init(&u, u_lcall);
		u.rdx = sel;
		go_user(&u);
		EXPECT(happened.how == HOW_USER, "far call to %lx from ring 3: how %u", sel, happened.how);
	}
	/* Ring 1's own IRETQ with flags it may not set: they are masked, not obeyed. */
	EXPECT(!attempt(do_iretq, KEEL_CS_RING1, KEEL_SS_RING1, 0x3002), "IRETQ to itself");
	EXPECT_SANE();
	attempt(do_iretq, KEEL_CS_RING1, KEEL_SS_RING1, 0x202 | RFLAGS_VM);
	EXPECT_SANE();
	attempt(do_iretq, KEEL_CS_RING1, KEEL_SS_RING1, 0x4202);	/* NT */
	asm volatile("push %0; popfq" : : "r" (0x202UL) : "memory", "cc");
	return sanity();
}
