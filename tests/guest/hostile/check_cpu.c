// SPDX-License-Identifier: MIT
/*
 * check_cpu.c - attacks on the ways into ring 0 and back: vectors, system calls, return frames,
 * descriptors, debug registers, privileged instructions.
 */
#include "hostile.h"

#define GDT	((const volatile uint64_t *)KEEL_VCPU_RO_VA)
#define IDT	((const volatile uint64_t *)KEEL_IDT_VA)
#define GDT_WORDS 20		/* what the limit covers */
#define RFLAGS_TF 0x100UL
#define RFLAGS_VM 0x20000UL
#define TLS_DATA 0x00cff3000000ffffUL	/* flat, writable, DPL 3 */
#define TLS_RO	0x00cff1000000ffffUL	/* flat, read-only, DPL 3 */
#define TLS0	(KEEL_GDT_TLS_MIN << 3 | 3)
#define MARKER	0x5ec2e75ec2e70000UL	/* what marker() keeps in all registers, low 16 bits vary */

static bool is_marker(uint64_t v)
{
	return (v & ~0xffffUL) == MARKER && (v & 0xff00);	/* not the constant itself */
}

/* ---- Rules 1, 19: the last 2 MiB ------------------------------------------------------------------ */

static bool hole_expected(uint64_t va, bool write)
{
	if (va == KEEL_VCPU_VA || va == KEEL_STACK_VA)
		return true;
	return !write && (va == KEEL_IDT_VA || va == KEEL_VCPU_RO_VA ||
			  (va >= KEEL_TRAMP_VA && va < KEEL_IDT_VA && va < KEEL_TRAMP_VA + 8 * PAGE));
}

const char *check_hole_scan(void)
{
	unsigned int readable = 0, writable = 0;
	struct user_regs u;
	uint64_t va;

	for (va = KEEL_HOLE_BASE; va; va += PAGE) {
		bool r = can_read(va), w = can_write(va + 0x18);

		readable += r;
		writable += w;
		EXPECT(!r || hole_expected(va, false), "%lx is readable", va);
		EXPECT(!w || hole_expected(va, true), "%lx is writable", va);
		user_init(&u, u_read);
		u.rdi = va;
		go_user(&u);
		EXPECT(happened.how != HOW_SYSCALL, "%lx is readable in ring 3", va);
	}
	EXPECT(readable >= 5 && writable == 2, "%u readable, %u writable", readable, writable);
	EXPECT(!can_run(KEEL_VCPU_VA + 0x800), "the vCPU page is executable");
	EXPECT(!can_run(KEEL_STACK_VA), "the stack page is executable");
	EXPECT(!can_run(KEEL_IDT_VA), "the IDT is executable");
	return NULL;
}

/* Its own tables say something else about the hole: they must not be asked. */
const char *check_hole_kept(void)
{
	uint64_t *own = page_alloc(1), old = IDT[0], va;

	for (va = KEEL_HOLE_BASE; va < KEEL_HOLE_BASE + 0x60000; va += PAGE)
		map(va, pa_of(own), PTE_P | PTE_W | PTE_A | PTE_D);
	flush();
	for (va = KEEL_HOLE_BASE; va < KEEL_HOLE_BASE + 0x60000; va += PAGE)
		hcall(KEEL_HC_FILL, va, 7, 0);
	EXPECT(IDT[0] == old, "the IDT page is its own now");
	EXPECT(!can_write(KEEL_IDT_VA) && !can_write(KEEL_TRAMP_VA) && !can_write(KEEL_VCPU_RO_VA),
	       "a read-only page became writable");
	EXPECT(!can_read(KEEL_HOLE_BASE + 0x50000), "a page appeared in the hole");
	return check_hole_scan();
}

/* ---- Rules 2, 15: what is left of others ------------------------------------------------------------- */

const char *check_stack_residue(void)
{
	const volatile uint64_t *stack = (const volatile uint64_t *)KEEL_STACK_VA;
	unsigned int round, i;

	for (round = 0; round < 100; round++) {
		nap_us(3000);
		for (i = 0; i < PAGE / 8; i++) {
			EXPECT(!is_marker(stack[i]), "stack page +%x holds %lx of another partition", i * 8,
			       stack[i]);
			EXPECT(stack[i] < 0xffff800000000000 || stack[i] >= KEEL_HOLE_BASE,
			       "stack page +%x holds %lx of the metakernel", i * 8, stack[i]);
		}
		for (i = 0; i < PAGE / 8; i++)
			EXPECT(!is_marker(((uint64_t *)KEEL_VCPU_VA)[i]), "vCPU page +%x holds a marker", i * 8);
	}
	return NULL;
}

struct all_regs {
	uint64_t gpr[14];	/* rbx rcx rdx rsi rdi rbp r8..r15 */
	uint64_t xmm[16][2];
	uint64_t fs, gs;
};

/* Load all registers, spin, read all back. */
static void spin_with(const struct all_regs *in, struct all_regs *out, uint64_t spins)
{
	static uint64_t rsp, rbp, count, fs, gs;
	static const struct all_regs *from;
	static struct all_regs *to;

	from = in;
	to = out;
	count = spins;
	asm volatile("rdfsbase %%rax; mov %%rax, %[fs]; rdgsbase %%rax; mov %%rax, %[gs]\n"
		     "mov %%rsp, %[rsp]; mov %%rbp, %[rbp]; mov %[from], %%rax\n"
		     "mov 0x1f0-0x80(%%rax), %%rcx; wrfsbase %%rcx; mov 0x1f8-0x80(%%rax), %%rcx; wrgsbase %%rcx\n"
		     ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
		     "movups 0x70+16*\\n(%%rax), %%xmm\\n\n .endr\n"
		     "mov 0(%%rax),%%rbx; mov 8(%%rax),%%rcx; mov 16(%%rax),%%rdx; mov 24(%%rax),%%rsi\n"
		     "mov 32(%%rax),%%rdi; mov 40(%%rax),%%rbp; mov 48(%%rax),%%r8; mov 56(%%rax),%%r9\n"
		     "mov 64(%%rax),%%r10; mov 72(%%rax),%%r11; mov 80(%%rax),%%r12; mov 88(%%rax),%%r13\n"
		     "mov 96(%%rax),%%r14; mov 104(%%rax),%%r15\n"
		     "1: decq %[count]; jnz 1b\n"
		     "mov %[to], %%rax\n"
		     "mov %%rbx,0(%%rax); mov %%rcx,8(%%rax); mov %%rdx,16(%%rax); mov %%rsi,24(%%rax)\n"
		     "mov %%rdi,32(%%rax); mov %%rbp,40(%%rax); mov %%r8,48(%%rax); mov %%r9,56(%%rax)\n"
		     "mov %%r10,64(%%rax); mov %%r11,72(%%rax); mov %%r12,80(%%rax); mov %%r13,88(%%rax)\n"
		     "mov %%r14,96(%%rax); mov %%r15,104(%%rax)\n"
		     ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
		     "movups %%xmm\\n, 0x70+16*\\n(%%rax)\n .endr\n"
		     "rdfsbase %%rcx; mov %%rcx, 0x1f0-0x80(%%rax); rdgsbase %%rcx; mov %%rcx, 0x1f8-0x80(%%rax)\n"
		     "mov %[fs], %%rax; wrfsbase %%rax; mov %[gs], %%rax; wrgsbase %%rax\n"
		     "mov %[rsp], %%rsp; mov %[rbp], %%rbp\n"
		     : [rsp] "+m" (rsp), [rbp] "+m" (rbp), [count] "+m" (count), [fs] "+m" (fs),
		       [gs] "+m" (gs)
		     : [from] "m" (from), [to] "m" (to)
		     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
		       "r14", "r15", "memory", "cc");
}
static_assert(offsetof(struct all_regs, xmm) == 0x70, "xmm");
static_assert(offsetof(struct all_regs, fs) == 0x170, "fs");

static struct all_regs regs_in, regs_out;

static void regs_fill(uint64_t pattern)
{
	uint64_t *w = (uint64_t *)&regs_in;
	unsigned int i;

	for (i = 0; i < sizeof(regs_in) / 8; i++)
		w[i] = pattern + i;
	regs_in.fs = 0x7000000000 + i;
	regs_in.gs = 0x6000000000 + i;
}

const char *check_registers_kept(void)
{
	const uint64_t *a = (const uint64_t *)&regs_in, *b = (const uint64_t *)&regs_out;
	unsigned int round, i;

	regs_fill(0xc0ffee0000000000);
	for (round = 0; round < 10; round++) {
		spin_with(&regs_in, &regs_out, 2000000);
		for (i = 0; i < sizeof(regs_in) / 8; i++)
			EXPECT(a[i] == b[i], "register %u was %lx, came back %lx", i, a[i], b[i]);
	}
	return NULL;
}

/* A single step: the one event whose registers land on a stack that no other event overwrites. */
static long step_with_markers(uint64_t value, uint64_t b, uint64_t c)
{
	(void)b, (void)c;
	asm volatile("mov %0, %%r12; mov %0, %%r13; mov %0, %%r14; mov %0, %%r15; pushq $0x302; popfq; nop; nop"
		     : : "r" (value) : "r12", "r13", "r14", "r15", "memory", "cc");
	return 0;
}

/* A partition that lives in its registers, for the two checks above to look for. */
void marker(void)
{
	regs_fill(MARKER + 0x100);
	kernel_init();
	for (;;) {
		attempt(step_with_markers, MARKER + 0x200, 0, 0);
		spin_with(&regs_in, &regs_out, 1000000);
		hcall(KEEL_HC_ABI_VERSION, 0, 0, 0);
		if (memcmp(&regs_in, &regs_out, sizeof(regs_in))) {
			say("HOSTILE marker FAIL its registers changed\n");
			finish(0, 1);
		}
	}
}

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
		{ 0xeb, 0xfe, 0xeb, 0xfe },	/* spin until the timer comes */
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
			if (code[i][0] == 0xeb)
				hcall(KEEL_HC_TIMER, rdtsc() + 100 * start_info->tsc_khz / 1000, 0, 0);
			go_user(&u);
			EXPECT(happened.how != HOW_NOTHING, "code %u CS %x: nothing", i, (unsigned int)cs[j]);
			EXPECT_SANE();
		}
	hcall(KEEL_HC_TIMER, 0, 0, 0);
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

/* ---- Rule 10: frames given to the metakernel ----------------------------------------------------------------- */

struct frame_case {
	uint64_t rip, cs, rflags, rsp, ss;
	bool good;
};

static void iret_by_hypercall(const struct frame_case *f)
{
	vcpu_page->iret.rip = f->rip;
	vcpu_page->iret.cs = f->cs;
	vcpu_page->iret.rflags = f->rflags;
	vcpu_page->iret.rsp = f->rsp;
	vcpu_page->iret.ss = f->ss;
	hc_iret(KEEL_HC_IRET, 0, 0);
}

const char *check_iret_frames(void)
{
	const uint64_t text = user_va(u_flags), sp = USER_STACK;
	const struct frame_case cases[] = {
		{ text, KEEL_CS_USER, 0x202, sp, KEEL_SS_USER, true },
		{ text, KEEL_CS_USER, 0x002, sp, KEEL_SS_USER, true },	/* IF=0 */
		{ text, KEEL_CS_USER, 0x3202, sp, KEEL_SS_USER, true },	/* IOPL=3 */
		{ text, KEEL_CS_USER, 0x4202, sp, KEEL_SS_USER, true },	/* NT */
		{ text, KEEL_CS_USER, 0x20202, sp, KEEL_SS_USER, true },	/* VM */
		{ text, KEEL_CS_USER, 0x180202, sp, KEEL_SS_USER, true },	/* VIF, VIP */
		{ text, KEEL_CS_USER, ~0x50100UL, sp, KEEL_SS_USER, true },	/* all but TF, RF, AC */
		{ text, KEEL_CS_RING1, 0x202, sp, KEEL_SS_RING1, false },
		{ text, 0x10, 0x202, sp, KEEL_SS_USER, false },
		{ text, 0x13, 0x202, sp, KEEL_SS_USER, false },
		{ text, 0x80, 0x202, sp, 0x88, false },
		{ text, 0x83, 0x202, sp, KEEL_SS_USER, false },
		{ text, 0, 0x202, sp, KEEL_SS_USER, false },
		{ text, 3, 0x202, sp, KEEL_SS_USER, false },
		{ text, KEEL_SS_USER, 0x202, sp, KEEL_SS_USER, false },
		{ text, 0x37, 0x202, sp, KEEL_SS_USER, false },		/* LDT */
		{ text, 0x10033, 0x202, sp, KEEL_SS_USER, false },
		{ text, 0x93, 0x202, sp, KEEL_SS_USER, false },		/* TSS */
		{ text, 0xffff, 0x202, sp, KEEL_SS_USER, false },
		{ text, KEEL_CS_USER, 0x202, sp, 0, false },
		{ text, KEEL_CS_USER, 0x202, sp, 3, false },
		{ text, KEEL_CS_USER, 0x202, sp, 0x28, false },
		{ text, KEEL_CS_USER, 0x202, sp, KEEL_SS_RING1, false },
		{ text, KEEL_CS_USER, 0x202, sp, 0x88, false },
		{ text, KEEL_CS_USER, 0x202, sp, KEEL_CS_USER, false },
		{ text, KEEL_CS_USER, 0x202, sp, TLS0, false },		/* absent */
		{ text, KEEL_CS_USER, 0x202, sp, 0x67, false },		/* LDT */
		{ text, KEEL_CS_USER, 0x202, sp, 0x7b, false },		/* the CPU number */
		{ 0x0000800000000000, KEEL_CS_USER, 0x202, sp, KEEL_SS_USER, false },
		{ 0x8000000000000000, KEEL_CS_USER, 0x202, sp, KEEL_SS_USER, false },
		{ 0xffff7fffffffffff, KEEL_CS_USER, 0x202, sp, KEEL_SS_USER, false },
		{ 0x0000800000000000, KEEL_CS_USER32, 0x202, sp, KEEL_SS_USER, false },
	};
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		iret_by_hypercall(&cases[i]);
		if (cases[i].good) {
			EXPECT(happened.how == HOW_SYSCALL, "frame %u: how %u vector %u", i, happened.how, vector());
			EXPECT((happened.rax & 0x27200) == 0x200, "frame %u: ring 3 has RFLAGS %lx", i,
			       happened.rax);
			EXPECT(happened.rdx == KEEL_CS_USER && happened.rsi == KEEL_SS_USER,
			       "frame %u: CS %lx SS %lx", i, happened.rdx, happened.rsi);
		} else {
			EXPECT(happened.how == HOW_BAD_IRET && vector() == VEC_GP, "frame %u: how %u vector %u", i,
			       happened.how, vector());
		}
		EXPECT_SANE();
	}
	/* Odd but harmless: a wild stack, 32-bit code beyond 4 GiB, the upper half as RIP. */
	iret_by_hypercall(&(struct frame_case){ text, KEEL_CS_USER, 0x202, 0x8000000000000000, KEEL_SS_USER, 0 });
	EXPECT_SANE();
	iret_by_hypercall(&(struct frame_case){ 0x100000000 + text, KEEL_CS_USER32, 0x202, sp, KEEL_SS_USER, 0 });
	EXPECT_SANE();
	iret_by_hypercall(&(struct frame_case){ KEEL_TRAMP_VA, KEEL_CS_USER, 0x202, sp, KEEL_SS_USER, 0 });
	EXPECT(happened.how == HOW_USER && vector() == VEC_PF, "ring 3 in the trampoline: how %u", happened.how);
	vcpu_page->user_gs = 0x8000000000000000;
	iret_by_hypercall(&cases[0]);
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

static void load_data_selectors(uint16_t sel)
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

/* ---- Rule 13: debug registers and single steps ------------------------------------------------------------------ */

static long do_dr(uint64_t address, uint64_t dr7, uint64_t c)
{
	(void)c;
	asm volatile("mov %0, %%dr0; mov %0, %%dr1; mov %0, %%dr2; mov %0, %%dr3; mov %1, %%dr7"
		     : : "r" (address), "r" (dr7) : "memory");
	return 0;
}

const char *check_debug_registers(void)
{
	static const uint64_t dr7[] = { 0x4ff, 0xffff07ff, 0xdddd07ff, 0x11112700, 0xffff2fff };
	const uint64_t syscall_stub = KEEL_TRAMP_VA + 0x1000, *gate = (const uint64_t *)KEEL_IDT_VA;
	uint64_t where[6];
	unsigned int i, j;

	where[0] = syscall_stub;
	where[1] = KEEL_TRAMP_VA;
	where[2] = (gate[2 * KEEL_HC_VECTOR] & 0xffff) | (gate[2 * KEEL_HC_VECTOR] >> 48) << 16 |
		   gate[2 * KEEL_HC_VECTOR + 1] << 32;
	where[3] = KEEL_STACK_VA + 0xff8;
	where[4] = KEEL_VCPU_VA + KEEL_VP_USER_RSP;
	where[5] = 0xffffffff80101000;	/* where the metakernel is linked */
	for (i = 0; i < 6; i++)
		for (j = 0; j < sizeof(dr7) / sizeof(dr7[0]); j++) {
			attempt(do_dr, where[i], dr7[j], 0);
			EXPECT_SANE();
			nap_us(200);
		}
	attempt(do_dr, (uint64_t)&payload_ran, 0xdddd07ff, 0);
	payload_ran = 0;
	attempt(do_dr, 0, 0x400, 0);
	return sanity();
}

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
