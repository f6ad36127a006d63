// SPDX-License-Identifier: MIT
/*
 * cpus.c - bringing up CPUs: the boot CPU itself, then the others, one at a time.
 *
 *   boot CPU                                started CPU
 *   INIT to all, 10 ms
 *   its tables, stack, cpu page
 *   SIPI                                    ap.S -> keel_cpu_start(): the same CPU? control registers,
 *   wait (5 s)                  <- STEP_UP  descriptor tables, local APIC
 *   compare time-stamp counters <->         answer
 *   STEP_STAY                   ->          cpus_wait(): in code that stays
 *   wait for cpu->waiting
 *
 * One that does not come, is another kind of CPU, or has another time is named, gets an INIT, from which it
 * does not wake by itself, and is left out; its frames stay ours, since nobody can tell what it still does.
 *
 * Owns:    the frames of each CPU (struct cpu_frames).
 * Context: boot CPU; keel_cpu_start() on the one being started.
 */
#include <hal/cpu.h>
#include <hal/entry.h>
#include <hal/hooks.h>
#include <hal/irq.h>
#include <hal/smp.h>
#include "boot/cpus.h"
#include "boot/tsc_pair.h"
#include "mm/frames.h"
#include "mm/pte.h"
#include "run/cpu.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/string.h"

#define INIT_US		10000
#define ANSWER_MS	5000	/* an emulated CPU may wait long for a core */
#define XAPIC_LAST_ID	254
#define TSC_TRIES	3
#define TSC_GOAL_NS	1000	/* so well the difference should be known, */
#define TSC_MOST_MS	50	/* if that takes no longer */
#define TSC_BOUND_NS	100	/* what may stay when a counter was corrected as well as it goes */

/* What a CPU has of its own. */
struct cpu_frames {
	uint64_t hole_l2[512], hole_pt[512];
	struct vcpu_ro ro;
	uint8_t cpu[PAGE_SIZE], ist[PAGE_SIZE], stack[MK_STACK_TOP - MK_STACK_VA];
};

/* And a started one, because the boot CPU has them from the start. */
struct started_frames {
	uint64_t l4[512], l3[512];
	struct cpu_frames f;
};
_Static_assert(sizeof(struct cpu) <= PAGE_SIZE, "struct cpu");
_Static_assert(sizeof(struct started_frames) % PAGE_SIZE == 0, "whole frames");

enum step { STEP_NONE, STEP_UP, STEP_COMPARE, STEP_CORRECT, STEP_STAY };

/* Between the boot CPU and the one being started. */
static struct starting {
	enum step step;
	const char *other;	/* what it has other than the boot CPU */
	int64_t correct;	/* add this to its TSC */
	struct tsc_pair pair;
} starting;

static struct cpu_frames boot_frames __attribute__((aligned(4096)));
static uint64_t tsc_known;	/* no counter is farther from the boot CPU's than so many ticks */

/*
 * CR0 and CR4 for as long as the machine runs: an allow-list (rule 15). What a partition writes to
 * its CR4 is virtual, but for TSD (seldom.c). SMEP protects ring 1 from its ring 3; SMAP stays off
 * (STAC is #UD in ring 1), and so does everything the list does not name.
 */
static void cpu_control(void)
{
	const struct hal_cpu *c = hal_cpu();
	uint64_t cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE;

	if (c->xsave)
		cr4 |= CR4_OSXSAVE;
	if (c->smep)
		cr4 |= CR4_SMEP;
	hal_write_cr4(cr4);
	hal_write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG);
	hal_wrmsr(MSR_EFER, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
}

/* The last 2 MiB as this CPU sees them, below the table of the last GiB. */
static void map_own(uint64_t *l3, struct cpu_frames *f)
{
	unsigned int i;

	ASSERT(!(l3[511] & PTE_P));
	f->hole_l2[511] = va_to_pa(f->hole_pt) | PTE_P | PTE_W;
	for (i = 0; i < sizeof(f->stack) / PAGE_SIZE; i++)
		f->hole_pt[((MK_STACK_VA >> PAGE_SHIFT) & 511) + i] =
			(va_to_pa(f->stack) + i * PAGE_SIZE) | PTE_P | PTE_W | PTE_NX;
	entry_init_cpu(f->hole_pt, &f->ro, va_to_pa(f->cpu), va_to_pa(f->ist));
	l3[511] = va_to_pa(f->hole_l2) | PTE_P | PTE_W;
}

static void cpu_init(struct cpu *c)
{
	c->lock = (struct lock)LOCK_INIT(LOCK_RUNQ);
	c->armed_tsc = UINT64_MAX;
	c->seldom = hal_cpu()->barrier ? SELDOM_BARRIER : 0;
}

static struct cpu *cpu_of(const struct cpu_frames *f)
{
	return pa_to_va(va_to_pa(f->cpu));
}

void cpus_boot_cpu(void)
{
	uint64_t *l4 = pa_to_va(hal_boot_cr3() & PTE_ADDR);

	cpu_control();
	entry_init();
	map_own(pa_to_va(l4[511] & PTE_ADDR), &boot_frames);
	hal_flush_tlb();
	entry_load_cpu();
	hal_write_dr7(0x400);
	cpus[ncpus++] = cpu_of(&boot_frames);
	cpu_init(this_cpu);
	this_cpu->mk_cr3 = hal_boot_cr3();
	lock_ranks_start();
}

bool cpus_need_x2apic(const struct acpi_info *acpi)
{
	unsigned int i;

	for (i = 0; i < acpi->ncpus; i++)
		if (acpi->cpu_apic_id[i] > XAPIC_LAST_ID)
			return true;
	return false;
}

/* ---- On the CPU being started ------------------------------------------------------------------- */

/* What the metakernel relies on and this CPU has otherwise than the boot CPU; NULL: nothing. */
static const char *other_features(void)
{
	const struct hal_cpu *boot = hal_cpu();
	struct hal_cpu own;

	memset(&own, 0, sizeof(own));
	hal_cpu_read(&own);
#define OTHER(field)	if (own.field != boot->field) return #field
	OTHER(intel); OTHER(amd); OTHER(nx); OTHER(syscall); OTHER(cx16); OTHER(apic); OTHER(fsgsbase);
	OTHER(xsave); OTHER(xsaveopt); OTHER(xcr0_mask); OTHER(xsave_size); OTHER(smep); OTHER(smap);
	OTHER(x2apic); OTHER(tsc_deadline); OTHER(tsc_invariant); OTHER(rdtscp); OTHER(phys_bits);
	OTHER(ibpb); OTHER(md_clear); OTHER(clflushopt); OTHER(pcid); OTHER(invpcid); OTHER(x87_pointers_stay);
#undef OTHER
	return NULL;
}

static enum step step_now(void)
{
	return __atomic_load_n(&starting.step, __ATOMIC_ACQUIRE);
}

static void step_set(enum step step)
{
	__atomic_store_n(&starting.step, step, __ATOMIC_RELEASE);
}

/* Unbounded, but the boot CPU ends it by an INIT if it gives up. */
static void follow(void)
{
	enum step step;

	while ((step = step_now()) != STEP_STAY) {
		if (step == STEP_COMPARE) {
			tsc_pair_answer(&starting.pair);
			step_set(STEP_UP);
		} else if (step == STEP_CORRECT) {
			hal_wrmsr(MSR_TSC_ADJUST, hal_rdmsr(MSR_TSC_ADJUST) + (uint64_t)starting.correct);
			step_set(STEP_UP);
		}
		hal_pause();
	}
}

void keel_cpu_start(void)
{
	starting.other = other_features();
	if (starting.other) {
		step_set(STEP_UP);
		for (;;)
			hal_hlt();
	}
	cpu_control();
	entry_load_cpu();
	hal_write_dr7(0x400);
	hal_apic_init_cpu();
	step_set(STEP_UP);
	follow();
	cpus_wait();
}

/* ---- On the boot CPU ---------------------------------------------------------------------------- */

static uint64_t answer_ticks(void)
{
	return ANSWER_MS * hal_tsc_khz();
}

static bool wait_step(enum step step)
{
	uint64_t t0 = hal_rdtsc();

	while (step_now() != step) {
		if (hal_rdtsc() - t0 > answer_ticks())
			return false;
		hal_pause();
	}
	return true;
}

static bool wait_waiting(const struct cpu *c)
{
	uint64_t t0 = hal_rdtsc();

	while (!__atomic_load_n(&c->waiting, __ATOMIC_ACQUIRE)) {
		if (hal_rdtsc() - t0 > answer_ticks())
			return false;
		hal_pause();
	}
	return true;
}

static int64_t in_ns(int64_t ticks)
{
	int64_t khz = (int64_t)hal_tsc_khz();

	return ticks / khz * 1000000 + ticks % khz * 1000000 / khz;
}

static uint64_t distance(int64_t ticks)
{
	return ticks < 0 ? 0 - (uint64_t)ticks : (uint64_t)ticks;
}

static bool compare(void)
{
	memset(&starting.pair, 0, sizeof(starting.pair));
	step_set(STEP_COMPARE);
	return tsc_pair_ask(&starting.pair, hal_tsc_khz() * TSC_GOAL_NS / 1000000, hal_tsc_khz() * TSC_MOST_MS,
			    answer_ticks()) && wait_step(STEP_UP);
}

/* The CPU's time is the boot CPU's, or made so. NULL, or what is wrong. */
static const char *same_time(uint32_t apic_id)
{
	const struct tsc_pair *p = &starting.pair;
	unsigned int try;
	int64_t differ;

	for (try = 0; ; try++) {
		if (!compare())
			return "does not answer";
		differ = tsc_pair_differ(p);
		if (!differ || try == TSC_TRIES || !hal_cpu()->tsc_adjust)
			break;
		starting.correct = -(p->low / 2 + p->high / 2);
		log_printf("CPU with APIC id %u: time-stamp counter corrected by %ld ns\n", apic_id,
			   in_ns(starting.correct));
		step_set(STEP_CORRECT);
		if (!wait_step(STEP_UP))
			return "does not answer";
	}
	if (in_ns((int64_t)distance(differ)) > TSC_BOUND_NS)
		return "has another time, which cannot be corrected";
	tsc_known = max_u64(tsc_known, max_u64(distance(p->low), distance(p->high)));
	return NULL;
}

/* 255 is no CPU's address in xAPIC mode, but that of all. */
static bool addressable(uint32_t apic_id)
{
	return hal_apic_is_x2() || apic_id <= XAPIC_LAST_ID;
}

/* NULL: the CPU is up and is cpus[ncpus - 1]. Else why not. */
static const char *start_one(uint32_t apic_id)
{
	struct started_frames *s;
	paddr_t pa;
	struct cpu *c;
	const char *wrong;

	if (!addressable(apic_id))
		return "needs x2APIC, which the boot CPU has not";
	pa = frames_alloc_mk(sizeof(*s) / PAGE_SIZE);
	if (!pa)
		return "has no memory for its tables";
	s = memset(pa_to_va(pa), 0, sizeof(*s));
	hal_smp_tables(s->l4, s->l3);
	map_own(s->l3, &s->f);
	c = cpu_of(&s->f);
	cpu_init(c);
	c->index = ncpus;
	c->apic_id = apic_id;
	c->mk_cr3 = pa;
	memset(&starting, 0, sizeof(starting));
	hal_smp_start(apic_id, pa);
	if (!wait_step(STEP_UP))
		return "does not answer";
	if (starting.other)
		return starting.other;
	wrong = same_time(apic_id);
	if (wrong)
		return wrong;
	step_set(STEP_STAY);
	if (!wait_waiting(c))
		return "does not answer";
	cpus[ncpus++] = c;
	lock_others = true;	/* nothing is locked at this moment */
	return NULL;
}

static void leave_out(uint32_t apic_id, const char *why)
{
	if (addressable(apic_id))
		hal_apic_init_ipi(apic_id);
	log_printf("CPU with APIC id %u %s%s: left out\n", apic_id,
		   why == starting.other ? "differs from the boot CPU in " : "", why);
}

static bool is_up(uint32_t apic_id)
{
	unsigned int i;

	for (i = 0; i < ncpus; i++)
		if (cpus[i]->apic_id == apic_id)
			return true;
	return false;
}

static void init_rest(const struct acpi_info *acpi)
{
	unsigned int i;

	for (i = 0; i < acpi->ncpus; i++)
		if (!is_up(acpi->cpu_apic_id[i]) && addressable(acpi->cpu_apic_id[i]))
			hal_apic_init_ipi(acpi->cpu_apic_id[i]);
	hal_delay_us(INIT_US);
}

static void start_all(const struct acpi_info *acpi, unsigned int most)
{
	unsigned int i;

	for (i = 0; i < acpi->ncpus && ncpus < most; i++) {
		uint32_t apic_id = acpi->cpu_apic_id[i];
		const char *why;

		if (apic_id == this_cpu->apic_id)
			continue;
		why = start_one(apic_id);
		if (why)
			leave_out(apic_id, why);
	}
}

/* How many does the machine have? The boot CPU may be unlisted, or among those there was no place for. */
static unsigned int count_all(const struct acpi_info *acpi)
{
	unsigned int i, all = acpi->ncpus + acpi->ncpus_more;

	for (i = 0; i < acpi->ncpus; i++)
		if (acpi->cpu_apic_id[i] == this_cpu->apic_id)
			return all;
	return acpi->ncpus_more ? all : all + 1;
}

void cpus_start(const struct boot_info *bi, const struct acpi_info *acpi, unsigned int most)
{
	unsigned int all = count_all(acpi);

	if (acpi->ncpus_more)
		log_printf("%u CPUs, %u are supported\n", all, MAX_CPUS);
	if (all > 1 && most > 1 && !hal_smp_begin(bi)) {
		log_printf("no memory below 1 MiB to start CPUs in\n");
	} else if (all > 1 && most > 1) {
		init_rest(acpi);
		start_all(acpi, most);
		init_rest(acpi);	/* whoever is late must not come when the page is Linux's */
		hal_smp_end();
	}
	log_printf("%u CPU%s, %u left out (%s)\n", ncpus, ncpus > 1 ? "s" : "", all - ncpus,
		   hal_apic_is_x2() ? "x2APIC" : "xAPIC");
	if (ncpus > 1)
		log_printf("the CPUs' time-stamp counters agree to %ld ns\n", in_ns((int64_t)tsc_known));
}
