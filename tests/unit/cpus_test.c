// SPDX-License-Identifier: MIT
/*
 * Property: of the CPUs a machine names, those come up that answer, are like the boot CPU and have its time;
 * every other one is named, gets an INIT after its last start-up and is left out, and the rest come up all the
 * same. Time-stamp counters that differ are found and corrected, whatever the host does with the threads meanwhile.
 * Failure looks like: a CPU in cpus[] that is not waiting, a reason that names something else, a hang.
 *
 * A started CPU is a thread here, with a time-stamp counter of its own.
 */
#include "unit.h"

#include <pthread.h>
#include <hal/cpu.h>
#include "mm/pte.h"
#include "run/cpu.h"

#define MAX_ID	300

/* How the CPU of an APIC id is. */
static struct {
	int64_t tsc;			/* its counter minus the boot CPU's */
	bool silent, dies, other, deaf;	/* deaf: its counter stays as it is */
	bool started, stopped;
	unsigned int ninits;
	pthread_t thread;
} machine[MAX_ID];

static _Thread_local struct cpu *this_one;
static _Thread_local uint32_t own_id;
static _Thread_local unsigned int npauses;
static bool x2apic;

static uint64_t unit_rdtsc(void)
{
	return hal_rdtsc() + (uint64_t)__atomic_load_n(&machine[own_id].tsc, __ATOMIC_RELAXED);
}

static void unit_end(void)
{
	pthread_exit(NULL);
}

/* An INIT takes effect where a CPU waits. */
static void unit_pause(void)
{
	if (own_id && (__atomic_load_n(&machine[own_id].stopped, __ATOMIC_ACQUIRE) || (machine[own_id].dies && npauses++)))
		unit_end();
	sched_yield();
}

static void unit_wrmsr(uint32_t msr, uint64_t v)
{
	if (msr == MSR_TSC_ADJUST && !machine[own_id].deaf)
		__atomic_fetch_add(&machine[own_id].tsc, (int64_t)v, __ATOMIC_RELAXED);
}

#undef this_cpu
#define this_cpu		this_one
#define hal_rdtsc()		unit_rdtsc()
#define hal_pause()		unit_pause()
#define hal_hlt()		unit_end()
#define hal_rdmsr(msr)		0UL
#define hal_wrmsr(msr, v)	unit_wrmsr(msr, v)
#define hal_write_cr0(v)	((void)(v))
#define hal_write_cr4(v)	((void)(v))
#define hal_write_dr7(v)	((void)(v))
#define hal_flush_tlb()		((void)0)
#include "metakernel/boot/tsc_pair.c"
#include "metakernel/boot/cpus.c"

char *unit_arena;
size_t unit_arena_bytes;
struct hal_cpu hal_cpu_info;
struct cpu *cpus[MAX_CPUS];
unsigned int ncpus;
bool lock_others;
static struct cpu boot_cpu;
static struct acpi_info acpi;
static struct boot_info bi;
static char said[65536];
static paddr_t next_frame;

void *unit_pa_to_va(paddr_t pa) { (void)pa; abort(); }
paddr_t unit_va_to_pa(const void *va) { return (paddr_t)((const char *)va - unit_arena); }
paddr_t hal_boot_cr3(void) { abort(); }
void entry_init(void) { abort(); }
void entry_init_cpu(uint64_t *pt, struct vcpu_ro *ro, paddr_t cpu, paddr_t ist) { (void)pt, (void)ro, (void)cpu, (void)ist; }
void entry_load_cpu(void) { }
void hal_apic_init_cpu(void) { }
bool hal_apic_is_x2(void) { return x2apic; }
uint64_t hal_tsc_khz(void) { return 1000000; }
void hal_delay_us(uint64_t us) { (void)us; }
bool hal_smp_begin(const struct boot_info *b) { return !b->nregions; }
void hal_smp_end(void) { }
void hal_smp_tables(uint64_t *l4, uint64_t *l3) { (void)l4, (void)l3; }
void panic_at(const char *file, int line, const struct panic_regs *regs, const char *fmt, ...)
{
	(void)regs, (void)fmt;
	fprintf(stderr, "panic at %s:%d\n", file, line);
	abort();
}

void log_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said + strlen(said), sizeof(said) - strlen(said), fmt, ap);
	va_end(ap);
}

uint64_t frames_alloc(uint16_t owner, uint64_t npages)
{
	paddr_t pa = next_frame;

	assert_int_equal(owner, FRAMES_MK);
	if (pa + npages * PAGE_SIZE > unit_arena_bytes)
		return 0;
	next_frame += npages * PAGE_SIZE;
	memset(unit_arena + pa, 0xa5, npages * PAGE_SIZE);
	return pa;
}

void hal_cpu_read(struct hal_cpu *c)
{
	*c = hal_cpu_info;
	c->apic_id = own_id;
	c->stepping = own_id;		/* may differ */
	if (machine[own_id].other)
		c->smep = !c->smep;
}

void hal_apic_init_ipi(uint32_t apic_id)
{
	assert_true(apic_id && apic_id < MAX_ID);
	assert_true(x2apic || apic_id < 255);
	machine[apic_id].ninits++;
	__atomic_store_n(&machine[apic_id].stopped, true, __ATOMIC_RELEASE);
}

void cpus_wait(void)
{
	__atomic_store_n(&this_one->waiting, true, __ATOMIC_RELEASE);
	pthread_exit(NULL);
}

struct start { uint32_t apic_id; paddr_t cr3; };

static void *run_cpu(void *arg)
{
	struct start s = *(struct start *)arg;

	free(arg);
	own_id = s.apic_id;
	this_one = (struct cpu *)((struct started_frames *)pa_to_va(s.cr3))->f.cpu;
	keel_cpu_start();
}

void hal_smp_start(uint32_t apic_id, paddr_t cr3)
{
	struct start *s = malloc(sizeof(*s));

	assert_true(machine[apic_id].ninits == 1 && !machine[apic_id].started);
	machine[apic_id].stopped = false;
	machine[apic_id].started = true;
	*s = (struct start) { apic_id, cr3 };
	if (machine[apic_id].silent)
		free(s);
	else
		assert_int_equal(pthread_create(&machine[apic_id].thread, NULL, run_cpu, s), 0);
}

/* A machine of n CPUs with APIC ids 0, 1, ..; the boot CPU is 0. */
static void setup(unsigned int n)
{
	memset(machine, 0, sizeof(machine));
	memset(&acpi, 0, sizeof(acpi));
	memset(&boot_cpu, 0, sizeof(boot_cpu));
	hal_cpu_info = (struct hal_cpu) { .smep = true, .tsc_adjust = true, .xcr0_mask = 7 };
	for (acpi.ncpus = 0; acpi.ncpus < n; acpi.ncpus++)
		acpi.cpu_apic_id[acpi.ncpus] = acpi.ncpus;
	this_one = cpus[0] = &boot_cpu;
	ncpus = 1;
	tsc_known = 0;
	next_frame = PAGE_SIZE;
	x2apic = false;
	bi.nregions = 0;
	said[0] = '\0';
}

/* Start them, join the threads, and look at those that are up. */
static void start(unsigned int most)
{
	cpus_start(&bi, &acpi, most);
	for (unsigned int id = 0; id < MAX_ID; id++)
		if (machine[id].thread)
			assert_int_equal(pthread_join(machine[id].thread, NULL), 0);
	for (unsigned int i = 1; i < ncpus; i++) {
		const struct cpu *c = cpus[i];

		assert_true(c->waiting && c->index == i && c->apic_id && machine[c->apic_id].started);
		assert_int_equal(machine[c->apic_id].ninits, 1);
		assert_ptr_equal((const char *)c, ((struct started_frames *)pa_to_va(c->mk_cr3))->f.cpu);
	}
}

/* It was started, is not up, and had an INIT since. */
static void left_out(uint32_t apic_id, const char *why)
{
	char line[200];

	snprintf(line, sizeof(line), "CPU with APIC id %u %s: left out\n", apic_id, why);
	assert_non_null(strstr(said, line));
	for (unsigned int i = 0; i < ncpus; i++)
		assert_int_not_equal(cpus[i]->apic_id, apic_id);
	if (machine[apic_id].started)
		assert_true(machine[apic_id].stopped && machine[apic_id].ninits >= 2);
}

static void all_come_up(void **state)
{
	(void)state;
	setup(64);
	start(64);
	assert_int_equal(ncpus, 64);
	assert_non_null(strstr(said, "64 CPUs, 0 left out (xAPIC)"));
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(cpus[i]->apic_id, i);
}

static void no_more_than_maxcpus(void **state)
{
	(void)state;
	setup(6);
	start(3);
	assert_int_equal(ncpus, 3);
	assert_non_null(strstr(said, "3 CPUs, 3 left out"));
	assert_false(machine[3].started);
	setup(6);
	start(1);
	assert_int_equal(ncpus, 1);
	assert_int_equal(machine[1].ninits, 0);
	assert_non_null(strstr(said, "1 CPU, 5 left out"));
}

static void a_silent_one_is_left_out(void **state)
{
	(void)state;
	setup(4);
	machine[1].silent = true;
	machine[2].dies = true;
	start(64);
	assert_int_equal(ncpus, 2);
	assert_int_equal(cpus[1]->apic_id, 3);
	left_out(1, "does not answer");
	left_out(2, "does not answer");
	assert_non_null(strstr(said, "2 CPUs, 2 left out"));
}

static void another_kind_is_left_out(void **state)
{
	(void)state;
	setup(3);
	machine[1].other = true;
	start(64);
	assert_int_equal(ncpus, 2);
	left_out(1, "differs from the boot CPU in smep");
}

static void another_time_is_corrected(void **state)
{
	static const int64_t off[] = { 1LL << 40, -(1LL << 40), 1LL << 50, -(1LL << 61) };

	(void)state;
	setup(NELEM(off) + 1);
	for (unsigned int i = 0; i < NELEM(off); i++)
		machine[i + 1].tsc = off[i];
	start(64);
	assert_int_equal(ncpus, NELEM(off) + 1);
	for (unsigned int i = 0; i < NELEM(off); i++)
		assert_true(distance(machine[i + 1].tsc) <= tsc_known);
	assert_non_null(strstr(said, "CPU with APIC id 1: time-stamp counter corrected by -"));
	assert_non_null(strstr(said, "CPU with APIC id 2: time-stamp counter corrected by 1"));
	/* Where there is no doubt, nothing is touched. */
	setup(2);
	start(64);
	assert_int_equal(machine[1].tsc, 0);
	assert_null(strstr(said, "corrected"));
}

static void a_time_that_stays_is_left_out(void **state)
{
	(void)state;
	setup(3);
	machine[1].tsc = 1LL << 40;
	machine[1].deaf = true;
	start(64);
	assert_int_equal(ncpus, 2);
	left_out(1, "has another time, which cannot be corrected");
	setup(2);
	hal_cpu_info.tsc_adjust = false;
	machine[1].tsc = -(1LL << 40);
	start(64);
	assert_int_equal(ncpus, 1);
	left_out(1, "has another time, which cannot be corrected");
	assert_int_equal(machine[1].tsc, -(1LL << 40));
}

static void large_ids_need_x2apic(void **state)
{
	(void)state;
	setup(3);
	acpi.cpu_apic_id[1] = 254;
	assert_false(cpus_need_x2apic(&acpi));
	acpi.cpu_apic_id[1] = 255;
	assert_true(cpus_need_x2apic(&acpi));
	start(64);
	assert_int_equal(ncpus, 2);
	left_out(255, "needs x2APIC, which the boot CPU has not");
	assert_int_equal(machine[255].ninits, 0);
	setup(3);
	acpi.cpu_apic_id[1] = 256;
	x2apic = true;
	start(64);
	assert_int_equal(ncpus, 3);
	assert_int_equal(cpus[1]->apic_id, 256);
	assert_non_null(strstr(said, "3 CPUs, 0 left out (x2APIC)"));
}

/* More than there is place for, a boot CPU that no list names, no page to start in, no memory. */
static void what_cannot_be_is_said(void **state)
{
	(void)state;
	setup(64);
	acpi.ncpus_more = 6;
	start(64);
	assert_int_equal(ncpus, 64);
	assert_non_null(strstr(said, "70 CPUs, 64 are supported"));
	assert_non_null(strstr(said, "64 CPUs, 6 left out"));
	setup(3);
	boot_cpu.apic_id = 9;
	acpi.cpu_apic_id[0] = 8;
	start(64);
	assert_int_equal(ncpus, 4);
	assert_non_null(strstr(said, "4 CPUs, 0 left out"));
	setup(2);
	bi.nregions = 1;
	start(64);
	assert_int_equal(ncpus, 1);
	assert_non_null(strstr(said, "no memory below 1 MiB"));
	setup(3);
	next_frame = unit_arena_bytes - sizeof(struct started_frames);
	start(64);
	assert_int_equal(ncpus, 2);
	left_out(2, "has no memory for its tables");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_come_up),
		cmocka_unit_test(no_more_than_maxcpus),
		cmocka_unit_test(a_silent_one_is_left_out),
		cmocka_unit_test(another_kind_is_left_out),
		cmocka_unit_test(another_time_is_corrected),
		cmocka_unit_test(a_time_that_stays_is_left_out),
		cmocka_unit_test(large_ids_need_x2apic),
		cmocka_unit_test(what_cannot_be_is_said),
	};

	unit_arena_bytes = 8 << 20;
	unit_arena = aligned_alloc(PAGE_SIZE, unit_arena_bytes);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
