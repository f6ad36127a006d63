// SPDX-License-Identifier: MIT
/*
 * panic.c - last words.
 *
 * Locks:   none: the other CPUs are stopped first, and what they held is broken (keel_last_words).
 * Context: anywhere, possibly with broken state: uses the console by polling, no locks, and reads
 * stack memory only where the image or the direct map is. A panic inside a panic only exits.
 */
#include <hal/boot.h>
#include <hal/cpu.h>
#include <hal/hooks.h>
#include <hal/irq.h>
#include <hal/power.h>
#include "log.h"
#include "panic.h"
#include "printf.h"

#define BACKTRACE_MAX	24
#define STACK_SPAN	0x10000		/* frames farther apart than this are not one stack */

static bool is_stack(uint64_t rbp)
{
	if (rbp & 7)
		return false;
	if (rbp >= (uint64_t)__data_start && rbp + 16 <= (uint64_t)__image_end)
		return true;
	return rbp >= HAL_DIRECT_MAP && rbp < HAL_IMAGE_BASE &&
	       hal_phys_window(rbp - HAL_DIRECT_MAP, 16) != NULL;
}

static bool is_text(uint64_t rip)
{
	return rip >= (uint64_t)__once_start && rip < (uint64_t)__tramp_text_end;
}

void panic_backtrace(uint64_t rbp)
{
	for (unsigned int i = 0; i < BACKTRACE_MAX && is_stack(rbp); i++) {
		const uint64_t *frame = (const uint64_t *)rbp;
		uint64_t next = frame[0], rip = frame[1];

		if (!is_text(rip))
			break;
		log_printf("  #%u 0x%016lx\n", i, rip);
		if (next <= rbp || next - rbp > STACK_SPAN)
			break;
		rbp = next;
	}
}

static void print_regs(const struct panic_regs *r)
{
	log_printf("  vector %lu error 0x%lx cr2 0x%016lx rflags 0x%lx cs 0x%lx ss 0x%lx\n",
		   r->vector, r->error, r->cr2, r->rflags, r->cs, r->ss);
	log_printf("  rip 0x%016lx rsp 0x%016lx rbp 0x%016lx\n", r->rip, r->rsp, r->rbp);
	log_printf("  rax 0x%016lx rbx 0x%016lx rcx 0x%016lx rdx 0x%016lx\n", r->rax, r->rbx, r->rcx, r->rdx);
	log_printf("  rsi 0x%016lx rdi 0x%016lx r8  0x%016lx r9  0x%016lx\n", r->rsi, r->rdi, r->r8, r->r9);
	log_printf("  r10 0x%016lx r11 0x%016lx r12 0x%016lx r13 0x%016lx\n", r->r10, r->r11, r->r12, r->r13);
	log_printf("  r14 0x%016lx r15 0x%016lx\n", r->r14, r->r15);
}

void panic_at(const char *file, int line, const struct panic_regs *regs, const char *fmt, ...)
{
	static uint32_t by;	/* APIC id + 1 of the CPU that came first */
	static char text[256];
	uint32_t self = hal_apic_id() + 1, first = 0;
	va_list ap;

	hal_cli();
	if (!__atomic_compare_exchange_n(&by, &first, self, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		while (first != self)
			hal_hlt();
		hal_exit(HAL_EXIT_PANIC);
	}
	keel_last_words();	/* the others stop; what was said before goes out, the rest is said at once */
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_printf("panic: %s\n", text);
	log_printf("  at %s:%d, cpu %u, build %s\n", file, line, self - 1, hal_build_id());
	if (regs) {
		print_regs(regs);
		if (is_text(regs->rip))
			log_printf("  #- 0x%016lx\n", regs->rip);
	}
	panic_backtrace(regs ? regs->rbp : (uint64_t)__builtin_frame_address(0));
	hal_exit(HAL_EXIT_PANIC);
}
