/* SPDX-License-Identifier: MIT */
/*
 * hostile.h - what the parts of the hostile partition share.
 *
 * The partition plays a kernel that tries to break out. Checks that leave it alive run one after the
 * other (main.c has the list); attacks that end it are chosen by its command line, one a partition,
 * and a second partition with the control right, the watcher, looks at how they ended.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <keel/abi.h>
#include "hostile_asm.h"

#define PAGE		4096UL
#define PTE_P		1UL
#define PTE_W		2UL
#define PTE_U		4UL
#define PTE_PWT		8UL
#define PTE_PCD		0x10UL
#define PTE_A		0x20UL
#define PTE_D		0x40UL
#define PTE_PS		0x80UL
#define PTE_G		0x100UL
#define PTE_NX		(1UL << 63)
#define PTE_ADDR	0x000ffffffffff000UL
#define TABLE		(PTE_P | PTE_W | PTE_U | PTE_A)
#define DATA		(PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX)

#define USER_TEXT_VA	0x40000000UL	/* .user, readable and executable for ring 3 */
#define USER_DATA_VA	0x40010000UL	/* 4 pages */
#define USER_STACK	(USER_DATA_VA + 0x3f00)
#define WINDOW_VA	0x50000000UL	/* for checks to map what they like, 512 KiB */
#define SHARED_VA	0x60000000UL	/* of all vCPUs of the partition (clone.c) */
#define HC_DEBUG	0x4b45454cUL	/* debug builds only; metakernel/mm/check.h */

enum { VEC_DE = 0, VEC_DB = 1, VEC_BP = 3, VEC_OF = 4, VEC_UD = 6, VEC_TS = 10, VEC_NP = 11, VEC_SS = 12,
       VEC_GP = 13, VEC_PF = 14, VEC_AC = 17 };

struct happened {
	uint32_t how, reserved;
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, result;
};
static_assert(offsetof(struct happened, rsp) == HAP_RSP, "HAP_RSP");
static_assert(offsetof(struct happened, result) == HAP_RESULT, "HAP_RESULT");

struct user_regs {
	uint64_t rip, cs, rflags, rsp, ss, rax, rcx, rdx, rsi, rdi;
};
static_assert(offsetof(struct user_regs, rdi) == USER_RDI, "USER_RDI");

/* ---- entry.S ---- */
extern struct happened happened;
extern uint64_t recover_rsp;
extern volatile uint32_t payload_ran;
typedef long (*attempt_fn)(uint64_t a, uint64_t b, uint64_t c);
int attempt(attempt_fn fn, uint64_t a, uint64_t b, uint64_t c);
void go_user(const struct user_regs *u);
void hc_iret(uint64_t number, uint64_t a, uint64_t b);
extern char user_text[], user_text_end[], payload[], payload_end[];
extern char ev_irq[], ev_irq_end[], clone_start[], bounce[], image_end[];
extern char ev_kernel[], ev_user[], ev_syscall[], ev_pf_user[], ev_bad_iret[], ev_kernel_stack[];
extern char u_syscall[], u_flags[], u_read[], u_int15[], u_spin[], u_icebp[], u_int3[], u_ud2[],
	    u_popf_syscall[], u_popf_int15[], u_movss_syscall[], u_movss_int3[], u_movss_icebp[],
	    u_iretq[], u_iretl[], u_lretq[], u_lcall[], u32_syscall[], u32_sysenter[], u_sysenter[],
	    u_done[], u_store[], u_rdtsc[], u_watchss_syscall[], u_watchss_int15[], u_watchss_int3[],
	    u_watchss_icebp[], u_watchss_ud2[], u_watchss_fault[], u_watchss_hlt[];
struct probe {
	const char *text, *name;
};
extern const struct probe probes[];

/* ---- lib.c ---- */
void *memset(void *p, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);
int memcmp(const void *a, const void *b, size_t n);
extern const struct keel_start_info *start_info;
#define vcpu_page ((struct keel_vcpu_page *)KEEL_VCPU_VA)

int64_t hcall(uint64_t n, uint64_t a, uint64_t b, uint64_t c);
int64_t hcall5(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e);
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void vsay(const char *fmt, __builtin_va_list ap) __attribute__((format(printf, 1, 0)));
const char *detail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool starts_with(const char *s, const char *prefix);
bool same(const char *a, const char *b);
const char *word(const char *key);	/* behind KEY= in the command line, or NULL */
uint64_t number(const char **s);
uint64_t rdtsc(void);
uint64_t random64(void);
extern uint64_t random_state;
void nap_us(uint64_t us);		/* BLOCK: others run meanwhile */

/* Memory: a bump allocator, never freed. */
void *page_alloc(uint64_t n);
void pages_again(void);			/* from the start info's free_va on */
uint64_t pa_of(const void *p);
void *at_pa(uint64_t pa);
bool own_pa(uint64_t pa);		/* the partition's, of whichever vCPU */
extern uint64_t whole_pa, whole_bytes;	/* all of the partition's memory */
uint64_t *pte_of(uint64_t va, bool make);	/* entry of the lowest level, in own tables */
void map(uint64_t va, uint64_t pa, uint64_t flags);
void flush(void);

/* Register entry points and an IDT, map ring 3's pages. */
void kernel_init(void);
void user_init(struct user_regs *u, const char *label);	/* ring 3 at a label of .user */
uint64_t user_va(const char *label);

/* What KEEL_HC_IRET is asked to return by; good: it should come to ring 3. */
struct frame_case {
	uint64_t rip, cs, rflags, rsp, ss;
	bool good;
};

void iret_by_hypercall(const struct frame_case *f);
void load_data_selectors(uint16_t sel);

/* For a partition that holds the devices: configuration space, and a device's registers at WINDOW_VA. */
uint32_t config_read(uint32_t address);
void config_write(uint32_t address, uint32_t value);
void *map_device(uint64_t pa);

/* For attempt(): port, value. */
long port_in8(uint64_t port, uint64_t b, uint64_t c);
long port_in32(uint64_t port, uint64_t b, uint64_t c);
long port_out8(uint64_t port, uint64_t value, uint64_t c);
long port_out16(uint64_t port, uint64_t value, uint64_t c);
long port_out32(uint64_t port, uint64_t value, uint64_t c);

bool can_read(uint64_t va);
bool can_write(uint64_t va);	/* writes back what it read */
bool can_run(uint64_t va);
void stray(void) __attribute__((noreturn));
uint32_t vector(void);		/* of the event that happened */
void take_events(void);		/* those that wait; interrupts are off afterwards */

/* ---- clone.c: each vCPU runs this program with memory of its own ---- */
#define LINE_WORDS	8
#define CLONES		64
#define SHARED_PAGES	8

struct shared {
	uint32_t clones, finished, good, bad;
	uint32_t arrived, rounds;	/* of meet() */
	uint32_t failed;		/* some vCPU has given up: do not wait for it */
	uint64_t line[CLONES][LINE_WORDS];	/* a cache line each, for checks */
};
#define shared ((volatile struct shared *)SHARED_VA)
extern unsigned int clones, me;		/* how many, and which this is; me: vcpu_id */
void clones_start(void);		/* on vCPU 0: the others begin in hostile_main(), too */
void meet(void);			/* returns when all have called it */
void relax(void);			/* in a loop that waits for another vCPU */
uint64_t shared_pa(void);

/* Interrupts, for checks: counted, then irq_hook() is called; afterwards the interrupted code goes on. */
extern volatile uint64_t irq_count[256];
extern void (*irq_hook)(unsigned int vector);
void irqs_init(void);
void irqs_on(void);
void irqs_off(void);

/* Still in order? NULL, or what is not: control registers, descriptor tables, entries, flags. */
const char *sanity(void);
void sanity_init(void);

/* A check returns NULL, or what went wrong. */
#define EXPECT(cond, ...) do { if (!(cond)) return detail(__VA_ARGS__); } while (0)
#define EXPECT_SANE() do { const char *why_ = sanity(); if (why_) return why_; } while (0)

/* ---- the checks ---- */
const char *check_hole_scan(void);
const char *check_hole_kept(void);
const char *check_stack_residue(void);
const char *check_registers_kept(void);
const char *check_compat_syscall(void);
const char *check_sysenter(void);
const char *check_int_n(void);
const char *check_gates(void);
const char *check_descriptors(void);
const char *check_iretl_vm(void);
const char *check_vm_entries(void);
const char *check_return_ring0(void);
const char *check_iret_frames(void);
const char *check_set_desc(void);
const char *check_stack_selector(void);
const char *check_stale_selectors(void);
const char *check_load_gs(void);
const char *check_debug_registers(void);
const char *check_watchpoints(void);
const char *check_mov_ss(void);
const char *check_time_stamp(void);
const char *check_single_step(void);
const char *check_control_registers(void);
const char *check_privileged_ring1(void);
const char *check_privileged_ring3(void);
const char *check_random_instructions(void);
const char *check_vcpu_page_garbage(void);

const char *check_foreign_frames(void);
const char *check_global_bit(void);
const char *check_hole_not_dropped(void);
const char *check_table_in_window(void);
const char *check_table_foreign(void);
const char *check_table_loops(void);
const char *check_table_garbage(void);
const char *check_huge_leaves(void);
const char *check_thrash(void);
const char *check_cr3_pcids(void);
const char *check_smep(void);

const char *check_calls_refuse(void);
const char *check_handles(void);
const char *check_ports(void);
const char *check_entries(void);
const char *check_device_windows(void);
const char *check_ioapic(void);
const char *check_device_ports(void);
const char *check_device_stores(void);
const char *check_firmware_tables(void);
const char *check_chipset_registers(void);
const char *check_bars(void);
const char *check_sleep(void);
const char *check_storm(void);

const char *check_external_vectors(void);	/* debug builds */
const char *check_nmi(void);

const char *check_start_stop(void);	/* several vCPUs */
const char *check_start_errors(void);
const char *check_ipis(void);
const char *check_ping_pong(void);
const char *check_flush_set(void);
const char *check_flush_each_other(void);
const char *check_offers(void);
const char *check_omitted(void);

void smp_die(void) __attribute__((noreturn));
void restarts(const char *arg) __attribute__((noreturn));
void makes(const char *arg) __attribute__((noreturn));
void attack(const char *name) __attribute__((noreturn));
void fuzz(const char *arg) __attribute__((noreturn));
void fuzz_devices(const char *arg) __attribute__((noreturn));
void watch(const char *arg) __attribute__((noreturn));
void marker(void) __attribute__((noreturn));
void finish(unsigned int good, unsigned int bad) __attribute__((noreturn));

#endif
