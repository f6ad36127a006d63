// SPDX-License-Identifier: MIT
/*
 * check_debug.c - breakpoints and CR4.TSD (rules 13 and 15): a partition has them for itself, and ring 0 never
 * meets them.
 */
#include "hostile.h"

#define WATCHED		(USER_DATA_VA + 0x240)
#define DR7_OFF		0x400UL
#define DR7_WRITE8	0x00090401UL	/* DR0: writes, 8 bytes */
#define DR7_ACCESS2	0x00070401UL	/* DR0: reads and writes, 2 bytes */
#define DR7_EXECUTE	0x00000401UL
#define CR4_TSD		4UL

static long do_dr(uint64_t address, uint64_t dr7, uint64_t c)
{
	(void)c;
	asm volatile("mov %0, %%dr0; mov %0, %%dr1; mov %0, %%dr2; mov %0, %%dr3; mov %1, %%dr7"
		     : : "r" (address), "r" (dr7) : "memory");
	return 0;
}

static long do_dr0(uint64_t address, uint64_t dr7, uint64_t c)
{
	(void)c;
	asm volatile("mov %0, %%dr0; mov %1, %%dr7" : : "r" (address), "r" (dr7) : "memory");
	return 0;
}

/* DR6's flags, which are then cleared. */
static long take_dr6(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t dr6;

	(void)a, (void)b, (void)c;
	asm volatile("mov %%dr6, %0; mov %1, %%dr6" : "=r" (dr6) : "r" (0UL) : "memory");
	return (long)(dr6 & 0xe00f);
}

static long do_store(uint64_t va, uint64_t b, uint64_t c)
{
	(void)b, (void)c;
	*(volatile uint8_t *)va = 0;
	return 0;
}

static void debug_off(void)
{
	attempt(do_dr, 0, DR7_OFF, 0);
	attempt(take_dr6, 0, 0, 0);
}

/* Where ring 0 or its data are, in any kind and length: nothing comes of it, for whoever goes by there. */
const char *check_debug_registers(void)
{
	static const uint64_t dr7[] = { 0x4ff, 0xffff07ff, 0xdddd07ff, 0x11112700, 0xffff2fff };
	const uint64_t syscall_stub = KEEL_TRAMP_VA + 0x1000, *gate = (const uint64_t *)KEEL_IDT_VA;
	uint64_t where[7];
	unsigned int i, j;

	where[0] = syscall_stub;
	where[1] = KEEL_TRAMP_VA;
	where[2] = (gate[2 * KEEL_HC_VECTOR] & 0xffff) | (gate[2 * KEEL_HC_VECTOR] >> 48) << 16 |
		   gate[2 * KEEL_HC_VECTOR + 1] << 32;
	where[3] = KEEL_STACK_VA + 0xff8;
	where[4] = KEEL_VCPU_VA + KEEL_VP_USER_RSP;
	where[5] = 0xffffffff80101000;	/* where the metakernel is linked */
	where[6] = 0xffff800000000000;	/* and its view of memory */
	for (i = 0; i < 7; i++)
		for (j = 0; j < sizeof(dr7) / sizeof(dr7[0]); j++) {
			attempt(do_dr, where[i], dr7[j], 0);
			EXPECT(!attempt(do_store, where[4], 0, 0), "a watchpoint at %lx armed by %lx came", where[i], dr7[j]);
			EXPECT_SANE();
			nap_us(200);
		}
	debug_off();
	return sanity();
}

/* Of its own addresses they are real: in ring 3, in ring 1, behind the store or before the instruction. */
const char *check_watchpoints(void)
{
	struct user_regs u;

	attempt(do_dr0, WATCHED, DR7_WRITE8, 0);
	user_init(&u, u_store);
	u.rdi = WATCHED;
	go_user(&u);
	EXPECT(happened.how == HOW_USER && vector() == VEC_DB, "store in ring 3: how %u vector %u", happened.how, vector());
	attempt(take_dr6, 0, 0, 0);
	EXPECT(happened.result == 1, "DR6 %lx", happened.result);
	EXPECT(attempt(do_store, WATCHED + 7, 0, 0) && vector() == VEC_DB, "store in ring 1");
	EXPECT(!attempt(do_store, WATCHED + 8, 0, 0), "a store behind what is watched came");
	user_init(&u, u_read);
	u.rdi = WATCHED;
	go_user(&u);
	EXPECT(happened.how == HOW_SYSCALL, "a read is no write");
	attempt(do_dr0, user_va(u_flags), DR7_EXECUTE, 0);
	user_init(&u, u_flags);
	go_user(&u);
	EXPECT(happened.how == HOW_USER && vector() == VEC_DB && vcpu_page->event.frame.rip == u.rip,
	       "execution in ring 3: how %u vector %u", happened.how, vector());
	debug_off();
	EXPECT(!attempt(do_store, WATCHED, 0, 0), "a watchpoint that is off came");
	return sanity();
}

/*
 * CVE-2018-8897: the trap of a watched operand of MOV SS is put off until behind the next instruction. Where that
 * is a way into ring 0 it may come in there, and must be gone without a trace.
 */
const char *check_mov_ss(void)
{
	static char *const ways[] = { u_watchss_syscall, u_watchss_int15, u_watchss_int3, u_watchss_icebp, u_watchss_ud2,
				      u_watchss_fault, u_watchss_hlt };
	struct user_regs u;
	unsigned int i, j;

	*(volatile uint64_t *)WATCHED = KEEL_SS_USER;
	for (i = 0; i < 4 * sizeof(ways) / sizeof(ways[0]); i++) {
		attempt(do_dr0, WATCHED, DR7_ACCESS2, 0);
		user_init(&u, ways[i / 4]);
		u.rdi = WATCHED;
		u.rflags |= i & 1 ? 0x100 : 0;
		for (j = 0; j < 3; j++) {
			go_user(&u);
			EXPECT(happened.how == HOW_USER || happened.how == HOW_SYSCALL || happened.how == HOW_PF,
			       "way %u: how %u", i / 4, happened.how);
		}
		EXPECT_SANE();
		if (i & 2)
			nap_us(200);
	}
	debug_off();
	return sanity();
}

static long set_tsd(uint64_t on, uint64_t b, uint64_t c)
{
	uint64_t cr4;

	(void)b, (void)c;
	asm volatile("mov %%cr4, %0" : "=r" (cr4) : : "memory");
	cr4 = on ? cr4 | CR4_TSD : cr4 & ~CR4_TSD;
	asm volatile("mov %0, %%cr4" : : "r" (cr4) : "memory");
	return 0;
}

/* CR4.TSD: no RDTSC in its ring 3; ring 1 has the time as before, and so have the others (their nap_us()). */
const char *check_time_stamp(void)
{
	struct user_regs u;
	unsigned int i;
	uint64_t before;

	for (i = 0; i < 20; i++) {
		attempt(set_tsd, !(i & 1), 0, 0);
		user_init(&u, u_rdtsc);
		go_user(&u);
		if (i & 1)
			EXPECT(happened.how == HOW_SYSCALL, "RDTSC with TSD clear: how %u", happened.how);
		else
			EXPECT(happened.how == HOW_USER && vector() == VEC_GP, "RDTSC with TSD set: how %u", happened.how);
		before = rdtsc();
		nap_us(200);
		EXPECT(rdtsc() > before, "the time stood still");
	}
	return sanity();
}
