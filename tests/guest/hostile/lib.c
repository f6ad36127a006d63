// SPDX-License-Identifier: MIT
/*
 * lib.c - output, memory, page tables, and the partition's view of what happened to it.
 */
#include <stdarg.h>
#include "hostile.h"

struct happened happened;
uint64_t recover_rsp;
volatile uint32_t payload_ran;
const struct keel_start_info *start_info;
uint64_t random_state = 0x9e3779b97f4a7c15;
uint64_t whole_pa, whole_bytes;
static uint64_t next_free;
static uint8_t out_page[PAGE] __attribute__((aligned(4096)));
static char detail_text[160];

void *memset(void *p, int c, size_t n)
{
	char *d = p;

	while (n--)
		*(volatile char *)d++ = (char)c;
	return p;
}

void *memcpy(void *d, const void *s, size_t n)
{
	char *to = d;
	const char *from = s;

	while (n--)
		*(volatile char *)to++ = *from++;
	return d;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

int64_t hcall5(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	register uint64_t r10 asm("r10") = d;
	register uint64_t r8 asm("r8") = e;
	int64_t result;

	asm volatile("int %[vec]" : "=a" (result)
		     : "0" (n), "D" (a), "S" (b), "d" (c), "r" (r10), "r" (r8), [vec] "i" (KEEL_HC_VECTOR)
		     : "memory");
	return result;
}

int64_t hcall(uint64_t n, uint64_t a, uint64_t b, uint64_t c)
{
	return hcall5(n, a, b, c, 0, 0);
}

/* ---- Output: %s %d %u %x with l, nothing else ------------------------------------------------ */

struct sink {
	char *to;
	size_t room;
};

static void put(struct sink *s, char c)
{
	if (s->room > 1) {
		*s->to++ = c;
		s->room--;
	}
}

static void put_number(struct sink *s, uint64_t v, unsigned int base)
{
	char digits[24];
	unsigned int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n)
		put(s, digits[--n]);
}

static void format(char *to, size_t room, const char *fmt, va_list ap)
{
	struct sink s = { to, room };

	for (; *fmt; fmt++) {
		bool wide = false;
		int64_t d;

		if (*fmt != '%') {
			put(&s, *fmt);
			continue;
		}
		while (*++fmt == 'l')
			wide = true;
		switch (*fmt) {
		case 's':
			for (const char *t = va_arg(ap, const char *); *t; t++)
				put(&s, *t);
			break;
		case 'd':
			d = wide ? va_arg(ap, int64_t) : va_arg(ap, int);
			if (d < 0)
				put(&s, '-');
			put_number(&s, d < 0 ? -(uint64_t)d : (uint64_t)d, 10);
			break;
		case 'u':
			put_number(&s, wide ? va_arg(ap, uint64_t) : va_arg(ap, unsigned int), 10);
			break;
		default:
			put_number(&s, wide ? va_arg(ap, uint64_t) : va_arg(ap, unsigned int), 16);
		}
	}
	*s.to = 0;
}

void vsay(const char *fmt, va_list ap)
{
	size_t n = 0, at = 0;
	long taken;

	format((char *)out_page, 512, fmt, ap);
	while (out_page[n])
		n++;
	for (; at < n; at += (size_t)taken) {
		taken = hcall(KEEL_HC_CONSOLE_WRITE, pa_of(out_page) + at, n - at, 0);
		if (taken <= 0)
			return;
	}
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
}

const char *detail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format(detail_text, sizeof(detail_text), fmt, ap);
	va_end(ap);
	return detail_text;
}

/* ---- Words ------------------------------------------------------------------------------------- */

bool starts_with(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return false;
	return true;
}

bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

const char *word(const char *key)
{
	const char *s = start_info->cmdline;

	for (; *s; s++)
		if ((s == start_info->cmdline || s[-1] == ' ') && starts_with(s, key)) {
			while (*key)
				key++, s++;
			return *s == '=' ? s + 1 : s;
		}
	return NULL;
}

uint64_t number(const char **s)
{
	uint64_t v = 0;

	for (; **s >= '0' && **s <= '9'; ++*s)
		v = v * 10 + (uint64_t)(**s - '0');
	return v;
}

uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	asm volatile("rdtsc" : "=a" (lo), "=d" (hi));
	return (uint64_t)hi << 32 | lo;
}

uint64_t random64(void)		/* xorshift64* */
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1d;
}

void nap_us(uint64_t us)
{
	__atomic_exchange_n(&vcpu_page->events, 0, __ATOMIC_ACQUIRE);	/* or BLOCK comes back at once */
	hcall(KEEL_HC_BLOCK, 0, rdtsc() + us * start_info->tsc_khz / 1000, 0);
}

/* ---- Memory ------------------------------------------------------------------------------------ */

void *page_alloc(uint64_t n)
{
	uint64_t va;

	if (!next_free)
		next_free = start_info->free_va;
	va = next_free;
	next_free += n * PAGE;
	if (next_free > KEEL_PEER_VA + start_info->mem_bytes) {
		say("HOSTILE memory FAIL none left\n");
		finish(0, 1);
	}
	return (void *)va;
}

void pages_again(void)
{
	next_free = 0;
}

uint64_t pa_of(const void *p)
{
	return (uint64_t)p - KEEL_PEER_VA + start_info->mem_pa;
}

bool own_pa(uint64_t pa)
{
	return pa >= whole_pa && pa - whole_pa < whole_bytes;
}

void *at_pa(uint64_t pa)
{
	return (void *)(pa - start_info->mem_pa + KEEL_PEER_VA);
}

uint64_t *pte_of(uint64_t va, bool make)
{
	uint64_t *table = at_pa(start_info->cr3_pa);
	unsigned int level;

	for (level = 3; level; level--) {
		uint64_t *e = &table[(va >> (12 + 9 * level)) & 511];

		if (!(*e & PTE_P)) {
			if (!make)
				return NULL;
			*e = pa_of(page_alloc(1));
		}
		if (make)
			*e |= TABLE;
		table = at_pa(*e & PTE_ADDR);
	}
	return &table[(va >> 12) & 511];
}

void map(uint64_t va, uint64_t pa, uint64_t flags)
{
	*pte_of(va, true) = pa | flags;
}

void flush(void)
{
	hcall(KEEL_HC_FLUSH, KEEL_FLUSH_ALL, 0, 0);
}

/* ---- Playing a kernel ---------------------------------------------------------------------------- */

void kernel_init(void)
{
	uint64_t *idt = page_alloc(1), va;
	unsigned int i;

	for (i = 0; i < 256; i++)
		idt[2 * i] = 1 | (uint64_t)KEEL_CS_RING1 << 16 | 0x8eUL << 40;
	hcall(KEEL_HC_LOAD_IDT, pa_of(idt), 4095, 0);
	hcall(KEEL_HC_SET_ENTRY, KEEL_ENTRY_EVENT_KERNEL, (uint64_t)ev_kernel, 0);
	hcall(KEEL_HC_SET_ENTRY, KEEL_ENTRY_EVENT_USER, (uint64_t)ev_user, 0);
	hcall(KEEL_HC_SET_ENTRY, KEEL_ENTRY_SYSCALL, (uint64_t)ev_syscall, 0);
	hcall(KEEL_HC_SET_ENTRY, KEEL_ENTRY_BAD_IRET, (uint64_t)ev_bad_iret, 0);
	for (va = 0; va < (uint64_t)(user_text_end - user_text); va += PAGE)
		map(USER_TEXT_VA + va, pa_of(user_text) + va, PTE_P | PTE_U | PTE_A);
	for (va = 0; va < 4 * PAGE; va += PAGE)
		map(USER_DATA_VA + va, pa_of(page_alloc(1)), PTE_P | PTE_W | PTE_U | PTE_A | PTE_D);
	flush();
}

uint64_t user_va(const char *label)
{
	return USER_TEXT_VA + (uint64_t)(label - user_text);
}

void user_init(struct user_regs *u, const char *label)
{
	*u = (struct user_regs) {
		.rip = user_va(label), .cs = KEEL_CS_USER, .rflags = 0x202, .rsp = USER_STACK,
		.ss = KEEL_SS_USER, .rdi = USER_DATA_VA,
	};
}

static long do_read(uint64_t va, uint64_t b, uint64_t c)
{
	(void)b, (void)c;
	return *(volatile uint8_t *)va;
}

static long do_write(uint64_t va, uint64_t b, uint64_t c)
{
	(void)b, (void)c;
	asm volatile("lock orb $0, (%0)" : : "r" (va) : "memory");
	return 0;
}

static long do_call(uint64_t va, uint64_t b, uint64_t c)
{
	(void)b, (void)c;
	asm volatile("call *%0" : : "r" (va) : "memory");
	return 0;
}

long port_in8(uint64_t port, uint64_t b, uint64_t c)
{
	uint8_t v;

	(void)b, (void)c;
	asm volatile("inb %w1, %0" : "=a" (v) : "d" (port));
	return v;
}

long port_in32(uint64_t port, uint64_t b, uint64_t c)
{
	uint32_t v;

	(void)b, (void)c;
	asm volatile("inl %w1, %0" : "=a" (v) : "d" (port));
	return v;
}

long port_out8(uint64_t port, uint64_t value, uint64_t c)
{
	(void)c;
	asm volatile("outb %b0, %w1" : : "a" (value), "d" (port));
	return 0;
}

long port_out16(uint64_t port, uint64_t value, uint64_t c)
{
	(void)c;
	asm volatile("outw %w0, %w1" : : "a" (value), "d" (port));
	return 0;
}

long port_out32(uint64_t port, uint64_t value, uint64_t c)
{
	(void)c;
	asm volatile("outl %k0, %w1" : : "a" (value), "d" (port));
	return 0;
}

bool can_read(uint64_t va)
{
	return !attempt(do_read, va, 0, 0);
}

bool can_write(uint64_t va)
{
	return !attempt(do_write, va, 0, 0);
}

bool can_run(uint64_t va)
{
	return !attempt(do_call, va, 0, 0) ||
	       !((vector() == VEC_PF || vector() == VEC_GP) && vcpu_page->event.frame.rip == va);
}

/* An event that nothing waits for. */
void stray(void)
{
	const struct keel_frame *f = &vcpu_page->event.frame;

	say("HOSTILE stray FAIL vector %u error %lx at %lx, address %lx, RSP %lx, how %u\n", vector(), vcpu_page->event.error,
	    f->rip, vcpu_page->cr2, f->rsp, happened.how);
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_EXIT, 1, 0);
	for (;;)
		;
}

/* Interrupts on, and off again before attempt() ends: from then on an event that comes would be a stray one. */
static long window(uint64_t a, uint64_t b, uint64_t c)
{
	(void)a, (void)b, (void)c;
	vcpu_page->flags = 0x200;
	hcall(KEEL_HC_IRQ_WINDOW, 0, 0, 0);
	vcpu_page->flags = 0;
	return 0;
}

void take_events(void)
{
	while (attempt(window, 0, 0, 0))
		;
	vcpu_page->flags = 0;
}

uint32_t vector(void)
{
	return (uint32_t)vcpu_page->event.vector & 0xff;
}

/* ---- Is the machine as it was? ----------------------------------------------------------------------- */

struct state {
	uint64_t gdt_base, idt_base, cr0;
	uint16_t gdt_limit, idt_limit, tr, ldt;
};
static struct state at_start;

static struct state state_now(void)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) g, i;
	struct state s;

	asm volatile("sgdt %0; sidt %1" : "=m" (g), "=m" (i));
	asm volatile("str %0; sldt %1; smsw %2" : "=r" (s.tr), "=r" (s.ldt), "=r" (s.cr0));
	s.gdt_base = g.base;
	s.gdt_limit = g.limit;
	s.idt_base = i.base;
	s.idt_limit = i.limit;
	return s;
}

void sanity_init(void)
{
	at_start = state_now();
}

const char *sanity(void)
{
	struct state s = state_now();
	unsigned int tries;
	struct user_regs u;
	uint64_t flags;

	EXPECT(s.gdt_base == at_start.gdt_base && s.gdt_limit == at_start.gdt_limit, "GDTR changed to %lx",
	       s.gdt_base);
	EXPECT(s.idt_base == at_start.idt_base && s.idt_limit == at_start.idt_limit, "IDTR changed to %lx",
	       s.idt_base);
	EXPECT(s.tr == at_start.tr && s.ldt == 0, "TR %x LDTR %x", s.tr, s.ldt);
	EXPECT(s.cr0 == at_start.cr0, "CR0 was %lx, is %lx", at_start.cr0, s.cr0);
	asm volatile("pushfq; popq %0" : "=r" (flags));
	EXPECT((flags & 0x27200) == 0x200, "RFLAGS %lx in ring 1", flags);
	EXPECT(hcall(KEEL_HC_ABI_VERSION, 0, 0, 0) == KEEL_ABI_VERSION, "hypercalls are gone");
	/* A partition with devices may have interrupts waiting, one for each vector: they come first. */
	for (tries = 0; tries < 256; tries++) {
		user_init(&u, u_flags);
		go_user(&u);
		if (happened.how != HOW_USER || vector() < 0x20)
			break;
	}
	EXPECT(happened.how == HOW_SYSCALL && happened.rcx - user_va(u_flags) < 16,
	       "SYSCALL went elsewhere: how %u", happened.how);
	EXPECT((happened.rax & 0x27200) == 0x200 && happened.rdx == KEEL_CS_USER &&
	       happened.rsi == KEEL_SS_USER, "ring 3 had RFLAGS %lx CS %lx SS %lx", happened.rax,
	       happened.rdx, happened.rsi);
	EXPECT(!payload_ran, "the payload ran with CS %x", payload_ran);
	return NULL;
}
