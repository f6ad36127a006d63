// SPDX-License-Identifier: MIT
/*
 * Property: whatever partitions ask for, in whatever order, between whatever else happens on two CPUs: nothing that
 * the metakernel promises about who owns, reaches and sees what is broken (hcall_check.c says what), and it neither
 * panics nor hangs.
 * Failure looks like: a sanitizer report, a panic, a trap behind "expected ...", or a timeout.
 *
 * The input is a list of steps. Each is one byte, what is done and on which CPU, then what that takes. Who runs on the
 * CPU does it: the metakernel's own scheduler says who that is.
 *
 *   0..63   bits of the first byte: a call of calls[], the one that the next byte says, or one of the steps below
 *   0x40    on CPU 1
 *   0x80    a call in pieces is left where it is, and goes on when RESUME comes, or never; and what it asked of the other
 *           CPU is still on its way
 *
 * A new call needs a line at the end of calls[], or the seeds mean something else. Arguments are drawn from what is likely to mean something, or are any word.
 */
#include "corpus.h"
#include "hcall.h"

#include <stdio.h>
#include <stdlib.h>

#include <hal/cpu.h>
#include <hal/entry.h>
#include "entry/hcall.h"
#include "mm/check.h"
#include "mm/pte.h"
#include "run/cpu.h"
#include "lib/measure.h"
#include "lib/string.h"

#define STEPS_MAX	200
#define PIECES_MAX	3000	/* of one call; the longest zeroes KEEL_GIVE_MAX pages and more */
#define THOROUGH	16	/* steps: all that can be looked at, is */
#define SCRATCH_PAGE	8U	/* of a partition's memory: buffers */
#define ANY		(-1)	/* number of a call: any */

/*
 * Arguments, in the order of registers:
 *   h handle   p page   n number of pages   v VA   e #PF error   t time   s small   w any word   x a set
 *   b buffer   C buffer with a keel_part_create   S buffer with a keel_part_start
 */
static const struct call {
	int number;
	const char *args;
} calls[] = {
	{ KEEL_HC_PART_CREATE, "C" },
	{ KEEL_HC_PART_GIVE, "hpn" },
	{ KEEL_HC_CHAN_CREATE, "hp" },
	{ KEEL_HC_PART_START, "hS" },
	{ KEEL_HC_PART_RECLAIM, "h" },
	{ KEEL_HC_CHAN_OFFER, "hpn" },
	{ KEEL_HC_CHAN_STATE, "hs" },
	{ KEEL_HC_CHAN_KICK, "h" },
	{ KEEL_HC_PART_CTL, "hs" },
	{ KEEL_HC_SHUTDOWN, "ss" },
	{ KEEL_HC_BLOCK, "st" },
	{ KEEL_HC_YIELD, "s" },
	{ KEEL_HC_TIMER, "t" },
	{ KEEL_HC_FILL, "ve" },
	{ KEEL_HC_FLUSH_FILL, "ve" },
	{ KEEL_HC_FLUSH, "svn" },
	{ KEEL_HC_FLUSH_SET, "xspvn" },
	{ KEEL_HC_LOAD_CR3, "p" },
	{ KEEL_HC_VCPU_START, "svp" },
	{ KEEL_HC_VCPU_STOP, "" },
	{ KEEL_HC_VCPU_STATE, "s" },
	{ KEEL_HC_IPI, "ss" },
	{ KEEL_HC_IPI_SET, "sx" },
	{ KEEL_HC_SET_ENTRY, "sv" },
	{ KEEL_HC_LOAD_IDT, "pw" },
	{ KEEL_HC_IRET, "" },
	{ KEEL_HC_CAP_INFO, "hb" },
	{ KEEL_HC_CHAN_INFO, "hb" },
	{ KEEL_HC_PART_INFO, "hb" },
	{ KEEL_HC_PART_STATS, "hb" },
	{ KEEL_HC_PART_CONS_READ, "hbn" },
	{ KEEL_HC_PART_CONS_WRITE, "hbn" },
	{ KEEL_HC_CONSOLE_WRITE, "bn" },
	{ KEEL_HC_CONSOLE_READ, "bn" },
	{ KEEL_HC_LOG_READ, "bnw" },
	{ KEEL_HC_SET_DESC, "sw" },
	{ KEEL_HC_LOAD_GS, "w" },
	{ KEEL_HC_SET_XCR0, "s" },
	{ KEEL_HC_EOI, "" },
	{ KEEL_HC_IOAPIC_WRITE, "ssw" },
	{ KEEL_HC_PCI_WRITE, "wsw" },
	{ ANY, "wwwww" },
	{ KEEL_HC_CALL, "hwwww" },
	{ KEEL_HC_REPLY_WAIT, "swwww" },
	{ KEEL_HC_PART_BUDGET, "hww" },
	{ KEEL_HC_PART_GROW, "hpn" },
	{ KEEL_HC_MEM_INFO, "s" },
	{ KEEL_HC_MEM_RELEASE, "p" },
	{ KEEL_HC_PART_SHRINK, "hp" },
	{ KEEL_HC_PART_MEMORY, "hw" },
	{ KEEL_HC_CAP_GRANT, "hhs" },
	{ KEEL_HC_CAP_REVOKE, "h" },
	{ KEEL_HC_CAP_DROP, "h" },
	{ KEEL_HC_CHAN_CONNECT, "hhp" },
	{ KEEL_HC_CHAN_CLOSE, "hh" },
	{ KEEL_HC_MEM_SHARE, "ps" },
	{ KEEL_HC_DEVICE_MAKE, "sss" },
	{ KEEL_HC_IRQ_DONE, "h" },
};

/* Steps that are no calls. */
enum { RESUME = 52, INTERRUPT, TIME, POKE_TABLE, POKE_PAGE, TOUCH, FAULT, LAY_OUT, GO_ON, STORE, NEXT_BYTE };

static struct input {
	const uint8_t *at, *end;
} in;

/* The last handles that a partition was given, whatever they are for. */
static struct { uint8_t handle[4], n; } recent[MAX_PARTS];
static bool tracing;	/* FUZZ_TRACE=1: say what is called, for who looks at one input */

/* ---- Drawing ---------------------------------------------------------------------------------------- */

static uint8_t byte(void)
{
	return in.at < in.end ? *in.at++ : 0;
}

static uint64_t word(void)
{
	static const uint64_t edges[] = {
		0, 1, ~0UL, 1UL << 63, (1UL << 63) - 1, 1UL << 47, (1UL << 47) - 1, 1UL << 52, UINT32_MAX, 1UL << 32,
		KEEL_HOLE_BASE, KEEL_VCPU_VA, 0xffffffff80000000UL, ~0xfffUL, 4096, 4095,
	};
	uint8_t b = byte();
	uint64_t w = 0;

	if (b < 0x80)
		return b;
	if (b < 0xc0)
		return edges[b % ARRAY_SIZE(edges)];
	for (int i = 0; i < 8; i++)
		w = w << 8 | byte();
	return w;
}

static uint64_t handle(const struct partition *p)
{
	uint8_t b = byte();

	if (b < 0x80)
		return b % KEEL_MAX_HANDLES;
	return b < 0xf0 ? recent[p->index].handle[b % 4] : word();
}

static uint64_t page(const struct partition *p)
{
	struct range r = machine_memory(p);
	uint8_t b = byte();

	if (b < 0xe0)
		return r.base + b * (r.npages / 0xe0 ? r.npages / 0xe0 : 1) * PAGE_SIZE;
	if (b < 0xf0)
		return (uint64_t)byte() * 8 * PAGE_SIZE;	/* anybody's */
	if (b < 0xf8)
		return r.base + (b & 7) * PAGE_SIZE;
	return b < 0xfc ? p->ones_pa : word();
}

static uint64_t npages(void)
{
	uint8_t b = byte();

	return b < 0xf0 ? b : word();
}

static uint64_t address(const struct partition *p)
{
	uint8_t b = byte();

	if (b < 0x80)
		return MEMORY_VA + b * PAGE_SIZE;
	if (b < 0xc0)
		return DIRECT_VA + (b & 0x3fUL) * 0x20000;
	return b < 0xe0 ? (machine_memory(p).base + DIRECT_VA) + (b & 0x1fUL) * PAGE_SIZE : word();
}

static paddr_t scratch(const struct partition *p)
{
	struct range r = machine_memory(p);

	return r.npages > SCRATCH_PAGE ? r.base + SCRATCH_PAGE * PAGE_SIZE : r.base;
}

/* A word into memory of the partition's own: nothing if the page is not. */
static void store(const struct partition *p, paddr_t pa, const void *from, size_t bytes)
{
	if (frames_owner(pa >> PAGE_SHIFT) == p->owner && (pa & PAGE_MASK) + bytes <= PAGE_SIZE)
		memcpy(pa_to_va(pa), from, bytes);
}

static uint64_t create_buffer(const struct partition *p)
{
	struct keel_part_create c = { .priority = 8 };
	uint8_t b = byte(), odd = byte();
	paddr_t at = scratch(p);

	c.name[0] = (char)('a' + b % 8);
	c.nvcpus = 1 + (b >> 3) % 3;
	c.shadow_pages = 64;
	c.cpus = b >> 6;
	c.quota_pa = page(p);
	/* as the last one said it needs, or so many */
	c.quota_pages = odd & 1 ? npages() : 1 + 5 + 1 + c.nvcpus * (4UL + 1 + 64 + 1);
	if (odd & 2)
		c.priority = byte();
	if (odd & 4)
		c.shadow_pages = 56 + byte();
	if (odd & 8)
		((uint8_t *)&c)[byte() % sizeof(c)] = byte();
	if (odd & 16)
		c.quota_pages += byte() % 8;
	store(p, at, &c, sizeof(c));
	return odd & 32 ? word() : at;
}

/* Most often it starts where tables were laid out: at the first page that was given. */
static uint64_t start_buffer(const struct partition *p)
{
	struct keel_part_start s = { .rip = CALL_RIP, .rsp = MEMORY_VA + 0x9000, .rdi = 1 };
	uint8_t odd = byte();
	paddr_t at = scratch(p);

	s.cr3_pa = odd & 1 ? page(p) : 0;
	for (unsigned int i = manifest.nparts; i < nparts && !(odd & 1); i++)
		if (parts[i].creator == p && !parts[i].alive && check_given(&parts[i]).npages)
			s.cr3_pa = check_given(&parts[i]).base;
	if (odd & 2)
		s.rip = word();
	if (odd & 4)
		s.rsp = word();
	if (odd & 8)
		((uint8_t *)&s)[byte() % sizeof(s)] = byte();
	store(p, at + 512, &s, sizeof(s));
	return odd & 32 ? word() : at + 512;
}

static uint64_t argument(char kind, const struct partition *p)
{
	switch (kind) {
	case 'h': return handle(p);
	case 'p': return page(p);
	case 'n': return npages();
	case 'v': return address(p);
	case 'e': return byte() & 0x17;
	case 't': return byte() & 1 ? fuzz_registers.tsc + byte() * 10000UL : 0;
	case 's': return byte();
	case 'x': return byte() | (byte() & 1 ? ~0xffUL : 0);
	case 'b': return byte() < 0xf0 ? scratch(p) + 1024 : page(p);
	case 'C': return create_buffer(p);
	case 'S': return start_buffer(p);
	}
	return word();
}

static uint64_t number(void)
{
	uint64_t n = word();

	/* what only tests may ask for: faults of our own making */
	return n == HC_DEBUG || n == HC_MEASURE ? 0 : n;
}

/* ---- Steps ------------------------------------------------------------------------------------------ */

static struct vcpu *runs(unsigned int cpu)
{
	return cpus[cpu]->current;
}

static bool enter(unsigned int cpu, unsigned int vector, uint64_t error)
{
	if (!machine_enter(cpu, vector, error))
		return false;
	check_all(false);
	return true;
}

/* An interrupt between CPUs takes no time. */
static bool others(unsigned int cpu)
{
	return !machine_called(!cpu) || enter(!cpu, VEC_WORK, 0);
}

/* Back on the hypercall instruction: a call in pieces, of which one is done. */
static bool again(unsigned int cpu, const struct vcpu *v)
{
	return runs(cpu) == v && v->state == VCPU_RUNNING && v->regs->rip == CALL_RIP && (v->regs->cs & 3) == 1;
}

static void trace(unsigned int cpu, const struct vcpu *v, unsigned int pieces)
{
	const struct regs *r = v->regs;

	fprintf(stderr, "CPU %u %s.%u call %#lx (%#lx, %#lx, %#lx, %#lx, %#lx) piece %u\n", cpu, v->part->man->name, v->id,
		r->rax, r->rdi, r->rsi, r->rdx, r->r10, r->r8, pieces);
}

static bool hypercall(unsigned int cpu, bool finish)
{
	struct vcpu *v = runs(cpu);
	unsigned int pieces = 0;

	do {
		if (tracing)
			trace(cpu, v, pieces);
		v->regs->rip = CALL_RIP + 2;
		if (!enter(cpu, KEEL_HC_VECTOR, 0) || (finish && !others(cpu)))
			return false;
		PROMISE(++pieces < PIECES_MAX);
	} while (finish && again(cpu, v));
	if (tracing && runs(cpu) == v)
		fprintf(stderr, "  -> %ld, rip %#lx\n", (long)v->regs->rax, v->regs->rip);
	if (runs(cpu) == v && !again(cpu, v) && v->regs->rax && v->regs->rax < KEEL_MAX_HANDLES)
		recent[v->part->index].handle[recent[v->part->index].n++ % 4] = (uint8_t)v->regs->rax;
	return true;
}

/* SYSCALL brings ring 3 to ring 1. */
static struct regs *ring1(struct vcpu *v)
{
	v->regs->cs = KEEL_CS_RING1;
	v->regs->ss = KEEL_SS_RING1;
	return v->regs;
}

static bool call(unsigned int cpu, const struct call *c, bool finish)
{
	struct vcpu *v = runs(cpu);
	struct regs *r = ring1(v);
	uint64_t *const reg[] = { &r->rdi, &r->rsi, &r->rdx, &r->r10, &r->r8 };

	r->rax = c->number == ANY ? number() : (uint64_t)c->number;
	for (unsigned int i = 0; c->args[i]; i++)
		*reg[i] = argument(c->args[i], v->part);
	return hypercall(cpu, finish);
}

/* An entry of its first tables, most often one that maps something. */
static void poke_table(const struct partition *p)
{
	paddr_t at = machine_memory(p).base + (byte() & 7UL) * PAGE_SIZE + byte() * 8UL;
	uint64_t e = page(p) | (byte() & 0xff) | (byte() & 1 ? PTE_NX : 0);

	store(p, at, &e, sizeof(e));
}

/* Its page, which is its own to write: flags, the frame for IRET, events it has seen. */
static void poke_page(struct vcpu *v)
{
	uint64_t *w = (uint64_t *)v->vp;
	unsigned int at = byte() % 0x30;

	w[at] = at == KEEL_VP_EVENTS / 8 ? 0 : word();
}

/* Tables for who is to be started, in memory that is to be given. */
static void lay_out(const struct partition *p)
{
	struct range r = { page(p), 5 + byte() % 16 };

	for (uint64_t i = 0; i < r.npages; i++)
		if ((r.base & PAGE_MASK) || frames_owner((r.base >> PAGE_SHIFT) + i) != p->owner)
			return;
	machine_lay_out(r);
}

static bool touch(unsigned int cpu, unsigned int vector)
{
	struct vcpu *v = runs(cpu);
	uint64_t error = byte() & 0x17, va = address(v->part), rip = byte() & 1 ? address(v->part) : v->regs->rip;

	if (!is_canonical(rip) || !is_canonical(va))
		return true;		/* #GP before anything else */
	fuzz_registers.cr2 = va;
	v->regs->rip = rip;
	return enter(cpu, vector, error);
}

static bool interrupt(unsigned int cpu)
{
	uint8_t b = byte();

	if (machine_called(cpu))
		return enter(cpu, VEC_WORK, 0);
	if (machine_timer_due(cpu))
		return enter(cpu, VEC_TIMER, 0);
	return b < 0x20 || enter(cpu, b, 0);
}

/* Until all that waits has been done. */
static bool go_on(unsigned int cpu)
{
	for (unsigned int n = 0; n < 8; n++)
		if ((machine_called(cpu) && !enter(cpu, VEC_WORK, 0)) || !others(cpu) ||
		    (machine_timer_due(cpu) && !enter(cpu, VEC_TIMER, 0)))
			return false;
	return true;
}

static bool step(void)
{
	uint8_t what = byte();
	unsigned int cpu = what >> 6 & 1, n = what & 0x3f;
	struct vcpu *v = runs(cpu);
	uint64_t w;

	if (n == TIME) {
		fuzz_registers.tsc += byte() * 100000UL;
		return go_on(cpu);
	}
	if (!v || n == INTERRUPT)
		return interrupt(cpu);
	switch (n) {
	case RESUME:
		return !again(cpu, v) || hypercall(cpu, !(what & 0x80));
	case POKE_TABLE:
		poke_table(v->part);
		return true;
	case POKE_PAGE:
		poke_page(v);
		return true;
	case TOUCH:
		return touch(cpu, 14);
	case FAULT:
		return touch(cpu, byte() & 0x80 ? 13 : byte() % 20);
	case LAY_OUT:
		lay_out(v->part);
		return true;
	case GO_ON:
		return go_on(cpu);
	case STORE:
		w = word();
		store(v->part, page(v->part) + byte() * 8UL, &w, sizeof(w));
		return true;
	}
	if (n == NEXT_BYTE)
		n = byte();
	return call(cpu, &calls[n % ARRAY_SIZE(calls)], !(what & 0x80));
}

static void begin(void)
{
	static bool booted;

	if (!booted) {
		tracing = getenv("FUZZ_TRACE");
		machine_boot();
		check_begin();
	}
	booted = true;
	machine_reset();
	check_begin();
	memset(recent, 0, sizeof(recent));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	in = (struct input) { data, data + size };
	for (unsigned int i = 0; i < STEPS_MAX && in.at < in.end; i++)
		if (!step())
			return 0;
		else if (i % THOROUGH == THOROUGH - 1)
			check_all(true);
	check_all(true);
	return 0;
}
