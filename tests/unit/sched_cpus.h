/* SPDX-License-Identifier: MIT */
/*
 * sched_cpus.h - sched.c and cpu.c on CPUs that a test plays, or that are threads.
 *
 * `here` is the CPU that runs. What another does meanwhile is played at the points where that matters (`meanwhile`):
 * when registers have just been saved, and when a CPU sleeps.
 */
#ifndef TESTS_SCHED_CPUS_H
#define TESTS_SCHED_CPUS_H

#include "unit.h"

#include <pthread.h>
#include <sched.h>

static void rest(void)
{
	sched_yield();
}
#define sched_yield	keel_sched_yield	/* not the C library's */

#include <hal/cpu.h>
#define hal_pause()	rest()		/* on the host who holds a lock may have lost its CPU */
#include <hal/entry.h>

static _Thread_local struct cpu *here;
static uint64_t tsc;
static void halted(void);

#undef MK_CPU_VA
#define MK_CPU_VA	here		/* this_cpu, in cpu.h too */
#define hal_rdtsc()	__atomic_load_n(&tsc, __ATOMIC_RELAXED)
#define hal_sti_hlt_cli() halted()
#define hal_flush_tlb()	((void)0)
#define hal_hlt()	abort()
#include "mm/flush.h"
#include "metakernel/run/cpu.c"
#include "metakernel/run/budget.c"
#include "metakernel/run/sched.c"
#ifdef WITH_CALLS
#include "metakernel/run/call.c"
#else
void call_forget(struct vcpu *v) { (void)v; }
#endif

#define NCPUS	3
#define NVCPUS	6

char *unit_arena;
size_t unit_arena_bytes;
unsigned int nparts;
struct partition parts[MAX_PARTS];
static struct cpu cpu_memory[NCPUS];
static struct vcpu vcpus[NVCPUS];
static struct vcpu_ro pages[NVCPUS];
static bool waits[NVCPUS];		/* an event for it */
static unsigned int nipis[NCPUS], nraised[NVCPUS], ntold;
static unsigned int has[NVCPUS];	/* CPUs that have it loaded */
static bool called[NCPUS];		/* an interrupt is on its way */
static uint64_t armed[NCPUS];
static bool threads, over;
static jmp_buf idled;
static void (*meanwhile)(void);		/* once, at the next such point */

/* ---- What sched.c and cpu.c call ------------------------------------------------------------------ */

void *unit_pa_to_va(paddr_t pa) { (void)pa; abort(); }
paddr_t unit_va_to_pa(const void *va) { (void)va; abort(); }
void panic_at(const char *at, int line, const struct panic_regs *r, const char *fmt, ...)
{
	(void)at, (void)line, (void)r, (void)fmt;
	abort();
}
void vcpu_note_special(struct vcpu *v) { v->special = !v->plain; }
void serial_break_lock(void) { abort(); }
void serial_finish(void) { abort(); }
void hal_apic_nmi(uint32_t apic_id) { (void)apic_id; abort(); }
void hal_delay_us(uint64_t us) { (void)us; abort(); }
void hal_once_over(void) { abort(); }
void entry_start(void) { abort(); }
uint64_t hal_tsc_khz(void) { return 1000000; }
uint64_t console_poll_tsc(void) { return UINT64_MAX; }
void console_poll(void) { abort(); }
uint64_t busmaster_tsc(void) { return 0; }
void busmaster_piece(void) { abort(); }
void irq_calm(void) { abort(); }
void ending_idle(void) { }
void part_tell_control(unsigned int bit) { assert_int_equal(bit, KEEL_EV_BUDGET); ntold++; }
void mmu_age(struct vcpu *v) { assert_true(v->cpu == here->index); }
bool shoot_obey(struct vcpu *v) { assert_ptr_equal(v, here->current); return false; }
void event_deliver(struct vcpu *v, struct regs *r) { (void)v, (void)r; }
void event_exception(struct vcpu *v, struct regs *r, unsigned int n, uint64_t e) { (void)v, (void)r, (void)n, (void)e; abort(); }
bool vcpu_sanitize(struct vcpu *v, struct regs *r) { (void)v, (void)r; return true; }

void hal_apic_ipi(uint32_t apic_id, uint8_t vector)
{
	assert_int_equal(vector, VEC_WORK);
	__atomic_add_fetch(&nipis[apic_id], 1, __ATOMIC_RELAXED);
	__atomic_store_n(&called[apic_id], true, __ATOMIC_SEQ_CST);
}

void hal_timer_arm_tsc(uint64_t deadline)
{
	armed[here->index] = deadline;
}

static void play(void)
{
	void (*f)(void) = meanwhile;
	struct cpu *c = here;

	meanwhile = NULL;
	if (f)
		f();
	here = c;
}

bool event_waiting(const struct vcpu *v)
{
	return __atomic_load_n(&waits[v->id], __ATOMIC_SEQ_CST);
}

void event_raise(struct vcpu *v, unsigned int bit)
{
	assert_int_equal(bit, KEEL_EV_TIMER);
	nraised[v->id]++;
	__atomic_store_n(&waits[v->id], true, __ATOMIC_SEQ_CST);
	sched_interrupt(v);
}

void vcpu_load(struct vcpu *v, uint64_t now)
{
	if (__atomic_add_fetch(&has[v->id], 1, __ATOMIC_SEQ_CST) != 1 || !v->loaded || v->cpu != here->index)
		abort();	/* in a thread, too */
	v->run_since = now;
	v->ready_since = 0;
	here->current = v;
}

void vcpu_save(struct vcpu *v, uint64_t now)
{
	if (here->current != v || __atomic_sub_fetch(&has[v->id], 1, __ATOMIC_SEQ_CST))
		abort();
	v->run_tsc += now - v->run_since;
	here->current = NULL;
	__atomic_store_n(&v->loaded, false, __ATOMIC_RELEASE);
	play();
}

/* Asleep until somebody calls; alone, there is nobody. */
static void halted(void)
{
	unsigned int n = here->index;

	if (!threads) {
		bool plays = meanwhile;

		play();
		if (!plays)
			longjmp(idled, 1);
		assert_true(here->work || here->nvcpus);
	}
	while (threads && !__atomic_exchange_n(&called[n], false, __ATOMIC_SEQ_CST)) {
		if (__atomic_load_n(&over, __ATOMIC_SEQ_CST))
			pthread_exit(NULL);
		rest();
	}
}

static int start(void **state)
{
	(void)state;
	memset(cpu_memory, 0, sizeof(cpu_memory));
	memset(vcpus, 0, sizeof(vcpus));
	memset(waits, 0, sizeof(waits));
	memset(nipis, 0, sizeof(nipis));
	memset(nraised, 0, sizeof(nraised));
	memset(has, 0, sizeof(has));
	memset(called, 0, sizeof(called));
	memset(armed, 0, sizeof(armed));
	movers = NULL;
	idle_cpus = 0;
	meanwhile = NULL;
	threads = over = false;
	ntold = 0;
	tsc = 1000;
	ncpus = NCPUS;
	for (unsigned int i = 0; i < NCPUS; i++) {
		cpus[i] = &cpu_memory[i];
		cpus[i]->index = cpus[i]->apic_id = i;
		cpus[i]->mk_cr3 = (i + 1) * PAGE_SIZE;
		cpus[i]->armed_tsc = UINT64_MAX;
		cpus[i]->age_tsc = UINT64_MAX;
		cpus[i]->lock = (struct lock)LOCK_INIT(LOCK_RUNQ);
	}
	sched_init();
	here = cpus[0];
	return 0;
}

static struct vcpu *add(unsigned int i, unsigned int cpu, bool pinned, uint8_t priority)
{
	vcpus[i].ro = &pages[i];
	vcpus[i].root_pa = vcpus[i].id = i;
	vcpus[i].cpu = cpu;
	vcpus[i].pinned = vcpus[i].plain = pinned;
	vcpus[i].node.priority = priority;
	roster_add(&vcpus[i]);
	return &vcpus[i];
}

#define IDLE	(-1)

static inline void on(unsigned int cpu)
{
	here = cpus[cpu];
}

/* The way out of an entry on a CPU. -> the vCPU that it leaves to, IDLE if there is none */
static inline int leaves(unsigned int cpu)
{
	on(cpu);
	/* out of its sleep, if it slept */
	here->idle = false;
	__atomic_fetch_and(&idle_cpus, ~bit64(cpu), __ATOMIC_SEQ_CST);
	if (!here->current)
		cpu_work_here(WORK_RESCHED);
	if (setjmp(idled))
		return IDLE;
	return (int)sched_exit();
}

static inline void block(struct vcpu *v)
{
	here = cpus[v->cpu];
	sched_block(v);
}

#endif
