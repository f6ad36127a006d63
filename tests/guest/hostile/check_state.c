// SPDX-License-Identifier: MIT
/*
 * check_state.c - what a partition sees of the last 2 MiB and of others' registers: rules 1, 2, 15, 19.
 */
#include "hostile.h"

#define IDT	((const volatile uint64_t *)KEEL_IDT_VA)
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
