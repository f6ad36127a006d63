// SPDX-License-Identifier: MIT
/*
 * barrier.c - what is done between two that must not learn of each other by speculation, where CPUID offers it.
 *
 *   IBPB      no branch predicted by what ran before (vol. 3A, "IA32_PRED_CMD"; AMD APM vol. 2, 3.2.9)
 *   returns   32 harmless addresses over those of before, unless IBPB clears them
 *   VERW      store, load and fill buffers overwritten (vol. 2C, with MD_CLEAR)
 */
#include <hal/cpu.h>
#include <hal/entry.h>

#define IBPB	1

static void fill_return_stack(void)
{
	uint32_t pairs = 16;

	__asm__ volatile("1:	call 3f\n"
			 "2:	pause; lfence; jmp 2b\n"	/* where only speculation goes */
			 "3:	call 5f\n"
			 "4:	pause; lfence; jmp 4b\n"
			 "5:	decl %0; jnz 1b; addq $256, %%rsp; lfence" : "+r"(pairs) : : "memory", "cc");
}

void hal_switch_barrier(void)
{
	static const uint16_t selector = MK_SS;

	if (hal_cpu()->ibpb)
		hal_wrmsr(MSR_PRED_CMD, IBPB);
	if (hal_cpu()->ibpb && !hal_cpu()->ibpb_rsb)
		fill_return_stack();
	if (hal_cpu()->md_clear)
		__asm__ volatile("verw %0" : : "m"(selector) : "memory", "cc");
}
