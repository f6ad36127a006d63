// SPDX-License-Identifier: MIT
/*
 * check_cpu.c - single steps, privileged instructions, control registers; in debug builds forged interrupts.
 */
#include "hostile.h"

/* ---- Rule 13: single steps ------------------------------------------------------------------------------------- */

static long do_popf(uint64_t flags, uint64_t way, uint64_t c)
{
	(void)c;
	switch (way) {
	case 0:
		asm volatile("push %0; popfq; int %1" : : "r" (flags), "i" (KEEL_HC_VECTOR), "a" (0) : "memory");
		break;
	case 1:
		asm volatile("push %0; popfq; syscall" : : "r" (flags) : "rcx", "r11", "memory");
		break;
	case 2:
		asm volatile("push %0; popfq; nop; nop" : : "r" (flags) : "memory");
		break;
	case 3:
		asm volatile("mov %%ss, %%ecx; push %0; popfq; mov %%ecx, %%ss; int %1"
			     : : "r" (flags), "i" (KEEL_HC_VECTOR), "a" (0) : "rcx", "memory");
		break;
	case 4:
		asm volatile("mov %%ss, %%ecx; push %0; popfq; mov %%ecx, %%ss; syscall"
			     : : "r" (flags) : "rcx", "r11", "memory");
		break;
	case 5:
		asm volatile("push %0; popfq; .byte 0xf1" : : "r" (flags) : "memory");
		break;
	case 6:
		asm volatile("push %0; popfq; iretq" : : "r" (flags) : "memory");
		break;
	}
	asm volatile("push %0; popfq" : : "r" (0x202UL) : "memory");
	return 0;
}

/* The trap flag across every way into ring 0: #DB may land on the stub's first instruction. */
const char *check_single_step(void)
{
	static char *const ways[] = { u_popf_syscall, u_popf_int15, u_movss_syscall, u_movss_int3,
				      u_movss_icebp, u_icebp, u_int3 };
	static const uint64_t flags[] = { 0x302, 0x202, 0x40302, 0x4302, 0x10302, 0x702, 0x40202 };
	struct user_regs u;
	unsigned int i, j;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		for (j = 0; j < sizeof(flags) / sizeof(flags[0]); j++) {
			user_init(&u, ways[i]);
			u.rsi = flags[j];
			go_user(&u);
			EXPECT(happened.how == HOW_USER || happened.how == HOW_SYSCALL, "way %u flags %lx: how %u",
			       i, flags[j], happened.how);
			user_init(&u, u_syscall);
			u.rflags = flags[j];
			go_user(&u);
			EXPECT(happened.how == HOW_USER || happened.how == HOW_SYSCALL, "SYSCALL with %lx: how %u",
			       flags[j], happened.how);
			EXPECT_SANE();
		}
	for (i = 0; i < 7; i++)
		for (j = 0; j < sizeof(flags) / sizeof(flags[0]); j++) {
			attempt(do_popf, flags[j], i, 0);
			EXPECT_SANE();
		}
	return NULL;
}

/* ---- Privileged instructions --------------------------------------------------------------------------------- */

static long do_probe(uint64_t fn, uint64_t scratch, uint64_t c)
{
	(void)c;
	asm volatile("push %%rbx; push %%rbp; call *%%rcx; pop %%rbp; pop %%rbx"
		     : : "c" (fn), "D" (scratch), "a" (start_info->cr3_pa)
		     : "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
	return 0;
}

/* Emulated or refused, but the machine stays as it is. */
const char *check_privileged_ring1(void)
{
	static uint64_t scratch[256] __attribute__((aligned(64)));
	const struct probe *p;

	for (p = probes; p->name; p++) {
		const char *why;

		scratch[0] = scratch[1] = 0;
		attempt(do_probe, (uint64_t)p->text, (uint64_t)scratch, 0);
		vcpu_page->flags = 0;
		why = sanity();
		if (why) {
			say("HOSTILE note after %s: %s\n", p->name, why);
			return detail("after %s", p->name);
		}
	}
	hcall(KEEL_HC_SET_XCR0, 3, 0, 0);
	return NULL;
}

const char *check_privileged_ring3(void)
{
	const struct probe *p;
	struct user_regs u;

	for (p = probes; p->name; p++) {
		uint64_t *sp;

		user_init(&u, p->text);
		u.rax = start_info->cr3_pa;
		sp = at_pa(*pte_of(USER_STACK, false) & PTE_ADDR);
		sp[(USER_STACK & 0xfff) / 8] = user_va(u_done);
		go_user(&u);
		EXPECT(happened.how == HOW_USER && (vector() == VEC_GP || vector() == VEC_UD),
		       "%s in ring 3: how %u vector %u rax %lx", p->name, happened.how, vector(), happened.rax);
	}
	return sanity();
}

/* Privileged opcodes with random prefixes and operands, up against the end of what is mapped. */
static const uint8_t opcodes[] = {
	0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef, 0x6c, 0x6d, 0x6e, 0x6f, 0xfa, 0xfb, 0xf1, 0xcc,
	/* from here on behind 0f */
	0x00, 0x01, 0x01, 0x01, 0x06, 0x08, 0x09, 0x20, 0x21, 0x22, 0x23, 0x30, 0x32, 0x33, 0x34, 0x35, 0x05, 0x07,
	0xaa, 0xc7, 0x78, 0x79, 0x37, 0x0b,
};
#define ONE_BYTE_OPCODES 16

static unsigned int random_instruction(uint8_t *at)
{
	static const uint8_t prefixes[] = { 0x66, 0xf2, 0xf3, 0x64, 0x65, 0x2e, 0x36, 0x3e, 0x26, 0x67, 0xf0 };
	unsigned int n = 0, k = (unsigned int)(random64() % sizeof(opcodes));
	uint64_t r = random64();

	while (n < 6 && random64() % 3 == 0)
		at[n++] = prefixes[random64() % sizeof(prefixes)];
	if (r & 1)
		at[n++] = (uint8_t)(0x40 | (r >> 1 & 15));
	if (k >= ONE_BYTE_OPCODES)
		at[n++] = 0x0f;
	at[n++] = opcodes[k];
	if (k >= 4 && !(k >= ONE_BYTE_OPCODES && (opcodes[k] <= 1 || (opcodes[k] & 0xfc) == 0x20 ||
						   opcodes[k] == 0xc7 || (opcodes[k] & 0xfe) == 0x78)))
		return n;	/* neither immediate nor ModRM */
	/* ModRM: no 32-bit displacement, which could reach its own memory; not MOV to CR3 */
	r >>= 8;
	if ((r & 0xc0) == 0x80 || (r & 0xc7) == 5 || (opcodes[k] == 0x22 && (r >> 3 & 7) == 3))
		r = 0xc0;
	at[n++] = (uint8_t)r;
	return n;
}

static long do_random(uint64_t fn, uint64_t scratch, uint64_t c)
{
	(void)c;
	asm volatile("push %%rbx; push %%rbp; mov %%rdi, %%rax; mov %%rdi, %%rbx; mov %%rdi, %%rsi; mov %%rdi, %%rbp\n"
		     "mov %%rdi, %%r8; mov %%rdi, %%r9; mov %%rdi, %%r10; mov %%rdi, %%r11; mov %%rdi, %%r12\n"
		     "mov %%rdi, %%r13; mov %%rdi, %%r14; mov %%rdi, %%r15; mov %%rcx, %%rdx; mov $1, %%ecx\n"
		     "call *%%rdx; pop %%rbp; pop %%rbx"
		     : : "c" (fn), "D" (scratch)
		     : "rax", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
	return 0;
}

const char *check_random_instructions(void)
{
	static uint8_t scratch[8192] __attribute__((aligned(64)));
	uint8_t *code = page_alloc(1);
	const uint64_t kernel = WINDOW_VA + 0x20000, user = WINDOW_VA + 0x30000;
	struct user_regs u;
	unsigned int i, j;

	map(kernel, pa_of(code), PTE_P | PTE_A);
	map(user, pa_of(code), PTE_P | PTE_U | PTE_A);
	map(kernel + PAGE, 0, 0);
	map(user + PAGE, 0, 0);
	flush();
	for (i = 0; i < 4000; i++) {
		uint8_t insn[16] = { 0 };
		unsigned int n = random_instruction(insn), at = (unsigned int)(PAGE - random64() % 20 - 1);

		for (j = 0; j < PAGE - at; j++)
			code[at + j] = j < n ? insn[j] : 0xc3;
		attempt(do_random, kernel + at, (uint64_t)scratch + 4096, 0);
		asm volatile("mov %0, %%dr7" : : "r" (0x400UL));	/* it may have armed a breakpoint where we go on */
		vcpu_page->flags = 0;
		user_init(&u, u_syscall);
		u.rip = user + at;
		go_user(&u);
		EXPECT(happened.how == HOW_USER || happened.how == HOW_SYSCALL, "%x %x %x %x: how %u", insn[0], insn[1],
		       insn[2], insn[3], happened.how);
		if (i % 8 == 0) {
			const char *why = sanity();

			EXPECT(!why, "after %x %x %x %x %x %x: %s", insn[0], insn[1], insn[2], insn[3], insn[4],
			       insn[5], why);
		}
	}
	hcall(KEEL_HC_SET_XCR0, 3, 0, 0);
	load_data_selectors(0);
	return sanity();
}

/* CR0 and CR4 are virtual; SMEP, WP and the rest of the real ones must not follow. */
const char *check_control_registers(void)
{
	uint64_t *page = page_alloc(1);
	struct user_regs u;

	map(WINDOW_VA + 0x8000, pa_of(page), PTE_P | PTE_A | PTE_NX);
	map(WINDOW_VA + 0x9000, pa_of(user_text), PTE_P | PTE_U | PTE_A);
	flush();
	EXPECT(!can_write(WINDOW_VA + 0x8000), "ring 1 writes a read-only page");
	attempt(do_probe, (uint64_t)probes[0].text, (uint64_t)page, 0);
	for (const struct probe *p = probes; p->name; p++)
		if (starts_with(p->name, "mov cr0") || starts_with(p->name, "mov cr4") ||
		    starts_with(p->name, "lmsw"))
			attempt(do_probe, (uint64_t)p->text, (uint64_t)page, 0);
	EXPECT(!can_write(WINDOW_VA + 0x8000), "CR0.WP could be cleared");
	user_init(&u, u_flags);
	u.rflags |= 1UL << 18;
	go_user(&u);
	EXPECT(happened.how == HOW_SYSCALL, "how %u", happened.how);
	return sanity();
}

/* Everything in the vCPU page is garbage: the metakernel must not mind (I6). */
const char *check_vcpu_page_garbage(void)
{
	volatile uint64_t *w = (volatile uint64_t *)KEEL_VCPU_VA;
	unsigned int i, round;

	for (round = 0; round < 64; round++) {
		for (i = 0; i < PAGE / 8; i++)
			w[i] = round < 32 ? random64() : ~0UL;
		vcpu_page->events = 0;
		vcpu_page->flags = 0xfdff;
		hcall(KEEL_HC_ABI_VERSION, 0, 0, 0);
		hcall(KEEL_HC_EOI, 0, 0, 0);
		hcall(KEEL_HC_IRQ_WINDOW, 0, 0, 0);
		nap_us(200);
		hc_iret(KEEL_HC_IRET, 0, 0);
		vcpu_page->flags = 0;
	}
	for (i = 0; i < PAGE / 8; i++)
		w[i] = 0;
	return sanity();
}

/* ---- Debug builds: interrupts with vectors of exceptions, NMI (rules 6, 8, 14) ----------------------------------- */

const char *check_external_vectors(void)
{
	static const uint8_t vectors[] = { 15, 17, 21, 29, 30, 16, 20, 31, 0x80, 0x82, 0x40, 0xef, 14, 13, 8 };
	unsigned int i, j;

	if (hcall(HC_DEBUG, 0, 0, 0) != 1)
		return NULL;	/* not a debug build: nothing to ask for */
	hcall(HC_DEBUG, 16, 0, 0);	/* the log names the first one, whatever it was told before */
	for (i = 0; i < sizeof(vectors) && vectors[i] >= 15; i++)
		for (j = 0; j < 4; j++) {
			struct frame_case f = { user_va(u_flags), KEEL_CS_USER, 0x202, USER_STACK, KEEL_SS_USER, 0 };

			vcpu_page->iret.rip = f.rip;
			vcpu_page->iret.cs = f.cs;
			vcpu_page->iret.rflags = f.rflags;
			vcpu_page->iret.rsp = f.rsp;
			vcpu_page->iret.ss = f.ss;
			vcpu_page->ret1 = KEEL_HC_TIMER;	/* a call that would show */
			vcpu_page->events = 0;
			/* raise the vector and go to ring 3 with it pending; without IRET: take it in ring 1 */
			hc_iret(HC_DEBUG, j & 1 ? 2 : 1, vectors[i]);
			EXPECT(!vcpu_page->events, "vector %u in ring 3 made a hypercall", vectors[i]);
			if (happened.how == HOW_USER) {
				EXPECT((vcpu_page->event.frame.cs == KEEL_CS_USER || vcpu_page->event.frame.cs == KEEL_CS_RING1) &&
				       vcpu_page->event.frame.rip - USER_TEXT_VA < 0x10000, "vector %u: CS %lx RIP %lx",
				       vectors[i], vcpu_page->event.frame.cs, vcpu_page->event.frame.rip);
				EXPECT(vector() == vectors[i], "vector %u came as %u", vectors[i], vector());
			}
			EXPECT_SANE();
		}
	nap_us(30000);		/* does the timer still get through? */
	return sanity();
}

const char *check_nmi(void)
{
	unsigned int i;

	if (hcall(HC_DEBUG, 0, 0, 0) != 1)
		return NULL;
	for (i = 0; i < 2000; i++)
		hcall(HC_DEBUG, 3, 0, 0);
	return sanity();
}
